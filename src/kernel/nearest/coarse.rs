//! The two nearest centroids by a product in bf16, proven by scores in f32.
//!
//! Let `s` be a score from rounded factors and `t` the same by `dot`, and `e` a bound of `|s - t|` for all centroids of
//! a row. Two centroids have `s` at or above the second largest `s2`, so the second largest `t` is at least `s2 - e`, and
//! whatever is among the two nearest by `t` has `s >= s2 - 2e`. Only those are scored by `dot`, so the answer is that of
//! scoring all by `dot`. With `a` a row, `b` a centroid and `da`, `db` what rounding takes from them,
//! `|s - t| <= |da| |b| + |a + da| |db|` and the rounding of two sums in f32.

use half::bf16;

use super::super::buffer::Buffer;
use super::super::dot::dot_with;
use super::super::operand::{SIDE, STEP};
use super::super::simd::{Kernel, Simd};
use super::super::square::{Factors, Idle, Kept, Panels, Square, Unit};
use super::Nearest;

/// Panels that a block of rows meets before its candidates are scored: their squares stay in the second cache.
const GROUP: usize = 64;

/// Centroids rounded to bf16 and as they are.
#[derive(Debug, Clone)]
pub(in crate::kernel) struct Coarse {
    dim: usize,
    rows: Vec<f32>,
    panels: Panels,
    /// Length of the longest centroid, and of the most that rounding takes from one.
    longest: f32,
    longest_error: f32,
}

impl Coarse {
    pub(in crate::kernel) fn pack(rows: &[f32], dim: usize) -> Self {
        let error = |&number: &f32| number - bf16::from_f32(number).to_f32();
        let longest = rows.chunks_exact(dim).map(|row| length(row.iter().copied())).fold(0.0, f32::max);
        let longest_error = rows.chunks_exact(dim).map(|row| length(row.iter().map(error))).fold(0.0, f32::max);
        Self { dim, rows: rows.to_vec(), panels: Panels::pack(rows, dim), longest, longest_error }
    }

    fn len(&self) -> usize {
        self.rows.len() / self.dim
    }
}

fn length(numbers: impl Iterator<Item = f32>) -> f32 {
    numbers.map(|number| f64::from(number).powi(2)).sum::<f64>().sqrt() as f32
}

pub(super) struct Assign<'a, U> {
    pub(super) rows: &'a [f32],
    pub(super) centroids: &'a Coarse,
    pub(super) out: &'a mut [Nearest],
    pub(super) unit: U,
}

impl<U: Unit> Kernel for Assign<'_, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let Coarse { dim, panels, .. } = self.centroids;
        let mut block = Block {
            rounded: Buffer::zeroed(panels.n_steps * STEP),
            bounds: [0.0; SIDE],
            scores: vec![Square::default(); panels.n_panels.min(GROUP)],
            peaks: Square::default(),
        };
        for (rows, out) in self.rows.chunks(SIDE * dim).zip(self.out.chunks_mut(SIDE)) {
            block.round(simd, rows, self.centroids);
            out.fill(Nearest::NOTHING);
            for first in (0..panels.n_panels).step_by(GROUP) {
                let group = first..panels.n_panels.min(first + GROUP);
                block.score(simd, &self.unit, self.centroids, group.clone(), out.len());
                block.settle(simd, rows, self.centroids, group, out);
            }
        }
    }
}

/// 32 rows at work.
struct Block {
    rounded: Buffer<bf16>,
    /// How far a score of each row can be from that by `dot`.
    bounds: [f32; SIDE],
    scores: Vec<Square>,
    /// The largest scores of each row, each of other columns.
    peaks: Square,
}

impl Block {
    #[inline(always)]
    fn round<S: Simd>(&mut self, simd: S, rows: &[f32], centroids: &Coarse) {
        for (at, row) in rows.chunks_exact(centroids.dim).enumerate() {
            let mut error = simd.splat(0.0);
            for (step, numbers) in row.chunks(SIDE).enumerate() {
                let line = &mut self.rounded[step * STEP + at * SIDE..][..SIDE];
                for (vector, line) in line.chunks_exact_mut(S::LANES).enumerate() {
                    let exact = simd.load_up_to(numbers.get(vector * S::LANES..).unwrap_or_default());
                    simd.store_bf16(exact, line);
                    let lost = simd.sub(exact, simd.load_bf16(line));
                    error = simd.mul_add(lost, lost, error);
                }
            }
            self.bounds[at] = bound(centroids, dot_with(simd, row, row).sqrt(), simd.sum(error).sqrt());
        }
    }

    #[inline(always)]
    fn score<S: Simd, U: Unit>(
        &mut self,
        simd: S,
        unit: &U,
        centroids: &Coarse,
        group: std::ops::Range<usize>,
        n_rows: usize,
    ) {
        self.peaks.0.fill([f32::MIN; SIDE]);
        for (scores, panel) in self.scores.iter_mut().zip(group) {
            let columns = centroids.panels.panel(panel);
            let factors = Factors { rows: &self.rounded, columns, next_columns: &[], kept: Kept::Rows };
            unit.square(simd, factors, n_rows, scores, &mut Idle);
            let n_columns = centroids.len() - panel * SIDE;
            if n_columns < SIDE {
                scores.0.iter_mut().for_each(|row| row[n_columns..].fill(f32::MIN));
            }
            for (scores, peaks) in scores.0[..n_rows].iter().zip(&mut self.peaks.0) {
                for at in (0..SIDE).step_by(S::LANES) {
                    let peak = simd.max(simd.load(&peaks[at..]), simd.load(&scores[at..]));
                    simd.store(peak, &mut peaks[at..]);
                }
            }
        }
    }

    /// Scores the candidates of a group of panels in f32.
    #[inline(always)]
    fn settle<S: Simd>(
        &self,
        simd: S,
        rows: &[f32],
        centroids: &Coarse,
        group: std::ops::Range<usize>,
        out: &mut [Nearest],
    ) {
        let dim = centroids.dim;
        for (at, (row, found)) in rows.chunks_exact(dim).zip(out).enumerate() {
            let least = simd.splat(second_largest(simd, &self.peaks.0[at]) - 2.0 * self.bounds[at]);
            for (scores, panel) in self.scores.iter().zip(group.clone()) {
                for first in (0..SIDE).step_by(S::LANES) {
                    let below = simd.bits(simd.greater(least, simd.load(&scores.0[at][first..])));
                    let mut candidates = !below & ((1 << S::LANES) - 1);
                    while candidates != 0 {
                        let index = panel * SIDE + first + candidates.trailing_zeros() as usize;
                        candidates &= candidates - 1;
                        if index < centroids.len() {
                            let score = dot_with(simd, row, &centroids.rows[index * dim..][..dim]);
                            found.offer(index as u32, score);
                        }
                    }
                }
            }
        }
    }
}

/// The bound of the module's head, for a row of length `length` that rounding takes `error` from.
fn bound(centroids: &Coarse, length: f32, error: f32) -> f32 {
    let rounding = error * centroids.longest + (length + error) * centroids.longest_error;
    // Two sums of `dim` products, each rounded at most once more than there are products; doubled, to be safe.
    let sums = 4.0 * centroids.dim as f32 * (f32::EPSILON / 2.0) * (length + error) * centroids.longest;
    1.01 * (rounding + sums) + f32::MIN_POSITIVE
}

/// At most the second largest of all scores of a row, for each number is one of them; less where several are largest.
#[inline(always)]
fn second_largest<S: Simd>(simd: S, peaks: &[f32; SIDE]) -> f32 {
    let least = simd.splat(f32::MIN);
    let (mut first, mut second) = (least, least);
    for at in (0..SIDE).step_by(S::LANES) {
        let peaks = simd.load(&peaks[at..]);
        second = simd.max(second, simd.min(first, peaks));
        first = simd.max(first, peaks);
    }
    let behind = simd.greater(simd.splat(simd.largest(first)), first);
    simd.largest(simd.max(second, simd.select(behind, first, least)))
}
