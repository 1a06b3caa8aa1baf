//! The product with weights in bf16: squares of 32 by 32 sums, by matrix tiles where there are any.
//!
//! While the tile unit works on one square, the vector units finish the one before: tile instructions keep few slots
//! busy, so that bias, activation and store nearly vanish in their shadow.

use half::bf16;

use super::super::buffer::Buffer;
use super::super::operand::{Operand, SIDE, STEP};
use super::super::product::TileUser;
use super::super::simd::{Kernel, Simd};
use super::super::square::{Meanwhile, Square, Unit, Vectors, place_in_panel};
use super::super::{Isa, Workspace};
use super::Finish;

/// Blocks of rows that meet a panel before the next panel is fetched: 256 rows stay in the second cache.
const BLOCKS: usize = 8;

/// Weights in panels of 32 columns, laid out as [`super::super::square`] says.
#[derive(Debug, Clone)]
pub(super) struct HalfPanels {
    n_steps: usize,
    n_panels: usize,
    numbers: Buffer<bf16>,
}

impl HalfPanels {
    pub(super) fn pack(weight: &[f32], n_in: usize) -> Self {
        let n_steps = n_in.div_ceil(SIDE);
        let n_panels = (weight.len() / n_in).div_ceil(SIDE);
        let mut numbers = Buffer::zeroed(n_panels * n_steps * STEP);
        for (column, weights) in weight.chunks_exact(n_in).enumerate() {
            for (at, &weight) in weights.iter().enumerate() {
                let panel = column / SIDE * n_steps * STEP;
                numbers[panel + place_in_panel(column % SIDE, at)] = bf16::from_f32(weight);
            }
        }
        Self { n_steps, n_panels, numbers }
    }

    fn panel(&self, panel: usize) -> &[bf16] {
        &self.numbers[panel * self.n_steps * STEP..][..self.n_steps * STEP]
    }
}

pub(super) fn multiply(isa: Isa, panels: &HalfPanels, input: &Operand, finish: Finish<'_>, workspace: &mut Workspace) {
    let squares = &mut workspace.squares;
    #[cfg(target_arch = "x86_64")]
    if let Some(tiles) = super::super::tiles::Tiles::configure(isa) {
        return isa.run(Half { panels, input, finish, squares, unit: tiles });
    }
    isa.run(Half { panels, input, finish, squares, unit: Vectors });
}

struct Half<'a, U> {
    panels: &'a HalfPanels,
    input: &'a Operand,
    finish: Finish<'a>,
    squares: &'a mut [Square; 2],
    unit: U,
}

impl<U: Unit> Kernel for Half<'_, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self { panels, input, mut finish, squares, unit } = self;
        let block_len = panels.n_steps * STEP;
        let n_rows = finish.n_rows;
        let [mut current, mut before] = squares.each_mut();
        let mut pending = None;
        for (group, blocks) in input.half.chunks(BLOCKS * block_len).enumerate() {
            for panel in 0..panels.n_panels {
                for (block, rows) in blocks.chunks_exact(block_len).enumerate() {
                    let row = (group * BLOCKS + block) * SIDE;
                    let mut shadow = Shadow::new(&mut finish, before, pending, panels.n_steps);
                    unit.square(simd, rows, panels.panel(panel), n_rows - row, current, &mut shadow);
                    shadow.rest(simd);
                    (current, before) = (before, current);
                    pending = Some((row, panel * SIDE));
                }
            }
        }
        Shadow::new(&mut finish, before, pending, panels.n_steps).rest(simd);
    }
}

/// Rows of a square that are finished in one go.
const SHARE_ROWS: usize = 4;

/// The square before the one being multiplied, finished in even shares.
struct Shadow<'a, 'b> {
    finish: &'a mut Finish<'b>,
    sums: &'a Square,
    row: usize,
    column: usize,
    n_shares: usize,
    next_row: usize,
    credit: usize,
}

impl<'a, 'b> Shadow<'a, 'b> {
    /// `pending` is where the square begins; without one there is nothing to do.
    #[inline(always)]
    fn new(finish: &'a mut Finish<'b>, sums: &'a Square, pending: Option<(usize, usize)>, n_shares: usize) -> Self {
        let (row, column) = pending.unwrap_or_default();
        let next_row = if pending.is_some() { 0 } else { SIDE };
        Self { finish, sums, row, column, n_shares, next_row, credit: 0 }
    }

    #[inline(always)]
    fn rest<S: Simd>(&mut self, simd: S) {
        while self.next_row < SIDE {
            self.some_rows(simd);
        }
    }

    #[inline(always)]
    fn some_rows<S: Simd>(&mut self, simd: S) {
        for at in (0..SIDE).step_by(2 * S::LANES) {
            let mut tile = [[simd.splat(0.0); 2]; SHARE_ROWS];
            for (tile, sums) in tile.iter_mut().zip(&self.sums.0[self.next_row..]) {
                *tile = [simd.load(&sums[at..]), simd.load(&sums[at + S::LANES..])];
            }
            self.finish.take(simd, self.row + self.next_row, self.column + at, &tile);
        }
        self.next_row += SHARE_ROWS;
    }
}

impl Meanwhile for Shadow<'_, '_> {
    #[inline(always)]
    fn share<S: Simd>(&mut self, simd: S) {
        self.credit += SIDE / SHARE_ROWS;
        while self.credit >= self.n_shares && self.next_row < SIDE {
            self.credit -= self.n_shares;
            self.some_rows(simd);
        }
    }
}
