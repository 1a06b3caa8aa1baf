//! Activations as bytes: the left side of a product with weights of 8 bits.
//!
//! The numbers of a row are taken in groups of 64, and those of a group are `low + step * byte`, from the smallest of them
//! to the largest. Groups, because one outlier costs only its group precision; a step and a low of their own, because many
//! groups lie to one side of zero. What is lost in the few tokens that all others attend to, the marks at the ends of a
//! text, is added to every token and does not average out (docs/performance.md has the figures).

use std::ops::Range;

use super::buffer::Buffer;
use super::operand::{Operand, Precision, SIDE};
use super::simd::Simd;

/// Numbers that share a step: a cache line of bytes.
pub(super) const GROUP: usize = 64;

/// The largest byte, as a number.
const LARGEST: f32 = 255.0;

/// Some rows of an operand. Memory grows to the largest shape held and is reused.
#[derive(Debug, Clone, Default)]
pub(super) struct ByteRows {
    n_groups: usize,
    bytes: Buffer<u8>,
    /// Step and low of each group of each row.
    scales: Buffer<f32>,
}

impl ByteRows {
    /// Takes rows of an operand. Bytes past its columns stand for zero as nearly as others do.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(&mut self, simd: S, operand: &Operand, rows: Range<usize>) {
        self.n_groups = operand.dim().div_ceil(GROUP);
        self.bytes.resize(rows.len() * self.n_groups * GROUP);
        self.scales.resize(rows.len() * self.n_groups * 2);
        match operand.precision() {
            Precision::F32 => self.round_rows::<S, false>(simd, operand, rows),
            Precision::Bf16 => self.round_rows::<S, true>(simd, operand, rows),
        }
    }

    /// Rounds two groups of a row at a time, whose ends are found together, and those of the next row after them where rows
    /// lie beside each other: in the order of memory.
    #[inline(always)]
    fn round_rows<S: Simd, const HALF: bool>(&mut self, simd: S, operand: &Operand, rows: Range<usize>) {
        let together = if HALF { SIDE } else { 1 };
        for block in rows.clone().step_by(together) {
            for group in (0..self.n_groups).step_by(2) {
                for row in block..rows.end.min(block + together) {
                    let first = (row - rows.start) * self.n_groups + group;
                    let groups = first..first + 2.min(self.n_groups - group);
                    let bytes = &mut self.bytes.as_chunks_mut().0[groups.clone()];
                    let scales = &mut self.scales.as_chunks_mut().0[groups];
                    round_groups::<S, HALF>(simd, operand, (row, group * GROUP), bytes, scales);
                }
            }
        }
    }

    /// The groups of a row, counted from the first one taken.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> (&[[u8; GROUP]], &[[f32; 2]]) {
        let groups = row * self.n_groups..(row + 1) * self.n_groups;
        (&self.bytes.as_chunks().0[groups.clone()], &self.scales.as_chunks().0[groups])
    }
}

/// Rounds one or two groups to bytes.
#[inline(always)]
fn round_groups<S: Simd, const HALF: bool>(
    simd: S,
    operand: &Operand,
    (row, column): (usize, usize),
    bytes: &mut [[u8; GROUP]],
    scales: &mut [[f32; 2]],
) {
    let zeros = simd.splat(0.0);
    let (least, most) = ends::<S, HALF>(simd, operand, row, column);
    let (next_least, next_most) = ends::<S, HALF>(simd, operand, row, column + GROUP);
    let [least, most, next_least, next_most] =
        simd.largest_of_each([simd.sub(zeros, least), most, simd.sub(zeros, next_least), next_most]);
    round::<S, HALF>(simd, operand, (row, column), (-least, most), &mut bytes[0], &mut scales[0]);
    if let ([_, bytes], [_, scale]) = (bytes, scales) {
        round::<S, HALF>(simd, operand, (row, column + GROUP), (-next_least, next_most), bytes, scale);
    }
}

/// The least and the largest numbers of a group, lane by lane.
#[inline(always)]
fn ends<S: Simd, const HALF: bool>(simd: S, operand: &Operand, row: usize, column: usize) -> (S::F32, S::F32) {
    let first = vector::<S, HALF>(simd, operand, row, column);
    let (mut least, mut most) = (first, first);
    for at in (S::LANES..GROUP).step_by(S::LANES) {
        let numbers = vector::<S, HALF>(simd, operand, row, column + at);
        (least, most) = (simd.min(least, numbers), simd.max(most, numbers));
    }
    (least, most)
}

/// Rounds a group, of which both ends are known, to bytes.
#[inline(always)]
fn round<S: Simd, const HALF: bool>(
    simd: S,
    operand: &Operand,
    (row, column): (usize, usize),
    (low, high): (f32, f32),
    bytes: &mut [u8; GROUP],
    scale: &mut [f32; 2],
) {
    let range = high - low;
    *scale = [range * (1.0 / LARGEST), low];
    let (low, steps) = (simd.splat(low), simd.splat(if range > f32::MIN_POSITIVE { LARGEST / range } else { 0.0 }));
    for at in (0..GROUP).step_by(S::LANES) {
        let above = simd.sub(vector::<S, HALF>(simd, operand, row, column + at), low);
        simd.store_u8(simd.mul(above, steps), &mut bytes[at..]);
    }
}

/// A vector of a row from `column` on; zeros past its end.
#[inline(always)]
fn vector<S: Simd, const HALF: bool>(simd: S, operand: &Operand, row: usize, column: usize) -> S::F32 {
    if !HALF {
        let numbers = &operand.single[row * operand.dim()..][..operand.dim()];
        return simd.load_up_to(numbers.get(column..).unwrap_or_default());
    }
    if column / SIDE >= operand.n_steps() {
        return simd.splat(0.0);
    }
    simd.load_bf16(&operand.half[operand.line(row, column / SIDE) + column % SIDE..])
}
