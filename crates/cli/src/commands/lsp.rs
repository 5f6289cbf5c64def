//! `nestor lsp`: a language server on stdin and stdout.

use crate::failure::{Failure, Outcome};
use crate::home;
use crate::projects::{self, MemoryTyped};
use crate::terminal::Terminal;
use clap::Args;
use nestor_assist::Speed;
use nestor_lsp::Options;

/// Arguments of `nestor lsp`.
#[derive(Debug, Args)]
pub struct Typed {
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    #[arg(long, value_name = "SPEED", default_value = "balanced")]
    speed: Speed,
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
    let options = Options {
        model: home::model_folder(messages, &typed.model)?,
        projects: typed.memory.projects(messages)?,
        project: project
            .map(|name| projects::name(name, messages))
            .transpose()?,
        speed: typed.speed,
        program: std::env::current_exe().map_err(Failure::internal)?,
    };
    nestor_lsp::run(options).map_err(Failure::about_input)
}
