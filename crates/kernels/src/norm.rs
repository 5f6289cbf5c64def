//! Norms of a row, and the sum of two rows.

use crate::simd::{Arithmetic, LANES, dispatch, sum_lanes};

dispatch! {
    /// `out = x / sqrt(mean(x^2) + eps) * gain`, with `gain` empty for a norm without gain.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn rms_norm(x: &[f32], gain: &[f32], eps: f32, out: &mut [f32]) = rms_norm_body
}

dispatch! {
    /// `x = x / sqrt(sum(x^2) + eps)` in place.
    pub fn l2_norm(x: &mut [f32], eps: f32) = l2_norm_body
}

dispatch! {
    /// `y = y + x`.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn add_in_place(y: &mut [f32], x: &[f32]) = add_body
}

#[inline(always)]
fn sum_of_squares<A: Arithmetic>(x: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = A::mul_add(chunk[i], chunk[i], lanes[i]);
        }
    }
    rest.iter()
        .fold(sum_lanes(&lanes), |sum, x| A::mul_add(*x, *x, sum))
}

#[inline(always)]
fn rms_norm_body<A: Arithmetic>(x: &[f32], gain: &[f32], eps: f32, out: &mut [f32]) {
    assert!(
        x.len() == out.len() && (gain.is_empty() || gain.len() == x.len()),
        "norm of {} elements with {} gains into {}",
        x.len(),
        gain.len(),
        out.len()
    );
    let scale = 1.0 / (sum_of_squares::<A>(x) / x.len().max(1) as f32 + eps).sqrt();
    if gain.is_empty() {
        for (out, x) in out.iter_mut().zip(x) {
            *out = x * scale;
        }
    } else {
        for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
            *out = x * scale * gain;
        }
    }
}

#[inline(always)]
fn l2_norm_body<A: Arithmetic>(x: &mut [f32], eps: f32) {
    let scale = 1.0 / (sum_of_squares::<A>(x) + eps).sqrt();
    for x in x {
        *x *= scale;
    }
}

#[inline(always)]
fn add_body<A: Arithmetic>(y: &mut [f32], x: &[f32]) {
    assert!(
        y.len() == x.len(),
        "sum of {} and {} elements",
        y.len(),
        x.len()
    );
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// [`rms_norm`] in `f64`.
pub fn rms_norm_reference(x: &[f32], gain: &[f32], eps: f32) -> Vec<f32> {
    let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len() as f64;
    let root = (mean + f64::from(eps)).sqrt();
    let gain = |i: usize| gain.get(i).map_or(1.0, |g| f64::from(*g));
    x.iter()
        .enumerate()
        .map(|(i, x)| (f64::from(*x) / root * gain(i)) as f32)
        .collect()
}

/// [`l2_norm`] in `f64`.
pub fn l2_norm_reference(x: &[f32], eps: f32) -> Vec<f32> {
    let root = (x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() + f64::from(eps)).sqrt();
    x.iter().map(|x| (f64::from(*x) / root) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::tests::{noise, relative_error};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn norms_are_the_plain_ones(len in 1usize..300, seed: u64, with_gain: bool) {
            let x = noise(seed, len);
            let gain = if with_gain { noise(seed ^ 1, len) } else { Vec::new() };
            let mut found = vec![0.0; len];
            rms_norm(&x, &gain, 1e-6, &mut found);
            prop_assert!(relative_error(&found, &rms_norm_reference(&x, &gain, 1e-6)) < 1e-6);
            let mut found = x.clone();
            l2_norm(&mut found, 1e-6);
            prop_assert!(relative_error(&found, &l2_norm_reference(&x, 1e-6)) < 1e-6);
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let mut out = [1.0; 3];
        rms_norm(&[0.0; 3], &[], 1e-6, &mut out);
        assert_eq!(out, [0.0; 3]);
        let mut x = [0.0; 3];
        l2_norm(&mut x, 1e-6);
        assert_eq!(x, [0.0; 3]);
    }

    #[test]
    fn rows_are_added() {
        let mut y = [1.0, 2.0];
        add_in_place(&mut y, &[10.0, 20.0]);
        assert_eq!(y, [11.0, 22.0]);
    }
}
