//! Somebody types in a module: what each kind of edit costs, and whether the open document answers as one opened afresh.
//!
//! Called by `nestor bench complete --typing`. After every edit a completion is asked of the document that stays open and of one that
//! reads everything anew; the first is timed, and an answer that differs is counted.

use super::SPEEDS;
use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use nestor_assist::{AssistError, Assistant, CompleteRequest, OpenDocument, Speed};
use nestor_bench::Percentiles;
use nestor_bsl::position::ByteOffset;
use nestor_eval::ProjectFile;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Characters that are typed one by one.
const TYPED: usize = 60;

/// Tokens of an answer: enough to see whether it differs, few enough that what is timed is mostly the edit.
const ANSWER: usize = 4;

/// The edits of one kind at one speed.
#[derive(Serialize)]
pub struct Report {
    speed: &'static str,
    edit: &'static str,
    steps: usize,
    /// From the edit to the answer, four pieces.
    latency_ms: Percentiles,
    /// Of that, what it took to have read the edit.
    read_ms: Percentiles,
    /// Pieces read by the network, on average.
    read_pieces: f64,
    /// Answers other than those of a document opened afresh.
    different: usize,
}

/// Types in the middle of a file, at every speed.
///
/// # Errors
/// What completions return.
pub fn measure(assistant: &Assistant, file: &ProjectFile) -> Result<Vec<Report>, AssistError> {
    let mut reports = Vec::new();
    for speed in SPEEDS {
        reports.extend(Typist::new(assistant, file, speed)?.work()?);
    }
    Ok(reports)
}

struct Typist<'a> {
    assistant: &'a Assistant,
    path: &'a str,
    speed: Speed,
    text: String,
    cursor: usize,
    open: OpenDocument,
    kinds: Vec<Kind>,
}

#[derive(Default)]
struct Kind {
    edit: &'static str,
    latencies: Vec<Duration>,
    reading: Vec<Duration>,
    read: usize,
    different: usize,
}

impl<'a> Typist<'a> {
    fn new(
        assistant: &'a Assistant,
        file: &'a ProjectFile,
        speed: Speed,
    ) -> Result<Self, AssistError> {
        let text = file.text.clone();
        let mut typist = Self {
            assistant,
            path: &file.path,
            speed,
            text,
            cursor: 0,
            open: OpenDocument::default(),
            kinds: Vec::new(),
        };
        typist.cursor = typist.line_start(typist.text.len() / 2);
        typist.step("open")?;
        Ok(typist)
    }

    fn work(mut self) -> Result<Vec<Report>, AssistError> {
        // What is typed stands in the module already, further down: real code of the same style.
        let below = self.text[self.cursor..].find('\n').unwrap_or(0);
        let typed: String = self.text[self.cursor + below..]
            .chars()
            .take(TYPED)
            .collect();
        for c in typed.chars() {
            self.insert(c.encode_utf8(&mut [0; 4]));
            self.step("insert")?;
        }
        for _ in 0..TYPED / 3 {
            let taken = self.delete(1);
            self.step("delete")?;
            if taken.is_empty() {
                break;
            }
        }
        for _ in 0..10 {
            // Undo takes back a word and redo brings it again.
            let word = self.delete(8);
            self.step("undo")?;
            self.insert(&word);
            self.step("undo")?;
        }
        // Whole lines, or the cursor would end in a comment, where nothing is asked.
        let start = self.line_start(self.text.len() / 3);
        let block = self.text[start..self.line_start(start + 1000)].to_owned();
        self.cursor = self.line_start(self.cursor);
        for _ in 0..5 {
            self.insert(&block);
            self.step("paste")?;
        }
        let (there, back) = (self.line_start(self.text.len() / 4), self.cursor);
        for _ in 0..5 {
            for place in [there, back] {
                self.cursor = place;
                self.step("jump")?;
            }
        }
        Ok(self.reports())
    }

    fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    /// Where the line begins that a byte lies in.
    fn line_start(&self, byte: usize) -> usize {
        let byte = self.text.floor_char_boundary(byte);
        self.text[..byte].rfind('\n').map_or(0, |at| at + 1)
    }

    /// Takes characters before the cursor away and returns them.
    fn delete(&mut self, characters: usize) -> String {
        let before = self.text[..self.cursor].char_indices().rev();
        let start = before
            .take(characters)
            .last()
            .map_or(self.cursor, |(at, _)| at);
        let taken = self.text[start..self.cursor].to_owned();
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
        taken
    }

    fn step(&mut self, edit: &'static str) -> Result<(), AssistError> {
        let mut request =
            CompleteRequest::new(self.path, self.text.clone(), ByteOffset(self.cursor));
        request.speed = self.speed;
        request.max_tokens = ANSWER;
        let ask = |document: &mut OpenDocument| {
            self.assistant
                .complete_in(document, &request, &|| false, &|_| false)
        };
        let started = Instant::now();
        let found = ask(&mut self.open)?;
        let latency = started.elapsed();
        let fresh = ask(&mut self.open.fresh())?;
        let at = match self.kinds.iter().position(|kind| kind.edit == edit) {
            Some(at) => at,
            None => {
                self.kinds.push(Kind {
                    edit,
                    ..Kind::default()
                });
                self.kinds.len() - 1
            }
        };
        let kind = &mut self.kinds[at];
        kind.latencies.push(latency);
        kind.reading
            .push(found.timings.prepare + found.timings.prefill);
        kind.read += found.n_read;
        let same = found.tokens == fresh.tokens
            && found.insert == fresh.insert
            && found.confidence == fresh.confidence
            && found.contributions == fresh.contributions;
        kind.different += usize::from(!same);
        Ok(())
    }

    fn reports(self) -> Vec<Report> {
        let report = |kind: &Kind| Report {
            speed: self.speed.name(),
            edit: kind.edit,
            steps: kind.latencies.len(),
            latency_ms: Percentiles::of(&kind.latencies),
            read_ms: Percentiles::of(&kind.reading),
            read_pieces: kind.read as f64 / kind.latencies.len().max(1) as f64,
            different: kind.different,
        };
        self.kinds.iter().map(report).collect()
    }
}

fn key_of(edit: &str) -> &'static str {
    match edit {
        "open" => "bench-typing-open",
        "insert" => "bench-typing-insert",
        "delete" => "bench-typing-delete",
        "undo" => "bench-typing-undo",
        "paste" => "bench-typing-paste",
        "jump" => "bench-typing-jump",
        other => unreachable!("no edit is called {other}"),
    }
}

/// The reports as a table.
pub fn text(reports: &[Report], messages: &Messages) -> String {
    let headings = [
        "bench-speed",
        "bench-typing-edit",
        "bench-typing-steps",
        "bench-typing-latency",
        "bench-typing-read",
        "bench-typing-pieces",
        "bench-typing-different",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    for one in reports {
        let ms = |value: f64| messages.decimal(value, 2);
        let cells = [
            one.speed.to_owned(),
            messages.text(key_of(one.edit)),
            one.steps.to_string(),
            format!("{} / {}", ms(one.latency_ms.p50), ms(one.latency_ms.p95)),
            ms(one.read_ms.p50),
            messages.decimal(one.read_pieces, 1),
            one.different.to_string(),
        ];
        table.row(cells, Emphasis::Plain);
    }
    table.render()
}
