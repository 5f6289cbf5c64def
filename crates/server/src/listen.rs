//! Sockets: taking connections, TLS, limits on headers and connections, reloading, and a graceful end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::api::{App, changed_at};
use crate::config::TlsConfig;
use crate::error::ServerError;

/// Bytes of a request's headers at most.
const MAX_HEADERS: usize = 32 << 10;

/// How often files are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A server that listens.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Opens the socket; nothing is taken yet.
    ///
    /// # Errors
    /// [`ServerError`] for an address that cannot be listened on or that others reach without keys, and wrong certificates.
    pub async fn bind(app: Arc<App>) -> Result<Self, ServerError> {
        let config = app.config();
        config.check_open(app.has_keys())?;
        let tls = config.tls.as_ref().map(acceptor).transpose()?;
        let listen = config.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|source| ServerError::Listen { listen, source })?;
        Ok(Self { app, listener, tls })
    }

    /// The address, with the port that the system chose.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> Result<SocketAddr, ServerError> {
        self.listener.local_addr().map_err(ServerError::Start)
    }

    /// Whether a key is needed.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.app.has_keys()
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `end` is there, then lets what is under way come to its end. `watch` are files whose change means reloading,
    /// besides those of keys and model; `reloaded` is told how each reload went.
    ///
    /// # Errors
    /// When the routes cannot be served.
    pub async fn serve(
        self,
        end: impl Future<Output = ()>,
        watch: Vec<std::path::PathBuf>,
        reloaded: impl Fn(Result<bool, ServerError>) + Send + 'static,
    ) -> Result<(), ServerError> {
        let Self { app, listener, tls } = self;
        let limits = app.config().limits.clone();
        let router = crate::api::app(Arc::clone(&app));
        let places = Arc::new(Semaphore::new(limits.connections));
        let graceful = GracefulShutdown::new();
        let reloading = tokio::spawn(reload_on_change(Arc::clone(&app), watch, reloaded));
        let watching = tokio::spawn(crate::gpu::watch(Arc::clone(app.metrics())));
        let teaching = tokio::spawn(crate::idle::teach(Arc::clone(&app)));
        let mut end = std::pin::pin!(end);
        loop {
            let place = tokio::select! {
                () = &mut end => break,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            // The semaphore is never closed.
            let Ok(place) = place else { break };
            let taken = tokio::select! {
                () = &mut end => break,
                taken = listener.accept() => taken,
            };
            let stream = match taken {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of files or a connection that broke at once: the next one may be fine.
                    eprintln!("nestor: a connection was not taken: {error}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            // Small answers go out at once; a system that cannot do it is slower, not wrong.
            let _ = stream.set_nodelay(true);
            let connection = Connection {
                router: router.clone(),
                app: Arc::clone(&app),
                header_timeout: Duration::from_millis(limits.header_timeout_ms),
                _place: place,
            };
            let watcher = graceful.watcher();
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => connection.serve(stream, watcher).await,
                    Some(tls) => {
                        let shaken =
                            tokio::time::timeout(connection.header_timeout, tls.accept(stream));
                        // A client that does not speak TLS is its own problem.
                        if let Ok(Ok(stream)) = shaken.await {
                            connection.serve(stream, watcher).await;
                        }
                    }
                }
            });
        }
        drop(listener);
        reloading.abort();
        watching.abort();
        teaching.abort();
        let grace = Duration::from_millis(app.config().scheduler.shutdown_ms);
        let stopping = Arc::clone(&app);
        let stopped = tokio::task::spawn_blocking(move || stopping.stop());
        let _ = tokio::time::timeout(grace + Duration::from_secs(1), graceful.shutdown()).await;
        let _ = stopped.await;
        Ok(())
    }
}

struct Connection {
    router: axum::Router,
    app: Arc<App>,
    header_timeout: Duration,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let app = Arc::clone(&self.app);
        app.metrics().connection(1);
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let request: Request = request.map(axum::body::Body::new);
            let answered = router.clone().oneshot(request);
            async move { Ok::<_, Infallible>(answered.await.unwrap_or_else(|never| match never {})) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_buf_size(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        // A connection that breaks is the client's affair; what it asked for is dropped with it.
        let _ = watcher.watch(connection).await;
        app.metrics().connection(-1);
    }
}

/// Reloads when a watched file changes, on Windows as on Linux, and on SIGHUP where there is one.
async fn reload_on_change(
    app: Arc<App>,
    watch: Vec<std::path::PathBuf>,
    reloaded: impl Fn(Result<bool, ServerError>),
) {
    let files = |app: &App| {
        let mut files = watch.clone();
        files.extend(app.watched_files());
        files
    };
    let mut known = changed_at(&files(&app));
    let mut hangup = Hangup::new();
    loop {
        let asked = tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => false,
            () = hangup.next() => true,
        };
        let now = changed_at(&files(&app));
        if !asked && now == known {
            continue;
        }
        let reloading = Arc::clone(&app);
        let done = tokio::task::spawn_blocking(move || reloading.reload()).await;
        if let Ok(done) = done {
            reloaded(done);
        }
        // After the reload: another model may mean other files.
        known = changed_at(&files(&app));
    }
}

#[cfg(unix)]
struct Hangup(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Hangup {
    fn new() -> Self {
        let kind = tokio::signal::unix::SignalKind::hangup();
        Self(tokio::signal::unix::signal(kind).ok())
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
struct Hangup;

#[cfg(not(unix))]
impl Hangup {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}

/// Ends when the user or the system asks the process to: Ctrl-C, and SIGTERM where there is one.
pub async fn interrupted() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let kind = tokio::signal::unix::SignalKind::terminate();
        let Ok(mut terminate) = tokio::signal::unix::signal(kind) else {
            let _ = interrupt.await;
            return;
        };
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    {
        let _ = interrupt.await;
    }
}

fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, ServerError> {
    let certificates = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| ServerError::file(&config.certificate, error))?;
    if certificates.is_empty() {
        return Err(ServerError::file(
            &config.certificate,
            "holds no certificate",
        ));
    }
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|error| ServerError::file(&config.key, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut made = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            let builder = builder.with_no_client_auth();
            builder.with_single_cert(certificates, key)
        })
        .map_err(|error| ServerError::file(&config.certificate, error))?;
    made.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(made)))
}
