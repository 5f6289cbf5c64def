//! What can go wrong while training.

use nestor_corpus::CorpusError;
use nestor_model::ModelError;
use std::path::PathBuf;

/// Errors of the crate; each carries its operands.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting that no run can have.
    #[error("training setting {field} = {value}: {reason}")]
    Config {
        /// The setting as written in the configuration.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A corpus that cannot be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A network that cannot be built, read or written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A corpus with too little in it to train on.
    #[error("corpus {path}: {reason}")]
    Empty {
        /// The corpus folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// A checkpoint that is damaged or belongs to another run.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// The checkpoint file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A model folder whose weights a run cannot start from.
    #[error("model {path}: {reason}")]
    Start {
        /// The model folder.
        path: PathBuf,
        /// Why it does not fit.
        reason: String,
    },
    /// A number that is not finite, and where it appeared.
    #[error(
        "step {step}: {place} is not finite; lower the learning rate or resume from the last checkpoint"
    )]
    NonFinite {
        /// The step, counted from 0.
        step: u64,
        /// The layer whose gradient it is, or "the loss".
        place: String,
    },
    /// A folder that already holds a run while `--resume` was not asked for.
    #[error(
        "{path} already holds a training run; resume it with --resume or choose another folder"
    )]
    Occupied {
        /// The output folder.
        path: PathBuf,
    },
    /// The thread that prepares batches has gone.
    #[error("the loader stopped: {reason}")]
    Loader {
        /// Why, where it is known.
        reason: String,
    },
    /// The loss could not be computed on this device.
    #[error("device {device} is not available in this build; {reason}")]
    Device {
        /// The device asked for.
        device: &'static str,
        /// What to do.
        reason: &'static str,
    },
}

impl TrainError {
    /// An operating-system error on a file.
    pub(crate) fn file(path: &std::path::Path, error: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.to_path_buf(),
            reason: error.to_string(),
        }
    }
}
