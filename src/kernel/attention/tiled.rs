//! Attention with factors in bf16 by matrix tiles.
//!
//! What counts is what the vector units do between the two products, and that scores stay in the first cache. So weights
//! are taken as they come, `2^score`, without looking for the largest first: a shift by it cancels, and is needed only
//! where powers leave the range of f32. Whether they did is seen from their sum, and then the head is done again in the way of
//! [`Scratch::attend`]. The sum is a product too, with ones: of the weights as they are rounded, so that rounding
//! moves a context but does not stretch it. Powers are made of whole numbers, for beside tiles the processor has few units for
//! others ([`BesideTiles`]). While they are made of one stripe, sixteen queries and a panel of keys, the tiles score the
//! next one and sum up the values of the one before.

use std::ops::Range;

use half::bf16;

use super::super::operand::{SIDE, STEP, Writer};
use super::super::simd::{BesideTiles, PAIRED, TileKernel};
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

/// Scores and weights of stripes, and contexts of their queries, which the tiles and the vector units have in turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Stripes {
    scores: [Stripe; TURNS],
    weights: [Weights; TURNS],
    contexts: [Context; 2],
    /// Ones for the keys of the last panel, zeros past them.
    last_ones: Weights,
}

const TURNS: usize = 3;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Stripe([[f32; SIDE]; TILE_ROWS]);

/// Weighted sums of values, and the sums of the weights.
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

impl Scratch {
    /// Writes the context of a head, or says that the sum of some weights is not to be trusted.
    #[inline(always)]
    fn attend_unshifted<S: BesideTiles>(&mut self, simd: S, tiles: &Tiles, head: &Head<'_>, to: &Writer<'_>) -> bool {
        self.stripes.take_length(head.len);
        let (keys, values) = (self.keys.as_chunks().0, self.values.as_chunks().0);
        let queries = &self.queries.as_chunks().0[..head.len.div_ceil(TILE_ROWS)];
        let (n_panels, scale) = (keys.len(), head.scale());
        let mut work = Work { tiles, values, stripes: &mut self.stripes };
        let mut finished = None;
        let mut trusted = true;
        tiles.take_queries(&queries[0]);
        work.score(&keys[0], 0);
        tiles.clear_weighted();
        let n_stripes = queries.len() * n_panels;
        for stripe in 0..n_stripes {
            let next = stripe + 1;
            if next < n_stripes {
                if next.is_multiple_of(n_panels) {
                    tiles.take_queries(&queries[next / n_panels]);
                }
                work.score(&keys[next % n_panels], next);
            }
            weigh(simd, &work.stripes.scores[stripe % TURNS], scale, &mut work.stripes.weights[stripe % TURNS]);
            if let Some(queries) = finished.take() {
                trusted &= work.write(simd, head, queries, to);
            }
            if stripe > 0 {
                finished = work.sum_up(stripe - 1);
            }
        }
        if let Some(queries) = finished {
            trusted &= work.write(simd, head, queries, to);
        }
        if let Some(queries) = work.sum_up(n_stripes - 1) {
            trusted &= work.write(simd, head, queries, to);
        }
        trusted
    }
}

/// A head on its way. Stripes are counted query block by query block, within each panel by panel.
struct Work<'a> {
    tiles: &'a Tiles,
    values: &'a [[bf16; STEP]],
    stripes: &'a mut Stripes,
}

impl Work<'_> {
    /// Scores a stripe, of the queries that the tiles hold.
    #[inline(always)]
    fn score(&mut self, keys: &[bf16; STEP], stripe: usize) {
        self.tiles.score(keys, &mut self.stripes.scores[stripe % TURNS].0);
    }

    /// Adds the weighted values of a stripe. With the last one of sixteen queries their context is finished: which ones.
    #[inline(always)]
    fn sum_up(&mut self, stripe: usize) -> Option<usize> {
        let Self { tiles, values, stripes } = self;
        let (queries, panel) = (stripe / values.len(), stripe % values.len());
        let is_last = panel + 1 == values.len();
        let ones = if is_last { &stripes.last_ones } else { &ONES };
        tiles.add_weighted(&stripes.weights[stripe % TURNS].0, &values[panel], &ones.0);
        if !is_last {
            return None;
        }
        let context = &mut stripes.contexts[queries % 2];
        tiles.store_weighted(&mut context.numbers.0, &mut context.sums);
        tiles.clear_weighted();
        Some(queries)
    }

    /// Writes the context of sixteen queries, or says that the sum of some weights is not to be trusted.
    #[inline(always)]
    fn write<S: BesideTiles>(&mut self, simd: S, head: &Head<'_>, queries: usize, to: &Writer<'_>) -> bool {
        let Context { numbers, sums } = &mut self.stripes.contexts[queries % 2];
        let first = queries * TILE_ROWS;
        let mut trusted = true;
        for (row, (numbers, sums)) in numbers.0.iter_mut().zip(sums).take(head.len - first).enumerate() {
            trusted &= TRUSTED.contains(&sums[0]);
            head.write(simd, (first + row, 0), sums[0], numbers, to);
        }
        trusted
    }
}

/// Turns scores into weights, `2^(scale * score)`.
#[inline(always)]
fn weigh<S: BesideTiles>(simd: S, scores: &Stripe, scale: f32, weights: &mut Weights) {
    const STEPS: f32 = 128.0;
    let (scale, shift) = (simd.splat(STEPS * scale), simd.splat(STEPS * 127.0));
    for (scores, line) in scores.0.iter().zip(weights.0.as_chunks_mut::<SIDE>().0) {
        let left = simd.mul_add(simd.load(scores), scale, shift);
        let right = simd.mul_add(simd.load(&scores[S::LANES..]), scale, shift);
        simd.store_powers(left, right, line);
    }
}
