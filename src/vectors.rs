//! Unit vectors, checked once.
//!
//! Everything that compares texts takes [`Vectors`]; holding one is the proof that every row is finite and of
//! length one, so that a dot product is a cosine. Knows nothing of papers, models or files.

use crate::error::{Error, Problem, Result};

/// How far the length of a row may be from one to be accepted as it is.
const UNIT_TOLERANCE: f32 = 1e-3;

/// `n x dim` unit rows in one allocation, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    dim: usize,
    data: Vec<f32>,
}

impl Vectors {
    /// No rows of `dim` numbers.
    pub fn empty(dim: usize) -> Self {
        Self { dim, data: Vec::new() }
    }

    /// Takes rows that are already of length one.
    ///
    /// # Errors
    /// [`Error::Failed`] where `data` is not a whole number of rows, or a row is not finite or not of unit length.
    pub fn from_unit_rows(dim: usize, data: Vec<f32>) -> Result<Self> {
        check_shape(dim, &data)?;
        for (row, values) in data.chunks_exact(dim).enumerate() {
            let length = length(values);
            if (length - 1.0).abs() > UNIT_TOLERANCE || !length.is_finite() {
                return Err(bad_row(row, &format!("has length {length}, not 1")));
            }
        }
        Ok(Self { dim, data })
    }

    /// Takes rows of any positive length and scales each to one.
    ///
    /// # Errors
    /// [`Error::Failed`] where `data` is not a whole number of rows, or a row is zero or not finite.
    pub fn normalised(dim: usize, mut data: Vec<f32>) -> Result<Self> {
        check_shape(dim, &data)?;
        for (row, values) in data.chunks_exact_mut(dim).enumerate() {
            if !normalise(values) {
                return Err(bad_row(row, "is zero or not finite, so it has no direction"));
            }
        }
        Ok(Self { dim, data })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.data.len().checked_div(self.dim).unwrap_or(0)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Row `row`, of length [`Self::dim`].
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.dim..(row + 1) * self.dim]
    }

    /// The rows in order.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.data.chunks_exact(self.dim.max(1))
    }

    /// All numbers, row after row.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// Appends the rows of `other`.
    ///
    /// # Errors
    /// [`Error::Failed`] where the dimensions differ.
    pub fn append(&mut self, other: &Self) -> Result<()> {
        if self.dim != other.dim {
            let cause = format!("{} and {} numbers a row cannot be put together", self.dim, other.dim);
            return Err(Error::Failed(Problem::new("vectors", cause)));
        }
        self.data.extend_from_slice(&other.data);
        Ok(())
    }

    /// The rows named by `rows`, in that order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self { dim: self.dim, data: rows.iter().flat_map(|&row| self.row(row)).copied().collect() }
    }
}

/// Scales `values` to length one; false, and unchanged, where they have no direction.
pub fn normalise(values: &mut [f32]) -> bool {
    let length = length(values);
    if !length.is_finite() || length <= f32::MIN_POSITIVE {
        return false;
    }
    for value in values {
        *value /= length;
    }
    true
}

/// Summed in f64 so that the length of long rows does not depend on the order of summation.
fn length(values: &[f32]) -> f32 {
    values.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt() as f32
}

fn check_shape(dim: usize, data: &[f32]) -> Result<()> {
    if dim == 0 || !data.len().is_multiple_of(dim) {
        let cause = format!("{} numbers are not a whole number of rows of {dim}", data.len());
        return Err(Error::Failed(Problem::new("vectors", cause)));
    }
    Ok(())
}

fn bad_row(row: usize, cause: &str) -> Error {
    Error::Failed(Problem::new(format!("vector {row}"), cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_scaled_to_length_one() {
        let vectors = Vectors::normalised(2, vec![3.0, 4.0, 0.0, 2.0]).expect("valid rows");
        assert_eq!(vectors.as_slice(), &[0.6, 0.8, 0.0, 1.0]);
        assert_eq!(vectors.select(&[1]).row(0), &[0.0, 1.0]);
    }

    #[test]
    fn rows_without_direction_are_refused() {
        assert!(Vectors::normalised(2, vec![0.0, 0.0]).is_err());
        assert!(Vectors::normalised(2, vec![f32::NAN, 1.0]).is_err());
        assert!(Vectors::normalised(2, vec![1.0]).is_err());
        assert!(Vectors::from_unit_rows(2, vec![2.0, 0.0]).is_err());
    }
}
