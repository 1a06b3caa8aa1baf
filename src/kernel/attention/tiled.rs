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
                let trusted = match head.n_steps() {
                    1 => scratch.attend_unshifted::<S, 1>(simd, tiles, &head, context),
                    _ => scratch.attend_unshifted::<S, 2>(simd, tiles, &head, context),
                };
                if trusted {
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
    /// Whether scores are products and nothing else, of as many dimensions as there are tiles for.
    fn is_plain(&self) -> bool {
        self.settings.mask == Mask::Full && self.settings.bias.is_none() && self.n_steps() <= 2
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
    /// Of the first 32 dimensions, and of the others.
    numbers: [[[f32; SIDE]; TILE_ROWS]; 2],
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
    /// Writes the context of a head of `STEPS` times 32 dimensions, or says that the sum of some weights is not to be trusted.
    #[inline(always)]
    fn attend_unshifted<S: BesideTiles, const STEPS: usize>(
        &mut self,
        simd: S,
        tiles: &Tiles,
        head: &Head<'_>,
        to: &Writer<'_>,
    ) -> bool {
        self.stripes.take_length(head.len);
        let (queries, keys) = (self.queries.as_chunks().0.as_chunks().0, self.keys.as_chunks().0.as_chunks().0);
        let (values, n_queries) = (self.values.as_chunks().0, head.len.div_ceil(TILE_ROWS));
        let (n_stripes, scale, seen) = (n_queries * keys.len(), head.scale(), simd.nothing_seen());
        let mut work =
            Work::<S, STEPS> { tiles, queries, n_queries, keys, values, scale, stripes: &mut self.stripes, seen };
        let (mut before, mut now) = (work.last_place(), Place { queries: 0, panel: 0 });
        let mut next = work.place_after(now);
        for half in [Half::Left, Half::Right] {
            work.score(now, half);
            tiles.store_scores(&mut work.stripes.scores[0].0, half);
        }
        work.score(next, Half::Left);
        let mut trusted = true;
        for stripe in 0..n_stripes {
            let after = work.place_after(next);
            work.turn(simd, stripe, before, [next, after]);
            // What came before the first stripe was nothing.
            if work.finishes(before) && stripe > 0 {
                trusted &= work.write(simd, head, before.queries, to);
            }
            (before, now, next) = (now, next, after);
        }
        work.sum_up_last(n_stripes - 1, before);
        work.write(simd, head, before.queries, to) && trusted && !simd.saw_overflow(work.seen)
    }
}

/// A head on its way.
struct Work<'a, S: BesideTiles, const STEPS: usize> {
    tiles: &'a Tiles,
    /// For 32 queries the dimensions, step by step.
    queries: &'a [[[bf16; STEP]; STEPS]],
    /// How many times sixteen queries there are.
    n_queries: usize,
    keys: &'a [[[bf16; STEP]; STEPS]],
    /// Step by step the panels of all values.
    values: &'a [[bf16; STEP]],
    scale: f32,
    stripes: &'a mut Stripes,
    /// Of all weights so far.
    seen: S::Seen,
}

impl<S: BesideTiles, const STEPS: usize> Work<'_, S, STEPS> {
    #[inline(always)]
    fn last_place(&self) -> Place {
        Place { queries: self.n_queries - 1, panel: self.keys.len() - 1 }
    }

    /// The stripe that follows, panel by panel and then queries by queries; after the last comes the first.
    #[inline(always)]
    fn place_after(&self, Place { queries, panel }: Place) -> Place {
        if panel + 1 < self.keys.len() {
            return Place { queries, panel: panel + 1 };
        }
        Place { queries: if queries + 1 < self.n_queries { queries + 1 } else { 0 }, panel: 0 }
    }

    /// Whether the context of the queries is complete with this stripe.
    #[inline(always)]
    fn finishes(&self, place: Place) -> bool {
        place.panel + 1 == self.keys.len()
    }

    /// Makes the weights of a stripe, sums up the one `before`, and scores the second half of the `next` one and the first half of
    /// the one `after`.
    ///
    /// Between two instructions for tiles come some rows of weights: few instructions can wait at a time, and those for tiles wait
    /// long, a store for the product before it most of all. The same work in three pieces takes half as long again.
    #[inline(always)]
    fn turn(&mut self, simd: S, stripe: usize, before: Place, [next, after]: [Place; 2]) {
        let (tiles, other) = (self.tiles, (stripe + 1) % 2);
        tiles.store_scores(&mut self.stripes.scores[other].0, Half::Left);
        self.score(next, Half::Right);
        self.weigh(simd, stripe, 0..4);
        tiles.take_weights(&self.stripes.weights[other].0);
        tiles.add_weighted(self.values_of(before, 0), 0, Half::Left);
        self.weigh(simd, stripe, 4..6);
        tiles.add_weighted(self.values_of(before, 0), 0, Half::Right);
        self.weigh(simd, stripe, 6..8);
        if STEPS > 1 {
            tiles.add_weighted(self.values_of(before, 1), 1, Half::Left);
            self.weigh(simd, stripe, 8..9);
            tiles.add_weighted(self.values_of(before, 1), 1, Half::Right);
            self.weigh(simd, stripe, 9..10);
        } else {
            self.weigh(simd, stripe, 8..10);
        }
        tiles.add_weights(self.ones_of(before));
        self.weigh(simd, stripe, 10..12);
        tiles.store_scores(&mut self.stripes.scores[other].0, Half::Right);
        self.score(after, Half::Left);
        self.weigh(simd, stripe, 12..TILE_ROWS);
        if self.finishes(before) {
            self.take_context();
        }
    }

    /// Sums up the last stripe.
    #[inline(always)]
    fn sum_up_last(&mut self, stripe: usize, place: Place) {
        self.tiles.take_weights(&self.stripes.weights[stripe % 2].0);
        for step in 0..STEPS {
            for half in [Half::Left, Half::Right] {
                self.tiles.add_weighted(self.values_of(place, step), step, half);
            }
        }
        self.tiles.add_weights(self.ones_of(place));
        self.take_context();
    }

    /// Scores one half of the keys.
    #[inline(always)]
    fn score(&self, place: Place, half: Half) {
        self.tiles.clear_scores();
        let (queries, keys) = (&self.queries[place.queries / 2], &self.keys[place.panel]);
        for step in 0..STEPS {
            self.tiles.add_scores(&queries[step].as_chunks().0[place.queries % 2], &keys[step], half);
        }
    }

    #[inline(always)]
    fn values_of(&self, place: Place, step: usize) -> &[bf16; STEP] {
        &self.values[step * self.keys.len() + place.panel]
    }

    #[inline(always)]
    fn ones_of(&self, place: Place) -> &[bf16; STEP / 2] {
        if self.finishes(place) { &self.stripes.last_ones.0 } else { &ONES.0 }
    }

    #[inline(always)]
    fn take_context(&mut self) {
        let Context { numbers, sums } = &mut self.stripes.context;
        self.tiles.store_weighted(numbers, sums);
        self.tiles.clear_weighted();
    }

    /// Turns the scores of some queries into weights, `2^(scale * score)`.
    #[inline(always)]
    fn weigh(&mut self, simd: S, stripe: usize, queries: Range<usize>) {
        let Stripes { scores, weights, .. } = &mut *self.stripes;
        let (scale, shift) = (simd.splat(self.scale), simd.splat(POWER_SHIFT));
        let (scores, lines) = (&scores[stripe % 2].0, weights[stripe % 2].0.as_chunks_mut::<SIDE>().0);
        // Counted: the compiler would not inline the start of two zipped iterators.
        for query in queries {
            let left = simd.mul_add(simd.load(&scores[query]), scale, shift);
            let right = simd.mul_add(simd.load(&scores[query][S::LANES..]), scale, shift);
            simd.store_powers(left, right, &mut lines[query], &mut self.seen);
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
        for (step, numbers) in numbers.iter_mut().enumerate().take(STEPS) {
            for row in 0..TILE_ROWS.min(head.len - first) {
                head.write(simd, (first + row, step), factors[row], &mut numbers[row], to);
            }
        }
        let not_small = simd.bits(simd.greater(sums, simd.splat(TRUSTED.start)));
        let not_large = simd.bits(simd.greater(simd.splat(TRUSTED.end), sums));
        (not_small & not_large).count_ones() as usize == TILE_ROWS
    }
}
