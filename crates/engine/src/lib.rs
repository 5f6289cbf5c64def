//! Inference on a CPU: loads a model folder, keeps sessions, predicts, generates and learns online.
//!
//! Called by `assist` and `cli`. It knows token ids only: it must not know about text, files of
//! source code, lexers or projects, and never writes a model folder.

mod beam;
mod config;
mod error;
mod folder;
mod generate;
mod learn;
mod mixture;
mod model;
mod passes;
mod predictor;
mod quantise;
mod sampling;
mod session;
mod together;
mod weights;
mod weights_file;

pub use beam::{Beam, BeamRequest};
pub use config::{FORMAT_VERSION, Manifest, NetworkConfig, Quantisation};
pub use error::EngineError;
pub use folder::{MODEL_FILES, ModelFolder};
pub use generate::{Allowed, Finish, GenerateRequest, Generated, Names, Step};
pub use learn::{
    Band, DeltaRow, Document, DocumentReader, DocumentStates, Episodic, EpisodicConfig, Evidence,
    ExitMlp, ExitMlpConfig, ExitMlpStep, Learned, LevelMemories, LevelMemoriesConfig,
    LevelsOutline, MemoriesIdentity, MemoryParts, MemoryStart, MlpBatch, MlpWeights, Optimiser,
    OutputDelta, OutputDeltaConfig, Recalled,
};
pub use mixture::{Component, Contribution, ExitSummary, Mixed, Mixture, Part, Speed};
pub use model::{Model, sha256_hex};
pub use predictor::{Predictor, Profile};
pub use quantise::{Agreement, CODE_BITS, agreement, int8_safetensors};
pub use sampling::Sampling;
pub use session::{ExitStates, Session};
pub use weights::{Precision, tensor_shapes};
pub use weights_file::{PACKED_WEIGHTS, PLAIN_WEIGHTS, pack_weights, read_weights_file};
