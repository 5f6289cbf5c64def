//! The gated delta rule mixer between its two projections, as one operation.
//!
//! Letters: B batch, T time, H heads, K key width, D value width, C convolution channels
//! `H (2 K + D)`, P projected columns `C + H D + 2 H` in the order q, k, v, gate z, decay a,
//! write strength b.
//!
//! The state `S [K, D]` of a head starts at zero and makes one gradient step a token on
//! `|S' k - v|^2` with decay (gated delta rule, arXiv 2412.06464):
//! `S <- alpha S;  u = beta (v - S' k);  S <- S + k u';  o = S' q`.
//!
//! The recurrent form is used for training too: with K = 64 and D = 128 a state is 32 KiB, stays in
//! the nearest caches, and four vectorised passes over it cost less arithmetic than the chunked
//! (WY) form, whose gain lies in large matrix units. Its backward pass keeps the state at every
//! [`SEGMENT`]-th token and recomputes those between.

use super::norm::{inverse_rms, sum_rows};
use super::{Real, axpy, dot, sigmoid, vectorised};
use crate::HostOp;
use rayon::prelude::*;

/// Tokens between two stored states.
const SEGMENT: usize = 16;

/// Sizes of one call.
#[derive(Debug, Clone, Copy)]
pub struct DeltaShape {
    /// Sequences (B).
    pub batch: usize,
    /// Tokens of each (T).
    pub time: usize,
    /// Heads (H).
    pub heads: usize,
    /// Key width (K).
    pub key_dim: usize,
    /// Value width (D).
    pub value_dim: usize,
    /// Taps of the causal convolution.
    pub conv: usize,
    /// Added under the roots of the norms.
    pub eps: f64,
}

impl DeltaShape {
    /// Convolution channels (C).
    pub fn channels(&self) -> usize {
        self.heads * (2 * self.key_dim + self.value_dim)
    }

    /// Projected columns (P).
    pub fn columns(&self) -> usize {
        self.channels() + self.heads * (self.value_dim + 2)
    }

    /// First columns of q, k, v, z, a and b of a head.
    fn offsets(&self, head: usize) -> Offsets {
        let (keys, values) = (self.heads * self.key_dim, self.heads * self.value_dim);
        Offsets {
            q: head * self.key_dim,
            k: keys + head * self.key_dim,
            v: 2 * keys + head * self.value_dim,
            z: 2 * keys + values + head * self.value_dim,
            a: 2 * keys + 2 * values + head,
            b: 2 * keys + 2 * values + self.heads + head,
        }
    }
}

#[derive(Clone, Copy)]
struct Offsets {
    q: usize,
    k: usize,
    v: usize,
    z: usize,
    a: usize,
    b: usize,
}

/// Inputs of the mixer: `projected [B, T, P]`, `conv [taps, C]`, `a_log [H]`, `dt_bias [H]`,
/// `out_norm [D]`.
#[derive(Clone, Copy)]
pub struct DeltaInputs<'a, T> {
    /// Output of the input projection.
    pub projected: &'a [T],
    /// Taps of the convolution, oldest first.
    pub conv: &'a [T],
    /// Logarithm of each head's decay rate.
    pub a_log: &'a [T],
    /// Bias of each head's decay.
    pub dt_bias: &'a [T],
    /// Gain of the norm over a head's output.
    pub out_norm: &'a [T],
}

/// Everything that one head computes for one sequence and the backward pass needs again.
struct Trace<T> {
    /// Before SiLU: q, k and v side by side, `[T, 2 K + D]`.
    mixed: Vec<T>,
    q: Vec<T>,
    k: Vec<T>,
    v: Vec<T>,
    q_scale: Vec<T>,
    k_scale: Vec<T>,
    alpha: Vec<T>,
    log_alpha: Vec<T>,
    beta: Vec<T>,
    /// `v - S' k` before the write, `[T, D]`.
    error: Vec<T>,
    /// Read-out before the norm, `[T, D]`.
    o: Vec<T>,
    /// States before tokens 0, SEGMENT, 2 SEGMENT...
    states: Vec<T>,
}

/// Output of the mixer, `[B, T, H D]`.
pub fn forward<T: Real>(shape: DeltaShape, inputs: DeltaInputs<'_, T>) -> Vec<T> {
    let width = shape.heads * shape.value_dim;
    let mut y = vec![T::ZERO; shape.batch * shape.time * width];
    y.par_chunks_mut(shape.time * width)
        .zip(inputs.projected.par_chunks(shape.time * shape.columns()))
        .for_each(|(y, p)| {
            for head in 0..shape.heads {
                forward_head(shape, inputs, p, head, y);
            }
        });
    y
}

/// Gradients of the five inputs, in their order.
pub fn backward<T: Real>(shape: DeltaShape, inputs: DeltaInputs<'_, T>, dy: &[T]) -> [Vec<T>; 5] {
    let (columns, width) = (shape.columns(), shape.heads * shape.value_dim);
    let mut dp = vec![T::ZERO; inputs.projected.len()];
    let parameters: Vec<[Vec<T>; 4]> = dp
        .par_chunks_mut(shape.time * columns)
        .zip(
            inputs
                .projected
                .par_chunks(shape.time * columns)
                .zip(dy.par_chunks(shape.time * width)),
        )
        .map(|(dp, (p, dy))| {
            let mut gradients = [
                vec![T::ZERO; inputs.conv.len()],
                vec![T::ZERO; shape.heads],
                vec![T::ZERO; shape.heads],
                vec![T::ZERO; shape.value_dim],
            ];
            for head in 0..shape.heads {
                backward_head(shape, inputs, p, dy, head, dp, &mut gradients);
            }
            gradients
        })
        .collect();
    let mut split: [Vec<Vec<T>>; 4] = Default::default();
    for [conv, a_log, dt_bias, out_norm] in parameters {
        split[0].push(conv);
        split[1].push(a_log);
        split[2].push(dt_bias);
        split[3].push(out_norm);
    }
    let [conv, a_log, dt_bias, out_norm] = split;
    [
        dp,
        sum_rows(conv, inputs.conv.len()),
        sum_rows(a_log, shape.heads),
        sum_rows(dt_bias, shape.heads),
        sum_rows(out_norm, shape.value_dim),
    ]
}

vectorised! {
    fn forward_head<'a, T>(
        shape: DeltaShape,
        inputs: DeltaInputs<'a, T>,
        p: &'a [T],
        head: usize,
        y: &'a mut [T],
    ) -> () {
        let trace = run_head(shape, inputs, p, head);
        write_output(shape, inputs.out_norm, p, head, &trace.o, y);
    }
}

#[inline(always)]
fn run_head<T: Real>(
    shape: DeltaShape,
    inputs: DeltaInputs<'_, T>,
    p: &[T],
    head: usize,
) -> Trace<T> {
    let DeltaShape {
        time,
        key_dim,
        value_dim,
        ..
    } = shape;
    let at = shape.offsets(head);
    let mixed_width = 2 * key_dim + value_dim;
    let mut trace = Trace {
        mixed: vec![T::ZERO; time * mixed_width],
        q: vec![T::ZERO; time * key_dim],
        k: vec![T::ZERO; time * key_dim],
        v: vec![T::ZERO; time * value_dim],
        q_scale: vec![T::ZERO; time],
        k_scale: vec![T::ZERO; time],
        alpha: vec![T::ZERO; time],
        log_alpha: vec![T::ZERO; time],
        beta: vec![T::ZERO; time],
        error: vec![T::ZERO; time * value_dim],
        o: vec![T::ZERO; time * value_dim],
        states: Vec::with_capacity(time.div_ceil(SEGMENT) * key_dim * value_dim),
    };
    let mut state = vec![T::ZERO; key_dim * value_dim];
    let mut write = vec![T::ZERO; value_dim];
    let decay_rate = inputs.a_log[head].exp();
    for t in 0..time {
        if t % SEGMENT == 0 {
            trace.states.extend_from_slice(&state);
        }
        let mixed = &mut trace.mixed[t * mixed_width..][..mixed_width];
        let (mixed_q, rest) = mixed.split_at_mut(key_dim);
        let (mixed_k, mixed_v) = rest.split_at_mut(key_dim);
        convolve(shape, inputs.conv, p, t, at.q, mixed_q);
        convolve(shape, inputs.conv, p, t, at.k, mixed_k);
        convolve(shape, inputs.conv, p, t, at.v, mixed_v);
        let q = &mut trace.q[t * key_dim..][..key_dim];
        let k = &mut trace.k[t * key_dim..][..key_dim];
        let v = &mut trace.v[t * value_dim..][..value_dim];
        trace.q_scale[t] = silu_unit(mixed_q, q, shape.eps);
        trace.k_scale[t] = silu_unit(mixed_k, k, shape.eps);
        for (v, x) in v.iter_mut().zip(mixed_v.iter()) {
            *v = *x * sigmoid(*x);
        }

        let row = &p[t * shape.columns()..][..shape.columns()];
        let log_alpha = -decay_rate * softplus(row[at.a] + inputs.dt_bias[head]);
        let (alpha, beta) = (log_alpha.exp(), sigmoid(row[at.b]));
        trace.log_alpha[t] = log_alpha;
        trace.alpha[t] = alpha;
        trace.beta[t] = beta;

        // Decay, and what the state predicts for k.
        write.fill(T::ZERO);
        for (s, k) in state.chunks_exact_mut(value_dim).zip(k.iter()) {
            for d in 0..value_dim {
                s[d] = s[d] * alpha;
                write[d] = k.mul_add(s[d], write[d]);
            }
        }
        let error = &mut trace.error[t * value_dim..][..value_dim];
        for d in 0..value_dim {
            error[d] = v[d] - write[d];
            write[d] = beta * error[d];
        }
        // Write, and read with q.
        let o = &mut trace.o[t * value_dim..][..value_dim];
        for ((s, k), q) in state
            .chunks_exact_mut(value_dim)
            .zip(k.iter())
            .zip(q.iter())
        {
            for d in 0..value_dim {
                s[d] = k.mul_add(write[d], s[d]);
                o[d] = q.mul_add(s[d], o[d]);
            }
        }
    }
    trace
}

#[inline(always)]
fn write_output<T: Real>(
    shape: DeltaShape,
    out_norm: &[T],
    p: &[T],
    head: usize,
    o: &[T],
    y: &mut [T],
) {
    let DeltaShape {
        value_dim, heads, ..
    } = shape;
    let at = shape.offsets(head);
    for (t, o) in o.chunks_exact(value_dim).enumerate() {
        let z = &p[t * shape.columns() + at.z..][..value_dim];
        let y = &mut y[(t * heads + head) * value_dim..][..value_dim];
        let scale = inverse_rms(o, shape.eps);
        for d in 0..value_dim {
            y[d] = o[d] * scale * out_norm[d] * (z[d] * sigmoid(z[d]));
        }
    }
}

vectorised! {
    /// Adds to `gradients` (conv, a_log, dt_bias, out_norm) and writes the head's columns of `dp`.
    fn backward_head<'a, T>(
        shape: DeltaShape,
        inputs: DeltaInputs<'a, T>,
        p: &'a [T],
        dy: &'a [T],
        head: usize,
        dp: &'a mut [T],
        gradients: &'a mut [Vec<T>; 4],
    ) -> () {
        let DeltaShape { time, key_dim, value_dim, heads, .. } = shape;
        let columns = shape.columns();
        let at = shape.offsets(head);
        let trace = run_head(shape, inputs, p, head);
        let state_len = key_dim * value_dim;
        let mixed_width = 2 * key_dim + value_dim;
        let [dconv, da_log, ddt_bias, dout_norm] = gradients;

        let mut dstate = vec![T::ZERO; state_len];
        // States after each token of the segment at hand.
        let mut segment = vec![T::ZERO; SEGMENT * state_len];
        let mut write = vec![T::ZERO; value_dim];
        let mut dwrite = vec![T::ZERO; value_dim];
        let mut d_o = vec![T::ZERO; value_dim];
        let mut dq = vec![T::ZERO; key_dim];
        let mut dk = vec![T::ZERO; key_dim];
        let mut dmixed = vec![T::ZERO; mixed_width];

        for first in (0..time).step_by(SEGMENT).rev() {
            let last = (first + SEGMENT).min(time);
            for t in first..last {
                let (before, after) = segment.split_at_mut((t - first) * state_len);
                let before = match t == first {
                    true => &trace.states[first / SEGMENT * state_len..][..state_len],
                    false => &before[(t - first - 1) * state_len..],
                };
                let (alpha, beta) = (trace.alpha[t], trace.beta[t]);
                let error = &trace.error[t * value_dim..][..value_dim];
                for d in 0..value_dim {
                    write[d] = beta * error[d];
                }
                let k = &trace.k[t * key_dim..][..key_dim];
                for ((after, before), k) in after[..state_len]
                    .chunks_exact_mut(value_dim)
                    .zip(before.chunks_exact(value_dim))
                    .zip(k)
                {
                    for d in 0..value_dim {
                        after[d] = k.mul_add(write[d], before[d] * alpha);
                    }
                }
            }
            for t in (first..last).rev() {
                let state = &segment[(t - first) * state_len..][..state_len];
                let row = &p[t * columns..][..columns];
                let drow = &mut dp[t * columns..][..columns];
                let q = &trace.q[t * key_dim..][..key_dim];
                let k = &trace.k[t * key_dim..][..key_dim];
                let (alpha, beta) = (trace.alpha[t], trace.beta[t]);

                // Norm and gate of the output.
                let o = &trace.o[t * value_dim..][..value_dim];
                let dy = &dy[(t * heads + head) * value_dim..][..value_dim];
                let scale = inverse_rms(o, shape.eps);
                let z = &row[at.z..][..value_dim];
                let dz = &mut drow[at.z..][..value_dim];
                for d in 0..value_dim {
                    let s = sigmoid(z[d]);
                    let gate = z[d] * s;
                    let unit = o[d] * scale;
                    dz[d] = dy[d] * unit * inputs.out_norm[d] * (s + gate * (T::ONE - s));
                    dout_norm[d] += dy[d] * gate * unit;
                    d_o[d] = dy[d] * gate * inputs.out_norm[d];
                }
                let pull = dot(&d_o, o) * scale * scale * T::of(1.0 / value_dim as f64);
                for d in 0..value_dim {
                    d_o[d] = scale * (d_o[d] - o[d] * pull);
                }

                // o = S' q, then S = S_decayed + k write'.
                let error = &trace.error[t * value_dim..][..value_dim];
                for d in 0..value_dim {
                    write[d] = beta * error[d];
                }
                dwrite.fill(T::ZERO);
                for i in 0..key_dim {
                    let ds = &mut dstate[i * value_dim..][..value_dim];
                    for d in 0..value_dim {
                        ds[d] = q[i].mul_add(d_o[d], ds[d]);
                        dwrite[d] = k[i].mul_add(ds[d], dwrite[d]);
                    }
                    dk[i] = dot(ds, &write);
                    dq[i] = dot(&state[i * value_dim..][..value_dim], &d_o);
                }
                // write = beta (v - S_decayed' k).
                let dbeta = dot(&dwrite, error);
                for d in 0..value_dim {
                    dwrite[d] = dwrite[d] * beta;
                }
                let overlap = dot(&write, &dwrite);
                let mut dlog_alpha = T::ZERO;
                for i in 0..key_dim {
                    let s = &state[i * value_dim..][..value_dim];
                    let ds = &mut dstate[i * value_dim..][..value_dim];
                    // S_decayed = S - k write'.
                    dk[i] += k[i] * overlap - dot(s, &dwrite);
                    axpy(-k[i], &dwrite, ds);
                    dlog_alpha += dot(ds, s) - k[i] * dot(ds, &write);
                    for d in ds.iter_mut() {
                        *d = *d * alpha;
                    }
                }

                // Decay and write strength.
                drow[at.b] = dbeta * beta * (T::ONE - beta);
                let rate = inputs.a_log[head].exp();
                let da = -dlog_alpha * rate * sigmoid(row[at.a] + inputs.dt_bias[head]);
                drow[at.a] = da;
                ddt_bias[head] += da;
                da_log[head] += dlog_alpha * trace.log_alpha[t];

                // Unit length, SiLU and convolution of q, k and v.
                let mixed = &trace.mixed[t * mixed_width..][..mixed_width];
                silu_unit_backward(q, trace.q_scale[t], &mixed[..key_dim], &dq, &mut dmixed);
                let (_, dmixed_kv) = dmixed.split_at_mut(key_dim);
                let mixed_k = &mixed[key_dim..2 * key_dim];
                silu_unit_backward(k, trace.k_scale[t], mixed_k, &dk, dmixed_kv);
                for d in 0..value_dim {
                    let x = mixed[2 * key_dim + d];
                    let s = sigmoid(x);
                    dmixed[2 * key_dim + d] = dwrite[d] * (s + x * s * (T::ONE - s));
                }
                for (from, channel, len) in
                    [(0, at.q, key_dim), (key_dim, at.k, key_dim), (2 * key_dim, at.v, value_dim)]
                {
                    let dmixed = &dmixed[from..][..len];
                    convolve_backward(shape, inputs.conv, p, t, channel, dmixed, dp, dconv);
                }
            }
        }
    }
}

/// Causal depthwise convolution at time `t` over channels that start at `channel`.
#[inline(always)]
fn convolve<T: Real>(
    shape: DeltaShape,
    conv: &[T],
    p: &[T],
    t: usize,
    channel: usize,
    out: &mut [T],
) {
    out.fill(T::ZERO);
    let (len, channels, columns) = (out.len(), shape.channels(), shape.columns());
    for tap in 0..shape.conv {
        let Some(source) = (t + tap + 1).checked_sub(shape.conv) else {
            continue;
        };
        let weights = &conv[tap * channels + channel..][..len];
        let x = &p[source * columns + channel..][..len];
        for i in 0..len {
            out[i] = weights[i].mul_add(x[i], out[i]);
        }
    }
}

#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "the mirror image of convolve with two outputs"
)]
fn convolve_backward<T: Real>(
    shape: DeltaShape,
    conv: &[T],
    p: &[T],
    t: usize,
    channel: usize,
    dout: &[T],
    dp: &mut [T],
    dconv: &mut [T],
) {
    let (len, channels, columns) = (dout.len(), shape.channels(), shape.columns());
    for tap in 0..shape.conv {
        let Some(source) = (t + tap + 1).checked_sub(shape.conv) else {
            continue;
        };
        let weights = &conv[tap * channels + channel..][..len];
        let dweights = &mut dconv[tap * channels + channel..][..len];
        let x = &p[source * columns + channel..][..len];
        let dx = &mut dp[source * columns + channel..][..len];
        for i in 0..len {
            dx[i] = weights[i].mul_add(dout[i], dx[i]);
            dweights[i] = x[i].mul_add(dout[i], dweights[i]);
        }
    }
}

/// `out = silu(x) / |silu(x)|`; returns the factor `1 / |silu(x)|`.
#[inline(always)]
fn silu_unit<T: Real>(x: &[T], out: &mut [T], eps: f64) -> T {
    for (out, x) in out.iter_mut().zip(x) {
        *out = *x * sigmoid(*x);
    }
    let scale = T::ONE / (dot(out, out) + T::of(eps)).sqrt();
    for out in out.iter_mut() {
        *out = *out * scale;
    }
    scale
}

/// Gradient of `x` of [`silu_unit`], given its output and factor.
#[inline(always)]
fn silu_unit_backward<T: Real>(unit: &[T], scale: T, x: &[T], dout: &[T], dx: &mut [T]) {
    let pull = dot(unit, dout);
    for i in 0..x.len() {
        let s = sigmoid(x[i]);
        let dsilu = scale * (dout[i] - unit[i] * pull);
        dx[i] = dsilu * (s + x[i] * s * (T::ONE - s));
    }
}

/// `ln(1 + e^x)` without overflow.
#[inline(always)]
fn softplus<T: Real>(x: T) -> T {
    if x > T::of(20.0) {
        x
    } else {
        (T::ONE + x.exp()).ln()
    }
}

/// [`forward`] and [`backward`] as a node of the gradient graph.
#[derive(Debug, Clone)]
pub struct DeltaOp(pub DeltaShape);

fn inputs_of<'a, T>(
    [projected, conv, a_log, dt_bias, out_norm]: [&'a [T]; 5],
) -> DeltaInputs<'a, T> {
    DeltaInputs {
        projected,
        conv,
        a_log,
        dt_bias,
        out_norm,
    }
}

impl HostOp<5> for DeltaOp {
    type Saved = ();

    fn output_shape(&self) -> Vec<usize> {
        vec![self.0.batch, self.0.time, self.0.heads * self.0.value_dim]
    }

    fn forward(&self, inputs: [&[f32]; 5], _tracked: bool) -> (Vec<f32>, ()) {
        (forward(self.0, inputs_of(inputs)), ())
    }

    fn backward(&self, inputs: [&[f32]; 5], _saved: &(), grad: &[f32]) -> [Vec<f32>; 5] {
        backward(self.0, inputs_of(inputs), grad)
    }
}
