//! Attention with factors in bf16: both products are made of squares of 32 queries by 32 keys or dimensions.

use half::bf16;

use super::super::Isa;
use super::super::buffer::Buffer;
use super::super::function::{GROUP_ROWS, ROUGH_POWER, falling_power_of_two};
use super::super::operand::{SIDE, STEP, Writer};
use super::super::simd::{Kernel, Simd};
use super::super::square::{Idle, Square, Unit, Vectors};
use super::super::tiles::Tiles;
use super::{Head, Job, Mask};

/// Memory for one head of one sequence. Queries and weights are blocks of rows, keys and values panels of columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    queries: Buffer<bf16>,
    keys: Buffer<bf16>,
    values: Buffer<bf16>,
    /// One square for each 32 keys, of one block of queries.
    scores: Vec<Square>,
    weights: Buffer<bf16>,
}

pub(super) fn attend(isa: Isa, job: Job<'_>, context: &Writer<'_>, scratch: &mut Scratch) {
    if let Some(unit) = Tiles::configure(isa) {
        return isa.run(Half { job, context, scratch, unit });
    }
    isa.run(Half { job, context, scratch, unit: Vectors });
}

struct Half<'a, U> {
    job: Job<'a>,
    context: &'a Writer<'a>,
    scratch: &'a mut Scratch,
    unit: U,
}

impl<U: Unit> Kernel for Half<'_, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        for head in self.job.heads() {
            self.scratch.take_head(&head);
            for block in 0..head.n_blocks() {
                self.scratch.attend(simd, &self.unit, &head, block, self.context);
            }
        }
    }
}

impl Head<'_> {
    /// Steps of 32 dimensions.
    fn n_steps(&self) -> usize {
        self.dim().div_ceil(SIDE)
    }

    /// Blocks of 32 tokens.
    fn n_blocks(&self) -> usize {
        self.len.div_ceil(SIDE)
    }

    /// Whether some query of the sequence does not attend to some key of a panel.
    fn hides_keys_of(&self, panel: usize) -> bool {
        self.settings.mask != Mask::Full || (panel + 1) * SIDE > self.len
    }

    /// A step of the token's query (0), key (1) or value (2), padded with zeros.
    #[inline(always)]
    fn line(&self, token: usize, part: usize, step: usize) -> [bf16; SIDE] {
        let (row, first) = (self.first + token, self.column(part) + step * SIDE);
        let n = SIDE.min(self.dim() - step * SIDE);
        let mut line = [bf16::ZERO; SIDE];
        let qkv = self.qkv;
        if first.is_multiple_of(SIDE) && n == SIDE {
            line.copy_from_slice(&qkv.half[qkv.line(row, first / SIDE)..][..SIDE]);
        } else {
            for (column, number) in (first..first + n).zip(&mut line) {
                *number = qkv.half[qkv.line(row, column / SIDE) + column % SIDE];
            }
        }
        line
    }

    /// As [`Self::line`], zeros past the last token.
    #[inline(always)]
    fn line_or_zeros(&self, token: usize, part: usize, step: usize) -> [bf16; SIDE] {
        if token < self.len { self.line(token, part, step) } else { [bf16::ZERO; SIDE] }
    }

    /// Lays a step of 32 queries out as a block of rows.
    #[inline(always)]
    fn copy_queries(&self, block: usize, step: usize, to: &mut [bf16]) {
        for (token, to) in (block * SIDE..self.len).zip(to.chunks_exact_mut(SIDE)) {
            to.copy_from_slice(&self.line(token, 0, step));
        }
    }

    /// Lays a step of 32 keys out as a panel of columns, of which the dimensions are the inputs.
    #[inline(always)]
    fn copy_keys(&self, block: usize, step: usize, to: &mut [bf16]) {
        for (tile, to) in to.chunks_exact_mut(STEP / 2).enumerate() {
            let first = block * SIDE + tile * 16;
            let mut lines = [[bf16::ZERO; SIDE]; 16];
            for (token, line) in (first..self.len).zip(&mut lines) {
                *line = self.line(token, 1, step);
            }
            for (pair, to) in to.chunks_exact_mut(SIDE).enumerate() {
                for (line, to) in lines.iter().zip(to.chunks_exact_mut(2)) {
                    to.copy_from_slice(&line[2 * pair..2 * pair + 2]);
                }
            }
        }
    }

    /// Lays a step of 32 values out as a panel of columns, of which the tokens are the inputs.
    #[inline(always)]
    fn copy_values(&self, block: usize, step: usize, to: &mut [bf16]) {
        let (left, right) = to.split_at_mut(STEP / 2);
        let tiles = left.chunks_exact_mut(SIDE).zip(right.chunks_exact_mut(SIDE));
        for (pair, (left, right)) in tiles.enumerate() {
            let token = block * SIDE + 2 * pair;
            let (even, odd) = (self.line_or_zeros(token, 2, step), self.line_or_zeros(token + 1, 2, step));
            interleave(&even[..16], &odd[..16], left);
            interleave(&even[16..], &odd[16..], right);
        }
    }
}

#[inline(always)]
fn interleave(even: &[bf16], odd: &[bf16], to: &mut [bf16]) {
    for ((to, &even), &odd) in to.chunks_exact_mut(2).zip(even).zip(odd) {
        to[0] = even;
        to[1] = odd;
    }
}

impl Scratch {
    /// Copies a head out of the packed rows, in the order that squares are multiplied in. Padding is zero.
    #[inline(always)]
    fn take_head(&mut self, head: &Head<'_>) {
        let (n_steps, n_blocks) = (head.n_steps(), head.n_blocks());
        for buffer in [&mut self.queries, &mut self.keys, &mut self.values] {
            buffer.resize(n_steps * n_blocks * STEP);
        }
        for block in 0..n_blocks {
            for step in 0..n_steps {
                let (row_step, input_step) = (block * n_steps + step, step * n_blocks + block);
                head.copy_queries(block, step, &mut self.queries[row_step * STEP..][..STEP]);
                head.copy_keys(block, step, &mut self.keys[row_step * STEP..][..STEP]);
                head.copy_values(block, step, &mut self.values[input_step * STEP..][..STEP]);
            }
        }
    }

    /// The context of a block of 32 queries.
    #[inline(always)]
    fn attend<S: Simd, U: Unit>(&mut self, simd: S, unit: &U, head: &Head<'_>, block: usize, context: &Writer<'_>) {
        let (n_steps, n_blocks) = (head.n_steps(), head.n_blocks());
        let n_rows = SIDE.min(head.len - block * SIDE);
        self.scores.resize(n_blocks.max(self.scores.len()), Square::default());
        self.weights.resize(n_blocks * STEP);
        let queries = &self.queries[block * n_steps * STEP..][..n_steps * STEP];
        let mut largest = [simd.splat(f32::MIN); SIDE];
        for (keys, scores) in self.keys.chunks_exact(n_steps * STEP).zip(&mut self.scores) {
            unit.square(simd, queries, (keys, &[]), n_rows, scores, &mut Idle);
        }
        for (panel, scores) in self.scores[..n_blocks].iter_mut().enumerate() {
            if let Some(bias) = head.settings.bias {
                for (row, scores) in scores.0[..n_rows].iter_mut().enumerate() {
                    let at = (head.head, block * SIDE + row, panel * SIDE);
                    bias.add(simd, at, head.product_scale(), scores);
                }
            }
            if head.hides_keys_of(panel) {
                hide_keys(head, block, panel, n_rows, scores);
            }
            raise(simd, scores, n_rows, &mut largest);
        }
        let mut sums = [simd.splat(0.0); SIDE];
        let scale = simd.splat(head.scale());
        for (row, largest) in largest.iter_mut().enumerate() {
            // Rows past the last hold old scores, whose weights must not overflow.
            let shift = if row < n_rows { simd.largest(*largest) * head.scale() } else { f32::MAX };
            *largest = simd.splat(shift);
        }
        for (scores, weights) in self.scores.iter().zip(self.weights.chunks_exact_mut(STEP)) {
            for row in (0..n_rows).step_by(GROUP_ROWS) {
                for at in (0..SIDE).step_by(2 * S::LANES) {
                    weigh(simd, (row, at), scores, scale, &largest, &mut sums, weights);
                }
            }
        }
        self.add_values(simd, unit, head, block, &sums, context);
    }

    /// Weighs the values and divides by the sum of the weights.
    #[inline(always)]
    fn add_values<S: Simd, U: Unit>(
        &self,
        simd: S,
        unit: &U,
        head: &Head<'_>,
        block: usize,
        sums: &[S::F32; SIDE],
        context: &Writer<'_>,
    ) {
        let dim = head.dim();
        let n_rows = SIDE.min(head.len - block * SIDE);
        let mut square = Square::default();
        for (step, values) in self.values.chunks_exact(head.n_blocks() * STEP).enumerate() {
            unit.square(simd, &self.weights, (values, &[]), n_rows, &mut square, &mut Idle);
            let (column, n) = (head.column(0) + step * SIDE, SIDE.min(dim - step * SIDE));
            for (row, numbers) in square.0[..n_rows].iter_mut().enumerate() {
                let factor = simd.splat(1.0 / simd.sum(sums[row]));
                for numbers in numbers.chunks_exact_mut(S::LANES) {
                    simd.store(simd.mul(simd.load(numbers), factor), numbers);
                }
                context.write_some(simd, head.first + block * SIDE + row, column, &numbers[..n]);
            }
        }
    }
}

/// Turns a group of scores into `2^(scale * score - largest)`, within 1e-4 of itself: a twentieth of what rounding to
/// bf16 takes away.
#[inline(always)]
fn weigh<S: Simd>(
    simd: S,
    (first, at): (usize, usize),
    scores: &Square,
    scale: S::F32,
    largest: &[S::F32; SIDE],
    sums: &mut [S::F32; SIDE],
    weights: &mut [bf16],
) {
    let mut group = [[scale; 2]; GROUP_ROWS];
    for (row, group) in group.iter_mut().enumerate() {
        for (vector, power) in group.iter_mut().enumerate() {
            let score = simd.load(&scores.0[first + row][at + vector * S::LANES..]);
            *power = simd.sub(simd.mul(score, scale), largest[first + row]);
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

/// Gives the keys that a query does not attend to the least score, of which the weight vanishes.
fn hide_keys(head: &Head<'_>, block: usize, panel: usize, n_rows: usize, scores: &mut Square) {
    let panel = panel * SIDE..(panel + 1) * SIDE;
    for (row, scores) in scores.0[..n_rows].iter_mut().enumerate() {
        let keys = head.settings.mask.keys(block * SIDE + row, head.len);
        let start = keys.start.clamp(panel.start, panel.end) - panel.start;
        let end = keys.end.clamp(panel.start, panel.end) - panel.start;
        scores[..start].fill(f32::MIN);
        scores[end.max(start)..].fill(f32::MIN);
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
