//! Groups where rows lie dense, by linfa's DBSCAN and OPTICS.
//!
//! OPTICS only orders rows so that each follows one of the nearest before it; the groups are the valleys of its
//! distances, found here by cutting at the highest ridges (after Sander, Qin, Lu, Niu and Kovarsky, 2003).

use std::ops::Range;

use linfa::ParamGuard;
use linfa::traits::Transformer;
use linfa_clustering::{Dbscan, Optics, OpticsAnalysis};

use super::{Algorithm, Density, failed, records};
use crate::error::Result;
use crate::kernel::{Isa, dot};
use crate::vectors::Vectors;

/// A ridge divides where the mean distance on both sides is below this share of its height.
const VALLEY: f32 = 0.75;
/// Distances below it are rounding.
const SAME_PLACE: f32 = 1.5e-3;

pub(super) fn dbscan(vectors: &Vectors, density: Density) -> Result<Vec<Option<usize>>> {
    let settings = Dbscan::params::<f32>(density.least).tolerance(density.chord());
    let settings = settings.check().map_err(|error| failed(Algorithm::Dbscan, error))?;
    Ok(settings.transform(&records(vectors)).to_vec())
}

pub(super) fn optics(vectors: &Vectors, density: Density) -> Result<Vec<Option<usize>>> {
    let settings = Optics::params::<f32>(density.least).tolerance(density.chord());
    let settings = settings.check().map_err(|error| failed(Algorithm::Optics, error))?;
    let steps = steps(vectors, &settings.transform(records(vectors)), density);
    let distances: Vec<f32> = steps.iter().map(|&(_, distance)| distance).collect();
    let mut groups = vec![None; vectors.len()];
    for (group, valley) in valleys(&distances, density.least).into_iter().enumerate() {
        steps[valley].iter().for_each(|&(row, _)| groups[row] = Some(group));
    }
    Ok(groups)
}

/// Rows in the order of OPTICS, each with its distance from those before it: infinite for one that none reaches.
fn steps(vectors: &Vectors, analysis: &OpticsAnalysis<f32>, density: Density) -> Vec<(usize, f32)> {
    let mut steps: Vec<(usize, f32)> = Vec::with_capacity(vectors.len());
    for sample in analysis.iter() {
        // linfa gives the first row of a place a distance as well. The row that leads to another is mostly a late one.
        let is_reached = steps.iter().rev().any(|&(before, _)| near(vectors, before, sample.index(), density.reach));
        let distance = sample.reachability_distance().filter(|_| is_reached).unwrap_or(f32::INFINITY);
        steps.push((sample.index(), distance.max(SAME_PLACE)));
    }
    steps
}

fn near(vectors: &Vectors, left: usize, right: usize, reach: f32) -> bool {
    1.0 - dot(Isa::best(), vectors.row(left), vectors.row(right)) <= reach
}

/// Stretches of at least `least` steps that belong together.
fn valleys(distances: &[f32], least: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Vec<Range<usize>> = std::iter::once(0..distances.len()).collect();
    while let Some(stretch) = open.pop() {
        if stretch.len() < least {
            continue;
        }
        match divide(distances, stretch.clone(), least) {
            Some((left, right)) => open.extend([right, left]),
            None => found.push(stretch),
        }
    }
    found
}

/// Both sides of the highest ridge of a stretch, where nothing leads across or it stands out from them. A side too short
/// to be a group of its own is an outlier and need not lie low.
fn divide(distances: &[f32], stretch: Range<usize>, least: usize) -> Option<(Range<usize>, Range<usize>)> {
    let inner = stretch.start + 1..stretch.end;
    let ridge = inner.rev().max_by(|&a, &b| distances[a].total_cmp(&distances[b]))?;
    let (left, right) = (stretch.start..ridge, ridge..stretch.end);
    let lies_low = |side: &Range<usize>| side.len() < least || mean_inside(distances, side) < VALLEY * distances[ridge];
    let both_short = left.len() < least && right.len() < least;
    let stands_out = !both_short && lies_low(&left) && lies_low(&right);
    (stands_out || distances[ridge].is_infinite()).then_some((left, right))
}

/// The first distance of a side is the ridge that bounds it.
fn mean_inside(distances: &[f32], side: &Range<usize>) -> f32 {
    let inside = &distances[side.start + 1..side.end];
    inside.iter().sum::<f32>() / inside.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: f32 = f32::INFINITY;

    fn check(distances: &[f32], expected: &[(usize, usize)]) {
        let found: Vec<_> = valleys(distances, 3).into_iter().map(|valley| (valley.start, valley.end)).collect();
        assert_eq!(found, expected, "{distances:?}");
    }

    #[test]
    fn valleys_lie_between_ridges() {
        check(&[FAR, 1.0, 1.0, 1.0], &[(0, 4)]);
        check(&[FAR, 1.0, 1.0, 3.0, 1.0, 1.0], &[(0, 3), (3, 6)]);
        check(&[FAR, 1.0, 1.0, FAR, 2.0, 2.0, 5.0, 0.5, 0.5], &[(0, 3), (3, 6), (6, 9)]);
        check(&[FAR, 1.0, 1.1, 1.2, 1.1, 1.0], &[(0, 6)]);
        check(&[FAR, FAR, FAR], &[]);
        check(&[], &[]);
    }

    #[test]
    fn an_outlier_at_the_edge_is_cut_off() {
        check(&[FAR, 1.0, 1.0, 1.0, 4.0], &[(0, 4)]);
    }
}
