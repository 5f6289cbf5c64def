//! What a project has taught levels 2 and 3: a file beside the log that can be rebuilt from it at any time.
//!
//! The file names the weights it was learned over, the generation and the changes it has seen. It counts only while all of
//! that still holds and no text that it has seen was taken back: after a rollback, a forgotten file, or with another model the
//! project stands without it until it is taught anew, which is slower and never wrong. Called by `assist`, which owns the
//! network.

use std::fs;
use std::path::PathBuf;

use nestor_engine::{LevelMemories, LevelMemoriesConfig, Model};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::MemoryError;
use crate::files;
use crate::record::{Operation, Record};
use crate::store::ProjectStore;
use crate::writer::ProjectWriter;

/// Magic 8, version 4, length of the state 4, SHA-256 of the state 32.
const HEADER_LEN: usize = 48;
const MAGIC: &[u8; 8] = b"NestorPL";
const VERSION: u32 = 1;

/// Name of the file in a project's folder.
pub const LEVELS_FILE: &str = "levels.bin";

/// Memories of levels 2 and 3 with what they have seen.
#[derive(Clone, Debug)]
pub struct TaughtLevels {
    /// The memories.
    pub memories: LevelMemories,
    /// The last change that has taught them.
    pub seq: u64,
}

/// A text that has not taught levels 2 and 3 yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untaught {
    /// The change that learned it.
    pub seq: u64,
    /// Its path.
    pub path: String,
    /// Pieces in it.
    pub pieces: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    model_sha256: String,
    generation: u64,
    /// The last change that has taught the memories.
    seq: u64,
    /// Changes that the project had when they were kept: nothing that they have seen was taken back by those.
    history: u64,
}

impl ProjectStore {
    /// The memories that the project has taught over a model; `None` where it has taught none, or where they have seen what no
    /// longer counts.
    ///
    /// # Errors
    /// [`MemoryError::Corrupt`] or [`MemoryError::Version`] for a file that is not what was written.
    pub fn load_levels(
        &self,
        config: LevelMemoriesConfig,
        model: &Model,
    ) -> Result<Option<TaughtLevels>, MemoryError> {
        let path = self.levels_path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(MemoryError::io(&path)(error)),
        };
        let (state, rest) = self.read_state(&bytes)?;
        if !self.is_fresh(&state, model) {
            return Ok(None);
        }
        let memories = LevelMemories::from_bytes(config, model, rest)
            .map_err(|error| MemoryError::corrupt(&path, error))?;
        Ok(Some(TaughtLevels {
            memories,
            seq: state.seq,
        }))
    }

    /// Pieces that count and have taught levels 2 and 3, as far as can be told without a model: with another one than that of
    /// the memories none of them counts.
    #[must_use]
    pub fn taught_pieces(&self) -> u64 {
        let Ok(bytes) = fs::read(self.levels_path()) else {
            return 0;
        };
        match self.read_state(&bytes) {
            Ok((state, _)) if self.holds_still(&state) => {
                let pieces_after = |seq| -> u64 {
                    let untaught = self.untaught(seq);
                    untaught.iter().map(|file| u64::from(file.pieces)).sum()
                };
                pieces_after(0) - pieces_after(state.seq)
            }
            _ => 0,
        }
    }

    /// The texts that may teach levels 2 and 3 and were learned after change `seq`, in that order.
    #[must_use]
    pub fn untaught(&self, seq: u64) -> Vec<Untaught> {
        let mut files: Vec<Untaught> = self
            .files()
            .filter(|(_, file)| file.seq > seq && file.teaches_levels())
            .map(|(path, file)| Untaught {
                seq: file.seq,
                path: path.to_owned(),
                pieces: file.pieces,
            })
            .collect();
        files.sort_unstable_by_key(|file| file.seq);
        files
    }

    fn levels_path(&self) -> PathBuf {
        self.dir.join(LEVELS_FILE)
    }

    fn read_state<'a>(&self, bytes: &'a [u8]) -> Result<(State, &'a [u8]), MemoryError> {
        let path = self.levels_path();
        let corrupt = |reason: &str| MemoryError::corrupt(&path, reason);
        let (header, rest) = bytes
            .split_at_checked(HEADER_LEN)
            .ok_or_else(|| corrupt("it ends inside its header"))?;
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
                path,
                found: number(8).to_string(),
                supported: VERSION,
            });
        }
        let (state, rest) = rest
            .split_at_checked(number(12) as usize)
            .ok_or_else(|| corrupt("it ends inside its header"))?;
        if Sha256::digest(state)[..] != header[16..] {
            return Err(corrupt("its SHA-256 does not match its state"));
        }
        let state: State =
            serde_json::from_slice(state).map_err(|error| MemoryError::corrupt(&path, error))?;
        if state.seq > state.history {
            return Err(corrupt("it has seen changes that it says were not there"));
        }
        Ok((state, rest))
    }

    /// Whether memories of this state may be used with a model.
    fn is_fresh(&self, state: &State, model: &Model) -> bool {
        weights_of(model) == state.model_sha256 && self.holds_still(state)
    }

    /// Whether nothing that memories of this state have seen was taken back. A text that was replaced since was taught as it was;
    /// the new one is taught after it, and the old one fades. So does that of a file that its source no longer has: it may be
    /// back with the next switch of a branch.
    fn holds_still(&self, state: &State) -> bool {
        let taken_back = |record: &Record| {
            matches!(
                record.op,
                Operation::Forget { erased: true, .. } | Operation::Rollback { .. }
            )
        };
        let since = self.records.get(state.history as usize..);
        self.header.generation == state.generation
            && since.is_some_and(|since| !since.iter().any(taken_back))
    }
}

/// SHA-256 of a model's weights; empty for a model that lies in no folder.
fn weights_of(model: &Model) -> String {
    let manifest = model.manifest();
    manifest.map_or_else(String::new, |manifest| manifest.weights_sha256.clone())
}

/// Removes memories of an earlier generation: they may hold what was forgotten. Damaged ones are removed too, for they can
/// be made again.
pub(crate) fn remove_outdated(store: &ProjectStore) -> Result<(), MemoryError> {
    let path = store.levels_path();
    let kept = match fs::read(&path) {
        Ok(bytes) => {
            let state = store.read_state(&bytes);
            state.is_ok_and(|(state, _)| state.generation == store.header.generation)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // What cannot be read cannot be known to be innocent.
        Err(_) => false,
    };
    if kept {
        return Ok(());
    }
    files::remove(&path).map_err(|source| MemoryError::NotErased { path, source })
}

impl ProjectWriter {
    /// Keeps what the project has taught over a model; the file appears whole or not at all.
    ///
    /// # Errors
    /// [`MemoryError::Io`], for instance when the disk is full; the earlier file then stays.
    pub fn save_levels(&mut self, levels: &TaughtLevels, model: &Model) -> Result<(), MemoryError> {
        // The changes that the memories have seen must not be lost behind them.
        self.commit()?;
        let state = State {
            model_sha256: weights_of(model),
            generation: self.header.generation,
            seq: levels.seq,
            history: self.last_seq(),
        };
        let path = self.levels_path();
        let state = serde_json::to_vec(&state).map_err(|e| MemoryError::corrupt(&path, e))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(state.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&Sha256::digest(&state));
        bytes.extend_from_slice(&state);
        bytes.extend_from_slice(&levels.memories.to_bytes());
        files::replace(&path, &bytes)
    }
}
