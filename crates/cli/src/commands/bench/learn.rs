//! `nestor bench learn`: what teaching levels 2 and 3 costs, what it gains on the project's own code, what it costs foreign code,
//! and what garbage in the stream does.
//!
//! Every tenth file of the source is held out; the others are taught in path order. Losses are those of the exits alone, without
//! counts, so that a figure is the memories' own.

use super::super::complete;
use super::garbage::{self, Kind};
use super::mixtures::{self, Forgotten, Mixture, Stages};
use super::whole::{self, Whole};
use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::held_out;
use crate::home;
use crate::learning;
use crate::messages::Messages;
use crate::plot::{self, Axes, Curve};
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use clap::Args;
use indicatif::ProgressBar;
use nestor_assist::{
    AssistError, Assistant, LearnFile, LevelMemories, LevelMemoriesConfig, MemoryParts,
};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Pieces that each combination of memories is timed on.
const TIMED_PIECES: usize = 8_000;

/// Strand of the memories that learns the source.
const STRAND: &str = "first";

/// That of the codebase that is taught afterwards as another root.
const OTHER_STRAND: &str = "then";

/// Arguments of `nestor bench learn`.
#[derive(Debug, Args)]
pub struct Typed {
    #[arg(value_name = "SRC")]
    source: Option<PathBuf>,
    #[arg(long, value_name = "SRC")]
    foreign: Option<PathBuf>,
    #[arg(long, value_name = "SRC", conflicts_with = "whole")]
    then: Option<PathBuf>,
    #[arg(long, value_name = "N", default_value_t = 30_000)]
    pieces: usize,
    #[arg(long, value_name = "FILE.svg", conflicts_with = "whole")]
    plot: Option<PathBuf>,
    #[arg(long, conflicts_with = "whole")]
    mixtures: bool,
    #[arg(long, conflicts_with_all = ["foreign", "pieces"])]
    whole: bool,
    #[arg(long, value_name = "N", requires = "whole")]
    max_bytes: Option<usize>,
    #[arg(long, value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
}

/// Runs the command.
pub fn run(typed: &Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let source = match &typed.source {
        Some(source) => source.clone(),
        None => home::configuration(&home::find(messages)?),
    };
    let assistant = complete::open(&typed.model, messages)?;
    if assistant.model().config().stages < 3 {
        let values = [("name", typed.model.as_str().into())];
        return Err(Failure::usage(
            messages,
            "bench-learn-needs-levels",
            &values,
        ));
    }
    if typed.whole {
        return whole(typed, &source, &assistant, terminal);
    }
    let (taught, held_out) = held_out::split(files(&source, terminal)?);
    if taught.is_empty() || held_out.is_empty() {
        let values = [("path", source.display().to_string().into())];
        return Err(Failure::input(messages, "bench-learn-too-few", &values));
    }
    let foreign = match &typed.foreign {
        Some(foreign) => files(foreign, terminal)?,
        None => Vec::new(),
    };
    let then = match &typed.then {
        Some(then) => files(then, terminal)?,
        None => Vec::new(),
    };
    let bench = Bench {
        assistant: &assistant,
        held_out: &held_out,
        foreign: &foreign,
        then: &then,
    };
    let bar = terminal.bar(0, &messages.text("bench-learn-bar"));
    let report = bench.report(typed, &taught, &bar);
    bar.finish_and_clear();
    let mut report = report.map_err(|error| explain::assist(messages, &error))?;
    if typed.mixtures {
        let bar = terminal.bar(0, &messages.text("bench-learn-bar"));
        let first = bench.first(&taught, typed.pieces);
        report.mixtures = mixtures::measure(&assistant, first, &bar, messages)?;
        if !then.is_empty() {
            let stages = Stages {
                taught: first,
                then: bench.first(&then, typed.pieces),
                held_out: &held_out,
            };
            report.forgotten = mixtures::forgotten(&assistant, &stages, &bar, messages)?;
        }
        bar.finish_and_clear();
    }
    if let Some(path) = &typed.plot {
        plot(path, &report, messages)?;
    }
    terminal.result(&report, || text(&report, messages))
}

/// Learns the whole source as a project.
fn whole(typed: &Typed, source: &Path, assistant: &Assistant, terminal: &Terminal) -> Outcome {
    let mut files = learning::read_all(source, terminal)?;
    if let Some(max_bytes) = typed.max_bytes {
        learning::keep_first(&mut files, max_bytes);
    }
    let whole = Whole {
        files: &files,
        model: &typed.model,
        assistant,
        teach: u64::MAX,
    };
    let report = whole.run(terminal)?;
    terminal.result(&report, || whole::text(&report, &terminal.messages))
}

/// Losses over pieces taught, of the exits that have memories.
fn plot(path: &Path, report: &Report, messages: &Messages) -> Outcome {
    let curve = |of: fn(&Point) -> &[f64], exit: usize| -> Vec<(f64, f64)> {
        let points = report.curve.iter();
        points
            .filter_map(|point| Some((point.pieces as f64, *of(point).get(exit)?)))
            .collect()
    };
    let own: fn(&Point) -> &[f64] = |point| &point.own_bits;
    let foreign: fn(&Point) -> &[f64] = |point| &point.foreign_bits;
    let names = [
        "bench-learn-own2",
        "bench-learn-own3",
        "bench-learn-foreign2",
        "bench-learn-foreign3",
    ]
    .map(|key| messages.text(key));
    let curves: Vec<Curve<'_>> = [(own, 1), (own, 2), (foreign, 1), (foreign, 2)]
        .into_iter()
        .zip(&names)
        .map(|((of, exit), name)| Curve {
            name,
            points: curve(of, exit),
        })
        .filter(|curve| !curve.points.is_empty())
        .collect();
    let axes = Axes {
        title: &messages.text("bench-learn-plot-title"),
        x: &messages.text("bench-learn-taught"),
        y: &messages.text("bench-learn-plot-bits"),
    };
    plot::save(path, &axes, &curves, messages)
}

fn files(path: &Path, terminal: &Terminal) -> Outcome<Vec<LearnFile>> {
    learning::read_all(path, terminal).map(held_out::lessons)
}

struct Bench<'a> {
    assistant: &'a Assistant,
    held_out: &'a [LearnFile],
    foreign: &'a [LearnFile],
    /// Taught after the source.
    then: &'a [LearnFile],
}

impl Bench<'_> {
    fn report(
        &self,
        typed: &Typed,
        taught: &[LearnFile],
        bar: &ProgressBar,
    ) -> Result<Report, AssistError> {
        let streams = 1 + u64::from(!self.then.is_empty()) * 2 + 2 * garbage::KINDS.len() as u64;
        bar.set_length(streams * typed.pieces as u64);
        let costs = self.costs(taught)?;
        let (curve, mut levels) = self.curve(taught, typed.pieces, bar)?;
        let level_bytes = levels.bytes();
        levels.turn_to(STRAND);
        let mut apart = levels.clone();
        apart.turn_to(OTHER_STRAND);
        let then = self.teach_then(&mut apart, typed.pieces, bar)?;
        let then_together = self.teach_then(&mut levels, typed.pieces, bar)?;
        let (first, last) = (curve.first().cloned(), curve.last().cloned());
        let poisons = match (&first, &last) {
            (Some(untaught), Some(clean)) => garbage::KINDS
                .into_iter()
                .map(|kind| self.poison(kind, taught, typed.pieces, [untaught, clean], bar))
                .collect::<Result<_, _>>()?,
            _ => Vec::new(),
        };
        let harm = |of: fn(&Point) -> &[f64]| {
            let (first, last) = (first.as_ref()?, last.as_ref()?);
            let (before, after) = (of(first).last()?, of(last).last()?);
            Some((after - before) / before)
        };
        let after = |then: &Option<Point>| {
            let before = last.as_ref()?.own_bits.last()?;
            let after = then.as_ref()?.own_bits.last()?;
            Some((after - before) / before)
        };
        Ok(Report {
            model: typed.model.clone(),
            threads: super::threads(),
            costs,
            level_bytes,
            after_another: after(&then),
            after_another_together: after(&then_together),
            then,
            then_together,
            forgetting: harm(|point| &point.foreign_bits),
            gain: harm(|point| &point.own_bits).map(|change| -change),
            poisons,
            mixtures: Vec::new(),
            forgotten: Vec::new(),
            curve,
        })
    }

    /// Microseconds a piece of each combination of memories, the reading of the text included.
    fn costs(&self, taught: &[LearnFile]) -> Result<Vec<Cost>, AssistError> {
        let none = MemoryParts {
            level2: false,
            level3: false,
            episodic: false,
        };
        let combinations = [
            ("reading", none),
            (
                "level2",
                MemoryParts {
                    level2: true,
                    ..none
                },
            ),
            (
                "level3",
                MemoryParts {
                    level3: true,
                    ..none
                },
            ),
            (
                "episodic",
                MemoryParts {
                    episodic: true,
                    ..none
                },
            ),
            ("all", MemoryParts::ALL),
        ];
        combinations
            .into_iter()
            .map(|(memories, parts)| {
                let mut levels = self.levels(parts)?;
                let (mut pieces, started) = (0, Instant::now());
                for file in taught {
                    if pieces >= TIMED_PIECES {
                        break;
                    }
                    pieces += self.assistant.teach(&mut levels, file)?;
                }
                let seconds = started.elapsed().as_secs_f64();
                Ok(Cost {
                    memories,
                    pieces,
                    us_a_piece: seconds * 1e6 / pieces.max(1) as f64,
                    pieces_per_s: pieces as f64 / seconds.max(1e-9),
                })
            })
            .collect()
    }

    fn levels(&self, parts: MemoryParts) -> Result<LevelMemories, AssistError> {
        let config = LevelMemoriesConfig {
            parts,
            ..self.assistant.level_config()
        };
        self.assistant.empty_levels(config)
    }

    /// Losses before anything is taught, then each time that the pieces taught have doubled, and at the end.
    fn curve(
        &self,
        taught: &[LearnFile],
        max_pieces: usize,
        bar: &ProgressBar,
    ) -> Result<(Vec<Point>, LevelMemories), AssistError> {
        let mut levels = self.levels(MemoryParts::ALL)?;
        let mut points = vec![self.point(&levels)?];
        let mut next = 1000;
        let max_pieces = max_pieces as u64;
        let mut after = |levels: &LevelMemories, pieces: usize| {
            bar.inc(pieces as u64);
            if levels.tokens() >= next && levels.tokens() < max_pieces {
                points.push(self.point(levels)?);
                next = levels.tokens() * 2;
            }
            Ok(())
        };
        held_out::teach(self.assistant, &mut levels, taught, max_pieces, &mut after)?;
        points.push(self.point(&levels)?);
        Ok((points, levels))
    }

    /// Losses after another codebase was taught too, to the strand at work; nothing without one. Its own code is read by the first strand, as
    /// completions do, foreign code by the last.
    fn teach_then(
        &self,
        levels: &mut LevelMemories,
        max_pieces: usize,
        bar: &ProgressBar,
    ) -> Result<Option<Point>, AssistError> {
        if self.then.is_empty() {
            return Ok(None);
        }
        let mut after = |_: &LevelMemories, pieces: usize| {
            bar.inc(pieces as u64);
            Ok(())
        };
        let max_pieces = max_pieces as u64;
        held_out::teach(self.assistant, levels, self.then, max_pieces, &mut after)?;
        let foreign_bits = self.losses(levels, self.foreign)?;
        let mut own = levels.clone();
        own.turn_to(STRAND);
        Ok(Some(Point {
            pieces: levels.tokens(),
            own_bits: self.losses(&own, self.held_out)?,
            foreign_bits,
        }))
    }

    /// What a kind of garbage does to the losses on code of the project: as a fifth of the stream, and taught alone. `without` are the
    /// losses before anything was taught, and after the code was taught without garbage.
    fn poison(
        &self,
        kind: Kind,
        taught: &[LearnFile],
        pieces: usize,
        [untaught, clean]: [&Point; 2],
        bar: &ProgressBar,
    ) -> Result<Poison, AssistError> {
        let tokenizer = self.assistant.tokenizer();
        let taught = self.first(taught, pieces);
        let garbage = kind.behind(taught, |text| tokenizer.encode(text).len());
        let mixed = taught.iter().cloned().zip(garbage.iter().cloned());
        let mixed: Vec<LearnFile> = mixed.flat_map(<[LearnFile; 2]>::from).collect();
        let losses = |files: &[LearnFile]| {
            let mut levels = self.levels(MemoryParts::ALL)?;
            let mut after = |_: &LevelMemories, pieces: usize| {
                bar.inc(pieces as u64);
                Ok(())
            };
            held_out::teach(self.assistant, &mut levels, files, u64::MAX, &mut after)?;
            let bits = self.losses(&levels, self.held_out)?;
            Ok::<_, AssistError>((levels.tokens(), bits))
        };
        let (mixed_pieces, own_bits) = losses(&mixed)?;
        let (garbage_pieces, alone_bits) = losses(&garbage)?;
        let harm = |before: &Point, after: &[f64]| {
            let (before, after) = (before.own_bits.last()?, after.last()?);
            Some((after - before) / before)
        };
        Ok(Poison {
            garbage: kind.name(),
            share: garbage_pieces as f64 / mixed_pieces.max(1) as f64,
            harm: harm(clean, &own_bits),
            harm_alone: harm(untaught, &alone_bits),
            own_bits,
            alone_bits,
        })
    }

    /// The first files that have so many pieces.
    fn first<'f>(&self, files: &'f [LearnFile], pieces: usize) -> &'f [LearnFile] {
        let mut counted = 0;
        for (idx, file) in files.iter().enumerate() {
            if counted >= pieces {
                return &files[..idx];
            }
            counted += self.assistant.tokenizer().encode(&file.text).len();
        }
        files
    }

    fn point(&self, levels: &LevelMemories) -> Result<Point, AssistError> {
        Ok(Point {
            pieces: levels.tokens(),
            own_bits: self.losses(levels, self.held_out)?,
            foreign_bits: self.losses(levels, self.foreign)?,
        })
    }

    /// Bits a piece of each exit on the first pieces of some files; empty without files.
    fn losses(&self, levels: &LevelMemories, files: &[LearnFile]) -> Result<Vec<f64>, AssistError> {
        held_out::losses(self.assistant, levels, files).map(|losses| losses.per_piece())
    }
}

/// What some memories cost.
#[derive(Serialize)]
struct Cost {
    memories: &'static str,
    pieces: usize,
    us_a_piece: f64,
    pieces_per_s: f64,
}

/// Losses after so many pieces, in bits a piece by exit.
#[derive(Clone, Serialize)]
struct Point {
    pieces: u64,
    own_bits: Vec<f64>,
    foreign_bits: Vec<f64>,
}

#[derive(Serialize)]
struct Report {
    model: String,
    threads: usize,
    costs: Vec<Cost>,
    /// Resident bytes of the memories at the end.
    level_bytes: usize,
    curve: Vec<Point>,
    /// How much of the last exit's loss on held-out code of the project is gone at the end.
    gain: Option<f64>,
    /// How much the last exit's loss on foreign code has risen; nothing without foreign code.
    forgetting: Option<f64>,
    /// Losses after the other codebase was taught too, as another root of the project.
    then: Option<Point>,
    /// How much the last exit's loss on held-out code has risen by that.
    after_another: Option<f64>,
    /// The same when both are taught as one root.
    then_together: Option<Point>,
    /// How much the loss has risen then.
    after_another_together: Option<f64>,
    /// What garbage does, by kind.
    poisons: Vec<Poison>,
    /// The same with counts and gates; empty where it was not asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mixtures: Vec<Mixture>,
    /// What the other codebase, as one root with the first, makes completion as a whole forget; empty where it was not asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    forgotten: Vec<Forgotten>,
}

/// Losses on held-out code of the project, in bits a piece by exit, where garbage was taught too.
#[derive(Serialize)]
struct Poison {
    /// Its kind.
    garbage: &'static str,
    /// Share of the pieces that are garbage.
    share: f64,
    own_bits: Vec<f64>,
    /// How much the last exit's loss lies above that after the same code without garbage.
    harm: Option<f64>,
    /// Losses after the garbage alone.
    alone_bits: Vec<f64>,
    /// How much the last exit's loss lies above that with nothing taught.
    harm_alone: Option<f64>,
}

fn text(report: &Report, messages: &Messages) -> String {
    let bits = |bits: &[f64], exit: usize| {
        let found = bits.get(exit);
        found.map_or_else(|| "–".to_owned(), |bits| messages.decimal(*bits, 3))
    };
    let headings = ["bench-learn-memories", "bench-learn-us", "bench-learn-rate"];
    let mut costs = Table::new(headings.map(|key| messages.text(key)));
    for cost in &report.costs {
        let cells = [
            messages.text(match cost.memories {
                "level2" => "bench-learn-level2",
                "level3" => "bench-learn-level3",
                "episodic" => "bench-learn-episodic",
                "all" => "bench-learn-all",
                _ => "bench-learn-reading",
            }),
            messages.decimal(cost.us_a_piece, 0),
            messages.count(cost.pieces_per_s as u64),
        ];
        costs.row(cells, Emphasis::Plain);
    }
    let headings = [
        "bench-learn-taught",
        "bench-learn-own2",
        "bench-learn-own3",
        "bench-learn-foreign2",
        "bench-learn-foreign3",
    ];
    let mut curve = Table::new(headings.map(|key| messages.text(key)));
    for point in &report.curve {
        let cells = [
            messages.count(point.pieces),
            bits(&point.own_bits, 1),
            bits(&point.own_bits, 2),
            bits(&point.foreign_bits, 1),
            bits(&point.foreign_bits, 2),
        ];
        curve.row(cells, Emphasis::Plain);
    }
    let thens = [
        ("bench-learn-then", &report.then),
        ("bench-learn-then-together", &report.then_together),
    ];
    for (name, then) in thens {
        let Some(then) = then else { continue };
        let cells = [
            messages.text(name),
            bits(&then.own_bits, 1),
            bits(&then.own_bits, 2),
            bits(&then.foreign_bits, 1),
            bits(&then.foreign_bits, 2),
        ];
        curve.row(cells, Emphasis::Faint);
    }
    let headings = [
        "bench-learn-garbage",
        "bench-learn-own2",
        "bench-learn-own3",
        "bench-learn-harm",
        "bench-learn-harm-alone",
    ];
    let mut poisons = Table::new(headings.map(|key| messages.text(key)));
    let percent = |share: Option<f64>| {
        let percent = |share: f64| format!("{} %", messages.decimal(100.0 * share, 2));
        share.map_or_else(|| "–".to_owned(), percent)
    };
    for (kind, poison) in garbage::KINDS.into_iter().zip(&report.poisons) {
        let cells = [
            messages.text(kind.message()),
            bits(&poison.own_bits, 1),
            bits(&poison.own_bits, 2),
            percent(poison.harm),
            percent(poison.harm_alone),
        ];
        poisons.row(cells, Emphasis::Plain);
    }
    let values = [
        ("model", report.model.as_str().into()),
        ("threads", report.threads.into()),
        ("bytes", messages.bytes(report.level_bytes as u64).into()),
    ];
    let mut text = format!(
        "{}\n\n{}\n{}\n{}",
        messages.with("bench-learn-what", &values),
        costs.render(),
        curve.render(),
        poisons.render()
    );
    if !report.mixtures.is_empty() {
        text.push('\n');
        text.push_str(&mixtures::text(&report.mixtures, messages));
    }
    if !report.forgotten.is_empty() {
        text.push('\n');
        text.push_str(&mixtures::forgotten_text(&report.forgotten, messages));
    }
    text
}
