//! An evaluation from files to rows: chooses what is scored, asks the model and the baseline, adds up.
//!
//! Called by `nestor eval`, `quickstart` and the trainer's report. Both the model and the baseline answer the same
//! positions and know the same files.

use std::collections::HashSet;

use nestor_assist::{Assistant, LevelMemoriesConfig, MetadataIndex};
use rustc_hash::FxHashSet;

use crate::asked::Asked;
use crate::baseline::NgramBaseline;
use crate::error::EvalError;
use crate::own_code::{Plan, ProjectFile};
use crate::results::{
    Adaptation, Evaluation, Level, Protocol, RowLabel, SourceSummary, level_result,
};
use crate::rounds::{self, Round};
use crate::strict::Masks;
use crate::tally::Tally;

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name in the results.
    pub name: String,
    /// Files in path order, normalised; for the samples protocol one method each.
    pub files: Vec<ProjectFile>,
}

/// Who answers.
pub struct Contestants<'a> {
    /// The model.
    pub assistant: Option<&'a Assistant>,
    /// The count-only baseline.
    pub baseline: Option<&'a mut NgramBaseline>,
    /// What the source's configuration says.
    pub metadata: Option<SourceMetadata<'a>>,
}

/// What the configuration of a source says. It is at work in the column "+ project".
#[derive(Clone, Copy, Debug)]
pub struct SourceMetadata<'a> {
    /// The facts of its XML, no code among them: what modules export is known once they are learned.
    pub index: &'a MetadataIndex,
    /// Whether the names that it offers are mixed in. Without that it only tells which places it knows.
    pub is_heard: bool,
}

/// How it is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalConfig {
    /// Protocol.
    pub protocol: Protocol,
    /// What may have been learned; one set of rows each.
    pub adaptations: Vec<Adaptation>,
    /// Code tokens to score at most, evenly over the own code; `None` scores all.
    pub max_positions: Option<u64>,
    /// A beam of five is run on one scored token in so many; 0 runs none.
    pub rank_every: u64,
    /// Folds of the maintenance protocol that are scored, 1 to 10; the positions are spread over these.
    pub folds: usize,
    /// Share of the learned files' bytes that the maintenance protocol does learn, 0 to 1.
    pub learned_share: f64,
    /// Of the folds, the share and the bootstrap.
    pub seed: u64,
    /// Memories of levels 2 and 3 that learn where the project is learned; `None` leaves it to the counts.
    pub levels: Option<LevelMemoriesConfig>,
    /// Paths of files that are learned and not scored.
    pub unscored: HashSet<String>,
    /// Whether the open file teaches them chunk by chunk. Without, it teaches at its end, as when it is saved: what completion has.
    pub open_file_teaches: bool,
}

impl EvalConfig {
    /// The usual settings of a protocol: 20,000 positions, a beam on one in 50.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        let adaptations = match protocol {
            Protocol::Project | Protocol::Maintenance => Adaptation::ALL.to_vec(),
            Protocol::Samples => vec![Adaptation::None, Adaptation::File],
        };
        Self {
            protocol,
            adaptations,
            max_positions: Some(20_000),
            rank_every: 50,
            folds: rounds::N_FOLDS,
            learned_share: 1.0,
            seed: 1,
            levels: None,
            unscored: HashSet::new(),
            open_file_teaches: true,
        }
    }
}

/// How far an evaluation of the model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalProgress {
    /// Files scored.
    pub files: usize,
    /// Files to score.
    pub n_files: usize,
    /// Code tokens scored.
    pub positions: u64,
    /// Code tokens to score.
    pub n_positions: u64,
}

/// Measures a source.
///
/// # Errors
/// [`EvalError::NothingToScore`] for a source without own code, and those of the model.
pub fn evaluate(
    source: &Source,
    contestants: Contestants<'_>,
    config: &EvalConfig,
    progress: &mut dyn FnMut(EvalProgress),
) -> Result<Evaluation, EvalError> {
    check(config)?;
    let train_methods = train_methods(&contestants);
    let rounds = rounds_of(source, config);
    let scores_all = config.protocol != Protocol::Maintenance || config.folds >= rounds::N_FOLDS;
    let max_positions = if scores_all {
        config.max_positions
    } else {
        let folds = config.folds.max(1) as u64;
        config
            .max_positions
            .map(|n| n.saturating_mul(rounds::N_FOLDS as u64) / folds)
    };
    let is_scored = |file: &ProjectFile| !config.unscored.contains(&file.path);
    let plan = Plan::of(&source.files, &train_methods, max_positions, &is_scored);
    let summary = summary(source, &plan);
    if summary.own_code_tokens == 0 {
        return Err(EvalError::NothingToScore {
            name: source.name.clone(),
            reason: match summary.code_tokens {
                0 => format!("its {} files hold no code", summary.files),
                n => format!("all {n} code tokens are in methods of the training data"),
            },
        });
    }
    let label = |level, adaptation| RowLabel {
        source: source.name.clone(),
        protocol: config.protocol,
        adaptation,
        level,
    };
    let mut results = Vec::new();
    if let Some(assistant) = contestants.assistant {
        let mut rows = assistant.rows()?;
        let hears = contestants
            .metadata
            .is_some_and(|metadata| metadata.is_heard);
        if !hears {
            rows.iter_mut().for_each(|row| row.candidate_gate = None);
        }
        let asked = Asked {
            assistant,
            metadata: contestants.metadata.map(|metadata| metadata.index),
            outlines: hears,
            rows,
            masks: Masks::new(assistant.tokenizer().clone()),
            config,
        };
        let mut scored = EvalProgress {
            files: 0,
            n_files: source.files.len(),
            positions: 0,
            n_positions: summary.scored_code_tokens,
        };
        let mut step = |n_tokens: u64| {
            scored.files += 1;
            scored.positions += n_tokens;
            progress(scored);
        };
        let tallies = asked.score_rounds(source, &rounds, &plan, &train_methods, &mut step)?;
        for (view_idx, adaptation) in config.adaptations.iter().enumerate() {
            for (row_idx, row) in asked.rows.iter().enumerate() {
                let of_files: Vec<Tally> = tallies
                    .iter()
                    .map(|tallies| tallies[view_idx * asked.rows.len() + row_idx].clone())
                    .collect();
                let label = label(Level::from(row.row), *adaptation);
                results.push(level_result(label, &of_files, config.seed));
            }
        }
    }
    if let Some(baseline) = contestants.baseline {
        let tallies = baseline.score_rounds(
            &source.files,
            &rounds,
            &plan,
            &train_methods,
            &config.adaptations,
        );
        for (adaptation, of_files) in config.adaptations.iter().zip(&tallies) {
            let label = label(Level::Ngram, *adaptation);
            results.push(level_result(label, of_files, config.seed));
        }
    }
    Ok(Evaluation {
        results,
        sources: vec![summary],
    })
}

fn rounds_of(source: &Source, config: &EvalConfig) -> Vec<Round> {
    let n_files = source.files.len();
    match config.protocol {
        Protocol::Project => rounds::project(n_files),
        Protocol::Samples => rounds::samples(n_files),
        Protocol::Maintenance => {
            let mut rounds = rounds::maintenance(n_files, config.seed);
            rounds.truncate(config.folds);
            if config.learned_share < 1.0 {
                let bytes: Vec<usize> = source.files.iter().map(|file| file.text.len()).collect();
                rounds::learn_share(&mut rounds, config.learned_share, &bytes, config.seed);
            }
            rounds
        }
    }
}

fn check(config: &EvalConfig) -> Result<(), EvalError> {
    if config.adaptations.is_empty() {
        return Err(EvalError::Setting {
            field: "adaptations",
            reason: "none is asked for".into(),
        });
    }
    if config.max_positions == Some(0) {
        return Err(EvalError::Setting {
            field: "max_positions",
            reason: "0 positions measure nothing".into(),
        });
    }
    if !(1..=rounds::N_FOLDS).contains(&config.folds) {
        return Err(EvalError::Setting {
            field: "folds",
            reason: format!("{} is not between 1 and 10", config.folds),
        });
    }
    if !(0.0..=1.0).contains(&config.learned_share) {
        return Err(EvalError::Setting {
            field: "learned_share",
            reason: format!("{} is not between 0 and 1", config.learned_share),
        });
    }
    Ok(())
}

/// Methods that a contestant has learned from are scored for none.
fn train_methods(contestants: &Contestants<'_>) -> FxHashSet<u64> {
    let mut hashes = FxHashSet::default();
    if let Some(assistant) = contestants.assistant {
        hashes.extend(assistant.train_methods().iter());
    }
    if let Some(baseline) = &contestants.baseline {
        hashes.extend(baseline.train_methods());
    }
    hashes
}

fn summary(source: &Source, plan: &Plan) -> SourceSummary {
    let own_code_tokens = plan.n_own.iter().sum();
    SourceSummary {
        source: source.name.clone(),
        files: source.files.len() as u64,
        code_tokens: plan.n_tokens.iter().sum(),
        own_code_tokens,
        scored_code_tokens: plan.subset.len(),
    }
}
