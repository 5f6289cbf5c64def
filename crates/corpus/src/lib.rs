//! Source code in, token shards out: everything between a folder of 1C code and the training loader.
//!
//! The `corpus` commands build and inspect a corpus through [`build`](mod@build), [`stats`] and [`sample`]; the training
//! loader reads it through [`Corpus`]; the evaluation and the assistant read projects directly through [`source`]. This
//! crate knows projects, files, methods and duplicates. It must not know the network, nor how a loader cuts its batches.
//!
//! A corpus is a folder: `manifest.json` (what went in and what came out, the same for the same input), `tokenizer.json`,
//! `index.jsonl.zst` (files and methods) and `shards/` (tokens). It appears whole or not at all.
#![forbid(unsafe_code)]

pub mod build;
pub mod duplicates;
mod error;
pub mod list;
pub mod manifest;
pub mod progress;
pub mod sample;
pub mod shards;
pub mod source;
pub mod stats;
#[cfg(test)]
mod test_sources;
pub mod tokenizer_training;

pub use build::{BuildConfig, SourceSpec, build};
pub use error::CorpusError;
pub use manifest::{Manifest, Role};
pub use progress::{Phase, Progress, Step};
pub use sample::{Samples, sample};
pub use shards::{Corpus, FileEntry, FileRecord, MethodSpan, Project};
pub use source::{ReadReport, Source, SourceFile};
