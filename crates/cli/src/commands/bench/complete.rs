//! `nestor bench complete`: completions in documents that are open, under load.
//!
//! A document grows by 16 pieces from one request to the next (or some more, where a token of the language would be cut), in a context of at
//! most 1,024 pieces, and each request asks for the rest of a line, at most 16 pieces. Requests go round many documents, so that the next one of a document comes long
//! after its last. What stands after the last place stands after the cursor all the time, as it does while somebody types. One thread serves a request; parallel are only requests. Measured: one after the other, the highest rate without growing
//! queues, and Poisson arrivals at a part of it and at a part of the target, counted from arrival to answer.

mod peer;

use super::{threads, typing};
use crate::commands::complete::{PrecisionTyped, load_project};
use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::learning;
use crate::messages::Messages;
use crate::projects::{self, MemoryTyped};
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use clap::{Args, ValueEnum};
use nestor_assist::assistant::Parts;
use nestor_assist::{AssistError, Assistant, CompleteRequest, Completion, OpenDocument, Speed};
use nestor_bench::{Percentiles, poisson_arrivals, read_bandwidth, serve};
use nestor_bsl::lexer::lex;
use nestor_bsl::position::ByteOffset;
use nestor_engine::{Model, NetworkConfig, Profile};
use nestor_eval::ProjectFile;
use nestor_kernels::{Limit, instruction_set, integer_instruction_set, limit_instructions};
use nestor_train::resident_bytes_of;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Pieces of a document's longest context.
const LONGEST: usize = 1024;

/// Pieces of its shortest.
const SHORTEST: usize = 256;

/// New pieces of a request at least.
const NEW: usize = 16;

/// Part of a rate that the load has.
const LOAD: f64 = 0.7;

/// Speeds with the rates that DESIGN wants of tiny on two cores, requests a second.
const TARGETS: [(Speed, f64); 3] = [
    (Speed::Fast, 800.0),
    (Speed::Balanced, 400.0),
    (Speed::Accurate, 200.0),
];

/// Arguments of `nestor bench complete`.
#[derive(Debug, Args)]
pub struct Typed {
    #[arg(value_name = "SRC")]
    source: Option<PathBuf>,
    #[arg(long, value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
    #[arg(long, value_enum)]
    random: Option<SizeTyped>,
    #[arg(long, value_enum, default_value = "int8")]
    precision: PrecisionTyped,
    #[arg(long, value_enum, default_value = "best")]
    instructions: InstructionsTyped,
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    seconds: f64,
    #[arg(long, value_name = "N", default_value_t = 100)]
    documents: usize,
    #[arg(long, value_name = "NAME", conflicts_with = "random")]
    project: Option<String>,
    #[command(flatten)]
    memory: MemoryTyped,
    #[arg(long)]
    profile: bool,
    #[arg(long)]
    typing: bool,
    #[arg(long, value_enum)]
    peer: Option<PeerTyped>,
    #[arg(long, value_name = "DIR", default_value = "target/peer-llama-cpp")]
    peer_environment: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum SizeTyped {
    Nano,
    Tiny,
    Base,
}

impl SizeTyped {
    fn config(self) -> NetworkConfig {
        match self {
            Self::Nano => NetworkConfig::nano(3),
            Self::Tiny => NetworkConfig::tiny(3),
            Self::Base => NetworkConfig::base(3),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nano => "nano",
            Self::Tiny => "tiny",
            Self::Base => "base",
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum InstructionsTyped {
    Portable,
    Avx2,
    Best,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PeerTyped {
    LlamaCpp,
}

/// Runs the command.
pub fn run(typed: &Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let limit = match typed.instructions {
        InstructionsTyped::Portable => Limit::Portable,
        InstructionsTyped::Avx2 => Limit::Avx2,
        InstructionsTyped::Best => Limit::Best,
    };
    if !limit_instructions(limit) {
        return Err(Failure::internal(
            "a kernel ran before the instructions were limited",
        ));
    }
    if !(typed.seconds.is_finite() && typed.seconds > 0.0) {
        let value = typed.seconds.to_string();
        return Err(Failure::usage(
            messages,
            "bench-complete-seconds",
            &[("value", value.into())],
        ));
    }
    let source = match &typed.source {
        Some(source) => source.clone(),
        None => home::configuration(&home::find(messages)?),
    };
    let started = Instant::now();
    let mut assistant = open(&typed.model, typed.precision, messages)?;
    let cold_start_ms = milliseconds(started.elapsed());
    if let Some(size) = typed.random {
        assistant = random(&assistant, size, typed.precision, messages)?;
    }
    assistant.set_threads(1);
    let mut files = learning::read_all(&source, terminal)?;
    match &typed.project {
        Some(name) => {
            let (store, _) = load_project(name, &typed.memory, &mut assistant, terminal)?;
            for file in &mut files {
                if let Some(path) = projects::path_in(&store, &source.join(&file.path)) {
                    file.path = path;
                }
            }
        }
        None => drop(learning::learn(&mut assistant, &source, terminal)?),
    }
    let scripts = scripts(&assistant, &files);
    if scripts.is_empty() {
        let path = source.display().to_string();
        return Err(Failure::input(
            messages,
            "bench-no-places",
            &[("path", path.into())],
        ));
    }
    let workers = typed.workers.unwrap_or_else(threads).max(1);
    if workers > threads() {
        assistant.model().share_passes(threads());
    }
    let run = Run {
        assistant: &assistant,
        scripts: &scripts,
        workers,
        seconds: typed.seconds,
    };
    let mut speeds = Vec::new();
    let bar = terminal.bar(TARGETS.len() as u64, &messages.text("bench-complete-bar"));
    for (speed, target) in TARGETS {
        let measured = run.speed(speed, target);
        speeds.push(measured.map_err(|error| explain::assist(messages, &error))?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let sessions =
        sessions(&run, typed.documents).map_err(|error| explain::assist(messages, &error))?;
    let typing = if typed.typing {
        let longest = files.iter().max_by_key(|file| file.text.len());
        let measured = longest
            .map(|file| typing::measure(&assistant, file))
            .transpose();
        measured.map_err(|error| explain::assist(messages, &error))?
    } else {
        None
    };
    let peer = match typed.peer {
        Some(PeerTyped::LlamaCpp) => Some(peer::measure(typed, &assistant, messages)?),
        None => None,
    };
    let report = Report {
        model: match typed.random {
            Some(size) => format!("{} (random)", size.name()),
            None => typed.model.clone(),
        },
        precision: assistant.model().precision().name(),
        instructions: integer_instruction_set(),
        f32_instructions: instruction_set(),
        workers,
        shared_passes: workers > threads(),
        cold_start_ms,
        speeds,
        sessions,
        typing,
        peer,
    };
    terminal.result(&report, || text(&report, typed.profile, messages))
}

fn open(model: &str, precision: PrecisionTyped, messages: &Messages) -> Outcome<Assistant> {
    crate::commands::complete::open_as(model, precision, messages)
}

/// An assistant like the given one with a network of random weights.
fn random(
    like: &Assistant,
    size: SizeTyped,
    precision: PrecisionTyped,
    messages: &Messages,
) -> Outcome<Assistant> {
    let model = Model::random_as(&size.config(), 1, precision.into());
    let model = model.map_err(|error| explain::engine(messages, &error))?;
    let same_vocabulary = model.config().vocab == like.model().config().vocab;
    let parts = Parts {
        tokenizer: like.tokenizer().clone(),
        gates: like.gates().cloned(),
        corpus: like.corpus().filter(|_| same_vocabulary).cloned(),
        train_methods: like.train_methods().clone(),
        model,
    };
    Assistant::from_parts(parts).map_err(|error| explain::assist(messages, &error))
}

/// A document and the places where its completions are asked for, rising.
struct Script<'a> {
    file: &'a ProjectFile,
    offsets: Vec<usize>,
}

/// One script for every file that has enough code.
fn scripts<'a>(assistant: &Assistant, files: &'a [ProjectFile]) -> Vec<Script<'a>> {
    let tokenizer = assistant.tokenizer();
    let script = |file: &'a ProjectFile| {
        let pieces = tokenizer.encode_with_spans(&file.text);
        let mut offsets = Vec::new();
        let mut last = SHORTEST - NEW;
        for token in lex(&file.text) {
            let offset = token.span.start;
            let before = pieces.partition_point(|(_, span)| span.end <= offset);
            if !token.kind.is_trivia() && before >= last + NEW && before <= LONGEST {
                last = before;
                offsets.push(offset);
            }
        }
        // The first one is read cold, before the clock runs.
        (offsets.len() > 2).then_some(Script { file, offsets })
    };
    files.iter().filter_map(script).collect()
}

struct Run<'a> {
    assistant: &'a Assistant,
    scripts: &'a [Script<'a>],
    workers: usize,
    seconds: f64,
}

/// A document in use and its next place.
struct Playing<'a> {
    script: &'a Script<'a>,
    open: OpenDocument,
    next: usize,
}

impl Playing<'_> {
    fn ask(&mut self, assistant: &Assistant, speed: Speed) -> Result<Completion, AssistError> {
        self.ask_with(assistant, speed, None)
    }

    /// Asks with so many guesses at most, else with the usual number.
    fn ask_with(
        &mut self,
        assistant: &Assistant,
        speed: Speed,
        guesses: Option<usize>,
    ) -> Result<Completion, AssistError> {
        let file = self.script.file;
        let offset = self.script.offsets[self.next];
        let after = self.script.offsets.last().copied().unwrap_or(offset);
        let text = [&file.text[..offset], &file.text[after..]].concat();
        let mut request = CompleteRequest::new(&file.path, text, ByteOffset(offset));
        request.speed = speed;
        request.guesses = guesses.unwrap_or(request.guesses);
        self.next += 1;
        assistant.complete_in(&mut self.open, &request, &|| false, &|_| false)
    }
}

impl<'a> Run<'a> {
    /// Documents whose first place was read, with at least `requests` places left.
    fn documents(&self, speed: Speed, requests: usize) -> Result<Vec<Playing<'a>>, AssistError> {
        let mut left = 0;
        let mut documents = Vec::new();
        // More documents than workers, or a document would be asked before it has answered.
        while left < requests || documents.len() < 4 * self.workers {
            let script = &self.scripts[documents.len() % self.scripts.len()];
            left += script.offsets.len() - 1;
            documents.push(Playing {
                script,
                open: OpenDocument::default(),
                next: 0,
            });
        }
        for document in &mut documents {
            document.ask(self.assistant, speed)?;
        }
        Ok(documents)
    }

    fn speed(&self, speed: Speed, target: f64) -> Result<SpeedReport, AssistError> {
        // One after the other: what a single user sees.
        let alone = self.alone(speed, None)?;
        let plain = self.alone(speed, Some(0))?;
        let cold = self.cold(speed)?;
        // As fast as the workers can: the highest rate at which a queue does not grow.
        let mean = alone.total.as_secs_f64() / alone.times.len().max(1) as f64;
        let requests = ((self.seconds * self.workers as f64 / mean) as usize).clamp(50, 20_000);
        let most = self.load(speed, &vec![Duration::ZERO; requests])?;
        let highest = most.rate();
        let at = |rate: f64| -> Result<LoadReport, AssistError> {
            let requests = ((rate * self.seconds) as usize).clamp(50, 20_000);
            let served = self.load(speed, &poisson_arrivals(rate, requests, 1))?;
            Ok(LoadReport {
                rate_per_s: rate,
                requests,
                latency_ms: Percentiles::of(&served.latencies),
            })
        };
        let at_own = at(LOAD * highest)?;
        // Beyond what can be served the queue grows without end and the latency says nothing.
        let at_target = if LOAD * target < highest {
            Some(at(LOAD * target)?)
        } else {
            None
        };
        Ok(alone.report(
            self.assistant,
            speed,
            target,
            cold,
            &plain,
            highest,
            at_own,
            at_target,
        ))
    }

    /// Requests one after the other, each document in its turn, for the time of a measurement.
    fn alone(&self, speed: Speed, guesses: Option<usize>) -> Result<Alone, AssistError> {
        let mut alone = Alone::default();
        let mut documents = self.documents(speed, 1)?;
        let started = Instant::now();
        while started.elapsed().as_secs_f64() < self.seconds {
            let mut asked = false;
            for document in &mut documents {
                if document.next < document.script.offsets.len() {
                    let begun = Instant::now();
                    let completion = document.ask_with(self.assistant, speed, guesses)?;
                    alone.add(begun.elapsed(), &completion);
                    asked = true;
                }
            }
            if !asked {
                documents = self.documents(speed, 1)?;
            }
        }
        Ok(alone)
    }

    /// Documents that were never read.
    fn cold(&self, speed: Speed) -> Result<Percentiles, AssistError> {
        let mut times = Vec::new();
        for script in self.scripts.iter().cycle().take(60) {
            let mut document = Playing {
                script,
                open: OpenDocument::default(),
                next: script.offsets.len() - 1,
            };
            let started = Instant::now();
            document.ask(self.assistant, speed)?;
            times.push(started.elapsed());
        }
        Ok(Percentiles::of(&times))
    }

    fn load(
        &self,
        speed: Speed,
        arrivals: &[Duration],
    ) -> Result<nestor_bench::Served, AssistError> {
        let documents = self.documents(speed, arrivals.len())?;
        let mut order = Vec::with_capacity(arrivals.len());
        let places = documents
            .iter()
            .map(|document| document.script.offsets.len());
        for step in 1..places.max().unwrap_or(0) {
            for (at, document) in documents.iter().enumerate() {
                if step < document.script.offsets.len() {
                    order.push(at);
                }
            }
        }
        let documents: Vec<Mutex<Playing<'_>>> = documents.into_iter().map(Mutex::new).collect();
        serve(arrivals, self.workers, &|number| {
            let document = documents[order[number]].lock();
            let mut document = document.unwrap_or_else(std::sync::PoisonError::into_inner);
            document.ask(self.assistant, speed).map(drop)
        })
    }
}

/// Requests one after the other.
#[derive(Default)]
struct Alone {
    times: Vec<Duration>,
    total: Duration,
    prepare: Duration,
    read: Duration,
    stages: Profile,
    tokens: usize,
    n_read: usize,
    /// What was written.
    texts: Vec<String>,
}

impl Alone {
    fn add(&mut self, time: Duration, completion: &Completion) {
        self.times.push(time);
        self.total += time;
        self.prepare += completion.timings.prepare;
        self.read += completion.timings.prefill;
        self.stages += completion.timings.stages;
        self.tokens += completion.tokens.len();
        self.n_read += completion.n_read;
        self.texts.push(completion.insert.clone());
    }

    #[expect(clippy::too_many_arguments, reason = "puts a report together")]
    fn report(
        &self,
        assistant: &Assistant,
        speed: Speed,
        target: f64,
        cold: Percentiles,
        plain: &Self,
        highest: f64,
        at_own: LoadReport,
        at_target: Option<LoadReport>,
    ) -> SpeedReport {
        let requests = self.times.len().max(1) as f64;
        let of_request = |time: Duration| milliseconds(time) / requests;
        let stages = &self.stages;
        let known = self.prepare
            + self.read
            + stages.blocks
            + stages.head
            + stages.memories
            + stages.counts
            + stages.gate
            + stages.sampling;
        let model = assistant.model();
        let streamed = model.streamed_bytes(speed.exits(model.config().stages));
        // A pass reads the weights once, however many guessed pieces it brings.
        let decoding = (stages.blocks + stages.head).as_secs_f64() / stages.passes.max(1) as f64;
        let bandwidth = read_bandwidth(streamed, 50);
        SpeedReport {
            speed: speed.name(),
            requests: self.times.len(),
            latency_ms: Percentiles::of(&self.times),
            cold_ms: cold,
            highest_rate_per_s: highest,
            target_rate_per_s: target,
            at_own_rate: at_own,
            at_target_rate: at_target,
            new_pieces: self.n_read as f64 / requests,
            written_pieces: self.tokens as f64 / requests,
            // The first piece needs no pass; each pass but the last is followed by the pieces that it guessed right.
            pieces_per_pass: 1.0 + stages.right as f64 / stages.passes.max(1) as f64,
            without_guesses: PlainReport {
                latency_ms: Percentiles::of(&plain.times),
                compared: self.texts.len().min(plain.texts.len()),
                different: self
                    .texts
                    .iter()
                    .zip(&plain.texts)
                    .filter(|(a, b)| a != b)
                    .count(),
            },
            guesses_right: stages.right as f64 / stages.guessed.max(1) as f64,
            profile_ms: ProfileReport {
                prepare: of_request(self.prepare),
                read: of_request(self.read),
                blocks: of_request(stages.blocks),
                head: of_request(stages.head),
                memories: of_request(stages.memories),
                counts: of_request(stages.counts),
                gate: of_request(stages.gate),
                sampling: of_request(stages.sampling),
                other: of_request(self.total.saturating_sub(known)),
            },
            streamed_bytes: streamed,
            streamed_gb_per_s: 1e-9 * streamed as f64 / decoding.max(1e-9),
            bandwidth_gb_per_s: 1e-9 * bandwidth,
            bandwidth_share: streamed as f64 / decoding.max(1e-9) / bandwidth,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[derive(Serialize)]
struct SpeedReport {
    speed: &'static str,
    requests: usize,
    /// One request after the other.
    latency_ms: Percentiles,
    /// The first request of a document.
    cold_ms: Percentiles,
    highest_rate_per_s: f64,
    target_rate_per_s: f64,
    at_own_rate: LoadReport,
    /// Nothing where that is more than can be served.
    at_target_rate: Option<LoadReport>,
    new_pieces: f64,
    written_pieces: f64,
    /// Pieces that a pass through the network brings, and the share of the guesses that came.
    pieces_per_pass: f64,
    guesses_right: f64,
    without_guesses: PlainReport,
    profile_ms: ProfileReport,
    /// Bytes of weights that a pass reads.
    streamed_bytes: usize,
    streamed_gb_per_s: f64,
    bandwidth_gb_per_s: f64,
    bandwidth_share: f64,
}

/// The same requests without guesses: the texts must be the same.
#[derive(Serialize)]
struct PlainReport {
    latency_ms: Percentiles,
    compared: usize,
    different: usize,
}

/// Poisson arrivals at a part of a rate.
#[derive(Serialize)]
struct LoadReport {
    rate_per_s: f64,
    requests: usize,
    latency_ms: Percentiles,
}

/// Mean milliseconds of a request's parts.
#[derive(Serialize)]
struct ProfileReport {
    prepare: f64,
    read: f64,
    blocks: f64,
    head: f64,
    memories: f64,
    counts: f64,
    gate: f64,
    sampling: f64,
    other: f64,
}

/// What open documents hold.
#[derive(Serialize)]
struct SessionReport {
    open: usize,
    mean_bytes: usize,
    /// Of the process; nothing where the system does not tell.
    resident_bytes: Option<u64>,
}

/// Opens documents at `accurate` and keeps them.
fn sessions(run: &Run<'_>, most: usize) -> Result<Vec<SessionReport>, AssistError> {
    let mut documents: Vec<Playing<'_>> = Vec::new();
    let mut reports = Vec::new();
    let steps = [1, 10, 100, 1000, 10_000].into_iter();
    let steps = steps.take_while(|open| *open < most).chain([most.max(1)]);
    for open in steps {
        while documents.len() < open {
            let script = &run.scripts[documents.len() % run.scripts.len()];
            let mut document = Playing {
                script,
                open: OpenDocument::default(),
                next: script.offsets.len() - 1,
            };
            document.ask(run.assistant, Speed::Accurate)?;
            documents.push(document);
        }
        let bytes: usize = documents.iter().map(|document| document.open.bytes()).sum();
        reports.push(SessionReport {
            open,
            mean_bytes: bytes / open,
            resident_bytes: resident_bytes_of(std::process::id()).0,
        });
    }
    Ok(reports)
}

#[derive(Serialize)]
struct Report {
    model: String,
    precision: &'static str,
    instructions: &'static str,
    f32_instructions: &'static str,
    workers: usize,
    /// Whether requests share passes over the weights: with more workers than cores.
    shared_passes: bool,
    cold_start_ms: f64,
    speeds: Vec<SpeedReport>,
    sessions: Vec<SessionReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typing: Option<Vec<typing::Report>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Vec<peer::Report>>,
}

fn text(report: &Report, profile: bool, messages: &Messages) -> String {
    let ms = |value: f64| messages.decimal(value, 2);
    let three = |p: &Percentiles| format!("{} / {} / {}", ms(p.p50), ms(p.p95), ms(p.p99));
    let headings = [
        "bench-speed",
        "bench-complete-alone",
        "bench-complete-cold",
        "bench-complete-rate",
        "bench-complete-load",
        "bench-complete-target",
        "bench-complete-bandwidth",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    for one in &report.speeds {
        let load = |load: &LoadReport| {
            let rate = messages.decimal(load.rate_per_s, 0);
            format!("{} ({rate})", three(&load.latency_ms))
        };
        let cells = [
            one.speed.to_owned(),
            three(&one.latency_ms),
            ms(one.cold_ms.p50),
            messages.decimal(one.highest_rate_per_s, 0),
            load(&one.at_own_rate),
            one.at_target_rate.as_ref().map_or("-".to_owned(), load),
            messages.percent(one.bandwidth_share),
        ];
        table.row(cells, Emphasis::Plain);
    }
    let values = [
        ("model", report.model.as_str().into()),
        ("precision", report.precision.into()),
        ("instructions", report.instructions.into()),
        ("workers", report.workers.into()),
        ("cold", ms(report.cold_start_ms).into()),
    ];
    let mut text = format!(
        "{}\n\n{}",
        messages.with("bench-complete-what", &values),
        table.render()
    );
    if profile {
        let headings = [
            "bench-speed",
            "bench-complete-prepare",
            "bench-complete-read",
            "bench-complete-blocks",
            "bench-complete-head",
            "bench-complete-memories",
            "bench-complete-counts",
            "bench-complete-gate",
            "bench-complete-sampling",
            "bench-complete-other",
        ];
        let mut table = Table::new(headings.map(|key| messages.text(key)));
        for one in &report.speeds {
            let p = &one.profile_ms;
            let parts = [
                p.prepare, p.read, p.blocks, p.head, p.memories, p.counts, p.gate, p.sampling,
                p.other,
            ];
            let cells = std::iter::once(one.speed.to_owned()).chain(parts.map(ms));
            table.row(cells, Emphasis::Plain);
        }
        text.push_str(&format!("\n{}", table.render()));
    }
    let headings = [
        "bench-complete-open",
        "bench-complete-document",
        "bench-complete-resident",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    for one in &report.sessions {
        let resident = one.resident_bytes.map(|bytes| messages.bytes(bytes));
        let cells = [
            messages.count(one.open as u64),
            messages.bytes(one.mean_bytes as u64),
            resident.unwrap_or_default(),
        ];
        table.row(cells, Emphasis::Plain);
    }
    text.push_str(&format!("\n{}", table.render()));
    if let Some(steps) = &report.typing {
        text.push_str(&format!("\n{}", typing::text(steps, messages)));
    }
    if let Some(peer) = &report.peer {
        text.push_str(&format!("\n{}", peer::text(peer, messages)));
    }
    text
}
