//! `memory.json`: whose memory it is, and which files hold it.
//!
//! The header is the one file that is replaced; everything else is appended to, or written anew under the next
//! generation's name, so that replacing the header switches from one whole state to another.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::MemoryError;
use crate::record::is_sha256;
use crate::{files, seal};

/// The version of the folder that this program reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// Name of the header in a project's folder.
pub(crate) const HEADER_FILE: &str = "memory.json";

/// No header of ours is longer; more is not read.
const MAX_HEADER_LEN: u64 = 1 << 16;

/// What a memory must have in common with the model that reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelIdentity {
    /// SHA-256 of the weights; `None` for a network that came from no file.
    pub model_sha256: Option<String>,
    /// SHA-256 of `tokenizer.json`.
    pub tokenizer_sha256: String,
    /// Pieces of the vocabulary.
    pub vocabulary: u32,
}

/// The content of `memory.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The project's name when it was made or imported; the folder's name is what counts.
    pub name: String,
    /// The number in the names of the files that hold the memory; rises when they are written anew.
    pub generation: u64,
    /// SHA-256 of the weights of the model that the project was first learned with.
    pub model_sha256: Option<String>,
    /// SHA-256 of the tokenizer that cut the text into pieces.
    pub tokenizer_sha256: String,
    /// Pieces of its vocabulary.
    pub vocabulary: u32,
    /// When the memory was made, in seconds since 1970.
    pub created: u64,
}

impl Header {
    /// The header of a new project.
    pub(crate) fn new(name: &str, model: &ModelIdentity, created: u64) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            name: name.to_owned(),
            generation: 1,
            model_sha256: model.model_sha256.clone(),
            tokenizer_sha256: model.tokenizer_sha256.clone(),
            vocabulary: model.vocabulary,
            created,
        }
    }

    /// Refuses a model whose pieces are not the memory's. Another network over the same pieces is welcome: counts stay valid.
    pub(crate) fn check_model(&self, name: &str, model: &ModelIdentity) -> Result<(), MemoryError> {
        if self.vocabulary != model.vocabulary {
            return Err(MemoryError::Vocabulary {
                name: name.to_owned(),
                expected: model.vocabulary,
                found: self.vocabulary,
            });
        }
        if self.tokenizer_sha256 != model.tokenizer_sha256 {
            return Err(MemoryError::Tokenizer {
                name: name.to_owned(),
                expected: model.tokenizer_sha256.clone(),
                found: self.tokenizer_sha256.clone(),
            });
        }
        Ok(())
    }

    /// Reads the header of the project in `dir`.
    pub(crate) fn read(dir: &Path) -> Result<Self, MemoryError> {
        let path = dir.join(HEADER_FILE);
        let len = std::fs::metadata(&path)
            .map_err(MemoryError::io(&path))?
            .len();
        if len > MAX_HEADER_LEN {
            return Err(MemoryError::corrupt(
                &path,
                format!("{len} bytes are too many"),
            ));
        }
        let bytes = std::fs::read(&path).map_err(MemoryError::io(&path))?;
        Self::from_bytes(&bytes, &path)
    }

    /// Reads a header; `path` is named in errors.
    pub(crate) fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, MemoryError> {
        let value: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|error| MemoryError::corrupt(path, format!("not JSON: {error}")))?;
        // The version comes first: the fields of a later version are unknown, not wrong.
        let version = value.get("format_version");
        if version.and_then(serde_json::Value::as_u64) != Some(u64::from(FORMAT_VERSION)) {
            return Err(MemoryError::Version {
                path: path.to_owned(),
                found: version.map_or("missing".to_owned(), ToString::to_string),
                supported: FORMAT_VERSION,
            });
        }
        let json = seal::open(bytes.trim_ascii_end())
            .ok_or_else(|| MemoryError::corrupt(path, "its check does not match its content"))?;
        let header: Self =
            serde_json::from_str(&json).map_err(|error| MemoryError::corrupt(path, error))?;
        let hashes = header.model_sha256.iter().chain([&header.tokenizer_sha256]);
        if !hashes.into_iter().all(|hash| is_sha256(hash)) {
            return Err(MemoryError::corrupt(path, "a hash in it is no SHA-256"));
        }
        Ok(header)
    }

    /// The header as a sealed line.
    pub(crate) fn to_line(&self) -> String {
        let json = serde_json::to_string(self).expect("a header is plain text and numbers");
        format!("{}\n", seal::seal(&json))
    }

    /// Puts the header in its place.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), MemoryError> {
        files::replace(&dir.join(HEADER_FILE), self.to_line().as_bytes())
    }

    /// The log of this generation.
    pub(crate) fn log_path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("log.{}.jsonl", self.generation))
    }

    /// The segments of this generation.
    pub(crate) fn segments_path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("segments.{}.bin", self.generation))
    }
}
