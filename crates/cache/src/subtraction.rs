//! Part of a learned segment that a query must not see: the text after the cursor of a file the project has learned.
//!
//! Nothing in the nest changes, so sessions can share one project. Made by the caller of `nested` when the cursor jumps.

use std::ops::Range;

use crate::counts::LowOrderCounts;
use crate::error::CacheError;
use crate::ngram::{Ngram, SegmentId};

/// Tokens of one nest that do not count. Only valid for the nest it was made from, until that nest changes.
#[derive(Clone, Debug)]
pub struct Subtraction {
    positions: Range<usize>,
    counts: LowOrderCounts,
}

impl Subtraction {
    /// Hides the tokens `from..` of a segment (0 hides all of it).
    ///
    /// # Errors
    /// [`CacheError::UnknownSegment`] when the segment is not in the nest.
    pub fn new(ngram: &Ngram, segment: SegmentId, from: usize) -> Result<Self, CacheError> {
        let range = ngram.range(segment)?;
        let positions = (range.start + from).min(range.end)..range.end;
        let mut counts = LowOrderCounts::default();
        for at in positions.clone() {
            counts.add(ngram.stream(), range.start, at);
        }
        Ok(Self { positions, counts })
    }

    /// Resident bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.counts.bytes()
    }

    pub(crate) fn covers(&self, position: usize) -> bool {
        self.positions.contains(&position)
    }

    pub(crate) fn counts(&self) -> &LowOrderCounts {
        &self.counts
    }
}
