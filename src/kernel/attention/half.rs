//! Attention with factors in bf16: both products are made of squares of 32 queries by 32 keys or dimensions.

use half::bf16;

use super::super::Isa;
use super::super::buffer::Buffer;
use super::super::operand::{Operand, SIDE, STEP};
use super::super::simd::{Kernel, Simd};
use super::super::square::{Idle, Square, Unit, Vectors, place_in_panel};
use super::{Job, weight};

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

pub(super) fn attend(isa: Isa, job: Job<'_>, context: &mut Operand, rows: &mut Buffer<f32>, scratch: &mut Scratch) {
    #[cfg(target_arch = "x86_64")]
    if let Some(unit) = super::super::tiles::Tiles::configure(isa) {
        return isa.run(Half { job, context, rows, scratch, unit });
    }
    isa.run(Half { job, context, rows, scratch, unit: Vectors });
}

struct Half<'a, U> {
    job: Job<'a>,
    context: &'a mut Operand,
    rows: &'a mut Buffer<f32>,
    scratch: &'a mut Scratch,
    unit: U,
}

impl<U: Unit> Kernel for Half<'_, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let width = self.job.width();
        for (first, len) in self.job.sequences() {
            self.rows.resize(len * width);
            for head in 0..self.job.settings.n_heads {
                let head = Head { job: self.job, first, len, head };
                self.scratch.take_head(&head);
                for block in 0..len.div_ceil(SIDE) {
                    self.scratch.attend(simd, &self.unit, &head, block, self.rows);
                }
            }
            for (row, numbers) in self.rows.chunks_exact(width).enumerate() {
                self.context.write_row(simd, first + row, numbers);
            }
        }
    }
}

/// One head of one sequence.
#[derive(Clone, Copy)]
struct Head<'a> {
    job: Job<'a>,
    first: usize,
    len: usize,
    head: usize,
}

impl Head<'_> {
    fn dim(&self) -> usize {
        self.job.settings.head_dim
    }

    /// Steps of 32 dimensions.
    fn n_steps(&self) -> usize {
        self.dim().div_ceil(SIDE)
    }

    /// Blocks of 32 tokens.
    fn n_blocks(&self) -> usize {
        self.len.div_ceil(SIDE)
    }

    /// Calls `take` with a dimension and what the token's query (0), key (1) or value (2) holds from there on, cut where
    /// either side begins a step.
    fn pieces(&self, token: usize, part: usize, mut take: impl FnMut(usize, &[bf16])) {
        let (row, first) = (self.first + token, part * self.job.width() + self.head * self.dim());
        let mut done = 0;
        while done < self.dim() {
            let column = first + done;
            let n = (SIDE - column % SIDE).min(SIDE - done % SIDE).min(self.dim() - done);
            let from = self.job.qkv.line(row, column / SIDE) + column % SIDE;
            take(done, &self.job.qkv.half[from..from + n]);
            done += n;
        }
    }
}

impl Scratch {
    /// Copies a head out of the packed rows, in the order that squares are multiplied in. Padding is zero.
    fn take_head(&mut self, head: &Head<'_>) {
        let (n_steps, n_blocks) = (head.n_steps(), head.n_blocks());
        for buffer in [&mut self.queries, &mut self.keys, &mut self.values] {
            buffer.resize(n_steps * n_blocks * STEP);
        }
        if !head.dim().is_multiple_of(SIDE) || !head.len.is_multiple_of(SIDE) {
            [&mut self.queries, &mut self.keys, &mut self.values]
                .into_iter()
                .for_each(|buffer| buffer.fill(bf16::ZERO));
        }
        for token in 0..head.len {
            let (block, within) = (token / SIDE * n_steps * STEP, token % SIDE);
            head.pieces(token, 0, |at, piece| {
                let line = block + at / SIDE * STEP + within * SIDE + at % SIDE;
                self.queries[line..line + piece.len()].copy_from_slice(piece);
            });
            head.pieces(token, 1, |at, piece| {
                for (at, &number) in (at..).zip(piece) {
                    self.keys[block + place_in_panel(within, at)] = number;
                }
            });
            head.pieces(token, 2, |at, piece| {
                for (at, &number) in (at..).zip(piece) {
                    self.values[at / SIDE * n_blocks * STEP + place_in_panel(at % SIDE, token)] = number;
                }
            });
        }
    }

    /// The context of a block of 32 queries.
    #[inline(always)]
    fn attend<S: Simd, U: Unit>(&mut self, simd: S, unit: &U, head: &Head<'_>, block: usize, context: &mut [f32]) {
        let (n_steps, n_blocks) = (head.n_steps(), head.n_blocks());
        let n_rows = SIDE.min(head.len - block * SIDE);
        self.scores.resize(n_blocks.max(self.scores.len()), Square::default());
        self.weights.resize(n_blocks * STEP);
        let queries = &self.queries[block * n_steps * STEP..][..n_steps * STEP];
        let mut largest = [simd.splat(f32::MIN); SIDE];
        for (keys, scores) in self.keys.chunks_exact(n_steps * STEP).zip(&mut self.scores) {
            unit.square(simd, queries, keys, n_rows, scores, &mut Idle);
        }
        for (panel, scores) in self.scores[..n_blocks].iter_mut().enumerate() {
            hide_keys(head, block, panel, scores);
            raise(simd, scores, n_rows, &mut largest);
        }
        let scale = simd.splat(head.job.scale());
        let mut sums = [simd.splat(0.0); SIDE];
        for row in 0..n_rows {
            let largest = simd.splat(simd.largest(largest[row]));
            for (scores, weights) in self.scores.iter().zip(self.weights.chunks_exact_mut(STEP)) {
                let line = &mut weights[row * SIDE..(row + 1) * SIDE];
                for (scores, to) in scores.0[row].chunks_exact(S::LANES).zip(line.chunks_exact_mut(S::LANES)) {
                    let weights = weight(simd, simd.load(scores), scale, largest);
                    sums[row] = simd.add(sums[row], weights);
                    simd.store_bf16(weights, to);
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
        context: &mut [f32],
    ) {
        let (dim, width) = (head.dim(), head.job.width());
        let n_rows = SIDE.min(head.len - block * SIDE);
        let mut square = Square::default();
        for (step, values) in self.values.chunks_exact(head.n_blocks() * STEP).enumerate() {
            unit.square(simd, &self.weights, values, n_rows, &mut square, &mut Idle);
            for (row, numbers) in square.0[..n_rows].iter().enumerate() {
                let factor = simd.splat(1.0 / simd.sum(sums[row]));
                let at = (block * SIDE + row) * width + head.head * dim + step * SIDE;
                let out = &mut context[at..at + SIDE.min(dim - step * SIDE)];
                for (numbers, out) in numbers.chunks_exact(S::LANES).zip(out.chunks_mut(S::LANES)) {
                    simd.store_up_to(simd.mul(simd.load(numbers), factor), out);
                }
            }
        }
    }
}

/// Gives the keys that a query does not attend to the least score, of which the weight vanishes.
fn hide_keys(head: &Head<'_>, block: usize, panel: usize, scores: &mut Square) {
    let panel = panel * SIDE..(panel + 1) * SIDE;
    for (row, scores) in scores.0.iter_mut().enumerate() {
        let keys = head.job.settings.mask.keys(block * SIDE + row, head.len);
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
