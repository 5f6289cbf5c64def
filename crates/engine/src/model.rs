//! A model that is loaded: immutable, shared by all sessions.
//!
//! Loading refuses a folder that is damaged, foreign or of another version, and says which file,
//! field or tensor is wrong. The page docs/model-folder.md is the contract.

use crate::config::Manifest;
use crate::learn::MemoryStart;
use crate::passes::Passes;
use crate::weights::{Mixer, Tensor, Weights, is_matrix, tensor_shapes};
use crate::weights_file::read_weights_file;
use crate::{EngineError, NetworkConfig, Precision, Quantisation};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The logarithm of a decay rate under which nothing is left after one token, and which no gate makes a number that is none.
const AT_ONCE: f32 = 30.0;

/// A network with its weights.
#[derive(Debug)]
pub struct Model {
    config: NetworkConfig,
    manifest: Option<Manifest>,
    pub(crate) weights: Weights,
    passes: OnceLock<Passes>,
    memory_start: Option<MemoryStart>,
}

impl Model {
    /// Loads `model.json`, checks the hashes of the weights ([`read_weights_file`]) and `tokenizer.json`, and
    /// loads the weights: codes as codes, floats as 32-bit floats.
    ///
    /// # Errors
    /// [`EngineError`] that names the file, field or tensor that is wrong.
    pub fn load(dir: &Path) -> Result<Arc<Self>, EngineError> {
        Self::load_as(dir, None)
    }

    /// [`Model::load`] with matrices of a precision, whatever the file holds.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_as(dir: &Path, precision: Option<Precision>) -> Result<Arc<Self>, EngineError> {
        let manifest = Manifest::read(&dir.join("model.json"))?;
        let tokenizer_path = dir.join("tokenizer.json");
        let tokenizer = read(&tokenizer_path)?;
        check_hash(
            &tokenizer_path,
            &tokenizer,
            "tokenizer_sha256",
            &manifest.tokenizer_sha256,
        )?;
        let (weights_path, bytes) = read_weights_file(dir)?;
        check_hash(
            &weights_path,
            &bytes,
            "weights_sha256",
            &manifest.weights_sha256,
        )?;
        let stored = match manifest.quantisation {
            Quantisation::F32 | Quantisation::F16 => Precision::F32,
            Quantisation::Int8 => Precision::Int8,
        };
        let precision = precision.unwrap_or(stored);
        let weights = read_weights(&weights_path, &bytes, &manifest.network, precision)?;
        Ok(Arc::new(Self {
            config: manifest.network.clone(),
            manifest: Some(manifest),
            weights,
            passes: OnceLock::new(),
            memory_start: None,
        }))
    }

    /// A model of 32-bit weights from the bytes of a safetensors file, without a folder around it.
    ///
    /// # Errors
    /// [`EngineError`] that names the field or tensor that is wrong.
    pub fn from_safetensors(
        config: &NetworkConfig,
        bytes: &[u8],
    ) -> Result<Arc<Self>, EngineError> {
        Self::from_safetensors_as(config, bytes, Precision::F32)
    }

    /// [`Model::from_safetensors`] with matrices of a precision.
    ///
    /// # Errors
    /// As [`Model::from_safetensors`].
    pub fn from_safetensors_as(
        config: &NetworkConfig,
        bytes: &[u8],
        precision: Precision,
    ) -> Result<Arc<Self>, EngineError> {
        config.validate()?;
        let path = Path::new("weights.safetensors");
        let weights = read_weights(path, bytes, config, precision)?;
        Ok(Arc::new(Self {
            config: config.clone(),
            manifest: None,
            weights,
            passes: OnceLock::new(),
            memory_start: None,
        }))
    }

    /// A model of random 32-bit weights for tests and measurements of speed.
    ///
    /// # Errors
    /// [`EngineError::Config`] for sizes that no network can have.
    pub fn random(config: &NetworkConfig, seed: u64) -> Result<Arc<Self>, EngineError> {
        Self::random_as(config, seed, Precision::F32)
    }

    /// [`Model::random`] with matrices of a precision: codes of the same weights.
    ///
    /// # Errors
    /// As [`Model::random`].
    pub fn random_as(
        config: &NetworkConfig,
        seed: u64,
        precision: Precision,
    ) -> Result<Arc<Self>, EngineError> {
        config.validate()?;
        let mut rng = StdRng::seed_from_u64(seed);
        let weights = Weights::build(config, precision, &mut |name, shape| {
            Ok(Tensor::F32(random_tensor(name, shape, &mut rng)))
        })?;
        Ok(Arc::new(Self {
            config: config.clone(),
            manifest: None,
            weights,
            passes: OnceLock::new(),
            memory_start: None,
        }))
    }

    /// From now on sessions share passes: few tokens of one go through the network together with those of others, on at most `places`
    /// threads at the same time (best as many as there are cores). For programs that answer more requests at once than there are
    /// cores; changes no bit of a result. A second call changes nothing.
    pub fn share_passes(&self, places: usize) {
        self.passes.get_or_init(|| Passes::new(places));
    }

    /// Gives level 3's memories a learned start. Returns whether it could; a model that is shared already stays as it is.
    #[must_use]
    pub fn set_memory_start(model: &mut Arc<Self>, start: Option<MemoryStart>) -> bool {
        let Some(model) = Arc::get_mut(model) else {
            return false;
        };
        model.memory_start = start;
        true
    }

    /// What level 3's memories start from, where that was learned.
    pub fn memory_start(&self) -> Option<&MemoryStart> {
        self.memory_start.as_ref()
    }

    /// Takes the memory of level 1 away, for measuring what it is worth: the delta rule's state decays to nothing before each token, so that
    /// a token is all that it holds. Returns whether it could; a model that is shared already stays as it is.
    #[must_use]
    pub fn silence_state(model: &mut Arc<Self>) -> bool {
        let Some(model) = Arc::get_mut(model) else {
            return false;
        };
        let stages = model.weights.stages.iter_mut();
        for block in stages.flat_map(|stage| &mut stage.blocks) {
            if let Mixer::Delta(delta) = &mut block.mixer {
                delta.a_log.fill(AT_ONCE);
            }
        }
        true
    }

    pub(crate) fn passes(&self) -> Option<&Passes> {
        self.passes.get()
    }

    /// Sizes of the network.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// What `model.json` says; `None` for a model that does not come from a folder.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// What the matrices are in memory.
    pub fn precision(&self) -> Precision {
        self.weights.precision()
    }

    /// Bytes of weights that one token reads: the matrices of the first `stages` stages, and the head once.
    pub fn streamed_bytes(&self, stages: usize) -> usize {
        self.weights.streamed_bytes(stages)
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

fn read_weights(
    path: &Path,
    bytes: &[u8],
    config: &NetworkConfig,
    precision: Precision,
) -> Result<Weights, EngineError> {
    Weights::build(
        config,
        precision,
        &mut read_tensor_file(path, bytes, config)?,
    )
}

/// What gives the tensors of a file by name and shape, once it is clear that the file holds no others.
pub(crate) fn read_tensor_file<'a>(
    path: &'a Path,
    bytes: &'a [u8],
    config: &NetworkConfig,
) -> Result<impl FnMut(&str, &[usize]) -> Result<Tensor, EngineError> + 'a, EngineError> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| EngineError::File {
        path: path.to_path_buf(),
        reason: format!("not a safetensors file: {e}"),
    })?;
    let expected: HashSet<String> = tensor_shapes(config)
        .into_iter()
        .flat_map(|(name, shape)| {
            let is_code = file.tensor(&name).is_ok_and(|t| t.dtype() == Dtype::I8);
            let scales = (is_matrix(&name, &shape) && is_code).then(|| scale_name(&name));
            [Some(name), scales]
        })
        .flatten()
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
    Ok(move |name: &str, shape: &[usize]| {
        let tensor = find_tensor(&file, path, name, shape)?;
        if tensor.dtype() == Dtype::I8 && is_matrix(name, shape) {
            read_codes(&file, path, name, &tensor)
        } else {
            Ok(Tensor::F32(read_floats(path, name, &tensor)?))
        }
    })
}

/// The tensor with the scales of a matrix of codes.
pub(crate) fn scale_name(matrix: &str) -> String {
    format!("{matrix}.scale")
}

fn find_tensor<'a>(
    file: &SafeTensors<'a>,
    path: &Path,
    name: &str,
    shape: &[usize],
) -> Result<TensorView<'a>, EngineError> {
    let Ok(tensor) = file.tensor(name) else {
        return Err(tensor_error(path, name, "is missing".to_owned()));
    };
    if tensor.shape() != shape {
        let reason = format!("shape is {:?}, the network needs {shape:?}", tensor.shape());
        return Err(tensor_error(path, name, reason));
    }
    Ok(tensor)
}

/// The values of exactly these matrices of a file, by name and shape: floats, or codes with a scale a column.
pub(crate) fn read_plain_tensors<const N: usize>(
    path: &Path,
    bytes: &[u8],
    shapes: &[(&str, [usize; 2]); N],
) -> Result<[Vec<f32>; N], EngineError> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| EngineError::File {
        path: path.to_path_buf(),
        reason: format!("not a safetensors file: {e}"),
    })?;
    let is_known = |name: &str| {
        let name = name.strip_suffix(".scale").unwrap_or(name);
        shapes.iter().any(|(known, _)| *known == name)
    };
    if let Some(name) = file.names().into_iter().find(|name| !is_known(name)) {
        return Err(tensor_error(path, name, "is not expected".to_owned()));
    }
    let mut values = [const { Vec::new() }; N];
    for (values, (name, shape)) in values.iter_mut().zip(shapes) {
        let tensor = find_tensor(&file, path, name, shape)?;
        *values = match tensor.dtype() {
            Dtype::I8 => match read_codes(&file, path, name, &tensor)? {
                Tensor::Int8 { codes, scales } => codes
                    .iter()
                    .zip(scales.iter().cycle())
                    .map(|(code, scale)| f32::from(*code) * scale)
                    .collect(),
                Tensor::F32(values) => values,
            },
            _ => read_floats(path, name, &tensor)?,
        };
    }
    Ok(values)
}

/// The codes of a matrix and the scales of its columns, of its rows where it is the embedding.
fn read_codes(
    file: &SafeTensors<'_>,
    path: &Path,
    name: &str,
    tensor: &TensorView<'_>,
) -> Result<Tensor, EngineError> {
    let codes: Vec<i8> = tensor.data().iter().map(|byte| *byte as i8).collect();
    if let Some(at) = codes.iter().position(|code| *code == i8::MIN) {
        let reason = format!("element {at} is -128, codes are -127 to 127");
        return Err(tensor_error(path, name, reason));
    }
    let scaled = if name == "embedding" { 0 } else { 1 };
    let shape = &tensor.shape()[scaled..=scaled];
    let scale_name = scale_name(name);
    let scales = find_tensor(file, path, &scale_name, shape)?;
    let scales = read_floats(path, &scale_name, &scales)?;
    Ok(Tensor::Int8 { codes, scales })
}

fn read_floats(path: &Path, name: &str, tensor: &TensorView<'_>) -> Result<Vec<f32>, EngineError> {
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
            let reason = format!("type is {other:?}, F32 and F16 are read, I8 for matrices");
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
