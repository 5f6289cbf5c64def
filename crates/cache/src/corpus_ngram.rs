//! The outermost nest: a pruned n-gram model of the training corpus, shipped with the network.
//!
//! A trie of contexts, newest token first: the node of `.. t2 t1` is the child `t2` of the node of `.. t1`. Contexts are
//! found by walking tokens, so a hit is exact. Counts above 16 are rounded to 6 %. Built by `corpus_build`, stored by
//! `corpus_format`, queried by `nested`.

use std::sync::Arc;

use crate::error::CacheError;
use crate::evidence::{Entries, Evidence, Level};
use crate::long_contexts::LongContexts;

/// Longest context a corpus model can hold.
pub const MAX_CORPUS_CONTEXT: usize = 7;

/// Pruned n-gram counts of a corpus. Immutable.
#[derive(Clone, Debug, PartialEq)]
pub struct CorpusNgram {
    pub(crate) vocab_size: usize,
    pub(crate) max_context: usize,
    /// Counts of single tokens, one per vocabulary entry.
    pub(crate) unigrams: Vec<u32>,
    /// Smoothed probabilities of single tokens: the floor of every distribution.
    pub(crate) base: Vec<f32>,
    /// Breadth first; the root is node 0. One more element closes the last ranges.
    pub(crate) nodes: Vec<Node>,
    pub(crate) entry_tokens: Vec<u16>,
    /// Rounded counts, see `quantise`.
    pub(crate) entry_counts: Vec<u32>,
    /// What followed longer contexts; a file of its own.
    pub(crate) long: Option<Arc<LongContexts>>,
}

/// One context. Its children are `nodes[children .. next.children]`, sorted by token; its entries likewise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) token: u16,
    pub(crate) children: u32,
    pub(crate) entries: u32,
    /// Occurrences of the context, also those whose continuation was pruned.
    pub(crate) total: u32,
    /// Occurrences whose continuation was not pruned: the sum of the entries.
    pub(crate) kept: u32,
    /// Different continuations, also the pruned ones.
    pub(crate) distinct: u32,
}

impl CorpusNgram {
    /// Vocabulary the model was built for.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Longest context in tokens.
    pub fn max_context(&self) -> usize {
        self.max_context
    }

    /// Kept n-grams of at least two tokens.
    pub fn entries(&self) -> usize {
        self.entry_tokens.len()
    }

    /// Kept contexts.
    pub fn contexts(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Tokens the model was counted on.
    pub fn corpus_tokens(&self) -> u64 {
        self.unigrams.iter().map(|&count| u64::from(count)).sum()
    }

    /// Resident bytes.
    pub fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node>()
            + self.entry_tokens.len() * 6
            + self.vocab_size * 8
            + self.long.as_ref().map_or(0, |long| long.bytes())
    }

    /// Long contexts of the same corpus.
    pub fn long_contexts(&self) -> Option<&Arc<LongContexts>> {
        self.long.as_ref()
    }

    /// Puts long contexts over the counts.
    ///
    /// # Errors
    /// [`CacheError::VocabularyMismatch`].
    pub fn with_long_contexts(mut self, long: Arc<LongContexts>) -> Result<Self, CacheError> {
        if long.vocab_size() != self.vocab_size {
            return Err(CacheError::VocabularyMismatch {
                part: "the long contexts",
                expected: self.vocab_size,
                found: long.vocab_size(),
            });
        }
        self.long = Some(long);
        Ok(self)
    }

    /// The likeliest token after the longest known context, given the tokens newest first.
    pub(crate) fn likeliest(&self, newest_first: impl Iterator<Item = u32>) -> Option<u16> {
        let mut node = 0;
        let mut best = None;
        for token in newest_first.take(self.max_context) {
            let Some(child) = self.child(node, token) else {
                break;
            };
            node = child;
            let (start, end) = self.entry_range(node);
            // Of equal counts the smallest token, as everywhere.
            let most = (start..end)
                .rev()
                .max_by_key(|&entry| self.entry_counts[entry]);
            best = most.map(|entry| self.entry_tokens[entry]).or(best);
        }
        best
    }

    /// Collects the levels of `context`, longest first.
    pub(crate) fn gather(&self, context: &[u32], evidence: &mut Evidence) {
        evidence.clear();
        let mut node = 0;
        for (index, &token) in context.iter().rev().take(self.max_context).enumerate() {
            let Some(child) = self.child(node, token) else {
                break;
            };
            node = child;
            let (start, end) = self.entry_range(node);
            evidence.matched_order = index + 1;
            if start < end {
                evidence.levels.push(Level {
                    // Orders up to 7 are levels of their own.
                    level: index + 1,
                    total: self.nodes[node].total,
                    kept: self.nodes[node].kept,
                    distinct: self.nodes[node].distinct,
                    entries: Entries::Corpus { start, end },
                    newest: None,
                });
            }
        }
        evidence.levels.reverse();
        let mut last_total = 0;
        evidence.levels.retain(|level| {
            let adds = level.total != last_total;
            last_total = level.total;
            adds
        });
        if let Some(long) = &self.long {
            long.look_up(context, |order, token| evidence.add_long(order, token));
        }
    }

    pub(crate) fn child(&self, node: usize, token: u32) -> Option<usize> {
        let (start, end) = (
            self.nodes[node].children as usize,
            self.nodes[node + 1].children as usize,
        );
        let found =
            self.nodes[start..end].binary_search_by_key(&token, |node| u32::from(node.token));
        found.ok().map(|index| start + index)
    }

    pub(crate) fn entry_range(&self, node: usize) -> (usize, usize) {
        (
            self.nodes[node].entries as usize,
            self.nodes[node + 1].entries as usize,
        )
    }
}

/// Smoothed probabilities of single tokens; uniform when nothing was counted.
pub(crate) fn base_distribution(unigrams: &[u32]) -> Vec<f32> {
    const PSEUDO_COUNT: f64 = 0.1;
    let total: f64 = unigrams.iter().map(|&count| f64::from(count)).sum();
    let denominator = total + PSEUDO_COUNT * unigrams.len() as f64;
    unigrams
        .iter()
        .map(|&count| ((f64::from(count) + PSEUDO_COUNT) / denominator) as f32)
        .collect()
}

/// Counts up to this are exact.
const EXACT: u32 = 16;

/// Code of a count: one byte, exact up to 16, then steps of 6 %.
pub(crate) fn quantise(count: u32) -> u8 {
    if count <= EXACT {
        return count as u8;
    }
    let steps = (f64::from(count) / f64::from(EXACT)).ln() / 1.06f64.ln();
    EXACT as u8 + (steps.round() as u8).min(u8::MAX - EXACT as u8)
}

/// The count of a code.
pub(crate) fn dequantise(code: u8) -> u32 {
    let code = u32::from(code);
    if code <= EXACT {
        return code;
    }
    (f64::from(EXACT) * 1.06f64.powi((code - EXACT) as i32)).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_counts_are_stable_and_close() {
        for count in (0..5000).chain([100_000, 3_000_000]) {
            let rounded = dequantise(quantise(count));
            assert_eq!(dequantise(quantise(rounded)), rounded, "{count}");
            assert!(
                rounded.abs_diff(count) as f64 <= 0.05 * f64::from(count),
                "{count} -> {rounded}"
            );
        }
    }
}
