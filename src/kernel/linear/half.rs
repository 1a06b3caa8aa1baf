//! The product with weights in bf16: squares of 32 by 32 sums, by matrix tiles where there are any.
//!
//! While the tile unit works on one square, the vector units finish the one before: tile instructions keep few slots
//! busy, so that bias, activation and store nearly vanish in their shadow.

use std::ops::Range;

use super::super::operand::{Operand, Precision, SIDE, STEP};
use super::super::simd::{Kernel, Simd};
use super::super::square::{Meanwhile, Panels, Square, Unit, Vectors};
use super::super::tiles::Tiles;
use super::super::{Isa, Workspace};
use super::{Finish, Grid, Target};

/// Blocks of rows that meet a panel before the next panel is fetched: 256 rows stay in the second cache.
const BLOCKS: usize = 8;

pub(super) fn multiply(isa: Isa, panels: &Panels, input: &Operand, finish: &Finish<'_>, workspace: &mut Workspace) {
    let grid = Grid { n_rows: input.n_rows(), group_rows: BLOCKS * SIDE, n_panels: panels.n_panels };
    workspace.share(grid.len(), grid.least(panels.n_steps * STEP), |cells, scratch| {
        let (cells, squares) = (grid.rows_and_panels(cells), &mut scratch.squares);
        if let Some(tiles) = Tiles::configure(isa) {
            return isa.run(Half { panels, input, cells, finish, squares, unit: tiles });
        }
        isa.run(Half { panels, input, cells, finish, squares, unit: Vectors });
    });
}

struct Half<'a, I, U> {
    panels: &'a Panels,
    input: &'a Operand,
    cells: I,
    finish: &'a Finish<'a>,
    squares: &'a mut [Square; 2],
    unit: U,
}

impl<I: Iterator<Item = (Range<usize>, Range<usize>)>, U: Unit> Kernel for Half<'_, I, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self { panels, input, cells, finish, squares, unit } = self;
        let block_len = panels.n_steps * STEP;
        let n_shares = panels.n_steps;
        let [mut current, mut before] = squares.each_mut();
        let mut pending = None;
        for (rows, panels_of_group) in cells {
            for panel in panels_of_group {
                for row in rows.clone().step_by(SIDE) {
                    let block = &input.half[row / SIDE * block_len..][..block_len];
                    let mut shadow = Shadow::new(finish, before, pending, n_shares);
                    let columns = (panels.panel(panel), panels.panel_or_none(panel + 1));
                    unit.square(simd, block, columns, rows.end - row, current, &mut shadow);
                    shadow.rest(simd);
                    (current, before) = (before, current);
                    pending = Some((row, panel * SIDE));
                }
            }
        }
        Shadow::new(finish, before, pending, n_shares).rest(simd);
    }
}

/// Rows of a square that are finished in one go.
const SHARE_ROWS: usize = 2;

/// The square before the one being multiplied, finished in even shares.
struct Shadow<'a, 'b> {
    finish: &'a Finish<'b>,
    sums: &'a Square,
    row: usize,
    column: usize,
    /// Where the square goes in an operand.
    line: usize,
    n_shares: usize,
    next_row: usize,
    /// Rows of the square that there are.
    n_rows: usize,
    credit: usize,
}

impl<'a, 'b> Shadow<'a, 'b> {
    /// `pending` is where the square begins; without one there is nothing to do.
    #[inline(always)]
    fn new(finish: &'a Finish<'b>, sums: &'a Square, pending: Option<(usize, usize)>, n_shares: usize) -> Self {
        let (row, column) = pending.unwrap_or_default();
        let n_rows = if pending.is_some() { SIDE.min(finish.n_rows - row) } else { 0 };
        let line = match &finish.target {
            Target::Operand(operand) => operand.line(row, column / SIDE),
            Target::Rows(_) | Target::Residual(_) | Target::Gate(_) => 0,
        };
        Self { finish, sums, row, column, line, n_shares, next_row: 0, n_rows, credit: 0 }
    }

    #[inline(always)]
    fn rest<S: Simd>(&mut self, simd: S) {
        while self.next_row < self.n_rows {
            self.some_rows(simd);
        }
    }

    #[inline(always)]
    fn some_rows<S: Simd>(&mut self, simd: S) {
        for at in (0..SIDE).step_by(2 * S::LANES) {
            let mut tile = [[simd.splat(0.0); 2]; SHARE_ROWS];
            for (row, tile) in tile.iter_mut().enumerate() {
                let sums = &self.sums.0[self.next_row + row];
                *tile = [simd.load(&sums[at..]), simd.load(&sums[at + S::LANES..])];
            }
            self.finish.apply(simd, self.column + at, &mut tile);
            match &self.finish.target {
                Target::Operand(operand) if operand.precision() == Precision::Bf16 => {
                    // The square is a step of a block of the operand: its rows follow each other.
                    let first = self.line + self.next_row * SIDE + at;
                    operand.write_lines(simd, first, &tile);
                }
                _ => self.finish.store(simd, self.row + self.next_row, self.column + at, &tile),
            }
        }
        self.next_row += SHARE_ROWS;
    }
}

impl Meanwhile for Shadow<'_, '_> {
    #[inline(always)]
    fn share<S: Simd>(&mut self, simd: S) {
        self.credit += SIDE / SHARE_ROWS;
        while self.credit >= self.n_shares && self.next_row < self.n_rows {
            self.credit -= self.n_shares;
            self.some_rows(simd);
        }
    }
}
