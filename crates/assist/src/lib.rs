//! The assistant in editor terms: complete code in an open document, learn a project.
//!
//! Called by the command line, later by the server and the language server; the evaluation uses its scorer so that what
//! is measured is what users get. Requests and answers are plain structs; wire formats, sockets and terminals belong to the
//! callers. It puts text (`bsl`), counts (`cache`), projects (`memory`) and the network (`engine`) together and must not
//! know how a model was trained.

pub mod assistant;
pub mod body;
pub mod canary;
pub mod candidate_gates;
pub mod complete;
pub mod document;
pub mod error;
pub mod filter;
pub mod gates;
mod handlers;
pub mod healing;
pub mod learning_rates;
pub mod lookahead;
pub mod members;
pub mod memory;
pub mod memory_start;
pub mod metadata;
pub mod metadata_updates;
pub mod mixture;
pub mod open;
pub mod open_documents;
pub mod paths;
pub mod probe;
pub mod project;
mod renaming;
pub mod show;
pub mod signs;
mod spelling;
pub mod stop;
pub mod stream;
pub mod teach;
pub mod typed;

pub use assistant::{Assistant, LearnFile, LearnProgress, LearnReport, Parts};
pub use body::BodyPlace;
pub use canary::CanaryConfig;
pub use complete::{
    CompleteRequest, Completion, CompletionToken, Growing, PartShare, StopReason, Timings,
};
pub use error::AssistError;
pub use filter::{Reason, Teaches, Verdict};
pub use memory::ProjectMemory;
// What the servers need to name positions and projects; they use no crate below this one.
pub use metadata::{GrowingMetadata, MetadataFile, MetadataIndex, is_description};
pub use metadata_updates::MetadataUpdates;
pub use nestor_bsl::position::{ByteOffset, Line, LineIndex, Utf16Col};
pub use nestor_cache::{CorpusNgram, FitOptions, GateSet};
pub use nestor_engine::{
    EngineError, LevelMemories, LevelMemoriesConfig, MODEL_FILES, MemoryParts, Model,
    NetworkConfig, Sampling, Speed,
};
pub use nestor_memory::{
    Header, LearnedFile, METADATA_FILE, MemoryError, ProjectName, ProjectStore, ProjectWriter,
    Projects, Role, Root, SOURCES_FILE, WhenBusy, fitting_name,
};
pub use nestor_metadata::Metadata;
pub use open::OpenDocument;
pub use open_documents::{GivenUp, OpenDocuments};
pub use probe::ExitLosses;
pub use project::{Counts, HeldBack, ProjectLearning, ProjectReport};
pub use renaming::Renaming;
pub use show::ShowFeatures;
pub use stop::StopRule;
pub use teach::{TeachProgress, TeachReport};
pub use typed::RowHits;
