//! Counts a corpus and prunes the counts to a file size.
//!
//! Every position becomes one sortable key (context newest token first, then the token); one pass over the sorted keys
//! yields the contexts of all orders. What is kept is what helps most: an n-gram's gain is its count times the log ratio
//! of its probability with and without it (Stolcke 1998, with our smoothing). Called by the trainer and the `corpus`
//! commands; knows token ids only.

use crate::corpus_ngram::{
    CorpusNgram, MAX_CORPUS_CONTEXT, Node, base_distribution, dequantise, quantise,
};
use crate::error::CacheError;
use crate::ngram::{check_tokens, check_vocab_size};
use crate::smoothing::{Source, trust};

/// How a corpus model is built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorpusBuildOptions {
    /// Longest context, at most [`MAX_CORPUS_CONTEXT`].
    pub max_context: usize,
    /// N-grams of three tokens and more that occur less often are never kept.
    pub min_count: u32,
    /// Largest file, in bytes.
    pub max_file_bytes: usize,
}

impl Default for CorpusBuildOptions {
    fn default() -> Self {
        Self {
            max_context: 5,
            min_count: 2,
            max_file_bytes: 9 << 20,
        }
    }
}

/// Collects token streams; [`CorpusBuilder::build`] counts and prunes them. Holds 16 bytes a token.
pub struct CorpusBuilder {
    vocab_size: usize,
    options: CorpusBuildOptions,
    keys: Vec<u128>,
}

impl CorpusBuilder {
    /// An empty builder.
    ///
    /// # Errors
    /// [`CacheError::VocabularySize`] when the vocabulary cannot be stored.
    pub fn new(vocab_size: usize, options: CorpusBuildOptions) -> Result<Self, CacheError> {
        check_vocab_size(vocab_size)?;
        let max_context = options.max_context.min(MAX_CORPUS_CONTEXT);
        Ok(Self {
            vocab_size,
            options: CorpusBuildOptions {
                max_context,
                ..options
            },
            keys: Vec::new(),
        })
    }

    /// Adds one file; contexts do not cross its start.
    ///
    /// # Errors
    /// When an id is outside the vocabulary; nothing is added then.
    pub fn add(&mut self, tokens: &[u32]) -> Result<(), CacheError> {
        check_tokens(tokens, self.vocab_size)?;
        // Older tokens sit lower in the history, the newest on top; a token is stored plus one, zero is "none".
        let mut history = 0u128;
        let context_bits = 16 * self.options.max_context as u32;
        let mask = if context_bits == 0 {
            0
        } else {
            u128::MAX << (128 - context_bits)
        };
        for &token in tokens {
            let stored = u128::from(token + 1);
            self.keys.push((history & mask) | stored);
            history = history >> 16 | stored << 112;
        }
        Ok(())
    }

    /// Tokens added so far.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True when nothing was added.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Counts and prunes. The same streams in any order give the same model.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] when compression fails.
    pub fn build(mut self) -> Result<CorpusNgram, CacheError> {
        self.keys.sort_unstable();
        let counted = count(&self.keys, self.vocab_size, &self.options);
        drop(self.keys);
        counted.prune(self.vocab_size, &self.options)
    }
}

/// Label of the context at `depth` (1 is the newest token) in a key.
fn label(key: u128, depth: usize) -> u16 {
    (key >> (128 - 16 * depth)) as u16
}

/// One counted context; children come before their parents.
struct RawNode {
    token: u16,
    depth: u8,
    total: u32,
    distinct: u32,
    entries: std::ops::Range<usize>,
    children: Vec<u32>,
}

/// All counted contexts of a corpus.
struct Counted {
    unigrams: Vec<u32>,
    nodes: Vec<RawNode>,
    tokens: Vec<u16>,
    counts: Vec<u32>,
}

/// Counts of one depth while its context lasts.
struct Accumulator {
    counts: Vec<u32>,
    touched: Vec<u16>,
    children: Vec<u32>,
}

fn count(keys: &[u128], vocab_size: usize, options: &CorpusBuildOptions) -> Counted {
    let depths = options.max_context;
    let mut open: Vec<Accumulator> = (0..=depths + 1)
        .map(|_| Accumulator {
            counts: vec![0; vocab_size],
            touched: Vec::new(),
            children: Vec::new(),
        })
        .collect();
    let mut counted = Counted {
        unigrams: vec![0; vocab_size],
        nodes: Vec::new(),
        tokens: Vec::new(),
        counts: Vec::new(),
    };
    let mut previous = None;
    for &key in keys {
        if let Some(previous) = previous {
            let same = (1..=depths)
                .take_while(|&depth| label(key, depth) == label(previous, depth))
                .count();
            for depth in (same + 1..=depths).rev() {
                counted.close(&mut open, depth, label(previous, depth), options.min_count);
            }
        }
        let token = (key as u16) - 1;
        counted.unigrams[usize::from(token)] += 1;
        for depth in 1..=depths {
            if label(key, depth) == 0 {
                break;
            }
            let at = &mut open[depth];
            let slot = &mut at.counts[usize::from(token)];
            if *slot == 0 {
                at.touched.push(token);
            }
            *slot += 1;
        }
        previous = Some(key);
    }
    if let Some(previous) = previous {
        for depth in (1..=depths).rev() {
            counted.close(&mut open, depth, label(previous, depth), options.min_count);
        }
    }
    let children = std::mem::take(&mut open[1].children);
    counted.nodes.push(RawNode {
        token: 0,
        depth: 0,
        total: 0,
        distinct: 0,
        entries: 0..0,
        children,
    });
    counted
}

impl Counted {
    /// The context at `depth` ends: its counts become a node, if anything in it or below it is frequent enough.
    fn close(&mut self, open: &mut [Accumulator], depth: usize, label: u16, min_count: u32) {
        if label == 0 {
            return;
        }
        let children = std::mem::take(&mut open[depth + 1].children);
        let at = &mut open[depth];
        at.touched.sort_unstable();
        let min_count = if depth == 1 { 1 } else { min_count };
        let start = self.tokens.len();
        let (mut total, distinct) = (0, at.touched.len() as u32);
        for token in at.touched.drain(..) {
            let count = std::mem::take(&mut at.counts[usize::from(token)]);
            total += count;
            if count >= min_count {
                self.tokens.push(token);
                self.counts.push(dequantise(quantise(count)));
            }
        }
        if self.tokens.len() == start && children.is_empty() {
            return;
        }
        at.children.push(self.nodes.len() as u32);
        self.nodes.push(RawNode {
            token: label - 1,
            depth: depth as u8,
            total,
            distinct,
            entries: start..self.tokens.len(),
            children,
        });
    }

    fn prune(
        self,
        vocab_size: usize,
        options: &CorpusBuildOptions,
    ) -> Result<CorpusNgram, CacheError> {
        let base = base_distribution(&self.unigrams);
        let gains = self.gains(&base);
        let mut sorted: Vec<f32> = gains.iter().copied().filter(|&gain| gain > 0.0).collect();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        // Bytes an n-gram takes, contexts included: a first guess, corrected by what the file really takes.
        let mut bytes_each = 2.5;
        let mut fitting = None;
        for _ in 0..6 {
            let keep = (options.max_file_bytes as f64 / bytes_each) as usize;
            let threshold = match sorted.get(keep) {
                Some(&gain) => gain,
                None => 0.0,
            };
            let model = self.keep(vocab_size, options.max_context, &base, &gains, threshold);
            let size = model.to_bytes()?.len();
            let entries = model.entries().max(1);
            if size <= options.max_file_bytes {
                let full = threshold == 0.0 || size * 100 > options.max_file_bytes * 97;
                fitting = Some(model);
                if full {
                    break;
                }
            } else if fitting.is_some() {
                break;
            }
            bytes_each = size as f64 / entries as f64 * 1.01;
        }
        // A budget below the vocabulary's own counts leaves the single tokens alone.
        Ok(fitting.unwrap_or_else(|| {
            self.keep(
                vocab_size,
                options.max_context,
                &base,
                &gains,
                f32::INFINITY,
            )
        }))
    }

    /// What each n-gram adds to the log likelihood of the corpus.
    fn gains(&self, base: &[f32]) -> Vec<f32> {
        let mut gains = vec![0.0; self.tokens.len()];
        // (node, path of nodes above it) in depth-first order.
        let mut path: Vec<usize> = Vec::new();
        let mut stack = vec![self.nodes.len() - 1];
        while let Some(index) = stack.pop() {
            let node = &self.nodes[index];
            path.truncate(usize::from(node.depth));
            for entry in node.entries.clone() {
                let token = self.tokens[entry];
                let shorter = self.probability(&path, token, base);
                let (direct, escape) = self.shares(node, self.counts[entry]);
                let with = direct + escape * shorter;
                let without = (direct + escape) * shorter;
                gains[entry] = self.counts[entry] as f32 * (with / without).ln();
            }
            path.push(index);
            stack.extend(node.children.iter().rev().map(|&child| child as usize));
        }
        gains
    }

    /// Probability of a token under the contexts of `path`, shortest first (the root is ignored).
    fn probability(&self, path: &[usize], token: u16, base: &[f32]) -> f32 {
        let mut probability = base[usize::from(token)];
        for &index in path.iter().skip(1) {
            let node = &self.nodes[index];
            let tokens = &self.tokens[node.entries.clone()];
            let count = match tokens.binary_search(&token) {
                Ok(at) => self.counts[node.entries.start + at],
                Err(_) => 0,
            };
            let (direct, escape) = self.shares(node, count);
            probability = direct + escape * probability;
        }
        probability
    }

    /// Share of a continuation seen `count` times, and the share left to shorter contexts.
    fn shares(&self, node: &RawNode, count: u32) -> (f32, f32) {
        let trust = trust(
            Source::Corpus,
            usize::from(node.depth),
            node.total,
            node.distinct,
        );
        (trust * count as f32 / node.total as f32, 1.0 - trust)
    }

    /// The model of all n-grams whose gain passes `threshold`, with the contexts that lead to them.
    fn keep(
        &self,
        vocab_size: usize,
        max_context: usize,
        base: &[f32],
        gains: &[f32],
        threshold: f32,
    ) -> CorpusNgram {
        let mut needed = vec![false; self.nodes.len()];
        // Children stand before their parents.
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            needed[index] = node.entries.clone().any(|entry| gains[entry] > threshold)
                || node.children.iter().any(|&child| needed[child as usize]);
        }
        let mut model = CorpusNgram {
            vocab_size,
            max_context,
            unigrams: self.unigrams.clone(),
            base: base.to_vec(),
            nodes: Vec::new(),
            entry_tokens: Vec::new(),
            entry_counts: Vec::new(),
            long: None,
        };
        let mut order = vec![self.nodes.len() - 1];
        let mut next = 0;
        while next < order.len() {
            let node = &self.nodes[order[next]];
            let children = order.len();
            order.extend(
                node.children
                    .iter()
                    .map(|&child| child as usize)
                    .filter(|&child| needed[child]),
            );
            let start = model.entry_tokens.len();
            for entry in node
                .entries
                .clone()
                .filter(|&entry| gains[entry] > threshold)
            {
                model.entry_tokens.push(self.tokens[entry]);
                model.entry_counts.push(self.counts[entry]);
            }
            let kept: u32 = model.entry_counts[start..].iter().sum();
            let kept_distinct = (model.entry_tokens.len() - start) as u32;
            // Totals are stored as kept plus rest; rounding here makes a loaded model equal this one.
            let rest = dequantise(quantise(node.total.saturating_sub(kept)));
            let rest_distinct = dequantise(quantise(node.distinct - kept_distinct));
            model.nodes.push(Node {
                token: node.token,
                children: children as u32,
                entries: start as u32,
                total: kept + rest,
                kept,
                distinct: kept_distinct + rest_distinct,
            });
            next += 1;
        }
        model.nodes.push(Node {
            token: 0,
            children: order.len() as u32,
            entries: model.entry_tokens.len() as u32,
            total: 0,
            kept: 0,
            distinct: 0,
        });
        model
    }
}
