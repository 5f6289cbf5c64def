//! Products of integer codes, which are exact and so the same on every processor.

use crate::simd::{Arithmetic, dispatch};

dispatch! {
    /// `y[j] = C[j] . x` for codes `C [out, in]`, `x` of `in` and `y` of `out` elements.
    ///
    /// A sum must fit 32 bits, or it wraps around: the caller chooses the range of `x` by the width.
    ///
    /// # Panics
    /// When the lengths do not fit together.
    pub fn dot_code_rows(codes: &[i8], x: &[i16], y: &mut [i32]) = dot_code_rows_body
}

#[inline(always)]
fn dot_code_rows_body<A: Arithmetic>(codes: &[i8], x: &[i16], y: &mut [i32]) {
    check_lengths(codes.len(), x.len(), y.len());
    if x.is_empty() {
        y.fill(0);
        return;
    }
    for (codes, y) in codes.chunks_exact(x.len()).zip(y) {
        // The compiler turns just this form into instructions that multiply and add 16-bit pairs.
        *y = codes
            .iter()
            .zip(x)
            .map(|(code, x)| i32::from(*code) * i32::from(*x))
            .fold(0, i32::wrapping_add);
    }
}

/// [`dot_code_rows`] in two loops with sums in `i64`.
///
/// # Panics
/// When the lengths do not fit together.
pub fn dot_code_rows_reference(codes: &[i8], x: &[i16], y: &mut [i32]) {
    check_lengths(codes.len(), x.len(), y.len());
    for j in 0..y.len() {
        y[j] = (0..x.len())
            .map(|i| i64::from(codes[j * x.len() + i]) * i64::from(x[i]))
            .sum::<i64>() as i32;
    }
}

#[inline(always)]
fn check_lengths(codes: usize, inputs: usize, outputs: usize) {
    assert!(
        inputs * outputs == codes,
        "{codes} codes for {inputs} inputs and {outputs} outputs"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::TwoSteps;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_product_is_the_plain_one(
            x in proptest::collection::vec(any::<i16>(), 0..300),
            outputs in 0usize..20,
            seed: u64,
        ) {
            let mut state = seed;
            let codes: Vec<i8> = (0..x.len() * outputs)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as i8
                })
                .collect();
            let mut plain = vec![0; outputs];
            dot_code_rows_reference(&codes, &x, &mut plain);
            let mut fast = vec![1; outputs];
            dot_code_rows(&codes, &x, &mut fast);
            prop_assert_eq!(&fast, &plain);
            fast.fill(1);
            dot_code_rows_body::<TwoSteps>(&codes, &x, &mut fast);
            prop_assert_eq!(&fast, &plain);
        }
    }

    #[test]
    #[should_panic(expected = "5 codes for 2 inputs and 2 outputs")]
    fn lengths_that_do_not_fit_are_named() {
        dot_code_rows(&[0; 5], &[0; 2], &mut [0; 2]);
    }
}
