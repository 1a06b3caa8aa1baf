//! The best few of many scores.

use std::cmp::Ordering;

use super::product::{self, PackedMatrix, TileUser};
use super::simd::{Kernel, Simd};

/// A row and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The index that the row was offered with.
    pub index: usize,
    /// Its score.
    pub score: f32,
}

/// The `k` highest scores offered so far; of equal scores, those of the lowest indices.
///
/// The result does not depend on the order of the offers.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    /// A heap with the worst hit first, so that a better one takes its place.
    heap: Vec<Hit>,
}

impl TopK {
    /// Nothing yet, and room for `k`.
    pub fn new(k: usize) -> Self {
        Self { k, heap: Vec::with_capacity(k.min(1 << 16)) }
    }

    /// A score can only enter when it is greater than this. One comparison spares nearly every call of [`Self::push`].
    pub fn gate(&self) -> f32 {
        if self.heap.len() < self.k {
            return f32::NEG_INFINITY;
        }
        // A score equal to the worst may still enter by its index, so the gate lies just below.
        self.heap.first().map_or(f32::INFINITY, |worst| worst.score.next_down())
    }

    /// Offers a score.
    pub fn push(&mut self, score: f32, index: usize) {
        let hit = Hit { index, score };
        if self.heap.len() < self.k {
            self.heap.push(hit);
            self.sift_up(self.heap.len() - 1);
        } else if self.heap.first().is_some_and(|worst| order(&hit, worst).is_lt()) {
            self.heap[0] = hit;
            self.sift_down();
        }
    }

    /// Offers everything that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for hit in &other.heap {
            self.push(hit.score, hit.index);
        }
    }

    /// The hits, best first.
    pub fn into_sorted(mut self) -> Vec<Hit> {
        self.heap.sort_unstable_by(order);
        self.heap
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if order(&self.heap[at], &self.heap[parent]).is_le() {
                break;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    fn sift_down(&mut self) {
        let mut at = 0;
        loop {
            let mut worst = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && order(&self.heap[child], &self.heap[worst]).is_gt() {
                    worst = child;
                }
            }
            if worst == at {
                return;
            }
            self.heap.swap(at, worst);
            at = worst;
        }
    }
}

/// Better hits first.
fn order(a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score).then(a.index.cmp(&b.index))
}

/// Offers every row of `rows` to every query's `best`, with their dot product as score.
///
/// The first row has the index `first_index`; `best` has one entry for each row of `queries`. The products are never
/// held: a row's scores are compared with the queries' gates while still in registers' reach.
pub fn scan_many(queries: &PackedMatrix, rows: &[f32], first_index: usize, best: &mut [TopK]) {
    assert_eq!(best.len(), queries.len(), "one selection for each query");
    queries.isa().run(ScanMany { queries, rows, first_index, best });
}

struct ScanMany<'a> {
    queries: &'a PackedMatrix,
    rows: &'a [f32],
    first_index: usize,
    best: &'a mut [TopK],
}

impl Kernel for ScanMany<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let mut gates = vec![f32::INFINITY; self.queries.padded_len()];
        for (gate, best) in gates.iter_mut().zip(&*self.best) {
            *gate = best.gate();
        }
        let mut offer = Offer { best: self.best, gates };
        for (block, rows) in self.rows.chunks(product::BLOCK_ROWS * self.queries.dim()).enumerate() {
            let first_index = self.first_index + block * product::BLOCK_ROWS;
            product::multiply::<S, ROWS, _>(
                simd,
                rows,
                self.queries,
                0..self.queries.n_panels(),
                first_index,
                &mut offer,
            );
        }
    }
}

struct Offer<'a> {
    best: &'a mut [TopK],
    /// One for each query; those of padding are never passed.
    gates: Vec<f32>,
}

impl<S: Simd> TileUser<S> for Offer<'_> {
    #[inline(always)]
    fn take<const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        sums: &[[S::F32; VECTORS]; ROWS],
    ) {
        for (tile_row, sums) in sums.iter().enumerate() {
            for (vector, &sum) in sums.iter().enumerate() {
                let column = column + vector * S::LANES;
                let passed = simd.bits(simd.greater(sum, simd.load(&self.gates[column..])));
                if passed != 0 {
                    let mut scores = [0.0; 16];
                    simd.store(sum, &mut scores);
                    self.push(passed, &scores, row + tile_row, column);
                }
            }
        }
    }
}

impl Offer<'_> {
    /// Kept out of the loop that compares: few scores come here.
    #[cold]
    #[inline(never)]
    fn push(&mut self, mut passed: u32, scores: &[f32; 16], index: usize, column: usize) {
        while passed != 0 {
            let lane = passed.trailing_zeros() as usize;
            passed &= passed - 1;
            self.best[column + lane].push(scores[lane], index);
            self.gates[column + lane] = self.best[column + lane].gate();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offers: &[(f32, usize)], k: usize, expected: &[usize]) {
        let mut forwards = TopK::new(k);
        let mut backwards = TopK::new(k);
        for &(score, index) in offers {
            forwards.push(score, index);
        }
        for &(score, index) in offers.iter().rev().filter(|offer| offer.0.is_finite()) {
            if score > backwards.gate() {
                backwards.push(score, index);
            }
        }
        let sorted = forwards.into_sorted();
        assert_eq!(sorted, backwards.into_sorted());
        assert_eq!(sorted.iter().map(|hit| hit.index).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_best_are_kept_and_ties_go_to_the_lower_index() {
        check(&[(0.1, 0), (0.5, 1), (0.5, 2), (0.9, 3), (0.5, 4)], 3, &[3, 1, 2]);
        check(&[(0.5, 9), (0.5, 3), (0.5, 7), (0.5, 1)], 2, &[1, 3]);
        check(&[(0.5, 0), (0.25, 1)], 8, &[0, 1]);
        check(&[(0.5, 0)], 0, &[]);
        check(&[], 3, &[]);
    }
}
