//! The tokenizer as it runs: words to piece ids and back.
//!
//! The BPE itself is the `tokenizers` crate's; around it stand our own words, a cache of words that were cut before
//! (source text repeats itself, so most words are looked up), and what the decoder of completions asks about a piece.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokenizers::models::bpe::BPE;
use tokenizers::{Model, ModelWrapper};

use super::byte_level::{byte_level, char_byte};
use super::words::split_words;
use crate::lexer::is_name_char;

/// Fills up a batch; never scored.
pub const PAD: u32 = 0;
/// Start of a file; its header follows.
pub const FILE: u32 = 1;
/// The suffix of a fill-in-the-middle document follows.
pub const SUF: u32 = 2;
/// The text (or prefix) follows.
pub const PRE: u32 = 3;
/// End of the middle.
pub const EOM: u32 = 4;
/// End of the file.
pub const EOF: u32 = 5;
/// The special pieces in the order of their ids, as `tokenizer.json` names them.
pub const SPECIAL_TOKENS: [&str; 8] = [
    "<pad>",
    "<file>",
    "<suf>",
    "<pre>",
    "<eom>",
    "<eof>",
    "<reserved6>",
    "<reserved7>",
];
/// The first of the 256 pieces of one byte.
pub const FIRST_BYTE: u32 = SPECIAL_TOKENS.len() as u32;
/// The ids of the pieces of one byte, in the order of the byte-level alphabet.
pub const BYTE_PIECES: Range<u32> = FIRST_BYTE..FIRST_BYTE + 256;

/// Why a `tokenizer.json` cannot be used.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not a file of the `tokenizers` crate.
    #[error("not a tokenizer file: {0}")]
    Format(String),
    /// Another model than BPE.
    #[error("the tokenizer's model is not BPE")]
    NotBpe,
    /// An option that changes what a piece is.
    #[error("the tokenizer's BPE sets `{0}`, which Nestor's pieces do not know")]
    Option(&'static str),
    /// A special piece is missing or has another id.
    #[error("the tokenizer lacks `{token}` with id {expected} (found: {found:?})")]
    Special {
        /// Its name.
        token: &'static str,
        /// The id it must have.
        expected: u32,
        /// The id it has.
        found: Option<u32>,
    },
    /// A byte has no piece of its own, so some text could not be encoded.
    #[error("the tokenizer has no piece for byte 0x{0:02X} among ids 8..264")]
    Byte(u8),
    /// Ids are not 0..n without gaps.
    #[error("the tokenizer has no piece with id {0}")]
    Gap(u32),
    /// A piece with a character outside the byte-level alphabet.
    #[error("piece {id} `{piece}` is not written in the byte-level alphabet")]
    Alphabet {
        /// Its id.
        id: u32,
        /// Its text in the file.
        piece: String,
    },
}

/// How a piece begins with white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhiteSpaceClass {
    /// It has none, or has it behind something visible.
    None,
    /// One space, then something visible.
    LeadingSpace,
    /// White space only.
    Only,
    /// A special piece: no text at all.
    Special,
}

/// A trained byte-level BPE.
///
/// Shared between threads as it is; the cache of words is inside and bounded.
pub struct Tokenizer {
    bpe: BPE,
    /// The bytes of every piece, one after another; special pieces have none.
    bytes: Vec<u8>,
    /// Where piece `id` starts in `bytes`; one more at the end.
    starts: Vec<u32>,
    white: Vec<WhiteSpaceClass>,
    byte_ids: [u32; 256],
    /// The ids of all pieces that have text, in the order of their bytes.
    sorted: Vec<u32>,
    sha256: String,
    cache: [RwLock<WordCache>; CACHE_SHARDS],
}

type WordCache = FxHashMap<Box<str>, Box<[u32]>>;

const CACHE_SHARDS: usize = 16;
/// A full shard is emptied: names of one configuration come and go together.
const CACHE_WORDS_PER_SHARD: usize = 16_384;

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("sha256", &self.sha256)
            .finish()
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| TokenizerError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(&bytes)
    }

    /// Reads the bytes of a `tokenizer.json`. Only its model counts: words are cut by [`split_words`], always.
    pub fn from_bytes(file: &[u8]) -> Result<Self, TokenizerError> {
        let parsed = tokenizers::Tokenizer::from_bytes(file)
            .map_err(|error| TokenizerError::Format(error.to_string()))?;
        let ModelWrapper::BPE(bpe) = parsed.get_model() else {
            return Err(TokenizerError::NotBpe);
        };
        let bpe = bpe.clone();
        refuse_options(&bpe)?;
        let pieces = Pieces::read(&bpe)?;
        let sha256 = Sha256::digest(file)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let white = (0..pieces.starts.len() - 1)
            .map(|id| white_space_class(pieces.of(id as u32)))
            .collect();
        let mut sorted: Vec<u32> = (FIRST_BYTE..pieces.starts.len() as u32 - 1).collect();
        sorted.sort_by(|&a, &b| pieces.of(a).cmp(pieces.of(b)));
        Ok(Tokenizer {
            bpe,
            white,
            sorted,
            sha256,
            bytes: pieces.bytes,
            starts: pieces.starts,
            byte_ids: pieces.byte_ids,
            cache: Default::default(),
        })
    }

    /// The pieces of `text`. Never a special one, whatever the text says.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4);
        for word in split_words(text) {
            self.encode_word(&text[word], &mut ids);
        }
        ids
    }

    /// The pieces of `text`, each with the bytes of the text it stands for. A piece may begin or end within a character.
    pub fn encode_with_spans(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let mut at = 0;
        self.encode(text)
            .into_iter()
            .map(|id| {
                let start = at;
                at += self.piece(id).len();
                (id, start..at)
            })
            .collect()
    }

    /// The bytes that `ids` stand for. Special pieces and ids outside the vocabulary stand for nothing.
    pub fn decode(&self, ids: &[u32]) -> Vec<u8> {
        ids.iter().flat_map(|&id| self.piece(id)).copied().collect()
    }

    /// The bytes of one piece; empty for special pieces and ids outside the vocabulary.
    pub fn piece(&self, id: u32) -> &[u8] {
        match (
            self.starts.get(id as usize),
            self.starts.get(id as usize + 1),
        ) {
            (Some(&start), Some(&end)) => &self.bytes[start as usize..end as usize],
            _ => &[],
        }
    }

    /// Number of pieces, special ones included; ids are below it.
    pub fn vocab_size(&self) -> usize {
        self.starts.len() - 1
    }

    /// SHA-256 of the file, in lower-case hexadecimal. Models and corpora name their tokenizer by it.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The piece that is just this byte.
    pub fn byte_id(&self, byte: u8) -> u32 {
        self.byte_ids[byte as usize]
    }

    /// How the piece begins with white space. Ids outside the vocabulary count as special.
    pub fn white_space_class(&self, id: u32) -> WhiteSpaceClass {
        self.white
            .get(id as usize)
            .copied()
            .unwrap_or(WhiteSpaceClass::Special)
    }

    /// Whether this piece would begin a new code token after a token that ends with `prev_last_char`.
    ///
    /// White space and special pieces always do. A piece that begins in the middle of a character never does, and one that
    /// holds only the first byte of a Cyrillic letter counts as a letter. A dot after a digit begins a new token:
    /// names that end with a digit are far more frequent than fractions. A name after `&` begins one too: no other token
    /// than the mark of a query parameter ends with `&`.
    pub fn starts_new_token(&self, prev_last_char: char, id: u32) -> bool {
        let first = match first_char(self.piece(id)) {
            FirstChar::None => return true,
            FirstChar::Tail => return false,
            FirstChar::Char(c) => c,
        };
        match (prev_last_char, first) {
            ('<', '>' | '=') | ('>', '=') | ('/', '/') => false,
            (previous, next) => !(is_name_char(previous) && is_name_char(next)),
        }
    }

    /// Ids whose bytes start with `prefix`, and ids whose bytes are a proper prefix of it: what may be written first
    /// when the text ends with the half-typed `prefix`. With an empty prefix, every piece that has text.
    pub fn with_prefix(&self, prefix: &[u8]) -> Vec<u32> {
        let find = |bytes: &[u8]| self.sorted.partition_point(|&id| self.piece(id) < bytes);
        let mut ids: Vec<u32> = (1..prefix.len())
            .filter_map(|len| {
                let id = *self.sorted.get(find(&prefix[..len]))?;
                (self.piece(id) == &prefix[..len]).then_some(id)
            })
            .collect();
        let longer = &self.sorted[find(prefix)..];
        ids.extend(
            longer
                .iter()
                .take_while(|&&id| self.piece(id).starts_with(prefix)),
        );
        ids
    }

    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        if let [byte] = word.as_bytes() {
            ids.push(self.byte_id(*byte));
            return;
        }
        let shard = &self.cache[shard_of(word)];
        if let Some(cached) = shard
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(word)
        {
            ids.extend_from_slice(cached);
            return;
        }
        let cut = self.cut(word);
        ids.extend_from_slice(&cut);
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= CACHE_WORDS_PER_SHARD {
            shard.clear();
        }
        shard.insert(word.into(), cut);
    }

    fn cut(&self, word: &str) -> Box<[u32]> {
        match self.bpe.tokenize(&byte_level(word.as_bytes())) {
            Ok(tokens) => tokens.into_iter().map(|token| token.id).collect(),
            // The BPE fails only where it lacks a character, and `from_bytes` has seen all 256.
            Err(_) => word.bytes().map(|byte| self.byte_id(byte)).collect(),
        }
    }
}

fn refuse_options(bpe: &BPE) -> Result<(), TokenizerError> {
    let options = [
        ("dropout", bpe.dropout.is_some_and(|dropout| dropout != 0.0)),
        (
            "continuing_subword_prefix",
            bpe.continuing_subword_prefix
                .as_ref()
                .is_some_and(|prefix| !prefix.is_empty()),
        ),
        (
            "end_of_word_suffix",
            bpe.end_of_word_suffix
                .as_ref()
                .is_some_and(|suffix| !suffix.is_empty()),
        ),
        ("byte_fallback", bpe.byte_fallback),
        ("ignore_merges", bpe.ignore_merges),
    ];
    options
        .into_iter()
        .find(|(_, is_set)| *is_set)
        .map_or(Ok(()), |(name, _)| Err(TokenizerError::Option(name)))
}

/// The vocabulary of a BPE, checked and turned back into bytes.
struct Pieces {
    bytes: Vec<u8>,
    starts: Vec<u32>,
    byte_ids: [u32; 256],
}

impl Pieces {
    fn read(bpe: &BPE) -> Result<Self, TokenizerError> {
        let vocab = bpe.get_vocab();
        for (expected, token) in SPECIAL_TOKENS.into_iter().enumerate() {
            let found = vocab.get(token).copied();
            if found != Some(expected as u32) {
                return Err(TokenizerError::Special {
                    token,
                    expected: expected as u32,
                    found,
                });
            }
        }
        let mut names: Vec<Option<&str>> = vec![None; vocab.len()];
        for (name, &id) in &vocab {
            if let Some(slot) = names.get_mut(id as usize) {
                *slot = Some(name);
            }
        }
        let mut pieces = Pieces {
            bytes: Vec::new(),
            starts: vec![0],
            byte_ids: [u32::MAX; 256],
        };
        for (id, name) in names.into_iter().enumerate() {
            let id = id as u32;
            let name = name.ok_or(TokenizerError::Gap(id))?;
            if id >= FIRST_BYTE {
                pieces.push(id, name)?;
            }
            pieces.starts.push(pieces.bytes.len() as u32);
        }
        match pieces
            .byte_ids
            .iter()
            .position(|id| !BYTE_PIECES.contains(id))
        {
            Some(byte) => Err(TokenizerError::Byte(byte as u8)),
            None => Ok(pieces),
        }
    }

    fn push(&mut self, id: u32, name: &str) -> Result<(), TokenizerError> {
        let start = self.bytes.len();
        for c in name.chars() {
            let byte = char_byte(c).ok_or_else(|| TokenizerError::Alphabet {
                id,
                piece: name.to_owned(),
            })?;
            self.bytes.push(byte);
        }
        if let [byte] = self.bytes[start..] {
            self.byte_ids[byte as usize] = id;
        }
        Ok(())
    }

    fn of(&self, id: u32) -> &[u8] {
        &self.bytes[self.starts[id as usize] as usize..self.starts[id as usize + 1] as usize]
    }
}

fn white_space_class(piece: &[u8]) -> WhiteSpaceClass {
    let visible = piece
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    match visible {
        None if piece.is_empty() => WhiteSpaceClass::Special,
        None => WhiteSpaceClass::Only,
        Some(0) => WhiteSpaceClass::None,
        Some(_) => WhiteSpaceClass::LeadingSpace,
    }
}

enum FirstChar {
    /// The piece has no text.
    None,
    /// The piece begins within a character.
    Tail,
    Char(char),
}

fn first_char(piece: &[u8]) -> FirstChar {
    let Some(&lead) = piece.first() else {
        return FirstChar::None;
    };
    let len = match lead {
        0x00..=0x7F => return FirstChar::Char(lead as char),
        0x80..=0xBF => return FirstChar::Tail,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    };
    match piece
        .get(..len)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| text.chars().next())
    {
        Some(c) => FirstChar::Char(c),
        // The rest of the character is in the next piece. Two-byte characters are letters but for a few Latin-1 marks.
        None if len == 2 && lead != 0xC2 => FirstChar::Char('Я'),
        None => FirstChar::Char('\u{fffd}'),
    }
}

fn shard_of(word: &str) -> usize {
    let bytes = word.as_bytes();
    // The last bytes of Cyrillic words differ most.
    let last = bytes.len() - 1;
    (usize::from(bytes[last]) ^ usize::from(bytes[last / 2]) ^ bytes.len()) % CACHE_SHARDS
}

#[cfg(test)]
mod tests;
