//! Level 3's memory: a residual MLP on an exit's rows, `e' = e + g silu(norm(e) W_a) W_b`.
//!
//! Called with committed text: lessons are accumulated, and every few thousand tokens one step is
//! taken. The caller decides the period and at which token a step takes effect; the memory must not
//! know about either. It learns the true next-token loss of its own exit, by hand, and needs the head
//! and nothing deeper.
//!
//! There is no norm after `W_b`, so that a `W_b` of zeros is silent. Muon's direction has the same
//! length for every gradient; the factor `min(1, |G| / G_ref)` makes a period that surprises less than
//! the periods before it move the weights less.

use super::frame::{Kind, Put, Reader};
use super::muon::{MUON_SCALE, caution, norm, orthogonalise};
use super::{
    Band, Learned, NORM_EPS, OutputDelta, Push, Verdict, check_option, check_setting, check_size,
    check_tokens, count_rows, for_each_reaching, shrink,
};
use crate::EngineError;
use crate::session::check_length;
use nestor_kernels::{
    MatMut, MatRef, Panels, Update, add_scaled, dot, matmul, matmul_panels, rms_norm, sigmoid,
    silu_in_place,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::{Arc, Weak};

static SAVED: Kind = Kind {
    magic: b"nestorL3",
    version: 1,
    what: "the level 3 memory",
};

/// How a step follows from the momentum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Optimiser {
    /// `rate * m`
    Sgd,
    /// `rate * 0.2 sqrt(max(rows, columns)) min(1, |G| / G_ref) NewtonSchulz(m)`, for each matrix.
    Muon,
}

/// Shape of the memory and how it learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitMlpConfig {
    /// Hidden units r.
    pub hidden: usize,
    /// The factor g of the correction; not 0, or nothing is learned.
    pub gain: f32,
    /// How a step follows from the momentum.
    pub optimiser: Optimiser,
    /// Step size.
    pub rate: f32,
    /// Momentum: `m = momentum m + G`; at least 0, under 1.
    pub momentum: f32,
    /// Share of the way to its start that every step takes the memory back; at least 0, at most 1.
    pub decay: f32,
    /// Longest step of a matrix, relative to its Frobenius norm or to the norm of random weights that
    /// keep the scale of their input, whichever is larger: `W_b` may start at zero.
    pub max_step: f32,
    /// Largest distance of a matrix from its start, relative likewise to the start.
    pub max_distance: f32,
    /// Tokens other than a target push by themselves where their probability reaches this, the others by their mean over the lesson;
    /// 0 is the exact gradient.
    pub probability_threshold: f32,
    /// Which tokens teach.
    pub band: Band,
}

impl Default for ExitMlpConfig {
    fn default() -> Self {
        Self {
            hidden: 256,
            gain: 1.0,
            optimiser: Optimiser::Muon,
            rate: 0.02,
            momentum: 0.9,
            decay: 0.01,
            max_step: 0.1,
            max_distance: 1.0,
            probability_threshold: 0.0003,
            band: Band::default(),
        }
    }
}

impl ExitMlpConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`EngineError::Setting`] that names the field.
    pub fn validate(&self) -> Result<(), EngineError> {
        check_size("hidden", self.hidden)?;
        check_option("gain", self.gain, self.gain != 0.0)?;
        check_option("rate", self.rate, self.rate > 0.0)?;
        let momentum = self.momentum;
        check_option("momentum", momentum, (0.0..1.0).contains(&momentum))?;
        check_option("decay", self.decay, (0.0..=1.0).contains(&self.decay))?;
        check_option("max_step", self.max_step, self.max_step > 0.0)?;
        check_option("max_distance", self.max_distance, self.max_distance > 0.0)?;
        let threshold = self.probability_threshold;
        check_option("probability_threshold", threshold, threshold >= 0.0)?;
        self.band.validate()
    }
}

/// The two matrices, or anything of their shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct MlpWeights {
    /// `[d, r]`
    pub w_a: Vec<f32>,
    /// `[r, d]`
    pub w_b: Vec<f32>,
}

/// A lesson: positions that were scored, and what followed.
#[derive(Debug, Clone, Copy)]
pub struct MlpBatch<'a> {
    /// The exit's rows before the memory, `[n, d]`.
    pub rows: &'a [f32],
    /// The n tokens that followed.
    pub targets: &'a [u32],
    /// What the exit with the memory gave, `[n, V]`.
    pub probs: &'a [f32],
    /// The head whose product with the rows gave it, `[V, d]`.
    pub head: &'a [f32],
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitMlpStep {
    /// Tokens of the period.
    pub tokens: u64,
    /// Norms of the mean gradients of `W_a` and `W_b`.
    pub gradient_norms: [f32; 2],
    /// Norms of the changes of `W_a` and `W_b`, decay included.
    pub change_norms: [f32; 2],
    /// Whether the gradient was a number; if not, it was thrown away and the weights only decayed.
    pub finite: bool,
}

/// The place of weights.
pub(super) type WeightsIdentity = Weak<MlpWeights>;

/// The memory. A clone is a fork and a snapshot, which is restored by putting it in the place of the
/// memory: weights and gradients are shared until one side learns.
#[derive(Debug, Clone)]
pub struct ExitMlp {
    config: ExitMlpConfig,
    width: usize,
    start: Arc<MlpWeights>,
    weights: Arc<MlpWeights>,
    /// The weights again, as products want them.
    panels: Arc<[Panels; 2]>,
    /// Whether `W_b` holds nothing but zeros.
    silent: bool,
    learner: Arc<Learner>,
}

/// What learning keeps from one step to the next.
#[derive(Debug, Clone, PartialEq)]
struct Learner {
    /// Sum over the tokens of the period.
    gradient: MlpWeights,
    momentum: MlpWeights,
    /// Running means of the gradients' norms; 0 before the first gradient.
    references: [f32; 2],
    /// Tokens of the period, known and refused ones included.
    tokens: u64,
}

/// What the pass through the hidden layer leaves behind.
struct Hidden {
    /// Normed rows, `[n, d]`.
    normed: Vec<f32>,
    /// Before the activation, `[n, r]`.
    before: Vec<f32>,
    /// After it, `[n, r]`.
    after: Vec<f32>,
}

/// The positions of a batch that teach.
#[derive(Default)]
struct Lesson {
    /// Their rows, `[taught, d]`.
    rows: Vec<f32>,
    /// Gradients by the logits of the targets and of the tokens over the threshold; positions count the rows.
    pushes: Vec<Push>,
    /// What is left of each position's gradient, summed over the other tokens.
    tails: Vec<f32>,
    /// The same summed over the positions, `[V]`.
    tail: Vec<f32>,
    learned: Learned,
}

impl Lesson {
    fn add(&mut self, row: &[f32], probs: &[f32], target: u32, weight: f32, threshold: f32) {
        let start = self.pushes.len();
        let mut push = |token: u32, coefficient: f32| {
            self.pushes.push(Push {
                token,
                position: self.learned.taught as u32,
                coefficient: weight * coefficient,
            });
        };
        push(target, probs[target as usize] - 1.0);
        for_each_reaching(probs, threshold, |token, p| {
            if token != target {
                push(token, p);
            }
        });
        add_scaled(&mut self.tail, weight, probs);
        let mut over = weight * probs[target as usize];
        self.tail[target as usize] -= over;
        for push in &self.pushes[start + 1..] {
            self.tail[push.token as usize] -= push.coefficient;
            over += push.coefficient;
        }
        self.tails.push((weight - over).max(0.0));
        self.rows.extend_from_slice(row);
        self.learned.taught += 1;
    }

    /// The mean row of the head that the tails pull at, `[d]`.
    fn mean_tail(&self, batch: &MlpBatch<'_>, delta: Option<&OutputDelta>) -> Vec<f32> {
        let d = batch.head.len() / self.tail.len().max(1);
        let mut mean = vec![0.0; d];
        let total: f32 = self.tails.iter().sum();
        if total <= f32::MIN_POSITIVE {
            return mean;
        }
        for (token, tail) in self.tail.iter().enumerate() {
            // Differences of rounded sums may fall under zero.
            let share = tail.max(0.0) / total;
            add_scaled(&mut mean, share, &batch.head[token * d..][..d]);
        }
        for row in delta.into_iter().flat_map(OutputDelta::rows) {
            let share = self.tail[row.token as usize].max(0.0) / total;
            add_scaled(&mut mean, share * row.scale, row.values);
        }
        mean
    }
}

impl MlpWeights {
    fn zeros(width: usize, hidden: usize) -> Self {
        Self {
            w_a: vec![0.0; width * hidden],
            w_b: vec![0.0; hidden * width],
        }
    }

    fn panels(&self, width: usize) -> [Panels; 2] {
        let hidden = self.w_a.len() / width;
        [
            Panels::from_columns(&self.w_a, width),
            Panels::from_columns(&self.w_b, hidden),
        ]
    }

    fn clear(&mut self) {
        self.w_a.fill(0.0);
        self.w_b.fill(0.0);
    }

    fn matrices(&mut self) -> [&mut [f32]; 2] {
        [&mut self.w_a, &mut self.w_b]
    }

    fn values(&self) -> impl Iterator<Item = &f32> {
        self.w_a.iter().chain(&self.w_b)
    }
}

impl Learner {
    fn new(width: usize, hidden: usize) -> Self {
        Self {
            gradient: MlpWeights::zeros(width, hidden),
            momentum: MlpWeights::zeros(width, hidden),
            references: [0.0; 2],
            tokens: 0,
        }
    }
}

impl ExitMlp {
    /// Where the weights are: learning puts them elsewhere as long as anybody remembers the place.
    pub(super) fn identity(&self) -> WeightsIdentity {
        Arc::downgrade(&self.weights)
    }

    /// A silent memory: `W_a` is normal with variance `1/d`, drawn from the seed, and `W_b` is zero.
    ///
    /// # Errors
    /// [`EngineError::Setting`] for a configuration or a width that makes no sense.
    pub fn new(config: ExitMlpConfig, width: usize, seed: u64) -> Result<Self, EngineError> {
        config.validate()?;
        check_size("width", width)?;
        let mut start = MlpWeights::zeros(width, config.hidden);
        fill_normal(&mut start.w_a, (width as f32).sqrt().recip(), seed);
        Self::from_start(config, width, start)
    }

    /// A memory that starts at, and decays to, weights that were learned elsewhere.
    ///
    /// # Errors
    /// [`EngineError::Setting`] as [`ExitMlp::new`], or for weights that are not numbers;
    /// [`EngineError::Length`] for weights of other shapes.
    pub fn from_start(
        config: ExitMlpConfig,
        width: usize,
        start: MlpWeights,
    ) -> Result<Self, EngineError> {
        config.validate()?;
        check_size("width", width)?;
        let len = width.saturating_mul(config.hidden);
        check_length("W_a", start.w_a.len(), len)?;
        check_length("W_b", start.w_b.len(), len)?;
        if let Some(value) = start.values().find(|x| !x.is_finite()) {
            check_setting("start", *value, false, "a weight must be a number")?;
        }
        let start = Arc::new(start);
        Ok(Self {
            config,
            width,
            silent: is_zero(&start.w_b),
            panels: Arc::new(start.panels(width)),
            weights: Arc::clone(&start),
            start,
            learner: Arc::new(Learner::new(width, config.hidden)),
        })
    }

    /// Shape of the memory and how it learns.
    pub fn config(&self) -> &ExitMlpConfig {
        &self.config
    }

    /// The weights in use.
    pub fn weights(&self) -> &MlpWeights {
        &self.weights
    }

    /// Whether every row stays as it is.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Tokens since the last step.
    pub fn pending_tokens(&self) -> u64 {
        self.learner.tokens
    }

    /// Bytes that the memory holds, shared with its clones or not.
    pub fn bytes(&self) -> usize {
        // The start, the weights, the gradient and the momentum, of two matrices each.
        let panels: usize = self.panels.iter().map(Panels::bytes).sum();
        4 * 4 * 2 * self.width * self.config.hidden + panels
    }

    /// Back to the start, without momentum and gradient.
    pub fn reset(&mut self) {
        self.weights = Arc::clone(&self.start);
        self.panels = Arc::new(self.weights.panels(self.width));
        self.silent = is_zero(&self.weights.w_b);
        self.learner = Arc::new(Learner::new(self.width, self.config.hidden));
    }

    /// The corrected rows: `rows` and the result are `[n, d]`, on up to `threads` threads. A silent
    /// memory returns the rows bit for bit. Rows together give the bits that each would give alone.
    ///
    /// # Errors
    /// [`EngineError::Length`] for rows that are not `[n, d]`.
    pub fn forward(&self, rows: &[f32], threads: usize) -> Result<Vec<f32>, EngineError> {
        let n = count_rows(rows, self.width)?;
        let mut corrected = rows.to_vec();
        if self.silent || n == 0 {
            return Ok(corrected);
        }
        let hidden = self.hidden(rows, n, threads);
        let mut out = vec![0.0; rows.len()];
        matmul_panels(&hidden.after, &self.panels[1], &mut out, threads);
        add_scaled(&mut corrected, self.config.gain, &out);
        Ok(corrected)
    }

    fn hidden(&self, rows: &[f32], n: usize, threads: usize) -> Hidden {
        let mut normed = vec![0.0; rows.len()];
        for (row, normed) in rows
            .chunks_exact(self.width)
            .zip(normed.chunks_exact_mut(self.width))
        {
            rms_norm(row, &[], NORM_EPS, normed);
        }
        let mut before = vec![0.0; n * self.config.hidden];
        matmul_panels(&normed, &self.panels[0], &mut before, threads);
        let mut after = before.clone();
        silu_in_place(&mut after);
        Hidden {
            normed,
            before,
            after,
        }
    }

    /// Adds the gradient of a lesson to the period's; the weights stay. A position whose row or
    /// probabilities are not numbers is skipped.
    ///
    /// # Errors
    /// [`EngineError::Length`] or [`EngineError::Token`] for input that does not fit; nothing is
    /// added then.
    pub fn accumulate(
        &mut self,
        batch: MlpBatch<'_>,
        threads: usize,
    ) -> Result<Learned, EngineError> {
        self.accumulate_under(batch, None, threads)
    }

    /// [`ExitMlp::accumulate`] where an output delta lies over the head that gave the probabilities.
    ///
    /// # Errors
    /// As [`ExitMlp::accumulate`].
    pub(super) fn accumulate_under(
        &mut self,
        batch: MlpBatch<'_>,
        delta: Option<&OutputDelta>,
        threads: usize,
    ) -> Result<Learned, EngineError> {
        let (d, r, n) = (self.width, self.config.hidden, batch.targets.len());
        let vocab = batch.head.len() / d;
        check_length("the head", batch.head.len(), vocab * d)?;
        check_length("rows of an exit", batch.rows.len(), n * d)?;
        check_length("probabilities", batch.probs.len(), n * vocab)?;
        check_tokens(batch.targets, vocab)?;
        let lesson = self.lesson(&batch, vocab);
        let learned = lesson.learned;
        let taught = learned.taught;
        let learner = Arc::make_mut(&mut self.learner);
        learner.tokens += n as u64;
        if taught == 0 {
            return Ok(learned);
        }
        let mut by_rows = vec![0.0; taught * d];
        for push in &lesson.pushes {
            let by_row = &mut by_rows[push.position as usize * d..][..d];
            let head = &batch.head[push.token as usize * d..][..d];
            add_scaled(by_row, push.coefficient, head);
            if let Some(row) = delta.and_then(|delta| delta.row(push.token)) {
                add_scaled(by_row, push.coefficient * row.scale, row.values);
            }
        }
        // What lies under the threshold is taken from the mean over the lesson: the optimiser makes small directions large, so the
        // gradients of a row must still sum to nothing over the tokens.
        let mean = lesson.mean_tail(&batch, delta);
        for (by_row, tail) in by_rows.chunks_exact_mut(d).zip(&lesson.tails) {
            add_scaled(by_row, *tail, &mean);
        }
        let rows = lesson.rows;
        let hidden = self.hidden(&rows, taught, threads);
        for value in &mut by_rows {
            *value *= self.config.gain;
        }
        let mut by_before = vec![0.0; taught * r];
        matmul(
            MatMut::new(&mut by_before, taught, r),
            MatRef::new(&by_rows, taught, d),
            MatRef::new(&self.weights.w_b, r, d).transposed(),
            Update::Assign,
            threads,
        );
        for (gradient, x) in by_before.iter_mut().zip(&hidden.before) {
            *gradient *= silu_slope(*x);
        }
        let learner = Arc::make_mut(&mut self.learner);
        matmul(
            MatMut::new(&mut learner.gradient.w_b, r, d),
            MatRef::new(&hidden.after, taught, r).transposed(),
            MatRef::new(&by_rows, taught, d),
            Update::Add,
            threads,
        );
        matmul(
            MatMut::new(&mut learner.gradient.w_a, d, r),
            MatRef::new(&hidden.normed, taught, d).transposed(),
            MatRef::new(&by_before, taught, r),
            Update::Add,
            threads,
        );
        Ok(learned)
    }

    /// The positions that teach, with their weighted gradients by the logits, `p - onehot`.
    fn lesson(&self, batch: &MlpBatch<'_>, vocab: usize) -> Lesson {
        let band = &self.config.band;
        let mut lesson = Lesson {
            tail: vec![0.0; vocab],
            ..Lesson::default()
        };
        let positions = batch.rows.chunks_exact(self.width);
        for ((row, probs), target) in positions
            .zip(batch.probs.chunks_exact(vocab.max(1)))
            .zip(batch.targets)
        {
            let p = probs[*target as usize];
            match band.judge(row, p) {
                Verdict::Known => lesson.learned.known += 1,
                Verdict::Refused => lesson.learned.refused += 1,
                Verdict::Teach(weight) => {
                    // A sum of squares is a number only if every element is one.
                    let squares = dot(probs, probs) - 2.0 * p + 1.0;
                    if !squares.is_finite() {
                        lesson.learned.refused += 1;
                        continue;
                    }
                    let weight = weight * band.clip(squares.max(0.0).sqrt());
                    lesson.add(
                        row,
                        probs,
                        *target,
                        weight,
                        self.config.probability_threshold,
                    );
                }
            }
        }
        lesson
    }

    /// Ends the period: one step along its mean gradient. `None` when it had no tokens.
    pub fn step(&mut self) -> Option<ExitMlpStep> {
        let (config, width) = (self.config, self.width);
        if self.learner.tokens == 0 {
            return None;
        }
        let learner = Arc::make_mut(&mut self.learner);
        let weights = Arc::make_mut(&mut self.weights);
        let tokens = std::mem::take(&mut learner.tokens);
        let mut report = ExitMlpStep {
            tokens,
            gradient_norms: [0.0; 2],
            change_norms: [0.0; 2],
            finite: true,
        };
        for gradient in learner.gradient.matrices() {
            for value in gradient {
                *value /= tokens as f32;
            }
        }
        report.gradient_norms = [norm(&learner.gradient.w_a), norm(&learner.gradient.w_b)];
        if !report.gradient_norms.iter().all(|norm| norm.is_finite()) {
            report.finite = false;
            report.gradient_norms = [0.0; 2];
            learner.gradient.clear();
        }
        let shapes = [(width, config.hidden), (config.hidden, width)];
        let starts = [&self.start.w_a, &self.start.w_b];
        let matrices = weights.matrices().into_iter();
        let gradients = learner.gradient.matrices().into_iter();
        for (i, ((w, momentum), gradient)) in matrices
            .zip(learner.momentum.matrices())
            .zip(gradients)
            .enumerate()
        {
            for (m, g) in momentum.iter_mut().zip(gradient.iter()) {
                *m = config.momentum * *m + g;
            }
            let (rows, columns) = shapes[i];
            let caution = caution(&mut learner.references[i], report.gradient_norms[i]);
            let direction = match config.optimiser {
                Optimiser::Sgd => momentum.to_vec(),
                Optimiser::Muon => orthogonalise(momentum, rows, columns),
            };
            let rate = match config.optimiser {
                Optimiser::Sgd => config.rate,
                Optimiser::Muon => {
                    config.rate * MUON_SCALE * (rows.max(columns) as f32).sqrt() * caution
                }
            };
            // The norm of random weights that keep the scale of their input.
            let unit = (columns as f32).sqrt();
            let limit = config.max_step * norm(w).max(unit);
            let rate = rate * shrink(norm(&direction) * rate, limit);
            let old = w.to_vec();
            for ((w, start), direction) in w.iter_mut().zip(starts[i]).zip(&direction) {
                *w = start + (1.0 - config.decay) * (*w - start) - rate * direction;
            }
            let radius = config.max_distance * norm(starts[i]).max(unit);
            draw_near(w, starts[i], radius);
            report.change_norms[i] = distance(w, &old);
        }
        learner.gradient.clear();
        self.silent = is_zero(&weights.w_b);
        self.panels = Arc::new(weights.panels(width));
        Some(report)
    }

    /// The memory as bytes that [`ExitMlp::from_bytes`] reads: start, weights, momentum, and the
    /// gradient of an unfinished period.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes() + 32);
        body.put_u32s(&[self.width as u32, self.config.hidden as u32]);
        body.put_u64s(&[self.learner.tokens]);
        body.put_f32s(&self.learner.references);
        for weights in [
            &*self.start,
            &*self.weights,
            &self.learner.momentum,
            &self.learner.gradient,
        ] {
            body.put_f32s(&weights.w_a);
            body.put_f32s(&weights.w_b);
        }
        SAVED.seal(&body)
    }

    /// A memory from its bytes.
    ///
    /// # Errors
    /// [`EngineError::Setting`] as [`ExitMlp::new`]; [`EngineError::Memory`] for bytes that are
    /// damaged, of another version, or for another width or number of hidden units.
    pub fn from_bytes(
        config: ExitMlpConfig,
        width: usize,
        bytes: &[u8],
    ) -> Result<Self, EngineError> {
        config.validate()?;
        check_size("width", width)?;
        let mut reader = SAVED.open(bytes)?;
        reader.expect_size("width", width)?;
        reader.expect_size("number of hidden units", config.hidden)?;
        let tokens = reader.u64()?;
        let references = [reader.f32s(1)?[0], reader.f32s(1)?[0]];
        if references.iter().any(|reference| *reference < 0.0) {
            return Err(SAVED.wrong(format!("its reference norms are {references:?}")));
        }
        let start = read_weights(&mut reader, width, config.hidden)?;
        let weights = read_weights(&mut reader, width, config.hidden)?;
        let momentum = read_weights(&mut reader, width, config.hidden)?;
        let gradient = read_weights(&mut reader, width, config.hidden)?;
        reader.finish()?;
        Ok(Self {
            config,
            width,
            start: Arc::new(start),
            silent: is_zero(&weights.w_b),
            panels: Arc::new(weights.panels(width)),
            weights: Arc::new(weights),
            learner: Arc::new(Learner {
                gradient,
                momentum,
                references,
                tokens,
            }),
        })
    }
}

fn read_weights(
    reader: &mut Reader<'_>,
    width: usize,
    hidden: usize,
) -> Result<MlpWeights, EngineError> {
    let len = width.saturating_mul(hidden);
    Ok(MlpWeights {
        w_a: reader.f32s(len)?,
        w_b: reader.f32s(len)?,
    })
}

/// The derivative of `x sigmoid(x)`.
fn silu_slope(x: f32) -> f32 {
    let s = sigmoid(x);
    s * (1.0 + x * (1.0 - s))
}

/// Brings `w` to at most `radius` from its start.
fn draw_near(w: &mut [f32], start: &[f32], radius: f32) {
    let factor = shrink(distance(w, start), radius);
    if factor < 1.0 {
        for (w, start) in w.iter_mut().zip(start) {
            *w = start + factor * (*w - start);
        }
    }
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    norm(&difference)
}

fn is_zero(x: &[f32]) -> bool {
    x.iter().all(|x| *x == 0.0)
}

/// Normal values by the Box-Muller transform.
fn fill_normal(values: &mut [f32], deviation: f32, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    for pair in values.chunks_mut(2) {
        // 1 minus a number under 1 is above 0, so its logarithm is finite.
        let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt() * deviation;
        let (sine, cosine) = (std::f32::consts::TAU * rng.random::<f32>()).sin_cos();
        for (value, factor) in pair.iter_mut().zip([cosine, sine]) {
            *value = radius * factor;
        }
    }
}

#[cfg(test)]
mod tests;
