//! The answer of a program without a GPU side.

use crate::encode::engine::Engine;
use crate::error::Result;
use crate::kernel::cuda::{Failure, Precision};
use crate::models::{Encoder, ModelFolder, Pooling};

/// Loads a transformer on device `ordinal`.
///
/// # Errors
/// Always [`crate::error::Error::Device`].
pub(in crate::encode) fn load(
    _model: &ModelFolder,
    _encoder: &Encoder,
    _pooling: &Pooling,
    ordinal: usize,
    _precision: Precision,
) -> Result<Box<dyn Engine>> {
    Err(Failure::NotBuilt.on(&format!("device `cuda:{ordinal}`")))
}
