//! Squares of 32 by 32 sums of bf16 products: what every product in bf16 is made of.
//!
//! A block of rows and a panel of columns each hold steps of 32 inputs. Of rows, a step is row-major, one cache line a
//! row. Of columns, a step is two tiles of sixteen columns, and a tile the pairs of inputs one after the other: what
//! the tile instructions and those for pairs of bf16 take. Sums are f32, over the inputs in order.

#![expect(unsafe_code, reason = "tiles are read by pointer")]

use half::bf16;

use super::operand::{SIDE, STEP};
use super::simd::Simd;

/// A square of sums, row-major.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Square(pub(super) [[f32; SIDE]; SIDE]);

impl Default for Square {
    fn default() -> Self {
        Self([[0.0; SIDE]; SIDE])
    }
}

/// Where the weight from input `at` of a panel's `column` lies within the panel.
#[inline(always)]
pub(super) fn place_in_panel(column: usize, at: usize) -> usize {
    at / SIDE * STEP + column / 16 * (STEP / 2) + at % SIDE / 2 * 32 + column % 16 * 2 + at % 2
}

/// Work of the vector units while the tile unit is busy.
pub(super) trait Meanwhile {
    /// Does one of as many shares as the product has steps.
    fn share<S: Simd>(&mut self, simd: S);
}

/// Nothing to do meanwhile.
pub(super) struct Idle;

impl Meanwhile for Idle {
    #[inline(always)]
    fn share<S: Simd>(&mut self, _simd: S) {}
}

/// What multiplies a block of rows with a panel of columns.
pub(super) trait Unit {
    /// Computes a square of sums and does a share of `meanwhile` with each step.
    ///
    /// `rows` and `columns` hold as many steps; only the first `n_rows` rows of the square need to be right.
    fn square<S: Simd>(
        &self,
        simd: S,
        rows: &[bf16],
        columns: &[bf16],
        n_rows: usize,
        sums: &mut Square,
        meanwhile: &mut impl Meanwhile,
    );
}

/// Sums by vectors of f32: each pair of factors is widened, which is exact.
pub(super) struct Vectors;

impl Unit for Vectors {
    #[inline(always)]
    fn square<S: Simd>(
        &self,
        simd: S,
        rows: &[bf16],
        columns: &[bf16],
        n_rows: usize,
        sums: &mut Square,
        meanwhile: &mut impl Meanwhile,
    ) {
        sums.0.fill([0.0; SIDE]);
        let steps = rows.chunks_exact(STEP).zip(columns.chunks_exact(STEP));
        for (rows, columns) in steps {
            let columns = widened(columns);
            for (sums, row) in sums.0.iter_mut().zip(rows.chunks_exact(SIDE)).take(n_rows) {
                add_step(simd, sums, row, &columns);
            }
            meanwhile.share(simd);
        }
    }
}

/// A step of a panel as rows of 32 columns, one for each input.
fn widened(columns: &[bf16]) -> [[f32; SIDE]; SIDE] {
    std::array::from_fn(|at| {
        std::array::from_fn(|column| {
            columns[column / 16 * (STEP / 2) + at / 2 * 32 + column % 16 * 2 + at % 2].to_f32()
        })
    })
}

#[inline(always)]
fn add_step<S: Simd>(simd: S, sums: &mut [f32; SIDE], row: &[bf16], columns: &[[f32; SIDE]; SIDE]) {
    for at in (0..SIDE).step_by(S::LANES) {
        let mut sum = simd.load(&sums[at..]);
        for (number, columns) in row.iter().zip(columns) {
            sum = simd.mul_add(simd.splat(number.to_f32()), simd.load(&columns[at..]), sum);
        }
        simd.store(sum, &mut sums[at..]);
    }
}

#[cfg(target_arch = "x86_64")]
impl Unit for super::tiles::Tiles {
    #[inline(always)]
    fn square<S: Simd>(
        &self,
        simd: S,
        rows: &[bf16],
        columns: &[bf16],
        n_rows: usize,
        sums: &mut Square,
        meanwhile: &mut impl Meanwhile,
    ) {
        assert_eq!(rows.len(), columns.len(), "as many steps of rows as of columns");
        let n_steps = rows.len() / STEP;
        self.clear();
        for at in (0..n_steps * STEP).step_by(STEP) {
            // SAFETY: both slices hold `n_steps` steps of `STEP` numbers, and `at` is where one of them begins.
            unsafe {
                let (rows, columns) = (rows.as_ptr().add(at), columns.as_ptr().add(at));
                if n_rows > SIDE / 2 { self.add_step(rows, columns) } else { self.add_upper_step(rows, columns) }
            }
            meanwhile.share(simd);
        }
        self.store(&mut sums.0);
    }
}
