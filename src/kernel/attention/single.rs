//! Attention in f32: two products of the shared kind with a softmax between them.

use super::super::Isa;
use super::super::buffer::Buffer;
use super::super::function::{GROUP_ROWS, POWER, falling_power_of_two};
use super::super::operand::Writer;
use super::super::product::{self, BLOCK_ROWS, PackedMatrix, TileUser};
use super::super::simd::{Kernel, Simd};
use super::{Head, Job};

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
            self.scratch.take_head(self.isa, &head);
            self.scratch.attend::<S, ROWS>(simd, &head, self.context);
        }
    }
}

impl Scratch {
    /// Copies a head out of the packed rows, in the order that products read.
    fn take_head(&mut self, isa: Isa, head: &Head<'_>) {
        let (len, dim) = (head.len, head.dim());
        self.queries.resize(len * dim);
        self.keys.reshape(isa, len, dim);
        self.values.reshape(isa, dim, len);
        let rows = head.qkv.single.chunks_exact(3 * head.width()).skip(head.first).take(len);
        for (row, numbers) in rows.enumerate() {
            let part = |part: usize| &numbers[head.column(part)..][..dim];
            self.queries[row * dim..][..dim].copy_from_slice(part(0));
            self.keys.set_row(row, part(1));
            self.values.set_column(row, part(2));
        }
    }

    #[inline(always)]
    fn attend<S: Simd, const ROWS: usize>(&mut self, simd: S, head: &Head<'_>, context: &Writer<'_>) {
        let (len, dim) = (head.len, head.dim());
        for (block, queries) in self.queries.chunks(BLOCK_ROWS * dim).enumerate() {
            let n_rows = queries.len() / dim;
            let first = block * BLOCK_ROWS;
            self.weights.resize(n_rows * len);
            let mut scores = product::Copy { out: &mut self.weights, width: len };
            product::multiply::<S, ROWS, _>(simd, queries, &self.keys, 0..self.keys.n_panels(), 0, &mut scores);
            let mut sums = [0.0; BLOCK_ROWS];
            for (row, (weights, sum)) in self.weights.chunks_exact_mut(len).zip(&mut sums).enumerate() {
                if let Some(bias) = head.settings.bias {
                    bias.add(simd, (head.head, first + row, 0), head.product_scale(), weights);
                }
                let keys = head.settings.mask.keys(first + row, len);
                *sum = softmax(simd, weights, keys, head.scale());
            }
            let mut normalised = Normalised { head, context, first, sums: &sums };
            let panels = 0..self.values.n_panels();
            product::multiply::<S, ROWS, _>(simd, &self.weights, &self.values, panels, 0, &mut normalised);
        }
    }
}

/// Turns scores into weights that still have to be divided by their sum, which is returned.
#[inline(always)]
fn softmax<S: Simd>(simd: S, row: &mut [f32], keys: std::ops::Range<usize>, scale: f32) -> f32 {
    row[..keys.start].fill(0.0);
    row[keys.end..].fill(0.0);
    let row = &mut row[keys];
    let mut largest = simd.splat(f32::NEG_INFINITY);
    for scores in row.chunks(S::LANES) {
        largest = simd.max(largest, load_or_least(simd, scores));
    }
    let (largest, scale) = (simd.splat(simd.largest(largest)), simd.splat(scale));
    let mut sums = [simd.splat(0.0); GROUP_ROWS];
    for scores in row.chunks_mut(GROUP_ROWS * S::LANES) {
        let mut group = [[simd.splat(f32::MIN)]; GROUP_ROWS];
        for (scores, [score]) in scores.chunks(S::LANES).zip(&mut group) {
            *score = simd.mul(simd.sub(load_or_least(simd, scores), largest), scale);
        }
        falling_power_of_two(simd, &POWER, &mut group);
        for ((scores, [weight]), sum) in scores.chunks_mut(S::LANES).zip(&group).zip(&mut sums) {
            simd.store_up_to(*weight, scores);
            *sum = simd.add(*sum, *weight);
        }
    }
    simd.sum(simd.add(sums[0], sums[1]))
}

/// A slice of at most a vector's length, then the least number, of which the weight vanishes.
#[inline(always)]
fn load_or_least<S: Simd>(simd: S, from: &[f32]) -> S::F32 {
    if from.len() >= S::LANES {
        return simd.load(from);
    }
    let within = simd.greater(simd.splat(from.len() as f32), simd.iota());
    simd.select(within, simd.load_partial(from), simd.splat(f32::MIN))
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
