//! Posting chains of one context order over a nest's token stream.
//!
//! Position `p` of the stream is an occurrence of the context `stream[p - order .. p]` followed by `stream[p]`. The
//! heads table maps a context to its most recent occurrence, `links[p]` to the one before. Two contexts with one hash
//! never share a head: insertion compares the stored tokens. Called by `ngram`; knows nothing of segments or counts.

/// "No position".
pub(crate) const NONE: u32 = u32::MAX;

/// Slots up to which a table of heads is doubled where it is too small.
const DOUBLED: usize = 1 << 24;

/// Occurrences of all contexts of one order, newest first.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    order: usize,
    heads: Vec<u32>,
    used: usize,
    links: Vec<u32>,
}

impl Chain {
    pub(crate) fn new(order: usize) -> Self {
        Self {
            order,
            heads: Vec::new(),
            used: 0,
            links: Vec::new(),
        }
    }

    pub(crate) fn order(&self) -> usize {
        self.order
    }

    /// Appends an occurrence for every position from the chain's length to the stream's end. `start` is the first
    /// position of the segment these positions belong to: contexts never reach before it.
    pub(crate) fn extend(&mut self, stream: &[u16], start: usize) {
        let added = stream.len() - self.links.len();
        make_room(&mut self.links, added);
        for at in self.links.len()..stream.len() {
            let link = if at >= start + self.order {
                self.insert(stream, at)
            } else {
                NONE
            };
            self.links.push(link);
        }
    }

    /// The most recent occurrence of the context that ends `context`, given its hash.
    pub(crate) fn newest(&self, stream: &[u16], context: &[u32], hash: u64) -> u32 {
        if self.heads.is_empty() || context.len() < self.order {
            return NONE;
        }
        let context = &context[context.len() - self.order..];
        let mut slot = self.slot(hash);
        loop {
            let head = self.heads[slot];
            if head == NONE {
                return NONE;
            }
            let stored = &stream[head as usize - self.order..head as usize];
            if stored.iter().zip(context).all(|(&s, &c)| u32::from(s) == c) {
                return head;
            }
            slot = self.behind(slot);
        }
    }

    /// The occurrence before `at` of the same context.
    pub(crate) fn older(&self, at: u32) -> u32 {
        self.links[at as usize]
    }

    /// Takes back the newest occurrences until `len` positions are left; `stream` still holds the removed tokens.
    pub(crate) fn truncate(&mut self, stream: &[u16], start: usize, len: usize) {
        while self.links.len() > len {
            let at = self.links.len() - 1;
            let link = self.links[at];
            if at >= start + self.order {
                let slot = self.find(stream, at);
                self.heads[slot] = link;
                if link == NONE {
                    self.vacate(stream, slot);
                }
            }
            self.links.pop();
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.heads.capacity() + self.links.capacity()) * size_of::<u32>()
    }

    pub(crate) fn reserve(&mut self, additional: usize) {
        self.links.reserve(additional);
    }

    /// Makes room for so many distinct contexts, and a few that come later.
    pub(crate) fn reserve_contexts(&mut self, stream: &[u16], contexts: usize) {
        let size = (contexts + contexts / 32) / 4 * 5;
        if size > self.heads.len() {
            self.place(stream, size.max(64));
        }
    }

    fn insert(&mut self, stream: &[u16], at: usize) -> u32 {
        if (self.used + 1) * 5 > self.heads.len() * 4 {
            self.grow(stream);
        }
        let slot = self.find(stream, at);
        let head = self.heads[slot];
        if head == NONE {
            self.used += 1;
        }
        self.heads[slot] = at as u32;
        head
    }

    /// The slot of the context before `at`: its head's, or the empty one where it belongs.
    fn find(&self, stream: &[u16], at: usize) -> usize {
        let context = &stream[at - self.order..at];
        let mut slot = self.slot(context_hash(context));
        loop {
            let head = self.heads[slot];
            if head == NONE || stream[head as usize - self.order..head as usize] == *context {
                return slot;
            }
            slot = self.behind(slot);
        }
    }

    fn slot(&self, hash: u64) -> usize {
        // The hash as a fraction of the table: its size need be no power of two.
        ((u128::from(hash) * self.heads.len() as u128) >> 64) as usize
    }

    fn behind(&self, slot: usize) -> usize {
        if slot + 1 == self.heads.len() {
            0
        } else {
            slot + 1
        }
    }

    /// A slot fell empty: moves later heads of the same probe run so that no lookup stops early.
    fn vacate(&mut self, stream: &[u16], mut hole: usize) {
        self.used -= 1;
        // How far a slot lies behind another, around the end.
        let len = self.heads.len();
        let distance = |from: usize, to: usize| {
            if to >= from {
                to - from
            } else {
                to + len - from
            }
        };
        let mut slot = hole;
        loop {
            slot = self.behind(slot);
            let head = self.heads[slot];
            if head == NONE {
                return;
            }
            let home = self.slot(context_hash(
                &stream[head as usize - self.order..head as usize],
            ));
            if distance(home, slot) >= distance(hole, slot) {
                self.heads[hole] = head;
                self.heads[slot] = NONE;
                hole = slot;
            }
        }
    }

    fn grow(&mut self, stream: &[u16]) {
        let len = self.heads.len();
        let more = if len < DOUBLED { len } else { len / 4 };
        self.place(stream, (len + more).max(64));
    }

    /// Makes a table of so many slots.
    fn place(&mut self, stream: &[u16], size: usize) {
        let old = std::mem::replace(&mut self.heads, vec![NONE; size]);
        for head in old.into_iter().filter(|&head| head != NONE) {
            let at = head as usize;
            let mut slot = self.slot(context_hash(&stream[at - self.order..at]));
            while self.heads[slot] != NONE {
                slot = self.behind(slot);
            }
            self.heads[slot] = head;
        }
    }
}

/// Grows by a quarter: doubling would leave up to half of a project's memory unused.
pub(crate) fn make_room<T>(values: &mut Vec<T>, additional: usize) {
    if values.capacity() - values.len() < additional {
        values.reserve_exact(additional.max(values.len() / 4));
    }
}

/// Hash of a context, newest token first, so that one pass over a query yields the hash of every order.
#[derive(Clone, Copy, Default)]
pub(crate) struct ContextHash(u64);

impl ContextHash {
    pub(crate) fn push_older(&mut self, token: u32) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(token)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    pub(crate) fn finish(self) -> u64 {
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

fn context_hash(context: &[u16]) -> u64 {
    let mut hash = ContextHash::default();
    for &token in context.iter().rev() {
        hash.push_older(u32::from(token));
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrences(chain: &Chain, stream: &[u16], context: &[u32]) -> Vec<u32> {
        let mut hash = ContextHash::default();
        for &token in context.iter().rev() {
            hash.push_older(token);
        }
        let mut found = Vec::new();
        let mut at = chain.newest(stream, context, hash.finish());
        while at != NONE {
            found.push(at);
            at = chain.older(at);
        }
        found
    }

    fn pseudo_random_stream(len: usize) -> Vec<u16> {
        let mut state = 7u32;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 29) as u16
            })
            .collect()
    }

    #[test]
    fn chains_hold_every_occurrence_newest_first() {
        let stream = pseudo_random_stream(5000);
        let mut chain = Chain::new(3);
        chain.extend(&stream, 0);
        for start in [0usize, 17, 4000, 4990] {
            let context: Vec<u32> = stream[start..start + 3].iter().map(|&t| t.into()).collect();
            let expected: Vec<u32> = (3..stream.len())
                .rev()
                .filter(|&at| stream[at - 3..at] == stream[start..start + 3])
                .map(|at| at as u32)
                .collect();
            assert_eq!(occurrences(&chain, &stream, &context), expected);
        }
    }

    #[test]
    fn truncation_equals_never_having_seen_the_tail() {
        let stream = pseudo_random_stream(3000);
        let mut chain = Chain::new(4);
        chain.extend(&stream, 0);
        chain.truncate(&stream, 0, 1000);
        let mut fresh = Chain::new(4);
        fresh.extend(&stream[..1000], 0);
        assert_eq!(chain.used, fresh.used);
        for start in 0..2000 {
            let context: Vec<u32> = stream[start..start + 4].iter().map(|&t| t.into()).collect();
            assert_eq!(
                occurrences(&chain, &stream[..1000], &context),
                occurrences(&fresh, &stream[..1000], &context)
            );
        }
    }
}
