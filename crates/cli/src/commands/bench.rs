//! `nestor bench`: `learn` and `complete` in modules of their own, and `decode`: how long a completion takes at each speed.
//!
//! Every completion is cold: it reads its whole context, as of a document that was just opened. What is timed is the request as an
//! editor would make it, from the text to the answer.

mod complete;
mod garbage;
mod learn;
mod mixtures;
mod serve;
mod typing;
mod whole;

use super::complete as command;
use crate::failure::Outcome;
use crate::home;
use crate::learning;
use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use crate::{explain, failure::Failure};
use clap::{Args, Subcommand};
use nestor_assist::{Assistant, CompleteRequest, Speed};
use nestor_bsl::position::ByteOffset;
use nestor_eval::ProjectFile;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `nestor bench`.
#[derive(Debug, Args)]
pub struct Typed {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Times completions.
    Decode(DecodeTyped),
    /// Measures completions in open documents under load.
    Complete(complete::Typed),
    /// Measures what levels 2 and 3 cost and gain.
    Learn(learn::Typed),
    /// Measures completions over HTTP.
    Serve(serve::Typed),
}

#[derive(Debug, Args)]
struct DecodeTyped {
    #[arg(value_name = "SRC")]
    source: Option<PathBuf>,
    #[arg(long, value_name = "N", default_value_t = 30)]
    requests: usize,
    #[arg(long, value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
}

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    match typed.command {
        Action::Decode(typed) => decode(&typed, terminal),
        Action::Complete(typed) => complete::run(&typed, terminal),
        Action::Learn(typed) => learn::run(&typed, terminal),
        Action::Serve(typed) => serve::run(&typed, terminal),
    }
}

/// Speeds from the fastest.
pub const SPEEDS: [Speed; 3] = [Speed::Fast, Speed::Balanced, Speed::Accurate];

fn decode(typed: &DecodeTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let source = match &typed.source {
        Some(source) => source.clone(),
        None => home::configuration(&home::find(messages)?),
    };
    let mut assistant = command::open(&typed.model, messages)?;
    learning::learn(&mut assistant, &source, terminal)?;
    let files = learning::read_all(&source, terminal)?;
    let places = places(&files, typed.requests.max(1));
    if places.is_empty() {
        let path = source.display().to_string();
        return Err(Failure::input(
            messages,
            "bench-no-places",
            &[("path", path.into())],
        ));
    }
    let mut timings = Vec::new();
    for speed in SPEEDS {
        timings.push(time(&assistant, &places, speed, terminal)?);
    }
    let report = Report {
        model: typed.model.clone(),
        requests: places.len(),
        threads: threads(),
        speeds: timings,
    };
    terminal.result(&report, || text(&report, messages))
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A place to complete at: a file and a byte in it.
struct Place<'a> {
    file: &'a ProjectFile,
    offset: usize,
}

/// Starts of statements, spread evenly over all files: the places where people ask.
fn places(files: &[ProjectFile], n: usize) -> Vec<Place<'_>> {
    let all: Vec<Place> = files
        .iter()
        .flat_map(|file| {
            let lines = file.text.match_indices('\n').map(|(at, _)| at + 1);
            lines.filter_map(|start| {
                let line = file.text[start..].split('\n').next().unwrap_or_default();
                let indent = line.len() - line.trim_start().len();
                let is_code =
                    indent > 0 && !line.trim().is_empty() && !line.trim_start().starts_with("//");
                is_code.then_some(Place {
                    file,
                    offset: start + indent,
                })
            })
        })
        .collect();
    let every = all.len().div_ceil(n).max(1);
    all.into_iter().step_by(every).collect()
}

/// Times at one speed, in milliseconds.
#[derive(Serialize)]
struct SpeedTimes {
    speed: &'static str,
    total: Percentiles,
    prefill: Percentiles,
    decode: Percentiles,
    prefill_tokens_per_s: f64,
    decode_tokens_per_s: f64,
}

#[derive(Serialize)]
struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Percentiles {
    fn of(mut milliseconds: Vec<f64>) -> Self {
        milliseconds.sort_by(f64::total_cmp);
        // The smallest value that so many of the values do not exceed.
        let at = |share: f64| {
            milliseconds[((milliseconds.len() as f64 * share).ceil() as usize).max(1) - 1]
        };
        Self {
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
        }
    }
}

fn time(
    assistant: &Assistant,
    places: &[Place<'_>],
    speed: Speed,
    terminal: &Terminal,
) -> Outcome<SpeedTimes> {
    let messages = &terminal.messages;
    let bar = terminal.bar(places.len() as u64, speed.name());
    let (mut total, mut prefill, mut decode) = (Vec::new(), Vec::new(), Vec::new());
    let (mut read, mut written) = (0, 0);
    // The first place is asked once before, so that no speed pays for pages that were not in memory.
    for (idx, place) in places.iter().take(1).chain(places).enumerate() {
        let text = place.file.text.clone();
        let mut request = CompleteRequest::new(&place.file.path, text, ByteOffset(place.offset));
        request.speed = speed;
        let started = Instant::now();
        let completion = assistant
            .complete(&request)
            .map_err(|error| explain::assist(messages, &error))?;
        let elapsed = started.elapsed();
        if idx > 0 {
            total.push(elapsed.as_secs_f64() * 1e3);
            prefill.push(completion.timings.prefill.as_secs_f64() * 1e3);
            decode.push(completion.timings.decode.as_secs_f64() * 1e3);
            read += completion.n_context;
            written += completion.tokens.len();
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let rate = |tokens: usize, milliseconds: &[f64]| {
        tokens as f64 / (milliseconds.iter().sum::<f64>() / 1e3).max(1e-9)
    };
    Ok(SpeedTimes {
        speed: speed.name(),
        prefill_tokens_per_s: rate(read, &prefill),
        decode_tokens_per_s: rate(written, &decode),
        total: Percentiles::of(total),
        prefill: Percentiles::of(prefill),
        decode: Percentiles::of(decode),
    })
}

#[derive(Serialize)]
struct Report {
    model: String,
    requests: usize,
    threads: usize,
    speeds: Vec<SpeedTimes>,
}

fn text(report: &Report, messages: &Messages) -> String {
    let headings = [
        "bench-speed",
        "bench-median",
        "bench-p95",
        "bench-p99",
        "bench-prefill",
        "bench-decode",
        "bench-prefill-rate",
        "bench-decode-rate",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    for times in &report.speeds {
        let cells = [
            times.speed.to_owned(),
            messages.milliseconds(times.total.p50),
            messages.milliseconds(times.total.p95),
            messages.milliseconds(times.total.p99),
            messages.milliseconds(times.prefill.p50),
            messages.milliseconds(times.decode.p50),
            messages.count(times.prefill_tokens_per_s as u64),
            messages.count(times.decode_tokens_per_s as u64),
        ];
        table.row(cells, Emphasis::Plain);
    }
    let values = [
        ("model", report.model.as_str().into()),
        ("requests", report.requests.into()),
        ("threads", report.threads.into()),
    ];
    format!(
        "{}\n\n{}",
        messages.with("bench-what", &values),
        table.render()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let times = Percentiles::of((1..=100).rev().map(f64::from).collect());
        assert_eq!((times.p50, times.p95, times.p99), (50.0, 95.0, 99.0));
        let one = Percentiles::of(vec![3.0]);
        assert_eq!((one.p50, one.p99), (3.0, 3.0));
    }

    #[test]
    fn places_are_starts_of_statements() {
        let text = "Процедура А()\n\tБ = 1;\n\n\t// нет\n\tВ();\nКонецПроцедуры\n".to_owned();
        let files = [ProjectFile {
            path: "м.bsl".into(),
            text,
        }];
        let found = places(&files, 10);
        let starts: Vec<&str> = found
            .iter()
            .map(|place| &place.file.text[place.offset..])
            .collect();
        assert_eq!(starts.len(), 2);
        assert!(starts[0].starts_with("Б = 1") && starts[1].starts_with("В()"));
        assert_eq!(places(&files, 1).len(), 1);
    }
}
