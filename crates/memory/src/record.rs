//! What the log says: one change a record, numbered from 1 without gaps.

use serde::{Deserialize, Serialize};

use crate::segments::Place;

/// One change of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// When it was made, in seconds since 1970.
    pub time: u64,
    /// What it does.
    pub op: Operation,
}

/// What was held back of a file that was learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filtered {
    /// Whether it counts. Levels learn it by its weight.
    pub counts: bool,
    /// Why, as one word of whoever judged it.
    pub reason: String,
}

/// What a record does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Names a root of the project, or says anew where it lies. Rolling back does not take it back.
    Root(Root),
    /// Learns a file; what was learned under the same path before no longer counts.
    Learn {
        /// Name of its root.
        root: String,
        /// Its path: the root's name, then the path inside the root.
        path: String,
        /// SHA-256 of its normalised text.
        sha256: String,
        /// Pieces in it.
        pieces: u32,
        /// How much it weighs in training levels 2 and 3, which do not learn it at 0; counts take every file once.
        weight: f32,
        /// Where its pieces lie; `None` once they are forgotten.
        place: Option<Place>,
        /// Why it does not teach all that it could; `None`, and not written, for a file that does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<Filtered>,
        /// Whether it is a vendor's, which levels 2 and 3 learn apart from own code; not written for own code.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        vendor: bool,
    },
    /// Takes up a text again that was learned under the same path before: its pieces lie where they were put then, and what they
    /// have taught levels 2 and 3 is not taught anew.
    Again {
        /// The path.
        path: String,
        /// Number of the record that learned the text.
        of: u64,
    },
    /// Takes a path, and all under it, out of what counts.
    Forget {
        /// The path.
        path: String,
        /// True if its pieces were erased, so that no rollback brings them back.
        erased: bool,
    },
    /// Makes everything as it was after an earlier record.
    Rollback {
        /// Number of that record; 0 for the empty project.
        to: u64,
    },
    /// Says something for people.
    Note {
        /// What.
        text: String,
    },
    /// All records before it are durable. Takes no number: `seq` is that of the last record.
    Commit,
}

impl Operation {
    /// True if no text in it has control characters: it is shown on terminals, and it may come from a file of someone else's.
    pub(crate) fn is_plain(&self) -> bool {
        let is_plain = |text: &str| !text.chars().any(char::is_control);
        match self {
            Self::Root(root) => is_plain(&root.name) && is_plain(&root.location),
            Self::Learn {
                root,
                path,
                sha256,
                filter,
                ..
            } => {
                let reason = filter.as_ref().map_or("", |filter| &filter.reason);
                is_plain(root) && is_plain(path) && is_plain(reason) && is_sha256(sha256)
            }
            Self::Again { path, .. } | Self::Forget { path, .. } => is_plain(path),
            Self::Note { text } => is_plain(text),
            Self::Rollback { .. } | Self::Commit => true,
        }
    }
}

/// True of 64 hexadecimal digits.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A source of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Its name, the first part of its files' paths.
    pub name: String,
    /// Where it was learned from.
    pub location: String,
    /// What it is to the project; `None` where its own parts differ.
    pub role: Option<Role>,
}

/// What a root is to the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The configuration that everything else stands on.
    Base,
    /// An extension of it.
    Extension,
    /// A package that others use.
    Library,
    /// An external data processor or report.
    External,
}

/// True if `path` is `prefix` or lies under it.
pub(crate) fn lies_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
