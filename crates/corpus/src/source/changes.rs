//! What of a source has changed since it was last read, told without reading it.
//!
//! `learn` keeps a [`SourceState`] for each source of a project and reads only what the state does not vouch for. A state is a
//! hint: one that is missing, damaged or of another version of Nestor costs a whole reading and nothing else. A file is
//! vouched for when it is the same blob of git, or has the size and the time of change that it had and was not changed around
//! the time of the last reading, or when Designer has dumped its object again in the same version and the same size. What was
//! learned of it must still count, which the caller knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Module, OriginReason};

/// The format of the states, and whose they are: another Nestor may read more files than this one.
const VERSION: u32 = 1;
const NESTOR: &str = env!("CARGO_PKG_VERSION");

/// A clock of a file system may be this coarse: what was changed so shortly before it was read may have been changed again
/// without a new time.
const COARSE_CLOCK_NS: i64 = 2_000_000_000;

/// What tells the version of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stamp {
    /// The id of its content in git.
    Blob(String),
    /// What the file system says of a file.
    Disk {
        /// Its bytes.
        size: u64,
        /// When it was changed, in nanoseconds since 1970; `None` where the file system does not say.
        modified_ns: Option<i64>,
    },
}

impl Stamp {
    /// Whether a file that is listed as `now` is the one that was read as `self`, when its source was read at `read_ns`.
    #[must_use]
    pub fn vouches_for(&self, now: &Stamp, read_ns: i64) -> bool {
        let is_old = match self {
            Stamp::Blob(_) => true,
            Stamp::Disk { modified_ns, .. } => {
                modified_ns.is_some_and(|at| at.saturating_add(COARSE_CLOCK_NS) < read_ns)
            }
        };
        is_old && self == now
    }

    /// Whether both are files on disk of one size.
    #[must_use]
    pub fn has_size_of(&self, other: &Stamp) -> bool {
        match (self, other) {
            (Stamp::Disk { size, .. }, Stamp::Disk { size: other, .. }) => size == other,
            _ => false,
        }
    }
}

/// What Designer's dump says of a file's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dumped {
    /// The version of the object.
    pub version: u64,
    /// When the dump was made, in nanoseconds since 1970.
    pub dumped_ns: i64,
}

impl Dumped {
    /// Whether the file that was dumped so is the same in the dump of `now`, given that it has the size it had. Only a new dump says
    /// something new: without one, another time of change means an edit.
    #[must_use]
    pub fn vouches_for(&self, now: &Dumped) -> bool {
        self.version == now.version && self.dumped_ns != now.dumped_ns
    }
}

/// What reading a file gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A text with this SHA-256, as the project keeps it.
    Text(String),
    /// No text.
    Empty,
    /// Nothing, for this reason.
    LeftOut(String),
}

/// What counts under the path of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned<'a> {
    /// Nothing.
    Nothing,
    /// The text with this hash.
    Text(&'a str),
    /// The text with this hash, learned after all that was read or taken back: where the file has another, it is an editor's save, which
    /// counts until the file itself changes.
    Saved(&'a str),
}

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// Its version.
    pub stamp: Stamp,
    /// That of its object, where it was dumped and not edited since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dumped: Option<Dumped>,
    /// What it gave.
    pub outcome: Outcome,
    /// What told whose code it is.
    pub reason: OriginReason,
}

/// A source as it was last read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Where it lies.
    pub location: String,
    /// When its files were listed, in nanoseconds since 1970.
    pub read_ns: i64,
    /// [`super::Source::origin_stamp`] at that time.
    pub origin_stamp: String,
    /// Its module files by path.
    pub files: BTreeMap<String, FileState>,
}

impl SourceState {
    /// The file that need not be read again, if it is one.
    #[must_use]
    pub fn unchanged(&self, module: &Module<'_>, learned: Learned<'_>) -> Option<&FileState> {
        let file = self.files.get(module.path)?;
        let still_counts = match (&file.outcome, learned) {
            // What the file has taught before it became unreadable stays.
            (Outcome::LeftOut(_), _) | (_, Learned::Saved(_)) => true,
            (Outcome::Text(sha256), learned) => learned == Learned::Text(sha256),
            (Outcome::Empty, learned) => learned == Learned::Nothing,
        };
        (still_counts && self.is_same_version(file, module)).then_some(file)
    }

    fn is_same_version(&self, file: &FileState, module: &Module<'_>) -> bool {
        match (&file.stamp, &module.stamp) {
            (Stamp::Blob(before), Stamp::Blob(now)) => before == now,
            (
                Stamp::Disk { size, modified_ns },
                Stamp::Disk {
                    size: size_now,
                    modified_ns: modified_now,
                },
            ) => {
                let is_old = modified_ns.is_some_and(|modified| {
                    modified.saturating_add(COARSE_CLOCK_NS) < self.read_ns
                });
                let dumps = file.dumped.zip(module.dumped);
                let is_dumped_anew = dumps.is_some_and(|(before, now)| before.vouches_for(&now));
                size == size_now && (modified_ns == modified_now && is_old || is_dumped_anew)
            }
            _ => false,
        }
    }
}

/// The states of a project's sources, by the names of their roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStates {
    version: u32,
    nestor: String,
    /// The states.
    pub sources: BTreeMap<String, SourceState>,
}

impl Default for SourceStates {
    fn default() -> Self {
        Self {
            version: VERSION,
            nestor: NESTOR.to_owned(),
            sources: BTreeMap::new(),
        }
    }
}

impl SourceStates {
    /// Reads what [`SourceStates::to_bytes`] has written; anything else gives no states.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let read: Option<Self> = serde_json::from_slice(bytes).ok();
        let is_ours = |read: &Self| read.version == VERSION && read.nestor == NESTOR;
        read.filter(is_ours).unwrap_or_default()
    }

    /// The states as a document.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("states are plain text and numbers")
    }

    /// Takes out the state of a source that lies at `location`.
    pub fn take(&mut self, root: &str, location: &str) -> Option<SourceState> {
        let state = self.sources.remove(root)?;
        (state.location == location).then_some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn disk(size: u64, modified_s: i64) -> Stamp {
        Stamp::Disk {
            size,
            modified_ns: Some(modified_s * S),
        }
    }

    fn dumped(version: u64, dumped_s: i64) -> Option<Dumped> {
        Some(Dumped {
            version,
            dumped_ns: dumped_s * S,
        })
    }

    fn state(stamp: Stamp, dumped: Option<Dumped>, outcome: Outcome) -> SourceState {
        let file = FileState {
            stamp,
            dumped,
            outcome,
            reason: OriginReason::NotListed,
        };
        SourceState {
            location: "/src".to_owned(),
            read_ns: 100 * S,
            origin_stamp: String::new(),
            files: [("a.bsl".to_owned(), file)].into(),
        }
    }

    fn is_unchanged(state: &SourceState, stamp: Stamp, dumped: Option<Dumped>) -> bool {
        let module = Module {
            path: "a.bsl",
            root: None,
            bytes: 1,
            stamp,
            dumped,
        };
        state.unchanged(&module, Learned::Text("ab")).is_some()
    }

    fn text() -> Outcome {
        Outcome::Text("ab".to_owned())
    }

    #[test]
    fn a_file_is_skipped_only_when_size_and_an_old_time_are_the_same() {
        let old = state(disk(5, 90), None, text());
        assert!(is_unchanged(&old, disk(5, 90), None));
        for changed in [disk(6, 90), disk(5, 91), disk(5, 10), disk(5, 1000)] {
            assert!(!is_unchanged(&old, changed, None));
        }
        // Changed around the time of reading, or by a clock that was ahead: it may have been changed again since.
        for at in [98, 99, 100, 101, 5000] {
            let fresh = state(disk(5, at), None, text());
            assert!(!is_unchanged(&fresh, disk(5, at), None), "{at}");
        }
        let timeless = Stamp::Disk {
            size: 5,
            modified_ns: None,
        };
        assert!(!is_unchanged(
            &state(timeless.clone(), None, text()),
            timeless,
            None
        ));
    }

    #[test]
    fn a_blob_is_its_content() {
        let blob = |id: &str| Stamp::Blob(id.to_owned());
        let old = state(blob("1"), None, text());
        assert!(is_unchanged(&old, blob("1"), None));
        assert!(!is_unchanged(&old, blob("2"), None) && !is_unchanged(&old, disk(5, 90), None));
    }

    #[test]
    fn a_new_dump_vouches_for_the_versions_it_has() {
        let old = state(disk(5, 90), dumped(7, 91), text());
        assert!(is_unchanged(&old, disk(5, 200), dumped(7, 201)));
        assert!(!is_unchanged(&old, disk(5, 200), dumped(8, 201)));
        assert!(!is_unchanged(&old, disk(6, 200), dumped(7, 201)));
        assert!(
            !is_unchanged(&old, disk(5, 200), None),
            "edited behind the dump"
        );
        assert!(
            !is_unchanged(&old, disk(5, 80), dumped(7, 91)),
            "no new dump"
        );
        let edited = state(disk(5, 95), None, text());
        assert!(!is_unchanged(&edited, disk(5, 200), dumped(7, 201)));
    }

    #[test]
    fn what_no_longer_counts_is_read() {
        let module = Module {
            path: "a.bsl",
            root: None,
            bytes: 1,
            stamp: disk(5, 90),
            dumped: None,
        };
        let with = |outcome| state(disk(5, 90), None, outcome);
        for (outcome, learned, skipped) in [
            (text(), Learned::Text("ab"), true),
            (text(), Learned::Text("cd"), false),
            (text(), Learned::Saved("cd"), true),
            (text(), Learned::Nothing, false),
            (Outcome::Empty, Learned::Nothing, true),
            (Outcome::Empty, Learned::Text("ab"), false),
            (Outcome::Empty, Learned::Saved("ab"), true),
            (
                Outcome::LeftOut("binary".to_owned()),
                Learned::Nothing,
                true,
            ),
            (
                Outcome::LeftOut("binary".to_owned()),
                Learned::Text("ab"),
                true,
            ),
        ] {
            let state = with(outcome.clone());
            let found = state.unchanged(&module, learned).is_some();
            assert_eq!(found, skipped, "{outcome:?} {learned:?}");
        }
    }

    #[test]
    fn states_come_back_and_what_is_none_gives_none() {
        let mut states = SourceStates::default();
        let one = state(disk(5, 90), dumped(u64::MAX, 91), text());
        states.sources.insert("cf".to_owned(), one.clone());
        let bytes = states.to_bytes();
        let mut back = SourceStates::from_bytes(&bytes);
        assert_eq!(back, states);
        assert_eq!(back.take("cf", "/src"), Some(one));
        assert_eq!(back.take("cf", "/src"), None);
        assert_eq!(
            SourceStates::from_bytes(&bytes).take("cf", "/elsewhere"),
            None
        );
        let other = String::from_utf8(bytes.clone()).unwrap();
        let other = other.replace("\"version\":1,", "\"version\":2,");
        for wrong in [
            b"" as &[u8],
            b"{}",
            &bytes[..bytes.len() / 2],
            other.as_bytes(),
        ] {
            assert_eq!(SourceStates::from_bytes(wrong), SourceStates::default());
        }
    }
}
