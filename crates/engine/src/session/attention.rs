//! The attention mixer: exact copies from the last `window` positions.
//!
//! Letters: T tokens of the call.

use crate::NetworkConfig;
use crate::weights::AttentionWeights;
use nestor_kernels::{AttentionScratch, KeyValues, MatMut, MatRef, rms_norm};

/// Positions that are put in before their queries are answered: more would keep more of the past in memory.
const TOGETHER: usize = 64;

/// Keys, after norm and rotation, and values of the last positions.
#[derive(Debug, Clone)]
pub(crate) struct AttentionState {
    /// One for every kv head.
    heads: Vec<KeyValues>,
}

#[derive(Debug, Default)]
pub(super) struct Scratch {
    row: Vec<f32>,
    kernel: AttentionScratch,
}

/// Cosines and sines of the rotary angles of T positions, `[T, head_dim / 2]` each.
#[derive(Debug)]
pub(super) struct Rotation {
    cosines: Vec<f32>,
    sines: Vec<f32>,
    half: usize,
}

impl Rotation {
    /// Angles in `f64`: at far positions a product in `f32` loses the digits that count.
    pub fn new(config: &NetworkConfig, position: usize, time: usize) -> Self {
        let half = config.head_dim / 2;
        let mut rotation = Self {
            cosines: Vec::with_capacity(time * half),
            sines: Vec::with_capacity(time * half),
            half,
        };
        let frequencies: Vec<f64> = (0..half)
            .map(|i| config.rope_theta.powf(-(i as f64) / half as f64))
            .collect();
        for t in 0..time {
            for frequency in &frequencies {
                let (sine, cosine) = ((position + t) as f64 * frequency).sin_cos();
                rotation.cosines.push(cosine as f32);
                rotation.sines.push(sine as f32);
            }
        }
        rotation
    }

    /// Turns one head of the token at index `t`: the first half with the second.
    fn apply(&self, t: usize, head: &mut [f32]) {
        let (first, second) = head.split_at_mut(self.half);
        let cosines = &self.cosines[t * self.half..][..self.half];
        let sines = &self.sines[t * self.half..][..self.half];
        for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
        }
    }
}

impl AttentionState {
    pub fn new(config: &NetworkConfig) -> Self {
        Self {
            heads: vec![KeyValues::new(config.head_dim, config.window); config.kv_heads],
        }
    }

    /// Of every head the keys, then the values, oldest first.
    pub fn values(&self) -> Vec<Vec<f32>> {
        self.heads.iter().flat_map(KeyValues::rows).collect()
    }

    pub fn bytes(&self) -> usize {
        self.heads.iter().map(KeyValues::bytes).sum()
    }

    pub fn shared_bytes(&self) -> usize {
        self.heads.iter().map(KeyValues::whole_bytes).sum()
    }

    /// `projected` is `[T, attention_columns]`; `out` receives `[T, query_heads head_dim]`.
    pub(super) fn advance(
        &mut self,
        config: &NetworkConfig,
        weights: &AttentionWeights,
        rotation: &Rotation,
        projected: &mut [f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (width, columns) = (config.head_dim, config.attention_columns());
        let group = config.query_heads / config.kv_heads;
        let all = config.query_heads * width;
        prepare(config, weights, rotation, projected, &mut scratch.row);
        let parts = projected.chunks(TOGETHER * columns);
        for (projected, out) in parts.zip(out.chunks_mut(TOGETHER * all)) {
            let time = projected.len() / columns;
            for (kv, head) in self.heads.iter_mut().enumerate() {
                for row in projected.chunks_exact(columns) {
                    let key = &row[(config.query_heads + kv) * width..][..width];
                    let value = &row[(config.query_heads + config.kv_heads + kv) * width..];
                    head.push(key, &value[..width]);
                }
                let first = kv * group * width;
                let queries =
                    MatRef::with_row_stride(&projected[first..], time, group * width, columns);
                let mut out = MatMut::with_row_stride(&mut out[first..], time, group * width, all);
                head.attend(queries, &mut out, &mut scratch.kernel);
                head.forget();
            }
        }
    }
}

/// Norms and rotates queries and keys in place; the queries also take the scale of the scores.
fn prepare(
    config: &NetworkConfig,
    weights: &AttentionWeights,
    rotation: &Rotation,
    projected: &mut [f32],
    buffer: &mut Vec<f32>,
) {
    let (width, eps) = (config.head_dim, config.norm_eps as f32);
    let scale = 1.0 / (width as f32).sqrt();
    buffer.resize(width, 0.0);
    for (t, row) in projected
        .chunks_exact_mut(config.attention_columns())
        .enumerate()
    {
        let turned = (config.query_heads + config.kv_heads) * width;
        for (h, head) in row[..turned].chunks_exact_mut(width).enumerate() {
            let is_query = h < config.query_heads;
            let gain = if is_query {
                &weights.q_norm
            } else {
                &weights.k_norm
            };
            rms_norm(head, gain, eps, buffer);
            head.copy_from_slice(buffer);
            rotation.apply(t, head);
            if is_query {
                for x in head {
                    *x *= scale;
                }
            }
        }
    }
}
