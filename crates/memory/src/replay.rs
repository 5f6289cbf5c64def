//! What counts after a record: the log, played back.
//!
//! Rolling back to record `k` makes `k` the parent of what follows, so the records that matter are found by walking from
//! the end: each record's parent is the one before it, except that a rollback's parent is its target.

use std::collections::BTreeMap;

use crate::record::{Filtered, Operation, Record, Root, lies_under};
use crate::segments::Place;

/// A file that is learned.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedFile {
    /// Number of the record that learned it.
    pub seq: u64,
    /// Name of its root.
    pub root: String,
    /// SHA-256 of its normalised text.
    pub sha256: String,
    /// Pieces in it.
    pub pieces: u32,
    /// How much it weighs in training memories.
    pub weight: f32,
    /// Where its pieces lie.
    pub place: Place,
    /// What is held back of it.
    pub filter: Option<Filtered>,
    /// Whether it is a vendor's code.
    pub vendor: bool,
}

impl LearnedFile {
    /// Whether its pieces count; otherwise the project only remembers having seen it.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.counts)
    }

    /// Name of the strand of levels 2 and 3 that learns it, see [`strand_of`].
    #[must_use]
    pub fn strand(&self) -> String {
        strand_of(&self.root, self.vendor)
    }

    /// Whether levels 2 and 3 learn it.
    #[must_use]
    pub fn teaches_levels(&self) -> bool {
        self.counts() && self.weight > 0.0
    }
}

/// Name of the strand of levels 2 and 3 that learns a root's own code, or what it has of a vendor's: each learns apart, so that a
/// library or a vendor's modules do not wear out what own code has taught.
#[must_use]
pub fn strand_of(root: &str, vendor: bool) -> String {
    // A root's name has no slash.
    if vendor {
        format!("{root}/vendor")
    } else {
        root.to_owned()
    }
}

/// The files that count, by path.
pub(crate) type Files = BTreeMap<String, LearnedFile>;

/// The records on whose effects the state after record `seq` stands: rollbacks and what they took back are left out.
fn chain(records: &[Record], seq: u64) -> Vec<&Record> {
    let mut chain = Vec::new();
    let mut at = seq;
    while let Some(record) = at.checked_sub(1).and_then(|idx| records.get(idx as usize)) {
        if let Operation::Rollback { to } = record.op {
            // The reader of the log has refused targets that do not lie before it.
            at = to;
            continue;
        }
        chain.push(record);
        at -= 1;
    }
    chain.reverse();
    chain
}

/// For every record whether it learned a text that was never taken back since: neither rolled back nor forgotten. One that a newer text
/// has replaced was not taken back, nor one that its source no longer has, for it may come back.
pub(crate) fn standing(records: &[Record]) -> Vec<bool> {
    let mut standing = vec![false; records.len()];
    let mut of_path: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for record in chain(records, records.len() as u64) {
        match &record.op {
            Operation::Learn {
                path,
                place: Some(_),
                ..
            } => {
                let idx = record.seq as usize - 1;
                standing[idx] = true;
                of_path.entry(path).or_default().push(idx);
            }
            Operation::Again { path, of } => {
                let idx = *of as usize - 1;
                standing[idx] = learned(&records[idx]).is_some();
                of_path.entry(path).or_default().push(idx);
            }
            Operation::Forget { path, erased: true } => {
                of_path.retain(|of, learned| {
                    let stays = !lies_under(of, path);
                    if !stays {
                        learned.iter().for_each(|idx| standing[*idx] = false);
                    }
                    stays
                });
            }
            _ => {}
        }
    }
    standing
}

/// The files that count after record `seq`, and the paths that counted then and whose pieces have been erased since.
pub(crate) fn files_after(records: &[Record], seq: u64) -> (Files, Vec<String>) {
    let mut files = Files::new();
    let mut lost = BTreeMap::new();
    for record in chain(records, seq) {
        match &record.op {
            Operation::Learn {
                path, place: None, ..
            } => {
                files.remove(path);
                lost.insert(path.clone(), ());
            }
            Operation::Learn { path, .. } => {
                lost.remove(path);
                apply(&mut files, records, record);
            }
            Operation::Again { path, .. } => {
                apply(&mut files, records, record);
                if files.contains_key(path) {
                    lost.remove(path);
                } else {
                    lost.insert(path.clone(), ());
                }
            }
            Operation::Forget { path, .. } => {
                lost.retain(|lost, ()| !lies_under(lost, path));
                apply(&mut files, records, record);
            }
            _ => {}
        }
    }
    (files, lost.into_keys().collect())
}

/// What one record other than a rollback changes; `records` are those before it.
pub(crate) fn apply(files: &mut Files, records: &[Record], record: &Record) {
    match &record.op {
        Operation::Learn { path, .. } => {
            if let Some(file) = learned(record) {
                files.insert(path.clone(), file);
            }
        }
        Operation::Again { path, of } => {
            // The reader of the log has refused numbers of anything but a text learned under this path.
            match learned(&records[*of as usize - 1]) {
                Some(file) => files.insert(path.clone(), file),
                None => files.remove(path),
            };
        }
        Operation::Forget { path, .. } => {
            for path in under(files, path) {
                files.remove(&path);
            }
        }
        _ => {}
    }
}

/// The file that a record has learned; `None` once its pieces are erased.
pub(crate) fn learned(record: &Record) -> Option<LearnedFile> {
    let Operation::Learn {
        root,
        sha256,
        pieces,
        weight,
        place,
        filter,
        vendor,
        ..
    } = &record.op
    else {
        return None;
    };
    Some(LearnedFile {
        seq: record.seq,
        root: root.clone(),
        sha256: sha256.clone(),
        pieces: *pieces,
        weight: *weight,
        place: (*place)?,
        filter: filter.clone(),
        vendor: *vendor,
    })
}

/// The paths that are `prefix` or lie under it.
pub(crate) fn under(files: &Files, prefix: &str) -> Vec<String> {
    // Between `a` and `a/…` other names may stand, such as `a.b`; so the walk goes on while the text matches.
    files
        .range(prefix.to_owned()..)
        .map(|(path, _)| path)
        .take_while(|path| path.starts_with(prefix))
        .filter(|path| lies_under(path, prefix))
        .cloned()
        .collect()
}

/// The roots by name, as last told.
pub(crate) fn roots(records: &[Record]) -> BTreeMap<String, Root> {
    let told = records.iter().filter_map(|record| match &record.op {
        Operation::Root(root) => Some((root.name.clone(), root.clone())),
        _ => None,
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(ops: Vec<Operation>) -> Vec<Record> {
        let numbered = ops.into_iter().zip(1..);
        numbered
            .map(|(op, seq)| Record { seq, time: 0, op })
            .collect()
    }

    fn learn(path: &str, erased: bool) -> Operation {
        Operation::Learn {
            root: "r".to_owned(),
            path: path.to_owned(),
            sha256: String::new(),
            pieces: 0,
            weight: 1.0,
            place: (!erased).then_some(Place { at: 0, len: 0 }),
            filter: None,
            vendor: false,
        }
    }

    fn forget(path: &str) -> Operation {
        Operation::Forget {
            path: path.to_owned(),
            erased: false,
        }
    }

    fn forgotten(path: &str) -> Operation {
        Operation::Forget {
            path: path.to_owned(),
            erased: true,
        }
    }

    fn check(ops: Vec<Operation>, seq: u64, expected: &[(&str, u64)], lost: &[&str]) {
        let (files, gone) = files_after(&records(ops), seq);
        let found: Vec<_> = files
            .iter()
            .map(|(p, file)| (p.as_str(), file.seq))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(gone, lost);
    }

    #[test]
    fn rollbacks_nest_and_prefixes_are_whole_names() {
        let ops = || {
            vec![
                learn("r/a", false),
                learn("r/a.b", false),
                learn("r/a/c", false),
                forget("r/a"),
                Operation::Rollback { to: 2 },
                learn("r/d", false),
                Operation::Rollback { to: 4 },
                Operation::Rollback { to: 6 },
            ]
        };
        check(ops(), 0, &[], &[]);
        check(ops(), 3, &[("r/a", 1), ("r/a.b", 2), ("r/a/c", 3)], &[]);
        check(ops(), 4, &[("r/a.b", 2)], &[]);
        check(ops(), 5, &[("r/a", 1), ("r/a.b", 2)], &[]);
        check(ops(), 7, &[("r/a.b", 2)], &[]);
        check(ops(), 8, &[("r/a", 1), ("r/a.b", 2), ("r/d", 6)], &[]);
    }

    #[test]
    fn a_text_taken_up_again_is_the_one_learned_then() {
        let again = |of| Operation::Again {
            path: "r/a".to_owned(),
            of,
        };
        let ops = |erased| {
            vec![
                learn("r/a", erased),
                learn("r/a", false),
                again(1),
                forget("r/a"),
                again(2),
                Operation::Rollback { to: 3 },
            ]
        };
        check(ops(false), 3, &[("r/a", 1)], &[]);
        check(ops(false), 5, &[("r/a", 2)], &[]);
        check(ops(false), 6, &[("r/a", 1)], &[]);
        check(ops(true), 3, &[], &["r/a"]);
        check(ops(true), 5, &[("r/a", 2)], &[]);
        check(ops(true), 6, &[], &["r/a"]);
    }

    #[test]
    fn texts_stand_until_they_are_taken_back() {
        let check = |ops: Vec<Operation>, expected: &[u64]| {
            let standing = standing(&records(ops));
            let found: Vec<u64> = (1..)
                .zip(standing)
                .filter(|(_, s)| *s)
                .map(|(n, _)| n)
                .collect();
            assert_eq!(found, expected);
        };
        check(vec![learn("r/a", false), learn("r/a", false)], &[1, 2]);
        check(vec![learn("r/a", true), learn("r/b", false)], &[2]);
        let ops = || {
            vec![
                learn("r/a", false),
                learn("r/a/c", false),
                learn("r/a.b", false),
                forgotten("r/a"),
                learn("r/a", false),
            ]
        };
        check(ops(), &[3, 5]);
        let mut rolled = ops();
        rolled.push(Operation::Rollback { to: 2 });
        check(rolled.clone(), &[1, 2]);
        rolled.push(learn("r/a.b", false));
        check(rolled.clone(), &[1, 2, 7]);
        rolled.push(Operation::Rollback { to: 5 });
        check(rolled, &[3, 5]);
        // What its source no longer has may be back, and what is taken up again stands again.
        let again = |of| Operation::Again {
            path: "r/a".to_owned(),
            of,
        };
        check(vec![learn("r/a", false), forget("r/a")], &[1]);
        let mut rolled = vec![learn("r/a", false), learn("r/a", false)];
        rolled.push(Operation::Rollback { to: 1 });
        check(rolled.clone(), &[1]);
        rolled.push(again(2));
        check(rolled.clone(), &[1, 2]);
        rolled.push(forgotten("r/a"));
        check(rolled, &[]);
    }

    #[test]
    fn erased_text_does_not_come_back() {
        let ops = || {
            vec![
                learn("r/a", false),
                learn("r/b", true),
                learn("r/a", true),
                forget("r/a"),
                forget("r/b"),
                learn("r/a", false),
            ]
        };
        check(ops(), 1, &[("r/a", 1)], &[]);
        check(ops(), 3, &[], &["r/a", "r/b"]);
        check(ops(), 5, &[], &[]);
        check(ops(), 6, &[("r/a", 6)], &[]);
    }
}
