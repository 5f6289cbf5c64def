//! Host operations against their tensor form: outputs and every gradient; and the equalities of
//! the whole network.

use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Int, Tensor, TensorData};
use nestor_model::host::attention::{AttentionOp, AttentionShape};
use nestor_model::host::delta::{DeltaOp, DeltaShape};
use nestor_model::tensor_form::{self, DeltaParameters};
use nestor_model::{
    Cpu, LossBatch, LossOptions, NestorBackend, Network, NetworkConfig, TrainCpu, WeightType,
    load_weights, save_weights,
};

type Train<const D: usize> = Tensor<TrainCpu, D>;

/// f32 sums in another order differ by about this much, relative to the largest value.
const TOLERANCE: f32 = 2e-4;

fn assert_close<const D: usize>(found: Tensor<Cpu, D>, expected: Tensor<Cpu, D>, what: &str) {
    let scale = expected.clone().abs().max().into_scalar().max(1e-3);
    let error = (found - expected).abs().max().into_scalar();
    assert!(
        error <= TOLERANCE * scale,
        "{what}: {error} against scale {scale}"
    );
}

fn random<const D: usize>(shape: [usize; D]) -> Train<D> {
    let distribution = Distribution::Uniform(-1.0, 1.0);
    Train::random(shape, distribution, &Default::default()).require_grad()
}

fn small() -> NetworkConfig {
    NetworkConfig {
        width: 32,
        ffn: 48,
        vocab: 61,
        key_dim: 16,
        value_dim: 32,
        head_dim: 16,
        window: 24,
        exit_rank: 8,
        ..NetworkConfig::nano(3)
    }
}

#[test]
fn delta_rule_host_equals_chunked_equals_recurrent() {
    TrainCpu::seed(&Default::default(), 5);
    // Longer than a chunk of the tensor form, and no multiple of it.
    let shape = DeltaShape {
        batch: 2,
        time: tensor_form::CHUNK + 21,
        heads: 2,
        key_dim: 16,
        value_dim: 32,
        conv: 4,
        eps: 1e-6,
    };
    let projected = random([shape.batch, shape.time, shape.columns()]);
    let parameters = DeltaParameters {
        conv: random([shape.conv, shape.channels()]),
        a_log: random([shape.heads]),
        dt_bias: random([shape.heads]),
        out_norm: random([shape.value_dim]),
    };
    let dy = random([shape.batch, shape.time, shape.heads * shape.value_dim]).detach();
    let host = |p: Train<3>, q: DeltaParameters<TrainCpu>| {
        let inputs = [
            p.into_primitive().tensor(),
            q.conv.into_primitive().tensor(),
            q.a_log.into_primitive().tensor(),
            q.dt_bias.into_primitive().tensor(),
            q.out_norm.into_primitive().tensor(),
        ];
        let out = TrainCpu::host_op::<_, 5>(DeltaOp(shape), inputs);
        Train::<3>::from_primitive(burn::tensor::TensorPrimitive::Float(out))
    };
    let gradients = |out: Train<3>| {
        let grads = (out.clone() * dy.clone()).sum().backward();
        (
            out.inner(),
            projected.grad(&grads).unwrap(),
            parameters.conv.grad(&grads).unwrap(),
            parameters.a_log.grad(&grads).unwrap(),
            parameters.dt_bias.grad(&grads).unwrap(),
            parameters.out_norm.grad(&grads).unwrap(),
        )
    };
    let plain = gradients(tensor_form::delta_mixer_recurrent(
        shape,
        projected.clone(),
        parameters.clone(),
    ));
    for what in ["chunked", "host"] {
        let (x, y) = (projected.clone(), parameters.clone());
        let found = gradients(match what {
            "host" => host(x, y),
            _ => tensor_form::delta_mixer(shape, x, y),
        });
        assert_close(found.0, plain.0.clone(), &format!("{what}: output"));
        assert_close(found.1, plain.1.clone(), &format!("{what}: projected"));
        assert_close(found.2, plain.2.clone(), &format!("{what}: conv"));
        assert_close(found.3, plain.3.clone(), &format!("{what}: a_log"));
        assert_close(found.4, plain.4.clone(), &format!("{what}: dt_bias"));
        assert_close(found.5, plain.5.clone(), &format!("{what}: out_norm"));
    }
}

#[test]
fn chunked_delta_rule_survives_identical_keys() {
    // Repeated tokens give identical keys and full write strength: the case in which inverting
    // by a Neumann series fails.
    let shape = DeltaShape {
        batch: 1,
        time: 128,
        heads: 1,
        key_dim: 8,
        value_dim: 8,
        conv: 4,
        eps: 1e-6,
    };
    let row: Vec<f32> = (0..shape.columns())
        .map(|c| {
            if c + 1 == shape.columns() {
                12.0
            } else {
                (c as f32 * 0.7).sin()
            }
        })
        .collect();
    let values = row.repeat(shape.time);
    let projected = Tensor::<Cpu, 3>::from_data(
        TensorData::new(values, [1, shape.time, shape.columns()]),
        &Default::default(),
    );
    let device = Default::default();
    let parameters = DeltaParameters::<Cpu> {
        conv: Tensor::ones([shape.conv, shape.channels()], &device),
        a_log: Tensor::zeros([1], &device),
        dt_bias: Tensor::ones([1], &device) * -20.0,
        out_norm: Tensor::ones([shape.value_dim], &device),
    };
    let chunked = tensor_form::delta_mixer(shape, projected.clone(), parameters.clone());
    let plain = tensor_form::delta_mixer_recurrent(shape, projected, parameters);
    assert_close(chunked, plain, "output");
}

#[test]
fn attention_host_equals_tensor_form() {
    TrainCpu::seed(&Default::default(), 6);
    let shape = AttentionShape {
        batch: 2,
        time: 40,
        query_heads: 4,
        kv_heads: 2,
        head_dim: 16,
        window: 12,
        rope_theta: 1e4,
        eps: 1e-6,
    };
    let qkv = random([shape.batch, shape.time, shape.columns()]);
    let (q_norm, k_norm) = (random([shape.head_dim]), random([shape.head_dim]));
    let dy = random([shape.batch, shape.time, shape.query_heads * shape.head_dim]).detach();
    let gradients = |out: Train<3>| {
        let grads = (out.clone() * dy.clone()).sum().backward();
        (
            out.inner(),
            qkv.grad(&grads).unwrap(),
            q_norm.grad(&grads).unwrap(),
            k_norm.grad(&grads).unwrap(),
        )
    };
    let inputs = [
        qkv.clone().into_primitive().tensor(),
        q_norm.clone().into_primitive().tensor(),
        k_norm.clone().into_primitive().tensor(),
    ];
    let out = TrainCpu::host_op::<_, 3>(AttentionOp(shape), inputs);
    let host = gradients(Train::<3>::from_primitive(
        burn::tensor::TensorPrimitive::Float(out),
    ));
    let plain = gradients(tensor_form::attention(
        shape,
        qkv.clone(),
        q_norm.clone(),
        k_norm.clone(),
    ));
    assert_close(host.0, plain.0, "output");
    assert_close(host.1, plain.1, "qkv");
    assert_close(host.2, plain.2, "q_norm");
    assert_close(host.3, plain.3, "k_norm");
}

fn tokens(batch: usize, time: usize, vocab: usize, salt: usize) -> Vec<u32> {
    (0..batch * time)
        .map(|i| ((i * 7 + i / 3 + salt) % vocab) as u32)
        .collect()
}

fn run(network: &Network<Cpu>, tokens: &[u32], time: usize) -> Vec<Vec<f32>> {
    let values: Vec<i32> = tokens.iter().map(|t| *t as i32).collect();
    let shape = [tokens.len() / time, time];
    let input =
        Tensor::<Cpu, 2, Int>::from_data(TensorData::new(values, shape), &Default::default());
    network
        .exit_states(input)
        .into_iter()
        .map(|state| state.into_data().into_vec().expect("exits are f32"))
        .collect()
}

#[test]
fn what_comes_later_never_changes_an_exit() {
    let config = small();
    let network = Network::<Cpu>::new(&config, 7, &Default::default());
    let time = 48;
    let before = tokens(1, time, config.vocab, 0);
    for changed in [1, 17, 40, 47] {
        let mut after = before.clone();
        for token in &mut after[changed..] {
            *token = (*token + 13) % config.vocab as u32;
        }
        let (a, b) = (run(&network, &before, time), run(&network, &after, time));
        for (exit, (a, b)) in a.iter().zip(&b).enumerate() {
            let seen = changed * config.width;
            assert_eq!(
                a[..seen],
                b[..seen],
                "exit {exit} saw token {changed} early"
            );
            assert_ne!(a[seen..], b[seen..], "exit {exit} ignores its input");
        }
    }
}

#[test]
fn a_batch_equals_its_sequences_alone() {
    let config = small();
    let network = Network::<Cpu>::new(&config, 8, &Default::default());
    let time = 33;
    let (a, b) = (
        tokens(1, time, config.vocab, 0),
        tokens(1, time, config.vocab, 5),
    );
    let both = run(&network, &[a.clone(), b.clone()].concat(), time);
    let alone = [run(&network, &a, time), run(&network, &b, time)];
    for exit in 0..config.stages {
        let joined = [alone[0][exit].clone(), alone[1][exit].clone()].concat();
        for (x, y) in both[exit].iter().zip(&joined) {
            assert!((x - y).abs() < 1e-5, "exit {exit}");
        }
    }
}

#[test]
fn weights_come_back_as_they_were_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let config = small();
    let network = Network::<Cpu>::new(&config, 9, &Default::default());
    let input = tokens(2, 20, config.vocab, 1);
    save_weights(&network, &path, WeightType::F32).unwrap();
    let loaded = load_weights::<Cpu>(&config, &path, &Default::default()).unwrap();
    assert_eq!(run(&network, &input, 20), run(&loaded, &input, 20));

    let wider = NetworkConfig {
        ffn: config.ffn + 1,
        ..config.clone()
    };
    let error = load_weights::<Cpu>(&wider, &path, &Default::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("ffn.gate_up"), "{error}");
    let fewer = NetworkConfig {
        stages: 2,
        ..config.clone()
    };
    let error = load_weights::<Cpu>(&fewer, &path, &Default::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no place"), "{error}");
    std::fs::write(&path, b"not weights").unwrap();
    let error = load_weights::<Cpu>(&config, &path, &Default::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("weights.safetensors"), "{error}");
}

#[test]
fn a_step_against_the_gradient_lowers_the_loss() {
    let config = small();
    let network = Network::<TrainCpu>::new(&config, 10, &Default::default());
    let input = tokens(2, 32, config.vocab, 0);
    let batch = LossBatch {
        batch: 2,
        time: 32,
        targets: input
            .iter()
            .map(|t| (t + 1) % config.vocab as u32)
            .collect(),
        weights: vec![1.0; input.len()],
        tokens: input,
    };
    let options = LossOptions {
        level_weights: vec![0.15, 0.25, 1.0],
        distill: 0.5,
        early_exit_stride: 2,
        step: 0,
    };
    let before = network.loss(&batch, &options).unwrap();
    assert_eq!(before.levels.len(), 3);
    assert_eq!(before.levels[2].positions, 64);
    assert_eq!(before.levels[0].positions, 32);
    let grads = before.loss.backward();
    let mut moved = network.clone();
    let gradient = network.embedding.val().grad(&grads).unwrap();
    let value = network.embedding.val().inner() - gradient * 0.1;
    moved.embedding = burn::module::Param::from_tensor(Tensor::from_inner(value));
    let after = moved.loss(&batch, &options).unwrap();
    let (before, after) = (before.loss.into_scalar(), after.loss.into_scalar());
    assert!(after < before, "{after} is not below {before}");
}

#[test]
fn a_batch_that_does_not_fit_is_named() {
    let config = small();
    let network = Network::<Cpu>::new(&config, 11, &Default::default());
    let options = LossOptions {
        level_weights: vec![1.0; 3],
        distill: 0.0,
        early_exit_stride: 1,
        step: 0,
    };
    let good = LossBatch {
        batch: 1,
        time: 4,
        tokens: vec![1, 2, 3, 4],
        targets: vec![2, 3, 4, 5],
        weights: vec![1.0; 4],
    };
    let check = |batch: LossBatch, expected: &str| {
        let error = network.loss(&batch, &options).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        LossBatch {
            targets: vec![1],
            ..good.clone()
        },
        "targets",
    );
    check(
        LossBatch {
            tokens: vec![1, 2, 3, 61],
            ..good.clone()
        },
        "largest token",
    );
    check(
        LossBatch {
            weights: vec![],
            ..good
        },
        "weights",
    );
}
