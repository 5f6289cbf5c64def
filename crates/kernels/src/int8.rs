//! Products with weights of 8 bits: a quarter of the bytes of `f32`, which is what decoding waits for.
//!
//! Weights are codes -127..=127 with a scale for each column; rows of activations become codes with a scale for each row when the
//! product is made ([`CodeRows`]), in one plane of 8 bits or in two that together hold 14. The second plane costs time where the
//! processor computes and nothing where it waits for the weights. Sums of codes are exact integers and the two scales are applied in one order, so a result has the
//! same bits on every instruction set, on any number of threads, and alone or among other rows. A plain reference stands beside.
//!
//! Letters: n rows, I inputs, O outputs.

use crate::int4::{GROUP, few};
use crate::panels::in_parts;
use crate::simd::Proof;
use std::sync::OnceLock;

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// Columns of a panel: one AVX-512 register of four codes a column.
pub(crate) const PANEL: usize = 16;

/// Inputs that one step of a panel multiplies for every column.
pub(crate) const STEP: usize = 4;

/// Most inputs: the sum of as many products of codes fits 32 bits.
pub const MAX_INT8_INPUTS: usize = 1 << 17;

/// Most inputs of a product with two planes.
pub const MAX_WIDE_INPUTS: usize = 1 << 11;

/// Bits of the lower of two planes.
const PLANE_BITS: u32 = 7;

/// The largest code of two planes.
const WIDEST: f32 = 8128.0;

/// What is added to the codes of activations: the instructions multiply unsigned by signed numbers.
const BIAS: i32 = 128;

/// Multiplications that are worth waking another thread for.
pub(crate) const WORTH_A_THREAD: usize = 1 << 20;

/// Codes of a step of a panel, `[16 columns][4 inputs]`: a cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub [i8; PANEL * STEP]);

/// A matrix `[I, O]` of codes as blocks `[ceil(O / 16)][ceil(I / 4)][16][4]`; what is past the last is zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Int8Panels {
    inputs: usize,
    outputs: usize,
    lines: Vec<Line>,
    /// `[ceil(O / 16) 16]`: a weight is its code times this.
    scales: Vec<f32>,
    /// `[ceil(O / 16) 16]`: `-BIAS` times the sum of the column's codes, where sums begin.
    starts: Vec<i32>,
}

impl Int8Panels {
    /// From the rows of the transposed matrix, `[O, I]`, each with a scale of its own: the largest weight has the code 127.
    ///
    /// # Panics
    /// When the matrix is not a whole number of rows, or a row is longer than [`MAX_INT8_INPUTS`].
    pub fn from_rows(w: &[f32], inputs: usize) -> Self {
        let outputs = w.len() / inputs.max(1);
        assert!(
            inputs * outputs == w.len() && inputs <= MAX_INT8_INPUTS,
            "{} weights for {inputs} inputs",
            w.len()
        );
        let mut scales = vec![0.0; outputs];
        let mut codes = vec![0; w.len()];
        for (j, row) in w.chunks_exact(inputs.max(1)).enumerate() {
            scales[j] = quantise_row(row, &mut codes[j * inputs..][..inputs]);
        }
        Self::from_codes(&codes, &scales, inputs)
    }

    /// From a row-major matrix `[I, O]`, each column with a scale of its own.
    ///
    /// # Panics
    /// As [`Int8Panels::from_rows`].
    pub fn from_columns(w: &[f32], inputs: usize) -> Self {
        let outputs = w.len() / inputs.max(1);
        assert!(
            inputs * outputs == w.len(),
            "{} weights for {inputs} inputs",
            w.len()
        );
        let mut turned = vec![0.0; w.len()];
        for i in 0..inputs {
            for j in 0..outputs {
                turned[j * inputs + i] = w[i * outputs + j];
            }
        }
        Self::from_rows(&turned, inputs)
    }

    /// From codes `[O, I]` and a scale for each row of them.
    ///
    /// # Panics
    /// When the lengths do not fit together, a row is longer than [`MAX_INT8_INPUTS`], or a code is -128.
    pub fn from_codes(codes: &[i8], scales: &[f32], inputs: usize) -> Self {
        let outputs = scales.len();
        let starts = starts_of(codes, outputs, inputs);
        let (panels, steps) = (outputs.div_ceil(PANEL), inputs.div_ceil(STEP));
        let mut built = Self {
            inputs,
            outputs,
            lines: vec![Line([0; PANEL * STEP]); panels * steps],
            scales: vec![0.0; panels * PANEL],
            starts,
        };
        built.scales[..outputs].copy_from_slice(scales);
        for (j, row) in codes.chunks_exact(inputs.max(1)).enumerate() {
            for (i, code) in row.iter().enumerate() {
                let line = j / PANEL * steps + i / STEP;
                built.lines[line].0[j % PANEL * STEP + i % STEP] = *code;
            }
        }
        built
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of columns.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes that the matrix takes.
    pub fn bytes(&self) -> usize {
        size_of_val(self.lines.as_slice()) + 8 * self.scales.len()
    }

    /// The scale of a column and its codes `[I]`.
    ///
    /// # Panics
    /// When the column does not exist.
    pub fn column(&self, column: usize) -> (f32, impl Iterator<Item = i8> + '_) {
        assert!(column < self.outputs, "column {column} of {}", self.outputs);
        (
            self.scales[column],
            (0..self.inputs).map(move |i| self.code(i, column)),
        )
    }

    fn code(&self, i: usize, j: usize) -> i8 {
        let line = j / PANEL * self.inputs.div_ceil(STEP) + i / STEP;
        self.lines[line].0[j % PANEL * STEP + i % STEP]
    }
}

/// Where the sums of each column of codes `[O, I]` begin, as far as the last panel reaches.
pub(crate) fn starts_of(codes: &[i8], outputs: usize, inputs: usize) -> Vec<i32> {
    assert!(
        inputs * outputs == codes.len() && inputs <= MAX_INT8_INPUTS,
        "{} codes for {inputs} inputs and {outputs} scales",
        codes.len()
    );
    assert!(!codes.contains(&i8::MIN), "the code -128 has no opposite");
    let mut starts = vec![0; outputs.next_multiple_of(PANEL)];
    for (start, row) in starts.iter_mut().zip(codes.chunks_exact(inputs.max(1))) {
        *start = -BIAS * row.iter().map(|code| i32::from(*code)).sum::<i32>();
    }
    starts
}

/// Rows of activations as codes, each row with a scale of its own. The buffers are kept between uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CodeRows {
    rows: usize,
    inputs: usize,
    planes: usize,
    /// `[n, planes, ceil(I / 32) 32]`: codes plus [`BIAS`]; the upper plane of two comes first and counts `2^7` times.
    codes: Vec<u8>,
    /// `[n, ceil(I / 32)]`: sums of 32 codes, those of the inputs 0 and 1 of four and those of 2 and 3; none unless asked for.
    pairs: Vec<[i16; 2]>,
    /// The codes of one plane without [`BIAS`]; none unless asked for.
    signed: Vec<i8>,
    /// `[n]`
    scales: Vec<f32>,
}

impl CodeRows {
    /// Takes over rows `[n, I]` in one plane: the largest number of a row becomes the code 127 or -127. A row with a number that is
    /// not finite gets a scale that is not a number, and so does everything that is computed of it.
    ///
    /// # Panics
    /// When `x` is not a whole number of rows.
    pub fn set(&mut self, x: &[f32], inputs: usize) {
        self.resize(x, inputs, 1);
        if inputs == 0 {
            return;
        }
        let stride = self.stride();
        let codes = self.codes.chunks_exact_mut(stride);
        for ((x, codes), scale) in x.chunks_exact(inputs).zip(codes).zip(&mut self.scales) {
            codes[inputs..].fill(BIAS as u8);
            *scale = encode_row(x, &mut codes[..inputs]);
        }
    }

    /// [`CodeRows::set`] with what products of a few rows with weights of 4 bits need besides.
    ///
    /// # Panics
    /// As [`CodeRows::set`].
    pub fn set_grouped(&mut self, x: &[f32], inputs: usize) {
        self.set(x, inputs);
        if self.rows > few(IntegerSet::get()) {
            return;
        }
        self.pairs.resize(self.codes.len() / GROUP, [0; 2]);
        self.signed.resize(self.codes.len(), 0);
        sum_groups(&self.codes, &mut self.signed, &mut self.pairs);
    }

    /// The sums of groups and the codes without [`BIAS`], where [`CodeRows::set_grouped`] has made them.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn groups(&self) -> Option<(&[[i16; 2]], &[i8])> {
        (!self.pairs.is_empty()).then_some((&self.pairs, &self.signed))
    }

    /// Codes from one row or plane to the next.
    fn stride(&self) -> usize {
        self.inputs.next_multiple_of(GROUP)
    }

    /// [`CodeRows::set`] in two planes: the largest number becomes the code 8128 or -8128.
    ///
    /// # Panics
    /// When `x` is not a whole number of rows, or a row is longer than [`MAX_WIDE_INPUTS`].
    pub fn set_wide(&mut self, x: &[f32], inputs: usize) {
        assert!(
            inputs <= MAX_WIDE_INPUTS,
            "two planes of {inputs} inputs, at most {MAX_WIDE_INPUTS}"
        );
        self.resize(x, inputs, 2);
        if inputs == 0 {
            return;
        }
        let stride = self.stride();
        let codes = self.codes.chunks_exact_mut(2 * stride);
        for ((x, codes), scale) in x.chunks_exact(inputs).zip(codes).zip(&mut self.scales) {
            let (upper, lower) = codes.split_at_mut(stride);
            upper[inputs..].fill(BIAS as u8);
            lower[inputs..].fill(BIAS as u8);
            *scale = encode_wide_row(x, &mut upper[..inputs], &mut lower[..inputs]);
        }
    }

    fn resize(&mut self, x: &[f32], inputs: usize, planes: usize) {
        let rows = x.len() / inputs.max(1);
        assert!(
            rows * inputs == x.len(),
            "{} numbers in rows of {inputs}",
            x.len()
        );
        (self.rows, self.inputs, self.planes) = (rows, inputs, planes);
        self.scales.resize(rows, 0.0);
        self.codes.resize(rows * planes * self.stride(), BIAS as u8);
        self.pairs.clear();
        self.signed.clear();
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The code of a number, over all planes.
    fn code(&self, row: usize, i: usize) -> i32 {
        let stride = self.stride();
        (0..self.planes).fold(0, |code, plane| {
            let at = (row * self.planes + plane) * stride + i;
            (code << PLANE_BITS) + i32::from(self.codes[at]) - BIAS
        })
    }
}

crate::simd::dispatch! {
    /// Codes of a row plus [`BIAS`]; returns the row's scale.
    fn encode_row(x: &[f32], codes: &mut [u8]) -> f32 = encode_row_body
}

crate::simd::dispatch! {
    /// Codes of a row in two planes, plus [`BIAS`] each; returns the row's scale.
    fn encode_wide_row(x: &[f32], upper: &mut [u8], lower: &mut [u8]) -> f32 = encode_wide_row_body
}

crate::simd::dispatch! {
    /// Takes [`BIAS`] off codes and adds them up in groups.
    fn sum_groups(codes: &[u8], signed: &mut [i8], pairs: &mut [[i16; 2]]) = sum_groups_body
}

#[inline(always)]
fn sum_groups_body<A: crate::simd::Arithmetic>(
    codes: &[u8],
    signed: &mut [i8],
    pairs: &mut [[i16; 2]],
) {
    let codes = codes.chunks_exact(GROUP);
    for ((codes, signed), pair) in codes.zip(signed.chunks_exact_mut(GROUP)).zip(pairs) {
        let mut sums = [0_i16; GROUP];
        for i in 0..GROUP {
            signed[i] = (codes[i] ^ BIAS as u8) as i8;
            sums[i] = i16::from(signed[i]);
        }
        // As a tree, so that the sums stay in registers.
        for half in [16, 8, 4] {
            for i in 0..half {
                sums[i] += sums[i + half];
            }
        }
        *pair = [sums[0] + sums[1], sums[2] + sums[3]];
    }
}

#[inline(always)]
fn encode_row_body<A: crate::simd::Arithmetic>(x: &[f32], codes: &mut [u8]) -> f32 {
    let (scale, factor) = scale_of(largest_magnitude(x), 127.0);
    for (code, x) in codes.iter_mut().zip(x) {
        *code = (nearest(x * factor) as u8).wrapping_add(BIAS as u8);
    }
    scale
}

#[inline(always)]
fn encode_wide_row_body<A: crate::simd::Arithmetic>(
    x: &[f32],
    upper: &mut [u8],
    lower: &mut [u8],
) -> f32 {
    let (scale, factor) = scale_of(largest_magnitude(x), WIDEST);
    for ((upper, lower), x) in upper.iter_mut().zip(lower).zip(x) {
        let code = nearest(x * factor);
        let above = (code + (1 << (PLANE_BITS - 1))) >> PLANE_BITS;
        *upper = (above as u8).wrapping_add(BIAS as u8);
        *lower = ((code - (above << PLANE_BITS)) as u8).wrapping_add(BIAS as u8);
    }
    scale
}

/// Magnitudes are ordered as the integers that their bits are, and everything that is not finite lies above all that is.
#[inline(always)]
fn largest_magnitude(x: &[f32]) -> f32 {
    const LANES: usize = crate::simd::LANES;
    let mut lanes = [0u32; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = lanes[i].max(chunk[i].to_bits() & 0x7fff_ffff);
        }
    }
    let rest = rest.iter().map(|x| x.to_bits() & 0x7fff_ffff);
    f32::from_bits(rest.chain(lanes).fold(0, u32::max))
}

/// The nearest integer of a magnitude below 2^15: adding 1.5 * 2^23 leaves it in the low bits.
#[inline(always)]
fn nearest(x: f32) -> i32 {
    i32::from((x + 12_582_912.0).to_bits() as i16)
}

/// The scale of a row whose largest magnitude is `most`, and what its numbers are multiplied with to become codes up to `largest`.
#[inline(always)]
fn scale_of(most: f32, largest: f32) -> (f32, f32) {
    // Below this the factor would not be finite; nothing that a network computes is as small.
    if most < 1e-30 {
        (0.0, 0.0)
    } else if most.is_finite() {
        (most / largest, largest / most)
    } else {
        (f32::NAN, 0.0)
    }
}

/// Codes of a row of weights; returns its scale.
fn quantise_row(w: &[f32], codes: &mut [i8]) -> f32 {
    let mut biased = vec![0; w.len()];
    let scale = encode_row(w, &mut biased);
    for (code, biased) in codes.iter_mut().zip(biased) {
        *code = (i32::from(biased) - BIAS) as i8;
    }
    scale
}

/// `y = x W` for `x [n, I]` and `y [n, O]`, on up to `threads` threads.
///
/// # Panics
/// When the shapes do not fit together.
pub fn matmul_int8(x: &CodeRows, w: &Int8Panels, y: &mut [f32], threads: usize) {
    multiply(x, w, y, threads, IntegerSet::get());
}

fn multiply(x: &CodeRows, w: &Int8Panels, y: &mut [f32], threads: usize, set: IntegerSet) {
    check_product(x, w.inputs, w.outputs, y);
    if x.rows == 0 || w.outputs == 0 {
        return;
    }
    let panels = w.outputs.div_ceil(PANEL);
    let job = Job::new(x, &w.scales, &w.starts, w.outputs, y, set);
    let job = job.with_lines(&w.lines, w.inputs.div_ceil(STEP), 0);
    let work = x.rows * w.inputs * w.outputs;
    let threads = threads.min(panels).min(work / WORTH_A_THREAD + 1);
    in_parts(0, panels, threads, &|start, end| job.panels(start, end));
}

pub(crate) fn check_product(x: &CodeRows, inputs: usize, outputs: usize, y: &[f32]) {
    assert!(
        x.inputs == inputs && x.rows * outputs == y.len(),
        "product of {} x {} by {inputs} x {outputs} into {}",
        x.rows,
        x.inputs,
        y.len()
    );
}

/// [`matmul_int8`] in three loops.
///
/// # Panics
/// When the shapes do not fit together.
pub fn matmul_int8_reference(x: &CodeRows, w: &Int8Panels, y: &mut [f32]) {
    check_product(x, w.inputs, w.outputs, y);
    for row in 0..x.rows {
        for j in 0..w.outputs {
            let product = |i: usize| x.code(row, i) * i32::from(w.code(i, j));
            let sum: i32 = (0..w.inputs).map(product).sum();
            y[row * w.outputs + j] = sum as f32 * x.scales[row] * w.scales[j];
        }
    }
}

/// The instructions that multiply codes.
#[derive(Clone, Copy)]
pub(crate) enum IntegerSet {
    /// What every processor of the target has.
    Portable,
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(Proof),
    /// AVX2 and AVX-VNNI.
    #[cfg(target_arch = "x86_64")]
    AvxVnni(Proof),
    /// AVX-512 with F, VL, BW, DQ and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Proof),
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon(Proof),
}

impl IntegerSet {
    /// The best set of this processor; detected once.
    pub(crate) fn get() -> Self {
        static FOUND: OnceLock<IntegerSet> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let best = Self::available().pop();
            best.expect("the portable set is always there")
        })
    }

    /// All sets of this processor that the limit of [`crate::simd::limit`] leaves, the best one last.
    pub(crate) fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            x86::available()
        }
        #[cfg(target_arch = "aarch64")]
        {
            neon::available()
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            vec![Self::Portable]
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni(_) => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(_) => "avx512-vnni",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
        }
    }
}

/// The name of the instructions that multiply codes, for reports.
pub fn integer_instruction_set() -> &'static str {
    IntegerSet::get().name()
}

/// A product whose shapes were checked.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    pub rows: usize,
    planes: usize,
    /// Codes from one plane of a row to the next.
    stride: usize,
    steps: usize,
    pub outputs: usize,
    /// `[rows, planes, stride]`
    codes: *const u8,
    pub row_scales: *const f32,
    /// `[panels, steps, 64]`, from the panel `first` on.
    lines: *const i8,
    first: usize,
    pub column_scales: *const f32,
    starts: *const i32,
    /// `[rows, outputs]`
    pub y: *mut f32,
    pub set: IntegerSet,
}

// SAFETY: threads read codes and scales, which nobody writes while the job borrows them, and write disjoint columns of `y`.
unsafe impl Sync for Job {}
// SAFETY: as above; nothing belongs to a thread.
unsafe impl Send for Job {}

impl Job {
    /// A job whose lines are still to come; the shapes must have been checked.
    pub fn new(
        x: &CodeRows,
        scales: &[f32],
        starts: &[i32],
        outputs: usize,
        y: &mut [f32],
        set: IntegerSet,
    ) -> Self {
        Self {
            rows: x.rows,
            planes: x.planes,
            stride: x.stride(),
            steps: 0,
            outputs,
            codes: x.codes.as_ptr(),
            row_scales: x.scales.as_ptr(),
            lines: std::ptr::null(),
            first: 0,
            column_scales: scales.as_ptr(),
            starts: starts.as_ptr(),
            y: y.as_mut_ptr(),
            set,
        }
    }

    /// The job with lines, `steps` of them for each panel from `first` on.
    pub fn with_lines(self, lines: &[Line], steps: usize, first: usize) -> Self {
        Self {
            steps,
            lines: lines.as_ptr().cast(),
            first,
            ..self
        }
    }

    pub fn panels(&self, start: usize, end: usize) {
        // SAFETY: `multiply` checked the shapes, so every element that a tile reads or writes exists; the variants of the
        // instruction set exist only after their features were detected.
        unsafe {
            match self.set {
                IntegerSet::Portable => portable_panels(self, start, end),
                #[cfg(target_arch = "x86_64")]
                IntegerSet::Avx2(_) => x86::avx2_panels(self, start, end),
                #[cfg(target_arch = "x86_64")]
                IntegerSet::AvxVnni(_) => x86::avx_vnni_panels(self, start, end),
                #[cfg(target_arch = "x86_64")]
                IntegerSet::Avx512Vnni(_) => x86::avx512_panels(self, start, end),
                #[cfg(target_arch = "aarch64")]
                IntegerSet::Neon(_) => neon::panels(self, start, end),
            }
        }
    }

    /// Number of rows.
    #[cfg(target_arch = "x86_64")]
    fn rows(&self) -> usize {
        self.rows
    }

    /// The codes of a row.
    ///
    /// # Safety
    /// The row must exist.
    #[inline(always)]
    pub unsafe fn row(&self, row: usize) -> *const u8 {
        // SAFETY: the caller's.
        unsafe { self.codes.add(row * self.planes * self.stride) }
    }

    /// The codes of a panel.
    ///
    /// # Safety
    /// The panel must exist.
    #[inline(always)]
    unsafe fn panel(&self, panel: usize) -> *const i8 {
        // SAFETY: the caller's.
        unsafe {
            self.lines
                .add((panel - self.first) * self.steps * PANEL * STEP)
        }
    }

    /// Columns of a panel that exist.
    #[inline(always)]
    pub fn columns(&self, panel: usize) -> usize {
        PANEL.min(self.outputs - panel * PANEL)
    }
}

/// # Safety
/// Every row of the job and panel of the range must exist.
unsafe fn portable_panels(job: &Job, start: usize, end: usize) {
    for panel in start..end {
        // SAFETY: the panel exists.
        let lines = unsafe { job.panel(panel) };
        for row in 0..job.rows {
            // SAFETY: the row exists.
            let codes = unsafe { job.row(row) };
            let mut sums = [0i32; PANEL];
            for plane in 0..job.planes {
                sums = sums.map(|sum| sum << PLANE_BITS);
                for step in 0..job.steps {
                    let mut x = [0i32; STEP];
                    for i in 0..STEP {
                        let at = plane * job.stride + step * STEP + i;
                        // SAFETY: inside the row.
                        x[i] = i32::from(unsafe { *codes.add(at) }) - BIAS;
                    }
                    for (column, sum) in sums.iter_mut().enumerate() {
                        for (i, x) in x.iter().enumerate() {
                            let at = (step * PANEL + column) * STEP + i;
                            // SAFETY: inside the panel.
                            let code = unsafe { *lines.add(at) };
                            *sum += x * i32::from(code);
                        }
                    }
                }
            }
            for column in 0..job.columns(panel) {
                let at = panel * PANEL + column;
                // SAFETY: the row and the column exist.
                unsafe {
                    *job.y.add(row * job.outputs + at) =
                        sums[column] as f32 * *job.row_scales.add(row) * *job.column_scales.add(at);
                }
            }
        }
    }
}
