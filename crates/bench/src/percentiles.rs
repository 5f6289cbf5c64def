//! Percentiles of times that were measured.

use serde::Serialize;
use std::time::Duration;

/// Percentiles in milliseconds; each is a value that was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of the values are not above it.
    pub p50: f64,
    /// 95 % are not above it.
    pub p95: f64,
    /// 99 % are not above it.
    pub p99: f64,
}

impl Percentiles {
    /// Of some times; zeros of none.
    pub fn of(times: &[Duration]) -> Self {
        let mut milliseconds: Vec<f64> = times.iter().map(|t| t.as_secs_f64() * 1e3).collect();
        milliseconds.sort_by(f64::total_cmp);
        // The smallest value that so many of the values do not exceed.
        let at = |share: f64| {
            let rank = (milliseconds.len() as f64 * share).ceil() as usize;
            milliseconds.get(rank.max(1) - 1).copied().unwrap_or(0.0)
        };
        Self {
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        let found = Percentiles::of(&times);
        assert_eq!((found.p50, found.p95, found.p99), (50.0, 95.0, 99.0));
        let one = Percentiles::of(&[Duration::from_millis(3)]);
        assert_eq!((one.p50, one.p99), (3.0, 3.0));
        assert_eq!(Percentiles::of(&[]), Percentiles::default());
    }
}
