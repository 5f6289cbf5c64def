//! What followed long contexts of the training corpus, where the pruned n-grams would say something else.
//!
//! Code of libraries is copied into configurations and changed here and there. A context of eight tokens and more tells such
//! a copy from code of one's own, and what it says is nearly always one token. So a context is stored as 32 bits of its hash
//! with one token, and only where the shorter contexts of [`crate::CorpusNgram`] (or a shorter one here) are wrong: six
//! times more contexts than counts would take in the same bytes. A foreign context hits an entry by chance about once in a
//! thousand questions; the smoothing knows ([`crate::smoothing`]).
//!
//! Called by `corpus_ngram`; built by `long_build`. Knows token ids only.

use std::path::Path;

use crate::chain::ContextHash;
use crate::error::CacheError;
use crate::format::{Kind, Reader, name_file, put_varint, read_file, write_file};
use crate::ngram::check_vocab_size;

/// Lengths of the stored contexts, in tokens.
pub const LONG_ORDERS: [usize; 2] = [8, 16];

const KIND: Kind = Kind {
    magic: b"NestorLC",
    version: 1,
    what: "long contexts",
};

const COMPRESSION_LEVEL: i32 = 19;

/// Long contexts of one corpus. Immutable.
#[derive(Clone, Debug, PartialEq)]
pub struct LongContexts {
    vocab_size: usize,
    /// One a length of [`LONG_ORDERS`].
    tables: [Table; LONG_ORDERS.len()],
}

/// Contexts of one length.
#[derive(Clone, Debug, PartialEq)]
struct Table {
    /// Hashes, rising, all different.
    keys: Vec<u32>,
    /// What follows, one a key.
    tokens: Vec<u16>,
    /// Where the keys of each slot start; one more closes the last. A slot holds a few keys with the same highest bits.
    slots: Vec<u32>,
    /// Lowest bits that a slot does not tell apart.
    slot_shift: u32,
}

impl LongContexts {
    /// Contexts of each length with what follows them; of two entries with one hash the first stays.
    pub(crate) fn new(
        vocab_size: usize,
        mut entries: [Vec<(u32, u16)>; LONG_ORDERS.len()],
    ) -> Self {
        let tables = std::array::from_fn(|index| {
            let entries = &mut entries[index];
            entries.sort_by_key(|entry| entry.0);
            entries.dedup_by_key(|entry| entry.0);
            let (keys, tokens) = entries.iter().copied().unzip();
            Table::new(keys, tokens)
        });
        Self { vocab_size, tables }
    }

    /// Vocabulary the contexts were built for.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Stored contexts of each length of [`LONG_ORDERS`].
    pub fn entries(&self) -> [usize; LONG_ORDERS.len()] {
        std::array::from_fn(|index| self.tables[index].keys.len())
    }

    /// Resident bytes.
    pub fn bytes(&self) -> usize {
        self.tables
            .iter()
            .map(|table| table.keys.len() * 6 + table.slots.len() * 4)
            .sum()
    }

    /// Calls `found` with the length and the continuation of every context that ends `context`, shortest first.
    pub(crate) fn look_up(&self, context: &[u32], mut found: impl FnMut(usize, u16)) {
        let hashes = long_hashes(context.iter().rev().copied());
        for (index, order) in LONG_ORDERS.into_iter().enumerate() {
            if let Some(token) = hashes[index].and_then(|hash| self.tables[index].get(hash)) {
                found(order, token);
            }
        }
    }

    /// The contexts as the bytes of their file. `unigrams` orders tokens by their frequency, which makes them small numbers.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] when compression fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CacheError> {
        let mut body = Vec::new();
        let ranks = self.tokens_by_frequency();
        let mut rank_of = vec![0u16; self.vocab_size];
        for (rank, &token) in ranks.iter().enumerate() {
            rank_of[usize::from(token)] = rank as u16;
        }
        put_varint(&mut body, ranks.len() as u64);
        for &token in &ranks {
            put_varint(&mut body, u64::from(token));
        }
        for table in &self.tables {
            put_varint(&mut body, table.keys.len() as u64);
            put_rice(&mut body, &table.keys);
            let ranks = || {
                table
                    .tokens
                    .iter()
                    .map(|&token| rank_of[usize::from(token)])
            };
            body.extend(ranks().map(|rank| (rank >> 8) as u8));
            body.extend(ranks().map(|rank| rank as u8));
        }
        KIND.frame(self.vocab_size, &body, COMPRESSION_LEVEL)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] naming what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CacheError> {
        let (vocab_size, body) = KIND.unframe(bytes)?;
        check_vocab_size(vocab_size)?;
        read_body(vocab_size, &body).map_err(|reason| KIND.corrupt(reason))
    }

    /// Writes the contexts to a file, whole or not at all.
    ///
    /// # Errors
    /// [`CacheError::Io`] naming the file.
    pub fn save(&self, path: &Path) -> Result<(), CacheError> {
        write_file(path, &self.to_bytes()?)
    }

    /// Reads contexts from a file.
    ///
    /// # Errors
    /// [`CacheError::Io`] or [`CacheError::Corrupt`], both naming the file.
    pub fn load(path: &Path) -> Result<Self, CacheError> {
        Self::from_bytes(&read_file(path)?).map_err(|error| name_file(error, path))
    }

    /// Tokens that follow a stored context, the most frequent first.
    fn tokens_by_frequency(&self) -> Vec<u16> {
        let mut counts = vec![0u32; self.vocab_size];
        for &token in self.tables.iter().flat_map(|table| &table.tokens) {
            counts[usize::from(token)] += 1;
        }
        let mut tokens: Vec<u16> = (0..self.vocab_size as u32)
            .map(|token| token as u16)
            .filter(|&token| counts[usize::from(token)] > 0)
            .collect();
        tokens.sort_by_key(|&token| std::cmp::Reverse(counts[usize::from(token)]));
        tokens
    }
}

impl Table {
    fn new(keys: Vec<u32>, tokens: Vec<u16>) -> Self {
        let slot_bits = (keys.len() / 4).max(2).ilog2();
        let slot_shift = 32 - slot_bits;
        let mut slots = vec![0u32; (1 << slot_bits) + 1];
        for &key in &keys {
            slots[(key >> slot_shift) as usize + 1] += 1;
        }
        for slot in 1..slots.len() {
            slots[slot] += slots[slot - 1];
        }
        Self {
            keys,
            tokens,
            slots,
            slot_shift,
        }
    }

    fn get(&self, key: u32) -> Option<u16> {
        let slot = (key >> self.slot_shift) as usize;
        let (start, end) = (self.slots[slot] as usize, self.slots[slot + 1] as usize);
        let at = self.keys[start..end].binary_search(&key).ok()?;
        Some(self.tokens[start + at])
    }
}

/// Hashes of the contexts of [`LONG_ORDERS`], given the tokens newest first; `None` where there are fewer.
pub(crate) fn long_hashes(
    newest_first: impl Iterator<Item = u32>,
) -> [Option<u32>; LONG_ORDERS.len()] {
    let mut hashes = [None; LONG_ORDERS.len()];
    let mut hash = ContextHash::default();
    let mut next = 0;
    for (index, token) in newest_first.enumerate() {
        hash.push_older(token);
        if index + 1 == LONG_ORDERS[next] {
            hashes[next] = Some((hash.finish() >> 32) as u32);
            next += 1;
            if next == LONG_ORDERS.len() {
                break;
            }
        }
    }
    hashes
}

/// Rising, different numbers: gaps in Golomb-Rice code, whose parameter stands before them.
fn put_rice(body: &mut Vec<u8>, keys: &[u32]) {
    let parameter = rice_parameter(keys.len());
    body.push(parameter);
    let mut bits = BitWriter::default();
    let mut next = 0u64;
    for &key in keys {
        let gap = u64::from(key) - next;
        for _ in 0..gap >> parameter {
            bits.push(1, 1);
        }
        bits.push(0, 1);
        bits.push(gap & ((1 << parameter) - 1), parameter);
        next = u64::from(key) + 1;
    }
    let packed = bits.finish();
    put_varint(body, packed.len() as u64);
    body.extend(packed);
}

/// The parameter that suits so many even numbers below 2^32.
fn rice_parameter(count: usize) -> u8 {
    let mean = (1u64 << 32) / (count as u64).max(1);
    // A gap is about exponential; its median is ln 2 of the mean.
    (mean * 7 / 10).max(1).ilog2().min(31) as u8
}

fn read_rice(reader: &mut Reader<'_>, count: usize) -> Option<Vec<u32>> {
    let parameter = reader.take(1)?[0];
    if parameter > 31 {
        return None;
    }
    let len = usize::try_from(reader.varint()?).ok()?;
    let packed = reader.take(len)?;
    // A number takes a bit at least: checked before anything of that size is allocated.
    if count > packed.len().checked_mul(8)? {
        return None;
    }
    let mut bits = BitReader::new(packed);
    let mut keys = Vec::with_capacity(count);
    let mut next = 0u64;
    for _ in 0..count {
        let mut high = 0u64;
        while bits.take(1)? == 1 {
            high += 1;
        }
        let key = next + (high << parameter | bits.take(parameter)?);
        keys.push(u32::try_from(key).ok()?);
        next = key + 1;
    }
    Some(keys)
}

fn read_body(vocab_size: usize, body: &[u8]) -> Result<LongContexts, &'static str> {
    const SHORT: &str = "it ends too early";
    let mut reader = Reader::new(body);
    let n_ranks = reader.varint().ok_or(SHORT)? as usize;
    if n_ranks > vocab_size {
        return Err("it names more tokens than its vocabulary has");
    }
    let mut ranks = Vec::with_capacity(n_ranks);
    for _ in 0..n_ranks {
        let token = reader.varint().ok_or(SHORT)?;
        if token >= vocab_size as u64 {
            return Err("a token is outside the vocabulary");
        }
        ranks.push(token as u16);
    }
    let mut tables = LONG_ORDERS.map(|_| Table::new(Vec::new(), Vec::new()));
    for table in &mut tables {
        let count = reader.varint().ok_or(SHORT)? as usize;
        let keys = read_rice(&mut reader, count).ok_or("its hashes are malformed")?;
        let high = reader.take(count).ok_or(SHORT)?;
        let low = reader.take(count).ok_or(SHORT)?;
        let tokens = high
            .iter()
            .zip(low)
            .map(|(&high, &low)| {
                ranks
                    .get(usize::from(high) << 8 | usize::from(low))
                    .copied()
            })
            .collect::<Option<Vec<u16>>>()
            .ok_or("a token has no name")?;
        *table = Table::new(keys, tokens);
    }
    if reader.remaining() > 0 {
        return Err("there are bytes after its end");
    }
    Ok(LongContexts { vocab_size, tables })
}

/// Bits into bytes, lowest first.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    n_pending: u32,
}

impl BitWriter {
    /// Appends the lowest `count` (at most 32) bits of `value`.
    fn push(&mut self, value: u64, count: u8) {
        self.pending |= value << self.n_pending;
        self.n_pending += u32::from(count);
        while self.n_pending >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.n_pending -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.n_pending > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    pending: u64,
    n_pending: u32,
}

impl<'a> BitReader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            pending: 0,
            n_pending: 0,
        }
    }

    /// The next `count` (at most 32) bits; `None` at the end.
    fn take(&mut self, count: u8) -> Option<u64> {
        while self.n_pending < u32::from(count) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            self.pending |= u64::from(byte) << self.n_pending;
            self.n_pending += 8;
        }
        let value = self.pending & ((1 << count) - 1);
        self.pending >>= count;
        self.n_pending -= u32::from(count);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VOCAB: usize = 700;

    fn some(entries: [Vec<(u32, u16)>; 2]) -> LongContexts {
        LongContexts::new(VOCAB, entries)
    }

    #[test]
    fn a_stored_context_is_found_by_its_last_tokens() {
        let context: Vec<u32> = (0..40).map(|i| i * 17 % VOCAB as u32).collect();
        let [short, long] = long_hashes(context.iter().rev().copied()).map(Option::unwrap);
        let contexts = some([vec![(short, 5), (7, 1)], vec![(long, 699)]]);
        let found = |context: &[u32]| {
            let mut found = Vec::new();
            contexts.look_up(context, |order, token| found.push((order, token)));
            found
        };
        assert_eq!(found(&context), [(8, 5), (16, 699)]);
        assert_eq!(found(&context[24..]), [(8, 5), (16, 699)]);
        assert_eq!(found(&context[25..]), [(8, 5)]);
        assert_eq!(found(&context[33..]), []);
        assert_eq!(found(&context[..39]), []);
        assert_eq!(found(&[]), []);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            first in prop::collection::vec((any::<u32>(), 0..VOCAB as u16), 0..300),
            second in prop::collection::vec((any::<u32>(), 0..VOCAB as u16), 0..3),
        ) {
            let contexts = some([first, second]);
            let back = LongContexts::from_bytes(&contexts.to_bytes().unwrap()).unwrap();
            prop_assert_eq!(back, contexts);
        }

        #[test]
        fn damaged_content_is_refused_without_a_panic(
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            // Past the frame's hash, so that the reader of the content itself is what meets it.
            let _ = read_body(VOCAB, &body);
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contexts.bin");
        let contexts = some([vec![(1, 2), (u32::MAX, 3)], vec![]]);
        contexts.save(&path).unwrap();
        assert_eq!(LongContexts::load(&path).unwrap(), contexts);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = LongContexts::load(&path).unwrap_err().to_string();
        assert!(error.contains("contexts.bin"), "{error}");
    }
}
