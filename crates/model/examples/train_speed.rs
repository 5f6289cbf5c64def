//! Tokens per second of forward and backward on the CPU, and the share of each part.
//!
//! `cargo run --release -p nestor-model --example train_speed -- [nano|tiny] [batch] [time]`

use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};
use nestor_model::host::attention::{self, AttentionShape};
use nestor_model::host::delta::{self, DeltaInputs, DeltaShape};
use nestor_model::tensor_form::{self, DeltaParameters};
use nestor_model::{Cpu, LossBatch, LossOptions, Network, NetworkConfig, TrainCpu};
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let config = match arguments.next().as_deref() {
        Some("tiny") => NetworkConfig::tiny(3),
        _ => NetworkConfig::nano(3),
    };
    let number = |argument: Option<String>, default| {
        argument.and_then(|a| a.parse().ok()).unwrap_or(default)
    };
    let batch: usize = number(arguments.next(), 8);
    let time: usize = number(arguments.next(), 512);
    let tokens = batch * time;
    println!(
        "{} parameters, batch {batch} x {time}",
        config.parameter_count()
    );

    let device = Default::default();
    let network = Network::<TrainCpu>::new(&config, 1, &device);
    let loss_batch = LossBatch {
        batch,
        time,
        tokens: (0..tokens)
            .map(|i| (i * 31 % config.vocab) as u32)
            .collect(),
        targets: (0..tokens)
            .map(|i| (i * 37 % config.vocab) as u32)
            .collect(),
        weights: vec![1.0; tokens],
    };
    let options = LossOptions {
        level_weights: vec![0.3, 0.3, 1.0],
        distill: 0.5,
        early_exit_stride: 2,
        step: 0,
    };
    for round in 0..3 {
        let start = Instant::now();
        let output = network.loss(&loss_batch, &options).expect("the batch fits");
        let forward = start.elapsed().as_secs_f64();
        let _grads = output.loss.backward();
        let total = start.elapsed().as_secs_f64();
        println!(
            "round {round}: {:.0} tokens/s (forward {forward:.2} s, backward {:.2} s)",
            tokens as f64 / total,
            total - forward
        );
    }

    let a = Tensor::<Cpu, 2>::random([tokens, config.width], Distribution::Default, &device);
    let b = Tensor::<Cpu, 2>::random([config.width, config.vocab], Distribution::Default, &device);
    let start = Instant::now();
    let _product = a.matmul(b).into_data();
    Cpu::sync(&device).expect("the CPU is always in step");
    let flops = 2.0 * (tokens * config.width * config.vocab) as f64;
    println!(
        "head product: {:.0} GFLOP/s",
        flops / start.elapsed().as_secs_f64() / 1e9
    );
    mixers(&config, batch, time);
}

fn mixers(config: &NetworkConfig, batch: usize, time: usize) {
    let shape = DeltaShape {
        batch,
        time,
        heads: config.delta_heads,
        key_dim: config.key_dim,
        value_dim: config.value_dim,
        conv: config.conv,
        eps: config.norm_eps,
    };
    let projected: Vec<f32> = (0..batch * time * shape.columns())
        .map(|i| (i as f32 * 0.37).sin())
        .collect();
    let conv = vec![0.4_f32; shape.conv * shape.channels()];
    let (a_log, dt_bias) = (vec![0.5_f32; shape.heads], vec![-3.0_f32; shape.heads]);
    let out_norm = vec![1.0_f32; shape.value_dim];
    let inputs = DeltaInputs {
        projected: &projected,
        conv: &conv,
        a_log: &a_log,
        dt_bias: &dt_bias,
        out_norm: &out_norm,
    };
    let micros = |start: Instant| start.elapsed().as_secs_f64() * 1e6 / (batch * time) as f64;
    let start = Instant::now();
    let y = delta::forward(shape, inputs);
    let forward = micros(start);
    let start = Instant::now();
    let _gradients = delta::backward(shape, inputs, &y);
    println!(
        "fused delta mixer: forward {forward:.1}, backward {:.1} us a token and layer",
        micros(start)
    );

    // The same mixer as a composition of tensor operations, differentiated by Burn.
    type Train<const D: usize> = Tensor<TrainCpu, D>;
    let device = Default::default();
    let uniform = Distribution::Uniform(-1.0, 1.0);
    let x = Train::<3>::random([batch, time, shape.columns()], uniform, &device).require_grad();
    let parameters = DeltaParameters {
        conv: Train::<2>::random([shape.conv, shape.channels()], uniform, &device).require_grad(),
        a_log: Train::<1>::zeros([shape.heads], &device).require_grad(),
        dt_bias: Train::<1>::zeros([shape.heads], &device).require_grad(),
        out_norm: Train::<1>::ones([shape.value_dim], &device).require_grad(),
    };
    let start = Instant::now();
    let out = tensor_form::delta_mixer(shape, x, parameters);
    let forward = micros(start);
    let start = Instant::now();
    let _grads = out.sum().backward();
    println!(
        "delta mixer by tensor operations: forward {forward:.1}, backward {:.1} us a token and layer",
        micros(start)
    );

    let shape = AttentionShape {
        batch,
        time,
        query_heads: config.query_heads,
        kv_heads: config.kv_heads,
        head_dim: config.head_dim,
        window: config.window,
        rope_theta: config.rope_theta,
        eps: config.norm_eps,
    };
    let qkv: Vec<f32> = (0..batch * time * shape.columns())
        .map(|i| (i as f32 * 0.37).sin())
        .collect();
    let gain = vec![1.0_f32; config.head_dim];
    let start = Instant::now();
    let (y, weights) = attention::forward(shape, &qkv, &gain, &gain);
    let forward = micros(start);
    let start = Instant::now();
    let _gradients = attention::backward(shape, [&qkv, &gain, &gain], &weights, &y);
    println!(
        "fused attention: forward {forward:.1}, backward {:.1} us a token and layer",
        micros(start)
    );
}
