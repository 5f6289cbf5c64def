//! Lessons of levels 2 and 3 by autodiff: Burn finds the gradients from the loss; what is done with a gradient follows docs/levels.md and
//! the docs of the engine's configurations.
//!
//! Letters: n rows of a chunk, d width, V vocabulary, r hidden units.

use burn::tensor::activation::{log_softmax, silu, softmax};
use burn::tensor::{Tensor, TensorData};
use nestor_engine::{Band, LevelMemories, LevelMemoriesConfig, MlpWeights, Optimiser};
use nestor_model::{Cpu, TrainCpu};
use std::collections::BTreeSet;

/// The first exit with a delta, and the one with the MLP, counted from 0.
pub const DELTA_EXITS: std::ops::Range<usize> = 1..3;
pub const MLP_EXIT: usize = 2;

pub type Matrix = Tensor<Cpu, 2>;
type Traced = Tensor<TrainCpu, 2>;

/// Added to mean squares before a root, as the engine does.
const NORM_EPS: f32 = 1e-6;

/// What the memories learn, by autodiff.
pub struct Reference {
    config: LevelMemoriesConfig,
    /// `[V, d]`
    pub head: Matrix,
    /// `[V, d]` for each of [`DELTA_EXITS`].
    pub deltas: Vec<Matrix>,
    /// `W_a [d, r]` and `W_b [r, d]`.
    pub weights: [MlpMatrix; 2],
    /// Tokens since the last step.
    tokens: usize,
    /// The rules that have mattered.
    pub reached: BTreeSet<&'static str>,
}

/// A matrix of the MLP.
pub struct MlpMatrix {
    pub start: Matrix,
    pub now: Matrix,
    gradient: Matrix,
    momentum: Matrix,
    /// Running mean of the gradient's norm.
    norm: Option<f32>,
}

impl Reference {
    pub fn new(config: LevelMemoriesConfig, head: &Matrix, memories: &LevelMemories) -> Self {
        let [vocab, width] = head.dims();
        // Where the MLP starts is drawn by the engine.
        let MlpWeights { w_a, w_b } = memories.exit_mlp().unwrap().weights();
        let weights = [
            matrix(w_a.clone(), [width, config.mlp.hidden]),
            matrix(w_b.clone(), [config.mlp.hidden, width]),
        ];
        Self {
            config,
            head: head.clone(),
            deltas: DELTA_EXITS.map(|_| zeros([vocab, width])).collect(),
            weights: weights.map(|start| MlpMatrix {
                now: start.clone(),
                gradient: start.zeros_like(),
                momentum: start.zeros_like(),
                norm: None,
                start,
            }),
            tokens: 0,
            reached: BTreeSet::new(),
        }
    }

    /// `e' = e + g silu(norm(e) W_a) W_b`
    fn corrected(&self, rows: &Matrix, [w_a, w_b]: [Traced; 2]) -> Traced {
        let hidden = silu(constant(&normed(rows)).matmul(w_a));
        constant(rows) + hidden.matmul(w_b).mul_scalar(self.config.mlp.gain)
    }

    fn used(&self, exit: usize, rows: &Matrix) -> Matrix {
        if exit != MLP_EXIT {
            return rows.clone();
        }
        let weights = self.weights.each_ref().map(|matrix| constant(&matrix.now));
        self.corrected(rows, weights).inner()
    }

    /// `(E + dE) e`
    pub fn logits(&self, exit: usize, rows: &Matrix) -> Matrix {
        let head = self.head.clone() + self.deltas[exit - DELTA_EXITS.start].clone();
        self.used(exit, rows).matmul(head.transpose())
    }

    /// Learns a chunk: for each exit its rows `[n, d]`, and the n tokens that followed.
    pub fn learn(&mut self, rows: &[Matrix], targets: &[u32]) {
        let [vocab, _] = self.head.dims();
        let mut truth = vec![0.0; targets.len() * vocab];
        for (at, target) in targets.iter().enumerate() {
            truth[at * vocab + *target as usize] = 1.0;
        }
        let truth = matrix(truth, [targets.len(), vocab]);
        for exit in DELTA_EXITS {
            let logits = self.logits(exit, &rows[exit]);
            let used = self.used(exit, &rows[exit]);
            // Level 3 first: its lesson is under the delta that gave the probabilities.
            if exit == MLP_EXIT {
                self.learn_mlp(&rows[exit], &logits, &truth);
            }
            self.learn_delta(exit, &used, &logits, &truth);
        }
        self.tokens += targets.len();
        if self.tokens >= self.config.period {
            self.step();
        }
    }

    /// `dE[v] = decay dE[v] - rate / n sum_t w_t (p_t[v] - [v = y_t]) u_t` over the kept tokens, u the row at RMS 1.
    fn learn_delta(&mut self, exit: usize, rows: &Matrix, logits: &Matrix, truth: &Matrix) {
        let config = self.config.delta;
        let kept = kept(logits, truth, config.probability_threshold);
        let weights = self.token_weights(&config.band, logits, truth, &kept);
        let delta = &self.deltas[exit - DELTA_EXITS.start];
        // The logits are those of the exit; how they depend on the delta is what the rule says.
        let learned = traced(delta);
        let moved = constant(&normed(rows)).matmul(learned.clone().transpose());
        let moved = (moved.clone() - moved.detach()) * constant(&kept);
        let loss = cross_entropy(constant(logits) + moved, truth, &weights);
        let gradient = learned.grad(&loss.backward()).unwrap();
        let step = gradient.mul_scalar(config.rate / rows.dims()[0] as f32);
        let step_limits = at_most(row_norms(&step), config.max_step_norm);
        let row = delta.clone().mul_scalar(config.decay) - step * step_limits.clone();
        let row_limits = at_most(row_norms(&row), config.max_row_norm);
        self.deltas[exit - DELTA_EXITS.start] = row * row_limits.clone();

        self.note(
            lowest(&kept) == 0.0,
            "tokens under the threshold of level 2",
        );
        self.note(lowest(&step_limits) < 1.0, "a limited step of a row");
        self.note(lowest(&row_limits) < 1.0, "a limited row");
    }

    /// Adds the gradient of a chunk's loss to the period's. Tokens under the threshold push as their mean over the chunk does.
    fn learn_mlp(&mut self, rows: &Matrix, logits: &Matrix, truth: &Matrix) {
        let config = self.config.mlp;
        let everything = truth.ones_like();
        let weights = self.token_weights(&config.band, logits, truth, &everything);
        let leaf = traced(logits);
        let loss = cross_entropy(leaf.clone(), truth, &weights);
        let by_logits = leaf.grad(&loss.backward()).unwrap();
        let kept = kept(logits, truth, config.probability_threshold);
        let tail = by_logits.clone() * (everything - kept.clone());
        let total = tail.clone().sum().into_scalar();
        let mut pushed = by_logits * kept;
        if total > 0.0 {
            let mean = tail.clone().sum_dim(0).div_scalar(total);
            pushed = pushed + tail.sum_dim(1).matmul(mean);
            self.reached.insert("tokens under the threshold of level 3");
        }

        let weights = self.weights.each_ref().map(|matrix| traced(&matrix.now));
        let head = self.head.clone() + self.deltas[MLP_EXIT - DELTA_EXITS.start].clone();
        let logits = self
            .corrected(rows, weights.clone())
            .matmul(constant(&head).transpose());
        let gradients = (logits * constant(&pushed)).sum().backward();
        for (matrix, weights) in self.weights.iter_mut().zip(weights) {
            matrix.gradient = matrix.gradient.clone() + weights.grad(&gradients).unwrap();
        }
    }

    /// Ends a period of the MLP.
    fn step(&mut self) {
        let config = self.config.mlp;
        let tokens = std::mem::take(&mut self.tokens) as f32;
        let mut notes = Vec::new();
        for matrix in &mut self.weights {
            let gradient = matrix.gradient.clone().div_scalar(tokens);
            matrix.gradient = matrix.gradient.zeros_like();
            matrix.momentum =
                matrix.momentum.clone().mul_scalar(config.momentum) + gradient.clone();
            let norm = frobenius(&gradient);
            let reference = matrix.norm.filter(|reference| *reference > 0.0);
            let caution = reference.map_or(1.0, |reference| (norm / reference).min(1.0));
            matrix.norm = Some(reference.map_or(norm, |reference| 0.98 * reference + 0.02 * norm));
            let [rows, columns] = matrix.now.dims();
            let step = match config.optimiser {
                Optimiser::Sgd => matrix.momentum.clone().mul_scalar(config.rate),
                Optimiser::Muon => {
                    notes.push((caution < 1.0, "a cautious step"));
                    let scale = 0.2 * (rows.max(columns) as f32).sqrt() * caution;
                    newton_schulz(&matrix.momentum).mul_scalar(config.rate * scale)
                }
            };
            let unit = (columns as f32).sqrt();
            let limit = config.max_step * frobenius(&matrix.now).max(unit);
            let shrunk = (limit / frobenius(&step)).min(1.0);
            let away = matrix.now.clone() - matrix.start.clone();
            let away = away.mul_scalar(1.0 - config.decay) - step.mul_scalar(shrunk);
            let radius = config.max_distance * frobenius(&matrix.start).max(unit);
            let drawn = (radius / frobenius(&away)).min(1.0);
            matrix.now = matrix.start.clone() + away.mul_scalar(drawn);
            notes.push((shrunk < 1.0, "a limited step of a matrix"));
            notes.push((drawn < 1.0, "a limited matrix"));
        }
        for (happened, rule) in notes {
            self.note(happened, rule);
        }
    }

    /// Weights `[n, 1]` of the tokens' losses: the band's, and the factor that clips the gradient by the kept logits.
    fn token_weights(
        &mut self,
        band: &Band,
        logits: &Matrix,
        truth: &Matrix,
        kept: &Matrix,
    ) -> Matrix {
        let losses = -(log_softmax(logits.clone(), 1) * truth.clone()).sum_dim(1);
        let is_news = losses.clone().greater_equal_elem(band.loss_floor).float();
        let ceiling = at_most(losses, band.loss_ceiling);
        let gradient = (softmax(logits.clone(), 1) - truth.clone()) * kept.clone();
        let clip = at_most(row_norms(&gradient), band.max_gradient);
        self.note(lowest(&is_news) == 0.0, "a known token");
        self.note(lowest(&ceiling) < 1.0, "a token over the ceiling");
        self.note(lowest(&clip) < 1.0, "a clipped gradient");
        is_news * ceiling * clip
    }

    fn note(&mut self, happened: bool, rule: &'static str) {
        if happened {
            self.reached.insert(rule);
        }
    }
}

/// Sum of the weighted losses.
fn cross_entropy(logits: Traced, truth: &Matrix, weights: &Matrix) -> Tensor<TrainCpu, 1> {
    -(log_softmax(logits, 1) * constant(&(truth.clone() * weights.clone()))).sum()
}

/// 1 for the targets and for the tokens whose probability reaches the threshold, 0 for the others; `[n, V]`.
fn kept(logits: &Matrix, truth: &Matrix, threshold: f32) -> Matrix {
    let reached = softmax(logits.clone(), 1).greater_equal_elem(threshold);
    reached.float().max_pair(truth.clone())
}

/// Five quintic steps towards the nearest matrix with orthonormal rows or columns (Jordan et al. 2024).
fn newton_schulz(matrix: &Matrix) -> Matrix {
    let [rows, columns] = matrix.dims();
    let norm = frobenius(matrix);
    if norm == 0.0 {
        return matrix.clone();
    }
    let is_tall = rows > columns;
    let turned = |x: Matrix| if is_tall { x.transpose() } else { x };
    let mut x = turned(matrix.clone().div_scalar(norm));
    for _ in 0..5 {
        let gram = x.clone().matmul(x.clone().transpose());
        let mix = gram.clone().mul_scalar(-4.775) + gram.clone().matmul(gram).mul_scalar(2.0315);
        x = x.clone().mul_scalar(3.4445) + mix.matmul(x);
    }
    turned(x)
}

/// Rows at RMS 1.
fn normed(rows: &Matrix) -> Matrix {
    let squares = rows.clone().powi_scalar(2).mean_dim(1);
    rows.clone() / squares.add_scalar(NORM_EPS).sqrt()
}

/// `[n, 1]`
fn row_norms(rows: &Matrix) -> Matrix {
    rows.clone().powi_scalar(2).sum_dim(1).sqrt()
}

/// The factors that bring lengths to at most a limit.
fn at_most(lengths: Matrix, limit: f32) -> Matrix {
    lengths.recip().mul_scalar(limit).clamp_max(1.0)
}

fn frobenius(matrix: &Matrix) -> f32 {
    matrix.clone().powi_scalar(2).sum().sqrt().into_scalar()
}

fn lowest(matrix: &Matrix) -> f32 {
    matrix.clone().min().into_scalar()
}

fn matrix(values: Vec<f32>, shape: [usize; 2]) -> Matrix {
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

pub fn zeros(shape: [usize; 2]) -> Matrix {
    Tensor::zeros(shape, &Default::default())
}

fn traced(matrix: &Matrix) -> Traced {
    constant(matrix).require_grad()
}

fn constant(matrix: &Matrix) -> Traced {
    Tensor::from_inner(matrix.clone())
}
