//! What can go wrong in an evaluation.

use nestor_assist::AssistError;
use thiserror::Error;

/// An error of the evaluation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The model or the cache failed.
    #[error(transparent)]
    Assist(#[from] AssistError),
    /// Nothing in the source can be scored.
    #[error("{name}: nothing to score: {reason}")]
    NothingToScore {
        /// The source.
        name: String,
        /// Why.
        reason: String,
    },
    /// A setting that makes no sense.
    #[error("{field}: {reason}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
