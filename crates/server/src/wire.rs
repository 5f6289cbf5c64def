//! What is on the wire: requests and answers as JSON.
//!
//! The OpenAPI document is made of these types. OpenAI's and llama.cpp's shapes ignore fields that they do not know, because their
//! clients send many; Nestor's own refuse them by name.

use nestor_assist::{Speed, StopRule};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// With the text or method, as the model writes it.
    Text,
}

impl From<StopName> for StopRule {
    fn from(name: StopName) -> Self {
        match name {
            StopName::Line => Self::Line,
            StopName::Statement => Self::Statement,
            StopName::Block => Self::Block,
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
    pub deadline_ms: Option<u64>,
}

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
    pub seed: Option<u64>,
    /// Texts that end the answer; up to 16.
    pub stop: Option<OneOrMany>,
    /// Answers to each prompt.
    pub n: Option<usize>,
    /// Must be absent or equal to `n`.
    pub best_of: Option<usize>,
    /// Probabilities of the pieces in the answer. The number of alternatives is not used: only the piece taken is listed.
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
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Logprobs {
    /// The pieces. The first ones may write again what was typed of a word.
    pub tokens: Vec<String>,
    /// Natural logarithm of the probability of each.
    pub token_logprobs: Vec<f32>,
    /// The piece taken, a map a piece.
    #[schema(value_type = Vec<Object>)]
    pub top_logprobs: Vec<std::collections::BTreeMap<String, f32>>,
    /// Characters of the answer before each.
    pub text_offset: Vec<usize>,
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
    pub seed: Option<u64>,
    /// Texts that end the answer.
    pub stop: Option<OneOrMany>,
    /// Answers.
    pub n: Option<usize>,
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
    pub content: String,
    /// Its number.
    pub index: usize,
    /// False in a stream while the text goes on.
    pub stop: bool,
    /// The model that answered.
    pub model: String,
    /// Pieces written.
    pub tokens_predicted: usize,
    /// Pieces read.
    pub tokens_evaluated: usize,
    /// Pieces that did not have to be read again; none.
    pub tokens_cached: usize,
    /// Whether text was left out; the context starts at a method anyway.
    pub truncated: bool,
    /// `eos`, `limit`, `word` or `none`.
    pub stop_type: &'static str,
    /// The text that ended it.
    pub stopping_word: String,
    /// Where the time went.
    pub timings: LlamaTimings,
    /// Names the completion in events.
    pub id: String,
    /// How the answer came about.
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
    /// Pieces to write at most; 16 if missing.
    pub max_tokens: Option<usize>,
    /// Time in which the answer is wanted.
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
        characters: u64,
    },
    /// The user took all of it.
    Accepted {
        /// The completion.
        id: String,
        /// Its characters.
        characters: u64,
    },
    /// The user took the beginning of it.
    PartlyAccepted {
        /// The completion.
        id: String,
        /// Characters taken so far.
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
        accepted: u64,
        /// Of these, still there.
        retained: u64,
    },
    /// Characters that the user typed without a completion.
    Typed {
        /// How many.
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

/// A project.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProjectShown {
    /// Its name.
    pub name: String,
    /// Files learned.
    pub files: usize,
    /// Pieces learned.
    pub pieces: u64,
    /// Its sources by name.
    pub roots: Vec<String>,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Changes so far.
    pub changes: usize,
    /// Whether it is at work in this server.
    pub loaded: bool,
}

/// All projects that the key may use.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProjectsShown {
    /// They.
    pub projects: Vec<ProjectShown>,
}

/// `POST /v1/projects/{name}/learn`: either files in the request, or a source on the server's disk.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnRequest {
    /// Files to learn now; those of the same root that are not named stay.
    pub files: Option<Vec<LearnFileIn>>,
    /// The root that they belong to; `files` if missing.
    pub root: Option<String>,
    /// A folder or repository on the server, inside `jobs.sources`; it is learned by a job.
    pub source: Option<String>,
}

/// A file to learn.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnFileIn {
    /// Path inside the root.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What learning files did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LearnShown {
    /// The project.
    pub project: String,
    /// Files that the project did not have.
    pub new: usize,
    /// Files with another text than the project had.
    pub changed: usize,
    /// Files that the project has as they are.
    pub unchanged: usize,
    /// Pieces in the new and changed files.
    pub pieces: usize,
    /// Files that cannot be learned, with the reason.
    pub skipped: Vec<SkippedShown>,
}

/// A file that was not learned.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SkippedShown {
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// `POST /v1/train`: a training run as a job.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainRequest {
    /// Name of the run: its folder inside `jobs.runs`.
    pub name: String,
    /// The corpus folder, inside `jobs.sources`.
    pub corpus: String,
    /// `nano`, `tiny` or `base`; `nano` if missing.
    pub model: Option<SizeName>,
    /// 1 to 3; 3 if missing.
    pub levels: Option<u8>,
    /// Methods to train on instead of all projects.
    pub samples: Option<usize>,
    /// Passes over the corpus. One of `epochs`, `minutes` and `max_tokens` is needed.
    pub epochs: Option<f64>,
    /// Time.
    pub minutes: Option<f64>,
    /// Pieces to train on.
    pub max_tokens: Option<u64>,
    /// Pieces in a window.
    pub seq_len: Option<usize>,
    /// Windows in a step.
    pub batch: Option<usize>,
    /// Go on with the run of that name.
    #[serde(default)]
    pub resume: bool,
}

/// A size of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SizeName {
    /// About 4 million parameters.
    Nano,
    /// About 14 million.
    Tiny,
    /// About 50 million.
    Base,
}

impl SizeName {
    /// The word for the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nano => "nano",
            Self::Tiny => "tiny",
            Self::Base => "base",
        }
    }
}

/// A job: learning a source, or training.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobShown {
    /// Names it.
    pub id: String,
    /// `learn` or `train`.
    pub kind: &'static str,
    /// The project, or the name of the run.
    pub name: String,
    /// `running`, `done`, `failed` or `cancelled`.
    pub state: &'static str,
    /// Seconds since 1970.
    pub started: u64,
    /// Seconds that it has run.
    pub elapsed_s: f64,
    /// Share that is done, where it is known.
    pub progress: Option<f64>,
    /// Seconds left, where they are known.
    pub seconds_left: Option<f64>,
    /// Steps of training done.
    pub step: Option<u64>,
    /// Pieces trained on.
    pub tokens: Option<u64>,
    /// Pieces a second.
    pub tokens_per_s: Option<f64>,
    /// The loss of the last step.
    pub loss: Option<f64>,
    /// Each level in training.
    pub levels: Vec<LevelShown>,
    /// Each level on code held out, as of the last validation.
    pub validation: Vec<LevelShown>,
    /// What went wrong, as the job told it.
    pub error: Option<String>,
    /// The document that the job ended with.
    #[schema(value_type = Option<Object>)]
    pub result: Option<serde_json::Value>,
}

/// A level's figures in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LevelShown {
    /// The level, from 1.
    pub level: usize,
    /// Loss in nats a piece.
    pub nll: f64,
    /// Share of pieces that its first guess got right.
    pub top1: f64,
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
