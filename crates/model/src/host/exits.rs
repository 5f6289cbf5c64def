//! Cross-entropy of all exits through the tied head, in chunks of rows, so that the logits of a
//! batch never exist at once.
//!
//! Letters: M rows (batch x time), D width, V vocabulary, R rows of a chunk. The gradients are made
//! in the forward pass, while a chunk's probabilities are at hand. Lower exits may be trained on
//! every n-th row, and learn from the deepest exit beside the truth (self-distillation):
//! their target is `(1 - distill) one-hot + distill p_deepest`, with no gradient into the latter.

use super::{Real, Side, maximum, sum, vectorised};
use crate::HostOp;
use rayon::prelude::*;
use std::sync::Arc;

/// Rows of a chunk (R).
const CHUNK: usize = 1024;

/// What the exits are to predict, and how much each counts.
#[derive(Debug, Clone)]
pub struct ExitsShape {
    /// Width of a row (D).
    pub width: usize,
    /// Pieces of the vocabulary (V).
    pub vocab: usize,
    /// The true next piece of each row.
    pub targets: Arc<Vec<u32>>,
    /// Weight of each row, 0 = not trained on.
    pub weights: Arc<Vec<f32>>,
    /// Weight of each exit's loss, shallowest first.
    pub level_weights: Vec<f32>,
    /// Share of the deepest exit's distribution in the lower exits' targets.
    pub distill: f32,
    /// Lower exits learn from rows whose index plus `phase` is a multiple of this.
    pub early_stride: usize,
    /// Shifts the rows of the lower exits from step to step.
    pub phase: usize,
}

/// What one exit reached on the truth.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ExitScore {
    /// Weighted mean negative log-likelihood, nats.
    pub nll: f64,
    /// Weighted share of rows whose most likely piece was right.
    pub top1: f64,
    /// Rows that were scored.
    pub rows: usize,
}

/// The loss, the scores, and (when asked for) the gradients of the embedding and of every exit.
pub struct ExitsResult<T> {
    /// Weighted sum of the exits' mean losses.
    pub loss: T,
    /// One score an exit.
    pub scores: Vec<ExitScore>,
    /// Gradient of the embedding `[V, D]`, then of each exit's rows `[M, D]`.
    pub gradients: Vec<Vec<T>>,
}

/// Loss over `embedding [V, D]` and the rows `[M, D]` of each exit.
pub fn forward<T: Real>(
    shape: &ExitsShape,
    embedding: &[T],
    exits: &[&[T]],
    tracked: bool,
) -> ExitsResult<T> {
    let deepest = exits.len() - 1;
    let rows: Vec<Vec<usize>> = (0..exits.len())
        .map(|exit| {
            (0..shape.targets.len())
                .filter(|row| shape.weights[*row] > 0.0)
                .filter(|row| {
                    exit == deepest || (row + shape.phase).is_multiple_of(shape.early_stride)
                })
                .collect()
        })
        .collect();
    let totals: Vec<f64> = rows
        .iter()
        .map(|rows| {
            rows.iter()
                .map(|row| f64::from(shape.weights[*row]))
                .sum::<f64>()
                .max(1e-9)
        })
        .collect();

    let mut result = ExitsResult {
        loss: T::ZERO,
        scores: vec![ExitScore::default(); exits.len()],
        gradients: Vec::new(),
    };
    if tracked {
        result.gradients.push(vec![T::ZERO; embedding.len()]);
        result
            .gradients
            .extend(exits.iter().map(|rows| vec![T::ZERO; rows.len()]));
    }
    let head = T::matrices(embedding.to_vec(), [1, shape.vocab, shape.width]);
    for first in (0..shape.targets.len()).step_by(CHUNK) {
        let chunk_rows = |exit: usize| {
            let from = rows[exit].partition_point(|row| *row < first);
            let to = rows[exit].partition_point(|row| *row < first + CHUNK);
            &rows[exit][from..to]
        };
        let deep_rows = chunk_rows(deepest);
        if deep_rows.is_empty() {
            continue;
        }
        let mut teacher = Vec::new();
        for exit in (0..exits.len()).rev() {
            let rows = chunk_rows(exit);
            if rows.is_empty() {
                continue;
            }
            let states = gather(exits[exit], rows, shape.width);
            let states = T::matrices(states, [1, rows.len(), shape.width]);
            let mut p = T::matmul(Side::Plain(&states), Side::Transposed(&head));
            let parts = softmax_rows(shape, rows, &mut p);
            if exit == deepest && exits.len() > 1 && shape.distill > 0.0 {
                teacher.clone_from(&p);
            }
            let lambda = if exit == deepest {
                0.0
            } else {
                f64::from(shape.distill)
            };
            let teacher_rows: Vec<usize> = rows
                .iter()
                .map(|row| {
                    deep_rows
                        .binary_search(row)
                        .expect("the deepest exit has every row")
                })
                .collect();
            let share = f64::from(shape.level_weights[exit]) / totals[exit];
            let losses = to_gradient(
                shape,
                rows,
                &mut p,
                &parts,
                Distill {
                    lambda,
                    share,
                    teacher: &teacher,
                    teacher_rows: &teacher_rows,
                },
            );
            let score = &mut result.scores[exit];
            for ((row, part), loss) in rows.iter().zip(&parts).zip(losses) {
                let weight = f64::from(shape.weights[*row]);
                score.nll += part.nll * weight / totals[exit];
                score.top1 += f64::from(u8::from(part.right)) * weight / totals[exit];
                result.loss += T::of(loss);
            }
            score.rows += rows.len();
            if tracked {
                let p = T::matrices(p, [1, rows.len(), shape.vocab]);
                let dstates = T::matmul(Side::Plain(&p), Side::Plain(&head));
                let dhead = T::matmul(Side::Transposed(&p), Side::Plain(&states));
                for (row, values) in rows.iter().zip(dstates.chunks_exact(shape.width)) {
                    result.gradients[1 + exit][row * shape.width..][..shape.width]
                        .copy_from_slice(values);
                }
                for (sum, value) in result.gradients[0].iter_mut().zip(dhead) {
                    *sum += value;
                }
            }
        }
    }
    result
}

/// What a row's softmax says about its truth.
struct RowPart {
    nll: f64,
    right: bool,
}

struct Distill<'a, T> {
    lambda: f64,
    /// Weight of the exit over the weight of its rows.
    share: f64,
    teacher: &'a [T],
    teacher_rows: &'a [usize],
}

fn gather<T: Real>(values: &[T], rows: &[usize], width: usize) -> Vec<T> {
    rows.iter()
        .flat_map(|row| &values[row * width..][..width])
        .copied()
        .collect()
}

/// Turns logits into probabilities, row by row.
fn softmax_rows<T: Real>(shape: &ExitsShape, rows: &[usize], p: &mut [T]) -> Vec<RowPart> {
    p.par_chunks_mut(shape.vocab)
        .zip(rows.par_iter())
        .map(|(p, row)| {
            let truth = p[shape.targets[*row] as usize];
            let (max, log_sum) = softmax(p);
            RowPart {
                nll: (max - truth + log_sum).to_f64(),
                right: truth >= max,
            }
        })
        .collect()
}

vectorised! {
    /// Softmax in place; returns the largest value and the logarithm of the sum relative to it.
    fn softmax<'a, T>(p: &'a mut [T]) -> (T, T) {
        let max = maximum(p);
        for x in p.iter_mut() {
            *x = (*x - max).exp();
        }
        let total = sum(p);
        let inverse = T::ONE / total;
        for x in p.iter_mut() {
            *x = *x * inverse;
        }
        (max, total.ln())
    }
}

vectorised! {
    /// `p <- (p - lambda teacher) scale`, an empty teacher counting as zero.
    fn scale_towards<'a, T>(p: &'a mut [T], teacher: &'a [T], lambda: T, scale: T) -> () {
        for (p, q) in p.iter_mut().zip(teacher) {
            *p = *p - lambda * *q;
        }
        for p in p.iter_mut() {
            *p = *p * scale;
        }
    }
}

/// Turns probabilities into the gradient of the logits; returns each row's share of the loss.
fn to_gradient<T: Real>(
    shape: &ExitsShape,
    rows: &[usize],
    p: &mut [T],
    parts: &[RowPart],
    distill: Distill<'_, T>,
) -> Vec<f64> {
    p.par_chunks_mut(shape.vocab)
        .zip(
            rows.par_iter()
                .zip(parts.par_iter().zip(distill.teacher_rows.par_iter())),
        )
        .map(|(p, (row, (part, teacher_row)))| {
            let target = shape.targets[*row] as usize;
            let scale = f64::from(shape.weights[*row]) * distill.share;
            let lambda = T::of(distill.lambda);
            let mut loss = (1.0 - distill.lambda) * part.nll;
            let mut teacher: &[T] = &[];
            if distill.lambda > 0.0 {
                teacher = &distill.teacher[teacher_row * shape.vocab..][..shape.vocab];
                // Cross-entropy against the teacher, without its negligible probabilities.
                for (p, q) in p.iter().zip(teacher).filter(|(_, q)| **q > T::of(1e-5)) {
                    let log_p = (p.to_f64() + 1e-30).ln();
                    loss -= distill.lambda * q.to_f64() * log_p;
                }
            }
            p[target] = p[target] - (T::ONE - lambda);
            scale_towards(p, teacher, lambda, T::of(scale));
            loss * scale
        })
        .collect()
}

/// [`forward`] as a node of the gradient graph; N = 1 + number of exits, the embedding first.
///
/// Output: the loss, then nll, top-1 and rows of each exit (these carry no gradient).
#[derive(Debug, Clone)]
pub struct ExitsOp(pub ExitsShape);

impl<const N: usize> HostOp<N> for ExitsOp {
    type Saved = Vec<Vec<f32>>;

    fn output_shape(&self) -> Vec<usize> {
        vec![1 + 3 * (N - 1)]
    }

    fn forward(&self, inputs: [&[f32]; N], tracked: bool) -> (Vec<f32>, Vec<Vec<f32>>) {
        let result = forward(&self.0, inputs[0], &inputs[1..], tracked);
        let mut out = vec![result.loss];
        for score in result.scores {
            out.extend([score.nll as f32, score.top1 as f32, score.rows as f32]);
        }
        (out, result.gradients)
    }

    fn backward(&self, _: [&[f32]; N], saved: &Vec<Vec<f32>>, grad: &[f32]) -> [Vec<f32>; N] {
        std::array::from_fn(|i| saved[i].iter().map(|g| g * grad[0]).collect())
    }
}
