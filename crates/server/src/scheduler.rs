//! Who completes next: a bounded queue, fair between keys, on threads of its own.
//!
//! Called by the routes with a closure that does the work; the async runtime only waits for its answer. The newest request of a
//! document takes the place of the older ones, a request that nobody waits for any more is dropped or stopped, and one whose
//! time has come while it waited is not begun. Work that is done ahead has its turn when nothing else has, and gives way to whatever
//! comes. It must not know what a completion is.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::ServerError;

/// A piece of work and whom it is for.
pub struct Ticket {
    /// Who asks; keys get their turn one after another.
    pub key: String,
    /// The document: a newer ticket for it replaces an older one. `None` replaces nothing.
    pub document: Option<String>,
    /// When the answer is worth nothing any more.
    pub deadline: Instant,
    /// Whether it is done ahead: begun when nothing else waits and a place is free, stopped when the places are wanted. It replaces no other
    /// work.
    pub is_ahead: bool,
}

/// Work ahead that may wait; the oldest is dropped for more.
const MAX_AHEAD: usize = 64;

/// Why work was not done, or not to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full.
    Full {
        /// When a place is likely to be free.
        retry_after: Duration,
    },
    /// A newer request for the same document came.
    Superseded,
    /// The deadline passed while it waited.
    TooLate {
        /// When the queue is likely to be short again.
        retry_after: Duration,
    },
    /// The server is stopping.
    Stopping,
    /// The work panicked.
    Broken,
}

/// What running work is told about its caller.
#[derive(Clone, Debug)]
pub struct Caller {
    flags: Arc<Flags>,
    deadline: Instant,
}

#[derive(Debug, Default)]
struct Flags {
    gone: AtomicBool,
    superseded: AtomicBool,
}

impl Caller {
    /// Whether nobody waits any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.flags.gone.load(Ordering::Relaxed) || self.flags.superseded.load(Ordering::Relaxed)
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Time left until the deadline.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// How long work waited, and what it gave.
#[derive(Debug)]
pub struct Done<T> {
    /// Time in the queue.
    pub waited: Duration,
    /// What the work gave.
    pub value: T,
}

type Work = Box<dyn FnOnce(&Caller, Duration) + Send>;

struct Waiting {
    id: u64,
    document: Option<String>,
    caller: Caller,
    is_ahead: bool,
    since: Instant,
    /// Taken when it is run or refused.
    work: Work,
    refuse: Box<dyn FnOnce(Refused) + Send>,
}

struct Running {
    document: Option<String>,
    caller: Caller,
    is_ahead: bool,
}

#[derive(Default)]
struct State {
    /// Keys with something waiting, in the order of their turns.
    turns: VecDeque<String>,
    waiting: HashMap<String, VecDeque<Waiting>>,
    n_waiting: usize,
    /// Work ahead, the newest last.
    ahead: VecDeque<Waiting>,
    running: HashMap<u64, Running>,
    next_id: u64,
    stopping: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    capacity: AtomicUsize,
    /// Longest wait in milliseconds that is expected of new work; 0 is no limit.
    longest_wait_ms: AtomicUsize,
    n_workers: usize,
    places: usize,
    /// Time of a piece of work, in microseconds, as an average that forgets.
    typical_us: AtomicUsize,
}

/// The queue and its workers.
pub struct Scheduler {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

/// Sizes of a scheduler, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Work done at once.
    pub workers: usize,
    /// Work is done ahead only while less than this is done in all, best as many as there are cores.
    pub places: usize,
    /// Threads of each.
    pub threads: usize,
    /// Work that may wait.
    pub queue: usize,
    /// Work that would wait longer than this many milliseconds is refused; 0 is no limit.
    pub longest_wait_ms: usize,
}

/// The threads of a worker. It is one of them itself: to hand work to another thread and wait costs two wake-ups a request.
fn pool(
    worker_idx: usize,
    threads: usize,
) -> Result<rayon::ThreadPool, Box<dyn std::error::Error + Send + Sync>> {
    let pool = rayon::ThreadPoolBuilder::new()
        .use_current_thread()
        .num_threads(threads.max(1))
        .thread_name(move |thread| format!("complete-{worker_idx}-{thread}"))
        .build()?;
    Ok(pool)
}

impl Scheduler {
    /// Starts the workers.
    ///
    /// # Errors
    /// [`ServerError::Start`] when the system gives no thread.
    pub fn start(sizes: Sizes) -> Result<Self, ServerError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            capacity: AtomicUsize::new(sizes.queue),
            longest_wait_ms: AtomicUsize::new(sizes.longest_wait_ms),
            n_workers: sizes.workers,
            places: sizes.places,
            typical_us: AtomicUsize::new(10_000),
        });
        let mut workers = Vec::with_capacity(sizes.workers);
        for idx in 0..sizes.workers {
            let shared = Arc::clone(&shared);
            let (made, is_made) = sync_channel(1);
            let work = move || match pool(idx, sizes.threads) {
                Ok(pool) => {
                    // Whoever starts the workers waits for this.
                    let _ = made.send(Ok(()));
                    shared.work_on(&pool);
                }
                Err(error) => drop(made.send(Err(error))),
            };
            let worker = std::thread::Builder::new()
                .name(format!("worker-{idx}"))
                .spawn(work)
                .map_err(ServerError::Start)?;
            let failed = |error| ServerError::Start(std::io::Error::other(error));
            match is_made.recv() {
                Ok(made) => made.map_err(failed)?,
                Err(_) => return Err(failed("a worker broke at its start".into())),
            }
            workers.push(worker);
        }
        Ok(Self {
            shared,
            workers: Mutex::new(workers),
        })
    }

    /// Puts work into the queue. Dropping the answer's [`Pending`] stops the work.
    ///
    /// # Errors
    /// [`Refused::Full`] and [`Refused::Stopping`].
    pub fn submit<T: Send + 'static>(
        &self,
        ticket: Ticket,
        work: impl FnOnce(&Caller) -> T + Send + 'static,
    ) -> Result<Pending<T>, Refused> {
        let (send, receive) = oneshot::channel();
        let send = Arc::new(Mutex::new(Some(send)));
        let flags = Arc::new(Flags::default());
        let caller = Caller {
            flags: Arc::clone(&flags),
            deadline: ticket.deadline,
        };
        let answer = {
            let send = Arc::clone(&send);
            move |answer| {
                if let Some(send) = lock(&send).take() {
                    // A caller that has gone away needs no answer.
                    let _ = send.send(answer);
                }
            }
        };
        let refuse = answer.clone();
        let run: Work = Box::new(move |caller, waited| {
            let value = work(caller);
            answer(Ok(Done { waited, value }));
        });
        let mut state = lock(&self.shared.state);
        if state.stopping {
            return Err(Refused::Stopping);
        }
        if ticket.is_ahead && state.is_asked_for(ticket.document.as_deref()) {
            // What the request reads is what would be read.
            return Err(Refused::Superseded);
        }
        let mut replaced = Vec::new();
        if let Some(document) = &ticket.document {
            replaced = state.supersede(document);
        }
        if !ticket.is_ahead && self.shared.is_full(&state, ticket.deadline) {
            let retry_after = self.shared.retry_after(&state);
            drop(state);
            tell(replaced, Refused::Superseded);
            return Err(Refused::Full { retry_after });
        }
        state.next_id += 1;
        let id = state.next_id;
        let waiting = Waiting {
            id,
            document: ticket.document,
            caller,
            is_ahead: ticket.is_ahead,
            since: Instant::now(),
            work: run,
            refuse: Box::new(move |refused| refuse(Err(refused))),
        };
        if ticket.is_ahead {
            state.ahead.push_back(waiting);
            if state.ahead.len() > MAX_AHEAD {
                replaced.extend(state.ahead.pop_front());
            }
        } else {
            let queue = state.waiting.entry(ticket.key.clone()).or_default();
            let is_first = queue.is_empty();
            queue.push_back(waiting);
            if is_first {
                state.turns.push_back(ticket.key);
            }
            state.n_waiting += 1;
            if state.n_waiting + state.running.len() > self.shared.places {
                state.stop_ahead();
            }
        }
        drop(state);
        tell(replaced, Refused::Superseded);
        self.shared.wake.notify_one();
        Ok(Pending {
            receive,
            gone: Gone(flags),
        })
    }

    /// Work that waits.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        lock(&self.shared.state).n_waiting
    }

    /// Work that is being done, without what is done ahead.
    #[must_use]
    pub fn n_running(&self) -> usize {
        let state = lock(&self.shared.state);
        state.running.values().filter(|run| !run.is_ahead).count()
    }

    /// Work that may wait.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity.load(Ordering::Relaxed)
    }

    /// Work that is done at once.
    #[must_use]
    pub fn n_workers(&self) -> usize {
        self.shared.n_workers
    }

    /// Changes how much may wait, and how long it is expected to at most.
    pub fn set_limits(&self, capacity: usize, longest_wait_ms: usize) {
        self.shared.capacity.store(capacity, Ordering::Relaxed);
        self.shared
            .longest_wait_ms
            .store(longest_wait_ms, Ordering::Relaxed);
    }

    /// Takes no more work, refuses what waits, and waits for what runs; what still runs after `grace` is stopped.
    pub fn stop(&self, grace: Duration) {
        let refused = {
            let mut state = lock(&self.shared.state);
            state.stopping = true;
            state.turns.clear();
            state.n_waiting = 0;
            state.stop_ahead();
            let waiting = std::mem::take(&mut state.waiting);
            let ahead = std::mem::take(&mut state.ahead);
            let waiting = waiting.into_values().flatten();
            waiting.chain(ahead).collect::<Vec<_>>()
        };
        tell(refused, Refused::Stopping);
        self.shared.wake.notify_all();
        let until = Instant::now() + grace;
        while Instant::now() < until && self.n_running() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        for running in lock(&self.shared.state).running.values() {
            running.caller.flags.gone.store(true, Ordering::Relaxed);
        }
        for worker in lock(&self.workers).drain(..) {
            // A worker that panicked has told so; the others still end.
            let _ = worker.join();
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl State {
    /// Takes what waits for a document out of the queue and stops what runs for it.
    fn supersede(&mut self, document: &str) -> Vec<Waiting> {
        let is_it = |other: &Option<String>| other.as_deref() == Some(document);
        for running in self.running.values().filter(|run| is_it(&run.document)) {
            running
                .caller
                .flags
                .superseded
                .store(true, Ordering::Relaxed);
        }
        let mut replaced = Vec::new();
        for queue in self.waiting.values_mut() {
            let all = std::mem::take(queue).into_iter();
            let (out, kept): (VecDeque<_>, VecDeque<_>) = all.partition(|one| is_it(&one.document));
            *queue = kept;
            replaced.extend(out);
        }
        self.forget(replaced.len());
        let all = std::mem::take(&mut self.ahead).into_iter();
        let (out, kept): (VecDeque<_>, VecDeque<_>) = all.partition(|one| is_it(&one.document));
        self.ahead = kept;
        replaced.extend(out);
        replaced
    }

    /// Whether an answer for a document is being made or waited for.
    fn is_asked_for(&self, document: Option<&str>) -> bool {
        let is_it = |other: &Option<String>| document.is_some() && other.as_deref() == document;
        let mut running = self.running.values();
        let mut waiting = self.waiting.values().flatten();
        running.any(|run| !run.is_ahead && is_it(&run.document))
            || waiting.any(|one| is_it(&one.document))
    }

    /// Tells what is done ahead to make room.
    fn stop_ahead(&self) {
        for running in self.running.values().filter(|run| run.is_ahead) {
            running
                .caller
                .flags
                .superseded
                .store(true, Ordering::Relaxed);
        }
    }

    fn forget(&mut self, n: usize) {
        self.n_waiting -= n;
        let Self { waiting, turns, .. } = self;
        waiting.retain(|_, queue| !queue.is_empty());
        turns.retain(|key| waiting.contains_key(key));
    }

    /// The next piece of work: the oldest of the key whose turn it is, else what is done ahead while there are places.
    fn next(&mut self, places: usize) -> Option<Waiting> {
        let Some(key) = self.turns.pop_front() else {
            // The newest place is the one where something will be asked.
            let is_free = self.running.len() < places;
            return is_free.then(|| self.ahead.pop_back()).flatten();
        };
        let queue = self.waiting.get_mut(&key)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        self.n_waiting -= usize::from(next.is_some());
        next
    }
}

impl Shared {
    fn work_on(&self, pool: &rayon::ThreadPool) {
        loop {
            let Some(next) = self.wait() else { return };
            if next.caller.is_gone() {
                self.end(next.id);
                continue;
            }
            if next.caller.is_late() {
                let retry_after = self.retry_after(&lock(&self.state));
                self.end(next.id);
                (next.refuse)(Refused::TooLate { retry_after });
                continue;
            }
            let started = Instant::now();
            let (work, caller) = (next.work, next.caller);
            let waited = started.duration_since(next.since);
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pool.install(|| work(&caller, waited));
            }));
            if ran.is_err() {
                (next.refuse)(Refused::Broken);
            } else if caller.flags.superseded.load(Ordering::Relaxed) {
                // Its own answer, if it came to one, was sent before.
                (next.refuse)(Refused::Superseded);
            }
            if !next.is_ahead {
                self.learn_time(started.elapsed());
            }
            self.end(next.id);
        }
    }

    /// Waits for work and marks it as running.
    fn wait(&self) -> Option<Waiting> {
        let mut state = lock(&self.state);
        loop {
            if state.stopping {
                return None;
            }
            if let Some(next) = state.next(self.places) {
                let running = Running {
                    document: next.document.clone(),
                    caller: next.caller.clone(),
                    is_ahead: next.is_ahead,
                };
                state.running.insert(next.id, running);
                return Some(next);
            }
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, id: u64) {
        lock(&self.state).running.remove(&id);
    }

    fn learn_time(&self, took: Duration) {
        let took = took.as_micros().min(10_000_000) as usize;
        let before = self.typical_us.load(Ordering::Relaxed);
        self.typical_us
            .store((before * 15 + took) / 16, Ordering::Relaxed);
    }

    /// Whether there is no place for more, or what came now would wait too long: a completion that is late is worth less than a
    /// refusal that comes at once. What would be next is never refused for that.
    fn is_full(&self, state: &State, deadline: Instant) -> bool {
        if state.n_waiting >= self.capacity.load(Ordering::Relaxed) {
            return true;
        }
        let longest = match self.longest_wait_ms.load(Ordering::Relaxed) {
            0 => Duration::MAX,
            ms => Duration::from_millis(ms as u64),
        };
        let typical = Duration::from_micros(self.typical_us.load(Ordering::Relaxed) as u64);
        let rounds = state.n_waiting as u32 / self.n_workers.max(1) as u32;
        let left = deadline.saturating_duration_since(Instant::now());
        rounds > 0 && typical * rounds > longest.min(left)
    }

    /// When half of what waits now is done.
    fn retry_after(&self, state: &State) -> Duration {
        let each = self.typical_us.load(Ordering::Relaxed) as u64;
        let rounds = (state.n_waiting / 2 / self.n_workers.max(1) + 1) as u64;
        Duration::from_micros(each * rounds)
    }
}

fn tell(refused: Vec<Waiting>, why: Refused) {
    for one in refused {
        (one.refuse)(why);
    }
}

/// A lock whose holder panicked still guards a usable value: every change under it is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Work under way. Dropping it tells the work that nobody waits.
#[derive(Debug)]
pub struct Pending<T> {
    receive: oneshot::Receiver<Result<Done<T>, Refused>>,
    gone: Gone,
}

#[derive(Debug)]
struct Gone(Arc<Flags>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
    }
}

impl<T> Pending<T> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn wait(self) -> Result<Done<T>, Refused> {
        let Self { receive, gone } = self;
        let answer = receive.await;
        drop(gone);
        // The sender is dropped unused only when a worker ends with work in hand.
        answer.unwrap_or(Err(Refused::Stopping))
    }
}

#[cfg(test)]
mod tests;
