//! Chooses the long contexts of a corpus that are worth their bytes.
//!
//! Lengths are gone through from short to long. A context is worth an entry when what followed it most is not what the
//! shorter contexts already say; its gain is the weight of the places that it sets right, less those that it spoils. The
//! entries of the largest gain are kept. Called by the trainer; knows token ids only.

use crate::corpus_ngram::CorpusNgram;
use crate::error::CacheError;
use crate::long_contexts::{LONG_ORDERS, LongContexts, long_hashes};
use crate::ngram::{check_tokens, check_vocab_size};

/// Stands before every stream; equals no token.
const BORDER: u16 = u16::MAX;

/// Collects token streams; [`LongContextBuilder::build`] chooses. Holds 3 bytes a token, and 24 more while it builds.
pub struct LongContextBuilder {
    vocab_size: usize,
    stream: Vec<u16>,
    weights: Vec<u8>,
}

/// One place of the corpus under one length of context.
struct Place {
    hash: u64,
    token: u16,
    /// What the shorter contexts say there.
    shorter: u16,
    weight: u8,
    /// Index in the stream.
    at: u32,
}

impl LongContextBuilder {
    /// An empty builder.
    ///
    /// # Errors
    /// [`CacheError::VocabularySize`] when the vocabulary cannot be stored.
    pub fn new(vocab_size: usize) -> Result<Self, CacheError> {
        check_vocab_size(vocab_size)?;
        Ok(Self {
            vocab_size,
            stream: Vec::new(),
            weights: Vec::new(),
        })
    }

    /// Adds one stretch of text; contexts do not cross its start. `weights` (`[T]`) says how much it is worth to predict
    /// each token; 0 makes it context only.
    ///
    /// # Errors
    /// When an id is outside the vocabulary; nothing is added then.
    pub fn add(&mut self, tokens: &[u32], weights: &[u8]) -> Result<(), CacheError> {
        check_tokens(tokens, self.vocab_size)?;
        self.stream.push(BORDER);
        self.weights.push(0);
        self.stream.extend(tokens.iter().map(|&token| token as u16));
        self.weights.extend(weights);
        self.weights.resize(self.stream.len(), 0);
        Ok(())
    }

    /// Chooses the contexts that set most right over `corpus`, at most about `max_file_bytes` of them. The same streams in
    /// the same order give the same contexts.
    ///
    /// # Errors
    /// [`CacheError::VocabularyMismatch`] for counts of another vocabulary.
    pub fn build(
        self,
        corpus: &CorpusNgram,
        max_file_bytes: usize,
    ) -> Result<LongContexts, CacheError> {
        if corpus.vocab_size() != self.vocab_size {
            return Err(CacheError::VocabularyMismatch {
                part: "the corpus n-gram",
                expected: self.vocab_size,
                found: corpus.vocab_size(),
            });
        }
        let mut predicted = self.predicted_by(corpus);
        let mut chosen: [Vec<(u32, u32, u16)>; LONG_ORDERS.len()] = Default::default();
        for (index, chosen) in chosen.iter_mut().enumerate() {
            let mut places = self.places(index, &predicted);
            places.sort_unstable_by_key(|place| (place.hash, place.token, place.at));
            for group in places.chunk_by(|a, b| a.hash == b.hash) {
                let (best, gain) = best_of(group);
                if gain > 0 {
                    chosen.push((gain, (group[0].hash >> 32) as u32, best));
                    for place in group {
                        predicted[place.at as usize] = best;
                    }
                }
            }
        }
        Ok(LongContexts::new(
            self.vocab_size,
            keep(chosen, max_file_bytes),
        ))
    }

    /// What the n-grams say at every place that weighs something: the likeliest of the longest context that is known.
    fn predicted_by(&self, corpus: &CorpusNgram) -> Vec<u16> {
        let mut predicted = vec![BORDER; self.stream.len()];
        for at in 0..self.stream.len() {
            if self.weights[at] > 0 {
                let newest_first = self.before(at).take(corpus.max_context());
                predicted[at] = corpus.likeliest(newest_first).unwrap_or(BORDER);
            }
        }
        predicted
    }

    fn places(&self, index: usize, predicted: &[u16]) -> Vec<Place> {
        (0..self.stream.len())
            .filter(|&at| self.weights[at] > 0)
            .filter_map(|at| {
                let hash = full_hash(self.before(at), index)?;
                Some(Place {
                    hash,
                    token: self.stream[at],
                    shorter: predicted[at],
                    weight: self.weights[at],
                    at: at as u32,
                })
            })
            .collect()
    }

    /// Tokens before a place, newest first, to the start of its stretch.
    fn before(&self, at: usize) -> impl Iterator<Item = u32> + '_ {
        let tokens = self.stream[..at].iter().rev();
        tokens
            .take_while(|&&token| token != BORDER)
            .map(|&token| u32::from(token))
    }
}

/// The stored 32 bits on top, and 32 more below that tell contexts apart while building.
fn full_hash(newest_first: impl Iterator<Item = u32>, index: usize) -> Option<u64> {
    let mut check = 0u64;
    let tokens = newest_first.take(LONG_ORDERS[index]).inspect(|&token| {
        check = (check ^ u64::from(token)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        check ^= check >> 29;
    });
    let stored = long_hashes(tokens)[index]?;
    Some(u64::from(stored) << 32 | check >> 32)
}

/// The continuation of most weight, and its weight less that of the places that are right without it.
fn best_of(group: &[Place]) -> (u16, u32) {
    let mut best = (BORDER, 0u32);
    for same in group.chunk_by(|a, b| a.token == b.token) {
        let weight = same.iter().map(|place| u32::from(place.weight)).sum();
        if weight > best.1 {
            best = (same[0].token, weight);
        }
    }
    let right: u32 = group
        .iter()
        .filter(|place| place.token == place.shorter)
        .map(|place| u32::from(place.weight))
        .sum();
    (best.0, best.1.saturating_sub(right))
}

/// The entries of the largest gain that fit; among equal ones those of the smallest hash, which is as good as by chance.
fn keep(
    chosen: [Vec<(u32, u32, u16)>; LONG_ORDERS.len()],
    max_file_bytes: usize,
) -> [Vec<(u32, u16)>; LONG_ORDERS.len()] {
    /// Bytes of an entry: 11 to 13 bits of hash, about 10 of token.
    const BYTES_EACH: f64 = 2.9;
    let room = (max_file_bytes as f64 / BYTES_EACH) as usize;
    let mut order: Vec<(u32, u32, usize)> = chosen
        .iter()
        .enumerate()
        .flat_map(|(index, entries)| entries.iter().map(move |entry| (entry.0, entry.1, index)))
        .collect();
    order.sort_unstable_by_key(|&(gain, hash, index)| (std::cmp::Reverse(gain), hash, index));
    let last = order.get(room).copied();
    let fits = |gain: u32, hash: u32, index: usize| {
        last.is_none_or(|last| {
            (std::cmp::Reverse(gain), hash, index) < (std::cmp::Reverse(last.0), last.1, last.2)
        })
    };
    std::array::from_fn(|index| {
        let mut kept: Vec<&(u32, u32, u16)> = chosen[index]
            .iter()
            .filter(|entry| fits(entry.0, entry.1, index))
            .collect();
        // Of two contexts with one hash the one of the larger gain stays.
        kept.sort_by_key(|entry| (entry.1, std::cmp::Reverse(entry.0)));
        kept.into_iter()
            .map(|&(_, hash, token)| (hash, token))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CorpusBuildOptions, CorpusBuilder};

    const VOCAB: usize = 50;

    fn text(seed: u32, len: usize) -> Vec<u32> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) % VOCAB as u32
            })
            .collect()
    }

    fn counts(files: &[Vec<u32>]) -> CorpusNgram {
        let options = CorpusBuildOptions {
            max_context: 2,
            ..CorpusBuildOptions::default()
        };
        let mut builder = CorpusBuilder::new(VOCAB, options).unwrap();
        for file in files {
            builder.add(file).unwrap();
        }
        builder.build().unwrap()
    }

    fn built(files: &[Vec<u32>], max_file_bytes: usize) -> (CorpusNgram, LongContexts) {
        let counts = counts(files);
        let mut builder = LongContextBuilder::new(VOCAB).unwrap();
        for file in files {
            builder.add(file, &vec![1; file.len()]).unwrap();
        }
        let contexts = builder.build(&counts, max_file_bytes).unwrap();
        (counts, contexts)
    }

    /// The share of places with a full context that counts and contexts together get right.
    fn right(counts: &CorpusNgram, contexts: &LongContexts, file: &[u32]) -> f64 {
        let places = 16..file.len();
        let n = places.len();
        let right = places.filter(|&at| {
            let context = &file[..at];
            let mut said = counts.likeliest(context.iter().rev().copied()).unwrap();
            contexts.look_up(context, |_, token| said = token);
            u32::from(said) == file[at]
        });
        right.count() as f64 / n as f64
    }

    #[test]
    fn a_text_that_was_added_is_known_by_heart() {
        let files: Vec<_> = (0..8).map(|seed| text(seed, 2000)).collect();
        let (counts, contexts) = built(&files, 1 << 20);
        for file in &files {
            assert!(right(&counts, &contexts, file) > 0.999);
        }
        let strange = text(99, 2000);
        assert!(right(&counts, &contexts, &strange) < 0.1);
    }

    #[test]
    fn what_the_counts_know_takes_no_room_and_what_weighs_nothing_is_context() {
        let files = vec![[1, 2, 3, 4].repeat(500)];
        let (_, contexts) = built(&files, 1 << 20);
        assert_eq!(contexts.entries(), [0, 0]);
        let counts = counts(&files);
        let mut builder = LongContextBuilder::new(VOCAB).unwrap();
        let random = text(3, 500);
        builder.add(&random, &vec![0; random.len()]).unwrap();
        assert_eq!(builder.build(&counts, 1 << 20).unwrap().entries(), [0, 0]);
    }

    #[test]
    fn a_small_budget_keeps_what_helps_most() {
        let often = text(1, 40);
        let mut files: Vec<_> = (10..14).map(|seed| text(seed, 1000)).collect();
        files.extend(std::iter::repeat_n(often.clone(), 20));
        let (counts, contexts) = built(&files, 100);
        let n: usize = contexts.entries().iter().sum();
        assert!(n <= 100, "{n}");
        assert!(right(&counts, &contexts, &often) > 0.9);
        assert_eq!(built(&files, 100).1, contexts);
    }

    #[test]
    fn a_foreign_vocabulary_and_foreign_ids_are_refused() {
        let mut builder = LongContextBuilder::new(VOCAB).unwrap();
        assert!(builder.add(&[VOCAB as u32], &[1]).is_err());
        let counts = counts(&[text(1, 100)]);
        assert!(
            LongContextBuilder::new(VOCAB + 1)
                .unwrap()
                .build(&counts, 100)
                .is_err()
        );
    }
}
