//! `nestor bench serve`: completions over HTTP beside the same ones in this process, under load, under overload, beside idle connections.
//!
//! The server is this program again, as a process of its own. Load is open: requests are due at times drawn beforehand, and a latency
//! counts from the time a request was due, so that a server that falls behind cannot hide it.

use super::{Percentiles, Place, SPEEDS, places};
use crate::commands::complete;
use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use crate::{explain, home, learning};
use clap::Args;
use nestor_assist::{CompleteRequest, Speed};
use nestor_bsl::position::ByteOffset;
use nestor_train::resident_bytes_of;
use serde::Serialize;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Connections that carry the load.
const CLIENTS: usize = 256;

/// Arguments of `nestor bench serve`.
#[derive(Debug, Args)]
pub struct Typed {
    #[arg(value_name = "SRC")]
    source: Option<PathBuf>,
    #[arg(long, value_name = "N", default_value_t = 100)]
    requests: usize,
    #[arg(long, value_name = "N", default_value_t = 20)]
    seconds: u64,
    #[arg(long, value_name = "N", default_value_t = 1000)]
    idle: usize,
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    soak: u64,
    #[arg(long, value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
}

#[derive(Serialize)]
struct Report {
    model: String,
    requests: usize,
    speeds: Vec<SpeedReport>,
    load: Load,
    overload: Load,
    idle_connections: usize,
    idle: Percentiles,
    resident_bytes: Resident,
    #[serde(skip_serializing_if = "Option::is_none")]
    soak: Option<Soak>,
}

/// Load for a long time.
#[derive(Serialize)]
struct Soak {
    seconds: u64,
    load: Load,
    /// Resident memory of the server at the start, each tenth of the time, and at the end.
    resident_bytes: Vec<u64>,
}

/// One speed: in this process, and over HTTP one after another.
#[derive(Serialize)]
struct SpeedReport {
    speed: &'static str,
    in_process: Percentiles,
    http: Percentiles,
    /// What HTTP adds to the server's own time of the same completion: the median.
    added_ms: f64,
}

/// Open load at one speed.
#[derive(Serialize)]
struct Load {
    speed: &'static str,
    asked_per_s: f64,
    answered_per_s: f64,
    answered: usize,
    /// 429 and 503.
    turned_away: usize,
    other: usize,
    /// Of the answered ones, from the time that each was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Percentiles>,
}

#[derive(Serialize)]
struct Resident {
    before_load: Option<u64>,
    after_load: Option<u64>,
}

/// Runs the measurement.
pub fn run(typed: &Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let source = match &typed.source {
        Some(source) => source.clone(),
        None => home::configuration(&home::find(messages)?),
    };
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
    let bar = terminal.bar(
        SPEEDS.len() as u64 * 2 + 3,
        &messages.text("bench-serve-bar"),
    );
    let mut in_process = Vec::new();
    {
        let assistant = complete::open(&typed.model, messages)?;
        for speed in SPEEDS {
            let mut times = Vec::new();
            for (idx, place) in places.iter().take(1).chain(&places).enumerate() {
                let mut request = CompleteRequest::new(
                    &place.file.path,
                    place.file.text.clone(),
                    ByteOffset(place.offset),
                );
                request.speed = speed;
                let started = Instant::now();
                assistant
                    .complete(&request)
                    .map_err(|error| explain::assist(messages, &error))?;
                if idx > 0 {
                    times.push(milliseconds(started.elapsed()));
                }
            }
            in_process.push(Percentiles::of(times));
            bar.inc(1);
        }
    }
    let server = Served::start(&typed.model, messages)?;
    let mut speeds = Vec::new();
    for (speed, in_process) in SPEEDS.into_iter().zip(in_process) {
        let (http, added) = server.one_after_another(&places, speed, messages)?;
        let mut added = added;
        added.sort_by(f64::total_cmp);
        speeds.push(SpeedReport {
            speed: speed.name(),
            in_process,
            http: Percentiles::of(http),
            added_ms: added[added.len() / 2],
        });
        bar.inc(1);
    }
    let speed = Speed::Balanced;
    let capacity = 1e3 / speeds[1].http.p50.max(1e-3);
    let before_load = resident_bytes_of(server.child.id()).0;
    let time = Duration::from_secs(typed.seconds.max(1));
    let load = server.load(&places, speed, capacity * 0.7, time, messages)?;
    bar.inc(1);
    let overload = server.load(&places, speed, capacity * 3.0, time, messages)?;
    bar.inc(1);
    let after_load = resident_bytes_of(server.child.id()).0;
    let idle: Vec<TcpStream> = (0..typed.idle)
        .map_while(|_| TcpStream::connect(&server.address).ok())
        .collect();
    let n_idle = idle.len();
    let idle_held = idle;
    let (beside, _) = server.one_after_another(&places, speed, messages)?;
    drop(idle_held);
    let soak = match typed.soak {
        0 => None,
        seconds => Some(server.soak(&places, speed, capacity / 2.0, seconds, messages)?),
    };
    bar.finish_and_clear();
    let report = Report {
        model: typed.model.clone(),
        requests: places.len(),
        soak,
        speeds,
        load,
        overload,
        idle_connections: n_idle,
        idle: Percentiles::of(beside),
        resident_bytes: Resident {
            before_load,
            after_load,
        },
    };
    terminal.result(&report, || text(&report, messages))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The server, ended with the value.
struct Served {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It holds nothing that a kill could harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn start(model: &str, messages: &Messages) -> Outcome<Self> {
        let failed = |reason: String| {
            Failure::input(messages, "bench-serve-failed", &[("reason", reason.into())])
        };
        let dir = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
        let config = dir.path().join("server.toml");
        // Keys of the user's own must not be asked for.
        let text = "listen = \"127.0.0.1:0\"\nkeys = \"keys.json\"\nmemory = \"projects\"\n[limits]\nheader_timeout_ms = 600000\n";
        std::fs::write(&config, text).map_err(|error| failed(error.to_string()))?;
        let program = std::env::current_exe().map_err(Failure::internal)?;
        let mut child = Command::new(program)
            .args(["serve", "--json", "--model", model, "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(|error| failed(error.to_string()))?;
        }
        let told: serde_json::Value =
            serde_json::from_str(&line).map_err(|_| failed(line.trim().to_owned()))?;
        let url = told["url"].as_str().unwrap_or_default();
        Ok(Self {
            child,
            address: url.trim_start_matches("http://").to_owned(),
            _dir: dir,
        })
    }

    fn connect(&self, messages: &Messages) -> Outcome<Client> {
        Client::new(&self.address).map_err(|error| {
            let reason = error.to_string();
            Failure::input(messages, "bench-serve-failed", &[("reason", reason.into())])
        })
    }

    /// Times of completions on one connection, and what HTTP adds to the server's own time of each.
    fn one_after_another(
        &self,
        places: &[Place<'_>],
        speed: Speed,
        messages: &Messages,
    ) -> Outcome<(Vec<f64>, Vec<f64>)> {
        let mut client = self.connect(messages)?;
        let (mut times, mut added) = (Vec::new(), Vec::new());
        for (idx, place) in places.iter().take(1).chain(places).enumerate() {
            let body = body(place, speed, None);
            let started = Instant::now();
            let answer = client.post(&body);
            let took = milliseconds(started.elapsed());
            let answer = answer.map_err(|error| {
                let reason = error.to_string();
                Failure::input(messages, "bench-serve-failed", &[("reason", reason.into())])
            })?;
            if answer.status != 200 {
                let values = [("reason", answer.body.into())];
                return Err(Failure::input(messages, "bench-serve-failed", &values));
            }
            if idx > 0 {
                let told: serde_json::Value =
                    serde_json::from_str(&answer.body).unwrap_or_default();
                let timing = |name: &str| told["timings"][name].as_f64().unwrap_or_default();
                let own = timing("prepare_ms") + timing("prefill_ms") + timing("decode_ms");
                times.push(took);
                added.push(took - own);
            }
        }
        Ok((times, added))
    }

    /// Load for `seconds`, with the server's memory on the way.
    fn soak(
        &self,
        places: &[Place<'_>],
        speed: Speed,
        per_s: f64,
        seconds: u64,
        messages: &Messages,
    ) -> Outcome<Soak> {
        let time = Duration::from_secs(seconds);
        let started = Instant::now();
        let (load, resident_bytes) = std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let tenths = (0..=10).map(|tenth| {
                    let due = time * tenth / 10;
                    std::thread::sleep(due.saturating_sub(started.elapsed()));
                    resident_bytes_of(self.child.id()).0
                });
                tenths.flatten().collect::<Vec<u64>>()
            });
            let load = self.load(places, speed, per_s, time, messages);
            (load, watching.join().unwrap_or_default())
        });
        Ok(Soak {
            seconds,
            load: load?,
            resident_bytes,
        })
    }

    /// Requests due at random times, `per_s` a second on the mean.
    fn load(
        &self,
        places: &[Place<'_>],
        speed: Speed,
        per_s: f64,
        time: Duration,
        messages: &Messages,
    ) -> Outcome<Load> {
        let mut clients = Vec::with_capacity(CLIENTS);
        for _ in 0..CLIENTS {
            clients.push(self.connect(messages)?);
        }
        let due = arrivals(per_s, time);
        let next = Mutex::new(due.iter().enumerate());
        let done = Mutex::new(Vec::with_capacity(due.len()));
        let started = Instant::now();
        std::thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| {
                    loop {
                        let taken = next.lock().map_or(None, |mut next| next.next());
                        let Some((idx, due)) = taken else { return };
                        std::thread::sleep(due.saturating_sub(started.elapsed()));
                        let place = &places[idx % places.len()];
                        // Each request is a document of its own: none takes the place of another.
                        let status = client
                            .post(&body(place, speed, Some(idx)))
                            .map_or(0, |answer| answer.status);
                        let took = milliseconds(started.elapsed().saturating_sub(*due));
                        if let Ok(mut done) = done.lock() {
                            done.push((status, took));
                        }
                    }
                });
            }
        });
        let seconds = started.elapsed().as_secs_f64();
        let done = done.into_inner().unwrap_or_default();
        let answered: Vec<f64> = done
            .iter()
            .filter(|one| one.0 == 200)
            .map(|one| one.1)
            .collect();
        let turned_away = done.iter().filter(|one| matches!(one.0, 429 | 503)).count();
        Ok(Load {
            speed: speed.name(),
            asked_per_s: per_s,
            answered_per_s: answered.len() as f64 / seconds,
            answered: answered.len(),
            turned_away,
            other: done.len() - answered.len() - turned_away,
            latency: (!answered.is_empty()).then(|| Percentiles::of(answered)),
        })
    }
}

/// Times at which requests are due, with exponential pauses from a fixed seed.
fn arrivals(per_s: f64, time: Duration) -> Vec<Duration> {
    // SplitMix64: the same times in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut due = Vec::new();
    let mut at = 0.0;
    loop {
        at += -(1.0 - uniform()).ln() / per_s;
        if at >= time.as_secs_f64() {
            return due;
        }
        due.push(Duration::from_secs_f64(at));
    }
}

fn body(place: &Place<'_>, speed: Speed, session: Option<usize>) -> String {
    serde_json::json!({
        "path": place.file.path,
        "text": place.file.text,
        "offset": place.offset,
        "offset_unit": "bytes",
        "speed": speed.name(),
        "session": session.map(|session| session.to_string()),
    })
    .to_string()
}

struct Answered {
    status: u16,
    body: String,
}

/// A connection that is kept.
struct Client {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Client {
    fn new(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            address: address.to_owned(),
        })
    }

    fn post(&mut self, body: &str) -> std::io::Result<Answered> {
        let request = format!(
            "POST /v1/complete HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let mut length = 0;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? <= 2 {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("Content-Length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answered {
            status: status.unwrap_or(0),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

fn text(report: &Report, messages: &Messages) -> String {
    let headings = [
        "bench-serve-what",
        "bench-median",
        "bench-p95",
        "bench-p99",
        "bench-serve-rate",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    let mut row = |name: String, times: &Percentiles, rate: String| {
        let cells = [
            name,
            messages.milliseconds(times.p50),
            messages.milliseconds(times.p95),
            messages.milliseconds(times.p99),
            rate,
        ];
        table.row(cells, Emphasis::Plain);
    };
    for speed in &report.speeds {
        let name = |key: &str| messages.with(key, &[("speed", speed.speed.into())]);
        row(
            name("bench-serve-in-process"),
            &speed.in_process,
            String::new(),
        );
        row(name("bench-serve-http"), &speed.http, String::new());
    }
    for (key, load) in [
        ("bench-serve-load", &report.load),
        ("bench-serve-overload", &report.overload),
    ] {
        if let Some(latency) = &load.latency {
            let rate = messages.decimal(load.answered_per_s, 1);
            row(
                messages.with(key, &[("speed", load.speed.into())]),
                latency,
                rate,
            );
        }
    }
    let count = messages.count(report.idle_connections as u64);
    let name = messages.with("bench-serve-idle", &[("count", count.into())]);
    row(name, &report.idle, String::new());
    let added: Vec<String> = report
        .speeds
        .iter()
        .map(|speed| messages.milliseconds(speed.added_ms))
        .collect();
    let bytes = |bytes: Option<u64>| bytes.map_or("–".to_owned(), |bytes| messages.bytes(bytes));
    let values = [
        ("model", report.model.as_str().into()),
        ("added", added.join(", ").into()),
        (
            "turned",
            messages.count(report.overload.turned_away as u64).into(),
        ),
        (
            "other",
            messages
                .count((report.load.other + report.overload.other) as u64)
                .into(),
        ),
        ("before", bytes(report.resident_bytes.before_load).into()),
        ("after", bytes(report.resident_bytes.after_load).into()),
    ];
    let mut text = format!(
        "{}\n{}\n",
        table.render(),
        messages.with("bench-serve-about", &values)
    );
    if let Some(soak) = &report.soak {
        let values = [
            ("seconds", messages.count(soak.seconds).into()),
            ("count", messages.count(soak.load.answered as u64).into()),
            ("before", bytes(soak.resident_bytes.first().copied()).into()),
            ("after", bytes(soak.resident_bytes.last().copied()).into()),
        ];
        text.push_str(&messages.with("bench-serve-soak", &values));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_come_at_the_rate_that_is_asked_for_and_rise() {
        let due = arrivals(200.0, Duration::from_secs(50));
        assert!((9_500..10_500).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted());
        assert_eq!(due, arrivals(200.0, Duration::from_secs(50)));
    }
}
