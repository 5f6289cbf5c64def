//! Requests that arrive when they arrive, whether or not the ones before were answered.
//!
//! A generator that waits for an answer before it asks again leaves out exactly the requests that would have waited ("coordinated
//! omission"). Here the times of arrival are fixed beforehand, and the latency of a request counts from its arrival, not from when somebody
//! began to serve it.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Times of arrival of a Poisson process of `rate` requests a second, from its start.
///
/// # Panics
/// When the rate is not a positive number.
pub fn poisson_arrivals(rate: f64, requests: usize, seed: u64) -> Vec<Duration> {
    assert!(rate.is_finite() && rate > 0.0, "a rate of {rate}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut at = 0.0;
    (0..requests)
        .map(|_| {
            // 1 - u lies above 0.
            at -= (1.0 - rng.random::<f64>()).ln() / rate;
            Duration::from_secs_f64(at)
        })
        .collect()
}

/// How a load was served.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// From arrival to answer, by request.
    pub latencies: Vec<Duration>,
    /// From the first arrival to the last answer.
    pub elapsed: Duration,
}

impl Served {
    /// Requests answered in a second. With all arrivals at the start this is the highest rate without growing queues.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Serves requests in the order of their arrival on `workers` threads; `request` gets the number of the request.
///
/// # Errors
/// The first error of `request`; requests that nobody has begun then are dropped.
pub fn serve<E: Send>(
    arrivals: &[Duration],
    workers: usize,
    request: &(dyn Fn(usize) -> Result<(), E> + Sync),
) -> Result<Served, E> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let work = || -> Result<Vec<(usize, Duration)>, E> {
        let mut served = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(arrival) = arrivals.get(number) else {
                return Ok(served);
            };
            wait_until(started + *arrival);
            if let Err(error) = request(number) {
                next.store(arrivals.len(), Ordering::Relaxed);
                return Err(error);
            }
            served.push((number, started.elapsed().saturating_sub(*arrival)));
        }
    };
    let results: Vec<Result<Vec<(usize, Duration)>, E>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.max(1)).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let elapsed = started.elapsed();
    let mut latencies = vec![Duration::ZERO; arrivals.len()];
    for result in results {
        for (number, latency) in result? {
            latencies[number] = latency;
        }
    }
    let first = arrivals.first().copied().unwrap_or_default();
    Ok(Served {
        latencies,
        elapsed: elapsed.saturating_sub(first),
    })
}

/// Sleeps, and spins at the end: a sleep ends up to a tenth of a millisecond late.
fn wait_until(time: Instant) {
    const SPIN: Duration = Duration::from_micros(200);
    loop {
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > SPIN {
            std::thread::sleep(left - SPIN);
        } else {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_rise_and_come_at_their_rate() {
        let arrivals = poisson_arrivals(50.0, 5000, 1);
        assert!(arrivals.is_sorted());
        let seconds = arrivals[4999].as_secs_f64();
        assert!((95.0..105.0).contains(&seconds), "{seconds}");
        assert_eq!(arrivals, poisson_arrivals(50.0, 5000, 1));
        assert_ne!(arrivals, poisson_arrivals(50.0, 5000, 2));
    }

    #[test]
    fn a_request_that_waits_for_others_counts_from_its_arrival() {
        let service = Duration::from_millis(20);
        let request = |_| -> Result<(), ()> {
            std::thread::sleep(service);
            Ok(())
        };
        let served = serve(&[Duration::ZERO; 4], 1, &request).unwrap();
        for (number, latency) in served.latencies.iter().enumerate() {
            assert!(
                *latency >= service * (number as u32 + 1),
                "{number}: {latency:?}"
            );
        }
        assert!(served.elapsed >= 4 * service && served.rate() <= 50.0);
        // Two workers share them.
        let served = serve(&[Duration::ZERO; 4], 2, &request).unwrap();
        assert!(
            served
                .latencies
                .iter()
                .filter(|l| **l < 2 * service)
                .count()
                >= 2
        );
    }

    #[test]
    fn nothing_is_asked_before_it_arrives() {
        let arrivals = [10u64, 30, 50].map(Duration::from_millis);
        let started = Instant::now();
        let early = |number: usize| match started.elapsed() < arrivals[number] {
            true => Err(number),
            false => Ok(()),
        };
        assert!(serve(&arrivals, 2, &early).is_ok());
    }

    #[test]
    fn an_error_ends_the_load() {
        let calls = AtomicUsize::new(0);
        let failing = |number: usize| {
            calls.fetch_add(1, Ordering::Relaxed);
            if number == 2 { Err("refused") } else { Ok(()) }
        };
        assert_eq!(serve(&[Duration::ZERO; 100], 1, &failing), Err("refused"));
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }
}
