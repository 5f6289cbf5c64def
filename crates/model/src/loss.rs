//! The training loss over all exits.

use crate::backend::{apply, apply_on_device};
use crate::fused::ExitsLoss;
use crate::host::exits::{ExitsOp, ExitsShape};
use crate::{ModelError, NestorBackend, Network};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor, TensorData};
use std::sync::Arc;

/// Token windows and what is to be learned from them; every vector has `batch * time` entries.
#[derive(Debug, Clone, PartialEq)]
pub struct LossBatch {
    /// Windows.
    pub batch: usize,
    /// Tokens of each window.
    pub time: usize,
    /// Inputs.
    pub tokens: Vec<u32>,
    /// The piece that follows each input.
    pub targets: Vec<u32>,
    /// Weight of each target; 0 = context only.
    pub weights: Vec<f32>,
}

/// How the exits' losses are summed.
#[derive(Debug, Clone, PartialEq)]
pub struct LossOptions {
    /// One weight a level, level 1 first.
    pub level_weights: Vec<f32>,
    /// Share of the deepest exit's distribution in the lower exits' targets.
    pub distill: f32,
    /// Lower exits learn on every n-th position.
    pub early_exit_stride: usize,
    /// Optimiser step; shifts the positions of the lower exits.
    pub step: u64,
}

/// What one level reached on a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelMetrics {
    /// Mean negative log-likelihood, nats a piece.
    pub nll: f64,
    /// Share of positions whose most likely piece was right.
    pub top1: f64,
    /// Positions scored.
    pub positions: usize,
}

/// The loss of a batch.
#[derive(Debug)]
pub struct LossOutput<B: NestorBackend> {
    /// To call `backward` on, `[1]`.
    pub loss: Tensor<B, 1>,
    /// Level 1 first.
    pub levels: Vec<LevelMetrics>,
}

impl<B: NestorBackend> Network<B> {
    /// Loss of a batch over all exits.
    ///
    /// # Errors
    /// [`ModelError::Batch`] when lengths do not fit or a token is not in the vocabulary.
    pub fn loss(
        &self,
        batch: &LossBatch,
        options: &LossOptions,
    ) -> Result<LossOutput<B>, ModelError> {
        self.check(batch, options)?;
        let device = self.embedding.device();
        let tokens: Vec<i32> = batch.tokens.iter().map(|token| *token as i32).collect();
        let tokens = Tensor::<B, 2, Int>::from_data(
            TensorData::new(tokens, [batch.batch, batch.time]),
            &device,
        );
        let rows = batch.batch * batch.time;
        let states: Vec<Tensor<B, 2>> = self
            .exit_states(tokens)
            .into_iter()
            .map(|state| state.reshape([rows, self.config().width]))
            .collect();
        let shape = ExitsShape {
            width: self.config().width,
            vocab: self.config().vocab,
            targets: Arc::new(batch.targets.clone()),
            weights: Arc::new(batch.weights.clone()),
            level_weights: options.level_weights.clone(),
            distill: options.distill,
            early_stride: options.early_exit_stride,
            phase: options.step as usize % options.early_exit_stride,
        };
        Ok(match (B::HOST, states.len()) {
            (true, 1) => self.host_loss::<2>(shape, states),
            (true, 2) => self.host_loss::<3>(shape, states),
            (true, _) => self.host_loss::<4>(shape, states),
            (false, 1) => self.device_loss::<2>(shape, states),
            (false, 2) => self.device_loss::<3>(shape, states),
            (false, _) => self.device_loss::<4>(shape, states),
        })
    }

    fn check(&self, batch: &LossBatch, options: &LossOptions) -> Result<(), ModelError> {
        let expected = batch.batch * batch.time;
        let vocab = self.config().vocab as u32;
        for (field, found) in [
            ("tokens", batch.tokens.len()),
            ("targets", batch.targets.len()),
            ("weights", batch.weights.len()),
        ] {
            if found != expected {
                return Err(ModelError::Batch {
                    field,
                    found,
                    expected,
                });
            }
        }
        let expected = self.exits.len();
        let found = options.level_weights.len();
        if found != expected {
            return Err(ModelError::Batch {
                field: "level_weights",
                found,
                expected,
            });
        }
        if let Some(token) = batch
            .tokens
            .iter()
            .chain(&batch.targets)
            .find(|t| **t >= vocab)
        {
            return Err(ModelError::Batch {
                field: "largest token",
                found: *token as usize,
                expected: vocab as usize - 1,
            });
        }
        if options.early_exit_stride == 0 {
            return Err(ModelError::Batch {
                field: "early_exit_stride",
                found: 0,
                expected: 1,
            });
        }
        Ok(())
    }

    fn host_loss<const N: usize>(
        &self,
        shape: ExitsShape,
        states: Vec<Tensor<B, 2>>,
    ) -> LossOutput<B> {
        let out: Tensor<B, 1> = apply::<B, _, N, 1>(ExitsOp(shape), self.with_embedding(states));
        let values: Vec<f32> = out
            .clone()
            .into_data()
            .into_vec()
            .expect("host operations give f32");
        let levels = values[1..]
            .chunks_exact(3)
            .map(|score| LevelMetrics {
                nll: f64::from(score[0]),
                top1: f64::from(score[1]),
                positions: score[2] as usize,
            })
            .collect();
        LossOutput {
            loss: out.narrow(0, 0, 1),
            levels,
        }
    }

    /// The same loss on the device.
    fn device_loss<const N: usize>(
        &self,
        shape: ExitsShape,
        states: Vec<Tensor<B, 2>>,
    ) -> LossOutput<B> {
        let exits = states.len();
        let op = ExitsLoss {
            shape,
            products: self.products(),
        };
        let out: Tensor<B, 1> =
            apply_on_device::<B, _, N, 1>(op.clone(), self.with_embedding(states));
        let values: Vec<f32> = out
            .clone()
            .into_data()
            .into_vec()
            .expect("the back end's float type is f32");
        let level = |(exit, score): (usize, &[f32])| LevelMetrics {
            nll: f64::from(score[0]),
            top1: f64::from(score[1]),
            positions: op.positions(exit, exits),
        };
        LossOutput {
            loss: out.narrow(0, 0, 1),
            levels: values[1..].chunks_exact(2).enumerate().map(level).collect(),
        }
    }

    /// The embedding, then the rows of every exit.
    fn with_embedding<const N: usize>(&self, states: Vec<Tensor<B, 2>>) -> [FloatTensor<B>; N] {
        let mut inputs = std::iter::once(self.embedding.val()).chain(states);
        std::array::from_fn(|_| {
            let tensor = inputs
                .next()
                .expect("the caller matched N to the number of exits");
            tensor.into_primitive().tensor()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NetworkConfig, TrainCpu};

    /// Rows of logits that exist at once in the plain form.
    const TENSOR_ROWS: usize = 4096;

    /// The loss by plain tensor operations, differentiated by Burn: what both fused forms are compared with.
    fn plain_loss<B: NestorBackend>(
        network: &Network<B>,
        shape: &ExitsShape,
        states: Vec<Tensor<B, 2>>,
    ) -> LossOutput<B> {
        let device = network.embedding.device();
        let deepest = states.len() - 1;
        let mut loss = Tensor::<B, 1>::zeros([1], &device);
        let mut levels = Vec::new();
        let embedding = network.embedding.val();
        for (exit, state) in states.iter().enumerate() {
            let rows: Vec<usize> = (0..shape.targets.len())
                .filter(|row| shape.weights[*row] > 0.0)
                .filter(|row| {
                    exit == deepest || (row + shape.phase).is_multiple_of(shape.early_stride)
                })
                .collect();
            let total: f32 = rows
                .iter()
                .map(|row| shape.weights[*row])
                .sum::<f32>()
                .max(1e-9);
            let mut metrics = LevelMetrics {
                nll: 0.0,
                top1: 0.0,
                positions: rows.len(),
            };
            for rows in rows.chunks(TENSOR_ROWS) {
                let index: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
                let targets: Vec<i32> = rows.iter().map(|r| shape.targets[*r] as i32).collect();
                let weights: Vec<f32> = rows.iter().map(|r| shape.weights[*r] / total).collect();
                let index = Tensor::<B, 1, Int>::from_data(index.as_slice(), &device);
                let targets = Tensor::<B, 1, Int>::from_data(targets.as_slice(), &device);
                let weights = Tensor::<B, 1>::from_data(weights.as_slice(), &device);
                let (nll, log_p) = log_likelihood(
                    state.clone().select(0, index.clone()),
                    embedding.clone(),
                    targets.clone(),
                );
                let hard = (nll.clone() * weights.clone()).sum();
                let right = log_p
                    .clone()
                    .detach()
                    .argmax(1)
                    .squeeze_dim::<1>(1)
                    .equal(targets);
                metrics.nll += scalar(hard.clone());
                metrics.top1 += scalar((right.float() * weights.clone()).sum());
                let mut part = hard;
                if exit != deepest && shape.distill > 0.0 {
                    let teacher = states[deepest].clone().detach().select(0, index);
                    let teacher = burn::tensor::activation::softmax(
                        teacher.matmul(embedding.clone().detach().transpose()),
                        1,
                    );
                    let cross = (teacher * log_p).sum_dim(1).squeeze_dim::<1>(1).neg();
                    let cross = (cross * weights).sum();
                    part = part * f64::from(1.0 - shape.distill) + cross * f64::from(shape.distill);
                }
                loss = loss + part * f64::from(shape.level_weights[exit]);
            }
            levels.push(metrics);
        }
        LossOutput { loss, levels }
    }

    /// Negative log-likelihood `[M]` and logits' row-wise log-probabilities `[M, V]`.
    fn log_likelihood<B: NestorBackend>(
        states: Tensor<B, 2>,
        embedding: Tensor<B, 2>,
        targets: Tensor<B, 1, Int>,
    ) -> (Tensor<B, 1>, Tensor<B, 2>) {
        let log_p = burn::tensor::activation::log_softmax(states.matmul(embedding.transpose()), 1);
        let nll = log_p.clone().gather(1, targets.unsqueeze_dim::<2>(1)).neg();
        (nll.squeeze_dim::<1>(1), log_p)
    }

    fn scalar<B: NestorBackend>(value: Tensor<B, 1>) -> f64 {
        use burn::tensor::ElementConversion;
        value.into_scalar().elem::<f64>()
    }

    #[test]
    fn both_fused_losses_equal_the_plain_one_with_its_gradients() {
        let config = NetworkConfig {
            width: 16,
            vocab: 37,
            ..NetworkConfig::nano(3)
        };
        let network = Network::<TrainCpu>::new(&config, 3, &Default::default());
        let rows = 50;
        let shape = ExitsShape {
            width: config.width,
            vocab: config.vocab,
            targets: Arc::new((0..rows).map(|i| (i * 5 % 37) as u32).collect()),
            weights: Arc::new((0..rows).map(|i| [1.0, 0.0, 0.5][i % 3]).collect()),
            level_weights: vec![0.15, 0.25, 1.0],
            distill: 0.5,
            early_stride: 2,
            phase: 1,
        };
        let states: Vec<Tensor<TrainCpu, 2>> = (0..3)
            .map(|exit| {
                let values: Vec<f32> = (0..rows * 16)
                    .map(|i| ((i * (exit + 2)) as f32 * 0.37).sin() * 3.0)
                    .collect();
                Tensor::from_data(TensorData::new(values, [rows, 16]), &Default::default())
                    .require_grad()
            })
            .collect();
        // One graph at a time: a backward pass consumes everything that hangs on its leaves.
        let gradients = |output: LossOutput<TrainCpu>| {
            let grads = output.loss.backward();
            let mut all: Vec<_> = states.iter().map(|s| s.grad(&grads).unwrap()).collect();
            all.push(network.embedding.val().grad(&grads).unwrap());
            (output.levels, output.loss.into_scalar(), all)
        };
        let (plain, plain_loss, plain_grads) =
            gradients(plain_loss(&network, &shape, states.clone()));
        for name in ["host", "device"] {
            let fused = match name {
                "host" => network.host_loss::<4>(shape.clone(), states.clone()),
                _ => network.device_loss::<4>(shape.clone(), states.clone()),
            };
            let (levels, loss, grads) = gradients(fused);
            for (a, b) in levels.iter().zip(&plain) {
                assert!((a.nll - b.nll).abs() < 1e-4, "{name}: {a:?} {b:?}");
                assert!((a.top1 - b.top1).abs() < 1e-5, "{name}: {a:?} {b:?}");
                assert_eq!(a.positions, b.positions, "{name}");
            }
            assert!(
                (loss - plain_loss).abs() < 1e-4,
                "{name}: {loss} {plain_loss}"
            );
            for (fused, plain) in grads.into_iter().zip(&plain_grads) {
                let difference = (fused - plain.clone()).abs().max().into_scalar();
                assert!(difference < 1e-5, "{name}: {difference}");
            }
        }
    }
}
