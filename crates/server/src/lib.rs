//! Nestor over HTTP: completions for editors, projects, jobs, figures and pages.
//!
//! The command line reads the configuration and calls [`run`]. Everything about models is asked of `assist`, on threads of the
//! scheduler; the async runtime only moves bytes. Source text is held in memory while it is needed and never written into logs or
//! figures, and the server opens no connection of its own.
#![forbid(unsafe_code)]

pub mod api;
pub mod config;
pub mod error;
pub mod gpu;
mod idle;
pub mod jobs;
pub mod keys;
pub mod listen;
pub mod metrics;
pub mod online;
mod openapi;
pub mod rate;
pub mod scheduler;
pub mod serving;
pub mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use api::{App, Setup, app};
pub use config::ServerConfig;
pub use error::ServerError;
pub use keys::{Key, Keys, NewKey, Right};
pub use listen::Server;
pub use openapi::document;

/// What a running server tells its caller.
pub enum Told {
    /// It listens.
    Listening {
        /// Where.
        address: SocketAddr,
        /// `http` or `https`.
        scheme: &'static str,
        /// Whether a key is needed.
        keys: bool,
    },
    /// Configuration and keys were read again; true if the model was, too.
    Reloaded(bool),
    /// They could not be, and everything stays as it was.
    NotReloaded(ServerError),
    /// It takes no more requests.
    Stopping,
}

/// Serves until the process is asked to end. `watch` are files whose change means reloading.
///
/// # Errors
/// [`ServerError`] naming what keeps it from serving.
pub fn run(
    setup: Setup,
    watch: Vec<PathBuf>,
    tell: impl Fn(Told) + Clone + Send + 'static,
) -> Result<(), ServerError> {
    let app = App::open(setup)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Bytes are moved here and nothing else.
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(ServerError::Start)?;
    runtime.block_on(async {
        let server = Server::bind(app).await?;
        tell(Told::Listening {
            address: server.address()?,
            scheme: server.scheme(),
            keys: server.has_keys(),
        });
        let (stopping, reloading) = (tell.clone(), tell);
        let end = async move {
            listen::interrupted().await;
            stopping(Told::Stopping);
        };
        let reloaded = move |done| match done {
            Ok(model) => reloading(Told::Reloaded(model)),
            Err(error) => reloading(Told::NotReloaded(error)),
        };
        server.serve(end, watch, reloaded).await
    })
}
