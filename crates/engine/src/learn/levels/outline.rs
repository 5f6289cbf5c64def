//! Memories of levels 2 and 3 without the rows of the nearest states, which the texts that were taught give again.
//!
//! Called by `memory` to keep several older states of a project in little room, and by `assist`, which knows the texts.

use super::super::episodic::{Episodic, Missing};
use super::super::frame::Kind;
use super::{DocumentReader, EPISODIC_EXIT, LevelMemories, LevelMemoriesConfig};
use crate::{EngineError, Model};
use std::sync::Arc;

static SAVED: Kind = Kind {
    magic: b"NestorLO",
    version: 2,
    what: "the outline of memories of levels 2 and 3",
};

/// Memories whose nearest states are not there yet.
#[derive(Debug, Clone)]
pub struct LevelsOutline {
    memories: LevelMemories,
    missing: Missing,
}

impl LevelMemories {
    /// The memories without their nearest states, as bytes that [`LevelsOutline::from_bytes`] reads.
    pub fn to_outline_bytes(&self) -> Vec<u8> {
        self.seal(&SAVED, self.episodic.outline())
    }
}

impl LevelsOutline {
    /// An outline from its bytes, for the same network.
    ///
    /// # Errors
    /// As [`LevelMemories::from_bytes`].
    pub fn from_bytes(
        config: LevelMemoriesConfig,
        model: &Model,
        bytes: &[u8],
    ) -> Result<Self, EngineError> {
        let (mut memories, states) = LevelMemories::open(config, model, &SAVED, bytes)?;
        let (vocab, width) = (model.config().vocab, model.config().width);
        let (episodic, missing) = Episodic::from_outline(config.episodic, vocab, width, states)?;
        memories.episodic = Arc::new(episodic);
        Ok(Self { memories, missing })
    }

    /// The tokens, back from the last one taught, that must be read again.
    pub fn reach(&self) -> u64 {
        self.missing.reach()
    }

    /// Whether a document of `n` tokens need not be read again, the last of which was taught `back` tokens before the last one of all.
    pub fn lacks_nothing_of(&self, n: u64, back: u64) -> bool {
        self.missing.has_none_in(n, back)
    }

    /// Reads a document again that was taught, the last of whose tokens was taught `back` tokens before the last one of all.
    ///
    /// # Errors
    /// Those of the network; [`EngineError::Memory`] when this is not the text that was taught.
    pub fn read_again(
        &mut self,
        model: &Arc<Model>,
        opening: &[u32],
        text: &[u32],
        back: u64,
        threads: usize,
    ) -> Result<(), EngineError> {
        let mut reader = DocumentReader::new(Arc::clone(model), opening, threads)?;
        let mut first = self
            .memories
            .tokens
            .checked_sub(back + text.len() as u64)
            .ok_or_else(|| SAVED.wrong("a text is longer than all that was taught"))?;
        let episodic = Arc::make_mut(&mut self.memories.episodic);
        for chunk in text.chunks(LevelMemories::CHUNK) {
            let rows = reader.read(chunk)?;
            if let Some(rows) = rows.get(EPISODIC_EXIT) {
                episodic.put_back(&mut self.missing, first, rows, chunk)?;
            }
            first += chunk.len() as u64;
        }
        Ok(())
    }

    /// The memories as they were.
    ///
    /// # Errors
    /// [`EngineError::Memory`] when states are missing still.
    pub fn finish(self) -> Result<LevelMemories, EngineError> {
        Episodic::check_whole(&self.missing)?;
        Ok(self.memories)
    }

    /// The memories without the nearest states, which stay silent.
    pub fn without_states(self) -> LevelMemories {
        self.memories.without_episodic()
    }
}
