//! How well each level would have foreseen what a user has typed.
//!
//! Called by the server between requests: a figure of real use beside those of the evaluation. The text is scored as
//! the evaluation scores a file, each piece before it is learned.

use std::ops::Range;

use crate::assistant::Assistant;
use crate::error::AssistError;
use crate::mixture::{LevelRow, Mixer};
use crate::stream::{FileStream, View};

/// How often a row's first guess was what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHits {
    /// The row.
    pub row: LevelRow,
    /// Pieces scored.
    pub pieces: usize,
    /// Of these, foreseen.
    pub hits: usize,
}

impl Assistant {
    /// Scores the last of the bytes `typed` of a document, at most `max_pieces` of them. The piece at their end is left out: the word
    /// may go on. Nothing after them is read.
    ///
    /// # Errors
    /// [`AssistError::Text`] for what is no source text, [`AssistError::CursorOutside`] for bytes that the document does not
    /// have.
    pub fn score_typed(
        &self,
        path: &str,
        text: &str,
        typed: Range<usize>,
        max_pieces: usize,
    ) -> Result<Vec<RowHits>, AssistError> {
        let normal = |part: Option<&str>| {
            let part = part.ok_or_else(|| AssistError::CursorOutside {
                path: path.to_owned(),
                offset: typed.end,
                len: text.len(),
            })?;
            let normalised =
                nestor_bsl::normalise(part.as_bytes()).map_err(|source| AssistError::Text {
                    path: path.to_owned(),
                    source,
                })?;
            Ok::<_, AssistError>(normalised.text)
        };
        let start = normal(text.get(..typed.start))?.len();
        let file = FileStream::new(self.tokenizer(), path, normal(text.get(..typed.end))?);
        let pieces = file.pieces();
        let first = pieces.partition_point(|piece| piece.1.start < start);
        let end = pieces.len().saturating_sub(1);
        let places: Vec<usize> = (first.max(end.saturating_sub(max_pieces))..end).collect();
        let rows = self.rows()?;
        let memory = self.memory();
        let mut view = View::new(memory.cache_for(path)?, true);
        if let Some(levels) = memory.levels_for(path) {
            view = view.with_memories(levels.as_ref().clone());
        }
        let vocab = self.model().config().vocab;
        let walked = self.stream().walk(
            &file,
            &mut [view],
            &places,
            &[],
            |moment| {
                let mut mixer = Mixer::default();
                let mut probs = vec![0.0; vocab];
                let truth = file.truth(moment.place);
                let hit = |row| {
                    mixer.mix(row, &moment.scene(), &mut probs)?;
                    let best = (0..).zip(&probs).max_by(|a, b| a.1.total_cmp(b.1));
                    Ok(best.map(|(piece, _)| piece) == truth)
                };
                rows.iter().map(hit).collect::<Result<Vec<bool>, _>>()
            },
            |_, _| Ok(()),
        )?;
        let hits = rows.iter().enumerate().map(|(idx, row)| RowHits {
            row: row.row,
            pieces: places.len(),
            hits: walked
                .answers
                .iter()
                .filter(|of_views| of_views[0][idx])
                .count(),
        });
        Ok(hits.collect())
    }
}
