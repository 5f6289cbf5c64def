//! The 1C:Enterprise language (BSL `.bsl`, OneScript `.os`) as Nestor sees it.
//!
//! Every other crate that touches source text goes through here: the corpus builder cuts files into methods and
//! pieces, the assistant finds its place in an open document, the evaluation scores code tokens. This crate knows
//! text and nothing else: no files' metadata (XML, MDO), no model, no project memory.
//!
//! Two rules hold everywhere. The lexer is lossless: its tokens, put together, give the text back. And no input is
//! refused for being wrong BSL: unfinished strings, stray quotes and half-typed words become tokens like any other.
#![forbid(unsafe_code)]

pub mod code_tokens;
pub mod keywords;
pub mod lexer;
pub mod measures;
pub mod methods;
pub mod module_path;
pub mod pieces;
pub mod position;
pub mod query;
pub mod regions;
pub mod similarity;
pub mod text;
pub mod tree;

pub use code_tokens::{CodeToken, Slot, TokenClass, code_tokens, token_text};
pub use methods::{Method, method_hash, methods};
pub use module_path::ModulePath;
pub use pieces::{Tokenizer, split_words};
pub use text::{LineEnd, NormalisedText, TextError, normalise};
