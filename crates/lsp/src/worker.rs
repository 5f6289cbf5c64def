//! The thread that has the model: completes, reads ahead, takes saved files, loads projects.
//!
//! The loop that reads the client's messages sends it work and goes on reading, so that a newer request or a cancel reaches work that is
//! under way. The model is in this process (`local`) or behind HTTP (`remote`). It must not know the protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
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
    /// Gives back what was read of a document, by its path in the editor.
    Closed(String),
    /// Loads another project.
    Load(Option<ProjectName>),
    /// Looks whether the project has changed on disk.
    Look(Why),
    /// Something became of a completion.
    Happened(Event),
}

/// Why a project is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Time has passed.
    Time,
    /// It is known to have changed.
    Known,
    /// Somebody waits to hear what there is.
    Awaited,
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
    /// Has what has changed of the project on disk loaded, beside the completions.
    fn look(&mut self, why: Why);
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
    /// Gives back what was read of a document that is closed.
    fn closed(&mut self, path: &str);
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
    /// The project has learned or forgotten something that was not saved here.
    Changed,
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
    for work in receive {
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
            Work::Closed(path) => {
                backend.closed(&path);
                None
            }
            Work::Load(project) => Some(backend.load(project)),
            Work::Look(why) => {
                backend.look(why);
                None
            }
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
