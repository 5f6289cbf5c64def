//! What completes lines in the protocol "commits": Nestor's assistant, or a peer that the caller brings.
//!
//! The protocol asks, whoever answers. A peer behind HTTP belongs to the caller: this crate opens no connections.

use nestor_assist::{AssistError, Assistant, CompleteRequest, ShowFeatures, Speed};
use nestor_bsl::position::ByteOffset;

/// A cursor at which a completion to the end of the line is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor<'a> {
    /// Path of the module inside the project.
    pub path: &'a str,
    /// The text before the cursor.
    pub before: &'a str,
    /// The text after it: what follows the line.
    pub after: &'a str,
}

/// A completion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// What would be inserted.
    pub text: String,
    /// Probability that all of it is right; none where the completer does not tell.
    pub confidence: Option<f32>,
    /// Its figures, where the completer has them.
    pub features: Option<ShowFeatures>,
}

/// What completes lines.
pub trait Completer {
    /// What ends the protocol.
    type Error;

    /// The completion at a cursor; `None` if it failed at this one, which is counted.
    ///
    /// # Errors
    /// Where no further answer is to be expected.
    fn complete(&mut self, cursor: Cursor<'_>) -> Result<Option<Said>, Self::Error>;
}

/// Nestor itself.
#[derive(Clone, Copy)]
pub struct AssistantCompleter<'a> {
    /// The assistant, which has learned the project.
    pub assistant: &'a Assistant,
    /// Which exits take part.
    pub speed: Speed,
}

impl Completer for AssistantCompleter<'_> {
    type Error = AssistError;

    fn complete(&mut self, cursor: Cursor<'_>) -> Result<Option<Said>, AssistError> {
        let shown = format!("{}{}", cursor.before, cursor.after);
        let at = ByteOffset(cursor.before.len());
        let completion = self.assistant.complete(&CompleteRequest {
            speed: self.speed,
            ..CompleteRequest::new(cursor.path, shown, at)
        })?;
        let line = cursor.before.rsplit('\n').next().unwrap_or_default();
        Ok(Some(Said {
            confidence: Some(completion.confidence),
            features: Some(ShowFeatures::new(&completion, line)),
            text: completion.insert,
        }))
    }
}
