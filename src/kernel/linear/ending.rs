//! What is done to a square of sums while the next one is multiplied.
//!
//! Tile instructions keep few slots busy, so bias, activation and store nearly vanish in their shadow, if they are few
//! instructions that wait for nothing: the usual endings are types of their own, chosen once for a product, whose sums never
//! leave the registers. All give the same numbers as [`Whole`].

use std::marker::PhantomData;

use half::bf16;

use super::super::function::{GROUP_ROWS, Group, rough_gelu};
use super::super::operand::{SIDE, Writer};
use super::super::places::Places;
use super::super::simd::Simd;
use super::super::square::{Meanwhile, Square};
use super::Finish;

/// Rows of a square that are finished in one go.
const SHARE_ROWS: usize = GROUP_ROWS;

/// Ends some rows of a square.
pub(super) trait Ending: Copy {
    /// `sums` are rows of the output from `row` on, and of its columns the 32 from `column` on; the output has `n_rows`.
    fn end<S: Simd>(self, simd: S, sums: &[[f32; SIDE]; SHARE_ROWS], row: usize, column: usize, n_rows: usize);
}

/// Any ending.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a, 'b>(pub(super) &'a Finish<'b>);

impl Ending for Whole<'_, '_> {
    #[inline(always)]
    fn end<S: Simd>(self, simd: S, sums: &[[f32; SIDE]; SHARE_ROWS], row: usize, column: usize, _n_rows: usize) {
        for at in (0..SIDE).step_by(2 * S::LANES) {
            let mut tile = [[simd.splat(0.0); 2]; SHARE_ROWS];
            for (sums, tile) in sums.iter().zip(&mut tile) {
                *tile = [simd.load(&sums[at..]), simd.load(&sums[at + S::LANES..])];
            }
            self.0.apply(simd, column + at, &mut tile);
            self.0.store(simd, row, column + at, &tile);
        }
    }
}

/// A function of each number.
pub(super) trait Function: Copy {
    fn apply<S: Simd>(simd: S, group: &mut Group<S::F32, 2>);
}

#[derive(Clone, Copy)]
pub(super) struct Plain;

impl Function for Plain {
    #[inline(always)]
    fn apply<S: Simd>(_simd: S, _group: &mut Group<S::F32, 2>) {}
}

#[derive(Clone, Copy)]
pub(super) struct Gelu;

impl Function for Gelu {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, group: &mut Group<S::F32, 2>) {
        rough_gelu(simd, group);
    }
}

/// Two rows and two vectors of them, with their bias.
#[inline(always)]
fn biased<S: Simd>(simd: S, sums: &[[f32; SIDE]; SHARE_ROWS], bias: &[f32; SIDE], at: usize) -> Group<S::F32, 2> {
    let bias = [simd.load(&bias[at..]), simd.load(&bias[at + S::LANES..])];
    let [first, second] = sums;
    [
        [simd.add(simd.load(&first[at..]), bias[0]), simd.add(simd.load(&first[at + S::LANES..]), bias[1])],
        [simd.add(simd.load(&second[at..]), bias[0]), simd.add(simd.load(&second[at + S::LANES..]), bias[1])],
    ]
}

/// Where 32 columns of a row and of the next one stand: rows of a block follow each other, and a block has all its rows.
#[inline(always)]
fn two_lines<'a>(operand: &'a Writer<'_>, row: usize, column: usize) -> (&'a mut [bf16], &'a mut [bf16]) {
    operand.halves(operand.line(row, column / SIDE), SHARE_ROWS * SIDE).split_at_mut(SIDE)
}

/// To the left side of the next product, in bf16.
#[derive(Clone, Copy)]
pub(super) struct ToOperand<'a, F> {
    operand: &'a Writer<'a>,
    bias: &'a [f32],
    function: PhantomData<F>,
}

impl<'a, F> ToOperand<'a, F> {
    pub(super) fn new(operand: &'a Writer<'a>, bias: &'a [f32]) -> Self {
        Self { operand, bias, function: PhantomData }
    }
}

impl<F: Function> Ending for ToOperand<'_, F> {
    #[inline(always)]
    fn end<S: Simd>(self, simd: S, sums: &[[f32; SIDE]; SHARE_ROWS], row: usize, column: usize, _n_rows: usize) {
        let bias = &self.bias.as_chunks().0[column / SIDE];
        let (first, second) = two_lines(self.operand, row, column);
        for at in (0..SIDE).step_by(2 * S::LANES) {
            let mut group = biased(simd, sums, bias, at);
            F::apply(simd, &mut group);
            let [[a, b], [c, d]] = group;
            simd.store_two_bf16(a, b, &mut first[at..]);
            simd.store_two_bf16(c, d, &mut second[at..]);
        }
    }
}

/// Added to what is there of the left side of a product, in bf16.
#[derive(Clone, Copy)]
pub(super) struct ToResidualOperand<'a> {
    pub(super) operand: &'a Writer<'a>,
    pub(super) bias: &'a [f32],
}

impl Ending for ToResidualOperand<'_> {
    #[inline(always)]
    fn end<S: Simd>(self, simd: S, sums: &[[f32; SIDE]; SHARE_ROWS], row: usize, column: usize, _n_rows: usize) {
        let bias = &self.bias.as_chunks().0[column / SIDE];
        let (first, second) = two_lines(self.operand, row, column);
        for at in (0..SIDE).step_by(2 * S::LANES) {
            let [one, other] = biased(simd, sums, bias, at);
            let there = [line_at(simd, first, at), line_at(simd, second, at)];
            store_sum(simd, one, there[0], &mut first[at..]);
            store_sum(simd, other, there[1], &mut second[at..]);
        }
    }
}

/// As [`ToResidualOperand`], together with a summand.
#[derive(Clone, Copy)]
pub(super) struct ToResidualSum<'a> {
    pub(super) operand: &'a Writer<'a>,
    pub(super) summand: &'a Writer<'a>,
    pub(super) bias: &'a [f32],
}

impl Ending for ToResidualSum<'_> {
    #[inline(always)]
    fn end<S: Simd>(self, simd: S, sums: &[[f32; SIDE]; SHARE_ROWS], row: usize, column: usize, _n_rows: usize) {
        let bias = &self.bias.as_chunks().0[column / SIDE];
        let (first, second) = two_lines(self.operand, row, column);
        let summand = self.summand.halves(self.summand.line(row, column / SIDE), SHARE_ROWS * SIDE);
        for at in (0..SIDE).step_by(2 * S::LANES) {
            let [one, other] = biased(simd, sums, bias, at);
            let one = sum(simd, one, line_at(simd, summand, at));
            let other = sum(simd, other, line_at(simd, summand, SIDE + at));
            let there = [line_at(simd, first, at), line_at(simd, second, at)];
            store_sum(simd, one, there[0], &mut first[at..]);
            store_sum(simd, other, there[1], &mut second[at..]);
        }
    }
}

/// Two vectors of a line.
#[inline(always)]
fn line_at<S: Simd>(simd: S, line: &[bf16], at: usize) -> [S::F32; 2] {
    [simd.load_bf16(&line[at..]), simd.load_bf16(&line[at + S::LANES..])]
}

#[inline(always)]
fn sum<S: Simd>(simd: S, [left, right]: [S::F32; 2], others: [S::F32; 2]) -> [S::F32; 2] {
    [simd.add(left, others[0]), simd.add(right, others[1])]
}

#[inline(always)]
fn store_sum<S: Simd>(simd: S, vectors: [S::F32; 2], others: [S::F32; 2], to: &mut [bf16]) {
    let [left, right] = sum(simd, vectors, others);
    simd.store_two_bf16(left, right, to);
}

/// Added to rows whose length is a multiple of a square's side.
#[derive(Clone, Copy)]
pub(super) struct ToResidual<'a> {
    pub(super) rows: &'a Places<'a, f32>,
    pub(super) n_out: usize,
    pub(super) bias: &'a [f32],
}

impl Ending for ToResidual<'_> {
    #[inline(always)]
    fn end<S: Simd>(self, simd: S, sums: &[[f32; SIDE]; SHARE_ROWS], row: usize, column: usize, n_rows: usize) {
        let bias = &self.bias.as_chunks().0[column / SIDE];
        for at in (0..SIDE).step_by(2 * S::LANES) {
            let [first, second] = biased(simd, sums, bias, at);
            self.add(simd, first, row * self.n_out + column + at);
            if row + 1 < n_rows {
                self.add(simd, second, (row + 1) * self.n_out + column + at);
            }
        }
    }
}

impl ToResidual<'_> {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, sums: [S::F32; 2], place: usize) {
        let (left, right) = self.rows.part(place..place + 2 * S::LANES).split_at_mut(S::LANES);
        simd.store(simd.add(sums[0], simd.load(left)), left);
        simd.store(simd.add(sums[1], simd.load(right)), right);
    }
}

/// The square before the one being multiplied, ended in even shares.
pub(super) struct Shadow<'a, E> {
    ending: E,
    sums: &'a Square,
    row: usize,
    column: usize,
    n_shares: usize,
    next_row: usize,
    /// Rows of the square that there are.
    n_rows: usize,
    credit: usize,
}

impl<'a, E: Ending> Shadow<'a, E> {
    /// `pending` is where the square begins; without one there is nothing to do. The output has `n_rows` rows.
    #[inline(always)]
    pub(super) fn new(
        ending: E,
        sums: &'a Square,
        pending: Option<(usize, usize)>,
        n_rows: usize,
        n_shares: usize,
    ) -> Self {
        let (row, column) = pending.unwrap_or_default();
        let n_rows = if pending.is_some() { SIDE.min(n_rows - row) } else { 0 };
        Self { ending, sums, row, column, n_shares, next_row: 0, n_rows, credit: 0 }
    }

    /// Ends what is left of the square.
    #[inline(always)]
    pub(super) fn rest<S: Simd>(&mut self, simd: S) {
        while self.next_row < self.n_rows {
            self.some_rows(simd);
        }
    }

    #[inline(always)]
    fn some_rows<S: Simd>(&mut self, simd: S) {
        let sums = &self.sums.0.as_chunks().0[self.next_row / SHARE_ROWS];
        self.ending.end(simd, sums, self.row + self.next_row, self.column, self.row + self.n_rows);
        self.next_row += SHARE_ROWS;
    }
}

impl<E: Ending> Meanwhile for Shadow<'_, E> {
    #[inline(always)]
    fn share<S: Simd>(&mut self, simd: S) {
        self.credit += SIDE / SHARE_ROWS;
        while self.credit >= self.n_shares && self.next_row < self.n_rows {
            self.credit -= self.n_shares;
            self.some_rows(simd);
        }
    }
}
