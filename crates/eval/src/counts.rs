//! Growing n-gram counts over interned code tokens: one nest of the count-only baseline.
//!
//! Called by [`crate::ngram`], which interpolates several nests. This file knows token ids only: no text, no
//! probabilities, no projects. Contexts are kept as 64-bit hashes, one table per order; a context that has been
//! followed by a single token (most of them) costs 16 bytes.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// The longest context, in code tokens.
pub const MAX_ORDER: usize = 6;

/// Hashes of the contexts of order 0 ..= `len - 1` at one position.
#[derive(Clone, Copy, Debug)]
pub struct ContextHashes {
    hashes: [u64; MAX_ORDER + 1],
    n_orders: usize,
}

impl ContextHashes {
    /// The contexts that end just before position `at` of `tokens`; the start of the file counts as one token.
    #[must_use]
    pub fn before(tokens: &[u32], at: usize) -> Self {
        let mut hashes = [0; MAX_ORDER + 1];
        let mut hash = 0x9E37_79B9_7F4A_7C15_u64;
        hashes[0] = hash;
        let mut n_orders = 1;
        for back in 1..=MAX_ORDER {
            let token = match at.checked_sub(back) {
                Some(index) => u64::from(tokens[index]) + 1,
                None => 0,
            };
            hash = mix(hash ^ token.wrapping_mul(0xD6E8_FEB8_6659_FD93));
            hashes[back] = hash;
            n_orders = back + 1;
            if token == 0 {
                break;
            }
        }
        Self { hashes, n_orders }
    }

    /// How many orders exist here (fewer than seven near the start of a file).
    #[must_use]
    pub fn n_orders(&self) -> usize {
        self.n_orders
    }
}

/// The finaliser of SplitMix64: every input bit reaches every output bit.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Counts of orders 0 ..= 6 of everything that was learned.
#[derive(Default)]
pub struct Counts {
    orders: [OrderTable; MAX_ORDER + 1],
    n_tokens: u64,
}

impl Counts {
    /// Counts that hold nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds every token of one file.
    pub fn learn(&mut self, tokens: &[u32]) {
        for at in 0..tokens.len() {
            self.learn_at(&ContextHashes::before(tokens, at), tokens[at]);
        }
    }

    /// Adds one token after the given contexts.
    pub fn learn_at(&mut self, contexts: &ContextHashes, token: u32) {
        for order in 0..contexts.n_orders {
            self.orders[order].add(contexts.hashes[order], token);
        }
        self.n_tokens += 1;
    }

    /// Adds many tokens, the orders in parallel: the same counts as one [`Self::learn_at`] after another.
    pub fn learn_batch(&mut self, batch: &[(ContextHashes, u32)]) {
        self.orders
            .par_iter_mut()
            .enumerate()
            .for_each(|(order, table)| {
                for (contexts, token) in batch {
                    if order < contexts.n_orders {
                        table.add(contexts.hashes[order], *token);
                    }
                }
            });
        self.n_tokens += batch.len() as u64;
    }

    /// Number of tokens learned.
    #[must_use]
    pub fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// What followed the context of this order, when it was ever seen.
    #[must_use]
    pub fn followers(&self, contexts: &ContextHashes, order: usize) -> Option<Followers<'_>> {
        if order >= contexts.n_orders {
            return None;
        }
        self.orders[order].get(contexts.hashes[order])
    }
}

/// The tokens that followed one context.
#[derive(Clone, Copy, Debug)]
pub enum Followers<'a> {
    /// One token, that many times.
    One(u32, u32),
    /// Several tokens.
    Many(&'a Many),
}

impl Followers<'_> {
    /// How often the context was seen.
    #[must_use]
    pub fn total(&self) -> u32 {
        match self {
            Self::One(_, count) => *count,
            Self::Many(many) => many.total,
        }
    }

    /// How many different tokens followed.
    #[must_use]
    pub fn n_distinct(&self) -> usize {
        match self {
            Self::One(..) => 1,
            Self::Many(many) => many.items.len(),
        }
    }

    /// How often `token` followed.
    #[must_use]
    pub fn count(&self, token: u32) -> u32 {
        match self {
            Self::One(only, count) if *only == token => *count,
            Self::One(..) => 0,
            Self::Many(many) => many.position(token).map_or(0, |at| many.items[at].1),
        }
    }

    /// The most frequent followers, most frequent first; ties in order of arrival at that count.
    pub fn top(&self, n: usize) -> impl Iterator<Item = u32> + '_ {
        let (one, many) = match self {
            Self::One(token, _) => (Some(*token), &[][..]),
            Self::Many(many) => (None, &many.items[..many.items.len().min(n)]),
        };
        one.into_iter().chain(many.iter().map(|item| item.0))
    }
}

/// A context with several followers, sorted by falling count.
#[derive(Debug, Default)]
pub struct Many {
    total: u32,
    items: Vec<(u32, u32)>,
    /// Position by token; exists once the list is too long to scan.
    index: Option<Box<FxHashMap<u32, u32>>>,
}

/// Lists up to this length are scanned.
const SCAN_LIMIT: usize = 24;

impl Many {
    fn position(&self, token: u32) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&token).map(|at| *at as usize),
            None => self.items.iter().position(|item| item.0 == token),
        }
    }

    fn add(&mut self, token: u32) {
        self.total += 1;
        let Some(at) = self.position(token) else {
            self.items.push((token, 1));
            let at = self.items.len() - 1;
            if let Some(index) = &mut self.index {
                index.insert(token, at as u32);
            } else if self.items.len() > SCAN_LIMIT {
                let positions = self.items.iter().enumerate();
                self.index = Some(Box::new(
                    positions.map(|(at, item)| (item.0, at as u32)).collect(),
                ));
            }
            return;
        };
        // The first item with the old count changes places with the grown one: the list stays sorted.
        let old = self.items[at].1;
        let first = self.items[..at].partition_point(|item| item.1 > old);
        self.items.swap(first, at);
        self.items[first].1 += 1;
        if let Some(index) = &mut self.index {
            index.insert(self.items[first].0, first as u32);
            index.insert(self.items[at].0, at as u32);
        }
    }
}

/// `count > 0`: the only follower and its count; `count == 0`: `token` is a position in `many`.
#[derive(Clone, Copy)]
struct Cell {
    token: u32,
    count: u32,
}

#[derive(Default)]
struct OrderTable {
    cells: FxHashMap<u64, Cell>,
    many: Vec<Many>,
}

impl OrderTable {
    fn add(&mut self, context: u64, token: u32) {
        let Some(cell) = self.cells.get_mut(&context) else {
            self.cells.insert(context, Cell { token, count: 1 });
            return;
        };
        match cell.count {
            0 => self.many[cell.token as usize].add(token),
            _ if cell.token == token => cell.count += 1,
            count => {
                self.many.push(Many {
                    total: count + 1,
                    items: vec![(cell.token, count), (token, 1)],
                    index: None,
                });
                *cell = Cell {
                    token: (self.many.len() - 1) as u32,
                    count: 0,
                };
            }
        }
    }

    fn get(&self, context: u64) -> Option<Followers<'_>> {
        let cell = self.cells.get(&context)?;
        Some(match cell.count {
            0 => Followers::Many(&self.many[cell.token as usize]),
            count => Followers::One(cell.token, count),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_equal_a_brute_force_count() {
        let tokens: Vec<u32> = (0..600u32).map(|i| (i * i + i / 7) % 40).collect();
        let mut counts = Counts::new();
        counts.learn(&tokens);
        for at in 0..tokens.len() {
            let contexts = ContextHashes::before(&tokens, at);
            for order in 0..=MAX_ORDER.min(at) {
                let context = &tokens[at - order..at];
                let mut expected = std::collections::BTreeMap::new();
                for end in order..tokens.len() {
                    if &tokens[end - order..end] == context {
                        *expected.entry(tokens[end]).or_insert(0u32) += 1;
                    }
                }
                let found = counts.followers(&contexts, order).expect("it was learned");
                assert_eq!(found.total(), expected.values().sum::<u32>());
                assert_eq!(found.n_distinct(), expected.len());
                for (token, count) in &expected {
                    assert_eq!(found.count(*token), *count);
                }
                let top: Vec<u32> = found.top(100).map(|token| expected[&token]).collect();
                assert!(top.is_sorted_by(|a, b| a >= b));
                assert_eq!(top.len(), expected.len());
            }
        }
    }

    #[test]
    fn the_start_of_a_file_is_a_context_of_its_own() {
        let mut counts = Counts::new();
        counts.learn(&[5, 6]);
        let contexts = ContextHashes::before(&[], 0);
        assert_eq!(contexts.n_orders(), 2);
        let first = counts.followers(&contexts, 1).expect("seen");
        assert_eq!((first.total(), first.count(5)), (1, 1));
        assert!(
            counts
                .followers(&ContextHashes::before(&[9], 1), 1)
                .is_none()
        );
    }
}
