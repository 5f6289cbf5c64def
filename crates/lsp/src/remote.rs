//! The model at a server: `POST /v1/complete` of `nestor serve` instead of an engine in this process.
//!
//! The worker calls this like the engine. It is the one place of the language server that knows HTTP. A request that is cancelled is
//! dropped, which closes its connection, so that the server stops within a piece. A server on this machine is asked directly, whatever
//! proxies the system names: a proxy must not see source code that was not to leave the machine.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use nestor_assist::{CompleteRequest, ProjectName, StopReason, StopRule};
use reqwest::{Certificate, Client, Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::worker::{Answer, Backend, Cancel, Event, Failed, Told};

/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Time for a completion; that of a body, which is many times as long.
const COMPLETE_MS: u64 = 2_000;
const BODY_MS: u64 = 60_000;

/// Time on top of the server's own for the way.
const WAY: Duration = Duration::from_secs(5);

/// How often it is asked whether anyone still waits.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// How a server is reached.
#[derive(Clone)]
pub struct RemoteOptions {
    /// `http` or `https`, host and port.
    pub url: String,
    /// The key, where the server wants one.
    pub key: Option<String>,
    /// A file with certificates of authorities, besides the system's own.
    pub ca: Option<PathBuf>,
}

impl std::fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A key is nobody's to read in a log.
        let key = self.key.as_ref().map(|_| "...");
        f.debug_struct("RemoteOptions")
            .field("url", &self.url)
            .field("key", &key)
            .field("ca", &self.ca)
            .finish()
    }
}

/// A server as the worker's model.
pub struct Remote {
    runtime: Runtime,
    client: Client,
    url: Url,
    key: Option<String>,
    project: Option<ProjectName>,
    /// Folders of the workspace: the server knows documents by their paths inside them.
    folders: Vec<String>,
    /// Tells this window's documents from another's.
    session: String,
}

/// An answer of `POST /v1/complete`, as far as an editor cares.
#[derive(Deserialize)]
struct Completed {
    id: String,
    text: String,
    confidence: f32,
    stop: String,
    healed_bytes: usize,
    tokens: Vec<Piece>,
}

#[derive(Deserialize)]
struct Piece {
    text: String,
    probability: f32,
}

/// The part of `GET /v1/projects/NAME` that is told to the user.
#[derive(Deserialize)]
struct Project {
    files: usize,
    pieces: u64,
}

impl Remote {
    /// Makes the client; nothing is asked yet.
    ///
    /// # Errors
    /// A sentence that names what is wrong with the address, the key or the certificates.
    pub fn open(options: &RemoteOptions, folders: Vec<String>) -> Result<Self, Failed> {
        let wrong = |what: &str, why: &dyn std::fmt::Display| Failed(format!("{what}: {why}"));
        let url = Url::parse(&options.url).map_err(|error| wrong(&options.url, &error))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            let why = "not an address such as https://host:8088";
            return Err(wrong(&options.url, &why));
        }
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            // A server that sends elsewhere is none of ours; the key stays here.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        if let Some(path) = &options.ca {
            let shown = path.display().to_string();
            let pem = std::fs::read(path).map_err(|error| wrong(&shown, &error))?;
            let found =
                Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&shown, &error))?;
            if found.is_empty() {
                return Err(wrong(&shown, &"holds no certificate"));
            }
            for certificate in found {
                client = client.add_root_certificate(certificate);
            }
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("http")
            .enable_all()
            .build();
        Ok(Self {
            runtime: runtime.map_err(|error| wrong("the runtime", &error))?,
            client: client
                .build()
                .map_err(|error| wrong("TLS", &reason(&error)))?,
            url,
            key: options.key.clone(),
            project: None,
            folders,
            session: std::process::id().to_string(),
        })
    }

    /// Asks, until `cancelled` or for `time`.
    fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        time: Duration,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Value, Failed> {
        let url = self
            .url
            .join(path)
            .map_err(|error| Failed(error.to_string()))?;
        let mut request = self.client.request(method, url).timeout(time);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json");
            request = request.body(body.to_string());
        }
        let answered = async {
            let response = request.send().await?;
            let status = response.status();
            Ok((status, response.bytes().await?))
        };
        let given_up = async {
            while !cancelled() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let answered: Result<_, reqwest::Error> = self
            .runtime
            .block_on(async {
                tokio::select! {
                    answered = answered => Some(answered),
                    () = given_up => None,
                }
            })
            .ok_or_else(|| Failed("cancelled".to_owned()))?;
        let (status, bytes) =
            answered.map_err(|error| Failed(format!("{}: {}", self.url, reason(&error))))?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        let message = value.pointer("/error/message").and_then(Value::as_str);
        let message = message.unwrap_or("no Nestor answers there");
        Err(Failed(format!(
            "{} ({}): {message}",
            self.url,
            status.as_u16()
        )))
    }

    fn body(&self, request: &CompleteRequest) -> Value {
        let stop = match request.stop {
            StopRule::Line => "line",
            StopRule::Statement => "statement",
            StopRule::Block => "block",
            StopRule::Method => "method",
            StopRule::Text => "text",
        };
        json!({
            "path": self.path_of(&request.path),
            "text": request.text,
            "offset": request.offset.0,
            "offset_unit": "bytes",
            "project": self.project.as_ref().map(ProjectName::as_str),
            "speed": request.speed.name(),
            "stop": stop,
            "max_tokens": request.max_tokens,
            "deadline_ms": deadline_ms(request),
            "session": self.session,
        })
    }

    /// The path inside the workspace: where the workspace lies says nothing to a server, and names its user.
    fn path_of(&self, path: &str) -> String {
        let folders = self.folders.iter();
        let folders = folders.map(|folder| ("", folder.as_str()));
        match nestor_assist::paths::in_root(folders, path) {
            Some((_, inside)) => inside,
            None => path.to_owned(),
        }
    }
}

fn deadline_ms(request: &CompleteRequest) -> u64 {
    if request.stop == StopRule::Method {
        BODY_MS
    } else {
        COMPLETE_MS
    }
}

/// Whether an address is this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_local = |ip: IpAddr| ip.is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_local)
}

/// An error with what caused it: the first sentence of a client's error says little.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

/// The server's word for why a completion ends.
fn stop_of(name: &str) -> StopReason {
    match name {
        "rule" => StopReason::Rule,
        "end_of_text" => StopReason::EndOfText,
        "prose" => StopReason::Prose,
        "nothing_fits" => StopReason::NothingFits,
        "cancelled" => StopReason::Cancelled,
        // `max_tokens` and `deadline`: it would have gone on.
        _ => StopReason::MaxTokens,
    }
}

impl Backend for Remote {
    fn load(&mut self, project: Option<ProjectName>) -> Told {
        self.project = project;
        let (path, is_project) = match &self.project {
            Some(name) => (format!("v1/projects/{name}"), true),
            // Tells whether the key is right.
            None => ("v1/models".to_owned(), false),
        };
        match self.ask(Method::GET, &path, None, 2 * WAY, &|| false) {
            Err(Failed(reason)) => Told::Broken(reason),
            Ok(value) if is_project => match serde_json::from_value::<Project>(value) {
                Ok(project) => Told::Ready {
                    files: project.files,
                    pieces: project.pieces as usize,
                },
                Err(error) => Told::Broken(format!("{}: {error}", self.url)),
            },
            Ok(_) => Told::Ready {
                files: 0,
                pieces: 0,
            },
        }
    }

    fn complete(&mut self, request: CompleteRequest, cancel: &Cancel) -> Result<Answer, Failed> {
        let body = self.body(&request);
        let time = Duration::from_millis(deadline_ms(&request)) + WAY;
        let cancelled = || cancel.is_cancelled();
        let value = self.ask(Method::POST, "v1/complete", Some(&body), time, &cancelled)?;
        let completed: Completed = serde_json::from_value(value)
            .map_err(|error| Failed(format!("{}: {error}", self.url)))?;
        let pieces = completed.tokens.into_iter();
        Ok(Answer {
            insert: completed.text,
            confidence: completed.confidence,
            tokens: pieces
                .map(|piece| (piece.text, piece.probability))
                .collect(),
            n_healed: completed.healed_bytes,
            stop: stop_of(&completed.stop),
            id: Some(completed.id),
        })
    }

    fn read_ahead(&mut self, request: CompleteRequest, stop: &dyn Fn() -> bool) {
        let mut body = self.body(&request);
        body["max_tokens"] = json!(0);
        // A server that cannot be asked tells so when a completion is wanted.
        let _ = self.ask(Method::POST, "v1/complete", Some(&body), WAY, stop);
    }

    /// The server learns from its own sources; what an editor saves it reads there.
    fn saved(&mut self, _: String, _: String) -> Result<(), Failed> {
        Ok(())
    }

    fn happened(&mut self, event: Event) {
        let event = json!({"event": event.what, "id": event.id, "characters": event.characters});
        let body = json!({"events": [event]});
        // Figures that do not arrive are worth no message.
        let _ = self.ask(Method::POST, "v1/events", Some(&body), WAY, &|| false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> RemoteOptions {
        RemoteOptions {
            url: url.to_owned(),
            key: Some("geheim".to_owned()),
            ca: None,
        }
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for (url, expected) in [
            ("http://127.0.0.1:8088", true),
            ("http://127.9.9.9", true),
            ("https://localhost:1", true),
            ("http://[::1]:8088/", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("https://code.corp", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn wrong_addresses_are_named_and_keys_are_not() {
        for wrong in ["code.corp", "ftp://code.corp", "http://"] {
            let Err(Failed(reason)) = Remote::open(&options(wrong), Vec::new()) else {
                panic!("{wrong}");
            };
            assert!(reason.contains(wrong), "{reason}");
        }
        assert!(!format!("{:?}", options("http://a")).contains("geheim"));
    }

    #[test]
    fn documents_are_known_by_their_paths_inside_the_workspace() {
        let folders = vec!["/home/ivanov/erp".to_owned()];
        let remote = Remote::open(&options("http://127.0.0.1:1"), folders).unwrap();
        let path = |path: &str| remote.path_of(path);
        assert_eq!(
            path("/home/ivanov/erp/src/cf/CommonModules/А/Ext/Module.bsl"),
            "src/cf/CommonModules/А/Ext/Module.bsl"
        );
        assert_eq!(path("untitled:1"), "untitled:1");
    }
}
