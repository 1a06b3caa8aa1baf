//! Rows times packed columns in f32: the register-blocked product that every f32 kernel shares.
//!
//! A sum runs over the dimension in one lane from first to last, whatever block it falls in, so a score has the same
//! bits wherever its row stands. The dimension is not blocked: a tile's rows stay in the first cache up to some
//! 800 numbers a row, and beyond that come from the second.

#![expect(unsafe_code, reason = "the inner loop reads by pointer")]

use std::ops::Range;

use super::buffer::Buffer;
use super::nearest::Coarse;
use super::simd::{Kernel, SQUARE_WORDS, Simd};
use super::{Isa, Level};

/// Rows that meet a panel before the next panel is fetched: few enough to stay in the second cache, and a multiple of
/// the rows of a tile in every instruction set.
pub(super) const BLOCK_ROWS: usize = 84;

/// How far ahead of its use a panel is fetched: from the second cache to the first, and from farther to the second.
const PREFETCH_STEPS: usize = 8;
const FAR_PREFETCH_STEPS: usize = 64;

/// A row-major matrix laid out so that a product with it reads memory in order.
///
/// Made once and used for many products: centroids for a pass over the data, a batch of queries.
#[derive(Debug, Clone)]
pub struct PackedMatrix {
    isa: Isa,
    len: usize,
    dim: usize,
    /// Panels of two vectors of columns (the last one may have one), within a panel one dimension after the other.
    numbers: Buffer<f32>,
    /// What [`super::nearest()`] reads first, where there are matrix tiles.
    coarse: Option<Coarse>,
}

impl Default for PackedMatrix {
    fn default() -> Self {
        Self { isa: Isa::PORTABLE, len: 0, dim: 0, numbers: Buffer::default(), coarse: None }
    }
}

impl PackedMatrix {
    /// Packs rows of `dim` numbers.
    pub fn pack(isa: Isa, rows: &[f32], dim: usize) -> Self {
        assert!(dim > 0 && rows.len().is_multiple_of(dim), "not a whole number of rows");
        let mut packed = Self::default();
        packed.reshape(isa, rows.len() / dim, dim);
        for (row, numbers) in rows.chunks_exact(dim).enumerate() {
            packed.set_row_from(row, 0, numbers);
        }
        packed.coarse = (isa.level() == Level::AmxBf16).then(|| Coarse::pack(rows, dim));
        packed
    }

    /// As [`Buffer::settle`].
    pub(super) fn settle(&mut self) {
        self.numbers.settle();
    }

    /// The same rows for a first look in bf16.
    pub(super) fn coarse(&self) -> Option<&Coarse> {
        self.coarse.as_ref()
    }

    /// Takes another shape. Rows are unspecified until set; the padding is zero.
    pub(super) fn reshape(&mut self, isa: Isa, len: usize, dim: usize) {
        (self.isa, self.len, self.dim) = (isa, len, dim);
        self.numbers.resize(self.padded_len() * dim);
        let padded = self.place(len - len % isa.lanes(), 0).0;
        self.numbers.get_mut(padded..).unwrap_or_default().fill(0.0);
    }

    /// Where number `at` of `row` lies, and how far apart the numbers of a row are.
    fn place(&self, row: usize, at: usize) -> (usize, usize) {
        let first = row - row % self.panel_width();
        let width = self.panel_width().min(self.padded_len() - first);
        (first * self.dim + at * width + row % self.panel_width(), width)
    }

    /// Sets every packed row from rows that begin `step` numbers apart.
    #[inline(always)]
    pub(super) fn set_rows<S: Simd>(&mut self, simd: S, from: &[f32], step: usize) {
        // Squares do not straddle panels of at least as many columns.
        let in_squares = |n: usize| if 2 * S::LANES >= SQUARE_WORDS { n - n % SQUARE_WORDS } else { 0 };
        let (n_rows, n_numbers) = (in_squares(self.len), in_squares(self.dim));
        for row in (0..n_rows).step_by(SQUARE_WORDS) {
            let (place, apart) = self.place(row, 0);
            for at in (0..n_numbers).step_by(SQUARE_WORDS) {
                let to = &mut self.numbers[place + at * apart..];
                simd.transpose((&from[row * step + at..], step), (to, apart));
            }
        }
        if n_numbers < self.dim {
            (0..n_rows).for_each(|row| self.set_row_from(row, n_numbers, &from[row * step..]));
        }
        (n_rows..self.len).for_each(|row| self.set_row_from(row, 0, &from[row * step..]));
    }

    /// Sets packed row `row` but for its first numbers.
    fn set_row_from(&mut self, row: usize, first: usize, numbers: &[f32]) {
        let (start, step) = self.place(row, first);
        let places = self.numbers[start..].iter_mut().step_by(step);
        places.zip(&numbers[first..self.dim]).for_each(|(place, &number)| *place = number);
    }

    /// Sets number `at` of every packed row.
    #[inline(always)]
    pub(super) fn set_column<S: Simd>(&mut self, simd: S, at: usize, numbers: &[f32]) {
        for (panel, numbers) in numbers.chunks(2 * S::LANES).enumerate() {
            let first = panel * 2 * S::LANES;
            let width = (2 * S::LANES).min(numbers.len().next_multiple_of(S::LANES));
            copy(simd, numbers, &mut self.numbers[first * self.dim + at * width..][..numbers.len()]);
        }
    }

    /// Number of rows that were packed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was packed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The instruction set it was laid out for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Rows with those of zeros that fill the last vector.
    pub(super) fn padded_len(&self) -> usize {
        self.len.next_multiple_of(self.isa.lanes())
    }

    /// Panels of two vectors of columns, the last one perhaps of one.
    pub(super) fn n_panels(&self) -> usize {
        self.len.div_ceil(self.panel_width())
    }

    fn panel_width(&self) -> usize {
        2 * self.isa.lanes()
    }
}

/// Copies a few numbers without calling for it.
#[inline(always)]
pub(super) fn copy<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    for (from, to) in from.chunks(S::LANES).zip(to.chunks_mut(S::LANES)) {
        simd.store_up_to(simd.load_up_to(from), to);
    }
}

/// `rows * packed^T`, row-major: a row of `out` holds one row's dot products with all packed rows.
pub fn scores(rows: &[f32], packed: &PackedMatrix, out: &mut [f32]) {
    assert!(rows.len().is_multiple_of(packed.dim), "rows must be as long as those packed");
    assert_eq!(out.len(), rows.len() / packed.dim * packed.len, "out must be rows by packed rows");
    packed.isa.run(Scores { rows, packed, out });
}

struct Scores<'a> {
    rows: &'a [f32],
    packed: &'a PackedMatrix,
    out: &'a mut [f32],
}

impl Kernel for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let width = self.packed.len;
        if width == 0 {
            return;
        }
        let blocks = self.rows.chunks(BLOCK_ROWS * self.packed.dim);
        for (rows, out) in blocks.zip(self.out.chunks_mut(BLOCK_ROWS * width)) {
            multiply::<S, ROWS, _>(simd, rows, self.packed, 0..self.packed.n_panels(), 0, &mut Copy { out, width });
        }
    }
}

/// Writes the sums as they are, row-major.
pub(super) struct Copy<'a> {
    pub(super) out: &'a mut [f32],
    pub(super) width: usize,
}

impl<S: Simd> TileUser<S> for Copy<'_> {
    #[inline(always)]
    fn take<const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        sums: &[[S::F32; VECTORS]; ROWS],
    ) {
        for (row, sums) in (row..).zip(sums) {
            let out = &mut self.out[row * self.width..(row + 1) * self.width];
            for (&sum, out) in sums.iter().zip(out[column..].chunks_mut(S::LANES)) {
                simd.store_up_to(sum, out);
            }
        }
    }
}

/// What becomes of the sums of a tile.
pub(super) trait TileUser<S: Simd> {
    /// `sums[r][v]` holds row `row + r` times the vector of columns that begins at `column + v * S::LANES`.
    fn take<const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        sums: &[[S::F32; VECTORS]; ROWS],
    );
}

/// Gives `user` every tile of `rows` times some panels of `packed`: panel after panel, in each the rows in order, counted
/// from `first_row`.
#[inline(always)]
pub(super) fn multiply<S: Simd, const ROWS: usize, U: TileUser<S>>(
    simd: S,
    rows: &[f32],
    packed: &PackedMatrix,
    panels: Range<usize>,
    first_row: usize,
    user: &mut U,
) {
    multiply_apart::<S, ROWS, U>(simd, (rows, packed.dim), packed, panels, first_row, user);
}

/// As [`multiply()`], of rows that begin so many numbers apart.
#[inline(always)]
pub(super) fn multiply_apart<S: Simd, const ROWS: usize, U: TileUser<S>>(
    simd: S,
    (rows, step): (&[f32], usize),
    packed: &PackedMatrix,
    panels: Range<usize>,
    first_row: usize,
    user: &mut U,
) {
    assert_eq!(packed.isa.lanes(), S::LANES, "packed for another instruction set");
    for panel in panels {
        let column = panel * 2 * S::LANES;
        let panel = Panel { numbers: &packed.numbers[column * packed.dim..], dim: packed.dim, column };
        if packed.padded_len() - column > S::LANES {
            panel_product::<S, ROWS, 2, U>(simd, (rows, step), &panel, first_row, user);
        } else {
            panel_product::<S, ROWS, 1, U>(simd, (rows, step), &panel, first_row, user);
        }
    }
}

/// One or two vectors of columns.
struct Panel<'a> {
    numbers: &'a [f32],
    dim: usize,
    column: usize,
}

/// Full tiles, then one of the rows that are left.
#[inline(always)]
fn panel_product<S: Simd, const ROWS: usize, const VECTORS: usize, U: TileUser<S>>(
    simd: S,
    (rows, step): (&[f32], usize),
    panel: &Panel<'_>,
    first_row: usize,
    user: &mut U,
) {
    let column = panel.column;
    let n_rows = rows.len() / step;
    let mut row = 0;
    while n_rows - row >= ROWS {
        let sums = tile::<S, ROWS, VECTORS>(simd, (&rows[row * step..], step), panel);
        user.take(simd, first_row + row, column, &sums);
        row += ROWS;
    }
    let mut rest = [[simd.splat(0.0); VECTORS]; ROWS];
    low_tile(simd, (&rows[row * step..], step), panel, &mut rest);
    // Two by two and not as a tile of each height: what `user` does is long, and would be there as often.
    let mut sums = rest[..n_rows - row].chunks_exact(2);
    for (pair, sums) in sums.by_ref().enumerate() {
        user.take(simd, first_row + row + 2 * pair, column, &[sums[0], sums[1]]);
    }
    if let &[last] = sums.remainder() {
        user.take(simd, first_row + n_rows - 1, column, &[last]);
    }
}

/// The sums of fewer rows than a full tile has, by a tile of just as many: one by one they would wait for each other's
/// additions, and padded rows cost as much as others.
#[inline(always)]
fn low_tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    (rows, step): (&[f32], usize),
    panel: &Panel<'_>,
    sums: &mut [[S::F32; VECTORS]; ROWS],
) {
    macro_rules! of_height {
        ($($height:literal)*) => {
            match rows.len() / step {
                $($height if $height < ROWS => {
                    sums[..$height].copy_from_slice(&tile::<S, $height, VECTORS>(simd, (rows, step), panel));
                })*
                height => assert_eq!(height, 0, "fewer rows than a full tile has"),
            }
        };
    }
    of_height!(1 2 3 4 5 6 7 8 9 10 11 12 13);
}

/// `ROWS` rows times a panel of `VECTORS` vectors of columns.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    (rows, step): (&[f32], usize),
    &Panel { numbers, dim, .. }: &Panel<'_>,
) -> [[S::F32; VECTORS]; ROWS] {
    assert!(rows.len() >= (ROWS - 1) * step + dim && dim <= step, "a tile reads within its rows");
    assert!(numbers.len() >= VECTORS * S::LANES * dim, "a tile reads within its panel");
    let (rows, panel) = (rows.as_ptr(), numbers.as_ptr());
    let mut sums = [[simd.splat(0.0); VECTORS]; ROWS];
    for at in 0..dim {
        for vector in 0..VECTORS {
            simd.prefetch(panel.wrapping_add(((at + PREFETCH_STEPS) * VECTORS + vector) * S::LANES));
            simd.prefetch_to_second(panel.wrapping_add(((at + FAR_PREFETCH_STEPS) * VECTORS + vector) * S::LANES));
        }
        let mut columns = [simd.splat(0.0); VECTORS];
        for (vector, column) in columns.iter_mut().enumerate() {
            // SAFETY: `at` is below `dim`, so this vector ends at or before the end of the panel, asserted above.
            *column = unsafe { simd.load_pointer(panel.add((at * VECTORS + vector) * S::LANES)) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `row` is below `ROWS` and `at` below `dim`: within the rows, asserted above.
            let number = simd.splat(unsafe { *rows.add(row * step + at) });
            for (sum, &column) in sums.iter_mut().zip(&columns) {
                *sum = simd.mul_add(number, column, *sum);
            }
        }
    }
    sums
}
