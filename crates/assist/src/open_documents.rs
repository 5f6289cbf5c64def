//! All documents that stay open, under a bound on memory.
//!
//! The servers ask here with many threads. One request at a time uses a document; a request that comes while the document is read for
//! another one, which nobody waits for any more, waits until that has stopped, a few pieces later, and goes on from there. It must not
//! know what a document holds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nestor_engine::Speed;

use crate::assistant::Assistant;
use crate::complete::{CompleteRequest, Completion, Growing};
use crate::error::AssistError;
use crate::open::OpenDocument;

/// Says that nobody waits for an answer any more.
pub type GivenUp = Arc<dyn Fn() -> bool + Send + Sync>;

/// How often whoever waits for a document looks whether it is still waited for itself.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Open documents under a bound on memory; those that were not asked for longest are forgotten.
#[derive(Debug)]
pub struct OpenDocuments {
    max_bytes: usize,
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The last one was used last.
    kept: Vec<Kept>,
    /// Bytes of all that are kept.
    bytes: usize,
    /// What is being used, once for each user.
    used: Vec<(DocumentKey, Arc<Use>)>,
}

/// A document between two requests. Its size is counted once: to count it takes longer than to find it.
#[derive(Debug)]
struct Kept {
    key: DocumentKey,
    bytes: usize,
    document: OpenDocument,
}

/// Whose document, and at which speed: each speed reads for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DocumentKey {
    owner: String,
    path: String,
    speed: Speed,
}

impl DocumentKey {
    fn of(owner: &str, request: &CompleteRequest) -> Self {
        Self {
            owner: owner.to_owned(),
            path: request.path.clone(),
            speed: request.speed,
        }
    }
}

/// What somebody does with a document.
struct Use {
    /// Whether it is read ahead, which whoever asks for an answer may end.
    is_ahead: bool,
    /// Somebody asks for an answer.
    wanted: AtomicBool,
    given_up: GivenUp,
}

impl std::fmt::Debug for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Use")
            .field("is_ahead", &self.is_ahead)
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

impl Use {
    /// Whether it ends within a few pieces.
    fn gives_way(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) || (self.given_up)()
    }
}

/// A use that ends with the value, whatever happens.
struct InUse<'a> {
    documents: &'a OpenDocuments,
    what: Arc<Use>,
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let mut state = self.documents.lock();
        state
            .used
            .retain(|(_, what)| !Arc::ptr_eq(what, &self.what));
        drop(state);
        self.documents.given_back.notify_all();
    }
}

impl OpenDocuments {
    /// No documents; all together may hold `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            state: Mutex::default(),
            given_back: Condvar::new(),
        }
    }

    /// Completes in a document of an owner (an editor's window, a connection). A document that is being read ahead, or used for a request
    /// that was given up, is waited for, which takes a few pieces; one that another request is using is opened afresh. Neither changes the
    /// answer. `watch` is that of [`Assistant::complete_in`].
    ///
    /// # Errors
    /// As [`Assistant::complete_unless`].
    pub fn complete(
        &self,
        assistant: &Assistant,
        owner: &str,
        request: &CompleteRequest,
        given_up: &GivenUp,
        watch: &dyn Fn(&Growing<'_>) -> bool,
    ) -> Result<Completion, AssistError> {
        let key = DocumentKey::of(owner, request);
        let (mut document, in_use) = self.take(&key, false, given_up);
        let completion = assistant.complete_in(&mut document, request, &**given_up, watch)?;
        self.put(key, document);
        drop(in_use);
        Ok(completion)
    }

    /// Reads ahead in a document of an owner, as [`Assistant::read_ahead`] does. A document that a request is using is left alone.
    ///
    /// # Errors
    /// As [`Assistant::complete`].
    pub fn read_ahead(
        &self,
        assistant: &Assistant,
        owner: &str,
        request: &CompleteRequest,
        given_up: &GivenUp,
    ) -> Result<bool, AssistError> {
        let key = DocumentKey::of(owner, request);
        let (mut document, in_use) = self.take(&key, true, given_up);
        let Some(in_use) = in_use else {
            return Ok(false);
        };
        let cancelled = || in_use.what.gives_way();
        let done = assistant.read_ahead(&mut document, request, &cancelled);
        // Also what could not be read to its end holds a suffix fast.
        self.put(key, document);
        done
    }

    /// Forgets the documents of the owners that `is_closed` names.
    pub fn close_if(&self, is_closed: &dyn Fn(&str) -> bool) {
        let mut state = self.lock();
        let all = std::mem::take(&mut state.kept).into_iter();
        let (closed, kept): (Vec<Kept>, Vec<Kept>) = all.partition(|one| is_closed(&one.key.owner));
        state.bytes = kept.iter().map(|one| one.bytes).sum();
        state.kept = kept;
        drop(state);
        drop(closed);
    }

    /// Documents held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().kept.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().kept.is_empty()
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Takes a document, or a new one where none is held. `None` beside it says that another request is using the document and goes on
    /// with it.
    fn take(
        &self,
        key: &DocumentKey,
        is_ahead: bool,
        given_up: &GivenUp,
    ) -> (OpenDocument, Option<InUse<'_>>) {
        let mut state = self.lock();
        while state.gives_way_soon(key, !is_ahead) && !given_up() {
            let waited = self.given_back.wait_timeout(state, LOOK_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.used.iter().any(|(used, _)| used == key) {
            return (OpenDocument::default(), None);
        }
        let what = Arc::new(Use {
            is_ahead,
            wanted: AtomicBool::new(false),
            given_up: Arc::clone(given_up),
        });
        state.used.push((key.clone(), Arc::clone(&what)));
        let in_use = InUse {
            documents: self,
            what,
        };
        let at = state.kept.iter().position(|one| one.key == *key);
        let document = at.map(|at| state.remove(at).document);
        drop(state);
        (document.unwrap_or_default(), Some(in_use))
    }

    fn put(&self, key: DocumentKey, document: OpenDocument) {
        let bytes = document.bytes();
        let mut state = self.lock();
        // One that was opened beside it.
        let older = state.kept.iter().position(|one| one.key == key);
        let mut forgotten: Vec<Kept> = older.map(|at| state.remove(at)).into_iter().collect();
        state.bytes += bytes;
        state.kept.push(Kept {
            key,
            bytes,
            document,
        });
        while state.bytes > self.max_bytes && !state.kept.is_empty() {
            forgotten.push(state.remove(0));
        }
        drop(state);
        // Megabytes that are given back keep nobody waiting for the lock.
        drop(forgotten);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole documents behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, at: usize) -> Kept {
        let kept = self.kept.remove(at);
        self.bytes -= kept.bytes;
        kept
    }

    /// Whether a document is in use by somebody who gives it back soon; for an answer what is done ahead is told to.
    fn gives_way_soon(&self, key: &DocumentKey, for_answer: bool) -> bool {
        let mut uses = self.used.iter().filter(|(used, _)| used == key);
        uses.any(|(_, what)| {
            if for_answer && what.is_ahead {
                what.wanted.store(true, Ordering::Relaxed);
            }
            what.gives_way()
        })
    }
}
