//! The gated delta rule: a state that maps keys to values and corrects itself with every token.
//!
//! Tokens are taken one after the other, however many a call brings, so a text leaves the same bits whatever the calls that it was cut
//! into. A form with chunks as matrix products (WY form; Yang et al. 2024, arXiv 2412.06464) stood here for long inputs; going over
//! the state in strips of columns that stay in the first cache made single steps as fast.
//!
//! Letters: T time, K key width, V value width. One head at a time; the state `S [K, V]`
//! starts at zero. Per token: `S = a S; u = b (v - S' k); S = S + k u'; o = S' q`.

use crate::matrix::{MatMut, MatRef};
use crate::simd::{Arithmetic, dispatch};

/// Most columns of the state that go through all tokens before the next ones, with sums that stay in registers: 16 KiB at a key width of 64.
const STRIP: usize = 64;

/// T tokens of one head.
#[derive(Debug, Clone, Copy)]
pub struct DeltaInputs<'a> {
    /// Queries `[T, K]`.
    pub q: MatRef<'a>,
    /// Keys `[T, K]`.
    pub k: MatRef<'a>,
    /// Values `[T, V]`.
    pub v: MatRef<'a>,
    /// Decays of the state `[T]`, in 0..=1.
    pub alpha: &'a [f32],
    /// Strengths of the writes `[T]`, in 0..=1.
    pub beta: &'a [f32],
}

dispatch! {
    /// T tokens of one head: updates `state [K, V]` and writes `out [T, V]`.
    ///
    /// # Panics
    /// When the shapes do not fit together.
    pub fn delta_steps(
        inputs: &DeltaInputs<'_>,
        state: &mut [f32],
        out: &mut MatMut<'_>,
    ) = delta_steps_body
}

#[inline(always)]
fn delta_steps_body<A: Arithmetic>(
    inputs: &DeltaInputs<'_>,
    state: &mut [f32],
    out: &mut MatMut<'_>,
) {
    let value_dim = check_shapes(inputs, state, out);
    let mut first = 0;
    // Eight registers hold the sums of a strip, whatever their width.
    while A::LANES == 16 && value_dim - first >= STRIP {
        strip::<A, STRIP>(inputs, state, out, first);
        first += STRIP;
    }
    while value_dim - first >= STRIP / 2 {
        strip::<A, { STRIP / 2 }>(inputs, state, out, first);
        first += STRIP / 2;
    }
    while value_dim - first >= 16 {
        strip::<A, 16>(inputs, state, out, first);
        first += 16;
    }
    while first < value_dim {
        strip::<A, 1>(inputs, state, out, first);
        first += 1;
    }
}

/// The columns `first..first + W` through all tokens. The arithmetic of a column does not depend on its neighbours.
#[inline(always)]
fn strip<A: Arithmetic, const W: usize>(
    inputs: &DeltaInputs<'_>,
    state: &mut [f32],
    out: &mut MatMut<'_>,
    first: usize,
) {
    let value_dim = inputs.v.columns();
    for t in 0..inputs.q.rows() {
        let (q, k) = (inputs.q.row(t), inputs.k.row(t));
        let (alpha, beta) = (inputs.alpha[t], inputs.beta[t]);
        // Two sums, of even and odd rows, halve the wait for the additions. They have names, not an index: the compiler keeps an array
        // in registers only where every index is known.
        let (mut even, mut odd) = ([0.0f32; W], [0.0f32; W]);
        let mut pairs = state.chunks_exact(2 * value_dim);
        let mut keys = k.chunks_exact(2);
        for (pair, k) in (&mut pairs).zip(&mut keys) {
            let (above, below) = pair.split_at(value_dim);
            learned::<A, W>(columns(above, first), k[0], &mut even);
            learned::<A, W>(columns(below, first), k[1], &mut odd);
        }
        if let [k] = keys.remainder() {
            learned::<A, W>(columns(pairs.remainder(), first), *k, &mut even);
        }
        let v: &[f32; W] = columns(inputs.v.row(t), first);
        let mut write = [0.0f32; W];
        for c in 0..W {
            write[c] = beta * (v[c] - alpha * (even[c] + odd[c]));
        }
        let (mut even, mut odd) = ([0.0f32; W], [0.0f32; W]);
        let mut pairs = state.chunks_exact_mut(2 * value_dim);
        let mut rows = k.chunks_exact(2).zip(q.chunks_exact(2));
        for (pair, (k, q)) in (&mut pairs).zip(&mut rows) {
            let (above, below) = pair.split_at_mut(value_dim);
            step::<A, W>(
                columns_mut(above, first),
                alpha,
                k[0],
                &write,
                q[0],
                &mut even,
            );
            step::<A, W>(
                columns_mut(below, first),
                alpha,
                k[1],
                &write,
                q[1],
                &mut odd,
            );
        }
        if k.len() % 2 == 1 {
            let (k, q) = (k[k.len() - 1], q[q.len() - 1]);
            let row = columns_mut(pairs.into_remainder(), first);
            step::<A, W>(row, alpha, k, &write, q, &mut even);
        }
        let out = &mut out.row_mut(t)[first..first + W];
        for c in 0..W {
            out[c] = even[c] + odd[c];
        }
    }
}

#[inline(always)]
fn columns<const W: usize>(row: &[f32], first: usize) -> &[f32; W] {
    row[first..first + W].try_into().expect("W columns")
}

#[inline(always)]
fn columns_mut<const W: usize>(row: &mut [f32], first: usize) -> &mut [f32; W] {
    (&mut row[first..first + W]).try_into().expect("W columns")
}

/// Adds what a key's row of the state says of the values.
#[inline(always)]
fn learned<A: Arithmetic, const W: usize>(row: &[f32; W], k: f32, sums: &mut [f32; W]) {
    for c in 0..W {
        sums[c] = A::mul_add(k, row[c], sums[c]);
    }
}

/// Decays and writes a row of the state, then adds what a query reads of it.
#[inline(always)]
fn step<A: Arithmetic, const W: usize>(
    row: &mut [f32; W],
    alpha: f32,
    k: f32,
    write: &[f32; W],
    q: f32,
    sums: &mut [f32; W],
) {
    for c in 0..W {
        row[c] = A::mul_add(k, write[c], alpha * row[c]);
        sums[c] = A::mul_add(q, row[c], sums[c]);
    }
}

/// The value width.
fn check_shapes(inputs: &DeltaInputs<'_>, state: &[f32], out: &MatMut<'_>) -> usize {
    let (time, key_dim, value_dim) = (inputs.q.rows(), inputs.q.columns(), inputs.v.columns());
    assert!(
        inputs.k.rows() == time
            && inputs.k.columns() == key_dim
            && inputs.v.rows() == time
            && inputs.alpha.len() == time
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
    value_dim
}

/// One token from the definition, with the state in `f64`.
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
