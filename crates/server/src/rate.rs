//! How often a key may ask: a bucket a key that fills with time. Sized for typing, so a person never notices it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keys that are remembered; a full bucket needs no memory.
const MAX_KEYS: usize = 10_000;

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The buckets.
#[derive(Default)]
pub struct Rates {
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Rates {
    /// Takes a request of `key` at `now`.
    ///
    /// # Errors
    /// The time after which the next one is taken.
    pub fn take(
        &self,
        key: &str,
        per_minute: u32,
        burst: u32,
        now: Instant,
    ) -> Result<(), Duration> {
        if per_minute == 0 {
            return Ok(());
        }
        let per_second = f64::from(per_minute) / 60.0;
        let burst = f64::from(burst.max(1));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_KEYS {
            buckets.retain(|_, bucket| {
                let age = now.saturating_duration_since(bucket.at).as_secs_f64();
                bucket.tokens + age * per_second < burst
            });
        }
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket {
            tokens: burst,
            at: now,
        });
        let age = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + age * per_second).min(burst);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.tokens) / per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_then_one_at_a_time_and_keys_do_not_share() {
        let rates = Rates::default();
        let now = Instant::now();
        for _ in 0..3 {
            rates.take("a", 60, 3, now).unwrap();
        }
        let wait = rates.take("a", 60, 3, now).unwrap_err();
        assert!(wait <= Duration::from_secs(1) && wait > Duration::from_millis(900));
        rates.take("b", 60, 3, now).unwrap();
        rates
            .take("a", 60, 3, now + Duration::from_secs(1))
            .unwrap();
        assert!(
            rates
                .take("a", 60, 3, now + Duration::from_secs(1))
                .is_err()
        );
        for _ in 0..100 {
            rates.take("c", 0, 1, now).unwrap();
        }
    }
}
