//! Writes the model folder: weights, sizes, tokenizer, hashes of the training methods.
//!
//! Called by `run` at every checkpoint and at the end. The gate, the n-gram counts and the card are added
//! by others. `model.json` is written last; it names the hash of the weights.

use crate::checkpoint::hex;
use crate::record::LevelScore;
use crate::{Size, TrainError};
use nestor_model::{NestorBackend, Network, WeightType, save_weights};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Version of `model.json`.
const FORMAT_VERSION: u32 = 1;

/// What the model folder says beside the weights.
#[derive(Debug, Clone)]
pub struct ModelFacts<'a> {
    /// Size of the network.
    pub size: Size,
    /// The tokenizer's file, copied as it is.
    pub tokenizer: &'a [u8],
    /// Hash of the corpus.
    pub corpus_sha256: &'a str,
    /// Hashes of the training methods, sorted.
    pub methods: &'a [u64],
    /// Whether it has learned to read what the metadata says before a text.
    pub has_outlines: bool,
    /// Steps done.
    pub step: u64,
    /// Tokens seen, those before the run included.
    pub tokens: u64,
    /// Scores on withheld text.
    pub levels: &'a [LevelScore],
}

/// Writes the folder's files, each of which appears whole or not at all.
///
/// # Errors
/// [`TrainError::File`] or [`TrainError::Model`] naming the file.
pub fn write_model<B: NestorBackend>(
    dir: &Path,
    network: &Network<B>,
    facts: &ModelFacts<'_>,
) -> Result<(), TrainError> {
    fs::create_dir_all(dir).map_err(|e| TrainError::file(dir, e))?;
    let methods: Vec<u8> = facts
        .methods
        .iter()
        .flat_map(|hash| hash.to_le_bytes())
        .collect();
    write_whole(&dir.join("methods.bin"), &methods)?;
    write_whole(&dir.join("tokenizer.json"), facts.tokenizer)?;
    let weights = dir.join("weights.safetensors");
    save_weights(network, &weights, WeightType::F16)?;
    let bytes = fs::read(&weights).map_err(|e| TrainError::file(&weights, e))?;
    let model = json!({
        "format_version": FORMAT_VERSION,
        "name": format!("nestor-{}", facts.size.name()),
        "network": network.config(),
        "quantisation": "f16",
        "outlines": facts.has_outlines,
        "tokenizer_sha256": hex(&Sha256::digest(facts.tokenizer)),
        "corpus_sha256": facts.corpus_sha256,
        "weights_sha256": hex(&Sha256::digest(&bytes)),
        "metrics": {
            "steps": facts.step,
            "tokens": facts.tokens,
            "withheld": facts.levels,
        },
    });
    let mut text = serde_json::to_vec_pretty(&model).map_err(|e| TrainError::file(dir, e))?;
    text.push(b'\n');
    write_whole(&dir.join("model.json"), &text)
}

/// Writes a file of a model folder, whole or not at all.
///
/// # Errors
/// [`TrainError`] naming the file.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let partial = path.with_extension("partial");
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|e| {
        // Nothing half-written stays behind.
        let _ = fs::remove_file(&partial);
        TrainError::file(path, e)
    })
}
