//! Where the time of predictions goes.

use std::time::{Duration, Instant};

/// Where the time went, and what guessing gained, summed over calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Profile {
    /// Passes through the network of [`Predictor::accept_guessing`].
    pub passes: usize,
    /// Tokens that were guessed in them.
    pub guessed: usize,
    /// Guesses that came, each of which spared a pass.
    pub right: usize,
    /// The blocks of the network, in reading and writing.
    pub blocks: Duration,
    /// The exits' products with the head and their softmax.
    pub head: Duration,
    /// The memories of levels 2 and 3, their products with the head among it.
    pub memories: Duration,
    /// The counts of corpus, project and file.
    pub counts: Duration,
    /// What weighs the parts, its features and the mixture.
    pub gate: Duration,
    /// Picking a token, and what was asked of the caller.
    pub sampling: Duration,
}

impl std::ops::AddAssign for Profile {
    fn add_assign(&mut self, other: Self) {
        self.passes += other.passes;
        self.guessed += other.guessed;
        self.right += other.right;
        self.blocks += other.blocks;
        self.head += other.head;
        self.memories += other.memories;
        self.counts += other.counts;
        self.gate += other.gate;
        self.sampling += other.sampling;
    }
}

/// Tells laps of time.
pub(crate) struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Adds the time since the last lap.
    pub fn lap(&mut self, sum: &mut Duration) {
        let now = Instant::now();
        *sum += now - self.0;
        self.0 = now;
    }
}
