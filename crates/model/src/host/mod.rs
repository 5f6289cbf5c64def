//! Fused operations on the host: plain loops over slices, vectorised by the compiler under
//! run-time dispatch, with backward passes written by hand.
//!
//! Each function is generic over [`Real`], so that the same source trains in f32 and has its
//! gradients checked in f64.

pub mod attention;
pub mod delta;
pub mod exits;
pub mod norm;
mod real;

pub use real::{Real, Side};

/// Defines a function whose body is compiled for several instruction sets, the widest of which that
/// this processor has is chosen when it is called.
///
/// Everything the body calls must be `#[inline(always)]` to profit; a closure would not do, since
/// the compiler need not inline it.
macro_rules! vectorised {
    ($(#[$meta:meta])* fn $name:ident<$life:lifetime, $real:ident>(
        $($arg:ident: $kind:ty),+ $(,)?
    ) -> $out:ty $body:block) => {
        $(#[$meta])*
        fn $name<$life, $real: Real>($($arg: $kind),+) -> $out {
            struct Task<$life, $real: Real> {
                $($arg: $kind),+
            }
            impl<$life, $real: Real> pulp::WithSimd for Task<$life, $real> {
                type Output = $out;

                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) -> $out {
                    let Self { $($arg),+ } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Task { $($arg),+ })
        }
    };
}
pub(crate) use vectorised;

/// Sum of products in sixteen independent lanes, so that the compiler may vectorise it.
#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    const LANES: usize = 16;
    let mut lanes = [T::ZERO; LANES];
    let (a_whole, a_rest) = a.split_at(a.len() - a.len() % LANES);
    let (b_whole, b_rest) = b.split_at(a_whole.len());
    for (x, y) in a_whole.chunks_exact(LANES).zip(b_whole.chunks_exact(LANES)) {
        for lane in 0..LANES {
            lanes[lane] = x[lane].mul_add(y[lane], lanes[lane]);
        }
    }
    let mut sum = T::ZERO;
    for lane in lanes {
        sum += lane;
    }
    for (x, y) in a_rest.iter().zip(b_rest) {
        sum += *x * *y;
    }
    sum
}

/// `y += a * x`.
#[inline(always)]
pub(crate) fn axpy<T: Real>(a: T, x: &[T], y: &mut [T]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = a.mul_add(*x, *y);
    }
}

/// Sum in sixteen independent lanes.
#[inline(always)]
pub(crate) fn sum<T: Real>(values: &[T]) -> T {
    let mut lanes = [T::ZERO; 16];
    let (whole, rest) = values.split_at(values.len() - values.len() % 16);
    for chunk in whole.chunks_exact(16) {
        for lane in 0..16 {
            lanes[lane] += chunk[lane];
        }
    }
    let mut sum = T::ZERO;
    for value in lanes.iter().chain(rest) {
        sum += *value;
    }
    sum
}

/// Largest of at least one value.
#[inline(always)]
pub(crate) fn maximum<T: Real>(values: &[T]) -> T {
    let mut lanes = [values[0]; 16];
    let (whole, rest) = values.split_at(values.len() - values.len() % 16);
    for chunk in whole.chunks_exact(16) {
        for lane in 0..16 {
            lanes[lane] = if chunk[lane] > lanes[lane] {
                chunk[lane]
            } else {
                lanes[lane]
            };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(values[0], |max, x| if *x > max { *x } else { max })
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(crate) fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}
