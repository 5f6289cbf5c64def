//! What can keep a server from running. What a request does wrong is [`crate::api::ApiError`].

use std::net::SocketAddr;
use std::path::PathBuf;

use nestor_assist::{AssistError, MemoryError};
use thiserror::Error;

/// An error of the server itself.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A key of the configuration with a value that makes no sense.
    #[error("{key}: {reason}")]
    Config {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An address that others reach, and no keys.
    #[error(
        "{listen} can be reached from other machines and no keys are needed: make keys with `nestor keys add`, listen on 127.0.0.1, or set allow_without_keys = true"
    )]
    Open {
        /// The address.
        listen: SocketAddr,
    },
    /// An address that cannot be listened on.
    #[error("{listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A file that cannot be read, written or understood.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A model that cannot be used.
    #[error(transparent)]
    Assist(#[from] AssistError),
    /// A project that cannot be used.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The runtime or a thread cannot be started.
    #[error("the server cannot start: {0}")]
    Start(std::io::Error),
}

impl ServerError {
    pub(crate) fn config(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config {
            key: key.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::File {
            path: path.into(),
            reason: reason.to_string(),
        }
    }
}
