//! Accuracy on what users really type: between requests of a document, what was typed since is scored by every level.
//!
//! One thread does it, at most once a second, and what it has no time for is left out: it is a sample, and completions come first.
//! The texts stay in memory and leave with their document. Text that came by accepting a completion is not counted.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::ServerError;
use crate::metrics::SharedMetrics;
use crate::serving::Serving;

/// Documents that are watched.
const MAX_DOCUMENTS: usize = 64;

/// Bytes of a document that is watched.
const MAX_TEXT: usize = 1 << 20;

/// Bytes typed that are worth scoring, and those that were hardly typed but pasted.
const TYPED: Range<usize> = 24..2_048;

/// Pieces scored at once.
const MAX_PIECES: usize = 64;

const PAUSE: Duration = Duration::from_secs(1);

/// A document as a request brought it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Tells documents apart.
    pub document: String,
    /// Its path.
    pub path: String,
    /// The project that counts.
    pub project: Option<String>,
    /// Its text.
    pub text: String,
    /// The cursor, in bytes.
    pub offset: usize,
}

struct Typed {
    seen: Seen,
    typed: Range<usize>,
}

/// The watcher.
pub struct Online {
    last: Mutex<HashMap<String, Seen>>,
    send: SyncSender<Typed>,
}

impl Online {
    /// Starts the thread; it ends when the watcher is dropped.
    ///
    /// # Errors
    /// [`ServerError::Start`] when the system gives no thread.
    pub fn start(serving: Arc<Serving>, metrics: SharedMetrics) -> Result<Self, ServerError> {
        Self::start_with(serving, metrics, PAUSE)
    }

    fn start_with(
        serving: Arc<Serving>,
        metrics: SharedMetrics,
        pause: Duration,
    ) -> Result<Self, ServerError> {
        let (send, receive) = sync_channel(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .thread_name(|_| "online".to_owned())
            .build()
            .map_err(|error| ServerError::Start(std::io::Error::other(error)))?;
        std::thread::Builder::new()
            .name("online".to_owned())
            .spawn(move || score(&receive, &serving, &metrics, &pool, pause))
            .map_err(ServerError::Start)?;
        Ok(Self {
            last: Mutex::default(),
            send,
        })
    }

    /// A request brought a document.
    pub fn saw(&self, seen: Seen) {
        if seen.text.len() > MAX_TEXT {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let typed = last.get(&seen.document).map(|old| typed(old, &seen));
        match typed {
            // Too little yet: the old state is what it will be compared with.
            Some(Some(typed)) if typed.len() < TYPED.start => return,
            Some(Some(typed)) if TYPED.contains(&typed.len()) => {
                let typed = Typed {
                    seen: seen.clone(),
                    typed,
                };
                if let Err(TrySendError::Disconnected(_)) = self.send.try_send(typed) {
                    return;
                }
            }
            _ => {}
        }
        if last.len() >= MAX_DOCUMENTS && !last.contains_key(&seen.document) {
            let any = last.keys().next().cloned();
            any.and_then(|any| last.remove(&any));
        }
        last.insert(seen.document.clone(), seen);
    }

    /// A document was changed otherwise than by typing.
    pub fn forget(&self, document: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.remove(document);
    }
}

/// The bytes of `new` that were typed at the cursor of `old`, if nothing else has changed.
fn typed(old: &Seen, new: &Seen) -> Option<Range<usize>> {
    let same_before = new.text.get(..old.offset) == old.text.get(..old.offset);
    let same_after = new.text.get(new.offset..) == old.text.get(old.offset..);
    (same_before && same_after && new.offset >= old.offset).then_some(old.offset..new.offset)
}

fn score(
    receive: &Receiver<Typed>,
    serving: &Arc<Serving>,
    metrics: &SharedMetrics,
    pool: &rayon::ThreadPool,
    pause: Duration,
) {
    while let Ok(Typed { seen, typed }) = receive.recv() {
        let (assistant, path) = match &seen.project {
            Some(name) => match serving.project(name) {
                Ok(project) => (project.assistant.clone(), project.path_of(&seen.path)),
                Err(_) => continue,
            },
            None => (serving.model().assistant.clone(), seen.path.clone()),
        };
        let scored = pool.install(|| assistant.score_typed(&path, &seen.text, typed, MAX_PIECES));
        match scored {
            Ok(rows) => metrics.online(&rows),
            // The completion of the same text has told its client.
            Err(error) => drop(error),
        }
        std::thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Seen {
        let offset = text.find('|').unwrap();
        Seen {
            document: "d".to_owned(),
            path: "Module.bsl".to_owned(),
            project: None,
            text: text.replacen('|', "", 1),
            offset,
        }
    }

    #[test]
    fn typing_is_told_from_other_changes() {
        let old = seen("А = |;\n");
        assert_eq!(
            typed(&old, &seen("А = Б + 1|;\n")),
            Some("А = ".len().."А = Б + 1".len())
        );
        assert_eq!(
            typed(&old, &seen("А = |;\n")),
            Some("А = ".len().."А = ".len())
        );
        assert_eq!(typed(&old, &seen("А = Б|;\nВ")), None);
        assert_eq!(typed(&old, &seen("Б = В|;\n")), None);
        assert_eq!(typed(&old, &seen("А|;\n")), None);
    }
}
