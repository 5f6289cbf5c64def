//! Calls of any length and the reference, on keys from unrelated to identical.

use super::*;
use crate::norm::l2_norm;
use crate::simd::TwoSteps;
use crate::simd::tests::{noise, relative_error};
use proptest::prelude::*;

struct Case {
    time: usize,
    key_dim: usize,
    value_dim: usize,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    alpha: Vec<f32>,
    beta: Vec<f32>,
    state: Vec<f32>,
}

/// Keys are `common` parts of one vector and the rest noise: 1 means that all are the same.
fn case(time: usize, key_dim: usize, value_dim: usize, common: f32, seed: u64) -> Case {
    let mut q = noise(seed, time * key_dim);
    let mut k = noise(seed ^ 1, time * key_dim);
    let shared = noise(seed ^ 2, key_dim);
    for (k, q) in k.chunks_mut(key_dim).zip(q.chunks_mut(key_dim)) {
        for (k, shared) in k.iter_mut().zip(&shared) {
            *k = common * shared + (1.0 - common) * *k;
        }
        l2_norm(k, 1e-6);
        l2_norm(q, 1e-6);
    }
    Case {
        time,
        key_dim,
        value_dim,
        q,
        k,
        v: noise(seed ^ 3, time * value_dim),
        alpha: noise(seed ^ 4, time)
            .iter()
            .map(|x| (-0.2 * x * x).exp())
            .collect(),
        beta: noise(seed ^ 5, time)
            .iter()
            .map(|x| 0.5 + 0.5 * x)
            .collect(),
        state: noise(seed ^ 6, key_dim * value_dim),
    }
}

type Advance = fn(&DeltaInputs<'_>, &mut [f32], &mut MatMut<'_>);

/// Outputs and final state of the reference.
fn exact(case: &Case) -> (Vec<f32>, Vec<f32>) {
    let (key_dim, value_dim) = (case.key_dim, case.value_dim);
    let mut state: Vec<f64> = case.state.iter().map(|s| f64::from(*s)).collect();
    let mut out = Vec::new();
    for t in 0..case.time {
        let q = &case.q[t * key_dim..][..key_dim];
        let k = &case.k[t * key_dim..][..key_dim];
        let v = &case.v[t * value_dim..][..value_dim];
        let (alpha, beta) = (case.alpha[t], case.beta[t]);
        out.extend(delta_step_reference(&mut state, q, k, v, alpha, beta));
    }
    (out, state.iter().map(|s| *s as f32).collect())
}

/// Outputs and final state with the tokens in calls of `piece`.
fn advance(case: &Case, piece: usize, by: Advance) -> (Vec<f32>, Vec<f32>) {
    let (key_dim, value_dim) = (case.key_dim, case.value_dim);
    let mut state = case.state.clone();
    let mut out = vec![0.0; case.time * value_dim];
    for start in (0..case.time).step_by(piece) {
        let rows = piece.min(case.time - start);
        let inputs = DeltaInputs {
            q: MatRef::new(&case.q[start * key_dim..][..rows * key_dim], rows, key_dim),
            k: MatRef::new(&case.k[start * key_dim..][..rows * key_dim], rows, key_dim),
            v: MatRef::new(
                &case.v[start * value_dim..][..rows * value_dim],
                rows,
                value_dim,
            ),
            alpha: &case.alpha[start..start + rows],
            beta: &case.beta[start..start + rows],
        };
        let out = &mut out[start * value_dim..][..rows * value_dim];
        by(&inputs, &mut state, &mut MatMut::new(out, rows, value_dim));
    }
    (out, state)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn calls_of_any_length_give_the_same_bits_and_the_reference(
        time in 1usize..150, piece in 2usize..90, key_dim in 1usize..70, value_dim in 1usize..130,
        common in prop_oneof![Just(0.0f32), Just(0.5), Just(0.95), Just(1.0)], seed: u64,
    ) {
        let case = case(time, key_dim, value_dim, common, seed);
        let exact = exact(&case);
        let steps = advance(&case, 1, delta_steps);
        prop_assert!(relative_error(&steps.0, &exact.0) < 1e-5);
        prop_assert!(relative_error(&steps.1, &exact.1) < 1e-5);
        prop_assert_eq!(&advance(&case, piece, delta_steps), &steps);
        let portable = advance(&case, piece, delta_steps_body::<TwoSteps>);
        prop_assert!(relative_error(&portable.0, &exact.0) < 1e-5);
        prop_assert!(relative_error(&portable.1, &exact.1) < 1e-5);
    }
}

#[test]
fn identical_keys_at_full_strength_stay_exact() {
    let mut case = case(192, 64, 128, 1.0, 7);
    case.beta.fill(1.0);
    case.alpha.fill(1.0);
    let (exact, steps) = (exact(&case), advance(&case, 64, delta_steps));
    assert!(relative_error(&steps.0, &exact.0) < 1e-5);
    assert!(relative_error(&steps.1, &exact.1) < 1e-5);
}

#[test]
fn a_forgetting_state_stays_finite() {
    let mut case = case(130, 64, 128, 0.5, 3);
    case.alpha.fill(1e-26);
    let (exact, steps) = (exact(&case), advance(&case, 130, delta_steps));
    assert!(relative_error(&steps.0, &exact.0) < 1e-5);
    assert!(relative_error(&steps.1, &exact.1) < 1e-5);
}

#[test]
fn no_tokens_change_nothing() {
    let mut state = vec![1.0; 6];
    let inputs = DeltaInputs {
        q: MatRef::new(&[], 0, 2),
        k: MatRef::new(&[], 0, 2),
        v: MatRef::new(&[], 0, 3),
        alpha: &[],
        beta: &[],
    };
    delta_steps(&inputs, &mut state, &mut MatMut::new(&mut [], 0, 3));
    assert_eq!(state, [1.0; 6]);
}
