//! `nestor models list|show`: what the model folders say about themselves, and whether they are whole.

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use clap::{Args, Subcommand};
use nestor_engine::{Manifest, Model};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Arguments of `nestor models`.
#[derive(Debug, Args)]
pub struct Typed {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the folders under `models/`.
    List,
    /// Shows one model and checks its files.
    Show(ShowTyped),
}

#[derive(Debug, Args)]
struct ShowTyped {
    /// A model's name or folder.
    #[arg(value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
}

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    match typed.command {
        Action::List => list(&home::models(&home::find(&terminal.messages)?), terminal),
        Action::Show(typed) => show(
            &home::model_folder(&terminal.messages, &typed.model)?,
            terminal,
        ),
    }
}

/// One line of the list.
#[derive(Serialize)]
struct Listed {
    folder: String,
    path: PathBuf,
    bytes: u64,
    /// Missing where `model.json` cannot be read; then `problem` says why.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Manifest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

fn list(models: &Path, terminal: &Terminal) -> Outcome {
    let mut folders: Vec<PathBuf> = match std::fs::read_dir(models) {
        Ok(entries) => entries
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.is_dir())
            .collect(),
        // No folder, no models.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(Failure::about_input(format!(
                "{}: {error}",
                models.display()
            )));
        }
    };
    folders.sort();
    let listed: Vec<Listed> = folders
        .into_iter()
        .map(|path| {
            let read = Manifest::read(&path.join("model.json"));
            Listed {
                folder: path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                bytes: files(&path).iter().map(|file| file.bytes).sum(),
                problem: read.as_ref().err().map(ToString::to_string),
                model: read.ok(),
                path,
            }
        })
        .collect();
    terminal.result(&serde_json::json!({ "models": listed }), || {
        list_text(models, &listed, &terminal.messages)
    })
}

fn list_text(models: &Path, listed: &[Listed], messages: &Messages) -> String {
    if listed.is_empty() {
        let path = models.display().to_string();
        return format!(
            "{}\n",
            messages.with("models-none", &[("path", path.into())])
        );
    }
    let headings = [
        "models-name",
        "models-levels",
        "models-width",
        "models-numbers",
        "models-size",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    for one in listed {
        match (&one.model, &one.problem) {
            (Some(model), _) => table.row(
                [
                    one.folder.clone(),
                    model.network.stages.to_string(),
                    model.network.width.to_string(),
                    numbers(model),
                    messages.bytes(one.bytes),
                ],
                Emphasis::Plain,
            ),
            (None, problem) => {
                let damaged = messages.text("models-damaged");
                let problem = problem.as_deref().unwrap_or_default();
                table.row(
                    [format!("{} ({damaged}: {problem})", one.folder)],
                    Emphasis::Faint,
                );
            }
        }
    }
    table.render()
}

/// A file of a model folder.
#[derive(Serialize)]
struct File {
    name: String,
    bytes: u64,
}

/// A model in full.
#[derive(Serialize)]
struct Shown {
    path: PathBuf,
    parameters: usize,
    files: Vec<File>,
    model: Manifest,
}

fn show(dir: &Path, terminal: &Terminal) -> Outcome {
    let model = Model::load(dir).map_err(|error| explain::engine(&terminal.messages, &error))?;
    let manifest = model
        .manifest()
        .cloned()
        .ok_or_else(|| Failure::internal("a loaded model has no manifest"))?;
    let shown = Shown {
        path: dir.to_path_buf(),
        parameters: model.parameter_count(),
        files: files(dir),
        model: manifest,
    };
    terminal.result(&shown, || show_text(&shown, &terminal.messages))
}

fn show_text(shown: &Shown, messages: &Messages) -> String {
    let network = &shown.model.network;
    let mut text = format!("{}\n", console::style(&shown.model.name).bold());
    let sizes = messages.with(
        "models-sizes",
        &[
            ("parameters", messages.count(shown.parameters as u64).into()),
            ("levels", network.stages.into()),
            ("blocks", network.blocks_per_stage.into()),
            ("width", network.width.into()),
            ("vocabulary", messages.count(network.vocab as u64).into()),
            ("numbers", numbers(&shown.model).into()),
        ],
    );
    text.push_str(&format!("{sizes}\n\n"));
    let mut table = Table::new([messages.text("models-file"), messages.text("models-size")]);
    for file in &shown.files {
        table.row(
            [file.name.clone(), messages.bytes(file.bytes)],
            Emphasis::Plain,
        );
    }
    text.push_str(&table.render());
    if !shown.model.metrics.is_empty() {
        text.push_str(&format!("\n{}\n", messages.text("models-metrics")));
        for (name, value) in &shown.model.metrics {
            text.push_str(&format!("  {name}: {value}\n"));
        }
    }
    let card = shown.path.join("CARD.md").display().to_string();
    text.push_str(&format!(
        "\n{}\n",
        messages.with("models-card", &[("path", card.into())])
    ));
    text
}

/// How the weights are stored, as written in `model.json`.
fn numbers(model: &Manifest) -> String {
    serde_json::to_value(model.quantisation)
        .ok()
        .and_then(|v| Some(v.as_str()?.to_owned()))
        .unwrap_or_default()
}

/// The files of a folder by name; unreadable entries are left out.
fn files(dir: &Path) -> Vec<File> {
    let mut files: Vec<File> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some(File {
                name: entry.file_name().to_string_lossy().into_owned(),
                bytes: metadata.len(),
            })
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}
