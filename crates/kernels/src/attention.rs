//! Attention over a window of positions, whose result for a position does not depend on how the text was cut into calls.
//!
//! Keys and values lie in blocks of 32 positions that begin at multiples of 32. A score is summed over the width of a head, a result over
//! the positions, oldest first, whatever the block; so positions together are positions alone, bit for bit. Blocks are shared by
//! clones until one side writes: a snapshot copies a few pointers.

use crate::matrix::{MatMut, MatRef};
use crate::panels::{LINES, Line, PANEL, Tile};
use crate::softmax::softmax_in_place;
use std::collections::VecDeque;
use std::sync::Arc;

/// Query rows that are multiplied together.
const ROWS: usize = 8;

/// Keys and values of [`PANEL`] positions.
#[derive(Debug, Clone)]
struct Block {
    /// `[width][32 positions]`
    keys: Vec<Line>,
    /// `[ceil(width / 32)][32 positions][32]`
    values: Vec<Line>,
}

impl Block {
    fn new(width: usize) -> Self {
        let columns = width.next_multiple_of(PANEL);
        Self {
            keys: vec![Line([0.0; 16]); width * LINES],
            values: vec![Line([0.0; 16]); columns * LINES],
        }
    }

    fn put(&mut self, at: usize, key: &[f32], value: &[f32]) {
        for (i, key) in key.iter().enumerate() {
            self.keys[i * LINES + at / 16].0[at % 16] = *key;
        }
        for (j, value) in value.iter().enumerate() {
            let line = (j / PANEL * PANEL + at) * LINES + j % PANEL / 16;
            self.values[line].0[j % 16] = *value;
        }
    }
}

/// The keys and values of one head that the last positions of a text can see.
#[derive(Debug, Clone)]
pub struct KeyValues {
    width: usize,
    window: usize,
    /// Positions put in so far.
    positions: usize,
    /// The block that holds position 0 is number 0; the front one has this number.
    first_block: usize,
    blocks: VecDeque<Arc<Block>>,
}

/// Buffers that are kept between calls.
#[derive(Debug, Default)]
pub struct AttentionScratch {
    scores: Vec<f32>,
}

impl KeyValues {
    /// Nothing seen; keys and values have `width` numbers, and a position sees the last `window`, itself included.
    ///
    /// # Panics
    /// When a size is 0.
    pub fn new(width: usize, window: usize) -> Self {
        assert!(width > 0 && window > 0, "width {width}, window {window}");
        Self {
            width,
            window,
            positions: 0,
            first_block: 0,
            blocks: VecDeque::new(),
        }
    }

    /// Positions put in so far.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// Bytes of the blocks, shared with clones or not.
    pub fn bytes(&self) -> usize {
        self.blocks.len() * self.block_bytes()
    }

    /// Bytes of the blocks that are full, which clones share as long as both have them.
    pub fn whole_bytes(&self) -> usize {
        let open = usize::from(!self.positions.is_multiple_of(PANEL));
        self.blocks.len().saturating_sub(open) * self.block_bytes()
    }

    fn block_bytes(&self) -> usize {
        (self.width + self.width.next_multiple_of(PANEL)) * LINES * size_of::<Line>()
    }

    /// Puts in the next position. What it cannot see any more stays until [`KeyValues::forget`].
    ///
    /// # Panics
    /// When key or value have another width.
    pub fn push(&mut self, key: &[f32], value: &[f32]) {
        assert!(
            key.len() == self.width && value.len() == self.width,
            "a key of {} and a value of {} for a width of {}",
            key.len(),
            value.len(),
            self.width
        );
        if self.positions.is_multiple_of(PANEL) {
            self.blocks.push_back(Arc::new(Block::new(self.width)));
        }
        let block = self.blocks.back_mut().expect("a block was pushed");
        Arc::make_mut(block).put(self.positions % PANEL, key, value);
        self.positions += 1;
    }

    /// Drops the blocks that no later position sees.
    pub fn forget(&mut self) {
        let oldest = (self.positions + 1).saturating_sub(self.window);
        while (self.first_block + 1) * PANEL <= oldest && !self.blocks.is_empty() {
            self.blocks.pop_front();
            self.first_block += 1;
        }
    }

    /// What the queries `[T, heads x width]` of the last T positions put in, already scaled, read into `out` of the same shape.
    ///
    /// # Panics
    /// When the shapes do not fit together, or T positions were not put in since the last [`KeyValues::forget`].
    pub fn attend(
        &self,
        queries: MatRef<'_>,
        out: &mut MatMut<'_>,
        scratch: &mut AttentionScratch,
    ) {
        let time = queries.rows();
        let heads = queries.columns() / self.width;
        assert!(
            time <= self.positions
                && self.first_block * PANEL
                    <= (self.positions - time + 1).saturating_sub(self.window),
            "{time} positions to attend from, {} put in",
            self.positions
        );
        assert!(
            heads > 0
                && heads * self.width == queries.columns()
                && (out.rows(), out.columns()) == (time, queries.columns()),
            "attention of {time} x {} with heads of {} into {} x {}",
            queries.columns(),
            self.width,
            out.rows(),
            out.columns()
        );
        let together = (ROWS / heads).max(1);
        for t in (0..time).step_by(together) {
            let n = together.min(time - t);
            let mut out = out.slice_rows(t, n);
            let first = self.positions - time + t;
            self.attend_few(queries.slice_rows(t, n), &mut out, heads, first, scratch);
        }
    }

    /// The queries of a few positions from `position` on.
    fn attend_few(
        &self,
        queries: MatRef<'_>,
        out: &mut MatMut<'_>,
        heads: usize,
        position: usize,
        scratch: &mut AttentionScratch,
    ) {
        let n = queries.rows();
        let oldest = (position + 1).saturating_sub(self.window);
        let (from, to) = (oldest / PANEL, (position + n - 1) / PANEL);
        let seen = (to - from + 1) * PANEL;
        scratch.scores.resize(n * heads * seen, 0.0);
        for number in from..=to {
            let block = &self.blocks[number - self.first_block];
            for t in 0..n {
                let tile = Tile {
                    inputs: self.width,
                    x: queries.row(t).as_ptr(),
                    x_stride: self.width,
                    adds: false,
                    panel: block.keys.as_ptr().cast(),
                    y: scratch.scores[t * heads * seen + (number - from) * PANEL..].as_mut_ptr(),
                    stride: seen,
                    columns: PANEL,
                };
                // SAFETY: a row of the queries holds `heads` of `width` numbers, the block `width` rows of 32 keys; the scores have
                // `heads` rows of `seen`, of which 32 columns from this block's place on are written.
                unsafe { tile.multiply(heads) };
            }
        }
        for t in 0..n {
            let low = (position + t + 1).saturating_sub(self.window) - from * PANEL;
            let high = position + t + 1 - from * PANEL;
            for row in scratch.scores[t * heads * seen..][..heads * seen].chunks_exact_mut(seen) {
                softmax_in_place(&mut row[low..high]);
            }
            let out = out.row_mut(t);
            out.fill(0.0);
            for number in from + low / PANEL..=from + (high - 1) / PANEL {
                let at = (number - from) * PANEL;
                let (start, end) = (low.max(at), high.min(at + PANEL));
                let block = &self.blocks[number - self.first_block];
                for column in (0..self.width).step_by(PANEL) {
                    let tile = Tile {
                        inputs: end - start,
                        x: scratch.scores[t * heads * seen + start..].as_ptr(),
                        x_stride: seen,
                        adds: true,
                        panel: block.values[(column + start - at) * LINES..]
                            .as_ptr()
                            .cast(),
                        y: out[column..].as_mut_ptr(),
                        stride: self.width,
                        columns: PANEL.min(self.width - column),
                    };
                    // SAFETY: `heads` rows of `seen` scores stand there, of which those from `start` to `end` are read; the block
                    // holds 32 positions for each 32 columns; the row of the result holds `heads` of `width` numbers.
                    unsafe { tile.multiply(heads) };
                }
            }
        }
    }

    /// The keys, then the values of the positions that are kept, oldest first, `[n, width]` each.
    pub fn rows(&self) -> [Vec<f32>; 2] {
        let mut found = [Vec::new(), Vec::new()];
        for position in self.first_block * PANEL..self.positions {
            let block = &self.blocks[position / PANEL - self.first_block];
            let at = position % PANEL;
            for i in 0..self.width {
                found[0].push(block.keys[i * LINES + at / 16].0[at % 16]);
                let line = (i / PANEL * PANEL + at) * LINES + i % PANEL / 16;
                found[1].push(block.values[line].0[i % 16]);
            }
        }
        found
    }
}

/// What one query reads of the keys and values `[n, width]` that it sees, in `f64`.
pub fn attend_reference(query: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    let width = query.len();
    let scores: Vec<f64> = keys
        .chunks_exact(width)
        .map(|key| {
            key.iter()
                .zip(query)
                .map(|(k, q)| f64::from(*k) * f64::from(*q))
                .sum()
        })
        .collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    let column = |j: usize| {
        let values = values.chunks_exact(width).zip(&weights);
        values
            .map(|(value, weight)| f64::from(value[j]) * weight)
            .sum::<f64>()
            / total
    };
    (0..width).map(|j| column(j) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::tests::{noise, relative_error};
    use proptest::prelude::*;

    /// Everything that `heads` queries of each of `time` positions read, in calls of the given lengths.
    fn attend(
        width: usize,
        window: usize,
        heads: usize,
        pieces: &[usize],
        time: usize,
    ) -> (Vec<f32>, KeyValues) {
        let (keys, values) = (noise(1, time * width), noise(2, time * width));
        let queries: Vec<f32> = noise(3, time * heads * width)
            .iter()
            .map(|q| 3.0 * q)
            .collect();
        let mut memory = KeyValues::new(width, window);
        let mut scratch = AttentionScratch::default();
        let row = heads * width;
        let mut out = Vec::new();
        let mut at = 0;
        for piece in pieces.iter().cycle() {
            let n = (*piece).min(time - at);
            for t in at..at + n {
                memory.push(&keys[t * width..][..width], &values[t * width..][..width]);
            }
            let mut read = vec![7.0; n * row];
            let asked = MatRef::new(&queries[at * row..][..n * row], n, row);
            memory.attend(asked, &mut MatMut::new(&mut read, n, row), &mut scratch);
            memory.forget();
            out.extend(read);
            at += n;
            if at == time {
                return (out, memory);
            }
        }
        (out, memory)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn calls_of_any_length_give_the_same_bits_and_the_definition(
            pieces in proptest::collection::vec(1usize..70, 1..5),
            width in 1usize..70, window in 1usize..100, heads in 1usize..7, time in 1usize..150,
        ) {
            let (steps, kept) = attend(width, window, heads, &[1], time);
            let (together, _) = attend(width, window, heads, &pieces, time);
            prop_assert_eq!(&together, &steps);
            prop_assert!(kept.bytes() <= (window + 2 * PANEL) * 2 * (width + PANEL) * 4);
            let (keys, values) = (noise(1, time * width), noise(2, time * width));
            let queries: Vec<f32> = noise(3, time * heads * width).iter().map(|q| 3.0 * q).collect();
            for t in [0, time / 2, time - 1] {
                let low = (t + 1).saturating_sub(window) * width;
                for head in 0..heads {
                    let at = (t * heads + head) * width;
                    let seen = low..(t + 1) * width;
                    let plain = attend_reference(&queries[at..][..width], &keys[seen.clone()], &values[seen]);
                    prop_assert!(relative_error(&steps[at..][..width], &plain) < 2e-5);
                }
            }
        }
    }

    #[test]
    fn a_clone_shares_until_one_side_writes() {
        let (_, mut one) = attend(8, 40, 1, &[7], 45);
        let other = one.clone();
        assert!(Arc::ptr_eq(&one.blocks[0], &other.blocks[0]));
        let before = other.rows();
        one.push(&[1.0; 8], &[1.0; 8]);
        assert_eq!(other.rows(), before);
        assert_eq!(one.rows()[0].len(), before[0].len() + 8);
    }

    #[test]
    #[should_panic(expected = "a key of 3 and a value of 4 for a width of 4")]
    fn a_wrong_width_is_named() {
        KeyValues::new(4, 2).push(&[0.0; 3], &[0.0; 4]);
    }
}
