//! `nestor quickstart`: what Nestor does, shown on the bundled configuration within two minutes.
//!
//! Learns the configuration, completes one place before and after learning and at each speed, teaches levels 2 and 3 a part of it and
//! scores them on files held out, measures accuracy before and after. Everything is computed on the spot; nothing printed here is a
//! stored figure.

use super::bench::SPEEDS;
use super::complete::{self, CompletionShown};
use super::eval;
use crate::accuracy;
use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::held_out;
use crate::home;
use crate::learning::{self, Learned};
use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use clap::Args;
use nestor_assist::{AssistError, Assistant, CompleteRequest, Speed};
use nestor_bsl::position::ByteOffset;
use nestor_eval::{EvalConfig, Evaluation, Level, NgramBaseline, ProjectFile, Protocol, Source};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `nestor quickstart`.
#[derive(Debug, Args)]
pub struct Typed {
    #[arg(long, value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
    /// About a quarter of the configuration's code, so that two minutes are enough on any machine.
    #[arg(long, value_name = "N", default_value_t = 8_000)]
    max_positions: u64,
}

/// The place that is completed: a line of a document's posting that calls the configuration's own module.
const PLACE_FILE: &str = "cf/Documents/РеализацияТоваров/Ext/ObjectModule.bsl";
/// The text right before the cursor, at its first occurrence.
const PLACE_BEFORE: &str = "\tВзаиморасчетыСервер.";

/// Pieces taught to levels 2 and 3, but for the rest of a file: about a quarter of the configuration.
const TAUGHT_PIECES: u64 = 20_000;

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let started = Instant::now();
    let configuration = home::configuration(&home::find(messages)?);
    let mut assistant = complete::open(&typed.model, messages)?;
    terminal.part(&title(&typed.model, &assistant, messages))?;

    let files = learning::read_all(&configuration, terminal)?;
    let place = Place::find(&files).ok_or_else(|| {
        let path = configuration.join(PLACE_FILE).display().to_string();
        Failure::input(messages, "quickstart-no-place", &[("path", path.into())])
    })?;
    let before = place.complete(&assistant, Speed::Accurate, messages)?;
    let learned = learning::learn(&mut assistant, &configuration, terminal)?;
    terminal.part(&format!("{}\n\n", learning::sentence(&learned, terminal)))?;

    // Once unmeasured, so that the first speed does not pay for what all of them use.
    place.complete(&assistant, Speed::Accurate, messages)?;
    let completions: Vec<CompletionShown> = SPEEDS
        .into_iter()
        .map(|speed| place.complete(&assistant, speed, messages))
        .collect::<Outcome<_>>()?;
    terminal.part(&place.text(&before, &completions, messages))?;

    let memories = teach_levels(&assistant, &files, terminal)?;
    if let Some(memories) = &memories {
        terminal.part(&memories.text(messages))?;
    }

    let measured = measure(&assistant, files, typed.max_positions, terminal)?;
    let report = Report {
        model: typed.model,
        configuration,
        learned,
        place: place.shown(),
        before_learning: before,
        completions,
        memories,
        evaluation: measured,
        seconds: started.elapsed().as_secs_f64(),
    };
    terminal.result(&report, || accuracy_text(&report, messages))
}

/// Accuracy of every level and of the baseline; the assistant's own project plays no part in it.
fn measure(
    assistant: &Assistant,
    files: Vec<ProjectFile>,
    max_positions: u64,
    terminal: &Terminal,
) -> Outcome<Evaluation> {
    let source = Source {
        name: terminal.messages.text("quickstart-configuration"),
        files,
    };
    let mut config = EvalConfig::new(Protocol::Project);
    config.max_positions = Some(max_positions);
    // The rankings cost as much as all the rest and are for `nestor eval`.
    config.rank_every = 0;
    let mut baseline = NgramBaseline::new();
    eval::measure(&source, assistant, Some(&mut baseline), &config, terminal)
}

/// The document of the command.
#[derive(Serialize)]
struct Report {
    model: String,
    configuration: PathBuf,
    learned: Learned,
    place: PlaceShown,
    before_learning: CompletionShown,
    completions: Vec<CompletionShown>,
    /// Nothing where the model has one level.
    memories: Option<Memories>,
    #[serde(flatten)]
    evaluation: Evaluation,
    seconds: f64,
}

/// What the memories of levels 2 and 3 have learned of a part of the configuration.
#[derive(Serialize)]
struct Memories {
    /// Files taught.
    files: usize,
    /// Pieces in them.
    pieces: u64,
    /// Time that teaching took, the reading by the network included.
    seconds: f64,
    pieces_per_s: f64,
    /// Pieces scored of files that were not taught.
    held_out_pieces: u64,
    levels: Vec<LevelLosses>,
}

/// What a level's exit alone, without counts, loses on the files held out, in bits a piece.
#[derive(Serialize)]
struct LevelLosses {
    level: Level,
    /// With silent memories.
    bits_untaught: f64,
    /// With what they have learned.
    bits_taught: f64,
}

/// Teaches new memories, which nothing else here uses; nothing for a model without a level that has one.
fn teach_levels(
    assistant: &Assistant,
    files: &[ProjectFile],
    terminal: &Terminal,
) -> Outcome<Option<Memories>> {
    let messages = &terminal.messages;
    if assistant.model().config().stages < 2 {
        return Ok(None);
    }
    let (lessons, held_out) = held_out::split(held_out::lessons(files.to_vec()));
    let bar = terminal.bar(TAUGHT_PIECES, &messages.text("learning-bar"));
    let measured = || -> Result<Memories, AssistError> {
        let mut levels = assistant.empty_levels(assistant.level_config())?;
        let before = held_out::losses(assistant, &levels, &held_out)?;
        let started = Instant::now();
        let mut after = |_: &_, pieces: usize| {
            bar.inc(pieces as u64);
            Ok(())
        };
        let files = held_out::teach(assistant, &mut levels, &lessons, TAUGHT_PIECES, &mut after)?;
        let seconds = started.elapsed().as_secs_f64();
        let after = held_out::losses(assistant, &levels, &held_out)?;
        let bits = before.per_piece().into_iter().zip(after.per_piece());
        Ok(Memories {
            files,
            pieces: levels.tokens(),
            seconds,
            pieces_per_s: levels.tokens() as f64 / seconds.max(1e-9),
            held_out_pieces: after.pieces,
            levels: [Level::One, Level::Two, Level::Three]
                .into_iter()
                .zip(bits)
                // The first exit has no memory of this kind.
                .skip(1)
                .map(|(level, (bits_untaught, bits_taught))| LevelLosses {
                    level,
                    bits_untaught,
                    bits_taught,
                })
                .collect(),
        })
    };
    let measured = measured();
    bar.finish_and_clear();
    measured
        .map(Some)
        .map_err(|error| explain::assist(messages, &error))
}

impl Memories {
    fn text(&self, messages: &Messages) -> String {
        let values = [
            ("pieces", messages.count(self.pieces).into()),
            ("files", self.files.into()),
            ("time", messages.duration(self.seconds).into()),
            ("rate", messages.count(self.pieces_per_s as u64).into()),
            ("scored", messages.count(self.held_out_pieces).into()),
        ];
        let headings = [
            "accuracy-level",
            "quickstart-untaught",
            "quickstart-taught",
            "quickstart-change",
        ];
        let mut table = Table::new(headings.map(|key| messages.text(key)));
        for row in &self.levels {
            let change = row.bits_taught / row.bits_untaught - 1.0;
            let cells = [
                accuracy::level_name(row.level, messages),
                messages.decimal(row.bits_untaught, 3),
                messages.decimal(row.bits_taught, 3),
                messages.percent(change),
            ];
            table.row(cells, Emphasis::Plain);
        }
        format!(
            "{}\n\n{}\n",
            messages.with("quickstart-memories", &values),
            table.render()
        )
    }
}

fn title(model: &str, assistant: &Assistant, messages: &Messages) -> String {
    let values = [
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("model", model.into()),
        (
            "parameters",
            messages
                .decimal(assistant.model().parameter_count() as f64 / 1e6, 1)
                .into(),
        ),
        ("levels", assistant.model().config().stages.into()),
    ];
    format!(
        "{}\n",
        console::style(messages.with("quickstart-title", &values)).bold()
    )
}

/// Where the completion is shown.
struct Place {
    path: String,
    /// The file without the rest of the cursor's line.
    text: String,
    offset: usize,
    line: usize,
    /// The rest of the line, as the file has it.
    truth: String,
}

#[derive(Serialize)]
struct PlaceShown {
    file: String,
    line: usize,
    before: String,
    written: String,
}

impl Place {
    fn find(files: &[ProjectFile]) -> Option<Self> {
        let file = files.iter().find(|file| file.path == PLACE_FILE)?;
        let offset = file.text.find(PLACE_BEFORE)? + PLACE_BEFORE.len();
        let rest = file.text[offset..].split('\n').next().unwrap_or_default();
        // What follows the cursor on its line would give the answer away.
        let text = format!(
            "{}{}",
            &file.text[..offset],
            &file.text[offset + rest.len()..]
        );
        Some(Self {
            path: file.path.clone(),
            offset,
            line: file.text[..offset].matches('\n').count() + 1,
            truth: rest.to_owned(),
            text,
        })
    }

    fn complete(
        &self,
        assistant: &Assistant,
        speed: Speed,
        messages: &Messages,
    ) -> Outcome<CompletionShown> {
        let mut request =
            CompleteRequest::new(&self.path, self.text.clone(), ByteOffset(self.offset));
        request.speed = speed;
        request.max_tokens = 24;
        let completion = assistant
            .complete(&request)
            .map_err(|error| explain::assist(messages, &error))?;
        Ok(CompletionShown::new(speed, &completion))
    }

    fn before(&self) -> &str {
        complete::line_before(&self.text, ByteOffset(self.offset)).trim_start()
    }

    fn shown(&self) -> PlaceShown {
        PlaceShown {
            file: self.path.clone(),
            line: self.line,
            before: self.before().to_owned(),
            written: self.truth.clone(),
        }
    }

    fn text(
        &self,
        before: &CompletionShown,
        completions: &[CompletionShown],
        messages: &Messages,
    ) -> String {
        let values = [
            ("file", self.path.as_str().into()),
            ("line", self.line.into()),
        ];
        let mut text = format!("{}\n\n", messages.with("quickstart-place", &values));
        let mut table = Table::new(
            ["quickstart-speed", "quickstart-latency"]
                .map(|key| messages.text(key))
                .into_iter()
                .chain([format!("{}{}", self.before(), "▏")]),
        )
        .left(2);
        table.row(
            [
                messages.text("quickstart-written"),
                String::new(),
                self.truth.clone(),
            ],
            Emphasis::Faint,
        );
        table.row(
            self.cells(&messages.text("quickstart-before"), before, messages),
            Emphasis::Faint,
        );
        for completion in completions {
            table.row(
                self.cells(completion.speed, completion, messages),
                Emphasis::Plain,
            );
        }
        text.push_str(&table.render());
        text.push('\n');
        text
    }

    fn cells(&self, name: &str, completion: &CompletionShown, messages: &Messages) -> [String; 3] {
        let mark = if completion.text.trim_end() == self.truth.trim_end() {
            " ✓"
        } else {
            ""
        };
        let latency = messages.milliseconds(completion.latency_ms);
        [
            name.to_owned(),
            latency,
            format!("{}{mark}", completion.text),
        ]
    }
}

fn accuracy_text(report: &Report, messages: &Messages) -> String {
    let Some(source) = report.evaluation.sources.first() else {
        return String::new();
    };
    let values = [
        ("scored", messages.count(source.scored_code_tokens).into()),
        ("tokens", messages.count(source.code_tokens).into()),
    ];
    let heading = messages.with("quickstart-accuracy", &values);
    let table = accuracy::table(&report.evaluation, &source.source, messages);
    let legend = messages.text("accuracy-legend");
    let baseline = messages.text("quickstart-baseline");
    let time = messages.with(
        "quickstart-time",
        &[("time", messages.duration(report.seconds).into())],
    );
    let next = messages.text("quickstart-next");
    format!("{heading}\n\n{table}\n{legend}\n{baseline}\n\n{time}\n{next}\n")
}
