//! `nestor eval --protocol commits`: a repository is learned as it was, and what its later commits added is written again, by Nestor and, if
//! asked for, by a peer.

use super::peer::{self, Account, Address, Gone, Peer};
use super::{BaselineTyped, MetadataTyped, Typed};
use crate::commands::complete;
use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::learning;
use crate::messages::Messages;
use crate::terminal::Terminal;
use nestor_assist::{Assistant, LearnFile, MetadataFile, MetadataIndex, Speed};
use nestor_corpus::source::{self, Replay};
use nestor_corpus::{Role, SourceSpec};
use nestor_eval::Level;
use nestor_eval::commits::{
    ChangedFile, CommitsResult, ListResult, ProjectNames, plain_list, write_again,
};
use nestor_eval::completer::{AssistantCompleter, Completer};
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
    /// Name of the project.
    source: String,
    /// Who wrote: `all` exits of Nestor, or a peer.
    level: String,
    /// What was learned.
    revision: String,
    commits: usize,
    imports_left_out: usize,
    /// Whether names of the metadata were heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<bool>,
    #[serde(flatten)]
    result: CommitsResult,
    #[serde(flatten)]
    list: Option<ListResult>,
    #[serde(flatten)]
    account: Option<Account>,
}

/// Runs the protocol over all sources.
pub(super) fn run(typed: &Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let mut peer = match &typed.baseline {
        None => None,
        Some(BaselineTyped::OpenAi(address)) => Some(open(address, typed, messages)?),
        Some(BaselineTyped::Ngram) => {
            return Err(Failure::usage(messages, "eval-ngram-writes-nothing", &[]));
        }
    };
    let mut assistant = complete::open(&typed.model, messages)?;
    let mut specs = typed.sources.resolve(Role::Dev, messages)?;
    specs.retain(|spec| spec.role == Role::Dev);
    crate::sources::check_present(&specs, messages)?;
    let mut results = Vec::new();
    for spec in &specs {
        results.extend(rows(spec, typed, &mut assistant, peer.as_mut(), terminal)?);
    }
    if let Some((_, peer)) = &peer {
        let account = peer.account();
        for field in &account.without {
            let values = [
                ("url", account.url.as_str().into()),
                ("field", (*field).into()),
            ];
            terminal.note(&messages.with("eval-peer-without", &values));
        }
        if let Some(reason) = &account.last_failure {
            let values = [
                ("url", account.url.as_str().into()),
                ("reason", reason.as_str().into()),
            ];
            terminal.note(&messages.with("eval-peer-failed", &values));
        }
    }
    let report = Report { results };
    terminal.result(&report, || text(&report, messages))
}

/// The peer and the name of its rows.
fn open(address: &Address, typed: &Typed, messages: &Messages) -> Outcome<(String, Peer)> {
    if typed.baseline_corpus.is_some() {
        return Err(Failure::usage(messages, "eval-peer-learns-nothing", &[]));
    }
    let key = std::env::var(peer::KEY).ok().filter(|key| !key.is_empty());
    let peer = Peer::open(address, key).map_err(|error| gone(&error, messages))?;
    Ok((address.level(), peer))
}

fn gone(error: &Gone, messages: &Messages) -> Failure {
    let values = [
        ("url", error.url.as_str().into()),
        ("reason", error.reason.as_str().into()),
    ];
    Failure::input(messages, "eval-peer-gone", &values)
}

/// The row of Nestor over one source, and that of the peer.
fn rows(
    spec: &SourceSpec,
    typed: &Typed,
    assistant: &mut Assistant,
    peer: Option<&mut (String, Peer)>,
    terminal: &Terminal,
) -> Outcome<Vec<One>> {
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
    let files: Vec<ChangedFile> = replay
        .changes
        .iter()
        .map(|change| ChangedFile {
            path: change.path.clone(),
            text: change.text.clone(),
            added: change.added.clone(),
        })
        .collect();
    let lines = Lines {
        files: &files,
        names: ProjectNames {
            assistant,
            code: &code,
        },
        max_lines: typed.max_lines,
        terminal,
    };
    let mut nestor = AssistantCompleter {
        assistant,
        speed: Speed::Accurate,
    };
    let written = lines.write(&mut nestor, &spec.name);
    let own = One {
        level: Level::All.name().to_owned(),
        metadata: Some(assistant.candidate_gates().is_some()),
        list: Some(plain_list(assistant, &files, typed.max_lines)),
        ..One::new(
            spec,
            &replay,
            written.map_err(|error| explain::assist(messages, &error))?,
        )
    };
    let mut rows = vec![own];
    if let Some((level, peer)) = peer {
        let written = lines.write(peer, level);
        rows.push(One {
            level: level.clone(),
            account: Some(peer.account()),
            ..One::new(
                spec,
                &replay,
                written.map_err(|error| gone(&error, messages))?,
            )
        });
    }
    let told = assistant.set_candidate_gates(gates);
    told.map_err(|error| explain::assist(messages, &error))?;
    Ok(rows)
}

/// The lines of a source, for each completer the same.
struct Lines<'a> {
    files: &'a [ChangedFile],
    names: ProjectNames<'a>,
    max_lines: usize,
    terminal: &'a Terminal,
}

impl Lines<'_> {
    fn write<C: Completer>(
        &self,
        completer: &mut C,
        label: &str,
    ) -> Result<CommitsResult, C::Error> {
        let bar = self.terminal.bar(0, label);
        let mut step = |line: usize, of: usize| {
            bar.set_length(of as u64);
            bar.set_position(line as u64);
        };
        let written = write_again(completer, self.files, self.names, self.max_lines, &mut step);
        bar.finish_and_clear();
        written
    }
}

impl One {
    fn new(spec: &SourceSpec, replay: &Replay, result: CommitsResult) -> Self {
        let mut commits: Vec<&str> = replay
            .changes
            .iter()
            .map(|one| one.commit.as_str())
            .collect();
        commits.dedup();
        Self {
            source: spec.name.clone(),
            level: String::new(),
            revision: replay.revision.clone(),
            commits: commits.len(),
            imports_left_out: replay.n_imports,
            metadata: None,
            result,
            list: None,
            account: None,
        }
    }
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
        let mut values = vec![
            ("name", one.source.as_str().into()),
            ("level", one.level.as_str().into()),
            ("lines", messages.count(result.lines as u64).into()),
            ("commits", messages.count(one.commits as u64).into()),
            ("saved", messages.percent(result.keystrokes_saved).into()),
            ("whole", messages.percent(result.whole_line_exact).into()),
            ("precision", share(result.precision_at_30).into()),
            ("invented", share(result.invented).into()),
            ("failed", messages.count(result.failed as u64).into()),
            ("asked", messages.count(result.asked as u64).into()),
        ];
        let line = match &one.list {
            Some(list) => {
                values.push(("list", messages.percent(list.list_saved).into()));
                messages.with("eval-commits", &values)
            }
            None => messages.with("eval-commits-peer", &values),
        };
        format!("{line}\n")
    };
    report.results.iter().map(line).collect()
}
