//! One nest: an exact n-gram model of a growing token stream (a project, a module folder, a file).
//!
//! The stream itself is stored; orders 0 to 2 are counted exactly, longer contexts are found through posting chains
//! ([`CHAIN_ORDERS`]) and compared token by token, up to [`Ngram::max_order`]. A query looks at a bounded number of the
//! most recent occurrences per chain, so it costs the same in a file and in a project of 70 M tokens. Memory: 2 bytes a
//! token for the stream, 4 per chain order, 4 to 8 per distinct context. Called by `nested` and by whoever learns code;
//! knows token ids, never text.

use std::ops::Range;

use crate::chain::{Chain, make_room};
use crate::context_sample::ContextSample;
use crate::counts::LowOrderCounts;
use crate::error::CacheError;

/// Context orders with posting chains; every length between them is found by comparing the tokens further back.
pub(crate) const CHAIN_ORDERS: [usize; 3] = [3, 6, 12];

/// Longest context that is ever compared.
pub const MAX_ORDER: usize = 32;

/// Largest vocabulary: ids are stored in 16 bits and one value marks borders between segments.
pub const MAX_VOCAB_SIZE: usize = u16::MAX as usize;

/// Stands before every segment; equals no token, so contexts never cross it.
const SEPARATOR: u16 = u16::MAX;

/// A learned piece of the stream (a file); stays valid until it is unlearned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub usize);

#[derive(Clone, Copy, Debug)]
struct Segment {
    start: usize,
    len: usize,
    live: bool,
}

/// Counts of one nest. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Ngram {
    vocab_size: usize,
    max_order: usize,
    stream: Vec<u16>,
    segments: Vec<Segment>,
    chains: Vec<Chain>,
    counts: LowOrderCounts,
    dead: DeadPositions,
    live_tokens: usize,
}

impl Ngram {
    /// An empty nest. `max_order` is the longest context used, at most [`MAX_ORDER`]; larger values mean that.
    ///
    /// # Errors
    /// [`CacheError::VocabularySize`] when the vocabulary is empty or above [`MAX_VOCAB_SIZE`].
    pub fn new(vocab_size: usize, max_order: usize) -> Result<Self, CacheError> {
        check_vocab_size(vocab_size)?;
        let max_order = max_order.min(MAX_ORDER);
        Ok(Self {
            vocab_size,
            max_order,
            stream: Vec::new(),
            segments: Vec::new(),
            chains: empty_chains(max_order),
            counts: LowOrderCounts::default(),
            dead: DeadPositions::default(),
            live_tokens: 0,
        })
    }

    /// Learns a file as a new segment; [`Ngram::push`] goes on at its end.
    ///
    /// # Errors
    /// When an id is outside the vocabulary or the nest is full; nothing is learned then.
    pub fn learn(&mut self, tokens: &[u32]) -> Result<SegmentId, CacheError> {
        self.check(tokens)?;
        let id = self.begin();
        self.append(tokens);
        Ok(id)
    }

    /// Learns many files at once, one segment each, in the given order; equal to [`Ngram::learn`] for each. Chains and
    /// counts are independent of each other, so `threads` above 1 (4 is the most that helps) share the work.
    ///
    /// # Errors
    /// When an id is outside the vocabulary or the nest is full; nothing is learned then.
    pub fn learn_files(
        &mut self,
        files: &[impl AsRef<[u32]>],
        threads: usize,
    ) -> Result<Vec<SegmentId>, CacheError> {
        let total = files.iter().map(|file| file.as_ref().len() + 1).sum();
        self.check_room(total)?;
        for file in files {
            check_tokens(file.as_ref(), self.vocab_size)?;
        }
        let first = self.segments.len();
        self.reserve(total);
        for file in files {
            self.begin();
            self.store(file.as_ref());
        }
        self.index(first, threads);
        Ok((first..self.segments.len()).map(SegmentId).collect())
    }

    /// Opens a new, empty segment for [`Ngram::push`].
    pub fn begin(&mut self) -> SegmentId {
        self.stream.push(SEPARATOR);
        self.segments.push(Segment {
            start: self.stream.len(),
            len: 0,
            live: true,
        });
        SegmentId(self.segments.len() - 1)
    }

    /// Learns one more token of the newest segment (opens one when there is none).
    ///
    /// # Errors
    /// When the id is outside the vocabulary or the nest is full.
    pub fn push(&mut self, token: u32) -> Result<(), CacheError> {
        self.extend(&[token])
    }

    /// Learns more tokens of the newest segment (opens one when there is none).
    ///
    /// # Errors
    /// When an id is outside the vocabulary or the nest is full; nothing is learned then.
    pub fn extend(&mut self, tokens: &[u32]) -> Result<(), CacheError> {
        self.check(tokens)?;
        if !self.segments.last().is_some_and(|segment| segment.live) {
            self.begin();
        }
        self.append(tokens);
        Ok(())
    }

    /// Takes back the newest `count` tokens of the newest segment (all of them when it is shorter), as if they had never been learned.
    pub fn pop(&mut self, count: usize) {
        let Some(segment) = self.segments.last_mut().filter(|segment| segment.live) else {
            return;
        };
        let count = count.min(segment.len);
        segment.len -= count;
        let start = segment.start;
        let len = start + segment.len;
        for at in (len..self.stream.len()).rev() {
            self.counts.remove(&self.stream, start, at);
        }
        for chain in &mut self.chains {
            chain.truncate(&self.stream, start, len);
        }
        self.stream.truncate(len);
        self.live_tokens -= count;
    }

    /// Forgets a segment at once: no prediction sees it afterwards. Its memory is freed when more is dead than alive.
    ///
    /// # Errors
    /// [`CacheError::UnknownSegment`] when it is not here.
    pub fn unlearn(&mut self, id: SegmentId) -> Result<(), CacheError> {
        let segment = self.segment(id)?;
        if id.0 + 1 == self.segments.len() {
            self.pop(segment.len);
            self.segments[id.0].live = false;
            return Ok(());
        }
        for at in segment.range() {
            self.counts.remove(&self.stream, segment.start, at);
        }
        self.dead.kill(segment.range());
        self.segments[id.0].live = false;
        self.live_tokens -= segment.len;
        if self.dead.total > self.live_tokens {
            self.compact();
        }
        Ok(())
    }

    /// The segment that holds exactly these tokens, newest first.
    pub fn find(&self, tokens: &[u32]) -> Option<SegmentId> {
        let holds = |segment: &Segment| {
            segment.live
                && segment.len == tokens.len()
                && self.stream[segment.range()]
                    .iter()
                    .zip(tokens)
                    .all(|(&stored, &token)| u32::from(stored) == token)
        };
        self.segments.iter().rposition(holds).map(SegmentId)
    }

    /// Tokens of a live segment.
    ///
    /// # Errors
    /// [`CacheError::UnknownSegment`] when it is not here.
    pub fn tokens(&self, id: SegmentId) -> Result<Vec<u32>, CacheError> {
        let segment = self.segment(id)?;
        Ok(self.stream[segment.range()]
            .iter()
            .map(|&token| u32::from(token))
            .collect())
    }

    /// Live segments in the order they were learned.
    pub fn segments(&self) -> impl Iterator<Item = SegmentId> + '_ {
        (0..self.segments.len())
            .filter(|&index| self.segments[index].live)
            .map(SegmentId)
    }

    /// Forgets everything but keeps its settings.
    pub fn clear(&mut self) {
        self.stream.clear();
        self.segments.clear();
        self.chains = empty_chains(self.max_order);
        self.counts = LowOrderCounts::default();
        self.dead = DeadPositions::default();
        self.live_tokens = 0;
    }

    /// Tokens learned and not forgotten.
    pub fn len(&self) -> usize {
        self.live_tokens
    }

    /// True when nothing is learned.
    pub fn is_empty(&self) -> bool {
        self.live_tokens == 0
    }

    /// Vocabulary the nest was made for.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Longest context compared.
    pub fn max_order(&self) -> usize {
        self.max_order
    }

    /// Resident bytes, as reserved.
    pub fn bytes(&self) -> usize {
        self.stream.capacity() * size_of::<u16>()
            + self.segments.capacity() * size_of::<Segment>()
            + self.chains.iter().map(Chain::bytes).sum::<usize>()
            + self.counts.bytes()
            + self.dead.bits.capacity() * size_of::<u64>()
    }

    /// Makes room for `additional` tokens, so that learning a project of known size does not double its arrays.
    pub fn reserve(&mut self, additional: usize) {
        self.stream.reserve(additional);
        for chain in &mut self.chains {
            chain.reserve(additional);
        }
    }

    /// Makes room for the contexts of texts that will be learned.
    pub fn reserve_contexts(&mut self, sample: &ContextSample) {
        for chain in &mut self.chains {
            let contexts = sample.distinct(chain.order());
            chain.reserve_contexts(&self.stream, contexts);
        }
    }

    pub(crate) fn stream(&self) -> &[u16] {
        &self.stream
    }

    pub(crate) fn chains(&self) -> &[Chain] {
        &self.chains
    }

    pub(crate) fn counts(&self) -> &LowOrderCounts {
        &self.counts
    }

    pub(crate) fn is_dead(&self, at: usize) -> bool {
        self.dead.contains(at)
    }

    /// Where a segment lies in the stream.
    pub(crate) fn range(&self, id: SegmentId) -> Result<Range<usize>, CacheError> {
        self.segment(id).map(|segment| segment.range())
    }

    fn segment(&self, id: SegmentId) -> Result<Segment, CacheError> {
        self.segments
            .get(id.0)
            .filter(|segment| segment.live)
            .copied()
            .ok_or(CacheError::UnknownSegment { segment: id.0 })
    }

    fn check(&self, tokens: &[u32]) -> Result<(), CacheError> {
        self.check_room(tokens.len())?;
        check_tokens(tokens, self.vocab_size)
    }

    fn check_room(&self, additional: usize) -> Result<(), CacheError> {
        const MAX_TOKENS: usize = u32::MAX as usize - 2;
        if self.stream.len() + additional >= MAX_TOKENS {
            return Err(CacheError::TooManyTokens { max: MAX_TOKENS });
        }
        Ok(())
    }

    /// Appends checked tokens to the newest segment, structure by structure: each stays in the processor's cache.
    fn append(&mut self, tokens: &[u32]) {
        let from = self.stream.len();
        self.store(tokens);
        let start = self.newest_segment().start;
        for at in from..self.stream.len() {
            self.counts.add(&self.stream, start, at);
        }
        for chain in &mut self.chains {
            chain.extend(&self.stream, start);
        }
    }

    /// Appends checked tokens to the stream alone.
    fn store(&mut self, tokens: &[u32]) {
        make_room(&mut self.stream, tokens.len());
        self.stream.extend(tokens.iter().map(|&token| token as u16));
        self.newest_segment().len += tokens.len();
        self.live_tokens += tokens.len();
    }

    fn newest_segment(&mut self) -> &mut Segment {
        self.segments
            .last_mut()
            .expect("callers open a segment first")
    }

    /// Counts and chains the stored live segments from number `first` on.
    fn index(&mut self, first: usize, threads: usize) {
        let (stream, segments) = (&self.stream, &self.segments[first..]);
        let counts = &mut self.counts;
        let mut count = || {
            for segment in segments.iter().filter(|segment| segment.live) {
                for at in segment.range() {
                    counts.add(stream, segment.start, at);
                }
            }
        };
        let link = |chains: &mut [Chain]| {
            for chain in chains {
                for segment in segments.iter().filter(|segment| segment.live) {
                    chain.extend(&stream[..segment.range().end], segment.start);
                }
            }
        };
        if threads < 2 {
            count();
            link(&mut self.chains);
            return;
        }
        // The caller's thread counts, which takes about as long as two chains.
        let share = self.chains.len().div_ceil(threads - 1).max(1);
        std::thread::scope(|scope| {
            for chains in self.chains.chunks_mut(share) {
                scope.spawn(move || link(chains));
            }
            count();
        });
    }

    /// Rebuilds everything from the live segments; ids stay.
    fn compact(&mut self) {
        let old_stream = std::mem::take(&mut self.stream);
        let old_segments = std::mem::take(&mut self.segments);
        self.chains = empty_chains(self.max_order);
        self.counts = LowOrderCounts::default();
        self.dead = DeadPositions::default();
        self.live_tokens = 0;
        self.reserve(
            old_segments
                .iter()
                .filter(|s| s.live)
                .map(|s| s.len + 1)
                .sum(),
        );
        for segment in old_segments {
            if segment.live {
                let tokens: Vec<u32> = old_stream[segment.range()]
                    .iter()
                    .map(|&token| u32::from(token))
                    .collect();
                self.begin();
                self.store(&tokens);
            } else {
                self.segments.push(Segment {
                    start: 0,
                    len: 0,
                    live: false,
                });
            }
        }
        self.index(0, 1);
    }
}

impl Segment {
    fn range(&self) -> Range<usize> {
        self.start..self.start + self.len
    }
}

/// Refuses ids that the vocabulary does not have.
pub(crate) fn check_tokens(tokens: &[u32], vocab_size: usize) -> Result<(), CacheError> {
    match tokens.iter().find(|&&token| token as usize >= vocab_size) {
        Some(&token) => Err(CacheError::TokenOutsideVocabulary { token, vocab_size }),
        None => Ok(()),
    }
}

/// Refuses vocabularies that 16-bit storage cannot hold.
pub(crate) fn check_vocab_size(vocab_size: usize) -> Result<(), CacheError> {
    if vocab_size == 0 || vocab_size > MAX_VOCAB_SIZE {
        return Err(CacheError::VocabularySize {
            vocab_size,
            max: MAX_VOCAB_SIZE,
        });
    }
    Ok(())
}

fn empty_chains(max_order: usize) -> Vec<Chain> {
    CHAIN_ORDERS
        .iter()
        .filter(|&&order| order <= max_order)
        .map(|&order| Chain::new(order))
        .collect()
}

/// Positions of forgotten segments, one bit each; empty until something is forgotten.
#[derive(Clone, Debug, Default)]
struct DeadPositions {
    bits: Vec<u64>,
    total: usize,
}

impl DeadPositions {
    fn kill(&mut self, range: Range<usize>) {
        if self.bits.len() * 64 < range.end {
            self.bits.resize(range.end.div_ceil(64), 0);
        }
        self.total += range.len();
        for at in range {
            self.bits[at / 64] |= 1 << (at % 64);
        }
    }

    fn contains(&self, at: usize) -> bool {
        self.bits
            .get(at / 64)
            .is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}
