//! What projects look like: the list of them, one in full, its history in runs of like changes.

use crate::explain;
use crate::failure::Outcome;
use crate::messages::Messages;
use crate::projects::{self, local_time, utc_time};
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use nestor_memory::{Operation, ProjectStore, Projects, Quarantined, Record, Role};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One line of the list.
#[derive(Serialize)]
struct Listed {
    name: String,
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pieces: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<String>,
    /// Why it cannot be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip)]
    changed_at: u64,
}

/// Lists the projects.
pub fn list(projects: &Projects, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let names = projects
        .names()
        .map_err(|error| explain::memory(messages, &error))?;
    let listed: Vec<Listed> = names
        .into_iter()
        .map(|name| {
            let opened = projects.open(&name);
            let store = opened.as_ref().ok();
            let changed_at = store.map_or(0, last_change);
            Listed {
                path: projects.dir().join(name.as_str()),
                name: name.to_string(),
                files: store.map(ProjectStore::n_files),
                pieces: store.map(ProjectStore::n_pieces),
                bytes: store.map(ProjectStore::disk_bytes),
                changed: store.map(|_| utc_time(changed_at)),
                problem: opened
                    .as_ref()
                    .err()
                    .map(|error| explain::memory(messages, error).message),
                changed_at,
            }
        })
        .collect();
    let document = serde_json::json!({ "folder": projects.dir(), "projects": listed });
    terminal.result(&document, || list_text(projects, &listed, messages))
}

fn last_change(store: &ProjectStore) -> u64 {
    let last = store.history().last();
    last.map_or(store.header().created, |record| record.time)
}

fn list_text(projects: &Projects, listed: &[Listed], messages: &Messages) -> String {
    if listed.is_empty() {
        let path = projects.dir().display().to_string();
        let values = [("path", path.into())];
        return format!("{}\n", messages.with("project-none", &values));
    }
    let headings = [
        "project-name",
        "project-files",
        "project-pieces",
        "project-size",
        "project-changed",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    for one in listed {
        match &one.problem {
            None => table.row(
                [
                    one.name.clone(),
                    messages.count(one.files.unwrap_or_default() as u64),
                    messages.count(one.pieces.unwrap_or_default()),
                    messages.bytes(one.bytes.unwrap_or_default()),
                    local_time(one.changed_at),
                ],
                Emphasis::Plain,
            ),
            Some(problem) => table.row([format!("{}: {problem}", one.name)], Emphasis::Faint),
        }
    }
    table.render()
}

/// A project in full.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    path: PathBuf,
    created: String,
    model_sha256: Option<&'a str>,
    tokenizer_sha256: &'a str,
    vocabulary: u32,
    files: usize,
    pieces: u64,
    /// Of these, taught to levels 2 and 3.
    taught_pieces: u64,
    /// Snapshots of levels 2 and 3 that have seen only what counts.
    snapshots: usize,
    /// Files that teach levels 2 and 3 nothing, because they did harm.
    quarantined: Vec<Quarantined>,
    bytes: u64,
    changes: usize,
    roots: Vec<RootShown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Run>>,
}

#[derive(Serialize)]
struct RootShown<'a> {
    name: &'a str,
    role: Option<Role>,
    location: &'a str,
    files: usize,
    pieces: u64,
}

/// Changes of one kind that were made together.
#[derive(Debug, PartialEq, Serialize)]
struct Run {
    first: u64,
    last: u64,
    time: String,
    operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    pieces: u64,
    /// What a single change is about: a path, a number, a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    #[serde(skip)]
    time_s: u64,
}

/// Shows one project.
pub fn show(store: &ProjectStore, with_history: bool, terminal: &Terminal) -> Outcome {
    let mut of_root: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for (_, file) in store.files().filter(|(_, file)| file.counts()) {
        let (files, pieces) = of_root.entry(&file.root).or_default();
        *files += 1;
        *pieces += u64::from(file.pieces);
    }
    let header = store.header();
    let shown = Shown {
        name: store.name().as_str(),
        path: store.dir().to_owned(),
        created: utc_time(header.created),
        model_sha256: header.model_sha256.as_deref(),
        tokenizer_sha256: &header.tokenizer_sha256,
        vocabulary: header.vocabulary,
        files: store.n_files(),
        pieces: store.n_pieces(),
        taught_pieces: store.taught_pieces(),
        snapshots: store.snapshots().iter().filter(|one| one.holds).count(),
        quarantined: store.quarantined(),
        bytes: store.disk_bytes(),
        changes: store.history().len(),
        roots: store
            .roots()
            .map(|root| {
                let name = root.name.as_str();
                let (files, pieces) = of_root.get(name).copied().unwrap_or_default();
                RootShown {
                    name,
                    role: root.role,
                    location: &root.location,
                    files,
                    pieces,
                }
            })
            .collect(),
        history: with_history.then(|| runs(store.history())),
    };
    let created = header.created;
    terminal.result(&shown, || show_text(&shown, created, &terminal.messages))
}

fn show_text(shown: &Shown<'_>, created: u64, messages: &Messages) -> String {
    let mut text = format!("{}\n", console::style(shown.name).bold());
    let path = shown.path.display().to_string();
    let values = [
        ("path", path.into()),
        ("created", local_time(created).into()),
        ("files", messages.count(shown.files as u64).into()),
        ("pieces", messages.count(shown.pieces).into()),
        ("taught", messages.count(shown.taught_pieces).into()),
        ("size", messages.bytes(shown.bytes).into()),
        ("changes", messages.count(shown.changes as u64).into()),
    ];
    text.push_str(&format!("{}\n", messages.with("project-facts", &values)));
    if !shown.quarantined.is_empty() {
        let values = [("files", shown.quarantined.len().into())];
        text.push_str(&format!(
            "{}\n",
            messages.with("project-quarantine", &values)
        ));
        for one in &shown.quarantined {
            text.push_str(&format!("  {}\n", projects::quarantined(one, messages)));
        }
    }
    if !shown.roots.is_empty() {
        let headings = [
            "project-root",
            "project-role",
            "project-files",
            "project-pieces",
            "project-location",
        ];
        let headings = headings.map(|key| messages.text(key));
        let mut table = Table::new(headings).left(1).left(4);
        for root in &shown.roots {
            table.row(
                [
                    root.name.to_owned(),
                    root.role.map(role_name).unwrap_or_default().to_owned(),
                    messages.count(root.files as u64),
                    messages.count(root.pieces),
                    root.location.to_owned(),
                ],
                Emphasis::Plain,
            );
        }
        text.push_str(&format!("\n{}", table.render()));
    }
    if let Some(history) = &shown.history {
        let headings = [
            "project-change",
            "project-time",
            "project-operation",
            "project-pieces",
            "project-about",
        ];
        let headings = headings.map(|key| messages.text(key));
        let mut table = Table::new(headings).left(1).left(2).left(4);
        for run in history {
            let changes = if run.first == run.last {
                run.first.to_string()
            } else {
                format!("{}–{}", run.first, run.last)
            };
            let about = run.about.clone().or_else(|| run.root.clone());
            let pieces = match run.pieces {
                0 => String::new(),
                pieces => messages.count(pieces),
            };
            table.row(
                [
                    changes,
                    local_time(run.time_s),
                    operation_text(run.operation, messages),
                    pieces,
                    about.unwrap_or_default(),
                ],
                Emphasis::Plain,
            );
        }
        text.push_str(&format!("\n{}", table.render()));
    }
    text
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Base => "base",
        Role::Extension => "extension",
        Role::Library => "library",
        Role::External => "external",
    }
}

fn operation_text(operation: &str, messages: &Messages) -> String {
    messages.text(match operation {
        "root" => "project-op-root",
        "learn" => "project-op-learn",
        "again" => "project-op-again",
        "remove" => "project-op-remove",
        "forget" => "project-op-forget",
        "rollback" => "project-op-rollback",
        _ => "project-op-note",
    })
}

/// The history with like changes of one call put together.
fn runs(records: &[Record]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for record in records {
        let (operation, root, pieces, about) = match &record.op {
            Operation::Root(root) => (
                "root",
                Some(root.name.clone()),
                0,
                Some(root.location.clone()),
            ),
            Operation::Learn {
                root, pieces, path, ..
            } => (
                "learn",
                Some(root.clone()),
                u64::from(*pieces),
                Some(path.clone()),
            ),
            Operation::Again { path, .. } => {
                let root = path.split('/').next().map(str::to_owned);
                ("again", root, 0, Some(path.clone()))
            }
            Operation::Forget { path, erased } => {
                let root = path.split('/').next().map(str::to_owned);
                let operation = if *erased { "forget" } else { "remove" };
                (operation, root, 0, Some(path.clone()))
            }
            Operation::Rollback { to } => ("rollback", None, 0, Some(format!("→ {to}"))),
            Operation::Note { text } => ("note", None, 0, Some(text.clone())),
            Operation::Commit => continue,
        };
        let goes_on = |run: &&mut Run| {
            matches!(operation, "learn" | "again" | "remove")
                && (run.operation, &run.root, run.time_s) == (operation, &root, record.time)
        };
        if let Some(run) = runs.last_mut().filter(goes_on) {
            run.last = record.seq;
            run.pieces += pieces;
            run.about = None;
            continue;
        }
        runs.push(Run {
            first: record.seq,
            last: record.seq,
            time: utc_time(record.time),
            operation,
            root,
            pieces,
            about,
            time_s: record.time,
        });
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_learned_together_are_one_run() {
        let learn = |seq: u64, time: u64, root: &str| Record {
            seq,
            time,
            op: Operation::Learn {
                root: root.to_owned(),
                path: format!("{root}/{seq}"),
                sha256: String::new(),
                pieces: 10,
                weight: 1.0,
                place: None,
                filter: None,
                vendor: false,
            },
        };
        let records = [
            learn(1, 5, "cf"),
            learn(2, 5, "cf"),
            learn(3, 5, "cfe"),
            learn(4, 9, "cfe"),
        ];
        let found: Vec<_> = runs(&records)
            .into_iter()
            .map(|run| (run.first, run.last, run.pieces, run.about))
            .collect();
        assert_eq!(
            found,
            [
                (1, 2, 20, None),
                (3, 3, 10, Some("cfe/3".to_owned())),
                (4, 4, 10, Some("cfe/4".to_owned())),
            ]
        );
    }
}
