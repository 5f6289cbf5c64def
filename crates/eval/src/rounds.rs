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

/// Leaves of what each round learns before about `share` of its bytes: files drawn by the seed, in order.
pub fn learn_share(rounds: &mut [Round], share: f64, bytes: &[usize], seed: u64) {
    for (fold, round) in rounds.iter_mut().enumerate() {
        let total: usize = round.learn.iter().map(|file| bytes[*file]).sum();
        let wanted = (total as f64 * share).round() as usize;
        round
            .learn
            .shuffle(&mut StdRng::seed_from_u64(seed ^ (fold as u64 + 1)));
        let mut sum = 0;
        round.learn.retain(|file| {
            let kept = sum < wanted;
            sum += bytes[*file];
            kept
        });
        round.learn.sort_unstable();
    }
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

    #[test]
    fn a_share_is_a_share_of_the_bytes() {
        let bytes: Vec<usize> = (0..200).map(|file| 100 + file * 7 % 50).collect();
        for share in [0.0, 0.01, 0.1, 0.5, 1.0] {
            let mut rounds = maintenance(200, 1);
            let whole = rounds.clone();
            learn_share(&mut rounds, share, &bytes, 1);
            for (round, whole) in rounds.iter().zip(&whole) {
                let sum = |files: &[usize]| files.iter().map(|file| bytes[*file]).sum::<usize>();
                let (kept, all) = (sum(&round.learn) as f64, sum(&whole.learn) as f64);
                assert!(
                    (kept - share * all).abs() <= 150.0,
                    "{share}: {kept} of {all}"
                );
                assert!(round.learn.is_sorted());
                assert!(round.learn.iter().all(|file| whole.learn.contains(file)));
                assert_eq!(round.score, whole.score);
            }
            let mut again = maintenance(200, 1);
            learn_share(&mut again, share, &bytes, 1);
            assert_eq!(again, rounds);
        }
    }
}
