//! How good a grouping is: by itself ([`silhouette`], [`imbalance`]) and beside another ([`adjusted_rand`],
//! [`agreement`]).
//!
//! Exact: the mean cosine between a row and a group is the product of the row with the group's mean, so that even the
//! silhouette of all rows costs one pass over the themes and no pair of rows is ever compared.

use std::collections::BTreeMap;

use super::nearest::Centroids;
use super::{NOISE, Rows};
use crate::error::Result;
use crate::kernel::{Isa, Nearest, dot};
use crate::progress::Progress;
use crate::vectors::Vectors;

/// How uneven sizes are: 1 when all are equal, the number of groups when one holds everything. It is how many times
/// longer a search of one group takes on average than with equal groups.
pub fn imbalance(sizes: &[usize]) -> f64 {
    let n: f64 = sizes.iter().map(|&size| size as f64).sum();
    let squares: f64 = sizes.iter().map(|&size| (size as f64).powi(2)).sum();
    if n == 0.0 { 1.0 } else { sizes.len() as f64 * squares / (n * n) }
}

/// The silhouette under cosine distance, from -1 (in the wrong group) over 0 (between groups) to 1 (groups far apart).
#[derive(Debug, Clone, PartialEq)]
pub struct Silhouette {
    /// Mean over all rows that have a group.
    pub mean: f64,
    /// Mean over the rows of each group; 0 for a group of one row.
    pub groups: Vec<f64>,
}

/// How much nearer the rows are to the rows of their own group than to those of the next one, exactly, over all rows.
/// Rows of [`NOISE`] are left out. None for fewer than two groups with rows.
///
/// # Errors
/// [`crate::error::Error::Interrupted`] when cancelled.
pub fn silhouette(vectors: &Vectors, groups: &[u32], progress: &dyn Progress) -> Result<Option<Silhouette>> {
    silhouette_of(&Rows::on_processor(vectors), groups, progress)
}

/// As [`silhouette`], with rows where they are.
pub(super) fn silhouette_of(rows: &Rows<'_>, groups: &[u32], progress: &dyn Progress) -> Result<Option<Silhouette>> {
    let vectors = rows.vectors;
    assert_eq!(vectors.len(), groups.len(), "one group a row");
    let means = Means::of(vectors, groups);
    if means.sizes.iter().filter(|&&size| size > 0).count() < 2 {
        return Ok(None);
    }
    let centroids = Centroids::new(vectors.dim(), means.rows.clone());
    let mut nearest = vec![Nearest::default(); vectors.len()];
    rows.label(&centroids, &mut nearest, progress)?;
    let mut sums = vec![0.0; means.sizes.len()];
    for ((row, &group), nearest) in vectors.rows().zip(groups).zip(&nearest) {
        if group != NOISE {
            sums[group as usize] += means.silhouette(row, group as usize, nearest);
        }
    }
    let n_grouped: usize = means.sizes.iter().sum();
    let mean = sums.iter().sum::<f64>() / n_grouped as f64;
    let groups = sums.iter().zip(&means.sizes).map(|(sum, &size)| sum / size.max(1) as f64).collect();
    Ok(Some(Silhouette { mean, groups }))
}

/// The mean, not normalised, of each group's rows.
struct Means {
    dim: usize,
    rows: Vec<f32>,
    sizes: Vec<usize>,
}

impl Means {
    fn of(vectors: &Vectors, groups: &[u32]) -> Self {
        let dim = vectors.dim();
        let n_groups = groups.iter().filter(|&&group| group != NOISE).max().map_or(0, |&last| last as usize + 1);
        let mut sizes = vec![0usize; n_groups];
        let mut sums = vec![0.0f64; n_groups * dim];
        for (row, &group) in vectors.rows().zip(groups).filter(|(_, group)| **group != NOISE) {
            sizes[group as usize] += 1;
            let sum = &mut sums[group as usize * dim..][..dim];
            sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let mean = |(at, sum): (usize, &f64)| (sum / sizes[at / dim].max(1) as f64) as f32;
        let rows = sums.iter().enumerate().map(mean).collect();
        Self { dim, rows, sizes }
    }

    /// Of one row, from the two groups whose rows are nearest to it on average: one of them is not its own.
    fn silhouette(&self, row: &[f32], group: usize, nearest: &Nearest) -> f64 {
        let size = self.sizes[group] as f64;
        if size < 2.0 {
            return 0.0;
        }
        let other = if nearest.index as usize == group { nearest.second } else { nearest.score };
        let own = f64::from(dot(Isa::best(), row, &self.rows[group * self.dim..][..self.dim]));
        let itself = f64::from(dot(Isa::best(), row, row));
        let within = 1.0 - (own * size - itself) / (size - 1.0);
        let between = 1.0 - f64::from(other);
        let larger = within.max(between);
        if larger <= 0.0 { 0.0 } else { (between - within) / larger }
    }
}

/// How far two groupings of the same rows tell the same story, whatever their numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Whether groups hold rows of one class only, from 0 to 1.
    pub homogeneity: f64,
    /// Whether classes lie in one group only, from 0 to 1.
    pub completeness: f64,
    /// Their harmonic mean, which is also the mutual information normalised by the mean of both entropies.
    pub v_measure: f64,
}

/// Compares `groups` with the true `classes`, row by row.
pub fn agreement(classes: &[u32], groups: &[u32]) -> Agreement {
    let table = Contingency::of(classes, groups);
    let (of_classes, of_groups) = (entropy(&table.left, table.n), entropy(&table.right, table.n));
    let mutual = (of_classes + of_groups - entropy(&table.both, table.n)).max(0.0);
    let homogeneity = if of_classes > 0.0 { mutual / of_classes } else { 1.0 };
    let completeness = if of_groups > 0.0 { mutual / of_groups } else { 1.0 };
    let sum = homogeneity + completeness;
    Agreement {
        homogeneity,
        completeness,
        v_measure: if sum > 0.0 { 2.0 * homogeneity * completeness / sum } else { 0.0 },
    }
}

/// The adjusted Rand index: 1 for the same grouping, 0 as expected by chance.
pub fn adjusted_rand(left: &[u32], right: &[u32]) -> f64 {
    let table = Contingency::of(left, right);
    let (in_left, in_right) = (pairs(&table.left), pairs(&table.right));
    let all = table.n * (table.n - 1.0) / 2.0;
    let expected = if all > 0.0 { in_left * in_right / all } else { 0.0 };
    let most = (in_left + in_right) / 2.0;
    if most == expected { 1.0 } else { (pairs(&table.both) - expected) / (most - expected) }
}

fn pairs<K>(counts: &BTreeMap<K, f64>) -> f64 {
    counts.values().map(|count| count * (count - 1.0) / 2.0).sum()
}

/// How many rows each pair of groups shares; ordered, so that sums are too.
struct Contingency {
    n: f64,
    left: BTreeMap<u32, f64>,
    right: BTreeMap<u32, f64>,
    both: BTreeMap<(u32, u32), f64>,
}

impl Contingency {
    fn of(left: &[u32], right: &[u32]) -> Self {
        assert_eq!(left.len(), right.len(), "groupings of the same rows");
        let mut table =
            Self { n: left.len() as f64, left: BTreeMap::new(), right: BTreeMap::new(), both: BTreeMap::new() };
        for (&left, &right) in left.iter().zip(right) {
            *table.left.entry(left).or_default() += 1.0;
            *table.right.entry(right).or_default() += 1.0;
            *table.both.entry((left, right)).or_default() += 1.0;
        }
        table
    }
}

fn entropy<K>(counts: &BTreeMap<K, f64>, n: f64) -> f64 {
    counts.values().map(|count| -(count / n) * (count / n).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use proptest::prelude::*;

    fn check_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
    }

    #[test]
    fn imbalance_is_one_for_equal_sizes_and_k_for_a_single_group() {
        check_close(imbalance(&[5, 5, 5]), 1.0);
        check_close(imbalance(&[9, 0, 0]), 3.0);
        check_close(imbalance(&[3, 1]), 1.25);
        check_close(imbalance(&[]), 1.0);
    }

    #[test]
    fn adjusted_rand_of_known_groupings() {
        check_close(adjusted_rand(&[0, 0, 1, 1], &[7, 7, 3, 3]), 1.0);
        check_close(adjusted_rand(&[0, 0, 1, 1], &[0, 0, 1, 2]), 4.0 / 7.0);
        check_close(adjusted_rand(&[0, 0, 1, 1], &[0, 1, 0, 1]), -0.5);
        check_close(adjusted_rand(&[0, 0, 0], &[1, 1, 1]), 1.0);
        check_close(adjusted_rand(&[0, 1, 2], &[0, 0, 0]), 0.0);
        check_close(adjusted_rand(&[], &[]), 1.0);
    }

    #[test]
    fn agreement_of_known_groupings() {
        let split = agreement(&[0, 0, 1, 1], &[0, 0, 1, 2]);
        check_close(split.homogeneity, 1.0);
        check_close(split.completeness, 2.0 / 3.0);
        check_close(split.v_measure, 0.8);
        check_close(agreement(&[0, 0, 1, 1], &[0, 1, 0, 1]).v_measure, 0.0);
        check_close(agreement(&[0, 0, 0], &[0, 0, 0]).v_measure, 1.0);
        check_close(agreement(&[0, 1], &[0, 0]).v_measure, 0.0);
    }

    #[test]
    fn a_single_group_has_no_silhouette() {
        let vectors = Vectors::normalised(2, vec![1.0, 0.0, 0.0, 1.0]).expect("directions");
        assert_eq!(silhouette(&vectors, &[0, 0], &Silent).expect("not cancelled"), None);
        assert_eq!(silhouette(&vectors, &[NOISE, 0], &Silent).expect("not cancelled"), None);
    }

    /// The definition, pair by pair.
    fn silhouette_of_row(vectors: &Vectors, groups: &[u32], row: usize) -> f64 {
        let mut sums = BTreeMap::<u32, (f64, f64)>::new();
        for other in (0..groups.len()).filter(|&other| other != row && groups[other] != NOISE) {
            let cosine: f64 =
                vectors.row(row).iter().zip(vectors.row(other)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            let (sum, count) = sums.entry(groups[other]).or_default();
            (*sum, *count) = (*sum + 1.0 - cosine, *count + 1.0);
        }
        let Some((sum, count)) = sums.remove(&groups[row]) else { return 0.0 };
        let within = sum / count;
        let between = sums.values().map(|(sum, count)| sum / count).fold(f64::INFINITY, f64::min);
        (between - within) / within.max(between)
    }

    proptest! {
        #[test]
        fn silhouette_is_that_of_all_pairs(
            values in prop::collection::vec(0.1f32..1.0, 20 * 5),
            mut groups in prop::collection::vec(prop_oneof![0u32..4, Just(NOISE)], 20),
        ) {
            // At least two groups.
            (groups[0], groups[1]) = (0, 1);
            let vectors = Vectors::normalised(5, values).expect("directions");
            let found = silhouette(&vectors, &groups, &Silent).expect("not cancelled").expect("two groups");
            let rows: Vec<usize> = (0..20).filter(|&row| groups[row] != NOISE).collect();
            let sum: f64 = rows.iter().map(|&row| silhouette_of_row(&vectors, &groups, row)).sum();
            prop_assert!((found.mean - sum / rows.len() as f64).abs() < 1e-3, "{} {}", found.mean, sum / rows.len() as f64);
        }
    }
}
