//! How far learning is: bars for people, lines for programs.
//!
//! Under `--json` and without a terminal a line of JSON a second goes to stderr: the server and the language server, which run this
//! command as a process of its own, show it to whoever waits. The share that is done is one of expected time over both parts of the work.

use crate::terminal::Terminal;
use indicatif::ProgressBar;
use nestor_assist::TeachProgress;
use serde::Serialize;
use std::time::{Duration, Instant};

/// What counting takes for a byte of source and teaching for a piece, in seconds: two cores of 2025, and only their ratio matters.
const COUNT_S: f64 = 2.5e-7;
const TEACH_S: f64 = 2.0e-4;

/// Bytes of a piece.
const PIECE_BYTES: f64 = 5.0;

/// How often a program is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A line for programs.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    /// Share of the expected time that is over, rising.
    progress: f64,
    seconds_left: Option<f64>,
    /// Pieces that levels 2 and 3 were taught.
    pieces: u64,
    /// Of them a second.
    pieces_per_s: Option<f64>,
}

/// How far learning is.
pub struct Progress {
    pub bar: ProgressBar,
    is_told: bool,
    started: Instant,
    told: Option<Instant>,
    work: Work,
    teaching_since: Option<Instant>,
}

/// Work done and left, as expected seconds.
#[derive(Clone, Copy, Debug)]
struct Work {
    bytes: u64,
    bytes_done: u64,
    pieces: f64,
    pieces_done: f64,
    /// The most that was told: an expectation that grows takes nothing back.
    most: f64,
}

impl Work {
    fn new(bytes: u64, max_pieces: u64) -> Self {
        Self {
            bytes,
            bytes_done: 0,
            pieces: (bytes as f64 / PIECE_BYTES).min(max_pieces as f64),
            pieces_done: 0.0,
            most: 0.0,
        }
    }

    fn share(&mut self) -> f64 {
        let all = self.bytes as f64 * COUNT_S + self.pieces * TEACH_S;
        let done = self.bytes_done as f64 * COUNT_S + self.pieces_done * TEACH_S;
        let share = if all > 0.0 {
            (done / all).min(1.0)
        } else {
            0.0
        };
        self.most = self.most.max(share);
        self.most
    }
}

impl Progress {
    /// Learning of `bytes` is about to begin, then teaching of up to `max_pieces`.
    pub fn new(terminal: &Terminal, bytes: u64, max_pieces: u64) -> Self {
        Self {
            bar: terminal.bar(bytes, &terminal.messages.text("learning-bar")),
            is_told: terminal.is_json() && !terminal.is_live(),
            started: Instant::now(),
            told: None,
            work: Work::new(bytes, max_pieces),
            teaching_since: None,
        }
    }

    /// Bytes were learned by counts.
    pub fn read(&mut self, n_bytes: usize) {
        self.bar.inc(n_bytes as u64);
        self.work.bytes_done += n_bytes as u64;
        self.tell(0);
    }

    /// All is learned by counts; levels 2 and 3 are next.
    pub fn teach(&mut self, terminal: &Terminal) {
        self.bar.finish_and_clear();
        self.bar = terminal.bar(0, &terminal.messages.text("teaching-bar"));
        self.work.bytes_done = self.work.bytes;
        self.teaching_since = Some(Instant::now());
    }

    /// Pieces were taught.
    pub fn taught(&mut self, progress: TeachProgress) {
        self.bar.set_length(progress.of);
        self.bar.set_position(progress.pieces.min(progress.of));
        self.work.pieces = progress.of as f64;
        self.work.pieces_done = progress.pieces.min(progress.of) as f64;
        self.tell(progress.pieces);
    }

    fn tell(&mut self, pieces: u64) {
        if !self.is_told || self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        let progress = self.work.share();
        let elapsed = self.started.elapsed().as_secs_f64();
        let teaching = self
            .teaching_since
            .map(|since| since.elapsed().as_secs_f64());
        let line = Line {
            progress,
            seconds_left: (progress > 0.01).then(|| elapsed * (1.0 - progress) / progress),
            pieces,
            pieces_per_s: teaching
                .filter(|seconds| *seconds > 0.0 && pieces > 0)
                .map(|seconds| pieces as f64 / seconds),
        };
        if let Ok(line) = serde_json::to_string(&line) {
            eprintln!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_rises_from_nought_to_one_whatever_turns_out() {
        let mut work = Work::new(1_000_000, 300_000);
        let mut shares = vec![work.share()];
        for _ in 0..4 {
            work.bytes_done += 250_000;
            shares.push(work.share());
        }
        // More is to be taught than was expected.
        work.pieces = 300_000.0;
        shares.push(work.share());
        work.pieces_done = 150_000.0;
        shares.push(work.share());
        assert!(shares[6] > 0.4 && shares[6] < 0.6, "{shares:?}");
        work.pieces_done = 300_000.0;
        shares.push(work.share());
        assert!(shares.is_sorted(), "{shares:?}");
        assert_eq!((shares[0], shares[7]), (0.0, 1.0));
        assert_eq!(Work::new(0, 0).share(), 0.0);
    }
}
