//! How fast a network trains on a device, how much of that is matrix products, and whether the device
//! computes what the processor computes.
//!
//! Called by `nestor bench train` and by the scripts in `gpu/`. The share of matrix products is their operations divided by the
//! rate that the same back end reaches, in the same run, on a product of the network's own shape.

use crate::loader::{Loader, Order, project_material, special};
use crate::optimise::TrainBackend;
use crate::trainer::{Phases, Trainer};
use crate::{TrainConfig, TrainError};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};
use nestor_model::{LossBatch, NetworkConfig, TrainCpu};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use std::time::Instant;

/// What [`bench_step`] measured; times are medians over steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// Trained parameters.
    pub parameters: usize,
    /// Tokens in a step.
    pub tokens: usize,
    /// Threads.
    pub threads: usize,
    /// Measured steps.
    pub steps: usize,
    /// Tokens a second at the median step.
    pub tokens_per_s: f64,
    /// The same at the fastest and the slowest step.
    pub tokens_per_s_spread: [f64; 2],
    /// Seconds of the phases at the median step.
    pub seconds: Phases,
    /// Floating-point operations of matrix products in a step.
    pub matmul_flop: f64,
    /// Operations a second of a `[tokens, d] x [d, 2 F]` product.
    pub matmul_flop_per_s: f64,
    /// Share of a step that its matrix products would take at that rate.
    pub matmul_share: f64,
}

/// The losses of the same steps on the processor and on a device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParityReport {
    /// Losses on the processor, step by step.
    pub cpu: Vec<f64>,
    /// Losses on the device.
    pub device: Vec<f64>,
    /// Largest relative difference of a loss or a gradient norm.
    pub largest_difference: f64,
    /// Whether it is below [`PARITY_TOLERANCE`].
    pub passed: bool,
}

/// Largest relative difference that rounding explains: f32 sums in another order, over the steps of a
/// short run in which each step amplifies the difference of the one before.
pub const PARITY_TOLERANCE: f64 = 2e-3;

/// Trains on random tokens for `steps` steps after two that are not measured.
///
/// # Errors
/// [`TrainError`] as in a run.
pub(crate) fn bench_on<B: TrainBackend>(
    config: &TrainConfig,
    vocab: usize,
    steps: usize,
    device: &B::Device,
) -> Result<BenchReport, TrainError> {
    let network = config.size.network(config.levels, vocab);
    let mut trainer = Trainer::<B>::new(config, &network, device)?;
    let batch = random_batch(config, vocab, 0);
    trainer.step(&batch, 0, 0.1)?;
    trainer.step(&batch, 1, 0.1)?;
    let mut runs = Vec::with_capacity(steps);
    for step in 0..steps.max(1) {
        let phases = trainer.step(&batch, 2 + step as u64, 0.1)?.seconds;
        runs.push((phases.forward + phases.backward + phases.optimise, phases));
    }
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median_s, seconds) = runs[runs.len() / 2];
    let tokens = batch.tokens.len();
    let rate = |seconds: f64| tokens as f64 / seconds;
    let matmul_flop = step_flop(config, &network);
    let device = trainer.averaged().embedding.device();
    let matmul_flop_per_s =
        product_rate::<B::Plain>(tokens, network.width, 2 * network.ffn, &device);
    Ok(BenchReport {
        parameters: network.parameter_count(),
        tokens,
        threads: rayon::current_num_threads(),
        steps: runs.len(),
        tokens_per_s: rate(median_s),
        tokens_per_s_spread: [rate(runs[runs.len() - 1].0), rate(runs[0].0)],
        seconds,
        matmul_flop,
        matmul_flop_per_s,
        matmul_share: matmul_flop / matmul_flop_per_s / median_s,
    })
}

/// Takes the same steps on the processor and on a device.
///
/// # Errors
/// [`TrainError`] as in a run.
pub(crate) fn parity_on<B: TrainBackend>(
    config: &TrainConfig,
    vocab: usize,
    steps: usize,
    device: &B::Device,
) -> Result<ParityReport, TrainError> {
    let network = config.size.network(config.levels, vocab);
    let mut here = Trainer::<TrainCpu>::new(config, &network, &Default::default())?;
    let mut there = Trainer::<B>::new(config, &network, device)?;
    let mut report = ParityReport {
        cpu: Vec::new(),
        device: Vec::new(),
        largest_difference: 0.0,
        passed: false,
    };
    for step in 0..steps as u64 {
        let batch = random_batch(config, vocab, step);
        let (a, b) = (
            here.step(&batch, step, 1.0)?,
            there.step(&batch, step, 1.0)?,
        );
        for (a, b) in [(a.loss, b.loss), (a.gradient_norm, b.gradient_norm)] {
            report.largest_difference = report.largest_difference.max((a - b).abs() / a.abs());
        }
        report.cpu.push(a.loss);
        report.device.push(b.loss);
    }
    report.passed = report.largest_difference < PARITY_TOLERANCE;
    Ok(report)
}

/// Tokens a second that the loader prepares in one thread, over `batches` batches.
///
/// # Errors
/// [`TrainError`] as in a run.
pub fn bench_loader(config: &TrainConfig, batches: usize) -> Result<f64, TrainError> {
    let material = project_material(config)?;
    let mut loader = Loader::new(
        material.train,
        material.pieces,
        material.names,
        Order::Paths,
        &config.loader,
    );
    loader.next_batch()?;
    let started = Instant::now();
    for _ in 0..batches {
        loader.next_batch()?;
    }
    let tokens = batches * config.loader.batch * config.loader.seq_len;
    Ok(tokens as f64 / started.elapsed().as_secs_f64().max(1e-9))
}

fn random_batch(config: &TrainConfig, vocab: usize, number: u64) -> LossBatch {
    let (batch, time) = (config.loader.batch, config.loader.seq_len);
    let mut rng = StdRng::seed_from_u64(config.loader.seed + number);
    let mut draw = || -> Vec<u32> {
        (0..batch * time)
            .map(|_| rng.random_range(special::FIRST_BYTE..vocab as u32))
            .collect()
    };
    let (tokens, targets) = (draw(), draw());
    LossBatch {
        batch,
        time,
        tokens,
        targets,
        weights: vec![1.0; batch * time],
    }
}

/// Operations of all products with weights: forward, and twice as many backward; the head at every
/// position of the last exit and at every n-th of the others; Newton-Schulz once a step.
fn step_flop(config: &TrainConfig, network: &NetworkConfig) -> f64 {
    let (d, f) = (network.width, network.ffn);
    let delta = d * network.delta_columns() + network.delta_heads * network.value_dim * d;
    let attention = d * network.attention_columns() + network.query_heads * network.head_dim * d;
    let blocks = network.blocks_per_stage;
    let attending = (0..blocks).filter(|block| network.attends(*block)).count();
    let stage = blocks * 3 * d * f
        + (blocks - attending) * delta
        + attending * attention
        + 2 * d * network.exit_rank;
    let head = d * network.vocab;
    let heads = 1.0 + (network.stages - 1) as f64 / config.early_exit_stride as f64;
    let tokens = (config.loader.batch * config.loader.seq_len) as f64;
    let per_token = network.stages as f64 * stage as f64 + heads * head as f64;
    let newton_schulz = |rows: usize, columns: usize| {
        let (short, long) = (rows.min(columns) as f64, rows.max(columns) as f64);
        5.0 * (4.0 * short * short * long + 2.0 * short * short * short)
    };
    let ffn = newton_schulz(d, 2 * f) + newton_schulz(f, d);
    let mixers = match blocks - attending {
        0 => 0.0,
        delta => {
            delta as f64
                * (newton_schulz(d, network.delta_columns())
                    + newton_schulz(network.delta_heads * network.value_dim, d))
        }
    } + attending as f64
        * (newton_schulz(d, network.attention_columns())
            + newton_schulz(network.query_heads * network.head_dim, d));
    let exits = 2.0 * newton_schulz(d, network.exit_rank);
    let update = network.stages as f64 * (blocks as f64 * ffn + mixers + exits);
    6.0 * tokens * per_token + update
}

/// Operations a second of a product of the back end, the median of several.
fn product_rate<I: Backend>(rows: usize, inner: usize, columns: usize, device: &I::Device) -> f64 {
    let left = Tensor::<I, 2>::random([rows, inner], Distribution::Default, device);
    let right = Tensor::<I, 2>::random([inner, columns], Distribution::Default, device);
    let mut seconds: Vec<f64> = (0..15)
        .map(|_| {
            let started = Instant::now();
            let product = left.clone().matmul(right.clone());
            // A device that is lost shows in the steps; here only the time counts.
            let _ = I::sync(device);
            let elapsed = started.elapsed().as_secs_f64();
            drop(product);
            elapsed
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    2.0 * (rows * inner * columns) as f64 / seconds[seconds.len() / 2].max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Size, bench_step, parity};

    #[test]
    fn a_step_is_measured() {
        let mut config = TrainConfig::new("c".into(), Size::Nano, 1, "o".into());
        config.loader.batch = 1;
        config.loader.seq_len = 64;
        let parity = parity(&config, 300, 2).unwrap();
        assert!(parity.passed && parity.cpu.len() == 2, "{parity:?}");
        let report = bench_step(&config, 300, 2).unwrap();
        assert!(report.tokens_per_s > 0.0 && report.matmul_share > 0.0);
        assert!(report.seconds.backward > 0.0);
    }
}
