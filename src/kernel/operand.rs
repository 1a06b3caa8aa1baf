//! The left side of a product: activations in the form that the next product reads fastest.
//!
//! In f32 they are row-major. In bf16 they lie in blocks of 32 rows, within a block one step of 32 columns after the
//! other: sixteen rows of a step are a matrix tile and one cache line a row. Columns past the last are zero, for which
//! every writer fills whole lines; rows past the last hold anything.

#![expect(unsafe_code, reason = "several threads write one operand")]

use half::bf16;

use super::Isa;
use super::buffer::Buffer;
use super::linear::store_row;
use super::places::Places;
use super::simd::{Kernel, Simd};

/// Rows in a block, and columns in a step.
pub(super) const SIDE: usize = 32;
/// Numbers in a step of a block.
pub(super) const STEP: usize = SIDE * SIDE;

/// What products are computed in; sums are f32 in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Factors as they are.
    F32,
    /// Factors rounded to eight bits of precision.
    Bf16,
}

/// `n_rows x dim` activations. Memory grows to the largest shape held and is reused.
#[derive(Debug, Clone)]
pub struct Operand {
    precision: Precision,
    n_rows: usize,
    dim: usize,
    pub(super) single: Buffer<f32>,
    pub(super) half: Buffer<bf16>,
}

impl Operand {
    /// Holds nothing yet.
    pub fn new(precision: Precision) -> Self {
        Self { precision, n_rows: 0, dim: 0, single: Buffer::in_large_pages(), half: Buffer::in_large_pages() }
    }

    /// Takes another shape; the numbers are unspecified until written.
    pub fn reshape(&mut self, n_rows: usize, dim: usize) {
        (self.n_rows, self.dim) = (n_rows, dim);
        match self.precision {
            Precision::F32 => self.single.resize(n_rows * dim),
            Precision::Bf16 => self.half.resize(n_rows.div_ceil(SIDE) * self.n_steps() * STEP),
        }
    }

    /// Takes the shape and the numbers of row-major `rows`.
    pub fn fill(&mut self, isa: Isa, rows: &[f32], dim: usize) {
        assert!(dim > 0 && rows.len().is_multiple_of(dim), "not a whole number of rows");
        self.reshape(rows.len() / dim, dim);
        // SAFETY: nobody else writes.
        let to = unsafe { self.writer() };
        isa.run(Fill { rows, dim, to });
    }

    /// Writes all numbers to row-major `rows`.
    pub fn copy_to(&mut self, isa: Isa, rows: &mut [f32]) {
        assert_eq!(rows.len(), self.n_rows * self.dim, "the rows have another shape");
        let dim = self.dim;
        // SAFETY: nobody else reads or writes.
        let from = unsafe { self.writer() };
        isa.run(Copy { from, dim, rows });
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How the numbers are held.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Row `row` as f32, for looking at it.
    pub fn row(&self, row: usize) -> Vec<f32> {
        assert!(row < self.n_rows, "no such row");
        match self.precision {
            Precision::F32 => self.single[row * self.dim..][..self.dim].to_vec(),
            Precision::Bf16 => {
                (0..self.dim).map(|at| self.half[self.line(row, at / SIDE) + at % SIDE].to_f32()).collect()
            }
        }
    }

    /// Steps of 32 columns, the last perhaps not full.
    pub(super) fn n_steps(&self) -> usize {
        self.dim.div_ceil(SIDE)
    }

    /// Where the 32 columns of `step` of `row` begin in `half`.
    #[inline(always)]
    pub(super) fn line(&self, row: usize, step: usize) -> usize {
        line(self.n_steps(), row, step)
    }

    /// Lets several threads write, each its own rows or columns.
    ///
    /// # Safety
    /// No two may write the same place, or read what another writes. The 32 columns of a step of bf16 are one place for
    /// vectors that are written whole; [`Writer::write_some`] alone tells columns apart.
    pub(super) unsafe fn writer(&mut self) -> Writer<'_> {
        let (precision, dim, n_steps) = (self.precision, self.dim, self.n_steps());
        // SAFETY: the caller makes the same promise.
        let (single, half) = unsafe { (Places::new(&mut self.single), Places::new(&mut self.half)) };
        Writer { precision, dim, n_steps, single, half }
    }
}

/// Where the 32 columns of `step` of `row` begin in an operand of bf16 with so many steps.
#[inline(always)]
fn line(n_steps: usize, row: usize, step: usize) -> usize {
    ((row / SIDE * n_steps + step) * SIDE + row % SIDE) * SIDE
}

/// Writes an operand in rows and columns that are nobody else's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer<'a> {
    precision: Precision,
    dim: usize,
    n_steps: usize,
    single: Places<'a, f32>,
    half: Places<'a, bf16>,
}

impl Writer<'_> {
    /// How the numbers are held.
    #[inline(always)]
    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    /// As [`Operand::line`].
    #[inline(always)]
    pub(super) fn line(&self, row: usize, step: usize) -> usize {
        line(self.n_steps, row, step)
    }

    /// The numbers of `row` in f32, from `column` on at most so many as there are columns left.
    #[inline(always)]
    pub(super) fn singles(&self, row: usize, column: usize, most: usize) -> &mut [f32] {
        let (start, end) = (column.min(self.dim), (column + most).min(self.dim));
        self.single.part(row * self.dim + start..row * self.dim + end)
    }

    /// The places of `n` numbers in bf16 from `first` on.
    #[inline(always)]
    pub(super) fn halves(&self, first: usize, n: usize) -> &mut [bf16] {
        self.half.part(first..first + n)
    }

    /// Writes the vectors of `row` from `column` on, a multiple of their lanes; together they stay within a step. What
    /// lies past the columns must be zero.
    #[inline(always)]
    pub(super) fn write<S: Simd, const N: usize>(&self, simd: S, row: usize, column: usize, vectors: &[S::F32; N]) {
        match self.precision {
            Precision::F32 => store_row(simd, self.singles(row, column, N * S::LANES), vectors),
            Precision::Bf16 => {
                let to = self.halves(self.line(row, column / SIDE) + column % SIDE, N * S::LANES);
                for (&vector, to) in vectors.iter().zip(to.chunks_exact_mut(S::LANES)) {
                    simd.store_bf16(vector, to);
                }
            }
        }
    }

    /// Multiplies the numbers of `row` from `column` on with vectors, as [`Self::write`] would write them.
    #[inline(always)]
    pub(super) fn multiply<S: Simd, const N: usize>(&self, simd: S, row: usize, column: usize, vectors: &[S::F32; N]) {
        let products = self.combined(simd, row, column, vectors, |there, vector| simd.mul(there, vector));
        self.write(simd, row, column, &products);
    }

    /// Adds vectors to the numbers of `row` from `column` on, as [`Self::write`] would write them.
    #[inline(always)]
    pub(super) fn add<S: Simd, const N: usize>(&self, simd: S, row: usize, column: usize, vectors: &[S::F32; N]) {
        self.write(simd, row, column, &self.added_to(simd, row, column, vectors));
    }

    /// `vectors` and the numbers of `row` from `column` on, added.
    #[inline(always)]
    pub(super) fn added_to<S: Simd, const N: usize>(
        &self,
        simd: S,
        row: usize,
        column: usize,
        vectors: &[S::F32; N],
    ) -> [S::F32; N] {
        self.combined(simd, row, column, vectors, |there, vector| simd.add(there, vector))
    }

    #[inline(always)]
    fn combined<S: Simd, const N: usize>(
        &self,
        simd: S,
        row: usize,
        column: usize,
        vectors: &[S::F32; N],
        combined: impl Fn(S::F32, S::F32) -> S::F32,
    ) -> [S::F32; N] {
        let mut results = *vectors;
        match self.precision {
            Precision::F32 => {
                let there = self.singles(row, column, N * S::LANES);
                for (result, there) in results.iter_mut().zip(there.chunks(S::LANES)) {
                    *result = combined(simd.load_up_to(there), *result);
                }
            }
            Precision::Bf16 => {
                let there = self.halves(self.line(row, column / SIDE) + column % SIDE, N * S::LANES);
                for (result, there) in results.iter_mut().zip(there.chunks_exact(S::LANES)) {
                    *result = combined(simd.load_bf16(there), *result);
                }
            }
        }
        results
    }

    /// Reads one row.
    #[inline(always)]
    pub(super) fn read_row<S: Simd>(&self, simd: S, row: usize, numbers: &mut [f32]) {
        assert_eq!(numbers.len(), self.dim, "a row of this operand");
        match self.precision {
            Precision::F32 => numbers.copy_from_slice(self.singles(row, 0, self.dim)),
            Precision::Bf16 => {
                for (step, numbers) in numbers.chunks_mut(SIDE).enumerate() {
                    read_line(simd, self.halves(self.line(row, step), SIDE), numbers);
                }
            }
        }
    }

    /// Writes rows that lie in lines one after the other, from `first` on; for bf16 only.
    #[inline(always)]
    pub(super) fn write_lines<S: Simd, const ROWS: usize, const N: usize>(
        &self,
        simd: S,
        first: usize,
        rows: &[[S::F32; N]; ROWS],
    ) {
        for (row, vectors) in rows.iter().enumerate() {
            let to = self.halves(first + row * SIDE, N * S::LANES);
            for (&vector, to) in vectors.iter().zip(to.chunks_exact_mut(S::LANES)) {
                simd.store_bf16(vector, to);
            }
        }
    }

    /// Writes one row.
    #[inline(always)]
    pub(super) fn write_row<S: Simd>(&self, simd: S, row: usize, numbers: &[f32]) {
        assert_eq!(numbers.len(), self.dim, "a row of this operand");
        match self.precision {
            Precision::F32 => self.singles(row, 0, self.dim).copy_from_slice(numbers),
            Precision::Bf16 => {
                for (step, numbers) in numbers.chunks(SIDE).enumerate() {
                    write_line(simd, numbers, self.halves(self.line(row, step), SIDE));
                }
            }
        }
    }

    /// Writes some columns of one row and nothing beside them, but with the last column also the zeros after it.
    #[inline(always)]
    pub(super) fn write_some<S: Simd>(&self, simd: S, row: usize, column: usize, numbers: &[f32]) {
        match self.precision {
            Precision::F32 => self.singles(row, column, numbers.len()).copy_from_slice(numbers),
            Precision::Bf16 => {
                let mut column = column;
                let mut rest = numbers;
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(rest.len().min(SIDE - column % SIDE));
                    let mut line = [bf16::ZERO; SIDE];
                    write_line(simd, now, &mut line);
                    let n = if column + now.len() == self.dim { SIDE - column % SIDE } else { now.len() };
                    let first = self.line(row, column / SIDE) + column % SIDE;
                    self.halves(first, n).copy_from_slice(&line[..n]);
                    column += now.len();
                    rest = later;
                }
            }
        }
    }
}

#[inline(always)]
fn read_line<S: Simd>(simd: S, line: &[bf16], numbers: &mut [f32]) {
    if numbers.len() == SIDE {
        for at in (0..SIDE).step_by(S::LANES) {
            simd.store(simd.load_bf16(&line[at..]), &mut numbers[at..]);
        }
        return;
    }
    for (numbers, line) in numbers.chunks_mut(S::LANES).zip(line.chunks_exact(S::LANES)) {
        simd.store_up_to(simd.load_bf16(line), numbers);
    }
}

#[inline(always)]
fn write_line<S: Simd>(simd: S, numbers: &[f32], line: &mut [bf16]) {
    if numbers.len() == SIDE {
        for (numbers, line) in numbers.chunks_exact(2 * S::LANES).zip(line.chunks_exact_mut(2 * S::LANES)) {
            simd.store_two_bf16(simd.load(numbers), simd.load(&numbers[S::LANES..]), line);
        }
        return;
    }
    for (vector, line) in line.chunks_exact_mut(S::LANES).enumerate() {
        let from = numbers.get(vector * S::LANES..).unwrap_or_default();
        simd.store_bf16(simd.load_up_to(from), line);
    }
}

struct Fill<'a> {
    rows: &'a [f32],
    dim: usize,
    to: Writer<'a>,
}

impl Kernel for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        for (row, numbers) in self.rows.chunks_exact(self.dim).enumerate() {
            self.to.write_row(simd, row, numbers);
        }
    }
}

struct Copy<'a> {
    from: Writer<'a>,
    dim: usize,
    rows: &'a mut [f32],
}

impl Kernel for Copy<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        for (row, numbers) in self.rows.chunks_exact_mut(self.dim).enumerate() {
            self.from.read_row(simd, row, numbers);
        }
    }
}
