//! Products with weights of 4 bits: codes of 8 bits, each a whole number of 4 bits times a factor that 32 inputs of a column share.
//!
//! Half of the bytes of [`Int8Panels`] for codes that can be written so, and the same sums: whole numbers are exact, so the bits of a
//! product do not tell which of the two made it. A few rows are multiplied with the numbers of 4 bits themselves, which come through the
//! memory faster; for more rows a panel becomes codes of 8 bits once, in a buffer, and goes the way of those.
//!
//! Letters: n rows, I inputs, O outputs, G groups of 32 inputs.

use crate::int8::{
    CodeRows, IntegerSet, Job, Line, PANEL, STEP, WORTH_A_THREAD, check_product, starts_of,
};
use crate::panels::in_parts;
use crate::simd::{Arithmetic, LANES, dispatch, sum_lanes};
use rayon::prelude::*;
use std::cell::RefCell;

#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Inputs that share a factor.
pub const GROUP: usize = 32;

/// Steps of a group, two of which share a line.
const GROUP_STEPS: usize = GROUP / STEP;

/// Lines of a group of a panel.
const GROUP_LINES: usize = GROUP_STEPS / 2;

/// The smallest number of 4 bits; a number is stored with 8 added.
pub const LEAST_NUMBER: i8 = -8;

/// The largest number of 4 bits.
pub const LARGEST_NUMBER: i8 = 7;

/// The largest magnitude of a factor: with it the largest magnitude of a code is 120.
pub const LARGEST_FACTOR: i8 = 15;

/// Panels that become codes of 8 bits at once: as many as a tile takes.
const TOGETHER: usize = 4;

/// A matrix `[I, O]` as blocks `[ceil(O / 16)][G][4 lines][16 columns][4 inputs]`; a byte holds the numbers of two inputs that lie four
/// inputs apart, the lower one below.
#[derive(Debug, Clone, PartialEq)]
pub struct Int4Panels {
    inputs: usize,
    outputs: usize,
    lines: Vec<Line>,
    /// `[ceil(O / 16)][G][16]`
    factors: Vec<i8>,
    /// `[ceil(O / 16) 16]`: a weight is its number times its group's factor times this.
    scales: Vec<f32>,
    /// As those of the codes of 8 bits.
    starts: Vec<i32>,
}

impl Int4Panels {
    /// From the rows of the transposed matrix, `[O, I]`: the scale, the factors and the numbers that come nearest in the mean square, of three
    /// scales for a row and all factors that a group may need.
    ///
    /// # Panics
    /// When the matrix is not a whole number of rows, or a row is longer than [`crate::MAX_INT8_INPUTS`].
    pub fn from_rows(w: &[f32], inputs: usize) -> Self {
        let outputs = w.len() / inputs.max(1);
        assert!(
            inputs * outputs == w.len(),
            "{} weights for {inputs} inputs",
            w.len()
        );
        let mut codes = vec![0; w.len()];
        let mut scales = vec![0.0; outputs];
        if inputs > 0 {
            let rows = w.par_chunks_exact(inputs);
            let codes = codes.par_chunks_exact_mut(inputs);
            let all = rows.zip(codes).zip(&mut scales);
            all.for_each(|((row, codes), scale)| *scale = quantise_row(row, codes));
        }
        Self::from_codes(&codes, &scales, inputs).expect("codes were made to fit")
    }

    /// From codes of 8 bits `[O, I]` and a scale for each row of them; `None` when a group of them is not what this can hold.
    ///
    /// # Panics
    /// When the lengths do not fit together, or a row is longer than [`crate::MAX_INT8_INPUTS`].
    pub fn from_codes(codes: &[i8], scales: &[f32], inputs: usize) -> Option<Self> {
        let outputs = scales.len();
        let starts = starts_of(codes, outputs, inputs);
        let (panels, groups) = (outputs.div_ceil(PANEL), inputs.div_ceil(GROUP));
        let mut built = Self {
            inputs,
            outputs,
            // Zero with 8 added, twice.
            lines: vec![Line([0x88_u8 as i8; PANEL * STEP]); panels * groups * GROUP_LINES],
            factors: vec![1; panels * groups * PANEL],
            scales: vec![0.0; panels * PANEL],
            starts,
        };
        built.scales[..outputs].copy_from_slice(scales);
        for (j, row) in codes.chunks_exact(inputs.max(1)).enumerate() {
            for (g, group) in row.chunks(GROUP).enumerate() {
                let factor = factor_of(group)?;
                let block = j / PANEL * groups + g;
                built.factors[block * PANEL + j % PANEL] = factor;
                for (i, code) in group.iter().enumerate() {
                    let (step, below) = (i / STEP, (i / STEP).is_multiple_of(2));
                    let byte = &mut built.lines[block * GROUP_LINES + step / 2].0
                        [j % PANEL * STEP + i % STEP];
                    let number = (code / factor - LEAST_NUMBER) as u8;
                    let (kept, shift) = if below { (0xf0, 0) } else { (0x0f, 4) };
                    *byte = ((*byte as u8 & kept) | (number << shift)) as i8;
                }
            }
        }
        Some(built)
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
        size_of_val(self.lines.as_slice()) + self.factors.len() + 8 * self.scales.len()
    }

    /// The scale of a column and its codes of 8 bits `[I]`.
    ///
    /// # Panics
    /// When the column does not exist.
    pub fn column(&self, column: usize) -> (f32, impl Iterator<Item = i8> + '_) {
        assert!(column < self.outputs, "column {column} of {}", self.outputs);
        let codes = (0..self.inputs).map(move |i| {
            let block = column / PANEL * self.inputs.div_ceil(GROUP) + i / GROUP;
            let step = i % GROUP / STEP;
            let byte =
                self.lines[block * GROUP_LINES + step / 2].0[column % PANEL * STEP + i % STEP];
            let number = (byte as u8 >> (4 * (step % 2))) & 0x0f;
            (number as i8 + LEAST_NUMBER) * self.factors[block * PANEL + column % PANEL]
        });
        (self.scales[column], codes)
    }
}

/// What the scale of a row may be, as parts of the one that reaches its largest weight: smaller ones cut the largest weights and leave less of the
/// others to rounding.
const SCALES: [f32; 3] = [0.8, 0.9, 1.0];

/// Codes of a row of weights, each a number of 4 bits times its group's factor; returns the row's scale, not a number where a weight is none.
fn quantise_row(w: &[f32], codes: &mut [i8]) -> f32 {
    let peak = w.iter().fold(0.0_f32, |peak, w| peak.max(w.abs()));
    let finite = w.iter().all(|w| w.is_finite());
    // Below this the factor would not be finite; nothing that a network computes is as small.
    if peak < 1e-30 || !finite {
        codes.fill(0);
        return if finite { 0.0 } else { f32::NAN };
    }
    let largest = f32::from(LARGEST_FACTOR) * f32::from(-LEAST_NUMBER);
    let mut tried = vec![0; w.len()];
    let mut best = (f32::INFINITY, 0.0);
    for part in SCALES {
        let scale = part * peak / largest;
        let error = quantise_groups(w, scale, &mut tried);
        if error < best.0 {
            best = (error, scale);
            codes.copy_from_slice(&tried);
        }
    }
    best.1
}

dispatch! {
    /// Codes of a row with a scale; returns the sum of the squares of what they miss.
    fn quantise_groups(w: &[f32], scale: f32, codes: &mut [i8]) -> f32 = quantise_groups_body
}

#[inline(always)]
fn quantise_groups_body<A: Arithmetic>(w: &[f32], scale: f32, codes: &mut [i8]) -> f32 {
    let mut missed = 0.0;
    for (w, codes) in w.chunks(GROUP).zip(codes.chunks_mut(GROUP)) {
        let mut group = [0.0; GROUP];
        group[..w.len()].copy_from_slice(w);
        let peak = w.iter().fold(0.0_f32, |peak, w| peak.max(w.abs())) / scale;
        // Factors with which the largest weight is a number between 6 and 14 times them.
        let most = ((peak / 6.0).ceil() as i8).clamp(1, LARGEST_FACTOR);
        let least = ((peak / 14.0).floor() as i8).clamp(1, most);
        let mut best = (f32::INFINITY, 1);
        for factor in least..=most {
            for factor in [factor, -factor] {
                let error = squares_missed(&group, f32::from(factor) * scale);
                if error < best.0 {
                    best = (error, factor);
                }
            }
        }
        missed += best.0;
        let step = f32::from(best.1) * scale;
        for (code, w) in codes.iter_mut().zip(w) {
            *code = number(*w, 1.0 / step) as i8 * best.1;
        }
    }
    missed
}

/// The whole number of 4 bits that is nearest to a weight times `inverse`.
#[inline(always)]
fn number(w: f32, inverse: f32) -> f32 {
    let limits = (f32::from(LEAST_NUMBER), f32::from(LARGEST_NUMBER));
    (w * inverse).round_ties_even().clamp(limits.0, limits.1)
}

/// The sum of the squares of what numbers of 4 bits times `step` miss of a group.
#[inline(always)]
fn squares_missed(group: &[f32; GROUP], step: f32) -> f32 {
    let inverse = 1.0 / step;
    let mut lanes = [0.0_f32; LANES];
    for half in group.chunks_exact(LANES) {
        for i in 0..LANES {
            let missed = number(half[i], inverse) * step - half[i];
            lanes[i] += missed * missed;
        }
    }
    sum_lanes(&lanes)
}

/// The factor of a group of codes: the smallest that all of them divide by into numbers of 4 bits.
fn factor_of(codes: &[i8]) -> Option<i8> {
    let fits = |factor: i8| {
        codes.iter().all(|code| {
            code % factor == 0 && (LEAST_NUMBER..=LARGEST_NUMBER).contains(&(code / factor))
        })
    };
    (1..=LARGEST_FACTOR)
        .flat_map(|factor| [factor, -factor])
        .find(|factor| fits(*factor))
}

/// `y = x W` for `x [n, I]` in one plane and `y [n, O]`, on up to `threads` threads; a few rows are fastest when [`CodeRows::set_grouped`]
/// has set them.
///
/// # Panics
/// When the shapes do not fit together.
pub fn matmul_int4(x: &CodeRows, w: &Int4Panels, y: &mut [f32], threads: usize) {
    multiply(x, w, y, threads, IntegerSet::get());
}

/// The most rows that are multiplied with numbers of 4 bits; more are faster with codes of 8. Without VNNI the numbers are faster always: their
/// products are so small that a group of them is added up in 16 bits.
pub(crate) fn few(set: IntegerSet) -> usize {
    match set {
        #[cfg(target_arch = "x86_64")]
        IntegerSet::Avx2(_) => usize::MAX,
        #[cfg(target_arch = "x86_64")]
        IntegerSet::AvxVnni(_) | IntegerSet::Avx512Vnni(_) => 8,
        _ => 0,
    }
}

fn multiply(x: &CodeRows, w: &Int4Panels, y: &mut [f32], threads: usize, set: IntegerSet) {
    check_product(x, w.inputs, w.outputs, y);
    if x.rows() == 0 || w.outputs == 0 {
        return;
    }
    let panels = w.outputs.div_ceil(PANEL);
    let job = Job::new(x, &w.scales, &w.starts, w.outputs, y, set);
    let groups = w.inputs.div_ceil(GROUP);
    let work = x.rows() * w.inputs * w.outputs;
    let threads = threads.min(panels).min(work / WORTH_A_THREAD + 1);
    in_parts(0, panels, threads, &|start, end| {
        #[cfg(target_arch = "x86_64")]
        if let Some((pairs, signed)) = x.groups().filter(|_| x.rows() <= few(set)) {
            let grouped = x86::Grouped {
                job: &job,
                groups,
                lines: w.lines.as_ptr().cast(),
                factors: w.factors.as_ptr(),
                pairs: pairs.as_ptr(),
                signed: signed.as_ptr(),
            };
            // SAFETY: the shapes were checked, so all rows and panels of the range exist.
            unsafe { grouped.panels(start, end) };
            return;
        }
        widened(&job, w, groups, start, end);
    });
}

thread_local! {
    /// Panels as codes of 8 bits.
    static WIDE: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Panels of the range, some at a time as codes of 8 bits.
fn widened(job: &Job, w: &Int4Panels, groups: usize, start: usize, end: usize) {
    WIDE.with_borrow_mut(|wide| {
        let panel_lines = groups * GROUP_STEPS;
        wide.resize(TOGETHER * panel_lines, Line([0; PANEL * STEP]));
        let mut first = start;
        while first < end {
            let last = (first + TOGETHER).min(end);
            for (panel, wide) in (first..last).zip(wide.chunks_exact_mut(panel_lines)) {
                let lines = &w.lines[panel * groups * GROUP_LINES..][..groups * GROUP_LINES];
                let factors = &w.factors[panel * groups * PANEL..][..groups * PANEL];
                widen(lines, factors, wide);
            }
            job.with_lines(wide, panel_lines, first).panels(first, last);
            first = last;
        }
    });
}

dispatch! {
    /// Codes of 8 bits of a panel, `[8 G]`, from lines `[4 G]` and factors `[16 G]`.
    fn widen(lines: &[Line], factors: &[i8], wide: &mut [Line]) = widen_body
}

#[inline(always)]
fn widen_body<A: Arithmetic>(lines: &[Line], factors: &[i8], wide: &mut [Line]) {
    let groups = lines.chunks_exact(GROUP_LINES);
    let wide = wide.chunks_exact_mut(GROUP_STEPS);
    for ((lines, factors), wide) in groups.zip(factors.chunks_exact(PANEL)).zip(wide) {
        let mut each = [0_i8; PANEL * STEP];
        for (each, factor) in each.chunks_exact_mut(STEP).zip(factors) {
            each.fill(*factor);
        }
        for (line, wide) in lines.iter().zip(wide.chunks_exact_mut(2)) {
            for i in 0..PANEL * STEP {
                let byte = line.0[i] as u8;
                wide[0].0[i] = ((byte & 0x0f) as i8 + LEAST_NUMBER).wrapping_mul(each[i]);
                wide[1].0[i] = ((byte >> 4) as i8 + LEAST_NUMBER).wrapping_mul(each[i]);
            }
        }
    }
}
