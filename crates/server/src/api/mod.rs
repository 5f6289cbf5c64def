//! The routes. A route extracts, asks the rest of the crate, and maps the error; [`app`] builds them without a socket.

pub(crate) mod editor;
mod error;
mod extract;
mod fields;
pub(crate) mod jobs;
pub(crate) mod llama;
mod logprobs;
pub(crate) mod openai;
pub(crate) mod ops;
pub(crate) mod projects;
mod run;
pub(crate) mod score;
mod sse;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use nestor_assist::{Assistant, MODEL_FILES, Projects};
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use error::ApiError;
pub use extract::{ApiJson, ApiPath, ApiQuery, Who};

use crate::config::ServerConfig;
use crate::error::ServerError;
use crate::idle::Work;
use crate::jobs::{Jobs, NewJob, NotStarted};
use crate::keys::Keys;
use crate::metrics::{Metrics, SharedMetrics};
use crate::online::Online;
use crate::rate::Rates;
use crate::scheduler::{Scheduler, Sizes};
use crate::serving::Serving;
use crate::wire::JobShown;

/// Completions that events may be about.
const MAX_KNOWN: usize = 20_000;

/// What the configuration file says now, and the folder of the model that it names.
pub type ReadConfig = Box<dyn Fn() -> Result<(ServerConfig, PathBuf), String> + Send + Sync>;

/// What a server is made of.
pub struct Setup {
    /// The configuration.
    pub config: ServerConfig,
    /// The folder of the model.
    pub model_folder: PathBuf,
    /// Where projects lie.
    pub projects: Projects,
    /// This program, which jobs run.
    pub program: PathBuf,
    /// Reads the configuration again.
    pub read_config: ReadConfig,
}

/// A completion that events may be about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Characters of it that were accepted so far.
    pub accepted: u64,
    /// The document that it is for, if the server watches it.
    pub document: Option<String>,
}

#[derive(Default)]
struct KnownOnes {
    by_id: HashMap<String, Known>,
    order: VecDeque<String>,
}

/// Everything that the routes share.
pub struct App {
    config: RwLock<Arc<ServerConfig>>,
    model_folder: RwLock<PathBuf>,
    keys: RwLock<Arc<Keys>>,
    read_config: ReadConfig,
    /// The model and the projects.
    pub(crate) serving: Arc<Serving>,
    pub(crate) scheduler: Scheduler,
    pub(crate) metrics: SharedMetrics,
    pub(crate) jobs: Jobs,
    pub(crate) work: Work,
    pub(crate) online: Online,
    rates: Rates,
    known: Mutex<KnownOnes>,
    next_id: AtomicU64,
    stopping: AtomicBool,
}

impl App {
    /// Opens the model and starts the workers.
    ///
    /// # Errors
    /// [`ServerError`] naming what is wrong.
    pub fn open(setup: Setup) -> Result<Arc<Self>, ServerError> {
        let metrics: SharedMetrics = Arc::new(Metrics::new());
        let serving = Serving::open(
            &setup.model_folder,
            setup.projects.clone(),
            Arc::clone(&metrics),
        )?;
        Self::with(setup, serving, metrics)
    }

    /// Serves an assistant that is open already; its model is never looked at again.
    ///
    /// # Errors
    /// [`ServerError`] naming what is wrong.
    pub fn of(setup: Setup, assistant: Assistant) -> Result<Arc<Self>, ServerError> {
        let metrics: SharedMetrics = Arc::new(Metrics::new());
        let serving = Serving::of(assistant, setup.projects.clone(), Arc::clone(&metrics));
        Self::with(setup, serving, metrics)
    }

    fn with(
        setup: Setup,
        serving: Serving,
        metrics: SharedMetrics,
    ) -> Result<Arc<Self>, ServerError> {
        let config = setup.config;
        config.validate()?;
        let keys = match &config.keys {
            Some(path) => Keys::read(path)?,
            None => Keys::default(),
        };
        let serving = Arc::new(serving);
        serving.set_auto_confidence(config.defaults.auto_confidence);
        serving.set_max_projects(config.limits.projects);
        let online = Online::start(Arc::clone(&serving), Arc::clone(&metrics))?;
        let app = Arc::new(Self {
            scheduler: Scheduler::start(sizes(&config))?,
            jobs: Jobs::new(setup.program, Arc::clone(&metrics)),
            work: Work::default(),
            config: RwLock::new(Arc::new(config)),
            model_folder: RwLock::new(setup.model_folder),
            keys: RwLock::new(Arc::new(keys)),
            read_config: setup.read_config,
            serving,
            metrics,
            online,
            rates: Rates::default(),
            known: Mutex::default(),
            next_id: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
        });
        for name in &app.config().defaults.preload {
            // Begins to load it; whether it is there is told by /health/ready and by the first request.
            let _ = app.serving.project(name);
        }
        Ok(app)
    }

    /// The configuration as it is now.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether any key is needed.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.keys().list().is_empty()
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn model_folder(&self) -> PathBuf {
        let folder = self.model_folder.read();
        folder.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the server is about to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Answers no new completion, ends jobs, and waits for what is under way, within the configured time.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.jobs.cancel_all();
        let grace = self.config().scheduler.shutdown_ms;
        self.scheduler.stop(Duration::from_millis(grace));
        self.serving.metadata().end();
    }

    /// Reads configuration and keys again, and the model if it has changed; true if it was. What can only be set at the start, such as
    /// the address, stays as it was.
    ///
    /// # Errors
    /// What is wrong; everything stays as it was then, but for what was read before.
    pub fn reload(&self) -> Result<bool, ServerError> {
        let read = (self.read_config)().map_err(|reason| ServerError::config("config", reason));
        let checked = read.and_then(|(config, folder)| {
            config.validate()?;
            let keys = match &config.keys {
                Some(path) => Keys::read(path)?,
                None => Keys::default(),
            };
            // Taking the last key away must not open a server to everyone.
            config.check_open(!keys.list().is_empty())?;
            Ok((config, folder, keys))
        });
        self.metrics.reloaded("config", checked.is_ok());
        let (config, folder, keys) = checked?;
        self.scheduler.set_limits(
            config.scheduler.queue,
            config.scheduler.longest_wait_ms as usize,
        );
        self.serving
            .set_auto_confidence(config.defaults.auto_confidence);
        self.serving.set_max_projects(config.limits.projects);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.metrics.reloaded("keys", true);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        let changed = self.serving.refresh_model(&folder)?;
        let mut now = self
            .model_folder
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *now = folder;
        Ok(changed)
    }

    /// A name for a completion that no other has.
    pub(crate) fn new_id(&self, prefix: &str) -> String {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-{:x}-{number:x}", now())
    }

    /// Remembers a completion for events about it.
    pub(crate) fn know(&self, id: &str, document: Option<String>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.order.len() >= MAX_KNOWN
            && let Some(oldest) = known.order.pop_front()
        {
            known.by_id.remove(&oldest);
        }
        known.order.push_back(id.to_owned());
        let one = Known {
            accepted: 0,
            document,
        };
        known.by_id.insert(id.to_owned(), one);
    }

    /// Calls `change` with what is remembered of a completion; false if nothing is.
    pub(crate) fn with_known(&self, id: &str, change: impl FnOnce(&mut Known)) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.by_id.get_mut(id);
        found.map(change).is_some()
    }

    pub(crate) fn start_job(&self, job: NewJob) -> Result<JobShown, ApiError> {
        self.jobs.start(job).map_err(|why| match why {
            NotStarted::TooMany => ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_jobs",
                "as many jobs run as may; wait for one to end, or cancel it",
            )
            .retry_after(Duration::from_secs(30)),
            NotStarted::Same(id) => ApiError::new(
                StatusCode::CONFLICT,
                "job_running",
                format!("the job {id} does that already; see GET /v1/train/{id}"),
            ),
            NotStarted::System(error) => {
                ApiError::internal(format!("the job cannot be started: {error}"))
            }
        })
    }

    pub(crate) fn tell_queue(&self) {
        let scheduler = &self.scheduler;
        self.metrics.set_queue(
            scheduler.n_waiting(),
            scheduler.capacity(),
            scheduler.n_running(),
            scheduler.n_workers(),
        );
    }

    /// The figures of this server.
    #[must_use]
    pub fn metrics(&self) -> &SharedMetrics {
        &self.metrics
    }

    /// The files that a change of means reloading: those of keys and of the model.
    #[must_use]
    pub fn watched_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.config().keys.iter().cloned().collect();
        let folder = self.model_folder();
        files.extend(MODEL_FILES.map(|name| folder.join(name)));
        files
    }
}

/// Completions at once for each core, where the configuration names no number: as many as share a pass over the weights well.
const WORKERS_PER_CORE: usize = 2;

/// The sizes of the scheduler: one thread a completion, unless the configuration says otherwise.
fn sizes(config: &ServerConfig) -> Sizes {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = match config.scheduler.workers {
        0 => WORKERS_PER_CORE * cores,
        n => n,
    };
    let threads = match config.scheduler.threads {
        0 => (cores / workers).max(1),
        n => n,
    };
    Sizes {
        workers,
        places: cores.min(workers),
        threads,
        queue: config.scheduler.queue,
        longest_wait_ms: config.scheduler.longest_wait_ms as usize,
    }
}

/// The routes over a server.
pub fn app(app: Arc<App>) -> Router {
    let keyed = Router::new()
        .route("/v1/completions", post(openai::completions))
        .route("/v1/chat/completions", post(openai::chat))
        .route("/v1/models", get(openai::models))
        .route("/v1/models/{model}", get(openai::model))
        .route("/infill", post(llama::infill))
        .route("/props", get(llama::props))
        .route("/v1/complete", post(editor::complete))
        .route("/v1/events", post(editor::events))
        .route("/v1/projects", get(projects::list))
        .route(
            "/v1/projects/{name}",
            get(projects::get).delete(projects::delete),
        )
        .route("/v1/projects/{name}/learn", post(projects::learn))
        .route("/v1/score", post(score::score))
        .route("/v1/train", post(jobs::train))
        .route("/v1/train/{id}", get(jobs::get).delete(jobs::cancel))
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/admin/reload", post(ops::reload))
        .route("/metrics", get(ops::metrics))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), who_asks));
    let open = Router::new()
        .route("/health", get(llama::health))
        .route("/health/live", get(ops::live))
        .route("/health/ready", get(ops::ready))
        .route("/openapi.json", get(ops::openapi))
        .route("/", get(ops::index))
        .route("/playground", get(ops::playground))
        .route("/dashboard", get(ops::dashboard))
        .route("/docs", get(ops::docs))
        .route("/pages/style.css", get(ops::style))
        .route("/pages/shared.js", get(ops::shared_script))
        .route("/pages/playground.js", get(ops::playground_script))
        .route("/pages/dashboard.js", get(ops::dashboard_script))
        .route("/pages/docs.js", get(ops::docs_script));
    keyed
        .merge(open)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(cors(&app))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), same_site))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), measure))
        .with_state(app)
}

/// Lets pages of the configured origins read answers.
fn cors(app: &Arc<App>) -> CorsLayer {
    let app = Arc::clone(app);
    let allowed = move |origin: &HeaderValue, _: &axum::http::request::Parts| {
        let origin = origin.to_str().unwrap_or_default();
        app.config()
            .cors_origins
            .iter()
            .any(|known| known == origin)
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
        .max_age(Duration::from_secs(600))
}

async fn unknown_path(request: Request) -> ApiError {
    let message = format!(
        "there is no {}; GET /openapi.json lists what there is",
        request.uri().path()
    );
    ApiError::new(StatusCode::NOT_FOUND, "unknown_path", message)
}

async fn wrong_method(request: Request) -> ApiError {
    let message = format!(
        "{} cannot be asked by {}; the header Allow names the methods",
        request.uri().path(),
        request.method()
    );
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
}

/// Counts every request by its route, never by its path, which may hold names.
async fn measure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = match request.method().as_str() {
        method @ ("GET" | "POST" | "DELETE" | "OPTIONS" | "HEAD" | "PUT" | "PATCH") => {
            method.to_owned()
        }
        _ => "other".to_owned(),
    };
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("other".to_owned(), |path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    let status = response.status().as_u16();
    app.metrics
        .request(&route, &method, status, started.elapsed());
    response
}

/// Refuses web pages of other origins, and names that were made to point here, so that no page that a user happens to visit can ask
/// a server on the user's own machine.
async fn same_site(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Err(error) = check_site(&app.config(), request.headers()) {
        return error.into_response();
    }
    next.run(request).await
}

fn check_site(config: &ServerConfig, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let refuse = |code, message: String| Err(ApiError::new(StatusCode::FORBIDDEN, code, message));
    let host = text(header::HOST);
    if let Some(host) = host.filter(|_| config.listen.ip().is_loopback()) {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let is_local = matches!(name, "localhost" | "[::1]")
            || name
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|ip| ip.is_loopback());
        if !is_local {
            let message = format!("this server answers as localhost, not as {name}");
            return refuse("wrong_host", message);
        }
    }
    if let Some(origin) = text(header::ORIGIN) {
        let own = host.is_some_and(|host| {
            origin == format!("http://{host}") || origin == format!("https://{host}")
        });
        if !own && !config.cors_origins.iter().any(|known| known == origin) {
            let message = format!(
                "pages of {origin} may not ask; add it to cors_origins of the configuration"
            );
            return refuse("wrong_origin", message);
        }
    }
    Ok(())
}

/// Finds out who asks, and how often.
async fn who_asks(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let who = match holder(&app, request.headers()) {
        Ok(who) => who,
        Err(error) => {
            app.metrics.denied("key");
            return error.into_response();
        }
    };
    let limits = &app.config().limits;
    let (rate, burst) = (limits.requests_per_minute, limits.burst);
    // Without keys everyone is one person at one machine: the queue is limit enough.
    if app.has_keys()
        && let Err(wait) = app.rates.take(who.name(), rate, burst, Instant::now())
    {
        app.metrics.denied("rate");
        let message = format!("more than {rate} requests a minute with this key; slow down");
        let error = ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            message,
        );
        return error.retry_after(wait).into_response();
    }
    request.extensions_mut().insert(who);
    next.run(request).await
}

fn holder(app: &App, headers: &HeaderMap) -> Result<Who, ApiError> {
    let keys = app.keys();
    if keys.list().is_empty() {
        return Ok(Who::anyone());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| {
        let (scheme, secret) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
    });
    let Some(secret) = bearer.or_else(|| text("x-api-key")) else {
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "missing_api_key",
            "send a key in the header Authorization: Bearer KEY; `nestor keys add` makes one",
        ));
    };
    match keys.find(secret) {
        Some(key) => Ok(Who::holder(key.clone())),
        None => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "the key is unknown or was revoked; `nestor keys list` shows which there are",
        )),
    }
}

/// Runs what waits for disks away from the async runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        Err(ApiError::internal(
            "the request broke an invariant; the server's error stream tells where",
        ))
    })
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is wrong anyway.
    since.map_or(0, |since| since.as_secs())
}

/// When files were changed last, to tell whether they have.
pub(crate) fn changed_at(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    let at = |path: &PathBuf| std::fs::metadata(Path::new(path)).ok()?.modified().ok();
    files.iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn pages_of_other_sites_and_names_that_point_here_are_refused() {
        let mut config = ServerConfig {
            cors_origins: vec!["https://edit.example".to_owned()],
            ..ServerConfig::default()
        };
        for (host, origin, fine) in [
            ("127.0.0.1:8088", None, true),
            ("localhost", None, true),
            ("[::1]:8088", None, true),
            ("127.1.2.3:1", None, true),
            ("evil.example:8088", None, false),
            ("localhost.evil.example", None, false),
            ("localhost:8088", Some("http://localhost:8088"), true),
            ("localhost:8088", Some("http://localhost:9"), false),
            ("localhost:8088", Some("https://edit.example"), true),
            ("localhost:8088", Some("null"), false),
        ] {
            let found = check_site(&config, &headers(host, origin));
            assert_eq!(found.is_ok(), fine, "{host} {origin:?}");
        }
        config.listen = "0.0.0.0:8088".parse().unwrap();
        assert!(check_site(&config, &headers("code.corp:8088", None)).is_ok());
    }
}
