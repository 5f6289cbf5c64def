//! Training of Nestor's network on a corpus: loading, optimisers, schedule, checkpoints, record.
//!
//! Called by `cli` through [`run`]. It must not know how source code becomes a corpus, nor how a
//! trained model answers; it hands over a model folder.

mod bench;
mod checkpoint;
mod config;
mod device;
mod error;
mod exchange;
mod export;
mod loader;
mod optimise;
mod record;
mod run;
mod schedule;
mod start;
#[cfg(test)]
mod test_corpus;
mod trainer;

pub use bench::{BenchReport, PARITY_TOLERANCE, ParityReport, bench_loader};
pub use checkpoint::{Checkpoint, NamedTensor, RunState};
pub use config::{Device, Intervals, LoaderConfig, OptimiserConfig, Size, TrainConfig};
pub use device::{bench_step, parity};
pub use error::TrainError;
pub use exchange::{TrainedElsewhere, adopt, write_batches};
pub use export::write_whole;
pub use record::{
    Event, Header, LevelScore, Record, Step, Summary, resident_bytes, resident_bytes_of,
};
pub use run::{Control, run};
pub use schedule::{Budget, Schedule, Shape};
pub use trainer::Phases;
