//! What a nest knows about the continuation of one context: per level, the counts of what followed.
//!
//! Levels are context orders ([`LEVEL_ORDERS`]), longest first. Nothing is allocated once the buffers have grown. Called
//! by `nested`; decides nothing about weights.

use crate::chain::{Chain, ContextHash, NONE};
use crate::counts::Continuations;
use crate::ngram::{CHAIN_ORDERS, MAX_ORDER, Ngram};
use crate::subtraction::Subtraction;

/// Context order of each level; a match of length `n` counts in every level of at most `n`.
pub(crate) const LEVEL_ORDERS: [usize; 15] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32];

const _: () = {
    let mut chain = 0;
    while chain < CHAIN_ORDERS.len() {
        let mut level = 0;
        while LEVEL_ORDERS[level] != CHAIN_ORDERS[chain] {
            level += 1;
        }
        chain += 1;
    }
    // Evaluation fails above when a chain's order is not a level: its shortest matches would be lost.
};

/// Number of levels.
pub(crate) const LEVELS: usize = LEVEL_ORDERS.len();

/// Most recent occurrences looked at per chain, shortest order first (beside `ngram::CHAIN_ORDERS`).
const CHAIN_BUDGETS: [usize; CHAIN_ORDERS.len()] = [32, 32, 32];

/// Of a longer list of counted continuations those are used that are more frequent than the entry at this index; the rest is
/// left to shorter contexts. A rule on counts, so that the same counts give the same entries whatever their history.
const LONGEST_LIST: usize = 512;

/// Forgotten occurrences cost steps too; a walk gives up after this multiple of its budget.
const DEAD_STEPS: usize = 4;

/// Counts of one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    /// Index into [`LEVEL_ORDERS`].
    pub(crate) level: usize,
    /// Occurrences of the context.
    pub(crate) total: u32,
    /// Occurrences whose continuation is among the entries: all but what was pruned from the corpus model.
    pub(crate) kept: u32,
    /// Different continuations.
    pub(crate) distinct: u32,
    pub(crate) entries: Entries,
    /// What followed the most recent occurrence, where occurrences are looked at one by one.
    pub(crate) newest: Option<u16>,
}

/// Where the counts of a level stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entries {
    /// In the evidence's own buffers.
    Buffered { start: usize, end: usize },
    /// The first `len` entries of the nest's count list of this order.
    Counted { order: usize, len: usize },
    /// In the corpus model: entries of this range.
    Corpus { start: usize, end: usize },
}

/// Evidence of one nest for one context.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Longest first; only levels that add occurrences to the one before. Level 0 of a nest is not here (dense).
    pub(crate) levels: Vec<Level>,
    pub(crate) tokens: Vec<u16>,
    pub(crate) counts: Vec<u32>,
    /// Longest match in tokens, up to `MAX_ORDER`.
    pub(crate) matched_order: usize,
    occurrences: Vec<Occurrence>,
    seen_tokens: Vec<u16>,
    seen_counts: Vec<u32>,
    sorted_counts: Vec<u32>,
    /// Position and continuation of the most recent occurrence seen.
    newest: Option<(u32, u16)>,
    /// Per token: its index in `seen_tokens` plus one, 0 for none.
    seen_index: Vec<u16>,
}

#[derive(Clone, Copy, Debug)]
struct Occurrence {
    level: u8,
    token: u16,
    position: u32,
}

impl Evidence {
    pub(crate) fn clear(&mut self) {
        self.levels.clear();
        self.tokens.clear();
        self.counts.clear();
        self.matched_order = 0;
    }

    /// Collects what `ngram` knows, less what is subtracted.
    pub(crate) fn gather(
        &mut self,
        ngram: &Ngram,
        context: &[u32],
        subtraction: Option<&Subtraction>,
    ) {
        self.clear();
        if ngram.is_empty() {
            return;
        }
        self.seen_index.resize(ngram.vocab_size(), 0);
        self.newest = None;
        let hashes = chain_hashes(ngram.chains(), context);
        let mut upper = usize::MAX;
        for index in (0..ngram.chains().len()).rev() {
            let chain = &ngram.chains()[index];
            let budget = CHAIN_BUDGETS[index];
            self.walk(
                ngram,
                chain,
                hashes[index],
                budget,
                upper,
                context,
                subtraction,
            );
            self.add_chain_levels(chain.order(), upper);
            upper = chain.order();
        }
        for &token in &self.seen_tokens {
            self.seen_index[usize::from(token)] = 0;
        }
        self.seen_tokens.clear();
        self.seen_counts.clear();
        for order in [2, 1] {
            if order <= ngram.max_order() {
                self.add_counted_level(ngram, order, context, subtraction);
            }
        }
    }

    /// Collects the occurrences of one chain whose match is shorter than `upper`: longer ones came from the longer chain.
    #[expect(clippy::too_many_arguments, reason = "one query, its operands")]
    fn walk(
        &mut self,
        ngram: &Ngram,
        chain: &Chain,
        hash: u64,
        budget: usize,
        upper: usize,
        context: &[u32],
        subtraction: Option<&Subtraction>,
    ) {
        self.occurrences.clear();
        let stream = ngram.stream();
        let mut live = 0;
        let mut at = chain.newest(stream, context, hash);
        for _ in 0..budget * DEAD_STEPS {
            if at == NONE || live == budget {
                break;
            }
            let position = at as usize;
            at = chain.older(at);
            if ngram.is_dead(position) || subtraction.is_some_and(|s| s.covers(position)) {
                continue;
            }
            live += 1;
            let length = match_length(stream, position, context, chain.order(), ngram.max_order());
            if length < upper {
                self.matched_order = self.matched_order.max(length);
                self.occurrences.push(Occurrence {
                    level: LEVEL_OF_LENGTH[length],
                    token: stream[position],
                    position: position as u32,
                });
            }
        }
    }

    /// Turns the collected occurrences into levels, adding to the counts of the longer ones.
    fn add_chain_levels(&mut self, order: usize, upper: usize) {
        if self.occurrences.is_empty() {
            return;
        }
        for level in (0..LEVELS).rev() {
            if LEVEL_ORDERS[level] >= upper || LEVEL_ORDERS[level] < order {
                continue;
            }
            let mut added = false;
            let here = |found: &&Occurrence| usize::from(found.level) == level;
            for found in self.occurrences.iter().filter(here) {
                added = true;
                if self
                    .newest
                    .is_none_or(|(position, _)| position < found.position)
                {
                    self.newest = Some((found.position, found.token));
                }
                let index = &mut self.seen_index[usize::from(found.token)];
                if *index == 0 {
                    self.seen_tokens.push(found.token);
                    self.seen_counts.push(0);
                    *index = self.seen_tokens.len() as u16;
                }
                self.seen_counts[usize::from(*index) - 1] += 1;
            }
            if added {
                let start = self.tokens.len();
                self.tokens.extend_from_slice(&self.seen_tokens);
                self.counts.extend_from_slice(&self.seen_counts);
                let total = self.seen_counts.iter().sum();
                self.levels.push(Level {
                    level,
                    total,
                    kept: total,
                    distinct: self.seen_tokens.len() as u32,
                    entries: Entries::Buffered {
                        start,
                        end: self.tokens.len(),
                    },
                    newest: self.newest.map(|(_, token)| token),
                });
            }
        }
    }

    fn add_counted_level(
        &mut self,
        ngram: &Ngram,
        order: usize,
        context: &[u32],
        subtraction: Option<&Subtraction>,
    ) {
        let Some(list) = ngram.counts().after(context, order) else {
            return;
        };
        let minus = subtraction.and_then(|s| s.counts().after(context, order));
        let mut level = Level {
            level: order,
            total: list.total,
            kept: list.total,
            distinct: list.tokens.len() as u32,
            entries: Entries::Counted {
                order,
                len: list.tokens.len(),
            },
            newest: None,
        };
        if let Some(minus) = minus {
            let start = self.tokens.len();
            self.buffer_difference(list, minus);
            level.total -= minus.total;
            level.distinct = (self.tokens.len() - start) as u32;
            self.drop_rare(start);
            level.kept = self.counts[start..].iter().sum();
            level.entries = Entries::Buffered {
                start,
                end: self.tokens.len(),
            };
        } else if list.counts.len() > LONGEST_LIST {
            let rare = list.counts[LONGEST_LIST];
            let len = list.counts.partition_point(|&count| count > rare);
            level.kept = list.counts[..len].iter().sum();
            level.entries = Entries::Counted { order, len };
        }
        if level.total > 0 && self.levels.last().is_none_or(|l| l.total != level.total) {
            self.levels.push(level);
        }
        if level.total > 0 {
            self.matched_order = self.matched_order.max(order);
        }
    }
}

impl Evidence {
    /// Puts what a long context of the corpus says before everything shorter.
    pub(crate) fn add_long(&mut self, order: usize, token: u16) {
        let start = self.tokens.len();
        self.tokens.push(token);
        self.counts.push(1);
        self.matched_order = self.matched_order.max(order);
        let level = Level {
            level: usize::from(LEVEL_OF_LENGTH[order]),
            total: 1,
            kept: 1,
            distinct: 1,
            entries: Entries::Buffered {
                start,
                end: start + 1,
            },
            newest: None,
        };
        self.levels.insert(0, level);
    }

    /// Buffers the entries of `list` less those of `minus`.
    fn buffer_difference(&mut self, list: Continuations<'_>, minus: Continuations<'_>) {
        for (&token, &count) in list.tokens.iter().zip(list.counts) {
            let hidden = minus.tokens.iter().position(|&t| t == token);
            let left = count - hidden.map_or(0, |index| minus.counts[index]);
            if left > 0 {
                self.tokens.push(token);
                self.counts.push(left);
            }
        }
    }

    /// Drops from the buffered entries `start..` what [`LONGEST_LIST`] drops from a sorted list.
    fn drop_rare(&mut self, start: usize) {
        if self.counts.len() - start <= LONGEST_LIST {
            return;
        }
        self.sorted_counts.clear();
        self.sorted_counts.extend_from_slice(&self.counts[start..]);
        let (_, &mut rare, _) = self
            .sorted_counts
            .select_nth_unstable_by(LONGEST_LIST, |a, b| b.cmp(a));
        let mut end = start;
        for index in start..self.counts.len() {
            if self.counts[index] > rare {
                self.counts[end] = self.counts[index];
                self.tokens[end] = self.tokens[index];
                end += 1;
            }
        }
        self.counts.truncate(end);
        self.tokens.truncate(end);
    }
}

/// How many tokens before `position` equal the end of `context`; at least `known` are known to.
fn match_length(
    stream: &[u16],
    position: usize,
    context: &[u32],
    known: usize,
    max_order: usize,
) -> usize {
    let limit = max_order.min(context.len());
    let mut length = known;
    while length < limit
        && u32::from(stream[position - 1 - length]) == context[context.len() - 1 - length]
    {
        length += 1;
    }
    length
}

fn chain_hashes(chains: &[Chain], context: &[u32]) -> [u64; CHAIN_ORDERS.len()] {
    let mut hashes = [0; CHAIN_ORDERS.len()];
    let mut hash = ContextHash::default();
    let mut next = 0;
    for (index, &token) in context.iter().rev().enumerate() {
        if next == chains.len() {
            break;
        }
        hash.push_older(token);
        if index + 1 == chains[next].order() {
            hashes[next] = hash.finish();
            next += 1;
        }
    }
    hashes
}

/// The level of a match of each length.
const LEVEL_OF_LENGTH: [u8; MAX_ORDER + 1] = {
    let mut table = [0; MAX_ORDER + 1];
    let mut length = 0;
    while length <= MAX_ORDER {
        let mut level = 0;
        while level < LEVELS && LEVEL_ORDERS[level] <= length {
            table[length] = level as u8;
            level += 1;
        }
        length += 1;
    }
    table
};
