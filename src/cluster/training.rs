//! One run of Lloyd's algorithm on the sphere: label, move each centroid to the mean direction of its rows, repeat.
//!
//! Returns a [`Run`] and keeps nothing. Sums are in f64 and a cluster's rows are added in order, so that nothing depends
//! on the number of threads.

use rayon::prelude::*;

use super::nearest::{Centroids, rescore};
use super::{Rows, Settings};
use crate::error::Result;
use crate::kernel::Nearest;
use crate::progress::Progress;
use crate::vectors::Vectors;

/// A row with at least this score is where its centroid is: it has no better place.
const AT_CENTROID: f32 = 1.0 - 1e-6;

/// Where a run ended.
pub(super) struct Run {
    /// Those that `nearest` was labelled with.
    pub centroids: Centroids,
    /// `index` is right, `score` and `second` are bounds, as [`Rows::relabel`] leaves them.
    pub nearest: Vec<Nearest>,
    /// Mean score of a row with its centroid.
    pub objective: f64,
    /// How often the centroids moved.
    pub iterations: usize,
    /// Whether the objective or every label stood still; otherwise the iterations ran out.
    pub converged: bool,
}

/// Trains from `seeds`.
///
/// # Errors
/// [`crate::error::Error::Interrupted`] when cancelled.
pub(super) fn run(rows: &Rows<'_>, seeds: Vec<f32>, settings: &Settings, progress: &dyn Progress) -> Result<Run> {
    let vectors = rows.vectors;
    let centroids = Centroids::new(vectors.dim(), seeds);
    let mut nearest = vec![Nearest::default(); vectors.len()];
    rows.label(&centroids, &mut nearest, progress)?;
    let mut sums = Sums::empty(vectors.len(), vectors.dim(), centroids.len());
    sums.follow(vectors, &nearest);
    let mut run = Run { objective: sums.objective(&centroids), centroids, nearest, iterations: 0, converged: false };
    while !run.converged && run.iterations < settings.max_iterations {
        run.step(rows, &mut sums, settings.tolerance, progress)?;
    }
    Ok(run)
}

impl Run {
    /// Moves the centroids to the mean directions of their rows, and the rows to their nearest centroids.
    fn step(&mut self, rows: &Rows<'_>, sums: &mut Sums, tolerance: f64, progress: &dyn Progress) -> Result<()> {
        let n_filled = self.fill_empty(rows.vectors, sums, progress)?;
        let moved = sums.directions(&self.centroids);
        rows.relabel(&self.centroids, &moved, &mut self.nearest, progress)?;
        let n_moved = sums.follow(rows.vectors, &self.nearest);
        let objective = sums.objective(&moved);
        let stands_still = n_moved == 0 || objective - self.objective <= tolerance * (1.0 - self.objective);
        self.converged = n_filled == 0 && stands_still;
        self.iterations += 1;
        self.objective = objective;
        self.centroids = moved;
        Ok(())
    }

    /// Gives each empty cluster the row that fits worst where it is, and returns how many were filled.
    fn fill_empty(&mut self, vectors: &Vectors, sums: &mut Sums, progress: &dyn Progress) -> Result<usize> {
        if !sizes(self.nearest.iter().map(|row| row.index), self.centroids.len()).contains(&0) {
            return Ok(0);
        }
        rescore(vectors.as_slice(), &self.centroids, &mut self.nearest, progress)?;
        let n_filled = fill_empty(&mut self.nearest, self.centroids.len());
        sums.follow(vectors, &self.nearest);
        Ok(n_filled)
    }
}

/// As [`Run::fill_empty`], where every score is right.
fn fill_empty(nearest: &mut [Nearest], k: usize) -> usize {
    let mut sizes = sizes(nearest.iter().map(|row| row.index), k);
    let empty: Vec<usize> = (0..k).filter(|&cluster| sizes[cluster] == 0).collect();
    let mut worst: Vec<usize> = (0..nearest.len()).filter(|&row| nearest[row].score < AT_CENTROID).collect();
    worst.sort_by(|&a, &b| nearest[a].score.total_cmp(&nearest[b].score));
    let mut unfilled = empty.iter();
    for row in worst {
        let home = nearest[row].index as usize;
        if sizes[home] > 1 {
            let Some(&cluster) = unfilled.next() else { break };
            sizes[home] -= 1;
            // The bound says that any other centroid may be as near, so that the row is looked at afresh.
            nearest[row] = Nearest { index: cluster as u32, score: 1.0, second: 1.0 };
        }
    }
    empty.len() - unfilled.len()
}

/// Rows per cluster.
pub(super) fn sizes(clusters: impl Iterator<Item = u32>, k: usize) -> Vec<usize> {
    let mut sizes = vec![0; k];
    clusters.for_each(|cluster| sizes[cluster as usize] += 1);
    sizes
}

/// The sum of each cluster's rows, kept up to date by those that move.
struct Sums {
    dim: usize,
    totals: Vec<f64>,
    homes: Vec<u32>,
}

impl Sums {
    /// A row that was not counted anywhere yet.
    const NOWHERE: u32 = u32::MAX;

    fn empty(n_rows: usize, dim: usize, k: usize) -> Self {
        Self { dim, totals: vec![0.0; k * dim], homes: vec![Self::NOWHERE; n_rows] }
    }

    /// Moves rows to where `nearest` has them and returns how many moved.
    fn follow(&mut self, vectors: &Vectors, nearest: &[Nearest]) -> usize {
        let mut changes: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.totals.len() / self.dim];
        let mut n_moved = 0;
        for (row, (home, nearest)) in self.homes.iter_mut().zip(nearest).enumerate() {
            if *home != nearest.index {
                if *home != Self::NOWHERE {
                    changes[*home as usize].push((row, -1.0));
                }
                changes[nearest.index as usize].push((row, 1.0));
                *home = nearest.index;
                n_moved += 1;
            }
        }
        self.totals.par_chunks_mut(self.dim).zip(changes).for_each(|(total, changes)| {
            for (row, sign) in changes {
                for (total, &value) in total.iter_mut().zip(vectors.row(row)) {
                    *total += sign * f64::from(value);
                }
            }
        });
        n_moved
    }

    /// The mean score of all rows with their centroids: of a cluster, the product of centroid and sum.
    fn objective(&self, centroids: &Centroids) -> f64 {
        let products = self.totals.iter().zip(centroids.rows()).map(|(total, &value)| total * f64::from(value));
        products.sum::<f64>() / self.homes.len() as f64
    }

    /// The mean direction of each cluster; where there is none, as for an empty cluster, the old one.
    fn directions(&self, old: &Centroids) -> Centroids {
        let mut rows = old.rows().to_vec();
        for (row, total) in rows.chunks_exact_mut(self.dim).zip(self.totals.chunks_exact(self.dim)) {
            let length = total.iter().map(|value| value * value).sum::<f64>().sqrt();
            // Below it only the rounding of rows that were added and taken away again is left.
            if length > 1e-9 {
                row.iter_mut().zip(total).for_each(|(value, &total)| *value = (total / length) as f32);
            }
        }
        Centroids::new(self.dim, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(index: u32, score: f32) -> Nearest {
        Nearest { index, score, second: 0.0 }
    }

    #[test]
    fn an_empty_cluster_takes_the_worst_row_that_is_not_alone() {
        let mut nearest = [row(0, 0.9), row(0, 0.7), row(2, 0.1), row(0, 0.8)];
        assert_eq!(fill_empty(&mut nearest, 3), 1);
        assert_eq!(nearest.map(|row| row.index), [0, 1, 2, 0]);
    }

    #[test]
    fn rows_at_their_centroid_stay() {
        let mut nearest = [row(0, 1.0), row(0, 1.0)];
        assert_eq!(fill_empty(&mut nearest, 2), 0);
    }

    #[test]
    fn sums_follow_rows_from_cluster_to_cluster() {
        let vectors = Vectors::normalised(2, vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0]).expect("directions");
        let old = Centroids::new(2, vec![0.6, 0.8, 0.8, 0.6]);
        let mut sums = Sums::empty(3, 2, 2);
        assert_eq!(sums.follow(&vectors, &[row(0, 0.0), row(0, 0.0), row(0, 0.0)]), 3);
        assert_eq!(sums.directions(&old).rows(), [0.0, 1.0, 0.8, 0.6]);
        assert_eq!(sums.follow(&vectors, &[row(0, 0.0), row(1, 0.0), row(1, 0.0)]), 2);
        let half = 0.5f32.sqrt();
        assert_eq!(sums.directions(&old).rows(), [1.0, 0.0, -half, half]);
    }
}
