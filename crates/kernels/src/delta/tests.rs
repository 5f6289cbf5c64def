//! Steps, chunks and the reference on keys from unrelated to identical.

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
    log_alpha: Vec<f32>,
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
        log_alpha: noise(seed ^ 4, time).iter().map(|x| -0.2 * x * x).collect(),
        beta: noise(seed ^ 5, time)
            .iter()
            .map(|x| 0.5 + 0.5 * x)
            .collect(),
        state: noise(seed ^ 6, key_dim * value_dim),
    }
}

/// Outputs and final states of the reference, the steps and the chunks.
fn run(case: &Case) -> [(Vec<f32>, Vec<f32>); 3] {
    let Case {
        time,
        key_dim,
        value_dim,
        ..
    } = *case;
    let mut exact_state: Vec<f64> = case.state.iter().map(|s| f64::from(*s)).collect();
    let mut step_state = case.state.clone();
    let mut exact = Vec::new();
    let mut steps = vec![0.0; time * value_dim];
    for t in 0..time {
        let q = &case.q[t * key_dim..][..key_dim];
        let k = &case.k[t * key_dim..][..key_dim];
        let v = &case.v[t * value_dim..][..value_dim];
        let (alpha, beta) = (case.log_alpha[t].exp(), case.beta[t]);
        exact.extend(delta_step_reference(&mut exact_state, q, k, v, alpha, beta));
        let out = &mut steps[t * value_dim..][..value_dim];
        delta_step(&mut step_state, q, k, v, alpha, beta, out);
    }
    let mut chunk_state = case.state.clone();
    let mut chunks = vec![0.0; time * value_dim];
    let inputs = DeltaInputs {
        q: MatRef::new(&case.q, time, key_dim),
        k: MatRef::new(&case.k, time, key_dim),
        v: MatRef::new(&case.v, time, value_dim),
        log_alpha: &case.log_alpha,
        beta: &case.beta,
    };
    let mut out = MatMut::new(&mut chunks, time, value_dim);
    delta_chunks(
        &inputs,
        &mut chunk_state,
        &mut out,
        &mut DeltaScratch::default(),
    );
    let exact_state = exact_state.iter().map(|s| *s as f32).collect();
    [
        (exact, exact_state),
        (steps, step_state),
        (chunks, chunk_state),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn steps_and_chunks_are_the_reference(
        time in 1usize..150, key_dim in 1usize..70, value_dim in 1usize..130,
        common in prop_oneof![Just(0.0f32), Just(0.5), Just(0.95), Just(1.0)], seed: u64,
    ) {
        let [exact, steps, chunks] = run(&case(time, key_dim, value_dim, common, seed));
        prop_assert!(relative_error(&steps.0, &exact.0) < 1e-5);
        prop_assert!(relative_error(&steps.1, &exact.1) < 1e-5);
        prop_assert!(relative_error(&chunks.0, &exact.0) < 1e-5);
        prop_assert!(relative_error(&chunks.1, &exact.1) < 1e-5);
    }
}

#[test]
fn the_portable_step_is_the_fast_one() {
    let case = case(1, 64, 128, 0.0, 5);
    let mut states = [case.state.clone(), case.state.clone()];
    let mut outs = [vec![0.0; 128], vec![0.0; 128]];
    delta_step(
        &mut states[0],
        &case.q,
        &case.k,
        &case.v,
        0.9,
        0.7,
        &mut outs[0],
    );
    let (state, out) = (&mut states[1], &mut outs[1]);
    delta_step_body::<TwoSteps>(state, &case.q, &case.k, &case.v, 0.9, 0.7, out);
    assert!(relative_error(&outs[1], &outs[0]) < 1e-6);
    assert!(relative_error(&states[1], &states[0]) < 1e-6);
}

#[test]
fn identical_keys_at_full_strength_stay_exact() {
    let mut case = case(192, 64, 128, 1.0, 7);
    case.beta.fill(1.0);
    case.log_alpha.fill(0.0);
    let [exact, steps, chunks] = run(&case);
    assert!(relative_error(&steps.0, &exact.0) < 1e-5);
    assert!(relative_error(&chunks.0, &exact.0) < 1e-5);
    assert!(relative_error(&chunks.1, &exact.1) < 1e-5);
}

#[test]
fn a_forgetting_state_neither_overflows_nor_divides_by_zero() {
    let mut case = case(130, 64, 128, 0.5, 3);
    case.log_alpha.fill(-60.0);
    let [exact, _, chunks] = run(&case);
    assert!(relative_error(&chunks.0, &exact.0) < 1e-5);
    assert!(relative_error(&chunks.1, &exact.1) < 1e-5);
}

#[test]
fn no_tokens_change_nothing() {
    let mut state = vec![1.0; 6];
    let inputs = DeltaInputs {
        q: MatRef::new(&[], 0, 2),
        k: MatRef::new(&[], 0, 2),
        v: MatRef::new(&[], 0, 3),
        log_alpha: &[],
        beta: &[],
    };
    delta_chunks(
        &inputs,
        &mut state,
        &mut MatMut::new(&mut [], 0, 3),
        &mut DeltaScratch::default(),
    );
    assert_eq!(state, [1.0; 6]);
}
