//! The product with weights in f32.

use std::ops::Range;

use super::super::Workspace;
use super::super::operand::Operand;
use super::super::product::{self, BLOCK_ROWS, PackedMatrix};
use super::super::simd::{Kernel, Simd};
use super::{Finish, Grid};

pub(super) fn multiply(packed: &PackedMatrix, input: &Operand, finish: &Finish<'_>, workspace: &mut Workspace) {
    let grid = Grid { n_rows: input.n_rows(), group_rows: BLOCK_ROWS, n_panels: packed.n_panels() };
    let panel_size = 2 * packed.isa().lanes() * packed.dim();
    workspace.share(grid.len(), grid.least(panel_size), |cells, _| {
        packed.isa().run(Single { packed, input, cells: grid.rows_and_panels(cells), finish });
    });
}

struct Single<'a, I> {
    packed: &'a PackedMatrix,
    input: &'a Operand,
    cells: I,
    finish: &'a Finish<'a>,
}

impl<I: Iterator<Item = (Range<usize>, Range<usize>)>> Kernel for Single<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let (dim, mut finish) = (self.packed.dim(), self.finish);
        for (rows, panels) in self.cells {
            let numbers = &self.input.single[rows.start * dim..rows.end * dim];
            product::multiply::<S, ROWS, _>(simd, numbers, self.packed, panels, rows.start, &mut finish);
        }
    }
}
