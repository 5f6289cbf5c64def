use super::*;
use std::sync::mpsc;

fn scheduler(workers: usize, queue: usize) -> Scheduler {
    Scheduler::start(Sizes {
        workers,
        places: 1,
        threads: 1,
        queue,
        longest_wait_ms: 0,
    })
    .unwrap()
}

#[test]
fn what_would_wait_too_long_is_refused_though_there_is_place() {
    let scheduler = scheduler(1, 64);
    // Until the average has forgotten what it began with.
    for _ in 0..40 {
        let work = |_: &Caller| std::thread::sleep(Duration::from_millis(20));
        wait(scheduler.submit(ticket("a", None), work).unwrap()).unwrap();
    }
    let (blocker, release) = block(&scheduler);
    let accepted = |longest_wait_ms| {
        scheduler.set_limits(64, longest_wait_ms);
        let submit = || scheduler.submit(ticket("a", None), |_| ());
        let kept: Vec<_> = std::iter::from_fn(|| submit().ok()).collect();
        let n = kept.len();
        drop(kept);
        n
    };
    // About 20 ms each: the fifth or so would wait longer than 100 ms.
    let n = accepted(100);
    assert!((2..=8).contains(&n), "{n}");
    // What its callers have left is still in the queue; without the limit only its length counts.
    assert_eq!(accepted(0), 64 - n);
    drop(release);
    wait(blocker).unwrap();
}

fn ticket(key: &str, document: Option<&str>) -> Ticket {
    Ticket {
        key: key.to_owned(),
        document: document.map(str::to_owned),
        deadline: Instant::now() + Duration::from_secs(20),
        is_ahead: false,
    }
}

fn ahead(document: &str) -> Ticket {
    Ticket {
        is_ahead: true,
        ..ticket("ahead", Some(document))
    }
}

#[test]
fn work_ahead_waits_for_all_other_and_gives_way_to_it() {
    let scheduler = scheduler(1, 1);
    let (blocker, release) = block(&scheduler);
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = Arc::clone(&order);
        move |_: &Caller| lock(&order).push(name)
    };
    let first = scheduler.submit(ahead("a"), note("ahead of a")).unwrap();
    let newer = scheduler.submit(ahead("b"), note("ahead of b")).unwrap();
    // It takes no place in the queue, and replaces no request.
    let asked = scheduler.submit(ticket("k", Some("c")), note("c")).unwrap();
    let same = scheduler.submit(ahead("c"), note("ahead of c"));
    assert_eq!(same.unwrap_err(), Refused::Superseded);
    drop(release);
    wait(blocker).unwrap();
    for one in [asked, newer, first] {
        wait(one).unwrap();
    }
    assert_eq!(*lock(&order), ["c", "ahead of b", "ahead of a"]);

    let (started, wait_started) = mpsc::channel();
    let stopped = scheduler
        .submit(ahead("a"), move |caller| {
            started.send(()).unwrap();
            while !caller.is_gone() {
                std::thread::yield_now();
            }
        })
        .unwrap();
    wait_started.recv().unwrap();
    assert_eq!(scheduler.n_running(), 0);
    let other = scheduler.submit(ticket("k", Some("z")), |_| 5).unwrap();
    assert_eq!(wait(other).unwrap().value, 5);
    wait(stopped).unwrap();
    // A request for the very document ends what waits for it, too.
    let (blocker, release) = block(&scheduler);
    let waiting = scheduler.submit(ahead("d"), |_| ()).unwrap();
    let asked = scheduler.submit(ticket("k", Some("d")), |_| ()).unwrap();
    assert_eq!(wait(waiting).unwrap_err(), Refused::Superseded);
    drop(release);
    wait(blocker).unwrap();
    wait(asked).unwrap();
}

#[test]
fn work_ahead_takes_no_place_that_a_request_wants_though_workers_are_free() {
    let scheduler = scheduler(3, 8);
    let (blocker, release) = block(&scheduler);
    let begun = Arc::new(AtomicBool::new(false));
    let waiting = {
        let begun = Arc::clone(&begun);
        let work = move |_: &Caller| begun.store(true, Ordering::Relaxed);
        scheduler.submit(ahead("a"), work).unwrap()
    };
    // Another request is done meanwhile; the work ahead is not.
    let other = scheduler.submit(ticket("k", Some("b")), |_| 7).unwrap();
    assert_eq!(wait(other).unwrap().value, 7);
    assert!(!begun.load(Ordering::Relaxed));
    drop(release);
    wait(blocker).unwrap();
    wait(waiting).unwrap();
    assert!(begun.load(Ordering::Relaxed));

    let (started, wait_started) = mpsc::channel();
    let stopped = scheduler
        .submit(ahead("a"), move |caller| {
            started.send(()).unwrap();
            while !caller.is_gone() {
                std::thread::yield_now();
            }
        })
        .unwrap();
    wait_started.recv().unwrap();
    let request = scheduler.submit(ticket("k", Some("c")), |_| ()).unwrap();
    wait(request).unwrap();
    wait(stopped).unwrap();
}

/// Occupies a worker until the sender is used or dropped.
fn block(scheduler: &Scheduler) -> (Pending<()>, mpsc::Sender<()>) {
    let (send, receive) = mpsc::channel::<()>();
    let (started, wait_started) = mpsc::channel();
    let pending = scheduler
        .submit(ticket("blocker", None), move |_| {
            started.send(()).unwrap();
            let _ = receive.recv();
        })
        .unwrap();
    wait_started.recv().unwrap();
    (pending, send)
}

fn wait<T>(pending: Pending<T>) -> Result<Done<T>, Refused> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(pending.wait())
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_come_again() {
    let scheduler = scheduler(1, 2);
    let (blocker, release) = block(&scheduler);
    let kept: Vec<_> = (0..2)
        .map(|_| scheduler.submit(ticket("a", None), |_| ()).unwrap())
        .collect();
    match scheduler.submit(ticket("a", None), |_| ()) {
        Err(Refused::Full { retry_after }) => assert!(retry_after > Duration::ZERO),
        other => panic!("{other:?}"),
    }
    drop(release);
    for one in kept {
        wait(one).unwrap();
    }
    wait(blocker).unwrap();
    // The answer comes a moment before its worker is free again.
    while scheduler.n_running() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(scheduler.n_waiting(), 0);
}

#[test]
fn the_newest_request_of_a_document_wins_waiting_and_running() {
    let scheduler = scheduler(1, 8);
    let (started, wait_started) = mpsc::channel();
    // The worker stays taken until all the others wait.
    let (all_wait, wait_for_all) = mpsc::channel();
    let running = scheduler
        .submit(ticket("a", Some("doc")), move |caller| {
            started.send(()).unwrap();
            while !caller.is_gone() {
                std::thread::yield_now();
            }
            wait_for_all.recv().unwrap();
        })
        .unwrap();
    wait_started.recv().unwrap();
    let older = scheduler.submit(ticket("a", Some("doc")), |_| 1).unwrap();
    let newer = scheduler.submit(ticket("a", Some("doc")), |_| 2).unwrap();
    let other = scheduler.submit(ticket("a", Some("other")), |_| 3).unwrap();
    all_wait.send(()).unwrap();
    wait(running).unwrap();
    assert_eq!(wait(older).unwrap_err(), Refused::Superseded);
    assert_eq!(wait(newer).unwrap().value, 2);
    assert_eq!(wait(other).unwrap().value, 3);
}

#[test]
fn work_that_nobody_waits_for_stops_or_is_not_begun() {
    let scheduler = scheduler(1, 8);
    let (started, wait_started) = mpsc::channel();
    let (ended, wait_ended) = mpsc::channel();
    let running = scheduler
        .submit(ticket("a", None), move |caller| {
            started.send(()).unwrap();
            while !caller.is_gone() {
                std::thread::yield_now();
            }
            ended.send(()).unwrap();
        })
        .unwrap();
    wait_started.recv().unwrap();
    let (begun, wait_begun) = mpsc::channel();
    let waiting = scheduler
        .submit(ticket("a", None), move |_| begun.send(()).unwrap())
        .unwrap();
    drop(waiting);
    drop(running);
    wait_ended.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(wait_begun.recv_timeout(Duration::from_secs(10)).is_err());
}

#[test]
fn keys_get_their_turn_one_after_another() {
    let scheduler = scheduler(1, 16);
    let (blocker, release) = block(&scheduler);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut pending = Vec::new();
    for key in ["a", "a", "a", "b", "c"] {
        let order = Arc::clone(&order);
        let work = move |_: &Caller| lock(&order).push(key);
        pending.push(scheduler.submit(ticket(key, None), work).unwrap());
    }
    drop(release);
    wait(blocker).unwrap();
    for one in pending {
        wait(one).unwrap();
    }
    assert_eq!(*lock(&order), ["a", "b", "c", "a", "a"]);
}

#[test]
fn what_is_late_is_not_begun_and_a_panic_costs_its_own_request_only() {
    let scheduler = scheduler(1, 8);
    let (blocker, release) = block(&scheduler);
    let mut late = ticket("a", None);
    late.deadline = Instant::now();
    let late = scheduler.submit(late, |_| ()).unwrap();
    let broken = scheduler
        .submit(ticket("a", None), |_| panic!("on purpose"))
        .unwrap();
    let fine = scheduler.submit(ticket("a", None), |_| 7).unwrap();
    drop(release);
    wait(blocker).unwrap();
    assert!(matches!(wait(late), Err(Refused::TooLate { .. })));
    assert_eq!(wait::<()>(broken).unwrap_err(), Refused::Broken);
    assert_eq!(wait(fine).unwrap().value, 7);
}

#[test]
fn stopping_refuses_what_waits_and_ends_what_runs() {
    let scheduler = scheduler(1, 8);
    let running = scheduler
        .submit(ticket("a", None), |caller| {
            while !caller.is_gone() {
                std::thread::yield_now();
            }
        })
        .unwrap();
    while scheduler.n_running() == 0 {
        std::thread::yield_now();
    }
    let waiting = scheduler.submit(ticket("a", None), |_| ()).unwrap();
    scheduler.stop(Duration::from_millis(20));
    assert_eq!(wait(waiting).unwrap_err(), Refused::Stopping);
    wait(running).unwrap();
    let after = scheduler.submit(ticket("a", None), |_| ());
    assert!(matches!(after, Err(Refused::Stopping)));
}
