//! `nestor bench learn SRC --whole`: a whole codebase learned as a project while somebody asks for completions.
//!
//! The files are written to a folder of their own, `nestor learn` learns them in a process of its own as a user's would, and this
//! process asks for a completion at `fast` four times a second, before and meanwhile.

use super::{Percentiles, Place, places};
use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use nestor_assist::{Assistant, CompleteRequest, Speed};
use nestor_bsl::position::ByteOffset;
use nestor_eval::ProjectFile;
use nestor_train::resident_bytes_of;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// From one request to the next.
const EVERY: Duration = Duration::from_millis(250);

/// Places that the requests go round.
const PLACES: usize = 200;

/// What is learned, and by which model.
pub struct Whole<'a> {
    pub files: &'a [ProjectFile],
    pub model: &'a str,
    pub assistant: &'a Assistant,
    /// Pieces to teach levels 2 and 3 at most.
    pub teach: u64,
}

#[derive(Serialize)]
pub struct Report {
    files: usize,
    bytes: usize,
    pieces: u64,
    /// Seconds after which the project serves from its counts.
    seconds_to_useful: f64,
    /// Seconds after which levels 2 and 3 know all of it too.
    seconds_to_done: f64,
    taught_pieces: u64,
    taught_pieces_per_s: f64,
    bytes_on_disk: u64,
    /// Most bytes that the learning process held; nothing where the system does not tell.
    peak_resident_bytes: Option<u64>,
    /// Milliseconds of a completion at `fast`.
    idle: Percentiles,
    learning: Percentiles,
    requests_while_learning: usize,
    /// 95 % while learning over 95 % idle.
    p95_ratio: f64,
}

impl Whole<'_> {
    pub fn run(&self, terminal: &Terminal) -> Outcome<Report> {
        let messages = &terminal.messages;
        let io = |error: std::io::Error| {
            let values = [("reason", error.to_string().into())];
            Failure::input(messages, "bench-whole-io", &values)
        };
        let folder = tempfile::tempdir().map_err(io)?;
        let (source, memory) = (folder.path().join("source"), folder.path().join("memory"));
        for file in self.files {
            let path = source.join(&file.path);
            let parent = path.parent().unwrap_or(&source);
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, &file.text))
                .map_err(io)?;
        }
        let places = places(self.files, PLACES);
        if places.is_empty() {
            return Err(Failure::input(messages, "bench-whole-no-places", &[]));
        }
        let mut asked = places.iter().cycle();
        let mut idle = Vec::with_capacity(places.len());
        let mut turn = Instant::now();
        // The first one pays for pages that were not in memory.
        self.ask(asked.next(), &mut turn, messages)?;
        // Each place once, so that idle and learning differ in nothing else.
        for _ in 0..places.len() {
            idle.push(self.ask(asked.next(), &mut turn, messages)?);
        }
        let mut child = self.learn(&source, &memory).map_err(io)?;
        let bar = terminal.bar(0, &messages.text("bench-learn-bar"));
        let (mut learning, mut peak) = (Vec::new(), None);
        let status = loop {
            learning.push(self.ask(asked.next(), &mut turn, messages)?);
            peak = resident_bytes_of(child.id()).1.or(peak);
            bar.inc(1);
            if let Some(status) = child.try_wait().map_err(io)? {
                break status;
            }
        };
        bar.finish_and_clear();
        let output = child.wait_with_output().map_err(io)?;
        let learned: serde_json::Value = serde_json::from_slice(&output.stdout)
            .ok()
            .filter(|_| status.success())
            .ok_or_else(|| {
                let told = String::from_utf8_lossy(&output.stderr).into_owned();
                Failure::input(messages, "bench-whole-failed", &[("reason", told.into())])
            })?;
        let number = |pointer: &str| learned.pointer(pointer).and_then(|v| v.as_f64());
        let of = |pointer: &str| number(pointer).unwrap_or_default();
        let useful = of("/seconds");
        let requests_while_learning = learning.len();
        let (idle, learning) = (Percentiles::of(idle), Percentiles::of(learning));
        Ok(Report {
            files: self.files.len(),
            bytes: self.files.iter().map(|file| file.text.len()).sum(),
            pieces: of("/pieces") as u64,
            seconds_to_useful: useful,
            seconds_to_done: useful + of("/taught/seconds"),
            taught_pieces: of("/taught/pieces") as u64,
            taught_pieces_per_s: of("/taught/pieces_per_s"),
            bytes_on_disk: bytes_under(&memory),
            peak_resident_bytes: peak,
            p95_ratio: learning.p95 / idle.p95,
            idle,
            learning,
            requests_while_learning,
        })
    }

    fn learn(&self, source: &Path, memory: &Path) -> std::io::Result<Child> {
        Command::new(std::env::current_exe()?)
            .args([
                "learn",
                "--json",
                "--project",
                "bench",
                "--model",
                self.model,
            ])
            .arg("--teach")
            .arg(self.teach.to_string())
            .arg("--memory")
            .arg(memory)
            .arg(source)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Waits for the next turn, then asks once; milliseconds from the turn to the answer. Turns come every quarter of a second whatever the
    /// answers take, so a late answer is not hidden by the requests that it held back.
    fn ask(
        &self,
        place: Option<&Place<'_>>,
        turn: &mut Instant,
        messages: &Messages,
    ) -> Outcome<f64> {
        let place = place.expect("the places go round");
        *turn += EVERY;
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
        let text = place.file.text.clone();
        let mut request = CompleteRequest::new(&place.file.path, text, ByteOffset(place.offset));
        request.speed = Speed::Fast;
        self.assistant
            .complete(&request)
            .map_err(|error| explain::assist(messages, &error))?;
        Ok(turn.elapsed().as_secs_f64() * 1e3)
    }
}

fn bytes_under(folder: &Path) -> u64 {
    let mut left: Vec<PathBuf> = vec![folder.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => left.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

pub fn text(report: &Report, messages: &Messages) -> String {
    let mut table = Table::new(
        [
            "bench-whole-state",
            "bench-median",
            "bench-p95",
            "bench-p99",
        ]
        .map(|key| messages.text(key)),
    );
    for (key, times) in [
        ("bench-whole-idle", &report.idle),
        ("bench-whole-learning", &report.learning),
    ] {
        let cells = [
            messages.text(key),
            messages.milliseconds(times.p50),
            messages.milliseconds(times.p95),
            messages.milliseconds(times.p99),
        ];
        table.row(cells, Emphasis::Plain);
    }
    let peak = report.peak_resident_bytes;
    let values = [
        ("size", messages.bytes(report.bytes as u64).into()),
        ("files", messages.count(report.files as u64).into()),
        ("pieces", messages.count(report.pieces).into()),
        ("useful", messages.duration(report.seconds_to_useful).into()),
        ("done", messages.duration(report.seconds_to_done).into()),
        (
            "rate",
            messages.count(report.taught_pieces_per_s as u64).into(),
        ),
        ("disk", messages.bytes(report.bytes_on_disk).into()),
        (
            "memory",
            peak.map_or_else(|| "–".to_owned(), |bytes| messages.bytes(bytes))
                .into(),
        ),
    ];
    format!(
        "{}\n\n{}",
        messages.with("bench-whole-what", &values),
        table.render()
    )
}
