//! The delta-rule mixer: a state of fixed size that learns from every token.
//!
//! Letters: T tokens, H heads, K key width, V value width.

use crate::NetworkConfig;
use crate::weights::DeltaWeights;
use nestor_kernels::{
    DeltaInputs, MatMut, MatRef, causal_conv, delta_steps, l2_norm, rms_norm, sigmoid,
    silu_in_place, softplus,
};

/// Added to the squares of q and k before the root; fixed by the contract, unlike `norm_eps`.
const L2_EPS: f32 = 1e-6;

/// What the tokens so far have left in one mixer.
#[derive(Debug, Clone)]
pub(crate) struct DeltaState {
    /// `[H, K, V]`
    memory: Vec<f32>,
    /// The last rows before the convolution, `[taps - 1, channels]`.
    tail: Vec<f32>,
}

#[derive(Debug, Default)]
pub(super) struct Scratch {
    qkv: Vec<f32>,
    read: Vec<f32>,
    alpha: Vec<f32>,
    beta: Vec<f32>,
}

impl DeltaState {
    pub fn new(config: &NetworkConfig) -> Self {
        Self {
            memory: vec![0.0; config.delta_heads * config.key_dim * config.value_dim],
            tail: vec![0.0; (config.conv - 1) * config.conv_channels()],
        }
    }

    pub fn values(&self) -> Vec<Vec<f32>> {
        vec![self.memory.clone(), self.tail.clone()]
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.memory.as_slice()) + size_of_val(self.tail.as_slice())
    }

    /// `projected` is `[T, delta_columns]`; `out` receives `[T, H V]`, gated and normed.
    pub(super) fn advance(
        &mut self,
        config: &NetworkConfig,
        weights: &DeltaWeights,
        projected: &[f32],
        time: usize,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (heads, key_dim, value_dim) = (config.delta_heads, config.key_dim, config.value_dim);
        let (channels, columns) = (config.conv_channels(), config.delta_columns());
        let values = heads * value_dim;
        let qkv = &mut scratch.qkv;
        qkv.resize(time * channels, 0.0);
        causal_conv(
            projected,
            columns,
            &weights.conv,
            channels,
            &mut self.tail,
            qkv,
        );
        silu_in_place(qkv);
        for row in qkv.chunks_exact_mut(channels) {
            for head in row[..2 * heads * key_dim].chunks_exact_mut(key_dim) {
                l2_norm(head, L2_EPS);
            }
        }
        scratch.read.resize(time * values, 0.0);
        for h in 0..heads {
            self.advance_head(config, weights, h, projected, time, scratch);
        }
        let eps = config.norm_eps as f32;
        for (t, out) in out.chunks_exact_mut(values).enumerate() {
            let gate = &projected[t * columns + channels..][..values];
            let read = &scratch.read[t * values..][..values];
            for h in 0..heads {
                let at = h * value_dim..(h + 1) * value_dim;
                rms_norm(&read[at.clone()], &weights.out_norm, eps, &mut out[at]);
            }
            let read = &mut scratch.read[t * values..][..values];
            read.copy_from_slice(gate);
            silu_in_place(read);
            for (out, gate) in out.iter_mut().zip(read) {
                *out *= *gate;
            }
        }
    }

    /// Runs one head over the chunk: from `scratch.qkv` to its columns of `scratch.read`.
    fn advance_head(
        &mut self,
        config: &NetworkConfig,
        weights: &DeltaWeights,
        h: usize,
        projected: &[f32],
        time: usize,
        scratch: &mut Scratch,
    ) {
        let (heads, key_dim, value_dim) = (config.delta_heads, config.key_dim, config.value_dim);
        let (channels, columns) = (config.conv_channels(), config.delta_columns());
        let values = heads * value_dim;
        let Scratch {
            qkv,
            read,
            alpha,
            beta,
        } = scratch;
        let decay = -weights.a_log[h].exp();
        let gates =
            |t: usize, which: usize| projected[t * columns + channels + values + which * heads + h];
        alpha.clear();
        let log_alpha = |t| decay * softplus(gates(t, 0) + weights.dt_bias[h]);
        alpha.extend((0..time).map(|t| log_alpha(t).exp()));
        beta.clear();
        beta.extend((0..time).map(|t| sigmoid(gates(t, 1))));

        let memory = &mut self.memory[h * key_dim * value_dim..][..key_dim * value_dim];
        let (q, k) = (&qkv[h * key_dim..], &qkv[(heads + h) * key_dim..]);
        let v = &qkv[2 * heads * key_dim + h * value_dim..];
        let read = &mut read[h * value_dim..];
        let inputs = DeltaInputs {
            q: MatRef::with_row_stride(q, time, key_dim, channels),
            k: MatRef::with_row_stride(k, time, key_dim, channels),
            v: MatRef::with_row_stride(v, time, value_dim, channels),
            alpha,
            beta,
        };
        let mut read = MatMut::with_row_stride(read, time, value_dim, values);
        delta_steps(&inputs, memory, &mut read);
    }
}
