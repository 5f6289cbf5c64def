//! The crate's error type.

use std::path::PathBuf;

/// What can go wrong in the cache: bad input, bad files, mismatched parts.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A token id does not fit the vocabulary the structure was made for.
    #[error("token id {token} is outside the vocabulary of {vocab_size}")]
    TokenOutsideVocabulary {
        /// The offending id.
        token: u32,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// The vocabulary is empty or does not fit 16-bit storage.
    #[error("a vocabulary of {vocab_size} is not supported: 1 to {max} ids are")]
    VocabularySize {
        /// The size asked for.
        vocab_size: usize,
        /// The largest supported size.
        max: usize,
    },
    /// Two parts that must share a vocabulary do not.
    #[error("{part} was made for a vocabulary of {found}, this cache has {expected}")]
    VocabularyMismatch {
        /// Which part.
        part: &'static str,
        /// Vocabulary of the cache.
        expected: usize,
        /// Vocabulary of the part.
        found: usize,
    },
    /// The segment was never learned here, or is forgotten already.
    #[error("segment {segment} is not in this nest")]
    UnknownSegment {
        /// Index of the segment.
        segment: usize,
    },
    /// The stream would pass 32-bit positions.
    #[error("a nest holds at most {max} tokens")]
    TooManyTokens {
        /// The limit.
        max: usize,
    },
    /// Bytes that are not what they claim to be.
    #[error("{what} is corrupt: {reason}")]
    Corrupt {
        /// The file or structure.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// "cannot read", "cannot write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Training examples or features have the wrong shape or values.
    #[error("gate {gate}: {reason}")]
    Gate {
        /// Name of the gate.
        gate: String,
        /// What is wrong.
        reason: String,
    },
}
