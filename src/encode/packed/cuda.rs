//! The packed engine on a CUDA device.

use crate::encode::engine::Engine;
use crate::error::Result;
use crate::kernel::cuda::Precision;
use crate::models::{Encoder, ModelFolder, Pooling};

/// Loads a transformer on device `ordinal`, its weights once; batches are sized by the memory left there.
///
/// # Errors
/// [`crate::error::Error::Device`] where there is no such device or no GPU side; [`crate::error::Error::OutOfMemory`]
/// where the weights do not fit; [`crate::error::Error::Model`] where the kernels do not cover the network.
pub(in crate::encode) fn load(
    model: &ModelFolder,
    encoder: &Encoder,
    pooling: &Pooling,
    ordinal: usize,
    precision: Precision,
) -> Result<Box<dyn Engine>> {
    let _ = (model, encoder, pooling, ordinal, precision);
    Err(crate::kernel::cuda::Failure::NotBuilt.on("`--device cuda`"))
}
