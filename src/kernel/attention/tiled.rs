//! Attention with factors in bf16 by matrix tiles.
//!
//! What counts is what the vector units do between the two products, and that scores stay in the first cache. So weights
//! are taken as they come, `2^score`, without looking for the largest first: a shift by it cancels, and is needed only
//! where powers leave the range of f32. Whether they did is seen from their sum, and then the rest of the head is done in
//! the way of [`Scratch::attend`]. The sum is a product too, with ones: of the weights as they are rounded, so that rounding
//! moves a context but does not stretch it. Powers are made of whole numbers, for beside tiles the processor has few units for
//! others ([`BesideTiles`]). While they are made of one panel of keys, the tiles score the next and sum up the values
//! of the one before.

use std::ops::Range;

use half::bf16;

use super::super::operand::{SIDE, STEP, Writer};
use super::super::simd::{BesideTiles, TileKernel, paired};
use super::super::tiles::{TILE_ROWS, Tiles};
use super::half::{IN_ORDER, Scratch};
use super::{Head, Job, Mask};

/// Sums of weights, 2^-60 to 2^100, from which no power was missing: those that the least one stands for vanish beside them,
/// none was infinite, and neither is a weighted value.
const TRUSTED: Range<f32> = 8.7e-19..1.2e30;

/// Where a pair of tokens lies within the inputs of the second product: where their weights come.
const PAIRED: [usize; SIDE / 2] = {
    let mut places = [0; SIDE / 2];
    let mut pair = 0;
    while pair < SIDE / 2 {
        places[pair] = paired(pair);
        pair += 1;
    }
    places
};

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
            let mut done = 0;
            if head.is_plain() {
                scratch.take_head(simd, &head, &PAIRED);
                scratch.stripes.take_length(head.len);
                while done < head.n_blocks() && scratch.attend_unshifted(simd, tiles, &head, done, context) {
                    done += 1;
                }
            }
            if done < head.n_blocks() {
                scratch.take_head(simd, &head, &IN_ORDER);
                for block in done..head.n_blocks() {
                    scratch.attend(simd, tiles, &head, block, context);
                }
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

/// Scores and weights of sixteen queries and some panels of keys, which the tiles and the vector units have in turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Stripes {
    scores: [Stripe; TURNS],
    weights: [Weights; TURNS],
    /// Ones for the keys of the last panel, zeros past them.
    last_ones: Weights,
}

const TURNS: usize = 3;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Stripe([[f32; SIDE]; TILE_ROWS]);

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
    /// Writes the context of a block of queries, or says that the sum of some weights is not to be trusted.
    #[inline(always)]
    fn attend_unshifted<S: BesideTiles>(
        &mut self,
        simd: S,
        tiles: &Tiles,
        head: &Head<'_>,
        block: usize,
        context: &Writer<'_>,
    ) -> bool {
        let n_rows = SIDE.min(head.len - block * SIDE);
        for first in (0..n_rows).step_by(TILE_ROWS) {
            let mut sums = [[0.0; TILE_ROWS]; TILE_ROWS];
            let numbers = self.weigh_values(simd, tiles, head.scale(), 2 * block + first / TILE_ROWS, &mut sums);
            let sums = &sums[..TILE_ROWS.min(n_rows - first)];
            if !sums.iter().all(|sums| TRUSTED.contains(&sums[0])) {
                return false;
            }
            for (row, (numbers, sums)) in numbers.iter_mut().zip(sums).enumerate() {
                head.write(simd, (block * SIDE + first + row, 0), sums[0], numbers, context);
            }
        }
        true
    }

    /// The weighted sums of the values for sixteen queries, and the sums of the weights.
    #[inline(always)]
    fn weigh_values<S: BesideTiles>(
        &mut self,
        simd: S,
        tiles: &Tiles,
        scale: f32,
        queries: usize,
        sums: &mut [[f32; TILE_ROWS]; TILE_ROWS],
    ) -> &mut [[f32; SIDE]; TILE_ROWS] {
        let Stripes { scores, weights, last_ones } = &mut self.stripes;
        let (keys, values) = (self.keys.as_chunks::<STEP>().0, self.values.as_chunks::<STEP>().0);
        let last = keys.len().min(values.len()) - 1;
        tiles.take_queries(&self.queries.as_chunks().0[queries]);
        tiles.score(&keys[0], &mut scores[0].0);
        for panel in 0..=last {
            if panel < last {
                tiles.score(&keys[panel + 1], &mut scores[(panel + 1) % TURNS].0);
            }
            weigh(simd, &scores[panel % TURNS], scale, &mut weights[panel % TURNS]);
            if panel > 0 {
                tiles.add_weighted(&weights[(panel - 1) % TURNS].0, &values[panel - 1], &ONES.0);
            }
        }
        tiles.add_weighted(&weights[last % TURNS].0, &values[last], &last_ones.0);
        tiles.store_weighted(&mut scores[0].0, sums);
        &mut scores[0].0
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
