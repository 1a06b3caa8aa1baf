//! The product with weights in bf16: squares of 32 by 32 sums, by matrix tiles where there are any.
//!
//! While the tile unit works on one square, the vector units end the one before.

use std::ops::Range;

use half::bf16;

use super::super::operand::{Operand, SIDE, STEP};
use super::super::simd::{Kernel, Simd};
use super::super::square::{Factors, Kept, Panels, Square, Unit, Vectors};
use super::super::tiles::Tiles;
use super::super::workspace::Scratch;
use super::super::{Isa, Workspace};
use super::ending::{Ending, Gelu, Plain, Shadow, ToOperand, ToResidual, ToResidualOperand, ToResidualSum, Whole};
use super::{Activation, Finish, Grid, Target};

/// Bytes of the rows that meet a panel before the next panel is fetched: what of them is read, and of a residual path also
/// what is written again and again, stays in the second cache, which is 2 MB on processors with tiles and 1 MB on others.
const GROUP_BYTES: usize = 800_000;
const GROUP_BYTES_BESIDE_TILES: usize = 1_200_000;

/// Bytes of a panel that stays in the first cache, of 48 KB on processors with tiles, while blocks of rows pass it by.
const KEPT_PANEL_BYTES: usize = 32 << 10;

/// A product that is to be computed.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) isa: Isa,
    pub(super) panels: &'a Panels,
    pub(super) input: &'a Operand,
    pub(super) finish: &'a Finish<'a>,
}

pub(super) fn multiply(product: Product<'_>, workspace: &mut Workspace) {
    let grid = product.grid();
    workspace.share(grid.len(), grid.least(product.panel_len()), |cells, scratch| {
        product.compute(grid.rows_and_panels(cells), scratch);
    });
}

/// Several products of few rows and as many columns each: a thread that takes a panel computes it for all, one after the other.
pub(super) fn multiply_in_turn(products: &[Product<'_>], workspace: &mut Workspace) {
    let Some(first) = products.first() else { return };
    let grid = Grid::of_few(first.input.n_rows(), first.panels.n_panels);
    let inputs = products.iter().map(Product::panel_len).sum();
    workspace.share(grid.len(), grid.least(inputs), |cells, scratch| {
        for product in products {
            product.compute(grid.rows_and_panels(cells.clone()), scratch);
        }
    });
}

/// Several products of the same few rows: their panels are shared out together.
pub(super) fn multiply_together(products: &[Product<'_>], workspace: &mut Workspace) {
    let Some(first) = products.first() else { return };
    let n_rows = first.input.n_rows();
    let grid = Grid::of_few(n_rows, products.iter().map(|product| product.panels.n_panels).sum());
    workspace.share(grid.len(), grid.least(first.panel_len()), |cells, scratch| {
        let mut before = 0;
        for product in products {
            let end = before + product.panels.n_panels;
            let panels = cells.start.clamp(before, end) - before..cells.end.clamp(before, end) - before;
            if !panels.is_empty() {
                product.compute(std::iter::once((0..n_rows, panels)), scratch);
            }
            before = end;
        }
    });
}

impl Product<'_> {
    /// Numbers in a panel.
    fn panel_len(&self) -> usize {
        self.panels.n_steps * STEP
    }

    /// Groups of rows that stay in the second cache.
    fn grid(&self) -> Grid {
        let n_out = self.finish.n_out;
        let added_to = match self.finish.target {
            Target::Residual(_) => n_out * size_of::<f32>(),
            Target::ResidualOperand(_) => n_out * size_of::<bf16>(),
            Target::ResidualSum(..) => 2 * n_out * size_of::<bf16>(),
            _ => 0,
        };
        let row_bytes = self.panels.n_steps * SIDE * size_of::<bf16>() + added_to;
        let group_bytes = if self.isa.has_tiles() { GROUP_BYTES_BESIDE_TILES } else { GROUP_BYTES };
        let group_rows = (group_bytes / row_bytes / SIDE).max(1) * SIDE;
        Grid { n_rows: self.input.n_rows(), group_rows, n_panels: self.panels.n_panels }
    }

    /// Computes some cells on this thread.
    fn compute(&self, cells: impl Iterator<Item = Cells>, scratch: &mut Scratch) {
        let &Self { isa, panels, input, finish } = self;
        let work = Work { panels, input, cells, squares: &mut scratch.squares };
        match Tiles::configure(isa) {
            Some(tiles) => beside_tiles(isa, work, tiles, finish),
            None => isa.run(Half { work, ending: Whole(finish), unit: Vectors }),
        }
    }
}

/// Chooses the ending, once.
fn beside_tiles(isa: Isa, work: Work<'_, impl Iterator<Item = Cells>>, unit: Tiles, finish: &Finish<'_>) {
    let bias = finish.bias;
    match (&finish.target, finish.activation) {
        (Target::Operand(to), Activation::Identity) if finish.rounded => {
            isa.run(Half { work, ending: ToOperand::<Plain>::new(to, bias), unit });
        }
        (Target::Operand(to), Activation::Gelu) if finish.rounded => {
            isa.run(Half { work, ending: ToOperand::<Gelu>::new(to, bias), unit });
        }
        (Target::ResidualOperand(operand), Activation::Identity) if finish.rounded => {
            isa.run(Half { work, ending: ToResidualOperand { operand, bias }, unit });
        }
        (Target::ResidualSum(operand, summand), Activation::Identity) if finish.rounded => {
            isa.run(Half { work, ending: ToResidualSum { operand, summand, bias }, unit });
        }
        (Target::Residual(rows), Activation::Identity) if finish.n_out.is_multiple_of(SIDE) => {
            isa.run(Half { work, ending: ToResidual { rows, n_out: finish.n_out, bias }, unit });
        }
        _ => isa.run(Half { work, ending: Whole(finish), unit }),
    }
}

/// The rows and the panels of some cells of the product.
type Cells = (Range<usize>, Range<usize>);

struct Work<'a, I> {
    panels: &'a Panels,
    input: &'a Operand,
    cells: I,
    squares: &'a mut [Square; 2],
}

struct Half<'a, I, E, U> {
    work: Work<'a, I>,
    ending: E,
    unit: U,
}

impl<I: Iterator<Item = Cells>, E: Ending, U: Unit> Kernel for Half<'_, I, E, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self { work: Work { panels, input, cells, squares }, ending, unit } = self;
        let n_rows = input.n_rows();
        let block_len = panels.n_steps * STEP;
        let n_shares = panels.n_steps;
        let kept = if block_len * size_of::<bf16>() <= KEPT_PANEL_BYTES { Kept::Columns } else { Kept::Neither };
        let [mut current, mut before] = squares.each_mut();
        let mut pending = None;
        for (rows, panels_of_group) in cells {
            for panel in panels_of_group {
                // Each block has its part of the next panel fetched.
                let next = panels.panel_or_none(panel + 1);
                let part = next.len() / rows.len().div_ceil(SIDE);
                for row in rows.clone().step_by(SIDE) {
                    let block = &input.half[row / SIDE * block_len..][..block_len];
                    let mut shadow = Shadow::new(ending, before, pending, n_rows, n_shares);
                    let at = (row - rows.start) / SIDE * part;
                    let next_columns = next.get(at..at + part).unwrap_or_default();
                    let factors = Factors { rows: block, columns: panels.panel(panel), next_columns, kept };
                    unit.square(simd, factors, rows.end - row, current, &mut shadow);
                    shadow.rest(simd);
                    (current, before) = (before, current);
                    pending = Some((row, panel * SIDE));
                }
            }
        }
        Shadow::new(ending, before, pending, n_rows, n_shares).rest(simd);
    }
}
