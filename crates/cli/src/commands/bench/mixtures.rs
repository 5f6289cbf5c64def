//! What garbage in a project does to completion as a whole: counts, levels 2 and 3 and nearest states, weighed by the gates.
//!
//! The source's files are scored and learned in their order, as `eval --memories served` does, once by themselves and once for each kind of garbage with a
//! file of it behind each of them, which is learned and not scored. Nothing of the filter of `nestor learn` is at work.

use super::garbage::{self, Kind};
use crate::explain;
use crate::failure::Outcome;
use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use indicatif::ProgressBar;
use nestor_assist::{Assistant, LearnFile};
use nestor_eval::{
    Adaptation, Contestants, EvalConfig, Level, LevelResult, ProjectFile, Protocol, Source,
    evaluate,
};
use serde::Serialize;

/// Code tokens that are scored each time.
const POSITIONS: u64 = 3000;

/// The rows that are told: what the balanced and the accurate speed answer by, about.
const LEVELS: [Level; 2] = [Level::Two, Level::All];

/// How well the source's own code is predicted beside some garbage.
#[derive(Serialize)]
pub struct Mixture {
    /// The kind of garbage; missing without any, and with nothing learned of the project.
    garbage: Option<&'static str>,
    /// Whether the files before were learned.
    learned: bool,
    level: Level,
    bits_per_char: f64,
    strict_top1: f64,
    /// How much the bits lie above those without garbage.
    harm: Option<f64>,
}

/// Measures a source without garbage and with each kind of it.
///
/// # Errors
/// Input where the source has no code that the model was not trained on.
pub fn measure(
    assistant: &Assistant,
    files: &[LearnFile],
    bar: &ProgressBar,
    messages: &Messages,
) -> Outcome<Vec<Mixture>> {
    bar.set_length(1 + garbage::KINDS.len() as u64);
    let tokenizer = assistant.tokenizer();
    let mut mixtures: Vec<Mixture> = Vec::new();
    for kind in std::iter::once(None).chain(garbage::KINDS.map(Some)) {
        let behind = kind.map(|kind| kind.behind(files, |text| tokenizer.encode(text).len()));
        let found = score(assistant, files, behind.as_deref(), messages)?;
        for row in found {
            // Garbage changes nothing where nothing is learned.
            let learned = row.adaptation == Adaptation::Dynamic;
            if !LEVELS.contains(&row.level) || kind.is_some() && !learned {
                continue;
            }
            let Some(bits_per_char) = row.bits_per_char else {
                continue;
            };
            let clean = mixtures
                .iter()
                .find(|clean| clean.garbage.is_none() && clean.learned && clean.level == row.level);
            mixtures.push(Mixture {
                garbage: kind.map(Kind::name),
                learned,
                level: row.level,
                bits_per_char,
                strict_top1: row.strict_top1,
                harm: clean
                    .filter(|_| kind.is_some())
                    .map(|clean| bits_per_char / clean.bits_per_char - 1.0),
            });
        }
        bar.inc(1);
    }
    Ok(mixtures)
}

fn score(
    assistant: &Assistant,
    files: &[LearnFile],
    behind: Option<&[LearnFile]>,
    messages: &Messages,
) -> Outcome<Vec<LevelResult>> {
    let mut config = EvalConfig::new(Protocol::Project);
    config.adaptations = vec![Adaptation::File, Adaptation::Dynamic];
    config.max_positions = Some(POSITIONS);
    config.rank_every = 0;
    config.levels = Some(assistant.level_config());
    config.open_file_teaches = false;
    let mut read = Vec::with_capacity(2 * files.len());
    for (idx, file) in files.iter().enumerate() {
        read.push(project_file(file));
        if let Some(garbage) = behind.and_then(|behind| behind.get(idx)) {
            config.unscored.insert(garbage.path.clone());
            read.push(project_file(garbage));
        }
    }
    let source = Source {
        name: String::new(),
        files: read,
    };
    let contestants = Contestants {
        assistant: Some(assistant),
        baseline: None,
        metadata: None,
    };
    let found = evaluate(&source, contestants, &config, &mut |_| {});
    let found = found.map_err(|error| explain::eval(messages, &error))?;
    Ok(found.results)
}

fn project_file(file: &LearnFile) -> ProjectFile {
    ProjectFile {
        path: file.path.clone(),
        text: file.text.clone(),
    }
}

/// The table for people.
pub fn text(mixtures: &[Mixture], messages: &Messages) -> String {
    let headings = [
        "bench-learn-mixture",
        "bench-learn-mixture2",
        "bench-learn-harm",
        "bench-learn-mixture-all",
        "bench-learn-harm",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    let percent = |harm: Option<f64>| {
        let percent = |harm: f64| format!("{} %", messages.decimal(100.0 * harm, 2));
        harm.map_or_else(|| "–".to_owned(), percent)
    };
    let name = |row: &Mixture| match row.garbage {
        _ if !row.learned => messages.text("bench-learn-mixture-untaught"),
        None => messages.text("bench-learn-mixture-clean"),
        Some(garbage) => {
            let kind = garbage::KINDS
                .into_iter()
                .find(|kind| kind.name() == garbage);
            kind.map_or_else(String::new, |kind| messages.text(kind.message()))
        }
    };
    for pair in mixtures.chunk_by(|a, b| a.garbage == b.garbage && a.learned == b.learned) {
        let [two, all] = pair else { continue };
        let cells = [
            name(two),
            messages.decimal(two.bits_per_char, 4),
            percent(two.harm),
            messages.decimal(all.bits_per_char, 4),
            percent(all.harm),
        ];
        table.row(cells, Emphasis::Plain);
    }
    table.render()
}
