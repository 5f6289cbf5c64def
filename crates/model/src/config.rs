//! The shape of a network, as `model.json` keeps it under `network`.

use crate::ModelError;
use serde::{Deserialize, Serialize};

/// Sizes of one network. All are counts of elements, not bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Width of the residual stream (d).
    pub width: usize,
    /// Stages, one exit after each.
    pub stages: usize,
    /// Blocks in a stage; the last one mixes by attention, the others by the delta rule.
    pub blocks_per_stage: usize,
    /// Inner width of the feed-forward layer (F).
    pub ffn: usize,
    /// Pieces of the tokenizer (V).
    pub vocab: usize,
    /// Heads of the delta rule (H); 0 for a plain transformer, whose blocks all mix by attention.
    pub delta_heads: usize,
    /// Key width of a delta-rule head (K).
    pub key_dim: usize,
    /// Value width of a delta-rule head.
    pub value_dim: usize,
    /// Query heads of attention.
    pub query_heads: usize,
    /// Key and value heads of attention.
    pub kv_heads: usize,
    /// Width of an attention head.
    pub head_dim: usize,
    /// Positions that attention sees, the current one included.
    pub window: usize,
    /// Taps of the causal convolution before the delta rule.
    pub conv: usize,
    /// Base of the rotary position angles.
    pub rope_theta: f64,
    /// Rank of an exit's adapter.
    pub exit_rank: usize,
    /// Added to mean squares before the root.
    pub norm_eps: f64,
}

impl NetworkConfig {
    /// About 4 M parameters: trains on a CPU, ships in the repository.
    pub fn nano(stages: usize) -> Self {
        Self {
            width: 192,
            stages,
            blocks_per_stage: 2,
            ffn: 512,
            vocab: 8192,
            delta_heads: 2,
            key_dim: 64,
            value_dim: 128,
            query_heads: 3,
            kv_heads: 1,
            head_dim: 64,
            window: 512,
            conv: 4,
            rope_theta: 1e5,
            exit_rank: 32,
            norm_eps: 1e-6,
        }
    }

    /// About 14 M parameters: the everyday model.
    pub fn tiny(stages: usize) -> Self {
        Self {
            width: 320,
            blocks_per_stage: 3,
            ffn: 880,
            delta_heads: 3,
            query_heads: 5,
            exit_rank: 64,
            ..Self::nano(stages)
        }
    }

    /// About 50 M parameters: the accurate model, trained on a GPU.
    pub fn base(stages: usize) -> Self {
        Self {
            width: 512,
            blocks_per_stage: 4,
            ffn: 1408,
            vocab: 16384,
            delta_heads: 4,
            query_heads: 8,
            kv_heads: 2,
            exit_rank: 64,
            ..Self::nano(stages)
        }
    }

    /// The plain transformer of the size `nano`: attention in every block, and feed-forward layers that are wider by what its mixers have
    /// fewer weights. For comparisons.
    pub fn nano_attention(stages: usize) -> Self {
        Self {
            ffn: 600,
            delta_heads: 0,
            ..Self::nano(stages)
        }
    }

    /// Whether a block of a stage mixes by attention; the others mix by the delta rule.
    pub fn attends(&self, block: usize) -> bool {
        self.delta_heads == 0 || block + 1 == self.blocks_per_stage
    }

    /// Columns of the delta mixer's input projection: q, k, v, gate, decay, write strength.
    pub fn delta_columns(&self) -> usize {
        self.conv_channels() + self.delta_heads * (self.value_dim + 2)
    }

    /// Channels that pass through the causal convolution: q, k and v of all heads.
    pub fn conv_channels(&self) -> usize {
        self.delta_heads * (2 * self.key_dim + self.value_dim)
    }

    /// Columns of attention's q, k and v projection.
    pub fn attention_columns(&self) -> usize {
        (self.query_heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Number of trained parameters.
    pub fn parameter_count(&self) -> usize {
        let (d, dv) = (self.width, self.delta_heads * self.value_dim);
        let delta = d * self.delta_columns()
            + self.conv * self.conv_channels()
            + 2 * self.delta_heads
            + self.value_dim
            + dv * d;
        let attention =
            d * self.attention_columns() + 2 * self.head_dim + self.query_heads * self.head_dim * d;
        let ffn = 3 * d * self.ffn + 2 * d;
        let attending = (0..self.blocks_per_stage).filter(|block| self.attends(*block));
        let attending = attending.count();
        let stage = self.blocks_per_stage * ffn
            + (self.blocks_per_stage - attending) * delta
            + attending * attention;
        let exit = d + 2 * d * self.exit_rank;
        self.vocab * d + self.stages * (stage + exit)
    }

    /// Checks that a network can be built from the sizes.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the first field that is wrong.
    pub fn validate(&self) -> Result<(), ModelError> {
        let positive = [
            ("width", self.width),
            ("stages", self.stages),
            ("blocks_per_stage", self.blocks_per_stage),
            ("ffn", self.ffn),
            ("vocab", self.vocab),
            ("key_dim", self.key_dim),
            ("value_dim", self.value_dim),
            ("query_heads", self.query_heads),
            ("kv_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("window", self.window),
            ("conv", self.conv),
            ("exit_rank", self.exit_rank),
        ];
        for (field, value) in positive {
            if value == 0 {
                return Err(ModelError::Config {
                    field,
                    value,
                    reason: "must be at least 1",
                });
            }
        }
        if self.stages > 3 {
            return Err(ModelError::Config {
                field: "stages",
                value: self.stages,
                reason: "must be at most 3",
            });
        }
        if !self.query_heads.is_multiple_of(self.kv_heads) {
            return Err(ModelError::Config {
                field: "query_heads",
                value: self.query_heads,
                reason: "must be a multiple of kv_heads",
            });
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(ModelError::Config {
                field: "head_dim",
                value: self.head_dim,
                reason: "must be even for rotary positions",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_near_the_ones_of_the_design() {
        for (config, low, high) in [
            (NetworkConfig::nano(3), 4.0e6, 5.0e6),
            (NetworkConfig::tiny(3), 12.0e6, 16.0e6),
            (NetworkConfig::base(3), 42.0e6, 54.0e6),
        ] {
            let count = config.parameter_count() as f64;
            assert!(low < count && count < high, "{config:?}: {count}");
        }
    }

    #[test]
    fn the_plain_transformer_has_as_many_weights() {
        let (nested, plain) = (NetworkConfig::nano(3), NetworkConfig::nano_attention(3));
        plain.validate().unwrap();
        let ratio = plain.parameter_count() as f64 / nested.parameter_count() as f64;
        assert!((0.99..1.01).contains(&ratio), "{ratio}");
    }

    #[test]
    fn a_wrong_size_is_named() {
        let config = NetworkConfig {
            kv_heads: 2,
            ..NetworkConfig::nano(3)
        };
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("query_heads"), "{error}");
    }
}
