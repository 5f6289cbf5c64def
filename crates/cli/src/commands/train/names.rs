//! Fits what weighs the names that metadata offers: `candidates.json` of a run, everything else stays as it is.
//!
//! The projects withheld from the weights have hardly any metadata, so code that the model was trained on has to do. It would be
//! recited, so it is read under other names ([`Renaming`]), the same ones in code, XML and paths.

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
use nestor_assist::{Assistant, LearnFile, MetadataFile, Renaming};
use serde::Serialize;
use std::path::Path;

/// Bytes of code of each source, spread over its files.
const BYTES_PER_SOURCE: usize = 2_000_000;

/// Of the renaming.
const SEED: u64 = 1;

/// The document of the command.
#[derive(Serialize)]
struct Fitted {
    sources: Vec<String>,
    gates: Vec<FittedGate>,
}

/// Fits the gates on `sources` and writes them into the folder of the run.
pub(super) fn fit(out: &Path, sources: &[String], terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let assistant = Assistant::open(out).map_err(|error| explain::assist(messages, &error))?;
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

/// A source with an even part of its code and all of its metadata, renamed.
fn project(path: &Path, terminal: &Terminal) -> Outcome<ProjectWithMetadata> {
    let mut files = learning::read_all(path, terminal)?;
    let renaming = Renaming::of(files.iter().map(|file| file.text.as_str()), SEED);
    let n_bytes: usize = files.iter().map(|file| file.text.len()).sum();
    let every = n_bytes.div_ceil(BYTES_PER_SOURCE).max(1);
    let mut idx = 0;
    files.retain(|_| {
        idx += 1;
        (idx - 1) % every == 0
    });
    let files = files.into_iter().map(|file| LearnFile {
        path: renaming.apply(&file.path),
        text: renaming.apply(&file.text),
    });
    let rename = |file: MetadataFile| MetadataFile {
        path: renaming.apply(&file.path),
        bytes: match str::from_utf8(&file.bytes) {
            Ok(text) => renaming.apply(text).into_bytes(),
            // A binary form, which says nothing.
            Err(_) => file.bytes,
        },
    };
    Ok(ProjectWithMetadata {
        files: files.collect(),
        metadata: learning::read_metadata_as(path, rename, terminal)?,
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
