//! `nestor keys`: makes, lists and revokes the keys of a server. A server that runs looks at the file again when it changes.

use super::serve;
use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use crate::projects;
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use clap::{Args, Subcommand};
use nestor_server::{Key, Keys, NewKey, Right};
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `nestor keys`.
#[derive(Debug, Args)]
pub struct Typed {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a key.
    Add(AddTyped),
    /// Lists the keys.
    List(FileTyped),
    /// Takes a key back.
    Revoke(RevokeTyped),
}

/// Which file.
#[derive(Debug, Args)]
struct FileTyped {
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct AddTyped {
    #[arg(value_name = "NAME")]
    name: String,
    #[arg(
        long,
        value_name = "RIGHT",
        value_delimiter = ',',
        default_value = "complete"
    )]
    rights: Vec<Right>,
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    projects: Option<Vec<String>>,
    #[command(flatten)]
    file: FileTyped,
}

#[derive(Debug, Args)]
struct RevokeTyped {
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    file: FileTyped,
}

impl FileTyped {
    fn path(&self, messages: &Messages) -> Outcome<PathBuf> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        if let Some(config) = &self.config
            && let Some(keys) = serve::read(config, messages)?.keys
        {
            return Ok(keys);
        }
        serve::default_keys().ok_or_else(|| Failure::input(messages, "keys-no-home", &[]))
    }
}

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    match typed.command {
        Action::Add(typed) => add(typed, terminal),
        Action::List(typed) => list(&typed, terminal),
        Action::Revoke(typed) => revoke(&typed, terminal),
    }
}

fn add(typed: AddTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let path = typed.file.path(messages)?;
    let projects = match typed.projects {
        Some(names) => {
            let names = names.iter().map(|name| projects::name(name, messages));
            Some(names.collect::<Outcome<Vec<_>>>()?)
        }
        None => None,
    };
    let told = |error: nestor_server::ServerError| serve::failure(messages, &error);
    let mut keys = Keys::read(&path).map_err(told)?;
    let secret = keys
        .add(NewKey {
            name: typed.name.clone(),
            rights: typed.rights,
            projects,
            time: projects::now(),
        })
        .map_err(told)?;
    keys.write(&path).map_err(told)?;
    let path = path.display().to_string();
    let document = serde_json::json!({"name": typed.name, "key": secret, "file": path});
    terminal.result(&document, || {
        let values = [
            ("name", typed.name.as_str().into()),
            ("path", path.as_str().into()),
        ];
        format!("{}\n{secret}\n", messages.with("keys-added", &values))
    })
}

/// A key in JSON; its hash is nobody's business.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    rights: &'a [Right],
    projects: &'a Option<Vec<String>>,
    created: String,
}

impl<'a> Shown<'a> {
    fn new(key: &'a Key) -> Self {
        Self {
            name: &key.name,
            rights: &key.rights,
            projects: &key.projects,
            created: projects::utc_time(key.created),
        }
    }
}

fn list(typed: &FileTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let path = typed.path(messages)?;
    let keys = Keys::read(&path).map_err(|error| serve::failure(messages, &error))?;
    let shown: Vec<Shown> = keys.list().iter().map(Shown::new).collect();
    let document = serde_json::json!({"file": path, "keys": shown});
    terminal.result(&document, || {
        if keys.list().is_empty() {
            let path = path.display().to_string();
            return format!("{}\n", messages.with("keys-none", &[("path", path.into())]));
        }
        let headings = ["keys-name", "keys-rights", "keys-projects", "keys-created"];
        let mut table = Table::new(headings.map(|key| messages.text(key)));
        for left in 1..headings.len() {
            table = table.left(left);
        }
        for key in keys.list() {
            let rights: Vec<&str> = key.rights.iter().map(|right| right.name()).collect();
            let projects = match &key.projects {
                Some(names) => names.join(", "),
                None => messages.text("keys-all-projects"),
            };
            let created = projects::local_time(key.created);
            let cells = [key.name.clone(), rights.join(", "), projects, created];
            table.row(cells, Emphasis::Plain);
        }
        table.render()
    })
}

fn revoke(typed: &RevokeTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let path = typed.file.path(messages)?;
    let told = |error: nestor_server::ServerError| serve::failure(messages, &error);
    let mut keys = Keys::read(&path).map_err(told)?;
    let values = [
        ("name", typed.name.as_str().into()),
        ("path", path.display().to_string().into()),
    ];
    if !keys.revoke(&typed.name) {
        return Err(Failure::input(messages, "keys-unknown", &values));
    }
    keys.write(&path).map_err(told)?;
    let document = serde_json::json!({"name": typed.name, "revoked": true});
    terminal.result(&document, || {
        format!("{}\n", messages.with("keys-revoked", &values))
    })
}
