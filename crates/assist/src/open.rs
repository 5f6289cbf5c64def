//! A document that stays open: what was read for one completion is used for the next.
//!
//! Called by completion. The pieces of the text, the counts of the file, and the network's state are kept with the document; after an
//! edit only what changed is done again. The answer is that of a document opened afresh, bit for bit, because every part of it is:
//! pieces are cut again from a method's start, counts are taken back exactly, and the network gives a text the same bits whatever the
//! calls it was cut into. The one thing that is older than the text is the rest of the cursor's line in the suffix, which stays as it
//! was until the cursor leaves the line's surroundings: a suffix stands before the text, so each change of it would read everything again.

use std::sync::{Arc, Weak};

use nestor_bsl::pieces::Tokenizer;
use nestor_cache::NestedCache;
use nestor_engine::{DocumentStates, LevelMemories, Model, Predictor, Speed};
use nestor_memory::OwnText;

use crate::assistant::Assistant;
use crate::complete::CompleteRequest;
use crate::document::{Borders, MAX_SUFFIX, file_pieces, opening_pieces};
use crate::error::AssistError;
use crate::members::MemberReader;

/// Pieces between the densest snapshots; each further step back doubles it.
const DENSEST: usize = 16;

/// Bytes after the cursor that can reach the suffix.
const SUFFIX_BYTES: usize = MAX_SUFFIX * 32;

/// Pieces that are read before it is asked again whether anyone waits: a few milliseconds.
const PATIENCE: usize = 64;

/// The exit, counted from 0, whose rows are states.
pub(crate) const STATES_EXIT: usize = 1;

/// One open document.
#[derive(Debug, Default)]
pub struct OpenDocument {
    /// What cut and read it: another model has other pieces and gates.
    model: Weak<Model>,
    text: PreparedText,
    suffix: String,
    read: Option<Read>,
    /// What found the names that the metadata offered last.
    names: Option<MemberReader>,
}

/// What was read of a document, and for what.
#[derive(Debug)]
struct Read {
    key: Key,
    /// The counts with the file's text before the cursor. Between requests without those of the project: a document must not keep alive
    /// what the project has learned anew.
    cache: Arc<NestedCache>,
    /// What the file's counts hold.
    learned: Vec<u32>,
    /// What of the project's counts is hidden, and the memory's revision that this was found at.
    own_text: OwnText,
    revision: u64,
    /// What was read of the text, for the memory of nearest states: one before each token behind the opening. `None` where the project has
    /// no memories.
    states: Option<Arc<DocumentStates>>,
    /// At the end of what was read.
    reader: Predictor,
    /// Further back, rising.
    snapshots: Vec<Predictor>,
}

/// What must be the same for anything to be used again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    path: String,
    speed: Speed,
    /// Whether the project has memories, which need rows of what is read.
    has_levels: bool,
}

/// How much was read for a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reused {
    /// Pieces of the network's context.
    pub context: usize,
    /// Of these, read for this request.
    pub read: usize,
}

impl OpenDocument {
    /// The same document unread, with the suffix that this one holds fast: what it answers is what this one answers.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self {
            suffix: self.suffix.clone(),
            ..Self::default()
        }
    }

    /// Resident bytes, without what other documents share. Snapshots share keys and values, which are counted once.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let read = self.read.as_ref().map_or(0, |read| {
            let states = read
                .snapshots
                .iter()
                .map(Predictor::own_bytes)
                .sum::<usize>();
            let file = read.cache.file().bytes();
            let own = read.states.as_ref().map_or(0, |states| states.bytes());
            let counts = file + 4 * read.learned.len() + read.own_text.bytes();
            states + read.reader.bytes() + counts + own
        });
        let names = self.names.as_ref().map_or(0, MemberReader::bytes);
        read + self.text.bytes() + self.suffix.len() + names
    }

    /// Takes out what found the names last; to be given back for the next request.
    pub(crate) fn take_names(&mut self) -> Option<MemberReader> {
        self.names.take()
    }

    /// Keeps what finds names.
    pub(crate) fn keep_names(&mut self, mut names: Option<MemberReader>) {
        if let Some(names) = &mut names {
            names.rest();
        }
        self.names = names;
    }

    /// Makes the predictor ready for what follows `read`, the text before the cursor without the word that is healed. `None` when
    /// `cancelled` said that nobody waits; what was read until then serves the next request.
    pub(crate) fn prepare(
        &mut self,
        assistant: &Assistant,
        request: &CompleteRequest,
        read: &str,
        suffix: &str,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<(&mut Predictor, Reused)>, AssistError> {
        self.suffix = self.suffix_for(request, suffix);
        let suffix = self.suffix.clone();
        if let Some(read) = &mut self.read {
            // The time of what was read ahead, or for a request that was given up.
            read.reader.take_profile();
        }
        let Some(reused) = self.read_to(assistant, request, read, &suffix, cancelled)? else {
            return Ok(None);
        };
        let open = self.read.as_mut().expect("it was read");
        open.enter_project(assistant)?;
        open.reader
            .set_shared_cache(Some(Arc::clone(&open.cache)))?;
        open.reader.set_memories(open.memories(assistant));
        open.reader.watch_recent()?;
        Ok(Some((&mut open.reader, reused)))
    }

    /// Reads what [`OpenDocument::prepare`] would; true when all of it was read. The suffix that requests hold fast stays what it was, so
    /// that no answer depends on whether this was called.
    pub(crate) fn read_ahead(
        &mut self,
        assistant: &Assistant,
        request: &CompleteRequest,
        read: &str,
        suffix: &str,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<bool, AssistError> {
        let suffix = self.suffix_for(request, suffix);
        let reused = self.read_to(assistant, request, read, &suffix, cancelled)?;
        self.rest()?;
        Ok(reused.is_some())
    }

    /// The suffix that a request sees: the one held fast while the text below the cursor's line is the same.
    fn suffix_for(&self, request: &CompleteRequest, suffix: &str) -> String {
        let shown = if request.use_suffix && !suffix.trim().is_empty() {
            suffix
        } else {
            ""
        };
        if same_below(&self.suffix, shown) {
            return self.suffix.clone();
        }
        let end = shown.floor_char_boundary(SUFFIX_BYTES);
        shown[..end].to_owned()
    }

    /// Brings pieces, counts and the network to the end of `read`; `None` when it was cancelled on the way.
    fn read_to(
        &mut self,
        assistant: &Assistant,
        request: &CompleteRequest,
        read: &str,
        suffix: &str,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Reused>, AssistError> {
        if !std::ptr::eq(self.model.as_ptr(), Arc::as_ptr(assistant.model())) {
            *self = Self {
                model: Arc::downgrade(assistant.model()),
                ..self.fresh()
            };
        }
        let tokenizer = assistant.tokenizer().as_ref();
        self.text.update(tokenizer, read);
        let starts = &self.text.starts;
        let anchor = self.text.borders.anchor(read, read.len(), starts);
        let first = starts.partition_point(|start| *start < anchor);
        let outline = assistant.outline(assistant.memory().metadata(), &request.path);
        let mut context = opening_pieces(tokenizer, &request.path, &outline, suffix);
        let n_opening = context.len();
        context.extend(&self.text.pieces[first..]);

        let key = Key {
            path: request.path.clone(),
            speed: request.speed,
            has_levels: assistant.memory().levels().is_some(),
        };
        self.rest()?;
        let mut open = match self.read.take().filter(|read| read.key == key) {
            Some(read) => read,
            None => Read::new(assistant, key)?,
        };
        let mut learned = file_pieces(tokenizer, &request.path, "");
        // The file goes on: its end is not known yet.
        learned.pop();
        learned.extend(&self.text.pieces);
        open.learn(learned)?;
        let n_read = open.go_to(&context, n_opening, cancelled)?;
        self.read = Some(open);
        Ok(n_read.map(|read| Reused {
            context: context.len(),
            read,
        }))
    }

    /// Gives back what only a request needs.
    pub(crate) fn rest(&mut self) -> Result<(), AssistError> {
        if let Some(read) = &mut self.read {
            read.reader.set_shared_cache(None)?;
            read.reader.set_memories(None);
            read.reader.release_buffers();
            Arc::make_mut(&mut read.cache).leave_project()?;
        }
        Ok(())
    }
}

/// Whether everything below the cursor's line is the same in two texts after a cursor, as far as a suffix can reach.
fn same_below(one: &str, other: &str) -> bool {
    let below = |text: &str| text.find('\n').map(|at| at + 1);
    match (below(one), below(other)) {
        (Some(start), Some(other_start)) => {
            // The rest of the line decides how much of the lines below is seen; a little less is compared than the longer one shows.
            let end = one.len().min(SUFFIX_BYTES);
            let shown = &one.as_bytes()[start..end];
            let others = &other.as_bytes()[other_start..];
            if one.len() + MAX_LINE_END < SUFFIX_BYTES {
                shown == others
            } else {
                others.starts_with(shown)
            }
        }
        (None, None) => one == other,
        _ => false,
    }
}

/// A suffix shorter than the most by this was not cut.
const MAX_LINE_END: usize = 4;

impl Read {
    fn new(assistant: &Assistant, key: Key) -> Result<Self, AssistError> {
        let mixture = assistant.mixture(key.speed)?;
        let mut reader = Predictor::with_mixture(assistant.model().clone(), mixture)?
            .with_threads(assistant.threads());
        // The memories are believed as far as the last pieces tell, so their rows are kept.
        let has_levels = key.has_levels;
        reader.keep_recent(has_levels);
        let width = assistant.model().config().width;
        Ok(Self {
            cache: Arc::new(assistant.memory().without_project()?),
            own_text: assistant.memory().own_text(&key.path)?,
            revision: assistant.memory().revision(),
            key,
            learned: Vec::new(),
            states: has_levels.then(|| Arc::new(DocumentStates::new(width))),
            reader,
            snapshots: Vec::new(),
        })
    }

    /// Keeps the states before the text's last tokens, which were just read.
    fn remember(&mut self, tokens: &[u32]) -> Result<(), AssistError> {
        if let Some(states) = &mut self.states
            && let Some(rows) = self.reader.rows_before(STATES_EXIT, tokens.len())
        {
            Arc::make_mut(states).push(rows, tokens)?;
        }
        Ok(())
    }

    /// What the project has taught, with the states of this document beside it.
    fn memories(&self, assistant: &Assistant) -> Option<Arc<LevelMemories>> {
        let levels = assistant.levels_for(&self.key.path)?;
        Some(match &self.states {
            Some(states) => Arc::new(levels.beside(Arc::clone(states))),
            None => levels,
        })
    }

    /// Puts the project's counts, as they are now, around the file's.
    fn enter_project(&mut self, assistant: &Assistant) -> Result<(), AssistError> {
        let memory = assistant.memory();
        if self.revision != memory.revision() {
            self.own_text = memory.own_text(&self.key.path)?;
            self.revision = memory.revision();
        }
        let cache = Arc::make_mut(&mut self.cache);
        memory.enter_project(cache, &self.key.path, &self.own_text)
    }

    /// Changes the file's counts to those of `pieces`.
    fn learn(&mut self, pieces: Vec<u32>) -> Result<(), AssistError> {
        let same = common(&self.learned, &pieces);
        if same < self.learned.len() || same < pieces.len() {
            let file = Arc::make_mut(&mut self.cache).file_mut();
            file.pop(self.learned.len() - same);
            file.extend(&pieces[same..])?;
            self.learned = pieces;
        }
        Ok(())
    }

    /// Reads on to the end of `context` from the nearest state that has read a part of it; returns the pieces read, or `None` when it
    /// was cancelled on the way.
    fn go_to(
        &mut self,
        context: &[u32],
        n_opening: usize,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<usize>, AssistError> {
        let same = common(self.reader.context(), context);
        if same < self.reader.context().len() {
            self.snapshots.retain(|state| state.context().len() <= same);
            match self.snapshots.last() {
                Some(state) => self.reader = state.clone(),
                None => self.reader.start_again()?,
            }
            // That of the time when the snapshot was taken.
            self.reader.take_profile();
        }
        let from = self.reader.context().len();
        if let Some(states) = &mut self.states {
            Arc::make_mut(states).truncate(from.saturating_sub(n_opening));
        }
        let kept = |at: usize| is_kept(at, context.len());
        let mut at = from;
        let stops = (from..context.len()).filter(|at| kept(*at));
        for stop in stops.chain([context.len()]) {
            while at < stop {
                if cancelled() {
                    return Ok(None);
                }
                let end = stop.min(at + PATIENCE);
                self.reader.read(&context[at..end])?;
                self.remember(&context[at.max(n_opening).min(end)..end])?;
                at = end;
            }
            let last = self.snapshots.last().map(|state| state.context().len());
            if stop < context.len() && last.is_none_or(|last| last < stop) {
                self.snapshots.push(self.reader.clone());
            }
        }
        self.snapshots.retain(|state| kept(state.context().len()));
        Ok((!cancelled()).then_some(context.len() - from))
    }
}

/// Whether a snapshot after `at` pieces is kept where `end` were read: of the multiples of 16, 32, 64, .. the last two each.
fn is_kept(at: usize, end: usize) -> bool {
    if at == 0 || at >= end || !at.is_multiple_of(DENSEST) {
        return false;
    }
    let step = 1 << at.trailing_zeros();
    end - at <= 2 * step
}

fn common(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// The text before the cursor with its pieces and method borders.
#[derive(Debug)]
struct PreparedText {
    text: String,
    pieces: Vec<u32>,
    /// Where each piece starts.
    starts: Vec<usize>,
    borders: Borders,
}

impl Default for PreparedText {
    fn default() -> Self {
        Self {
            text: String::new(),
            pieces: Vec::new(),
            starts: Vec::new(),
            borders: Borders::of(""),
        }
    }
}

impl PreparedText {
    /// Takes another text over. What stands before the last method that is the same in both, and begins a line, is not cut again.
    fn update(&mut self, tokenizer: &Tokenizer, text: &str) {
        let same = self.text.bytes().zip(text.bytes());
        let same = same.take_while(|(a, b)| a == b).count();
        if same == self.text.len() && same == text.len() {
            return;
        }
        let from = self.borders.last_line_start(&self.text, same);
        let kept = self.starts.partition_point(|start| *start < from);
        self.pieces.truncate(kept);
        self.starts.truncate(kept);
        for (id, span) in tokenizer.encode_with_spans(&text[from..]) {
            self.pieces.push(id);
            self.starts.push(from + span.start);
        }
        self.borders.replace_from(from, &text[from..]);
        text.clone_into(&mut self.text);
    }

    fn bytes(&self) -> usize {
        self.text.len() + 4 * self.pieces.len() + 8 * self.starts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_dense_at_the_end_and_few() {
        let kept: Vec<usize> = (0..1100).filter(|at| is_kept(*at, 1100)).collect();
        assert_eq!(kept, [512, 768, 896, 1024, 1056, 1072, 1088]);
        for end in 1..3000 {
            let kept: Vec<usize> = (0..end).filter(|at| is_kept(*at, end)).collect();
            assert!(kept.len() <= 16);
            // One piece more keeps no place that was not kept before, but the last.
            let next = (0..end).filter(|at| is_kept(*at, end + 1));
            assert!(next.into_iter().all(|at| kept.contains(&at)));
            // However far an edit stands back, no more than twice as far is read again, and 16 pieces.
            for back in 0..end {
                let state = kept.iter().rfind(|at| **at <= end - back).unwrap_or(&0);
                assert!(
                    end - state <= 4 * back + 2 * DENSEST,
                    "{end} {back} {state}"
                );
            }
        }
    }

    #[test]
    fn the_suffix_is_held_fast_within_a_line() {
        let check = |one: &str, other: &str, same: bool| {
            assert_eq!(same_below(one, other), same, "{one:?} {other:?}");
        };
        check(");\nБ = 1;\n", "\nБ = 1;\n", true);
        check("\nБ = 1;\n", ");\nБ = 1;\n", true);
        check("\nБ = 1;\n", "\nБ = 2;\n", false);
        check("\nБ = 1;\n", "\nБ = 1;\nВ = 1;\n", false);
        check("", "", true);
        check("", "\n", false);
        check(")", "", false);
        let long = format!("\n{}", "Б = 1;\n".repeat(2000));
        let end = long.floor_char_boundary(SUFFIX_BYTES);
        check(&long[..end], &format!(");{long}"), true);
        check(&long[..end], &long.replacen('1', "2", 1), false);
    }
}
