//! Training runs as jobs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// `learn`, `teach` (levels 2 and 3, while nobody works) or `train`.
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
    /// Pieces trained on, or taught to levels 2 and 3.
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
