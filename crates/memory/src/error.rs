//! What can go wrong between a project and its folder.

use std::io;
use std::path::{Path, PathBuf};

use nestor_cache::CacheError;
use thiserror::Error;

/// Every variant names the project, file or value that is wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The system refused to read or write something.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A name that no project may have.
    #[error("`{name}` is no name of a project: {reason}")]
    Name {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: NameProblem,
    },
    /// No project of this name.
    #[error("there is no project {name} in {dir}")]
    Missing {
        /// The name.
        name: String,
        /// Where projects lie.
        dir: PathBuf,
    },
    /// A project or file that would be overwritten.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// Another process changes the project, and the caller does not wait.
    #[error("another process changes the project {name} right now")]
    Busy {
        /// The project.
        name: String,
    },
    /// A memory of another version of Nestor.
    #[error("{path}: format_version is {found}, this program reads {supported}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version as written.
        found: String,
        /// The version that is read.
        supported: u32,
    },
    /// A file that is not what was written.
    #[error("{path} is corrupt: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A memory whose pieces were cut by another tokenizer: its ids mean something else.
    #[error(
        "the project {name} was learned with the tokenizer {found}, the model has {expected}; its pieces mean something else"
    )]
    Tokenizer {
        /// The project.
        name: String,
        /// SHA-256 of the model's tokenizer.
        expected: String,
        /// SHA-256 of the tokenizer that the memory was made with.
        found: String,
    },
    /// A memory of another vocabulary.
    #[error("the project {name} has a vocabulary of {found} pieces, the model one of {expected}")]
    Vocabulary {
        /// The project.
        name: String,
        /// Pieces of the model.
        expected: u32,
        /// Pieces of the memory.
        found: u32,
    },
    /// A root's name that stands for another place.
    #[error("{name} is learned from {learned}, not from {given}")]
    RootElsewhere {
        /// Name of the root.
        name: String,
        /// Where it was learned from.
        learned: String,
        /// Where it is to be learned from now.
        given: String,
    },
    /// A path that cannot be the name of a learned file.
    #[error("`{path}` cannot be learned: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nothing was ever learned under a path.
    #[error("the project {name} has learned nothing under {path}")]
    NotLearned {
        /// The project.
        name: String,
        /// The path.
        path: String,
    },
    /// A change that the history does not have.
    #[error("the project {name} has no change {seq}; the last is {last}")]
    NoSuchChange {
        /// The project.
        name: String,
        /// The number asked for.
        seq: u64,
        /// The last one.
        last: u64,
    },
    /// Forgotten text whose old file could not be deleted.
    #[error("{path} holds forgotten text and cannot be deleted: {source}")]
    NotErased {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An earlier write failed, so that this writer no longer knows what lies on disk.
    #[error("an earlier write to the project {name} failed; open it again")]
    Failed {
        /// The project.
        name: String,
    },
    /// Counts that cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameProblem {
    /// It has no character.
    #[error("it is empty")]
    Empty,
    /// It has more than 64 characters.
    #[error("it has more than 64 characters")]
    TooLong,
    /// A character that is no letter, digit, dot, dash or underscore.
    #[error("`{0}` is no letter, digit, dot, dash or underscore")]
    Character(char),
    /// A dot at its start or end.
    #[error("it starts or ends with a dot")]
    Dot,
    /// A name that Windows keeps for devices.
    #[error("Windows keeps it for a device")]
    Device,
}

impl MemoryError {
    /// Turns a system error about `path` into ours.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn corrupt(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::Corrupt {
            path: path.as_ref().to_owned(),
            reason: reason.to_string(),
        }
    }

    /// True if a file was not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
