//! Protocols as rounds: what is learned before, what is scored, and whether a scored file is learned after.
//!
//! The model and the baseline go through the same rounds, so they know the same when they are asked the same.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// One pass over files with a memory that starts empty. Files are given by index, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Learned before anything is scored.
    pub learn: Vec<usize>,
    /// Scored.
    pub score: Vec<usize>,
    /// Whether each scored file is learned before the next one is scored.
    pub learn_scored: bool,
}

/// Folds of the maintenance protocol.
pub const N_FOLDS: usize = 10;

/// The project protocol: a codebase never seen, files in order, each scored before it is learned.
#[must_use]
pub fn project(n_files: usize) -> Vec<Round> {
    vec![Round {
        learn: Vec::new(),
        score: (0..n_files).collect(),
        learn_scored: true,
    }]
}

/// The maintenance protocol: ten folds over the files, shuffled by the seed; nine learned, one scored.
#[must_use]
pub fn maintenance(n_files: usize, seed: u64) -> Vec<Round> {
    let mut order: Vec<usize> = (0..n_files).collect();
    order.shuffle(&mut StdRng::seed_from_u64(seed));
    (0..N_FOLDS.min(n_files))
        .map(|fold| {
            let mut round = Round {
                learn: Vec::new(),
                score: Vec::new(),
                learn_scored: false,
            };
            for (at, file) in order.iter().enumerate() {
                if at % N_FOLDS == fold {
                    round.score.push(*file);
                } else {
                    round.learn.push(*file);
                }
            }
            round.learn.sort_unstable();
            round.score.sort_unstable();
            round
        })
        .collect()
}

/// The samples protocol: methods that were kept from training, each for itself.
#[must_use]
pub fn samples(n_methods: usize) -> Vec<Round> {
    vec![Round {
        learn: Vec::new(),
        score: (0..n_methods).collect(),
        learn_scored: false,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintenance_scores_every_file_once_and_never_learns_it_before() {
        for n_files in [1, 7, 10, 43] {
            let rounds = maintenance(n_files, 1);
            let mut scored: Vec<usize> = rounds.iter().flat_map(|r| r.score.clone()).collect();
            scored.sort_unstable();
            assert_eq!(scored, (0..n_files).collect::<Vec<_>>());
            for round in &rounds {
                assert!(round.score.iter().all(|file| !round.learn.contains(file)));
                assert_eq!(round.score.len() + round.learn.len(), n_files);
                assert!(round.score.is_sorted() && round.learn.is_sorted());
            }
            assert_eq!(rounds, maintenance(n_files, 1));
        }
        assert!(maintenance(0, 1).is_empty());
    }
}
