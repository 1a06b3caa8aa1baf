//! The estimator of this module behind linfa's traits, so that it can take the place of linfa's own.
//!
//! [`KMeansParams`] become [`KMeansValidParams`] by `check`, these fit a dataset of `f32` records, and the [`Fit`]
//! predicts. Records are scaled to unit length on the way in: what counts is direction.
//!
//! ```
//! use linfa::{DatasetBase, traits::{Fit, Predict}};
//! use ndarray::array;
//! use thematic::cluster::{KMeansParams, Settings};
//!
//! let records = array![[1.0f32, 0.1], [2.0, 0.3], [-0.1, 1.0], [0.0, 3.0], [0.1, 1.0]];
//! let params = KMeansParams::new(Settings { k: 2, ..Settings::default() });
//! let themes = params.fit(&DatasetBase::from(records.clone()))?;
//! assert_eq!(themes.predict(&records), array![1, 1, 0, 0, 0]);
//! # Ok::<(), thematic::Error>(())
//! ```

use linfa::ParamGuard;
use linfa::dataset::DatasetBase;
use linfa::traits::PredictInplace;
use ndarray::{Array1, ArrayBase, Data, Ix2};

use super::{Fit, Settings, assign, check, fit};
use crate::error::{Error, Problem, Result};
use crate::progress::Silent;
use crate::vectors::{Vectors, normalise};

/// Settings that were not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansParams(KMeansValidParams);

impl KMeansParams {
    /// Any settings.
    pub fn new(settings: Settings) -> Self {
        Self(KMeansValidParams(settings))
    }
}

/// Settings that are in range.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansValidParams(Settings);

impl KMeansValidParams {
    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.0
    }
}

impl ParamGuard for KMeansParams {
    type Checked = KMeansValidParams;
    type Error = Error;

    fn check_ref(&self) -> Result<&KMeansValidParams> {
        check(&self.0.0)?;
        Ok(&self.0)
    }

    fn check(self) -> Result<KMeansValidParams> {
        check(&self.0.0)?;
        Ok(self.0)
    }
}

impl From<linfa::error::Error> for Error {
    fn from(error: linfa::error::Error) -> Self {
        Self::Failed(Problem::new("clustering", error.to_string()).source(error))
    }
}

impl<D: Data<Elem = f32>, T> linfa::traits::Fit<ArrayBase<D, Ix2>, T, Error> for KMeansValidParams {
    type Object = Fit;

    /// Fails as [`fit`] does, and for a record without a direction.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Fit> {
        let records = dataset.records();
        let vectors = Vectors::normalised(records.ncols(), records.iter().copied().collect())?;
        fit(&vectors, &self.0, &Silent)
    }
}

impl<D: Data<Elem = f32>> PredictInplace<ArrayBase<D, Ix2>, Array1<usize>> for Fit {
    /// The most similar theme of each record; theme 0 for a record without a direction.
    ///
    /// # Panics
    /// Where there is no theme, records are not as wide as themes, or `targets` is not as long as there are records.
    fn predict_inplace<'a>(&'a self, records: &'a ArrayBase<D, Ix2>, targets: &mut Array1<usize>) {
        assert_eq!(records.nrows(), targets.len(), "one target for each record");
        let mut rows: Vec<f32> = records.iter().copied().collect();
        for row in rows.chunks_exact_mut(self.centroids.dim()) {
            if !normalise(row) {
                row.copy_from_slice(self.centroids.row(0));
            }
        }
        let found = Vectors::from_unit_rows(records.ncols(), rows)
            .and_then(|rows| assign(&self.centroids, &rows, &Silent))
            .expect("records are as wide as themes");
        targets.iter_mut().zip(found.assignments).for_each(|(target, theme)| *target = theme as usize);
    }

    fn default_target(&self, records: &ArrayBase<D, Ix2>) -> Array1<usize> {
        Array1::zeros(records.nrows())
    }
}
