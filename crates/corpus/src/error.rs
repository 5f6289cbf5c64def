//! What can go wrong while a corpus is built or read.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Every variant names the file, folder or value that is wrong.
#[derive(Debug, Error)]
pub enum CorpusError {
    /// The system refused to read or write something.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The path does not exist.
    #[error("{0}: no such file or folder")]
    Missing(PathBuf),
    /// A source without a single module.
    #[error("{0}: no .bsl or .os file in it")]
    NoModules(PathBuf),
    /// A source whose every module was left out.
    #[error("{path}: none of its modules can be read; {first}: {reason}")]
    NothingReadable {
        /// The source.
        path: PathBuf,
        /// The first file left out.
        first: String,
        /// Why it was.
        reason: String,
    },
    /// A git repository whose HEAD names no commit yet.
    #[error("{0}: the git repository has no commit where its HEAD points to")]
    NoCommit(PathBuf),
    /// A git repository that cannot be opened or has a broken object.
    #[error("{path}: the git repository is broken: {reason}")]
    Git {
        /// The repository.
        path: PathBuf,
        /// The object and what is wrong with it.
        reason: String,
    },
    /// Nothing to build from.
    #[error("no source is given")]
    NoSources,
    /// Two sources have one name.
    #[error("two sources are named `{0}`; give one of them another name")]
    SameName(String),
    /// A value of the build's configuration is out of its range.
    #[error("{field} = {value}: {expected}")]
    Config {
        /// The field's name.
        field: &'static str,
        /// The value it has.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A line of a list of repositories is wrong.
    #[error("{path}, line {line}: {reason}")]
    List {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The output folder holds something that is no corpus.
    #[error("{0}: the folder holds something else than a corpus; name another one, or empty it")]
    Occupied(PathBuf),
    /// Another build writes to the same folder.
    #[error("{0}: another build writes to this folder right now")]
    Busy(PathBuf),
    /// The trainer of the tokenizer failed.
    #[error("the tokenizer could not be trained: {0}")]
    Training(String),
    /// A tokenizer that cannot be used.
    #[error("{path}: {source}")]
    Tokenizer {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        source: nestor_bsl::pieces::TokenizerError,
    },
    /// A file of the corpus is not what the manifest says, or cannot be decoded.
    #[error("{path}: corrupt: {reason}; build the corpus again")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A corpus of another version of Nestor.
    #[error("{path}: format version {found} is not known (this version reads {expected})")]
    Version {
        /// The manifest.
        path: PathBuf,
        /// The version it names.
        found: u32,
        /// The version that is read.
        expected: u32,
    },
    /// A file index beyond the corpus.
    #[error("file {index} is outside the corpus, which has {files} files")]
    NoSuchFile {
        /// The index asked for.
        index: usize,
        /// How many files there are.
        files: usize,
    },
    /// Fewer distinct methods than were asked for.
    #[error(
        "{asked} samples are asked for, but the corpus has {available} distinct methods to draw from"
    )]
    TooFewMethods {
        /// Methods asked for.
        asked: usize,
        /// Methods there are.
        available: usize,
    },
}

impl CorpusError {
    /// Turns a system error about `path` into ours.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> CorpusError {
        let path = path.as_ref().to_owned();
        move |source| CorpusError::Io { path, source }
    }

    pub(crate) fn corrupt(path: impl AsRef<Path>, reason: impl ToString) -> CorpusError {
        CorpusError::Corrupt {
            path: path.as_ref().to_owned(),
            reason: reason.to_string(),
        }
    }
}
