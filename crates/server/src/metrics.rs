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
use prometheus_client::registry::Registry;

use crate::gpu::Gpu;

mod figures;

/// Labels of a figure.
type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type FloatCounters = Family<Labels, Counter<f64, AtomicU64>>;
type Gauges = Family<Labels, Gauge>;
type FloatGauges = Family<Labels, Gauge<f64, AtomicU64>>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// Times after which retained characters are counted, in seconds.
pub const RETAINED_AFTER: [u32; 4] = [30, 90, 180, 360];

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

impl Metrics {
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
            r#"nestor_jobs{kind="teach",state="running"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let resident = text
            .lines()
            .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(resident.unwrap().parse::<u64>().unwrap() > 1 << 20);
    }
}
