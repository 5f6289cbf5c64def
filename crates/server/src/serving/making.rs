//! One completion: at one speed, or at the speed that confidence and time allow.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nestor_assist::{
    AssistError, Assistant, ByteOffset, CompleteRequest, Completion, GivenUp, Growing, Sampling,
    Speed, StopReason, StopRule,
};

use crate::scheduler::Caller;
use crate::serving::growing::{Watcher, tell_all};
use crate::serving::pieces::pieces_of;
use crate::serving::{Grown, Piece, Serving};
use crate::wire::SpeedName;

/// A completion to make.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Path of the document.
    pub path: String,
    /// The document.
    pub text: String,
    /// The cursor, in bytes.
    pub offset: usize,
    /// The speed.
    pub speed: SpeedName,
    /// Pieces to write at most.
    pub max_tokens: usize,
    /// Where to end.
    pub rule: StopRule,
    /// Whether the text after the cursor is read.
    pub use_suffix: bool,
    /// How pieces are picked.
    pub sampling: Sampling,
    /// Texts that end it; they are not part of the answer.
    pub stops: Vec<String>,
    /// Time after which writing ends.
    pub write_for: Option<Duration>,
    /// Pieces that are listed beside each one written; `None` where the pieces are not told as the text grows.
    pub alternatives: Option<usize>,
}

/// A completion that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The text to insert.
    pub text: String,
    /// The completion, of which `text` may leave out the end.
    pub completion: Completion,
    /// The speed that was used.
    pub speed: Speed,
    /// Why it ends.
    pub ended: Ended,
}

impl Made {
    /// The pieces with the parts of the text that they write.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        pieces_of(
            &self.text,
            self.completion.n_healed,
            &self.completion.tokens,
        )
    }

    /// The answer to a request for nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            text: String::new(),
            completion: Completion {
                insert: String::new(),
                confidence: 0.0,
                contributions: Vec::new(),
                tokens: Vec::new(),
                n_healed: 0,
                stop: StopReason::MaxTokens,
                n_context: 0,
                n_read: 0,
                timings: nestor_assist::Timings::default(),
            },
            speed: Speed::Fast,
            ended: Ended::Assistant(StopReason::MaxTokens),
        }
    }
}

/// Why a completion ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As the assistant says.
    Assistant(StopReason),
    /// At a stop text.
    StopText(String),
    /// Its time was over.
    Deadline,
}

impl Ended {
    /// The word on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::StopText(_) => "stop",
            Self::Deadline => "deadline",
            Self::Assistant(StopReason::Rule) => "rule",
            Self::Assistant(StopReason::EndOfText) => "end_of_text",
            Self::Assistant(StopReason::MaxTokens) => "max_tokens",
            Self::Assistant(StopReason::Prose) => "prose",
            Self::Assistant(StopReason::NothingFits) => "nothing_fits",
            Self::Assistant(StopReason::Cancelled) => "cancelled",
        }
    }

    /// OpenAI's word.
    #[must_use]
    pub fn finish_reason(&self) -> &'static str {
        match self {
            Self::Deadline | Self::Assistant(StopReason::MaxTokens) => "length",
            _ => "stop",
        }
    }
}

impl Serving {
    /// Makes a completion on this thread. `grown` is told parts of the text that are certain to stay, in order, before the end;
    /// where a second speed may still overrule the first, all of it at the end. What was read of a document serves the next request of
    /// the same `owner` (a key and a project).
    ///
    /// # Errors
    /// Those of the assistant.
    pub fn complete(
        &self,
        assistant: &Assistant,
        asked: &Asked,
        caller: &Caller,
        owner: &str,
        grown: &mut dyn FnMut(Grown),
    ) -> Result<Made, AssistError> {
        if let Some(speed) = asked.speed.fixed() {
            return self.complete_at(assistant, asked, speed, caller, owner, Some(grown));
        }
        let enough = f32::from_bits(self.auto_confidence.load(Ordering::Relaxed));
        let mut best = self.complete_at(assistant, asked, Speed::Fast, caller, owner, None)?;
        for speed in [Speed::Accurate, Speed::Balanced] {
            let settled = best.completion.confidence >= enough && !best.text.is_empty();
            if settled || matches!(best.ended, Ended::Assistant(StopReason::Prose)) {
                break;
            }
            // Twice the usual time: a deadline that is missed by a little is missed.
            if caller.is_gone() || caller.left() < self.typical(speed) * 2 {
                continue;
            }
            best = self.complete_at(assistant, asked, speed, caller, owner, None)?;
            break;
        }
        tell_all(asked, &best.text, &best.completion, grown);
        Ok(best)
    }

    /// Reads a document for a cursor at which something may be asked soon, until the caller is gone. No answer changes by it.
    ///
    /// # Errors
    /// Those of the assistant.
    pub fn read_ahead(
        &self,
        assistant: &Assistant,
        asked: &Asked,
        caller: &Caller,
        owner: &str,
    ) -> Result<bool, AssistError> {
        let text = asked.text.clone();
        let mut request = CompleteRequest::new(&asked.path, text, ByteOffset(asked.offset));
        // What `auto` begins with.
        request.speed = asked.speed.fixed().unwrap_or(Speed::Fast);
        request.use_suffix = asked.use_suffix;
        let caller = caller.clone();
        let given_up: GivenUp = Arc::new(move || caller.is_gone() || caller.is_late());
        self.documents
            .read_ahead(assistant, owner, &request, &given_up)
    }

    /// The usual time of a completion at a speed.
    #[must_use]
    pub fn typical(&self, speed: Speed) -> Duration {
        Duration::from_micros(self.typical_us[speed as usize].load(Ordering::Relaxed))
    }

    fn complete_at(
        &self,
        assistant: &Assistant,
        asked: &Asked,
        speed: Speed,
        caller: &Caller,
        owner: &str,
        grown: Option<&mut dyn FnMut(Grown)>,
    ) -> Result<Made, AssistError> {
        let mut request = CompleteRequest::new(
            asked.path.clone(),
            asked.text.clone(),
            ByteOffset(asked.offset),
        );
        request.speed = speed;
        request.max_tokens = asked.max_tokens;
        request.stop = asked.rule;
        request.use_suffix = asked.use_suffix;
        request.sampling = asked.sampling;
        request.alternatives = asked.alternatives.unwrap_or(0);
        let started = Instant::now();
        let watcher = RefCell::new(Watcher::new(asked, caller, grown));
        let given_up: GivenUp = {
            let caller = caller.clone();
            Arc::new(move || caller.is_gone())
        };
        let watch = |growing: &Growing<'_>| watcher.borrow_mut().sees(growing);
        let completion = self
            .documents
            .complete(assistant, owner, &request, &given_up, &watch)?;
        let (text, ended) = watcher.into_inner().end(&completion);
        self.learn_time(speed, started.elapsed());
        Ok(Made {
            text,
            completion,
            speed,
            ended,
        })
    }

    fn learn_time(&self, speed: Speed, took: Duration) {
        let typical = &self.typical_us[speed as usize];
        let took = took.as_micros().min(60_000_000) as u64;
        let before = typical.load(Ordering::Relaxed);
        typical.store((before * 7 + took) / 8, Ordering::Relaxed);
    }
}
