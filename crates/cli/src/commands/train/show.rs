//! Fits when a completion is worth showing: `show.json` of a run, from what `eval --protocol commits --json` has logged.

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::terminal::Terminal;
use nestor_assist::{ShowFeatures, ShowRule};
use nestor_eval::commits::Asked;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The share of the places at which something is to be shown (DESIGN 6).
const SHOWN: f64 = 0.3;

#[derive(Deserialize)]
struct Logged {
    results: Vec<LoggedOne>,
}

#[derive(Deserialize)]
struct LoggedOne {
    log: Vec<Asked>,
}

#[derive(Serialize)]
struct Fitted {
    examples: usize,
    right: usize,
    threshold: f32,
}

/// Fits the rule on the logs of all files and writes it into the folder of the run.
pub(super) fn fit(out: &Path, files: &[PathBuf], terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let about =
        |path: &Path, reason: String| Failure::about_input(format!("{}: {reason}", path.display()));
    let mut log = Vec::new();
    for path in files {
        let bytes = std::fs::read(path).map_err(|error| about(path, error.to_string()))?;
        let logged: Logged =
            serde_json::from_slice(&bytes).map_err(|error| about(path, error.to_string()))?;
        log.extend(logged.results.into_iter().flat_map(|one| one.log));
    }
    let n_places = log.len();
    let examples: Vec<(ShowFeatures, bool)> = log
        .into_iter()
        .filter(|asked| asked.features.pieces > 0)
        .map(|asked| (asked.features, asked.is_right))
        .collect();
    let Some(mut rule) = ShowRule::fit(&examples, 0.0) else {
        return Err(Failure::input(messages, "train-show-nothing", &[]));
    };
    let mut worth: Vec<f32> = examples
        .iter()
        .map(|(one, _)| rule.probability(one))
        .collect();
    worth.sort_by(|a, b| b.total_cmp(a));
    let n_shown = ((n_places as f64 * SHOWN) as usize).clamp(1, worth.len());
    rule.threshold = worth[n_shown - 1];
    let path = out.join("show.json");
    rule.save(&path)
        .map_err(|error| explain::assist(messages, &error))?;
    let fitted = Fitted {
        examples: examples.len(),
        right: examples.iter().filter(|(_, is_right)| *is_right).count(),
        threshold: rule.threshold,
    };
    terminal.result(&fitted, || {
        let values = [
            ("examples", fitted.examples.into()),
            ("right", fitted.right.into()),
            ("threshold", format!("{:.3}", fitted.threshold).into()),
        ];
        format!("{}\n", messages.with("train-show-fitted", &values))
    })
}
