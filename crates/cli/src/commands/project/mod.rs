//! `nestor project list|show|forget|rollback|export|import|remove`: what projects know, and how it is taken back.

mod show;

use crate::explain;
use crate::failure::Outcome;
use crate::home;
use crate::messages::Messages;
use crate::projects::{self, MemoryTyped, WriteTyped};
use crate::terminal::Terminal;
use clap::{Args, Subcommand};
use nestor_engine::Manifest;
use nestor_memory::{Forgotten, MemoryError, ModelIdentity};
use serde::Serialize;
use std::path::PathBuf;

/// Paths that are listed before the rest is only counted.
const MAX_LISTED: usize = 10;

/// Arguments of `nestor project`.
#[derive(Debug, Args)]
pub struct Typed {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the projects.
    List(ListTyped),
    /// Shows one project.
    Show(ShowTyped),
    /// Forgets files for good.
    Forget(ForgetTyped),
    /// Goes back to an earlier state.
    Rollback(RollbackTyped),
    /// Writes a project into one file.
    Export(ExportTyped),
    /// Makes a project of such a file.
    Import(ImportTyped),
    /// Removes a project.
    Remove(RemoveTyped),
}

#[derive(Debug, Args)]
struct ListTyped {
    #[command(flatten)]
    memory: MemoryTyped,
}

#[derive(Debug, Args)]
struct ShowTyped {
    #[arg(value_name = "NAME", display_order = 1)]
    project: String,
    #[arg(long)]
    history: bool,
    #[command(flatten)]
    memory: MemoryTyped,
}

#[derive(Debug, Args)]
struct ForgetTyped {
    #[arg(value_name = "NAME", display_order = 1)]
    project: String,
    #[arg(value_name = "PATH", required = true, display_order = 2)]
    paths: Vec<String>,
    #[command(flatten)]
    write: WriteTyped,
}

#[derive(Debug, Args)]
struct RollbackTyped {
    #[arg(value_name = "NAME", display_order = 1)]
    project: String,
    #[arg(value_name = "CHANGE", display_order = 2)]
    change: u64,
    #[command(flatten)]
    write: WriteTyped,
}

#[derive(Debug, Args)]
struct ExportTyped {
    #[arg(value_name = "NAME", display_order = 1)]
    project: String,
    #[arg(value_name = "FILE", display_order = 2)]
    file: PathBuf,
    #[command(flatten)]
    memory: MemoryTyped,
}

#[derive(Debug, Args)]
struct ImportTyped {
    #[arg(value_name = "NAME", display_order = 1)]
    project: String,
    #[arg(value_name = "FILE", display_order = 2)]
    file: PathBuf,
    #[arg(long, value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
    #[command(flatten)]
    write: WriteTyped,
}

#[derive(Debug, Args)]
struct RemoveTyped {
    #[arg(value_name = "NAME", display_order = 1)]
    project: String,
    #[command(flatten)]
    write: WriteTyped,
}

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    match typed.command {
        Action::List(typed) => show::list(&typed.memory.projects(messages)?, terminal),
        Action::Show(typed) => {
            let name = projects::name(&typed.project, messages)?;
            let store = typed.memory.projects(messages)?.open(&name);
            let store = store.map_err(|error| explain::memory(messages, &error))?;
            show::show(&store, typed.history, terminal)
        }
        Action::Forget(typed) => forget(&typed, terminal),
        Action::Rollback(typed) => rollback(&typed, terminal),
        Action::Export(typed) => export(&typed, terminal),
        Action::Import(typed) => import(&typed, terminal),
        Action::Remove(typed) => remove(&typed, terminal),
    }
}

#[derive(Serialize)]
struct ForgottenShown {
    path: String,
    files: usize,
    texts: usize,
    /// Files whose facts were in the metadata.
    metadata: usize,
}

#[derive(Serialize)]
struct ForgetReport {
    project: String,
    forgotten: Vec<ForgottenShown>,
    /// Files that still count.
    files: usize,
}

fn forget(typed: &ForgetTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let name = projects::name(&typed.project, messages)?;
    let mut writer = typed.write.open(&name, terminal)?;
    let mut forgotten = Vec::with_capacity(typed.paths.len());
    for path in &typed.paths {
        let facts = nestor_assist::metadata::forget(&mut writer, path)
            .map_err(|error| explain::assist(messages, &error))?;
        let told = match writer.forget(path) {
            // A folder may hold nothing but metadata.
            Err(MemoryError::NotLearned { .. }) if facts > 0 => Forgotten::default(),
            told => told.map_err(|error| explain::memory(messages, &error))?,
        };
        forgotten.push(ForgottenShown {
            path: path.clone(),
            files: told.files,
            texts: told.texts,
            metadata: facts,
        });
    }
    let report = ForgetReport {
        project: name.to_string(),
        forgotten,
        files: writer.n_files(),
    };
    terminal.result(&report, || {
        let lines = report.forgotten.iter().map(|one| {
            let values = [
                ("path", one.path.as_str().into()),
                ("files", one.files.into()),
                ("texts", one.texts.into()),
            ];
            format!("{}\n", messages.with("project-forgotten", &values))
        });
        lines.collect()
    })
}

#[derive(Serialize)]
struct RollbackReport {
    project: String,
    to: u64,
    restored: usize,
    removed: usize,
    /// Paths whose text was forgotten since then.
    lost: Vec<String>,
    files: usize,
}

fn rollback(typed: &RollbackTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let name = projects::name(&typed.project, messages)?;
    let mut writer = typed.write.open(&name, terminal)?;
    let rolled = writer
        .rollback(typed.change)
        .map_err(|error| explain::memory(messages, &error))?;
    let report = RollbackReport {
        project: name.to_string(),
        to: typed.change,
        restored: rolled.restored,
        removed: rolled.removed,
        lost: rolled.lost,
        files: writer.n_files(),
    };
    terminal.result(&report, || rollback_text(&report, messages))
}

fn rollback_text(report: &RollbackReport, messages: &Messages) -> String {
    let values = [
        ("name", report.project.as_str().into()),
        ("change", report.to.into()),
        ("restored", report.restored.into()),
        ("removed", report.removed.into()),
        ("files", report.files.into()),
    ];
    let mut text = format!("{}\n", messages.with("project-rolled-back", &values));
    if !report.lost.is_empty() {
        let values = [("count", report.lost.len().into())];
        text.push_str(&format!("{}\n", messages.with("project-lost", &values)));
        for path in report.lost.iter().take(MAX_LISTED) {
            text.push_str(&format!("  {path}\n"));
        }
        if report.lost.len() > MAX_LISTED {
            text.push_str("  …\n");
        }
    }
    text
}

#[derive(Serialize)]
struct Moved {
    project: String,
    file: PathBuf,
    files: usize,
    pieces: u64,
    changes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

fn export(typed: &ExportTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let told = |error: MemoryError| explain::memory(messages, &error);
    let name = projects::name(&typed.project, messages)?;
    let store = typed.memory.projects(messages)?.open(&name).map_err(told)?;
    let bytes = store.export(&typed.file).map_err(told)?;
    let moved = Moved {
        project: name.to_string(),
        file: typed.file.clone(),
        files: store.n_files(),
        pieces: store.n_pieces(),
        changes: store.history().len(),
        bytes: Some(bytes),
    };
    let path = typed.file.display().to_string();
    let values = [("path", path.as_str().into())];
    terminal.note(&messages.with("project-export-warning", &values));
    terminal.result(&moved, || {
        let values = [
            ("name", moved.project.as_str().into()),
            ("path", path.as_str().into()),
            ("files", messages.count(moved.files as u64).into()),
            ("size", messages.bytes(bytes).into()),
        ];
        format!("{}\n", messages.with("project-exported", &values))
    })
}

fn import(typed: &ImportTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let name = projects::name(&typed.project, messages)?;
    let projects = typed.write.projects(messages)?;
    let identity = identity(&typed.model, messages)?;
    let writer = typed.write.in_turn(&name, terminal, |when_busy| {
        projects.import(&name, &typed.file, &identity, when_busy, projects::now())
    })?;
    let moved = Moved {
        project: name.to_string(),
        file: typed.file.clone(),
        files: writer.n_files(),
        pieces: writer.n_pieces(),
        changes: writer.history().len(),
        bytes: None,
    };
    terminal.result(&moved, || {
        let values = [
            ("name", moved.project.as_str().into()),
            ("files", messages.count(moved.files as u64).into()),
            ("pieces", messages.count(moved.pieces).into()),
        ];
        format!("{}\n", messages.with("project-imported", &values))
    })
}

/// What a project must have in common with a model, from `model.json` alone.
fn identity(model: &str, messages: &Messages) -> Outcome<ModelIdentity> {
    let path = home::model_folder(messages, model)?.join("model.json");
    let manifest = Manifest::read(&path).map_err(|error| explain::engine(messages, &error))?;
    Ok(ModelIdentity {
        model_sha256: Some(manifest.weights_sha256),
        tokenizer_sha256: manifest.tokenizer_sha256,
        vocabulary: manifest.network.vocab as u32,
    })
}

fn remove(typed: &RemoveTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let name = projects::name(&typed.project, messages)?;
    let projects = typed.write.projects(messages)?;
    typed.write.in_turn(&name, terminal, |when_busy| {
        projects.remove(&name, when_busy)
    })?;
    let document = serde_json::json!({ "project": name.as_str(), "removed": true });
    terminal.result(&document, || {
        let values = [("name", name.as_str().into())];
        format!("{}\n", messages.with("project-removed", &values))
    })
}
