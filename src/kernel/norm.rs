//! Layer norm of rows: in f32 where they stand, and into operands, from rows, from an operand's own or from tables.

#![expect(unsafe_code, reason = "several threads write rows of one matrix")]

use std::ops::Range;

use super::buffer::Buffer;
use super::operand::{Operand, Precision, SIDE, STEP, Writer};
use super::places::Places;
use super::rows::{Gather, squares_around, sum_of_tables};
use super::simd::{Kernel, Simd};
use super::{Isa, Workspace};

/// Scale, shift and guard of a layer norm.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm<'a> {
    /// One factor for each number of a row.
    pub scale: &'a [f32],
    /// One summand for each number of a row.
    pub shift: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// Normalises each row in place to mean 0 and variance 1, then scales and shifts it; `operand`, where there is one, gets
/// a copy.
pub fn layer_norm(
    isa: Isa,
    norm: &LayerNorm<'_>,
    rows: &mut [f32],
    operand: Option<&mut Operand>,
    workspace: &mut Workspace,
) {
    let (dim, n_rows) = norm.shape_of(rows);
    let operand = operand.map(|operand| {
        operand.reshape(n_rows, dim);
        // SAFETY: each thread writes rows that no other one has.
        unsafe { operand.writer() }
    });
    // SAFETY: as above.
    let places = unsafe { Places::new(rows) };
    workspace.share(n_rows, norm.least_rows(), |rows, _| {
        let (first, numbers) = (rows.start, places.part(rows.start * dim..rows.end * dim));
        isa.run(Normalise { norm, rows: numbers, first, operand: operand.as_ref() });
    });
}

/// As [`layer_norm`], but to `operand` only: `rows`, the residual path, stay as they are.
pub fn layer_norm_to(isa: Isa, norm: &LayerNorm<'_>, rows: &[f32], operand: &mut Operand, workspace: &mut Workspace) {
    let (dim, n_rows) = norm.shape_of(rows);
    operand.reshape(n_rows, dim);
    // SAFETY: each thread writes rows that no other one has.
    let operand = unsafe { operand.writer() };
    workspace.share(n_rows, norm.least_rows(), |part, scratch| {
        let source = Beside(rows);
        isa.run(NormaliseInto { source, norm, rows: part, operand: &operand, numbers: &mut scratch.row });
    });
}

/// As [`layer_norm`], of the rows of an operand, which are rounded to its precision.
pub fn layer_norm_in_place(isa: Isa, norm: &LayerNorm<'_>, operand: &mut Operand, workspace: &mut Workspace) {
    assert_eq!(operand.dim(), norm.scale.len(), "a scale for each number of a row");
    let n_rows = operand.n_rows();
    // SAFETY: each thread writes rows that no other one has.
    let operand = unsafe { operand.writer() };
    workspace.share(n_rows, norm.least_rows(), |part, scratch| {
        let source = There;
        isa.run(NormaliseInto { source, norm, rows: part, operand: &operand, numbers: &mut scratch.row });
    });
}

/// Numbers that take some microseconds to normalise: fewer are not worth being handed over, for a helper has them in another core's
/// cache.
const LEAST_PART: usize = 12_000;

impl LayerNorm<'_> {
    /// Numbers in a row.
    fn dim(&self) -> usize {
        self.scale.len()
    }

    /// Numbers in a row, and how many rows there are.
    fn shape_of(&self, rows: &[f32]) -> (usize, usize) {
        let dim = self.scale.len();
        assert!(dim > 0 && self.shift.len() == dim, "a scale and a shift for each number of a row");
        assert!(rows.len().is_multiple_of(dim), "not a whole number of rows");
        (dim, rows.len() / dim)
    }

    fn least_rows(&self) -> usize {
        LEAST_PART.div_ceil(self.scale.len())
    }
}

/// As [`super::embed`] and then [`layer_norm_to`], a row at a time.
pub fn embed_to(
    isa: Isa,
    tables: &[Gather<'_>],
    norm: &LayerNorm<'_>,
    operand: &mut Operand,
    workspace: &mut Workspace,
) {
    let n_rows = tables.first().map_or(0, |gather| gather.indices.len());
    for gather in tables {
        assert_eq!(gather.indices.len(), n_rows, "one index for each row");
    }
    operand.reshape(n_rows, norm.dim());
    // SAFETY: each thread writes rows that no other one has.
    let operand = unsafe { operand.writer() };
    workspace.share(n_rows, norm.least_rows(), |rows, scratch| {
        let source = Tables(tables);
        isa.run(NormaliseInto { source, norm, rows, operand: &operand, numbers: &mut scratch.row });
    });
}

struct Normalise<'a> {
    norm: &'a LayerNorm<'a>,
    rows: &'a mut [f32],
    /// The number of the first row in the operand.
    first: usize,
    operand: Option<&'a Writer<'a>>,
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        for (row, numbers) in (self.first..).zip(self.rows.chunks_exact_mut(self.norm.scale.len())) {
            normalise_row(simd, self.norm, numbers);
            if let Some(operand) = self.operand {
                operand.write_row(simd, row, numbers);
            }
        }
    }
}

/// Where the rows come from that are normalised into an operand.
trait Source: Copy {
    fn read_row<S: Simd>(self, simd: S, operand: &Writer<'_>, row: usize, numbers: &mut [f32]);

    /// Reads `ROWS` rows of whole lines one after the other.
    #[inline(always)]
    fn read_lines<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        operand: &Writer<'_>,
        row: usize,
        numbers: &mut [f32],
    ) -> Sums<S, ROWS> {
        let dim = numbers.len() / ROWS;
        let mut sums = [[simd.splat(0.0); 2]; ROWS];
        // Counted, here and below: the compiler would not inline some iterators.
        for at in 0..ROWS {
            let numbers = &mut numbers[at * dim..][..dim];
            self.read_row(simd, operand, row + at, numbers);
            for line in numbers.as_chunks::<SIDE>().0 {
                for column in (0..SIDE).step_by(2 * S::LANES) {
                    let (left, right) = (simd.load(&line[column..]), simd.load(&line[column + S::LANES..]));
                    sums[at] = [simd.add(sums[at][0], left), simd.add(sums[at][1], right)];
                }
            }
        }
        sums
    }
}

/// The operand itself.
#[derive(Clone, Copy)]
struct There;

impl Source for There {
    #[inline(always)]
    fn read_row<S: Simd>(self, simd: S, operand: &Writer<'_>, row: usize, numbers: &mut [f32]) {
        operand.read_row(simd, row, numbers);
    }

    #[inline(always)]
    fn read_lines<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        operand: &Writer<'_>,
        row: usize,
        numbers: &mut [f32],
    ) -> Sums<S, ROWS> {
        let numbers = numbers.as_chunks_mut::<SIDE>().0;
        let n_steps = numbers.len() / ROWS;
        let first_line = operand.line(row, 0);
        let mut sums = [[simd.splat(0.0); 2]; ROWS];
        for step in 0..n_steps {
            let lines = operand.halves(first_line + step * STEP, ROWS * SIDE).as_chunks::<SIDE>().0;
            for at in 0..ROWS {
                let (line, numbers) = (&lines[at], &mut numbers[at * n_steps + step]);
                for first in (0..SIDE).step_by(2 * S::LANES) {
                    let (left, right) = (simd.load_bf16(&line[first..]), simd.load_bf16(&line[first + S::LANES..]));
                    sums[at] = [simd.add(sums[at][0], left), simd.add(sums[at][1], right)];
                    simd.store(left, &mut numbers[first..]);
                    simd.store(right, &mut numbers[first + S::LANES..]);
                }
            }
        }
        sums
    }
}

/// The sums of rows of tables.
#[derive(Clone, Copy)]
struct Tables<'a>(&'a [Gather<'a>]);

impl Source for Tables<'_> {
    #[inline(always)]
    fn read_row<S: Simd>(self, simd: S, _operand: &Writer<'_>, row: usize, numbers: &mut [f32]) {
        sum_of_tables(simd, self.0, row, numbers);
    }
}

/// Rows of numbers, which stay as they are.
#[derive(Clone, Copy)]
struct Beside<'a>(&'a [f32]);

impl Source for Beside<'_> {
    #[inline(always)]
    fn read_row<S: Simd>(self, _simd: S, _operand: &Writer<'_>, row: usize, numbers: &mut [f32]) {
        numbers.copy_from_slice(&self.0[row * numbers.len()..][..numbers.len()]);
    }
}

struct NormaliseInto<'a, R> {
    source: R,
    norm: &'a LayerNorm<'a>,
    rows: Range<usize>,
    operand: &'a Writer<'a>,
    numbers: &'a mut Buffer<f32>,
}

impl<R: Source> Kernel for NormaliseInto<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self { source, norm, rows, operand, numbers } = self;
        let dim = norm.dim();
        numbers.resize(TOGETHER * dim);
        if operand.precision() == Precision::F32 || !dim.is_multiple_of(SIDE) {
            let numbers = &mut numbers[..dim];
            for row in rows {
                source.read_row(simd, operand, row, numbers);
                normalise_row(simd, norm, numbers);
                operand.write_row(simd, row, numbers);
            }
            return;
        }
        let mut row = rows.start;
        while row < rows.end {
            // Rows that stand in one block.
            if row.is_multiple_of(TOGETHER) && row + TOGETHER <= rows.end {
                let sums = source.read_lines::<S, TOGETHER>(simd, operand, row, numbers);
                normalise_to_lines(simd, norm, (numbers, sums), operand, row);
                row += TOGETHER;
            } else {
                let numbers = &mut numbers[..dim];
                let sums = source.read_lines::<S, 1>(simd, operand, row, numbers);
                normalise_to_lines(simd, norm, (numbers, sums), operand, row);
                row += 1;
            }
        }
    }
}

/// Rows that are normalised together, all in one block.
const TOGETHER: usize = 4;

/// The sums of `ROWS` rows, each of two vectors side by side, for an addition takes its time.
type Sums<S, const ROWS: usize> = [[<S as Simd>::F32; 2]; ROWS];

/// Normalises `ROWS` rows to whole lines of bf16. One row waits for its sums for longer than it computes: so the others are
/// computed meanwhile.
#[inline(always)]
fn normalise_to_lines<S: Simd, const ROWS: usize>(
    simd: S,
    norm: &LayerNorm<'_>,
    (numbers, sums): (&[f32], Sums<S, ROWS>),
    operand: &Writer<'_>,
    row: usize,
) {
    let dim = norm.dim() as f32;
    let numbers = numbers.as_chunks::<SIDE>().0;
    let n_steps = numbers.len() / ROWS;
    let mut means = [simd.splat(0.0); ROWS];
    for at in 0..ROWS {
        means[at] = simd.splat(simd.sum(simd.add(sums[at][0], sums[at][1])) / dim);
    }
    let mut squares = [[simd.splat(0.0); 2]; ROWS];
    for step in 0..n_steps {
        for at in 0..ROWS {
            let numbers = &numbers[at * n_steps + step];
            for first in (0..SIDE).step_by(2 * S::LANES) {
                for vector in 0..2 {
                    let distance = simd.sub(simd.load(&numbers[first + vector * S::LANES..]), means[at]);
                    squares[at][vector] = simd.mul_add(distance, distance, squares[at][vector]);
                }
            }
        }
    }
    let mut factors = [simd.splat(0.0); ROWS];
    for at in 0..ROWS {
        let variance = simd.sum(simd.add(squares[at][0], squares[at][1])) / dim;
        factors[at] = simd.splat(1.0 / (variance + norm.epsilon).sqrt());
    }
    let (scales, shifts) = (norm.scale.as_chunks::<SIDE>().0, norm.shift.as_chunks::<SIDE>().0);
    let first_line = operand.line(row, 0);
    for step in 0..n_steps {
        let (scale, shift) = (&scales[step], &shifts[step]);
        let lines = operand.halves(first_line + step * STEP, ROWS * SIDE).as_chunks_mut::<SIDE>().0;
        for at in 0..ROWS {
            let numbers = &numbers[at * n_steps + step];
            for first in (0..SIDE).step_by(2 * S::LANES) {
                let left = affine_vector(simd, (numbers, scale, shift), first, (means[at], factors[at]));
                let right = affine_vector(simd, (numbers, scale, shift), first + S::LANES, (means[at], factors[at]));
                simd.store_two_bf16(left, right, &mut lines[at][first..]);
            }
        }
    }
}

/// A vector of the numbers of a step, normalised, scaled and shifted.
#[inline(always)]
fn affine_vector<S: Simd>(
    simd: S,
    (numbers, scale, shift): (&[f32; SIDE], &[f32; SIDE], &[f32; SIDE]),
    at: usize,
    (mean, factor): (S::F32, S::F32),
) -> S::F32 {
    let normal = simd.mul(simd.sub(simd.load(&numbers[at..]), mean), factor);
    simd.mul_add(normal, simd.load(&scale[at..]), simd.load(&shift[at..]))
}

#[inline(always)]
fn normalise_row<S: Simd>(simd: S, norm: &LayerNorm<'_>, numbers: &mut [f32]) {
    let dim = numbers.len() as f32;
    let mean = sum(simd, numbers) / dim;
    let deviation = (squares_around(simd, numbers, mean) / dim + norm.epsilon).sqrt();
    affine(simd, norm, numbers, mean, 1.0 / deviation);
}

/// Four sums side by side hide the latency of an addition.
#[inline(always)]
fn sum<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let mut sums = [simd.splat(0.0); 4];
    let mut whole = row.chunks_exact(4 * S::LANES);
    for numbers in &mut whole {
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = simd.add(*sum, simd.load(&numbers[at * S::LANES..]));
        }
    }
    for (numbers, sum) in whole.remainder().chunks(S::LANES).zip(&mut sums) {
        *sum = simd.add(*sum, simd.load_up_to(numbers));
    }
    simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])))
}

/// Sum of the squared distances to `centre`. Lanes past the end of the row are taken for the centre.
#[inline(always)]
fn affine<S: Simd>(simd: S, norm: &LayerNorm<'_>, row: &mut [f32], mean: f32, factor: f32) {
    let (mean, factor) = (simd.splat(mean), simd.splat(factor));
    let (scales, shifts) = (norm.scale.chunks_exact(S::LANES), norm.shift.chunks_exact(S::LANES));
    let (last_scales, last_shifts) = (scales.remainder(), shifts.remainder());
    let mut whole = row.chunks_exact_mut(S::LANES);
    for ((numbers, scale), shift) in (&mut whole).zip(scales).zip(shifts) {
        let normal = simd.mul(simd.sub(simd.load(numbers), mean), factor);
        simd.store(simd.mul_add(normal, simd.load(scale), simd.load(shift)), numbers);
    }
    let last = whole.into_remainder();
    let normal = simd.mul(simd.sub(simd.load_partial(last), mean), factor);
    let last_vector = simd.mul_add(normal, simd.load_partial(last_scales), simd.load_partial(last_shifts));
    simd.store_partial(last_vector, last);
}
