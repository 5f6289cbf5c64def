//! `nestor eval --protocol commits`: a repository is learned as it was, and what its later commits added is written again.

use super::{MetadataTyped, Typed};
use crate::commands::complete;
use crate::explain;
use crate::failure::Outcome;
use crate::learning;
use crate::messages::Messages;
use crate::terminal::Terminal;
use nestor_assist::{Assistant, LearnFile, MetadataFile, MetadataIndex, Speed};
use nestor_corpus::source::{self, Replay};
use nestor_corpus::{Role, SourceSpec};
use nestor_eval::commits::{ChangedFile, CommitsConfig, CommitsResult, write_again};
use nestor_eval::decode::CodeNames;
use serde::Serialize;
use std::ops::ControlFlow;

/// The document of the command.
#[derive(Serialize)]
struct Report {
    results: Vec<One>,
}

#[derive(Serialize)]
struct One {
    /// What was learned.
    revision: String,
    commits: usize,
    imports_left_out: usize,
    #[serde(flatten)]
    result: CommitsResult,
}

/// Runs the protocol over all sources.
pub(super) fn run(typed: &Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let mut assistant = complete::open(&typed.model, messages)?;
    let mut specs = typed.sources.resolve(Role::Dev, messages)?;
    specs.retain(|spec| spec.role == Role::Dev);
    let mut results = Vec::new();
    for spec in &specs {
        results.push(one(spec, typed, &mut assistant, terminal)?);
    }
    let report = Report { results };
    terminal.result(&report, || text(&report, messages))
}

fn one(
    spec: &SourceSpec,
    typed: &Typed,
    assistant: &mut Assistant,
    terminal: &Terminal,
) -> Outcome<One> {
    let messages = &terminal.messages;
    let replay = source::replay(&spec.path, typed.commits)
        .map_err(|error| explain::corpus(messages, &error))?;
    let index = learn(&replay, assistant, terminal)?;
    let is_heard = typed.metadata == MetadataTyped::On;
    // The plain list knows the metadata anyway; whether the mixture hears it is for its gates to say.
    assistant.set_metadata(Some(index.link().0));
    let gates = assistant.candidate_gates().cloned();
    if !is_heard {
        let told = assistant.set_candidate_gates(None);
        told.map_err(|error| explain::assist(messages, &error))?;
    }
    let mut code = CodeNames::default();
    replay
        .source
        .read(&mut |file| {
            code.read(&file.text);
            ControlFlow::Continue(())
        })
        .map_err(|error| explain::corpus(messages, &error))?;
    let mut commits: Vec<&str> = replay
        .changes
        .iter()
        .map(|one| one.commit.as_str())
        .collect();
    commits.dedup();
    let files: Vec<ChangedFile> = replay
        .changes
        .iter()
        .map(|change| ChangedFile {
            path: change.path.clone(),
            text: change.text.clone(),
            added: change.added.clone(),
        })
        .collect();
    let config = CommitsConfig {
        max_lines: typed.max_lines,
        speed: Speed::Accurate,
    };
    let bar = terminal.bar(0, &spec.name);
    let written = write_again(assistant, &files, &code, &config, &mut |line, of| {
        bar.set_length(of as u64);
        bar.set_position(line as u64);
    });
    bar.finish_and_clear();
    let mut result = written.map_err(|error| explain::assist(messages, &error))?;
    result.source.clone_from(&spec.name);
    let told = assistant.set_candidate_gates(gates);
    told.map_err(|error| explain::assist(messages, &error))?;
    Ok(One {
        revision: replay.revision.clone(),
        commits: commits.len(),
        imports_left_out: replay.n_imports,
        result,
    })
}

/// Learns the revision: its code by counts, its metadata with what modules export.
fn learn(
    replay: &Replay,
    assistant: &mut Assistant,
    terminal: &Terminal,
) -> Outcome<MetadataIndex> {
    let messages = &terminal.messages;
    let told = |error: nestor_assist::AssistError| explain::assist(messages, &error);
    assistant.forget_project().map_err(told)?;
    let mut files = Vec::new();
    replay
        .source
        .read(&mut |file| {
            files.push(LearnFile {
                path: file.path,
                text: file.text,
            });
            ControlFlow::Continue(())
        })
        .map_err(|error| explain::corpus(messages, &error))?;
    let bar = terminal.bar(files.len() as u64, &messages.text("learning-bar"));
    let learned = assistant.learn_files(files, &mut |at| bar.set_position(at.files as u64));
    bar.finish_and_clear();
    learned.map_err(told)?;
    let listed = replay.source.metadata_files();
    let all: Vec<usize> = (0..listed.len()).collect();
    let mut index = MetadataIndex::new();
    let skipped = replay.source.read_metadata(&all, &mut |batch| {
        let files = batch.into_iter().map(|read| MetadataFile {
            path: listed[read.file].path.to_owned(),
            bytes: read.bytes,
        });
        index.read(&files.collect::<Vec<_>>());
    });
    let skipped = skipped.map_err(|error| explain::corpus(messages, &error))?;
    learning::note_skipped(&skipped, terminal);
    Ok(index)
}

fn text(report: &Report, messages: &Messages) -> String {
    let share =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |it| messages.percent(it));
    let line = |one: &One| {
        let result = &one.result;
        let values = [
            ("name", result.source.as_str().into()),
            ("lines", messages.count(result.lines as u64).into()),
            ("commits", messages.count(one.commits as u64).into()),
            ("saved", messages.percent(result.keystrokes_saved).into()),
            ("list", messages.percent(result.list_saved).into()),
            ("whole", messages.percent(result.whole_line_exact).into()),
            ("precision", share(result.precision_at_30).into()),
            ("invented", share(result.invented).into()),
        ];
        format!("{}\n", messages.with("eval-commits", &values))
    };
    report.results.iter().map(line).collect()
}
