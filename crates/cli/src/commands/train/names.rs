//! Fits what weighs the names that metadata offers: `candidates.json` of a run, everything else stays as it is.
//!
//! The projects withheld from the weights have hardly any metadata, so code that the model was trained on has to do. The counts of
//! the corpus would recite it and are left out; what the weights have kept of it is little.

use super::finish::FittedGate;
use crate::explain;
use crate::failure::Outcome;
use crate::learning;
use crate::messages::Messages;
use crate::terminal::Terminal;
use nestor_assist::candidate_gates::{
    CandidateFitOptions, ProjectWithMetadata, fit_candidate_gates,
};
use nestor_assist::gates::FitProgress;
use nestor_assist::{Assistant, LearnFile, Parts};
use nestor_bsl::pieces::Tokenizer;
use nestor_engine::ModelFolder;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// Bytes of code of each source, spread over its files.
const BYTES_PER_SOURCE: usize = 1_500_000;

/// The document of the command.
#[derive(Serialize)]
struct Fitted {
    sources: Vec<String>,
    gates: Vec<FittedGate>,
}

/// Fits the gates on `sources` and writes them into the folder of the run.
pub(super) fn fit(out: &Path, sources: &[String], terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let assistant = without_corpus(out, messages)?;
    let projects = sources
        .iter()
        .map(|source| project(Path::new(source), terminal))
        .collect::<Outcome<Vec<_>>>()?;
    let bar = terminal.bar(0, &messages.text("train-fitting"));
    let options = CandidateFitOptions::default();
    let fitted = fit_candidate_gates(
        &assistant,
        &projects,
        &options,
        &mut |progress: FitProgress| {
            bar.set_length(progress.n_files as u64);
            bar.set_position(progress.files as u64);
        },
    );
    bar.finish_and_clear();
    let (gates, reports) = fitted.map_err(|error| explain::assist(messages, &error))?;
    gates
        .save(&out.join("candidates.json"))
        .map_err(|error| explain::cache(messages, &error))?;
    let document = Fitted {
        sources: sources.to_vec(),
        gates: reports.into_iter().map(FittedGate::from).collect(),
    };
    terminal.result(&document, || text(&document, messages))
}

fn without_corpus(dir: &Path, messages: &Messages) -> Outcome<Assistant> {
    let folder = ModelFolder::open(dir).map_err(|error| explain::engine(messages, &error))?;
    let path = dir.join("tokenizer.json");
    let tokenizer = Tokenizer::from_file(&path).map_err(|source| {
        let error = nestor_assist::AssistError::Tokenizer { path, source };
        explain::assist(messages, &error)
    })?;
    let parts = Parts {
        model: folder.model,
        tokenizer: Arc::new(tokenizer),
        gates: folder.gates,
        corpus: None,
        train_methods: folder.method_hashes,
    };
    Assistant::from_parts(parts).map_err(|error| explain::assist(messages, &error))
}

/// A source with an even part of its code and all of its metadata.
fn project(path: &Path, terminal: &Terminal) -> Outcome<ProjectWithMetadata> {
    let mut files = learning::read_all(path, terminal)?;
    let n_bytes: usize = files.iter().map(|file| file.text.len()).sum();
    let every = n_bytes.div_ceil(BYTES_PER_SOURCE).max(1);
    let mut idx = 0;
    files.retain(|_| {
        idx += 1;
        (idx - 1) % every == 0
    });
    let files = files.into_iter().map(|file| LearnFile {
        path: file.path,
        text: file.text,
    });
    Ok(ProjectWithMetadata {
        files: files.collect(),
        metadata: learning::read_metadata(path, terminal)?,
    })
}

fn text(fitted: &Fitted, messages: &Messages) -> String {
    let line = |gate: &FittedGate| {
        let values = [
            ("gate", gate.gate.into()),
            ("examples", gate.examples.into()),
            ("loss", format!("{:.3}", gate.loss).into()),
            ("uniform", format!("{:.3}", gate.loss_uniform).into()),
            ("best", format!("{:.3}", gate.loss_best).into()),
        ];
        format!("{}\n", messages.with("train-names-gate", &values))
    };
    fitted.gates.iter().map(line).collect()
}
