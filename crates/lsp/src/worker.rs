//! The thread that has the model: completes, reads ahead, learns saved files, loads projects.
//!
//! The loop that reads the client's messages sends it work and goes on reading, so that a newer request or a cancel reaches work that is
//! under way. The model is in this process (`local`) or behind HTTP (`remote`). It must not know the protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use nestor_assist::{CompleteRequest, Completion, GivenUp, ProjectName, StopReason};

/// Says to work under way that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Says it.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was said.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Work for the worker.
pub enum Work {
    /// Completes and answers under a number.
    Complete {
        /// The caller's number.
        ticket: u64,
        /// What to complete; its path is that in the editor.
        request: Box<CompleteRequest>,
        /// Stops it.
        cancel: Cancel,
    },
    /// Reads a document for a cursor at which something may be asked soon. Any other work ends it.
    ReadAhead(Box<CompleteRequest>),
    /// Learns a file that was saved.
    Saved {
        /// Its path in the editor.
        path: String,
        /// Its text.
        text: String,
    },
    /// Loads another project, or the same one anew.
    Load(Option<ProjectName>),
    /// Loads what the project has taught levels 2 and 3 meanwhile.
    LoadLevels,
    /// Something became of a completion.
    Happened(Event),
}

/// What became of a completion, or happened without one; no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was seen or taken.
    Suggestion {
        /// `shown`, `accepted` or `partly_accepted`.
        what: &'static str,
        /// The completion.
        id: String,
        /// Characters shown, or taken so far.
        characters: u64,
    },
    /// It was looked what is left of one that was taken.
    Retained {
        /// The completion.
        id: String,
        /// Seconds since it was taken.
        after_seconds: u32,
        /// Characters taken.
        accepted: u64,
        /// Of these, still there.
        retained: u64,
    },
    /// Characters were typed without one.
    Typed {
        /// How many.
        characters: u64,
    },
}

/// A completion as the editor needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The text to insert at the cursor.
    pub insert: String,
    /// Probability that all of it is right.
    pub confidence: f32,
    /// The pieces and their probabilities, those of the healed word first.
    pub tokens: Vec<(String, f32)>,
    /// Bytes before the cursor that the first pieces write again.
    pub n_healed: usize,
    /// Why it ends.
    pub stop: StopReason,
    /// The server's name of it.
    pub id: Option<String>,
}

impl From<Completion> for Answer {
    fn from(completion: Completion) -> Self {
        let tokens = completion.tokens.into_iter();
        Self {
            insert: completion.insert,
            confidence: completion.confidence,
            tokens: tokens
                .map(|token| (token.text, token.probability))
                .collect(),
            n_healed: completion.n_healed,
            stop: completion.stop,
            id: None,
        }
    }
}

/// Why there is no answer, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(pub String);

/// What became of a saved file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is learned.
    Learned,
    /// It is on its way, or there is nothing to teach.
    Later,
}

/// Where the model is.
pub trait Backend {
    /// Loads a project; without one nothing is known but what the session teaches.
    fn load(&mut self, project: Option<ProjectName>) -> Told;
    /// Loads what the project has taught levels 2 and 3 since it was loaded.
    ///
    /// # Errors
    /// Why it cannot be read; what was loaded before stays.
    fn load_levels(&mut self) -> Result<(), Failed>;
    /// Completes.
    ///
    /// # Errors
    /// What is wrong with the request or the way to the model.
    fn complete(&mut self, request: CompleteRequest, cancel: &Cancel) -> Result<Answer, Failed>;
    /// Reads a document for a cursor until `stop`; no answer changes by it.
    fn read_ahead(&mut self, request: CompleteRequest, stop: &GivenUp);
    /// Learns a saved file, or begins to.
    ///
    /// # Errors
    /// Why it was not learned, where that is known at once.
    fn saved(&mut self, path: String, text: String) -> Result<Taken, Failed>;
    /// Whether saved files wait for their project.
    fn is_late(&self) -> bool {
        false
    }
    /// Learns one of them, if there is one.
    ///
    /// # Errors
    /// As [`Backend::saved`].
    fn try_again(&mut self) -> Option<Result<Taken, Failed>> {
        None
    }
    /// Is told what became of a completion.
    fn happened(&mut self, event: Event);
}

/// What the worker tells.
pub enum Told {
    /// The model is open, and a project if one was asked for: files and pieces in it.
    Ready {
        /// Files that the project has learned.
        files: usize,
        /// Pieces in them.
        pieces: usize,
    },
    /// The model or the project cannot be used.
    Broken(String),
    /// A completion.
    Completed {
        /// The caller's number.
        ticket: u64,
        /// It, or what was wrong.
        answer: Result<Box<Answer>, Failed>,
    },
    /// A saved file was learned.
    Learned,
    /// A saved file was not learned, with the reason.
    NotLearned(String),
}

/// How often it is looked whether another process has let a project go.
const TRY_AGAIN: Duration = Duration::from_secs(1);

fn told_of(saved: Result<Taken, Failed>) -> Option<Told> {
    match saved {
        Ok(Taken::Learned) => Some(Told::Learned),
        Ok(Taken::Later) => None,
        Err(Failed(reason)) => Some(Told::NotLearned(reason)),
    }
}

/// Works until the sender of work is gone. `open` finds the model, which takes its time.
pub fn work(
    open: impl FnOnce() -> Result<Box<dyn Backend>, Failed>,
    project: Option<ProjectName>,
    receive: &Receiver<Work>,
    tell: &Sender<Told>,
) {
    let mut backend = match open() {
        Ok(backend) => backend,
        Err(Failed(reason)) => {
            // The client is gone if nobody hears it.
            let _ = tell.send(Told::Broken(reason));
            return;
        }
    };
    let _ = tell.send(backend.load(project));
    loop {
        let work = match backend.is_late() {
            false => receive.recv().ok(),
            true => match receive.recv_timeout(TRY_AGAIN) {
                Ok(work) => Some(work),
                Err(RecvTimeoutError::Disconnected) => None,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(told) = backend.try_again().and_then(told_of)
                        && tell.send(told).is_err()
                    {
                        return;
                    }
                    continue;
                }
            },
        };
        let Some(work) = work else {
            // The last chance of what waits.
            while let Some(Ok(Taken::Learned)) = backend.try_again() {}
            return;
        };
        let told = match work {
            Work::Complete {
                ticket,
                request,
                cancel,
            } => Some(Told::Completed {
                ticket,
                answer: backend.complete(*request, &cancel).map(Box::new),
            }),
            Work::ReadAhead(request) => {
                // Whatever waits is worth more, and of two places the newer one.
                let waiting = receive.clone();
                let stop: GivenUp = Arc::new(move || !waiting.is_empty());
                if !stop() {
                    backend.read_ahead(*request, &stop);
                }
                None
            }
            Work::Saved { path, text } => told_of(backend.saved(path, text)),
            Work::Load(project) => Some(backend.load(project)),
            Work::LoadLevels => match backend.load_levels() {
                Ok(()) => None,
                Err(Failed(reason)) => Some(Told::NotLearned(reason)),
            },
            Work::Happened(event) => {
                backend.happened(event);
                None
            }
        };
        if let Some(told) = told
            && tell.send(told).is_err()
        {
            return;
        }
    }
}
