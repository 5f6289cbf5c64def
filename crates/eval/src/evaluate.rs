//! An evaluation from files to rows: chooses what is scored, asks the model and the baseline, adds up.
//!
//! Called by `nestor eval`, `quickstart` and the trainer's report. Both the model and the baseline answer the same
//! positions and know the same files. Files are scored one after the other because each may be learned before the next;
//! positions within a file are answered in parallel.

use nestor_assist::mixture::{Mixer, RowGate};
use nestor_assist::stream::{FileStream, Lookahead, Moment, View};
use nestor_assist::{AssistError, Assistant, ProjectMemory};
use rustc_hash::FxHashSet;

use crate::baseline::NgramBaseline;
use crate::beam::ranking;
use crate::error::EvalError;
use crate::own_code::{OwnCode, Plan, ProjectFile};
use crate::results::{
    Adaptation, Evaluation, Level, Protocol, RowLabel, SourceSummary, level_result,
};
use crate::rounds::{self, Round};
use crate::strict::{
    Answer, Masks, Position, TokenQuestion, TokenText, answer, positions, questions, verdict,
};
use crate::tally::{Rank, Tally};

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
    /// Of the folds and the bootstrap.
    pub seed: u64,
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
            seed: 1,
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
    let plan = Plan::new(&source.files, &train_methods, config.max_positions);
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
    let rounds = match config.protocol {
        Protocol::Project => rounds::project(source.files.len()),
        Protocol::Maintenance => rounds::maintenance(source.files.len(), config.seed),
        Protocol::Samples => rounds::samples(source.files.len()),
    };
    let label = |level, adaptation| RowLabel {
        source: source.name.clone(),
        protocol: config.protocol,
        adaptation,
        level,
    };
    let mut results = Vec::new();
    if let Some(assistant) = contestants.assistant {
        let asked = Asked {
            assistant,
            rows: assistant.rows()?,
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

/// Questions that are answered in one walk: bounds the memory for answers.
const QUESTIONS_AT_ONCE: usize = 4096;

struct Asked<'a> {
    assistant: &'a Assistant,
    rows: Vec<RowGate>,
    masks: Masks,
    config: &'a EvalConfig,
}

impl Asked<'_> {
    /// Tallies by file and, within one, by view and row. `step` is told the tokens of each scored file.
    fn score_rounds(
        &self,
        source: &Source,
        rounds: &[Round],
        plan: &Plan,
        train_methods: &FxHashSet<u64>,
        step: &mut dyn FnMut(u64),
    ) -> Result<Vec<Vec<Tally>>, EvalError> {
        let n_tallies = self.config.adaptations.len() * self.rows.len();
        let mut tallies = vec![vec![Tally::default(); n_tallies]; source.files.len()];
        let learns = self.config.adaptations.contains(&Adaptation::Dynamic);
        let mut n_scored = 0;
        for round in rounds {
            let mut memory = self.assistant.empty_memory()?;
            for file in round
                .learn
                .iter()
                .filter(|_| learns)
                .map(|idx| &source.files[*idx])
            {
                memory.learn(&file.path, self.stream_of(file).tokens())?;
            }
            for &file_idx in &round.score {
                let file = &source.files[file_idx];
                let learned_after = learns && round.learn_scored;
                // A file outside the subset is only learned, and not even that without a project.
                let code = OwnCode::find(&file.text, train_methods);
                let scored = plan.scored(file_idx, &code);
                let n_tokens = scored.iter().filter(|scored| **scored).count() as u64;
                if n_tokens == 0 && !learned_after {
                    step(0);
                    continue;
                }
                let stream = self.stream_of(file);
                let asked = questions(
                    stream.text(),
                    &code.tokens,
                    &scored,
                    stream.pieces(),
                    &self.masks,
                );
                self.score_file(
                    &file.path,
                    &stream,
                    &code,
                    &asked,
                    &memory,
                    n_scored,
                    &mut tallies[file_idx],
                )?;
                n_scored += n_tokens;
                if learned_after {
                    memory.learn(&file.path, stream.tokens())?;
                }
                step(n_tokens);
            }
        }
        Ok(tallies)
    }

    fn stream_of(&self, file: &ProjectFile) -> FileStream {
        FileStream::new(self.assistant.tokenizer(), &file.path, file.text.clone())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one file, what is known of it and where its tallies go"
    )]
    fn score_file(
        &self,
        path: &str,
        stream: &FileStream,
        code: &OwnCode,
        asked: &[TokenQuestion],
        memory: &ProjectMemory,
        n_before: u64,
        tallies: &mut [Tally],
    ) -> Result<(), EvalError> {
        let mut views = self.views(path, memory)?;
        let every = self.config.rank_every;
        let is_ranked = |idx: usize| every > 0 && (n_before + idx as u64) % every == every / 2;
        for (chunk_idx, chunk) in asked.chunks(QUESTIONS_AT_ONCE).enumerate() {
            let first = chunk_idx * QUESTIONS_AT_ONCE;
            let ranked: Vec<&TokenQuestion> = chunk
                .iter()
                .enumerate()
                .filter(|(idx, _)| is_ranked(first + idx))
                .map(|(_, question)| question)
                .collect();
            let answers = self.ask(stream, code, &mut views, chunk, &ranked)?;
            for (idx, question) in chunk.iter().enumerate() {
                let rank_idx = ranked
                    .binary_search_by_key(&question.token_idx, |ranked| ranked.token_idx)
                    .ok();
                let token = TokenText {
                    text: stream.text(),
                    token: &code.tokens[question.token_idx],
                    pieces: stream.pieces(),
                };
                debug_assert_eq!(rank_idx.is_some(), is_ranked(first + idx));
                for (tally_idx, tally) in tallies.iter_mut().enumerate() {
                    tally.add(&verdict(
                        question,
                        token,
                        self.masks.tokenizer(),
                        |place| answers.at(place, tally_idx),
                        rank_idx.map(|rank| answers.ranks[rank][tally_idx]),
                    ));
                }
            }
            for (place_idx, (_, position)) in answers.positions.iter().enumerate() {
                if position.counts {
                    for (tally, answer) in tallies.iter_mut().zip(&answers.answers[place_idx]) {
                        tally.pieces.add(Some(answer.top) == position.truth);
                    }
                }
            }
        }
        Ok(())
    }

    fn views(&self, path: &str, memory: &ProjectMemory) -> Result<Vec<View>, AssistError> {
        self.config
            .adaptations
            .iter()
            .map(|adaptation| {
                Ok(match adaptation {
                    Adaptation::None => View::new(memory.without_project()?, false),
                    Adaptation::File => View::new(memory.without_project()?, true),
                    Adaptation::Dynamic => View::new(memory.cache_for(path)?, true),
                })
            })
            .collect()
    }

    fn ask(
        &self,
        stream: &FileStream,
        code: &OwnCode,
        views: &mut [View],
        asked: &[TokenQuestion],
        ranked: &[&TokenQuestion],
    ) -> Result<Answers, AssistError> {
        let positions = positions(asked, stream.pieces());
        let places: Vec<usize> = positions.iter().map(|item| item.0).collect();
        let ranked_places: Vec<usize> = ranked.iter().map(|q| q.pieces.start).collect();
        let n_views = views.len();
        let vocab = self.assistant.model().config().vocab;
        let mut next_ranked = ranked.iter();
        let walked = self.assistant.stream().walk(
            stream,
            views,
            &places,
            &ranked_places,
            |moment| self.answer(moment, &positions, vocab),
            |_, lookahead| match next_ranked.next() {
                Some(question) => self.rank(stream, code, question, n_views, lookahead),
                None => Ok(Vec::new()),
            },
        )?;
        Ok(Answers {
            positions,
            answers: walked
                .answers
                .into_iter()
                .map(|of_views| of_views.into_iter().flatten().collect())
                .collect(),
            ranks: walked.ranks,
        })
    }

    /// The answers of all rows in one view.
    fn answer(
        &self,
        moment: &Moment<'_>,
        positions: &[(usize, Position)],
        vocab: usize,
    ) -> Result<Vec<Answer>, AssistError> {
        let at = positions.partition_point(|item| item.0 < moment.place);
        let mut mixer = Mixer::default();
        let mut probs = vec![0.0; vocab];
        self.rows
            .iter()
            .map(|row| {
                mixer.mix(row, moment.exits, moment.nests, moment.slot, &mut probs)?;
                Ok(answer(&positions[at].1, &probs))
            })
            .collect()
    }

    /// The ranks of the true token by view and row.
    fn rank(
        &self,
        stream: &FileStream,
        code: &OwnCode,
        question: &TokenQuestion,
        n_views: usize,
        lookahead: &mut Lookahead<'_>,
    ) -> Result<Vec<Rank>, AssistError> {
        let scored = code.tokens[question.token_idx].scored.clone();
        let truth = stream.text()[scored].as_bytes().to_vec();
        let mut ranks = Vec::with_capacity(n_views * self.rows.len());
        for view_idx in 0..n_views {
            for row_idx in 0..self.rows.len() {
                let found = ranking(&self.masks, &question.first, |pieces| {
                    lookahead.mixture(pieces, view_idx, &self.rows, row_idx)
                })?;
                ranks.push(Rank::of(&truth, &found));
            }
        }
        Ok(ranks)
    }
}

/// Answers of a walk: by position, then by view and row.
struct Answers {
    positions: Vec<(usize, Position)>,
    answers: Vec<Vec<Answer>>,
    ranks: Vec<Vec<Rank>>,
}

impl Answers {
    fn at(&self, place: usize, tally_idx: usize) -> &Answer {
        let at = self.positions.partition_point(|item| item.0 < place);
        &self.answers[at][tally_idx]
    }
}
