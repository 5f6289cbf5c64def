//! Every figure by name, help and unit, at nought.

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::*;
use crate::jobs::JobKind;

/// Borders of latencies in seconds: 1 ms to 2 s.
const LATENCIES: [f64; 18] = [
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.010, 0.015, 0.020, 0.030, 0.040, 0.050, 0.075, 0.100,
    0.200, 0.300, 0.500, 1.0, 2.0,
];

fn latencies() -> Histogram {
    Histogram::new(LATENCIES)
}

fn shares() -> Histogram {
    Histogram::new((1..=10).map(|tenth| f64::from(tenth) / 10.0))
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
        for kind in JobKind::ALL {
            for state in ["running", "done", "failed", "cancelled"] {
                self.set_jobs(kind.name(), state, 0);
            }
        }
    }
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
