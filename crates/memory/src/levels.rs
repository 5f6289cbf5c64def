//! What a project has taught levels 2 and 3: files beside the log that can be rebuilt from it at any time.
//!
//! `levels.bin` holds the newest memories whole. Beside it lie snapshots of earlier ones, each as an outline: without the nearest
//! states, which the texts in the segments give again. Every file names the weights it was learned over and the texts that it
//! has seen, in their order, and counts only while none of them was taken back. So after a rollback or a forgotten file teaching
//! goes on from the newest snapshot that has seen nothing else. Called by `assist`, which owns the network.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use nestor_engine::{LevelMemories, LevelMemoriesConfig, LevelsOutline, Model, sha256_hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::MemoryError;
use crate::files;
use crate::record::{Operation, Record};
use crate::replay::{self, LearnedFile};
use crate::ring::{self, Member};
use crate::store::ProjectStore;
use crate::writer::ProjectWriter;

/// Magic 8, version 4, length of the state 4, SHA-256 of the state 32.
const HEADER_LEN: usize = 48;
const MAGIC: &[u8; 8] = b"NestorPL";
const VERSION: u32 = 3;
/// No state of ours is longer; more is not read.
const MAX_STATE_LEN: u64 = 1 << 26;
/// No project has more texts.
const MAX_TEXTS: u64 = 1 << 24;
/// No outline is longer.
const MAX_OUTLINE_LEN: u32 = 1 << 30;
/// Outlines are mostly numbers that hardly pack; more effort gains nothing.
const ZSTD_LEVEL: i32 = 1;

/// Name of the newest memories in a project's folder.
pub const LEVELS_FILE: &str = "levels.bin";

/// Memories of levels 2 and 3 with what they have seen.
#[derive(Clone, Debug)]
pub struct TaughtLevels {
    /// The memories.
    pub memories: LevelMemories,
    /// The changes whose texts have taught them, in that order.
    pub seen: Vec<u64>,
}

/// Memories as they were kept.
#[derive(Clone, Debug)]
pub enum KeptLevels {
    /// With everything.
    Whole(TaughtLevels),
    /// Without the nearest states, and the changes whose texts had taught them.
    Outline(LevelsOutline, Vec<u64>),
}

/// A text that has not taught levels 2 and 3 yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untaught {
    /// The change that learned it.
    pub seq: u64,
    /// Its path.
    pub path: String,
    /// Name of the strand that learns it.
    pub strand: String,
    /// SHA-256 of the normalised text.
    pub sha256: String,
    /// Pieces in it.
    pub pieces: u32,
    /// Whether it is a vendor's code.
    pub vendor: bool,
    /// Whether its states are worth a place among the nearest ones.
    pub recalled: bool,
}

/// Memories on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last change that has taught them.
    pub seq: u64,
    /// Pieces that had taught them.
    pub pieces: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether it is the newest memories whole.
    pub whole: bool,
    /// Whether all that they have seen still counts.
    pub holds: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    model_sha256: String,
    /// False for an outline.
    whole: bool,
    /// Bytes of an outline before it was packed, 0 for whole memories.
    unpacked: u32,
    /// Pieces that have taught the memories.
    taught: u64,
    /// The changes that have taught them, in that order: runs of the first and how many follow each other.
    seen: Vec<(u64, u64)>,
    /// SHA-256 over the hashes of their texts.
    texts_sha256: String,
}

impl State {
    fn seqs(&self) -> impl Iterator<Item = u64> + '_ {
        self.seen
            .iter()
            .flat_map(|(first, n)| *first..first.saturating_add(*n))
    }

    fn last_seq(&self) -> u64 {
        let last = self.seen.last();
        last.map_or(0, |(first, n)| (first + n).saturating_sub(1))
    }
}

/// A file of memories whose state could be read.
struct Found {
    path: PathBuf,
    bytes: u64,
    state: State,
}

impl ProjectStore {
    /// The memories that the project has taught over a model, for a reader: the newest whole ones, or where those do not count
    /// the newest snapshot, whose nearest states stay silent. `None` where nothing that counts was taught. Damaged files are
    /// passed over while another serves.
    ///
    /// # Errors
    /// [`MemoryError::Corrupt`] when only damaged files are left.
    pub fn load_levels(
        &self,
        config: LevelMemoriesConfig,
        model: &Model,
    ) -> Result<Option<TaughtLevels>, MemoryError> {
        let kept = self.first_usable(config, model, |found| {
            (!found.state.whole, u64::MAX - found.state.taught)
        })?;
        Ok(kept.map(|kept| match kept {
            KeptLevels::Whole(levels) => levels,
            KeptLevels::Outline(outline, seen) => TaughtLevels {
                memories: outline.without_states(),
                seen,
            },
        }))
    }

    /// The memories that teaching goes on from: of those that have seen only what counts the ones that have seen most. Damaged
    /// ones are passed over, for they can be made again.
    ///
    /// # Errors
    /// [`MemoryError::Io`] for what cannot be read.
    pub fn newest_levels(
        &self,
        config: LevelMemoriesConfig,
        model: &Model,
    ) -> Result<Option<KeptLevels>, MemoryError> {
        let newest = self.first_usable(config, model, |found| {
            (u64::MAX - found.state.taught, !found.state.whole)
        });
        match newest {
            Err(MemoryError::Corrupt { .. }) => Ok(None),
            other => other,
        }
    }

    /// The memories on disk, the newest first, as far as can be told without a model.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let standing = replay::standing(&self.records);
        let (mut found, _) = self.found_levels();
        found.sort_by_key(|found| (u64::MAX - found.state.taught, !found.state.whole));
        let shown = found.into_iter().map(|found| Snapshot {
            seq: found.state.last_seq(),
            pieces: found.state.taught,
            bytes: found.bytes,
            whole: found.state.whole,
            holds: self.holds_still(&found.state, &standing),
        });
        shown.collect()
    }

    /// Pieces that count and have taught levels 2 and 3, as far as can be told without a model: with another one than that of
    /// the memories none of them counts.
    #[must_use]
    pub fn taught_pieces(&self) -> u64 {
        let standing = replay::standing(&self.records);
        let (mut found, _) = self.found_levels();
        found.retain(|found| self.holds_still(&found.state, &standing));
        found.sort_by_key(|found| (!found.state.whole, u64::MAX - found.state.taught));
        let Some(newest) = found.first() else {
            return 0;
        };
        let seen: HashSet<u64> = newest.state.seqs().collect();
        let taught = self.files().filter(|(_, file)| seen.contains(&file.seq));
        taught.map(|(_, file)| u64::from(file.pieces)).sum()
    }

    /// The texts that may teach levels 2 and 3 and are none of `seen`: own code before a vendor's, the newest first, which is that of the
    /// last call and in it what was learned first. `room` pieces have a place among the nearest states: those of the newest own code, or of a
    /// vendor's where there is no own.
    #[must_use]
    pub fn untaught(&self, seen: &[u64], room: u64) -> Vec<Untaught> {
        let seen: HashSet<u64> = seen.iter().copied().collect();
        let calls = self.calls();
        let mut files: Vec<(&str, &LearnedFile)> = self
            .files()
            .filter(|(_, file)| file.teaches_levels())
            .collect();
        files.sort_unstable_by_key(|(_, file)| {
            let call = calls[file.seq as usize - 1];
            (file.vendor, Reverse(call), file.seq)
        });
        let first_is_vendor = files.first().is_some_and(|(_, file)| file.vendor);
        let mut newer = 0;
        let mut untaught = Vec::new();
        for (path, file) in files {
            let recalled = file.vendor == first_is_vendor && newer < room;
            newer += u64::from(file.pieces);
            if !seen.contains(&file.seq) {
                untaught.push(Untaught {
                    seq: file.seq,
                    path: path.to_owned(),
                    strand: file.strand(),
                    sha256: file.sha256.clone(),
                    pieces: file.pieces,
                    vendor: file.vendor,
                    recalled,
                });
            }
        }
        untaught
    }

    /// The first file in the order of `rank` that counts over a model and can be read.
    fn first_usable<K: Ord>(
        &self,
        config: LevelMemoriesConfig,
        model: &Model,
        rank: impl Fn(&Found) -> K,
    ) -> Result<Option<KeptLevels>, MemoryError> {
        let standing = replay::standing(&self.records);
        let weights = weights_of(model);
        let (mut found, mut damage) = self.found_levels();
        found.retain(|found| {
            found.state.model_sha256 == weights && self.holds_still(&found.state, &standing)
        });
        found.sort_by_key(rank);
        for found in &found {
            match read_levels(found, config, model) {
                Ok(kept) => return Ok(Some(kept)),
                Err(error @ MemoryError::Corrupt { .. }) => damage = Some(error),
                // A writer has replaced it by newer ones meanwhile.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        damage.map_or(Ok(None), Err)
    }

    /// The files of memories, in no order, and the error of one that cannot be read. Those of other versions are left out: they
    /// can be made again.
    fn found_levels(&self) -> (Vec<Found>, Option<MemoryError>) {
        let (mut found, mut damage) = (Vec::new(), None);
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            if !is_levels_file(&path) {
                continue;
            }
            match read_state(&path) {
                Ok((state, _)) => found.push(Found {
                    bytes: entry.metadata().map_or(0, |metadata| metadata.len()),
                    path,
                    state,
                }),
                Err(MemoryError::Version { .. }) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => damage = Some(error),
            }
        }
        (found, damage)
    }

    /// Whether memories of this state have seen nothing that was taken back. A text that was replaced since was taught as it was;
    /// the new one is taught after it, and the old one fades. So does that of a file that its source no longer has: it may be
    /// back with the next switch of a branch.
    fn holds_still(&self, state: &State, standing: &[bool]) -> bool {
        let stands = |seq: u64| {
            let idx = seq.checked_sub(1).map(|idx| idx as usize);
            idx.and_then(|idx| standing.get(idx)) == Some(&true)
        };
        state.seqs().all(stands) && texts_sha256(&self.records, state.seqs()) == state.texts_sha256
    }

    /// Whether memories of this state can hold no text that was erased.
    fn is_innocent(&self, state: &State) -> bool {
        let is_there = |seq: u64| {
            let idx = seq.checked_sub(1).map(|idx| idx as usize);
            let record = idx.and_then(|idx| self.records.get(idx));
            let place = record.map(|record| &record.op);
            matches!(place, Some(Operation::Learn { place: Some(_), .. }))
        };
        state.seqs().all(is_there)
            && texts_sha256(&self.records, state.seqs()) == state.texts_sha256
    }
}

/// Whether a path is that of memories: `levels.bin`, or `levels.N.bin` with the last change that N has seen.
pub(crate) fn is_levels_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = name
        .strip_prefix("levels.")
        .and_then(|rest| rest.strip_suffix(".bin"));
    name == LEVELS_FILE
        || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The state of a file of memories, and the file behind it.
fn read_state(path: &Path) -> Result<(State, File), MemoryError> {
    let corrupt = |reason: &str| MemoryError::corrupt(path, reason);
    let ended = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => corrupt("it ends inside its header"),
        _ => MemoryError::io(path)(error),
    };
    let mut file = File::open(path).map_err(MemoryError::io(path))?;
    let mut header = [0; HEADER_LEN];
    file.read_exact(&mut header).map_err(ended)?;
    if header[..8] != *MAGIC {
        return Err(corrupt(
            "it does not start with the magic bytes of its kind",
        ));
    }
    let number = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if number(8) != VERSION {
        return Err(MemoryError::Version {
            path: path.to_owned(),
            found: number(8).to_string(),
            supported: VERSION,
        });
    }
    let len = u64::from(number(12));
    if len > MAX_STATE_LEN {
        return Err(corrupt("its state is too long"));
    }
    let mut state = Vec::new();
    let read = (&mut file).take(len).read_to_end(&mut state);
    if read.map_err(MemoryError::io(path))? as u64 != len {
        return Err(corrupt("it ends inside its state"));
    }
    if Sha256::digest(&state)[..] != header[16..] {
        return Err(corrupt("its SHA-256 does not match its state"));
    }
    let state: State =
        serde_json::from_slice(&state).map_err(|error| MemoryError::corrupt(path, error))?;
    let texts = state
        .seen
        .iter()
        .try_fold(0_u64, |sum, (_, n)| sum.checked_add(*n));
    if texts.is_none_or(|texts| texts > MAX_TEXTS) || state.unpacked > MAX_OUTLINE_LEN {
        return Err(corrupt("its state has impossible numbers"));
    }
    Ok((state, file))
}

/// Memories from a file whose state counts.
fn read_levels(
    found: &Found,
    config: LevelMemoriesConfig,
    model: &Model,
) -> Result<KeptLevels, MemoryError> {
    let path = &found.path;
    // Read once more: what was found may have been replaced since.
    let (state, mut file) = read_state(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(MemoryError::io(path))?;
    if state != found.state {
        return Err(MemoryError::io(path)(ErrorKind::NotFound.into()));
    }
    let seen = state.seqs().collect();
    if state.whole {
        let memories = LevelMemories::from_bytes(config, model, &bytes);
        let memories = memories.map_err(|error| MemoryError::corrupt(path, error))?;
        return Ok(KeptLevels::Whole(TaughtLevels { memories, seen }));
    }
    let outline = zstd::bulk::decompress(&bytes, state.unpacked as usize)
        .map_err(|error| MemoryError::corrupt(path, error))?;
    let outline = LevelsOutline::from_bytes(config, model, &outline)
        .map_err(|error| MemoryError::corrupt(path, error))?;
    Ok(KeptLevels::Outline(outline, seen))
}

/// What levels were taught under: SHA-256 of the model's weights, or over them and what its memories start from; empty for a model that lies in no
/// folder.
pub(crate) fn weights_of(model: &Model) -> String {
    let manifest = model.manifest();
    let weights = manifest.map_or_else(String::new, |manifest| manifest.weights_sha256.clone());
    match model.memory_start() {
        None => weights,
        Some(start) => sha256_hex(format!("{weights} {}", start.sha256).as_bytes()),
    }
}

/// SHA-256 over what changes have learned; a change that has learned nothing leaves no such hash.
fn texts_sha256(records: &[Record], seqs: impl Iterator<Item = u64>) -> String {
    let mut hash = Sha256::new();
    for seq in seqs {
        let record = seq.checked_sub(1).and_then(|idx| records.get(idx as usize));
        match record.map(|record| &record.op) {
            Some(Operation::Learn { sha256, path, .. }) => {
                hash.update(seq.to_le_bytes());
                hash.update(sha256);
                hash.update(path);
            }
            _ => return String::new(),
        }
    }
    let digits = hash.finalize();
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs of changes that follow each other.
fn runs(seen: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for seq in seen {
        match runs.last_mut() {
            Some((first, n)) if *first + *n == *seq => *n += 1,
            _ => runs.push((*seq, 1)),
        }
    }
    runs
}

/// Removes memories that may hold a text which was erased. Those whose state cannot be read are removed too: what is not known
/// cannot be known to be innocent, and it can be made again.
pub(crate) fn remove_outdated(store: &ProjectStore) -> Result<(), MemoryError> {
    let entries = std::fs::read_dir(&store.dir).map_err(MemoryError::io(&store.dir))?;
    for entry in entries {
        let path = entry.map_err(MemoryError::io(&store.dir))?.path();
        if !is_levels_file(&path) {
            continue;
        }
        let is_kept = read_state(&path).is_ok_and(|(state, _)| store.is_innocent(&state));
        if !is_kept {
            files::remove(&path).map_err(|source| MemoryError::NotErased { path, source })?;
        }
    }
    Ok(())
}

impl ProjectWriter {
    /// Keeps what the project has taught over a model: the memories whole, and a snapshot of them among the earlier ones. Each
    /// file appears whole or not at all; snapshots that no longer count or are too many go.
    ///
    /// # Errors
    /// [`MemoryError::Io`], for instance when the disk is full; what was kept before then stays.
    pub fn save_levels(&mut self, levels: &TaughtLevels, model: &Model) -> Result<(), MemoryError> {
        // The changes that the memories have seen must not be lost behind them.
        self.commit()?;
        let weights = weights_of(model);
        // Also before: a program that is killed while it saves must not leave one more each time.
        self.thin_out(&weights)?;
        let mut state = State {
            model_sha256: weights,
            whole: false,
            unpacked: 0,
            taught: levels.memories.tokens(),
            seen: runs(&levels.seen),
            texts_sha256: texts_sha256(&self.records, levels.seen.iter().copied()),
        };
        let outline = levels.memories.to_outline_bytes();
        let snapshot = self.dir.join(format!("levels.{}.bin", state.last_seq()));
        let packed = zstd::bulk::compress(&outline, ZSTD_LEVEL);
        let packed = packed.map_err(MemoryError::io(&snapshot))?;
        state.unpacked = outline.len() as u32;
        write(&snapshot, &state, &packed)?;
        state.whole = true;
        state.unpacked = 0;
        write(
            &self.dir.join(LEVELS_FILE),
            &state,
            &levels.memories.to_bytes(),
        )?;
        self.thin_out(&state.model_sha256)
    }

    /// Removes snapshots that do not count, and those that the bounds leave no room for.
    fn thin_out(&self, weights: &str) -> Result<(), MemoryError> {
        let standing = replay::standing(&self.records);
        let (found, _) = self.found_levels();
        let mut whole_bytes = 0;
        let mut snapshots = Vec::new();
        let mut dropped = Vec::new();
        for found in found {
            let counts =
                found.state.model_sha256 == weights && self.holds_still(&found.state, &standing);
            if found.state.whole {
                whole_bytes = found.bytes;
            } else if counts {
                snapshots.push(found);
            } else {
                dropped.push(found.path);
            }
        }
        snapshots.sort_by_key(|found| found.state.taught);
        let members: Vec<Member> = snapshots
            .iter()
            .map(|found| Member {
                taught: found.state.taught,
                bytes: found.bytes,
            })
            .collect();
        for idx in ring::to_drop(&members, whole_bytes) {
            dropped.push(snapshots[idx].path.clone());
        }
        for path in dropped {
            files::remove(&path).map_err(MemoryError::io(&path))?;
        }
        Ok(())
    }
}

/// Writes memories with their state.
fn write(path: &Path, state: &State, body: &[u8]) -> Result<(), MemoryError> {
    let state = serde_json::to_vec(state).map_err(|e| MemoryError::corrupt(path, e))?;
    let mut bytes = Vec::with_capacity(HEADER_LEN + state.len() + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(state.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&Sha256::digest(&state));
    bytes.extend_from_slice(&state);
    bytes.extend_from_slice(body);
    files::replace(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_what_follows_each_other() {
        let of = |seen: &[u64]| {
            let state = State {
                model_sha256: String::new(),
                whole: true,
                unpacked: 0,
                taught: 0,
                seen: runs(seen),
                texts_sha256: String::new(),
            };
            assert_eq!(state.seqs().collect::<Vec<_>>(), seen);
            assert_eq!(state.last_seq(), seen.last().copied().unwrap_or_default());
            state.seen
        };
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[2, 3, 4, 9, 8, 5]), [(2, 3), (9, 1), (8, 1), (5, 1)]);
    }

    #[test]
    fn names_of_memories_are_told_from_others() {
        for (name, expected) in [
            ("levels.bin", true),
            ("levels.17.bin", true),
            ("levels.17.bin.part", false),
            ("levels..bin", false),
            ("levels.x.bin", false),
            ("log.1.jsonl", false),
        ] {
            assert_eq!(
                is_levels_file(&Path::new("p").join(name)),
                expected,
                "{name}"
            );
        }
    }
}
