//! How many distinct contexts some texts have, told before they are learned: tables of their final size need not grow meanwhile.
//!
//! Of all contexts those are kept whose hash begins with ten zeros: each context is one of them or is not, however often it occurs. Called
//! by whoever loads a project; knows token ids, never text.

use rustc_hash::FxHashSet;

use crate::chain::ContextHash;
use crate::ngram::CHAIN_ORDERS;

/// One context in `1 << SAMPLED` is kept: of ten millions ten thousand, which tell their number to a hundredth.
const SAMPLED: u32 = 10;

/// A sample of the contexts of some texts, for each length that [`crate::Ngram`] looks up.
#[derive(Clone, Debug, Default)]
pub struct ContextSample {
    seen: [FxHashSet<u64>; CHAIN_ORDERS.len()],
}

impl ContextSample {
    /// Adds the contexts of a file; every token but the first has one.
    pub fn add(&mut self, tokens: &[u32]) {
        let [.., longest] = CHAIN_ORDERS;
        for end in 1..tokens.len() {
            let mut hash = ContextHash::default();
            let mut orders = CHAIN_ORDERS.iter().zip(&mut self.seen);
            let mut next = orders.next();
            for (length, &token) in (1..).zip(tokens[..end].iter().rev().take(longest)) {
                hash.push_older(token);
                if let Some((order, seen)) = &mut next
                    && **order == length
                {
                    let hash = hash.finish();
                    if hash >> (u64::BITS - SAMPLED) == 0 {
                        seen.insert(hash);
                    }
                    next = orders.next();
                }
            }
        }
    }

    /// Adds what another sample has.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (seen, other) in self.seen.iter_mut().zip(other.seen) {
            let other = if seen.len() < other.len() {
                std::mem::replace(seen, other)
            } else {
                other
            };
            seen.extend(other);
        }
        self
    }

    /// About how many distinct contexts of a length there are.
    pub(crate) fn distinct(&self, order: usize) -> usize {
        let at = CHAIN_ORDERS.iter().position(|&known| known == order);
        at.map_or(0, |at| self.seen[at].len() << SAMPLED)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn it_tells_how_many_contexts_there_are() {
        let mut state = 7u32;
        let mut tokens: Vec<u32> = (0..400_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 26) + 1
            })
            .collect();
        // What occurs again is no other context.
        tokens.extend_from_within(..100_000);
        let mut whole = ContextSample::default();
        whole.add(&tokens);
        for order in CHAIN_ORDERS {
            let exact: HashSet<&[u32]> = tokens.windows(order).collect();
            let told = whole.distinct(order) as f64;
            let off = told / exact.len() as f64 - 1.0;
            assert!(
                off.abs() < 0.15,
                "order {order}: {told} for {}",
                exact.len()
            );
        }
        let halves = tokens.split_at(250_000);
        let [one, other] = [halves.0, halves.1].map(|half| {
            let mut sample = ContextSample::default();
            sample.add(half);
            sample
        });
        let merged = one.merge(other);
        assert!(merged.distinct(3).abs_diff(whole.distinct(3)) <= 3 << SAMPLED);
        assert_eq!(ContextSample::default().distinct(3), 0);
    }
}
