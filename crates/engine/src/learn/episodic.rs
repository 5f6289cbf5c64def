//! Episodic memory: exit rows of a project, each with the token that followed, and the nearest of them.
//!
//! Called with committed text to remember it, and for a prediction to recall what followed the rows
//! most like this one: one more distribution beside the cache. The caller remembers the insertion ids of a
//! file and so can take it out again; the memory must not know about files.
//!
//! A row is kept as 8-bit codes of its direction. Codes and queries multiply in integers, exactly, so a
//! similarity depends on nothing but its two rows: rows asked together are answered as rows asked
//! alone, bit for bit.
//!
//! A large memory is not read whole. States stand in lists under leaders, which are states picked at
//! even distances of age, and a query reads the lists of the leaders most like it until its budget of
//! states is used up. While the memory is no larger than the budget the answer is exact.

use super::frame::{Kind, Put, Reader};
use super::{check_option, check_setting, check_size, check_tokens, count_rows};
use crate::EngineError;
use crate::session::check_length;
use nestor_kernels::{MatMut, MatRef, Update, argmax, dot, dot_code_rows, matmul};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;

mod document;
mod outline;

pub use document::DocumentStates;
pub(in crate::learn) use outline::Missing;

static SAVED: Kind = Kind {
    magic: b"nestorEp",
    version: 1,
    what: "the episodic memory",
};

/// Largest code of a state.
const STATE_CODES: f32 = 127.0;

/// Largest code of a query; products with states of [`MAX_WIDTH`] still fit 32 bits.
const QUERY_CODES: f32 = 2047.0;

const MAX_WIDTH: usize = 8192;

/// Rows that are shorter have no direction.
const MIN_NORM: f32 = 1e-12;

/// Rows that are compared with the leaders as one matrix.
const BLOCK: usize = 64;

/// Leaders are the root of this times the number of states, so that choosing lists and reading them
/// cost about the same.
const LEADERS_SQUARED_PER_STATE: usize = 10;

/// How much is remembered, and how much of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpisodicConfig {
    /// Most states; the oldest go first.
    pub capacity: usize,
    /// Most states that one query compares itself with.
    pub scan: usize,
}

impl Default for EpisodicConfig {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            scan: 2048,
        }
    }
}

impl EpisodicConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`EngineError::Setting`] that names the field.
    pub fn validate(&self) -> Result<(), EngineError> {
        check_size("capacity", self.capacity)?;
        check_size("scan", self.scan)
    }
}

/// What followed the rows most like a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalled {
    /// Tokens with their probabilities, which sum to 1; the likeliest first.
    pub probs: Vec<(u32, f32)>,
    /// Cosine of the query and the nearest row.
    pub similarity: f32,
}

/// The memory.
#[derive(Debug, Clone)]
pub struct Episodic {
    config: EpisodicConfig,
    vocab: usize,
    width: usize,
    /// None while the memory is small.
    leaders: Coded,
    /// A list for every leader, or one for all states when there are none.
    lists: Vec<List>,
    /// The list of every state, oldest state first.
    order: VecDeque<u32>,
    next_id: u64,
    /// States when the leaders were last picked.
    states_at_pick: u64,
    /// States added since.
    added_since_pick: u64,
}

/// Rows of length 1 as codes.
#[derive(Debug, Clone, Default)]
struct Coded {
    /// `[rows, d]`
    codes: Vec<i8>,
    /// What makes the codes a row of length 1.
    scales: Vec<f32>,
}

/// States in the order of their ids. The first `gone` of them are dropped already: taking them out one
/// by one would move the rest each time.
#[derive(Debug, Clone, Default)]
struct List {
    gone: usize,
    rows: Coded,
    /// The tokens that followed.
    tokens: Vec<u32>,
    ids: Vec<u64>,
}

/// The codes of a row that is asked for, and what makes them a row of length 1.
struct Query {
    codes: Vec<i16>,
    scale: f32,
}

/// A state that a query found.
#[derive(Debug, Clone, Copy)]
struct Hit {
    similarity: f32,
    id: u64,
    token: u32,
}

impl Hit {
    /// Whether it comes before another: more similar, or as similar and newer.
    fn beats(&self, other: &Self) -> bool {
        let by_similarity = self.similarity.total_cmp(&other.similarity);
        by_similarity.then(self.id.cmp(&other.id)).is_gt()
    }
}

impl Query {
    /// For a row of length 1.
    fn new(unit: &[f32]) -> Self {
        let factor = QUERY_CODES / largest(unit);
        let codes: Vec<i16> = unit.iter().map(|x| (x * factor).round() as i16).collect();
        let squares: i64 = codes.iter().map(|c| i64::from(*c) * i64::from(*c)).sum();
        let scale = (squares as f32).sqrt().recip();
        Self { codes, scale }
    }
}

impl Coded {
    fn push(&mut self, (codes, scale): (&[i8], f32)) {
        self.codes.extend_from_slice(codes);
        self.scales.push(scale);
    }

    fn row(&self, at: usize, width: usize) -> (&[i8], f32) {
        (&self.codes[at * width..][..width], self.scales[at])
    }

    /// Cosines of a query with the rows from `first` on, into `found`; `products` is scratch.
    fn cosines(&self, first: usize, query: &Query, products: &mut Vec<i32>, found: &mut Vec<f32>) {
        let scales = &self.scales[first..];
        products.resize(scales.len(), 0);
        dot_code_rows(
            &self.codes[first * query.codes.len()..],
            &query.codes,
            products,
        );
        found.clear();
        let cosines = products.iter().zip(scales);
        found.extend(cosines.map(|(product, scale)| *product as f32 * (query.scale * scale)));
    }
}

impl List {
    fn states(&self) -> usize {
        self.ids.len() - self.gone
    }

    fn push(&mut self, row: (&[i8], f32), token: u32, id: u64) {
        self.rows.push(row);
        self.tokens.push(token);
        self.ids.push(id);
    }

    fn drop_oldest(&mut self, width: usize) {
        self.gone += 1;
        if 2 * self.gone > self.ids.len() {
            self.rows.codes.drain(..self.gone * width);
            self.rows.scales.drain(..self.gone);
            self.tokens.drain(..self.gone);
            self.ids.drain(..self.gone);
            self.gone = 0;
        }
    }
}

impl Episodic {
    /// An empty memory.
    ///
    /// # Errors
    /// [`EngineError::Setting`] for a configuration or sizes that make no sense.
    pub fn new(config: EpisodicConfig, vocab: usize, width: usize) -> Result<Self, EngineError> {
        config.validate()?;
        check_size("vocab", vocab)?;
        let fits = (1..=MAX_WIDTH).contains(&width);
        check_setting("width", width as f32, fits, "must be between 1 and 8192")?;
        Ok(Self {
            config,
            vocab,
            width,
            leaders: Coded::default(),
            lists: vec![List::default()],
            order: VecDeque::new(),
            next_id: 0,
            states_at_pick: 0,
            added_since_pick: 0,
        })
    }

    /// How much is remembered and read.
    pub fn config(&self) -> &EpisodicConfig {
        &self.config
    }

    /// States remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The insertion id that the next row gets.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Bytes that the memory holds.
    pub fn bytes(&self) -> usize {
        let states: usize = self.lists.iter().map(|list| list.ids.len()).sum();
        let leaders = self.leaders.scales.len();
        states * (self.width + 4 + 4 + 8) + leaders * (self.width + 4) + 4 * self.order.len()
    }

    /// Forgets everything; ids go on.
    pub fn reset(&mut self) {
        self.leaders = Coded::default();
        self.lists = vec![List::default()];
        self.order.clear();
        self.states_at_pick = 0;
        self.added_since_pick = 0;
    }

    /// Remembers rows `[n, d]` with the n tokens that followed, and returns their n ids, which are never
    /// given twice. A row without a direction, of zeros or of what is not a number, keeps its id but is
    /// not stored. How rows are cut into calls makes no difference.
    ///
    /// # Errors
    /// [`EngineError::Length`] or [`EngineError::Token`] for input that does not fit; nothing is
    /// remembered then.
    pub fn push_batch(&mut self, rows: &[f32], tokens: &[u32]) -> Result<Range<u64>, EngineError> {
        check_length("rows of an exit", rows.len(), tokens.len() * self.width)?;
        check_tokens(tokens, self.vocab)?;
        let first = self.next_id;
        for (row, token) in rows.chunks_exact(self.width).zip(tokens) {
            let id = self.next_id;
            self.next_id += 1;
            let Some(unit) = direction(row) else {
                continue;
            };
            let (codes, scale) = encode(&unit);
            let list = self.nearest_leader(&unit);
            self.lists[list].push((&codes, scale), *token, id);
            self.order.push_back(list as u32);
            self.added_since_pick += 1;
            if self.order.len() > self.config.capacity {
                self.drop_oldest();
            }
            let outgrown = self.added_since_pick >= self.states_at_pick;
            if self.order.len() > self.config.scan && outgrown {
                self.pick_leaders();
            }
        }
        Ok(first..self.next_id)
    }

    /// Uses up the ids of `n` rows that are not remembered.
    pub fn pass_over(&mut self, n: usize) {
        self.next_id += n as u64;
    }

    /// Takes out the states whose insertion ids the caller names, and returns how many there were.
    pub fn forget(&mut self, is_named: impl Fn(u64) -> bool) -> usize {
        let before = self.order.len();
        let mut order = Vec::with_capacity(before);
        for (index, list) in self.lists.iter_mut().enumerate() {
            let mut kept = List::default();
            for at in list.gone..list.ids.len() {
                let id = list.ids[at];
                if !is_named(id) {
                    kept.push(list.rows.row(at, self.width), list.tokens[at], id);
                    order.push((id, index as u32));
                }
            }
            *list = kept;
        }
        order.sort_unstable();
        self.order = order.into_iter().map(|(_, list)| list).collect();
        before - self.order.len()
    }

    /// What followed the `k` states nearest to a row `[d]`, weighted by the softmax of their cosines
    /// over the temperature; of equally near states the newest count. `None` when nothing is
    /// remembered or the row has no direction.
    ///
    /// # Errors
    /// [`EngineError::Length`] for a row of another width; [`EngineError::Setting`] for a `k` of 0 or
    /// a temperature that is not a positive number.
    pub fn query(
        &self,
        row: &[f32],
        k: usize,
        temperature: f32,
    ) -> Result<Option<Recalled>, EngineError> {
        check_length("row of an exit", row.len(), self.width)?;
        Ok(self.query_batch(row, k, temperature)?.pop().flatten())
    }

    /// [`Episodic::query`] for rows `[n, d]`: n answers, each the one that its row would get alone.
    ///
    /// # Errors
    /// As [`Episodic::query`].
    pub fn query_batch(
        &self,
        rows: &[f32],
        k: usize,
        temperature: f32,
    ) -> Result<Vec<Option<Recalled>>, EngineError> {
        self.query_batch_hiding(rows, k, temperature, &[])
    }

    /// [`Episodic::query_batch`] as if the states with the `hidden` insertion ids were not remembered: they count for the budget of what is
    /// read and for nothing else.
    ///
    /// # Errors
    /// As [`Episodic::query`].
    pub fn query_batch_hiding(
        &self,
        rows: &[f32],
        k: usize,
        temperature: f32,
        hidden: &[Range<u64>],
    ) -> Result<Vec<Option<Recalled>>, EngineError> {
        self.check_query(rows, k, temperature)?;
        let answer = |row: &[f32]| {
            let query = Query::new(&direction(row)?);
            vote(&self.nearest(&query, k, hidden), temperature)
        };
        Ok(rows.chunks_exact(self.width).map(answer).collect())
    }

    fn check_query(&self, rows: &[f32], k: usize, temperature: f32) -> Result<(), EngineError> {
        count_rows(rows, self.width)?;
        check_size("k", k)?;
        check_option("temperature", temperature, temperature > 0.0)
    }

    /// The nearest states, nearest first, among those that the budget allows to read.
    fn nearest(&self, query: &Query, k: usize, hidden: &[Range<u64>]) -> Vec<Hit> {
        let (mut products, mut cosines) = (Vec::new(), Vec::new());
        self.leaders.cosines(0, query, &mut products, &mut cosines);
        let mut ranked: BinaryHeap<(i32, Reverse<usize>)> = cosines
            .iter()
            .enumerate()
            .map(|(list, cosine)| (ordered_bits(*cosine), Reverse(list)))
            .collect();
        if ranked.is_empty() {
            ranked.push((0, Reverse(0)));
        }
        let mut hits: Vec<Hit> = Vec::with_capacity(k.min(self.config.scan) + 1);
        let mut left = self.config.scan;
        while left > 0
            && let Some((_, Reverse(list))) = ranked.pop()
        {
            let list = &self.lists[list];
            // Of a list that is too long the newest states are read.
            let read = list.states().min(left);
            left -= read;
            let first = list.ids.len() - read;
            list.rows.cosines(first, query, &mut products, &mut cosines);
            for (at, similarity) in (first..).zip(&cosines) {
                let hit = Hit {
                    similarity: *similarity,
                    id: list.ids[at],
                    token: list.tokens[at],
                };
                if hits.len() == k && !hits.last().is_some_and(|worst| hit.beats(worst)) {
                    continue;
                }
                if hidden.iter().any(|ids| ids.contains(&hit.id)) {
                    continue;
                }
                let place = hits.partition_point(|other| other.beats(&hit));
                hits.insert(place, hit);
                hits.truncate(k);
            }
        }
        hits
    }

    fn nearest_leader(&self, unit: &[f32]) -> usize {
        let (mut products, mut cosines) = (Vec::new(), Vec::new());
        let query = Query::new(unit);
        self.leaders.cosines(0, &query, &mut products, &mut cosines);
        argmax(&cosines)
    }

    fn drop_oldest(&mut self) {
        if let Some(list) = self.order.pop_front() {
            self.lists[list as usize].drop_oldest(self.width);
        }
    }

    /// Picks leaders anew and moves every state to its leader's list. Runs each time the memory has
    /// doubled, and once full each time it has been replaced, so its cost a state stays bounded.
    fn pick_leaders(&mut self) {
        let d = self.width;
        let states = self.order.len();
        let lists = std::mem::take(&mut self.lists);
        let mut read: Vec<usize> = lists.iter().map(|list| list.gone).collect();
        let by_age: Vec<(usize, usize)> = self
            .order
            .iter()
            .map(|list| {
                let list = *list as usize;
                read[list] += 1;
                (list, read[list] - 1)
            })
            .collect();
        let decode = |(list, at): (usize, usize), out: &mut [f32]| {
            let list: &List = &lists[list];
            let (codes, scale) = list.rows.row(at, d);
            for (out, code) in out.iter_mut().zip(codes) {
                *out = f32::from(*code) * scale;
            }
        };
        let leaders = (LEADERS_SQUARED_PER_STATE * states).isqrt().min(states);
        self.leaders = Coded::default();
        let mut directions = vec![0.0; leaders * d];
        for (i, row) in directions.chunks_exact_mut(d).enumerate() {
            let (list, at) = by_age[i * states / leaders];
            self.leaders.push(lists[list].rows.row(at, d));
            decode((list, at), row);
        }
        self.lists = vec![List::default(); leaders];
        self.order.clear();
        let mut block = vec![0.0; BLOCK * d];
        let mut likeness = vec![0.0; BLOCK * leaders];
        for places in by_age.chunks(BLOCK) {
            for (place, row) in places.iter().zip(block.chunks_exact_mut(d)) {
                decode(*place, row);
            }
            matmul(
                MatMut::new(&mut likeness, places.len(), leaders),
                MatRef::new(&block, places.len(), d),
                MatRef::new(&directions, leaders, d).transposed(),
                Update::Assign,
                1,
            );
            for ((list, at), likeness) in places.iter().zip(likeness.chunks_exact(leaders)) {
                let (from, to) = (&lists[*list], argmax(likeness));
                self.lists[to].push(from.rows.row(*at, d), from.tokens[*at], from.ids[*at]);
                self.order.push_back(to as u32);
            }
        }
        self.states_at_pick = states as u64;
        self.added_since_pick = 0;
    }

    /// The memory as bytes that [`Episodic::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes() + 64);
        self.put_head(&mut body);
        for list in &self.lists {
            let gone = list.gone;
            body.put_u32s(&[list.states() as u32]);
            body.put_u64s(&list.ids[gone..]);
            body.put_u32s(&list.tokens[gone..]);
            body.put_f32s(&list.rows.scales[gone..]);
            body.put_i8s(&list.rows.codes[gone * self.width..]);
        }
        SAVED.seal(&body)
    }

    /// A memory from its bytes. Where it holds more states than the configuration allows, the oldest
    /// are dropped.
    ///
    /// # Errors
    /// [`EngineError::Setting`] as [`Episodic::new`]; [`EngineError::Memory`] for bytes that are
    /// damaged, of another version, or for another vocabulary or width.
    pub fn from_bytes(
        config: EpisodicConfig,
        vocab: usize,
        width: usize,
        bytes: &[u8],
    ) -> Result<Self, EngineError> {
        let mut reader = SAVED.open(bytes)?;
        let mut memory = Self::read_head(config, vocab, width, &mut reader)?;
        let leaders = memory.leaders.scales.len();
        memory.lists.clear();
        let mut order = Vec::new();
        for index in 0..leaders.max(1) {
            let states = reader.u32()? as usize;
            let list = List {
                gone: 0,
                ids: reader.u64s(states)?,
                tokens: reader.u32s(states)?,
                rows: read_rows(&mut reader, states, width)?,
            };
            memory.check_list(&list)?;
            order.extend(list.ids.iter().map(|id| (*id, index as u32)));
            memory.lists.push(list);
        }
        reader.finish()?;
        order.sort_unstable();
        if order.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(SAVED.wrong("an id stands twice"));
        }
        memory.order = order.into_iter().map(|(_, list)| list).collect();
        while memory.order.len() > config.capacity {
            memory.drop_oldest();
        }
        // The budget may be smaller than the one that the memory was saved under.
        if memory.order.len() > config.scan && leaders == 0 {
            memory.pick_leaders();
        }
        Ok(memory)
    }

    /// What a saved memory begins with, whole or in outline: sizes, counters and leaders.
    fn put_head(&self, body: &mut Vec<u8>) {
        body.put_u32s(&[self.vocab as u32, self.width as u32]);
        body.put_u64s(&[self.next_id, self.states_at_pick, self.added_since_pick]);
        body.put_u32s(&[self.leaders.scales.len() as u32]);
        body.put_f32s(&self.leaders.scales);
        body.put_i8s(&self.leaders.codes);
    }

    /// A memory without states from what [`Episodic::put_head`] has put, with an empty list for each leader.
    fn read_head(
        config: EpisodicConfig,
        vocab: usize,
        width: usize,
        reader: &mut Reader<'_>,
    ) -> Result<Self, EngineError> {
        let mut memory = Self::new(config, vocab, width)?;
        reader.expect_size("vocabulary", vocab)?;
        reader.expect_size("width", width)?;
        memory.next_id = reader.u64()?;
        memory.states_at_pick = reader.u64()?;
        memory.added_since_pick = reader.u64()?;
        let leaders = reader.u32()? as usize;
        memory.leaders = read_rows(reader, leaders, width)?;
        memory.lists = vec![List::default(); leaders.max(1)];
        Ok(memory)
    }

    fn check_list(&self, list: &List) -> Result<(), EngineError> {
        let reason = if !list.ids.is_sorted_by(|a, b| a < b) {
            "ids of a list do not ascend"
        } else if list.ids.last().is_some_and(|id| *id >= self.next_id) {
            "an id was not given yet"
        } else if list.tokens.iter().any(|t| *t as usize >= self.vocab) {
            "a token is not in the vocabulary"
        } else {
            return Ok(());
        };
        Err(SAVED.wrong(reason))
    }
}

/// A row at length 1; `None` when it has no direction.
fn direction(row: &[f32]) -> Option<Vec<f32>> {
    let norm = dot(row, row).sqrt();
    let scale = norm.recip();
    (norm.is_finite() && norm > MIN_NORM).then(|| row.iter().map(|x| x * scale).collect())
}

fn read_rows(reader: &mut Reader<'_>, rows: usize, width: usize) -> Result<Coded, EngineError> {
    let scales = reader.f32s(rows)?;
    if scales.iter().any(|scale| !(0.0..=1.0).contains(scale)) {
        return Err(SAVED.wrong("a scale is not between 0 and 1"));
    }
    let codes = reader.i8s(rows.saturating_mul(width))?;
    Ok(Coded { codes, scales })
}

/// The codes of a row of length 1, and what makes them one.
fn encode(unit: &[f32]) -> (Vec<i8>, f32) {
    let factor = STATE_CODES / largest(unit);
    let codes: Vec<i8> = unit.iter().map(|x| (x * factor).round() as i8).collect();
    let squares: i64 = codes.iter().map(|c| i64::from(*c) * i64::from(*c)).sum();
    (codes, (squares as f32).sqrt().recip())
}

fn largest(x: &[f32]) -> f32 {
    x.iter().fold(f32::MIN_POSITIVE, |max, x| max.max(x.abs()))
}

/// An integer that orders as the number does, as in [`f32::total_cmp`].
fn ordered_bits(x: f32) -> i32 {
    let bits = x.to_bits() as i32;
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}

/// The distribution that the nearest states vote for; `hits` come nearest first.
fn vote(hits: &[Hit], temperature: f32) -> Option<Recalled> {
    let similarity = hits.first()?.similarity;
    let mut probs: Vec<(u32, f32)> = Vec::new();
    let mut sum = 0.0;
    for hit in hits {
        let weight = ((hit.similarity - similarity) / temperature).exp();
        sum += weight;
        match probs.iter_mut().find(|(token, _)| *token == hit.token) {
            Some((_, votes)) => *votes += weight,
            None => probs.push((hit.token, weight)),
        }
    }
    for (_, votes) in &mut probs {
        *votes /= sum;
    }
    probs.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    Some(Recalled { probs, similarity })
}

#[cfg(test)]
mod tests;
