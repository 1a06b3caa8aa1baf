//! Activations as bytes: the left side of a product with weights of 8 bits.
//!
//! The numbers of a row are taken in groups of 64, and those of a group are `low + step * byte`, from the smallest of them
//! to the largest. Groups, because one outlier costs only its group precision; a step and a low of their own, because many
//! groups lie to one side of zero. What is lost in the few tokens that all others attend to, the marks at the ends of a
//! text, is added to every token and does not average out (docs/performance.md has the figures).

use std::ops::Range;

use half::bf16;

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
        for (at, row) in rows.enumerate() {
            let groups = at * self.n_groups..(at + 1) * self.n_groups;
            let bytes = &mut self.bytes.as_chunks_mut().0[groups.clone()];
            let scales = &mut self.scales.as_chunks_mut().0[groups];
            match operand.precision() {
                Precision::F32 => round_row::<S, Singles<'_>>(simd, operand, row, bytes, scales),
                Precision::Bf16 => round_row::<S, Halves<'_>>(simd, operand, row, bytes, scales),
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

/// The numbers of a group.
trait Group<'a> {
    /// Those of a row.
    fn of(operand: &'a Operand, row: usize, group: usize) -> Self;
    /// A vector of them, from the place `at` on; zeros past the last.
    fn vector<S: Simd>(&self, simd: S, at: usize) -> S::F32;
}

/// The rest of a row from a group on.
struct Singles<'a>(&'a [f32]);

impl<'a> Group<'a> for Singles<'a> {
    #[inline(always)]
    fn of(operand: &'a Operand, row: usize, group: usize) -> Self {
        Self(&operand.single[row * operand.dim()..][group * GROUP..operand.dim()])
    }

    #[inline(always)]
    fn vector<S: Simd>(&self, simd: S, at: usize) -> S::F32 {
        simd.load_up_to(self.0.get(at..).unwrap_or_default())
    }
}

/// Two steps of a row.
struct Halves<'a>([&'a [bf16; SIDE]; 2]);

impl<'a> Group<'a> for Halves<'a> {
    #[inline(always)]
    fn of(operand: &'a Operand, row: usize, group: usize) -> Self {
        let lines = operand.half.as_chunks::<SIDE>().0;
        let (first, n_steps) = (group * (GROUP / SIDE), operand.n_steps());
        let line = &lines[operand.line(row, first) / SIDE];
        if first + 1 < n_steps {
            Self([line, &lines[operand.line(row, first + 1) / SIDE]])
        } else {
            Self([line, &ZEROS])
        }
    }

    #[inline(always)]
    fn vector<S: Simd>(&self, simd: S, at: usize) -> S::F32 {
        simd.load_bf16(&self.0[at / SIDE][at % SIDE..])
    }
}

static ZEROS: [bf16; SIDE] = [bf16::ZERO; SIDE];

/// Rounds a row to bytes, two groups at a time, whose ends are found together.
#[inline(always)]
fn round_row<'a, S: Simd, G: Group<'a>>(
    simd: S,
    operand: &'a Operand,
    row: usize,
    bytes: &mut [[u8; GROUP]],
    scales: &mut [[f32; 2]],
) {
    let zeros = simd.splat(0.0);
    let n_groups = bytes.len().min(scales.len());
    let mut group = 0;
    while group + 1 < n_groups {
        let (one, other) = (G::of(operand, row, group), G::of(operand, row, group + 1));
        let ((least, most), (other_least, other_most)) = (ends(simd, &one), ends(simd, &other));
        let [least, most, other_least, other_most] =
            simd.largest_of_each([simd.sub(zeros, least), most, simd.sub(zeros, other_least), other_most]);
        scales[group] = round(simd, &one, (-least, most), &mut bytes[group]);
        scales[group + 1] = round(simd, &other, (-other_least, other_most), &mut bytes[group + 1]);
        group += 2;
    }
    if group < n_groups {
        let last = G::of(operand, row, group);
        let (least, most) = ends(simd, &last);
        let least = -simd.largest(simd.sub(zeros, least));
        scales[group] = round(simd, &last, (least, simd.largest(most)), &mut bytes[group]);
    }
}

/// The least and the largest numbers of a group, lane by lane.
#[inline(always)]
fn ends<'a, S: Simd>(simd: S, group: &impl Group<'a>) -> (S::F32, S::F32) {
    let first = group.vector(simd, 0);
    let (mut least, mut most) = (first, first);
    for at in (S::LANES..GROUP).step_by(S::LANES) {
        let numbers = group.vector(simd, at);
        (least, most) = (simd.min(least, numbers), simd.max(most, numbers));
    }
    (least, most)
}

/// Rounds a group, of which both ends are known, to bytes; its step and its low.
#[inline(always)]
fn round<'a, S: Simd>(simd: S, group: &impl Group<'a>, (low, high): (f32, f32), bytes: &mut [u8; GROUP]) -> [f32; 2] {
    let range = high - low;
    // Below that the quotient would not be finite.
    let steps = simd.splat(if range > LARGEST / f32::MAX { LARGEST / range } else { 0.0 });
    let lows = simd.splat(low);
    for at in (0..GROUP).step_by(S::LANES) {
        let above = simd.sub(group.vector(simd, at), lows);
        simd.store_u8(simd.mul(above, steps), &mut bytes[at..]);
    }
    [range * (1.0 / LARGEST), low]
}
