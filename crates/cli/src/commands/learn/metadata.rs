//! What the sources' configurations say, brought up to date in the project's folder before any code is learned.
//!
//! A file is read when nothing vouches that it is the one that was read before: neither its blob or time nor a new dump of Designer. What
//! was forgotten is not in the index and so is read again. Problems are named once, and again when they have changed.

use super::Given;
use crate::explain;
use crate::failure::Outcome;
use crate::learning::Skipped;
use crate::messages::Messages;
use crate::terminal::Terminal;
use nestor_assist::{AssistError, MetadataFile, MetadataIndex};
use nestor_corpus::source::{Dumped, MetadataFile as Listed, Stamp};
use nestor_memory::{METADATA_STATE_FILE, ProjectWriter};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

/// New problems that the report names; a configuration that cannot be read has one a file.
const MAX_NAMED: usize = 20;

/// What the metadata holds after a call.
#[derive(Serialize)]
pub(super) struct MetadataLearned {
    files: usize,
    /// Files that were read, and of these those that said something new.
    read: usize,
    changed: usize,
    /// Files that the sources no longer have.
    removed: usize,
    objects: usize,
    forms: usize,
    methods: usize,
    n_problems: usize,
    /// Those that no earlier call has printed so.
    n_new_problems: usize,
    /// All of them, the new ones first.
    problems: Vec<Skipped>,
    seconds: f64,
}

impl MetadataLearned {
    /// The line of the report.
    pub(super) fn sentence(&self, messages: &Messages) -> String {
        let values = [
            ("objects", messages.count(self.objects as u64).into()),
            ("forms", messages.count(self.forms as u64).into()),
            ("files", messages.count(self.files as u64).into()),
            ("read", messages.count(self.read as u64).into()),
            ("time", messages.duration(self.seconds).into()),
            ("problems", messages.count(self.n_problems as u64).into()),
            ("new", messages.count(self.n_new_problems as u64).into()),
        ];
        messages.with("learn-metadata", &values)
    }

    /// A line for each new problem, up to some, and one for the others.
    pub(super) fn new_problems(&self, messages: &Messages) -> Vec<String> {
        let new = &self.problems[..self.n_new_problems];
        let named = new.iter().take(MAX_NAMED);
        let named = named.map(|problem| format!("{}: {}", problem.path, problem.reason));
        let mut lines: Vec<String> = named.collect();
        if new.len() > MAX_NAMED {
            let more = messages.count((new.len() - MAX_NAMED) as u64);
            lines.push(messages.with("learn-metadata-more", &[("count", more.into())]));
        }
        lines
    }
}

/// In what state files were read; a hint.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    nestor: String,
    sources: BTreeMap<String, SourceRead>,
    /// Problems that were printed, by path.
    told: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceRead {
    location: String,
    read_ns: i64,
    files: BTreeMap<String, FileRead>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRead {
    stamp: Stamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dumped: Option<Dumped>,
}

impl SourceRead {
    /// Whether nothing that was read is gone. An object that was renamed changes the files of others without changing their versions in
    /// the dump.
    fn is_all_there(&self, listed: &[Listed<'_>]) -> bool {
        let paths: HashSet<&str> = listed.iter().map(|file| file.path).collect();
        self.files.keys().all(|path| paths.contains(path.as_str()))
    }

    /// Whether a file is the one that was read.
    fn vouches_for(&self, file: &Listed<'_>, by_dump: bool) -> bool {
        self.files.get(file.path).is_some_and(|read| {
            let dumps = read.dumped.zip(file.dumped).filter(|_| by_dump);
            read.stamp.vouches_for(&file.stamp, self.read_ns)
                || dumps.is_some_and(|(before, now)| before.vouches_for(&now))
                    && read.stamp.has_size_of(&file.stamp)
        })
    }
}

const NESTOR: &str = env!("CARGO_PKG_VERSION");

/// Brings the metadata of the sources up to date.
pub(super) fn learn(
    given: &[Given],
    writer: &mut ProjectWriter,
    full: bool,
    read_ns: i64,
    terminal: &Terminal,
) -> Outcome<MetadataLearned> {
    let messages = &terminal.messages;
    let told = |error: AssistError| explain::assist(messages, &error);
    let started = Instant::now();
    let mut index = match MetadataIndex::open(writer) {
        Ok(index) => index.unwrap_or_default(),
        Err(error @ AssistError::Metadata { .. }) => {
            let values = [("reason", error.to_string().into())];
            terminal.note(&messages.with("learn-metadata-anew", &values));
            MetadataIndex::new()
        }
        Err(error) => return Err(told(error)),
    };
    let kept = std::fs::read(writer.dir().join(METADATA_STATE_FILE)).unwrap_or_default();
    let mut state: State = serde_json::from_slice(&kept).unwrap_or_default();
    if state.nestor != NESTOR {
        // Another Nestor may read files in another way.
        state.sources.clear();
        state.nestor = NESTOR.to_owned();
    }
    let mut problems = Vec::new();
    let (mut n_read, mut n_changed, mut n_removed) = (0, 0, 0);
    for one in given {
        let root = one.root.as_ref().expect("resolved before");
        let listed = one.source.metadata_files();
        let before = state.sources.remove(&root.name).unwrap_or_default();
        let is_same_place = before.location == root.location && !full;
        let path_of = |path: &str| format!("{}/{path}", root.name);
        let by_dump = before.is_all_there(&listed);
        let is_read = |file: &Listed<'_>| {
            is_same_place && before.vouches_for(file, by_dump) && index.holds(&path_of(file.path))
        };
        let wanted: Vec<usize> = (0..listed.len())
            .filter(|&file| !is_read(&listed[file]))
            .collect();
        let bar = terminal.bar(wanted.len() as u64, &messages.text("metadata-bar"));
        let skipped = one.source.read_metadata(&wanted, &mut |batch| {
            let files: Vec<MetadataFile> = batch
                .into_iter()
                .map(|read| MetadataFile {
                    path: path_of(listed[read.file].path),
                    bytes: read.bytes,
                })
                .collect();
            n_read += files.len();
            n_changed += index.read(&files);
            bar.inc(files.len() as u64);
        });
        bar.finish_and_clear();
        let skipped = skipped.map_err(|error| explain::corpus(messages, &error))?;
        let unread: HashSet<&str> = skipped.iter().map(|file| file.path.as_str()).collect();
        let paths: HashSet<String> = listed.iter().map(|file| path_of(file.path)).collect();
        let of_root = format!("{}/", root.name);
        n_removed += index.retain(|path| !path.starts_with(&of_root) || paths.contains(path));
        let files = listed.iter().filter(|file| !unread.contains(file.path));
        let read = |file: &Listed<'_>| FileRead {
            stamp: file.stamp.clone(),
            dumped: file.dumped,
        };
        let files = files.map(|file| (file.path.to_owned(), read(file)));
        let read = SourceRead {
            location: root.location.clone(),
            read_ns,
            files: files.collect(),
        };
        state.sources.insert(root.name.clone(), read);
        problems.extend(skipped.into_iter().map(|file| Skipped {
            path: path_of(&file.path),
            reason: file.reason,
        }));
    }
    let (metadata, found) = index.link();
    problems.extend(found.into_iter().map(|problem| Skipped {
        reason: problem.kind.to_string(),
        path: problem.path,
    }));
    let n_problems = problems.len();
    let is_told = |problem: &Skipped| {
        let told = state.told.get(&problem.path);
        told.is_some_and(|reasons| reasons.contains(&problem.reason))
    };
    problems.sort_by_cached_key(is_told);
    let n_new_problems = problems.partition_point(|problem| !is_told(problem));
    // A document may be read by a program alone, as that of a job.
    if !terminal.is_json() {
        state.told.clear();
        for problem in &problems {
            let reasons = state.told.entry(problem.path.clone()).or_default();
            reasons.insert(problem.reason.clone());
        }
    }
    let state = serde_json::to_vec(&state).expect("a state is plain data");
    index.save(writer, &state).map_err(told)?;
    Ok(MetadataLearned {
        files: index.n_files(),
        read: n_read,
        changed: n_changed,
        removed: n_removed,
        objects: metadata.objects().len(),
        forms: metadata.forms().len(),
        methods: metadata
            .modules()
            .iter()
            .map(|module| metadata.methods(module).len())
            .sum(),
        n_problems,
        n_new_problems,
        problems,
        seconds: started.elapsed().as_secs_f64(),
    })
}
