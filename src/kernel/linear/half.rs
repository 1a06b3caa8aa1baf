//! The product with weights in bf16: squares of 32 by 32 sums, by matrix tiles where there are any.
//!
//! While the tile unit works on one square, the vector units end the one before.

use std::ops::Range;

use super::super::operand::{Operand, Precision, SIDE, STEP};
use super::super::simd::{Kernel, Simd};
use super::super::square::{Panels, Square, Unit, Vectors};
use super::super::tiles::Tiles;
use super::super::{Isa, Workspace};
use super::ending::{Ending, Gelu, Plain, Shadow, ToOperand, ToResidual, Whole, with_ending};
use super::{Activation, Finish, Grid, Target};

/// Blocks of rows that meet a panel before the next panel is fetched: 256 rows stay in the second cache.
const BLOCKS: usize = 8;

pub(super) fn multiply(isa: Isa, panels: &Panels, input: &Operand, finish: &Finish<'_>, workspace: &mut Workspace) {
    let grid = Grid { n_rows: input.n_rows(), group_rows: BLOCKS * SIDE, n_panels: panels.n_panels };
    workspace.share(grid.len(), grid.least(panels.n_steps * STEP), |cells, scratch| {
        let (cells, squares) = (grid.rows_and_panels(cells), &mut scratch.squares);
        let Some(unit) = Tiles::configure(isa) else {
            return isa.run(Half { panels, input, cells, ending: Whole(finish), squares, unit: Vectors });
        };
        with_ending!(finish, |ending| isa.run(Half { panels, input, cells, ending, squares, unit }));
    });
}

struct Half<'a, I, E, U> {
    panels: &'a Panels,
    input: &'a Operand,
    cells: I,
    ending: E,
    squares: &'a mut [Square; 2],
    unit: U,
}

impl<I: Iterator<Item = (Range<usize>, Range<usize>)>, E: Ending, U: Unit> Kernel for Half<'_, I, E, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self { panels, input, cells, ending, squares, unit } = self;
        let n_rows = input.n_rows();
        let block_len = panels.n_steps * STEP;
        let n_shares = panels.n_steps;
        let [mut current, mut before] = squares.each_mut();
        let mut pending = None;
        for (rows, panels_of_group) in cells {
            for panel in panels_of_group {
                for row in rows.clone().step_by(SIDE) {
                    let block = &input.half[row / SIDE * block_len..][..block_len];
                    let mut shadow = Shadow::new(ending, before, pending, n_rows, n_shares);
                    let columns = (panels.panel(panel), panels.panel_or_none(panel + 1));
                    unit.square(simd, block, columns, rows.end - row, current, &mut shadow);
                    shadow.rest(simd);
                    (current, before) = (before, current);
                    pending = Some((row, panel * SIDE));
                }
            }
        }
        Shadow::new(ending, before, pending, n_rows, n_shares).rest(simd);
    }
}
