//! A model that is loaded: immutable, shared by all sessions.
//!
//! Loading refuses a folder that is damaged, foreign or of another version, and says which file,
//! field or tensor is wrong. The page docs/model-folder.md is the contract.

use crate::config::Manifest;
use crate::weights::{Weights, tensor_shapes};
use crate::{EngineError, NetworkConfig};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A network with its weights.
#[derive(Debug)]
pub struct Model {
    config: NetworkConfig,
    manifest: Option<Manifest>,
    pub(crate) weights: Weights,
}

impl Model {
    /// Loads `model.json`, checks the hashes of `weights.safetensors` and `tokenizer.json`, and
    /// loads the weights.
    ///
    /// # Errors
    /// [`EngineError`] that names the file, field or tensor that is wrong.
    pub fn load(dir: &Path) -> Result<Arc<Self>, EngineError> {
        let manifest = Manifest::read(&dir.join("model.json"))?;
        let tokenizer_path = dir.join("tokenizer.json");
        let tokenizer = read(&tokenizer_path)?;
        check_hash(
            &tokenizer_path,
            &tokenizer,
            "tokenizer_sha256",
            &manifest.tokenizer_sha256,
        )?;
        let weights_path = dir.join("weights.safetensors");
        let bytes = read(&weights_path)?;
        check_hash(
            &weights_path,
            &bytes,
            "weights_sha256",
            &manifest.weights_sha256,
        )?;
        let weights = read_weights(&weights_path, &bytes, &manifest.network)?;
        Ok(Arc::new(Self {
            config: manifest.network.clone(),
            manifest: Some(manifest),
            weights,
        }))
    }

    /// A model from the bytes of a safetensors file, without a folder around it.
    ///
    /// # Errors
    /// [`EngineError`] that names the field or tensor that is wrong.
    pub fn from_safetensors(
        config: &NetworkConfig,
        bytes: &[u8],
    ) -> Result<Arc<Self>, EngineError> {
        config.validate()?;
        let weights = read_weights(Path::new("weights.safetensors"), bytes, config)?;
        Ok(Arc::new(Self {
            config: config.clone(),
            manifest: None,
            weights,
        }))
    }

    /// A model of random weights for tests and measurements of speed.
    ///
    /// # Errors
    /// [`EngineError::Config`] for sizes that no network can have.
    pub fn random(config: &NetworkConfig, seed: u64) -> Result<Arc<Self>, EngineError> {
        config.validate()?;
        let mut rng = StdRng::seed_from_u64(seed);
        let weights = Weights::build(config, &mut |name, shape| {
            Ok(random_tensor(name, shape, &mut rng))
        })?;
        Ok(Arc::new(Self {
            config: config.clone(),
            manifest: None,
            weights,
        }))
    }

    /// Sizes of the network.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// What `model.json` says; `None` for a model that does not come from a folder.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The head that all exits share, `[V, d]`: its product with an exit's row gives the logits.
    pub fn head(&self) -> &[f32] {
        &self.weights.embedding
    }

    /// Number of weights.
    pub fn parameter_count(&self) -> usize {
        tensor_shapes(&self.config)
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }
}

/// SHA-256 in lower-case hexadecimal digits, as the fields of `model.json` hold it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing into a string cannot fail");
            text
        })
}

fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    std::fs::read(path).map_err(|e| EngineError::File {
        path: path.to_path_buf(),
        reason: e.to_string(),
    })
}

fn check_hash(
    path: &Path,
    bytes: &[u8],
    field: &'static str,
    expected: &str,
) -> Result<(), EngineError> {
    let found = sha256_hex(bytes);
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(EngineError::Hash {
        path: path.to_path_buf(),
        field,
        expected: expected.to_owned(),
        found,
    })
}

fn read_weights(path: &Path, bytes: &[u8], config: &NetworkConfig) -> Result<Weights, EngineError> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| EngineError::File {
        path: path.to_path_buf(),
        reason: format!("not a safetensors file: {e}"),
    })?;
    let expected: HashSet<String> = tensor_shapes(config)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let mut superfluous: Vec<&str> = file
        .names()
        .into_iter()
        .filter(|name| !expected.contains(*name))
        .collect();
    superfluous.sort_unstable();
    if let Some(name) = superfluous.first() {
        let reason = "the network of model.json has no such tensor".to_owned();
        return Err(tensor_error(path, name, reason));
    }
    Weights::build(config, &mut |name, shape| {
        read_tensor(&file, path, name, shape)
    })
}

fn read_tensor(
    file: &SafeTensors<'_>,
    path: &Path,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>, EngineError> {
    let Ok(tensor) = file.tensor(name) else {
        return Err(tensor_error(path, name, "is missing".to_owned()));
    };
    if tensor.shape() != shape {
        let reason = format!("shape is {:?}, the network needs {shape:?}", tensor.shape());
        return Err(tensor_error(path, name, reason));
    }
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => tensor
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F16 => tensor
            .data()
            .chunks_exact(2)
            .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        other => {
            let reason = format!("type is {other:?}, F32 and F16 are read");
            return Err(tensor_error(path, name, reason));
        }
    };
    if let Some(at) = values.iter().position(|x| !x.is_finite()) {
        let reason = format!("element {at} is {}", values[at]);
        return Err(tensor_error(path, name, reason));
    }
    Ok(values)
}

fn tensor_error(path: &Path, tensor: &str, reason: String) -> EngineError {
    EngineError::Tensor {
        path: PathBuf::from(path),
        tensor: tensor.to_owned(),
        reason,
    }
}

/// Uniform values that keep activations near 1; gains near 1, decays between slow and fast.
fn random_tensor(name: &str, shape: &[usize], rng: &mut StdRng) -> Vec<f32> {
    let len: usize = shape.iter().product();
    let mut uniform = |low: f32, high: f32| -> Vec<f32> {
        (0..len).map(|_| rng.random_range(low..high)).collect()
    };
    match name.rsplit('.').next() {
        Some("a_log") => uniform(-2.0, 1.0),
        Some("dt_bias") => uniform(-4.0, 0.0),
        Some("conv") => uniform(-0.6, 0.6),
        Some("embedding") => uniform(-0.3, 0.3),
        _ if shape.len() == 1 => uniform(0.8, 1.2),
        _ => {
            let bound = (3.0 / shape[0] as f32).sqrt();
            uniform(-bound, bound)
        }
    }
}
