//! Level 2's memory: a sparse delta on the output embedding, `logits = (E + dE) e`.
//!
//! Called every 64 tokens with what the exit said of them, and for every prediction after that. Only
//! rows that a lesson touched are stored. The caller decides what a chunk is and that a chunk is scored
//! before it teaches; the memory must not know where rows come from.
//!
//! A lesson is one step of gradient descent on the chunk's mean loss: with `g_v = (1/n) sum_t w_t (p_t[v] - [v = y_t]) u_t`
//! and u the row scaled to RMS 1, `dE_v <- decay dE_v - rate g_v`. The decay reaches every row: a
//! row's share of it is one factor beside the row, so it costs nothing to apply to rows at rest.

use super::frame::{Kind, Put};
use super::{
    Band, Learned, NORM_EPS, Push, Verdict, check_option, check_size, check_tokens, count_rows,
    for_each_reaching, shrink,
};
use crate::EngineError;
use crate::session::check_length;
use nestor_kernels::{Panels, add_scaled, dot, matmul_panels, rms_norm};
use std::sync::{Arc, Weak};

static SAVED: Kind = Kind {
    magic: b"nestorL2",
    version: 1,
    what: "the level 2 memory",
};

/// The slot of a token without a row.
const NO_SLOT: u32 = u32::MAX;

/// How the memory learns and forgets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutputDeltaConfig {
    /// Step size.
    pub rate: f32,
    /// What a lesson leaves of every row, above 0 and at most 1; 1 forgets nothing. After 1,386 lessons
    /// the default has halved what was not learned again.
    pub decay: f32,
    /// Tokens other than a target are pushed down where their probability reaches this, above 0.
    pub probability_threshold: f32,
    /// Which tokens teach.
    pub band: Band,
    /// Longest step of one row in one lesson. It bounds the change of a logit, for an exit's row of
    /// RMS 1, by this times the root of the width. It matters in runs of equal tokens, where a plain
    /// step would overshoot.
    pub max_step_norm: f32,
    /// Longest row; bounds a logit's correction in the same way.
    pub max_row_norm: f32,
    /// Most rows; the shortest rows make room for new ones.
    pub max_rows: usize,
}

impl Default for OutputDeltaConfig {
    fn default() -> Self {
        Self {
            rate: 0.15,
            decay: 0.9995,
            probability_threshold: 0.003,
            band: Band::default(),
            max_step_norm: 0.5,
            max_row_norm: 2.0,
            max_rows: 4096,
        }
    }
}

impl OutputDeltaConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`EngineError::Setting`] that names the field.
    pub fn validate(&self) -> Result<(), EngineError> {
        check_option("rate", self.rate, self.rate > 0.0)?;
        let decay = self.decay;
        check_option("decay", decay, decay > 0.0 && decay <= 1.0)?;
        let threshold = self.probability_threshold;
        check_option("probability_threshold", threshold, threshold > 0.0)?;
        self.band.validate()?;
        check_option(
            "max_step_norm",
            self.max_step_norm,
            self.max_step_norm > 0.0,
        )?;
        check_option("max_row_norm", self.max_row_norm, self.max_row_norm > 0.0)?;
        check_size("max_rows", self.max_rows)
    }
}

/// The memory. A clone is a fork and a snapshot: it shares the rows until one side learns.
#[derive(Debug, Clone)]
pub struct OutputDelta {
    config: OutputDeltaConfig,
    vocab: usize,
    width: usize,
    rows: Arc<Rows>,
}

/// The place of rows.
pub(super) type RowsIdentity = Weak<Rows>;

/// The rows; slot s holds `values[s d..(s + 1) d]`, which stand for `scales[s]` times themselves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rows {
    /// `[V]`: the slot of a token, or [`NO_SLOT`].
    slots: Vec<u32>,
    /// The token of a slot.
    tokens: Vec<u32>,
    /// Decay since the slot was last written.
    scales: Vec<f32>,
    /// Lengths of the stored rows, without their scales.
    norms: Vec<f32>,
    /// `[slots, d]`
    values: Vec<f32>,
    /// The same `[d, slots]`, as products want it.
    panels: Panels,
}

/// One row of the memory: `scale * values` is what the head's row of `token` gains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeltaRow<'a> {
    /// The token.
    pub token: u32,
    /// Common factor of the row.
    pub scale: f32,
    /// `[d]`
    pub values: &'a [f32],
}

impl OutputDelta {
    /// A silent memory.
    ///
    /// # Errors
    /// [`EngineError::Setting`] for a configuration or sizes that make no sense.
    pub fn new(config: OutputDeltaConfig, vocab: usize, width: usize) -> Result<Self, EngineError> {
        config.validate()?;
        check_size("vocab", vocab)?;
        check_size("width", width)?;
        Ok(Self {
            config,
            vocab,
            width,
            rows: Arc::new(Rows::new(vocab, width)),
        })
    }

    /// How the memory learns.
    pub fn config(&self) -> &OutputDeltaConfig {
        &self.config
    }

    /// Whether no row is stored, so that no logit changes.
    pub fn is_empty(&self) -> bool {
        self.rows.tokens.is_empty()
    }

    /// Number of rows stored.
    pub fn len(&self) -> usize {
        self.rows.tokens.len()
    }

    /// Bytes that the memory holds, shared with its clones or not.
    pub fn bytes(&self) -> usize {
        let rows = &self.rows;
        4 * (rows.slots.len() + 3 * rows.tokens.len() + rows.values.len()) + rows.panels.bytes()
    }

    /// The rows, in no particular order.
    pub fn rows(&self) -> impl Iterator<Item = DeltaRow<'_>> {
        let rows = &self.rows;
        rows.values
            .chunks_exact(self.width)
            .zip(&rows.tokens)
            .zip(&rows.scales)
            .map(|((values, token), scale)| DeltaRow {
                token: *token,
                scale: *scale,
                values,
            })
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.rows = Arc::new(Rows::new(self.vocab, self.width));
    }

    /// Adds the correction to logits: `rows` is `[n, d]`, `logits` is `[n, V]`, on up to `threads`
    /// threads. Rows together give the bits that each would give alone. An empty memory changes
    /// nothing.
    ///
    /// # Errors
    /// [`EngineError::Length`] for buffers that do not fit.
    pub fn add_logits(
        &self,
        rows: &[f32],
        logits: &mut [f32],
        threads: usize,
    ) -> Result<(), EngineError> {
        let n = count_rows(rows, self.width)?;
        check_length("logits", logits.len(), n * self.vocab)?;
        let stored = &self.rows;
        let slots = stored.tokens.len();
        if slots == 0 || n == 0 {
            return Ok(());
        }
        let mut products = vec![0.0; n * slots];
        matmul_panels(rows, &stored.panels, &mut products, threads);
        for (logits, products) in logits
            .chunks_exact_mut(self.vocab)
            .zip(products.chunks_exact(slots))
        {
            for s in 0..slots {
                logits[stored.tokens[s] as usize] += stored.scales[s] * products[s];
            }
        }
        Ok(())
    }

    /// Where the rows are: learning puts them elsewhere as long as anybody remembers the place.
    pub(super) fn identity(&self) -> RowsIdentity {
        Arc::downgrade(&self.rows)
    }

    /// The row of a token; `None` where none is stored.
    pub fn row(&self, token: u32) -> Option<DeltaRow<'_>> {
        let rows = &self.rows;
        let slot = *rows.slots.get(token as usize)?;
        let at = slot as usize * self.width;
        (slot != NO_SLOT).then(|| DeltaRow {
            token,
            scale: rows.scales[slot as usize],
            values: &rows.values[at..at + self.width],
        })
    }

    /// Learns a chunk that was scored: `rows` is `[n, d]`, `targets` are the n tokens that followed,
    /// and `probs` is `[n, V]`, what the exit with this memory gave them. A position whose row or
    /// probabilities are not numbers is skipped.
    ///
    /// # Errors
    /// [`EngineError::Length`] or [`EngineError::Token`] for input that does not fit; the memory is
    /// then unchanged.
    pub fn learn(
        &mut self,
        rows: &[f32],
        targets: &[u32],
        probs: &[f32],
    ) -> Result<Learned, EngineError> {
        let n = targets.len();
        check_size("positions of a chunk", n.max(1))?;
        check_length("rows of an exit", rows.len(), n * self.width)?;
        check_length("probabilities", probs.len(), n * self.vocab)?;
        check_tokens(targets, self.vocab)?;
        let (mut pushes, learned) = self.pushes(rows, targets, probs);
        if self.is_empty() && pushes.is_empty() {
            return Ok(learned);
        }
        let mut units = vec![0.0; rows.len()];
        for (row, unit) in rows
            .chunks_exact(self.width)
            .zip(units.chunks_exact_mut(self.width))
        {
            rms_norm(row, &[], NORM_EPS, unit);
        }
        // Positions of a token stay in their order, so that the sum has one value.
        pushes.sort_unstable_by_key(|push| (push.token, push.position));
        let config = self.config;
        let stored = Arc::make_mut(&mut self.rows);
        for scale in &mut stored.scales {
            *scale *= config.decay;
        }
        let mut groups: Vec<&[Push]> = pushes.chunk_by(|a, b| a.token == b.token).collect();
        stored.make_room(&mut groups, config.max_rows, self.width);
        let mut step = vec![0.0; self.width];
        for group in groups {
            step.fill(0.0);
            for push in group {
                let unit = &units[push.position as usize * self.width..][..self.width];
                add_scaled(&mut step, push.coefficient, unit);
            }
            let scale = -config.rate / n as f32;
            let norm = dot(&step, &step).sqrt() * scale.abs();
            let scale = scale * shrink(norm, config.max_step_norm);
            stored.take_step(group[0].token, scale, &step, config.max_row_norm);
        }
        Ok(learned)
    }

    /// What every position wants, position by position, and what became of the positions.
    fn pushes(&self, rows: &[f32], targets: &[u32], probs: &[f32]) -> (Vec<Push>, Learned) {
        let mut pushes = Vec::new();
        let mut learned = Learned::default();
        let rows = rows.chunks_exact(self.width);
        for (position, ((row, probs), target)) in rows
            .zip(probs.chunks_exact(self.vocab))
            .zip(targets)
            .enumerate()
        {
            let weight = match self.config.band.judge(row, probs[*target as usize]) {
                Verdict::Teach(weight) => weight,
                Verdict::Known => {
                    learned.known += 1;
                    continue;
                }
                Verdict::Refused => {
                    learned.refused += 1;
                    continue;
                }
            };
            let start = pushes.len();
            let mut push = |token: u32, coefficient: f32| {
                pushes.push(Push {
                    token,
                    position: position as u32,
                    coefficient,
                });
            };
            push(*target, probs[*target as usize] - 1.0);
            for_each_reaching(probs, self.config.probability_threshold, |token, p| {
                if token != *target {
                    push(token, p);
                }
            });
            let squares: f32 = pushes[start..]
                .iter()
                .map(|push| push.coefficient * push.coefficient)
                .sum();
            if !squares.is_finite() {
                pushes.truncate(start);
                learned.refused += 1;
                continue;
            }
            let weight = weight * self.config.band.clip(squares.sqrt());
            for push in &mut pushes[start..] {
                push.coefficient *= weight;
            }
            learned.taught += 1;
        }
        (pushes, learned)
    }

    /// The memory as bytes that [`OutputDelta::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let rows = &self.rows;
        let mut body = Vec::with_capacity(12 + 8 * rows.tokens.len() + 4 * rows.values.len());
        body.put_u32s(&[
            self.vocab as u32,
            self.width as u32,
            rows.tokens.len() as u32,
        ]);
        body.put_u32s(&rows.tokens);
        body.put_f32s(&rows.scales);
        body.put_f32s(&rows.norms);
        body.put_f32s(&rows.values);
        SAVED.seal(&body)
    }

    /// A memory from its bytes. Rows that are longer than the configuration allows are shortened.
    ///
    /// # Errors
    /// [`EngineError::Setting`] as [`OutputDelta::new`]; [`EngineError::Memory`] for bytes that are
    /// damaged, of another version, for another vocabulary or width, or with more rows than allowed.
    pub fn from_bytes(
        config: OutputDeltaConfig,
        vocab: usize,
        width: usize,
        bytes: &[u8],
    ) -> Result<Self, EngineError> {
        let mut memory = Self::new(config, vocab, width)?;
        let mut reader = SAVED.open(bytes)?;
        reader.expect_size("vocabulary", vocab)?;
        reader.expect_size("width", width)?;
        let count = reader.u32()? as usize;
        if count > config.max_rows {
            let reason = format!("it has {count} rows, {} are allowed", config.max_rows);
            return Err(SAVED.wrong(reason));
        }
        let tokens = reader.u32s(count)?;
        let scales = reader.f32s(count)?;
        let norms = reader.f32s(count)?;
        let values = reader.f32s(count.saturating_mul(width))?;
        reader.finish()?;
        let rows = Arc::make_mut(&mut memory.rows);
        for (slot, (values, ((token, scale), norm))) in values
            .chunks_exact(width)
            .zip(tokens.into_iter().zip(scales).zip(norms))
            .enumerate()
        {
            // The norm is kept too, so that a loaded memory goes on bit for bit; it must be that of the row.
            let found = dot(values, values).sqrt();
            let is_its_own = (norm - found).abs() <= 1e-3 * found.max(1e-3);
            match rows.slots.get_mut(token as usize) {
                Some(at) if *at == NO_SLOT => *at = slot as u32,
                _ => return Err(SAVED.wrong(format!("token {token} is foreign or stands twice"))),
            }
            if !is_its_own || !(0.0..=1.0).contains(&scale) {
                let reason = format!("row {slot} has length {found}, not {norm}, or scale {scale}");
                return Err(SAVED.wrong(reason));
            }
            rows.tokens.push(token);
            rows.scales.push(scale);
            rows.norms.push(norm);
            rows.values.extend_from_slice(values);
            rows.shorten(slot, config.max_row_norm);
        }
        rows.panels = Panels::from_rows(&rows.values, width);
        Ok(memory)
    }
}

impl Rows {
    fn new(vocab: usize, width: usize) -> Self {
        Self {
            panels: Panels::empty(width),
            slots: vec![NO_SLOT; vocab],
            tokens: Vec::new(),
            scales: Vec::new(),
            norms: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Gives every group of pushes a slot, or drops the group: slots of the shortest rows that no
    /// group touches are freed first; if they are too few, the groups that push hardest win.
    fn make_room(&mut self, groups: &mut Vec<&[Push]>, max_rows: usize, width: usize) {
        let has_slot = |slots: &[u32], group: &&[Push]| slots[group[0].token as usize] != NO_SLOT;
        let missing = groups
            .iter()
            .filter(|group| !has_slot(&self.slots, group))
            .count();
        let free = max_rows.saturating_sub(self.tokens.len());
        if missing > free {
            self.evict(missing - free, groups, width);
            let free = max_rows.saturating_sub(self.tokens.len());
            let strength =
                |group: &[Push]| -> f32 { group.iter().map(|push| push.coefficient.abs()).sum() };
            let mut strongest: Vec<(f32, u32)> = groups
                .iter()
                .filter(|group| !has_slot(&self.slots, group))
                .map(|group| (strength(group), group[0].token))
                .collect();
            strongest.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            strongest.truncate(free);
            let mut kept: Vec<u32> = strongest.into_iter().map(|(_, token)| token).collect();
            kept.sort_unstable();
            groups.retain(|group| {
                has_slot(&self.slots, group) || kept.binary_search(&group[0].token).is_ok()
            });
        }
        for group in groups {
            let token = group[0].token;
            if self.slots[token as usize] == NO_SLOT {
                self.slots[token as usize] = self.tokens.len() as u32;
                self.tokens.push(token);
                self.scales.push(1.0);
                self.norms.push(0.0);
                self.values.resize(self.values.len() + width, 0.0);
            }
        }
        self.panels.resize(self.tokens.len());
    }

    /// Frees up to `count` slots: those of the shortest rows that no group touches.
    fn evict(&mut self, count: usize, groups: &[&[Push]], width: usize) {
        let touched = |token: u32| {
            groups
                .binary_search_by_key(&token, |group| group[0].token)
                .is_ok()
        };
        let mut at_rest: Vec<(f32, u32)> = (0..self.tokens.len())
            .filter(|slot| !touched(self.tokens[*slot]))
            .map(|slot| (self.norms[slot] * self.scales[slot], self.tokens[slot]))
            .collect();
        at_rest.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (_, token) in at_rest.into_iter().take(count) {
            let slot = self.slots[token as usize] as usize;
            self.slots[token as usize] = NO_SLOT;
            self.tokens.swap_remove(slot);
            self.scales.swap_remove(slot);
            self.norms.swap_remove(slot);
            let last = self.tokens.len();
            if slot < last {
                self.slots[self.tokens[slot] as usize] = slot as u32;
                self.values
                    .copy_within(last * width..(last + 1) * width, slot * width);
                let row = &self.values[slot * width..][..width];
                self.panels.set_column(slot, row);
            }
            self.values.truncate(last * width);
            self.panels.resize(last);
        }
    }

    /// `row = row + scale step`, after the decay that the row still owes.
    fn take_step(&mut self, token: u32, scale: f32, step: &[f32], max_norm: f32) {
        let slot = self.slots[token as usize] as usize;
        let values = &mut self.values[slot * step.len()..][..step.len()];
        let owed = std::mem::replace(&mut self.scales[slot], 1.0);
        if owed != 1.0 {
            for value in values.iter_mut() {
                *value *= owed;
            }
        }
        add_scaled(values, scale, step);
        self.norms[slot] = dot(values, values).sqrt();
        self.shorten(slot, max_norm);
        let row = &self.values[slot * step.len()..][..step.len()];
        self.panels.set_column(slot, row);
    }

    /// Brings a row under the longest that is allowed.
    fn shorten(&mut self, slot: usize, max_norm: f32) {
        let factor = shrink(self.norms[slot], max_norm);
        if factor < 1.0 {
            let width = self.values.len() / self.tokens.len();
            for value in &mut self.values[slot * width..][..width] {
                *value *= factor;
            }
            self.norms[slot] = max_norm;
        }
    }
}

#[cfg(test)]
mod tests;
