//! The figures of an evaluation as `nestor eval --json` writes them (DESIGN 4).
//!
//! Called by the protocols, serialised by the command line and the report. A figure that was not measured is `null`.

use nestor_assist::mixture::LevelRow;
use serde::{Deserialize, Serialize};

use crate::bootstrap;
use crate::tally::{N_SLOTS, Tally};

/// Who answered: an exit with the cache, a mixture, or the count-only baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// The cache alone.
    #[serde(rename = "0")]
    Cache,
    /// Exit 1 with the cache.
    #[serde(rename = "1")]
    One,
    /// Exit 2 with the cache.
    #[serde(rename = "2")]
    Two,
    /// Exit 3 with the cache.
    #[serde(rename = "3")]
    Three,
    /// All exits with the cache: the accurate speed.
    #[serde(rename = "all")]
    All,
    /// The count-only baseline.
    #[serde(rename = "ngram")]
    Ngram,
}

impl Level {
    /// The name in tables and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cache => "0",
            Self::One => "1",
            Self::Two => "2",
            Self::Three => "3",
            Self::All => "all",
            Self::Ngram => "ngram",
        }
    }
}

impl From<LevelRow> for Level {
    fn from(row: LevelRow) -> Self {
        match row {
            LevelRow::Cache => Self::Cache,
            LevelRow::One => Self::One,
            LevelRow::Two => Self::Two,
            LevelRow::Three => Self::Three,
            LevelRow::All => Self::All,
        }
    }
}

/// How the scored code was chosen and what was learned before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A codebase never seen, files in path order.
    Project,
    /// Ten folds over the files, nine learned, one scored.
    Maintenance,
    /// Random methods, 90 learned, 10 scored.
    Samples,
}

/// What the counts of a level had learned when a token was scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Adaptation {
    /// The training corpus only. The network still reads the file to the left of the token.
    None,
    /// And the file to the left of the token.
    File,
    /// And the files of the project that come before it.
    Dynamic,
}

impl Adaptation {
    /// Every kind, from the least to the most learned.
    pub const ALL: [Self; 3] = [Self::None, Self::File, Self::Dynamic];

    /// The name in tables and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::File => "file",
            Self::Dynamic => "dynamic",
        }
    }
}

/// One row: a level, on a source, under a protocol and an adaptation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelResult {
    /// Name of the project or corpus.
    pub source: String,
    /// Protocol.
    pub protocol: Protocol,
    /// What had been learned.
    pub adaptation: Adaptation,
    /// Who answered.
    pub level: Level,
    /// The headline: strict top-1 over code tokens.
    pub strict_top1: f64,
    /// The true token among the five of a beam; one position in 50.
    pub strict_top5: Option<f64>,
    /// Teacher-forced top-1 over the model's own pieces, comments and white space included.
    pub token_top1: Option<f64>,
    /// Mean reciprocal rank (beam of five) over identifiers.
    pub identifier_mrr: Option<f64>,
    /// -log2 p of the code tokens, white space given, by character; not measured for the baseline.
    pub bits_per_char: Option<f64>,
    /// Lower end of the 95 % interval of `strict_top1`, files resampled.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Code tokens scored.
    pub positions: u64,
    /// Strict top-1 with case folded.
    pub folded_top1: f64,
    /// CodeXGLUE-compatible: every piece right, the end of the token not checked.
    pub codexglue_top1: f64,
    /// Strict top-1 over identifiers.
    pub identifier_top1: Option<f64>,
    /// Mean reciprocal rank over all ranked positions.
    pub mrr: Option<f64>,
    /// Positions for which a beam was run.
    pub ranked_positions: u64,
    /// Files with at least one scored token.
    pub files: u64,
    /// Strict top-1 by slot; slots that did not occur are left out.
    pub slots: Vec<SlotResult>,
    /// Names decoded by this row; left out where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoded_names: Option<DecodedNames>,
}

/// Strict accuracy in one slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotResult {
    /// Name of the slot.
    pub slot: String,
    /// Strict top-1.
    pub strict_top1: f64,
    /// Code tokens scored.
    pub positions: u64,
    /// The same at the places that the metadata knows, its receiver for instance; left out where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_top1: Option<f64>,
    /// Such places.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub known_positions: u64,
    /// Of these, the share where the metadata offers the true name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<f64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Names that were decoded at places that the metadata knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecodedNames {
    /// Names decoded.
    pub positions: u64,
    /// The share that neither the metadata nor the code has anywhere.
    pub invented: f64,
    /// Of the names decoded where the metadata says that the receiver has no others, the share that it does not have.
    pub outside: Option<f64>,
    /// Such places.
    pub closed_positions: u64,
}

/// A whole evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rows.
    pub results: Vec<LevelResult>,
    /// What was read and what was left out, by source.
    pub sources: Vec<SourceSummary>,
}

impl Evaluation {
    /// Adds the rows and sources of another evaluation.
    pub fn extend(&mut self, other: Self) {
        self.results.extend(other.results);
        self.sources.extend(other.sources);
    }

    /// The row of a source, level and adaptation.
    #[must_use]
    pub fn row(&self, source: &str, level: Level, adaptation: Adaptation) -> Option<&LevelResult> {
        self.results
            .iter()
            .find(|row| row.source == source && row.level == level && row.adaptation == adaptation)
    }
}

/// How much of a source was scored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSummary {
    /// Name of the project or corpus.
    pub source: String,
    /// Files read.
    pub files: u64,
    /// Code tokens in them.
    pub code_tokens: u64,
    /// Code tokens outside methods that occur in the training data.
    pub own_code_tokens: u64,
    /// Code tokens scored: all own ones or an even subset.
    pub scored_code_tokens: u64,
}

/// What a row is about.
#[derive(Clone, Debug)]
pub struct RowLabel {
    /// Name of the project or corpus.
    pub source: String,
    /// Protocol.
    pub protocol: Protocol,
    /// What had been learned.
    pub adaptation: Adaptation,
    /// Who answered.
    pub level: Level,
}

/// Turns the tallies of the files into a row. `seed` is the bootstrap's.
#[must_use]
pub fn level_result(label: RowLabel, files: &[Tally], seed: u64) -> LevelResult {
    let total = Tally::sum(files);
    let shares: Vec<_> = files.iter().map(|file| file.strict).collect();
    let (low, high) = bootstrap::interval(&shares, seed);
    let mean = |(sum, n): (f64, u64)| (n > 0).then(|| sum / n as f64);
    LevelResult {
        source: label.source,
        protocol: label.protocol,
        adaptation: label.adaptation,
        level: label.level,
        strict_top1: total.strict.ratio().unwrap_or(0.0),
        strict_top5: total.top5.ratio(),
        token_top1: total.pieces.ratio(),
        identifier_mrr: mean(total.reciprocal_identifiers),
        // The baseline spells tokens that it has never met at a flat 8 bits a character: no figure to compare with.
        bits_per_char: (total.n_chars > 0 && label.level != Level::Ngram)
            .then(|| total.bits / total.n_chars as f64),
        low,
        high,
        positions: total.strict.total,
        folded_top1: total.folded.ratio().unwrap_or(0.0),
        codexglue_top1: total.codexglue.ratio().unwrap_or(0.0),
        identifier_top1: total.identifiers.ratio(),
        mrr: mean(total.reciprocal),
        ranked_positions: total.top5.total,
        files: shares.iter().filter(|share| share.total > 0).count() as u64,
        slots: (0..N_SLOTS)
            .filter_map(|slot_idx| {
                let share = total.slots[slot_idx];
                Some(SlotResult {
                    slot: SLOT_NAMES[slot_idx].to_owned(),
                    strict_top1: share.ratio()?,
                    positions: share.total,
                    known_top1: total.known_slots[slot_idx].ratio(),
                    known_positions: total.known_slots[slot_idx].total,
                    offered: total.offered[slot_idx].ratio(),
                })
            })
            .collect(),
        decoded_names: total.invented.ratio().map(|invented| DecodedNames {
            positions: total.invented.total,
            invented,
            outside: total.outside.ratio(),
            closed_positions: total.outside.total,
        }),
    }
}

/// Names of the slots in tables and JSON, by index.
pub const SLOT_NAMES: [&str; N_SLOTS] = [
    "after_dot",
    "query_table",
    "query_field",
    "query_parameter",
    "call_argument",
    "structure_key",
    "statement_start",
    "declaration",
    "other",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::{Rank, Verdict};

    #[test]
    fn a_row_serialises_to_the_contract() {
        let mut tally = Tally::default();
        tally.add(&Verdict {
            slot_idx: 0,
            identifier: true,
            strict: true,
            folded: true,
            codexglue: true,
            bits: 3.0,
            n_chars: 6,
            rank: Some(Rank::At(2)),
            known: None,
            spoken: None,
        });
        tally.pieces.add(true);
        let label = RowLabel {
            source: "проект".into(),
            protocol: Protocol::Project,
            adaptation: Adaptation::Dynamic,
            level: Level::One,
        };
        let row = level_result(label, &[tally, Tally::default()], 1);
        let json = serde_json::to_value(&row).expect("plain data");
        assert_eq!(json["level"], "1");
        assert_eq!(json["protocol"], "project");
        assert_eq!(json["adaptation"], "dynamic");
        for (key, expected) in [
            ("strict_top1", 1.0),
            ("strict_top5", 1.0),
            ("token_top1", 1.0),
            ("identifier_mrr", 0.5),
            ("bits_per_char", 0.5),
            ("low", 1.0),
            ("high", 1.0),
        ] {
            assert_eq!(json[key], expected, "{key}");
        }
        assert_eq!(json["positions"], 1);
        assert_eq!(json["slots"][0]["slot"], "after_dot");
        let back: LevelResult = serde_json::from_value(json).expect("its own shape");
        assert_eq!(back, row);
    }

    #[test]
    fn every_slot_has_its_name() {
        let names: Vec<String> = nestor_bsl::code_tokens::Slot::ALL
            .iter()
            .map(|slot| format!("{slot:?}").to_lowercase())
            .collect();
        assert_eq!(names, SLOT_NAMES.map(|name| name.replace('_', "")));
    }

    #[test]
    fn nothing_measured_is_null_not_nan() {
        let label = RowLabel {
            source: "пусто".into(),
            protocol: Protocol::Samples,
            adaptation: Adaptation::None,
            level: Level::Ngram,
        };
        let json = serde_json::to_value(level_result(label, &[], 1)).expect("plain data");
        assert_eq!(json["token_top1"], serde_json::Value::Null);
        assert_eq!(json["level"], "ngram");
        assert_eq!(json["strict_top1"], 0.0);
    }
}
