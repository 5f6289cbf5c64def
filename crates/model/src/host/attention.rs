//! Sliding-window attention between its two projections, as one operation.
//!
//! Letters: B batch, T time, H query heads, G key/value heads, D head width. Columns of the
//! projection: q of all heads, k of all heads, v of all heads. q and k are RMS-normalised with a
//! gain, turned by rotary positions (first half against second half of a head), and a position
//! attends to itself and the `window - 1` positions before it.

use super::norm::{inverse_rms, sum_rows};
use super::{Real, Side, dot, maximum, sum, vectorised};
use crate::HostOp;
use rayon::prelude::*;

/// Sizes of one call.
#[derive(Debug, Clone, Copy)]
pub struct AttentionShape {
    /// Sequences (B).
    pub batch: usize,
    /// Tokens of each (T).
    pub time: usize,
    /// Query heads (H).
    pub query_heads: usize,
    /// Key and value heads (G).
    pub kv_heads: usize,
    /// Head width (D).
    pub head_dim: usize,
    /// Positions that one sees, itself included.
    pub window: usize,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Added to mean squares.
    pub eps: f64,
}

impl AttentionShape {
    /// Columns of the projection.
    pub fn columns(&self) -> usize {
        (self.query_heads + 2 * self.kv_heads) * self.head_dim
    }

    fn kv_of(&self, query_head: usize) -> usize {
        query_head * self.kv_heads / self.query_heads
    }

    fn scale<T: Real>(&self) -> T {
        T::of(1.0 / (self.head_dim as f64).sqrt())
    }

    /// Slabs `[batch x query heads, T, columns]` for products.
    fn slabs<T: Real>(&self, values: Vec<T>, columns: usize) -> T::Matrices {
        T::matrices(values, [self.batch * self.query_heads, self.time, columns])
    }
}

/// Cosines and sines of the rotary angles, `[T, D / 2]` each.
pub fn rotary<T: Real>(time: usize, head_dim: usize, theta: f64) -> (Vec<T>, Vec<T>) {
    let half = head_dim / 2;
    let angle = |i: usize| {
        let (t, pair) = (i / half, i % half);
        t as f64 * theta.powf(-(pair as f64) / half as f64)
    };
    let cos = (0..time * half).map(|i| T::of(angle(i).cos())).collect();
    let sin = (0..time * half).map(|i| T::of(angle(i).sin())).collect();
    (cos, sin)
}

/// Heads laid out for the products: q, k, v `[B, H, T, D]`, the key/value heads repeated.
struct Heads<T: Real> {
    q: T::Matrices,
    k: T::Matrices,
    v: T::Matrices,
    cos: Vec<T>,
    sin: Vec<T>,
}

/// Output `[B, T, H D]` and the attention weights `[B, H, T, T]`.
pub fn forward<T: Real>(
    shape: AttentionShape,
    qkv: &[T],
    q_norm: &[T],
    k_norm: &[T],
) -> (Vec<T>, Vec<T>) {
    let AttentionShape {
        time,
        head_dim,
        query_heads,
        ..
    } = shape;
    let heads = prepare(shape, qkv, q_norm, k_norm);
    let mut weights = T::matmul(Side::Plain(&heads.q), Side::Transposed(&heads.k));
    let scale = shape.scale::<T>();
    weights.par_chunks_mut(time * time).for_each(|weights| {
        softmax_bands(weights, time, shape.window, scale);
    });
    let packed = shape.slabs(weights.clone(), time);
    let mixed = T::matmul(Side::Plain(&packed), Side::Plain(&heads.v));
    let mut out = vec![T::ZERO; mixed.len()];
    let width = query_heads * head_dim;
    for (slab, values) in mixed.chunks_exact(time * head_dim).enumerate() {
        let (b, h) = (slab / query_heads, slab % query_heads);
        for (t, values) in values.chunks_exact(head_dim).enumerate() {
            out[(b * time + t) * width + h * head_dim..][..head_dim].copy_from_slice(values);
        }
    }
    (out, weights)
}

/// Gradients of `qkv`, `q_norm` and `k_norm`; `weights` as [`forward`] gave them.
pub fn backward<T: Real>(
    shape: AttentionShape,
    [qkv, q_norm, k_norm]: [&[T]; 3],
    weights: &[T],
    dy: &[T],
) -> [Vec<T>; 3] {
    let AttentionShape {
        time,
        head_dim,
        query_heads,
        kv_heads,
        ..
    } = shape;
    let heads = prepare(shape, qkv, q_norm, k_norm);
    let width = query_heads * head_dim;
    let mut dout = vec![T::ZERO; dy.len()];
    for (slab, rows) in dout.chunks_exact_mut(time * head_dim).enumerate() {
        let (b, h) = (slab / query_heads, slab % query_heads);
        for (t, row) in rows.chunks_exact_mut(head_dim).enumerate() {
            row.copy_from_slice(&dy[(b * time + t) * width + h * head_dim..][..head_dim]);
        }
    }
    let dout = shape.slabs(dout, head_dim);
    let mut dscores = T::matmul(Side::Plain(&dout), Side::Transposed(&heads.v));
    let packed = shape.slabs(weights.to_vec(), time);
    let dv = T::matmul(Side::Transposed(&packed), Side::Plain(&dout));
    let scale = shape.scale::<T>();
    dscores
        .par_chunks_mut(time * time)
        .zip(weights.par_chunks(time * time))
        .for_each(|(dscores, weights)| {
            softmax_bands_backward(weights, time, scale, dscores);
        });
    let dscores = shape.slabs(dscores, time);
    let dq = T::matmul(Side::Plain(&dscores), Side::Plain(&heads.k));
    let dk = T::matmul(Side::Transposed(&dscores), Side::Plain(&heads.q));

    let columns = shape.columns();
    let mut dqkv = vec![T::ZERO; qkv.len()];
    let gains: Vec<(Vec<T>, Vec<T>)> = dqkv
        .par_chunks_mut(time * columns)
        .zip(qkv.par_chunks(time * columns))
        .enumerate()
        .map(|(b, (dqkv, qkv))| {
            let (mut dq_norm, mut dk_norm) = (vec![T::ZERO; head_dim], vec![T::ZERO; head_dim]);
            let mut turned = vec![T::ZERO; head_dim];
            for t in 0..time {
                let (cos, sin) = angles(&heads, t, head_dim);
                let (row, drow) = (
                    &qkv[t * columns..][..columns],
                    &mut dqkv[t * columns..][..columns],
                );
                for h in 0..query_heads {
                    turned.copy_from_slice(
                        &dq[((b * query_heads + h) * time + t) * head_dim..][..head_dim],
                    );
                    turn_back(&mut turned, cos, sin);
                    let at = h * head_dim;
                    norm_backward(
                        &row[at..][..head_dim],
                        q_norm,
                        shape.eps,
                        &turned,
                        &mut drow[at..][..head_dim],
                        &mut dq_norm,
                    );
                }
                for g in 0..kv_heads {
                    turned.fill(T::ZERO);
                    let value = (query_heads + kv_heads + g) * head_dim;
                    for h in (0..query_heads).filter(|h| shape.kv_of(*h) == g) {
                        let from = ((b * query_heads + h) * time + t) * head_dim;
                        for d in 0..head_dim {
                            turned[d] += dk[from + d];
                            drow[value + d] += dv[from + d];
                        }
                    }
                    turn_back(&mut turned, cos, sin);
                    let at = (query_heads + g) * head_dim;
                    norm_backward(
                        &row[at..][..head_dim],
                        k_norm,
                        shape.eps,
                        &turned,
                        &mut drow[at..][..head_dim],
                        &mut dk_norm,
                    );
                }
            }

            (dq_norm, dk_norm)
        })
        .collect();
    let (dq_norm, dk_norm): (Vec<_>, Vec<_>) = gains.into_iter().unzip();
    [
        dqkv,
        sum_rows(dq_norm, head_dim),
        sum_rows(dk_norm, head_dim),
    ]
}

fn prepare<T: Real>(shape: AttentionShape, qkv: &[T], q_norm: &[T], k_norm: &[T]) -> Heads<T> {
    let AttentionShape {
        batch,
        time,
        query_heads,
        kv_heads,
        head_dim,
        ..
    } = shape;
    let (cos, sin) = rotary(time, head_dim, shape.rope_theta);
    let empty = vec![T::ZERO; batch * query_heads * time * head_dim];
    let (mut q, mut k, mut v) = (empty.clone(), empty.clone(), empty);
    let slab = time * head_dim;
    q.par_chunks_mut(slab)
        .zip(k.par_chunks_mut(slab).zip(v.par_chunks_mut(slab)))
        .enumerate()
        .for_each(|(index, (q, (k, v)))| {
            let (b, h) = (index / query_heads, index % query_heads);
            let g = shape.kv_of(h);
            for t in 0..time {
                let row = &qkv[(b * time + t) * shape.columns()..][..shape.columns()];
                let part = |head: usize| &row[head * head_dim..][..head_dim];
                let half = head_dim / 2;
                let (cos, sin) = (&cos[t * half..][..half], &sin[t * half..][..half]);
                let range = t * head_dim..(t + 1) * head_dim;
                norm_turn(part(h), q_norm, shape.eps, cos, sin, &mut q[range.clone()]);
                let key = part(query_heads + g);
                norm_turn(key, k_norm, shape.eps, cos, sin, &mut k[range.clone()]);
                v[range].copy_from_slice(part(query_heads + kv_heads + g));
            }
        });
    let (q, k, v) = (
        shape.slabs(q, head_dim),
        shape.slabs(k, head_dim),
        shape.slabs(v, head_dim),
    );
    Heads { q, k, v, cos, sin }
}

fn angles<T: Real>(heads: &Heads<T>, t: usize, head_dim: usize) -> (&[T], &[T]) {
    let half = head_dim / 2;
    (
        &heads.cos[t * half..][..half],
        &heads.sin[t * half..][..half],
    )
}

#[inline(always)]
fn norm_turn<T: Real>(x: &[T], gain: &[T], eps: f64, cos: &[T], sin: &[T], out: &mut [T]) {
    let scale = inverse_rms(x, eps);
    let half = x.len() / 2;
    let (low, high) = out.split_at_mut(half);
    for i in 0..half {
        let a = x[i] * scale * gain[i];
        let b = x[half + i] * scale * gain[half + i];
        low[i] = a * cos[i] - b * sin[i];
        high[i] = b * cos[i] + a * sin[i];
    }
}

#[inline(always)]
fn turn_back<T: Real>(x: &mut [T], cos: &[T], sin: &[T]) {
    let (low, high) = x.split_at_mut(cos.len());
    for i in 0..cos.len() {
        let (a, b) = (low[i], high[i]);
        low[i] = a * cos[i] + b * sin[i];
        high[i] = b * cos[i] - a * sin[i];
    }
}

#[inline(always)]
fn norm_backward<T: Real>(x: &[T], gain: &[T], eps: f64, dy: &[T], dx: &mut [T], dgain: &mut [T]) {
    let scale = inverse_rms(x, eps);
    let mut pull = T::ZERO;
    for i in 0..x.len() {
        pull += dy[i] * gain[i] * x[i];
        dgain[i] += dy[i] * x[i] * scale;
    }
    let pull = pull * scale * scale * T::of(1.0 / x.len() as f64);
    for i in 0..x.len() {
        dx[i] = scale * (dy[i] * gain[i] - x[i] * pull);
    }
}

vectorised! {
    fn softmax_bands<'a, T>(weights: &'a mut [T], time: usize, window: usize, scale: T) -> () {
        for (t, row) in weights.chunks_exact_mut(time).enumerate() {
            softmax_band(row, t, window, scale);
        }
    }
}

vectorised! {
    /// Turns the gradient of the weights into that of the products of queries and keys.
    fn softmax_bands_backward<'a, T>(
        weights: &'a [T],
        time: usize,
        scale: T,
        dscores: &'a mut [T],
    ) -> () {
        for (ds, w) in dscores.chunks_exact_mut(time).zip(weights.chunks_exact(time)) {
            let pull = dot(ds, w);
            for (ds, w) in ds.iter_mut().zip(w) {
                *ds = *w * (*ds - pull) * scale;
            }
        }
    }
}

/// Softmax of `scale * row` over the positions that `t` sees; the others become 0.
#[inline(always)]
fn softmax_band<T: Real>(row: &mut [T], t: usize, window: usize, scale: T) {
    let first = (t + 1).saturating_sub(window);
    row[..first].fill(T::ZERO);
    row[t + 1..].fill(T::ZERO);
    let band = &mut row[first..=t];
    let max = maximum(band);
    for x in band.iter_mut() {
        *x = ((*x - max) * scale).exp();
    }
    let inverse = T::ONE / sum(band);
    for x in band.iter_mut() {
        *x = *x * inverse;
    }
}

/// [`forward`] and [`backward`] as a node of the gradient graph.
#[derive(Debug, Clone)]
pub struct AttentionOp(pub AttentionShape);

impl HostOp<3> for AttentionOp {
    type Saved = Vec<f32>;

    fn output_shape(&self) -> Vec<usize> {
        vec![
            self.0.batch,
            self.0.time,
            self.0.query_heads * self.0.head_dim,
        ]
    }

    fn forward(&self, [qkv, q_norm, k_norm]: [&[f32]; 3], tracked: bool) -> (Vec<f32>, Vec<f32>) {
        let (out, weights) = forward(self.0, qkv, q_norm, k_norm);
        (out, if tracked { weights } else { Vec::new() })
    }

    fn backward(&self, inputs: [&[f32]; 3], weights: &Vec<f32>, grad: &[f32]) -> [Vec<f32>; 3] {
        backward(self.0, inputs, weights, grad)
    }
}
