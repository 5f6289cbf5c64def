//! What `nestor learn` says at its end, for programs and for people.

use crate::commands::learn::metadata::MetadataLearned;
use crate::commands::learn::plan::{Origins, Plan};
use crate::commands::learn::teaching::Taught;
use crate::learning::Skipped;
use crate::messages::Messages;
use crate::projects;
use nestor_assist::{ProjectReport, Teaches};
use nestor_memory::{ProjectStore, Role, Root};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What was done of one source or all.
#[derive(Default, Serialize)]
struct Work {
    new: usize,
    changed: usize,
    unchanged: usize,
    removed: usize,
    /// Of the new and changed files, those whose text was learned before.
    again: usize,
    bytes: usize,
    pieces: usize,
    /// Bytes of the files that were read, and of those that had not changed.
    bytes_read: u64,
    bytes_unchanged: u64,
    origins: Origins,
}

/// The document of the command.
#[derive(Serialize)]
pub struct Report {
    project: String,
    path: PathBuf,
    #[serde(flatten)]
    work: Work,
    seconds: f64,
    pieces_per_s: f64,
    /// What the project holds now.
    files: usize,
    total_pieces: u64,
    /// Number of the last change: what `project rollback` takes.
    change: usize,
    /// Levels 2 and 3.
    taught: Taught,
    /// Missing where no source was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<MetadataLearned>,
    roots: Vec<RootReport>,
}

/// One source of it.
#[derive(Serialize)]
pub struct RootReport {
    root: String,
    source: PathBuf,
    role: Option<Role>,
    #[serde(flatten)]
    work: Work,
    skipped: Vec<Skipped>,
    filtered: Vec<HeldBack>,
}

/// A new or changed file that does not teach everything.
#[derive(Serialize)]
struct HeldBack {
    path: String,
    /// `nothing`, or `counts` but no levels.
    teaches: &'static str,
    /// One word, for programs.
    reason: &'static str,
    /// A sentence.
    why: String,
}

impl From<nestor_assist::HeldBack> for HeldBack {
    fn from(file: nestor_assist::HeldBack) -> Self {
        Self {
            path: file.path,
            teaches: match file.teaches {
                Teaches::Nothing => "nothing",
                Teaches::Counts => "counts",
                Teaches::All => "all",
            },
            reason: file.reason.key(),
            why: file.reason.to_string(),
        }
    }
}

impl Work {
    /// Adds what was done of another source.
    fn add(&mut self, other: &Self) {
        self.new += other.new;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.removed += other.removed;
        self.again += other.again;
        self.bytes += other.bytes;
        self.pieces += other.pieces;
        self.bytes_read += other.bytes_read;
        self.bytes_unchanged += other.bytes_unchanged;
        self.origins.add_all(&other.origins);
    }
}

impl RootReport {
    /// What was done of a source's plan.
    pub fn new(root: &Root, source: &Path, report: ProjectReport, plan: &Plan) -> Self {
        let unread = plan
            .left_out()
            .map(|(path, reason)| (path.to_owned(), reason.to_owned()));
        let skipped = unread
            .chain(report.skipped)
            .map(|(path, reason)| Skipped { path, reason })
            .collect();
        Self {
            root: root.name.clone(),
            source: source.to_owned(),
            role: root.role,
            work: Work {
                new: report.new,
                changed: report.changed,
                unchanged: report.unchanged + plan.unchanged,
                removed: report.removed,
                again: report.again,
                bytes: report.bytes,
                pieces: report.pieces,
                bytes_read: plan.bytes_read,
                bytes_unchanged: plan.bytes_unchanged,
                origins: plan.origins(),
            },
            skipped,
            filtered: report.filtered.into_iter().map(HeldBack::from).collect(),
        }
    }
}

impl Report {
    /// What was done in `seconds` without teaching, and what the project holds then.
    pub fn new(
        roots: Vec<RootReport>,
        seconds: f64,
        (taught, metadata): (Taught, Option<MetadataLearned>),
        store: &ProjectStore,
    ) -> Self {
        let mut work = Work::default();
        for root in &roots {
            work.add(&root.work);
        }
        Self {
            project: store.name().to_string(),
            path: store.dir().to_owned(),
            seconds,
            pieces_per_s: work.pieces as f64 / seconds.max(1e-9),
            work,
            files: store.n_files(),
            total_pieces: store.n_pieces(),
            change: store.history().len(),
            taught,
            metadata,
            roots,
        }
    }

    /// The same for people.
    pub fn text(&self, messages: &Messages) -> String {
        let mut text = String::new();
        if self.roots.is_empty() {
            push_taught(&mut text, &self.taught, messages);
            return text;
        }
        for root in &self.roots {
            let values = [
                ("root", root.root.as_str().into()),
                ("new", root.work.new.into()),
                ("changed", root.work.changed.into()),
                ("unchanged", root.work.unchanged.into()),
                ("removed", root.work.removed.into()),
                ("skipped", root.skipped.len().into()),
            ];
            text.push_str(&format!("{}\n", messages.with("learn-root", &values)));
            if !root.filtered.is_empty() {
                let nothing = root.filtered.iter().filter(|f| f.teaches == "nothing");
                let nothing = nothing.count();
                let values = [
                    ("counts", (root.filtered.len() - nothing).into()),
                    ("nothing", nothing.into()),
                ];
                text.push_str(&format!("{}\n", messages.with("learn-filtered", &values)));
            }
        }
        let origins = &self.work.origins;
        let shares = [&origins.own, &origins.unknown, &origins.vendor];
        let [own, unknown, vendor] = shares.map(|share| messages.count(share.files as u64));
        let [own_size, unknown_size, vendor_size] = shares.map(|share| messages.bytes(share.bytes));
        let values = [
            ("own", own.into()),
            ("ownsize", own_size.into()),
            ("unknown", unknown.into()),
            ("unknownsize", unknown_size.into()),
            ("vendor", vendor.into()),
            ("vendorsize", vendor_size.into()),
        ];
        text.push_str(&format!("{}\n", messages.with("learn-origins", &values)));
        let values = [
            ("read", messages.bytes(self.work.bytes_read).into()),
            (
                "unchanged",
                messages.bytes(self.work.bytes_unchanged).into(),
            ),
        ];
        text.push_str(&format!("{}\n", messages.with("learn-read", &values)));
        if let Some(metadata) = &self.metadata {
            text.push_str(&format!("{}\n", metadata.sentence(messages)));
            for line in metadata.new_problems(messages) {
                text.push_str(&format!("  {line}\n"));
            }
        }
        let values = [
            ("size", messages.bytes(self.work.bytes as u64).into()),
            ("pieces", messages.count(self.work.pieces as u64).into()),
            ("time", messages.duration(self.seconds).into()),
            ("rate", messages.count(self.pieces_per_s as u64).into()),
        ];
        text.push_str(&format!("{}\n", messages.with("learn-work", &values)));
        let values = [
            ("name", self.project.as_str().into()),
            ("files", messages.count(self.files as u64).into()),
            ("pieces", messages.count(self.total_pieces).into()),
            ("change", self.change.into()),
        ];
        text.push_str(&format!("{}\n", messages.with("learn-project", &values)));
        push_taught(&mut text, &self.taught, messages);
        text
    }
}

fn push_taught(text: &mut String, taught: &Taught, messages: &Messages) {
    let values = [
        ("pieces", messages.count(taught.pieces).into()),
        ("time", messages.duration(taught.seconds).into()),
        ("rate", messages.count(taught.pieces_per_s as u64).into()),
        ("left", messages.count(taught.pieces_left).into()),
    ];
    let key = if taught.pieces_left > 0 {
        "learn-taught-partly"
    } else {
        "learn-taught"
    };
    text.push_str(&format!("{}\n", messages.with(key, &values)));
    if taught.stretches_refused > 0 {
        let values = [
            ("refused", taught.stretches_refused.into()),
            ("files", taught.quarantined.len().into()),
        ];
        text.push_str(&format!("{}\n", messages.with("learn-refused", &values)));
        for one in &taught.quarantined {
            text.push_str(&format!("  {}\n", projects::quarantined(one, messages)));
        }
    }
}
