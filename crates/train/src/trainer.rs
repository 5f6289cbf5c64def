//! One network being trained on one device: a step, a score, its state for a checkpoint.
//!
//! Called by `run` and `bench`. It must not know files, time or where batches come from.

use crate::checkpoint::NamedTensor;
use crate::optimise::{Optimiser, TrainBackend};
use crate::record::LevelScore;
use crate::{TrainConfig, TrainError};
use burn::tensor::ElementConversion;
use nestor_model::{LevelMetrics, LossBatch, LossOptions, NestorBackend, Network, NetworkConfig};
use serde::Serialize;
use std::time::Instant;

/// What one step gave.
#[derive(Debug, Clone, PartialEq)]
pub struct StepResult {
    /// The trained loss over all levels.
    pub loss: f64,
    /// Scores by level on the batch, before the step.
    pub levels: Vec<LevelScore>,
    /// Norm of the whole gradient before clipping.
    pub gradient_norm: f64,
    /// Where the time went.
    pub seconds: Phases,
}

/// Seconds of the phases of a step. A device that works asynchronously finishes a phase in the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Phases {
    /// Loss and scores.
    pub forward: f64,
    /// Gradients.
    pub backward: f64,
    /// Norm, update and average.
    pub optimise: f64,
}

/// A network with its optimisers.
#[derive(Debug)]
pub struct Trainer<B: TrainBackend> {
    network: Network<B>,
    optimiser: Optimiser<B::Plain>,
    options: LossOptions,
}

impl<B: TrainBackend> Trainer<B> {
    /// A fresh network, the same for the same seed.
    ///
    /// # Errors
    /// [`TrainError::Model`] if the sizes are impossible.
    pub fn new(
        config: &TrainConfig,
        network: &NetworkConfig,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        network.validate()?;
        let network = Network::<B>::new(network, config.loader.seed, device);
        let network = network.with_products(config.products);
        Ok(Self {
            optimiser: Optimiser::new(&network, &config.optimiser),
            network,
            options: LossOptions {
                level_weights: config.level_weights(),
                distill: config.distill as f32,
                early_exit_stride: config.early_exit_stride,
                step: 0,
            },
        })
    }

    /// Goes on from the weights of `network`, with fresh optimisers.
    pub fn start_from(&mut self, network: Network<B>, config: &TrainConfig) {
        self.optimiser = Optimiser::new(&network, &config.optimiser);
        self.network = network.with_products(config.products);
    }

    /// Learns from a batch. `step` counts from 0, `factor` multiplies the learning rates.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] if the loss or a gradient is not finite; the weights have not moved
    /// then.
    pub fn step(
        &mut self,
        batch: &LossBatch,
        step: u64,
        factor: f64,
    ) -> Result<StepResult, TrainError> {
        self.options.step = step;
        let started = Instant::now();
        let output = self.network.loss(batch, &self.options)?;
        let loss: f64 = output.loss.clone().into_scalar().elem();
        if !loss.is_finite() {
            return Err(TrainError::NonFinite {
                step,
                place: "the loss".into(),
            });
        }
        let forward = started.elapsed().as_secs_f64();
        let gradients = output.loss.backward();
        let backward = started.elapsed().as_secs_f64() - forward;
        let update = self
            .optimiser
            .update(&mut self.network, gradients, step, factor)?;
        let optimise = started.elapsed().as_secs_f64() - forward - backward;
        Ok(StepResult {
            loss,
            levels: scores(&output.levels),
            gradient_norm: update.gradient_norm,
            seconds: Phases {
                forward,
                backward,
                optimise,
            },
        })
    }

    /// Scores of the averaged weights over batches, every position of every level.
    ///
    /// # Errors
    /// [`TrainError::Model`] if a batch does not fit the network.
    pub fn score(&self, batches: &[LossBatch]) -> Result<Vec<LevelScore>, TrainError> {
        score_of(&self.averaged(), &self.options.level_weights, batches)
    }

    /// The network that is released: the average over the last steps.
    pub fn averaged(&self) -> Network<B::Plain> {
        self.optimiser.averaged(&self.network)
    }

    /// Weights, averages and optimiser states, by name.
    pub fn export(&self) -> Vec<NamedTensor> {
        self.optimiser.export(&self.network)
    }

    /// Goes back to an export.
    ///
    /// # Errors
    /// What is missing or has the wrong shape.
    pub fn import(&mut self, tensors: &[NamedTensor]) -> Result<(), String> {
        self.optimiser.import(&mut self.network, tensors)
    }
}

/// Scores of a network over batches, every position of every level.
///
/// # Errors
/// [`TrainError::Model`] if a batch does not fit the network.
pub(crate) fn score_of<I: NestorBackend>(
    network: &Network<I>,
    level_weights: &[f32],
    batches: &[LossBatch],
) -> Result<Vec<LevelScore>, TrainError> {
    let options = LossOptions {
        level_weights: level_weights.to_vec(),
        distill: 0.0,
        early_exit_stride: 1,
        step: 0,
    };
    let mut mean = ScoreMean::default();
    for batch in batches {
        mean.add(&scores(&network.loss(batch, &options)?.levels));
    }
    Ok(mean.finish())
}

fn scores(levels: &[LevelMetrics]) -> Vec<LevelScore> {
    let score = |(index, metrics): (usize, &LevelMetrics)| LevelScore {
        level: index + 1,
        nll: metrics.nll,
        top1: metrics.top1,
        positions: metrics.positions,
    };
    levels.iter().enumerate().map(score).collect()
}

/// The mean of scores over batches, by positions.
#[derive(Debug, Default)]
pub struct ScoreMean {
    sums: Vec<LevelScore>,
}

impl ScoreMean {
    /// Adds the scores of one batch.
    pub fn add(&mut self, levels: &[LevelScore]) {
        if self.sums.is_empty() {
            self.sums = levels
                .iter()
                .map(|s| LevelScore {
                    level: s.level,
                    ..Default::default()
                })
                .collect();
        }
        for (sum, score) in self.sums.iter_mut().zip(levels) {
            sum.nll += score.nll * score.positions as f64;
            sum.top1 += score.top1 * score.positions as f64;
            sum.positions += score.positions;
        }
    }

    /// The means; empty if nothing was added.
    pub fn finish(self) -> Vec<LevelScore> {
        let mean = |sum: LevelScore| {
            let positions = sum.positions.max(1) as f64;
            LevelScore {
                nll: sum.nll / positions,
                top1: sum.top1 / positions,
                ..sum
            }
        };
        self.sums.into_iter().map(mean).collect()
    }
}
