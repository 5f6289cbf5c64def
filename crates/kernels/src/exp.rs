//! The exponential function on slices and what is made of it.

use crate::simd::{Arithmetic, dispatch};

/// Below this, `exp` is 0 here; the true value is under the smallest normal number.
const LOWEST: f32 = -87.3;
/// Above this, `exp` stays at its value here, 2.4e38.
const HIGHEST: f32 = 88.3;

dispatch! {
    /// `x = exp(x)`, to a relative error of 3e-7; 0 below -87.3, saturated above 88.3, NaN stays NaN.
    pub fn exp_in_place(x: &mut [f32]) = exp_body
}

dispatch! {
    /// `x = x / (1 + exp(-x))`
    pub fn silu_in_place(x: &mut [f32]) = silu_body
}

dispatch! {
    /// `out = silu(gate) * up` for one row of the fused projection: `gate_up` holds the gate and
    /// then the up columns, each as long as `out`.
    ///
    /// # Panics
    /// When `gate_up` is not twice as long as `out`.
    pub fn swiglu(gate_up: &[f32], out: &mut [f32]) = swiglu_body
}

/// `1 / (1 + exp(-x))`
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + exp(x))`, without overflow.
pub fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

/// Cody-Waite reduction by powers of two, then Cephes' polynomial for `exp` on half a binade.
#[inline(always)]
pub(crate) fn exp_lane<A: Arithmetic>(x: f32) -> f32 {
    // Adding this number rounds to an integer, which then stands in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(LOWEST, HIGHEST);
    let rounded = A::mul_add(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = A::mul_add(n, -0.693_359_4, clamped);
    let r = A::mul_add(n, 2.121_944_4e-4, r);
    let mut p = A::mul_add(1.987_569_1e-4, r, 1.398_199_9e-3);
    p = A::mul_add(p, r, 8.333_452e-3);
    p = A::mul_add(p, r, 4.166_579_6e-2);
    p = A::mul_add(p, r, 1.666_666_5e-1);
    p = A::mul_add(p, r, 0.5);
    p = A::mul_add(p, r * r, r) + 1.0;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x < LOWEST { 0.0 } else { p * power }
}

#[inline(always)]
fn exp_body<A: Arithmetic>(x: &mut [f32]) {
    for x in x {
        *x = exp_lane::<A>(*x);
    }
}

#[inline(always)]
fn silu_body<A: Arithmetic>(x: &mut [f32]) {
    for x in x {
        *x /= 1.0 + exp_lane::<A>(-*x);
    }
}

#[inline(always)]
fn swiglu_body<A: Arithmetic>(gate_up: &[f32], out: &mut [f32]) {
    assert!(
        gate_up.len() == 2 * out.len(),
        "{} gate and up columns for {} outputs",
        gate_up.len(),
        out.len()
    );
    let (gate, up) = gate_up.split_at(out.len());
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp_lane::<A>(-gate)) * up;
    }
}

/// [`silu_in_place`] for one value, in `f64`.
pub fn silu_reference(x: f32) -> f32 {
    let x = f64::from(x);
    (x / (1.0 + (-x).exp())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Fused, TwoSteps, tests::noise};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exp_is_close_to_the_library(x in -87.0f32..88.0) {
            let expected = f64::from(x).exp();
            for found in [exp_lane::<Fused>(x), exp_lane::<TwoSteps>(x)] {
                prop_assert!((f64::from(found) / expected - 1.0).abs() < 3e-7, "exp({x}) = {found}");
            }
        }

        #[test]
        fn silu_is_close_to_the_library(x in -80.0f32..80.0) {
            let mut found = [x];
            silu_in_place(&mut found);
            let expected = silu_reference(x);
            prop_assert!((found[0] - expected).abs() <= 1e-6 * expected.abs().max(1e-30));
        }
    }

    #[test]
    fn the_ends_are_finite_and_nan_stays() {
        let mut x = [
            0.0,
            -0.0,
            -1e9,
            f32::NEG_INFINITY,
            1e9,
            f32::INFINITY,
            f32::NAN,
        ];
        exp_in_place(&mut x);
        assert_eq!(x[..4], [1.0, 1.0, 0.0, 0.0]);
        assert!(x[4].is_finite() && x[5].is_finite() && x[4] > 2e38);
        assert!(x[6].is_nan());
    }

    #[test]
    fn swiglu_multiplies_the_halves() {
        let gate_up = noise(1, 2 * 37);
        let mut out = vec![0.0; 37];
        swiglu(&gate_up, &mut out);
        for i in 0..37 {
            assert!((out[i] - silu_reference(gate_up[i]) * gate_up[37 + i]).abs() < 1e-6);
        }
    }

    #[test]
    fn softplus_does_not_overflow() {
        assert_eq!(softplus(1000.0), 1000.0);
        assert!((softplus(0.0) - std::f32::consts::LN_2).abs() < 1e-6);
        assert!(softplus(-100.0) >= 0.0);
        assert!((sigmoid(0.0) - 0.5).abs() < 1e-7);
    }
}
