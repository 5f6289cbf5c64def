//! How a long build tells where it is. The command line draws it; this crate only counts.

use std::time::Duration;

/// What a build is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Opening the sources and listing their files.
    Listing,
    /// Reading files, finding methods and duplicates, counting words.
    Reading,
    /// Training the tokenizer.
    Training,
    /// Cutting files into tokens and writing the shards.
    Encoding,
    /// Putting the corpus in its place.
    Finishing,
}

/// One message: how far a phase has come.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The phase.
    pub phase: Phase,
    /// The source that is read, where there is one.
    pub source: &'a str,
    /// Bytes done in this phase.
    pub done_bytes: u64,
    /// Bytes of the whole phase; 0 where it is not known.
    pub total_bytes: u64,
    /// Files done in this phase.
    pub done_files: usize,
    /// Files of the whole phase; 0 where it is not known.
    pub total_files: usize,
}

impl Step<'_> {
    /// Megabytes per second, when the phase has run for `elapsed`.
    pub fn mb_per_s(&self, elapsed: Duration) -> f64 {
        self.done_bytes as f64 / 1e6 / elapsed.as_secs_f64().max(1e-9)
    }

    /// Time left at the rate so far; `None` before anything is done or where the total is not known.
    pub fn time_left(&self, elapsed: Duration) -> Option<Duration> {
        if self.done_bytes == 0 || self.total_bytes < self.done_bytes {
            return None;
        }
        Some(elapsed.mul_f64((self.total_bytes - self.done_bytes) as f64 / self.done_bytes as f64))
    }
}

/// Receives the steps. Called from one thread at a time, several times a second at most while files are small.
pub trait Progress: Sync {
    /// A phase began or moved on.
    fn step(&self, step: &Step<'_>);
}

impl<F: Fn(&Step<'_>) + Sync> Progress for F {
    fn step(&self, step: &Step<'_>) {
        self(step);
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _step: &Step<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_follow_from_the_bytes() {
        let step = Step {
            phase: Phase::Reading,
            source: "",
            done_bytes: 20_000_000,
            total_bytes: 60_000_000,
            done_files: 1,
            total_files: 3,
        };
        let elapsed = Duration::from_secs(4);
        assert_eq!(step.mb_per_s(elapsed), 5.0);
        assert_eq!(step.time_left(elapsed), Some(Duration::from_secs(8)));
        assert_eq!(
            Step {
                done_bytes: 0,
                ..step
            }
            .time_left(elapsed),
            None
        );
        assert_eq!(
            Step {
                total_bytes: 0,
                ..step
            }
            .time_left(elapsed),
            None
        );
    }
}
