//! The run record: one JSON document a line in `run.jsonl`, and the events that a caller shows.
//!
//! Written by `run`, read by reports. A line is either the header, a step, a validation, a note or the
//! summary, told apart by `kind`. No source text ever enters it.

use crate::{TrainConfig, TrainError};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Loss and top-1 accuracy of one level over scored pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LevelScore {
    /// Level, from 1.
    pub level: usize,
    /// Mean negative log-likelihood in nats a piece.
    pub nll: f64,
    /// Share of pieces whose most likely candidate is right.
    pub top1: f64,
    /// Pieces scored.
    pub positions: usize,
}

/// What a run tells while it goes; also the lines of its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "one header a call; a box would save nothing"
)]
pub enum Event {
    /// The beginning, once for every call.
    Header(Header),
    /// Progress, every few steps.
    Step(Step),
    /// Scores of the averaged weights on fixed windows of withheld projects.
    Validation {
        /// Steps done.
        step: u64,
        /// Scores by level.
        levels: Vec<LevelScore>,
        /// Seconds that it took.
        seconds: f64,
    },
    /// Something that a reader should know: a refused checkpoint, a stop.
    Note {
        /// Steps done.
        step: u64,
        /// The text.
        text: String,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Steps done.
        step: u64,
        /// Seconds that it took.
        seconds: f64,
    },
    /// The end.
    Summary(Summary),
}

/// The first line of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The resolved configuration.
    pub config: TrainConfig,
    /// Arguments of the process.
    pub command: Vec<String>,
    /// Hash of the corpus.
    pub corpus_sha256: String,
    /// Trained parameters.
    pub parameters: usize,
    /// Training tokens in the corpus, after leaving out repeated methods.
    pub corpus_tokens: u64,
    /// Threads used.
    pub threads: usize,
    /// Step at which this call starts.
    pub first_step: u64,
}

/// One logged step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Steps done.
    pub step: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// The trained loss, mean since the last logged step.
    pub loss: f64,
    /// Scores by level on the training batches since the last logged step.
    pub levels: Vec<LevelScore>,
    /// Factor of the learning rates.
    pub rate_factor: f64,
    /// Norm of the whole gradient before clipping, at this step.
    pub gradient_norm: f64,
    /// Tokens a second since the last logged step.
    pub tokens_per_s: f64,
    /// Resident memory in bytes, where the system tells.
    pub resident_bytes: Option<u64>,
    /// Share of the run that is done.
    pub progress: f64,
    /// Seconds until the end, where the run has a limit.
    pub seconds_left: Option<f64>,
}

/// The last line of a call, also what `run` returns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Steps done.
    pub step: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Seconds of training, over all calls.
    pub elapsed_s: f64,
    /// Tokens a second over this call, everything included.
    pub tokens_per_s: f64,
    /// Peak resident memory in bytes, where the system tells.
    pub peak_bytes: Option<u64>,
    /// Scores of the released weights on withheld text.
    pub levels: Vec<LevelScore>,
    /// True if the run was stopped before its end; it can be resumed.
    pub stopped: bool,
    /// The model folder, if the run came to its end.
    pub model: Option<PathBuf>,
}

/// Appends events to a run's record.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    file: File,
}

impl Record {
    /// The record's place in an output folder.
    pub fn path(out: &Path) -> PathBuf {
        out.join("run.jsonl")
    }

    /// Opens the record of a run for appending.
    ///
    /// # Errors
    /// [`TrainError::File`].
    pub fn open(out: &Path) -> Result<Self, TrainError> {
        let path = Self::path(out);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|e| TrainError::file(&path, e))?;
        Ok(Self { path, file })
    }

    /// Appends one line.
    ///
    /// # Errors
    /// [`TrainError::File`].
    pub fn append(&mut self, event: &Event) -> Result<(), TrainError> {
        let mut line = serde_json::to_vec(event).map_err(|e| TrainError::file(&self.path, e))?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(|e| TrainError::file(&self.path, e))
    }
}

/// Resident memory of this process: now and at its peak. `None` where the system has no `/proc`.
pub fn resident_bytes() -> (Option<u64>, Option<u64>) {
    resident_bytes_of(std::process::id())
}

/// The same of another process.
pub fn resident_bytes_of(process: u32) -> (Option<u64>, Option<u64>) {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) else {
        return (None, None);
    };
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    };
    (field("VmRSS:"), field("VmHWM:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;

    #[test]
    fn a_record_is_read_back_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let events = [
            Event::Header(Header {
                config: TrainConfig::new("corpus".into(), Size::Nano, 3, "out".into()),
                command: vec!["nestor".into(), "train".into()],
                corpus_sha256: "00".into(),
                parameters: 4_500_000,
                corpus_tokens: 10,
                threads: 2,
                first_step: 0,
            }),
            Event::Validation {
                step: 3,
                levels: vec![LevelScore {
                    level: 1,
                    nll: 2.5,
                    top1: 0.25,
                    positions: 7,
                }],
                seconds: 0.5,
            },
            Event::Note {
                step: 3,
                text: "остановлено".into(),
            },
        ];
        for event in &events {
            Record::open(dir.path()).unwrap().append(event).unwrap();
        }
        let text = std::fs::read_to_string(Record::path(dir.path())).unwrap();
        let read: Vec<Event> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, events);
    }
}
