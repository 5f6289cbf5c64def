use super::Together;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Doubles numbers, and notes how many came together.
fn double(most: &AtomicUsize) -> impl Fn(Vec<u64>) -> Vec<u64> + '_ {
    move |jobs| {
        most.fetch_max(jobs.len(), Ordering::Relaxed);
        jobs.iter().map(|job| 2 * job).collect()
    }
}

#[cfg(not(loom))]
mod real {
    use super::*;
    use std::sync::{Barrier, Mutex};
    use std::time::Duration;

    #[test]
    fn everybody_gets_the_result_of_the_own_job() {
        let together = Together::new(2, 8, usize::MAX);
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                let (together, most) = (&together, &most);
                scope.spawn(move || {
                    for round in 0..500 {
                        let job = 1000 * thread + round;
                        assert_eq!(together.run(job, 1, &double(most)), 2 * job);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 8);
    }

    #[test]
    fn what_waits_is_done_together_in_order_and_within_the_bounds() {
        let together = Together::new(1, 3, 10);
        let seen = Mutex::new(Vec::new());
        let begun = Barrier::new(2);
        let wait_for = |n: usize| {
            while together.lock().waiting.len() < n {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                together.run(0, 1, &|jobs: Vec<u64>| {
                    begun.wait();
                    // The others come while this one works.
                    wait_for(5);
                    jobs
                })
            });
            begun.wait();
            for job in 1..=5u64 {
                wait_for(job as usize - 1);
                let (together, seen) = (&together, &seen);
                scope.spawn(move || {
                    // The fifth is heavier than all that may be done together, so it is done alone.
                    let weight = if job == 5 { 20 } else { 4 };
                    together.run(job, weight, &|jobs| {
                        seen.lock().unwrap().push(jobs.clone());
                        jobs
                    })
                });
            }
        });
        assert_eq!(
            seen.into_inner().unwrap(),
            [vec![1, 2], vec![3, 4], vec![5]]
        );
    }

    #[test]
    fn a_panic_ends_with_its_job() {
        let together: Together<u64, u64> = Together::new(1, 8, 8);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            together.run(1, 1, &|_| panic!("a broken pass"))
        }));
        assert!(failed.is_err());
        assert_eq!(together.run(2, 1, &|jobs| jobs), 2);
    }
}

/// `RUSTFLAGS="--cfg loom" cargo test --release -p nestor-engine --lib together`: every order in which threads can meet.
#[cfg(loom)]
#[test]
fn in_every_order_everybody_gets_the_result() {
    use std::sync::Arc;
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let together = Arc::new(Together::new(1, 2, usize::MAX));
        let most = Arc::new(AtomicUsize::new(0));
        let spawn = |jobs: &'static [u64]| {
            let (together, most) = (Arc::clone(&together), Arc::clone(&most));
            loom::thread::spawn(move || {
                for job in jobs {
                    assert_eq!(together.run(*job, 1, &double(&most)), 2 * job);
                }
            })
        };
        let others = [spawn(&[1, 3]), spawn(&[5])];
        assert_eq!(together.run(2, 1, &double(&most)), 4);
        for other in others {
            other.join().unwrap();
        }
        assert!(most.load(Ordering::Relaxed) <= 2);
    });
}
