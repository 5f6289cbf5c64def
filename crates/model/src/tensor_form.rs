//! The fused operations as compositions of tensor operations, differentiated by Burn: the fast path
//! on GPUs, and the reference that the host operations are compared with.
//!
//! Letters: B batch, T time, H heads, K key width, D value width, C tokens of a chunk, N chunks.

use crate::NestorBackend;
use crate::backend::apply_on_device;
use crate::fused::{ChunkScan, UnitLowerInverse, triangle};
use crate::host::attention::{AttentionShape, rotary};
use crate::host::delta::DeltaShape;
use burn::tensor::activation::{sigmoid, silu, softmax};
use burn::tensor::{Int, Tensor, TensorData, backend::Backend};

/// Tokens that one step of the chunked delta rule takes.
pub const CHUNK: usize = 64;

/// RMSNorm over the last axis of `[B, T, D]` with gain `[D]`.
pub fn rms_norm<B: Backend>(x: Tensor<B, 3>, gain: Tensor<B, 1>, eps: f64) -> Tensor<B, 3> {
    let mean = x.clone().powi_scalar(2).mean_dim(2);
    x * (mean + eps).sqrt().recip() * gain.unsqueeze::<3>()
}

/// `silu(gate) * up` of `[gate | up]`.
pub fn swiglu<B: Backend>(x: Tensor<B, 3>, ffn: usize) -> Tensor<B, 3> {
    let gate = x.clone().narrow(2, 0, ffn);
    let up = x.narrow(2, ffn, ffn);
    silu(gate) * up
}

/// What the delta rule reads, `[B, H, T, *]`; decay and write strength `[B, H, T]`.
struct DeltaParts<B: Backend> {
    q: Tensor<B, 4>,
    k: Tensor<B, 4>,
    v: Tensor<B, 4>,
    log_alpha: Tensor<B, 3>,
    beta: Tensor<B, 3>,
}

/// Parameters of the delta mixer between its projections.
#[derive(Clone)]
pub struct DeltaParameters<B: Backend> {
    /// Taps of the convolution `[taps, channels]`, oldest first.
    pub conv: Tensor<B, 2>,
    /// Logarithm of the decay rate `[H]`.
    pub a_log: Tensor<B, 1>,
    /// Bias of the decay `[H]`.
    pub dt_bias: Tensor<B, 1>,
    /// Gain over a head's output `[D]`.
    pub out_norm: Tensor<B, 1>,
}

/// The delta mixer in chunks (WY form, reference/arXiv 2412.06464): `[B, T, P] -> [B, T, H D]`.
pub fn delta_mixer<B: NestorBackend>(
    shape: DeltaShape,
    projected: Tensor<B, 3>,
    parameters: DeltaParameters<B>,
) -> Tensor<B, 3> {
    let parts = delta_parts(shape, projected.clone(), &parameters);
    gated_output(shape, chunked_scan(parts), projected, parameters.out_norm)
}

/// The delta mixer token by token: the plain statement of the rule.
pub fn delta_mixer_recurrent<B: Backend>(
    shape: DeltaShape,
    projected: Tensor<B, 3>,
    parameters: DeltaParameters<B>,
) -> Tensor<B, 3> {
    let parts = delta_parts(shape, projected.clone(), &parameters);
    gated_output(shape, recurrent_scan(parts), projected, parameters.out_norm)
}

fn delta_parts<B: Backend>(
    shape: DeltaShape,
    projected: Tensor<B, 3>,
    parameters: &DeltaParameters<B>,
) -> DeltaParts<B> {
    let DeltaShape {
        batch,
        time,
        heads,
        key_dim,
        value_dim,
        conv,
        eps,
    } = shape;
    let channels = shape.channels();
    let device = projected.device();
    let x = projected.clone().narrow(2, 0, channels);
    let before = Tensor::zeros([batch, conv - 1, channels], &device);
    let padded = Tensor::cat(vec![before, x], 1);
    let mut mixed = Tensor::zeros([batch, time, channels], &device);
    for tap in 0..conv {
        let weights = parameters.conv.clone().narrow(0, tap, 1).unsqueeze::<3>();
        mixed = mixed + padded.clone().narrow(1, tap, time) * weights;
    }
    let mixed = silu(mixed);
    let split = |from: usize, width: usize| {
        mixed
            .clone()
            .narrow(2, from, heads * width)
            .reshape([batch, time, heads, width])
            .swap_dims(1, 2)
    };
    let unit = |x: Tensor<B, 4>| {
        let norm = (x.clone().powi_scalar(2).sum_dim(3) + eps).sqrt();
        x / norm
    };
    let keys = heads * key_dim;
    let tail = channels + heads * value_dim;
    let a = projected.clone().narrow(2, tail, heads) + parameters.dt_bias.clone().unsqueeze::<3>();
    let b = projected.narrow(2, tail + heads, heads);
    let softplus = burn::tensor::activation::softplus(a, 1.0);
    let rate = parameters.a_log.clone().exp().unsqueeze::<3>();
    DeltaParts {
        q: unit(split(0, key_dim)),
        k: unit(split(keys, key_dim)),
        v: split(2 * keys, value_dim),
        log_alpha: (softplus * rate).neg().swap_dims(1, 2),
        beta: sigmoid(b).swap_dims(1, 2),
    }
}

fn gated_output<B: Backend>(
    shape: DeltaShape,
    o: Tensor<B, 4>,
    projected: Tensor<B, 3>,
    out_norm: Tensor<B, 1>,
) -> Tensor<B, 3> {
    let DeltaShape {
        batch,
        time,
        heads,
        value_dim,
        eps,
        ..
    } = shape;
    let z = projected.narrow(2, shape.channels(), heads * value_dim);
    let mean = o.clone().powi_scalar(2).mean_dim(3);
    let o = o * (mean + eps).sqrt().recip() * out_norm.unsqueeze::<4>();
    o.swap_dims(1, 2).reshape([batch, time, heads * value_dim]) * silu(z)
}

fn recurrent_scan<B: Backend>(parts: DeltaParts<B>) -> Tensor<B, 4> {
    let [batch, heads, time, key_dim] = parts.k.dims();
    let value_dim = parts.v.dims()[3];
    let mut state = Tensor::zeros([batch, heads, key_dim, value_dim], &parts.k.device());
    let mut outputs = Vec::with_capacity(time);
    for t in 0..time {
        let row = |x: &Tensor<B, 4>| x.clone().narrow(2, t, 1);
        let scalar = |x: &Tensor<B, 3>| x.clone().narrow(2, t, 1).unsqueeze_dim::<4>(3);
        let (q, k, v) = (row(&parts.q), row(&parts.k), row(&parts.v));
        let decayed = state * scalar(&parts.log_alpha).exp();
        let write = (v - k.clone().matmul(decayed.clone())) * scalar(&parts.beta);
        state = decayed + k.swap_dims(2, 3).matmul(write);
        outputs.push(q.matmul(state.clone()));
    }
    Tensor::cat(outputs, 2)
}

fn chunked_scan<B: NestorBackend>(parts: DeltaParts<B>) -> Tensor<B, 4> {
    let [batch, heads, time, key_dim] = parts.k.dims();
    let value_dim = parts.v.dims()[3];
    let device = parts.k.device();
    let chunk = CHUNK.min(time.next_power_of_two());
    let chunks = time.div_ceil(chunk);
    let rest = chunks * chunk - time;
    // Padding tokens write nothing (beta = 0) and do not decay (log alpha = 0).
    let rows = |x: Tensor<B, 4>, width: usize| {
        let x = match rest {
            0 => x,
            _ => Tensor::cat(
                vec![x, Tensor::zeros([batch, heads, rest, width], &device)],
                2,
            ),
        };
        x.reshape([batch * heads, chunks, chunk, width])
    };
    let scalars = |x: Tensor<B, 3>| rows(x.unsqueeze_dim::<4>(3), 1);
    let (q, k) = (rows(parts.q, key_dim), rows(parts.k, key_dim));
    let v = rows(parts.v, value_dim);
    let (log_alpha, beta) = (scalars(parts.log_alpha), scalars(parts.beta));

    let lower = triangle::<B>(chunk, &device, |row, col| col <= row);
    let strict = triangle::<B>(chunk, &device, |row, col| col < row);
    // g[r] = sum of log alpha up to and with r; decay[r, j] = exp(g[r] - g[j]) for j <= r.
    let g = lower.clone().unsqueeze::<4>().matmul(log_alpha);
    // The row of g is a sum over a diagonal and not a view of the column: burn-cubecl-fusion 0.21 reads on past an
    // element of a column, instead of repeating it, in a kernel that reads the same tensor transposed as well.
    let identity = triangle::<B>(chunk, &device, |row, col| row == col);
    let row = (g.clone() * identity.unsqueeze::<4>()).sum_dim(2);
    let gap = g.clone() - row;
    let decay = (gap * lower.clone().unsqueeze::<4>()).exp() * lower.unsqueeze::<4>();

    let overlap = k.clone().matmul(k.clone().swap_dims(2, 3)) * decay.clone();
    let a = overlap * beta.clone() * strict.unsqueeze::<4>();
    let inverse = apply_on_device::<B, _, 1, 4>(UnitLowerInverse, [a.into_primitive().tensor()]);
    let gamma = g.clone().exp();
    let u = inverse.clone().matmul(v * beta.clone());
    let w = inverse.matmul(k.clone() * beta * gamma.clone());
    let inner = q.clone().matmul(k.clone().swap_dims(2, 3)) * decay;
    let q = q * gamma.clone();
    let last = g.clone().narrow(2, chunk - 1, 1);
    let carried = k * (last.clone() - g).exp();
    let keep = last.exp();

    let inputs = [u, w, q, inner, carried, keep].map(|x| x.into_primitive().tensor());
    apply_on_device::<B, _, 6, 4>(ChunkScan, inputs)
        .reshape([batch, heads, chunks * chunk, value_dim])
        .narrow(2, 0, time)
}

/// Sliding-window attention between its projections: `[B, T, columns] -> [B, T, H D]`.
pub fn attention<B: Backend>(
    shape: AttentionShape,
    qkv: Tensor<B, 3>,
    q_norm: Tensor<B, 1>,
    k_norm: Tensor<B, 1>,
) -> Tensor<B, 3> {
    let AttentionShape {
        batch,
        time,
        query_heads,
        kv_heads,
        head_dim,
        window,
        eps,
        ..
    } = shape;
    let device = qkv.device();
    let half = head_dim / 2;
    let (cos, sin) = rotary::<f32>(time, head_dim, shape.rope_theta);
    let cos = Tensor::<B, 4>::from_data(TensorData::new(cos, [1, 1, time, half]), &device);
    let sin = Tensor::<B, 4>::from_data(TensorData::new(sin, [1, 1, time, half]), &device);
    let split = |from: usize, heads: usize| {
        qkv.clone()
            .narrow(2, from * head_dim, heads * head_dim)
            .reshape([batch, time, heads, head_dim])
            .swap_dims(1, 2)
    };
    let turn = |x: Tensor<B, 4>, gain: Tensor<B, 1>| {
        let mean = x.clone().powi_scalar(2).mean_dim(3);
        let x = x * (mean + eps).sqrt().recip() * gain.unsqueeze::<4>();
        let (a, b) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
        Tensor::cat(
            vec![
                a.clone() * cos.clone() - b.clone() * sin.clone(),
                b * cos.clone() + a * sin.clone(),
            ],
            3,
        )
    };
    let group = query_heads / kv_heads;
    let repeat = |x: Tensor<B, 4>| {
        x.unsqueeze_dim::<5>(2)
            .expand([batch, kv_heads, group, time, head_dim])
            .reshape([batch, query_heads, time, head_dim])
    };
    let q = turn(split(0, query_heads), q_norm);
    let k = repeat(turn(split(query_heads, kv_heads), k_norm));
    let v = repeat(split(query_heads + kv_heads, kv_heads));
    let at = Tensor::<B, 1, Int>::arange(0..time as i64, &device).float();
    let behind = at.clone().unsqueeze_dim::<2>(1) - at.unsqueeze_dim::<2>(0);
    let hidden = behind.clone().lower_elem(0.0).float() * -1e30
        + behind.greater_equal_elem(window as f64).float() * -1e30;
    let scores = q.matmul(k.swap_dims(2, 3)) / (head_dim as f64).sqrt();
    let weights = softmax(scores + hidden.unsqueeze::<4>(), 3);
    weights
        .matmul(v)
        .swap_dims(1, 2)
        .reshape([batch, time, query_heads * head_dim])
}
