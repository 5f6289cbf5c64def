//! Work that many threads ask for and one of them does for several at once.
//!
//! Whoever finds a place free takes what waits, in the order of arrival, does it all together and hands the results round; nobody waits for
//! more work to come. So a thread alone does its own work at once, and what a thread waits for is at most the work under way and the one
//! that it is part of.

#[cfg(loom)]
use loom::{
    sync::Mutex,
    thread::{self, Thread},
};
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::{
    sync::Mutex,
    thread::{self, Thread},
};

/// Where threads meet.
#[derive(Debug)]
pub(crate) struct Together<J, R> {
    state: Mutex<State<J, R>>,
    /// Threads that work at the same time.
    places: usize,
    /// Most jobs that are done together, and the most that they may weigh; one job alone may weigh more.
    most: usize,
    heaviest: usize,
}

#[derive(Debug)]
struct State<J, R> {
    next: u64,
    /// In the order of arrival.
    waiting: Vec<Waiting<J>>,
    /// Results that were not fetched; nothing where the thread that did the work panicked.
    done: Vec<(u64, Option<R>)>,
    working: usize,
}

#[derive(Debug)]
struct Waiting<J> {
    id: u64,
    weight: usize,
    job: J,
    thread: Thread,
}

impl<J, R> Together<J, R> {
    /// At most `places` threads work at the same time, each on at most `most` jobs of at most the weight `heaviest`.
    pub fn new(places: usize, most: usize, heaviest: usize) -> Self {
        Self {
            state: Mutex::new(State {
                next: 0,
                waiting: Vec::new(),
                done: Vec::new(),
                working: 0,
            }),
            places: places.max(1),
            most: most.max(1),
            heaviest,
        }
    }

    /// The result of a job. `work` gets jobs in the order of their arrival and returns a result for each, in that order; it may be called
    /// for jobs of others.
    ///
    /// # Panics
    /// When `work` panics, here or in the thread that did this job, or returns another number of results.
    pub fn run(&self, job: J, weight: usize, work: &dyn Fn(Vec<J>) -> Vec<R>) -> R {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.waiting.push(Waiting {
            id,
            weight,
            job,
            thread: thread::current(),
        });
        loop {
            if let Some(at) = state.done.iter().position(|(done, _)| *done == id) {
                let (_, result) = state.done.swap_remove(at);
                return result.expect("the thread that worked for this one panicked");
            }
            let waits = state.waiting.iter().any(|waiting| waiting.id == id);
            if waits && state.working < self.places {
                let (jobs, owners) = self.take(&mut state);
                drop(state);
                let working = Working {
                    together: self,
                    owners,
                    results: Vec::new(),
                };
                working.finish(work(jobs));
            } else {
                drop(state);
                thread::park();
            }
            state = self.lock();
        }
    }

    /// The first jobs that wait, and whose they are.
    fn take(&self, state: &mut State<J, R>) -> (Vec<J>, Vec<(u64, Thread)>) {
        let mut weight = 0;
        let fits = |waiting: &&Waiting<J>| {
            weight += waiting.weight;
            weight <= self.heaviest
        };
        let fitting = state.waiting.iter().take_while(fits).count();
        let taken = state.waiting.drain(..fitting.clamp(1, self.most));
        state.working += 1;
        taken
            .map(|waiting| (waiting.job, (waiting.id, waiting.thread)))
            .unzip()
    }

    fn lock(&self) -> impl std::ops::DerefMut<Target = State<J, R>> + '_ {
        // A thread that panics while it holds the lock has changed nothing halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken; when it is left, whoever waits for its results is woken, whatever has happened.
struct Working<'a, J, R> {
    together: &'a Together<J, R>,
    owners: Vec<(u64, Thread)>,
    results: Vec<R>,
}

impl<J, R> Working<'_, J, R> {
    fn finish(mut self, results: Vec<R>) {
        assert_eq!(results.len(), self.owners.len(), "a result for each job");
        self.results = results;
    }
}

impl<J, R> Drop for Working<'_, J, R> {
    fn drop(&mut self) {
        let mut results = std::mem::take(&mut self.results).into_iter();
        let mut state = self.together.lock();
        state.working -= 1;
        for (id, _) in &self.owners {
            state.done.push((*id, results.next()));
        }
        let next = state.waiting.first().map(|waiting| waiting.thread.clone());
        drop(state);
        for (_, thread) in &self.owners {
            thread.unpark();
        }
        if let Some(thread) = next {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests;
