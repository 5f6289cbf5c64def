//! Long work: learning a source, training. Each job is a process of its own, this program again.
//!
//! A job that breaks or is killed takes nothing with it, and the server keeps completing. How far a training run is, is read from
//! the record that it writes; how far learning is, from lines on its stderr; how a job ended, from its exit code and the document on
//! its stdout.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::metrics::SharedMetrics;
use crate::wire::{JobShown, LevelShown};

/// Jobs that are remembered after they have ended.
const MAX_ENDED: usize = 100;

/// Lines of a job's stderr that are kept to tell what went wrong.
const LAST_LINES: usize = 20;

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Learns a source.
    Learn,
    /// Teaches levels 2 and 3 what a project has learned, while nobody works.
    Teach,
    /// Trains.
    Train,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Learn, Self::Teach, Self::Train];

    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Learn => "learn",
            Self::Teach => "teach",
            Self::Train => "train",
        }
    }
}

/// A job to start.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// The project, or the name of the run.
    pub name: String,
    /// Arguments of the program.
    pub arguments: Vec<OsString>,
    /// The record that it writes.
    pub record: Option<PathBuf>,
    /// Jobs at once.
    pub at_once: usize,
}

/// Why a job is not started.
#[derive(Debug)]
pub enum NotStarted {
    /// As many run as may.
    TooMany,
    /// One of the same name runs.
    Same(String),
    /// The system refused.
    System(std::io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Done,
    Failed,
    Cancelled,
}

impl State {
    const ALL: [Self; 4] = [Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

struct Job {
    id: String,
    kind: JobKind,
    name: String,
    record: Option<PathBuf>,
    started: u64,
    since: Instant,
    state: State,
    elapsed_s: f64,
    error: Option<String>,
    result: Option<serde_json::Value>,
    /// The last line that told how far it is.
    told: Arc<Mutex<Option<Told>>>,
    cancel: watch::Sender<bool>,
}

/// A line on the stderr of `nestor learn --json`.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Told {
    progress: f64,
    seconds_left: Option<f64>,
    pieces: u64,
    pieces_per_s: Option<f64>,
}

/// The jobs of a server.
pub struct Jobs {
    program: PathBuf,
    list: Arc<Mutex<VecDeque<Job>>>,
    metrics: SharedMetrics,
    next: AtomicU64,
}

impl Jobs {
    /// Jobs are runs of `program`.
    #[must_use]
    pub fn new(program: PathBuf, metrics: SharedMetrics) -> Self {
        Self {
            program,
            list: Arc::default(),
            metrics,
            next: AtomicU64::new(1),
        }
    }

    /// Starts a job; needs the async runtime.
    ///
    /// # Errors
    /// [`NotStarted`].
    pub fn start(&self, new: NewJob) -> Result<JobShown, NotStarted> {
        let mut list = lock(&self.list);
        let running = list.iter().filter(|job| job.state == State::Running);
        if let Some(same) = running
            .clone()
            .find(|job| job.kind == new.kind && job.name == new.name)
        {
            return Err(NotStarted::Same(same.id.clone()));
        }
        // What is taught while nobody works is nobody's job.
        let counted = running.filter(|job| job.kind != JobKind::Teach);
        if counted.count() >= new.at_once {
            return Err(NotStarted::TooMany);
        }
        let child = Command::new(&self.program)
            .args(&new.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(NotStarted::System)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (cancel, cancelled) = watch::channel(false);
        let told = Arc::default();
        let job = Job {
            id: format!("{}-{number}", new.kind.name()),
            kind: new.kind,
            name: new.name,
            record: new.record,
            started: crate::api::now(),
            since: Instant::now(),
            state: State::Running,
            elapsed_s: 0.0,
            error: None,
            result: None,
            told: Arc::clone(&told),
            cancel,
        };
        let (id, begun) = (job.id.clone(), shown(&job));
        list.push_back(job);
        while list.len() > MAX_ENDED {
            // What was taught while nobody worked is remembered least long.
            let ended = |job: &Job| job.state != State::Running;
            let taught = |job: &Job| ended(job) && job.kind == JobKind::Teach;
            let at = list.iter().position(taught);
            let Some(at) = at.or_else(|| list.iter().position(ended)) else {
                break;
            };
            list.remove(at);
        }
        drop(list);
        self.count();
        let (jobs, metrics) = (Arc::clone(&self.list), Arc::clone(&self.metrics));
        tokio::spawn(async move {
            let ended = watch_child(child, cancelled, told).await;
            let mut list = lock(&jobs);
            if let Some(job) = list.iter_mut().find(|job| job.id == id) {
                job.state = ended.state;
                job.error = ended.error;
                job.result = ended.result;
                job.elapsed_s = job.since.elapsed().as_secs_f64();
                metrics.training(&job.name, &shown(job));
            }
            count(&list, &metrics);
        });
        Ok(begun)
    }

    /// A job as it stands.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<JobShown> {
        let list = lock(&self.list);
        let shown = list.iter().find(|job| job.id == id).map(shown)?;
        drop(list);
        self.metrics.training(&shown.name, &shown);
        Some(shown)
    }

    /// All jobs, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<JobShown> {
        lock(&self.list).iter().rev().map(shown).collect()
    }

    /// Asks a job to end; false if there is none of the id.
    #[must_use]
    pub fn cancel(&self, id: &str) -> bool {
        let list = lock(&self.list);
        let Some(job) = list.iter().find(|job| job.id == id) else {
            return false;
        };
        // The receiver is gone when the job has ended: nothing is left to end.
        let _ = job.cancel.send(true);
        true
    }

    /// Jobs that run.
    #[must_use]
    pub fn n_running(&self) -> usize {
        let list = lock(&self.list);
        list.iter()
            .filter(|job| job.state == State::Running)
            .count()
    }

    /// Asks the running job of a kind and name to end; false if there is none.
    pub fn end(&self, kind: JobKind, name: &str) -> bool {
        let list = lock(&self.list);
        let running = list.iter().filter(|job| job.state == State::Running);
        let mut found = false;
        for job in running.filter(|job| job.kind == kind && job.name == name) {
            found = true;
            let _ = job.cancel.send(true);
        }
        found
    }

    /// Ends all jobs; for a server that stops.
    pub fn cancel_all(&self) {
        for job in lock(&self.list).iter() {
            let _ = job.cancel.send(true);
        }
    }

    /// Tells the metrics how the running jobs stand.
    pub fn count(&self) {
        let list = lock(&self.list);
        count(&list, &self.metrics);
        let running = list.iter().filter(|job| job.state == State::Running);
        for shown in running.map(shown) {
            self.metrics.training(&shown.name, &shown);
        }
    }
}

fn lock(list: &Mutex<VecDeque<Job>>) -> MutexGuard<'_, VecDeque<Job>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(list: &VecDeque<Job>, metrics: &SharedMetrics) {
    for kind in JobKind::ALL {
        for state in State::ALL {
            let n = list
                .iter()
                .filter(|job| job.kind == kind && job.state == state)
                .count();
            metrics.set_jobs(kind.name(), state.name(), n);
        }
    }
}

struct Ended {
    state: State,
    error: Option<String>,
    result: Option<serde_json::Value>,
}

async fn watch_child(
    mut child: Child,
    mut cancelled: watch::Receiver<bool>,
    told: Arc<Mutex<Option<Told>>>,
) -> Ended {
    let stdout = child.stdout.take();
    let read_out = tokio::spawn(async move {
        let mut text = String::new();
        if let Some(mut stdout) = stdout {
            // What cannot be read is missing from the result, which the exit code outweighs.
            let _ = stdout.read_to_string(&mut text).await;
        }
        text
    });
    let stderr = child.stderr.take();
    let read_errors = tokio::spawn(async move {
        let mut last = VecDeque::new();
        if let Some(stderr) = stderr {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(line) = serde_json::from_str(&line) {
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
                    continue;
                }
                if last.len() == LAST_LINES {
                    last.pop_front();
                }
                last.push_back(line);
            }
        }
        Vec::from(last).join("\n")
    });
    let status = tokio::select! {
        status = child.wait() => Some(status),
        _ = cancelled.wait_for(|cancelled| *cancelled) => None,
    };
    let Some(status) = status else {
        // What it has kept so far stays: learning and training survive being killed.
        let _ = child.kill().await;
        return Ended {
            state: State::Cancelled,
            error: None,
            result: None,
        };
    };
    let out = read_out.await.unwrap_or_default();
    let errors = read_errors.await.unwrap_or_default();
    let result: Option<serde_json::Value> = serde_json::from_str(&out).ok();
    match status {
        Ok(status) if status.success() => Ended {
            state: State::Done,
            error: None,
            result,
        },
        Ok(status) => {
            let told = result.as_ref().and_then(|result| {
                let message = result.pointer("/error/message")?.as_str()?;
                Some(message.to_owned())
            });
            Ended {
                state: State::Failed,
                error: Some(told.unwrap_or_else(|| format!("{status}: {errors}"))),
                result: None,
            }
        }
        Err(error) => Ended {
            state: State::Failed,
            error: Some(error.to_string()),
            result: None,
        },
    }
}

fn shown(job: &Job) -> JobShown {
    let elapsed_s = if job.state == State::Running {
        job.since.elapsed().as_secs_f64()
    } else {
        job.elapsed_s
    };
    let mut shown = JobShown {
        id: job.id.clone(),
        kind: job.kind.name(),
        name: job.name.clone(),
        state: job.state.name(),
        started: job.started,
        elapsed_s,
        progress: (job.state == State::Done).then_some(1.0),
        seconds_left: None,
        step: None,
        tokens: None,
        tokens_per_s: None,
        loss: None,
        levels: Vec::new(),
        validation: Vec::new(),
        error: job.error.clone(),
        result: job.result.clone(),
    };
    let told = *job.told.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(told) = told {
        if job.state != State::Done {
            shown.progress = Some(told.progress);
        }
        shown.seconds_left = told.seconds_left.filter(|_| job.state == State::Running);
        shown.tokens = Some(told.pieces);
        shown.tokens_per_s = told.pieces_per_s;
    }
    if let Some(record) = &job.record {
        read_record(record, &mut shown);
    }
    shown
}

/// A line of a training record, as far as a watcher cares.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Step {
        step: u64,
        tokens: u64,
        loss: f64,
        levels: Vec<LevelShown>,
        tokens_per_s: f64,
        progress: f64,
        seconds_left: Option<f64>,
    },
    Validation {
        levels: Vec<LevelShown>,
    },
    #[serde(other)]
    Other,
}

/// Bytes at the end of a record that are read: the last steps and the last validation.
const RECORD_TAIL: u64 = 64 << 10;

fn read_record(path: &Path, shown: &mut JobShown) {
    // A record that is not there yet tells nothing yet.
    let Ok(text) = tail(path) else { return };
    for line in text.lines() {
        match serde_json::from_str(line) {
            Ok(Line::Step {
                step,
                tokens,
                loss,
                levels,
                tokens_per_s,
                progress,
                seconds_left,
            }) => {
                shown.step = Some(step);
                shown.tokens = Some(tokens);
                shown.loss = Some(loss);
                shown.levels = levels;
                shown.tokens_per_s = Some(tokens_per_s);
                shown.progress = Some(progress);
                shown.seconds_left = seconds_left;
            }
            Ok(Line::Validation { levels }) => shown.validation = levels,
            // The first line of a tail is half of one.
            Ok(Line::Other) | Err(_) => {}
        }
    }
}

fn tail(path: &Path) -> std::io::Result<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(RECORD_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(RECORD_TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_record_tells_how_far_a_run_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.jsonl");
        let level = r#"{"level":1,"nll":2.5,"top1":0.4,"positions":9}"#;
        let step = |step: u64| {
            format!(
                r#"{{"kind":"step","step":{step},"tokens":{},"loss":3.5,"levels":[{level}],"rate_factor":1.0,"gradient_norm":1.0,"tokens_per_s":100.0,"resident_bytes":null,"progress":0.{step},"seconds_left":7.0}}"#,
                step * 64
            )
        };
        let valid = format!(r#"{{"kind":"validation","step":2,"levels":[{level}],"seconds":0.1}}"#);
        std::fs::write(
            &path,
            format!("half a line\n{}\n{valid}\n{}\n", step(1), step(2)),
        )
        .unwrap();
        let (cancel, _) = watch::channel(false);
        let job = Job {
            id: "train-1".to_owned(),
            kind: JobKind::Train,
            name: "a".to_owned(),
            record: Some(path),
            started: 0,
            since: Instant::now(),
            state: State::Running,
            elapsed_s: 0.0,
            error: None,
            result: None,
            told: Arc::default(),
            cancel,
        };
        let shown = shown(&job);
        assert_eq!((shown.step, shown.tokens), (Some(2), Some(128)));
        assert_eq!(shown.progress, Some(0.2));
        assert_eq!(shown.validation[0].top1, 0.4);
    }
}
