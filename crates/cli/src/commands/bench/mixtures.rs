//! What garbage in a project, and other code learned later, do to completion as a whole: counts, levels 2 and 3 and nearest states,
//! weighed by the gates.
//!
//! For garbage the source's files are scored and learned in their order, as `eval --memories served` does, once by themselves and once for each kind of garbage with a
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

/// The folder that later code lies in, so that no path is another's.
const THEN: &str = "then";

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
        let mut read = Vec::with_capacity(2 * files.len());
        for (idx, file) in files.iter().enumerate() {
            read.push((project_file(file), true));
            let garbage = behind.as_ref().and_then(|behind| behind.get(idx));
            read.extend(garbage.map(|garbage| (project_file(garbage), false)));
        }
        let found = score(assistant, read, messages)?;
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

/// How well held-out code of a source is predicted before and after other code was learned into the same strand.
#[derive(Serialize)]
pub struct Forgotten {
    level: Level,
    /// With nothing learned but the open file.
    untaught_bits_per_char: f64,
    /// With the source learned.
    bits_per_char: f64,
    strict_top1: f64,
    /// The same, the other code learned too.
    after_bits_per_char: f64,
    after_strict_top1: f64,
    /// How much the bits have risen by that.
    rise: f64,
}

/// What is learned and scored to see what is forgotten.
pub struct Stages<'a> {
    /// Learned first.
    pub taught: &'a [LearnFile],
    /// Learned then, or not.
    pub then: &'a [LearnFile],
    /// Of the first, scored at the end; each is learned when it is scored.
    pub held_out: &'a [LearnFile],
}

/// Measures held-out code of a source with and without other code learned after it.
///
/// # Errors
/// Input where no held-out code is unknown to the model.
pub fn forgotten(
    assistant: &Assistant,
    stages: &Stages<'_>,
    bar: &ProgressBar,
    messages: &Messages,
) -> Outcome<Vec<Forgotten>> {
    bar.set_length(2);
    bar.set_position(0);
    let mut results = Vec::with_capacity(2);
    for then in [&[][..], stages.then] {
        let mut read: Vec<(ProjectFile, bool)> = Vec::new();
        read.extend(stages.taught.iter().map(|file| (project_file(file), false)));
        read.extend(then.iter().map(|file| {
            let file = project_file(file);
            let path = format!("{THEN}/{}", file.path);
            (ProjectFile { path, ..file }, false)
        }));
        read.extend(
            stages
                .held_out
                .iter()
                .map(|file| (project_file(file), true)),
        );
        results.push(score(assistant, read, messages)?);
        bar.inc(1);
    }
    let of = |rows: &[LevelResult], level: Level, learned: bool| {
        let found = rows
            .iter()
            .find(|row| row.level == level && (row.adaptation == Adaptation::Dynamic) == learned)?;
        Some((found.bits_per_char?, found.strict_top1))
    };
    let compared = LEVELS.iter().filter_map(|&level| {
        let (untaught_bits_per_char, _) = of(&results[0], level, false)?;
        let (bits_per_char, strict_top1) = of(&results[0], level, true)?;
        let (after_bits_per_char, after_strict_top1) = of(&results[1], level, true)?;
        Some(Forgotten {
            level,
            untaught_bits_per_char,
            bits_per_char,
            strict_top1,
            after_bits_per_char,
            after_strict_top1,
            rise: after_bits_per_char / bits_per_char - 1.0,
        })
    });
    Ok(compared.collect())
}

/// Scores those files that are marked, and learns all in their order.
fn score(
    assistant: &Assistant,
    files: Vec<(ProjectFile, bool)>,
    messages: &Messages,
) -> Outcome<Vec<LevelResult>> {
    let mut config = EvalConfig::new(Protocol::Project);
    config.adaptations = vec![Adaptation::File, Adaptation::Dynamic];
    config.max_positions = Some(POSITIONS);
    config.rank_every = 0;
    config.levels = Some(assistant.level_config());
    config.open_file_teaches = false;
    let mut read = Vec::with_capacity(files.len());
    for (file, is_scored) in files {
        if !is_scored {
            config.unscored.insert(file.path.clone());
        }
        read.push(file);
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

/// The table of what is forgotten, for people.
pub fn forgotten_text(forgotten: &[Forgotten], messages: &Messages) -> String {
    let headings = [
        "bench-learn-mixture",
        "bench-learn-mixture-untaught",
        "bench-learn-forgotten-before",
        "bench-learn-forgotten-after",
        "bench-learn-forgotten-rise",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    for row in forgotten {
        let bits = |bits: f64| messages.decimal(bits, 4);
        let name = match row.level {
            Level::Two => "bench-learn-mixture2",
            _ => "bench-learn-mixture-all",
        };
        let cells = [
            messages.text(name),
            bits(row.untaught_bits_per_char),
            bits(row.bits_per_char),
            bits(row.after_bits_per_char),
            format!("{} %", messages.decimal(100.0 * row.rise, 2)),
        ];
        table.row(cells, Emphasis::Plain);
    }
    table.render()
}

/// The table of garbage, for people.
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
