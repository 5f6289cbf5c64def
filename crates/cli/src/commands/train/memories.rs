//! Fits what the memories of levels 2 and 3 start from and how they learn: `memories.safetensors` and `memories.json` of a model folder, everything
//! else stays as it is.

use super::finish::projects_of;
use crate::commands::corpus;
use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use nestor_assist::learning_rates::{RateFitOptions, RateTrial, fit_learning_rates};
use nestor_assist::memory_start::{StartOptions, StartProgress, learn_memory_start};
use nestor_assist::{Assistant, LevelMemoriesConfig};
use nestor_corpus::Role;
use nestor_train::write_whole;
use serde::Serialize;
use std::path::Path;

/// The document of the command.
#[derive(Serialize)]
struct Fitted {
    /// Tasks that the start was learned from; none where the model has no level 3.
    start_tasks: Option<usize>,
    /// Projects that the rates were fitted on.
    projects: Vec<String>,
    /// What is written.
    fitted: Settings,
    /// What was tried, the start first.
    trials: Vec<Trial>,
}

#[derive(Serialize)]
struct Trial {
    #[serde(flatten)]
    settings: Settings,
    /// Mean loss of the mixtures of `balanced` and `accurate`, in nats a piece.
    loss: f64,
    /// Whether the search went on from it.
    kept: bool,
}

#[derive(Serialize)]
struct Settings {
    delta_rate: f32,
    delta_decay: f32,
    mlp_rate: f32,
    mlp_decay: f32,
    period: usize,
}

impl From<&LevelMemoriesConfig> for Settings {
    fn from(config: &LevelMemoriesConfig) -> Self {
        Self {
            delta_rate: config.delta.rate,
            delta_decay: config.delta.decay,
            mlp_rate: config.mlp.rate,
            mlp_decay: config.mlp.decay,
            period: config.period,
        }
    }
}

impl From<&RateTrial> for Trial {
    fn from(trial: &RateTrial) -> Self {
        Self {
            settings: Settings::from(&trial.config),
            loss: trial.loss,
            kept: trial.kept,
        }
    }
}

/// Learns the start on the projects that a corpus was made for training from, fits the rates on those that it withholds, and writes both into the
/// model folder.
pub(super) fn fit(out: &Path, corpus: &Path, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let explained = |error| explain::assist(messages, &error);
    let corpus = corpus::open(corpus, messages)?;
    let of = |role| projects_of(&corpus, role).map_err(|error| explain::corpus(messages, &error));
    let (trained, withheld) = (of(Role::Train)?, of(Role::Withheld)?);
    let assistant = Assistant::open(out).map_err(explained)?;
    let width = assistant.model().config().width;

    let bar = terminal.bar(0, &messages.text("train-starting"));
    let mut tell = |progress: StartProgress| {
        bar.set_length(progress.of as u64);
        bar.set_position(progress.tasks as u64);
    };
    let options = StartOptions::default();
    let start = learn_memory_start(&assistant, &trained, &options, &mut tell);
    bar.finish_and_clear();
    let start = start.map_err(explained)?;
    if let Some((start, _)) = &start {
        let bytes = start.to_safetensors(width);
        let bytes = bytes.map_err(|error| explain::engine(messages, &error))?;
        let written = write_whole(&out.join("memories.safetensors"), &bytes);
        written.map_err(|error| explain::train(messages, &error))?;
    }
    drop(trained);

    // The rates are those from the start that was learned.
    let assistant = Assistant::open(out).map_err(explained)?;
    let options = RateFitOptions::default();
    let bar = terminal.bar(0, &messages.text("train-fitting"));
    let fitted = fit_learning_rates(&assistant, &withheld, &options, &mut |_| bar.inc(1));
    bar.finish_and_clear();
    let Some((config, trials)) = fitted.map_err(explained)? else {
        return Err(Failure::input(messages, "train-no-rates", &[]));
    };
    let written = write_whole(&out.join("memories.json"), config.to_json().as_bytes());
    written.map_err(|error| explain::train(messages, &error))?;
    let document = Fitted {
        start_tasks: start.map(|(_, tasks)| tasks),
        projects: withheld.into_iter().map(|project| project.name).collect(),
        fitted: Settings::from(&config),
        trials: trials.iter().map(Trial::from).collect(),
    };
    terminal.result(&document, || text(&document, messages))
}

fn text(fitted: &Fitted, messages: &Messages) -> String {
    let headings = [
        "train-rates-delta",
        "train-rates-delta-decay",
        "train-rates-mlp",
        "train-rates-mlp-decay",
        "train-rates-period",
        "train-rates-loss",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    for Trial {
        settings,
        loss,
        kept,
    } in &fitted.trials
    {
        let cells = [
            messages.decimal(settings.delta_rate.into(), 3),
            messages.decimal(settings.delta_decay.into(), 5),
            messages.decimal(settings.mlp_rate.into(), 4),
            messages.decimal(settings.mlp_decay.into(), 4),
            messages.count(settings.period as u64),
            messages.decimal(*loss, 4),
        ];
        let emphasis = if *kept {
            Emphasis::Plain
        } else {
            Emphasis::Faint
        };
        table.row(cells, emphasis);
    }
    table.render()
}
