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
mod tests;
