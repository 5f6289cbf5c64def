//! Memories that change while the model is used: what a project teaches the exits.
//!
//! Three memories, independent of each other, sit between an exit's rows and its distribution.
//! [`OutputDelta`] (level 2) corrects the head's rows every few dozen tokens, [`ExitMlp`] (level 3)
//! corrects the exit's rows every few thousand, and [`Episodic`] remembers single rows with the
//! token that followed. None of them is read by a stage, so an update invalidates no session.
//!
//! Called by whoever owns a document or a project: it scores a token first and teaches it after, cuts
//! the stream into chunks, and decides when an update takes effect. The memories must not know about
//! text, files, time or randomness other than a seed that they are given: they see rows, token ids
//! and probabilities. A memory that has learned nothing changes no bit of a logit, and a row or a
//! probability that is not a number is skipped, so that it can never stay in a memory.
//!
//! Letters: n rows of a call, d width, V vocabulary, r hidden units. Matrices are row-major. Logarithms
//! are natural, so losses are in nats.

mod episodic;
mod exit_mlp;
mod frame;
mod levels;
mod muon;
mod output_delta;
mod reading;
mod start;
mod trust;

pub use episodic::{DocumentStates, Episodic, EpisodicConfig, Recalled};
pub use exit_mlp::{ExitMlp, ExitMlpConfig, ExitMlpStep, MlpBatch, MlpWeights, Optimiser};
pub use levels::{
    Evidence, LevelMemories, LevelMemoriesConfig, LevelsOutline, MemoriesIdentity, MemoryParts,
};
pub use output_delta::{DeltaRow, OutputDelta, OutputDeltaConfig};
pub use reading::{Document, DocumentReader};
pub use start::MemoryStart;

use crate::EngineError;
use crate::session::check_length;

/// Added to mean squares before a root, so that a row of zeros stays one.
const NORM_EPS: f32 = 1e-6;

/// Probabilities that are compared with the threshold at once.
const SCAN: usize = 32;

/// How far above 1 rounding may lift a probability.
const PROBABILITY_SLACK: f32 = 1e-3;

/// Which tokens teach, and how strongly: a band-pass on surprise.
///
/// A token that the exit knew teaches nothing and would cost the same work. One that it thought
/// impossible is as likely to be garbage as to be news, and must not outweigh its chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// A token of a smaller loss, in nats, teaches nothing.
    pub loss_floor: f32,
    /// A token of a larger loss, in nats, is weighted down to this loss; infinity is no ceiling.
    pub loss_ceiling: f32,
    /// Largest Euclidean norm of one token's gradient by its logits; at most the root of 2 occurs.
    pub max_gradient: f32,
}

impl Default for Band {
    fn default() -> Self {
        Self {
            loss_floor: 0.02,
            loss_ceiling: 8.0,
            max_gradient: 1.0,
        }
    }
}

/// What became of the tokens of a lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learned {
    /// Tokens that changed the memory or its gradient.
    pub taught: usize,
    /// Tokens that the exit knew: their loss is under the floor.
    pub known: usize,
    /// Tokens whose row or probabilities are not numbers.
    pub refused: usize,
}

/// What one token may teach.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    Known,
    Refused,
    /// The weight of its gradient.
    Teach(f32),
}

/// What one position wants of one token's row.
#[derive(Debug, Clone, Copy)]
struct Push {
    token: u32,
    position: u32,
    coefficient: f32,
}

impl Band {
    fn validate(&self) -> Result<(), EngineError> {
        check_option("loss_floor", self.loss_floor, self.loss_floor >= 0.0)?;
        let above = self.loss_ceiling > self.loss_floor;
        check_setting(
            "loss_ceiling",
            self.loss_ceiling,
            above,
            "must lie above loss_floor",
        )?;
        check_setting(
            "max_gradient",
            self.max_gradient,
            self.max_gradient > 0.0,
            "must be positive",
        )
    }

    fn judge(&self, row: &[f32], target_probability: f32) -> Verdict {
        let possible = (0.0..=1.0 + PROBABILITY_SLACK).contains(&target_probability);
        if !possible || !row.iter().all(|x| x.is_finite()) {
            return Verdict::Refused;
        }
        let loss = -target_probability.max(f32::MIN_POSITIVE).ln();
        if loss < self.loss_floor {
            return Verdict::Known;
        }
        Verdict::Teach((self.loss_ceiling / loss).min(1.0))
    }

    /// The factor that brings a gradient of this norm under the limit.
    fn clip(&self, norm: f32) -> f32 {
        shrink(norm, self.max_gradient)
    }
}

/// Calls `found` with every token whose probability reaches the threshold, in their order. Few do, so
/// that whole groups are ruled out by one comparison of their largest.
fn for_each_reaching(probs: &[f32], threshold: f32, mut found: impl FnMut(u32, f32)) {
    for (block, group) in probs.chunks(SCAN).enumerate() {
        let reached = group
            .iter()
            .fold(false, |reached, p| reached | (*p >= threshold));
        if reached {
            for (i, p) in group.iter().enumerate() {
                if *p >= threshold {
                    found((block * SCAN + i) as u32, *p);
                }
            }
        }
    }
}

/// The factor that brings a vector of length `norm` to at most `limit`.
fn shrink(norm: f32, limit: f32) -> f32 {
    if norm > limit { limit / norm } else { 1.0 }
}

/// A number that must be finite and satisfy `holds`.
fn check_option(field: &'static str, value: f32, holds: bool) -> Result<(), EngineError> {
    check_setting(
        field,
        value,
        value.is_finite() && holds,
        "out of the range of its description",
    )
}

fn check_setting(
    field: &'static str,
    value: f32,
    holds: bool,
    reason: &'static str,
) -> Result<(), EngineError> {
    if holds {
        return Ok(());
    }
    Err(EngineError::Setting {
        field,
        value: f64::from(value),
        reason,
    })
}

/// A size that must not be zero and must fit the 32 bits that a saved memory gives it.
fn check_size(field: &'static str, value: usize) -> Result<(), EngineError> {
    if (1..=u32::MAX as usize).contains(&value) {
        return Ok(());
    }
    Err(EngineError::Setting {
        field,
        value: value as f64,
        reason: "must be between 1 and 2^32 - 1",
    })
}

/// The number of rows of width `width` in `rows`.
fn count_rows(rows: &[f32], width: usize) -> Result<usize, EngineError> {
    let n = rows.len() / width;
    check_length("rows of an exit", rows.len(), n * width)?;
    Ok(n)
}

fn check_tokens(tokens: &[u32], vocab: usize) -> Result<(), EngineError> {
    match tokens.iter().position(|token| *token as usize >= vocab) {
        None => Ok(()),
        Some(index) => Err(EngineError::Token {
            token: tokens[index],
            index,
            vocab,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nestor_kernels::{dot_rows, softmax_in_place};

    /// Numbers between -1 and 1 that look random and are the same in every run.
    pub(super) fn noise(seed: u64, len: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// Softmax of `head rows`, `[n, V]`.
    pub(super) fn probabilities(head: &[f32], width: usize, rows: &[f32]) -> Vec<f32> {
        let vocab = head.len() / width;
        let mut probs = vec![0.0; rows.len() / width * vocab];
        dot_rows(head, width, rows, &mut probs);
        softmax_rows(&mut probs, vocab);
        probs
    }

    pub(super) fn softmax_rows(logits: &mut [f32], vocab: usize) {
        for row in logits.chunks_exact_mut(vocab) {
            softmax_in_place(row);
        }
    }

    /// Mean loss of the targets in nats.
    pub(super) fn loss(probs: &[f32], targets: &[u32]) -> f32 {
        let vocab = probs.len() / targets.len();
        let total: f32 = targets
            .iter()
            .enumerate()
            .map(|(t, target)| -probs[t * vocab + *target as usize].max(1e-30).ln())
            .sum();
        total / targets.len() as f32
    }

    #[test]
    fn the_band_passes_what_is_neither_known_nor_absurd() {
        let band = Band {
            loss_floor: 0.1,
            loss_ceiling: 4.0,
            max_gradient: 0.5,
        };
        let row = [1.0, -2.0];
        assert_eq!(band.judge(&row, 0.95), Verdict::Known);
        assert_eq!(band.judge(&row, 0.5), Verdict::Teach(1.0));
        assert_eq!(band.judge(&row, (-8.0f32).exp()), Verdict::Teach(0.5));
        assert!(matches!(band.judge(&row, 0.0), Verdict::Teach(weight) if weight > 0.0));
        for absurd in [f32::NAN, f32::INFINITY, -0.1, 1.5] {
            assert_eq!(band.judge(&row, absurd), Verdict::Refused, "{absurd}");
        }
        assert_eq!(band.judge(&[1.0, f32::NAN], 0.5), Verdict::Refused);
        assert_eq!(band.clip(0.25), 1.0);
        assert_eq!(band.clip(2.0), 0.25);
    }

    #[test]
    fn a_band_that_passes_nothing_is_refused() {
        let of = |loss_floor, loss_ceiling, max_gradient| Band {
            loss_floor,
            loss_ceiling,
            max_gradient,
        };
        assert!(of(0.0, f32::INFINITY, f32::INFINITY).validate().is_ok());
        for (band, named) in [
            (of(-0.1, 8.0, 1.0), "loss_floor is -0.1"),
            (of(f32::NAN, 8.0, 1.0), "loss_floor is NaN"),
            (of(1.0, 1.0, 1.0), "loss_ceiling is 1"),
            (of(0.0, 8.0, 0.0), "max_gradient is 0"),
        ] {
            let message = band.validate().unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}
