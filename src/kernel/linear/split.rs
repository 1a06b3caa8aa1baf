//! The product with weights in f32 by matrix tiles of bf16.
//!
//! A number of f32 is the sum of three of bf16, to the last of its 24 bits. Of the nine products of two such sums the six
//! largest are taken, each exact and summed up in f32: what is left out is less than an f32 can tell apart. Tiles do
//! six of their products in less time than the vector units do one of theirs.

use std::ops::Range;

use half::bf16;

use super::super::buffer::Buffer;
use super::super::operand::{Operand, SIDE, STEP};
use super::super::simd::{BesideTiles, Simd, TileKernel};
use super::super::square::{Kept, Meanwhile, Square, place_in_panel};
use super::super::tiles::Tiles;
use super::super::{Isa, Workspace};
use super::ending::{Shadow, Whole};
use super::{Finish, Grid};

/// Numbers of bf16 that a number of f32 is the sum of.
const PARTS: usize = 3;

/// The parts of rows and of columns that are multiplied, smallest products first.
const PAIRS: [(usize, usize); 6] = [(2, 0), (1, 1), (0, 2), (1, 0), (0, 1), (0, 0)];

/// Cache lines of a step that are fetched before each pair.
const LINES_AHEAD: usize = SPLIT_STEP / SIDE / PAIRS.len();

/// A step of rows or columns, all parts.
const SPLIT_STEP: usize = PARTS * STEP;

/// Blocks of rows that meet a panel before the next panel is fetched: all parts of 128 rows stay in the second cache.
const BLOCKS: usize = 4;

/// The columns of a product, in panels of 32: of each step the three parts one after the other.
#[derive(Debug, Clone)]
pub(super) struct Panels {
    n_steps: usize,
    n_panels: usize,
    numbers: Buffer<bf16>,
}

impl Panels {
    /// Packs `columns`, each of `n_in` numbers; the last panel is filled up with zeros.
    pub(super) fn pack(columns: &[f32], n_in: usize) -> Self {
        let n_steps = n_in.div_ceil(SIDE);
        let n_panels = (columns.len() / n_in).div_ceil(SIDE);
        let mut numbers = Buffer::zeroed(n_panels * n_steps * SPLIT_STEP);
        for (column, weights) in columns.chunks_exact(n_in).enumerate() {
            for (at, &weight) in weights.iter().enumerate() {
                let step = (column / SIDE * n_steps + at / SIDE) * SPLIT_STEP;
                for (part, number) in split(weight).into_iter().enumerate() {
                    numbers[step + part * STEP + place_in_panel(column % SIDE, at % SIDE)] = number;
                }
            }
        }
        Self { n_steps, n_panels, numbers }
    }

    /// As [`Buffer::settle`].
    pub(super) fn settle(&mut self) {
        self.numbers.settle();
    }

    fn panel(&self, panel: usize) -> &[bf16] {
        &self.numbers[panel * self.n_steps * SPLIT_STEP..][..self.n_steps * SPLIT_STEP]
    }
}

/// A number as the sum of three.
fn split(number: f32) -> [bf16; PARTS] {
    let first = bf16::from_f32(number);
    let rest = number - first.to_f32();
    let second = bf16::from_f32(rest);
    [first, second, bf16::from_f32(rest - second.to_f32())]
}

/// The left side of a product, split: blocks of 32 rows, of each step the three parts one after the other. Memory grows to
/// the largest shape held and is reused.
#[derive(Debug, Clone, Default)]
pub(in crate::kernel) struct SplitRows {
    numbers: Buffer<bf16>,
}

impl SplitRows {
    /// Takes rows of an operand. What is past its columns is zero, and past its rows anything.
    #[inline(always)]
    fn fill<S: Simd>(&mut self, simd: S, operand: &Operand, rows: Range<usize>) {
        let (dim, n_steps) = (operand.dim(), operand.n_steps());
        self.numbers.resize(rows.len().div_ceil(SIDE) * n_steps * SPLIT_STEP);
        for (at, row) in rows.enumerate() {
            let numbers = &operand.single[row * dim..][..dim];
            for (step, numbers) in numbers.chunks(SIDE).enumerate() {
                let step = &mut self.numbers[(at / SIDE * n_steps + step) * SPLIT_STEP..][..SPLIT_STEP];
                split_line(simd, numbers, &mut step[at % SIDE * SIDE..]);
            }
        }
    }

    fn block(&self, block: usize, n_steps: usize) -> &[bf16] {
        &self.numbers[block * n_steps * SPLIT_STEP..][..n_steps * SPLIT_STEP]
    }
}

/// Splits up to 32 numbers, zeros after them; parts are a step apart in `to`.
#[inline(always)]
fn split_line<S: Simd>(simd: S, numbers: &[f32], to: &mut [bf16]) {
    for at in (0..SIDE).step_by(S::LANES) {
        let mut rest = simd.load_up_to(numbers.get(at..).unwrap_or_default());
        for part in 0..PARTS {
            let to = &mut to[part * STEP + at..][..S::LANES];
            simd.store_bf16(rest, to);
            rest = simd.sub(rest, simd.load_bf16(to));
        }
    }
}

/// Multiplies by tiles, which `isa` must have.
pub(super) fn multiply(isa: Isa, panels: &Panels, input: &Operand, finish: &Finish<'_>, workspace: &mut Workspace) {
    let grid = Grid { n_rows: input.n_rows(), group_rows: BLOCKS * SIDE, n_panels: panels.n_panels };
    workspace.share(grid.len(), grid.least(panels.n_steps * SPLIT_STEP), |cells, scratch| {
        let Some(tiles) = Tiles::configure(isa) else { unreachable!("weights are split for tiles only") };
        let (cells, rows, squares) = (grid.rows_and_panels(cells), &mut scratch.split_rows, &mut scratch.squares);
        tiles.run(Split { panels, input, cells, finish, rows, squares });
    });
}

struct Split<'a, I> {
    panels: &'a Panels,
    input: &'a Operand,
    cells: I,
    finish: &'a Finish<'a>,
    rows: &'a mut SplitRows,
    squares: &'a mut [Square; 2],
}

impl<I: Iterator<Item = (Range<usize>, Range<usize>)>> TileKernel for Split<'_, I> {
    #[inline(always)]
    fn run<S: BesideTiles>(self, simd: S, tiles: &Tiles) {
        let Self { panels, input, cells, finish, rows: split, squares } = self;
        // A square takes so long that any ending is over before it.
        let (ending, n_rows, n_steps) = (Whole(finish), input.n_rows(), panels.n_steps);
        let [mut current, mut before] = squares.each_mut();
        let mut pending = None;
        for (rows, panels_of_group) in cells {
            split.fill(simd, input, rows.clone());
            for panel in panels_of_group {
                for (block, row) in rows.clone().step_by(SIDE).enumerate() {
                    let mut shadow = Shadow::new(ending, before, pending, n_rows, n_steps);
                    let (block, columns) = (split.block(block, n_steps), panels.panel(panel));
                    square(simd, tiles, block, columns, rows.end - row, current, &mut shadow);
                    shadow.rest(simd);
                    (current, before) = (before, current);
                    pending = Some((row, panel * SIDE));
                }
            }
        }
        Shadow::new(ending, before, pending, n_rows, n_steps).rest(simd);
    }
}

/// A square of sums, of which the first `n_rows` rows need to be right; a share of `meanwhile` with each step.
#[inline(always)]
fn square<S: Simd>(
    simd: S,
    tiles: &Tiles,
    rows: &[bf16],
    columns: &[bf16],
    n_rows: usize,
    sums: &mut Square,
    meanwhile: &mut impl Meanwhile,
) {
    tiles.clear();
    for (rows, columns) in rows.as_chunks::<SPLIT_STEP>().0.iter().zip(columns.as_chunks::<SPLIT_STEP>().0) {
        for (at, (row_part, column_part)) in PAIRS.into_iter().enumerate() {
            // A sixth of the next step, which is more than the processor fetches ahead by itself.
            for line in at * LINES_AHEAD..(at + 1) * LINES_AHEAD {
                simd.prefetch(rows.as_ptr().wrapping_add(SPLIT_STEP + line * SIDE).cast());
                simd.prefetch(columns.as_ptr().wrapping_add(SPLIT_STEP + line * SIDE).cast());
            }
            let (rows, columns) = (&rows.as_chunks().0[row_part], &columns.as_chunks().0[column_part]);
            tiles.add_products(rows, columns, n_rows, Kept::Both);
        }
        meanwhile.share(simd);
    }
    tiles.store(&mut sums.0);
}
