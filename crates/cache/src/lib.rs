//! Exact nested n-gram distributions over token ids, the gate that mixes them with the network, and tries of candidates.
//!
//! [`NestedCache`] holds the nests (shipped [`CorpusNgram`], project, folder, file) and predicts three full distributions,
//! each backing off into the next outer one. [`Gate`] turns [`features`] into weights, [`mix()`] mixes. Used by `engine`,
//! `assist`, `eval` and `memory`; must not know text, tokenizers or networks.

mod candidates;
mod chain;
mod context_sample;
pub mod corpus_build;
mod corpus_format;
mod corpus_ngram;
mod counts;
mod error;
mod evidence;
pub mod features;
mod format;
pub mod gate;
pub mod gate_fit;
pub mod long_build;
mod long_contexts;
mod mix;
mod nested;
mod ngram;
mod ngram_format;
mod refine;
mod smoothing;
mod subtraction;
mod summary;
pub mod trie;

pub use candidates::{
    CANDIDATE_COMPONENTS, CANDIDATE_FEATURES, CandidateMixer, CandidateNames, CandidatePlace,
    check_candidate_gate,
};
pub use context_sample::ContextSample;
pub use corpus_build::{CorpusBuildOptions, CorpusBuilder};
pub use corpus_ngram::{CorpusNgram, MAX_CORPUS_CONTEXT};
pub use error::CacheError;
pub use features::{ExitDistribution, feature_count, gate_features};
pub use gate::{
    GATE_SETS, Gate, GateSet, MEMORY_GATE_SETS, component_names, memory_component_names,
};
pub use gate_fit::{FitOptions, FitReport, GateExample};
pub use long_build::LongContextBuilder;
pub use long_contexts::{LONG_ORDERS, LongContexts};
pub use mix::mix;
pub use nested::{NESTS, Nest, NestPrediction, NestedCache, SourceMatch};
pub use ngram::{MAX_ORDER, MAX_VOCAB_SIZE, Ngram, SegmentId};
pub use refine::{LikelyTokens, RefineReport, refine};
pub use smoothing::{SOURCES, Source};
pub use subtraction::Subtraction;
pub use summary::{Summary, summarise};
pub use trie::CandidateTrie;
