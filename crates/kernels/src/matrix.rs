//! Views of row-major matrices and the product of two of them.

/// What a product does to its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// `c = a b`
    Assign,
    /// `c = c + a b`
    Add,
    /// `c = c - a b`
    Subtract,
}

/// A matrix that is read: `rows` x `columns` with strides counted in elements.
#[derive(Debug, Clone, Copy)]
pub struct MatRef<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A matrix that is written: row-major, rows `row_stride` elements apart.
#[derive(Debug)]
pub struct MatMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> MatRef<'a> {
    /// A dense matrix.
    ///
    /// # Panics
    /// When `data` is shorter than the matrix.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::with_row_stride(data, rows, columns, columns)
    }

    /// A matrix whose rows lie `row_stride` elements apart.
    ///
    /// # Panics
    /// When `data` is shorter than the matrix.
    pub fn with_row_stride(
        data: &'a [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        check_fits(data.len(), rows, columns, row_stride);
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The same elements with rows and columns exchanged; nothing is moved.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The rows `start..start + rows` of a matrix that is not transposed.
    ///
    /// # Panics
    /// When the rows do not exist or the matrix is transposed.
    pub fn slice_rows(&self, start: usize, rows: usize) -> MatRef<'a> {
        assert!(
            self.column_stride == 1,
            "rows of a transposed matrix are not slices"
        );
        assert!(
            start + rows <= self.rows,
            "rows {start}+{rows} of {}",
            self.rows
        );
        let data = if rows == 0 {
            &[]
        } else {
            &self.data[start * self.row_stride..]
        };
        Self::with_row_stride(data, rows, self.columns, self.row_stride)
    }

    /// One row of a matrix that is not transposed.
    ///
    /// # Panics
    /// When the row does not exist or the matrix is transposed.
    pub fn row(&self, row: usize) -> &'a [f32] {
        assert!(
            self.column_stride == 1,
            "rows of a transposed matrix are not slices"
        );
        assert!(row < self.rows, "row {row} of {}", self.rows);
        &self.data[row * self.row_stride..][..self.columns]
    }

    fn at(&self, row: usize, column: usize) -> f32 {
        self.data[row * self.row_stride + column * self.column_stride]
    }
}

impl<'a> MatMut<'a> {
    /// A dense matrix.
    ///
    /// # Panics
    /// When `data` is shorter than the matrix.
    pub fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::with_row_stride(data, rows, columns, columns)
    }

    /// A matrix whose rows lie `row_stride` elements apart.
    ///
    /// # Panics
    /// When `data` is shorter than the matrix or rows overlap.
    pub fn with_row_stride(
        data: &'a mut [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        assert!(
            row_stride >= columns,
            "rows of {columns} columns overlap at stride {row_stride}"
        );
        check_fits(data.len(), rows, columns, row_stride);
        Self {
            data,
            rows,
            columns,
            row_stride,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One row.
    ///
    /// # Panics
    /// When the row does not exist.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        &mut self.data[row * self.row_stride..][..self.columns]
    }

    /// The rows `start..start + rows` as a matrix of their own.
    ///
    /// # Panics
    /// When the rows do not exist.
    pub fn slice_rows(&mut self, start: usize, rows: usize) -> MatMut<'_> {
        assert!(
            start + rows <= self.rows,
            "rows {start}+{rows} of {}",
            self.rows
        );
        let data = if rows == 0 {
            &mut []
        } else {
            &mut self.data[start * self.row_stride..]
        };
        MatMut::with_row_stride(data, rows, self.columns, self.row_stride)
    }
}

fn check_fits(len: usize, rows: usize, columns: usize, row_stride: usize) {
    let needed = if rows == 0 || columns == 0 {
        0
    } else {
        (rows - 1) * row_stride + columns
    };
    assert!(
        needed <= len,
        "matrix {rows} x {columns} with row stride {row_stride} in {len} elements"
    );
}

/// The product of two matrices through the crate `gemm`, on up to `threads` threads.
///
/// The arithmetic of a row of `c` does not depend on the values of other rows of `a`, but may
/// depend on the number of rows.
///
/// # Panics
/// When the shapes do not fit together.
pub fn matmul(c: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>, update: Update, threads: usize) {
    check_shapes(&c, &a, &b);
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    let (read, sign) = match update {
        Update::Assign => (false, 1.0),
        Update::Add => (true, 1.0),
        Update::Subtract => (true, -1.0),
    };
    let parallelism = if threads > 1 {
        gemm::Parallelism::Rayon(threads)
    } else {
        gemm::Parallelism::None
    };
    // SAFETY: the constructors of the views checked that the last element of each matrix lies in
    // its slice, the strides are not negative, and `check_shapes` made the three shapes agree. `c`
    // is borrowed mutably, its rows do not overlap, and so it aliases neither `a` nor `b`.
    unsafe {
        gemm::gemm(
            c.rows,
            c.columns,
            a.columns,
            c.data.as_mut_ptr(),
            1,
            c.row_stride as isize,
            read,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0f32,
            sign,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// [`matmul`] in three loops with sums in `f64`.
///
/// # Panics
/// When the shapes do not fit together.
pub fn matmul_reference(mut c: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>, update: Update) {
    check_shapes(&c, &a, &b);
    for row in 0..c.rows {
        for column in 0..c.columns {
            let product: f64 = (0..a.columns)
                .map(|i| f64::from(a.at(row, i)) * f64::from(b.at(i, column)))
                .sum();
            let old = &mut c.row_mut(row)[column];
            *old = match update {
                Update::Assign => product as f32,
                Update::Add => (f64::from(*old) + product) as f32,
                Update::Subtract => (f64::from(*old) - product) as f32,
            };
        }
    }
}

fn check_shapes(c: &MatMut<'_>, a: &MatRef<'_>, b: &MatRef<'_>) {
    assert!(
        c.rows == a.rows && c.columns == b.columns && a.columns == b.rows,
        "product {} x {} of {} x {} and {} x {}",
        c.rows,
        c.columns,
        a.rows,
        a.columns,
        b.rows,
        b.columns
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::tests::{noise, relative_error};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_product_is_the_plain_one(
            m in 0usize..40, n in 0usize..40, k in 0usize..70,
            pad in 0usize..5, transpose: bool, update in 0usize..3,
        ) {
            let update = [Update::Assign, Update::Add, Update::Subtract][update];
            let a = noise(1, m * (k + pad));
            let b = noise(2, k * n);
            let a = MatRef::with_row_stride(&a, m, k, k + pad);
            let b = if transpose { MatRef::new(&b, n, k).transposed() } else { MatRef::new(&b, k, n) };
            let mut fast = noise(3, m * (n + pad));
            let mut plain = fast.clone();
            matmul(MatMut::with_row_stride(&mut fast, m, n, n + pad), a, b, update, 1);
            matmul_reference(MatMut::with_row_stride(&mut plain, m, n, n + pad), a, b, update);
            prop_assert!(relative_error(&fast, &plain) < 2e-6);
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_values_of_other_rows() {
        let (m, k, n) = (37, 192, 65);
        let b = noise(2, k * n);
        let mut a = noise(1, m * k);
        let mut first = vec![0.0; m * n];
        matmul(
            MatMut::new(&mut first, m, n),
            MatRef::new(&a, m, k),
            MatRef::new(&b, k, n),
            Update::Assign,
            1,
        );
        a[20 * k..].fill(7.0);
        let mut second = vec![0.0; m * n];
        matmul(
            MatMut::new(&mut second, m, n),
            MatRef::new(&a, m, k),
            MatRef::new(&b, k, n),
            Update::Assign,
            1,
        );
        assert_eq!(first[..20 * n], second[..20 * n]);
    }

    #[test]
    #[should_panic(expected = "product 2 x 2 of 2 x 3 and 2 x 2")]
    fn shapes_that_do_not_fit_are_named() {
        let data = [0.0; 6];
        let mut c = [0.0; 4];
        matmul(
            MatMut::new(&mut c, 2, 2),
            MatRef::new(&data, 2, 3),
            MatRef::new(&data, 2, 2),
            Update::Assign,
            1,
        );
    }
}
