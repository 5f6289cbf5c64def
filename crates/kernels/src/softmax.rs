//! Softmax over a row of logits, with what a gate wants to know about the row.

use crate::exp::exp_lane;
use crate::simd::{Arithmetic, LANES, dispatch, sum_lanes};

/// What one pass over the logits learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftmaxSummary {
    /// The largest logit.
    pub max: f32,
    /// `ln(sum(exp(x)))`
    pub log_sum: f32,
    /// Entropy of the distribution in nats.
    pub entropy: f32,
}

dispatch! {
    /// Turns logits into probabilities that sum to 1. An empty row is left alone.
    pub fn softmax_in_place(x: &mut [f32]) -> SoftmaxSummary = softmax_body
}

dispatch! {
    /// `ln(sum(exp(x)))`; minus infinity for an empty row. `x[i] - log_sum_exp(x)` is the log-softmax.
    pub fn log_sum_exp(x: &[f32]) -> f32 = log_sum_exp_body
}

dispatch! {
    /// Index of the largest value, the first of equals; 0 for an empty row.
    pub fn argmax(x: &[f32]) -> usize = argmax_body
}

#[inline(always)]
fn max_body(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] {
                chunk[i]
            } else {
                lanes[i]
            };
        }
    }
    let max = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
    rest.iter().fold(max, |max, x| max.max(*x))
}

#[inline(always)]
fn softmax_body<A: Arithmetic>(x: &mut [f32]) -> SoftmaxSummary {
    let max = max_body(x);
    let mut sums = [0.0f32; LANES];
    let mut weighted = [0.0f32; LANES];
    let mut chunks = x.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for i in 0..LANES {
            let shifted = chunk[i] - max;
            let e = exp_lane::<A>(shifted);
            sums[i] += e;
            weighted[i] = A::mul_add(e, shifted, weighted[i]);
            chunk[i] = e;
        }
    }
    let (mut sum, mut weight) = (sum_lanes(&sums), sum_lanes(&weighted));
    for x in chunks.into_remainder() {
        let shifted = *x - max;
        let e = exp_lane::<A>(shifted);
        sum += e;
        weight += e * shifted;
        *x = e;
    }
    let scale = 1.0 / sum;
    for x in x.iter_mut() {
        *x *= scale;
    }
    let log = sum.ln();
    SoftmaxSummary {
        max,
        log_sum: max + log,
        entropy: log - weight * scale,
    }
}

#[inline(always)]
fn log_sum_exp_body<A: Arithmetic>(x: &[f32]) -> f32 {
    let max = max_body(x);
    if max == f32::NEG_INFINITY {
        return max;
    }
    let mut sums = [0.0f32; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for i in 0..LANES {
            sums[i] += exp_lane::<A>(chunk[i] - max);
        }
    }
    let sum = rest
        .iter()
        .fold(sum_lanes(&sums), |sum, x| sum + exp_lane::<A>(x - max));
    max + sum.ln()
}

#[inline(always)]
fn argmax_body<A: Arithmetic>(x: &[f32]) -> usize {
    let max = max_body(x);
    x.iter().position(|x| *x == max).unwrap_or(0)
}

/// [`softmax_in_place`] in `f64`.
pub fn softmax_reference(x: &[f32]) -> Vec<f32> {
    let max = x
        .iter()
        .fold(f64::NEG_INFINITY, |m, x| m.max(f64::from(*x)));
    let e: Vec<f64> = x.iter().map(|x| (f64::from(*x) - max).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|e| (e / sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::tests::noise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn softmax_is_the_plain_one(len in 1usize..300, scale in 0.0f32..40.0, seed: u64) {
            let logits: Vec<f32> = noise(seed, len).iter().map(|x| x * scale).collect();
            let expected = softmax_reference(&logits);
            let mut found = logits.clone();
            let summary = softmax_in_place(&mut found);
            let mut entropy = 0.0f64;
            for i in 0..len {
                prop_assert!((found[i] - expected[i]).abs() <= 2e-6 * expected[i].max(1e-6));
                entropy -= f64::from(expected[i]) * f64::from(expected[i].max(1e-38)).ln();
            }
            prop_assert!((found.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            prop_assert!((f64::from(summary.entropy) - entropy).abs() < 1e-4);
            prop_assert!((log_sum_exp(&logits) - summary.log_sum).abs() < 1e-5 * scale.max(1.0));
            let best = argmax(&logits);
            prop_assert!(logits.iter().all(|x| *x <= logits[best]));
        }
    }

    #[test]
    fn far_logits_do_not_overflow() {
        let mut x = [1e4, 0.0, -1e4];
        softmax_in_place(&mut x);
        assert_eq!(x, [1.0, 0.0, 0.0]);
    }

    #[test]
    fn an_empty_row_is_left_alone() {
        softmax_in_place(&mut []);
        assert_eq!(log_sum_exp(&[]), f32::NEG_INFINITY);
        assert_eq!(argmax(&[]), 0);
    }

    #[test]
    fn the_first_of_equal_values_wins() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
    }
}
