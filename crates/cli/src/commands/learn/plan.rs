//! What of a source `learn` reads, and in which order: only what has changed, own code before a vendor's, the newest first.
//!
//! The order is that of the project's log: levels 2 and 3 are taught by it too, the newest last (docs/project-memory.md).

use nestor_corpus::Source;
use nestor_corpus::source::{
    FileState, Learned, Module, Origin, OriginReason, Outcome, SourceState,
};
use nestor_memory::Role;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// The classes of code in the order in which they are learned.
pub const CLASSES: [Origin; 3] = [Origin::Own, Origin::Unknown, Origin::Vendor];

/// What is known of a source before it is read.
pub struct Asked<'a> {
    /// The source.
    pub source: &'a dyn Source,
    /// As it was last read, unless all of it is to be read.
    pub state: Option<SourceState>,
    /// What the user says that the source is.
    pub role: Option<Role>,
    /// The rank of the files of a root: the lower, the sooner.
    pub rank: &'a dyn Fn(Option<usize>) -> u8,
    /// What counts under a path of the source.
    pub learned: &'a dyn Fn(&str) -> Learned<'a>,
    /// The paths whose last change learned a text.
    pub counting: Vec<String>,
    /// Whether what counts under a path was learned as a vendor's code.
    pub is_vendor: &'a dyn Fn(&str) -> Option<bool>,
}

/// What to read of a source.
pub struct Plan {
    paths: Vec<String>,
    bytes: Vec<u64>,
    /// What the files will be told by, once they are read.
    files: Vec<FileState>,
    /// Whether the file's outcome is known: it was read now, or need not be.
    is_known: Vec<bool>,
    /// Whether what counts under its path may be an editor's save.
    is_saved: Vec<bool>,
    /// Paths of saves that the source has never listed.
    unlisted: Vec<String>,
    role: Option<Role>,
    /// Modules to read by class, each in the order of reading.
    passes: [Vec<usize>; CLASSES.len()],
    /// Bytes of the files that are read.
    pub bytes_read: u64,
    /// Bytes of the files that are not.
    pub bytes_unchanged: u64,
    /// Modules with text that are not read.
    pub unchanged: usize,
    origin_stamp: String,
}

impl Plan {
    /// Compares a source with its last state; reads no module.
    pub fn new(asked: Asked<'_>) -> Self {
        let source = asked.source;
        let modules = source.modules();
        let origin_stamp = source.origin_stamp();
        let unlisted = asked.state.as_ref().map(|state| {
            let listed: HashSet<&str> = modules.iter().map(|module| module.path).collect();
            let mut counting = asked.counting;
            counting
                .retain(|path| !listed.contains(path.as_str()) && !state.files.contains_key(path));
            counting
        });
        // What lies in a folder no longer is gone; what is not in a repository may be committed yet.
        let unlisted = unlisted.filter(|_| source.revision().is_some());
        let state = asked.state.unwrap_or_default();
        let learned: Vec<Learned<'_>> = modules
            .iter()
            .map(|module| (asked.learned)(module.path))
            .collect();
        let unchanged: Vec<Option<&FileState>> = modules
            .iter()
            .zip(&learned)
            .map(|(module, learned)| state.unchanged(module, *learned))
            .collect();
        let keeps_origins = state.origin_stamp == origin_stamp;
        let new_origins: Vec<usize> = (0..modules.len())
            .filter(|&idx| !(keeps_origins && unchanged[idx].is_some()))
            .collect();
        let mut found = source.origins(&new_origins).into_iter();
        let mut next_new = new_origins.iter().peekable();
        let files: Vec<FileState> = modules
            .iter()
            .enumerate()
            .map(|(idx, module)| {
                let reason = if next_new.next_if(|new| **new == idx).is_some() {
                    found.next().expect("one for each that was asked")
                } else {
                    unchanged[idx].expect("asked otherwise").reason
                };
                file_state(module, unchanged[idx], reason)
            })
            .collect();
        let mut plan = Self {
            paths: modules
                .iter()
                .map(|module| module.path.to_owned())
                .collect(),
            bytes: modules.iter().map(|module| module.bytes).collect(),
            files,
            is_known: unchanged.iter().map(Option::is_some).collect(),
            is_saved: learned
                .iter()
                .map(|learned| matches!(learned, Learned::Saved(_)))
                .collect(),
            unlisted: unlisted.unwrap_or_default(),
            role: asked.role,
            passes: Default::default(),
            bytes_read: 0,
            bytes_unchanged: 0,
            unchanged: 0,
            origin_stamp,
        };
        for (idx, learned) in learned.iter().enumerate() {
            let text = match (&plan.files[idx].outcome, learned) {
                (Outcome::Text(text), Learned::Text(counts) | Learned::Saved(counts)) => {
                    (text == counts).then_some(text)
                }
                _ => None,
            };
            // Whose code it is has turned out to be another's, by the user's word or by a list of support.
            let is_vendor = plan.reason(idx).origin() == Origin::Vendor;
            if text.is_some() && (asked.is_vendor)(&plan.paths[idx]) == Some(!is_vendor) {
                plan.is_known[idx] = false;
            }
        }
        let to_read: Vec<usize> = (0..modules.len())
            .filter(|&idx| !plan.is_known[idx])
            .collect();
        plan.bytes_read = to_read.iter().map(|&idx| plan.bytes[idx]).sum();
        plan.bytes_unchanged = plan.bytes.iter().sum::<u64>() - plan.bytes_read;
        plan.unchanged = (0..modules.len())
            .filter(|&idx| plan.is_known[idx] && is_text(&plan.files[idx]))
            .count();
        plan.order(&to_read, &modules, source, asked.rank);
        plan
    }

    /// Cuts what is read into passes and sorts each.
    fn order(
        &mut self,
        to_read: &[usize],
        modules: &[Module<'_>],
        source: &dyn Source,
        rank: &dyn Fn(Option<usize>) -> u8,
    ) {
        // One file needs no order.
        let times = match to_read {
            [_, _, ..] => source.changed_at(to_read),
            _ => vec![None; to_read.len()],
        };
        let mut sorted: Vec<(u8, Reverse<Option<i64>>, usize)> = to_read
            .iter()
            .zip(times)
            .map(|(&idx, time)| (rank(modules[idx].root), Reverse(time), idx))
            .collect();
        sorted.sort_unstable();
        for (.., idx) in sorted {
            let origin = self.reason(idx).origin();
            let class = CLASSES.iter().position(|class| *class == origin);
            self.passes[class.expect("all classes are listed")].push(idx);
        }
    }

    /// What tells whose code a module is; the user's word is above all that is found.
    fn reason(&self, module: usize) -> OriginReason {
        match self.role {
            Some(Role::Extension | Role::External) => OriginReason::ToldOwn,
            Some(Role::Library) => OriginReason::ToldVendor,
            Some(Role::Base) | None => self.files[module].reason,
        }
    }

    /// The passes that have files, by the position of their class. A source of which nothing is read has an empty first
    /// pass, in which files that it no longer has are noticed.
    pub fn classes(&self) -> Vec<usize> {
        let with_files: Vec<usize> = (0..CLASSES.len())
            .filter(|&class| !self.passes[class].is_empty())
            .collect();
        if with_files.is_empty() {
            vec![0]
        } else {
            with_files
        }
    }

    /// The modules of a pass, in the order of reading.
    pub fn pass(&self, class: usize) -> &[usize] {
        &self.passes[class]
    }

    /// The paths of all modules that another pass reads, or none, and of saves that are none of the source's modules.
    pub fn beside(&self, class: usize) -> impl Iterator<Item = &str> {
        let inside: HashSet<usize> = self.passes[class].iter().copied().collect();
        let paths = self.paths.iter().enumerate();
        paths
            .filter(move |(idx, _)| !inside.contains(idx))
            // What was read before in this call and had no text has been let go of by then; a save into an empty file stays.
            .filter(|(idx, _)| {
                !self.is_known[*idx]
                    || self.is_saved[*idx]
                    || self.files[*idx].outcome != Outcome::Empty
            })
            .map(|(_, path)| path.as_str())
            .chain(self.unlisted.iter().map(String::as_str))
    }

    /// Takes down what a pass gave: the hash of each text that counts now, and the files that could not be read. A text that
    /// was not learned is read again next time.
    pub fn read(
        &mut self,
        class: usize,
        visited: &HashSet<String>,
        left_out: &BTreeMap<&str, &str>,
        unlearned: &HashSet<&str>,
        learned: &dyn Fn(&str) -> Option<String>,
    ) {
        for &idx in &self.passes[class] {
            let path = self.paths[idx].as_str();
            let outcome = if let Some(reason) = left_out.get(path) {
                Some(Outcome::LeftOut((*reason).to_owned()))
            } else if unlearned.contains(path) {
                None
            } else if visited.contains(path) {
                learned(path).map(Outcome::Text)
            } else {
                Some(Outcome::Empty)
            };
            if let Some(outcome) = outcome {
                self.files[idx].outcome = outcome;
                self.is_known[idx] = true;
            }
        }
    }

    /// The files that cannot be read, with the reason.
    pub fn left_out(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().zip(&self.paths).zip(&self.is_known);
        files.filter_map(|((file, path), is_known)| match &file.outcome {
            Outcome::LeftOut(reason) if *is_known => Some((path.as_str(), reason.as_str())),
            _ => None,
        })
    }

    /// Whose code the modules with text are.
    pub fn origins(&self) -> Origins {
        let mut origins = Origins::default();
        for (idx, file) in self.files.iter().enumerate() {
            if self.is_known[idx] && is_text(file) {
                origins.add(self.reason(idx), self.bytes[idx]);
            }
        }
        origins
    }

    /// The state to compare with next time.
    pub fn into_state(self, location: String, read_ns: i64) -> SourceState {
        let files = self.paths.into_iter().zip(self.files).zip(self.is_known);
        SourceState {
            location,
            read_ns,
            origin_stamp: self.origin_stamp,
            files: files
                .filter_map(|(file, is_known)| is_known.then_some(file))
                .collect(),
        }
    }
}

fn file_state(module: &Module<'_>, before: Option<&FileState>, reason: OriginReason) -> FileState {
    FileState {
        stamp: module.stamp.clone(),
        dumped: module.dumped,
        // Until it is read.
        outcome: before.map_or(Outcome::Empty, |file| file.outcome.clone()),
        reason,
    }
}

fn is_text(file: &FileState) -> bool {
    matches!(file.outcome, Outcome::Text(_))
}

/// Whose code a source is, in files and bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Origins {
    /// Own code.
    pub own: Share,
    /// Code that may be either.
    pub unknown: Share,
    /// A vendor's code.
    pub vendor: Share,
    /// By what told it.
    pub reasons: BTreeMap<OriginReason, Share>,
}

/// A part of a source.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Share {
    /// Modules with text.
    pub files: usize,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Share {
    fn add(&mut self, files: usize, bytes: u64) {
        self.files += files;
        self.bytes += bytes;
    }
}

impl Origins {
    fn add(&mut self, reason: OriginReason, bytes: u64) {
        self.share(reason.origin()).add(1, bytes);
        self.reasons.entry(reason).or_default().add(1, bytes);
    }

    /// Adds those of another source.
    pub fn add_all(&mut self, other: &Self) {
        for (reason, share) in &other.reasons {
            self.share(reason.origin()).add(share.files, share.bytes);
            let of_reason = self.reasons.entry(*reason).or_default();
            of_reason.add(share.files, share.bytes);
        }
    }

    fn share(&mut self, origin: Origin) -> &mut Share {
        match origin {
            Origin::Own => &mut self.own,
            Origin::Unknown => &mut self.unknown,
            Origin::Vendor => &mut self.vendor,
        }
    }
}
