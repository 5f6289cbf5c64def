//! Muon for one matrix in plain slices: the direction of a step, and how far to trust it.
//!
//! Called by level 3's memory at the end of a period, on one thread, between requests. The trainer has its
//! own on tensors; both must have the same coefficients.

use nestor_kernels::{MatMut, MatRef, Update, dot, matmul};

/// Coefficients of the quintic Newton-Schulz step, chosen for the steepest slope at zero
/// (Jordan et al. 2024).
const NEWTON_SCHULZ: (f32, f32, f32) = (3.4445, -4.775, 2.0315);

/// Newton-Schulz steps.
const NEWTON_SCHULZ_STEPS: usize = 5;

/// Muon's scale by the root of the larger side, so that an update has the RMS of one of AdamW
/// (Liu et al. 2025).
pub(super) const MUON_SCALE: f32 = 0.2;

/// What a step keeps of the running reference `G_ref`: about 35 steps halve the weight of a period.
const REFERENCE_KEPT: f32 = 0.98;

/// A matrix with a smaller norm has no direction.
const MIN_NORM: f32 = 1e-12;

/// `min(1, |G| / G_ref)` with the reference of the periods before; moves the reference on.
pub(super) fn caution(reference: &mut f32, norm: f32) -> f32 {
    if *reference < MIN_NORM {
        *reference = norm;
        return 1.0;
    }
    let caution = (norm / *reference).min(1.0);
    *reference = REFERENCE_KEPT * *reference + (1.0 - REFERENCE_KEPT) * norm;
    caution
}

/// Nearest matrix with orthonormal rows or columns, about: singular values end in 0.7 to 1.2. A matrix
/// without a direction gives zeros.
pub(super) fn orthogonalise(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let norm = norm(matrix);
    if norm < MIN_NORM || !norm.is_finite() {
        return vec![0.0; matrix.len()];
    }
    let mut x: Vec<f32> = matrix.iter().map(|value| value / norm).collect();
    let (a, b, c) = NEWTON_SCHULZ;
    // The Gram matrix of the smaller side: the update is `(a + b X X' + c (X X')^2) X` for a wide matrix
    // and the mirror image for a tall one.
    let wide = rows <= columns;
    let side = rows.min(columns);
    let mut gram = vec![0.0; side * side];
    let mut mix = vec![0.0; side * side];
    let mut next = vec![0.0; x.len()];
    for _ in 0..NEWTON_SCHULZ_STEPS {
        let matrix = MatRef::new(&x, rows, columns);
        let (left, right) = if wide {
            (matrix, matrix.transposed())
        } else {
            (matrix.transposed(), matrix)
        };
        matmul(
            MatMut::new(&mut gram, side, side),
            left,
            right,
            Update::Assign,
            1,
        );
        let square = MatRef::new(&gram, side, side);
        matmul(
            MatMut::new(&mut mix, side, side),
            square,
            square,
            Update::Assign,
            1,
        );
        for (mix, gram) in mix.iter_mut().zip(&gram) {
            *mix = b * gram + c * *mix;
        }
        let mix = MatRef::new(&mix, side, side);
        let (left, right) = if wide { (mix, matrix) } else { (matrix, mix) };
        matmul(
            MatMut::new(&mut next, rows, columns),
            left,
            right,
            Update::Assign,
            1,
        );
        for (x, next) in x.iter_mut().zip(&next) {
            *x = a * *x + next;
        }
    }
    x
}

/// Euclidean length.
pub(super) fn norm(x: &[f32]) -> f32 {
    dot(x, x).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    /// The same steps in three loops of `f64`.
    fn orthogonalise_reference(matrix: &[f32], rows: usize, columns: usize) -> Vec<f64> {
        let norm = matrix.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let mut x: Vec<f64> = matrix.iter().map(|x| f64::from(*x) / norm.sqrt()).collect();
        let product = |a: &dyn Fn(usize, usize) -> f64, b: &[f64], inner: usize| -> Vec<f64> {
            (0..rows * columns)
                .map(|at| {
                    (0..inner)
                        .map(|i| a(at / columns, i) * b[i * columns + at % columns])
                        .sum()
                })
                .collect()
        };
        let (a, b, c) = NEWTON_SCHULZ;
        for _ in 0..NEWTON_SCHULZ_STEPS {
            let gram = |i: usize, j: usize| -> f64 {
                (0..columns)
                    .map(|k| x[i * columns + k] * x[j * columns + k])
                    .sum()
            };
            let once = product(&gram, &x, rows);
            let twice = product(&gram, &once, rows);
            x = (0..x.len())
                .map(|i| f64::from(a) * x[i] + f64::from(b) * once[i] + f64::from(c) * twice[i])
                .collect();
        }
        x
    }

    #[test]
    fn newton_schulz_is_the_plain_one_and_orthogonal() {
        for (rows, columns) in [(12, 9), (9, 12), (12, 12)] {
            let matrix = noise(9, rows * columns);
            let found = orthogonalise(&matrix, rows, columns);
            let expected = orthogonalise_reference(&matrix, rows, columns);
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-4);
            }
            // The mean squared singular value lies between those of 0.7 and 1.2.
            let squares = dot(&found, &found) / rows.min(columns) as f32;
            assert!((0.4..1.5).contains(&squares), "{squares}");
        }
        assert_eq!(orthogonalise(&[0.0; 6], 2, 3), [0.0; 6]);
    }

    #[test]
    fn a_gentler_period_moves_less() {
        let mut reference = 0.0;
        assert_eq!(caution(&mut reference, 0.0), 1.0);
        assert_eq!(caution(&mut reference, 2.0), 1.0);
        assert_eq!(reference, 2.0);
        assert_eq!(caution(&mut reference, 0.5), 0.25);
        assert!(reference < 2.0 && reference > 1.9);
        assert_eq!(caution(&mut reference, 10.0), 1.0);
    }
}
