//! The file of a model folder that holds the weights, plain or packed.
//!
//! Called by `model` and by whoever writes folders. `model.json` names the hash of the plain bytes, so packing changes no
//! identity.

use crate::EngineError;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Name of the weights as they are.
pub const PLAIN_WEIGHTS: &str = "weights.safetensors";
/// Name of the weights compressed with Zstandard; read where the plain file is missing.
pub const PACKED_WEIGHTS: &str = "weights.safetensors.zst";

/// More than any network of ours; a packed file that grows beyond it is refused.
const MAX_BYTES: u64 = 1 << 31;

/// The plain bytes of a folder's weights, and the file they came from.
///
/// # Errors
/// [`EngineError::File`] naming the file that is missing, cannot be read or is not what its name says.
pub fn read_weights_file(dir: &Path) -> Result<(PathBuf, Vec<u8>), EngineError> {
    let (plain, packed) = (dir.join(PLAIN_WEIGHTS), dir.join(PACKED_WEIGHTS));
    let failed = |path: &Path, error: std::io::Error| EngineError::File {
        path: path.to_path_buf(),
        reason: error.to_string(),
    };
    if plain.exists() || !packed.exists() {
        let bytes = std::fs::read(&plain).map_err(|e| failed(&plain, e))?;
        return Ok((plain, bytes));
    }
    let unpack = || {
        let file = std::fs::File::open(&packed)?;
        let mut bytes = Vec::new();
        zstd::Decoder::new(file)?
            .take(MAX_BYTES)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match unpack() {
        Ok(bytes) => Ok((packed, bytes)),
        Err(error) => Err(failed(&packed, error)),
    }
}

/// The bytes of [`PACKED_WEIGHTS`] from those of [`PLAIN_WEIGHTS`].
///
/// # Errors
/// [`EngineError::File`] when there is not memory enough.
pub fn pack_weights(bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
    zstd::bulk::compress(bytes, 19).map_err(|error| EngineError::File {
        path: PACKED_WEIGHTS.into(),
        reason: error.to_string(),
    })
}
