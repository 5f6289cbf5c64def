//! The loop that reads the client's messages, and what each of them does.

use std::collections::{HashMap, VecDeque};
use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crossbeam_channel::{Receiver, Sender, select, unbounded};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::{
    ClientCapabilities, CodeAction, CodeActionKind, CodeActionOptions, CodeActionParams,
    CodeActionProviderCapability, CompletionOptions, CompletionParams, DidChangeTextDocumentParams,
    DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams,
    ExecuteCommandOptions, ExecuteCommandParams, InitializeParams, InlineCompletionParams,
    InlineCompletionTriggerKind, OneOf, Range, SaveOptions, ServerCapabilities,
    TextDocumentSyncCapability, TextDocumentSyncKind, TextDocumentSyncOptions,
    TextDocumentSyncSaveOptions, Uri,
};
use nestor_assist::{
    BodyPlace, ByteOffset, CompleteRequest, ProjectName, Projects, Speed, StopRule,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::{self, Offered, Takes, WRITE_BODY};
use crate::documents::{Documents, path_of};
use crate::error::LspError;
use crate::handshake;
use crate::local::{Local, Opens};
use crate::remote::{Remote, RemoteOptions};
use crate::suggest::{ACCEPTED, Place, entries, ghost, last_word};
use crate::worker::{Answer, Backend, Cancel, Event, Failed, Told, Work, work};

/// The command that learns the folders of the workspace into the project.
pub const LEARN: &str = "nestor.learnWorkspace";

/// Where a message about a completion names it.
const ITEM_NAME: &str = "/item/command/arguments/0";

/// Completions that the client may tell of.
const MAX_KNOWN: usize = 1_000;

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

/// Settings of the client: `initializationOptions`, or the section `nestor` of its configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    speed: Option<String>,
    /// A completion below this confidence is not shown by itself; one that was asked for is.
    show_threshold: f32,
    /// Show nothing by itself.
    manual: bool,
    max_tokens: usize,
    /// `line`, `statement` or `block`.
    stop: String,
    /// Entries in completion lists: `auto` for clients without ghost text, `on`, `off`.
    list: String,
    /// Learn saved files.
    learn_on_save: bool,
    project: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            speed: None,
            show_threshold: 0.0,
            manual: false,
            max_tokens: 32,
            stop: "line".to_owned(),
            list: "auto".to_owned(),
            learn_on_save: true,
            project: None,
        }
    }
}

/// What became of completions in this session; no text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    requested: u64,
    shown: u64,
    accepted: u64,
    partly_accepted: u64,
    accepted_characters: u64,
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
    let project = settings.project.as_ref().and_then(|name| name.parse().ok());
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
    let open = opener(&options.engine, &project, &folders);
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
        counted: Counted::default(),
        told_lengths: VecDeque::new(),
        learned: send_learned,
        is_learning: false,
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
    project: &Option<ProjectName>,
    folders: &[String],
) -> Box<dyn FnOnce() -> Result<Box<dyn Backend>, Failed> + Send> {
    match engine {
        Engine::Local {
            model, projects, ..
        } => {
            let opens = Opens {
                model: model.clone(),
                projects: projects.clone(),
                project: project.clone(),
            };
            Box::new(move || match Local::open(opens) {
                Ok(local) => Ok(Box::new(local)),
                Err(error) => Err(Failed(error.to_string())),
            })
        }
        Engine::Remote(remote) => {
            let (remote, folders) = (remote.clone(), folders.to_vec());
            Box::new(move || Ok(Box::new(Remote::open(&remote, folders)?)))
        }
    }
}

/// How the client takes code actions and edits.
fn takes(client: &ClientCapabilities, locale: Option<&str>, russian: bool) -> Takes {
    let document = client.text_document.as_ref();
    let actions = document.and_then(|document| document.code_action.as_ref());
    let resolves = actions.and_then(|actions| actions.resolve_support.as_ref());
    let edits = client
        .workspace
        .as_ref()
        .and_then(|workspace| workspace.workspace_edit.as_ref());
    Takes {
        resolves: resolves.is_some_and(|support| support.properties.iter().any(|p| p == "edit")),
        versions: edits.and_then(|edits| edits.document_changes) == Some(true),
        russian: locale.map_or(russian, |locale| locale.starts_with("ru")),
    }
}

/// Reads settings; `None` and a note on stderr for what are none.
fn settings_of(value: Value) -> Option<Settings> {
    let value = match value {
        Value::Null => return None,
        Value::Object(mut map) if map.contains_key("nestor") => map.remove("nestor")?,
        value => value,
    };
    match serde_json::from_value(value) {
        Ok(settings) => Some(settings),
        Err(error) => {
            eprintln!("nestor: the settings are not taken over: {error}");
            None
        }
    }
}

fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Options(
            TextDocumentSyncOptions {
                open_close: Some(true),
                change: Some(TextDocumentSyncKind::INCREMENTAL),
                will_save: None,
                will_save_wait_until: None,
                save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions {
                    include_text: Some(false),
                })),
            },
        )),
        inline_completion_provider: Some(OneOf::Left(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some([".", "(", "=", " "].map(str::to_owned).into()),
            ..CompletionOptions::default()
        }),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::REFACTOR_REWRITE]),
            resolve_provider: Some(true),
            ..CodeActionOptions::default()
        })),
        execute_command_provider: Some(ExecuteCommandOptions {
            commands: [ACCEPTED, LEARN, WRITE_BODY].map(str::to_owned).into(),
            ..ExecuteCommandOptions::default()
        }),
        ..ServerCapabilities::default()
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
    counted: Counted,
    /// Characters of the last completions that were told, by their names.
    told_lengths: VecDeque<(String, u64)>,
    /// How learning the workspace ended.
    learned: Sender<Learned>,
    is_learning: bool,
    has_progress: bool,
}

impl Server<'_> {
    fn run(&mut self, told: &Receiver<Told>, learned: &Receiver<Learned>) -> Result<(), LspError> {
        loop {
            select! {
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
        match request.method.as_str() {
            "textDocument/inlineCompletion" => {
                match serde_json::from_value::<InlineCompletionParams>(request.params) {
                    Ok(params) => self.inline(id, params)?,
                    Err(error) => self.wrong(id, &error.to_string()),
                }
            }
            "textDocument/completion" => {
                match serde_json::from_value::<CompletionParams>(request.params) {
                    Ok(params) => self.list(id, params)?,
                    Err(error) => self.wrong(id, &error.to_string()),
                }
            }
            "textDocument/codeAction" => {
                match serde_json::from_value::<CodeActionParams>(request.params) {
                    Ok(params) => self.actions(id, &params),
                    Err(error) => self.wrong(id, &error.to_string()),
                }
            }
            "codeAction/resolve" => match serde_json::from_value::<CodeAction>(request.params) {
                Ok(action) => self.resolve(id, action)?,
                Err(error) => self.wrong(id, &error.to_string()),
            },
            "workspace/executeCommand" => {
                match serde_json::from_value::<ExecuteCommandParams>(request.params) {
                    Ok(params) => self.execute(id, params)?,
                    Err(error) => self.wrong(id, &error.to_string()),
                }
            }
            "nestor/status" => {
                let status = json!({
                    "project": self.project.as_ref().map(ToString::to_string),
                    "learning": self.is_learning,
                    "counted": self.counted,
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

    fn wrong(&self, id: RequestId, reason: &str) {
        let code = ErrorCode::InvalidParams as i32;
        self.send(Response::new_err(id, code, reason.to_owned()));
    }

    fn inline(&mut self, id: RequestId, params: InlineCompletionParams) -> Result<(), LspError> {
        let by_itself = params.context.trigger_kind == InlineCompletionTriggerKind::Automatic;
        if by_itself && self.settings.manual {
            self.send(Response::new_ok(id, json!({"items": []})));
            return Ok(());
        }
        let at = params.text_document_position;
        let (uri, position) = (at.text_document.uri, at.position);
        let Some(document) = self.documents.get(&uri) else {
            self.wrong(id, &format!("{} is not open", uri.as_str()));
            return Ok(());
        };
        let mut text = document.text.clone();
        let mut offset = document.offset(position);
        let mut selected = None;
        if let Some(info) = params.context.selected_completion_info
            && let Some(bytes) = document.bytes(info.range)
        {
            // What would stand there if the entry of the list were taken.
            offset = bytes.start + info.text.len();
            text.replace_range(bytes, &info.text);
            selected = Some((info.range, info.text));
        }
        let place = Place {
            position,
            word: String::new(),
            selected,
        };
        let least = if by_itself {
            self.settings.show_threshold
        } else {
            0.0
        };
        let request = self.request_at(&uri, text, offset);
        self.ask(id, uri, request, Shape::Ghost(place, least))
    }

    fn list(&mut self, id: RequestId, params: CompletionParams) -> Result<(), LspError> {
        let wanted = match self.settings.list.as_str() {
            "on" => true,
            "off" => false,
            _ => !self.has_ghost,
        };
        if !wanted {
            self.send(Response::new_ok(id, Value::Null));
            return Ok(());
        }
        let at = params.text_document_position;
        let (uri, position) = (at.text_document.uri, at.position);
        let Some(document) = self.documents.get(&uri) else {
            self.wrong(id, &format!("{} is not open", uri.as_str()));
            return Ok(());
        };
        let offset = document.offset(position);
        let place = Place {
            position,
            word: last_word(&document.text[..offset]).to_owned(),
            selected: None,
        };
        let text = document.text.clone();
        let least = self.settings.show_threshold;
        let request = self.request_at(&uri, text, offset);
        self.ask(id, uri, request, Shape::List(place, least))
    }

    /// The request for a completion as the settings ask for it.
    fn request_at(&self, uri: &Uri, text: String, offset: usize) -> CompleteRequest {
        let mut request = CompleteRequest::new(path_of(uri), text, ByteOffset(offset));
        let speed = self
            .settings
            .speed
            .as_deref()
            .and_then(|name| name.parse().ok());
        request.speed = speed.unwrap_or(self.options.speed);
        request.max_tokens = self
            .settings
            .max_tokens
            .min(nestor_assist::complete::MAX_TOKENS);
        request.stop = match self.settings.stop.as_str() {
            "statement" => StopRule::Statement,
            "block" => StopRule::Block,
            _ => StopRule::Line,
        };
        request
    }

    fn ask(
        &mut self,
        id: RequestId,
        uri: Uri,
        request: CompleteRequest,
        shape: Shape,
    ) -> Result<(), LspError> {
        for older in self.asked.values_mut().filter(|older| older.uri == uri) {
            older.cancel.cancel();
            older.is_superseded = true;
        }
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let cancel = Cancel::default();
        let asked = Asked {
            id,
            uri,
            cancel: cancel.clone(),
            shape,
            is_superseded: false,
        };
        self.asked.insert(ticket, asked);
        self.counted.requested += 1;
        let work = Work::Complete {
            ticket,
            request: Box::new(request),
            cancel,
        };
        self.work.send(work).map_err(|_| LspError::Worker)
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
            Told::NotLearned(reason) => self.status("Warning", false, &reason),
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

    /// The answer in the shape in which it was asked for.
    fn shaped(&mut self, asked: Asked, ticket: u64, answer: &Answer) -> Response {
        let name = answer.id.clone();
        let name = name.unwrap_or_else(|| format!("lsp-{ticket}"));
        match asked.shape {
            Shape::Ghost(place, least) => {
                self.know(&name, answer);
                Response::new_ok(asked.id, ghost(answer, &place, &name, least))
            }
            Shape::List(place, least) => {
                self.know(&name, answer);
                Response::new_ok(asked.id, entries(answer, &place, &name, least))
            }
            Shape::Body {
                place,
                version,
                action,
            } => self.body(asked.id, &asked.uri, (&place, version), action, answer),
        }
    }

    /// Remembers how long a completion is, for what the client will tell of it.
    fn know(&mut self, name: &str, answer: &Answer) {
        if self.told_lengths.len() == MAX_KNOWN {
            self.told_lengths.pop_front();
        }
        let characters = answer.insert.chars().count() as u64;
        self.told_lengths.push_back((name.to_owned(), characters));
    }

    /// Tells whoever counts what became of a completion that a message names.
    fn happened(&self, what: &'static str, name: Option<&Value>, characters: Option<u64>) {
        let name = name.and_then(Value::as_str);
        let known = self.told_lengths.iter().rev();
        let found = name.and_then(|name| known.into_iter().find(|(known, _)| known == name));
        if let Some((id, all)) = found {
            let event = Event {
                what,
                id: id.clone(),
                characters: characters.unwrap_or(*all),
            };
            // A worker that has ended is told by the loop.
            let _ = self.work.send(Work::Happened(event));
        }
    }

    fn actions(&mut self, id: RequestId, params: &CodeActionParams) {
        let uri = &params.text_document.uri;
        let Some(document) = self.documents.get(uri) else {
            self.wrong(id, &format!("{} is not open", uri.as_str()));
            return;
        };
        let position = params.range.start;
        let mut offers = Vec::new();
        if action::is_wanted(params.context.only.as_deref())
            && let Some(place) = action::body_at(document, position)
        {
            let offered = Offered {
                uri: uri.clone(),
                version: document.version,
                position,
            };
            offers.push(action::offer(&place, &offered, self.takes));
        }
        self.send(Response::new_ok(id, offers));
        // Editors ask for actions wherever the cursor stops.
        let offset = document.offset(params.range.end);
        self.read_ahead(uri, offset);
    }

    fn resolve(&mut self, id: RequestId, mut action: CodeAction) -> Result<(), LspError> {
        let data = action.data.take().unwrap_or_default();
        match serde_json::from_value::<Offered>(data) {
            Ok(offered) => self.write_body(id, offered, Some(Box::new(action))),
            Err(error) => {
                self.wrong(id, &format!("the action is none of ours: {error}"));
                Ok(())
            }
        }
    }

    /// Asks for the body that was offered; `action` is completed by it, or else the client is asked to apply the edit.
    fn write_body(
        &mut self,
        id: RequestId,
        offered: Offered,
        action: Option<Box<CodeAction>>,
    ) -> Result<(), LspError> {
        let uri = offered.uri;
        let document = self.documents.get(&uri);
        let place = document
            .filter(|document| document.version == offered.version)
            .and_then(|document| Some((document, action::body_at(document, offered.position)?)));
        let Some((document, place)) = place else {
            let reason = "the document is another since the action was offered".to_owned();
            self.send(Response::new_err(id, CONTENT_MODIFIED, reason));
            return Ok(());
        };
        let request = place.request(&path_of(&uri), &document.text);
        let shape = Shape::Body {
            place,
            version: offered.version,
            action,
        };
        self.ask(id, uri, request, shape)
    }

    /// The answer to who asked for a body.
    fn body(
        &mut self,
        id: RequestId,
        uri: &Uri,
        (place, version): (&BodyPlace, i32),
        action: Option<Box<CodeAction>>,
        answer: &Answer,
    ) -> Response {
        let Some(document) = self
            .documents
            .get(uri)
            .filter(|document| document.version == version)
        else {
            let reason = "the document was changed meanwhile".to_owned();
            return Response::new_err(id, CONTENT_MODIFIED, reason);
        };
        let Some(text) = place.text(&answer.insert, answer.stop) else {
            let code = ErrorCode::RequestFailed as i32;
            let reason = "no whole statement was written".to_owned();
            return Response::new_err(id, code, reason);
        };
        let range = Range::new(
            document.position(place.replaces.start),
            document.position(place.replaces.end),
        );
        let edit = action::edit(document, uri, range, text, self.takes);
        match action {
            Some(mut action) => {
                action.edit = Some(edit);
                Response::new_ok(id, action)
            }
            None => {
                self.next_ticket += 1;
                let apply = RequestId::from(format!("edit-{}", self.next_ticket));
                let method = "workspace/applyEdit".to_owned();
                self.send(Request::new(apply, method, json!({"edit": edit})));
                Response::new_ok(id, Value::Null)
            }
        }
    }

    /// Has a document read for a cursor, unless completions are asked for by key alone.
    fn read_ahead(&self, uri: &Uri, offset: usize) {
        if self.settings.manual {
            return;
        }
        if let Some(document) = self.documents.get(uri) {
            let request = self.request_at(uri, document.text.clone(), offset);
            // A worker that has ended is told by the loop.
            let _ = self.work.send(Work::ReadAhead(Box::new(request)));
        }
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
                parsed(params).and_then(|params: DidChangeTextDocumentParams| {
                    let document = params.text_document;
                    let changes = params.content_changes;
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
                self.documents.close(&params.text_document.uri);
            }),
            "textDocument/didSave" => {
                parsed(params).map(|params: DidSaveTextDocumentParams| self.saved(&params))
            }
            "textDocument/didShowCompletion" => {
                self.counted.shown += 1;
                self.happened("shown", params.pointer(ITEM_NAME), None);
                Ok(())
            }
            "textDocument/didPartiallyAcceptCompletion" => {
                let name = params.pointer(ITEM_NAME).cloned();
                parsed(params).map(|params: PartlyAccepted| {
                    let length = Some(params.accepted_length);
                    self.happened("partly_accepted", name.as_ref(), length);
                    self.counted.partly_accepted += 1;
                    self.counted.accepted_characters += params.accepted_length;
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

    fn take_settings(&mut self, settings: Settings) {
        let project: Option<ProjectName> =
            settings.project.as_ref().and_then(|name| name.parse().ok());
        self.settings = settings;
        if let Some(project) = project
            && Some(&project) != self.project.as_ref()
        {
            self.load(Some(project));
        }
    }

    fn load(&mut self, project: Option<ProjectName>) {
        self.project.clone_from(&project);
        self.status("Normal", true, "");
        // A worker that has ended is told by the loop.
        let _ = self.work.send(Work::Load(project));
    }

    fn saved(&mut self, params: &DidSaveTextDocumentParams) {
        let Some(document) = self.documents.get(&params.text_document.uri) else {
            return;
        };
        if self.settings.learn_on_save {
            let saved = Work::Saved {
                path: path_of(&params.text_document.uri),
                text: document.text.clone(),
            };
            let _ = self.work.send(saved);
        }
    }

    fn execute(&mut self, id: RequestId, params: ExecuteCommandParams) -> Result<(), LspError> {
        match params.command.as_str() {
            ACCEPTED => {
                self.counted.accepted += 1;
                self.happened("accepted", params.arguments.first(), None);
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

    /// Learns the folders of the workspace in a process of its own, so that completions go on.
    fn learn_workspace(&mut self) -> Result<(), String> {
        let Engine::Local {
            model,
            projects,
            program,
        } = &self.options.engine
        else {
            let reason = "the server learns, not the editor: POST /v1/projects/NAME/learn";
            return Err(reason.to_owned());
        };
        let Some(project) = &self.project else {
            return Err("no project is named; set nestor.project".to_owned());
        };
        if self.is_learning {
            return Err("the workspace is being learned already".to_owned());
        }
        if self.folders.is_empty() {
            return Err("no folder is open".to_owned());
        }
        let mut child = Command::new(program)
            .args(["learn", "--json", "--project", project.as_str(), "--model"])
            .arg(model)
            .arg("--memory")
            .arg(projects.dir())
            .arg("--")
            .args(&self.folders)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        self.is_learning = true;
        if self.has_progress {
            let create = json!({"token": LEARN});
            let method = "window/workDoneProgress/create".to_owned();
            let id = RequestId::from(format!("progress-{}", self.next_ticket));
            self.send(Request::new(id, method, create));
            self.progress(
                json!({"kind": "begin", "title": "Nestor", "cancellable": false, "percentage": 0}),
            );
        }
        let learned = self.learned.clone();
        std::thread::spawn(move || {
            let mut last = String::new();
            if let Some(stderr) = child.stderr.take() {
                for line in std::io::BufReader::new(stderr)
                    .lines()
                    .map_while(Result::ok)
                {
                    match serde_json::from_str::<Learning>(&line) {
                        Ok(learning) => {
                            // The server may have ended meanwhile.
                            let _ = learned.send(Learned::Share(learning.progress));
                        }
                        Err(_) => last = line,
                    }
                }
            }
            let done = match child.wait() {
                Ok(status) if status.success() => Ok(()),
                Ok(_) => Err(last),
                Err(error) => Err(error.to_string()),
            };
            let _ = learned.send(Learned::Done(done));
        });
        Ok(())
    }

    fn progress(&self, value: Value) {
        let params = json!({"token": LEARN, "value": value});
        self.send(Notification::new("$/progress".to_owned(), params));
    }

    fn share_learned(&self, share: f64) {
        if self.has_progress {
            let percentage = (share * 100.0).round().clamp(0.0, 100.0) as u32;
            self.progress(json!({"kind": "report", "percentage": percentage}));
        }
    }

    fn workspace_learned(&mut self, done: Result<(), String>) {
        self.is_learning = false;
        if self.has_progress {
            let message = done.as_ref().err().cloned().unwrap_or_default();
            self.progress(json!({"kind": "end", "message": message}));
        }
        match done {
            Ok(()) => self.load(self.project.clone()),
            Err(reason) => self.status("Error", false, &reason),
        }
    }
}

/// What learning the workspace tells.
enum Learned {
    /// How much of it is done.
    Share(f64),
    /// How it ended.
    Done(Result<(), String>),
}

/// A line of `nestor learn --json` on its stderr.
#[derive(Deserialize)]
struct Learning {
    progress: f64,
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
