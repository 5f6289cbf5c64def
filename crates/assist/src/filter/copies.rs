//! Which files of a project nearly repeat others, told from their pieces alone.
//!
//! Files that are near-duplicates of the same first file form a group. The first may teach everything, the others no levels;
//! and of files that are all but equal the second, fourth, eighth … count: what the sum of `1 / n` comes to. `project`
//! fills it from the folder when a file is new, and orders the files anew when some are gone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use nestor_bsl::pieces::Tokenizer;
use nestor_bsl::similarity::{BANDS, Signature, VALUES};
use nestor_memory::MemoryError;

use super::{Reason, Teaches, Verdict};

/// Fixed: signatures are compared within one run only.
const SEED: u64 = 1;
/// Values that all but equal files agree in: a Jaccard index of 0.95. Below, a copy has enough of its own to count.
const SAME_VALUES: usize = VALUES * 19 / 20;

/// Pieces of a file that is compared. Below, files are alike by chance: stubs that the Designer writes.
const MIN_PIECES: usize = 128;

/// The signature of a file, given its pieces without opening and end. The comment that it begins with does not count: it is
/// the licence, the same in all files of a library.
pub(crate) fn signature(tokenizer: &Tokenizer, pieces: &[u32]) -> Option<Signature> {
    signature_of(&pieces[leading_comment(tokenizer, pieces)..])
}

/// Signatures of texts that a process has met, by their hashes: a save looks at all files of its project again.
#[derive(Debug, Default)]
pub(crate) struct KnownSignatures(Mutex<HashMap<u128, Option<Signature>>>);

/// Texts whose signatures are kept: some 15 MB. With one more all are let go of.
const MOST_KNOWN: usize = 100_000;

impl KnownSignatures {
    /// The signature of the text with a hash, made where it is not known.
    pub(crate) fn of(
        &self,
        sha256: &str,
        make: impl FnOnce() -> Result<Option<Signature>, MemoryError>,
    ) -> Result<Option<Signature>, MemoryError> {
        let key = sha256.get(..32);
        let Some(key) = key.and_then(|digits| u128::from_str_radix(digits, 16).ok()) else {
            return make();
        };
        let known = self.lock().get(&key).copied();
        if let Some(signature) = known {
            return Ok(signature);
        }
        let signature = make()?;
        let mut known = self.lock();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(key, signature);
        Ok(signature)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u128, Option<Signature>>> {
        // Whole entries alone are put in.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn signature_of(pieces: &[u32]) -> Option<Signature> {
    if pieces.len() < MIN_PIECES {
        return None;
    }
    Signature::of_words(pieces.iter().map(|&piece| u64::from(piece)), SEED)
}

/// Pieces of the blank lines and comments that a text begins with.
fn leading_comment(tokenizer: &Tokenizer, pieces: &[u32]) -> usize {
    let mut end = 0;
    let mut in_comment = false;
    for (at, &piece) in pieces.iter().enumerate() {
        let bytes = tokenizer.piece(piece);
        let text = bytes.trim_ascii_start();
        let ends_line = bytes.contains(&b'\n');
        if !in_comment && !text.is_empty() {
            in_comment = text.starts_with(b"//");
            if !in_comment {
                return end;
            }
        }
        if ends_line {
            in_comment = false;
            end = at + 1;
        }
    }
    end
}

/// The files of a project in groups of near-duplicates.
#[derive(Default)]
pub(crate) struct Copies {
    groups: Vec<Group>,
    /// Groups by the keys of their signatures' bands.
    by_band: [HashMap<u64, Vec<u32>>; BANDS],
    /// Group and signature of each file that has one.
    files: HashMap<String, (u32, Signature)>,
}

struct Group {
    /// Of the file that began it.
    signature: Signature,
    members: u32,
}

impl Copies {
    /// Enters a file, in place of what was known under its path, and says what it may teach. A file that keeps nearly the
    /// text it had and was no copy is none now.
    pub(crate) fn enter(&mut self, path: &str, signature: &Signature, was_first: bool) -> Verdict {
        let before = self.remove(path);
        let keeps = was_first && before.is_some_and(|(_, before)| before.is_near(signature));
        let group = match before {
            Some((group, _)) if keeps => group,
            _ => self.group_of(signature),
        };
        let members = &mut self.groups[group as usize].members;
        *members += 1;
        let n = *members;
        self.files.insert(path.to_owned(), (group, *signature));
        if n == 1 || keeps {
            return Verdict::ALL;
        }
        let agreeing = self.groups[group as usize]
            .signature
            .agreeing_values(signature);
        let teaches = if agreeing < SAME_VALUES || n.is_power_of_two() {
            Teaches::Counts
        } else {
            Teaches::Nothing
        };
        Verdict {
            weight: 1.0 / n as f32,
            ..Verdict::of(teaches, Reason::Copy)
        }
    }

    /// Takes a file out; returns its group and signature.
    pub(crate) fn remove(&mut self, path: &str) -> Option<(u32, Signature)> {
        let (group, signature) = self.files.remove(path)?;
        // A group without members stays: whoever comes next is its first again.
        self.groups[group as usize].members -= 1;
        Some((group, signature))
    }

    /// The signatures of the files.
    pub(crate) fn into_signatures(self) -> Vec<(String, Signature)> {
        let files = self.files.into_iter();
        files
            .map(|(path, (_, signature))| (path, signature))
            .collect()
    }

    /// What each of some files may teach at least when there are no others; those come first that teach most now. A group of
    /// `k` has as many that count as if its files had come one by one.
    pub(crate) fn due(files: &[(String, Signature)]) -> Vec<Teaches> {
        let mut copies = Self::default();
        for (path, signature) in files {
            copies.enter(path, signature, false);
        }
        let mut seen = vec![0; copies.groups.len()];
        let due = files.iter().map(|(path, signature)| {
            let group = copies.files[path].0 as usize;
            let Group {
                signature: first,
                members,
            } = &copies.groups[group];
            let before = seen[group];
            seen[group] += 1;
            if before == 0 {
                Teaches::All
            } else if before <= members.ilog2() || first.agreeing_values(signature) < SAME_VALUES {
                Teaches::Counts
            } else {
                Teaches::Nothing
            }
        });
        due.collect()
    }

    /// The group whose first file is a near-duplicate, the nearest; a new one where there is none.
    fn group_of(&mut self, signature: &Signature) -> u32 {
        let keys = signature.band_keys();
        let candidates = keys.iter().zip(&self.by_band).flat_map(|(key, groups)| {
            let found = groups.get(key).map_or(&[][..], Vec::as_slice);
            found.iter().copied()
        });
        let nearest = candidates.max_by_key(|&group| {
            let first = &self.groups[group as usize].signature;
            // Of equals the oldest.
            (first.agreeing_values(signature), std::cmp::Reverse(group))
        });
        if let Some(group) = nearest
            && self.groups[group as usize].signature.is_near(signature)
        {
            return group;
        }
        let group = self.groups.len() as u32;
        self.groups.push(Group {
            signature: *signature,
            members: 0,
        });
        for (key, groups) in keys.into_iter().zip(&mut self.by_band) {
            groups.entry(key).or_default().push(group);
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: std::ops::Range<u32>, changed: &[u32]) -> Signature {
        let words: Vec<u32> = words
            .map(|word| {
                if changed.contains(&word) {
                    word + 5000
                } else {
                    word
                }
            })
            .collect();
        signature_of(&words).unwrap()
    }

    #[test]
    fn the_nth_copy_teaches_less() {
        let mut copies = Copies::default();
        let file = of(0..400, &[]);
        let found: Vec<_> = (0..9)
            .map(|idx| copies.enter(&format!("cf/{idx}"), &file, false))
            .map(|verdict| (verdict.teaches, verdict.weight))
            .collect();
        use Teaches::{All, Counts, Nothing};
        let expected = [
            (All, 1.0),
            (Counts, 1.0 / 2.0),
            (Nothing, 1.0 / 3.0),
            (Counts, 1.0 / 4.0),
            (Nothing, 1.0 / 5.0),
            (Nothing, 1.0 / 6.0),
            (Nothing, 1.0 / 7.0),
            (Counts, 1.0 / 8.0),
            (Nothing, 1.0 / 9.0),
        ];
        assert_eq!(found, expected);
        assert_eq!(
            copies.enter("cf/other", &of(900..1300, &[]), false),
            Verdict::ALL
        );
        // Much like the others, and with something of its own.
        let own = of(
            0..400,
            &[30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 330, 360],
        );
        assert!(own.agreeing_values(&file) < SAME_VALUES && own.is_near(&file));
        assert_eq!(copies.enter("cf/own", &own, false).teaches, Counts);
    }

    #[test]
    fn a_file_is_no_copy_of_what_it_was() {
        let mut copies = Copies::default();
        let first = of(0..400, &[]);
        copies.enter("cf/a", &first, false);
        assert_eq!(copies.enter("cf/b", &first, false).teaches, Teaches::Counts);
        let edited = of(0..400, &[200]);
        assert_eq!(copies.enter("cf/a", &edited, true), Verdict::ALL);
        assert_eq!(
            copies.enter("cf/b", &edited, false).teaches,
            Teaches::Counts
        );
        // The last to leave makes room for a first one.
        copies.remove("cf/a");
        copies.remove("cf/b");
        assert_eq!(copies.enter("cf/b", &edited, false), Verdict::ALL);
    }
}
