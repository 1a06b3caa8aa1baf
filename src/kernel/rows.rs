//! Work on whole rows between the products: embedding, sums of rows, pooling, scaling to length one.

use super::Isa;
use super::simd::{Kernel, Simd};

/// A row of a table for each row of the output, by index.
#[derive(Debug, Clone, Copy)]
pub struct Gather<'a> {
    /// Rows as wide as the output.
    pub table: Table<'a>,
    /// What each row of the table is multiplied by; nothing where it is empty.
    pub scales: &'a [f32],
    /// Which row of the table each row of the output takes.
    pub indices: &'a [u32],
}

/// Sets each row of `rows` to the sum of the rows that `tables` name for it: words, positions, types.
pub fn embed(isa: Isa, tables: &[Gather<'_>], dim: usize, rows: &mut [f32]) {
    assert!(dim > 0 && rows.len().is_multiple_of(dim), "not a whole number of rows");
    for gather in tables {
        assert_eq!(gather.indices.len() * dim, rows.len(), "one index for each row");
    }
    isa.run(Embed { tables, dim, rows });
}

/// A table of rows that are added up.
#[derive(Debug, Clone, Copy)]
pub enum Table<'a> {
    /// Row-major numbers.
    F32(&'a [f32]),
    /// Row-major whole numbers.
    I8(&'a [i8]),
}

impl Table<'_> {
    /// Asks for a row of `dim` numbers.
    #[inline(always)]
    fn fetch_row<S: Simd>(self, simd: S, row: usize, dim: usize) {
        const LINE: usize = 64;
        let (first, bytes) = match self {
            Self::F32(rows) => (rows.as_ptr().wrapping_add(row * dim).cast::<u8>(), dim * size_of::<f32>()),
            Self::I8(rows) => (rows.as_ptr().wrapping_add(row * dim).cast(), dim),
        };
        for at in (0..bytes).step_by(LINE) {
            simd.prefetch_to_second(first.wrapping_add(at));
        }
    }

    /// Adds a row, each number of it multiplied and rounded before.
    #[inline(always)]
    fn add_row<S: Simd>(self, simd: S, row: usize, factor: f32, to: &mut [f32]) {
        let dim = to.len();
        match self {
            Self::F32(rows) => add_scaled(simd, to, &rows[row * dim..][..dim], factor),
            Self::I8(rows) => add_scaled_bytes(simd, to, &rows[row * dim..][..dim], factor),
        }
    }
}

/// Sets `sum` to the sum of `factor * row` over `picks`, each a row of `table` with its factor, in their order.
///
/// Every product is rounded before it is added, so that all instruction sets give the same bits.
pub fn sum_rows(isa: Isa, table: Table<'_>, picks: &[(usize, f32)], sum: &mut [f32]) {
    isa.run(SumRows { table, picks, sum });
}

/// Sets each row of `out` to the mean of its sequence's rows, `offsets[s]..offsets[s + 1]`; zeros for an empty one.
pub fn mean_pool(isa: Isa, rows: &[f32], dim: usize, offsets: &[usize], out: &mut [f32]) {
    assert!(dim > 0 && rows.len().is_multiple_of(dim), "not a whole number of rows");
    assert_eq!(out.len(), offsets.len().saturating_sub(1) * dim, "one row for each sequence");
    isa.run(MeanPool { rows, dim, offsets, out });
}

/// Scales each row to length one; a row of zeros stays.
pub fn scale_to_unit(isa: Isa, rows: &mut [f32], dim: usize) {
    assert!(dim > 0 && rows.len().is_multiple_of(dim), "not a whole number of rows");
    isa.run(Unit { rows, dim });
}

struct Embed<'a> {
    tables: &'a [Gather<'a>],
    dim: usize,
    rows: &'a mut [f32],
}

impl Kernel for Embed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        for (row, numbers) in self.rows.chunks_exact_mut(self.dim).enumerate() {
            sum_of_tables(simd, self.tables, row, numbers);
        }
    }
}

/// Rows that are asked for before their turn: those of words lie anywhere in a table that no cache holds.
const ROWS_AHEAD: usize = 4;

#[inline(always)]
pub(super) fn sum_of_tables<S: Simd>(simd: S, tables: &[Gather<'_>], row: usize, numbers: &mut [f32]) {
    numbers.fill(0.0);
    for gather in tables {
        if let Some(&index) = gather.indices.get(row + ROWS_AHEAD) {
            gather.table.fetch_row(simd, index as usize, numbers.len());
        }
        let index = gather.indices[row] as usize;
        let factor = if gather.scales.is_empty() { 1.0 } else { gather.scales[index] };
        gather.table.add_row(simd, index, factor, numbers);
    }
}

struct SumRows<'a> {
    table: Table<'a>,
    picks: &'a [(usize, f32)],
    sum: &'a mut [f32],
}

impl Kernel for SumRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        self.sum.fill(0.0);
        for &(row, factor) in self.picks {
            self.table.add_row(simd, row, factor, self.sum);
        }
    }
}

struct MeanPool<'a> {
    rows: &'a [f32],
    dim: usize,
    offsets: &'a [usize],
    out: &'a mut [f32],
}

impl Kernel for MeanPool<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        for (bounds, out) in self.offsets.windows(2).zip(self.out.chunks_exact_mut(self.dim)) {
            let rows = &self.rows[bounds[0] * self.dim..bounds[1] * self.dim];
            out.fill(0.0);
            for row in rows.chunks_exact(self.dim) {
                add(simd, out, row);
            }
            scale(simd, out, 1.0 / (bounds[1] - bounds[0]).max(1) as f32);
        }
    }
}

struct Unit<'a> {
    rows: &'a mut [f32],
    dim: usize,
}

impl Kernel for Unit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        for row in self.rows.chunks_exact_mut(self.dim) {
            let length = squares_around(simd, row, 0.0).sqrt();
            if length > 0.0 {
                scale(simd, row, 1.0 / length);
            }
        }
    }
}

#[inline(always)]
pub(super) fn squares_around<S: Simd>(simd: S, row: &[f32], centre: f32) -> f32 {
    let centres = simd.splat(centre);
    let mut sums = [simd.splat(0.0); 4];
    let mut whole = row.chunks_exact(4 * S::LANES);
    for numbers in &mut whole {
        for (at, sum) in sums.iter_mut().enumerate() {
            let distance = simd.sub(simd.load(&numbers[at * S::LANES..]), centres);
            *sum = simd.mul_add(distance, distance, *sum);
        }
    }
    for (numbers, sum) in whole.remainder().chunks(S::LANES).zip(&mut sums) {
        let mut distance = simd.sub(simd.load_up_to(numbers), centres);
        if numbers.len() < S::LANES {
            let within = simd.greater(simd.splat(numbers.len() as f32), simd.iota());
            distance = simd.select(within, distance, simd.splat(0.0));
        }
        *sum = simd.mul_add(distance, distance, *sum);
    }
    simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])))
}

#[inline(always)]
fn add<S: Simd>(simd: S, to: &mut [f32], from: &[f32]) {
    for (to, from) in to.chunks_mut(S::LANES).zip(from.chunks(S::LANES)) {
        simd.store_up_to(simd.add(simd.load_up_to(to), simd.load_up_to(from)), to);
    }
}

#[inline(always)]
fn add_scaled<S: Simd>(simd: S, to: &mut [f32], from: &[f32], factor: f32) {
    let factors = simd.splat(factor);
    let whole = from.len() - from.len() % S::LANES;
    for (to, from) in to.chunks_exact_mut(S::LANES).zip(from.chunks_exact(S::LANES)) {
        simd.store(simd.add(simd.load(to), simd.mul(simd.load(from), factors)), to);
    }
    for (to, &from) in to[whole..].iter_mut().zip(&from[whole..]) {
        *to += from * factor;
    }
}

#[inline(always)]
fn add_scaled_bytes<S: Simd>(simd: S, to: &mut [f32], from: &[i8], factor: f32) {
    let factors = simd.splat(factor);
    let whole = from.len() - from.len() % S::LANES;
    for (to, from) in to.chunks_exact_mut(S::LANES).zip(from.chunks_exact(S::LANES)) {
        simd.store(simd.add(simd.load(to), simd.mul(simd.load_i8(from), factors)), to);
    }
    for (to, &from) in to[whole..].iter_mut().zip(&from[whole..]) {
        *to += f32::from(from) * factor;
    }
}

#[inline(always)]
fn scale<S: Simd>(simd: S, row: &mut [f32], factor: f32) {
    let factor = simd.splat(factor);
    for numbers in row.chunks_mut(S::LANES) {
        simd.store_up_to(simd.mul(simd.load_up_to(numbers), factor), numbers);
    }
}
