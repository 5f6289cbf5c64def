//! What a project has taught, in memory and on disk: counts, the log of what was learned, its history.
//!
//! `assist` cuts text into pieces and keeps a project here; the command line lists, rolls back, forgets, exports.
//! [`ProjectCounts`] are the counts that predictions are made from; [`ProjectStore`] is the folder they can be rebuilt
//! from at any time, [`ProjectWriter`] the same with the right to change it, [`Projects`] the place where projects lie.
//! The page docs/project-memory.md is the contract of the folder. This crate knows pieces, paths and hashes; it must not
//! know text, tokenizers or sources. What levels 2 and 3 have learned lies beside the log and is rebuilt from it.
#![forbid(unsafe_code)]

mod bundle;
mod counts;
mod erase;
mod error;
mod files;
mod header;
mod levels;
mod lock;
mod log;
mod name;
mod projects;
mod quarantine;
mod record;
mod replay;
mod ring;
mod seal;
mod segments;
mod store;
mod writer;

pub use bundle::BUNDLE_VERSION;
pub use counts::{CountedFile, OwnText, ProjectCounts};
pub use error::{MemoryError, NameProblem};
pub use header::{FORMAT_VERSION, Header, ModelIdentity};
pub use levels::{KeptLevels, LEVELS_FILE, Snapshot, TaughtLevels, Untaught};
pub use lock::WhenBusy;
pub use name::{ProjectName, fitting_name};
pub use projects::Projects;
pub use quarantine::{Harm, Quarantined};
pub use record::{Filtered, Operation, Record, Role, Root};
pub use replay::{LearnedFile, strand_of};
pub use segments::{MAX_PIECES, Place};
pub use store::{Cut, LoadProgress, ProjectStore};
pub use writer::{
    Change, FileToLearn, Forgotten, METADATA_FILE, METADATA_STALE_FILE, METADATA_STATE_FILE,
    ProjectWriter, RolledBack, SOURCES_FILE,
};
