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
    in_blocks(rows, centroids.dim, nearest, progress, |_, rows, nearest| {
        kernel::nearest(rows, &centroids.packed, nearest);
    })
}

/// Brings `nearest` up to date after the centroids moved from `before` to `after`.
///
/// On entry and exit `index` is right, `score` is not above the score of that centroid, and `second` not below that of
/// any other one, to within half of [`slack`].
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
    match Split::cheapest(rows, turns(before, after), after, nearest) {
        None => label(rows, after, nearest, progress),
        Some(split) => in_blocks(rows, after.dim, nearest, progress, |workspace, rows, nearest| {
            relabel_block(rows, &split, after, nearest, workspace);
        }),
    }
}

/// Makes every `score` that of its centroid.
///
/// # Errors
/// [`Error::Interrupted`] when cancelled.
pub(super) fn rescore(
    rows: &[f32],
    centroids: &Centroids,
    nearest: &mut [Nearest],
    progress: &dyn Progress,
) -> Result<()> {
    in_blocks(rows, centroids.dim, nearest, progress, |_, rows, nearest| {
        for (row, known) in rows.chunks_exact(centroids.dim).zip(nearest) {
            known.score = own_score(row, known, centroids);
        }
    })
}

/// What a task needs beside its rows; reused from block to block.
#[derive(Default)]
struct Workspace {
    settled: Vec<usize>,
    open: Vec<usize>,
    gathered: Vec<f32>,
    found: Vec<Nearest>,
}

fn in_blocks(
    rows: &[f32],
    dim: usize,
    nearest: &mut [Nearest],
    progress: &dyn Progress,
    work: impl Fn(&mut Workspace, &[f32], &mut [Nearest]) + Sync,
) -> Result<()> {
    let blocks = rows.par_chunks(BLOCK * dim).zip(nearest.par_chunks_mut(BLOCK));
    blocks.try_for_each_init(Workspace::default, |workspace, (rows, nearest)| {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        work(workspace, rows, nearest);
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

    /// Grows with the angle, also where the cosine of small ones is rounded to one.
    fn width(self) -> f32 {
        if self.cosine > 0.0 { self.sine } else { 1.0 - self.cosine }
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

    /// The lowest score after the turn when before it was at least `score`.
    fn lowest(self, score: f32) -> f32 {
        let score = score.min(LONGEST_ROW);
        if self.cosine <= 0.0 || score <= -self.cosine {
            return -LONGEST_ROW;
        }
        let across = (LONGEST_ROW * LONGEST_ROW - score * score).max(0.0).sqrt();
        score * self.cosine - across * self.sine - f32::EPSILON
    }
}

fn turns(before: &Centroids, after: &Centroids) -> Vec<Turn> {
    (0..after.len()).map(|index| Turn::of(before.row(index), after.row(index))).collect()
}

/// How far two ways of summing the score of a pair can lead apart, for both scores of a comparison.
fn slack(dim: usize) -> f32 {
    2.0 * dim as f32 * f32::EPSILON
}

/// Centroids divided into a few that turned far, whose products are always computed, and the others, for which the
/// widest of their turns bounds what they can have gained.
struct Split {
    turns: Vec<Turn>,
    fast: Vec<usize>,
    packed: Option<PackedMatrix>,
    slow: Turn,
}

impl Split {
    /// The division that saves most, judged by some of the rows; none where products with everything cost less.
    fn cheapest(rows: &[f32], turns: Vec<Turn>, centroids: &Centroids, nearest: &[Nearest]) -> Option<Self> {
        let k = centroids.len();
        let mut fast: Vec<usize> = (0..k).collect();
        fast.sort_by(|&a, &b| turns[b].width().total_cmp(&turns[a].width()));
        let trial = trial_rows(rows, centroids, nearest);
        let candidates = [0, k / 64, k / 32, k / 16, k / 8, k / 4, k / 2];
        let cost = |n_fast: usize| (trial_cost(&trial, turns[fast[n_fast]], n_fast, centroids), n_fast);
        let (cost, n_fast) = candidates.into_iter().map(cost).min()?;
        if cost >= trial.len() * k {
            return None;
        }
        let slow = turns[fast[n_fast]];
        fast.truncate(n_fast);
        let packed = (n_fast > 0).then(|| {
            let rows: Vec<f32> = fast.iter().flat_map(|&index| centroids.row(index)).copied().collect();
            PackedMatrix::pack(Isa::best(), &rows, centroids.dim)
        });
        Some(Self { turns, fast, packed, slow })
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

fn relabel_block(
    rows: &[f32],
    split: &Split,
    centroids: &Centroids,
    nearest: &mut [Nearest],
    workspace: &mut Workspace,
) {
    let slack = slack(centroids.dim);
    let row = |at: usize| &rows[at * centroids.dim..][..centroids.dim];
    let Workspace { settled, open, gathered, found } = workspace;
    settled.clear();
    open.clear();
    for (at, known) in nearest.iter_mut().enumerate() {
        known.score = split.turns[known.index as usize].lowest(known.score);
        known.second = split.slow.highest(known.second);
        if leads(known, row(at), centroids, slack) { settled.push(at) } else { open.push(at) }
    }
    if let Some(fast) = &split.packed {
        find(rows, settled, fast, gathered, found);
        for (&at, found) in settled.iter().zip(&*found) {
            let known = &mut nearest[at];
            let is_own = split.fast[found.index as usize] == known.index as usize;
            known.second = known.second.max(if is_own { found.second } else { found.score });
            if !leads(known, row(at), centroids, slack) {
                open.push(at);
            }
        }
    }
    find(rows, open, &centroids.packed, gathered, found);
    for (&at, found) in open.iter().zip(&*found) {
        nearest[at] = *found;
    }
}

/// Whether no other centroid can be as near as its own, for which the row itself is read only where bounds do not tell.
fn leads(known: &mut Nearest, row: &[f32], centroids: &Centroids, slack: f32) -> bool {
    if known.score <= known.second + slack {
        known.score = own_score(row, known, centroids);
    }
    known.score > known.second + slack
}

/// The nearest of `packed` for some rows of a block, into `found`.
fn find(rows: &[f32], places: &[usize], packed: &PackedMatrix, gathered: &mut Vec<f32>, found: &mut Vec<Nearest>) {
    let dim = packed.dim();
    gathered.clear();
    for &at in places {
        gathered.extend_from_slice(&rows[at * dim..][..dim]);
    }
    found.clear();
    found.resize(places.len(), Nearest::default());
    kernel::nearest(gathered, packed, found);
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
            value + shift * if (at / DIM).is_multiple_of(9) { far } else { far / 1000.0 }
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
                    prop_assert!(found.score <= expected.score + slack(DIM));
                    prop_assert!(found.second >= expected.second - slack(DIM));
                }
                before = after;
            }
            rescore(&rows, &before, &mut nearest, &Silent).expect("not cancelled");
            for (found, expected) in nearest.iter().zip(labelled(&rows, &before)) {
                prop_assert!((found.score - expected.score).abs() <= slack(DIM));
            }
        }

        #[test]
        fn a_turn_bounds_what_a_centroid_can_gain_and_lose(values in prop::collection::vec(-1.0f32..1.0, 3 * DIM), near in 0.0f32..1.0) {
            prop_assume!(values.chunks(DIM).all(|row| row.iter().any(|value| value.abs() > 0.1)));
            let rows = unit_rows(&values);
            let (row, before) = (&rows[..DIM], &rows[DIM..2 * DIM]);
            let after: Vec<f32> = before.iter().zip(&rows[2 * DIM..]).map(|(b, other)| b + near * other).collect();
            prop_assume!(after.iter().any(|value| value.abs() > 0.01));
            let after = unit_rows(&after);
            let score = |centroid: &[f32]| kernel::dot(Isa::PORTABLE, row, centroid);
            let turn = Turn::of(before, &after);
            prop_assert!(score(&after) <= turn.highest(score(before)) + slack(DIM));
            prop_assert!(score(&after) >= turn.lowest(score(before)) - slack(DIM));
        }
    }

    #[test]
    fn a_settled_clustering_is_relabelled_without_products_with_every_centroid() {
        let rows: Vec<f32> = (0..4000).flat_map(|row| direction(row % K, row)).collect();
        let centroids = Centroids::new(DIM, unit_rows(&(0..K).flat_map(|k| direction(k, 0)).collect::<Vec<_>>()));
        let nearest = labelled(&unit_rows(&rows), &centroids);
        let split = Split::cheapest(&unit_rows(&rows), turns(&centroids, &centroids), &centroids, &nearest);
        assert!(split.expect("cheaper than all products").packed.is_none());
    }

    /// A row near the `k`-th of many directions.
    fn direction(k: usize, noise: usize) -> [f32; DIM] {
        std::array::from_fn(|at| ((k * 7 + at * at * (k % 5 + 1)) % 13) as f32 + 0.1 + (noise % 11) as f32 * 1e-4)
    }
}
