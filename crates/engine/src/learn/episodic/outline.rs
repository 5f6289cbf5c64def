//! An episodic memory without its states: what cannot be made again by reading the texts once more.
//!
//! Rows of an exit depend on the text alone, so an older memory need not keep a copy of them: ids and lists of the states, the
//! leaders and the counters are enough to put every state back where it was, bit for bit.

use super::super::frame::{Kind, Put};
use super::{Episodic, EpisodicConfig, direction, encode};
use crate::EngineError;
use crate::session::check_length;
use std::collections::VecDeque;

static SAVED: Kind = Kind {
    magic: b"nestorEo",
    version: 1,
    what: "the outline of an episodic memory",
};

/// States that a memory had, by id, with the list of each.
#[derive(Debug, Clone, Default)]
pub(in crate::learn) struct Missing {
    places: VecDeque<(u64, u32)>,
    next_id: u64,
}

impl Missing {
    /// Ids back from the newest, so many that all missing states are among them.
    pub fn reach(&self) -> u64 {
        let first = self.places.front();
        first.map_or(0, |(id, _)| self.next_id - id)
    }

    /// Whether none is missing among the `n` ids that end so many tokens back from the newest.
    pub fn has_none_in(&self, n: u64, back: u64) -> bool {
        let end = self.next_id.saturating_sub(back);
        let ids = end.saturating_sub(n)..end;
        let first = self.places.partition_point(|(id, _)| *id < ids.start);
        self.places.get(first).is_none_or(|(id, _)| *id >= ids.end)
    }
}

impl Episodic {
    /// The memory without its states, as bytes that [`Episodic::from_outline`] reads.
    pub(in crate::learn) fn outline(&self) -> Vec<u8> {
        let mut places: Vec<(u64, u32)> = Vec::with_capacity(self.order.len());
        for (index, list) in self.lists.iter().enumerate() {
            places.extend(list.ids[list.gone..].iter().map(|id| (*id, index as u32)));
        }
        places.sort_unstable();
        let (ids, lists): (Vec<u64>, Vec<u32>) = places.into_iter().unzip();
        let mut body = Vec::new();
        self.put_head(&mut body);
        body.put_u32s(&[ids.len() as u32]);
        body.put_u64s(&ids);
        body.put_u32s(&lists);
        SAVED.seal(&body)
    }

    /// A memory from its outline, and the states that it lacks.
    ///
    /// # Errors
    /// As [`Episodic::from_bytes`].
    pub(in crate::learn) fn from_outline(
        config: EpisodicConfig,
        vocab: usize,
        width: usize,
        bytes: &[u8],
    ) -> Result<(Self, Missing), EngineError> {
        let mut reader = SAVED.open(bytes)?;
        let memory = Self::read_head(config, vocab, width, &mut reader)?;
        let states = reader.u32()? as usize;
        let ids = reader.u64s(states)?;
        let lists = reader.u32s(states)?;
        reader.finish()?;
        let reason = if states > config.capacity {
            "it has more states than are allowed"
        } else if !ids.is_sorted_by(|a, b| a < b) {
            "its ids do not ascend"
        } else if ids.last().is_some_and(|id| *id >= memory.next_id) {
            "an id was not given yet"
        } else if lists.iter().any(|at| *at as usize >= memory.lists.len()) {
            "a state stands in no list"
        } else {
            let missing = Missing {
                places: ids.into_iter().zip(lists).collect(),
                next_id: memory.next_id,
            };
            return Ok((memory, missing));
        };
        Err(SAVED.wrong(reason))
    }

    /// Puts back the states of rows `[n, d]` that had the ids from `first` on; rows that are not missing are passed over.
    ///
    /// # Errors
    /// [`EngineError::Memory`] when the rows are not those that the memory had, [`EngineError::Length`] when they do not fit.
    pub(in crate::learn) fn put_back(
        &mut self,
        missing: &mut Missing,
        first: u64,
        rows: &[f32],
        tokens: &[u32],
    ) -> Result<(), EngineError> {
        check_length("rows of an exit", rows.len(), tokens.len() * self.width)?;
        for ((id, row), token) in (first..).zip(rows.chunks_exact(self.width)).zip(tokens) {
            let Some((_, list)) = missing.places.pop_front_if(|place| place.0 == id) else {
                continue;
            };
            let Some(unit) = direction(row) else {
                return Err(SAVED.wrong(format!("row {id} has no direction, and it had one")));
            };
            let (codes, scale) = encode(&unit);
            self.lists[list as usize].push((&codes, scale), *token, id);
            self.order.push_back(list);
        }
        Ok(())
    }

    /// Checks that nothing is missing any more.
    ///
    /// # Errors
    /// [`EngineError::Memory`] naming the first state that is.
    pub(in crate::learn) fn check_whole(missing: &Missing) -> Result<(), EngineError> {
        match missing.places.front() {
            None => Ok(()),
            Some((id, _)) => Err(SAVED.wrong(format!("state {id} was not read again"))),
        }
    }
}
