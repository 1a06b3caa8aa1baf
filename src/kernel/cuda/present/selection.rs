//! What is kept of products with many centroids or queries: the kernels of `select.cu`, on one lane.

#![expect(unsafe_code, reason = "kernels take pointers")]

use cudarc::driver::{CudaView, DeviceRepr, PushKernelArg, ValidAsZeroBits};

use super::Failure;
use super::device::{Array, Lane, Pinned, launch};
use super::product::Shape;
use crate::kernel::Nearest;

/// Threads of a block, as `SELECT_THREADS` there, and rows that one takes of `nearest`.
const THREADS: u32 = 128;
const ROWS_OF_BLOCK: usize = 4;

/// Scores that there is room for when they pass; of more than that, all scores are fetched.
pub(super) const ROOM: usize = 1 << 20;

/// Rows that stay on a device: centroids, queries, and what is compared with them where it fits.
#[derive(Debug)]
pub(super) struct Matrix {
    rows: Array<f32>,
    dim: usize,
}

/// Rows that are multiplied at once, and where they are.
pub(super) enum Block<'a> {
    /// On the device.
    Held(CudaView<'a, f32>),
    /// To be sent.
    Here(&'a [f32]),
}

/// The scores of a block that are greater than their query's gate.
pub(super) enum Passing {
    /// These, in any order.
    Few(Vec<Passed>),
    /// So many that here are all scores, of each row with every query.
    All(Vec<f32>),
}

/// A lane, and the memory that it needs from block to block.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) lane: Lane,
    memory: Memory,
}

#[derive(Debug)]
struct Memory {
    sent: Pinned<f32>,
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
pub(super) struct Passed {
    pub(super) row: u32,
    pub(super) column: u32,
    pub(super) score: f32,
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
    /// Sends rows of `dim` numbers and waits until they are there.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where they do not fit.
    pub(super) fn upload(lane: &Lane, rows: &[f32], dim: usize) -> Result<Self, Failure> {
        assert!(dim > 0 && rows.len().is_multiple_of(dim), "not a whole number of rows");
        Ok(Self { rows: lane.upload(rows)?, dim })
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len() / self.dim
    }

    /// `len` rows from the row `first` on.
    pub(super) fn part(&self, first: usize, len: usize) -> CudaView<'_, f32> {
        self.rows.part(first * self.dim, len * self.dim)
    }
}

impl Block<'_> {
    fn n_numbers(&self) -> usize {
        match self {
            Self::Held(numbers) => numbers.len(),
            Self::Here(numbers) => numbers.len(),
        }
    }
}

impl Work {
    pub(super) fn new(lane: Lane) -> Self {
        Self { lane, memory: Memory::new() }
    }

    /// Gives back what blocks needed.
    pub(super) fn release(&mut self) {
        self.memory = Memory::new();
    }

    /// Finds the nearest of `centroids` for each row: [`crate::kernel::nearest`], on the device.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where the block or its scores do not fit.
    pub(super) fn nearest(&mut self, rows: &Block<'_>, centroids: &Matrix, out: &mut [Nearest]) -> Result<(), Failure> {
        assert_eq!(rows.n_numbers(), out.len() * centroids.dim, "one result for each row");
        self.score(rows, centroids)?;
        let Self { lane, memory } = self;
        memory.found.resize(lane, out.len())?;
        let function = lane.kernel("nearest")?;
        let (scores, found) = (memory.scores.whole(), memory.found.whole());
        let (n_rows, n_columns) = (out.len() as i32, centroids.len() as i32);
        let mut arguments = lane.stream.launch_builder(&function);
        arguments.arg(&scores).arg(&found).arg(&n_rows).arg(&n_columns);
        // SAFETY: the arguments of `nearest`: `score` has made a score for each row and centroid.
        unsafe { launch(arguments, [out.len().div_ceil(ROWS_OF_BLOCK), 1], THREADS) }?;
        let found = lane.fetch(&memory.found, &mut memory.fetched.found)?;
        for (out, Found { index, score, second }) in out.iter_mut().zip(found) {
            *out = Nearest { index, score, second };
        }
        Ok(())
    }

    /// Finds the scores of each row with every one of `queries` that are greater than the query's gate.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where the block or its scores do not fit.
    pub(super) fn passing(&mut self, rows: &Block<'_>, queries: &Matrix, gates: &[f32]) -> Result<Passing, Failure> {
        assert_eq!(gates.len(), queries.len(), "one gate for each query");
        self.score(rows, queries)?;
        let n_passed = self.list_passing(gates)?;
        let Self { lane, memory } = self;
        if n_passed > memory.passed.len() {
            return Ok(Passing::All(lane.fetch(&memory.scores, &mut memory.fetched.scores)?));
        }
        if n_passed == 0 {
            return Ok(Passing::Few(Vec::new()));
        }
        memory.passed.resize(lane, n_passed)?;
        Ok(Passing::Few(lane.fetch(&memory.passed, &mut memory.fetched.passed)?))
    }

    /// Lists the scores that pass their gates as far as there is room, and says how many there are.
    fn list_passing(&mut self, gates: &[f32]) -> Result<usize, Failure> {
        let Self { lane, memory } = self;
        let n_scores = memory.scores.len();
        memory.passed.resize(lane, n_scores.min(ROOM))?;
        lane.write(gates, &mut memory.gates)?;
        lane.write(&[0], &mut memory.count)?;
        let function = lane.kernel("passing")?;
        let (scores, gates) = (memory.scores.whole(), memory.gates.whole());
        let (passed, count) = (memory.passed.whole(), memory.count.whole());
        let (room, all, columns) = (passed.len() as u32, n_scores as u32, gates.len() as u32);
        let mut arguments = lane.stream.launch_builder(&function);
        arguments.arg(&scores).arg(&gates).arg(&passed).arg(&count).arg(&room).arg(&all).arg(&columns);
        // SAFETY: the arguments of `passing`: there are rows of one score for each gate, and `room` places.
        unsafe { launch(arguments, [n_scores.div_ceil(THREADS as usize), 1], THREADS) }?;
        let count = lane.fetch(&memory.count, &mut memory.fetched.count)?;
        Ok(count[0] as usize)
    }

    /// Makes the scores the products of `rows` with every row of `matrix`.
    fn score(&mut self, rows: &Block<'_>, matrix: &Matrix) -> Result<(), Failure> {
        let Self { lane, memory } = self;
        let shape = Shape { rows: rows.n_numbers() / matrix.dim, n_in: matrix.dim, n_out: matrix.len() };
        if let Block::Here(numbers) = rows {
            memory.sent.numbers(lane, numbers.len())?[..numbers.len()].copy_from_slice(numbers);
            lane.send(&mut memory.sent, numbers.len(), &mut memory.rows)?;
        }
        let scores = memory.scores.resize(lane, shape.rows * shape.n_out)?;
        match rows {
            Block::Held(numbers) => lane.product(shape, &matrix.rows.whole(), numbers, None, scores),
            Block::Here(_) => lane.product(shape, &matrix.rows.whole(), &memory.rows.whole(), None, scores),
        }
    }
}

impl Memory {
    fn new() -> Self {
        Self {
            sent: Pinned::to_device(),
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
