//! Attention with factors in bf16: both products are made of squares of 32 queries by 32 keys or dimensions.
//!
//! Here are heads, laid out for that, and the way that all take; `tiled` has a shorter one, for matrix tiles.

use half::bf16;

use super::super::Isa;
use super::super::buffer::Buffer;
use super::super::function::{GROUP_ROWS, ROUGH_POWER, falling_power_of_two};
use super::super::operand::{SIDE, STEP, Writer};
use super::super::simd::{Kernel, Simd};
use super::super::square::{Factors, Idle, Kept, Square, Unit, Vectors};
use super::super::tiles::Tiles;
use super::tiled::{Stripes, Tiled};
use super::{Head, Job, Mask, hide_others};

/// Memory for one head of one sequence. Queries and weights are blocks of rows, keys and values panels of columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    /// A step of 32 tokens on the way to where it is read.
    lines: Buffer<bf16>,
    pub(super) queries: Buffer<bf16>,
    pub(super) keys: Buffer<bf16>,
    pub(super) values: Buffer<bf16>,
    /// One square for each 32 keys, of one block of queries.
    scores: Vec<Square>,
    weights: Buffer<bf16>,
    pub(super) stripes: Stripes,
}

pub(super) fn attend(isa: Isa, job: Job<'_>, context: &Writer<'_>, scratch: &mut Scratch) {
    match Tiles::configure(isa) {
        Some(tiles) => tiles.run(Tiled { job, context, scratch }),
        None => isa.run(Half { job, context, scratch }),
    }
}

struct Half<'a> {
    job: Job<'a>,
    context: &'a Writer<'a>,
    scratch: &'a mut Scratch,
}

impl Kernel for Half<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        for head in self.job.heads() {
            self.scratch.take_head(simd, &head, &IN_ORDER);
            for block in 0..head.n_blocks() {
                self.scratch.attend(simd, &Vectors, &head, block, self.context);
            }
        }
    }
}

impl Head<'_> {
    /// Steps of 32 dimensions.
    pub(super) fn n_steps(&self) -> usize {
        self.dim().div_ceil(SIDE)
    }

    /// Blocks of 32 tokens.
    pub(super) fn n_blocks(&self) -> usize {
        self.len.div_ceil(SIDE)
    }

    /// Whether some query of the sequence does not attend to some key of a panel.
    fn hides_keys_of(&self, panel: usize) -> bool {
        self.settings.mask != Mask::Full || (panel + 1) * SIDE > self.len
    }

    /// Writes a step of a token's context: `numbers` multiplied by the `factor` that makes the weights one together.
    #[inline(always)]
    pub(super) fn write<S: Simd>(
        &self,
        simd: S,
        (token, step): (usize, usize),
        factor: f32,
        numbers: &mut [f32; SIDE],
        context: &Writer<'_>,
    ) {
        let factor = simd.splat(factor);
        let (row, column) = (self.first + token, self.column(0) + step * SIDE);
        let n = SIDE.min(self.dim() - step * SIDE);
        if n == SIDE && column.is_multiple_of(SIDE) {
            let line = context.halves(context.line(row, column / SIDE), SIDE);
            // Counted, as in all that is done for each row: the compiler would not inline the start of two zipped iterators.
            for at in (0..SIDE).step_by(2 * S::LANES) {
                let (left, right) = (simd.load(&numbers[at..]), simd.load(&numbers[at + S::LANES..]));
                simd.store_two_bf16(simd.mul(left, factor), simd.mul(right, factor), &mut line[at..]);
            }
            return;
        }
        for numbers in numbers.chunks_exact_mut(S::LANES) {
            simd.store(simd.mul(simd.load(numbers), factor), numbers);
        }
        context.write_some(simd, row, column, &numbers[..n]);
    }

    /// Copies a step of the queries (0), keys (1) or values (2) of a block of tokens, a line for each, padded with zeros.
    #[inline(always)]
    fn copy_lines(&self, part: usize, (block, step): (usize, usize), to: &mut [bf16]) {
        let (qkv, column) = (self.qkv, self.column(part) + step * SIDE);
        let tokens = block * SIDE..self.len.min((block + 1) * SIDE);
        let (to, padding) = to.split_at_mut(tokens.len() * SIDE);
        padding.fill(bf16::ZERO);
        if !column.is_multiple_of(SIDE) || self.dim() - step * SIDE < SIDE {
            return tokens
                .zip(to.chunks_exact_mut(SIDE))
                .for_each(|(token, to)| self.copy_numbers(token, column, step, to));
        }
        let lines = qkv.half.as_chunks::<SIDE>().0;
        // A block's lines lie one after the other, and the tokens begin somewhere within a block.
        let n_first = (SIDE - (self.first + tokens.start) % SIDE).min(tokens.len());
        let (first, second) = to.as_chunks_mut::<SIDE>().0.split_at_mut(n_first);
        for (token, to) in [(tokens.start, first), (tokens.start + n_first, second)] {
            if !to.is_empty() {
                let from = &lines[qkv.line(self.first + token, column / SIDE) / SIDE..][..to.len()];
                // Line by line: a copy of all would be a call.
                for (from, to) in from.iter().zip(to) {
                    *to = *from;
                }
            }
        }
    }

    /// Copies a token's numbers of a step one by one: `column` is the first.
    fn copy_numbers(&self, token: usize, column: usize, step: usize, to: &mut [bf16]) {
        let (qkv, n) = (self.qkv, SIDE.min(self.dim() - step * SIDE));
        to[n..].fill(bf16::ZERO);
        for (column, number) in (column..).zip(&mut to[..n]) {
            *number = qkv.half[qkv.line(self.first + token, column / SIDE) + column % SIDE];
        }
    }
}

/// Lays the lines of 32 keys out as a panel of columns, of which the dimensions are the inputs.
#[inline(always)]
fn lay_keys<S: Simd>(simd: S, lines: &[bf16], panel: &mut [bf16]) {
    for (lines, tile) in lines.chunks_exact(STEP / 2).zip(panel.chunks_exact_mut(STEP / 2)) {
        simd.transpose((lines, SIDE), (tile, SIDE));
    }
}

/// The places of pairs of tokens that are kept in order.
pub(super) const IN_ORDER: [usize; SIDE / 2] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Lays the lines of 32 values out as a panel of columns, of which the tokens are the inputs, each pair at its place.
#[inline(always)]
fn lay_values<S: Simd>(simd: S, lines: &[bf16], places: &[usize; SIDE / 2], panel: &mut [bf16]) {
    let (left, right) = panel.split_at_mut(STEP / 2);
    let (left, right) = (left.as_chunks_mut().0, right.as_chunks_mut().0);
    for (lines, &place) in lines.as_chunks::<SIDE>().0.as_chunks::<2>().0.iter().zip(places) {
        simd.interleave(lines, [&mut left[place], &mut right[place]]);
    }
}

impl Scratch {
    /// Copies a head out of the packed rows, in the order that squares are multiplied in. Padding is zero. `places` says
    /// where each pair of values comes within its panel.
    #[inline(always)]
    pub(super) fn take_head<S: Simd>(&mut self, simd: S, head: &Head<'_>, places: &[usize; SIDE / 2]) {
        let (n_steps, n_blocks) = (head.n_steps(), head.n_blocks());
        for buffer in [&mut self.queries, &mut self.keys, &mut self.values] {
            buffer.resize(n_steps * n_blocks * STEP);
        }
        self.lines.resize(STEP);
        for block in 0..n_blocks {
            for step in 0..n_steps {
                let (row_step, input_step) = (block * n_steps + step, step * n_blocks + block);
                head.copy_lines(0, (block, step), &mut self.queries[row_step * STEP..][..STEP]);
                head.copy_lines(1, (block, step), &mut self.lines);
                lay_keys(simd, &self.lines, &mut self.keys[row_step * STEP..][..STEP]);
                head.copy_lines(2, (block, step), &mut self.lines);
                lay_values(simd, &self.lines, places, &mut self.values[input_step * STEP..][..STEP]);
            }
        }
    }

    /// The context of a block of 32 queries.
    #[inline(always)]
    pub(super) fn attend<S: Simd, U: Unit>(
        &mut self,
        simd: S,
        unit: &U,
        head: &Head<'_>,
        block: usize,
        context: &Writer<'_>,
    ) {
        let (n_steps, n_blocks) = (head.n_steps(), head.n_blocks());
        let n_rows = SIDE.min(head.len - block * SIDE);
        self.scores.resize(n_blocks.max(self.scores.len()), Square::default());
        self.weights.resize(n_blocks * STEP);
        let queries = &self.queries[block * n_steps * STEP..][..n_steps * STEP];
        let mut largest = [simd.splat(f32::MIN); SIDE];
        for (keys, scores) in self.keys.chunks_exact(n_steps * STEP).zip(&mut self.scores) {
            let factors = Factors { rows: queries, columns: keys, next_columns: &[], kept: Kept::Both };
            unit.square(simd, factors, n_rows, scores, &mut Idle);
        }
        for (panel, scores) in self.scores[..n_blocks].iter_mut().enumerate() {
            if let Some(bias) = head.settings.bias {
                for (row, scores) in scores.0[..n_rows].iter_mut().enumerate() {
                    let at = (head.head, block * SIDE + row, panel * SIDE);
                    bias.add(simd, at, head.product_scale(), scores);
                }
            }
            if head.hides_keys_of(panel) {
                for (row, scores) in scores.0[..n_rows].iter_mut().enumerate() {
                    let keys = head.settings.mask.keys(block * SIDE + row, head.len);
                    hide_others(simd, scores, panel * SIDE, &keys);
                }
            }
            raise(simd, scores, n_rows, &mut largest);
        }
        let mut sums = [simd.splat(0.0); SIDE];
        let scale = simd.splat(head.scale());
        let mut shifts = largest;
        for (row, shift) in shifts.iter_mut().enumerate() {
            // Rows past the last hold old scores, whose weights must not overflow.
            *shift = simd.splat(if row < n_rows { -simd.largest(largest[row]) * head.scale() } else { f32::MIN });
        }
        for (scores, weights) in self.scores.iter().zip(self.weights.chunks_exact_mut(STEP)) {
            for row in (0..n_rows).step_by(GROUP_ROWS) {
                for at in (0..SIDE).step_by(2 * S::LANES) {
                    weigh(simd, (row, at), scores, (scale, &shifts), &mut sums, weights);
                }
            }
        }
        self.add_values(simd, unit, head, block, &sums, context);
    }

    /// Weighs the values and divides by the sum of the weights.
    #[inline(always)]
    fn add_values<S: Simd, U: Unit>(
        &mut self,
        simd: S,
        unit: &U,
        head: &Head<'_>,
        block: usize,
        sums: &[S::F32; SIDE],
        context: &Writer<'_>,
    ) {
        let n_rows = SIDE.min(head.len - block * SIDE);
        // The scores are weights by now.
        let square = &mut self.scores[0];
        for (step, values) in self.values.chunks_exact(head.n_blocks() * STEP).enumerate() {
            let factors = Factors { rows: &self.weights, columns: values, next_columns: &[], kept: Kept::Both };
            unit.square(simd, factors, n_rows, square, &mut Idle);
            for (row, numbers) in square.0[..n_rows].iter_mut().enumerate() {
                head.write(simd, (block * SIDE + row, step), 1.0 / simd.sum(sums[row]), numbers, context);
            }
        }
    }
}

/// Turns a group of scores into `2^(scale * score + shift)`, within 1e-4 of itself: a twentieth of what rounding to
/// bf16 takes away.
#[inline(always)]
fn weigh<S: Simd>(
    simd: S,
    (first, at): (usize, usize),
    scores: &Square,
    (scale, shifts): (S::F32, &[S::F32; SIDE]),
    sums: &mut [S::F32; SIDE],
    weights: &mut [bf16],
) {
    let mut group = [[scale; 2]; GROUP_ROWS];
    for (row, group) in group.iter_mut().enumerate() {
        for (vector, power) in group.iter_mut().enumerate() {
            let score = simd.load(&scores.0[first + row][at + vector * S::LANES..]);
            *power = simd.mul_add(score, scale, shifts[first + row]);
        }
    }
    falling_power_of_two(simd, &ROUGH_POWER, &mut group);
    for (row, &[left, right]) in group.iter().enumerate() {
        sums[first + row] = simd.add(sums[first + row], simd.add(left, right));
        let line = &mut weights[(first + row) * SIDE + at..][..2 * S::LANES];
        simd.store_bf16(left, line);
        simd.store_bf16(right, &mut line[S::LANES..]);
    }
}

/// Raises the largest scores of each row to those of a square.
#[inline(always)]
fn raise<S: Simd>(simd: S, scores: &Square, n_rows: usize, largest: &mut [S::F32; SIDE]) {
    for (scores, largest) in scores.0[..n_rows].iter().zip(largest) {
        for scores in scores.chunks_exact(S::LANES) {
            *largest = simd.max(*largest, simd.load(scores));
        }
    }
}
