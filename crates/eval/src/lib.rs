//! Metrics and protocols: how accurate each level of Nestor is, exactly as DESIGN 6 defines it.
//!
//! The command line and the report call this crate. It is pure: no printing, no clock, no files of its own; randomness
//! is a seed that the caller gives.

mod asked;
pub mod baseline;
pub mod beam;
pub mod bootstrap;
pub mod commits;
pub mod completer;
pub mod counts;
pub mod decode;
mod error;
mod evaluate;
pub mod ngram;
pub mod own_code;
pub mod results;
pub mod rounds;
pub mod strict;
pub mod tally;

pub use baseline::NgramBaseline;
pub use error::EvalError;
pub use evaluate::{Contestants, EvalConfig, EvalProgress, Source, SourceMetadata, evaluate};
pub use own_code::ProjectFile;
pub use results::{
    Adaptation, Evaluation, Level, LevelResult, Protocol, SlotResult, SourceSummary,
};
