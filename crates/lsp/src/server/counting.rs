//! What becomes of completions: shown, taken, and how much of them is left some time later. Numbers only, no text leaves this file.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use lsp_types::{TextDocumentContentChangeEvent, Uri};
use serde::Serialize;
use serde_json::Value;

use crate::server::Server;
use crate::worker::{Answer, Event, Work};

/// Completions that the client may tell of.
const MAX_KNOWN: usize = 1_000;

/// Seconds after which it is looked what is left of a completion.
const LEFT_AFTER: [u32; 4] = [30, 90, 180, 360];

/// Characters that one change brings at most when they are typed; more are pasted.
const MAX_TYPED: u64 = 200;

/// Typed characters are told when there are so many of them.
const TELL_TYPED: u64 = 64;

/// What became of completions in this session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counted {
    pub requested: u64,
    pub shown: u64,
    pub accepted: u64,
    pub partly_accepted: u64,
    pub accepted_characters: u64,
    /// Characters that were typed without a completion.
    pub typed_characters: u64,
    pub left: [Left; LEFT_AFTER.len()],
}

/// What is left of accepted completions some time later, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Left {
    after_seconds: u32,
    accepted: u64,
    retained: u64,
}

/// A completion that the client may tell of.
struct Known {
    name: String,
    uri: Uri,
    text: String,
    /// Characters taken so far.
    taken: u64,
}

/// A completion that was taken.
struct Taken {
    name: String,
    uri: Uri,
    text: String,
    since: Instant,
    /// How often it was looked at.
    n_looks: usize,
}

impl Taken {
    fn due(&self) -> Option<Instant> {
        let after = LEFT_AFTER.get(self.n_looks)?;
        Some(self.since + Duration::from_secs(u64::from(*after)))
    }
}

/// The completions of a session.
#[derive(Default)]
pub(super) struct Counting {
    pub counted: Counted,
    known: VecDeque<Known>,
    taken: Vec<Taken>,
    /// Typed characters that nobody was told of.
    typed: u64,
}

impl Counting {
    /// When it is to be looked next what is left.
    pub fn due(&self) -> Receiver<Instant> {
        let due = self.taken.iter().filter_map(Taken::due).min();
        due.map_or_else(crossbeam_channel::never, crossbeam_channel::at)
    }
}

/// Characters of the longest beginning of `taken` that stands in a text.
fn left_of(taken: &str, text: &str) -> u64 {
    let ends: Vec<usize> = taken
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .collect();
    // What contains a text contains its beginnings.
    ends.partition_point(|end| text.contains(&taken[..*end])) as u64
}

impl Server<'_> {
    /// Remembers a completion for what the client will tell of it.
    pub(super) fn know(&mut self, name: &str, uri: &Uri, answer: &Answer) {
        let counting = &mut self.counting;
        if counting.known.len() == MAX_KNOWN {
            counting.known.pop_front();
        }
        counting.known.push_back(Known {
            name: name.to_owned(),
            uri: uri.clone(),
            text: answer.insert.clone(),
            taken: 0,
        });
    }

    /// A completion is seen by the user.
    pub(super) fn was_shown(&mut self, name: Option<&Value>) {
        self.counting.counted.shown += 1;
        let known = self.counting.find(name);
        let characters = known.map(|known| (known.name.clone(), known.text.chars().count() as u64));
        if let Some((id, characters)) = characters {
            self.happened("shown", id, characters);
        }
    }

    /// A completion was taken so far.
    pub(super) fn was_partly_accepted(&mut self, name: Option<&Value>, characters: u64) {
        let counted = &mut self.counting.counted;
        counted.partly_accepted += 1;
        counted.accepted_characters += characters;
        if let Some(known) = self.counting.find(name) {
            let id = known.name.clone();
            self.counting.take(&id, characters);
            self.happened("partly_accepted", id, characters);
        }
    }

    /// A completion was taken: all of it, or as many characters as an entry of a list has.
    pub(super) fn was_accepted(&mut self, name: Option<&Value>, characters: Option<u64>) {
        self.counting.counted.accepted += 1;
        let Some(known) = self.counting.find(name) else {
            return;
        };
        let (id, uri) = (known.name.clone(), known.uri.clone());
        let characters = characters.unwrap_or(known.text.chars().count() as u64);
        let text: String = known.text.chars().take(characters as usize).collect();
        self.counting.take(&id, characters);
        self.counting.taken.push(Taken {
            name: id.clone(),
            uri,
            text,
            since: Instant::now(),
            n_looks: 0,
        });
        self.happened("accepted", id, characters);
    }

    /// A document was changed by these.
    pub(super) fn was_typed(&mut self, changes: &[TextDocumentContentChangeEvent]) {
        let typed = changes.iter().filter(|change| change.range.is_some());
        let typed = typed.map(|change| change.text.chars().count() as u64);
        let typed: u64 = typed.filter(|n| *n <= MAX_TYPED).sum();
        self.counting.counted.typed_characters += typed;
        self.counting.typed += typed;
    }

    /// Looks what is left of completions whose time has come.
    pub(super) fn look_what_is_left(&mut self) {
        let now = Instant::now();
        let mut events = Vec::new();
        for taken in &mut self.counting.taken {
            if taken.due().is_none_or(|due| due > now) {
                continue;
            }
            let left = &mut self.counting.counted.left[taken.n_looks];
            left.after_seconds = LEFT_AFTER[taken.n_looks];
            taken.n_looks += 1;
            // What was closed meanwhile cannot be looked at.
            let Some(document) = self.documents.get(&taken.uri) else {
                continue;
            };
            let accepted = taken.text.chars().count() as u64;
            let retained = left_of(&taken.text, &document.text);
            left.accepted += accepted;
            left.retained += retained;
            events.push(Event::Retained {
                id: taken.name.clone(),
                after_seconds: left.after_seconds,
                accepted,
                retained,
            });
        }
        self.counting.taken.retain(|taken| taken.due().is_some());
        for event in events {
            self.tell(event);
        }
    }

    fn happened(&mut self, what: &'static str, id: String, characters: u64) {
        self.tell(Event::Suggestion {
            what,
            id,
            characters,
        });
    }

    /// Tells whoever counts for more than this session.
    fn tell(&mut self, event: Event) {
        // A worker that has ended is told by the loop.
        let _ = self.work.send(Work::Happened(event));
        if self.counting.typed >= TELL_TYPED {
            let characters = std::mem::take(&mut self.counting.typed);
            let _ = self.work.send(Work::Happened(Event::Typed { characters }));
        }
    }
}

impl Counting {
    fn find(&self, name: Option<&Value>) -> Option<&Known> {
        let name = name.and_then(Value::as_str)?;
        self.known.iter().rev().find(|known| known.name == name)
    }

    /// Counts what was taken of a completion until now. The editor has told its text as a change like any other.
    fn take(&mut self, name: &str, characters: u64) {
        let Some(known) = self.known.iter_mut().rfind(|known| known.name == name) else {
            return;
        };
        let more = characters.saturating_sub(known.taken);
        known.taken = known.taken.max(characters);
        if more <= MAX_TYPED {
            self.typed = self.typed.saturating_sub(more);
            let counted = &mut self.counted.typed_characters;
            *counted = counted.saturating_sub(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_the_longest_beginning_that_still_stands() {
        for (taken, text, expected) in [
            ("Запрос;", "А = Новый Запрос;\n", 7),
            ("Запрос;", "А = Новый Запрос();\n", 6),
            ("Запрос;", "А = 1;\n", 0),
            ("Ё🙂", "Ё🙂", 2),
            ("Запрос", "", 0),
            ("", "А", 0),
        ] {
            assert_eq!(left_of(taken, text), expected, "{taken} {text}");
        }
    }
}
