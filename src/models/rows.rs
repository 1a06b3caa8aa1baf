//! The rows of a matrix of weights, as they are stored: numbers, or whole numbers of 8 bits with a scale for each row.

use std::ops::Range;

/// The largest number of 8 bits with a sign that has a negative.
const LARGEST_INT8: f32 = 127.0;

/// The rows of a matrix, as they are stored.
#[derive(Debug)]
pub enum Rows {
    /// Row-major numbers.
    F32(Vec<f32>),
    /// Row-major whole numbers, and what each row is multiplied by.
    I8 {
        /// The rows.
        numbers: Vec<i8>,
        /// One for each row.
        scales: Vec<f32>,
    },
}

impl Rows {
    /// The rows as numbers.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::F32(numbers) => numbers,
            Self::I8 { numbers, scales } => {
                let width = (numbers.len() / scales.len().max(1)).max(1);
                let mut scaled = Vec::with_capacity(numbers.len());
                for (row, scale) in numbers.chunks_exact(width).zip(scales) {
                    scaled.extend(row.iter().map(|&number| f32::from(number) * scale));
                }
                scaled
            }
        }
    }

    /// The rows, each of `width` numbers, as whole numbers of 8 bits and what they are multiplied by. Those that are stored
    /// as other numbers are rounded: the largest of a row becomes 127.
    pub fn into_int8(self, width: usize) -> (Vec<i8>, Vec<f32>) {
        match self {
            Self::I8 { numbers, scales } => (numbers, scales),
            Self::F32(numbers) => {
                let (mut rounded, mut scales) = (Vec::with_capacity(numbers.len()), Vec::new());
                for row in numbers.chunks_exact(width) {
                    let largest = row.iter().fold(0.0f32, |largest, number| largest.max(number.abs()));
                    let steps = if largest > 0.0 { LARGEST_INT8 / largest } else { 0.0 };
                    rounded.extend(row.iter().map(|number| (number * steps).round() as i8));
                    scales.push(largest / LARGEST_INT8);
                }
                (rounded, scales)
            }
        }
    }

    /// The rows of several matrices, one after the other.
    pub fn concat(parts: Vec<Self>) -> Self {
        if parts.iter().all(|part| matches!(part, Self::I8 { .. })) {
            let (mut all_numbers, mut all_scales) = (Vec::new(), Vec::new());
            for part in parts {
                if let Self::I8 { numbers, scales } = part {
                    all_numbers.extend(numbers);
                    all_scales.extend(scales);
                }
            }
            return Self::I8 { numbers: all_numbers, scales: all_scales };
        }
        Self::F32(parts.into_iter().flat_map(Self::into_f32).collect())
    }

    /// The first and the second half of the rows.
    pub fn halves(self) -> (Self, Self) {
        match self {
            Self::F32(mut numbers) => {
                let second = numbers.split_off(numbers.len() / 2);
                (Self::F32(numbers), Self::F32(second))
            }
            Self::I8 { mut numbers, mut scales } => {
                let (second, its_scales) = (numbers.split_off(numbers.len() / 2), scales.split_off(scales.len() / 2));
                (Self::I8 { numbers, scales }, Self::I8 { numbers: second, scales: its_scales })
            }
        }
    }

    /// How many numbers there are.
    pub fn count(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::I8 { numbers, .. } => numbers.len(),
        }
    }

    /// The rows of `kept`, in that order; each has `width` numbers.
    pub fn keep_rows(self, width: usize, kept: &[Range<usize>]) -> Self {
        match self {
            Self::F32(numbers) => Self::F32(kept_items(&numbers, width, kept)),
            Self::I8 { numbers, scales } => {
                Self::I8 { numbers: kept_items(&numbers, width, kept), scales: kept_items(&scales, 1, kept) }
            }
        }
    }

    /// The columns of `kept`, in that order, of rows of `width` numbers.
    pub fn keep_columns(self, width: usize, kept: &[Range<usize>]) -> Self {
        match self {
            Self::F32(numbers) => {
                Self::F32(numbers.chunks_exact(width).flat_map(|row| kept_items(row, 1, kept)).collect())
            }
            Self::I8 { numbers, scales } => {
                let numbers = numbers.chunks_exact(width).flat_map(|row| kept_items(row, 1, kept)).collect();
                Self::I8 { numbers, scales }
            }
        }
    }

    /// Whether rows of `width` numbers have nothing but zeros in some columns.
    pub fn are_zero_in(&self, width: usize, columns: Range<usize>) -> bool {
        match self {
            Self::F32(numbers) => numbers.chunks_exact(width).all(|row| row[columns.clone()].iter().all(|&n| n == 0.0)),
            Self::I8 { numbers, .. } => {
                numbers.chunks_exact(width).all(|row| row[columns.clone()].iter().all(|&n| n == 0))
            }
        }
    }

    /// What each row is multiplied by; empty where that is nothing.
    pub fn scales(&self) -> &[f32] {
        match self {
            Self::F32(_) => &[],
            Self::I8 { scales, .. } => scales,
        }
    }
}

/// The items of `kept`, each of `width` values, one after the other.
fn kept_items<T: Copy>(values: &[T], width: usize, kept: &[Range<usize>]) -> Vec<T> {
    kept.iter().flat_map(|items| &values[items.start * width..items.end * width]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_bytes_row_by_row() {
        let rows = Rows::F32(vec![0.5, -1.0, 0.0, 0.0, 254.0, 1.0]);
        assert_eq!(rows.into_int8(2), (vec![64, -127, 0, 0, 127, 1], vec![1.0 / 127.0, 0.0, 2.0]));
        let bytes = || Rows::I8 { numbers: vec![1, -2], scales: vec![0.5] };
        assert_eq!(bytes().into_int8(2), (vec![1, -2], vec![0.5]));
        assert_eq!(Rows::concat(vec![bytes(), bytes()]).into_int8(2), (vec![1, -2, 1, -2], vec![0.5; 2]));
        assert_eq!(Rows::concat(vec![bytes(), Rows::F32(vec![3.0, 4.0])]).into_f32(), [0.5, -1.0, 3.0, 4.0]);
        let (first, second) = Rows::concat(vec![bytes(), bytes()]).halves();
        assert_eq!((first.into_f32(), second.into_f32()), (vec![0.5, -1.0], vec![0.5, -1.0]));
    }

    #[test]
    fn rows_and_columns_are_kept_with_their_scales() {
        let bytes = || Rows::I8 { numbers: vec![1, 0, 2, 3, 0, 4], scales: vec![0.5, 2.0] };
        assert!(bytes().are_zero_in(3, 1..2) && !bytes().are_zero_in(3, 1..3));
        assert_eq!(bytes().keep_columns(3, &[0..1, 2..3]).into_f32(), [0.5, 1.0, 6.0, 8.0]);
        assert_eq!(bytes().keep_rows(3, &[1..2, 0..1]).into_f32(), [6.0, 0.0, 8.0, 0.5, 0.0, 1.0]);
        let numbers = || Rows::F32(bytes().into_f32());
        assert!(numbers().are_zero_in(3, 1..2) && !numbers().are_zero_in(3, 0..1));
        assert_eq!(numbers().keep_columns(3, &[2..3, 0..1]).into_f32(), [1.0, 0.5, 8.0, 6.0]);
        assert_eq!(numbers().keep_rows(3, &[1..2, 0..1]).into_f32(), [6.0, 0.0, 8.0, 0.5, 0.0, 1.0]);
    }
}
