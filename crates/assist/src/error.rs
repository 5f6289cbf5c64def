//! What can go wrong between an editor's request and its answer.

use std::path::PathBuf;

use nestor_bsl::TextError;
use nestor_bsl::pieces::TokenizerError;
use nestor_cache::CacheError;
use nestor_engine::EngineError;
use nestor_memory::MemoryError;
use nestor_metadata::IndexError;
use thiserror::Error;

/// An error of the assistant. Broken source code is none: it is completed as it stands.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AssistError {
    /// A model folder or a part of it that cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Counts that cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A project on disk that cannot be used.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A project's metadata index that is damaged or of another format.
    #[error("{path}: {source}")]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IndexError,
    },
    /// A project's metadata index that the system does not let us read.
    #[error("{path}: {source}")]
    MetadataFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A `tokenizer.json` that cannot be used.
    #[error("{path}: {source}")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TokenizerError,
    },
    /// A file of the model folder that cannot be read, is damaged, or does not belong to the others.
    #[error("{path}: {reason}")]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A document that is no source text.
    #[error("{path}: {source}")]
    Text {
        /// The document.
        path: String,
        /// Why.
        source: TextError,
    },
    /// A cursor behind the end of the text.
    #[error("{path}: the cursor at byte {offset} is outside the file, which has {len} bytes")]
    CursorOutside {
        /// The document.
        path: String,
        /// The cursor.
        offset: usize,
        /// Bytes of the text.
        len: usize,
    },
    /// A cursor between two bytes of one character.
    #[error(
        "{path}: the cursor at byte {offset} is inside a character, which starts at byte {start}"
    )]
    CursorInsideCharacter {
        /// The document.
        path: String,
        /// The cursor.
        offset: usize,
        /// The first byte of the character.
        start: usize,
    },
    /// A field of a request with a value that makes no sense.
    #[error("{field}: {reason}")]
    Request {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A gate cannot be fitted.
    #[error("the gate `{gate}` cannot be fitted: {reason}")]
    Fit {
        /// Name of the gate.
        gate: &'static str,
        /// What is missing.
        reason: String,
    },
}
