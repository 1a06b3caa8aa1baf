//! The ways to group, and linfa's own among them behind guards.
//!
//! Each of linfa's estimators is given only what it can take: more themes than directions, a theme without rows or a
//! record that is out of reach would panic or fail inside. They compare rows by Euclidean distance, which orders unit
//! vectors as cosine does. They cannot be cancelled while they run, and except for k-means [`super::assign`] need not
//! repeat their assignments. None is as fast as [`Algorithm::KMeans`].

mod density;
mod mixture;

use linfa::DatasetBase;
use linfa::traits::Fit as _;
use linfa_clustering::KMeans;
use ndarray::ArrayView2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::nearest::{Centroids, label};
use super::training::Run;
use super::{Fit, NOISE, Rows, Settings, finish, seeding};
use crate::error::{Error, Problem, Result};
use crate::kernel::{Isa, Nearest, dot};
use crate::progress::{Phase, Progress};
use crate::vectors::{Vectors, normalise};

/// How rows are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// Spherical k-means of this crate.
    #[default]
    KMeans,
    /// linfa's k-means: Lloyd's algorithm with Euclidean means.
    LinfaKMeans,
    /// linfa's Gaussian mixture, on the principal components of the vectors.
    GaussianMixture,
    /// linfa's DBSCAN: dense places of one density. Finds its own number of themes and leaves rows out.
    Dbscan,
    /// linfa's OPTICS: dense places of different density. Finds its own number of themes and leaves rows out.
    Optics,
}

impl Algorithm {
    /// Every one, the usual one first.
    pub const ALL: [Self; 5] = [Self::KMeans, Self::LinfaKMeans, Self::GaussianMixture, Self::Dbscan, Self::Optics];

    /// Its name as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KMeans => "kmeans",
            Self::LinfaKMeans => "linfa-kmeans",
            Self::GaussianMixture => "gaussian-mixture",
            Self::Dbscan => "dbscan",
            Self::Optics => "optics",
        }
    }

    /// Whether it finds the number of themes itself.
    pub fn finds_k(self) -> bool {
        matches!(self, Self::Dbscan | Self::Optics)
    }

    /// The most rows it takes. linfa's k-means compares every row with every theme one number at a time, the methods
    /// that look for dense places every row with every other: these many take minutes.
    fn most_rows(self) -> usize {
        match self {
            Self::KMeans => usize::MAX,
            Self::LinfaKMeans | Self::GaussianMixture => 100_000,
            Self::Dbscan | Self::Optics => 10_000,
        }
    }
}

/// What counts as a dense place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Density {
    /// The farthest neighbour, as cosine distance: above 0, at most 2.
    pub reach: f32,
    /// How many rows, itself included, must be within reach of a row in the midst of a theme: at least 2.
    pub least: usize,
}

impl Default for Density {
    fn default() -> Self {
        Self { reach: 0.3, least: 5 }
    }
}

impl Density {
    /// The reach as a distance between unit vectors.
    fn chord(self) -> f32 {
        (2.0 * self.reach).sqrt()
    }
}

/// Runs one of linfa's methods on at least one row, with settings in range.
pub(super) fn fit(vectors: &Vectors, settings: &Settings, progress: &dyn Progress) -> Result<Fit> {
    check_size(vectors, settings.algorithm)?;
    progress.begin(Phase { doing: "clustering", units: "papers", total: None });
    let fit = match settings.algorithm {
        Algorithm::KMeans | Algorithm::LinfaKMeans => k_means(vectors, settings, progress),
        Algorithm::GaussianMixture => directions(vectors, settings, progress)
            .and_then(|k| mixture::groups(vectors, k, settings))
            .and_then(|groups| from_groups(vectors, &groups, settings.k, progress)),
        Algorithm::Dbscan => {
            density::dbscan(vectors, settings.density).and_then(|groups| from_groups(vectors, &groups, 0, progress))
        }
        Algorithm::Optics => {
            density::optics(vectors, settings.density).and_then(|groups| from_groups(vectors, &groups, 0, progress))
        }
    };
    progress.end();
    fit
}

fn check_size(vectors: &Vectors, algorithm: Algorithm) -> Result<()> {
    let most = algorithm.most_rows();
    if vectors.len() <= most {
        return Ok(());
    }
    let cause = format!("takes at most {most} papers, and there are {}", vectors.len());
    let problem = Problem::new(algorithm.name(), cause).hint("use `--algorithm kmeans`, which has no such limit");
    Err(Error::Input(problem))
}

/// The number of themes asked for, or of directions where there are fewer.
fn directions(vectors: &Vectors, settings: &Settings, progress: &dyn Progress) -> Result<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let seeds = seeding::seeds(vectors, settings.k.min(vectors.len()), &mut rng, progress)?;
    Ok(seeds.len() / vectors.dim())
}

fn failed(algorithm: Algorithm, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    let problem = Problem::new(algorithm.name(), source.to_string());
    Error::Failed(problem.source(source).hint("ask for fewer themes, or use `--algorithm kmeans`"))
}

/// linfa's centroids become directions and rows are labelled anew: its own counts can be of another run.
fn k_means(vectors: &Vectors, settings: &Settings, progress: &dyn Progress) -> Result<Fit> {
    let k = directions(vectors, settings, progress)?;
    let model = KMeans::params_with_rng(k, ChaCha8Rng::seed_from_u64(settings.seed))
        .n_runs(settings.restarts)
        .max_n_iterations(settings.max_iterations as u64)
        .tolerance(settings.tolerance.max(1e-9) as f32)
        .fit(&DatasetBase::from(records(vectors)))
        .map_err(|error| failed(Algorithm::LinfaKMeans, error))?;
    let mut rows: Vec<f32> = model.centroids().iter().copied().collect();
    let mut with_direction = Vec::with_capacity(rows.len());
    for row in rows.chunks_exact_mut(vectors.dim()) {
        if normalise(row) {
            with_direction.extend_from_slice(row);
        }
    }
    if with_direction.is_empty() {
        with_direction.extend_from_slice(vectors.row(0));
    }
    let centroids = Centroids::new(vectors.dim(), with_direction);
    let mut nearest = vec![Nearest::default(); vectors.len()];
    label(vectors.as_slice(), &centroids, &mut nearest, progress)?;
    let run = Run { centroids, nearest, objective: 0.0, iterations: 0, converged: true };
    finish(&Rows::on_processor(vectors), run, Vec::new(), settings.k, progress)
}

fn records(vectors: &Vectors) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((vectors.len(), vectors.dim()), vectors.as_slice()).expect("vectors are whole rows")
}

/// A fit from groups in any numbering, of which each has rows; None is noise. Asks for as many themes as it finds where
/// `requested` is less.
fn from_groups(vectors: &Vectors, groups: &[Option<usize>], requested: usize, progress: &dyn Progress) -> Result<Fit> {
    let members = by_size(groups);
    let mut assignments = vec![NOISE; vectors.len()];
    for (theme, rows) in members.iter().enumerate() {
        rows.iter().for_each(|&row| assignments[row] = theme as u32);
    }
    let centroids: Vec<f32> = members.iter().flat_map(|rows| direction(vectors, rows)).collect();
    let (similarity, margin) = figures(vectors, &assignments, &centroids, progress)?;
    let n_grouped = members.iter().map(Vec::len).sum::<usize>().max(1);
    Ok(Fit {
        objective: similarity.iter().map(|&similarity| f64::from(similarity)).sum::<f64>() / n_grouped as f64,
        centroids: Vectors::from_unit_rows(vectors.dim(), centroids)?,
        assignments,
        similarity,
        margin,
        sizes: members.iter().map(Vec::len).collect(),
        iterations: 0,
        converged: true,
        restarts: Vec::new(),
        requested: requested.max(members.len()),
    })
}

/// The rows of each group, the largest first; of equal ones the one whose first row comes first.
fn by_size(groups: &[Option<usize>]) -> Vec<Vec<usize>> {
    let n_groups = groups.iter().flatten().max().map_or(0, |&last| last + 1);
    let mut members = vec![Vec::new(); n_groups];
    for (row, group) in groups.iter().enumerate() {
        if let Some(group) = group {
            members[*group].push(row);
        }
    }
    members.retain(|rows| !rows.is_empty());
    members.sort_by_key(|rows| (std::cmp::Reverse(rows.len()), rows[0]));
    members
}

/// The mean direction of rows; the first one where they cancel out.
fn direction(vectors: &Vectors, rows: &[usize]) -> Vec<f32> {
    let mut sum = vec![0.0f64; vectors.dim()];
    for &row in rows {
        sum.iter_mut().zip(vectors.row(row)).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let mut mean: Vec<f32> = sum.iter().map(|&sum| (sum / rows.len() as f64) as f32).collect();
    if normalise(&mut mean) { mean } else { vectors.row(rows[0]).to_vec() }
}

/// Similarity and margin of each row with its theme, which need not be the nearest.
fn figures(
    vectors: &Vectors,
    assignments: &[u32],
    centroids: &[f32],
    progress: &dyn Progress,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let (mut similarity, mut margin) = (vec![0.0; vectors.len()], vec![0.0; vectors.len()]);
    if centroids.is_empty() {
        return Ok((similarity, margin));
    }
    let centroids = Centroids::new(vectors.dim(), centroids.to_vec());
    let mut nearest = vec![Nearest::default(); vectors.len()];
    label(vectors.as_slice(), &centroids, &mut nearest, progress)?;
    for (row, (&theme, nearest)) in
        assignments.iter().zip(&nearest).enumerate().filter(|(_, (theme, _))| **theme != NOISE)
    {
        let is_nearest = nearest.index == theme;
        let own =
            if is_nearest { nearest.score } else { dot(Isa::best(), vectors.row(row), centroids.row(theme as usize)) };
        let other = if is_nearest { nearest.second } else { nearest.score };
        similarity[row] = own;
        margin[row] = own - if other == f32::NEG_INFINITY { 0.0 } else { other };
    }
    Ok((similarity, margin))
}
