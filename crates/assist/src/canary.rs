//! Whether a stretch of teaching did harm: losses before and after it, on the project's own code and on code of no project.
//!
//! Called by `teach` at the end of each stretch. Losses are those that completion lives with: the exits with their memories as far as
//! these are believed, and the second exit with the nearest states beside it. Texts go through the network once, for its rows
//! depend on no memory. The tolerances and what they were measured on stand in docs/levels.md.

use std::sync::Arc;

use nestor_engine::{
    Document, DocumentReader, EngineError, LevelMemories, LevelMemoriesConfig, MemoryParts, Model,
};
use nestor_memory::Harm;

use crate::assistant::Assistant;
use crate::error::AssistError;
use crate::stream::FileStream;

/// How a canary looks for harm. Rises are shares of the loss of a network which has learned nothing: what the memories know by heart
/// has a loss near zero, and any share of that is little.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CanaryConfig {
    /// Pieces after which it is asked whether they did harm; the file that reaches them is taught whole.
    pub stretch: u64,
    /// Pieces of the project's own code that are read.
    pub own_pieces: usize,
    /// Pieces of each of three fixed texts that are read.
    pub fixed_pieces: usize,
    /// How far the loss on own code may rise over what it was before the stretch.
    pub own_over_before: f64,
    /// How far a loss may lie above that of a network which has learned nothing.
    pub over_base: f64,
}

impl Default for CanaryConfig {
    fn default() -> Self {
        Self {
            stretch: 65_536,
            own_pieces: 512,
            fixed_pieces: 512,
            own_over_before: 0.3,
            over_base: 0.10,
        }
    }
}

/// The part of the own code that is of one file at most.
const OWN_FILES: usize = 2;

/// Chunks of the fixed text of which one is scored, so that more places are seen at the same cost.
const FIXED_STRIDE: usize = 2;

/// The part that the nearest states have in the loss of the second exit with them.
const RECALL_SHARE: f32 = 0.25;

/// What a probability counts as at least.
const LEAST_PROBABILITY: f32 = 1e-30;

/// A stretch is blamed for a loss over that of the base only if it has raised it by so much itself.
const OWN_PART: f64 = 0.003;

/// Code that no project of a user's has: written for this, Russian and English.
const FIXED_TEXTS: [(&str, &str); 3] = [
    (
        "Documents/Ремонт/Ext/ObjectModule.bsl",
        include_str!("canary/posting.bsl"),
    ),
    (
        "Documents/Ремонт/Forms/ФормаДокумента/Ext/Form/Module.bsl",
        include_str!("canary/form.bsl"),
    ),
    (
        "CommonModules/RepairService/Ext/Module.bsl",
        include_str!("canary/service.bsl"),
    ),
];

/// What a stretch of teaching did to a loss that it must not do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Harmed {
    pub harm: Harm,
    /// As a share of the loss without memories; `None` where there is no number.
    pub rise: Option<f64>,
}

impl Harmed {
    const BROKEN: Self = Self {
        harm: Harm::Broken,
        rise: None,
    };
}

/// Bits a piece, by what they were lost with.
type Losses = Vec<f64>;

/// The losses on both kinds of text.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Empty where there is no own code to score.
    own: Losses,
    fixed: Losses,
}

/// The texts that harm would show on.
pub(crate) struct Canary {
    config: CanaryConfig,
    model: Arc<Model>,
    threads: usize,
    silent: LevelMemories,
    fixed: Probe,
    fixed_base: Losses,
    own: Probe,
    own_base: Losses,
}

impl Canary {
    pub fn new(assistant: &Assistant, config: CanaryConfig) -> Result<Self, AssistError> {
        let model = Arc::clone(assistant.model());
        let threads = rayon::current_num_threads();
        // Without memories, however they start.
        let parts = MemoryParts {
            level2: false,
            level3: false,
            episodic: false,
        };
        let silent = LevelMemoriesConfig {
            parts,
            ..LevelMemoriesConfig::default()
        };
        let silent = LevelMemories::new(silent, &model)?;
        let mut fixed = Probe::default();
        for (path, text) in FIXED_TEXTS {
            let stream = FileStream::new(assistant.tokenizer(), path, text.to_owned());
            let (opening, text) = stream.opening_and_text();
            let document = Document {
                strand: None,
                opening,
                text: &text[..text.len().min(config.fixed_pieces)],
                recalled: true,
            };
            fixed.read(&model, document, FIXED_STRIDE, threads)?;
        }
        Ok(Self {
            config,
            fixed_base: fixed.losses(&model, &silent, threads)?,
            own_base: Losses::new(),
            own: Probe::default(),
            fixed,
            silent,
            threads,
            model,
        })
    }

    /// Takes other code of the project's own.
    pub fn set_own<'a>(
        &mut self,
        documents: impl Iterator<Item = Document<'a>>,
    ) -> Result<(), AssistError> {
        self.own = Probe::default();
        for mut document in documents {
            let n = document.text.len().min(self.config.own_pieces_of_file());
            document.text = &document.text[..n];
            self.own.read(&self.model, document, 1, self.threads)?;
        }
        self.own_base = self.own.losses(&self.model, &self.silent, self.threads)?;
        Ok(())
    }

    /// The losses with some memories.
    pub fn measure(&self, levels: &LevelMemories) -> Result<Measured, AssistError> {
        Ok(Measured {
            own: self.own.losses(&self.model, levels, self.threads)?,
            fixed: self.fixed.losses(&self.model, levels, self.threads)?,
        })
    }

    /// The losses on own code alone, with the others as they are known.
    pub fn measure_own(
        &self,
        levels: &LevelMemories,
        known: Measured,
    ) -> Result<Measured, AssistError> {
        Ok(Measured {
            own: self.own.losses(&self.model, levels, self.threads)?,
            fixed: known.fixed,
        })
    }

    /// The losses after a stretch, or the harm that it did.
    pub fn judge(
        &self,
        before: &Measured,
        levels: &LevelMemories,
    ) -> Result<Result<Measured, Harmed>, AssistError> {
        let after = match self.measure(levels) {
            Err(AssistError::Engine(EngineError::NotFinite { .. })) => {
                return Ok(Err(Harmed::BROKEN));
            }
            other => other?,
        };
        let config = &self.config;
        let harm = config
            .harm_of_own(&before.own, &after.own, &self.own_base)
            .or_else(|| config.harm_of_fixed(&before.fixed, &after.fixed, &self.fixed_base));
        Ok(harm.map_or(Ok(after), Err))
    }
}

/// Whether learning has failed in a way that the memories may not survive.
pub(crate) fn is_broken(error: &AssistError) -> Option<Harmed> {
    let broken = matches!(error, AssistError::Engine(EngineError::NotFinite { .. }));
    broken.then_some(Harmed::BROKEN)
}

impl CanaryConfig {
    /// Pieces of one file of the own code at most, so that it is of several.
    pub(crate) fn own_pieces_of_file(&self) -> usize {
        self.own_pieces / OWN_FILES
    }

    fn harm_of_own(&self, before: &[f64], after: &[f64], base: &[f64]) -> Option<Harmed> {
        let rise = largest_rise(before, after, base);
        let harm = harm_if(Harm::Project, rise, self.own_over_before);
        harm.or_else(|| self.harm_over_base(Harm::Project, before, after, base))
    }

    /// What is near in a project need not help elsewhere, and the gate knows it; so only the exits are looked at.
    fn harm_of_fixed(&self, before: &[f64], after: &[f64], base: &[f64]) -> Option<Harmed> {
        let exits = |losses: &[f64]| losses.iter().skip(1).copied().collect::<Vec<_>>();
        self.harm_over_base(Harm::General, &exits(before), &exits(after), &exits(base))
    }

    /// The harm of a loss that has risen too far over the base's, by this stretch's doing.
    fn harm_over_base(
        &self,
        harm: Harm,
        before: &[f64],
        after: &[f64],
        base: &[f64],
    ) -> Option<Harmed> {
        let losses = before.iter().zip(after).zip(base);
        losses
            .filter(|((before, after), _)| {
                let rise = *after / *before - 1.0;
                rise.is_nan() || rise > OWN_PART
            })
            .find_map(|((_, after), base)| harm_if(harm, after / base - 1.0, self.over_base))
    }
}

fn largest_rise(before: &[f64], after: &[f64], base: &[f64]) -> f64 {
    let losses = before.iter().zip(after).zip(base);
    let rises = losses.map(|((before, after), base)| (after - before) / base);
    // What is no number must not be passed over, as `max` would do.
    rises.fold(f64::NEG_INFINITY, |largest, rise| {
        if largest.is_nan() || rise <= largest {
            largest
        } else {
            rise
        }
    })
}

fn harm_if(harm: Harm, rise: f64, tolerance: f64) -> Option<Harmed> {
    if rise <= tolerance {
        return None;
    }
    if rise.is_finite() {
        Some(Harmed {
            harm,
            rise: Some(rise),
        })
    } else {
        Some(Harmed::BROKEN)
    }
}

/// Texts as the exits read them.
#[derive(Debug, Default)]
struct Probe {
    chunks: Vec<Chunk>,
}

#[derive(Debug)]
struct Chunk {
    /// By exit, `[n, d]`.
    rows: Vec<Vec<f32>>,
    targets: Vec<u32>,
    /// Whose memories read it; `None` for those at work.
    strand: Option<String>,
    /// The first of its text: it tells how far the memories can be believed and is not scored, as before a completion.
    opens: bool,
}

impl Probe {
    /// Adds a text, one chunk in `stride` of it.
    fn read(
        &mut self,
        model: &Arc<Model>,
        document: Document<'_>,
        stride: usize,
        threads: usize,
    ) -> Result<(), AssistError> {
        let mut reader = DocumentReader::new(Arc::clone(model), document.opening, threads)?;
        for (at, chunk) in document.text.chunks(LevelMemories::CHUNK).enumerate() {
            let rows = reader.read(chunk)?;
            if at % stride == 0 {
                self.chunks.push(Chunk {
                    rows,
                    targets: chunk.to_vec(),
                    strand: document.strand.map(str::to_owned),
                    opens: at == 0,
                });
            }
        }
        Ok(())
    }

    /// Bits a piece with some memories: of the second exit with the nearest states, of the second exit, of the third; empty when
    /// there is nothing to score.
    fn losses(
        &self,
        model: &Arc<Model>,
        levels: &LevelMemories,
        threads: usize,
    ) -> Result<Losses, AssistError> {
        let vocab = model.config().vocab;
        let mut bits = vec![0.0; model.config().stages];
        let mut pieces = 0_usize;
        let mut believing = levels.clone();
        for chunk in &self.chunks {
            if chunk.opens {
                believing = levels.clone();
                if let Some(strand) = &chunk.strand {
                    believing.turn_to(strand);
                }
                believing.watch(model, &chunk.rows, &chunk.targets, threads)?;
                continue;
            }
            pieces += chunk.targets.len();
            for (exit, rows) in chunk.rows.iter().enumerate().skip(1) {
                let probs = believing.score_exit(model, exit, rows, &chunk.targets, threads)?;
                let given = of_targets(&probs, &chunk.targets, vocab);
                bits[exit] += given.iter().copied().map(bits_of).sum::<f64>();
                if exit == 1 {
                    let recalled = levels.recall(model, rows)?;
                    let recalled = of_targets(&recalled, &chunk.targets, vocab);
                    let mixed = given.iter().zip(recalled);
                    bits[0] += mixed
                        .map(|(given, recalled)| {
                            bits_of((1.0 - RECALL_SHARE) * given + RECALL_SHARE * recalled)
                        })
                        .sum::<f64>();
                }
            }
        }
        if pieces == 0 || model.config().stages < 2 {
            return Ok(Losses::new());
        }
        Ok(bits.into_iter().map(|bits| bits / pieces as f64).collect())
    }
}

/// What the targets were given: `probs` is `[n, V]`.
fn of_targets(probs: &[f32], targets: &[u32], vocab: usize) -> Vec<f32> {
    let rows = targets.iter().zip(probs.chunks_exact(vocab));
    rows.map(|(target, probs)| probs[*target as usize])
        .collect()
}

fn bits_of(probability: f32) -> f64 {
    if probability.is_nan() {
        return f64::NAN;
    }
    -f64::from(probability.max(LEAST_PROBABILITY)).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harm_is_what_rises_beyond_the_tolerances() {
        let config = CanaryConfig::default();
        let own = |before: f64, after: f64, base: f64| {
            config
                .harm_of_own(&[1.0, before], &[1.0, after], &[2.0, base])
                .map(|harmed| harmed.harm)
        };
        assert_eq!(own(2.0, 2.2, 3.0), None);
        assert_eq!(own(0.1, 0.2, 3.0), None, "twice nearly nothing");
        assert_eq!(own(2.0, 2.95, 3.0), Some(Harm::Project));
        assert_eq!(own(2.0, f64::NAN, 3.0), Some(Harm::Broken));
        // Over the base, and by this stretch or by earlier ones.
        assert_eq!(own(2.95, 3.35, 3.0), Some(Harm::Project));
        assert_eq!(own(3.35, 3.35, 3.0), None);
        let fixed = |before: f64, after: f64| {
            config
                .harm_of_fixed(&[9.0, before], &[99.0, after], &[9.0, 2.5])
                .map(|harmed| harmed.harm)
        };
        assert_eq!(fixed(2.5, 2.53), None);
        assert_eq!(fixed(2.5, 2.6), None, "as clean code does");
        assert_eq!(fixed(2.5, 2.8), Some(Harm::General));
        assert_eq!(
            fixed(2.0, 2.4),
            None,
            "still better than having learned nothing"
        );
        assert_eq!(fixed(2.0, f64::INFINITY), Some(Harm::Broken));
        assert_eq!(config.harm_of_own(&[], &[], &[]), None, "no code to score");
    }

    #[test]
    fn what_is_no_number_is_no_small_rise() {
        assert!(largest_rise(&[1.0, 1.0], &[f64::NAN, 1.0], &[1.0, 1.0]).is_nan());
        assert!(largest_rise(&[1.0, 1.0], &[1.0, f64::NAN], &[1.0, 1.0]).is_nan());
        assert_eq!(largest_rise(&[1.0, 2.0], &[1.5, 2.0], &[2.0, 4.0]), 0.25);
    }
}
