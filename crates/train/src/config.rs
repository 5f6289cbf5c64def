//! What a training run is told, as resolved: every value is set, nothing is looked up later.
//!
//! Built by `cli` from what the user typed, through [`TrainConfig::new`] and its fields; kept in
//! checkpoints and in the run record.

use crate::TrainError;
use crate::schedule::{Budget, Schedule, Shape};
use nestor_model::{NetworkConfig, Products};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Sizes of network that can be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// About 4 M parameters.
    Nano,
    /// A plain transformer with as many, for comparisons.
    NanoAttention,
    /// About 14 M parameters.
    Tiny,
    /// About 50 M parameters.
    Base,
}

impl Size {
    /// The name as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nano => "nano",
            Self::NanoAttention => "nano-attention",
            Self::Tiny => "tiny",
            Self::Base => "base",
        }
    }

    /// The network of this size with `levels` stages over a vocabulary of `vocab` pieces.
    pub fn network(self, levels: usize, vocab: usize) -> NetworkConfig {
        let config = match self {
            Self::Nano => NetworkConfig::nano(levels),
            Self::NanoAttention => NetworkConfig::nano_attention(levels),
            Self::Tiny => NetworkConfig::tiny(levels),
            Self::Base => NetworkConfig::base(levels),
        };
        NetworkConfig { vocab, ..config }
    }
}

/// Where the network is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor.
    Cpu,
    /// The first CUDA device; needs the feature `cuda`.
    Cuda,
    /// The first card that wgpu finds; needs the feature `wgpu`.
    Wgpu,
}

impl Device {
    /// The name as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }
}

/// How batches are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderConfig {
    /// Windows in a batch.
    pub batch: usize,
    /// Tokens in a window.
    pub seq_len: usize,
    /// Share of file pieces that are laid out for filling in the middle.
    pub fill_in_middle: f64,
    /// Share of project visits whose identifiers are renamed.
    pub rename: f64,
    /// Share of files whose path header is left out.
    pub drop_header: f64,
    /// Share of the headers that stand without what the metadata says of their object and form, where the corpus knows it.
    #[serde(default = "always")]
    pub drop_outline: f64,
    /// A project is picked in proportion to its tokens to this power.
    pub project_exponent: f64,
    /// Seed of every random choice.
    pub seed: u64,
}

/// How the weights are moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimiserConfig {
    /// Rate of Muon for hidden matrices, before the factor `0.2 sqrt(max(rows, columns))`.
    pub muon_rate: f64,
    /// Rate of AdamW for the embedding, norms, convolutions and gates.
    pub adamw_rate: f64,
    /// Decoupled weight decay of everything but norms and gates.
    pub weight_decay: f64,
    /// Largest norm of the whole gradient.
    pub clip: f64,
    /// Decay of the averaged weights a step.
    pub ema: f64,
    /// The learning rate over the run.
    pub schedule: Schedule,
}

/// One run of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The corpus folder.
    pub corpus: PathBuf,
    /// The output folder: record, checkpoints and, at the end, the model.
    pub out: PathBuf,
    /// Size of the network.
    pub size: Size,
    /// Stages of the network (levels), 1 to 3.
    pub levels: usize,
    /// Where to compute.
    pub device: Device,
    /// How the factors of products are rounded on a GPU; the processor computes in f32.
    #[serde(default)]
    pub products: Products,
    /// Model folder whose weights the run starts from, instead of random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<PathBuf>,
    /// Train on this many random methods instead of whole projects.
    pub samples: Option<usize>,
    /// When to end.
    pub budget: Budget,
    /// How batches are made.
    pub loader: LoaderConfig,
    /// How the weights are moved.
    pub optimiser: OptimiserConfig,
    /// Weight of the distillation from the last exit.
    pub distill: f64,
    /// Lower exits are trained on every n-th position.
    pub early_exit_stride: usize,
    /// How often something is logged, checked and kept.
    pub intervals: Intervals,
}

/// How often a run reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intervals {
    /// Steps between logged steps.
    pub log_steps: u64,
    /// Steps between validations.
    pub validate_steps: u64,
    /// Windows of withheld text in a validation.
    pub validate_windows: usize,
    /// Steps between checkpoints.
    pub checkpoint_steps: u64,
    /// Seconds between checkpoints, if they come sooner than by steps.
    pub checkpoint_s: f64,
}

/// Runs that began before there were outlines go on without them.
fn always() -> f64 {
    1.0
}

impl TrainConfig {
    /// The recipe for a size: what `nestor train` uses unless told otherwise.
    pub fn new(corpus: PathBuf, size: Size, levels: usize, out: PathBuf) -> Self {
        // On a CPU many small steps teach more in an hour than few large ones.
        let (batch, seq_len) = if size == Size::Nano {
            (4, 512)
        } else {
            (8, 1024)
        };
        Self {
            corpus,
            out,
            size,
            levels,
            device: Device::Cpu,
            products: Products::F32,
            start: None,
            samples: None,
            budget: Budget::default(),
            loader: LoaderConfig {
                batch,
                seq_len,
                fill_in_middle: 0.3,
                rename: 0.3,
                drop_header: 0.1,
                drop_outline: 0.5,
                project_exponent: 0.7,
                seed: 1,
            },
            optimiser: OptimiserConfig {
                muon_rate: 4e-3,
                adamw_rate: 3e-3,
                weight_decay: 0.1,
                clip: 1.0,
                ema: 0.997,
                schedule: Schedule {
                    shape: Shape::Wsd,
                    warm_up_steps: 100,
                    floor: 0.02,
                },
            },
            distill: 0.5,
            early_exit_stride: 4,
            intervals: Intervals {
                log_steps: 10,
                validate_steps: 500,
                validate_windows: 32,
                checkpoint_steps: 1000,
                checkpoint_s: 300.0,
            },
        }
    }

    /// Turns to training on `count` random methods: left to right, names as they are.
    pub fn with_samples(mut self, count: usize) -> Self {
        self.samples = Some(count);
        self.loader.fill_in_middle = 0.0;
        self.loader.rename = 0.0;
        self
    }

    /// Weights of the levels' losses: 1 for the last, 0.3 for those below it.
    ///
    /// At 0.15 the first exit had not learned to copy from its context after 4 M tokens (LOG.md, 2026-11-23).
    pub fn level_weights(&self) -> Vec<f32> {
        let all = [0.3, 0.3, 1.0];
        all[all.len().saturating_sub(self.levels)..].to_vec()
    }

    /// The first setting that differs and that a resumed run must keep: not where files lie, how
    /// long it goes on or how often it reports.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<&'static str> {
        [
            ("model", self.size != other.size),
            ("levels", self.levels != other.levels),
            ("samples", self.samples != other.samples),
            ("products", self.products != other.products),
            ("start", self.start != other.start),
            ("loader", self.loader != other.loader),
            ("optimiser", self.optimiser != other.optimiser),
            ("distill", self.distill != other.distill),
            (
                "early_exit_stride",
                self.early_exit_stride != other.early_exit_stride,
            ),
        ]
        .into_iter()
        .find_map(|(name, differs)| differs.then_some(name))
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`TrainError::Config`] with the first setting that is wrong.
    pub fn validate(&self) -> Result<(), TrainError> {
        let wrong = |field: &'static str, value: &dyn std::fmt::Display, reason: &str| {
            Err(TrainError::Config {
                field,
                value: value.to_string(),
                reason: reason.into(),
            })
        };
        if !(1..=3).contains(&self.levels) {
            return wrong("levels", &self.levels, "must be 1, 2 or 3");
        }
        if self.budget.is_unlimited() {
            return wrong(
                "budget",
                &"none",
                "give a number of steps, epochs or minutes",
            );
        }
        if self.products == Products::Bf16 && self.device == Device::Cpu {
            return wrong("products", &"bf16", "the processor computes in f32");
        }
        for (field, value, low) in [
            ("batch", self.loader.batch, 1),
            ("seq_len", self.loader.seq_len, 64),
            ("early_exit_stride", self.early_exit_stride, 1),
            ("samples", self.samples.unwrap_or(10), 10),
        ] {
            if value < low {
                return wrong(field, &value, &format!("must be at least {low}"));
            }
        }
        for (field, value) in [
            ("fill_in_middle", self.loader.fill_in_middle),
            ("rename", self.loader.rename),
            ("drop_header", self.loader.drop_header),
            ("drop_outline", self.loader.drop_outline),
            ("ema", self.optimiser.ema),
            ("floor", self.optimiser.schedule.floor),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return wrong(field, &value, "must lie between 0 and 1");
            }
        }
        for (field, value) in [
            ("muon_rate", self.optimiser.muon_rate),
            ("adamw_rate", self.optimiser.adamw_rate),
            ("clip", self.optimiser.clip),
            ("minutes", self.budget.minutes.unwrap_or(1.0)),
            ("epochs", self.budget.epochs.unwrap_or(1.0)),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return wrong(field, &value, "must be a positive number");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named() {
        let good = TrainConfig {
            budget: Budget {
                steps: Some(1),
                ..Budget::default()
            },
            ..TrainConfig::new("c".into(), Size::Nano, 3, "o".into())
        };
        good.validate().unwrap();
        let mut zero_batch = good.clone();
        zero_batch.loader.batch = 0;
        let mut rate = good.clone();
        rate.optimiser.muon_rate = f64::NAN;
        for (config, field) in [
            (
                TrainConfig {
                    levels: 4,
                    ..good.clone()
                },
                "levels",
            ),
            (
                TrainConfig {
                    budget: Budget::default(),
                    ..good.clone()
                },
                "budget",
            ),
            (zero_batch, "batch"),
            (rate, "muon_rate"),
            (
                TrainConfig {
                    samples: Some(3),
                    ..good.clone()
                },
                "samples",
            ),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn the_last_level_weighs_most() {
        for (levels, expected) in [
            (1, vec![1.0]),
            (2, vec![0.3, 1.0]),
            (3, vec![0.3, 0.3, 1.0]),
        ] {
            let config = TrainConfig::new("c".into(), Size::Nano, levels, "o".into());
            assert_eq!(config.level_weights(), expected);
        }
    }
}
