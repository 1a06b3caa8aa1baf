//! The nearest of many centroids for each row: a product fused with its arg-max, so that it is never held.
//!
//! Where there are matrix tiles, a product in bf16 singles out the few centroids that can be among the two nearest,
//! and only those are scored in f32: the same answer, several times faster.

mod coarse;

use super::PackedMatrix;
use super::product::{self, TileUser};
use super::simd::{Kernel, Simd};
use super::tiles::Tiles;

/// The centroid with the highest dot product, and how clear the choice was.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Nearest {
    /// Which centroid; the lowest index of those with equal scores.
    pub index: u32,
    /// Its dot product with the row.
    pub score: f32,
    /// The dot product of the next best centroid: `score` again where two are equally near, minus infinity where there
    /// is only one.
    pub second: f32,
}

/// The most centroids that [`nearest`] takes: their numbers are kept in lanes of f32.
const MOST_CENTROIDS: usize = 1 << 24;

pub(super) use coarse::Coarse;

/// Finds the nearest of the packed centroids for each row.
pub fn nearest(rows: &[f32], centroids: &PackedMatrix, out: &mut [Nearest]) {
    assert!(!centroids.is_empty() && centroids.len() <= MOST_CENTROIDS, "1 to {MOST_CENTROIDS} centroids");
    assert_eq!(rows.len(), out.len() * centroids.dim(), "one result for each row");
    if let Some(coarse) = centroids.coarse()
        && let Some(unit) = Tiles::configure(centroids.isa())
    {
        return centroids.isa().run(coarse::Assign { rows, centroids: coarse, out, unit });
    }
    centroids.isa().run(Assign { rows, centroids, out });
}

struct Assign<'a> {
    rows: &'a [f32],
    centroids: &'a PackedMatrix,
    out: &'a mut [Nearest],
}

impl Kernel for Assign<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let blocks = self.rows.chunks(product::BLOCK_ROWS * self.centroids.dim());
        let mut running = Running { lanes: Vec::with_capacity(product::BLOCK_ROWS), n_columns: self.centroids.len() };
        for (rows, out) in blocks.zip(self.out.chunks_mut(product::BLOCK_ROWS)) {
            running.lanes.clear();
            running.lanes.resize(out.len(), Lanes::nothing(simd));
            product::multiply::<S, ROWS, _>(simd, rows, self.centroids, 0..self.centroids.n_panels(), 0, &mut running);
            for (out, lanes) in out.iter_mut().zip(&running.lanes) {
                *out = lanes.reduce(simd);
            }
        }
    }
}

/// The best so far of each row, lane by lane.
struct Running<S: Simd> {
    lanes: Vec<Lanes<S>>,
    n_columns: usize,
}

#[derive(Clone, Copy)]
struct Lanes<S: Simd> {
    best: S::F32,
    second: S::F32,
    index: S::F32,
}

impl<S: Simd> TileUser<S> for Running<S> {
    #[inline(always)]
    fn take<const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        sums: &[[S::F32; VECTORS]; ROWS],
    ) {
        let never = simd.splat(f32::NEG_INFINITY);
        let last = simd.splat(self.n_columns as f32);
        let mut indices = [simd.iota(); VECTORS];
        for (vector, index) in indices.iter_mut().enumerate() {
            *index = simd.add(*index, simd.splat((column + vector * S::LANES) as f32));
        }
        let padded = column + VECTORS * S::LANES > self.n_columns;
        for (lanes, sums) in self.lanes[row..row + ROWS].iter_mut().zip(sums) {
            for (&index, &sum) in indices.iter().zip(sums) {
                let sum = if padded { simd.select(simd.greater(last, index), sum, never) } else { sum };
                lanes.take(simd, sum, index);
            }
        }
    }
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    fn nothing(simd: S) -> Self {
        let never = simd.splat(f32::NEG_INFINITY);
        Self { best: never, second: never, index: simd.splat(0.0) }
    }

    /// Columns come in ascending order, so of equal scores the earlier one stays.
    #[inline(always)]
    fn take(&mut self, simd: S, score: S::F32, index: S::F32) {
        let better = simd.greater(score, self.best);
        self.second = simd.max(self.second, simd.min(self.best, score));
        self.best = simd.max(self.best, score);
        self.index = simd.select(better, index, self.index);
    }

    /// The best lane; its own second and the best of the other lanes compete to be second.
    #[inline(always)]
    fn reduce(&self, simd: S) -> Nearest {
        let score = simd.largest(self.best);
        let behind = simd.greater(simd.splat(score), self.best);
        let candidates = simd.select(behind, simd.splat(f32::INFINITY), self.index);
        let index = -simd.largest(simd.sub(simd.splat(0.0), candidates));
        let others = simd.greater(candidates, simd.splat(index));
        let second = simd.largest(simd.select(others, self.best, self.second));
        Nearest { index: index as u32, score, second }
    }
}

impl Nearest {
    /// Before the first centroid.
    const NOTHING: Self = Self { index: u32::MAX, score: f32::NEG_INFINITY, second: f32::NEG_INFINITY };

    /// Takes another centroid into account; they come in ascending order, so of equal scores the earlier one stays.
    #[inline(always)]
    fn offer(&mut self, index: u32, score: f32) {
        if score > self.score {
            *self = Self { index, score, second: self.score };
        } else {
            self.second = self.second.max(score);
        }
    }
}
