//! Many products on a device, of which little is kept: the kernels of `select.cu`.
//!
//! Scores are f32 products of cublasLt; they differ from those of the processor by rounding, at most the width of a row
//! times f32's epsilon for rows of length one. Which centroid is nearest and which rows are best may differ where scores
//! are as close as that; of equal ones the lower index wins here too.

#![expect(unsafe_code, reason = "kernels take pointers")]

use cudarc::driver::{DeviceRepr, PushKernelArg, ValidAsZeroBits};

use super::Failure;
use super::device::{Array, Lane, Pinned, launch};
use super::product::Shape;
use crate::kernel::{Nearest, TopK};

/// Threads of a block, as `SELECT_THREADS` there, and rows that one takes of `nearest`.
const THREADS: u32 = 128;
const ROWS_OF_BLOCK: usize = 4;

/// Scores that are held at once: enough for the device, little beside a batch of texts.
const MOST_SCORES: usize = 1 << 26;

/// Rows that the first block of a scan has; each one after it has twice as many, so that the gates, which the blocks
/// before have set, let about as many scores pass as there are places.
const FIRST_ROWS: usize = 1 << 10;

/// Scores that there is room for when they pass; of more than that, all scores are fetched.
const ROOM: usize = 1 << 20;

/// Rows that stay on a device while others are multiplied with them: centroids, queries.
#[derive(Debug)]
pub struct Matrix {
    rows: Array<f32>,
    dim: usize,
}

/// What products need from call to call.
#[derive(Debug)]
pub struct Selection {
    rows: Array<f32>,
    scores: Array<f32>,
    found: Array<Found>,
    gates: Array<f32>,
    passed: Array<Passed>,
    count: Array<u32>,
    fetched: Fetched,
}

#[derive(Debug)]
struct Fetched {
    found: Pinned<Found>,
    passed: Pinned<Passed>,
    count: Pinned<u32>,
    scores: Pinned<f32>,
}

/// `Nearest` of `select.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Found {
    index: u32,
    score: f32,
    second: f32,
}

/// `Passed` of `select.cu`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Passed {
    row: u32,
    column: u32,
    score: f32,
}

// SAFETY: a C structure of numbers, which any bits are.
unsafe impl DeviceRepr for Found {}
// SAFETY: as above.
unsafe impl ValidAsZeroBits for Found {}
// SAFETY: as above.
unsafe impl DeviceRepr for Passed {}
// SAFETY: as above.
unsafe impl ValidAsZeroBits for Passed {}

impl Matrix {
    /// Sends rows of `dim` numbers.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where they do not fit.
    pub fn upload(lane: &Lane, rows: &[f32], dim: usize) -> Result<Self, Failure> {
        assert!(dim > 0 && rows.len().is_multiple_of(dim), "not a whole number of rows");
        Ok(Self { rows: lane.upload(rows)?, dim })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len() / self.dim
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Selection {
    /// Holds nothing yet.
    pub fn new() -> Self {
        Self {
            rows: Array::new(),
            scores: Array::new(),
            found: Array::new(),
            gates: Array::new(),
            passed: Array::new(),
            count: Array::new(),
            fetched: Fetched {
                found: Pinned::from_device(),
                passed: Pinned::from_device(),
                count: Pinned::from_device(),
                scores: Pinned::from_device(),
            },
        }
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self::new()
    }
}

impl Lane {
    /// Finds the nearest of `centroids` for each row: [`crate::kernel::nearest`], on the device.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where a block of scores does not fit.
    pub fn nearest(
        &self,
        rows: &[f32],
        centroids: &Matrix,
        selection: &mut Selection,
        out: &mut [Nearest],
    ) -> Result<(), Failure> {
        assert!(!centroids.is_empty(), "at least one centroid");
        assert_eq!(rows.len(), out.len() * centroids.dim, "one result for each row");
        let block = (MOST_SCORES / centroids.len()).max(1);
        let function = self.kernel("nearest")?;
        for (rows, out) in rows.chunks(block * centroids.dim).zip(out.chunks_mut(block)) {
            self.score(rows, centroids, selection)?;
            selection.found.resize(self, out.len())?;
            let (scores, found) = (selection.scores.whole(), selection.found.whole());
            let (n_rows, n_columns) = (out.len() as i32, centroids.len() as i32);
            let mut arguments = self.stream.launch_builder(&function);
            arguments.arg(&scores).arg(&found).arg(&n_rows).arg(&n_columns);
            // SAFETY: the arguments of `nearest`: `score` has made a score for each row and centroid.
            unsafe { launch(arguments, [out.len().div_ceil(ROWS_OF_BLOCK), 1], THREADS) }?;
            let found = self.fetch(&selection.found, &mut selection.fetched.found)?;
            for (out, Found { index, score, second }) in out.iter_mut().zip(found) {
                *out = Nearest { index, score, second };
            }
        }
        Ok(())
    }

    /// Offers every row to every query's `best`: [`crate::kernel::scan_many`], on the device. The first row has the index
    /// `first_index`.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where a block of scores does not fit.
    pub fn scan_many(
        &self,
        queries: &Matrix,
        rows: &[f32],
        first_index: usize,
        best: &mut [TopK],
        selection: &mut Selection,
    ) -> Result<(), Failure> {
        assert_eq!(best.len(), queries.len(), "one selection for each query");
        assert!(rows.len().is_multiple_of(queries.dim), "not a whole number of rows");
        if best.is_empty() {
            return Ok(());
        }
        let most = (MOST_SCORES / best.len()).max(1);
        let (mut rest, mut first, mut block) = (rows, first_index, FIRST_ROWS.min(most));
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(block * queries.dim));
            self.scan_block(queries, now, first, best, selection)?;
            first += now.len() / queries.dim;
            (rest, block) = (later, (2 * block).min(most));
        }
        Ok(())
    }

    fn scan_block(
        &self,
        queries: &Matrix,
        rows: &[f32],
        first_index: usize,
        best: &mut [TopK],
        selection: &mut Selection,
    ) -> Result<(), Failure> {
        self.score(rows, queries, selection)?;
        let gates: Vec<f32> = best.iter().map(TopK::gate).collect();
        let n_passed = self.select(&gates, selection)?;
        if n_passed > ROOM {
            let scores = self.fetch(&selection.scores, &mut selection.fetched.scores)?;
            for (row, scores) in scores.chunks_exact(best.len()).enumerate() {
                for (best, &score) in best.iter_mut().zip(scores) {
                    best.push(score, first_index + row);
                }
            }
            return Ok(());
        }
        let passed = self.fetch(&selection.passed, &mut selection.fetched.passed)?;
        for Passed { row, column, score } in passed.into_iter().take(n_passed) {
            best[column as usize].push(score, first_index + row as usize);
        }
        Ok(())
    }

    /// Lists the scores that pass their gates, and says how many there are.
    fn select(&self, gates: &[f32], selection: &mut Selection) -> Result<usize, Failure> {
        let n_scores = selection.scores.len();
        let room = n_scores.min(ROOM);
        selection.passed.resize(self, room)?;
        self.write(gates, &mut selection.gates)?;
        self.write(&[0], &mut selection.count)?;
        let function = self.kernel("passing")?;
        let (scores, gates) = (selection.scores.whole(), selection.gates.whole());
        let (passed, count) = (selection.passed.whole(), selection.count.whole());
        let (room, all, columns) = (room as u32, n_scores as u32, selection.gates.len() as u32);
        let mut arguments = self.stream.launch_builder(&function);
        arguments.arg(&scores).arg(&gates).arg(&passed).arg(&count).arg(&room).arg(&all).arg(&columns);
        // SAFETY: the arguments of `passing`: there are rows of one score for each gate, and `room` places.
        unsafe { launch(arguments, [n_scores.div_ceil(THREADS as usize), 1], THREADS) }?;
        let count = self.fetch(&selection.count, &mut selection.fetched.count)?;
        Ok(count[0] as usize)
    }

    /// Makes `selection.scores` the products of `rows` with every row of `matrix`.
    fn score(&self, rows: &[f32], matrix: &Matrix, selection: &mut Selection) -> Result<(), Failure> {
        let shape = Shape { rows: rows.len() / matrix.dim, n_in: matrix.dim, n_out: matrix.len() };
        self.write(rows, &mut selection.rows)?;
        let to = selection.scores.resize(self, shape.rows * shape.n_out)?;
        self.product(shape, &matrix.rows.whole(), &selection.rows.whole(), None, to)
    }
}
