//! The model at a server: `POST /v1/complete` of `nestor serve` instead of an engine in this process.
//!
//! The worker calls this like the engine. A request that is cancelled is dropped, which closes its connection, so that the server stops
//! within a piece. How the server is reached is in `way`; saved files go there by themselves (`saving`), since completions must not wait
//! for learning.

mod saving;
mod way;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use nestor_assist::{CompleteRequest, GivenUp, ProjectName, StopReason, StopRule};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::worker::{Answer, Backend, Cancel, Event, Failed, Taken, Told, Why};
use saving::Saving;
use way::Server;
pub use way::{RemoteOptions, is_loopback, reason_of};

/// Time for a completion; that of a body, which is many times as long.
const COMPLETE_MS: u64 = 2_000;
const BODY_MS: u64 = 60_000;

/// Time on top of the server's own for the way.
const WAY: Duration = Duration::from_secs(5);

/// How often it is asked whether anyone still waits.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// A server as the worker's model.
pub struct Remote {
    runtime: Runtime,
    server: Arc<Server>,
    /// Saved files on their way; `None` once the value is dropped.
    saving: Option<Saving>,
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
    /// Makes the client; nothing is asked yet. `tell` hears what becomes of saved files.
    ///
    /// # Errors
    /// A sentence that names what is wrong with the address, the key or the certificates.
    pub fn open(
        options: &RemoteOptions,
        folders: Vec<String>,
        tell: Sender<Told>,
    ) -> Result<Self, Failed> {
        let server = Arc::new(Server::new(options)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(|error| Failed(error.to_string()))?;
        let saving = Saving::start(&runtime, Arc::clone(&server), tell);
        Ok(Self {
            runtime,
            server,
            saving: Some(saving),
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
        let answered = self.server.ask(method, path, body, time);
        let given_up = async {
            while !cancelled() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let answered = self.runtime.block_on(async {
            tokio::select! {
                answered = answered => Some(answered),
                () = given_up => None,
            }
        });
        let answered = answered.ok_or_else(|| Failed("cancelled".to_owned()))?;
        answered.map_err(|refused| Failed(refused.reason))
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
                Err(error) => Told::Broken(format!("{}: {error}", self.server.url)),
            },
            Ok(_) => Told::Ready {
                files: 0,
                pieces: 0,
            },
        }
    }

    /// The server looks at its projects itself.
    fn look(&mut self, _: Why) {}

    fn complete(&mut self, request: CompleteRequest, cancel: &Cancel) -> Result<Answer, Failed> {
        let body = self.body(&request);
        let time = Duration::from_millis(deadline_ms(&request)) + WAY;
        let cancelled = || cancel.is_cancelled();
        let value = self.ask(Method::POST, "v1/complete", Some(&body), time, &cancelled)?;
        let completed: Completed = serde_json::from_value(value)
            .map_err(|error| Failed(format!("{}: {error}", self.server.url)))?;
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

    fn read_ahead(&mut self, request: CompleteRequest, stop: &GivenUp) {
        let mut body = self.body(&request);
        body["max_tokens"] = json!(0);
        // A server that cannot be asked tells so when a completion is wanted.
        let _ = self.ask(Method::POST, "v1/complete", Some(&body), WAY, &**stop);
    }

    /// Sends the file to the project, if one is named; what becomes of it is told later.
    fn saved(&mut self, path: String, text: String) -> Result<Taken, Failed> {
        if let (Some(project), Some(saving)) = (&self.project, &self.saving) {
            saving.send(project.clone(), self.path_of(&path), text);
        }
        Ok(Taken::Later)
    }

    /// The server lets go of documents that are not asked for.
    fn closed(&mut self, _: &str) {}

    fn happened(&mut self, event: Event) {
        let event = match event {
            Event::Suggestion {
                what,
                id,
                characters,
            } => json!({"event": what, "id": id, "characters": characters}),
            Event::Retained {
                id,
                after_seconds,
                accepted,
                retained,
            } => json!({
                "event": "retained", "id": id, "after_seconds": after_seconds,
                "accepted": accepted, "retained": retained,
            }),
            Event::Typed { characters } => json!({"event": "typed", "characters": characters}),
        };
        let body = json!({"events": [event]});
        // Figures that do not arrive are worth no message.
        let _ = self.ask(Method::POST, "v1/events", Some(&body), WAY, &|| false);
    }
}

impl Drop for Remote {
    /// What was saved last is sent, unless the server takes too long.
    fn drop(&mut self) {
        if let Some(saving) = self.saving.take() {
            saving.end(&self.runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_known_by_their_paths_inside_the_workspace() {
        let folders = vec!["/home/ivanov/erp".to_owned()];
        let options = RemoteOptions {
            url: "http://127.0.0.1:1".to_owned(),
            key: None,
            ca: None,
        };
        let tell = crossbeam_channel::unbounded().0;
        let remote = Remote::open(&options, folders, tell).unwrap();
        let path = |path: &str| remote.path_of(path);
        assert_eq!(
            path("/home/ivanov/erp/src/cf/CommonModules/А/Ext/Module.bsl"),
            "src/cf/CommonModules/А/Ext/Module.bsl"
        );
        assert_eq!(path("untitled:1"), "untitled:1");
    }
}
