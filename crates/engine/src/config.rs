//! What `model.json` says: the network's sizes and where a model comes from.
//!
//! The page docs/model-folder.md is the contract; the crate `model` writes the same fields.

use crate::EngineError;
use nestor_kernels::MAX_INT8_INPUTS;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of `model.json` that this program reads.
pub const FORMAT_VERSION: u32 = 1;

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
    /// The sizes of the model `nano`.
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

    /// The sizes of the model `tiny`.
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

    /// Whether a block of a stage mixes by attention; the others mix by the delta rule.
    pub fn attends(&self, block: usize) -> bool {
        self.delta_heads == 0 || block + 1 == self.blocks_per_stage
    }

    /// The sizes of the model `base`.
    pub fn base(stages: usize) -> Self {
        Self {
            width: 512,
            blocks_per_stage: 4,
            ffn: 1408,
            vocab: 16_384,
            delta_heads: 4,
            query_heads: 8,
            kv_heads: 2,
            exit_rank: 64,
            ..Self::nano(stages)
        }
    }

    /// Channels that pass through the causal convolution: q, k and v of all delta heads.
    pub fn conv_channels(&self) -> usize {
        self.delta_heads * (2 * self.key_dim + self.value_dim)
    }

    /// Columns of the delta mixer's input projection: q, k, v, gate, decay, write strength.
    pub fn delta_columns(&self) -> usize {
        self.conv_channels() + self.delta_heads * (self.value_dim + 2)
    }

    /// Columns of attention's q, k and v projection.
    pub fn attention_columns(&self) -> usize {
        (self.query_heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Checks that a network can be built from the sizes.
    ///
    /// # Errors
    /// [`EngineError::Config`] with the first field that is wrong.
    pub fn validate(&self) -> Result<(), EngineError> {
        // The limits are far above anything of ours; they keep a foreign file from asking for more
        // memory than it has bytes.
        let sizes = [
            ("width", self.width, 1 << 16),
            ("stages", self.stages, 64),
            ("blocks_per_stage", self.blocks_per_stage, 1 << 10),
            ("ffn", self.ffn, 1 << 17),
            ("vocab", self.vocab, 1 << 20),
            ("delta_heads", self.delta_heads, 256),
            ("key_dim", self.key_dim, 1 << 10),
            ("value_dim", self.value_dim, 1 << 10),
            ("query_heads", self.query_heads, 256),
            ("kv_heads", self.kv_heads, 256),
            ("head_dim", self.head_dim, 1 << 10),
            ("window", self.window, 1 << 20),
            ("conv", self.conv, 64),
            ("exit_rank", self.exit_rank, 1 << 16),
        ];
        for (field, value, largest) in sizes {
            if value == 0 && field != "delta_heads" {
                let reason = "must be at least 1".to_owned();
                return Err(EngineError::Config {
                    field,
                    value: value as f64,
                    reason,
                });
            }
            if value > largest {
                let reason = format!("must be at most {largest}");
                return Err(EngineError::Config {
                    field,
                    value: value as f64,
                    reason,
                });
            }
        }
        // More inputs than this no product of codes sums without overflow.
        for (field, heads, width) in [
            ("value_dim", self.delta_heads, self.value_dim),
            ("head_dim", self.query_heads, self.head_dim),
        ] {
            if heads * width > MAX_INT8_INPUTS {
                return Err(EngineError::Config {
                    field,
                    value: width as f64,
                    reason: format!("{heads} heads of it are more than {MAX_INT8_INPUTS}"),
                });
            }
        }
        if !self.query_heads.is_multiple_of(self.kv_heads) {
            let reason = "must be a multiple of kv_heads".to_owned();
            let value = self.query_heads as f64;
            return Err(EngineError::Config {
                field: "query_heads",
                value,
                reason,
            });
        }
        if !self.head_dim.is_multiple_of(2) {
            let reason = "must be even for rotary positions".to_owned();
            let value = self.head_dim as f64;
            return Err(EngineError::Config {
                field: "head_dim",
                value,
                reason,
            });
        }
        for (field, value) in [("rope_theta", self.rope_theta), ("norm_eps", self.norm_eps)] {
            if !(value.is_finite() && value > 0.0) {
                let reason = "must be a positive number".to_owned();
                return Err(EngineError::Config {
                    field,
                    value,
                    reason,
                });
            }
        }
        Ok(())
    }
}

/// How the numbers of `weights.safetensors` are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantisation {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Matrices as 8-bit codes with a scale for each column, the rest as 32-bit floats.
    Int8,
}

/// The content of `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The model's name, such as `nestor-nano`.
    pub name: String,
    /// Sizes of the network.
    pub network: NetworkConfig,
    /// How the weights are stored.
    pub quantisation: Quantisation,
    /// Whether the network was trained with what the metadata says of a module's object and form behind the header line.
    #[serde(default)]
    pub outlines: bool,
    /// Hash of `tokenizer.json`, in lower-case hexadecimal digits like the others.
    pub tokenizer_sha256: String,
    /// Hash of the manifest of the corpus that the model was trained on.
    pub corpus_sha256: String,
    /// Hash of `weights.safetensors`.
    pub weights_sha256: String,
    /// What was measured when the model was made; for people and reports.
    #[serde(default)]
    pub metrics: serde_json::Map<String, serde_json::Value>,
}

impl Manifest {
    /// Reads and checks `model.json`.
    ///
    /// # Errors
    /// [`EngineError`] that names the file and the field.
    pub fn read(path: &Path) -> Result<Self, EngineError> {
        let file_error = |reason: String| EngineError::File {
            path: path.to_path_buf(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|e| file_error(e.to_string()))?;
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|e| file_error(format!("not JSON: {e}")))?;
        // The version comes first: the fields of a later version are unknown, not wrong.
        let version = value.get("format_version");
        if version.and_then(serde_json::Value::as_u64) != Some(u64::from(FORMAT_VERSION)) {
            return Err(EngineError::FormatVersion {
                path: path.to_path_buf(),
                found: version.map_or("missing".to_owned(), ToString::to_string),
                supported: FORMAT_VERSION,
            });
        }
        let manifest: Self =
            serde_json::from_value(value).map_err(|e| file_error(e.to_string()))?;
        manifest.network.validate()?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_sizes_are_named() {
        for (config, field) in [
            (
                NetworkConfig {
                    kv_heads: 2,
                    ..NetworkConfig::nano(3)
                },
                "query_heads",
            ),
            (
                NetworkConfig {
                    head_dim: 63,
                    ..NetworkConfig::nano(3)
                },
                "head_dim",
            ),
            (
                NetworkConfig {
                    width: 0,
                    ..NetworkConfig::nano(3)
                },
                "width",
            ),
            (
                NetworkConfig {
                    ffn: 1 << 40,
                    ..NetworkConfig::nano(3)
                },
                "ffn",
            ),
            (
                NetworkConfig {
                    norm_eps: f64::NAN,
                    ..NetworkConfig::nano(3)
                },
                "norm_eps",
            ),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        NetworkConfig::nano(3).validate().unwrap();
        NetworkConfig::tiny(1).validate().unwrap();
    }
}
