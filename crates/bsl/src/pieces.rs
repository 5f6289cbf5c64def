//! Pieces: the units the network reads and writes.
//!
//! [`split_words`] cuts a text into words, [`Tokenizer`] cuts words into pieces with a byte-level BPE. The corpus
//! builder trains on the same words, so a piece never crosses a border of `split_words`. Nothing here knows what the
//! network does with a piece.

mod byte_level;
mod tokenizer;
mod words;

pub use byte_level::{byte_level, byte_level_alphabet};
pub use tokenizer::{
    BYTE_PIECES, EOF, EOM, FILE, FIRST_BYTE, PAD, PRE, SPECIAL_TOKENS, SUF, Tokenizer,
    TokenizerError, WhiteSpaceClass,
};
pub use words::{MAX_WORD_BYTES, split_words};
