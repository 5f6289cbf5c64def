//! One completion at a cursor: what to insert, how sure it is, and which level said it.
//!
//! Called by the command line, later by the servers. The text is normalised, the network reads header, suffix and the
//! text from the anchor on, the last word is healed, and generation goes on to the end of the line. What the request's
//! own file has taught the project is left out: its text before the cursor is learned as the open file instead.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nestor_bsl::LineEnd;
use nestor_bsl::pieces::{EOF, EOM, FILE, PAD, PRE, SUF, Tokenizer};
use nestor_bsl::position::ByteOffset;
use nestor_cache::CandidatePlace;
use nestor_engine::Names;
use nestor_engine::{Finish, GenerateRequest, LevelMemories, Profile, Sampling, Speed, Step};

use crate::assistant::Assistant;
use crate::error::AssistError;
use crate::handlers::skeleton;
use crate::healing::{allowed, unfinished_word};
use crate::members::{MemberReader, name_start};
use crate::open::OpenDocument;
use crate::stop::{StopRule, Verdict, inside_prose, judge, statement_context};

/// Pieces a completion may have at most.
pub const MAX_TOKENS: usize = 1024;

/// Pieces that are guessed ahead from the counts, for one pass through the network.
const GUESSES: usize = 6;

/// Ids that are never written; 6 and 7 are reserved.
const NEVER: [u32; 6] = [PAD, FILE, SUF, PRE, 6, 7];

/// What an editor asks.
#[derive(Clone, Debug)]
pub struct CompleteRequest {
    /// Path of the document inside the project.
    pub path: String,
    /// The whole document as the editor holds it.
    pub text: String,
    /// The cursor, in bytes of `text`.
    pub offset: ByteOffset,
    /// Which exits take part.
    pub speed: Speed,
    /// Pieces to write at most.
    pub max_tokens: usize,
    /// Where to stop.
    pub stop: StopRule,
    /// Whether the network sees what follows the cursor.
    pub use_suffix: bool,
    /// How pieces are picked.
    pub sampling: Sampling,
    /// Pieces that may be guessed from the counts for one pass through the network; what is written does not depend on it.
    pub guesses: usize,
    /// Pieces that are listed beside each one written.
    pub alternatives: usize,
}

impl CompleteRequest {
    /// A request with the usual settings: to the end of the line, at most 16 pieces, greedily, balanced.
    #[must_use]
    pub fn new(path: impl Into<String>, text: impl Into<String>, offset: ByteOffset) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            offset,
            speed: Speed::Balanced,
            max_tokens: 16,
            stop: StopRule::Line,
            use_suffix: true,
            guesses: GUESSES,
            sampling: Sampling::Greedy,
            alternatives: 0,
        }
    }
}

/// Why a completion ends where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The stop rule held.
    Rule,
    /// The model ended the text.
    EndOfText,
    /// As many pieces as were asked for.
    MaxTokens,
    /// The cursor stands in НСтр prose: nothing is offered.
    Prose,
    /// Nothing fits what was typed.
    NothingFits,
    /// The request was cancelled.
    Cancelled,
}

/// What a part of the mixture added to a completion: shares sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct PartShare {
    /// `level1`, `level2`, `level3`, `corpus`, `project` or `file`.
    pub part: String,
    /// Its share of the probability, averaged over the pieces.
    pub share: f32,
}

/// One piece of a completion.
#[derive(Clone, Debug, PartialEq)]
pub struct CompletionToken {
    /// The piece's id.
    pub id: u32,
    /// Its text; half a character shows as U+FFFD.
    pub text: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its probability among the pieces that could stand there.
    pub probability: f32,
    /// The most probable pieces in its place, if they were asked for.
    pub alternatives: Vec<Alternative>,
}

/// A piece that could stand in the place of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// Its text; half a character shows as U+FFFD.
    pub text: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its probability.
    pub probability: f32,
}

/// Where the time of a completion went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Cutting the text and teaching the cache.
    pub prepare: Duration,
    /// The network reading the context.
    pub prefill: Duration,
    /// Writing.
    pub decode: Duration,
    /// The parts of writing.
    pub stages: Profile,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Text to insert at the cursor, with the document's line ends. Empty when nothing is offered.
    pub insert: String,
    /// Probability that all of it is right.
    pub confidence: f32,
    /// What each part of the mixture added.
    pub contributions: Vec<PartShare>,
    /// The pieces, those of the healed word first.
    pub tokens: Vec<CompletionToken>,
    /// Bytes before the cursor that the first pieces write again.
    pub n_healed: usize,
    /// Why it ends.
    pub stop: StopReason,
    /// Pieces of the network's context.
    pub n_context: usize,
    /// Of these, read for this request; the others were known from an earlier one.
    pub n_read: usize,
    /// Where the time went.
    pub timings: Timings,
}

impl Completion {
    fn nothing(stop: StopReason, timings: Timings) -> Self {
        Self {
            insert: String::new(),
            confidence: 0.0,
            contributions: Vec::new(),
            tokens: Vec::new(),
            n_healed: 0,
            stop,
            n_context: 0,
            n_read: 0,
            timings,
        }
    }
}

impl Assistant {
    /// Completes at a cursor.
    ///
    /// # Errors
    /// [`AssistError::CursorOutside`] and [`AssistError::CursorInsideCharacter`] for a wrong cursor,
    /// [`AssistError::Text`] for a document that is no text, [`AssistError::Request`] for a wrong field.
    pub fn complete(&self, request: &CompleteRequest) -> Result<Completion, AssistError> {
        self.complete_unless(request, &|| false)
    }

    /// As [`Assistant::complete`], given up within one piece once `cancelled` says so.
    ///
    /// # Errors
    /// As [`Assistant::complete`].
    pub fn complete_unless(
        &self,
        request: &CompleteRequest,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Completion, AssistError> {
        self.complete_watched(request, cancelled, &|_| false)
    }

    /// As [`Assistant::complete_unless`], with the `watch` of [`Assistant::complete_in`].
    ///
    /// # Errors
    /// As [`Assistant::complete`].
    pub fn complete_watched(
        &self,
        request: &CompleteRequest,
        cancelled: &dyn Fn() -> bool,
        watch: &dyn Fn(&Growing<'_>) -> bool,
    ) -> Result<Completion, AssistError> {
        self.complete_in(&mut OpenDocument::default(), request, cancelled, watch)
    }

    /// As [`Assistant::complete_unless`], with what earlier requests have read of the document; the answer is the same. `watch` sees what
    /// is written, each time that it has grown and no rule has ended it, and ends the completion there by returning true.
    ///
    /// # Errors
    /// As [`Assistant::complete`].
    pub fn complete_in(
        &self,
        open: &mut OpenDocument,
        request: &CompleteRequest,
        cancelled: &dyn Fn() -> bool,
        watch: &dyn Fn(&Growing<'_>) -> bool,
    ) -> Result<Completion, AssistError> {
        if request.max_tokens > MAX_TOKENS {
            return Err(AssistError::Request {
                field: "max_tokens",
                reason: format!("{} is more than {MAX_TOKENS}", request.max_tokens),
            });
        }
        let tokenizer = self.tokenizer().as_ref();
        let started = Instant::now();
        let document = Document::read(request)?;
        let (prefix, suffix) = document.text.split_at(document.cursor);
        let before = statement_context(prefix);
        if inside_prose(before) {
            let timings = Timings {
                prepare: started.elapsed(),
                ..Timings::default()
            };
            return Ok(Completion::nothing(StopReason::Prose, timings));
        }
        if let Some(completion) = self.handler(request, prefix, suffix, document.crlf) {
            return Ok(completion);
        }
        let healed = unfinished_word(prefix);
        let read = &prefix[..prefix.len() - healed.len()];
        let names = open.take_names();
        let Some((predictor, reused)) = open.prepare(self, request, read, suffix, cancelled)?
        else {
            open.keep_names(names);
            let timings = Timings {
                prepare: started.elapsed(),
                ..Timings::default()
            };
            return Ok(Completion::nothing(StopReason::Cancelled, timings));
        };
        let read_by_network = predictor.take_profile().blocks;
        let names = self.open_names(names, request, prefix, read, suffix);
        let mut timings = Timings {
            prepare: started.elapsed().saturating_sub(read_by_network),
            prefill: read_by_network,
            ..Timings::default()
        };
        let started = Instant::now();
        let write = Writing {
            assistant: self,
            healed,
            before,
            rule: request.stop,
        };
        let names_after = names.as_ref().map(|names| |ids: &[u32]| names.after(ids));
        let asked = GenerateRequest {
            max_tokens: request.max_tokens,
            sampling: request.sampling,
            banned: &NEVER,
            guesses: request.guesses,
            allowed: Some(&|ids| allowed(tokenizer, healed.as_bytes(), ids)),
            names: names_after.as_ref().map(|find| find as Names<'_>),
            alternatives: request.alternatives,
            stop: &|ids, steps| {
                if write.verdict(ids).is_some() {
                    return true;
                }
                let text = write.text(ids);
                let text = text.get(healed.len()..);
                text.is_some_and(|text| {
                    watch(&Growing {
                        write: &write,
                        text,
                        steps,
                    })
                })
            },
            cancelled,
        };
        let generated = predictor.generate_timed(&asked, &mut timings.stages)?;
        timings.decode = started.elapsed();
        open.keep_names(names.map(OpenNames::into_reader));
        open.rest()?;
        let mut completion = write.completion(&generated.steps, generated.finish);
        if document.crlf {
            completion.insert = completion.insert.replace('\n', "\r\n");
        }
        completion.n_context = reused.context;
        completion.n_read = reused.read;
        completion.timings = timings;
        Ok(completion)
    }

    /// Reads a document for a cursor before anything is asked there, so that a completion finds it read. Given up within a few pieces once
    /// `cancelled` says so; what was read until then stays. True when all was read. No later answer is another for it.
    ///
    /// # Errors
    /// As [`Assistant::complete`].
    pub fn read_ahead(
        &self,
        open: &mut OpenDocument,
        request: &CompleteRequest,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<bool, AssistError> {
        let document = Document::read(request)?;
        let (prefix, suffix) = document.text.split_at(document.cursor);
        if inside_prose(statement_context(prefix)) {
            return Ok(true);
        }
        let healed = unfinished_word(prefix);
        let read = &prefix[..prefix.len() - healed.len()];
        open.read_ahead(self, request, read, suffix, cancelled)
    }

    /// The skeleton of a handler that the form names and the module lacks, at a place where a method may begin.
    fn handler(
        &self,
        request: &CompleteRequest,
        prefix: &str,
        suffix: &str,
        crlf: bool,
    ) -> Option<Completion> {
        let metadata = self.memory().metadata()?;
        let insert = skeleton(metadata, &request.path, prefix, suffix)?;
        let insert = match request.stop {
            StopRule::Block | StopRule::Method | StopRule::Text => insert,
            // Asked for a line or a statement, the header is the answer.
            StopRule::Line | StopRule::Statement => insert.lines().next()?.to_owned(),
        };
        let insert = if crlf {
            insert.replace('\n', "\r\n")
        } else {
            insert
        };
        if insert.is_empty() {
            return None;
        }
        Some(Completion {
            insert,
            confidence: 1.0,
            contributions: vec![PartShare {
                part: "names".to_owned(),
                share: 1.0,
            }],
            ..Completion::nothing(StopReason::Rule, Timings::default())
        })
    }

    /// What finds the names that metadata offers after generated pieces, for a document whose network reads `read` of `prefix`. `kept` is what
    /// found them for the request before.
    fn open_names<'a>(
        &'a self,
        kept: Option<MemberReader>,
        request: &CompleteRequest,
        prefix: &'a str,
        read: &str,
        suffix: &str,
    ) -> Option<OpenNames<'a>> {
        let metadata = self.memory().metadata()?;
        let shown = if request.use_suffix { suffix } else { "" };
        let reader = match kept.filter(|kept| kept.is_for(&request.path, self.tokenizer())) {
            Some(kept) => kept.begin_again(metadata, shown)?,
            None => self.members(Some(metadata), &request.path, shown)?,
        };
        let typed_start = name_start(prefix, prefix.len());
        Some(OpenNames {
            tokenizer: self.tokenizer(),
            typed_start,
            typed: &prefix[typed_start..],
            n_read: read.len(),
            state: RefCell::new((reader, read.to_owned())),
        })
    }

    /// What the project has taught the exits, for a file.
    pub(crate) fn levels_for(&self, path: &str) -> Option<Arc<LevelMemories>> {
        self.memory().levels_for(path)
    }
}

/// The names that metadata offers after generated pieces.
struct OpenNames<'a> {
    tokenizer: &'a Tokenizer,
    /// Where the name that is half typed begins, and it.
    typed_start: usize,
    typed: &'a str,
    /// Bytes that the network reads.
    n_read: usize,
    /// What finds names, and the text that was read with the pieces behind it.
    state: RefCell<(MemberReader, String)>,
}

impl OpenNames<'_> {
    fn after(&self, ids: &[u32]) -> Option<CandidatePlace> {
        let (reader, text) = &mut *self.state.borrow_mut();
        text.truncate(self.n_read);
        let bytes = self.tokenizer.decode(ids);
        // Half a character ends no name that could be followed.
        text.push_str(std::str::from_utf8(&bytes).ok()?);
        let start = name_start(text, text.len());
        let typed = if start == self.typed_start {
            self.typed
        } else {
            ""
        };
        let member = reader.member(text, text.len(), typed)?;
        let start = member.start;
        let mut pieces = Vec::new();
        let mut at = self.n_read;
        if start < self.n_read {
            pieces = self.tokenizer.encode(&text[start..self.n_read]);
        }
        for &id in ids {
            if at >= start {
                pieces.push(id);
            }
            at += self.tokenizer.piece(id).len();
        }
        CandidatePlace::new(&member.names, &pieces)
    }

    fn into_reader(self) -> MemberReader {
        self.state.into_inner().0
    }
}

/// A completion while it is being written.
pub struct Growing<'a> {
    write: &'a Writing<'a>,
    text: &'a str,
    steps: &'a [Step],
}

impl Growing<'_> {
    /// The text after the cursor, with `\n` as line end.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text
    }

    /// The pieces that write it, those of the healed word first.
    #[must_use]
    pub fn tokens(&self) -> Vec<CompletionToken> {
        self.write.tokens(self.steps)
    }

    /// Bytes before the cursor that the first pieces write again.
    #[must_use]
    pub fn n_healed(&self) -> usize {
        self.write.healed.len()
    }
}

/// The document inside Nestor: normalised, with the cursor moved along.
struct Document {
    text: String,
    cursor: usize,
    crlf: bool,
}

impl Document {
    fn read(request: &CompleteRequest) -> Result<Self, AssistError> {
        let (text, offset) = (&request.text, request.offset.0);
        if offset > text.len() {
            return Err(AssistError::CursorOutside {
                path: request.path.clone(),
                offset,
                len: text.len(),
            });
        }
        if !text.is_char_boundary(offset) {
            return Err(AssistError::CursorInsideCharacter {
                path: request.path.clone(),
                offset,
                start: text.floor_char_boundary(offset),
            });
        }
        let normalised =
            nestor_bsl::normalise(text.as_bytes()).map_err(|source| AssistError::Text {
                path: request.path.clone(),
                source,
            })?;
        let mark = if normalised.has_bom {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        let before = &text[mark.min(offset)..offset];
        let crlf = match normalised.line_end {
            LineEnd::Lf => false,
            LineEnd::CrLf => true,
            LineEnd::Mixed { mostly_crlf } => mostly_crlf,
        };
        // A cursor between the two bytes of a line end stands before it.
        let half = before.ends_with('\r') && text[offset..].starts_with('\n');
        let cursor = before.len() - before.matches("\r\n").count() - usize::from(half);
        Ok(Self {
            text: normalised.text,
            cursor,
            crlf,
        })
    }
}

/// What turns generated pieces into a completion.
struct Writing<'a> {
    assistant: &'a Assistant,
    healed: &'a str,
    /// The statement's text before the cursor.
    before: &'a str,
    rule: StopRule,
}

impl Writing<'_> {
    /// How many bytes of the pieces to keep, once the completion ends.
    fn verdict(&self, ids: &[u32]) -> Option<usize> {
        let text = self.text(ids);
        if matches!(ids.last(), Some(&(EOF | EOM))) {
            return Some(text.len());
        }
        if text.len() < self.healed.len() {
            return None;
        }
        match judge(self.before, &text[self.healed.len()..], self.rule) {
            Verdict::GoOn => None,
            Verdict::Stop { keep } => Some(self.healed.len() + keep),
        }
    }

    /// The text of the pieces, without half a character at its end.
    fn text(&self, ids: &[u32]) -> String {
        let bytes = self.assistant.tokenizer().decode(ids);
        match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(error) => String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned(),
        }
    }

    /// The pieces as callers see them.
    fn tokens(&self, steps: &[Step]) -> Vec<CompletionToken> {
        let tokenizer = self.assistant.tokenizer();
        let text = |token| String::from_utf8_lossy(tokenizer.piece(token)).into_owned();
        let tokens = steps.iter().map(|step| CompletionToken {
            id: step.token,
            text: text(step.token),
            bytes: tokenizer.piece(step.token).to_vec(),
            probability: step.confidence,
            alternatives: step
                .alternatives
                .iter()
                .map(|(token, probability)| Alternative {
                    text: text(*token),
                    bytes: tokenizer.piece(*token).to_vec(),
                    probability: *probability,
                })
                .collect(),
        });
        tokens.collect()
    }

    fn completion(&self, steps: &[Step], finish: Finish) -> Completion {
        let ids: Vec<u32> = steps.iter().map(|step| step.token).collect();
        let text = self.text(&ids);
        let ended = matches!(ids.last(), Some(&(EOF | EOM)));
        let stop = match finish {
            Finish::Stopped if ended => StopReason::EndOfText,
            Finish::Stopped => StopReason::Rule,
            Finish::MaxTokens => StopReason::MaxTokens,
            Finish::NoneAllowed => StopReason::NothingFits,
            Finish::Cancelled => StopReason::Cancelled,
        };
        let keep = self.verdict(&ids).unwrap_or(text.len()).min(text.len());
        // White space alone is no help to anyone.
        let is_blank = text
            .get(self.healed.len()..keep)
            .is_none_or(|new| new.trim().is_empty());
        if is_blank {
            return Completion::nothing(stop, Timings::default());
        }
        let kept = kept_steps(self.assistant, steps, keep);
        let steps = &steps[kept];
        Completion {
            insert: text[self.healed.len()..keep].to_owned(),
            confidence: steps.iter().map(|step| step.confidence).product(),
            contributions: contributions(steps),
            tokens: self.tokens(steps),
            n_healed: self.healed.len(),
            stop,
            n_context: 0,
            n_read: 0,
            timings: Timings::default(),
        }
    }
}

/// The steps whose pieces begin within the kept bytes.
fn kept_steps(assistant: &Assistant, steps: &[Step], keep: usize) -> Range<usize> {
    let mut at = 0;
    let n = steps.iter().take_while(|step| {
        let begins = at;
        at += assistant.tokenizer().piece(step.token).len();
        begins < keep && at > begins
    });
    0..n.count()
}

fn contributions(steps: &[Step]) -> Vec<PartShare> {
    let mut shares: Vec<PartShare> = Vec::new();
    for contribution in steps.iter().flat_map(|step| &step.contributions) {
        let part = contribution.component.to_string();
        let share = contribution.share / steps.len() as f32;
        match shares.iter_mut().find(|known| known.part == part) {
            Some(known) => known.share += share,
            None => shares.push(PartShare { part, share }),
        }
    }
    shares
}
