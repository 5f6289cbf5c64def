//! Weights to start a run from: those of a model folder that an earlier run has written.
//!
//! Called by `run` before the first step. A folder fits when its network has the sizes of the run and its tokenizer is
//! the corpus's own, since a weight means something only beside the piece that it was learned for.

use crate::TrainError;
use crate::checkpoint::hex;
use nestor_model::{NestorBackend, Network, NetworkConfig, load_weights};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// What is read of `model.json`; the rest concerns others.
#[derive(Deserialize)]
struct Folder {
    network: NetworkConfig,
    tokenizer_sha256: String,
    metrics: Metrics,
}

#[derive(Deserialize)]
struct Metrics {
    tokens: u64,
}

/// The network of a model folder and the tokens that it has seen.
///
/// # Errors
/// [`TrainError::Start`] naming the folder when its sizes or its tokenizer are not those of the run,
/// [`TrainError::Model`] when its weights cannot be read.
pub(crate) fn load<B: NestorBackend>(
    dir: &Path,
    expected: &NetworkConfig,
    tokenizer: &[u8],
    device: &B::Device,
) -> Result<(Network<B>, u64), TrainError> {
    let refuse = |reason: String| TrainError::Start {
        path: dir.to_path_buf(),
        reason,
    };
    let path = dir.join("model.json");
    let bytes = fs::read(&path).map_err(|e| TrainError::file(&path, e))?;
    let folder: Folder = serde_json::from_slice(&bytes)
        .map_err(|e| refuse(format!("its model.json cannot be read: {e}")))?;
    if folder.network != *expected {
        return Err(refuse(
            "its network has other sizes or another number of levels".into(),
        ));
    }
    if folder.tokenizer_sha256 != hex(&Sha256::digest(tokenizer)) {
        return Err(refuse(
            "its tokenizer is not the one that the corpus was cut with".into(),
        ));
    }
    let plain = dir.join("weights.safetensors");
    let packed = dir.join("weights.safetensors.zst");
    let weights = if plain.exists() || !packed.exists() {
        plain
    } else {
        packed
    };
    let network = load_weights::<B>(expected, &weights, device)?;
    Ok((network, folder.metrics.tokens))
}
