//! The learning rate over a run: warm-up, then cosine or warm-up-stable-decay down to a floor.
//!
//! Called by `run` once a step. Progress is given as a share, so that a run may be limited by steps,
//! by minutes, or by whichever ends first; nothing here knows the time.

use serde::{Deserialize, Serialize};

/// The form of the schedule after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Half a cosine from 1 to the floor.
    Cosine,
    /// Full rate, then a straight line to the floor over the last 40 % of the run.
    Wsd,
}

/// The learning rate as a factor of the configured rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The form after the warm-up.
    pub shape: Shape,
    /// Steps of linear warm-up.
    pub warm_up_steps: u64,
    /// Factor at the end of the run.
    pub floor: f64,
}

/// Share of a warm-up-stable-decay run that decays (the warm-down of NanoGPT Slowrun).
const DECAY_SHARE: f64 = 0.4;

impl Schedule {
    /// The factor for `step` (from 0) when `progress` (0 to 1) of the run is done.
    pub fn factor(&self, step: u64, progress: f64) -> f64 {
        let warm_up = if self.warm_up_steps == 0 {
            1.0
        } else {
            ((step + 1) as f64 / self.warm_up_steps as f64).min(1.0)
        };
        let progress = progress.clamp(0.0, 1.0);
        let falling = match self.shape {
            Shape::Cosine => (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0,
            Shape::Wsd => ((1.0 - progress) / DECAY_SHARE).min(1.0),
        };
        warm_up * (self.floor + (1.0 - self.floor) * falling)
    }
}

/// When a run ends; the first limit reached counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Optimiser steps.
    pub steps: Option<u64>,
    /// Passes over the training text.
    pub epochs: Option<f64>,
    /// Minutes of training, summed over all calls that resumed the run.
    pub minutes: Option<f64>,
}

impl Budget {
    /// Whether the run would never end.
    pub fn is_unlimited(&self) -> bool {
        self.steps.is_none() && self.epochs.is_none() && self.minutes.is_none()
    }

    /// The same budget with passes turned into steps.
    pub fn in_steps(&self, batches_per_epoch: u64) -> Self {
        let by_epochs = self
            .epochs
            .map(|epochs| (epochs * batches_per_epoch as f64).ceil() as u64);
        let steps = match (self.steps, by_epochs) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            steps,
            epochs: None,
            minutes: self.minutes,
        }
    }

    /// The share of the run that is done before step `step` after `elapsed_s` seconds.
    pub fn progress(&self, step: u64, elapsed_s: f64) -> f64 {
        let by_steps = self
            .steps
            .map_or(0.0, |steps| step as f64 / steps.max(1) as f64);
        let by_time = self
            .minutes
            .map_or(0.0, |minutes| elapsed_s / (minutes * 60.0).max(1e-9));
        by_steps.max(by_time).min(1.0)
    }

    /// Seconds left at the present rate, where the run has a limit.
    pub fn seconds_left(&self, step: u64, elapsed_s: f64) -> Option<f64> {
        if self.steps.is_none() && self.minutes.is_none() {
            return None;
        }
        let by_steps = self
            .steps
            .filter(|_| step > 0)
            .map(|steps| elapsed_s / step as f64 * steps.saturating_sub(step) as f64);
        let by_time = self
            .minutes
            .map(|minutes| (minutes * 60.0 - elapsed_s).max(0.0));
        match (by_steps, by_time) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_follows_the_table() {
        let cosine = Schedule {
            shape: Shape::Cosine,
            warm_up_steps: 10,
            floor: 0.1,
        };
        let wsd = Schedule {
            shape: Shape::Wsd,
            ..cosine
        };
        for (schedule, step, progress, expected) in [
            (cosine, 0, 0.0, 0.1),
            (cosine, 4, 0.0, 0.5),
            (cosine, 9, 0.0, 1.0),
            (cosine, 50, 0.5, 0.55),
            (cosine, 100, 1.0, 0.1),
            (cosine, 100, 7.0, 0.1),
            (wsd, 50, 0.5, 1.0),
            (wsd, 60, 0.6, 1.0),
            (wsd, 80, 0.8, 0.55),
            (wsd, 100, 1.0, 0.1),
            (
                Schedule {
                    warm_up_steps: 0,
                    ..cosine
                },
                0,
                0.0,
                1.0,
            ),
        ] {
            let found = schedule.factor(step, progress);
            assert!(
                (found - expected).abs() < 1e-12,
                "{schedule:?} {step} {progress}: {found}"
            );
        }
    }

    #[test]
    fn progress_is_that_of_the_nearest_limit() {
        for (steps, minutes, step, elapsed_s, expected) in [
            (Some(100), None, 25, 1e9, 0.25),
            (None, Some(2.0), 25, 30.0, 0.25),
            (Some(100), Some(2.0), 10, 60.0, 0.5),
            (Some(100), Some(2.0), 90, 60.0, 0.9),
            (None, None, 90, 60.0, 0.0),
            (Some(10), None, 20, 0.0, 1.0),
        ] {
            let found = Budget {
                steps,
                epochs: None,
                minutes,
            }
            .progress(step, elapsed_s);
            assert!(
                (found - expected).abs() < 1e-12,
                "{steps:?} {minutes:?}: {found}"
            );
        }
    }

    #[test]
    fn time_left_is_the_nearest_limit() {
        let budget = Budget {
            steps: Some(100),
            epochs: None,
            minutes: Some(10.0),
        };
        assert_eq!(budget.seconds_left(50, 100.0), Some(100.0));
        assert_eq!(budget.seconds_left(1, 100.0), Some(500.0));
        assert_eq!(Budget::default().seconds_left(1, 100.0), None);
        let epochs = Budget {
            epochs: Some(2.5),
            ..Budget::default()
        };
        assert_eq!(epochs.in_steps(100).steps, Some(250));
        assert!(!epochs.is_unlimited() && Budget::default().is_unlimited());
    }
}
