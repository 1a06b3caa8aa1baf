//! Rotary positions: queries and keys turned by angles that grow with the place in the sequence.
//!
//! In a head, number `i` and number `i + half` are the coordinates that are turned together; what lies beyond twice
//! `half` stays. Source: Su et al., RoFormer (arXiv 2104.09864), in the layout of GPT-NeoX.

#![expect(unsafe_code, reason = "several threads turn rows of one operand")]

use std::ops::Range;

use super::super::buffer::Buffer;
use super::super::operand::{Operand, Precision, SIDE, Writer};
use super::super::simd::{Kernel, Simd};
use super::super::{Isa, Workspace};

/// Cosines and sines for every place of a sequence.
#[derive(Debug, Clone)]
pub struct Rotary {
    half: usize,
    /// Places x half.
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rotary {
    /// Angles for sequences of up to `longest` tokens; `frequencies` are radians per place, one for each pair.
    pub fn new(longest: usize, frequencies: &[f32]) -> Self {
        // The angle is rounded to f32 before its cosine is taken: so do the models' own implementations.
        let angles = (0..longest).flat_map(|place| frequencies.iter().map(move |&frequency| place as f32 * frequency));
        let (cosines, sines) = angles.map(|angle| (angle.cos(), angle.sin())).unzip();
        Self { half: frequencies.len(), cosines, sines }
    }

    /// Pairs that are turned, and for every place the cosines and the sines of their angles.
    #[cfg(feature = "cuda")]
    pub(in crate::kernel) fn tables(&self) -> (usize, &[f32], &[f32]) {
        (self.half, &self.cosines, &self.sines)
    }
}

/// Rows that take about a microsecond: fewer are not worth being handed over.
const LEAST_ROWS: usize = 4;

/// Turns the queries and the keys of the packed sequences.
///
/// A row of `qkv` holds the queries of `n_heads` heads of `head_dim` numbers, then the keys, then the values. Sequence
/// `s` is rows `offsets[s]..offsets[s + 1]`.
pub fn rotate(
    isa: Isa,
    rotary: &Rotary,
    (n_heads, head_dim): (usize, usize),
    offsets: &[usize],
    qkv: &mut Operand,
    workspace: &mut Workspace,
) {
    assert_eq!(qkv.dim(), 3 * n_heads * head_dim, "queries, keys and values of all heads");
    assert!(2 * rotary.half <= head_dim, "as many angles as a head has pairs");
    let n_rows = qkv.n_rows();
    assert_eq!(offsets.last().copied().unwrap_or(0), n_rows, "offsets end with the number of rows");
    assert!(offsets.is_sorted(), "offsets ascend");
    if rotary.half > 0 {
        // SAFETY: each thread turns rows that no other one has.
        let qkv = &unsafe { qkv.writer() };
        workspace.share(n_rows, LEAST_ROWS, |rows, scratch| {
            isa.run(Rotate { rotary, head_dim, n_lines: 2 * n_heads, offsets, rows, qkv, row: &mut scratch.row });
        });
    }
}

struct Rotate<'a> {
    rotary: &'a Rotary,
    head_dim: usize,
    /// Heads of queries and keys together.
    n_lines: usize,
    offsets: &'a [usize],
    /// Which of the rows of all sequences.
    rows: Range<usize>,
    qkv: &'a Writer<'a>,
    row: &'a mut Buffer<f32>,
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let (half, width) = (self.rotary.half, self.n_lines * self.head_dim);
        for ends in self.offsets.windows(2) {
            let angles = self.rotary.cosines.chunks_exact(half).zip(self.rotary.sines.chunks_exact(half));
            assert!((ends[1] - ends[0]) * half <= self.rotary.cosines.len(), "a place beyond the angles");
            for (row, (cosines, sines)) in (ends[0]..ends[1]).zip(angles) {
                if !self.rows.contains(&row) {
                    continue;
                }
                match self.qkv.precision() {
                    Precision::F32 => {
                        turn_heads(simd, self.qkv.singles(row, 0, width), self.head_dim, cosines, sines);
                    }
                    Precision::Bf16 => {
                        let n_steps = width.div_ceil(SIDE);
                        self.row.resize(n_steps * SIDE);
                        for (step, to) in self.row.chunks_exact_mut(SIDE).enumerate() {
                            let from = self.qkv.halves(self.qkv.line(row, step), SIDE);
                            for (from, to) in from.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
                                simd.store(simd.load_bf16(from), to);
                            }
                        }
                        turn_heads(simd, &mut self.row[..width], self.head_dim, cosines, sines);
                        for (step, from) in self.row.chunks_exact(SIDE).enumerate() {
                            let to = self.qkv.halves(self.qkv.line(row, step), SIDE);
                            for (from, to) in from.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
                                simd.store_bf16(simd.load(from), to);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn turn_heads<S: Simd>(simd: S, numbers: &mut [f32], head_dim: usize, cosines: &[f32], sines: &[f32]) {
    let half = cosines.len();
    for head in numbers.chunks_exact_mut(head_dim) {
        let (first, second) = head[..2 * half].split_at_mut(half);
        let pairs = first.chunks_mut(S::LANES).zip(second.chunks_mut(S::LANES));
        let angles = cosines.chunks(S::LANES).zip(sines.chunks(S::LANES));
        for ((first, second), (cosine, sine)) in pairs.zip(angles) {
            let (x, y) = (simd.load_up_to(first), simd.load_up_to(second));
            let (cosine, sine) = (simd.load_up_to(cosine), simd.load_up_to(sine));
            simd.store_up_to(simd.sub(simd.mul(x, cosine), simd.mul(y, sine)), first);
            simd.store_up_to(simd.mul_add(x, sine, simd.mul(y, cosine)), second);
        }
    }
}
