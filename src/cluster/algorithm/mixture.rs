//! Groups as normal distributions, by linfa's Gaussian mixture.
//!
//! It multiplies densities without logarithms, which overflow in hundreds of dimensions, and estimates a full covariance
//! for each theme, which takes more rows than a theme has: so it sees the first principal components only, on a scale
//! where densities stay in range.

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::GaussianMixtureModel;
use ndarray::{Array1, Array2, Axis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Algorithm, Settings, failed, records};
use crate::error::Result;
use crate::vectors::Vectors;

/// Principal components that distributions are made of.
const COMPONENTS: usize = 12;
/// Passes over the data to find them; the subspace, not each direction, has to be right.
const PASSES: usize = 8;
/// What is added to every variance, beside a mean variance of one.
const LEAST_VARIANCE: f64 = 1e-2;

/// The most probable of `k` distributions for each row.
pub(super) fn groups(vectors: &Vectors, k: usize, settings: &Settings) -> Result<Vec<Option<usize>>> {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let components = principal_components(vectors, &mut rng);
    let model = GaussianMixtureModel::params_with_rng(k, rng)
        .n_runs(1)
        .max_n_iterations(settings.max_iterations.max(100) as u64)
        .reg_covariance(LEAST_VARIANCE)
        .fit(&DatasetBase::from(components.clone()))
        .map_err(|error| failed(Algorithm::GaussianMixture, error))?;
    let probabilities = model.predict_proba(&components);
    Ok(probabilities.rows().into_iter().map(|row| Some(most_probable(row.as_slice().unwrap_or_default()))).collect())
}

/// A row out of reach of every distribution has no probabilities and goes to the first.
fn most_probable(probabilities: &[f64]) -> usize {
    let known = probabilities.iter().enumerate().filter(|(_, probability)| !probability.is_nan());
    known.rev().max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(group, _)| group)
}

/// Coordinates of rows in the subspace of greatest variance, by orthogonal iteration from a random start; scaled so that
/// the mean variance of a coordinate is one.
fn principal_components(vectors: &Vectors, rng: &mut ChaCha8Rng) -> Array2<f64> {
    let rows = records(vectors);
    let mean = rows.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(vectors.dim()));
    let centred = &rows - &mean;
    let n_components = COMPONENTS.min(vectors.dim());
    let mut axes = Array2::from_shape_simple_fn((vectors.dim(), n_components), || rng.gen_range(-1.0f32..1.0));
    for _ in 0..PASSES {
        axes = centred.t().dot(&centred.dot(&axes));
        orthogonalise(&mut axes);
    }
    let coordinates = centred.dot(&axes).mapv(f64::from);
    let variance = coordinates.iter().map(|value| value * value).sum::<f64>() / coordinates.len() as f64;
    if variance > 0.0 { coordinates / variance.sqrt() } else { coordinates }
}

/// Gram and Schmidt's method; a column that the others explain becomes zero.
fn orthogonalise(axes: &mut Array2<f32>) {
    for column in 0..axes.ncols() {
        let (before, mut rest) = axes.view_mut().split_at(Axis(1), column);
        let mut axis = rest.column_mut(0);
        let length_before = axis.dot(&axis).sqrt();
        for other in before.columns() {
            let along = axis.dot(&other);
            axis.scaled_add(-along, &other);
        }
        let length = axis.dot(&axis).sqrt();
        if length > 1e-4 * length_before { axis /= length } else { axis.fill(0.0) }
    }
}
