//! Research themes: groups of unit vectors that point the same way.
//!
//! Takes [`Vectors`], returns a [`Fit`]; knows nothing of papers, files or clocks. [`fit`] is spherical k-means by
//! default: a theme is a direction, and the objective is the mean cosine of a row with that of its theme. [`sweep`]
//! chooses how many themes there are, [`assign`] places new rows by the rule of training, [`quality`] judges. The same
//! estimator stands behind linfa's traits as [`KMeansParams`], and linfa's own are selected by [`Algorithm`].
//!
//! K-means compares rows with centroids on the processor, or on a GPU where [`Rows`] are on one; all else is the
//! processor's. Same vectors, settings and instruction set give the same bytes at any number of threads. Themes are numbered by
//! size, the largest first, so that numbers depend on the order of rows only where sizes are equal.

mod algorithm;
mod estimator;
mod nearest;
pub mod quality;
mod rows;
mod seeding;
mod sweep;
mod training;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use self::algorithm::{Algorithm, Density};
pub use self::estimator::{KMeansParams, KMeansValidParams};
use self::nearest::Centroids;
pub use self::rows::Rows;
pub use self::sweep::{Reason, Sweep, SweepPoint, SweepSettings, sweep};
use self::training::Run;
use crate::error::{Error, Problem, Result};
use crate::kernel::Nearest;
use crate::progress::{Phase, Progress};
use crate::vectors::Vectors;

/// The theme of a row that belongs to none. Only methods that look for dense places leave rows out.
pub const NOISE: u32 = u32::MAX;

/// How to group.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How many themes, at least one. Methods that look for dense places find their own number.
    pub k: usize,
    /// By what method.
    pub algorithm: Algorithm,
    /// How often to start anew; the run with the best objective is kept. At least one.
    pub restarts: usize,
    /// After how many moves of the centroids a run ends at the latest. At least one.
    pub max_iterations: usize,
    /// A run ends when a move takes less than this share off what the objective lacks to one.
    pub tolerance: f64,
    /// What all choices by chance derive from.
    pub seed: u64,
    /// What counts as dense, for methods that look for dense places.
    pub density: Density,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            k: 10,
            algorithm: Algorithm::KMeans,
            restarts: 4,
            max_iterations: 100,
            tolerance: 1e-5,
            seed: 0,
            density: Density::default(),
        }
    }
}

/// Rows in groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// One row per theme: its direction.
    pub centroids: Vectors,
    /// The theme of each row, or [`NOISE`].
    pub assignments: Vec<u32>,
    /// The cosine of each row with its theme; 0 for noise.
    pub similarity: Vec<f32>,
    /// How much more similar its theme is to a row than the next best one. Of a single theme, the similarity itself; 0
    /// for noise; negative where a method other than k-means did not choose the nearest.
    pub margin: Vec<f32>,
    /// Rows per theme, in descending order.
    pub sizes: Vec<usize>,
    /// Mean similarity of the rows that have a theme.
    pub objective: f64,
    /// How often the centroids moved in the run that was kept; 0 for methods that do not say.
    pub iterations: usize,
    /// Whether that run stood still, rather than ran out of iterations.
    pub converged: bool,
    /// Every run, in order; empty for methods that do not say.
    pub restarts: Vec<Restart>,
    /// How many themes were asked for. There are fewer where the rows have fewer directions.
    pub requested: usize,
}

/// One run of k-means.
#[derive(Debug, Clone, PartialEq)]
pub struct Restart {
    /// Mean similarity.
    pub objective: f64,
    /// How often the centroids moved.
    pub iterations: usize,
    /// Whether the run stood still, rather than ran out of iterations.
    pub converged: bool,
    /// [`quality::imbalance`] of its sizes.
    pub imbalance: f64,
}

impl Fit {
    /// Number of themes.
    pub fn k(&self) -> usize {
        self.centroids.len()
    }

    /// Whether there are fewer themes than were asked for.
    pub fn is_clamped(&self) -> bool {
        self.k() < self.requested
    }

    /// Number of rows without a theme.
    pub fn n_noise(&self) -> usize {
        self.assignments.len() - self.sizes.iter().sum::<usize>()
    }
}

/// Rows placed among themes that exist.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The theme of each row.
    pub assignments: Vec<u32>,
    /// The cosine of each row with its theme.
    pub similarity: Vec<f32>,
    /// As [`Fit::margin`].
    pub margin: Vec<f32>,
}

/// Groups `vectors` on the processor; [`Rows::fit`] groups them where they are.
///
/// Where they have fewer directions than `settings.k`, there is one theme per direction and [`Fit::is_clamped`] says so.
///
/// # Errors
/// [`Error::Usage`] for settings out of range, [`Error::Input`] without a vector or with more than the method can take,
/// [`Error::Failed`] where one of linfa's methods gives up, [`Error::Interrupted`] when cancelled.
pub fn fit(vectors: &Vectors, settings: &Settings, progress: &dyn Progress) -> Result<Fit> {
    fit_rows(&Rows::on_processor(vectors), settings, progress)
}

fn fit_rows(rows: &Rows<'_>, settings: &Settings, progress: &dyn Progress) -> Result<Fit> {
    let settings = check(settings)?;
    check_some(rows.vectors)?;
    let phase = Phase { doing: "clustering", units: "runs", total: Some(settings.restarts as u64) };
    match settings.algorithm {
        Algorithm::KMeans => {
            progress.begin(phase);
            let fit = in_pool(|| k_means(rows, settings, progress));
            progress.end();
            fit
        }
        _ => algorithm::fit(rows.vectors, settings, progress),
    }
}

/// Places each of `vectors` in the most similar of the themes `centroids`, on the processor. For the rows of a k-means
/// [`Fit`] that was made there and its centroids this gives its assignments, similarities and margins to the bit.
///
/// # Errors
/// [`Error::Input`] without a theme, [`Error::Failed`] for different dimensions, [`Error::Interrupted`] when cancelled.
pub fn assign(centroids: &Vectors, vectors: &Vectors, progress: &dyn Progress) -> Result<Assignment> {
    if centroids.is_empty() {
        return Err(Error::Input(Problem::new("themes", "there are none").hint("run `thematic cluster` first")));
    }
    if centroids.dim() != vectors.dim() {
        let cause = format!("papers have {} numbers and themes {}", vectors.dim(), centroids.dim());
        return Err(Error::Failed(Problem::new("vectors", cause).hint("use the model that the themes were made with")));
    }
    let centroids = Centroids::new(centroids.dim(), centroids.as_slice().to_vec());
    let mut nearest = vec![Nearest::default(); vectors.len()];
    nearest::label(vectors.as_slice(), &centroids, &mut nearest, progress)?;
    Ok(assignment(&nearest))
}

fn assignment(nearest: &[Nearest]) -> Assignment {
    let margin = |row: &Nearest| row.score - if row.second == f32::NEG_INFINITY { 0.0 } else { row.second };
    Assignment {
        assignments: nearest.iter().map(|row| row.index).collect(),
        similarity: nearest.iter().map(|row| row.score).collect(),
        margin: nearest.iter().map(margin).collect(),
    }
}

fn check(settings: &Settings) -> Result<&Settings> {
    let refuse =
        |thing: &str, cause: &str, hint: &'static str| Err(Error::Usage(Problem::new(thing, cause).hint(hint)));
    if settings.k == 0 {
        return refuse("k", "0 themes cannot hold a paper", "ask for at least 1, or let `-k auto` choose");
    }
    if settings.restarts == 0 {
        return refuse("restarts", "0 runs give no result", "ask for at least 1");
    }
    if settings.max_iterations == 0 {
        return refuse("iterations", "0 leave the themes where they started", "ask for at least 1");
    }
    if !(settings.density.reach > 0.0 && settings.density.reach <= 2.0) {
        return refuse("reach", "is a cosine distance above 0, and none is above 2", "try 0.3");
    }
    if settings.density.least < 2 {
        return refuse("density", "a single paper is not dense", "ask for at least 2 papers within reach");
    }
    if !(0.0..1.0).contains(&settings.tolerance) {
        return refuse("tolerance", "is a share, from 0 to below 1", "leave it out for the usual one");
    }
    Ok(settings)
}

fn check_some(vectors: &Vectors) -> Result<()> {
    if vectors.is_empty() {
        let problem = Problem::new("vectors", "there is none to group").hint("embed some papers first");
        return Err(Error::Input(problem));
    }
    Ok(())
}

/// Does `work` on a thread of the pool. Its passes are short and many: entering the pool for each would cost a wake-up.
fn in_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

/// Runs k-means from all its starts and keeps the best end; of equal ones the earliest.
fn k_means(rows: &Rows<'_>, settings: &Settings, progress: &dyn Progress) -> Result<Fit> {
    let mut restarts = Vec::with_capacity(settings.restarts);
    let mut best: Option<Run> = None;
    for restart in 0..settings.restarts {
        let run = start(rows, settings, restart, progress)?;
        restarts.push(run.report());
        progress.advance(1);
        best = Some(match best {
            Some(best) if best.objective >= run.objective => best,
            _ => run,
        });
    }
    let best = best.expect("at least one run, as checked");
    finish(rows, best, restarts, settings.k, progress)
}

/// One run of k-means from a start of its own.
fn start(rows: &Rows<'_>, settings: &Settings, restart: usize, progress: &dyn Progress) -> Result<Run> {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    rng.set_stream(restart as u64);
    let seeds = seeding::seeds(rows.vectors, settings.k.min(rows.vectors.len()), &mut rng, progress)?;
    training::run(rows, seeds, settings, progress)
}

impl Run {
    fn report(&self) -> Restart {
        let sizes = training::sizes(self.nearest.iter().map(|row| row.index), self.centroids.len());
        Restart {
            objective: self.objective,
            iterations: self.iterations,
            converged: self.converged,
            imbalance: quality::imbalance(&sizes),
        }
    }
}

/// Numbers the themes by size, drops those without rows, and labels all rows in full.
fn finish(rows: &Rows<'_>, run: Run, restarts: Vec<Restart>, requested: usize, progress: &dyn Progress) -> Result<Fit> {
    let Run { mut centroids, mut nearest, iterations, converged, .. } = run;
    let mut order = by_size(&nearest, centroids.len());
    // Rows that are equally near to two themes go to the lower number and so may move when numbers change. Where they
    // keep moving, that the labels are those of `assign` matters more than the last word in order.
    for _ in 0..4 {
        let renumbered = order.iter().flat_map(|&old| centroids.row(old)).copied().collect();
        centroids = Centroids::new(rows.vectors.dim(), renumbered);
        rows.label(&centroids, &mut nearest, progress)?;
        order = by_size(&nearest, centroids.len());
        if order.iter().copied().eq(0..centroids.len()) {
            break;
        }
    }
    let Assignment { assignments, similarity, margin } = assignment(&nearest);
    Ok(Fit {
        sizes: training::sizes(assignments.iter().copied(), centroids.len()),
        objective: similarity.iter().map(|&score| f64::from(score)).sum::<f64>() / similarity.len() as f64,
        centroids: Vectors::from_unit_rows(rows.vectors.dim(), centroids.into_rows())?,
        assignments,
        similarity,
        margin,
        iterations,
        converged,
        restarts,
        requested,
    })
}

/// The clusters that have rows, the largest first; of equal ones the one whose first row comes first.
fn by_size(nearest: &[Nearest], k: usize) -> Vec<usize> {
    let mut first_rows = vec![usize::MAX; k];
    for (row, nearest) in nearest.iter().enumerate().rev() {
        first_rows[nearest.index as usize] = row;
    }
    let sizes = training::sizes(nearest.iter().map(|row| row.index), k);
    let mut order: Vec<usize> = (0..k).filter(|&cluster| sizes[cluster] > 0).collect();
    order.sort_by_key(|&cluster| (std::cmp::Reverse(sizes[cluster]), first_rows[cluster]));
    order
}
