//! `ngram.bin` of a model folder: what the training text says by counts alone.
//!
//! Counts what the network was trained on and nothing else: the projects of role `train`, each distinct method once, or the
//! training side of the sampled methods. What the mixture is fitted on stays out.

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::terminal::Terminal;
use indicatif::ProgressBar;
use nestor_bsl::pieces::{EOF, FILE, PRE};
use nestor_cache::{CorpusBuildOptions, CorpusBuilder, CorpusNgram};
use nestor_corpus::{Corpus, CorpusError, FileRecord, Role, sample};

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
            stream.extend_from_slice(part);
            add(builder, &stream)?;
            stream.clear();
        }
        bar.inc(1);
    }
    Ok(())
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
fn first_occurrences(file: &FileRecord) -> Vec<&[u32]> {
    let mut parts = Vec::new();
    let mut from = 0;
    for method in file.methods.iter().filter(|method| !method.is_first) {
        if method.tokens.start >= from {
            parts.push(&file.tokens[from..method.tokens.start]);
            from = method.tokens.end;
        }
    }
    parts.push(&file.tokens[from..]);
    parts
}

fn add(builder: &mut CorpusBuilder, stream: &[u32]) -> Result<(), CorpusError> {
    // The corpus checks its tokens against its own vocabulary, so this cannot fail for a corpus that opened.
    builder
        .add(stream)
        .map_err(|error| CorpusError::Training(error.to_string()))
}
