//! The rows that are grouped, and who finds the nearest centroid of each: the processor, or a GPU.
//!
//! On a GPU every row is compared with every centroid each time: the bounds by which [`nearest::relabel`] spares most
//! products need rows to be gathered and decided one by one, where a GPU should gain least (not measured). Labels differ
//! from the processor's only where scores lie within rounding of each other, the width of a row times f32's epsilon on each
//! side.

use super::nearest::{self, Centroids};
use super::{Fit, Settings, Sweep, SweepSettings};
use crate::error::Result;
use crate::kernel::Nearest;
use crate::kernel::cuda::{DeviceRows, Selector};
use crate::progress::Progress;
use crate::vectors::Vectors;

/// Rows, and what compares them with centroids.
#[derive(Debug)]
pub struct Rows<'a> {
    pub(super) vectors: &'a Vectors,
    gpu: Option<OnGpu<'a>>,
}

#[derive(Debug)]
struct OnGpu<'a> {
    selector: &'a Selector,
    rows: DeviceRows<'a>,
}

impl<'a> Rows<'a> {
    /// On a GPU, or where there is none on the processor. A GPU keeps the rows where it has room for them.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where the GPU fails.
    pub fn on(vectors: &'a Vectors, gpu: Option<&'a Selector>) -> Result<Self> {
        let hold = |selector: &'a Selector| -> Result<OnGpu<'a>> {
            Ok(OnGpu { selector, rows: selector.hold(vectors.as_slice(), vectors.dim())? })
        };
        Ok(Self { vectors, gpu: gpu.map(hold).transpose()? })
    }

    pub(super) fn on_processor(vectors: &'a Vectors) -> Self {
        Self { vectors, gpu: None }
    }

    /// Other rows in the same place.
    pub(super) fn beside<'b>(&'b self, vectors: &'b Vectors) -> Result<Rows<'b>> {
        Rows::on(vectors, self.gpu.as_ref().map(|gpu| gpu.selector))
    }

    /// As [`super::fit`]; only k-means computes on a GPU.
    ///
    /// # Errors
    /// As there, [`crate::error::Error::Device`] and [`crate::error::Error::OutOfMemory`] where the GPU fails.
    pub fn fit(&self, settings: &Settings, progress: &dyn Progress) -> Result<Fit> {
        super::fit_rows(self, settings, progress)
    }

    /// As [`super::sweep`].
    ///
    /// # Errors
    /// As there, [`crate::error::Error::Device`] and [`crate::error::Error::OutOfMemory`] where the GPU fails.
    pub fn sweep(&self, settings: &SweepSettings, progress: &dyn Progress) -> Result<Sweep> {
        super::sweep::sweep_rows(self, settings, progress)
    }

    /// As [`nearest::label`].
    pub(super) fn label(&self, centroids: &Centroids, nearest: &mut [Nearest], progress: &dyn Progress) -> Result<()> {
        match &self.gpu {
            None => nearest::label(self.vectors.as_slice(), centroids, nearest, progress),
            Some(gpu) => gpu.label(centroids, nearest, progress),
        }
    }

    /// As [`nearest::relabel`].
    pub(super) fn relabel(
        &self,
        before: &Centroids,
        after: &Centroids,
        nearest: &mut [Nearest],
        progress: &dyn Progress,
    ) -> Result<()> {
        match &self.gpu {
            None => nearest::relabel(self.vectors.as_slice(), before, after, nearest, progress),
            Some(gpu) => gpu.label(after, nearest, progress),
        }
    }
}

impl OnGpu<'_> {
    fn label(&self, centroids: &Centroids, nearest: &mut [Nearest], progress: &dyn Progress) -> Result<()> {
        let labelled = self.rows.nearest(centroids.rows(), nearest, &|| progress.cancelled());
        if let Some(warning) = self.selector.take_warning() {
            progress.warn(&warning);
        }
        labelled
    }
}
