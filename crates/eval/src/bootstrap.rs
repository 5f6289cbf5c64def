//! Intervals by resampling files: how far a figure would move on another project like this one.
//!
//! Code tokens of one file are far from independent, so whole files are drawn with replacement (DESIGN 6). The seed is
//! an argument: the same tallies and seed give the same interval.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::tally::Share;

/// Draws of the bootstrap.
pub const N_RESAMPLES: usize = 1000;

/// The 95 % percentile interval of `right / total` over files; the point itself where fewer than two files answered.
#[must_use]
pub fn interval(files: &[Share], seed: u64) -> (f64, f64) {
    let files: Vec<Share> = files.iter().copied().filter(|f| f.total > 0).collect();
    if files.len() < 2 {
        let point = files.first().and_then(Share::ratio).unwrap_or(0.0);
        return (point, point);
    }
    let mut rng = StdRng::seed_from_u64(seed);
    let mut ratios: Vec<f64> = (0..N_RESAMPLES)
        .map(|_| {
            let mut sum = Share::default();
            for _ in 0..files.len() {
                sum.merge(files[rng.random_range(0..files.len())]);
            }
            sum.right as f64 / sum.total as f64
        })
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| ratios[((N_RESAMPLES - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_have_no_spread_and_unequal_ones_do() {
        let equal = [Share { right: 3, total: 4 }; 10];
        assert_eq!(interval(&equal, 1), (0.75, 0.75));
        let unequal: Vec<Share> = (0..10)
            .map(|i| Share {
                right: i,
                total: 10,
            })
            .collect();
        let (low, high) = interval(&unequal, 1);
        assert!(low < 0.45 && 0.45 < high && high - low < 0.5);
        assert_eq!(interval(&unequal, 1), (low, high));
    }

    #[test]
    fn one_file_gives_its_point_and_none_gives_zero() {
        assert_eq!(interval(&[Share { right: 1, total: 2 }], 7), (0.5, 0.5));
        assert_eq!(interval(&[], 7), (0.0, 0.0));
        assert_eq!(interval(&[Share::default()], 7), (0.0, 0.0));
    }

    #[test]
    fn the_width_matches_the_normal_approximation() {
        // 400 files of one position, half of them right: the standard error is 0.025.
        let files: Vec<Share> = (0..400)
            .map(|i| Share {
                right: i % 2,
                total: 1,
            })
            .collect();
        let (low, high) = interval(&files, 3);
        assert!((high - low - 4.0 * 0.025).abs() < 0.02, "{low} {high}");
    }
}
