//! Nestor as a language server: ghost text, entries of lists, learning what is saved.
//!
//! The command line calls [`run`]. The protocol is LSP 3.18 with positions in UTF-16; docs/lsp.md is the contract. Everything about
//! models is asked of `assist`, on one thread that owns it, or of a server (`remote`, the one place that knows HTTP).
#![forbid(unsafe_code)]

mod action;
mod documents;
mod error;
mod handshake;
mod local;
mod remote;
mod server;
mod suggest;
mod waiting;
mod worker;

pub use action::WRITE_BODY;
pub use error::LspError;
pub use remote::{RemoteOptions, is_loopback, reason_of};
pub use server::{Engine, LEARN, Options, serve};
pub use suggest::ACCEPTED;

/// Serves the client on stdin and stdout until it says goodbye.
///
/// # Errors
/// [`LspError`] when the client breaks the protocol.
pub fn run(options: Options) -> Result<(), LspError> {
    let (connection, threads) = lsp_server::Connection::stdio();
    let served = serve(&connection, options);
    drop(connection);
    served?;
    threads.join()?;
    Ok(())
}
