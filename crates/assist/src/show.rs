//! When a completion is worth showing: a small model of what a completion is like, fitted on replayed commits.
//!
//! A wrong completion costs its reader more than a missing one. The probability of a mixture says how sure its parts are, not how often such
//! completions are right; this rule says the latter. It is fitted by the evaluation from what the protocol "commits" has
//! logged; `show.json` of a model folder. It sees figures, never text.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::complete::Completion;
use crate::error::AssistError;

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

/// Marks that have a weight of their own.
const MARKS: [char; 6] = [' ', '.', '(', ',', '=', '&'];

/// Numbers that the rule weighs.
const N_FEATURES: usize = 8 + MARKS.len();

const FORMAT_VERSION: u32 = 1;

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

    fn numbers(&self) -> [f32; N_FEATURES] {
        let log = |p: f32| (p + 1e-4).ln();
        let count = |n: usize| (1.0 + n as f32).ln();
        let mut numbers = [0.0; N_FEATURES];
        numbers[..8].copy_from_slice(&[
            log(self.confidence),
            log(self.least),
            count(self.pieces),
            count(self.chars),
            count(self.typed),
            self.names,
            self.file,
            self.project,
        ]);
        for (number, mark) in numbers[8..].iter_mut().zip(MARKS) {
            *number = f32::from(u8::from(mark == self.mark));
        }
        numbers
    }
}

/// A logistic regression over [`ShowFeatures`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShowRule {
    format_version: u32,
    means: Vec<f32>,
    scales: Vec<f32>,
    weights: Vec<f32>,
    bias: f32,
    /// Completions of at least this probability are worth showing.
    pub threshold: f32,
}

/// Steps of the fit, and how much weights are drawn to zero.
const STEPS: usize = 2_000;
const DECAY: f32 = 1e-3;

impl ShowRule {
    /// Fits the rule to completions and whether they were right, by gradient descent on the logistic loss. `None` when all were right or
    /// all wrong.
    #[must_use]
    pub fn fit(examples: &[(ShowFeatures, bool)], threshold: f32) -> Option<Self> {
        let n_right = examples.iter().filter(|(_, is_right)| *is_right).count();
        if n_right == 0 || n_right == examples.len() {
            return None;
        }
        let rows: Vec<[f32; N_FEATURES]> = examples.iter().map(|(one, _)| one.numbers()).collect();
        let n = rows.len() as f32;
        let mut rule = Self {
            format_version: FORMAT_VERSION,
            means: vec![0.0; N_FEATURES],
            scales: vec![1.0; N_FEATURES],
            weights: vec![0.0; N_FEATURES],
            bias: 0.0,
            threshold,
        };
        for feature in 0..N_FEATURES {
            let mean = rows.iter().map(|row| row[feature]).sum::<f32>() / n;
            let square = rows
                .iter()
                .map(|row| (row[feature] - mean).powi(2))
                .sum::<f32>()
                / n;
            rule.means[feature] = mean;
            rule.scales[feature] = square.sqrt().max(1e-3);
        }
        for _ in 0..STEPS {
            let mut slope = [0.0; N_FEATURES];
            let mut bias_slope = 0.0;
            for (row, (_, is_right)) in rows.iter().zip(examples) {
                let error = rule.of_numbers(row) - f32::from(u8::from(*is_right));
                bias_slope += error;
                for (feature, slope) in slope.iter_mut().enumerate() {
                    *slope += error * (row[feature] - rule.means[feature]) / rule.scales[feature];
                }
            }
            rule.bias -= 0.5 * bias_slope / n;
            for (weight, slope) in rule.weights.iter_mut().zip(slope) {
                *weight -= 0.5 * (slope / n + DECAY * *weight);
            }
        }
        Some(rule)
    }

    /// Probability that a completion is right.
    #[must_use]
    pub fn probability(&self, features: &ShowFeatures) -> f32 {
        self.of_numbers(&features.numbers())
    }

    /// Whether it is worth showing.
    #[must_use]
    pub fn shows(&self, features: &ShowFeatures) -> bool {
        features.pieces > 0 && self.probability(features) >= self.threshold
    }

    fn of_numbers(&self, numbers: &[f32; N_FEATURES]) -> f32 {
        let of_feature = |feature: usize| {
            let number = (numbers[feature] - self.means[feature]) / self.scales[feature];
            self.weights[feature] * number.clamp(-5.0, 5.0)
        };
        let sum = self.bias + (0..N_FEATURES).map(of_feature).sum::<f32>();
        1.0 / (1.0 + (-sum).exp())
    }

    /// Writes `show.json`.
    ///
    /// # Errors
    /// [`AssistError::ModelFile`] naming the file when it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), AssistError> {
        let bytes = serde_json::to_vec(self).expect("numbers are plain data");
        let beside = path.with_extension("json.part");
        let written = std::fs::write(&beside, bytes);
        written
            .and_then(|()| std::fs::rename(&beside, path))
            .map_err(|source| AssistError::ModelFile {
                path: path.to_owned(),
                reason: source.to_string(),
            })
    }

    /// Reads `show.json`.
    ///
    /// # Errors
    /// [`AssistError::ModelFile`] naming the file when it is none, of another version, or has wrong numbers.
    pub fn load(path: &Path) -> Result<Self, AssistError> {
        let error = |reason: String| AssistError::ModelFile {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|source| error(source.to_string()))?;
        let rule: Self =
            serde_json::from_slice(&bytes).map_err(|source| error(source.to_string()))?;
        if rule.format_version != FORMAT_VERSION {
            return Err(error(format!(
                "format version {} is unknown, this program reads {FORMAT_VERSION}",
                rule.format_version
            )));
        }
        let lists = [&rule.means, &rule.scales, &rule.weights];
        let is_whole = lists
            .iter()
            .all(|list| list.len() == N_FEATURES && list.iter().all(|number| number.is_finite()));
        if !is_whole || rule.scales.iter().any(|scale| *scale <= 0.0) || !rule.bias.is_finite() {
            return Err(error(format!(
                "it needs {N_FEATURES} finite numbers of each sort"
            )));
        }
        Ok(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(confidence: f32, mark: char) -> ShowFeatures {
        ShowFeatures {
            confidence,
            least: confidence,
            pieces: 2,
            chars: 5,
            typed: 3,
            mark,
            names: 0.0,
            file: 0.5,
            project: 0.1,
        }
    }

    #[test]
    fn the_rule_learns_how_often_such_completions_are_right() {
        // Behind a dot sure completions are right, behind `(` half of them.
        let examples: Vec<_> = (0..400)
            .map(|idx| {
                let confidence = (idx % 20) as f32 / 20.0;
                let mark = if idx % 40 < 20 { '.' } else { '(' };
                let is_right = confidence > 0.5 && (mark == '.' || idx % 80 < 40);
                (features(confidence, mark), is_right)
            })
            .collect();
        let rule = ShowRule::fit(&examples, 0.6).unwrap();
        assert!(rule.shows(&features(0.95, '.')));
        assert!(!rule.shows(&features(0.2, '.')));
        assert!(rule.probability(&features(0.95, '.')) > rule.probability(&features(0.95, '(')));
        // Calibrated in the mean: the fit's own condition.
        let mean: f32 = examples
            .iter()
            .map(|(one, _)| rule.probability(one))
            .sum::<f32>()
            / 400.0;
        let right = examples.iter().filter(|(_, is_right)| *is_right).count() as f32 / 400.0;
        assert!((mean - right).abs() < 0.01, "{mean} {right}");
        assert_eq!(ShowRule::fit(&examples[..1], 0.6), None);
    }

    #[test]
    fn a_file_that_is_no_rule_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("show.json");
        for text in [
            "",
            "{}",
            r#"{"format_version":2,"means":[],"scales":[],"weights":[],"bias":0.0,"threshold":0.5}"#,
            r#"{"format_version":1,"means":[],"scales":[],"weights":[],"bias":0.0,"threshold":0.5}"#,
        ] {
            std::fs::write(&path, text).unwrap();
            let error = ShowRule::load(&path).unwrap_err().to_string();
            assert!(error.contains("show.json"), "{error}");
        }
    }
}
