//! The network in Burn and the network in the engine: the same weights and tokens give the same
//! logits at every exit, whole, in pieces and token by token, and the same lessons of levels 2 and 3.

#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

use burn::tensor::{Int, Tensor, TensorData};
use nestor_engine::{Model, Session};
use nestor_model::{Cpu, Network, NetworkConfig, WeightType, named_tensors, save_weights};
use std::sync::Arc;

mod lessons;
mod levels;

/// Both sides compute in f32 and sum in different orders.
const TOLERANCE: f32 = 1e-4;

fn small() -> NetworkConfig {
    NetworkConfig {
        width: 64,
        ffn: 96,
        vocab: 300,
        window: 48,
        exit_rank: 8,
        ..NetworkConfig::nano(3)
    }
}

/// A network whose adapters are not zero, as after training.
fn trained(config: &NetworkConfig) -> Network<Cpu> {
    let mut network = Network::<Cpu>::new(config, 21, &Default::default());
    let other = Network::<Cpu>::new(config, 22, &Default::default());
    for (exit, source) in network.exits.iter_mut().zip(&other.exits) {
        let up = source.down.val().transpose();
        exit.up = burn::module::Param::from_tensor(up);
    }
    network
}

/// The same with a larger embedding, so that some tokens are likely and others are not.
fn peaked(config: &NetworkConfig) -> Network<Cpu> {
    let mut network = trained(config);
    let embedding = network.embedding.val().mul_scalar(12.0);
    network.embedding = burn::module::Param::from_tensor(embedding);
    network
}

/// The engine's model with the weights of a network.
fn engine_model(network: &Network<Cpu>) -> Arc<Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    save_weights(network, &path, WeightType::F32).unwrap();
    let config = serde_json::to_value(network.config()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    Model::from_safetensors(&serde_json::from_value(config).unwrap(), &bytes).unwrap()
}

/// Rows of every exit, `[T, d]` each.
fn burn_states(network: &Network<Cpu>, tokens: &[u32]) -> Vec<Tensor<Cpu, 2>> {
    let values: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
    let input = Tensor::<Cpu, 2, Int>::from_data(
        TensorData::new(values, [1, tokens.len()]),
        &Default::default(),
    );
    let width = network.config().width;
    network
        .exit_states(input)
        .into_iter()
        .map(|state| state.reshape([tokens.len(), width]))
        .collect()
}

/// Logits of every exit, `[T, V]` each.
fn burn_logits(network: &Network<Cpu>, tokens: &[u32]) -> Vec<Vec<f32>> {
    let head = network.embedding.val().transpose();
    burn_states(network, tokens)
        .into_iter()
        .map(|rows| rows.matmul(head.clone()).into_data().into_vec().unwrap())
        .collect()
}

fn engine_logits(model: &Arc<Model>, tokens: &[u32], piece: usize) -> Vec<Vec<f32>> {
    let config = model.config().clone();
    let mut session = Session::new(model.clone(), config.stages).unwrap();
    let mut all = vec![Vec::new(); config.stages];
    for tokens in tokens.chunks(piece) {
        let states = session.forward(tokens).unwrap();
        for (exit, all) in all.iter_mut().enumerate() {
            let mut logits = vec![0.0; tokens.len() * config.vocab];
            session
                .exit_logits(exit, states.rows(exit), &mut logits)
                .unwrap();
            all.extend(logits);
        }
    }
    all
}

fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (exit, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(1.0_f32, |max, x| max.max(x.abs()));
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!(
                (a - b).abs() <= TOLERANCE * scale,
                "{what}, exit {exit}, logit {i}: {a} {b}"
            );
        }
    }
}

#[test]
fn engine_equals_burn_at_every_exit() {
    let plain = NetworkConfig {
        delta_heads: 0,
        ..small()
    };
    for config in [small(), plain] {
        compare(&config);
    }
}

fn compare(config: &NetworkConfig) {
    let network = trained(config);
    let model = engine_model(&network);
    assert_eq!(model.parameter_count(), config.parameter_count());

    // Longer than the window of attention and than a chunk of prefill.
    let tokens: Vec<u32> = (0..150_u32).map(|i| (i * 7 + i * i / 11) % 300).collect();
    let expected = burn_logits(&network, &tokens);
    for piece in [150, 64, 7, 1] {
        let found = engine_logits(&model, &tokens, piece);
        assert_close(&found, &expected, &format!("pieces of {piece}"));
    }
}

#[test]
fn both_sides_name_and_shape_the_same_tensors() {
    let plain = NetworkConfig {
        delta_heads: 0,
        ..small()
    };
    for config in [small(), plain] {
        let engine_config: nestor_engine::NetworkConfig =
            serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
        let mut engine = nestor_engine::tensor_shapes(&engine_config);
        let network = Network::<Cpu>::new(&config, 1, &Default::default());
        let mut burn: Vec<_> = named_tensors(&network)
            .into_iter()
            .map(|(name, shape, _)| (name, shape))
            .collect();
        engine.sort();
        burn.sort();
        assert_eq!(engine, burn);
    }
}
