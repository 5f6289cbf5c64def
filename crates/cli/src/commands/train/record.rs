//! Reads the record of a run that has ended or was stopped, so that its folder can be made whole without training on.

use super::Run;
use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use nestor_train::{Event, Record, Summary, TrainConfig};
use std::path::{Path, PathBuf};

/// The run in `out`, with the corpus at `corpus`.
pub fn read(out: &Path, corpus: PathBuf, messages: &Messages) -> Outcome<Run> {
    let path = Record::path(out);
    let refuse = |reason: String| {
        let values = [
            ("path", path.display().to_string().into()),
            ("reason", reason.into()),
        ];
        Failure::input(messages, "train-error-record", &values)
    };
    let text = std::fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
    // A line that was cut off by a power failure, or has fields of another version, tells nothing.
    let events = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let found = gather(events).ok_or_else(|| refuse("no header".to_owned()))?;
    Ok(Run {
        config: TrainConfig {
            corpus,
            out: out.to_path_buf(),
            ..found.config
        },
        ..found
    })
}

/// The last word of the record on everything that a summary holds.
fn gather(events: impl Iterator<Item = Event>) -> Option<Run> {
    let mut config = None;
    let mut summary = Summary {
        step: 0,
        tokens: 0,
        elapsed_s: 0.0,
        tokens_per_s: 0.0,
        peak_bytes: None,
        levels: Vec::new(),
        stopped: true,
        model: None,
    };
    for event in events {
        match event {
            Event::Header(header) => config = Some(header.config),
            Event::Step(step) => {
                let seconds = (step.tokens - summary.tokens.min(step.tokens)) as f64
                    / step.tokens_per_s.max(1e-9);
                summary.elapsed_s += seconds;
                summary.step = step.step;
                summary.tokens = step.tokens;
                summary.peak_bytes = summary.peak_bytes.max(step.resident_bytes);
            }
            Event::Validation { levels, .. } => summary.levels = levels,
            Event::Summary(last) => {
                let peak_bytes = summary.peak_bytes.max(last.peak_bytes);
                summary = Summary { peak_bytes, ..last };
            }
            Event::Note { .. } | Event::Checkpoint { .. } => {}
        }
    }
    // The last call's own rate says nothing of the run: it may have had no step left to do.
    summary.tokens_per_s = summary.tokens as f64 / summary.elapsed_s.max(1e-9);
    Some(Run {
        config: config?,
        summary,
    })
}
