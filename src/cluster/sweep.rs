//! How many themes: k-means over a grid of k, and the evidence for each.
//!
//! The rule, which [`Sweep::reason`] names:
//!
//! 1. Where rows fall into clear groups, that is where some k reaches a silhouette of 0.2, the k with the highest.
//! 2. Else the k with the highest *gain*. Under a von Mises-Fisher mixture of equal concentration, k themes with the mean
//!    cosine `r` explain the n rows better than none by `-n ln((1 - r^2) n / (n - k))`, in units of half the
//!    dimension, and each theme must be worth `sqrt(n) / 8` of them. The Bayesian criterion asks for `ln n` instead,
//!    which on abstracts gives three themes for 100 papers and hundreds for 20,000; both agree near 5,000.
//!
//! Abstracts hardly ever fall into clear groups, so the second case is the usual one. Themes that other starts do not find
//! again at all are no themes, however high their figures: rows without structure make one.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::quality::{adjusted_rand, imbalance, silhouette_of};
use super::training::{Run, sizes};
use super::{Rows, Settings, check_some, in_pool, start};
use crate::error::{Error, Problem, Result};
use crate::progress::{Phase, Progress};
use crate::vectors::Vectors;

/// The silhouette from which on groups are clear. Categories of arXiv abstracts stay near 0.1, the topics of systematic
/// reviews reach 0.25.
const CLEAR: f64 = 0.2;
/// Themes whose stability is lower come about by chance: rows without structure stay near 0.02, abstracts above 0.3.
const STABLE: f64 = 0.1;
/// What a theme must add to the gain, as a share of the square root of the number of rows.
const PRICE: f64 = 1.0 / 8.0;
/// From one k of the grid to the next.
const RATIO: f64 = 1.25;
/// Values of k tried between the best of the grid and each of its neighbours.
const REFINED: usize = 3;
/// With fewer rows the figures jump, and a sweep that ended where they fell twice would end too early; it is cheap there.
const SMOOTH_ROWS: usize = 5_000;
/// Coarser than for themes that are kept: the figures compared differ by more.
const TOLERANCE: f64 = 5e-4;

/// How to look for the number of themes.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepSettings {
    /// What all choices by chance derive from.
    pub seed: u64,
    /// Runs for each k, at least two: the best gives the objective, their agreement the stability.
    pub runs: usize,
    /// Rows that are grouped; where there are more, so many are drawn.
    pub sample: usize,
    /// The most themes to consider. Never more than twice the square root, or half, of the number of rows.
    pub largest: usize,
}

impl Default for SweepSettings {
    fn default() -> Self {
        Self { seed: 0, runs: 3, sample: 20_000, largest: 300 }
    }
}

/// The evidence on the number of themes, and the choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// What was tried, in ascending order of k.
    pub points: Vec<SweepPoint>,
    /// The number of themes to take.
    pub chosen: usize,
    /// Why.
    pub reason: Reason,
    /// How many rows were grouped; all of them unless there are more than [`SweepSettings::sample`].
    pub n_rows: usize,
}

/// What k themes are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SweepPoint {
    /// Number of themes.
    pub k: usize,
    /// Mean cosine of a row with its theme.
    pub objective: f64,
    /// Mean silhouette of all rows; none for a single theme.
    pub silhouette: Option<f64>,
    /// How far other starts lead to the same themes: the mean adjusted Rand index with the best run.
    pub stability: f64,
    /// How uneven the themes are, 1 for equal sizes.
    pub imbalance: f64,
    /// What the themes explain, less what they cost: the higher, the better.
    pub gain: f64,
}

/// Why a number of themes was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Rows fall into clear groups: the highest silhouette.
    ClearGroups,
    /// They do not: more themes would explain less than they cost, the highest gain.
    BestGain,
}

/// Groups `vectors`, or a sample of them, into several numbers of themes and chooses one, on the processor;
/// [`Rows::sweep`] does it where they are.
///
/// # Errors
/// [`Error::Usage`] for settings out of range, [`Error::Input`] without a vector, [`Error::Interrupted`] when cancelled.
pub fn sweep(vectors: &Vectors, settings: &SweepSettings, progress: &dyn Progress) -> Result<Sweep> {
    sweep_rows(&Rows::on_processor(vectors), settings, progress)
}

pub(super) fn sweep_rows(all: &Rows<'_>, settings: &SweepSettings, progress: &dyn Progress) -> Result<Sweep> {
    check(settings)?;
    check_some(all.vectors)?;
    let sample = sample(all.vectors, settings);
    if let Some(sample) = &sample {
        let message = format!("chose the number of themes on {} of {} papers", sample.len(), all.vectors.len());
        progress.warn(&message);
    }
    let sampled = sample.as_ref().map(|sample| all.beside(sample)).transpose()?;
    let rows = sampled.as_ref().unwrap_or(all);
    let n_rows = rows.vectors.len();
    let grid = grid(n_rows, settings.largest);
    progress.begin(Phase { doing: "choosing the number of themes", units: "runs", total: None });
    let points = in_pool(|| explore(rows, &grid, settings, progress));
    progress.end();
    let points = points?;
    let (chosen, reason) = choose(&points);
    Ok(Sweep { points, chosen, reason, n_rows })
}

fn check(settings: &SweepSettings) -> Result<()> {
    let refuse =
        |thing: &str, cause: &str, hint: &'static str| Err(Error::Usage(Problem::new(thing, cause).hint(hint)));
    if settings.runs < 2 {
        return refuse("runs", "one run says nothing of stability", "ask for at least 2");
    }
    if settings.sample == 0 || settings.largest == 0 {
        return refuse("-k auto", "has nothing to try", "allow at least one row and one theme");
    }
    Ok(())
}

fn sample(vectors: &Vectors, settings: &SweepSettings) -> Option<Vectors> {
    (settings.sample < vectors.len()).then(|| {
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let mut rows = index::sample(&mut rng, vectors.len(), settings.sample).into_vec();
        rows.sort_unstable();
        vectors.select(&rows)
    })
}

/// One theme, two, and so on in growing steps.
fn grid(n_rows: usize, largest: usize) -> Vec<usize> {
    let most = (2.0 * (n_rows as f64).sqrt()) as usize;
    let most = most.min(n_rows / 2).min(largest).max(1);
    let mut grid: Vec<usize> =
        (0..).map(|step| RATIO.powi(step).round() as usize).take_while(|&k| k < most).chain([most]).collect();
    grid.dedup();
    grid
}

/// Tries the grid, then what lies around its best.
fn explore(
    rows: &Rows<'_>,
    grid: &[usize],
    settings: &SweepSettings,
    progress: &dyn Progress,
) -> Result<Vec<SweepPoint>> {
    let mut points = Vec::with_capacity(grid.len() + 2 * REFINED);
    for &k in grid {
        let point = try_k(rows, k, settings, progress)?;
        let exhausted = point.k < k;
        points.push(point);
        if exhausted || (rows.vectors.len() >= SMOOTH_ROWS && is_past(&points)) {
            break;
        }
    }
    for k in around(&points) {
        points.push(try_k(rows, k, settings, progress)?);
    }
    points.sort_by_key(|point| point.k);
    points.dedup_by_key(|point| point.k);
    Ok(points)
}

/// Whether both figures of the rule fell twice in a row: more themes only cost more time.
fn is_past(points: &[SweepPoint]) -> bool {
    let fell = |figure: fn(&SweepPoint) -> f64| match points {
        [.., best, middle, last] => figure(best) > figure(middle) && figure(middle) > figure(last),
        _ => false,
    };
    fell(|point| point.gain) && fell(|point| point.silhouette.unwrap_or(-1.0))
}

/// Values of k between the chosen one and its neighbours.
fn around(points: &[SweepPoint]) -> Vec<usize> {
    let (chosen, _) = choose(points);
    let gap = |from: usize, to: usize| {
        let step = (to - from).div_ceil(REFINED + 1);
        (from + step..to).step_by(step.max(1)).collect::<Vec<_>>()
    };
    let below = points.iter().map(|point| point.k).take_while(|&k| k < chosen).last();
    let above = points.iter().map(|point| point.k).find(|&k| k > chosen);
    let below = below.map_or_else(Vec::new, |below| gap(below, chosen));
    let above = above.map_or_else(Vec::new, |above| gap(chosen, above));
    below.into_iter().chain(above).collect()
}

fn try_k(rows: &Rows<'_>, k: usize, settings: &SweepSettings, progress: &dyn Progress) -> Result<SweepPoint> {
    let k_means = Settings { k, seed: settings.seed, tolerance: TOLERANCE, ..Settings::default() };
    let mut runs = Vec::with_capacity(settings.runs);
    for restart in 0..settings.runs {
        runs.push(Labels::of(&start(rows, &k_means, restart, progress)?));
        progress.advance(1);
    }
    let (best, others) = best_first(runs);
    let agreements: f64 = others.iter().map(|other| adjusted_rand(&best.groups, &other.groups)).sum();
    Ok(SweepPoint {
        k: best.k,
        objective: best.objective,
        silhouette: silhouette_of(rows, &best.groups, progress)?.map(|silhouette| silhouette.mean),
        stability: agreements / others.len() as f64,
        imbalance: imbalance(&sizes(best.groups.iter().copied(), best.k)),
        gain: gain(rows.vectors.len(), best.k, best.objective),
    })
}

/// What a run leaves for comparison.
struct Labels {
    k: usize,
    groups: Vec<u32>,
    objective: f64,
}

impl Labels {
    fn of(run: &Run) -> Self {
        Self {
            k: run.centroids.len(),
            groups: run.nearest.iter().map(|row| row.index).collect(),
            objective: run.objective,
        }
    }
}

/// The run with the best objective, the earliest of equal ones, and the rest.
fn best_first(mut runs: Vec<Labels>) -> (Labels, Vec<Labels>) {
    let objectives = runs.iter().map(|run| run.objective).enumerate();
    let best = objectives.rev().max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(at, _)| at);
    (runs.swap_remove(best), runs)
}

/// See the head of this file. A residue below a millionth counts as that: rows are no more exact.
fn gain(n_rows: usize, k: usize, objective: f64) -> f64 {
    let n = n_rows as f64;
    let free = (n - k as f64).max(1.0);
    let residue = (1.0 - objective * objective).max(1e-6);
    -n * (residue * n / free).ln() - PRICE * n.sqrt() * k as f64
}

/// The number of themes by the rule at the head of this file; of equally good ones the smallest.
fn choose(points: &[SweepPoint]) -> (usize, Reason) {
    let silhouette = |point: &SweepPoint| point.silhouette.unwrap_or(-1.0);
    let best_by = |figure: &dyn Fn(&SweepPoint) -> f64| {
        let stable = points.iter().filter(|point| point.stability >= STABLE);
        stable.rev().max_by(|a, b| figure(a).total_cmp(&figure(b))).copied()
    };
    match best_by(&silhouette) {
        Some(point) if silhouette(&point) >= CLEAR => (point.k, Reason::ClearGroups),
        _ => (best_by(&|point| point.gain).map_or(1, |point| point.k), Reason::BestGain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_grows_by_a_quarter_and_ends_where_themes_would_be_too_small() {
        assert_eq!(grid(1, 300), [1]);
        assert_eq!(grid(3, 300), [1]);
        assert_eq!(grid(10, 300), [1, 2, 3, 4, 5]);
        assert_eq!(grid(100, 12), [1, 2, 3, 4, 5, 6, 7, 9, 12]);
        assert_eq!(grid(100, 300).last(), Some(&20));
    }

    fn point(k: usize, silhouette: f64, gain: f64) -> SweepPoint {
        SweepPoint { k, objective: 0.5, silhouette: Some(silhouette), stability: 1.0, imbalance: 1.0, gain }
    }

    #[test]
    fn clear_groups_win_by_silhouette_others_by_gain() {
        assert_eq!(choose(&[point(2, 0.1, 3.0), point(3, 0.4, 1.0)]), (3, Reason::ClearGroups));
        assert_eq!(choose(&[point(2, 0.15, 3.0), point(3, 0.1, 5.0)]), (3, Reason::BestGain));
        assert_eq!(choose(&[point(2, 0.1, 3.0), point(3, 0.1, 3.0)]), (2, Reason::BestGain));
        let by_chance = SweepPoint { stability: 0.05, ..point(3, 0.5, 9.0) };
        assert_eq!(choose(&[point(1, -1.0, 0.0), by_chance]), (1, Reason::BestGain));
    }

    #[test]
    fn the_sweep_ends_when_both_figures_fell_twice() {
        let falling = [point(2, 0.1, 1.0), point(3, 0.4, 3.0), point(4, 0.3, 2.0), point(5, 0.2, 1.0)];
        assert!(is_past(&falling));
        assert!(!is_past(&falling[..3]));
        assert!(!is_past(&[falling[1], falling[2], point(5, 0.5, 1.0)]));
        assert!(!is_past(&[falling[1], falling[2], point(5, 0.2, 4.0)]));
    }

    #[test]
    fn the_neighbourhood_of_the_best_is_refined() {
        let points = [point(5, 0.1, 1.0), point(13, 0.1, 2.0), point(15, 0.1, 1.0)];
        assert_eq!(around(&points), [7, 9, 11, 14]);
        assert_eq!(around(&points[..1]), [0; 0]);
    }
}
