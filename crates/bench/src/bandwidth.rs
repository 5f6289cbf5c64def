//! How fast one core reads memory: what decoding is compared with.

use std::hint::black_box;
use std::time::Instant;

/// Bytes a second that one core reads from `bytes` of memory that it reads over and over, the best of `repeats` rounds.
pub fn read_bandwidth(bytes: usize, repeats: usize) -> f64 {
    let words = vec![1u64; (bytes / 8).max(LANES)];
    let mut best = f64::INFINITY;
    for _ in 0..repeats.max(1) + 1 {
        let started = Instant::now();
        black_box(sum(black_box(&words)));
        best = best.min(started.elapsed().as_secs_f64());
    }
    (words.len() * 8) as f64 / best
}

/// Words that are summed side by side.
const LANES: usize = 64;

fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; LANES];
    for chunk in words.chunks_exact(LANES) {
        for (sum, word) in sums.iter_mut().zip(chunk) {
            *sum ^= word;
        }
    }
    sums.iter().fold(0, |all, sum| all ^ sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_at_some_speed() {
        let found = read_bandwidth(1 << 20, 3);
        // Far below any machine that runs this, and far above any.
        assert!((1e8..1e13).contains(&found), "{found}");
    }
}
