//! Editor terms: completions by path, text and offset, and what became of them.

use super::{About, SpeedName, StopName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How an offset counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OffsetUnit {
    /// UTF-16 code units, as 1C, JavaScript and Java count.
    #[default]
    Utf16,
    /// Bytes of UTF-8.
    Bytes,
    /// Characters.
    Characters,
}

/// `POST /v1/complete`: a completion in editor terms.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditorRequest {
    /// Path of the document: tells the kind of the module, and what the project knows of it.
    pub path: String,
    /// The whole document.
    pub text: String,
    /// The cursor.
    pub offset: usize,
    /// How the cursor counts.
    #[serde(default)]
    pub offset_unit: OffsetUnit,
    /// The project that counts.
    pub project: Option<String>,
    /// The speed; the server's default if missing.
    pub speed: Option<SpeedName>,
    /// Where the completion ends; the server's default if missing.
    pub stop: Option<StopName>,
    /// Pieces to write at most; 16 if missing. 0 writes nothing: the document is read for this cursor when nothing else is to be done, so
    /// that the request that follows is answered sooner.
    pub max_tokens: Option<usize>,
    /// Time in which the answer is wanted.
    #[schema(format = "uint64", minimum = 0)]
    pub deadline_ms: Option<u64>,
    /// Whether the text after the cursor is read; it is if missing.
    pub use_suffix: Option<bool>,
    /// Distinguishes documents of one path, such as those of two windows: the newest request of a document wins.
    pub session: Option<String>,
}

/// The answer of `POST /v1/complete`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EditorResponse {
    /// Names the completion in events.
    pub id: String,
    /// The text to insert at the cursor; empty when nothing is offered.
    pub text: String,
    /// The pieces with their probabilities.
    pub tokens: Vec<TokenShown>,
    /// Bytes before the cursor that the first pieces write again.
    pub healed_bytes: usize,
    /// Pieces that the network read.
    pub context_tokens: usize,
    /// How the answer came about.
    #[serde(flatten)]
    pub about: About,
}

/// A piece of a completion.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TokenShown {
    /// Its text.
    pub text: String,
    /// Its probability.
    pub probability: f32,
}

/// `POST /v1/events`: what became of completions.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest {
    /// The events, oldest first.
    pub events: Vec<EventIn>,
}

/// One event. It never carries text.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, tag = "event", rename_all = "snake_case")]
pub enum EventIn {
    /// The user saw a completion.
    Shown {
        /// The completion.
        id: String,
        /// Its characters.
        #[schema(format = "uint64", minimum = 0)]
        characters: u64,
    },
    /// The user took all of it.
    Accepted {
        /// The completion.
        id: String,
        /// Its characters.
        #[schema(format = "uint64", minimum = 0)]
        characters: u64,
    },
    /// The user took the beginning of it.
    PartlyAccepted {
        /// The completion.
        id: String,
        /// Characters taken so far.
        #[schema(format = "uint64", minimum = 0)]
        characters: u64,
    },
    /// The user saw it and went on otherwise.
    Rejected {
        /// The completion.
        id: String,
    },
    /// What is left of an accepted completion some time later.
    Retained {
        /// The completion.
        id: String,
        /// Seconds since it was accepted: 30, 90, 180 or 360.
        after_seconds: u32,
        /// Characters accepted.
        #[schema(format = "uint64", minimum = 0)]
        accepted: u64,
        /// Of these, still there.
        #[schema(format = "uint64", minimum = 0)]
        retained: u64,
    },
    /// Characters that the user typed without a completion.
    Typed {
        /// How many.
        #[schema(format = "uint64", minimum = 0)]
        characters: u64,
    },
}

/// What was counted.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct EventsResponse {
    /// Events taken.
    pub taken: usize,
    /// Events about completions that this server does not know (any more).
    pub unknown: usize,
}
