//! For every row the most similar centroid and how close the runner-up comes, exactly, from as few products as possible.
//!
//! The product kernel gives a pair of row and centroid the same bits in any company, so a label depends on the row and
//! the centroids alone: not on the block it falls in, the number of threads, or whether it is made in training or later.
//! In training most rows keep their label. [`relabel`] proves that from how far the centroids turned, and multiplies
//! only where it cannot: the labels are those of [`label`], at a fraction of the cost.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::kernel::{self, Isa, Nearest, PackedMatrix};
use crate::progress::Progress;

/// Rows that one task labels.
const BLOCK: usize = 252;

/// No row of `Vectors` is longer.
const LONGEST_ROW: f32 = 1.001;

/// What it costs to examine a row, and to gather it for a product, as a number of products (measured at 384 numbers).
const EXAMINE: usize = 6;
const GATHER: usize = 4;

/// Rows that are examined to decide how to relabel all of them.
const TRIAL_ROWS: usize = 2048;

/// Unit centroids, and the same packed for products.
#[derive(Debug, Clone)]
pub(super) struct Centroids {
    dim: usize,
    rows: Vec<f32>,
    packed: PackedMatrix,
}

impl Centroids {
    /// From rows of `dim` numbers, none longer than one.
    pub(super) fn new(dim: usize, rows: Vec<f32>) -> Self {
        let packed = PackedMatrix::pack(Isa::best(), &rows, dim);
        Self { dim, rows, packed }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() / self.dim
    }

    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.rows[index * self.dim..][..self.dim]
    }

    pub(super) fn rows(&self) -> &[f32] {
        &self.rows
    }

    pub(super) fn into_rows(self) -> Vec<f32> {
        self.rows
    }
}

/// The nearest of `centroids` for each of `rows`, into `nearest`.
///
/// # Errors
/// [`Error::Interrupted`] when cancelled.
pub(super) fn label(
    rows: &[f32],
    centroids: &Centroids,
    nearest: &mut [Nearest],
    progress: &dyn Progress,
) -> Result<()> {
    in_blocks(rows, centroids.dim, nearest, progress, |rows, nearest| {
        kernel::nearest(rows, &centroids.packed, nearest);
    })
}

/// Brings `nearest` up to date after the centroids moved from `before` to `after`.
///
/// On entry and exit `target` and `score` are right to rounding, and `second` is not exceeded by the score of any other
/// centroid.
///
/// # Errors
/// [`Error::Interrupted`] when cancelled.
pub(super) fn relabel(
    rows: &[f32],
    before: &Centroids,
    after: &Centroids,
    nearest: &mut [Nearest],
    progress: &dyn Progress,
) -> Result<()> {
    match Split::cheapest(rows, &turns(before, after), after, nearest) {
        None => label(rows, after, nearest, progress),
        Some(split) => in_blocks(rows, after.dim, nearest, progress, |rows, nearest| {
            relabel_block(rows, &split, after, nearest);
        }),
    }
}

fn in_blocks(
    rows: &[f32],
    dim: usize,
    nearest: &mut [Nearest],
    progress: &dyn Progress,
    work: impl Fn(&[f32], &mut [Nearest]) + Sync,
) -> Result<()> {
    rows.par_chunks(BLOCK * dim).zip(nearest.par_chunks_mut(BLOCK)).try_for_each(|(rows, nearest)| {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        work(rows, nearest);
        Ok(())
    })
}

/// By what angle a centroid turned.
#[derive(Debug, Clone, Copy)]
struct Turn {
    cosine: f32,
    sine: f32,
}

impl Turn {
    /// From the distance between two unit vectors, which is exact for the small angles whose cosine rounds to one.
    fn of(before: &[f32], after: &[f32]) -> Self {
        let square: f64 = before.iter().zip(after).map(|(b, a)| f64::from(b - a) * f64::from(b - a)).sum();
        let cosine = 1.0 - square / 2.0;
        Self { cosine: cosine as f32, sine: (square * (1.0 - square / 4.0)).max(0.0).sqrt() as f32 }
    }

    /// The highest score that a centroid can have with a row after the turn when before it was at most `score`: the
    /// triangle inequality for angles (Schubert, Lang and Feher, Accelerating Spherical k-Means, 2021).
    fn highest(self, score: f32) -> f32 {
        if score >= self.cosine * LONGEST_ROW || self.cosine <= 0.0 {
            return LONGEST_ROW;
        }
        let across = (LONGEST_ROW * LONGEST_ROW - score * score).max(0.0).sqrt();
        score * self.cosine + across * self.sine + f32::EPSILON
    }
}

/// The turn of each centroid with its index, the widest first.
fn turns(before: &Centroids, after: &Centroids) -> Vec<(usize, Turn)> {
    let mut turns: Vec<(usize, Turn)> =
        (0..after.len()).map(|index| (index, Turn::of(before.row(index), after.row(index)))).collect();
    turns.sort_by(|(_, a), (_, b)| a.cosine.total_cmp(&b.cosine).then(b.sine.total_cmp(&a.sine)));
    turns
}

/// How far two ways of summing the score of a pair can lead apart, for both scores of a comparison.
fn slack(dim: usize) -> f32 {
    2.0 * dim as f32 * f32::EPSILON
}

/// Centroids divided into a few that turned far, whose products are always computed, and the others, for which the
/// widest of their turns bounds what they can have gained.
struct Split {
    fast: Vec<usize>,
    packed: Option<PackedMatrix>,
    slow: Turn,
}

impl Split {
    /// The division that saves most, judged by some of the rows; none where products with everything cost less.
    fn cheapest(rows: &[f32], turns: &[(usize, Turn)], centroids: &Centroids, nearest: &[Nearest]) -> Option<Self> {
        let k = centroids.len();
        let trial = trial_rows(rows, centroids, nearest);
        let candidates = [0, k / 64, k / 32, k / 16, k / 8, k / 4, k / 2];
        let (cost, n_fast) = candidates
            .into_iter()
            .map(|n_fast| (trial_cost(&trial, turns[n_fast].1, n_fast, centroids), n_fast))
            .min_by_key(|&(cost, _)| cost)?;
        if cost >= trial.len() * k {
            return None;
        }
        let fast: Vec<usize> = turns[..n_fast].iter().map(|&(index, _)| index).collect();
        let packed = (n_fast > 0).then(|| {
            let rows: Vec<f32> = fast.iter().flat_map(|&index| centroids.row(index)).copied().collect();
            PackedMatrix::pack(Isa::best(), &rows, centroids.dim)
        });
        Some(Self { fast, packed, slow: turns[n_fast].1 })
    }
}

/// Score with its own centroid, and bound for the others before the turn, of rows spread evenly.
fn trial_rows(rows: &[f32], centroids: &Centroids, nearest: &[Nearest]) -> Vec<(f32, f32)> {
    let stride = nearest.len().div_ceil(TRIAL_ROWS).max(1);
    let examine = |(row, known): (&[f32], &Nearest)| (own_score(row, known, centroids), known.second);
    rows.chunks_exact(centroids.dim).zip(nearest).step_by(stride).map(examine).collect()
}

fn own_score(row: &[f32], known: &Nearest, centroids: &Centroids) -> f32 {
    kernel::dot(Isa::best(), row, centroids.row(known.index as usize))
}

/// Products that the rows in `trial` would need.
fn trial_cost(trial: &[(f32, f32)], slow: Turn, n_fast: usize, centroids: &Centroids) -> usize {
    let slack = slack(centroids.dim);
    let open = trial.iter().filter(|&&(own, second)| own <= slow.highest(second) + slack).count();
    let fast = if n_fast == 0 { 0 } else { n_fast + GATHER };
    trial.len() * EXAMINE + (trial.len() - open) * fast + open * (centroids.len() + GATHER)
}

fn relabel_block(rows: &[f32], split: &Split, centroids: &Centroids, nearest: &mut [Nearest]) {
    let slack = slack(centroids.dim);
    let (mut settled, mut open) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
    for (at, (row, known)) in rows.chunks_exact(centroids.dim).zip(&mut *nearest).enumerate() {
        known.score = own_score(row, known, centroids);
        known.second = split.slow.highest(known.second);
        if known.score > known.second + slack { settled.push(at) } else { open.push(at) }
    }
    if let Some(fast) = &split.packed {
        for (&at, found) in settled.iter().zip(nearest_of(rows, &settled, fast)) {
            let known = &mut nearest[at];
            let is_own = split.fast[found.index as usize] == known.index as usize;
            let challenger = if is_own { found.second } else { found.score };
            known.second = known.second.max(challenger);
            if known.score <= known.second + slack {
                open.push(at);
            }
        }
    }
    for (&at, found) in open.iter().zip(nearest_of(rows, &open, &centroids.packed)) {
        nearest[at] = found;
    }
}

/// The nearest of `packed` for some rows of a block.
fn nearest_of(rows: &[f32], places: &[usize], packed: &PackedMatrix) -> Vec<Nearest> {
    let dim = packed.dim();
    let gathered: Vec<f32> = places.iter().flat_map(|&at| &rows[at * dim..][..dim]).copied().collect();
    let mut found = vec![Nearest::default(); places.len()];
    kernel::nearest(&gathered, packed, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::vectors::Vectors;
    use proptest::prelude::*;

    const DIM: usize = 8;
    const K: usize = 40;

    fn unit_rows(values: &[f32]) -> Vec<f32> {
        Vectors::normalised(DIM, values.to_vec()).expect("directions").as_slice().to_vec()
    }

    fn labelled(rows: &[f32], centroids: &Centroids) -> Vec<Nearest> {
        let mut nearest = vec![Nearest::default(); rows.len() / DIM];
        label(rows, centroids, &mut nearest, &Silent).expect("not cancelled");
        nearest
    }

    /// Some centroids move by `far`, the others by a thousandth of it.
    fn moved(centroids: &Centroids, shifts: &[f32], far: f32) -> Centroids {
        let shift = |(at, (&value, &shift)): (usize, (&f32, &f32))| {
            value + shift * if at / DIM % 9 == 0 { far } else { far / 1000.0 }
        };
        let rows: Vec<f32> = centroids.rows().iter().zip(shifts).enumerate().map(shift).collect();
        Centroids::new(DIM, unit_rows(&rows))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn relabelling_gives_the_labels_of_labelling(
            rows in prop::collection::vec(0.01f32..1.0, 300 * DIM),
            seeds in prop::collection::vec(0.01f32..1.0, K * DIM),
            shifts in prop::collection::vec(-1.0f32..1.0, K * DIM),
            far in prop_oneof![Just(0.0f32), Just(1e-4), Just(0.01), Just(0.3), Just(3.0)],
        ) {
            let rows = unit_rows(&rows);
            let mut before = Centroids::new(DIM, unit_rows(&seeds));
            let mut nearest = labelled(&rows, &before);
            for _ in 0..3 {
                let after = moved(&before, &shifts, far);
                relabel(&rows, &before, &after, &mut nearest, &Silent).expect("not cancelled");
                for (found, expected) in nearest.iter().zip(labelled(&rows, &after)) {
                    prop_assert_eq!(found.index, expected.index);
                    prop_assert!((found.score - expected.score).abs() <= slack(DIM));
                    prop_assert!(found.second >= expected.second - slack(DIM));
                }
                before = after;
            }
        }

        #[test]
        fn a_turn_bounds_what_a_centroid_can_gain(values in prop::collection::vec(-1.0f32..1.0, 3 * DIM), near in 0.0f32..1.0) {
            prop_assume!(values.chunks(DIM).all(|row| row.iter().any(|value| value.abs() > 0.1)));
            let rows = unit_rows(&values);
            let (row, before) = (&rows[..DIM], &rows[DIM..2 * DIM]);
            let after: Vec<f32> = before.iter().zip(&rows[2 * DIM..]).map(|(b, other)| b + near * other).collect();
            prop_assume!(after.iter().any(|value| value.abs() > 0.01));
            let after = unit_rows(&after);
            let score = |centroid: &[f32]| kernel::dot(Isa::PORTABLE, row, centroid);
            prop_assert!(score(&after) <= Turn::of(before, &after).highest(score(before)) + slack(DIM));
        }
    }

    #[test]
    fn a_settled_clustering_is_relabelled_without_products_with_every_centroid() {
        let rows: Vec<f32> = (0..4000).flat_map(|row| direction(row % K, row)).collect();
        let centroids = Centroids::new(DIM, unit_rows(&(0..K).flat_map(|k| direction(k, 0)).collect::<Vec<_>>()));
        let nearest = labelled(&unit_rows(&rows), &centroids);
        let split = Split::cheapest(&unit_rows(&rows), &turns(&centroids, &centroids), &centroids, &nearest);
        assert!(split.expect("cheaper than all products").packed.is_none());
    }

    /// A row near the `k`-th of many directions.
    fn direction(k: usize, noise: usize) -> [f32; DIM] {
        std::array::from_fn(|at| ((k * 7 + at * at * (k % 5 + 1)) % 13) as f32 + 0.1 + (noise % 11) as f32 * 1e-4)
    }
}
