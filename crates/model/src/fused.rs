//! Operations on the device whose backward pass is written by hand in tensor operations, where Burn's own
//! would be many times slower: a slice's gradient fills a whole tensor with zeros, a lookup's gradient adds
//! one row after the other, and a cross-entropy keeps every intermediate of the logits' size.
//!
//! Letters: M batch x heads, N chunks, C tokens of a chunk, K key width, D value width, R rows, V
//! vocabulary, d width.

use crate::backend::DeviceOp;
use crate::host::exits::ExitsShape;
use crate::network::Products;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{FloatDType, Int, Tensor, TensorData, TensorPrimitive, backend::Backend};

/// Rows of logits that exist at once.
const LOGIT_ROWS: usize = 8192;

fn tensor<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// A product whose factors are rounded as `products` says; the result is f32.
pub(crate) fn product<B: Backend, const D: usize>(
    a: Tensor<B, D>,
    b: Tensor<B, D>,
    products: Products,
) -> Tensor<B, D> {
    match products {
        Products::F32 => a.matmul(b),
        Products::Bf16 => a
            .cast(FloatDType::BF16)
            .matmul(b.cast(FloatDType::BF16))
            .cast(FloatDType::F32),
    }
}

/// The chunked delta rule between its chunks, from what each chunk gives by itself:
///
/// `write = u - w S`, `o = q S + inner write`, `S <- keep S + carried' write`, chunk after chunk.
///
/// Inputs u `[M, N, C, D]`, w, q, carried `[M, N, C, K]`, inner `[M, N, C, C]`, keep `[M, N, 1, 1]`; output o
/// `[M, N, C, D]`.
#[derive(Debug, Clone)]
pub(crate) struct ChunkScan;

impl DeviceOp<6> for ChunkScan {
    fn forward<B: Backend>(
        &self,
        [u, w, q, inner, carried, keep]: [FloatTensor<B>; 6],
        tracked: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let (u, w, q) = (tensor::<B, 4>(u), tensor::<B, 4>(w), tensor::<B, 4>(q));
        let (inner, carried) = (tensor::<B, 4>(inner), tensor::<B, 4>(carried));
        let keep = tensor::<B, 4>(keep);
        let [groups, chunks, _, value_dim] = u.dims();
        let key_dim = w.dims()[3];
        let mut state = Tensor::zeros([groups, 1, key_dim, value_dim], &u.device());
        let (mut states, mut writes) = (Vec::new(), Vec::new());
        for at in 0..chunks {
            let write = part(&u, at) - part(&w, at).matmul(state.clone());
            let next = state.clone() * part(&keep, at)
                + part(&carried, at).swap_dims(2, 3).matmul(write.clone());
            states.push(std::mem::replace(&mut state, next));
            writes.push(write);
        }
        let states = Tensor::cat(states, 1);
        let writes = Tensor::cat(writes, 1);
        let o = q.matmul(states.clone()) + inner.matmul(writes.clone());
        let saved = if tracked {
            vec![primitive(states), primitive(writes)]
        } else {
            Vec::new()
        };
        (primitive(o), saved)
    }

    fn backward<B: Backend>(
        &self,
        [_, w, q, inner, carried, keep]: [FloatTensor<B>; 6],
        saved: Vec<FloatTensor<B>>,
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 6] {
        let grad = tensor::<B, 4>(grad);
        let (w, q, inner) = (tensor::<B, 4>(w), tensor::<B, 4>(q), tensor::<B, 4>(inner));
        let (carried, keep) = (tensor::<B, 4>(carried), tensor::<B, 4>(keep));
        let [states, writes]: [Tensor<B, 4>; 2] = saved
            .into_iter()
            .map(tensor)
            .collect::<Vec<_>>()
            .try_into()
            .expect("a tracked forward pass saves both");
        let chunks = w.dims()[1];
        // What reaches a write and a state from the outputs of their own chunk.
        let to_write = inner.swap_dims(2, 3).matmul(grad.clone());
        let to_state = q.swap_dims(2, 3).matmul(grad.clone());
        let mut d_state = part(&to_state, 0).zeros_like();
        let (mut d_after, mut d_write) = (Vec::new(), Vec::new());
        for at in (0..chunks).rev() {
            let write = part(&to_write, at) + part(&carried, at).matmul(d_state.clone());
            let before = d_state.clone() * part(&keep, at) + part(&to_state, at)
                - part(&w, at).swap_dims(2, 3).matmul(write.clone());
            d_after.push(std::mem::replace(&mut d_state, before));
            d_write.push(write);
        }
        d_after.reverse();
        d_write.reverse();
        let (d_after, d_write) = (Tensor::cat(d_after, 1), Tensor::cat(d_write, 1));
        let states_t = states.clone().swap_dims(2, 3);
        let d_w = d_write.clone().matmul(states_t.clone()).neg();
        let d_q = grad.clone().matmul(states_t);
        let d_inner = grad.matmul(writes.clone().swap_dims(2, 3));
        let d_carried = writes.matmul(d_after.clone().swap_dims(2, 3));
        let d_keep = (states * d_after).sum_dim(3).sum_dim(2);
        [d_write, d_w, d_q, d_inner, d_carried, d_keep].map(primitive)
    }
}

fn part<B: Backend>(x: &Tensor<B, 4>, at: usize) -> Tensor<B, 4> {
    x.clone().narrow(1, at, 1)
}

/// `(I + A)^-1` for strictly lower triangular `A [M, N, C, C]`, by blocked forward substitution: inverses of
/// diagonal blocks of size s give those of size 2 s. Doubling a Neumann series instead loses all digits when
/// keys repeat, as they do in code.
#[derive(Debug, Clone)]
pub(crate) struct UnitLowerInverse;

impl DeviceOp<1> for UnitLowerInverse {
    fn forward<B: Backend>(
        &self,
        [a]: [FloatTensor<B>; 1],
        tracked: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let a = tensor::<B, 4>(a);
        let (device, chunk) = (a.device(), a.dims()[3]);
        let identity = triangle::<B>(chunk, &device, |row, col| row == col).unsqueeze::<4>();
        let mut inverse = identity.clone();
        let mut size = 1;
        while size < chunk {
            let below = triangle::<B>(chunk, &device, |row, col| {
                row / (2 * size) == col / (2 * size) && row / size % 2 == 1 && col / size % 2 == 0
            });
            let block = a.clone() * below.unsqueeze::<4>();
            // The first inverse is the identity: no products are needed.
            inverse = if size == 1 {
                identity.clone() - block
            } else {
                inverse.clone() - inverse.clone().matmul(block).matmul(inverse)
            };
            size *= 2;
        }
        let saved = if tracked {
            vec![primitive(inverse.clone())]
        } else {
            Vec::new()
        };
        (primitive(inverse), saved)
    }

    fn backward<B: Backend>(
        &self,
        _: [FloatTensor<B>; 1],
        saved: Vec<FloatTensor<B>>,
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 1] {
        let inverse = saved
            .into_iter()
            .next()
            .expect("a tracked forward pass saves the inverse");
        let inverse = tensor::<B, 4>(inverse).swap_dims(2, 3);
        let d_a = inverse.clone().matmul(tensor(grad)).matmul(inverse).neg();
        [primitive(d_a)]
    }
}

/// A matrix of zeros and ones.
pub(crate) fn triangle<B: Backend>(
    size: usize,
    device: &B::Device,
    keep: impl Fn(usize, usize) -> bool,
) -> Tensor<B, 2> {
    let values: Vec<f32> = (0..size * size)
        .map(|i| f32::from(u8::from(keep(i / size, i % size))))
        .collect();
    Tensor::from_data(TensorData::new(values, [size, size]), device)
}

/// Rows of a table by number: `[V, d]` and `[R]` (whole numbers) give `[R, d]`. The gradient of the table is a
/// product with the numbers' one-hot rows.
#[derive(Debug, Clone)]
pub(crate) struct Lookup(pub Products);

impl DeviceOp<2> for Lookup {
    fn forward<B: Backend>(
        &self,
        [table, rows]: [FloatTensor<B>; 2],
        _: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let rows = tensor::<B, 1>(rows).int();
        (primitive(tensor::<B, 2>(table).select(0, rows)), Vec::new())
    }

    fn backward<B: Backend>(
        &self,
        [table, rows]: [FloatTensor<B>; 2],
        _: Vec<FloatTensor<B>>,
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 2] {
        let (table, numbers) = (tensor::<B, 2>(table), tensor::<B, 1>(rows));
        let grad = tensor::<B, 2>(grad);
        let [vocab, _] = table.dims();
        let rows = grad.dims()[0];
        let mut d_table = table.zeros_like();
        for from in (0..rows).step_by(LOGIT_ROWS) {
            let count = LOGIT_ROWS.min(rows - from);
            let hot = one_hot(numbers.clone().narrow(0, from, count), vocab);
            let grad = grad.clone().narrow(0, from, count);
            d_table = d_table + product(hot.transpose(), grad, self.0);
        }
        [primitive(d_table), primitive(numbers.zeros_like())]
    }
}

/// One row of `vocab` zeros and a one for each number.
fn one_hot<B: Backend>(numbers: Tensor<B, 1>, vocab: usize) -> Tensor<B, 2> {
    let columns = Tensor::<B, 1, Int>::arange(0..vocab as i64, &numbers.device());
    let columns = columns.float().unsqueeze_dim::<2>(0);
    numbers.unsqueeze_dim::<2>(1).equal(columns).float()
}

/// Cross-entropy of all exits through the tied head, as [`crate::host::exits`] computes it, with the
/// gradients made in the forward pass while a chunk's probabilities are at hand.
///
/// Inputs embedding `[V, d]`, then each exit's rows `[R, d]`; output the loss, then two scores an exit: mean
/// negative log-likelihood and share of right rows.
#[derive(Debug, Clone)]
pub(crate) struct ExitsLoss {
    pub shape: ExitsShape,
    pub products: Products,
}

impl ExitsLoss {
    /// The rows that exit `exit` learns from: first, and the distance to the next.
    fn rows(&self, exit: usize, exits: usize) -> (usize, usize) {
        if exit + 1 == exits {
            return (0, 1);
        }
        let stride = self.shape.early_stride;
        ((stride - self.shape.phase % stride) % stride, stride)
    }

    /// How many rows of exit `exit` have a weight.
    pub(crate) fn positions(&self, exit: usize, exits: usize) -> usize {
        let (first, stride) = self.rows(exit, exits);
        let weights = self.shape.weights.iter().skip(first).step_by(stride);
        weights.filter(|weight| **weight > 0.0).count()
    }
}

impl<const N: usize> DeviceOp<N> for ExitsLoss {
    fn forward<B: Backend>(
        &self,
        inputs: [FloatTensor<B>; N],
        tracked: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let shape = &self.shape;
        let mut inputs = inputs.into_iter();
        let embedding = tensor::<B, 2>(inputs.next().expect("the embedding comes first"));
        let states: Vec<Tensor<B, 2>> = inputs.map(tensor).collect();
        let device = embedding.device();
        let exits = states.len();
        let mut out = vec![Tensor::<B, 1>::zeros([1], &device)];
        let mut d_embedding = embedding.zeros_like();
        let mut gradients = Vec::with_capacity(N);
        for (exit, state) in states.iter().enumerate() {
            let (first, stride) = self.rows(exit, exits);
            let every = |values: Tensor<B, 2>| strided(values, first, stride);
            let state_rows = every(state.clone());
            let teacher = (exit + 1 < exits && shape.distill > 0.0 && tracked)
                .then(|| every(states[exits - 1].clone()));
            let share = if exit + 1 < exits { shape.distill } else { 0.0 };
            let pick = |row: &usize| row % stride == first;
            let rows: Vec<usize> = (0..shape.targets.len()).filter(pick).collect();
            let total: f32 = rows.iter().map(|row| shape.weights[*row]).sum();
            let level = shape.level_weights[exit];
            let mut sums = [(); 3].map(|()| Tensor::<B, 1>::zeros([1], &device));
            let mut d_rows = Vec::new();
            for (at, rows) in rows.chunks(LOGIT_ROWS).enumerate() {
                let count = rows.len();
                let slice = |x: &Tensor<B, 2>| x.clone().narrow(0, at * LOGIT_ROWS, count);
                let targets: Vec<f32> = rows.iter().map(|row| shape.targets[*row] as f32).collect();
                let weights = rows.iter().map(|row| shape.weights[*row] / total.max(1e-9));
                let weights: Vec<f32> = weights.collect();
                let targets = Tensor::<B, 1>::from_data(targets.as_slice(), &device);
                let weights = Tensor::<B, 1>::from_data(weights.as_slice(), &device);
                let weights = weights.unsqueeze_dim::<2>(1);
                let rows = slice(&state_rows);
                let logits = self.logits(rows.clone(), &embedding);
                let hot = one_hot(targets, shape.vocab);
                let top = logits.clone().max_dim(1);
                let right = (logits.clone() * hot.clone()).sum_dim(1);
                let hit = right.clone().greater_equal(top.clone()).float();
                let powers = (logits - top.clone()).exp();
                let sum = powers.clone().sum_dim(1);
                let nll = sum.clone().log() + top - right;
                let mut p = None;
                let cross = match &teacher {
                    None => nll.clone(),
                    Some(teacher) => {
                        let teacher = softmax(self.logits(slice(teacher), &embedding));
                        // The loss is reported only: mixed targets' cross-entropy.
                        let log_p = (powers.clone() / sum.clone()).clamp_min(1e-30).log();
                        let soft = (teacher.clone() * log_p).sum_dim(1).neg();
                        p = Some(teacher);
                        nll.clone() * (1.0 - share) + soft * share
                    }
                };
                for (sum, value) in sums.iter_mut().zip([cross, nll, hit]) {
                    *sum = sum.clone() + (value * weights.clone()).sum();
                }
                if tracked {
                    let wanted = match p {
                        None => hot,
                        Some(teacher) => hot * (1.0 - share) + teacher * share,
                    };
                    let d_logits = (powers / sum - wanted) * (weights * level);
                    d_rows.push(product(d_logits.clone(), embedding.clone(), self.products));
                    d_embedding = d_embedding + product(d_logits.transpose(), rows, self.products);
                }
            }
            let [loss, nll, hit] = sums;
            out[0] = out[0].clone() + loss * level;
            out.extend([nll, hit]);
            if tracked {
                let d_rows = Tensor::cat(d_rows, 0);
                gradients.push(primitive(spread(d_rows, first, stride, state.dims()[0])));
            }
        }
        if tracked {
            gradients.insert(0, primitive(d_embedding));
        }
        (primitive(Tensor::cat(out, 0)), gradients)
    }

    fn backward<B: Backend>(
        &self,
        _: [FloatTensor<B>; N],
        saved: Vec<FloatTensor<B>>,
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; N] {
        // Only the loss is differentiated; the scores behind it are detached by nature.
        let scale = tensor::<B, 1>(grad).narrow(0, 0, 1).unsqueeze_dim::<2>(1);
        let mut saved = saved.into_iter();
        std::array::from_fn(|_| {
            let gradient = saved
                .next()
                .expect("a tracked forward pass saves all gradients");
            primitive(tensor::<B, 2>(gradient) * scale.clone())
        })
    }
}

impl ExitsLoss {
    fn logits<B: Backend>(&self, rows: Tensor<B, 2>, embedding: &Tensor<B, 2>) -> Tensor<B, 2> {
        product(rows, embedding.clone().transpose(), self.products)
    }
}

fn softmax<B: Backend>(logits: Tensor<B, 2>) -> Tensor<B, 2> {
    let powers = (logits.clone() - logits.max_dim(1)).exp();
    powers.clone() / powers.sum_dim(1)
}

/// Rows `first`, `first + stride`, ... of `[R, d]`.
fn strided<B: Backend>(x: Tensor<B, 2>, first: usize, stride: usize) -> Tensor<B, 2> {
    if stride == 1 {
        return x;
    }
    let [rows, width] = x.dims();
    let count = (first..rows).step_by(stride).count();
    let groups = rows.div_ceil(stride);
    let missing = groups * stride - rows;
    let x = match missing {
        0 => x,
        _ => {
            let device = x.device();
            Tensor::cat(vec![x, Tensor::zeros([missing, width], &device)], 0)
        }
    };
    let grouped = x.reshape([groups, stride, width]).narrow(1, first, 1);
    grouped.reshape([groups, width]).narrow(0, 0, count)
}

/// The other way round: rows go to `first`, `first + stride`, ... of `[R, d]`, zeros between them.
fn spread<B: Backend>(x: Tensor<B, 2>, first: usize, stride: usize, rows: usize) -> Tensor<B, 2> {
    if stride == 1 {
        return x;
    }
    let [count, width] = x.dims();
    let device = x.device();
    let groups = rows.div_ceil(stride);
    let zeros = |n: usize| Tensor::<B, 3>::zeros([groups, n, width], &device);
    let x = match groups - count {
        0 => x,
        missing => Tensor::cat(vec![x, Tensor::zeros([missing, width], &device)], 0),
    };
    let mut columns = vec![x.reshape([groups, 1, width])];
    if first > 0 {
        columns.insert(0, zeros(first));
    }
    if first + 1 < stride {
        columns.push(zeros(stride - first - 1));
    }
    Tensor::cat(columns, 1)
        .reshape([groups * stride, width])
        .narrow(0, 0, rows)
}
