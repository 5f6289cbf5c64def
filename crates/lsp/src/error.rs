//! What ends a language server.

use thiserror::Error;

/// An error of the language server itself; what a request does wrong is answered to it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LspError {
    /// The client broke the protocol, or went away.
    #[error("the client broke the protocol: {0}")]
    Protocol(#[from] lsp_server::ProtocolError),
    /// The client went away before the session had begun.
    #[error("the client went away before the session had begun")]
    Gone,
    /// A message that stands elsewhere than at the beginning of a session.
    #[error("the client sent {0} before the session had begun")]
    Beginning(String),
    /// A message that cannot be written.
    #[error("the client does not read: {0}")]
    Io(#[from] std::io::Error),
    /// A message of ours that is no JSON, which cannot happen.
    #[error("a message cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    /// A part of the server ended before the client did.
    #[error("the worker has ended; its error stands before this one")]
    Worker,
}
