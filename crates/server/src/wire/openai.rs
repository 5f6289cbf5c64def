//! OpenAI's completions and chat completions.

use super::{About, Extras, OneOrMany, Usage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/completions`, as OpenAI has it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CompletionsRequest {
    /// `nestor-fast`, `nestor-balanced` or `nestor-accurate`.
    pub model: String,
    /// The text before the cursor; several are answered in order.
    pub prompt: OneOrMany,
    /// The text after the cursor.
    pub suffix: Option<String>,
    /// Pieces to write at most; 16 if missing.
    pub max_tokens: Option<usize>,
    /// 0, the default, takes the most probable piece.
    pub temperature: Option<f32>,
    /// Share of the probability that is drawn from.
    pub top_p: Option<f32>,
    /// The same seed gives the same answer.
    #[schema(format = "uint64", minimum = 0)]
    pub seed: Option<u64>,
    /// Texts that end the answer; up to 16.
    pub stop: Option<OneOrMany>,
    /// Answers to each prompt.
    pub n: Option<usize>,
    /// Must be absent or equal to `n`.
    pub best_of: Option<usize>,
    /// Probabilities of the pieces in the answer, and of so many of the most probable ones in the place of each; up to 20.
    pub logprobs: Option<u32>,
    /// Repeat the prompt in the answer.
    pub echo: Option<bool>,
    /// Answer piece by piece as server-sent events.
    pub stream: Option<bool>,
    /// What a stream tells besides.
    pub stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    /// Nestor's own.
    pub extras: Extras,
}

/// What a stream tells besides.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct StreamOptions {
    /// A last event with the usage.
    pub include_usage: Option<bool>,
}

/// The answer of `POST /v1/completions`; an event of its stream has the same shape.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CompletionsResponse {
    /// Names the completion in events.
    pub id: String,
    /// `text_completion`.
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// The model as asked for.
    pub model: String,
    /// Changes when the model does.
    pub system_fingerprint: String,
    /// The answers.
    pub choices: Vec<Choice>,
    /// Pieces read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// One answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Choice {
    /// The text to insert, or the next part of it.
    pub text: String,
    /// Its number.
    pub index: usize,
    /// Probabilities of its pieces, if asked for.
    pub logprobs: Option<Logprobs>,
    /// `stop` or `length`; missing while the text goes on.
    pub finish_reason: Option<&'static str>,
    /// How the answer came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nestor: Option<About>,
}

/// Probabilities of pieces in the shape of OpenAI's older endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Logprobs {
    /// The pieces. The first ones may write again what was typed of a word.
    pub tokens: Vec<String>,
    /// Natural logarithm of the probability of each.
    pub token_logprobs: Vec<f32>,
    /// The most probable pieces in the place of each, and the one taken; a map a piece.
    #[schema(value_type = Vec<Object>)]
    pub top_logprobs: Vec<std::collections::BTreeMap<String, f32>>,
    /// Characters of the answer before each.
    pub text_offset: Vec<usize>,
}

/// `POST /v1/chat/completions`, as OpenAI has it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChatRequest {
    /// As in `/v1/completions`.
    pub model: String,
    /// The conversation. What is completed is the last code block of the last user's message, or all of it; an assistant's message
    /// behind it is text that is written already.
    pub messages: Vec<ChatMessage>,
    /// Pieces to write at most; 256 if missing.
    pub max_tokens: Option<usize>,
    /// The newer name of `max_tokens`.
    pub max_completion_tokens: Option<usize>,
    /// 0, the default, takes the most probable piece.
    pub temperature: Option<f32>,
    /// Share of the probability that is drawn from.
    pub top_p: Option<f32>,
    /// The same seed gives the same answer.
    #[schema(format = "uint64", minimum = 0)]
    pub seed: Option<u64>,
    /// Texts that end the answer.
    pub stop: Option<OneOrMany>,
    /// Answers.
    pub n: Option<usize>,
    /// Whether probabilities of the pieces are told.
    pub logprobs: Option<bool>,
    /// The most probable pieces that are listed in the place of each; up to 20, with `logprobs`.
    pub top_logprobs: Option<u32>,
    /// Answer piece by piece as server-sent events.
    pub stream: Option<bool>,
    /// What a stream tells besides.
    pub stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    /// Nestor's own.
    pub extras: Extras,
}

/// One message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: ChatContent,
}

/// The text of a message: as it is, or in parts.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ChatContent {
    /// As it is.
    Text(String),
    /// In parts, of which only those of type `text` are read.
    Parts(Vec<ChatPart>),
}

/// A part of a message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChatPart {
    /// `text`.
    pub r#type: String,
    /// Its text.
    pub text: Option<String>,
}

impl ChatContent {
    /// The whole text.
    #[must_use]
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
        }
    }
}

/// The answer of `POST /v1/chat/completions`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatResponse {
    /// Names the completion in events.
    pub id: String,
    /// `chat.completion`, in a stream `chat.completion.chunk`.
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// The model as asked for.
    pub model: String,
    /// Changes when the model does.
    pub system_fingerprint: String,
    /// The answers.
    pub choices: Vec<ChatChoice>,
    /// Pieces read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// One answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatChoice {
    /// Its number.
    pub index: usize,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<ChatText>,
    /// The next part of it, in a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<ChatText>,
    /// Probabilities of its pieces, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<ChatLogprobs>,
    /// `stop` or `length`; missing while the text goes on.
    pub finish_reason: Option<&'static str>,
    /// How the answer came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nestor: Option<About>,
}

/// Text of the assistant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChatText {
    /// `assistant`, at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// The text.
    pub content: String,
}

/// Probabilities of pieces in the shape of OpenAI's chat.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChatLogprobs {
    /// The pieces. The first ones may write again what was typed of a word.
    pub content: Vec<ChatLogprob>,
}

/// A piece with its probability.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChatLogprob {
    /// Its text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The most probable pieces in its place.
    pub top_logprobs: Vec<ChatAlternative>,
}

/// A piece that could stand in the place of another.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChatAlternative {
    /// Its text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}
