//! The attention mixer: exact copies from the last `window` positions.
//!
//! Letters: T tokens of the call, P positions before them that the window still reaches.

use crate::NetworkConfig;
use crate::weights::AttentionWeights;
use nestor_kernels::{MatMut, MatRef, Update, dot_rows, gemv, matmul, rms_norm, softmax_in_place};

/// Query rows whose scores are computed as one matrix; fewer waste less on masked columns.
const QUERY_TILE: usize = 64;

/// Keys and values of the last positions; position p stands in row `p % window`.
#[derive(Debug, Clone)]
pub(super) struct AttentionState {
    /// Positions seen.
    position: usize,
    /// For every kv head `[min(position, window), head_dim]`, after norm and rotation.
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
}

#[derive(Debug, Default)]
pub(super) struct Scratch {
    keys: Vec<f32>,
    values: Vec<f32>,
    queries: Vec<f32>,
    scores: Vec<f32>,
    row: Vec<f32>,
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

    fn time(&self) -> usize {
        self.cosines.len() / self.half
    }
}

impl AttentionState {
    pub fn new(config: &NetworkConfig) -> Self {
        let empty = vec![Vec::new(); config.kv_heads];
        Self {
            position: 0,
            keys: empty.clone(),
            values: empty,
        }
    }

    pub fn values(&self) -> Vec<&[f32]> {
        self.keys
            .iter()
            .chain(&self.values)
            .map(Vec::as_slice)
            .collect()
    }

    /// `projected` is `[T, attention_columns]`; `out` receives `[T, query_heads head_dim]`.
    pub fn advance(
        &mut self,
        config: &NetworkConfig,
        weights: &AttentionWeights,
        rotation: &Rotation,
        projected: &mut [f32],
        out: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) {
        let time = rotation.time();
        let (heads, width) = (config.query_heads, config.head_dim);
        prepare(config, weights, rotation, projected, &mut scratch.row);
        out.resize(time * heads * width, 0.0);
        if time == 1 {
            self.push(config, projected, 0);
            self.attend_one(config, projected, out, scratch);
        } else {
            for kv in 0..config.kv_heads {
                self.attend_chunk(config, kv, projected, out, scratch);
            }
            for t in 0..time {
                self.push(config, projected, t);
            }
        }
    }

    /// One token's queries against all rows of the ring, whose order does not matter.
    fn attend_one(
        &self,
        config: &NetworkConfig,
        projected: &[f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let width = config.head_dim;
        let group = config.query_heads / config.kv_heads * width;
        let queries = projected.chunks_exact(group);
        for (kv, (queries, out)) in queries.zip(out.chunks_exact_mut(group)).enumerate() {
            let (keys, values) = (&self.keys[kv], &self.values[kv]);
            let seen = keys.len() / width;
            scratch.scores.resize(queries.len() / width * seen, 0.0);
            dot_rows(keys, width, queries, &mut scratch.scores);
            let heads = scratch.scores.chunks_exact_mut(seen);
            for (scores, out) in heads.zip(out.chunks_exact_mut(width)) {
                softmax_in_place(scores);
                gemv(scores, values, out);
            }
        }
    }

    /// The queries of a chunk that belong to one kv head, against P + T positions in order.
    fn attend_chunk(
        &self,
        config: &NetworkConfig,
        kv: usize,
        projected: &[f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (width, columns) = (config.head_dim, config.attention_columns());
        let group = config.query_heads / config.kv_heads;
        let time = projected.len() / columns;
        let Scratch {
            keys,
            values,
            queries,
            scores,
            ..
        } = scratch;
        let first = (config.query_heads + kv) * width;
        self.gather(config, &self.keys[kv], projected, first, keys);
        let first = first + config.kv_heads * width;
        self.gather(config, &self.values[kv], projected, first, values);
        let before = keys.len() / width - time;
        for head in kv * group..(kv + 1) * group {
            for start in (0..time).step_by(QUERY_TILE) {
                let rows = QUERY_TILE.min(time - start);
                // Key rows that any query of the tile sees.
                let low = (before + start + 1).saturating_sub(config.window);
                let high = before + start + rows;
                let seen = high - low;
                queries.clear();
                for t in start..start + rows {
                    queries.extend_from_slice(&projected[t * columns + head * width..][..width]);
                }
                scores.resize(rows * seen, 0.0);
                let tile_keys = MatRef::new(&keys[low * width..high * width], seen, width);
                matmul(
                    MatMut::new(scores, rows, seen),
                    MatRef::new(queries, rows, width),
                    tile_keys.transposed(),
                    Update::Assign,
                    1,
                );
                for (r, row) in scores.chunks_exact_mut(seen).enumerate() {
                    let end = before + start + r + 1;
                    let begin = end.saturating_sub(config.window);
                    row[..begin - low].fill(0.0);
                    row[end - low..].fill(0.0);
                    softmax_in_place(&mut row[begin - low..end - low]);
                }
                let all = config.query_heads * width;
                let out = &mut out[start * all + head * width..];
                matmul(
                    MatMut::with_row_stride(out, rows, width, all),
                    MatRef::new(scores, rows, seen),
                    MatRef::new(&values[low * width..high * width], seen, width),
                    Update::Assign,
                    1,
                );
            }
        }
    }

    /// The rows of the ring that a window of the new tokens reaches, oldest first, then the new ones.
    fn gather(
        &self,
        config: &NetworkConfig,
        ring: &[f32],
        projected: &[f32],
        first_column: usize,
        out: &mut Vec<f32>,
    ) {
        let width = config.head_dim;
        out.clear();
        let kept = self.position.min(config.window - 1);
        for position in self.position - kept..self.position {
            out.extend_from_slice(&ring[position % config.window * width..][..width]);
        }
        for row in projected.chunks_exact(config.attention_columns()) {
            out.extend_from_slice(&row[first_column..][..width]);
        }
    }

    /// Puts keys and values of one token into the ring.
    fn push(&mut self, config: &NetworkConfig, projected: &[f32], t: usize) {
        let width = config.head_dim;
        let row = &projected[t * config.attention_columns()..][..config.attention_columns()];
        let slot = self.position % config.window * width;
        for kv in 0..config.kv_heads {
            let key = &row[(config.query_heads + kv) * width..][..width];
            let value = &row[(config.query_heads + config.kv_heads + kv) * width..][..width];
            for (ring, new) in [(&mut self.keys[kv], key), (&mut self.values[kv], value)] {
                if ring.len() <= slot {
                    ring.extend_from_slice(new);
                } else {
                    ring[slot..][..width].copy_from_slice(new);
                }
            }
        }
        self.position += 1;
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
