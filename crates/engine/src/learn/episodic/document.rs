//! States of an open document, recalled beside those that a project has remembered.
//!
//! They follow the document: appended as it is read, cut off where it was edited. So there are few, none has an id, and a query reads all of
//! them.

use super::{Coded, Episodic, Hit, Query, Recalled, direction, encode, vote};
use crate::EngineError;
use crate::session::check_length;
use std::ops::Range;

/// Ids that states of a document count as having: newer than all that were remembered.
const FIRST_ID: u64 = 1 << 62;

/// Rows of a document, each with the token that followed. A clone is a copy.
#[derive(Debug, Clone)]
pub struct DocumentStates {
    width: usize,
    rows: Coded,
    tokens: Vec<u32>,
}

impl DocumentStates {
    /// None yet, of rows of a width.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            rows: Coded::default(),
            tokens: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Bytes that they hold.
    pub fn bytes(&self) -> usize {
        self.len() * (self.width + 8)
    }

    /// Keeps the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
        self.rows.scales.truncate(len);
        self.rows.codes.truncate(len * self.width);
    }

    /// Keeps the last `len`.
    pub fn keep_last(&mut self, len: usize) {
        let gone = self.len().saturating_sub(len);
        self.tokens.drain(..gone);
        self.rows.scales.drain(..gone);
        self.rows.codes.drain(..gone * self.width);
    }

    /// Appends rows `[n, d]` with the n tokens that followed. A row without a direction keeps its place and is never found.
    ///
    /// # Errors
    /// [`EngineError::Length`] for rows of another width.
    pub fn push(&mut self, rows: &[f32], tokens: &[u32]) -> Result<(), EngineError> {
        check_length("rows of an exit", rows.len(), tokens.len() * self.width)?;
        for (row, token) in rows.chunks_exact(self.width).zip(tokens) {
            match direction(row) {
                Some(unit) => {
                    let (codes, scale) = encode(&unit);
                    self.rows.push((&codes, scale));
                }
                None => self.rows.push((&vec![0; self.width], 0.0)),
            }
            self.tokens.push(*token);
        }
        Ok(())
    }

    /// Puts those among `hits`, which come nearest first, that are among the `k` nearest.
    fn join(&self, query: &Query, k: usize, hits: &mut Vec<Hit>) {
        let (mut products, mut cosines) = (Vec::new(), Vec::new());
        self.rows.cosines(0, query, &mut products, &mut cosines);
        for (at, similarity) in cosines.iter().enumerate() {
            let hit = Hit {
                similarity: *similarity,
                id: FIRST_ID + at as u64,
                token: self.tokens[at],
            };
            if self.rows.scales[at] == 0.0
                || hits.len() == k && !hits.last().is_some_and(|worst| hit.beats(worst))
            {
                continue;
            }
            let place = hits.partition_point(|other| other.beats(&hit));
            hits.insert(place, hit);
            hits.truncate(k);
        }
    }
}

impl Episodic {
    /// [`Episodic::query_batch_hiding`] with the states of an open document among those that are looked through.
    ///
    /// # Errors
    /// As [`Episodic::query`].
    pub(in crate::learn) fn query_beside(
        &self,
        rows: &[f32],
        k: usize,
        temperature: f32,
        hidden: &[Range<u64>],
        document: &DocumentStates,
    ) -> Result<Vec<Option<Recalled>>, EngineError> {
        self.check_query(rows, k, temperature)?;
        let answer = |row: &[f32]| {
            let query = Query::new(&direction(row)?);
            let mut hits = self.nearest(&query, k, hidden);
            document.join(&query, k, &mut hits);
            vote(&hits, temperature)
        };
        Ok(rows.chunks_exact(self.width).map(answer).collect())
    }
}
