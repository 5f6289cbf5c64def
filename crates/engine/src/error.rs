//! What can go wrong while a model is loaded or used.

use std::path::PathBuf;

/// Errors of the crate; each carries its operands.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file of a model folder that cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system or the format said.
        reason: String,
    },
    /// A `model.json` of a format that this program does not know.
    #[error("{path}: format_version is {found}, this program reads {supported}")]
    FormatVersion {
        /// The file.
        path: PathBuf,
        /// The version as written.
        found: String,
        /// The version that is supported.
        supported: u32,
    },
    /// A file whose content is not the one that `model.json` names.
    #[error(
        "{path}: sha256 is {found}, model.json says {field} = {expected}; the folder is damaged or mixed from two models"
    )]
    Hash {
        /// The file.
        path: PathBuf,
        /// The field of `model.json`.
        field: &'static str,
        /// The hash that `model.json` names.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// A size in `model.json` that no network can have.
    #[error("network configuration: {field} is {value}: {reason}")]
    Config {
        /// The field as written in `model.json`.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor that is missing, superfluous, or of another shape, type or content.
    #[error("{path}: tensor {tensor}: {reason}")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A session that wants more stages than the model has, or none.
    #[error("a session of {requested} stages; the model has 1 to {available}")]
    Stages {
        /// Stages asked for.
        requested: usize,
        /// Stages of the model.
        available: usize,
    },
    /// A token that is not in the vocabulary.
    #[error("token {token} at index {index} of the input; the vocabulary has {vocab}")]
    Token {
        /// The token.
        token: u32,
        /// Where it stands in the input.
        index: usize,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// An exit that the session does not compute.
    #[error("exit {exit}; the session has {available}, counted from 0")]
    Exit {
        /// The exit asked for.
        exit: usize,
        /// Exits of the session.
        available: usize,
    },
    /// A buffer of the wrong length.
    #[error("{what}: {found} elements, {expected} are needed")]
    Length {
        /// What the buffer holds.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length needed.
        expected: usize,
    },
    /// Logits that are not numbers: the weights or the input have overflowed.
    #[error("exit {exit}: a logit is not finite at position {position}")]
    NotFinite {
        /// The exit, counted from 0.
        exit: usize,
        /// Tokens that the session had seen.
        position: usize,
    },
    /// A gate that was fitted for other components.
    #[error("the gate mixes {found:?}, the mixture has {needed:?}")]
    Gate {
        /// Components of the gate.
        found: Vec<String>,
        /// Components that it must have.
        needed: Vec<String>,
    },
    /// Two parts that must share a vocabulary do not.
    #[error("{part} was made for a vocabulary of {found}, the model has {expected}")]
    Vocabulary {
        /// Which part.
        part: &'static str,
        /// Vocabulary of the model.
        expected: usize,
        /// Vocabulary of the part.
        found: usize,
    },
    /// A setting of a memory that makes no sense.
    #[error("memory: {field} is {value}: {reason}")]
    Setting {
        /// The field of the memory's configuration.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A saved memory that is damaged, foreign or of another version.
    #[error("{what} as saved: {reason}")]
    Memory {
        /// Which memory.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The cache or its gate refused something.
    #[error(transparent)]
    Cache(#[from] nestor_cache::CacheError),
    /// A prediction before the first token.
    #[error("nothing to predict from: the session has seen no token")]
    Empty,
    /// A field of a request that makes no sense.
    #[error("request: {field}: {reason}")]
    Request {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
