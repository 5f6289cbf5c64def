//! The loop that reads the client's messages, and what each of them does.

mod bodies;
mod capabilities;
mod completing;
mod counting;
mod idle;
mod learning;
mod settings;

use std::collections::HashMap;
use std::path::PathBuf;

use crossbeam_channel::{Receiver, Sender, select, unbounded};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::{
    CodeAction, DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    DidSaveTextDocumentParams, ExecuteCommandParams, InitializeParams, Uri,
};
use nestor_assist::{BodyPlace, ProjectName, Projects, Speed};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::{Offered, Takes, WRITE_BODY};
use crate::documents::{Documents, path_of};
use crate::error::LspError;
use crate::handshake;
use crate::local::{Local, Opens};
use crate::remote::{Remote, RemoteOptions};
use crate::suggest::{ACCEPTED, Place};
use crate::worker::{Backend, Cancel, Failed, Told, Work, work};
use capabilities::{capabilities, takes};
use counting::Counting;
use idle::Idle;
use learning::Learned;
use settings::{Settings, settings_of};

/// The command that learns the folders of the workspace into the project.
pub const LEARN: &str = "nestor.learnWorkspace";

/// Where a message about a completion names it.
const ITEM_NAME: &str = "/item/command/arguments/0";

/// A document changed since the request was sent; defined by LSP.
const CONTENT_MODIFIED: i32 = -32801;

/// What a language server is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the model is.
    pub engine: Engine,
    /// The project that counts.
    pub project: Option<ProjectName>,
    /// The speed, until the client's settings say otherwise.
    pub speed: Speed,
    /// Titles are Russian, unless the client names its own language.
    pub russian: bool,
}

/// Where the model is.
#[derive(Clone, Debug)]
pub enum Engine {
    /// In this process.
    Local {
        /// The model's folder.
        model: PathBuf,
        /// Where projects lie.
        projects: Projects,
        /// This program, which learns the workspace.
        program: PathBuf,
    },
    /// At a server.
    Remote(RemoteOptions),
}

/// A request that the worker has.
struct Asked {
    id: RequestId,
    uri: Uri,
    cancel: Cancel,
    shape: Shape,
    is_superseded: bool,
}

/// What is made of a completion.
enum Shape {
    /// Ghost text, shown from a confidence on.
    Ghost(Place, f32),
    /// Entries of a list, likewise.
    List(Place, f32),
    /// The body of a method.
    Body {
        place: BodyPlace,
        version: i32,
        /// The action that it completes; without one the client is asked to apply the edit.
        action: Option<Box<CodeAction>>,
    },
}

/// Serves a client until it says goodbye.
///
/// # Errors
/// [`LspError`] when the client breaks the protocol or goes away.
pub fn serve(connection: &Connection, options: Options) -> Result<(), LspError> {
    let (id, params) = handshake::begin(connection)?;
    let params: InitializeParams = match serde_json::from_value(params) {
        Ok(params) => params,
        Err(error) => {
            let code = ErrorCode::InvalidParams as i32;
            let response = Response::new_err(id, code, error.to_string());
            let _ = connection.sender.send(response.into());
            return Err(error.into());
        }
    };
    let has_ghost = params
        .capabilities
        .text_document
        .as_ref()
        .is_some_and(|document| document.inline_completion.is_some());
    let answer = json!({
        "capabilities": capabilities(),
        "serverInfo": {"name": "nestor", "version": env!("CARGO_PKG_VERSION")},
    });
    handshake::finish(connection, id, answer)?;
    let mut settings = Settings::default();
    if let Some(given) = params.initialization_options {
        settings = settings_of(given).unwrap_or(settings);
    }
    let project = settings.project.clone();
    let project = project.or_else(|| options.project.clone());
    #[expect(
        deprecated,
        reason = "clients without workspace folders send only this"
    )]
    let root = params.root_uri;
    let folders = params.workspace_folders.unwrap_or_default();
    let mut folders: Vec<String> = folders.iter().map(|folder| path_of(&folder.uri)).collect();
    if folders.is_empty() {
        folders.extend(root.as_ref().map(path_of));
    }
    let (send_work, receive_work) = unbounded();
    let (send_told, told) = unbounded();
    let open = opener(&options.engine, &folders, &send_told);
    let first = project.clone();
    let worker = std::thread::Builder::new()
        .name("worker".to_owned())
        .spawn(move || work(open, first, &receive_work, &send_told))?;
    let takes = takes(
        &params.capabilities,
        params.locale.as_deref(),
        options.russian,
    );
    let (send_learned, learned) = unbounded();
    let mut server = Server {
        connection,
        options,
        settings,
        has_ghost,
        takes,
        project,
        folders,
        documents: Documents::default(),
        work: send_work,
        asked: HashMap::new(),
        next_ticket: 0,
        counting: Counting::default(),
        learned: send_learned,
        is_learning: false,
        idle: Idle::new(),
        not_learned: None,
        has_progress: params
            .capabilities
            .window
            .and_then(|window| window.work_done_progress)
            .unwrap_or(false),
    };
    server.status("Normal", true, "");
    let ended = server.run(&told, &learned);
    drop(server);
    // It ends with the work in hand, which was cancelled.
    let _ = worker.join();
    ended
}

/// What finds the model, on the worker's thread.
fn opener(
    engine: &Engine,
    folders: &[String],
    tell: &Sender<Told>,
) -> Box<dyn FnOnce() -> Result<Box<dyn Backend>, Failed> + Send> {
    match engine {
        Engine::Local {
            model, projects, ..
        } => {
            let opens = Opens {
                model: model.clone(),
                projects: projects.clone(),
            };
            let tell = tell.clone();
            Box::new(move || Ok(Box::new(Local::open(opens, tell)?)))
        }
        Engine::Remote(remote) => {
            let (remote, folders, tell) = (remote.clone(), folders.to_vec(), tell.clone());
            Box::new(move || Ok(Box::new(Remote::open(&remote, folders, tell)?)))
        }
    }
}

struct Server<'a> {
    connection: &'a Connection,
    options: Options,
    settings: Settings,
    /// Whether the client shows ghost text.
    has_ghost: bool,
    takes: Takes,
    project: Option<ProjectName>,
    folders: Vec<String>,
    documents: Documents,
    work: Sender<Work>,
    asked: HashMap<u64, Asked>,
    next_ticket: u64,
    counting: Counting,
    /// How learning the workspace ended.
    learned: Sender<Learned>,
    is_learning: bool,
    /// What is taught while nobody works.
    idle: Idle,
    /// Why the last saved file was not learned, if it was not.
    not_learned: Option<String>,
    has_progress: bool,
}

impl Server<'_> {
    fn run(&mut self, told: &Receiver<Told>, learned: &Receiver<Learned>) -> Result<(), LspError> {
        loop {
            let due = self.counting.due();
            let idle = self.idle_due();
            select! {
                recv(due) -> _ => self.look_what_is_left(),
                recv(idle) -> _ => self.is_idle(),
                recv(self.connection.receiver) -> message => match message {
                    Ok(Message::Request(request)) => {
                        if self.connection.handle_shutdown(&request)? {
                            return Ok(());
                        }
                        self.request(request)?;
                    }
                    Ok(Message::Notification(notification)) => self.notification(notification),
                    // We ask only for a place to show progress in, and go on without.
                    Ok(Message::Response(_)) => {}
                    // The client went away without a goodbye: nothing is left to do.
                    Err(_) => return Ok(()),
                },
                recv(told) -> told => match told {
                    Ok(told) => self.told(told)?,
                    Err(_) => return Err(LspError::Worker),
                },
                recv(learned) -> done => {
                    match done {
                        Ok(Learned::Share(share)) => self.share_learned(share),
                        Ok(Learned::Done(done)) => self.workspace_learned(done),
                        Ok(Learned::Part(child, part)) => self.part_taught(&child, part),
                        // The server holds a sender itself.
                        Err(_) => {}
                    }
                }
            }
        }
    }

    fn send(&self, message: impl Into<Message>) {
        // A client that no longer reads has gone away; reading tells.
        let _ = self.connection.sender.send(message.into());
    }

    fn status(&self, kind: &str, busy: bool, message: &str) {
        let params = json!({"kind": kind, "busy": busy, "message": message});
        self.send(Notification::new(
            "nestor/didChangeStatus".to_owned(),
            params,
        ));
    }

    fn request(&mut self, request: Request) -> Result<(), LspError> {
        let id = request.id.clone();
        // Who only looks does not work.
        if request.method != "nestor/status" {
            self.idle.work();
        }
        match request.method.as_str() {
            "textDocument/inlineCompletion" => {
                if let Some(params) = self.params(&id, request.params) {
                    self.inline(id, params)?;
                }
            }
            "textDocument/completion" => {
                if let Some(params) = self.params(&id, request.params) {
                    self.list(id, params)?;
                }
            }
            "textDocument/codeAction" => {
                if let Some(params) = self.params(&id, request.params) {
                    self.actions(id, &params);
                }
            }
            "codeAction/resolve" => {
                if let Some(action) = self.params(&id, request.params) {
                    self.resolve(id, action)?;
                }
            }
            "workspace/executeCommand" => {
                if let Some(params) = self.params(&id, request.params) {
                    self.execute(id, params)?;
                }
            }
            "nestor/status" => {
                let status = json!({
                    "project": self.project.as_ref().map(ToString::to_string),
                    "learning": self.is_learning,
                    "teaching": self.idle.is_running(),
                    "counted": self.counting.counted,
                });
                self.send(Response::new_ok(id, status));
            }
            other => {
                let code = ErrorCode::MethodNotFound as i32;
                self.send(Response::new_err(id, code, format!("{other} is not known")));
            }
        }
        Ok(())
    }

    /// What a request says; one that says it wrongly is answered.
    fn params<T: serde::de::DeserializeOwned>(&self, id: &RequestId, params: Value) -> Option<T> {
        let params = serde_json::from_value(params);
        let wrong = |error: &serde_json::Error| self.wrong(id.clone(), &error.to_string());
        params.inspect_err(wrong).ok()
    }

    fn wrong(&self, id: RequestId, reason: &str) {
        let code = ErrorCode::InvalidParams as i32;
        self.send(Response::new_err(id, code, reason.to_owned()));
    }

    fn told(&mut self, told: Told) -> Result<(), LspError> {
        match told {
            Told::Ready { files, pieces } => {
                let params = json!({"kind": "Normal", "busy": false, "message": "", "files": files, "pieces": pieces});
                self.send(Notification::new(
                    "nestor/didChangeStatus".to_owned(),
                    params,
                ));
            }
            Told::Broken(reason) => self.status("Error", false, &reason),
            Told::Changed => self.idle.begin_anew(),
            Told::Learned => {
                self.not_learned = None;
                self.idle.begin_anew();
            }
            Told::NotLearned(reason) => {
                // Told once, not with every file that is saved.
                if self.not_learned.as_ref() != Some(&reason) {
                    self.status("Warning", false, &reason);
                    self.not_learned = Some(reason);
                }
            }
            Told::Completed { ticket, answer } => {
                let Some(asked) = self.asked.remove(&ticket) else {
                    return Ok(());
                };
                let response = if asked.is_superseded {
                    let reason = "a newer request for the document came".to_owned();
                    Response::new_err(asked.id, CONTENT_MODIFIED, reason)
                } else if asked.cancel.is_cancelled() {
                    let code = ErrorCode::RequestCanceled as i32;
                    Response::new_err(asked.id, code, "cancelled".to_owned())
                } else {
                    match answer {
                        Ok(answer) => self.shaped(asked, ticket, &answer),
                        Err(Failed(reason)) => {
                            let code = ErrorCode::RequestFailed as i32;
                            Response::new_err(asked.id, code, reason)
                        }
                    }
                };
                self.send(response);
            }
        }
        Ok(())
    }

    fn notification(&mut self, notification: Notification) {
        let Notification { method, params } = notification;
        let taken = match method.as_str() {
            "textDocument/didOpen" => parsed(params).map(|params: DidOpenTextDocumentParams| {
                let document = params.text_document;
                // Where the cursor is, nobody says; cutting and counting the text serve wherever it is.
                let end = document.text.len();
                self.documents
                    .open(document.uri.clone(), document.text, document.version);
                self.read_ahead(&document.uri, end);
            }),
            "textDocument/didChange" => {
                self.idle.work();
                parsed(params).and_then(|params: DidChangeTextDocumentParams| {
                    let document = params.text_document;
                    let changes = params.content_changes;
                    self.was_typed(&changes);
                    let changed =
                        self.documents
                            .change(&document.uri, document.version, changes)?;
                    if let Some(end) = changed {
                        self.read_ahead(&document.uri, end);
                    }
                    Ok(())
                })
            }
            "textDocument/didClose" => parsed(params).map(|params: DidCloseTextDocumentParams| {
                let uri = params.text_document.uri;
                self.documents.close(&uri);
                // A worker that has ended is told by the loop.
                let _ = self.work.send(Work::Closed(path_of(&uri)));
            }),
            "textDocument/didSave" => {
                parsed(params).map(|params: DidSaveTextDocumentParams| self.saved(&params))
            }
            "textDocument/didShowCompletion" => {
                self.was_shown(params.pointer(ITEM_NAME));
                Ok(())
            }
            "textDocument/didPartiallyAcceptCompletion" => {
                let name = params.pointer(ITEM_NAME).cloned();
                parsed(params).map(|params: PartlyAccepted| {
                    self.was_partly_accepted(name.as_ref(), params.accepted_length);
                })
            }
            "workspace/didChangeConfiguration" => {
                let settings = params.get("settings").cloned().and_then(settings_of);
                if let Some(settings) = settings {
                    self.take_settings(settings);
                }
                Ok(())
            }
            "$/cancelRequest" => {
                let id = params.get("id").cloned();
                let id = id.and_then(|id| serde_json::from_value::<RequestId>(id).ok());
                for asked in self
                    .asked
                    .values()
                    .filter(|asked| Some(&asked.id) == id.as_ref())
                {
                    asked.cancel.cancel();
                }
                Ok(())
            }
            // LSP: what is not known is passed over.
            _ => Ok(()),
        };
        if let Err(reason) = taken {
            eprintln!("nestor: {method}: {reason}");
        }
    }

    fn load(&mut self, project: Option<ProjectName>) {
        if project != self.project {
            self.idle.end();
        }
        self.idle.begin_anew();
        self.project.clone_from(&project);
        self.status("Normal", true, "");
        // A worker that has ended is told by the loop.
        let _ = self.work.send(Work::Load(project));
    }

    fn execute(&mut self, id: RequestId, params: ExecuteCommandParams) -> Result<(), LspError> {
        match params.command.as_str() {
            ACCEPTED => {
                let characters = params.arguments.get(1).and_then(Value::as_u64);
                self.was_accepted(params.arguments.first(), characters);
                self.send(Response::new_ok(id, Value::Null));
            }
            WRITE_BODY => {
                let offered = params.arguments.into_iter().next().unwrap_or_default();
                match serde_json::from_value::<Offered>(offered) {
                    Ok(offered) => return self.write_body(id, offered, None),
                    Err(error) => self.wrong(id, &error.to_string()),
                }
            }
            LEARN => match self.learn_workspace() {
                Ok(()) => self.send(Response::new_ok(id, Value::Null)),
                Err(reason) => self.wrong(id, &reason),
            },
            other => self.wrong(id, &format!("the command {other} is not known")),
        }
        Ok(())
    }
}

/// How much of a completion was taken so far, in UTF-16 units; an extension of LSP that other servers have, too.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartlyAccepted {
    accepted_length: u64,
}

fn parsed<T: serde::de::DeserializeOwned>(params: Value) -> Result<T, String> {
    serde_json::from_value(params).map_err(|error| error.to_string())
}
