//! What later commits of a repository added to a revision: the lines that the evaluation has written again.
//!
//! Called by the protocol "commits". Commits are taken along the first parents, so a merge counts as what it brings; one that
//! changes very many modules is an update or an import and no work to replay, as in [`super::history`].

use std::ops::Range;
use std::path::Path;

use gix::{ObjectId, Repository};

use super::git::Commit;
use super::history::{BY_HAND_MODULES, differing};
use super::{Source, Tree, is_module};
use crate::CorpusError;

/// A revision and what came after it.
pub struct Replay {
    /// The files as they were at the revision.
    pub source: Box<dyn Source>,
    /// The revision.
    pub revision: String,
    /// What later commits did, oldest first; files of one commit in the order of their paths.
    pub changes: Vec<Change>,
    /// Commits that were left out because they change too many modules.
    pub n_imports: usize,
}

/// A module as a commit left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit.
    pub commit: String,
    /// The module's path.
    pub path: String,
    /// Its text after the commit, normalised.
    pub text: String,
    /// The bytes of the lines in it that the commit added, without their line ends.
    pub added: Vec<Range<usize>>,
}

/// More differing lines than this make a file another one.
const MAX_DIFFERENT: usize = 2_000;

/// Opens the bare repository at `path` (or the one in its `.git`) at the commit that lies `n_commits` before HEAD along first
/// parents, or at the first one if there are fewer.
///
/// # Errors
/// [`CorpusError`] for a path that is no repository, or one that cannot be read.
pub fn replay(path: &Path, n_commits: usize) -> Result<Replay, CorpusError> {
    let inside = path.join(".git");
    let folder = if super::git::is_repository(path) {
        path
    } else {
        inside.as_path()
    };
    let broken = |reason: String| CorpusError::Git {
        path: folder.to_owned(),
        reason,
    };
    let head = Commit::open(folder)?;
    let repository = head.repository();
    let mut line = vec![head.id()];
    while line.len() <= n_commits {
        let last = line[line.len() - 1];
        let commit = repository
            .find_commit(last)
            .map_err(|error| broken(format!("commit {last}: {error}")))?;
        match commit.parent_ids().next().map(gix::Id::detach) {
            // A shallow clone lacks the parent.
            Some(parent) if repository.find_commit(parent).is_ok() => line.push(parent),
            _ => break,
        }
    }
    line.reverse();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let base = Commit::open_at(folder, Some(line[0]))?;
    let source = Tree::new(path, name.into_owned(), base)?;
    let mut replay = Replay {
        source: Box::new(source),
        revision: line[0].to_string(),
        changes: Vec::new(),
        n_imports: 0,
    };
    for pair in line.windows(2) {
        let tree = |id: ObjectId| {
            let commit = repository
                .find_commit(id)
                .map_err(|error| error.to_string());
            commit.and_then(|commit| Ok(commit.tree_id().map_err(|e| e.to_string())?.detach()))
        };
        let (old, new) = (
            tree(pair[0]).map_err(broken)?,
            tree(pair[1]).map_err(broken)?,
        );
        let mut paths = Vec::new();
        if differing(&repository, Some(old), Some(new), "", &mut paths).is_none() {
            return Err(broken(format!("a tree of commit {} is missing", pair[1])));
        }
        paths.retain(|path| is_module(path) && !path.ends_with(".bin"));
        if paths.len() > BY_HAND_MODULES {
            replay.n_imports += 1;
            continue;
        }
        paths.sort();
        for path in paths {
            let (Some(new), old) = (text(&repository, new, &path), text(&repository, old, &path))
            else {
                continue;
            };
            let added = added_lines(&old.unwrap_or_default(), &new);
            if let Some(added) = added.filter(|added| !added.is_empty()) {
                replay.changes.push(Change {
                    commit: pair[1].to_string(),
                    path,
                    text: new,
                    added,
                });
            }
        }
    }
    Ok(replay)
}

/// The text of a module in a tree; `None` where there is none, or no text.
fn text(repository: &Repository, tree: ObjectId, path: &str) -> Option<String> {
    let tree = repository.find_tree(tree).ok()?;
    let entry = tree.lookup_entry_by_path(path).ok()??;
    let blob = repository.try_find_object(entry.object_id()).ok()??;
    Some(nestor_bsl::normalise(&blob.data).ok()?.text)
}

/// The lines of `new` that are not in `old`, by the shortest edit script (Myers 1986, figure 2); `None` where too much differs.
fn added_lines(old: &str, new: &str) -> Option<Vec<Range<usize>>> {
    let before: Vec<&str> = old.lines().collect();
    let after: Vec<&str> = new.lines().collect();
    let n_common = before
        .iter()
        .zip(&after)
        .take_while(|(a, b)| a == b)
        .count();
    let n_tail = before[n_common..]
        .iter()
        .rev()
        .zip(after[n_common..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let a = &before[n_common..before.len() - n_tail];
    let b = &after[n_common..after.len() - n_tail];
    let is_added = insertions(a, b)?;
    let mut at = 0;
    let mut added = Vec::new();
    for (idx, line) in new.split('\n').enumerate() {
        let inside = idx.checked_sub(n_common).and_then(|idx| is_added.get(idx));
        if inside == Some(&true) {
            added.push(at..at + line.len());
        }
        at += line.len() + 1;
    }
    Some(added)
}

/// Which of `b` are insertions on the way from `a` to it.
fn insertions(a: &[&str], b: &[&str]) -> Option<Vec<bool>> {
    let (n, m) = (a.len() as isize, b.len() as isize);
    let most = (n + m).min(MAX_DIFFERENT as isize);
    let offset = most + 1;
    let mut furthest = vec![0isize; 2 * offset as usize + 1];
    let mut trace = Vec::new();
    let place = |k: isize| (k + offset) as usize;
    let steps = (0..=most).find(|&d| {
        trace.push(furthest.clone());
        (-d..=d).step_by(2).any(|k| {
            let down = k == -d || (k != d && furthest[place(k - 1)] < furthest[place(k + 1)]);
            let mut x = if down {
                furthest[place(k + 1)]
            } else {
                furthest[place(k - 1)] + 1
            };
            let mut y = x - k;
            while x < n && y < m && a[x as usize] == b[y as usize] {
                (x, y) = (x + 1, y + 1);
            }
            furthest[place(k)] = x;
            x >= n && y >= m
        })
    })?;
    let mut is_added = vec![false; b.len()];
    let (mut x, mut y) = (n, m);
    for d in (1..=steps).rev() {
        let known = &trace[d as usize];
        let k = x - y;
        let down = k == -d || (k != d && known[place(k - 1)] < known[place(k + 1)]);
        let from = if down { k + 1 } else { k - 1 };
        let (from_x, from_y) = (known[place(from)], known[place(from)] - from);
        if down {
            is_added[from_y as usize] = true;
        }
        (x, y) = (from_x, from_y);
    }
    Some(is_added)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn added_lines_are_those_that_the_old_text_lacks() {
        let check = |old: &str, new: &str, expected: &[&str]| {
            let found = added_lines(old, new).unwrap();
            let found: Vec<&str> = found.into_iter().map(|line| &new[line]).collect();
            assert_eq!(found, expected, "{old:?} -> {new:?}");
        };
        check("а\nб\nв\n", "а\nновая\nб\nв\n", &["новая"]);
        check("а\nб\nв\n", "а\nв\n", &[]);
        check("а\nб\nв", "а\nдругая\nв", &["другая"]);
        check("", "а\nб\n", &["а", "б"]);
        check("а\nб\nа\nб\n", "а\nб\nв\nа\nб\nг\n", &["в", "г"]);
        check("а\n", "а\n", &[]);
    }

    proptest! {
        #[test]
        fn without_the_added_lines_the_new_text_is_a_part_of_the_old(
            old in prop::collection::vec("[абв]", 0..12),
            new in prop::collection::vec("[абв]", 0..12),
        ) {
            let (before, after) = (old.join("\n"), new.join("\n"));
            let added = added_lines(&before, &after).unwrap();
            let mut at = 0;
            let kept: Vec<&str> = after
                .split('\n')
                .filter(|line| {
                    let range = at..at + line.len();
                    at += line.len() + 1;
                    !added.contains(&range) && !after.is_empty()
                })
                .collect();
            let mut rest = before.split('\n');
            for line in &kept {
                prop_assert!(rest.any(|old| old == *line), "{:?} in {:?}", kept, before);
            }
        }
    }
}
