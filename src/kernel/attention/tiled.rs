//! Attention with factors in bf16 by matrix tiles.
//!
//! What counts is what the vector units do between the two products, and that scores stay in the first cache. So weights
//! are taken as they come, `2^score`, without looking for the largest first: a shift by it cancels, and is needed only
//! where powers leave the range of f32. Whether they did is seen from their sum, and then the head is done again in the way of
//! [`Scratch::attend`]. The sum is a product too, with ones: of the weights as they are rounded, so that rounding
//! moves a context but does not stretch it. Powers are made of whole numbers, for beside tiles the processor has few units for
//! others ([`BesideTiles`]). While they are made of one stripe, sixteen queries and a panel of keys, the tiles score the
//! next one and sum up the values of the one before, row by row and tile by tile in turn.

use std::ops::Range;

use half::bf16;

use super::super::operand::{SIDE, STEP, Writer};
use super::super::simd::{BesideTiles, PAIRED, POWER_SHIFT, TileKernel};
use super::super::square::Half;
use super::super::tiles::{TILE_ROWS, Tiles};
use super::half::{IN_ORDER, Scratch};
use super::{Head, Job, Mask};

/// Sums of weights, 2^-60 to 2^100, from which no power was missing: those that the least one stands for vanish beside them,
/// none was infinite, and neither is a weighted value.
const TRUSTED: Range<f32> = 8.7e-19..1.2e30;

pub(super) struct Tiled<'a> {
    pub(super) job: Job<'a>,
    pub(super) context: &'a Writer<'a>,
    pub(super) scratch: &'a mut Scratch,
}

impl TileKernel for Tiled<'_> {
    #[inline(always)]
    fn run<S: BesideTiles>(self, simd: S, tiles: &Tiles) {
        let Self { job, context, scratch } = self;
        for head in job.heads() {
            if head.is_plain() {
                scratch.take_head(simd, &head, &PAIRED);
                if scratch.attend_unshifted(simd, tiles, &head, context) {
                    continue;
                }
            }
            scratch.take_head(simd, &head, &IN_ORDER);
            for block in 0..head.n_blocks() {
                scratch.attend(simd, tiles, &head, block, context);
            }
        }
    }
}

impl Head<'_> {
    /// Whether scores are products and nothing else, of one step of dimensions.
    fn is_plain(&self) -> bool {
        self.settings.mask == Mask::Full && self.settings.bias.is_none() && self.n_steps() == 1
    }
}

/// Scores and weights of stripes, and the context of their queries, which the tiles and the vector units have in turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Stripes {
    scores: [Stripe; 2],
    weights: [Weights; 2],
    context: Context,
    /// Ones for the keys of the last panel, zeros past them.
    last_ones: Weights,
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Stripe([[f32; SIDE]; TILE_ROWS]);

/// Weighted sums of values, and the sums of the weights, of each query sixteen times.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
struct Context {
    numbers: Stripe,
    sums: [[f32; TILE_ROWS]; TILE_ROWS],
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Weights([bf16; STEP / 2]);

impl Default for Stripe {
    fn default() -> Self {
        Self([[0.0; SIDE]; TILE_ROWS])
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self([bf16::ZERO; STEP / 2])
    }
}

static ONES: Weights = Weights([bf16::ONE; STEP / 2]);

impl Stripes {
    /// Prepares for sequences of so many keys.
    fn take_length(&mut self, len: usize) {
        let n_last = len - (len - 1) / SIDE * SIDE;
        let lines = self.last_ones.0.as_chunks_mut::<SIDE>().0;
        for (pair, place) in PAIRED.into_iter().enumerate() {
            let ones = [2 * pair, 2 * pair + 1].map(|key| if key < n_last { bf16::ONE } else { bf16::ZERO });
            lines[place].as_chunks_mut().0.fill(ones);
        }
    }
}

/// Which sixteen queries, and which panel of keys.
#[derive(Clone, Copy)]
struct Place {
    queries: usize,
    panel: usize,
}

impl Scratch {
    /// Writes the context of a head, or says that the sum of some weights is not to be trusted.
    #[inline(always)]
    fn attend_unshifted<S: BesideTiles>(&mut self, simd: S, tiles: &Tiles, head: &Head<'_>, to: &Writer<'_>) -> bool {
        self.stripes.take_length(head.len);
        let queries = &self.queries.as_chunks().0[..head.len.div_ceil(TILE_ROWS)];
        let (keys, values) = (self.keys.as_chunks().0, self.values.as_chunks().0);
        let (n_stripes, scale, seen) = (queries.len() * keys.len(), head.scale(), simd.nothing_seen());
        let mut work = Work { tiles, queries, keys, values, scale, stripes: &mut self.stripes, seen };
        let (mut before, mut next) = (work.last_place(), Place { queries: 0, panel: 0 });
        work.score_first();
        let mut trusted = true;
        for stripe in 0..n_stripes {
            let now = next;
            next = work.place_after(now);
            work.turn(simd, stripe, before, next);
            // What came before the first stripe was nothing.
            if work.finishes(before) && stripe > 0 {
                trusted &= work.write(simd, head, before.queries, to);
            }
            before = now;
        }
        work.sum_up_last(n_stripes - 1, before);
        work.write(simd, head, before.queries, to) && trusted && !simd.saw_overflow(work.seen)
    }
}

/// A head on its way.
struct Work<'a, S: BesideTiles> {
    tiles: &'a Tiles,
    queries: &'a [[bf16; STEP / 2]],
    keys: &'a [[bf16; STEP]],
    values: &'a [[bf16; STEP]],
    scale: f32,
    stripes: &'a mut Stripes,
    /// Of all weights so far.
    seen: S::Seen,
}

impl<S: BesideTiles> Work<'_, S> {
    #[inline(always)]
    fn last_place(&self) -> Place {
        Place { queries: self.queries.len() - 1, panel: self.keys.len() - 1 }
    }

    /// The stripe that follows, panel by panel and then queries by queries; after the last comes the first.
    #[inline(always)]
    fn place_after(&self, Place { queries, panel }: Place) -> Place {
        if panel + 1 < self.keys.len() {
            return Place { queries, panel: panel + 1 };
        }
        Place { queries: if queries + 1 < self.queries.len() { queries + 1 } else { 0 }, panel: 0 }
    }

    /// Whether the context of the queries is complete with this stripe.
    #[inline(always)]
    fn finishes(&self, place: Place) -> bool {
        place.panel + 1 == self.keys.len()
    }

    /// Scores the first stripe.
    #[inline(always)]
    fn score_first(&mut self) {
        self.tiles.take_queries(&self.queries[0]);
        for half in [Half::Left, Half::Right] {
            self.tiles.score(&self.keys[0], half);
            self.tiles.store_scores(&mut self.stripes.scores[0].0, half);
        }
    }

    /// Makes the weights of a stripe, scores the `next` one and sums up the one `before`.
    ///
    /// Between two instructions for tiles come some rows of weights: few instructions can wait at a time, and those for tiles wait
    /// long. The same work in three pieces takes half as long again.
    #[inline(always)]
    fn turn(&mut self, simd: S, stripe: usize, before: Place, next: Place) {
        let (tiles, keys, values) = (self.tiles, &self.keys[next.panel], &self.values[before.panel]);
        if next.panel == 0 {
            tiles.take_queries(&self.queries[next.queries]);
        }
        tiles.score(keys, Half::Left);
        self.weigh(simd, stripe, 0..3);
        tiles.score(keys, Half::Right);
        self.weigh(simd, stripe, 3..6);
        tiles.take_weights(&self.stripes.weights[(stripe + 1) % 2].0);
        tiles.add_weighted(values, Half::Left);
        self.weigh(simd, stripe, 6..9);
        tiles.add_weighted(values, Half::Right);
        self.weigh(simd, stripe, 9..12);
        tiles.add_weights(self.ones_of(before));
        self.weigh(simd, stripe, 12..14);
        tiles.store_scores(&mut self.stripes.scores[(stripe + 1) % 2].0, Half::Left);
        self.weigh(simd, stripe, 14..TILE_ROWS);
        tiles.store_scores(&mut self.stripes.scores[(stripe + 1) % 2].0, Half::Right);
        if self.finishes(before) {
            self.take_context();
        }
    }

    /// Sums up the last stripe.
    #[inline(always)]
    fn sum_up_last(&mut self, stripe: usize, place: Place) {
        let (tiles, values) = (self.tiles, &self.values[place.panel]);
        tiles.take_weights(&self.stripes.weights[stripe % 2].0);
        tiles.add_weighted(values, Half::Left);
        tiles.add_weighted(values, Half::Right);
        tiles.add_weights(self.ones_of(place));
        self.take_context();
    }

    #[inline(always)]
    fn ones_of(&self, place: Place) -> &[bf16; STEP / 2] {
        if self.finishes(place) { &self.stripes.last_ones.0 } else { &ONES.0 }
    }

    #[inline(always)]
    fn take_context(&mut self) {
        let Context { numbers, sums } = &mut self.stripes.context;
        self.tiles.store_weighted(&mut numbers.0, sums);
        self.tiles.clear_weighted();
    }

    /// Turns the scores of some queries into weights, `2^(scale * score)`.
    #[inline(always)]
    fn weigh(&mut self, simd: S, stripe: usize, queries: Range<usize>) {
        let Stripes { scores, weights, .. } = &mut *self.stripes;
        let (scale, shift) = (simd.splat(self.scale), simd.splat(POWER_SHIFT));
        let lines = &mut weights[stripe % 2].0.as_chunks_mut::<SIDE>().0[queries.clone()];
        for (scores, line) in scores[stripe % 2].0[queries].iter().zip(lines) {
            let left = simd.mul_add(simd.load(scores), scale, shift);
            let right = simd.mul_add(simd.load(&scores[S::LANES..]), scale, shift);
            simd.store_powers(left, right, line, &mut self.seen);
        }
    }

    /// Writes the context of sixteen queries, or says that the sum of some weights is not to be trusted.
    #[inline(always)]
    fn write(&mut self, simd: S, head: &Head<'_>, queries: usize, to: &Writer<'_>) -> bool {
        let Context { numbers, sums } = &mut self.stripes.context;
        let sums = simd.diagonal(sums);
        let mut factors = [0.0; TILE_ROWS];
        simd.store(simd.div(simd.splat(1.0), sums), &mut factors);
        let first = queries * TILE_ROWS;
        for (row, (numbers, &factor)) in numbers.0.iter_mut().zip(&factors).take(head.len - first).enumerate() {
            head.write(simd, (first + row, 0), factor, numbers, to);
        }
        let not_small = simd.bits(simd.greater(sums, simd.splat(TRUSTED.start)));
        let not_large = simd.bits(simd.greater(simd.splat(TRUSTED.end), sums));
        (not_small & not_large).count_ones() as usize == TILE_ROWS
    }
}
