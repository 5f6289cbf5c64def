//! llama.cpp's fill-in-the-middle.

use super::{About, Extras};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /infill`, as llama.cpp's server has it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct InfillRequest {
    /// The text before the cursor's line.
    #[serde(default)]
    pub input_prefix: String,
    /// The text after the cursor.
    #[serde(default)]
    pub input_suffix: String,
    /// Text of other files, which counts as read before.
    #[serde(default)]
    pub input_extra: Vec<InfillExtra>,
    /// The cursor's line up to the cursor.
    #[serde(default)]
    pub prompt: String,
    /// Pieces to write at most; 0 only reads, -1 is the server's limit.
    pub n_predict: Option<i64>,
    /// Texts that end the answer.
    #[serde(default)]
    pub stop: Vec<String>,
    /// Time after which writing ends, in milliseconds; 0 is none.
    #[schema(format = "uint64", minimum = 0)]
    pub t_max_predict_ms: Option<u64>,
    /// 0, the default, takes the most probable piece.
    pub temperature: Option<f32>,
    /// Share of the probability that is drawn from.
    pub top_p: Option<f32>,
    /// The same seed gives the same answer; -1 is any.
    pub seed: Option<i64>,
    /// Answers; above 1 the answer is a list.
    pub n_cmpl: Option<usize>,
    /// Answer piece by piece as server-sent events.
    #[serde(default)]
    pub stream: bool,
    /// Fields that are wanted, `timings/prompt_n` for one inside another; all if missing.
    pub response_fields: Option<Vec<String>>,
    /// As in `/v1/completions`.
    pub model: Option<String>,
    #[serde(flatten)]
    /// Nestor's own.
    pub extras: Extras,
}

/// A piece of another file.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct InfillExtra {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub filename: Option<String>,
}

/// The answer of `POST /infill`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InfillResponse {
    /// The text to insert.
    #[schema(required = false)]
    pub content: String,
    /// Its number.
    #[schema(required = false)]
    pub index: usize,
    /// False in a stream while the text goes on.
    #[schema(required = false)]
    pub stop: bool,
    /// The model that answered.
    #[schema(required = false)]
    pub model: String,
    /// Pieces written.
    #[schema(required = false)]
    pub tokens_predicted: usize,
    /// Pieces read.
    #[schema(required = false)]
    pub tokens_evaluated: usize,
    /// Pieces that did not have to be read again; none.
    #[schema(required = false)]
    pub tokens_cached: usize,
    /// Whether text was left out; the context starts at a method anyway.
    #[schema(required = false)]
    pub truncated: bool,
    /// `eos`, `limit`, `word` or `none`.
    #[schema(required = false)]
    pub stop_type: &'static str,
    /// The text that ended it.
    #[schema(required = false)]
    pub stopping_word: String,
    /// Where the time went.
    #[schema(required = false)]
    pub timings: LlamaTimings,
    /// Names the completion in events.
    #[schema(required = false)]
    pub id: String,
    /// How the answer came about.
    #[schema(required = false)]
    pub nestor: About,
}

/// Timings as llama.cpp has them.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct LlamaTimings {
    /// Pieces read.
    pub prompt_n: usize,
    /// Time that took.
    pub prompt_ms: f64,
    /// A piece.
    pub prompt_per_token_ms: f64,
    /// Pieces a second.
    pub prompt_per_second: f64,
    /// Pieces written.
    pub predicted_n: usize,
    /// Time that took.
    pub predicted_ms: f64,
    /// A piece.
    pub predicted_per_token_ms: f64,
    /// Pieces a second.
    pub predicted_per_second: f64,
}
