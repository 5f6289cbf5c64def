//! Files of a git repository's last commit, read from its objects: no work tree is needed.

use std::path::{Path, PathBuf};

use gix::{ObjectId, Repository, ThreadSafeRepository};

use super::history::History;
use super::{Files, LoadError, Stamp};
use crate::CorpusError;

/// Delta bases kept by each reading thread.
const OBJECT_CACHE_BYTES: usize = 32 << 20;

/// The tree of the commit at HEAD.
pub(super) struct Commit {
    path: PathBuf,
    repository: ThreadSafeRepository,
    commit: ObjectId,
    revision: String,
    files: Vec<GitFile>,
}

struct GitFile {
    path: String,
    id: ObjectId,
    size: u64,
}

/// Whether a git repository's own files lie in this folder.
pub(super) fn is_repository(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir()
}

impl Commit {
    /// Opens the repository whose own files lie in `path` and lists the files of HEAD.
    pub(super) fn open(path: &Path) -> Result<Commit, CorpusError> {
        Self::open_at(path, None)
    }

    /// The same at another commit.
    pub(super) fn open_at(path: &Path, commit: Option<ObjectId>) -> Result<Commit, CorpusError> {
        let broken = |reason: String| CorpusError::Git {
            path: path.to_owned(),
            reason,
        };
        let options = gix::open::Options::isolated()
            .open_path_as_is(true)
            .with(gix::sec::Trust::Full);
        let shared = ThreadSafeRepository::open_opts(path, options)
            .map_err(|error| broken(describe(&error)))?;
        let repository = shared.to_thread_local();
        let head = match commit {
            Some(commit) => commit,
            None => {
                let no_commit = |error: &(dyn std::error::Error + 'static)| {
                    broken(format!("HEAD names no commit: {}", describe(error)))
                };
                let head = repository.head().map_err(|error| no_commit(&error))?;
                if head.is_unborn() {
                    return Err(CorpusError::NoCommit(path.to_owned()));
                }
                let head = repository.head_id().map_err(|error| no_commit(&error))?;
                head.detach()
            }
        };
        let commit = repository
            .find_commit(head)
            .map_err(|error| broken(format!("commit {head}: {}", describe(&error))))?;
        let tree = commit
            .tree_id()
            .map_err(|error| broken(format!("commit {head}: {}", describe(&error))))?
            .detach();
        let mut files = Vec::new();
        list(&repository, tree, "", &mut files).map_err(broken)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Commit {
            path: path.to_owned(),
            repository: shared,
            commit: head,
            revision: head.to_string(),
            files,
        })
    }

    /// The commit.
    pub(super) fn id(&self) -> ObjectId {
        self.commit
    }

    /// The repository, for this thread.
    pub(super) fn repository(&self) -> Repository {
        let mut repository = self.repository.to_thread_local();
        repository.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
        repository
    }
}

impl Files for Commit {
    type Loader = Repository;

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.path.as_str())
    }

    fn path(&self, file: usize) -> &str {
        &self.files[file].path
    }

    fn size(&self, file: usize) -> u64 {
        self.files[file].size
    }

    fn loader(&self) -> Repository {
        let mut repository = self.repository.to_thread_local();
        repository.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
        repository
    }

    fn load(&self, repository: &Repository, file: usize) -> Result<Vec<u8>, LoadError> {
        let GitFile { id, path, .. } = &self.files[file];
        match repository.try_find_object(*id) {
            Ok(Some(mut object)) => Ok(std::mem::take(&mut object.data)),
            // Partial clones leave objects out on purpose.
            Ok(None) => Err(LoadError::Skip(format!(
                "object {id} is absent from the repository"
            ))),
            Err(error) => Err(LoadError::Fatal(CorpusError::Git {
                path: self.path.clone(),
                reason: format!("{path}, object {id}: {}", describe(&error)),
            })),
        }
    }

    fn stamp(&self, file: usize) -> Stamp {
        Stamp::Blob(self.files[file].id.to_string())
    }

    fn history(&self) -> Option<History> {
        Some(History::of_repository(self.repository.clone()))
    }

    fn revision(&self) -> Option<&str> {
        Some(&self.revision)
    }

    fn is_git(&self) -> bool {
        true
    }
}

/// Collects the files of `tree`. Links and submodules are no files of ours.
fn list(
    repository: &Repository,
    tree: ObjectId,
    folder: &str,
    files: &mut Vec<GitFile>,
) -> Result<(), String> {
    let at = |error: &dyn std::fmt::Display| format!("tree {tree} of /{folder}: {error}");
    let tree_object = repository
        .find_tree(tree)
        .map_err(|error| at(&describe(&error)))?;
    for entry in tree_object.iter() {
        let entry = entry.map_err(|error| at(&describe(&error)))?;
        let path = format!("{folder}{}", entry.filename());
        let id = entry.object_id();
        if entry.mode().is_tree() {
            list(repository, id, &format!("{path}/"), files)?;
        } else if entry.mode().is_blob() {
            // Sizes are for progress and limits, so only of what may be read.
            let size = match super::candidate(&path) {
                Some(_) => repository
                    .try_find_header(id)
                    .ok()
                    .flatten()
                    .map_or(0, |header| header.size()),
                None => 0,
            };
            files.push(GitFile { path, id, size });
        }
    }
    Ok(())
}

/// The error with its causes in one line.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}
