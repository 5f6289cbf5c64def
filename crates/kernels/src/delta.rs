//! The gated delta rule: a state that maps keys to values and corrects itself with every token.
//!
//! Two forms that must agree: one token at a time for decoding, and chunks of [`DELTA_CHUNK`]
//! tokens as matrix products for prefill (WY form; Yang et al. 2024, arXiv 2412.06464).
//!
//! Letters: T time, C chunk, K key width, V value width. One head at a time; the state `S [K, V]`
//! starts at zero. Per token: `S = a S; u = b (v - S' k); S = S + k u'; o = S' q`.

use crate::exp::exp_in_place;
use crate::gemv::add_scaled;
use crate::matrix::{MatMut, MatRef, Update, matmul};
use crate::simd::{Arithmetic, dispatch};

/// Tokens that the chunked form handles as one block of matrix products.
pub const DELTA_CHUNK: usize = 64;

/// Rows that forward substitution solves one by one before it goes on with a matrix product.
///
/// Substitution, not a product of powers of the matrix: code repeats tokens, keys of a chunk are
/// then almost the same, and Neumann's series loses all digits.
const SOLVE_BLOCK: usize = 16;

dispatch! {
    /// One token of one head: updates `state [K, V]` and writes `out [V]`.
    ///
    /// `alpha` is the decay of the state and `beta` the strength of the write, both in 0..=1.
    ///
    /// # Panics
    /// When the lengths do not fit together.
    pub fn delta_step(
        state: &mut [f32],
        q: &[f32],
        k: &[f32],
        v: &[f32],
        alpha: f32,
        beta: f32,
        out: &mut [f32],
    ) = delta_step_body
}

/// T tokens of one head.
#[derive(Debug, Clone, Copy)]
pub struct DeltaInputs<'a> {
    /// Queries `[T, K]`.
    pub q: MatRef<'a>,
    /// Keys `[T, K]`.
    pub k: MatRef<'a>,
    /// Values `[T, V]`.
    pub v: MatRef<'a>,
    /// Logarithms of the decays `[T]`, none above 0.
    pub log_alpha: &'a [f32],
    /// Strengths of the writes `[T]`.
    pub beta: &'a [f32],
}

/// Buffers of [`delta_chunks`] that a caller keeps between calls.
#[derive(Debug, Default, Clone)]
pub struct DeltaScratch {
    /// New values `[C, V]`: what each token adds to the state.
    news: Vec<f32>,
    /// Keys decayed to the end of the chunk `[C, K]`.
    keys: Vec<f32>,
    /// Products of keys with keys, then of queries with keys `[C, C]`.
    products: Vec<f32>,
    /// Decay from token j to token r, `[C, C]`, 0 above the diagonal.
    decay: Vec<f32>,
    /// Decay from the start of the chunk to each token, and from each token to its end.
    from_start: Vec<f32>,
    to_end: Vec<f32>,
}

/// T tokens of one head in chunks: updates `state [K, V]` and writes `out [T, V]`.
///
/// Agrees with [`delta_step`] repeated to a relative error of 1e-5.
///
/// # Panics
/// When the shapes do not fit together.
pub fn delta_chunks(
    inputs: &DeltaInputs<'_>,
    state: &mut [f32],
    out: &mut MatMut<'_>,
    scratch: &mut DeltaScratch,
) {
    let (time, key_dim, value_dim) = (inputs.q.rows(), inputs.q.columns(), inputs.v.columns());
    assert!(
        inputs.k.rows() == time
            && inputs.k.columns() == key_dim
            && inputs.v.rows() == time
            && inputs.log_alpha.len() == time
            && inputs.beta.len() == time
            && state.len() == key_dim * value_dim
            && out.rows() == time
            && out.columns() == value_dim,
        "delta rule over {time} tokens: keys {} x {}, values {} x {value_dim}, state {}",
        inputs.k.rows(),
        inputs.k.columns(),
        inputs.v.rows(),
        state.len()
    );
    for start in (0..time).step_by(DELTA_CHUNK) {
        let rows = DELTA_CHUNK.min(time - start);
        let chunk = DeltaInputs {
            q: inputs.q.slice_rows(start, rows),
            k: inputs.k.slice_rows(start, rows),
            v: inputs.v.slice_rows(start, rows),
            log_alpha: &inputs.log_alpha[start..start + rows],
            beta: &inputs.beta[start..start + rows],
        };
        delta_chunk(&chunk, state, &mut out.slice_rows(start, rows), scratch);
    }
}

fn delta_chunk(
    inputs: &DeltaInputs<'_>,
    state: &mut [f32],
    out: &mut MatMut<'_>,
    scratch: &mut DeltaScratch,
) {
    let (c, key_dim, value_dim) = (inputs.q.rows(), inputs.q.columns(), inputs.v.columns());
    fill_decays(inputs.log_alpha, scratch);
    let DeltaScratch {
        news,
        keys,
        products,
        decay,
        from_start,
        to_end,
    } = scratch;
    news.resize(c * value_dim, 0.0);
    keys.resize(c * key_dim, 0.0);
    products.resize(c * c, 0.0);

    // What each token would write if the tokens of the chunk before it had not written.
    let old = MatRef::new(state, key_dim, value_dim);
    matmul(
        MatMut::new(news, c, value_dim),
        inputs.k,
        old,
        Update::Assign,
        1,
    );
    for r in 0..c {
        let row = &mut news[r * value_dim..][..value_dim];
        for (new, v) in row.iter_mut().zip(inputs.v.row(r)) {
            *new = inputs.beta[r] * (v - from_start[r] * *new);
        }
    }
    // (I + A) news = that, where A holds what earlier tokens of the chunk have written already.
    matmul(
        MatMut::new(products, c, c),
        inputs.k,
        inputs.k.transposed(),
        Update::Assign,
        1,
    );
    for r in 0..c {
        for j in 0..c {
            products[r * c + j] *= inputs.beta[r] * decay[r * c + j];
        }
    }
    solve_unit_lower(products, news, c, value_dim);

    // The read: the state at the start of the chunk, and what the chunk has written up to the token.
    let old = MatRef::new(state, key_dim, value_dim);
    matmul(out.slice_rows(0, c), inputs.q, old, Update::Assign, 1);
    for r in 0..c {
        for o in out.row_mut(r) {
            *o *= from_start[r];
        }
    }
    matmul(
        MatMut::new(products, c, c),
        inputs.q,
        inputs.k.transposed(),
        Update::Assign,
        1,
    );
    for (product, decay) in products.iter_mut().zip(decay.iter()) {
        *product *= decay;
    }
    let (reads, written) = (MatRef::new(products, c, c), MatRef::new(news, c, value_dim));
    matmul(out.slice_rows(0, c), reads, written, Update::Add, 1);

    // The state at the end of the chunk.
    for r in 0..c {
        for (key, k) in keys[r * key_dim..][..key_dim]
            .iter_mut()
            .zip(inputs.k.row(r))
        {
            *key = k * to_end[r];
        }
    }
    for s in state.iter_mut() {
        *s *= from_start[c - 1];
    }
    let keys = MatRef::new(keys, c, key_dim).transposed();
    matmul(
        MatMut::new(state, key_dim, value_dim),
        keys,
        written,
        Update::Add,
        1,
    );
}

/// Every decay is the exponential of a difference of sums that is not above 0, so none overflows.
fn fill_decays(log_alpha: &[f32], scratch: &mut DeltaScratch) {
    let c = log_alpha.len();
    let DeltaScratch {
        decay,
        from_start,
        to_end,
        ..
    } = scratch;
    decay.clear();
    decay.resize(c * c, 0.0);
    from_start.clear();
    let mut sum = 0.0f32;
    from_start.extend(log_alpha.iter().map(|a| {
        sum += a;
        sum
    }));
    to_end.clear();
    to_end.extend(from_start.iter().map(|g| sum - g));
    for r in 0..c {
        let row = &mut decay[r * c..][..r + 1];
        for j in 0..=r {
            row[j] = from_start[r] - from_start[j];
        }
        exp_in_place(row);
    }
    exp_in_place(from_start);
    exp_in_place(to_end);
}

/// Solves `(I + strict_lower(a)) x = b` for `b [n, columns]` in place by blocked forward substitution.
fn solve_unit_lower(a: &[f32], b: &mut [f32], n: usize, columns: usize) {
    for start in (0..n).step_by(SOLVE_BLOCK) {
        let rows = SOLVE_BLOCK.min(n - start);
        let (solved, rest) = b.split_at_mut(start * columns);
        if start > 0 {
            matmul(
                MatMut::new(rest, rows, columns),
                MatRef::with_row_stride(&a[start * n..], rows, start, n),
                MatRef::new(solved, start, columns),
                Update::Subtract,
                1,
            );
        }
        for r in 1..rows {
            let (above, row) = rest.split_at_mut(r * columns);
            for j in 0..r {
                let factor = a[(start + r) * n + start + j];
                add_scaled(
                    &mut row[..columns],
                    -factor,
                    &above[j * columns..][..columns],
                );
            }
        }
    }
}

#[inline(always)]
fn delta_step_body<A: Arithmetic>(
    state: &mut [f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    alpha: f32,
    beta: f32,
    out: &mut [f32],
) {
    let value_dim = v.len();
    check_step(state, q, k, v, out);
    // `out` first holds S' k and then the correction is kept in it until the read overwrites it.
    out.fill(0.0);
    for (row, k) in state.chunks_exact(value_dim).zip(k) {
        for (o, s) in out.iter_mut().zip(row) {
            *o = A::mul_add(*k, *s, *o);
        }
    }
    let mut buffer = [0.0f32; 256];
    let mut heap = Vec::new();
    let write: &mut [f32] = if value_dim <= buffer.len() {
        &mut buffer[..value_dim]
    } else {
        heap.resize(value_dim, 0.0);
        &mut heap
    };
    for ((u, v), o) in write.iter_mut().zip(v).zip(out.iter_mut()) {
        *u = beta * (v - alpha * *o);
        *o = 0.0;
    }
    for ((row, k), q) in state.chunks_exact_mut(value_dim).zip(k).zip(q) {
        for ((s, u), o) in row.iter_mut().zip(write.iter()).zip(out.iter_mut()) {
            *s = A::mul_add(*k, *u, alpha * *s);
            *o = A::mul_add(*q, *s, *o);
        }
    }
}

fn check_step(state: &[f32], q: &[f32], k: &[f32], v: &[f32], out: &[f32]) {
    assert!(
        !v.is_empty()
            && q.len() == k.len()
            && out.len() == v.len()
            && state.len() == k.len() * v.len(),
        "delta step: query {}, key {}, value {}, state {}, output {}",
        q.len(),
        k.len(),
        v.len(),
        state.len(),
        out.len()
    );
}

/// [`delta_step`] from its definition, with the state in `f64`.
///
/// # Panics
/// When the lengths do not fit together.
pub fn delta_step_reference(
    state: &mut [f64],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    alpha: f32,
    beta: f32,
) -> Vec<f32> {
    let value_dim = v.len();
    assert!(state.len() == k.len() * value_dim && q.len() == k.len());
    for s in state.iter_mut() {
        *s *= f64::from(alpha);
    }
    for j in 0..value_dim {
        let read: f64 = (0..k.len())
            .map(|i| state[i * value_dim + j] * f64::from(k[i]))
            .sum();
        let write = f64::from(beta) * (f64::from(v[j]) - read);
        for i in 0..k.len() {
            state[i * value_dim + j] += f64::from(k[i]) * write;
        }
    }
    (0..value_dim)
        .map(|j| {
            (0..k.len())
                .map(|i| state[i * value_dim + j] * f64::from(q[i]))
                .sum::<f64>() as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
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
}
