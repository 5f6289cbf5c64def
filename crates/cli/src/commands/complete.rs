//! `nestor complete FILE:LINE:COL`: what Nestor would write there.

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::learning::{self, Learned};
use crate::messages::Messages;
use crate::projects::{self, MemoryTyped};
use crate::terminal::Terminal;
use clap::{Args, ValueEnum};
use nestor_assist::{Assistant, CompleteRequest, Completion, Speed, StopReason, StopRule};
use nestor_bsl::position::ByteOffset;
use nestor_engine::Precision;
use nestor_memory::ProjectStore;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

/// Arguments of `nestor complete`.
#[derive(Debug, Args)]
pub struct Typed {
    #[arg(value_name = "FILE:LINE:COL")]
    position: PositionTyped,
    #[arg(long, value_enum, default_value = "balanced")]
    speed: SpeedTyped,
    #[arg(long, value_name = "SRC")]
    learn: Option<PathBuf>,
    #[arg(long, value_name = "NAME", conflicts_with = "learn")]
    project: Option<String>,
    #[command(flatten)]
    memory: MemoryTyped,
    #[arg(long, value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
    #[arg(long, value_enum, default_value = "int8")]
    precision: PrecisionTyped,
    #[arg(long, value_enum, default_value = "line")]
    stop: StopTyped,
    #[arg(long, value_name = "N", default_value_t = 16)]
    max_tokens: usize,
}

/// A place in a file as typed: line and column from 1, the column in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PositionTyped {
    file: PathBuf,
    line: usize,
    column: usize,
}

impl FromStr for PositionTyped {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // From the right: a path may hold colons itself, on Windows it nearly always does.
        let mut parts = text.rsplitn(3, ':');
        let mut number = || parts.next()?.parse().ok().filter(|n| *n > 0);
        let (column, line) = (number(), number());
        match (parts.next(), line, column) {
            (Some(file), Some(line), Some(column)) if !file.is_empty() => Ok(Self {
                file: file.into(),
                line,
                column,
            }),
            _ => Err("FILE:LINE:COL, LINE >= 1, COL >= 1".to_owned()),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SpeedTyped {
    Fast,
    Balanced,
    Accurate,
}

impl From<SpeedTyped> for Speed {
    fn from(typed: SpeedTyped) -> Self {
        match typed {
            SpeedTyped::Fast => Self::Fast,
            SpeedTyped::Balanced => Self::Balanced,
            SpeedTyped::Accurate => Self::Accurate,
        }
    }
}

/// What the network computes with.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PrecisionTyped {
    F32,
    Int8,
    Int4,
}

impl From<PrecisionTyped> for Precision {
    fn from(typed: PrecisionTyped) -> Self {
        match typed {
            PrecisionTyped::F32 => Self::F32,
            PrecisionTyped::Int8 => Self::Int8,
            PrecisionTyped::Int4 => Self::Int4,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StopTyped {
    Line,
    Statement,
    Block,
}

impl From<StopTyped> for StopRule {
    fn from(typed: StopTyped) -> Self {
        match typed {
            StopTyped::Line => Self::Line,
            StopTyped::Statement => Self::Statement,
            StopTyped::Block => Self::Block,
        }
    }
}

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let mut request = resolve(&typed, messages)?;
    let mut assistant = open_as(&typed.model, typed.precision, messages)?;
    let learned = match &typed.learn {
        Some(source) => {
            if let Some(path) = inside(&typed.position.file, source) {
                request.path = path;
            }
            let learned = learning::learn(&mut assistant, source, terminal)?;
            terminal.note(&learning::sentence(&learned, terminal));
            Some(learned)
        }
        None => None,
    };
    let project = match &typed.project {
        Some(name) => {
            let (store, loaded) = load_project(name, &typed.memory, &mut assistant, terminal)?;
            // The file is completed under its path there.
            if let Some(path) = projects::path_in(&store, &typed.position.file) {
                request.path = path;
            }
            Some(loaded)
        }
        None => None,
    };
    let completion = assistant
        .complete(&request)
        .map_err(|error| explain::assist(messages, &error))?;
    let answer = Answer {
        file: typed.position.file.clone(),
        line: typed.position.line,
        column: typed.position.column,
        learned,
        project,
        completion: CompletionShown::new(request.speed, &completion),
    };
    terminal.result(&answer, || text(&request, &completion, messages))
}

/// Loads what a project has taught into an assistant, and tells so.
pub fn load_project(
    name: &str,
    memory: &MemoryTyped,
    assistant: &mut Assistant,
    terminal: &Terminal,
) -> Outcome<(ProjectStore, ProjectLoaded)> {
    let messages = &terminal.messages;
    let started = Instant::now();
    let name = projects::name(name, messages)?;
    let store = memory.projects(messages)?.open(&name);
    let store = store.map_err(|error| explain::memory(messages, &error))?;
    let bar = terminal.bar(store.n_pieces(), &messages.text("project-loading"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let loaded = assistant.load_project(&store, threads, &mut |at| bar.set_position(at.pieces));
    bar.finish_and_clear();
    loaded.map_err(|error| explain::assist(messages, &error))?;
    let loaded = ProjectLoaded {
        name: name.to_string(),
        files: assistant.memory().n_files(),
        pieces: assistant.memory().n_pieces(),
        seconds: started.elapsed().as_secs_f64(),
    };
    let values = [
        ("name", loaded.name.as_str().into()),
        ("files", messages.count(loaded.files as u64).into()),
        ("pieces", messages.count(loaded.pieces as u64).into()),
        ("time", messages.duration(loaded.seconds).into()),
    ];
    terminal.note(&messages.with("project-loaded", &values));
    if let Some(reason) = assistant.memory().damage() {
        let values = [("name", name.as_str().into()), ("reason", reason.into())];
        terminal.note(&messages.with("project-damaged", &values));
    }
    if let Some(reason) = assistant.memory().metadata_damage() {
        let values = [("name", name.as_str().into()), ("reason", reason.into())];
        terminal.note(&messages.with("project-metadata-damaged", &values));
    }
    Ok((store, loaded))
}

/// Opens a model by name or folder, computing as usual.
pub fn open(model: &str, messages: &Messages) -> Outcome<Assistant> {
    open_as(model, PrecisionTyped::Int8, messages)
}

/// Opens a model by name or folder with a precision.
pub fn open_as(model: &str, precision: PrecisionTyped, messages: &Messages) -> Outcome<Assistant> {
    let dir = home::model_folder(messages, model)?;
    Assistant::open_as(&dir, precision.into()).map_err(|error| explain::assist(messages, &error))
}

fn resolve(typed: &Typed, messages: &Messages) -> Outcome<CompleteRequest> {
    let position = &typed.position;
    let text = read(&position.file, messages)?;
    let offset = byte_offset(&text, position, messages)?;
    // Module kind and object are told by the folders of the path.
    let path = position.file.to_string_lossy().replace('\\', "/");
    let mut request = CompleteRequest::new(path, text, offset);
    request.speed = typed.speed.into();
    request.stop = typed.stop.into();
    request.max_tokens = typed.max_tokens;
    Ok(request)
}

/// The text of a source file, refused by name if it is none.
fn read(path: &Path, messages: &Messages) -> Outcome<String> {
    let shown = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let values = [
            ("path", shown().into()),
            ("reason", error.to_string().into()),
        ];
        Failure::input(messages, "file-unreadable", &values)
    })?;
    let not_text = |reason: String| {
        Failure::input(
            messages,
            "file-no-text",
            &[("path", shown().into()), ("reason", reason.into())],
        )
    };
    nestor_bsl::normalise(&bytes).map_err(|error| not_text(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| not_text(error.to_string()))
}

/// The byte that a line and column mean, in the text as it lies on disk.
fn byte_offset(text: &str, position: &PositionTyped, messages: &Messages) -> Outcome<ByteOffset> {
    let path = || position.file.display().to_string();
    let mark = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let mut line_start = mark;
    for line in 1..position.line {
        match text[line_start..].find('\n') {
            Some(end) => line_start += end + 1,
            None => {
                let values = [
                    ("path", path().into()),
                    ("line", position.line.into()),
                    ("lines", line.into()),
                ];
                return Err(Failure::input(messages, "cursor-line-outside", &values));
            }
        }
    }
    let rest = &text[line_start..];
    let line = rest.split('\n').next().unwrap_or_default();
    let line = line.strip_suffix('\r').unwrap_or(line);
    let n_chars = line.chars().count();
    if position.column > n_chars + 1 {
        let values = [
            ("path", path().into()),
            ("line", position.line.into()),
            ("column", position.column.into()),
            ("columns", (n_chars + 1).into()),
        ];
        return Err(Failure::input(messages, "cursor-column-outside", &values));
    }
    let in_line = line
        .char_indices()
        .nth(position.column - 1)
        .map_or(line.len(), |(at, _)| at);
    Ok(ByteOffset(line_start + in_line))
}

/// The path of `file` inside the folder `source`, as the source names it; `None` if it lies elsewhere.
fn inside(file: &Path, source: &Path) -> Option<String> {
    let file = file.canonicalize().ok()?;
    let path = file.strip_prefix(source.canonicalize().ok()?).ok()?;
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The document of the command.
#[derive(Serialize)]
struct Answer {
    file: PathBuf,
    line: usize,
    column: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    learned: Option<Learned>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectLoaded>,
    #[serde(flatten)]
    completion: CompletionShown,
}

/// A project that was loaded.
#[derive(Debug, Serialize)]
pub struct ProjectLoaded {
    name: String,
    files: usize,
    pieces: usize,
    seconds: f64,
}

/// A completion in JSON; the quickstart shows the same.
#[derive(Debug, Serialize)]
pub struct CompletionShown {
    /// The speed asked for.
    pub speed: &'static str,
    /// Text to insert at the cursor.
    pub text: String,
    /// Probability that all of it is right.
    pub confidence: f32,
    /// What each part of the mixture added; sums to 1.
    pub contributions: Vec<ShareShown>,
    /// Why it ends.
    pub stop: &'static str,
    /// Pieces written.
    pub tokens: usize,
    /// Pieces that the network read.
    pub context_tokens: usize,
    /// Milliseconds from the request to the answer.
    pub latency_ms: f64,
    /// Of these, reading the context.
    pub prefill_ms: f64,
    /// Of these, writing.
    pub decode_ms: f64,
}

/// A part of the mixture and its share.
#[derive(Debug, Serialize)]
pub struct ShareShown {
    /// Name of the part.
    pub part: String,
    /// Its share.
    pub share: f32,
}

impl CompletionShown {
    /// What is shown of a completion.
    pub fn new(speed: Speed, completion: &Completion) -> Self {
        let timings = &completion.timings;
        let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        Self {
            speed: speed.name(),
            text: completion.insert.clone(),
            confidence: completion.confidence,
            contributions: completion
                .contributions
                .iter()
                .map(|part| ShareShown {
                    part: part.part.clone(),
                    share: part.share,
                })
                .collect(),
            stop: stop_name(completion.stop),
            tokens: completion.tokens.len(),
            context_tokens: completion.n_context,
            latency_ms: ms(timings.prepare + timings.prefill + timings.decode),
            prefill_ms: ms(timings.prefill),
            decode_ms: ms(timings.decode),
        }
    }
}

fn stop_name(stop: StopReason) -> &'static str {
    match stop {
        StopReason::Rule => "rule",
        StopReason::EndOfText => "end_of_text",
        StopReason::MaxTokens => "max_tokens",
        StopReason::Prose => "prose",
        StopReason::NothingFits => "nothing_fits",
        StopReason::Cancelled => "cancelled",
    }
}

fn text(request: &CompleteRequest, completion: &Completion, messages: &Messages) -> String {
    if completion.insert.is_empty() {
        let key = match completion.stop {
            StopReason::Prose => "complete-prose",
            _ => "complete-nothing",
        };
        return format!("{}\n", messages.text(key));
    }
    let shown = CompletionShown::new(request.speed, completion);
    let before = line_before(&request.text, request.offset);
    let values = [
        ("speed", shown.speed.into()),
        ("latency", messages.milliseconds(shown.latency_ms).into()),
        (
            "context",
            messages.count(shown.context_tokens as u64).into(),
        ),
        (
            "confidence",
            messages.percent(f64::from(shown.confidence)).into(),
        ),
        ("parts", parts(&shown.contributions, messages).into()),
    ];
    let facts = console::style(messages.with("complete-facts", &values)).dim();
    format!(
        "{}{}\n\n{facts}\n",
        before,
        console::style(&completion.insert).green().bold()
    )
}

/// The text of the cursor's line before the cursor.
pub fn line_before(text: &str, offset: ByteOffset) -> &str {
    let before = &text[..offset.0];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    before[start..].trim_start_matches('\u{feff}')
}

/// The parts that said most, in words.
pub fn parts(contributions: &[ShareShown], messages: &Messages) -> String {
    let mut parts: Vec<&ShareShown> = contributions
        .iter()
        .filter(|part| part.share >= 0.01)
        .collect();
    parts.sort_by(|a, b| b.share.total_cmp(&a.share));
    let shown = parts.iter().map(|part| {
        let name = match part.part.as_str() {
            "corpus" => messages.text("part-corpus"),
            "project" => messages.text("part-project"),
            "file" => messages.text("part-file"),
            "nearest" => messages.text("part-nearest"),
            "names" => messages.text("part-names"),
            other => {
                let level = other.trim_start_matches("level").to_owned();
                messages.with("part-level", &[("level", level.into())])
            }
        };
        format!(
            "{name} {}%",
            messages.decimal(f64::from(part.share) * 100.0, 0)
        )
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;
    use crate::messages::Language;

    fn position(text: &str) -> PositionTyped {
        text.parse().unwrap()
    }

    #[test]
    fn a_position_is_read_from_the_right() {
        for (typed, file, line, column) in [
            ("a.bsl:3:7", "a.bsl", 3, 7),
            (r"C:\src\Модуль.bsl:12:1", r"C:\src\Модуль.bsl", 12, 1),
            ("a:b.bsl:1:1", "a:b.bsl", 1, 1),
        ] {
            assert_eq!(
                position(typed),
                PositionTyped {
                    file: file.into(),
                    line,
                    column
                }
            );
        }
        for wrong in [
            "a.bsl",
            "a.bsl:3",
            "a.bsl:0:1",
            "a.bsl:1:0",
            "a.bsl:x:1",
            ":1:1",
            "a.bsl:1:",
        ] {
            assert!(wrong.parse::<PositionTyped>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn columns_count_characters_and_lines_end_in_any_way() {
        let messages = Messages::new(Language::En);
        let text = "\u{feff}Процедура А()\r\n\tЁ = 1;\r\nКонец";
        for (place, expected) in [
            ("f:1:1", "Процедура"),
            ("f:1:11", "А()"),
            ("f:1:14", "\r\n"),
            ("f:2:2", "Ё = 1"),
            ("f:2:8", "\r\nКонец"),
            ("f:3:6", ""),
        ] {
            let offset = byte_offset(text, &position(place), &messages).unwrap();
            assert!(text[offset.0..].starts_with(expected), "{place}");
        }
        for (place, expected) in [("f:1:15", "14"), ("f:3:7", "6"), ("f:4:1", "3")] {
            let failure = byte_offset(text, &position(place), &messages).unwrap_err();
            assert_eq!(failure.kind, Kind::Input);
            assert!(
                failure.message.contains(expected),
                "{place}: {}",
                failure.message
            );
        }
    }

    #[test]
    fn the_line_before_the_cursor_has_no_mark() {
        assert_eq!(
            line_before("\u{feff}Если А", ByteOffset("\u{feff}Если".len())),
            "Если"
        );
        assert_eq!(line_before("А;\nБ", ByteOffset("А;\n".len())), "");
    }
}
