//! Passes through the network that requests share: rows of several sessions read the weights once.
//!
//! Decoding waits for the weights, not for the arithmetic, so a pass of eight rows costs little more than a pass of one. Results have
//! the bits that they have alone.

use crate::Model;
use crate::session::{Scratch, Sequence, forward, head_product};
use crate::together::Together;
use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};

/// Most jobs of one pass.
const MOST_JOBS: usize = 8;

/// Most rows of a pass that is shared: with more, the arithmetic costs more than the weights, and those who decode would wait for it.
pub(crate) const MOST_SHARED_ROWS: usize = 24;

/// Where the sessions of a model meet.
#[derive(Debug)]
pub(crate) struct Passes {
    jobs: Together<Job, Job>,
    spare: Mutex<Vec<Scratch>>,
}

/// What is to be done; the result is the same with what it has become.
#[derive(Debug)]
enum Job {
    /// Tokens that go through the stages.
    Stages(Sequence),
    /// Rows `[n, d]` that become logits `[n, V]`.
    Head(Vec<f32>),
}

impl Passes {
    /// At most `places` passes at the same time, best as many as there are cores.
    pub fn new(places: usize) -> Self {
        Self {
            jobs: Together::new(places, MOST_JOBS, MOST_SHARED_ROWS),
            spare: Mutex::default(),
        }
    }

    /// A sequence after its tokens went through the network.
    pub fn forward(&self, model: &Model, sequence: Sequence) -> Sequence {
        let rows = sequence.tokens.len();
        let work = |jobs| self.work(model, jobs);
        match self.jobs.run(Job::Stages(sequence), rows, &work) {
            Job::Stages(sequence) => sequence,
            Job::Head(_) => unreachable!("a job comes back as what it was"),
        }
    }

    /// The product of rows `[n, d]` with the head.
    pub fn head(&self, model: &Model, rows: &[f32]) -> Vec<f32> {
        let n = rows.len() / model.config().width;
        let work = |jobs| self.work(model, jobs);
        match self.jobs.run(Job::Head(rows.to_vec()), n, &work) {
            Job::Head(logits) => logits,
            Job::Stages(_) => unreachable!("a job comes back as what it was"),
        }
    }

    fn work(&self, model: &Model, jobs: Vec<Job>) -> Vec<Job> {
        let (mut places, mut sequences) = (Vec::new(), Vec::new());
        let (mut head_places, mut rows) = (Vec::new(), Vec::new());
        for (place, job) in jobs.into_iter().enumerate() {
            match job {
                Job::Stages(sequence) => sequences.push((place, sequence)),
                Job::Head(one) => {
                    head_places.push(place);
                    rows.push(one);
                }
            }
        }
        let mut done: Vec<(usize, Job)> = Vec::new();
        if !sequences.is_empty() {
            sequences.sort_by_key(|(_, one)| Reverse(one.stages));
            let mut ordered = Vec::new();
            for (place, sequence) in sequences {
                places.push(place);
                ordered.push(sequence);
            }
            let mut scratch = self.spare().pop().unwrap_or_default();
            forward(model, &mut ordered, 1, &mut scratch);
            self.spare().push(scratch);
            done.extend(places.into_iter().zip(ordered.into_iter().map(Job::Stages)));
        }
        if !rows.is_empty() {
            let logits = head_of_each(model, &rows).into_iter().map(Job::Head);
            done.extend(head_places.into_iter().zip(logits));
        }
        done.sort_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, job)| job).collect()
    }

    fn spare(&self) -> impl std::ops::DerefMut<Target = Vec<Scratch>> + '_ {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The products of some matrices of rows with the head, made as one.
fn head_of_each(model: &Model, rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let (width, vocab) = (model.config().width, model.config().vocab);
    let n = rows.iter().map(Vec::len).sum::<usize>() / width;
    let mut logits = vec![0.0; n * vocab];
    if let [only] = rows {
        head_product(model, only, &mut logits, 1);
        return vec![logits];
    }
    head_product(model, &rows.concat(), &mut logits, 1);
    let mut rest = logits.as_slice();
    let each = rows.iter().map(|rows| {
        let (own, behind) = rest.split_at(rows.len() / width * vocab);
        rest = behind;
        own.to_vec()
    });
    each.collect()
}
