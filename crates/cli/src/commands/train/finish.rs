//! Makes a model folder whole after training: the n-gram counts, the fitted gates, the card.
//!
//! `nestor-train` leaves weights, tokenizer and hashes of methods. What is added here needs the assistant, which `train`
//! must not know.

use super::{Run, card, counts};
use crate::commands::corpus;
use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use crate::terminal::Terminal;
use nestor_assist::gates::{CorpusProject, FitProgress, GateFitOptions, GateReport, fit_gates};
use nestor_assist::{Assistant, LearnFile};
use nestor_cache::{CorpusNgram, LongContexts};
use nestor_corpus::{Corpus, Role};
use serde::Serialize;
use std::path::Path;

/// What was added, for the result of the command.
#[derive(Debug, Serialize)]
pub struct Finished {
    /// N-grams kept in `ngram.bin`.
    pub ngrams: usize,
    /// Long contexts kept in `contexts.bin`; none for a model of sampled methods.
    pub contexts: usize,
    /// Tokens that were counted for it.
    pub counted_tokens: u64,
    /// The fitted gates; empty where the corpus withholds no project.
    pub gates: Vec<FittedGate>,
}

/// How well a gate fits the projects that it was fitted on, in nats a piece.
#[derive(Debug, Serialize)]
pub struct FittedGate {
    /// Its name.
    pub gate: &'static str,
    /// Examples it was fitted on.
    pub examples: usize,
    /// Loss of the mixture.
    pub loss: f64,
    /// Loss if all parts weighed the same.
    pub loss_uniform: f64,
    /// Loss if the best part were known each time.
    pub loss_best: f64,
    /// Loss without and with exponents on the examples that these were fitted on; none where a gate has none.
    pub refined: Option<[f64; 2]>,
}

impl From<GateReport> for FittedGate {
    fn from(report: GateReport) -> Self {
        Self {
            gate: report.gate,
            examples: report.n_examples,
            loss: report.loss.loss,
            loss_uniform: report.loss.loss_uniform,
            loss_best: report.loss.loss_best,
            refined: report
                .refined
                .map(|refined| [refined.before, refined.after]),
        }
    }
}

/// Adds what a trained folder lacks; with `keep_counts` its counts stay as they are, also where it has none.
pub fn finish(run: &Run, keep_counts: bool, terminal: &Terminal) -> Outcome<Finished> {
    let Run { config, summary } = run;
    let messages = &terminal.messages;
    let corpus = corpus::open(&config.corpus, messages)?;
    let mut finished = if keep_counts {
        kept_counts(&config.out, messages)?
    } else {
        count(&corpus, run, terminal)?
    };

    // Gates of an earlier end of this run were fitted to other weights.
    remove(&config.out.join("gate.json"))?;
    if !keep_counts {
        // So was what its memories start from; with the counts kept only the gates are fitted anew.
        remove(&config.out.join("memories.safetensors"))?;
        remove(&config.out.join("memories.json"))?;
    }
    let assistant =
        Assistant::open(&config.out).map_err(|error| explain::assist(messages, &error))?;
    let withheld = projects_of(&corpus, Role::Withheld);
    let withheld = withheld.map_err(|error| explain::corpus(messages, &error))?;
    if withheld.is_empty() {
        terminal.note(&messages.text("train-no-withheld"));
    } else {
        finished.gates = fit(&assistant, &withheld, &config.out, terminal)?;
    }
    let card = card::text(&card::Facts {
        config,
        summary,
        manifest: corpus.manifest(),
        corpus_sha256: corpus.sha256(),
        parameters: assistant.model().parameter_count(),
        finished: &finished,
    });
    let path = config.out.join("CARD.md");
    std::fs::write(&path, card).map_err(|error| file_failure(&path, &error))?;
    Ok(finished)
}

/// Fits the gates of a model folder and leaves all else as it is.
pub(super) fn gates_alone(out: &Path, corpus: &Path, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let corpus = corpus::open(corpus, messages)?;
    let withheld = projects_of(&corpus, Role::Withheld);
    let withheld = withheld.map_err(|error| explain::corpus(messages, &error))?;
    if withheld.is_empty() {
        return Err(Failure::input(messages, "train-no-withheld", &[]));
    }
    let assistant = Assistant::open(out).map_err(|error| explain::assist(messages, &error))?;
    let gates = fit(&assistant, &withheld, out, terminal)?;
    terminal.result(&serde_json::json!({ "gates": gates }), String::new)
}

/// What the folder's counts hold.
fn kept_counts(out: &Path, messages: &Messages) -> Outcome<Finished> {
    let explained = |error| explain::cache(messages, &error);
    let (ngram, contexts) = (out.join("ngram.bin"), out.join("contexts.bin"));
    let ngram = ngram
        .exists()
        .then(|| CorpusNgram::load(&ngram))
        .transpose()
        .map_err(explained)?;
    let contexts = contexts
        .exists()
        .then(|| LongContexts::load(&contexts))
        .transpose()
        .map_err(explained)?;
    Ok(Finished {
        ngrams: ngram.as_ref().map_or(0, CorpusNgram::entries),
        contexts: contexts.map_or(0, |contexts| contexts.entries().iter().sum()),
        counted_tokens: ngram.map_or(0, |ngram| ngram.corpus_tokens()),
        gates: Vec::new(),
    })
}

/// Counts what the network was trained on.
fn count(corpus: &Corpus, run: &Run, terminal: &Terminal) -> Outcome<Finished> {
    let Run { config, .. } = run;
    let messages = &terminal.messages;
    let ngram = counts::count(corpus, config.samples, config.loader.seed, terminal)?;
    ngram
        .save(&config.out.join("ngram.bin"))
        .map_err(|error| explain::cache(messages, &error))?;
    let mut finished = Finished {
        ngrams: ngram.entries(),
        contexts: 0,
        counted_tokens: ngram.corpus_tokens(),
        gates: Vec::new(),
    };
    if config.samples.is_none() {
        let contexts = counts::long_contexts(corpus, &ngram, terminal)?;
        finished.contexts = contexts.entries().iter().sum();
        contexts
            .save(&config.out.join("contexts.bin"))
            .map_err(|error| explain::cache(messages, &error))?;
    }
    Ok(finished)
}

fn fit(
    assistant: &Assistant,
    withheld: &[CorpusProject],
    out: &Path,
    terminal: &Terminal,
) -> Outcome<Vec<FittedGate>> {
    let messages = &terminal.messages;
    let bar = terminal.bar(0, &messages.text("train-fitting"));
    let options = GateFitOptions {
        levels: assistant.level_config(),
        ..GateFitOptions::default()
    };
    let fitted = fit_gates(
        assistant,
        withheld,
        &options,
        &mut |progress: FitProgress| {
            bar.set_length(progress.n_files as u64);
            bar.set_position(progress.files as u64);
        },
    );
    bar.finish_and_clear();
    let (gates, reports) = fitted.map_err(|error| explain::assist(messages, &error))?;
    gates
        .save(&out.join("gate.json"))
        .map_err(|error| explain::cache(messages, &error))?;
    Ok(reports.into_iter().map(FittedGate::from).collect())
}

/// The projects of a role: those that the weights have not seen, or those that they were trained on.
pub(super) fn projects_of(
    corpus: &Corpus,
    role: Role,
) -> Result<Vec<CorpusProject>, nestor_corpus::CorpusError> {
    let projects = corpus.projects().iter();
    projects
        .filter(|project| project.role == role)
        .map(|project| {
            let files = project.files.clone().map(|file_idx| {
                let path = corpus.files()[file_idx].path.clone();
                Ok(LearnFile {
                    path,
                    text: corpus.text(file_idx)?,
                })
            });
            Ok(CorpusProject {
                name: project.name.clone(),
                files: files.collect::<Result<_, _>>()?,
            })
        })
        .collect()
}

fn remove(path: &Path) -> Outcome {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(file_failure(path, &error))
        }
        _ => Ok(()),
    }
}

fn file_failure(path: &Path, error: &std::io::Error) -> Failure {
    Failure::about_input(format!("{}: {error}", path.display()))
}
