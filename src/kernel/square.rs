//! Squares of 32 by 32 sums of bf16 products: what every product in bf16 is made of.
//!
//! A block of rows and a panel of columns each hold steps of 32 inputs. Of rows, a step is row-major, one cache line a
//! row. Of columns, a step is two tiles of sixteen columns, and a tile the pairs of inputs one after the other: what
//! the tile instructions and those for pairs of bf16 take. Sums are f32, over the inputs in order.

use half::bf16;

use super::buffer::Buffer;
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

/// The columns of a product, in panels of 32.
#[derive(Debug, Clone)]
pub(super) struct Panels {
    pub(super) n_steps: usize,
    pub(super) n_panels: usize,
    numbers: Buffer<bf16>,
}

impl Panels {
    /// Packs `columns`, each of `n_in` numbers; the last panel is filled up with zeros.
    pub(super) fn pack(columns: &[f32], n_in: usize) -> Self {
        let n_steps = n_in.div_ceil(SIDE);
        let n_panels = (columns.len() / n_in).div_ceil(SIDE);
        let mut numbers = Buffer::zeroed(n_panels * n_steps * STEP);
        for (column, weights) in columns.chunks_exact(n_in).enumerate() {
            let panel = column / SIDE * n_steps * STEP;
            for (at, &weight) in weights.iter().enumerate() {
                numbers[panel + place_in_panel(column % SIDE, at)] = bf16::from_f32(weight);
            }
        }
        Self { n_steps, n_panels, numbers }
    }

    /// As [`Buffer::settle`].
    pub(super) fn settle(&mut self) {
        self.numbers.settle();
    }

    pub(super) fn panel(&self, panel: usize) -> &[bf16] {
        &self.numbers[panel * self.n_steps * STEP..][..self.n_steps * STEP]
    }

    /// As [`Self::panel`], empty after the last one.
    pub(super) fn panel_or_none(&self, panel: usize) -> &[bf16] {
        if panel < self.n_panels { self.panel(panel) } else { &[] }
    }
}

/// Where the weight from input `at` of a panel's `column` lies within the panel.
#[inline(always)]
pub(super) fn place_in_panel(column: usize, at: usize) -> usize {
    at / SIDE * STEP + column / 16 * (STEP / 2) + at % SIDE / 2 * 32 + column % 16 * 2 + at % 2
}

/// Which side of a product is read again soon enough to stay in the first cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Both,
    Rows,
    Columns,
    Neither,
}

/// What makes a square: a block of rows and a panel of columns of as many steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factors<'a> {
    pub(super) rows: &'a [bf16],
    pub(super) columns: &'a [bf16],
    /// Some of what will be `columns` soon, to be fetched meanwhile; it may be empty.
    pub(super) next_columns: &'a [bf16],
    pub(super) kept: Kept,
}

/// Half of a panel's 32 columns: one tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Left,
    Right,
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
    /// Only the first `n_rows` rows of the square need to be right.
    fn square<S: Simd>(
        &self,
        simd: S,
        factors: Factors<'_>,
        n_rows: usize,
        sums: &mut Square,
        meanwhile: &mut impl Meanwhile,
    );
}

/// Sums by vectors: by instructions for pairs of bf16 where there are any, else by widening both factors, which is
/// exact.
pub(super) struct Vectors;

/// Rows of which the sums of two vectors of columns stay in registers, with a factor for each.
const STRIP_ROWS: usize = 8;

impl Unit for Vectors {
    #[inline(always)]
    fn square<S: Simd>(
        &self,
        simd: S,
        factors: Factors<'_>,
        n_rows: usize,
        sums: &mut Square,
        meanwhile: &mut impl Meanwhile,
    ) {
        let Factors { rows, columns, next_columns: next, .. } = factors;
        assert_eq!(rows.len(), columns.len(), "as many steps of rows as of columns");
        let n_rows = n_rows.min(SIDE);
        let n_strips = n_rows.div_ceil(STRIP_ROWS);
        // With many rows a panel is used so often that fetching the next one ahead costs more than it saves.
        let fetched = n_strips == 1 && !next.is_empty();
        for number in 0..n_strips {
            let (first, end) = (number * n_rows / n_strips, (number + 1) * n_rows / n_strips);
            for first_column in (0..SIDE).step_by(2 * S::LANES) {
                if fetched {
                    strip_of_height::<S, true>(simd, rows, (columns, next), first, end - first, first_column, sums);
                } else {
                    strip_of_height::<S, false>(simd, rows, (columns, columns), first, end - first, first_column, sums);
                }
            }
        }
        for _ in 0..rows.len() / STEP {
            meanwhile.share(simd);
        }
    }
}

/// Writes the sums of up to [`STRIP_ROWS`] rows and two vectors of columns, just as many as there are.
#[inline(always)]
fn strip_of_height<S: Simd, const FETCH: bool>(
    simd: S,
    rows: &[bf16],
    columns: (&[bf16], &[bf16]),
    first_row: usize,
    n_rows: usize,
    first_column: usize,
    sums: &mut Square,
) {
    macro_rules! of_height {
        ($($height:literal)*) => {
            match n_rows {
                $($height => {
                    let strip = strip::<S, $height, FETCH>(simd, rows, columns, first_row, first_column);
                    for (sums, strip) in sums.0[first_row..first_row + $height].iter_mut().zip(&strip) {
                        simd.store(strip[0], &mut sums[first_column..]);
                        simd.store(strip[1], &mut sums[first_column + S::LANES..]);
                    }
                })*
                _ => unreachable!("a strip has up to {STRIP_ROWS} rows"),
            }
        };
    }
    of_height!(1 2 3 4 5 6 7 8);
}

/// The sums of some rows and two vectors of columns. With `FETCH` it asks meanwhile for the second of `columns`, which come
/// next.
#[inline(always)]
fn strip<S: Simd, const HEIGHT: usize, const FETCH: bool>(
    simd: S,
    rows: &[bf16],
    (columns, next): (&[bf16], &[bf16]),
    first_row: usize,
    first_column: usize,
) -> [[S::F32; 2]; HEIGHT] {
    let mut sums = [[simd.splat(0.0); 2]; HEIGHT];
    // Counted: the compiler would not inline the start of two zipped iterators, a tenth of a strip of one step.
    for step in 0..rows.len() / STEP {
        let rows = &rows[step * STEP..][first_row * SIDE..(first_row + HEIGHT) * SIDE];
        let columns = &columns[step * STEP..][..STEP];
        for pair in 0..SIDE / 2 {
            if FETCH {
                for tile in 0..2 {
                    simd.prefetch_to_second(next.as_ptr().wrapping_add(step * STEP + tile * (STEP / 2) + pair * SIDE));
                }
            }
            let factors = [0, S::LANES].map(|column| place_in_panel(first_column + column, 2 * pair));
            let factors = [simd.load_pairs(&columns[factors[0]..]), simd.load_pairs(&columns[factors[1]..])];
            for row in 0..HEIGHT {
                let factor = simd.splat_pair(&rows[row * SIDE + 2 * pair..row * SIDE + 2 * pair + 2]);
                for vector in 0..2 {
                    sums[row][vector] = simd.add_products(sums[row][vector], factor, factors[vector]);
                }
            }
        }
    }
    sums
}
