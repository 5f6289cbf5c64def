//! Shared by the integration tests: random tensors, model folders, and the network as its page
//! defines it, slowly and in `f64`.
#![allow(dead_code, reason = "every test binary uses a part")]

pub mod reference;

use nestor_engine::{Model, NetworkConfig, sha256_hex, tensor_shapes};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use safetensors::{Dtype, tensor::TensorView};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Shape and values of every tensor by name.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A network small enough for the slow reference, with a window shorter than the inputs, two kv
/// heads and more blocks in a stage than one of each kind.
pub fn small_config(stages: usize) -> NetworkConfig {
    NetworkConfig {
        width: 24,
        stages,
        blocks_per_stage: 3,
        ffn: 40,
        vocab: 97,
        delta_heads: 2,
        key_dim: 8,
        value_dim: 12,
        query_heads: 4,
        kv_heads: 2,
        head_dim: 8,
        window: 20,
        conv: 4,
        rope_theta: 1e5,
        exit_rank: 5,
        norm_eps: 1e-6,
    }
}

pub fn random_tensors(config: &NetworkConfig, seed: u64) -> Tensors {
    let mut rng = StdRng::seed_from_u64(seed);
    tensor_shapes(config)
        .into_iter()
        .map(|(name, shape)| {
            let bound = match shape[..] {
                [rows, _] if !name.ends_with("conv") && name != "embedding" => {
                    (3.0 / rows as f32).sqrt()
                }
                _ => 1.0,
            };
            let len = shape.iter().product();
            let values = (0..len).map(|_| rng.random_range(-bound..bound)).collect();
            (name, (shape, values))
        })
        .collect()
}

pub fn random_tokens(config: &NetworkConfig, len: usize, seed: u64) -> Vec<u32> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..len)
        .map(|_| rng.random_range(0..config.vocab as u32))
        .collect()
}

/// The bytes of a safetensors file.
pub fn to_safetensors(tensors: &Tensors, dtype: Dtype) -> Vec<u8> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            let bytes = values
                .iter()
                .flat_map(|x| match dtype {
                    Dtype::F16 => half::f16::from_f32(*x).to_le_bytes().to_vec(),
                    _ => x.to_le_bytes().to_vec(),
                })
                .collect();
            (name.clone(), shape.clone(), bytes)
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, data)| (name, TensorView::new(dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

pub fn model(config: &NetworkConfig, tensors: &Tensors) -> Arc<Model> {
    Model::from_safetensors(config, &to_safetensors(tensors, Dtype::F32)).unwrap()
}

/// Writes a complete folder and returns the value of `model.json`.
pub fn write_folder(dir: &Path, config: &NetworkConfig, weights: &[u8]) -> serde_json::Value {
    let tokenizer = br#"{"version":"1.0"}"#;
    let quantisation = if weights.windows(5).any(|w| w == b"\"F16\"") {
        "f16"
    } else if weights.windows(4).any(|w| w == b"\"I8\"") {
        "int8"
    } else {
        "f32"
    };
    let manifest = serde_json::json!({
        "format_version": 1,
        "name": "nestor-test",
        "network": config,
        "quantisation": quantisation,
        "tokenizer_sha256": sha256_hex(tokenizer),
        "corpus_sha256": sha256_hex(b"corpus"),
        "weights_sha256": sha256_hex(weights),
        "metrics": {"bits_per_char": 1.5},
    });
    std::fs::write(dir.join("tokenizer.json"), tokenizer).unwrap();
    std::fs::write(dir.join("weights.safetensors"), weights).unwrap();
    write_manifest(dir, &manifest);
    manifest
}

pub fn write_manifest(dir: &Path, manifest: &serde_json::Value) {
    std::fs::write(dir.join("model.json"), manifest.to_string()).unwrap();
}

/// Largest difference over the largest magnitude of the expected values.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().chain(expected).all(|x| x.is_finite()));
    let scale = expected.iter().fold(1e-20f32, |m, x| m.max(x.abs()));
    found
        .iter()
        .zip(expected)
        .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()))
        / scale
}
