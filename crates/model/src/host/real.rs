//! The number types of host operations: f32 for work, f64 for gradient checks.

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A float that host operations compute with.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Nearest value to `x`.
    fn of(x: f64) -> Self;
    /// The value as f64.
    fn to_f64(self) -> f64;
    /// `self * a + b`.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// `e^self`; the f32 form is vectorisable and within 2e-7 relative.
    fn exp(self) -> Self;
    /// Row-major matrices `[batch, rows, columns]` that products read without a copy.
    type Matrices: Clone + Send + Sync;
    /// Takes values as `[batch, rows, columns]`.
    fn matrices(values: Vec<Self>, shape: [usize; 3]) -> Self::Matrices;
    /// The batched product, each side transposed or not.
    fn matmul(a: Side<'_, Self::Matrices>, b: Side<'_, Self::Matrices>) -> Vec<Self>;
}

/// One side of a product.
#[derive(Debug)]
pub enum Side<'a, M> {
    /// As it lies.
    Plain(&'a M),
    /// Rows and columns exchanged.
    Transposed(&'a M),
}

impl<M> Clone for Side<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Side<'_, M> {}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        f32::mul_add(self, a, b)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f32::ln(self)
    }

    /// Range reduction to `2^n * e^r` with |r| <= ln(2)/2 and a polynomial of degree 6 in r.
    #[inline(always)]
    fn exp(self) -> Self {
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer without a call.
        const ROUND: f32 = 12_582_912.0;
        let x = if self < -87.0 { -87.0 } else { self };
        let x = if x > 88.0 { 88.0 } else { x };
        let n = f32::mul_add(x, std::f32::consts::LOG2_E, ROUND) - ROUND;
        let r = f32::mul_add(n, -LN2_HIGH, x);
        let r = f32::mul_add(n, -LN2_LOW, r);
        let mut p = 1.388_889e-3;
        p = f32::mul_add(p, r, 8.333_334e-3);
        p = f32::mul_add(p, r, 4.166_666_6e-2);
        p = f32::mul_add(p, r, 1.666_666_7e-1);
        p = f32::mul_add(p, r, 0.5);
        p = f32::mul_add(p, r, 1.0);
        p = f32::mul_add(p, r, 1.0);
        p * f32::from_bits(((n as i32 + 127) as u32) << 23)
    }

    type Matrices = Tensor<Flex, 3>;

    fn matrices(values: Vec<Self>, shape: [usize; 3]) -> Self::Matrices {
        Tensor::from_data(TensorData::new(values, shape), &Default::default())
    }

    fn matmul(a: Side<'_, Self::Matrices>, b: Side<'_, Self::Matrices>) -> Vec<Self> {
        let side = |side: Side<'_, Self::Matrices>| match side {
            Side::Plain(matrices) => matrices.clone(),
            Side::Transposed(matrices) => matrices.clone().swap_dims(1, 2),
        };
        side(a)
            .matmul(side(b))
            .into_data()
            .into_vec()
            .expect("the product of f32 tensors is f32")
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn of(x: f64) -> Self {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn ln(self) -> Self {
        f64::ln(self)
    }
    fn exp(self) -> Self {
        f64::exp(self)
    }

    type Matrices = (Vec<f64>, [usize; 3]);

    fn matrices(values: Vec<Self>, shape: [usize; 3]) -> Self::Matrices {
        (values, shape)
    }

    fn matmul(a: Side<'_, Self::Matrices>, b: Side<'_, Self::Matrices>) -> Vec<Self> {
        let size = |side: Side<'_, Self::Matrices>| match side {
            Side::Plain((_, [batch, rows, columns])) => [*batch, *rows, *columns],
            Side::Transposed((_, [batch, rows, columns])) => [*batch, *columns, *rows],
        };
        let at = |side: Side<'_, Self::Matrices>, s: usize, row: usize, column: usize| match side {
            Side::Plain((values, [_, rows, columns])) => {
                values[(s * rows + row) * columns + column]
            }
            Side::Transposed((values, [_, rows, columns])) => {
                values[(s * rows + column) * columns + row]
            }
        };
        let ([batch, m, k], [_, _, n]) = (size(a), size(b));
        (0..batch * m * n)
            .map(|i| {
                let (s, row, column) = (i / (m * n), i / n % m, i % n);
                (0..k).map(|l| at(a, s, row, l) * at(b, s, l, column)).sum()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_over_the_whole_range() {
        for i in -8600..8700 {
            let x = i as f32 / 100.0;
            let (found, expected) = (Real::exp(x), f32::exp(x));
            assert!(
                (found - expected).abs() <= 4e-7 * expected,
                "{x}: {found} {expected}"
            );
        }
        assert!(Real::exp(-1e30_f32) < 1e-37);
    }
}
