//! `nestor lsp`: a language server on stdin and stdout.

use crate::failure::{Failure, Outcome};
use crate::home;
use crate::messages::{Language, Messages};
use crate::projects::{self, MemoryTyped};
use crate::terminal::Terminal;
use clap::Args;
use nestor_assist::Speed;
use nestor_lsp::{Engine, Options, RemoteOptions};
use std::path::{Path, PathBuf};

/// The variable that holds the key of a server. An argument would be seen by everyone on the machine.
const KEY: &str = "NESTOR_KEY";

/// Arguments of `nestor lsp`.
#[derive(Debug, Args)]
pub struct Typed {
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    #[arg(long, value_name = "SPEED", default_value = "balanced")]
    speed: Speed,
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[arg(long, value_name = "FILE", requires = "server")]
    key_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "server")]
    ca: Option<PathBuf>,
    #[arg(long, value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
    #[command(flatten)]
    memory: MemoryTyped,
    /// Editors add it by themselves.
    #[arg(long)]
    stdio: bool,
}

/// Runs the command until the editor says goodbye.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let project = typed.project.as_ref();
    let engine = match &typed.server {
        Some(url) => Engine::Remote(RemoteOptions {
            url: url.clone(),
            key: key(typed.key_file.as_deref(), messages)?,
            ca: typed.ca.clone(),
        }),
        None => Engine::Local {
            model: home::model_folder(messages, &typed.model)?,
            projects: typed.memory.projects(messages)?,
            program: std::env::current_exe().map_err(Failure::internal)?,
        },
    };
    let options = Options {
        engine,
        project: project
            .map(|name| projects::name(name, messages))
            .transpose()?,
        speed: typed.speed,
        russian: messages.language() == Language::Ru,
    };
    nestor_lsp::run(options).map_err(Failure::about_input)
}

/// The key for a server, of a file or of the environment.
fn key(file: Option<&Path>, messages: &Messages) -> Outcome<Option<String>> {
    let Some(path) = file else {
        return Ok(std::env::var(KEY).ok().filter(|key| !key.is_empty()));
    };
    let wrong = |reason: String| {
        let values = [
            ("path", path.display().to_string().into()),
            ("reason", reason.into()),
        ];
        Failure::input(messages, "error-file", &values)
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    match text.trim() {
        "" => Err(wrong(messages.text("lsp-error-no-key"))),
        key => Ok(Some(key.to_owned())),
    }
}
