//! What is on the wire: requests and answers as JSON.
//!
//! The OpenAPI document is made of these types. OpenAI's and llama.cpp's shapes ignore fields that they do not know, because their
//! clients send many; Nestor's own refuse them by name.

mod editor;
mod jobs;
mod llama;
mod openai;
mod projects;

use nestor_assist::{Speed, StopRule};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use editor::*;
pub use jobs::*;
pub use llama::*;
pub use openai::*;
pub use projects::*;

/// A speed as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpeedName {
    /// The first exit.
    Fast,
    /// The first two exits.
    Balanced,
    /// All exits.
    Accurate,
    /// Fast first; a deeper one where that is not sure and the deadline leaves time.
    Auto,
}

impl SpeedName {
    /// The speed, but for `auto`.
    #[must_use]
    pub fn fixed(self) -> Option<Speed> {
        match self {
            Self::Fast => Some(Speed::Fast),
            Self::Balanced => Some(Speed::Balanced),
            Self::Accurate => Some(Speed::Accurate),
            Self::Auto => None,
        }
    }
}

impl From<Speed> for SpeedName {
    fn from(speed: Speed) -> Self {
        match speed {
            Speed::Fast => Self::Fast,
            Speed::Balanced => Self::Balanced,
            Speed::Accurate => Self::Accurate,
        }
    }
}

/// Where a completion ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopName {
    /// With the line.
    Line,
    /// With the statement.
    Statement,
    /// With the block.
    Block,
    /// With the method that the cursor stands in; texts for people are written, too.
    Method,
    /// With the text or method, as the model writes it.
    Text,
}

impl From<StopName> for StopRule {
    fn from(name: StopName) -> Self {
        match name {
            StopName::Line => Self::Line,
            StopName::Statement => Self::Statement,
            StopName::Block => Self::Block,
            StopName::Method => Self::Method,
            StopName::Text => Self::Text,
        }
    }
}

/// One text or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    #[must_use]
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// What Nestor adds to the shapes of others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Extras {
    /// Overrides the speed that the model's name says.
    pub speed: Option<SpeedName>,
    /// The project that counts.
    pub project: Option<String>,
    /// Path of the document: tells the kind of the module, and what the project knows of it.
    pub path: Option<String>,
    /// Where the completion ends besides the limits of the shape.
    pub stop_rule: Option<StopName>,
    /// Time in which the answer is wanted.
    #[schema(format = "uint64", minimum = 0)]
    pub deadline_ms: Option<u64>,
}

/// Pieces read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Usage {
    /// Pieces that the network read.
    pub prompt_tokens: usize,
    /// Pieces written.
    pub completion_tokens: usize,
    /// Both.
    pub total_tokens: usize,
}

impl Usage {
    /// Adds another answer's; the prompt is counted once.
    #[must_use]
    pub fn and(self, context: usize, written: usize) -> Self {
        let prompt_tokens = self.prompt_tokens.max(context);
        let completion_tokens = self.completion_tokens + written;
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
        }
    }
}

/// How an answer came about.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct About {
    /// The speed that was used.
    pub speed: SpeedName,
    /// Probability that all of the text is right.
    pub confidence: f32,
    /// What each part of the mixture added; sums to 1 where anything is offered.
    pub contributions: Vec<Share>,
    /// Why it ends: `rule`, `end_of_text`, `max_tokens`, `stop`, `deadline`, `prose`, `nothing_fits`.
    pub stop: &'static str,
    /// The project that counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Where the time went.
    pub timings: TimingsShown,
}

/// A part of the mixture.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Share {
    /// `level1`, `level2`, `level3`, `corpus`, `project`, `file` or `nearest`.
    pub part: String,
    /// Its share of the probability.
    pub share: f32,
}

/// Where the time of an answer went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct TimingsShown {
    /// Waiting for a turn.
    pub queue_ms: f64,
    /// Cutting the text and teaching the counts.
    pub prepare_ms: f64,
    /// The network reading the context.
    pub prefill_ms: f64,
    /// Writing.
    pub decode_ms: f64,
    /// All of it.
    pub total_ms: f64,
}

/// The models.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelsShown {
    /// `list`.
    pub object: &'static str,
    /// They.
    pub data: Vec<ModelShown>,
}

/// A model: the loaded one at a speed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelShown {
    /// Its name.
    pub id: String,
    /// `model`.
    pub object: &'static str,
    /// Seconds since 1970: when it was loaded.
    pub created: u64,
    /// `nestor`.
    pub owned_by: &'static str,
}

/// An error in the shape of OpenAI's.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorShown {
    /// It.
    pub error: ErrorBody,
}

/// What is wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong and what to change.
    pub message: String,
    /// Its kind.
    pub r#type: &'static str,
    /// The field that is wrong.
    pub param: Option<String>,
    /// A word for programs.
    pub code: &'static str,
}

/// A server-sent event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StreamEvent {
    /// JSON of the shape that is answered without a stream, or of an error; `[DONE]` at the end of OpenAI's streams.
    pub data: String,
}
