//! The product with weights of 8 bits: bytes times bytes into whole sums, which are exact, and these times the scales of
//! rows and columns.

use std::ops::Range;

use super::super::buffer::Buffer;
use super::super::byte_rows::{ByteRows, GROUP};
use super::super::operand::{Operand, SIDE};
use super::super::product::TileUser;
use super::super::simd::{Kernel, Simd};
use super::super::{Isa, Workspace};
use super::{Finish, Grid};

/// Rows of which the whole sums and the sums of two vectors of columns stay in registers.
const HEIGHT: usize = 6;

/// Rows that meet a panel before the next panel is fetched: their bytes stay in the second cache.
const BLOCK_ROWS: usize = 32 * HEIGHT;

/// Inputs that an instruction multiplies at once.
const QUAD: usize = 4;
const GROUP_BYTES: usize = GROUP * SIDE;

/// The columns of a product, in panels of 32. A panel holds groups of 64 inputs, and a group the quads of inputs one
/// after the other, of all columns.
#[derive(Debug, Clone)]
pub(super) struct Panels {
    n_groups: usize,
    n_panels: usize,
    numbers: Buffer<i8>,
    /// For each group the sums of each column: what the low of a row's group is multiplied by.
    sums: Buffer<f32>,
    /// What each column is multiplied by.
    scales: Buffer<f32>,
}

impl Panels {
    /// Packs `columns`, each of `n_in` numbers with a scale; what is missing to whole groups and panels is zero.
    pub(super) fn pack(columns: &[i8], scales: &[f32], n_in: usize) -> Self {
        let n_groups = n_in.div_ceil(GROUP);
        let n_panels = scales.len().div_ceil(SIDE);
        let mut numbers = Buffer::<i8>::zeroed(n_panels * n_groups * GROUP_BYTES);
        let mut sums = Buffer::<f32>::zeroed(n_panels * n_groups * SIDE);
        for (column, weights) in columns.chunks_exact(n_in).enumerate() {
            for (group, weights) in weights.chunks(GROUP).enumerate() {
                let place = column / SIDE * n_groups + group;
                let to = &mut numbers[place * GROUP_BYTES..][..GROUP_BYTES];
                for (quad, weights) in weights.chunks(QUAD).enumerate() {
                    to[(quad * SIDE + column % SIDE) * QUAD..][..weights.len()].copy_from_slice(weights);
                }
                let sum: i32 = weights.iter().map(|&weight| i32::from(weight)).sum();
                sums[place * SIDE + column % SIDE] = sum as f32;
            }
        }
        let mut padded = Buffer::zeroed(n_panels * SIDE);
        padded[..scales.len()].copy_from_slice(scales);
        Self { n_groups, n_panels, numbers, sums, scales: padded }
    }

    /// As [`Buffer::settle`].
    pub(super) fn settle(&mut self) {
        self.numbers.settle();
        self.sums.settle();
        self.scales.settle();
    }

    fn panel(&self, panel: usize) -> Panel<'_> {
        let groups = panel * self.n_groups..(panel + 1) * self.n_groups;
        Panel {
            numbers: &self.numbers.as_chunks().0[groups.clone()],
            sums: &self.sums.as_chunks().0[groups],
            scales: &self.scales[panel * SIDE..][..SIDE],
        }
    }
}

/// 32 columns.
#[derive(Clone, Copy)]
struct Panel<'a> {
    numbers: &'a [[i8; GROUP_BYTES]],
    sums: &'a [[f32; SIDE]],
    scales: &'a [f32],
}

pub(super) fn multiply(isa: Isa, panels: &Panels, input: &Operand, finish: &Finish<'_>, workspace: &mut Workspace) {
    let grid = Grid { n_rows: input.n_rows(), group_rows: BLOCK_ROWS, n_panels: panels.n_panels };
    workspace.share(grid.len(), grid.least(panels.n_groups * GROUP_BYTES), |cells, scratch| {
        let rows = &mut scratch.byte_rows;
        isa.run(Int8 { panels, input, cells: grid.rows_and_panels(cells), finish, rows });
    });
}

struct Int8<'a, I> {
    panels: &'a Panels,
    input: &'a Operand,
    cells: I,
    finish: &'a Finish<'a>,
    rows: &'a mut ByteRows,
}

impl<I: Iterator<Item = (Range<usize>, Range<usize>)>> Kernel for Int8<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self { panels, input, cells, mut finish, rows: bytes } = self;
        for (rows, panels_of_block) in cells {
            bytes.fill(simd, input, rows.clone());
            for number in panels_of_block {
                let panel = panels.panel(number);
                for first in (0..SIDE).step_by(2 * S::LANES) {
                    let column = number * SIDE + first;
                    panel_product(simd, bytes, rows.clone(), (panel, first), column, &mut finish);
                }
            }
        }
    }
}

/// Full strips, then one of the rows that are left.
#[inline(always)]
fn panel_product<S: Simd>(
    simd: S,
    bytes: &ByteRows,
    rows: Range<usize>,
    panel: (Panel<'_>, usize),
    column: usize,
    finish: &mut impl TileUser<S>,
) {
    let mut row = 0;
    while rows.len() - row >= HEIGHT {
        let sums = strip::<S, HEIGHT>(simd, bytes, row, panel);
        finish.take(simd, rows.start + row, column, &sums);
        row += HEIGHT;
    }
    let mut rest = [[simd.splat(0.0); 2]; HEIGHT];
    low_strip(simd, bytes, row..rows.len(), panel, &mut rest);
    // Two by two and not as a strip of each height: what `finish` does is long, and would be there as often.
    let mut sums = rest[..rows.len() - row].chunks_exact(2);
    for (pair, sums) in sums.by_ref().enumerate() {
        finish.take(simd, rows.start + row + 2 * pair, column, &[sums[0], sums[1]]);
    }
    if let &[last] = sums.remainder() {
        finish.take(simd, rows.end - 1, column, &[last]);
    }
}

/// The sums of fewer rows than a full strip has, by a strip of just as many.
#[inline(always)]
fn low_strip<S: Simd>(
    simd: S,
    bytes: &ByteRows,
    rows: Range<usize>,
    panel: (Panel<'_>, usize),
    sums: &mut [[S::F32; 2]; HEIGHT],
) {
    macro_rules! of_height {
        ($($height:literal)*) => {
            match rows.len() {
                $($height => sums[..$height].copy_from_slice(&strip::<S, $height>(simd, bytes, rows.start, panel)),)*
                height => assert_eq!(height, 0, "fewer rows than a full strip has"),
            }
        };
    }
    of_height!(1 2 3 4 5);
}

/// The sums of some rows and two vectors of columns, which begin at `first_column` of the panel.
#[inline(always)]
fn strip<S: Simd, const ROWS: usize>(
    simd: S,
    bytes: &ByteRows,
    first_row: usize,
    (panel, first_column): (Panel<'_>, usize),
) -> [[S::F32; 2]; ROWS] {
    let mut rows = [bytes.row(first_row); ROWS];
    for (row, groups) in rows.iter_mut().enumerate() {
        *groups = bytes.row(first_row + row);
    }
    let mut sums = [[simd.splat(0.0); 2]; ROWS];
    // Counted, as in products of bf16: the start of zipped iterators would not be inlined.
    for group in 0..panel.numbers.len() {
        let mut whole = [[simd.zeros(); 2]; ROWS];
        for quad in 0..GROUP / QUAD {
            let weights = &panel.numbers[group][(quad * SIDE + first_column) * QUAD..];
            let weights = [simd.load_quads(weights), simd.load_quads(&weights[S::LANES * QUAD..])];
            for row in 0..ROWS {
                let factor = simd.splat_quad(rows[row].0[group].as_chunks().0[quad]);
                for vector in 0..2 {
                    whole[row][vector] = simd.add_byte_products(whole[row][vector], factor, weights[vector]);
                }
            }
        }
        let column_sums = &panel.sums[group][first_column..];
        let column_sums = [simd.load(column_sums), simd.load(&column_sums[S::LANES..])];
        for row in 0..ROWS {
            let [step, low] = rows[row].1[group];
            let (step, low) = (simd.splat(step), simd.splat(low));
            for vector in 0..2 {
                let lows = simd.mul_add(low, column_sums[vector], sums[row][vector]);
                sums[row][vector] = simd.mul_add(step, simd.to_f32(whole[row][vector]), lows);
            }
        }
    }
    let scales = &panel.scales[first_column..];
    let scales = [simd.load(scales), simd.load(&scales[S::LANES..])];
    for sums in &mut sums {
        *sums = [simd.mul(sums[0], scales[0]), simd.mul(sums[1], scales[1])];
    }
    sums
}
