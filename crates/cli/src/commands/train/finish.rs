//! Makes a model folder whole after training: the n-gram counts, the fitted gates, the card.
//!
//! `nestor-train` leaves weights, tokenizer and hashes of methods. What is added here needs the engine, which `train` must
//! not know.

use super::counts;
use crate::commands::corpus;
use crate::failure::{Failure, Outcome};
use crate::terminal::Terminal;
use nestor_train::{Summary, TrainConfig};
use serde::Serialize;

/// What was added, for the result of the command.
#[derive(Debug, Serialize)]
pub struct Finished {
    /// N-grams kept in `ngram.bin`.
    pub ngrams: usize,
    /// Tokens that were counted for it.
    pub counted_tokens: u64,
}

/// Adds what a trained folder lacks.
pub fn finish(config: &TrainConfig, _summary: &Summary, terminal: &Terminal) -> Outcome<Finished> {
    let corpus = corpus::open(&config.corpus, &terminal.messages)?;
    let ngram = counts::count(&corpus, config.samples, config.loader.seed, terminal)?;
    ngram.save(&config.out.join("ngram.bin")).map_err(Failure::about_input)?;
    Ok(Finished { ngrams: ngram.entries(), counted_tokens: ngram.corpus_tokens() })
}
