//! Exact counts of what follows the contexts of orders 0, 1 and 2 in one nest.
//!
//! Short contexts occur too often for a walk over their occurrences, so their continuations are counted. The lists of
//! all contexts live in one pool, each sorted by falling count. Called by `ngram` and `subtraction`.

use rustc_hash::FxHashMap;

use crate::chain::make_room;

/// Continuations of one context: `tokens[i]` was seen `counts[i]` times, most frequent first.
#[derive(Clone, Copy)]
pub(crate) struct Continuations<'a> {
    pub(crate) tokens: &'a [u16],
    pub(crate) counts: &'a [u32],
    pub(crate) total: u32,
}

/// Counts of orders 0 to 2.
#[derive(Clone, Debug, Default)]
pub(crate) struct LowOrderCounts {
    unigrams: Vec<i32>,
    total: u32,
    distinct: u32,
    after_one: Vec<u32>,
    after_two: FxHashMap<u32, u32>,
    lists: ListPool,
}

/// "No list".
const NO_LIST: u32 = u32::MAX;

impl LowOrderCounts {
    /// Counts `stream[at]` after its contexts; none reaches before `start`.
    pub(crate) fn add(&mut self, stream: &[u16], start: usize, at: usize) {
        let token = stream[at];
        let index = usize::from(token);
        if index >= self.unigrams.len() {
            self.unigrams.resize(index + 1, 0);
        }
        self.distinct += u32::from(self.unigrams[index] == 0);
        self.unigrams[index] += 1;
        self.total += 1;
        if at > start {
            let context = usize::from(stream[at - 1]);
            if context >= self.after_one.len() {
                self.after_one.resize(context + 1, NO_LIST);
            }
            if self.after_one[context] == NO_LIST {
                self.after_one[context] = self.lists.open();
            }
            self.lists.add(self.after_one[context], token);
        }
        if at > start + 1 {
            let key = pair(stream[at - 2], stream[at - 1]);
            let list = *self
                .after_two
                .entry(key)
                .or_insert_with(|| self.lists.open());
            self.lists.add(list, token);
        }
    }

    /// Takes back one `add` of the same position.
    pub(crate) fn remove(&mut self, stream: &[u16], start: usize, at: usize) {
        let token = stream[at];
        let count = &mut self.unigrams[usize::from(token)];
        *count -= 1;
        self.distinct -= u32::from(*count == 0);
        self.total -= 1;
        if at > start {
            let context = usize::from(stream[at - 1]);
            if self.lists.remove(self.after_one[context], token) {
                self.after_one[context] = NO_LIST;
            }
        }
        if at > start + 1 {
            let key = pair(stream[at - 2], stream[at - 1]);
            if let Some(&list) = self.after_two.get(&key)
                && self.lists.remove(list, token)
            {
                self.after_two.remove(&key);
            }
        }
    }

    /// Counts of single tokens, indexed by token; may be shorter than the vocabulary.
    pub(crate) fn unigrams(&self) -> &[i32] {
        &self.unigrams
    }

    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    pub(crate) fn distinct(&self) -> u32 {
        self.distinct
    }

    /// What followed the last `order` (1 or 2) tokens of `context`.
    pub(crate) fn after(&self, context: &[u32], order: usize) -> Option<Continuations<'_>> {
        let newest = u16::try_from(*context.last()?).ok()?;
        let list = match order {
            1 => *self.after_one.get(usize::from(newest))?,
            2 => {
                let older = u16::try_from(*context.get(context.len().checked_sub(2)?)?).ok()?;
                *self.after_two.get(&pair(older, newest))?
            }
            _ => return None,
        };
        (list != NO_LIST).then(|| self.lists.get(list))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.unigrams.capacity() * 4
            + self.after_one.capacity() * 4
            + self.after_two.capacity() * 10
            + self.lists.bytes()
    }
}

fn pair(older: u16, newer: u16) -> u32 {
    u32::from(older) << 16 | u32::from(newer)
}

/// Count lists of many contexts in two shared arrays; blocks have power-of-two sizes and are reused.
#[derive(Clone, Debug, Default)]
struct ListPool {
    tokens: Vec<u16>,
    counts: Vec<u32>,
    lists: Vec<List>,
    free_lists: Vec<u32>,
    free_blocks: [Vec<u32>; 17],
}

#[derive(Clone, Copy, Debug)]
struct List {
    offset: u32,
    total: u32,
    len: u16,
    /// The block holds `1 << class` entries.
    class: u8,
}

impl ListPool {
    fn open(&mut self) -> u32 {
        let list = List {
            offset: self.block(0),
            total: 0,
            len: 0,
            class: 0,
        };
        if let Some(id) = self.free_lists.pop() {
            self.lists[id as usize] = list;
            return id;
        }
        self.lists.push(list);
        (self.lists.len() - 1) as u32
    }

    fn get(&self, id: u32) -> Continuations<'_> {
        let list = self.lists[id as usize];
        let range = list.offset as usize..list.offset as usize + usize::from(list.len);
        Continuations {
            tokens: &self.tokens[range.clone()],
            counts: &self.counts[range],
            total: list.total,
        }
    }

    fn add(&mut self, id: u32, token: u16) {
        let mut list = self.lists[id as usize];
        list.total += 1;
        let offset = list.offset as usize;
        let len = usize::from(list.len);
        if let Some(found) = position(&self.tokens[offset..offset + len], token) {
            let counts = &mut self.counts[offset..offset + len];
            let old = counts[found];
            // The first entry with the same count: swapping with it keeps the list sorted.
            let first = counts[..found].partition_point(|&count| count > old);
            counts[first] = old + 1;
            self.tokens.swap(offset + first, offset + found);
            self.lists[id as usize] = list;
            return;
        }
        if len == 1 << list.class {
            let grown = self.block(list.class + 1) as usize;
            self.tokens.copy_within(offset..offset + len, grown);
            self.counts.copy_within(offset..offset + len, grown);
            self.free_blocks[usize::from(list.class)].push(list.offset);
            list.offset = grown as u32;
            list.class += 1;
        }
        let end = list.offset as usize + len;
        self.tokens[end] = token;
        self.counts[end] = 1;
        list.len += 1;
        self.lists[id as usize] = list;
    }

    /// Takes one count back; true when the list is empty now and its id is given up.
    fn remove(&mut self, id: u32, token: u16) -> bool {
        let mut list = self.lists[id as usize];
        let offset = list.offset as usize;
        let len = usize::from(list.len);
        let found = position(&self.tokens[offset..offset + len], token)
            .expect("only what was counted is removed");
        let counts = &mut self.counts[offset..offset + len];
        let old = counts[found];
        let last = counts.partition_point(|&count| count >= old) - 1;
        counts[last] = old - 1;
        self.tokens.swap(offset + last, offset + found);
        list.total -= 1;
        list.len -= u16::from(old == 1);
        self.lists[id as usize] = list;
        if list.len == 0 {
            self.free_blocks[usize::from(list.class)].push(list.offset);
            self.free_lists.push(id);
        }
        list.len == 0
    }

    fn block(&mut self, class: u8) -> u32 {
        if let Some(offset) = self.free_blocks[usize::from(class)].pop() {
            return offset;
        }
        let offset = self.tokens.len();
        make_room(&mut self.tokens, 1 << class);
        make_room(&mut self.counts, 1 << class);
        self.tokens.resize(offset + (1 << class), 0);
        self.counts.resize(offset + (1 << class), 0);
        offset as u32
    }

    fn bytes(&self) -> usize {
        self.tokens.capacity() * 2
            + self.counts.capacity() * 4
            + self.lists.capacity() * size_of::<List>()
            + self.free_lists.capacity() * 4
            + self
                .free_blocks
                .iter()
                .map(|f| f.capacity() * 4)
                .sum::<usize>()
    }
}

/// Index of `token`; searches by blocks that the compiler turns into vector compares.
fn position(tokens: &[u16], token: u16) -> Option<usize> {
    const BLOCK: usize = 32;
    let mut base = 0;
    for block in tokens.chunks(BLOCK) {
        if block.iter().fold(false, |hit, &t| hit | (t == token)) {
            return block.iter().position(|&t| t == token).map(|i| base + i);
        }
        base += BLOCK;
    }
    None
}
