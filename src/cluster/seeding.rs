//! Where k-means starts: rows far from each other, by greedy k-means++.
//!
//! Each step draws a few candidates with a probability that grows with their distance from the seeds so far, and keeps
//! the one that brings all rows nearest (Arthur and Vassilvitskii 2007, section 7). Every row remembers its best seed, so
//! the whole costs one pass of products per step. It works on a sample: more rows than some tens per seed made no
//! training better, on abstracts of 2,000 to 40,000 papers.

use rand::Rng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::kernel::{self, Isa, PackedMatrix};
use crate::progress::Progress;
use crate::vectors::{Vectors, normalise};

/// Rows examined for each seed.
const ROWS_PER_SEED: usize = 10;
/// Rows examined however few seeds are wanted.
const FEWEST_ROWS: usize = 2048;
/// Rows whose distances are summed together. Fixed, so that sums do not depend on how the work was divided.
const BLOCK: usize = 252;
/// A step takes a task of fewer blocks less time than handing it to another thread.
const BLOCKS_PER_TASK: usize = 4;
/// One minus the cosine of rows that count as one: rounding in a model separates equal texts by less.
const SAME_DIRECTION: f32 = 1e-6;

/// Up to `k` rows, as the first centroids; fewer where `vectors` holds fewer directions.
///
/// # Errors
/// [`Error::Interrupted`] when cancelled.
pub(super) fn seeds(vectors: &Vectors, k: usize, rng: &mut ChaCha8Rng, progress: &dyn Progress) -> Result<Vec<f32>> {
    let n_sample = (k * ROWS_PER_SEED).max(FEWEST_ROWS);
    if n_sample < vectors.len() {
        let mut chosen = index::sample(rng, vectors.len(), n_sample).into_vec();
        chosen.sort_unstable();
        let found = greedy(unit_rows(vectors, chosen.into_iter()), vectors.dim(), k, rng, progress)?;
        if found.len() == k * vectors.dim() {
            return Ok(found);
        }
    }
    greedy(unit_rows(vectors, 0..vectors.len()), vectors.dim(), k, rng, progress)
}

/// Copies of rows at full precision of their length, so that equal directions have a cosine of one.
fn unit_rows(vectors: &Vectors, chosen: impl Iterator<Item = usize>) -> Vec<f32> {
    let mut rows: Vec<f32> = chosen.flat_map(|row| vectors.row(row)).copied().collect();
    rows.chunks_exact_mut(vectors.dim()).for_each(|row| {
        normalise(row);
    });
    rows
}

fn greedy(rows: Vec<f32>, dim: usize, k: usize, rng: &mut ChaCha8Rng, progress: &dyn Progress) -> Result<Vec<f32>> {
    let n_candidates = 2 + (k as f64).ln() as usize;
    let mut sample = Sample { distance: vec![2.0; rows.len() / dim], dim, rows };
    let first = rng.gen_range(0..sample.distance.len());
    let mut seeds = sample.rows[first * dim..][..dim].to_vec();
    sample.take_best(&seeds);
    while seeds.len() < k * dim {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        let candidates = sample.draw(n_candidates, rng);
        if candidates.is_empty() {
            break;
        }
        seeds.extend_from_slice(sample.take_best(&candidates));
    }
    Ok(seeds)
}

/// Rows and how far each is from its nearest seed, as one minus the cosine.
struct Sample {
    dim: usize,
    rows: Vec<f32>,
    distance: Vec<f32>,
}

impl Sample {
    /// Draws rows with a probability proportional to their distance; none where every row is at a seed.
    fn draw(&self, n_candidates: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut total = 0.0;
        let cumulative: Vec<f64> = self
            .distance
            .iter()
            .map(|&distance| {
                total += f64::from(distance);
                total
            })
            .collect();
        if total <= 0.0 {
            return Vec::new();
        }
        (0..n_candidates)
            .flat_map(|_| {
                let point = rng.r#gen::<f64>() * total;
                // A product can round up to the total itself: then the last row that is away from a seed.
                let row = cumulative.partition_point(|&sum| sum <= point);
                let row = row.min(cumulative.partition_point(|&sum| sum < total));
                &self.rows[row * self.dim..][..self.dim]
            })
            .copied()
            .collect()
    }

    /// Makes a seed of the candidate that leaves the rows nearest to their seeds in total, and returns it.
    fn take_best<'a>(&mut self, candidates: &'a [f32]) -> &'a [f32] {
        let packed = PackedMatrix::pack(Isa::best(), candidates, self.dim);
        let mut scores = vec![0.0; self.distance.len() * packed.len()];
        let best = self.best_candidate(&packed, &mut scores);
        for (distance, scores) in self.distance.iter_mut().zip(scores.chunks_exact(packed.len())) {
            *distance = nearer(*distance, scores[best]);
        }
        &candidates[best * self.dim..][..self.dim]
    }

    fn best_candidate(&self, candidates: &PackedMatrix, scores: &mut [f32]) -> usize {
        let n = candidates.len();
        let blocks: Vec<Vec<f64>> = self
            .rows
            .par_chunks(BLOCK * self.dim)
            .zip(self.distance.par_chunks(BLOCK))
            .zip(scores.par_chunks_mut(BLOCK * n))
            .with_min_len(BLOCKS_PER_TASK)
            .map(|((rows, distances), scores)| {
                kernel::scores(rows, candidates, scores);
                left_over(distances, scores, n)
            })
            .collect();
        let mut totals = vec![0.0; n];
        for block in &blocks {
            totals.iter_mut().zip(block).for_each(|(total, part)| *total += part);
        }
        (0..n).min_by(|&a, &b| totals[a].total_cmp(&totals[b])).unwrap_or(0)
    }
}

/// What remains of the distances in a block with each candidate as a seed.
fn left_over(distances: &[f32], scores: &[f32], n_candidates: usize) -> Vec<f64> {
    let mut sums = vec![0.0; n_candidates];
    for (&distance, scores) in distances.iter().zip(scores.chunks_exact(n_candidates)) {
        for (sum, &score) in sums.iter_mut().zip(scores) {
            *sum += f64::from(nearer(distance, score));
        }
    }
    sums
}

fn nearer(distance: f32, score: f32) -> f32 {
    let to_seed = 1.0 - score;
    if to_seed < SAME_DIRECTION { 0.0 } else { distance.min(to_seed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use rand::SeedableRng;

    fn check(rows: Vec<f32>, k: usize, n_expected: usize) {
        let vectors = Vectors::normalised(2, rows).expect("directions");
        for seed in 0..20 {
            let found = seeds(&vectors, k, &mut ChaCha8Rng::seed_from_u64(seed), &Silent).expect("not cancelled");
            let mut found: Vec<&[f32]> = found.chunks(2).collect();
            found.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
            found.dedup();
            assert_eq!(found.len(), n_expected, "seed {seed}");
        }
    }

    #[test]
    fn seeds_are_different_directions_and_stop_when_there_are_no_more() {
        check(vec![1.0, 0.0], 1, 1);
        check([1.0, 0.0].repeat(5), 3, 1);
        check([1.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.6, 0.8].repeat(4), 4, 3);
        check([1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.6, 0.8].repeat(4), 3, 3);
    }

    #[test]
    fn directions_that_a_sample_misses_are_found_among_all_rows() {
        let mut rows = [1.0, 0.0].repeat(20_000);
        rows.extend([0.0, 1.0]);
        check(rows, 2, 2);
    }
}
