//! What a completion is like, in figures that may tell whether it is worth showing.
//!
//! The protocol "commits" of the evaluation logs them; a rule of showing can be fitted to them. It sees figures, never text.

use serde::{Deserialize, Serialize};

use crate::complete::Completion;

/// What tells whether a completion is right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShowFeatures {
    /// Probability that all of it is right, by the mixture.
    pub confidence: f32,
    /// The least probable piece.
    pub least: f32,
    /// Pieces.
    pub pieces: usize,
    /// Characters.
    pub chars: usize,
    /// Characters of the line before the cursor, white space at its start not counted.
    pub typed: usize,
    /// The mark before the cursor; a space for the start of the line.
    pub mark: char,
    /// The share of the names that metadata offers.
    pub names: f32,
    /// The share of the open file's counts.
    pub file: f32,
    /// The share of the project's counts.
    pub project: f32,
}

impl ShowFeatures {
    /// Those of a completion behind `line`, the text of its line before the cursor.
    #[must_use]
    pub fn new(completion: &Completion, line: &str) -> Self {
        let share = |part: &str| {
            let found = completion
                .contributions
                .iter()
                .find(|share| share.part == part);
            found.map_or(0.0, |share| share.share)
        };
        let probabilities = completion.tokens.iter().map(|token| token.probability);
        let before = line.trim();
        Self {
            confidence: completion.confidence,
            least: probabilities.fold(1.0, f32::min),
            pieces: completion.tokens.len(),
            chars: completion.insert.chars().count(),
            typed: before.chars().count(),
            mark: before.chars().next_back().unwrap_or(' '),
            names: share("names"),
            file: share("file"),
            project: share("project"),
        }
    }
}
