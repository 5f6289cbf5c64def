//! Reads a codebase and teaches it to an assistant, with a bar; also reads it for the evaluation.
//!
//! Called by the commands that take a source. What is skipped is told in the report, never silently.

use crate::explain;
use crate::failure::Outcome;
use crate::terminal::Terminal;
use nestor_assist::{AssistError, Assistant, LearnFile, MetadataFile, MetadataIndex};
use nestor_corpus::source::Origin;
use nestor_corpus::{Source, source};
use nestor_eval::own_code::ProjectFile;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Files handed to the assistant together.
const BATCH: usize = 64;

/// What was learned from a source.
#[derive(Debug, Serialize)]
pub struct Learned {
    /// Where it was read.
    pub source: PathBuf,
    /// Files learned.
    pub files: usize,
    /// Bytes of their text.
    pub bytes: usize,
    /// Pieces in them.
    pub pieces: usize,
    /// Time that reading and learning took.
    pub seconds: f64,
    /// Files that were left out, with the reason.
    pub skipped: Vec<Skipped>,
}

/// A file that was left out.
#[derive(Debug, Serialize)]
pub struct Skipped {
    /// Its path in the source.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Keeps the first files, up to the one that passes `max_bytes`.
pub fn keep_first(files: &mut Vec<ProjectFile>, max_bytes: usize) {
    let mut n_bytes = 0;
    let passed = files.iter().position(|file| {
        n_bytes += file.text.len();
        n_bytes >= max_bytes
    });
    files.truncate(passed.map_or(files.len(), |at| at + 1));
}

/// Opens what lies at `path`.
pub fn open(path: &Path, terminal: &Terminal) -> Outcome<Box<dyn Source>> {
    source::open(path).map_err(|error| explain::corpus(&terminal.messages, &error))
}

/// Teaches everything in the source at `path`, in path order.
pub fn learn(assistant: &mut Assistant, path: &Path, terminal: &Terminal) -> Outcome<Learned> {
    let messages = &terminal.messages;
    let started = Instant::now();
    let source = open(path, terminal)?;
    let mut learned = Learned {
        source: path.to_path_buf(),
        files: 0,
        bytes: 0,
        pieces: 0,
        seconds: 0.0,
        skipped: Vec::new(),
    };
    let bar = terminal.bar(source.size().1, &messages.text("learning-bar"));
    let mut batch: Vec<LearnFile> = Vec::with_capacity(BATCH);
    let mut teach =
        |batch: &mut Vec<LearnFile>, learned: &mut Learned| -> Result<(), AssistError> {
            let n_bytes: usize = batch.iter().map(|file| file.text.len()).sum();
            let report = assistant.learn_files(batch.drain(..), &mut |_| {})?;
            learned.files += report.files;
            learned.bytes += report.bytes;
            learned.pieces += report.pieces;
            learned.skipped.extend(
                report
                    .skipped
                    .into_iter()
                    .map(|(path, reason)| Skipped { path, reason }),
            );
            bar.inc(n_bytes as u64);
            Ok(())
        };
    let mut failed = None;
    let read = source.read(&mut |file| {
        batch.push(LearnFile {
            path: file.path,
            text: file.text,
        });
        if batch.len() < BATCH {
            return ControlFlow::Continue(());
        }
        match teach(&mut batch, &mut learned) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let report = read.map_err(|error| explain::corpus(messages, &error))?;
    let taught = failed.map_or_else(|| teach(&mut batch, &mut learned), Err);
    taught.map_err(|error| explain::assist(messages, &error))?;
    bar.finish_and_clear();
    let unread = report.skipped.into_iter();
    learned.skipped.extend(unread.map(|file| Skipped {
        path: file.path,
        reason: file.reason,
    }));
    learned.seconds = started.elapsed().as_secs_f64();
    Ok(learned)
}

/// All files of the source at `path` in path order, for the evaluation.
pub fn read_all(path: &Path, terminal: &Terminal) -> Outcome<Vec<ProjectFile>> {
    read_where(path, |_| true, terminal)
}

/// [`read_all`] without what is a vendor's, or may be.
pub fn read_own(path: &Path, terminal: &Terminal) -> Outcome<Vec<ProjectFile>> {
    read_where(path, |origin| origin == Origin::Own, terminal)
}

fn read_where(
    path: &Path,
    wanted: impl Fn(Origin) -> bool,
    terminal: &Terminal,
) -> Outcome<Vec<ProjectFile>> {
    let messages = &terminal.messages;
    let source = open(path, terminal)?;
    let all: Vec<usize> = (0..source.size().0).collect();
    let origins = source.origins(&all);
    let chosen: Vec<usize> = all
        .into_iter()
        .zip(origins)
        .filter_map(|(module, reason)| wanted(reason.origin()).then_some(module))
        .collect();
    let bar = terminal.bar(source.size().1, &messages.text("reading-bar"));
    let mut files = Vec::with_capacity(chosen.len());
    let read = source.read_some(&chosen, &mut |file| {
        bar.inc(file.text.len() as u64);
        files.push(ProjectFile {
            path: file.path,
            text: file.text,
        });
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    let report = read.map_err(|error| explain::corpus(messages, &error))?;
    for skipped in &report.skipped {
        let values = [
            ("path", skipped.path.as_str().into()),
            ("reason", skipped.reason.as_str().into()),
        ];
        terminal.note(&messages.with("file-skipped", &values));
    }
    Ok(files)
}

/// What the XML of the source at `path` says, without its code; paths are those of [`read_all`].
pub fn read_metadata(path: &Path, terminal: &Terminal) -> Outcome<MetadataIndex> {
    read_metadata_as(path, |file| file, terminal)
}

/// The same after `change` has been at each file.
pub fn read_metadata_as(
    path: &Path,
    change: impl Fn(MetadataFile) -> MetadataFile,
    terminal: &Terminal,
) -> Outcome<MetadataIndex> {
    let messages = &terminal.messages;
    let source = open(path, terminal)?;
    let listed = source.metadata_files();
    let wanted: Vec<usize> = (0..listed.len())
        .filter(|&file| !listed[file].is_module)
        .collect();
    let bar = terminal.bar(wanted.len() as u64, &messages.text("metadata-bar"));
    let mut index = MetadataIndex::new();
    let skipped = source.read_metadata(&wanted, &mut |batch| {
        bar.inc(batch.len() as u64);
        let files = batch.into_iter().map(|read| {
            change(MetadataFile {
                path: listed[read.file].path.to_owned(),
                bytes: read.bytes,
            })
        });
        index.read(&files.collect::<Vec<_>>());
    });
    bar.finish_and_clear();
    let skipped = skipped.map_err(|error| explain::corpus(messages, &error))?;
    note_skipped(&skipped, terminal);
    Ok(index)
}

/// Tells which files were left out.
pub fn note_skipped(skipped: &[source::Skipped], terminal: &Terminal) {
    for skipped in skipped {
        let values = [
            ("path", skipped.path.as_str().into()),
            ("reason", skipped.reason.as_str().into()),
        ];
        terminal.note(&terminal.messages.with("file-skipped", &values));
    }
}

/// The sentence that tells what was learned.
pub fn sentence(learned: &Learned, terminal: &Terminal) -> String {
    let messages = &terminal.messages;
    let values = [
        ("files", learned.files.into()),
        ("size", messages.bytes(learned.bytes as u64).into()),
        ("pieces", messages.count(learned.pieces as u64).into()),
        ("time", messages.duration(learned.seconds).into()),
        ("skipped", learned.skipped.len().into()),
    ];
    messages.with("learned-files", &values)
}
