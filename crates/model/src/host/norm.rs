//! RMSNorm and the SwiGLU activation, fused, with their backward passes.
//!
//! Letters: N rows, D width, F inner width.

use super::{Real, dot, sigmoid, vectorised};
use crate::HostOp;
use rayon::prelude::*;

/// Rows that one parallel task takes.
const ROWS: usize = 64;

/// `y = x / sqrt(mean(x^2) + eps) * gain`, row by row: `[N, D]`, gain `[D]`.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    /// Shape of the input, the last axis is normalised.
    pub shape: Vec<usize>,
    /// Added to the mean square.
    pub eps: f64,
}

/// Forward pass of [`RmsNorm`].
pub fn rms_norm<T: Real>(x: &[T], gain: &[T], eps: f64) -> Vec<T> {
    let len = ROWS * gain.len();
    let mut y = vec![T::ZERO; x.len()];
    y.par_chunks_mut(len)
        .zip(x.par_chunks(len))
        .for_each(|(y, x)| norm_rows(x, gain, eps, y));
    y
}

/// Gradients of `x` and `gain` from the gradient of the output.
pub fn rms_norm_backward<T: Real>(x: &[T], gain: &[T], eps: f64, dy: &[T]) -> (Vec<T>, Vec<T>) {
    let len = ROWS * gain.len();
    let mut dx = vec![T::ZERO; x.len()];
    let partial: Vec<Vec<T>> = dx
        .par_chunks_mut(len)
        .zip(x.par_chunks(len).zip(dy.par_chunks(len)))
        .map(|(dx, (x, dy))| norm_rows_backward(x, gain, eps, dy, dx))
        .collect();
    (dx, sum_rows(partial, gain.len()))
}

vectorised! {
    fn norm_rows<'a, T>(x: &'a [T], gain: &'a [T], eps: f64, y: &'a mut [T]) -> () {
        let width = gain.len();
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let scale = inverse_rms(x, eps);
            for i in 0..width {
                y[i] = x[i] * scale * gain[i];
            }
        }
    }
}

vectorised! {
    /// Writes `dx`, returns the gradient of the gain.
    fn norm_rows_backward<'a, T>(
        x: &'a [T],
        gain: &'a [T],
        eps: f64,
        dy: &'a [T],
        dx: &'a mut [T],
    ) -> Vec<T> {
        let width = gain.len();
        let mut dgain = vec![T::ZERO; width];
        let mut weighted = vec![T::ZERO; width];
        for ((dx, x), dy) in
            dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(dy.chunks_exact(width))
        {
            let scale = inverse_rms(x, eps);
            for i in 0..width {
                weighted[i] = dy[i] * gain[i];
                dgain[i] += dy[i] * x[i] * scale;
            }
            let pull = dot(&weighted, x) * scale * scale * T::of(1.0 / width as f64);
            for i in 0..width {
                dx[i] = scale * (weighted[i] - x[i] * pull);
            }
        }
        dgain
    }
}

/// `1 / sqrt(mean(x^2) + eps)`.
#[inline(always)]
pub(super) fn inverse_rms<T: Real>(x: &[T], eps: f64) -> T {
    let mean = dot(x, x) * T::of(1.0 / x.len() as f64);
    T::ONE / (mean + T::of(eps)).sqrt()
}

/// Sums vectors in their order, so that the result does not depend on the thread count.
pub(super) fn sum_rows<T: Real>(rows: Vec<Vec<T>>, width: usize) -> Vec<T> {
    let mut sum = vec![T::ZERO; width];
    for row in rows {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += value;
        }
    }
    sum
}

impl HostOp<2> for RmsNorm {
    type Saved = ();

    fn output_shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn forward(&self, [x, gain]: [&[f32]; 2], _tracked: bool) -> (Vec<f32>, ()) {
        (rms_norm(x, gain, self.eps), ())
    }

    fn backward(&self, [x, gain]: [&[f32]; 2], _saved: &(), grad: &[f32]) -> [Vec<f32>; 2] {
        let (dx, dgain) = rms_norm_backward(x, gain, self.eps, grad);
        [dx, dgain]
    }
}

/// `silu(gate) * up` of rows `[gate | up]`: `[N, 2 F] -> [N, F]`.
#[derive(Debug, Clone)]
pub struct SwiGlu {
    /// Shape of the output.
    pub shape: Vec<usize>,
}

/// Forward pass of [`SwiGlu`] with inner width `ffn`.
pub fn swiglu<T: Real>(x: &[T], ffn: usize) -> Vec<T> {
    let mut y = vec![T::ZERO; x.len() / 2];
    y.par_chunks_mut(ROWS * ffn)
        .zip(x.par_chunks(ROWS * 2 * ffn))
        .for_each(|(y, x)| swiglu_rows(x, ffn, y));
    y
}

/// Gradient of the input of [`swiglu`].
pub fn swiglu_backward<T: Real>(x: &[T], ffn: usize, dy: &[T]) -> Vec<T> {
    let mut dx = vec![T::ZERO; x.len()];
    dx.par_chunks_mut(ROWS * 2 * ffn)
        .zip(x.par_chunks(ROWS * 2 * ffn).zip(dy.par_chunks(ROWS * ffn)))
        .for_each(|(dx, (x, dy))| swiglu_rows_backward(x, ffn, dy, dx));
    dx
}

vectorised! {
    fn swiglu_rows<'a, T>(x: &'a [T], ffn: usize, y: &'a mut [T]) -> () {
        for (y, x) in y.chunks_exact_mut(ffn).zip(x.chunks_exact(2 * ffn)) {
            let (gate, up) = x.split_at(ffn);
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                *y = *gate * sigmoid(*gate) * *up;
            }
        }
    }
}

vectorised! {
    fn swiglu_rows_backward<'a, T>(x: &'a [T], ffn: usize, dy: &'a [T], dx: &'a mut [T]) -> () {
        for ((dx, x), dy) in
            dx.chunks_exact_mut(2 * ffn).zip(x.chunks_exact(2 * ffn)).zip(dy.chunks_exact(ffn))
        {
            let (gate, up) = x.split_at(ffn);
            let (dgate, dup) = dx.split_at_mut(ffn);
            for i in 0..ffn {
                let s = sigmoid(gate[i]);
                let silu = gate[i] * s;
                dup[i] = dy[i] * silu;
                dgate[i] = dy[i] * up[i] * (s + silu * (T::ONE - s));
            }
        }
    }
}

impl HostOp<1> for SwiGlu {
    type Saved = ();

    fn output_shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn forward(&self, [x]: [&[f32]; 1], _tracked: bool) -> (Vec<f32>, ()) {
        (swiglu(x, self.shape[self.shape.len() - 1]), ())
    }

    fn backward(&self, [x]: [&[f32]; 1], _saved: &(), grad: &[f32]) -> [Vec<f32>; 1] {
        [swiglu_backward(x, self.shape[self.shape.len() - 1], grad)]
    }
}
