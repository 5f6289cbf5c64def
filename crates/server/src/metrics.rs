//! What the server measures of itself, in the text format of Prometheus.
//!
//! Every name that `deploy/` uses is made here; a test holds the two together. No label carries text of a user: labels are speeds,
//! routes, levels, outcomes, and names of projects and jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nestor_assist::RowHits;
use nestor_assist::mixture::LevelRow;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::gpu::Gpu;

/// Labels of a figure.
type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type FloatCounters = Family<Labels, Counter<f64, AtomicU64>>;
type Gauges = Family<Labels, Gauge>;
type FloatGauges = Family<Labels, Gauge<f64, AtomicU64>>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// Borders of latencies in seconds: 1 ms to 2 s.
const LATENCIES: [f64; 18] = [
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.010, 0.015, 0.020, 0.030, 0.040, 0.050, 0.075, 0.100,
    0.200, 0.300, 0.500, 1.0, 2.0,
];

/// Times after which retained characters are counted, in seconds.
pub const RETAINED_AFTER: [u32; 4] = [30, 90, 180, 360];

fn latencies() -> Histogram {
    Histogram::new(LATENCIES)
}

fn shares() -> Histogram {
    Histogram::new((1..=10).map(|tenth| f64::from(tenth) / 10.0))
}

/// The figures of one server.
pub struct Metrics {
    registry: Registry,
    requests: Counters,
    request_seconds: Histograms,
    connections: Gauge,
    completions: Counters,
    completion_seconds: Histograms,
    queue_seconds: Histograms,
    prefill_seconds: Histograms,
    decode_seconds: Histograms,
    tokens: Counters,
    context_tokens: Counters,
    confidence: Histograms,
    part_tokens: FloatCounters,
    queue_depth: Gauge,
    queue_capacity: Gauge,
    running: Gauge,
    workers: Gauge,
    suggestions: Counters,
    suggestion_characters: Counters,
    typed_characters: Counter,
    accepted_after: Counters,
    retained_after: Counters,
    online_tokens: Counters,
    online_hits: Counters,
    projects_loaded: Gauge,
    projects_unloaded: Counter,
    project_tokens: Gauges,
    project_files: Gauges,
    jobs: Gauges,
    train_progress: FloatGauges,
    train_loss: FloatGauges,
    train_accuracy: FloatGauges,
    train_rate: FloatGauges,
    train_left: FloatGauges,
    reloads: Counters,
    denied: Counters,
    gpus: Gauge,
    gpu_utilization: FloatGauges,
    gpu_memory_used: FloatGauges,
    gpu_memory: FloatGauges,
    gpu_power: FloatGauges,
    gpu_temperature: FloatGauges,
    process_memory: Gauge,
    process_cpu: Counter<f64, AtomicU64>,
}

/// What became of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Text was offered.
    Answered,
    /// Nothing was offered.
    Empty,
    /// The client went away.
    Cancelled,
    /// A newer request of the document came.
    Superseded,
    /// The queue was full.
    Rejected,
    /// The deadline passed before its turn.
    Late,
    /// Something broke.
    Failed,
}

impl Outcome {
    const ALL: [Self; 7] = [
        Self::Answered,
        Self::Empty,
        Self::Cancelled,
        Self::Superseded,
        Self::Rejected,
        Self::Late,
        Self::Failed,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Empty => "empty",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Rejected => "rejected",
            Self::Late => "late",
            Self::Failed => "failed",
        }
    }
}

/// One completion that was made.
#[derive(Clone, Debug)]
pub struct Completed<'a> {
    /// The speed that was used.
    pub speed: &'static str,
    /// Whether text was offered.
    pub outcome: Outcome,
    /// From the request to the answer.
    pub total: Duration,
    /// Waiting for a turn.
    pub waited: Duration,
    /// Reading the context.
    pub prefill: Duration,
    /// Writing.
    pub decode: Duration,
    /// Pieces read.
    pub context: usize,
    /// Pieces written.
    pub written: usize,
    /// Probability that all is right.
    pub confidence: f32,
    /// Shares of the parts.
    pub parts: &'a [(String, f32)],
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All figures at nought.
    #[must_use]
    pub fn new() -> Self {
        let mut r = Registry::default();
        let metrics = Self {
            requests: add(
                &mut r,
                "nestor_http_requests",
                "HTTP requests",
                Counters::default(),
            ),
            request_seconds: timed(
                &mut r,
                "nestor_http_request_duration",
                "Time from a request's headers to those of its answer",
            ),
            connections: add(
                &mut r,
                "nestor_http_connections",
                "Open connections",
                Gauge::default(),
            ),
            completions: add(
                &mut r,
                "nestor_completions",
                "Completions by what became of them",
                Counters::default(),
            ),
            completion_seconds: timed(
                &mut r,
                "nestor_completion_duration",
                "Time from a completion's request to its answer",
            ),
            queue_seconds: timed(
                &mut r,
                "nestor_completion_queue",
                "Time that a completion waited for its turn",
            ),
            prefill_seconds: timed(
                &mut r,
                "nestor_completion_prefill",
                "Time that the network read the context",
            ),
            decode_seconds: timed(
                &mut r,
                "nestor_completion_decode",
                "Time that a completion was written",
            ),
            tokens: add(
                &mut r,
                "nestor_completion_tokens",
                "Pieces written",
                Counters::default(),
            ),
            context_tokens: add(
                &mut r,
                "nestor_context_tokens",
                "Pieces read",
                Counters::default(),
            ),
            confidence: with(
                &mut r,
                "nestor_completion_confidence",
                "Probability that all of a completion is right",
                Some(Unit::Other("ratio".to_owned())),
                Histograms::new_with_constructor(shares),
            ),
            part_tokens: add(
                &mut r,
                "nestor_part_tokens",
                "Pieces written, shared out over the parts of the mixture",
                FloatCounters::default(),
            ),
            queue_depth: add(
                &mut r,
                "nestor_queue_depth",
                "Completions that wait",
                Gauge::default(),
            ),
            queue_capacity: add(
                &mut r,
                "nestor_queue_capacity",
                "Completions that may wait",
                Gauge::default(),
            ),
            running: add(
                &mut r,
                "nestor_completions_running",
                "Completions that are made now",
                Gauge::default(),
            ),
            workers: add(
                &mut r,
                "nestor_workers",
                "Completions that can be made at once",
                Gauge::default(),
            ),
            suggestions: add(
                &mut r,
                "nestor_suggestions",
                "What users did with completions",
                Counters::default(),
            ),
            suggestion_characters: add(
                &mut r,
                "nestor_suggestion_characters",
                "Characters shown and accepted",
                Counters::default(),
            ),
            typed_characters: add(
                &mut r,
                "nestor_typed_characters",
                "Characters typed without a completion",
                Counter::default(),
            ),
            accepted_after: add(
                &mut r,
                "nestor_accepted_characters_checked",
                "Accepted characters that were looked at some time later",
                Counters::default(),
            ),
            retained_after: add(
                &mut r,
                "nestor_retained_characters",
                "Of these, characters that were still there",
                Counters::default(),
            ),
            online_tokens: add(
                &mut r,
                "nestor_online_tokens",
                "Pieces that users typed and that were scored",
                Counters::default(),
            ),
            online_hits: add(
                &mut r,
                "nestor_online_correct_tokens",
                "Of these, pieces that the level's first guess was",
                Counters::default(),
            ),
            projects_loaded: add(
                &mut r,
                "nestor_projects_loaded",
                "Projects at work",
                Gauge::default(),
            ),
            projects_unloaded: add(
                &mut r,
                "nestor_projects_unloaded",
                "Projects taken out of work because others were asked for",
                Counter::default(),
            ),
            project_tokens: add(
                &mut r,
                "nestor_project_tokens",
                "Pieces that a project has learned",
                Gauges::default(),
            ),
            project_files: add(
                &mut r,
                "nestor_project_files",
                "Files that a project has learned",
                Gauges::default(),
            ),
            jobs: add(
                &mut r,
                "nestor_jobs",
                "Jobs by kind and state",
                Gauges::default(),
            ),
            train_progress: with(
                &mut r,
                "nestor_train_progress",
                "Share of a job that is done",
                Some(Unit::Other("ratio".to_owned())),
                FloatGauges::default(),
            ),
            train_left: with(
                &mut r,
                "nestor_train_left",
                "Time until a job ends",
                Some(Unit::Seconds),
                FloatGauges::default(),
            ),
            train_loss: with(
                &mut r,
                "nestor_train_loss",
                "Loss a piece of each level in training and on code held out",
                Some(Unit::Other("nats".to_owned())),
                FloatGauges::default(),
            ),
            train_accuracy: with(
                &mut r,
                "nestor_train_accuracy",
                "Share of pieces that each level's first guess got right",
                Some(Unit::Other("ratio".to_owned())),
                FloatGauges::default(),
            ),
            train_rate: add(
                &mut r,
                "nestor_train_tokens_per_second",
                "Pieces trained on a second",
                FloatGauges::default(),
            ),
            reloads: add(
                &mut r,
                "nestor_reloads",
                "Reloads of configuration, keys, model and projects",
                Counters::default(),
            ),
            denied: add(
                &mut r,
                "nestor_denied_requests",
                "Requests that were refused before any work",
                Counters::default(),
            ),
            gpus: add(
                &mut r,
                "nestor_gpus",
                "GPUs of the machine whose driver tells figures",
                Gauge::default(),
            ),
            gpu_utilization: with(
                &mut r,
                "nestor_gpu_utilization",
                "Share of the time that a GPU computed",
                Some(Unit::Other("ratio".to_owned())),
                FloatGauges::default(),
            ),
            gpu_memory_used: with(
                &mut r,
                "nestor_gpu_memory_used",
                "Memory of a GPU that is used",
                Some(Unit::Bytes),
                FloatGauges::default(),
            ),
            gpu_memory: with(
                &mut r,
                "nestor_gpu_memory",
                "Memory of a GPU",
                Some(Unit::Bytes),
                FloatGauges::default(),
            ),
            gpu_power: add(
                &mut r,
                "nestor_gpu_power_watts",
                "Power that a GPU draws",
                FloatGauges::default(),
            ),
            gpu_temperature: with(
                &mut r,
                "nestor_gpu_temperature",
                "Temperature of a GPU",
                Some(Unit::Celsius),
                FloatGauges::default(),
            ),
            process_memory: with(
                &mut r,
                "process_resident_memory",
                "Resident memory",
                Some(Unit::Bytes),
                Gauge::default(),
            ),
            process_cpu: with(
                &mut r,
                "process_cpu",
                "Processor time used",
                Some(Unit::Seconds),
                Counter::default(),
            ),
            registry: Registry::default(),
        };
        let started: Gauge<f64, AtomicU64> = add(
            &mut r,
            "process_start_time_seconds",
            "Start of the process since 1970",
            Gauge::default(),
        );
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        started.set(now.unwrap_or_default().as_secs_f64());
        let metrics = Self {
            registry: r,
            ..metrics
        };
        metrics.show_all();
        metrics
    }

    /// Makes the figures that alerts divide by appear before the first request does.
    fn show_all(&self) {
        for speed in ["fast", "balanced", "accurate"] {
            let speed = || ("speed", speed.to_owned());
            for outcome in Outcome::ALL {
                let outcome = ("outcome", outcome.name().to_owned());
                let _ = self.completions.get_or_create(&vec![speed(), outcome]);
            }
            for histograms in [
                &self.completion_seconds,
                &self.queue_seconds,
                &self.prefill_seconds,
                &self.decode_seconds,
                &self.confidence,
            ] {
                let _ = histograms.get_or_create(&vec![speed()]);
            }
            let _ = self.tokens.get_or_create(&vec![speed()]);
            let _ = self.context_tokens.get_or_create(&vec![speed()]);
        }
        for event in ["shown", "accepted", "partly_accepted", "rejected"] {
            let _ = self.suggestions.get_or_create(&label("event", event));
        }
        for event in ["shown", "accepted"] {
            let _ = self
                .suggestion_characters
                .get_or_create(&label("event", event));
        }
        for after in RETAINED_AFTER {
            let labels = label("after_seconds", after.to_string());
            let _ = self.accepted_after.get_or_create(&labels);
            let _ = self.retained_after.get_or_create(&labels);
        }
        for row in LevelRow::ALL_ROWS {
            let labels = label("level", level_name(row));
            let _ = self.online_tokens.get_or_create(&labels);
            let _ = self.online_hits.get_or_create(&labels);
        }
        for part in [
            "level1", "level2", "level3", "corpus", "project", "file", "nearest",
        ] {
            let _ = self.part_tokens.get_or_create(&label("part", part));
        }
        for what in ["config", "keys", "model", "project"] {
            for result in ["ok", "failed"] {
                let labels = vec![("what", what.to_owned()), ("result", result.to_owned())];
                let _ = self.reloads.get_or_create(&labels);
            }
        }
        for reason in ["key", "right", "rate"] {
            let _ = self.denied.get_or_create(&label("reason", reason));
        }
        for kind in ["learn", "train"] {
            for state in ["running", "done", "failed", "cancelled"] {
                self.set_jobs(kind, state, 0);
            }
        }
    }

    /// The text that Prometheus reads; gauges of the process are taken now.
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(usage) = memory_stats::memory_stats() {
            self.process_memory
                .set(i64::try_from(usage.physical_mem).unwrap_or(i64::MAX));
        }
        if let Ok(time) = cpu_time::ProcessTime::try_now() {
            let seconds = time.as_duration().as_secs_f64();
            self.process_cpu
                .inner()
                .store(seconds.to_bits(), Ordering::Relaxed);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }

    /// An HTTP request was answered.
    pub fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels = vec![
            ("route", route.to_owned()),
            ("method", method.to_owned()),
            ("status", status.to_string()),
        ];
        self.requests.get_or_create(&labels).inc();
        self.request_seconds
            .get_or_create(&label("route", route))
            .observe(took.as_secs_f64());
    }

    /// A connection was opened (1) or closed (-1).
    pub fn connection(&self, change: i64) {
        self.connections.inc_by(change);
    }

    /// A completion was made.
    pub fn completed(&self, done: &Completed<'_>) {
        let speed = label("speed", done.speed);
        self.outcome(done.speed, done.outcome);
        for (histograms, time) in [
            (&self.completion_seconds, done.total),
            (&self.queue_seconds, done.waited),
            (&self.prefill_seconds, done.prefill),
            (&self.decode_seconds, done.decode),
        ] {
            histograms.get_or_create(&speed).observe(time.as_secs_f64());
        }
        self.tokens
            .get_or_create(&speed)
            .inc_by(done.written as u64);
        self.context_tokens
            .get_or_create(&speed)
            .inc_by(done.context as u64);
        if done.outcome == Outcome::Answered {
            self.confidence
                .get_or_create(&speed)
                .observe(f64::from(done.confidence));
        }
        for (part, share) in done.parts {
            let tokens = f64::from(*share) * done.written as f64;
            self.part_tokens
                .get_or_create(&label("part", part.as_str()))
                .inc_by(tokens.max(0.0));
        }
    }

    /// A completion came to an end.
    pub fn outcome(&self, speed: &str, outcome: Outcome) {
        let labels = vec![
            ("speed", speed.to_owned()),
            ("outcome", outcome.name().to_owned()),
        ];
        self.completions.get_or_create(&labels).inc();
    }

    /// The state of the queue.
    pub fn set_queue(&self, depth: usize, capacity: usize, running: usize, workers: usize) {
        self.queue_depth.set(depth as i64);
        self.queue_capacity.set(capacity as i64);
        self.running.set(running as i64);
        self.workers.set(workers as i64);
    }

    /// A user did something with a completion; `characters` are those shown or accepted.
    pub fn suggestion(&self, event: &'static str, characters: u64) {
        self.suggestions.get_or_create(&label("event", event)).inc();
        let counted = match event {
            "shown" => "shown",
            "accepted" | "partly_accepted" => "accepted",
            _ => return,
        };
        self.suggestion_characters
            .get_or_create(&label("event", counted))
            .inc_by(characters);
    }

    /// More of a completion was taken, which was counted as taken in part before.
    pub fn accepted_more(&self, characters: u64) {
        self.suggestion_characters
            .get_or_create(&label("event", "accepted"))
            .inc_by(characters);
    }

    /// Characters were typed without a completion.
    pub fn typed(&self, characters: u64) {
        self.typed_characters.inc_by(characters);
    }

    /// What is left of accepted text.
    pub fn retained(&self, after_seconds: u32, accepted: u64, retained: u64) {
        let labels = label("after_seconds", after_seconds.to_string());
        self.accepted_after.get_or_create(&labels).inc_by(accepted);
        self.retained_after.get_or_create(&labels).inc_by(retained);
    }

    /// Typed text was scored.
    pub fn online(&self, rows: &[RowHits]) {
        for row in rows {
            let labels = label("level", level_name(row.row));
            self.online_tokens
                .get_or_create(&labels)
                .inc_by(row.pieces as u64);
            self.online_hits
                .get_or_create(&labels)
                .inc_by(row.hits as u64);
        }
    }

    /// What the GPUs do now.
    pub fn gpus(&self, gpus: &[Gpu]) {
        self.gpus.set(gpus.len() as i64);
        for gpu in gpus {
            let labels = label("gpu", gpu.index.as_str());
            for (gauges, value) in [
                (&self.gpu_utilization, gpu.utilization),
                (&self.gpu_memory_used, gpu.memory_used),
                (&self.gpu_memory, gpu.memory_total),
                (&self.gpu_power, gpu.power),
                (&self.gpu_temperature, gpu.temperature),
            ] {
                if let Some(value) = value {
                    gauges.get_or_create(&labels).set(value);
                }
            }
        }
    }

    /// A project was loaded anew.
    pub fn project(&self, name: &str, files: usize, tokens: usize) {
        let labels = label("project", name);
        self.project_files.get_or_create(&labels).set(files as i64);
        self.project_tokens
            .get_or_create(&labels)
            .set(tokens as i64);
    }

    /// A project is no longer at work.
    pub fn project_gone(&self, name: &str) {
        let labels = label("project", name);
        self.project_files.remove(&labels);
        self.project_tokens.remove(&labels);
    }

    /// A project made room for others.
    pub fn project_unloaded(&self) {
        self.projects_unloaded.inc();
    }

    /// How many projects are at work.
    pub fn set_projects(&self, loaded: usize) {
        self.projects_loaded.set(loaded as i64);
    }

    /// How many jobs are in a state.
    pub fn set_jobs(&self, kind: &'static str, state: &'static str, n: usize) {
        let labels = vec![("kind", kind.to_owned()), ("state", state.to_owned())];
        self.jobs.get_or_create(&labels).set(n as i64);
    }

    /// How far a training run is, or the learning of a project.
    pub fn training(&self, run: &str, job: &crate::wire::JobShown) {
        let labels = vec![("run", run.to_owned()), ("kind", job.kind.to_owned())];
        if let Some(seconds) = job.seconds_left {
            self.train_left.get_or_create(&labels).set(seconds);
        }
        if let Some(progress) = job.progress {
            self.train_progress.get_or_create(&labels).set(progress);
        }
        if let Some(rate) = job.tokens_per_s {
            self.train_rate.get_or_create(&labels).set(rate);
        }
        for (set, levels) in [("train", &job.levels), ("held_out", &job.validation)] {
            for level in levels {
                let labels = vec![
                    ("run", run.to_owned()),
                    ("set", set.to_owned()),
                    ("level", level.level.to_string()),
                ];
                self.train_loss.get_or_create(&labels).set(level.nll);
                self.train_accuracy.get_or_create(&labels).set(level.top1);
            }
        }
    }

    /// Something was loaded anew, or could not be.
    pub fn reloaded(&self, what: &'static str, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        let labels = vec![("what", what.to_owned()), ("result", result.to_owned())];
        self.reloads.get_or_create(&labels).inc();
    }

    /// A request was refused for its `key`, a missing `right`, or its `rate`.
    pub fn denied(&self, reason: &'static str) {
        self.denied.get_or_create(&label("reason", reason)).inc();
    }
}

/// The name of a row in labels: `0`, `1`, `2`, `3` or `all`.
#[must_use]
pub fn level_name(row: LevelRow) -> &'static str {
    match row {
        LevelRow::Cache => "0",
        LevelRow::One => "1",
        LevelRow::Two => "2",
        LevelRow::Three => "3",
        LevelRow::All => "all",
    }
}

fn label(name: &'static str, value: impl Into<String>) -> Labels {
    vec![(name, value.into())]
}

fn add<M: prometheus_client::registry::Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    with(registry, name, help, None, metric)
}

fn timed(registry: &mut Registry, name: &str, help: &str) -> Histograms {
    let made = Histograms::new_with_constructor(latencies);
    with(registry, name, help, Some(Unit::Seconds), made)
}

fn with<M: prometheus_client::registry::Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    metric: M,
) -> M {
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, metric.clone()),
        None => registry.register(name, help, metric.clone()),
    }
    metric
}

/// The figures, shared.
pub type SharedMetrics = Arc<Metrics>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_appear_with_their_units_and_labels() {
        let metrics = Metrics::new();
        metrics.request("/v1/complete", "POST", 200, Duration::from_millis(3));
        metrics.completed(&Completed {
            speed: "fast",
            outcome: Outcome::Answered,
            total: Duration::from_millis(4),
            waited: Duration::ZERO,
            prefill: Duration::from_millis(2),
            decode: Duration::from_millis(1),
            context: 100,
            written: 10,
            confidence: 0.5,
            parts: &[("level1".to_owned(), 0.75)],
        });
        let text = metrics.text();
        for line in [
            r#"nestor_http_requests_total{route="/v1/complete",method="POST",status="200"} 1"#,
            r#"nestor_completion_duration_seconds_bucket{le="0.005",speed="fast"} 1"#,
            r#"nestor_completion_duration_seconds_bucket{le="0.003",speed="fast"} 0"#,
            r#"nestor_completions_total{speed="fast",outcome="answered"} 1"#,
            r#"nestor_completion_tokens_total{speed="fast"} 10"#,
            r#"nestor_part_tokens_total{part="level1"} 7.5"#,
            r#"nestor_online_tokens_total{level="all"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let resident = text
            .lines()
            .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(resident.unwrap().parse::<u64>().unwrap() > 1 << 20);
    }
}
