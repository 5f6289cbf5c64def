//! What can go wrong with a network's configuration or weights.

use std::path::PathBuf;

/// Errors of the crate; each carries its operands.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A configuration that no network can be built from.
    #[error("network configuration: {field} is {value}: {reason}")]
    Config {
        /// The field as written in `model.json`.
        field: &'static str,
        /// Its value.
        value: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A weights file that cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system or the format said.
        reason: String,
    },
    /// A tensor that is missing, superfluous or of another shape or type.
    #[error("{path}: tensor {tensor}: {reason}")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A batch whose parts do not fit together.
    #[error("batch: {field} has {found} entries, {expected} are needed")]
    Batch {
        /// The field of the batch.
        field: &'static str,
        /// Entries found.
        found: usize,
        /// Entries needed.
        expected: usize,
    },
}
