//! Weights laid out for products with few rows: what reading, decoding and learning spend their time on.
//!
//! A general matrix product copies its right side into blocks first; with 64 rows and a head of 8,192 columns that took as
//! long as the product. [`Panels`] are such blocks, made once when the weights are loaded. One element of a result is summed in the
//! order of the inputs whatever the number of rows, so rows together are the rows alone, bit for bit, on one thread and on more.

use crate::simd::{Arithmetic, InstructionSet, TwoSteps};

/// Columns of a panel: two AVX-512 registers, four of AVX2.
pub(crate) const PANEL: usize = 32;

/// Multiplications that are worth waking another thread for.
const WORTH_A_THREAD: usize = 1 << 18;

/// Floats of a cache line, so that no load of a panel touches two of them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub [f32; 16]);

pub(crate) const LINES: usize = PANEL / 16;

/// A matrix `[in, out]` as blocks `[ceil(out / 32)][in][32]`; columns past the last are zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Panels {
    inputs: usize,
    outputs: usize,
    lines: Vec<Line>,
}

impl Panels {
    /// From a row-major matrix `[in, out]`.
    ///
    /// # Panics
    /// When the matrix is not a whole number of columns.
    pub fn from_columns(w: &[f32], inputs: usize) -> Self {
        let outputs = outputs_of(w, inputs);
        let mut panels = Self::zeros(inputs, outputs);
        for i in 0..inputs {
            for (j, value) in w[i * outputs..][..outputs].iter().enumerate() {
                panels.set(i, j, *value);
            }
        }
        panels
    }

    /// From the rows of the transposed matrix, `[out, in]`.
    ///
    /// # Panics
    /// When the matrix is not a whole number of rows.
    pub fn from_rows(w: &[f32], inputs: usize) -> Self {
        let outputs = outputs_of(w, inputs);
        let mut panels = Self::zeros(inputs, outputs);
        for j in 0..outputs {
            panels.set_column(j, &w[j * inputs..][..inputs]);
        }
        panels
    }

    fn zeros(inputs: usize, outputs: usize) -> Self {
        let mut panels = Self {
            inputs,
            outputs: 0,
            lines: Vec::new(),
        };
        panels.resize(outputs);
        panels
    }

    /// An empty matrix that [`Panels::resize`] gives columns.
    pub fn empty(inputs: usize) -> Self {
        Self::zeros(inputs, 0)
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
        size_of_val(self.lines.as_slice())
    }

    /// Changes the number of columns; new ones are zero.
    pub fn resize(&mut self, outputs: usize) {
        for j in outputs..self.outputs.min(outputs.next_multiple_of(PANEL)) {
            for i in 0..self.inputs {
                self.set(i, j, 0.0);
            }
        }
        self.outputs = outputs;
        self.lines.resize(
            outputs.div_ceil(PANEL) * self.inputs * LINES,
            Line([0.0; 16]),
        );
    }

    /// Replaces a column.
    ///
    /// # Panics
    /// When the column does not exist or has another length.
    pub fn set_column(&mut self, column: usize, values: &[f32]) {
        assert!(
            column < self.outputs && values.len() == self.inputs,
            "column {column} of {} with {} values for {} inputs",
            self.outputs,
            values.len(),
            self.inputs
        );
        for (i, value) in values.iter().enumerate() {
            self.set(i, column, *value);
        }
    }

    #[inline(always)]
    fn set(&mut self, i: usize, j: usize, value: f32) {
        let (panel, at) = (j / PANEL, j % PANEL);
        let line = (panel * self.inputs + i) * LINES + at / 16;
        self.lines[line].0[at % 16] = value;
    }
}

fn outputs_of(w: &[f32], inputs: usize) -> usize {
    let outputs = w.len() / inputs.max(1);
    assert!(
        inputs * outputs == w.len(),
        "{} weights for {inputs} inputs",
        w.len()
    );
    outputs
}

/// `y = x W` for `x [n, in]` and `y [n, out]`, on up to `threads` threads. The bits of a row of `y` depend on its row of `x` and
/// the weights only.
///
/// # Panics
/// When the lengths do not fit together.
pub fn matmul_panels(x: &[f32], w: &Panels, y: &mut [f32], threads: usize) {
    let n = check_shapes(x, w, y);
    if n == 0 || w.outputs == 0 {
        return;
    }
    let panels = w.outputs.div_ceil(PANEL);
    let job = Job {
        n,
        inputs: w.inputs,
        outputs: w.outputs,
        x: x.as_ptr(),
        lines: w.lines.as_ptr().cast(),
        y: y.as_mut_ptr(),
    };
    let work = n * w.inputs * w.outputs;
    let threads = threads.min(panels).min(work / WORTH_A_THREAD + 1);
    in_parts(0, panels, threads, &|start, end| job.panels(start, end));
}

fn check_shapes(x: &[f32], w: &Panels, y: &[f32]) -> usize {
    let n = x.len() / w.inputs.max(1);
    assert!(
        n * w.inputs == x.len() && n * w.outputs == y.len(),
        "product of {} by {} x {} into {}",
        x.len(),
        w.inputs,
        w.outputs,
        y.len()
    );
    n
}

/// [`matmul_panels`] in three loops with sums in `f64`.
///
/// # Panics
/// When the lengths do not fit together.
pub fn matmul_panels_reference(x: &[f32], w: &Panels, y: &mut [f32]) {
    let n = check_shapes(x, w, y);
    for row in 0..n {
        for j in 0..w.outputs {
            let value =
                |i: usize| w.lines[(j / PANEL * w.inputs + i) * LINES + j % PANEL / 16].0[j % 16];
            y[row * w.outputs + j] = (0..w.inputs)
                .map(|i| f64::from(x[row * w.inputs + i]) * f64::from(value(i)))
                .sum::<f64>() as f32;
        }
    }
}

/// A product whose shapes were checked: `x [n, in]`, panels, `y [n, out]`.
#[derive(Clone, Copy)]
struct Job {
    n: usize,
    inputs: usize,
    outputs: usize,
    x: *const f32,
    lines: *const f32,
    y: *mut f32,
}

// SAFETY: threads read `x` and the panels, which nobody writes while the job borrows them, and write disjoint columns of `y`.
unsafe impl Sync for Job {}
// SAFETY: as above; nothing belongs to a thread.
unsafe impl Send for Job {}

/// Calls `work` with the parts of `start..end`, each on a thread of its own.
pub(crate) fn in_parts(
    start: usize,
    end: usize,
    threads: usize,
    work: &(impl Fn(usize, usize) + Sync),
) {
    if threads <= 1 || end - start <= 1 {
        work(start, end);
        return;
    }
    let half = threads / 2;
    let middle = start + (end - start) * half / threads;
    rayon::join(
        || in_parts(start, middle, half, work),
        || in_parts(middle, end, threads - half, work),
    );
}

impl Job {
    fn panels(&self, start: usize, end: usize) {
        // SAFETY: `matmul_panels` checked the lengths against the shapes, so every element that a tile reads or writes
        // exists: rows `0..n` of `x` and `y`, panels under `ceil(out / 32)` of the weights, columns under `out` of `y`. The
        // variants of the instruction set exist only after their features were detected.
        unsafe {
            match InstructionSet::get() {
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512(_) => avx512_panels(self, start, end),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2(_) => avx2_panels(self, start, end),
                InstructionSet::Portable => portable_panels::<TwoSteps>(self, start, end),
            }
        }
    }
}

/// Some rows by one panel.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub inputs: usize,
    pub x: *const f32,
    /// Elements from one row of `x` to the next.
    pub x_stride: usize,
    /// Whether sums go on from what `y` holds.
    pub adds: bool,
    pub panel: *const f32,
    pub y: *mut f32,
    /// Elements from one row of `y` to the next.
    pub stride: usize,
    /// Columns to write.
    pub columns: usize,
}

impl Tile {
    /// `rows` rows by the panel: each element of `y` is summed in the order of the inputs.
    ///
    /// # Safety
    /// The elements of the tile must exist, and nobody else may use those of `y`.
    pub(crate) unsafe fn multiply(self, rows: usize) {
        // SAFETY: the caller's; the variants of the instruction set exist only after their features were detected.
        unsafe {
            match InstructionSet::get() {
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512(_) => avx512_rows(self, rows),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2(_) => avx2_rows(self, rows),
                InstructionSet::Portable => portable_rows::<TwoSteps>(self, rows),
            }
        }
    }

    /// The tile that begins `row` rows further down.
    ///
    /// # Safety
    /// The row must exist.
    unsafe fn below(self, row: usize) -> Self {
        Self {
            // SAFETY: the caller's.
            x: unsafe { self.x.add(row * self.x_stride) },
            // SAFETY: the caller's.
            y: unsafe { self.y.add(row * self.stride) },
            ..self
        }
    }
}

impl Job {
    /// # Safety
    /// The row and the panel must exist.
    #[inline(always)]
    unsafe fn tile(&self, row: usize, panel: usize) -> Tile {
        Tile {
            inputs: self.inputs,
            x_stride: self.inputs,
            adds: false,
            // SAFETY: the caller's.
            x: unsafe { self.x.add(row * self.inputs) },
            // SAFETY: the caller's.
            panel: unsafe { self.lines.add(panel * self.inputs * PANEL) },
            // SAFETY: the caller's.
            y: unsafe { self.y.add(row * self.outputs + panel * PANEL) },
            stride: self.outputs,
            columns: PANEL.min(self.outputs - panel * PANEL),
        }
    }
}

/// Tiles of up to so many rows for an instruction set, and the walk over all rows and panels of a job.
#[cfg(target_arch = "x86_64")]
macro_rules! tiles {
    (
        $panels:ident, $all:ident, $tile:ident, $features:literal, rows [$most:literal, $($rows:literal),*],
        $vector:ident of $lanes:literal, $together:literal a pass, $zero:ident, $load:ident, $splat:ident, $fma:ident, $store:ident
    ) => {
        /// # Safety
        /// The processor must have the features, and every row of the job and panel of the range must exist.
        #[target_feature(enable = $features)]
        unsafe fn $panels(job: &Job, start: usize, end: usize) {
            for panel in start..end {
                // SAFETY: the caller's; the rows exist.
                unsafe { $all(job.tile(0, panel), job.n) };
            }
        }

        /// # Safety
        /// The processor must have the features, and the elements of the tile must exist.
        #[target_feature(enable = $features)]
        unsafe fn $all(tile: Tile, rows: usize) {
            let mut row = 0;
            while rows - row >= $most {
                // SAFETY: the caller's; the rows exist.
                unsafe { $tile::<$most>(tile.below(row)) };
                row += $most;
            }
            match rows - row {
                // SAFETY: the caller's; the rows exist.
                $($rows => unsafe { $tile::<$rows>(tile.below(row)) },)*
                _ => {}
            }
        }

        /// # Safety
        /// The processor must have the features, and the elements of the tile must exist.
        #[target_feature(enable = $features)]
        unsafe fn $tile<const R: usize>(tile: Tile) {
            use std::arch::x86_64::{$fma, $load, $splat, $store, $vector, $zero};
            const TOGETHER: usize = $together;
            for pass in 0..PANEL / ($lanes * TOGETHER) {
                let first = pass * $lanes * TOGETHER;
                if first >= tile.columns {
                    break;
                }
                let mut sums: [[$vector; TOGETHER]; R] = [[$zero(); TOGETHER]; R];
                if tile.adds {
                    for r in 0..R {
                        for v in 0..TOGETHER {
                            let mut buffer = [0.0f32; $lanes];
                            let left = tile.columns.saturating_sub(first + v * $lanes).min($lanes);
                            // SAFETY: `left` columns of the row exist, and the buffer holds a vector.
                            unsafe {
                                let y = tile.y.add(r * tile.stride + first + v * $lanes);
                                std::ptr::copy_nonoverlapping(y, buffer.as_mut_ptr(), left);
                                sums[r][v] = $load(buffer.as_ptr());
                            }
                        }
                    }
                }
                for i in 0..tile.inputs {
                    let mut weights: [$vector; TOGETHER] = [$zero(); TOGETHER];
                    for v in 0..TOGETHER {
                        // SAFETY: inside the panel.
                        weights[v] = unsafe { $load(tile.panel.add(i * PANEL + first + v * $lanes)) };
                    }
                    for r in 0..R {
                        // SAFETY: inside the rows of the tile.
                        let x = $splat(unsafe { *tile.x.add(r * tile.x_stride + i) });
                        for v in 0..TOGETHER {
                            sums[r][v] = $fma(x, weights[v], sums[r][v]);
                        }
                    }
                }
                for r in 0..R {
                    // SAFETY: the row of the tile exists.
                    let y = unsafe { tile.y.add(r * tile.stride + first) };
                    for v in 0..TOGETHER {
                        let left = tile.columns.saturating_sub(first + v * $lanes);
                        if left >= $lanes {
                            // SAFETY: all columns of the vector exist.
                            unsafe { $store(y.add(v * $lanes), sums[r][v]) };
                        } else {
                            let mut buffer = [0.0f32; $lanes];
                            // SAFETY: the buffer holds a vector; `left` columns exist, and the buffer is no part of `y`.
                            unsafe {
                                $store(buffer.as_mut_ptr(), sums[r][v]);
                                std::ptr::copy_nonoverlapping(buffer.as_ptr(), y.add(v * $lanes), left);
                            }
                        }
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
tiles!(
    avx512_panels, avx512_rows, avx512_tile, "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma", rows [8, 1, 2, 3, 4, 5, 6, 7],
    __m512 of 16, 2 a pass, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps
);

#[cfg(target_arch = "x86_64")]
tiles!(
    avx2_panels, avx2_rows, avx2_tile, "avx2,fma", rows [6, 1, 2, 3, 4, 5],
    __m256 of 8, 2 a pass, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps
);

/// # Safety
/// Every row of the job and panel of the range must exist.
unsafe fn portable_panels<A: Arithmetic>(job: &Job, start: usize, end: usize) {
    for panel in start..end {
        // SAFETY: the caller's.
        unsafe { portable_rows::<A>(job.tile(0, panel), job.n) };
    }
}

/// # Safety
/// The elements of the tile must exist.
unsafe fn portable_rows<A: Arithmetic>(tile: Tile, rows: usize) {
    for row in 0..rows {
        // SAFETY: the row exists.
        let tile = unsafe { tile.below(row) };
        let mut sums = [0.0f32; PANEL];
        if tile.adds {
            // SAFETY: `columns` elements of the row exist, and the sums are no part of `y`.
            unsafe { std::ptr::copy_nonoverlapping(tile.y, sums.as_mut_ptr(), tile.columns) };
        }
        for i in 0..tile.inputs {
            // SAFETY: inside the row and the panel.
            let x = unsafe { *tile.x.add(i) };
            for (j, sum) in sums.iter_mut().enumerate() {
                // SAFETY: inside the panel.
                *sum = A::mul_add(x, unsafe { *tile.panel.add(i * PANEL + j) }, *sum);
            }
        }
        // SAFETY: `columns` elements of the row exist, and the sums are no part of `y`.
        unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), tile.y, tile.columns) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::tests::{noise, relative_error};
    use proptest::prelude::*;

    fn transposed(w: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
        let mut turned = vec![0.0; w.len()];
        for i in 0..inputs {
            for j in 0..outputs {
                turned[j * inputs + i] = w[i * outputs + j];
            }
        }
        turned
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_product_is_the_plain_one_and_rows_together_are_rows_alone(
            n in 0usize..20, inputs in 1usize..80, outputs in 0usize..150, threads in 1usize..4,
        ) {
            let x = noise(1, n * inputs);
            let w = noise(2, inputs * outputs);
            let panels = Panels::from_columns(&w, inputs);
            prop_assert_eq!(&panels, &Panels::from_rows(&transposed(&w, inputs, outputs), inputs));
            let mut plain = vec![0.0; n * outputs];
            matmul_panels_reference(&x, &panels, &mut plain);
            let mut fast = vec![7.0; n * outputs];
            matmul_panels(&x, &panels, &mut fast, threads);
            prop_assert!(relative_error(&fast, &plain) < 2e-6);
            let mut alone = vec![7.0; n * outputs];
            for (x, y) in x.chunks_exact(inputs).zip(alone.chunks_exact_mut(outputs.max(1))) {
                matmul_panels(x, &panels, y, 1);
            }
            prop_assert_eq!(&alone, &fast);
            // The other instruction sets.
            if n > 0 && outputs > 0 {
                let mut other = vec![7.0; n * outputs];
                let job = Job {
                    n, inputs, outputs,
                    x: x.as_ptr(), lines: panels.lines.as_ptr().cast(), y: other.as_mut_ptr(),
                };
                let count = outputs.div_ceil(PANEL);
                // SAFETY: the shapes are those of the buffers.
                unsafe { portable_panels::<TwoSteps>(&job, 0, count) };
                prop_assert!(relative_error(&other, &plain) < 2e-6);
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    let mut other = vec![7.0; n * outputs];
                    let job = Job { y: other.as_mut_ptr(), ..job };
                    // SAFETY: the shapes are those of the buffers and the features were detected.
                    unsafe { avx2_panels(&job, 0, count) };
                    // The order of the sums and the rounding are the same on every processor with FMA.
                    prop_assert!(relative_error(&other, &fast) < 2e-6);
                }
            }
        }

        #[test]
        fn columns_come_and_go(before in 0usize..70, after in 0usize..70) {
            let inputs = 5;
            let w = noise(3, before * inputs);
            let mut panels = Panels::from_rows(&w, inputs);
            panels.resize(after);
            let mut expected = w[..before.min(after) * inputs].to_vec();
            expected.resize(after * inputs, 0.0);
            prop_assert_eq!(&panels, &Panels::from_rows(&expected, inputs));
        }
    }

    #[test]
    fn large_products_are_the_same_on_more_threads() {
        let (n, inputs, outputs) = (64, 192, 1000);
        let x = noise(1, n * inputs);
        let panels = Panels::from_rows(&noise(2, inputs * outputs), inputs);
        let product = |threads| {
            let mut y = vec![0.0; n * outputs];
            matmul_panels(&x, &panels, &mut y, threads);
            y
        };
        assert_eq!(product(1), product(2));
        assert_eq!(product(1), product(5));
    }

    #[test]
    #[should_panic(expected = "product of 4 by 3 x 2 into 2")]
    fn shapes_that_do_not_fit_are_named() {
        let panels = Panels::from_rows(&[0.0; 6], 3);
        matmul_panels(&[0.0; 4], &panels, &mut [0.0; 2], 1);
    }
}
