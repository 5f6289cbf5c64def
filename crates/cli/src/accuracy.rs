//! The table of accuracy: a row a level, strict accuracy with its interval for everything that may have been learned.
//!
//! `eval` and `quickstart` print it. The figures themselves come from `nestor-eval`.

use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use nestor_eval::{Adaptation, Evaluation, Level, LevelResult};

/// Levels in the order of the table: counts first, the mixture last.
pub const LEVELS: [Level; 6] = [
    Level::Ngram,
    Level::Cache,
    Level::One,
    Level::Two,
    Level::Three,
    Level::All,
];

/// The levels that an evaluation has rows for, in the order of the table.
pub fn levels_of(evaluation: &Evaluation) -> Vec<Level> {
    let present = |level: &Level| evaluation.results.iter().any(|row| row.level == *level);
    LEVELS.into_iter().filter(present).collect()
}

/// The table of one source.
pub fn table(evaluation: &Evaluation, source: &str, messages: &Messages) -> String {
    let adaptations: Vec<Adaptation> = Adaptation::ALL
        .into_iter()
        .filter(|adaptation| {
            evaluation
                .results
                .iter()
                .any(|row| row.source == source && row.adaptation == *adaptation)
        })
        .collect();
    let mut headings = vec![messages.text("accuracy-level")];
    headings.extend(
        adaptations
            .iter()
            .map(|adaptation| adaptation_name(*adaptation, messages)),
    );
    // The baseline always has all of them; what counts is whether they were measured for the model.
    let of_model = || {
        evaluation
            .results
            .iter()
            .filter(|row| row.level != Level::Ngram)
    };
    let is_measured = |figure: &&Figure| of_model().any(|row| (figure.of)(row).is_some());
    let figures: Vec<&Figure> = FIGURES.iter().filter(is_measured).collect();
    headings.extend(figures.iter().map(|figure| messages.text(figure.heading)));
    let mut table = Table::new(headings);
    for level in levels_of(evaluation) {
        let row = |adaptation| evaluation.row(source, level, adaptation);
        let mut cells = vec![level_name(level, messages)];
        cells.extend(
            adaptations
                .iter()
                .map(|adaptation| strict(row(*adaptation), messages)),
        );
        // The other figures are those of the most that was learned.
        let last = adaptations.last().and_then(|adaptation| row(*adaptation));
        cells.extend(figures.iter().map(|figure| {
            let value = last.and_then(figure.of);
            value.map_or_else(|| "–".to_owned(), |value| (figure.shown)(messages, value))
        }));
        let emphasis = match level {
            Level::All => Emphasis::Strong,
            Level::Ngram | Level::Cache => Emphasis::Faint,
            _ => Emphasis::Plain,
        };
        table.row(cells, emphasis);
    }
    table.render()
}

/// The mean over sources, each weighing the same, as rows of a source named `name`. It has no interval: the
/// bounds are not numbers, which JSON shows as `null`.
pub fn mean(evaluation: &Evaluation, name: &str) -> Evaluation {
    let mut results: Vec<LevelResult> = Vec::new();
    for first in &evaluation.results {
        let is_same =
            |row: &&LevelResult| row.level == first.level && row.adaptation == first.adaptation;
        if results.iter().any(|row| is_same(&row)) {
            continue;
        }
        let rows: Vec<&LevelResult> = evaluation.results.iter().filter(is_same).collect();
        let over = |of: &dyn Fn(&LevelResult) -> f64| {
            rows.iter().map(|row| of(row)).sum::<f64>() / rows.len() as f64
        };
        let over_known = |of: fn(&LevelResult) -> Option<f64>| {
            let known: Vec<f64> = rows.iter().filter_map(|row| of(row)).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        results.push(LevelResult {
            source: name.to_owned(),
            strict_top1: over(&|row| row.strict_top1),
            low: f64::NAN,
            high: f64::NAN,
            positions: rows.iter().map(|row| row.positions).sum(),
            files: rows.iter().map(|row| row.files).sum(),
            slots: Vec::new(),
            strict_top5: over_known(|row| row.strict_top5),
            identifier_mrr: over_known(|row| row.identifier_mrr),
            bits_per_char: over_known(|row| row.bits_per_char),
            token_top1: over_known(|row| row.token_top1),
            identifier_top1: over_known(|row| row.identifier_top1),
            mrr: over_known(|row| row.mrr),
            folded_top1: over(&|row| row.folded_top1),
            codexglue_top1: over(&|row| row.codexglue_top1),
            ranked_positions: rows.iter().map(|row| row.ranked_positions).sum(),
            ..first.clone()
        });
    }
    Evaluation {
        results,
        sources: Vec::new(),
    }
}

/// A figure beside the strict accuracy; its column is left out where nothing has it.
struct Figure {
    heading: &'static str,
    of: fn(&LevelResult) -> Option<f64>,
    shown: fn(&Messages, f64) -> String,
}

const FIGURES: [Figure; 3] = [
    Figure {
        heading: "accuracy-top5",
        of: |row| row.strict_top5,
        shown: Messages::percent,
    },
    Figure {
        heading: "accuracy-identifier-mrr",
        of: |row| row.identifier_mrr,
        shown: Messages::percent,
    },
    Figure {
        heading: "accuracy-bits",
        of: |row| row.bits_per_char,
        shown: |messages, bits| messages.decimal(bits, 2),
    },
];

/// A share with its 95 % interval.
fn strict(row: Option<&LevelResult>, messages: &Messages) -> String {
    row.map_or_else(String::new, |row| {
        let share = messages.percent(row.strict_top1);
        if row.low.is_nan() {
            return share;
        }
        format!(
            "{share} [{}–{}]",
            messages.percent(row.low),
            messages.percent(row.high)
        )
    })
}

/// What a level is called in the table.
pub fn level_name(level: Level, messages: &Messages) -> String {
    match level {
        Level::Ngram => messages.text("accuracy-ngram"),
        Level::Cache => messages.text("accuracy-cache"),
        Level::All => messages.text("accuracy-all"),
        _ => messages.with("accuracy-one-level", &[("level", level.name().into())]),
    }
}

fn adaptation_name(adaptation: Adaptation, messages: &Messages) -> String {
    match adaptation {
        Adaptation::None => messages.text("accuracy-none"),
        Adaptation::File => messages.text("accuracy-file"),
        Adaptation::Dynamic => messages.text("accuracy-dynamic"),
    }
}
