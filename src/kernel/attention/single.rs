//! Attention in f32: two products of the shared kind with a softmax between them.

use super::super::Isa;
use super::super::buffer::Buffer;
use super::super::function::{GROUP_ROWS, POWER, falling_power_of_two};
use super::super::operand::Writer;
use super::super::product::{self, PackedMatrix, TileUser};
use super::super::simd::{Kernel, Simd};
use super::{Head, Job, Mask, hide_others};

/// Queries whose scores are held together: as many as stay in the first cache with a few hundred keys, and a multiple of the
/// rows of a tile of the widest vectors.
const BLOCK_QUERIES: usize = 28;

/// Vectors of a row that are turned into weights in step.
const IN_STEP: usize = 2 * GROUP_ROWS;

/// Memory for one head of one sequence.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    queries: Buffer<f32>,
    keys: PackedMatrix,
    values: PackedMatrix,
    /// Scores, then weights, of a block of queries.
    weights: Buffer<f32>,
}

pub(super) struct Single<'a> {
    pub(super) isa: Isa,
    pub(super) job: Job<'a>,
    pub(super) context: &'a Writer<'a>,
    pub(super) scratch: &'a mut Scratch,
}

impl Kernel for Single<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        for head in self.job.heads() {
            self.scratch.take_head(simd, self.isa, &head);
            self.scratch.attend::<S, ROWS>(simd, &head, self.context);
        }
    }
}

impl Scratch {
    /// Copies a head out of the packed rows, in the order that products read.
    #[inline(always)]
    fn take_head<S: Simd>(&mut self, simd: S, isa: Isa, head: &Head<'_>) {
        let (len, dim, step) = (head.len, head.dim(), 3 * head.width());
        self.queries.resize(len * dim);
        self.keys.reshape(isa, len, dim);
        self.values.reshape(isa, dim, len);
        let rows = &head.qkv.single[head.first * step..(head.first + len) * step];
        self.keys.set_rows(simd, &rows[head.column(1)..], step);
        for row in 0..len {
            let part = |part: usize| &rows[row * step + head.column(part)..][..dim];
            product::copy(simd, part(0), &mut self.queries[row * dim..][..dim]);
            self.values.set_column(simd, row, part(2));
        }
    }

    #[inline(always)]
    fn attend<S: Simd, const ROWS: usize>(&mut self, simd: S, head: &Head<'_>, context: &Writer<'_>) {
        let (len, dim) = (head.len, head.dim());
        // Rows of whole vectors.
        let step = len.next_multiple_of(S::LANES);
        for (block, queries) in self.queries.chunks(BLOCK_QUERIES * dim).enumerate() {
            let n_rows = queries.len() / dim;
            let first = block * BLOCK_QUERIES;
            self.weights.resize(n_rows * step);
            let mut scores = product::Copy { out: &mut self.weights, width: step };
            product::multiply::<S, ROWS, _>(simd, queries, &self.keys, 0..self.keys.n_panels(), 0, &mut scores);
            // Scores of all rows before weights of any: the largest of a row takes long, and one row would wait for the other.
            let mut sums = [0.0; BLOCK_QUERIES];
            for (row, (scores, largest)) in self.weights.chunks_exact_mut(step).zip(&mut sums).enumerate() {
                if let Some(bias) = head.settings.bias {
                    bias.add(simd, (head.head, first + row, 0), head.product_scale(), &mut scores[..len]);
                }
                // Without a window only the last vector holds others than keys.
                let unsure = if head.settings.mask == Mask::Full { step - S::LANES } else { 0 };
                hide_others(simd, &mut scores[unsure..], unsure, &head.settings.mask.keys(first + row, len));
                *largest = largest_of(simd, scores);
                fetch_next_head(simd, head, first + row);
            }
            for (scores, sum) in self.weights.chunks_exact_mut(step).zip(&mut sums) {
                *sum = softmax(simd, scores, head.scale(), *sum);
            }
            let mut normalised = Normalised { head, context, first, sums: &sums };
            let (weights, panels) = ((&*self.weights, step), 0..self.values.n_panels());
            product::multiply_apart::<S, ROWS, _>(simd, weights, &self.values, panels, 0, &mut normalised);
        }
    }
}

/// Asks for a token's numbers of the head that is taken next: rows lie so far apart that the processor does not fetch them by
/// itself.
#[inline(always)]
fn fetch_next_head<S: Simd>(simd: S, head: &Head<'_>, token: usize) {
    let row = head.qkv.single.as_ptr().wrapping_add((head.first + token) * 3 * head.width());
    for part in 0..3 {
        for at in (0..head.dim()).step_by(16) {
            simd.prefetch_to_second(row.wrapping_add(head.column(part) + head.dim() + at));
        }
    }
}

/// Turns scores into weights that still have to be divided by their sum, which is returned. A row is whole vectors.
#[inline(always)]
fn softmax<S: Simd>(simd: S, row: &mut [f32], scale: f32, largest: f32) -> f32 {
    let factors = (simd.splat(scale), simd.splat(-largest * scale));
    let mut sums = [[simd.splat(0.0); 2]; GROUP_ROWS];
    let (whole, rest) = row.split_at_mut(row.len() - row.len() % (IN_STEP * S::LANES));
    for scores in whole.chunks_exact_mut(IN_STEP * S::LANES) {
        weigh(simd, scores, IN_STEP, factors, &mut sums);
    }
    weigh(simd, rest, rest.len() / S::LANES, factors, &mut sums);
    let [[a, b], [c, d]] = sums;
    simd.sum(simd.add(simd.add(a, b), simd.add(c, d)))
}

/// Turns up to [`IN_STEP`] vectors of scores into `2^(scale * score + shift)` and adds them to `sums`.
#[inline(always)]
fn weigh<S: Simd>(
    simd: S,
    scores: &mut [f32],
    n_vectors: usize,
    (scale, shift): (S::F32, S::F32),
    sums: &mut [[S::F32; 2]; GROUP_ROWS],
) {
    let mut group = [[simd.splat(f32::MIN); 2]; GROUP_ROWS];
    for vector in 0..IN_STEP {
        if vector < n_vectors {
            group[vector / 2][vector % 2] = simd.mul_add(simd.load(&scores[vector * S::LANES..]), scale, shift);
        }
    }
    falling_power_of_two(simd, &POWER, &mut group);
    for vector in 0..IN_STEP {
        if vector < n_vectors {
            let (weight, sum) = (group[vector / 2][vector % 2], &mut sums[vector / 2][vector % 2]);
            simd.store(weight, &mut scores[vector * S::LANES..]);
            *sum = simd.add(*sum, weight);
        }
    }
}

/// The largest score of a row of whole vectors.
#[inline(always)]
fn largest_of<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let mut largest = [simd.splat(f32::MIN); IN_STEP];
    let mut groups = row.chunks_exact(IN_STEP * S::LANES);
    for scores in groups.by_ref() {
        for (vector, largest) in largest.iter_mut().enumerate() {
            *largest = simd.max(*largest, simd.load(&scores[vector * S::LANES..]));
        }
    }
    for scores in groups.remainder().chunks_exact(S::LANES) {
        largest[0] = simd.max(largest[0], simd.load(scores));
    }
    let [a, b, c, d] = largest;
    simd.largest(simd.max(simd.max(a, b), simd.max(c, d)))
}

/// Divides by the sum of the weights on the way out.
struct Normalised<'a> {
    head: &'a Head<'a>,
    context: &'a Writer<'a>,
    /// The place in its sequence of the block's first query.
    first: usize,
    sums: &'a [f32],
}

impl<S: Simd> TileUser<S> for Normalised<'_> {
    #[inline(always)]
    fn take<const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        sums: &[[S::F32; VECTORS]; ROWS],
    ) {
        for (row, sums) in (row..).zip(sums) {
            let factor = simd.splat(1.0 / self.sums[row]);
            let n = (VECTORS * S::LANES).min(self.head.dim() - column);
            let out = self.context.singles(self.head.first + self.first + row, self.head.column(0) + column, n);
            for (&sum, out) in sums.iter().zip(out.chunks_mut(S::LANES)) {
                simd.store_up_to(simd.mul(sum, factor), out);
            }
        }
    }
}
