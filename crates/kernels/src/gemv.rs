//! One row times a matrix: what decoding a single token needs.

use crate::simd::{Arithmetic, LANES, dispatch, sum_lanes};

/// Rows of the weights that one pass over the result adds.
const ROWS: usize = 8;

dispatch! {
    /// `y = x W` for `W [in, out]`: `x` has `in` elements, `y` has `out`.
    ///
    /// # Panics
    /// When the lengths do not fit together.
    pub fn gemv(x: &[f32], w: &[f32], y: &mut [f32]) = gemv_body
}

dispatch! {
    /// `y[i, j] = W[j] . x[i]` for `x [n, in]`, `W [out, in]` and `y [n, out]`: the product with the
    /// transposed matrix, which is read once for all rows of `x`.
    ///
    /// The arithmetic of one `y[i, j]` depends on nothing but the two rows.
    ///
    /// # Panics
    /// When the lengths do not fit together.
    pub fn dot_rows(w: &[f32], inputs: usize, x: &[f32], y: &mut [f32]) = dot_rows_body
}

dispatch! {
    /// Scalar product of two slices of one length.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 = dot_body
}

dispatch! {
    /// `y += scale * x`.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn add_scaled(y: &mut [f32], scale: f32, x: &[f32]) = add_scaled_body
}

#[inline(always)]
fn gemv_body<A: Arithmetic>(x: &[f32], w: &[f32], y: &mut [f32]) {
    check_lengths(x.len(), w.len(), y.len());
    let n = y.len();
    y.fill(0.0);
    if n == 0 {
        return;
    }
    let blocks = x.len() / ROWS;
    for block in 0..blocks {
        let xs: &[f32; ROWS] = x[block * ROWS..][..ROWS]
            .try_into()
            .expect("a slice of ROWS");
        let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &w[(block * ROWS + r) * n..][..n]);
        for j in 0..n {
            // Two chains halve the latency of the additions.
            let mut even = y[j];
            let mut odd = 0.0;
            for r in 0..ROWS / 2 {
                even = A::mul_add(xs[2 * r], rows[2 * r][j], even);
                odd = A::mul_add(xs[2 * r + 1], rows[2 * r + 1][j], odd);
            }
            y[j] = even + odd;
        }
    }
    for i in blocks * ROWS..x.len() {
        add_scaled_body::<A>(y, x[i], &w[i * n..][..n]);
    }
}

#[inline(always)]
fn dot_rows_body<A: Arithmetic>(w: &[f32], inputs: usize, x: &[f32], y: &mut [f32]) {
    if inputs == 0 || w.is_empty() {
        y.fill(0.0);
        return;
    }
    let outputs = w.len() / inputs;
    assert!(
        w.len() == outputs * inputs && x.len() * outputs == y.len() * inputs,
        "{} weights for rows of {inputs}: {} inputs to {} outputs",
        w.len(),
        x.len(),
        y.len()
    );
    for (j, w) in w.chunks_exact(inputs).enumerate() {
        for (i, x) in x.chunks_exact(inputs).enumerate() {
            y[i * outputs + j] = dot_body::<A>(w, x);
        }
    }
}

#[inline(always)]
fn dot_body<A: Arithmetic>(a: &[f32], b: &[f32]) -> f32 {
    assert!(
        a.len() == b.len(),
        "dot of {} and {} elements",
        a.len(),
        b.len()
    );
    const CHAINS: usize = 4;
    let mut sums = [[0.0f32; LANES]; CHAINS];
    let wide_a = a.chunks_exact(LANES * CHAINS);
    let wide_b = b.chunks_exact(LANES * CHAINS);
    let (rest_a, rest_b) = (wide_a.remainder(), wide_b.remainder());
    for (a, b) in wide_a.zip(wide_b) {
        for chain in 0..CHAINS {
            for i in 0..LANES {
                let at = chain * LANES + i;
                sums[chain][i] = A::mul_add(a[at], b[at], sums[chain][i]);
            }
        }
    }
    let narrow_a = rest_a.chunks_exact(LANES);
    let narrow_b = rest_b.chunks_exact(LANES);
    let (last_a, last_b) = (narrow_a.remainder(), narrow_b.remainder());
    for (a, b) in narrow_a.zip(narrow_b) {
        for i in 0..LANES {
            sums[0][i] = A::mul_add(a[i], b[i], sums[0][i]);
        }
    }
    let mut total = [0.0f32; LANES];
    for i in 0..LANES {
        total[i] = (sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i]);
    }
    let mut sum = sum_lanes(&total);
    for (a, b) in last_a.iter().zip(last_b) {
        sum = A::mul_add(*a, *b, sum);
    }
    sum
}

#[inline(always)]
fn add_scaled_body<A: Arithmetic>(y: &mut [f32], scale: f32, x: &[f32]) {
    assert!(
        y.len() == x.len(),
        "sum of {} and {} elements",
        y.len(),
        x.len()
    );
    for (y, x) in y.iter_mut().zip(x) {
        *y = A::mul_add(scale, *x, *y);
    }
}

/// [`gemv`] in two loops with sums in `f64`.
///
/// # Panics
/// When the lengths do not fit together.
pub fn gemv_reference(x: &[f32], w: &[f32], y: &mut [f32]) {
    check_lengths(x.len(), w.len(), y.len());
    let n = y.len();
    for j in 0..n {
        y[j] = (0..x.len())
            .map(|i| f64::from(x[i]) * f64::from(w[i * n + j]))
            .sum::<f64>() as f32;
    }
}

#[inline(always)]
fn check_lengths(inputs: usize, weights: usize, outputs: usize) {
    assert!(
        inputs * outputs == weights,
        "{weights} weights for {inputs} inputs and {outputs} outputs"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::TwoSteps;
    use crate::simd::tests::noise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_forms_are_the_plain_product(inputs in 0usize..200, outputs in 0usize..200) {
            let x = noise(1, inputs);
            let w = noise(2, inputs * outputs);
            let mut plain = vec![0.0; outputs];
            gemv_reference(&x, &w, &mut plain);
            // Terms cancel: a sum may be far smaller than what it was made of.
            let close = |found: &[f32]| {
                let bound = 2e-6 * (inputs as f32).sqrt().max(1.0);
                found.iter().zip(&plain).all(|(a, b)| (a - b).abs() <= bound)
            };
            let mut fast = vec![1.0; outputs];
            gemv(&x, &w, &mut fast);
            prop_assert!(close(&fast));

            let mut turned = vec![0.0; inputs * outputs];
            for i in 0..inputs {
                for j in 0..outputs {
                    turned[j * inputs + i] = w[i * outputs + j];
                }
            }
            let mut by_rows = vec![1.0; outputs];
            dot_rows(&turned, inputs, &x, &mut by_rows);
            prop_assert!(close(&by_rows));
            // Rows together are the rows alone, bit for bit.
            let others = [noise(3, inputs), x.clone()].concat();
            let mut both = vec![1.0; 2 * outputs];
            dot_rows(&turned, inputs, &others, &mut both);
            prop_assert_eq!(&both[outputs..], &by_rows);

            gemv_body::<TwoSteps>(&x, &w, &mut fast);
            prop_assert!(close(&fast));
            dot_rows_body::<TwoSteps>(&turned, inputs, &x, &mut by_rows);
            prop_assert!(close(&by_rows));
        }
    }

    #[test]
    fn a_scaled_slice_is_added() {
        let mut y = vec![1.0; 21];
        add_scaled(&mut y, 2.0, &[0.5; 21]);
        assert_eq!(y, [2.0; 21]);
    }

    #[test]
    #[should_panic(expected = "6 weights for 2 inputs and 2 outputs")]
    fn lengths_that_do_not_fit_are_named() {
        gemv(&[0.0; 2], &[0.0; 6], &mut [0.0; 2]);
    }
}
