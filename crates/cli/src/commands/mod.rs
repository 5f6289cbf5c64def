//! One module per command: `Typed` is what was typed, `run` resolves it into settings and does the work.

pub mod bench;
pub mod complete;
pub mod corpus;
pub mod eval;
pub mod keys;
pub mod learn;
pub mod lsp;
pub mod models;
pub mod project;
pub mod quantize;
pub mod quickstart;
pub mod serve;
pub mod train;
