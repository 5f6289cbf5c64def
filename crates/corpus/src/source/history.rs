//! When files were last changed, by the commits of a git repository, and whether people changed them.
//!
//! A vendor's update and a first import change very many modules in one commit; people change few. So a commit of few modules
//! is taken as work by hand, and only such commits say that a file was edited here.

use std::collections::HashMap;
use std::path::Path;

use gix::revision::walk::Sorting;
use gix::{ObjectId, Repository, ThreadSafeRepository};

/// A commit that changes more modules than this is an update or an import.
pub(super) const BY_HAND_MODULES: usize = 100;
/// Older commits are not looked at.
const MAX_COMMITS: usize = 5_000;
/// Trees kept while commits are compared.
const OBJECT_CACHE_BYTES: usize = 32 << 20;

/// A folder in a repository's commits.
pub(super) struct History {
    repository: ThreadSafeRepository,
    /// Where the folder lies in the repository, without a slash at the end; empty for all of it.
    folder: String,
}

/// What the commits say of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LastChange {
    /// When the last commit that changed it was made, in seconds since 1970.
    pub(super) time_s: Option<i64>,
    /// Whether a commit of few modules has changed it.
    pub(super) by_hand: bool,
}

impl History {
    /// The history of a whole repository.
    pub(super) fn of_repository(repository: ThreadSafeRepository) -> Self {
        Self {
            repository,
            folder: String::new(),
        }
    }

    /// The history of a folder of files, if it lies in a work tree.
    pub(super) fn of_folder(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let top = folder.ancestors().find(|top| top.join(".git").exists())?;
        let options = gix::open::Options::isolated().with(gix::sec::Trust::Full);
        let repository = ThreadSafeRepository::open_opts(top, options).ok()?;
        let parts = folder.strip_prefix(top).ok()?.iter();
        let parts: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
        Some(Self {
            repository,
            folder: parts.join("/"),
        })
    }

    /// The last changes of the files `wanted`, by their paths in the folder; the value says whether it matters that people
    /// changed the file. What cannot be read of the repository says nothing, for this is a hint.
    pub(super) fn last_changes(&self, wanted: &HashMap<&str, bool>) -> HashMap<String, LastChange> {
        let mut found: HashMap<String, LastChange> = HashMap::new();
        let mut repository = self.repository.to_thread_local();
        repository.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
        let Ok(head) = repository.head_id() else {
            return found;
        };
        let walk = repository
            .rev_walk([head])
            .sorting(Sorting::ByCommitTime(Default::default()))
            .all();
        // Answers that are still looked for.
        let mut left = wanted.len() + wanted.values().filter(|matters| **matters).count();
        for commit in walk.into_iter().flatten().take(MAX_COMMITS) {
            let Ok(commit) = commit else { break };
            let parents = &commit.parent_ids;
            if left == 0 {
                break;
            }
            // What a merge brings was changed in the commits that it merges.
            if parents.len() > 1 {
                continue;
            }
            let Some(new) = self.tree(&repository, commit.id) else {
                break;
            };
            // A parent that a shallow clone lacks makes its child the first commit.
            let old = parents
                .first()
                .and_then(|parent| self.tree(&repository, *parent));
            let is_first = old.is_none();
            let mut changed = Vec::new();
            if differing(&repository, old.flatten(), new, "", &mut changed).is_none() {
                break;
            }
            let n_modules = changed.iter().filter(|path| super::is_module(path)).count();
            let by_hand = !is_first && n_modules <= BY_HAND_MODULES;
            for path in changed {
                let Some(&matters) = wanted.get(path.as_str()) else {
                    continue;
                };
                let entry = found.entry(path).or_default();
                if entry.time_s.is_none() {
                    entry.time_s = Some(commit.commit_time());
                    left -= 1;
                }
                if by_hand && !entry.by_hand {
                    entry.by_hand = true;
                    left -= usize::from(matters);
                }
            }
        }
        found
    }

    /// The tree of the folder in a commit, `None` inside when the commit has no such folder; `None` if it cannot be read.
    fn tree(&self, repository: &Repository, commit: ObjectId) -> Option<Option<ObjectId>> {
        let commit = repository.try_find_object(commit).ok()??;
        let mut tree = commit.try_into_commit().ok()?.tree_id().ok()?.detach();
        for part in self.folder.split('/').filter(|part| !part.is_empty()) {
            let entries = repository.find_tree(tree).ok()?;
            let entry = entries
                .iter()
                .flatten()
                .find(|entry| entry.filename() == part);
            match entry.filter(|entry| entry.mode().is_tree()) {
                Some(entry) => tree = entry.object_id(),
                None => return Some(None),
            }
        }
        Some(Some(tree))
    }
}

/// Collects the files that `new` has and `old` has not, or has with another content; `None` if a tree cannot be read.
pub(super) fn differing(
    repository: &Repository,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
    folder: &str,
    changed: &mut Vec<String>,
) -> Option<()> {
    let Some(new) = new.filter(|new| Some(*new) != old) else {
        return Some(());
    };
    let old_tree = match old {
        Some(old) => Some(repository.find_tree(old).ok()?),
        None => None,
    };
    let old_entries: HashMap<&[u8], ObjectId> = match &old_tree {
        Some(tree) => tree
            .iter()
            .flatten()
            .map(|entry| (entry.inner.filename.as_ref(), entry.object_id()))
            .collect(),
        None => HashMap::new(),
    };
    let new_tree = repository.find_tree(new).ok()?;
    for entry in new_tree.iter() {
        let entry = entry.ok()?;
        let before = old_entries.get::<[u8]>(entry.inner.filename.as_ref());
        if before.is_some_and(|before| *before == entry.inner.oid) {
            continue;
        }
        let path = format!("{folder}{}", entry.filename());
        if entry.mode().is_tree() {
            // A file of this name may have stood here before.
            let before = before
                .copied()
                .filter(|id| repository.find_tree(*id).is_ok());
            let folder = format!("{path}/");
            differing(
                repository,
                before,
                Some(entry.object_id()),
                &folder,
                changed,
            )?;
        } else if entry.mode().is_blob() {
            changed.push(path);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_sources::{TestFile, git_commits};

    fn changes(history: &History, wanted: &[(&str, bool)]) -> Vec<(Option<i64>, bool)> {
        let found = history.last_changes(&wanted.iter().copied().collect());
        wanted
            .iter()
            .map(|(path, _)| found.get(*path).copied().unwrap_or_default())
            .map(|change| (change.time_s, change.by_hand))
            .collect()
    }

    #[test]
    fn the_last_commit_of_a_file_counts_and_imports_are_not_by_hand() {
        let paths: Vec<String> = (0..=BY_HAND_MODULES)
            .map(|n| format!("cf/M{n}.bsl"))
            .collect();
        let commit = |text: &'static [u8], edited: &[TestFile<'static>]| {
            let is_edited = |path: &str| edited.iter().any(|(other, _)| *other == path);
            let mut files: Vec<TestFile<'_>> = paths
                .iter()
                .map(|path| (path.as_str(), text))
                .filter(|(path, _)| !is_edited(path))
                .collect();
            files.extend_from_slice(edited);
            files
        };
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (("cf/M1.bsl", b"3" as &[u8]), ("cf/M2.bsl", b"3" as &[u8]));
        git_commits(
            dir.path(),
            &[
                (100, commit(b"1", &[])),
                (200, commit(b"1", &[one])),
                (300, commit(b"2", &[])),
                (400, commit(b"2", &[two, ("new.bsl", b"1")])),
            ],
        );
        let repository = ThreadSafeRepository::open(dir.path()).unwrap();
        let mut history = History::of_repository(repository);
        assert_eq!(
            changes(
                &history,
                &[
                    ("cf/M0.bsl", true),
                    ("cf/M1.bsl", true),
                    ("cf/M2.bsl", false),
                    ("new.bsl", true),
                    ("absent.bsl", true)
                ]
            ),
            [
                (Some(300), false),
                (Some(300), true),
                (Some(400), true),
                (Some(400), true),
                (None, false)
            ]
        );
        history.folder = "cf".to_owned();
        assert_eq!(
            changes(&history, &[("M2.bsl", true), ("new.bsl", true)]),
            [(Some(400), true), (None, false)]
        );
        history.folder = "нет".to_owned();
        assert_eq!(changes(&history, &[("M2.bsl", true)]), [(None, false)]);
    }

    #[test]
    fn a_folder_outside_of_work_trees_has_no_history() {
        let dir = tempfile::tempdir().unwrap();
        assert!(History::of_folder(&dir.path().join("нет")).is_none());
    }
}
