//! `ngram.bin` and `contexts.bin` of a model folder: what the training text says by counts alone.
//!
//! Counts what the network was trained on and nothing else: the projects of role `train`, each distinct method once, or the
//! training side of the sampled methods. What the mixture is fitted on stays out.

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::terminal::Terminal;
use indicatif::ProgressBar;
use nestor_bsl::code_tokens::code_tokens;
use nestor_bsl::pieces::{EOF, FILE, PRE, Tokenizer};
use nestor_cache::{
    CorpusBuildOptions, CorpusBuilder, CorpusNgram, LongContextBuilder, LongContexts,
};
use nestor_corpus::manifest::Language;
use nestor_corpus::{Corpus, CorpusError, FileRecord, Role, sample};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Largest `contexts.bin`; with `ngram.bin` it stays below the 20 MB that counts may take.
const MAX_CONTEXTS_BYTES: usize = 10_500_000;

/// How much more code in Russian weighs than code in English when long contexts are chosen: nearly all configurations are
/// written in Russian, and no English one that was measured holds copies of the English library.
const RUSSIAN_WEIGHT: u8 = 4;

/// Counts the training text of a corpus, or of `samples` methods drawn with `seed`.
pub fn count(
    corpus: &Corpus,
    samples: Option<usize>,
    seed: u64,
    terminal: &Terminal,
) -> Outcome<CorpusNgram> {
    let messages = &terminal.messages;
    let vocab_size = corpus.tokenizer().vocab_size();
    let builder = CorpusBuilder::new(vocab_size, CorpusBuildOptions::default());
    let mut builder = builder.map_err(Failure::internal)?;
    let bar = terminal.bar(0, &messages.text("train-counting"));
    let filled = match samples {
        None => add_projects(corpus, &mut builder, &bar),
        Some(n) => add_samples(corpus, n, seed, &mut builder, &bar),
    };
    bar.finish_and_clear();
    filled.map_err(|error| explain::corpus(messages, &error))?;
    let spinner = terminal.spinner(&messages.text("train-pruning"));
    let counts = builder.build();
    spinner.finish_and_clear();
    counts.map_err(Failure::internal)
}

fn add_projects(
    corpus: &Corpus,
    builder: &mut CorpusBuilder,
    bar: &ProgressBar,
) -> Result<(), CorpusError> {
    let projects = || {
        corpus
            .projects()
            .iter()
            .filter(|project| project.role == Role::Train)
    };
    bar.set_length(projects().map(|project| project.files.len() as u64).sum());
    for file_idx in projects().flat_map(|project| project.files.clone()) {
        let file = corpus.file(file_idx)?;
        let mut stream = opening(corpus, &file.header);
        for part in first_occurrences(&file) {
            stream.extend_from_slice(&file.tokens[part]);
            add(builder, &stream)?;
            stream.clear();
        }
        bar.inc(1);
    }
    Ok(())
}

/// The long contexts of the projects of a corpus that `counts` do not know.
///
/// Only code is worth an entry, and a method that several projects hold is worth more: it stands in a library, so it will
/// stand in the next configuration too.
pub fn long_contexts(
    corpus: &Corpus,
    counts: &CorpusNgram,
    terminal: &Terminal,
) -> Outcome<LongContexts> {
    let messages = &terminal.messages;
    let bar = terminal.bar(0, &messages.text("train-contexts"));
    let builder = LongContextBuilder::new(counts.vocab_size()).map_err(Failure::internal)?;
    let filled = fill_contexts(corpus, builder, &bar);
    let contexts = filled
        .map_err(|error| explain::corpus(messages, &error))?
        .build(counts, MAX_CONTEXTS_BYTES);
    bar.finish_and_clear();
    contexts.map_err(Failure::internal)
}

fn fill_contexts(
    corpus: &Corpus,
    mut builder: LongContextBuilder,
    bar: &ProgressBar,
) -> Result<LongContextBuilder, CorpusError> {
    let files: Vec<usize> = corpus
        .projects()
        .iter()
        .filter(|project| project.role == Role::Train)
        .flat_map(|project| project.files.clone())
        .collect();
    let mut holders: HashMap<u64, HashSet<usize>> = HashMap::new();
    for &file_idx in &files {
        let entry = &corpus.files()[file_idx];
        for method in &entry.methods {
            holders
                .entry(method.hash)
                .or_default()
                .insert(entry.project);
        }
    }
    bar.set_length(files.len() as u64);
    for file_idx in files {
        let file = corpus.file(file_idx)?;
        let mut weights = code_weights(corpus.tokenizer(), &file.tokens);
        if corpus.files()[file_idx].language == Language::Russian {
            weights
                .iter_mut()
                .for_each(|weight| *weight *= RUSSIAN_WEIGHT);
        }
        for method in &file.methods {
            let projects = holders.get(&method.hash).map_or(1, HashSet::len).min(16) as u8;
            for weight in &mut weights[method.tokens.clone()] {
                *weight *= projects;
            }
        }
        for part in first_occurrences(&file) {
            builder
                .add(&file.tokens[part.clone()], &weights[part])
                .map_err(|error| CorpusError::Training(error.to_string()))?;
        }
        bar.inc(1);
    }
    Ok(builder)
}

/// 1 for each piece of a scored code token, 0 for white space and comments.
fn code_weights(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u8> {
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|&id| tokenizer.piece(id))
        .copied()
        .collect();
    let text = String::from_utf8_lossy(&bytes);
    let mut code = code_tokens(&text)
        .into_iter()
        .map(|token| token.scored)
        .peekable();
    let mut end = 0;
    tokens
        .iter()
        .map(|&id| {
            let start = end;
            end += tokenizer.piece(id).len();
            while code.peek().is_some_and(|scored| scored.end <= start) {
                code.next();
            }
            u8::from(code.peek().is_some_and(|scored| scored.start < end))
        })
        .collect()
}

fn add_samples(
    corpus: &Corpus,
    n: usize,
    seed: u64,
    builder: &mut CorpusBuilder,
    bar: &ProgressBar,
) -> Result<(), CorpusError> {
    let drawn = sample::sample(corpus, n, seed)?;
    bar.set_length(drawn.train.len() as u64);
    for place in drawn.train {
        let entry = &corpus.files()[place.file];
        let mut stream = opening(corpus, &entry.header);
        let tokens = corpus.tokens(place.file)?;
        stream.extend_from_slice(&tokens[entry.methods[place.method].tokens.clone()]);
        stream.push(EOF);
        add(builder, &stream)?;
        bar.inc(1);
    }
    Ok(())
}

/// What a document starts with.
fn opening(corpus: &Corpus, header: &str) -> Vec<u32> {
    let mut stream = vec![FILE];
    stream.extend(corpus.tokenizer().encode(&format!("{header}\n")));
    stream.push(PRE);
    stream
}

/// The stretches of a file between methods that the corpus has had before, so that a library that stands in it
/// several times does not weigh more.
fn first_occurrences(file: &FileRecord) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut from = 0;
    for method in file.methods.iter().filter(|method| !method.is_first) {
        if method.tokens.start >= from {
            parts.push(from..method.tokens.start);
            from = method.tokens.end;
        }
    }
    parts.push(from..file.tokens.len());
    parts
}

fn add(builder: &mut CorpusBuilder, stream: &[u32]) -> Result<(), CorpusError> {
    // The corpus checks its tokens against its own vocabulary, so this cannot fail for a corpus that opened.
    builder
        .add(stream)
        .map_err(|error| CorpusError::Training(error.to_string()))
}
