//! The answers of a program without a GPU side.

use super::{DeviceInfo, Failure};

/// The devices that the driver finds.
///
/// # Errors
/// Always [`Failure::NotBuilt`].
pub fn devices() -> Result<Vec<DeviceInfo>, Failure> {
    Err(Failure::NotBuilt)
}

/// The newest version of CUDA that the driver runs, as 13 and 0.
///
/// # Errors
/// Always [`Failure::NotBuilt`].
pub fn driver_version() -> Result<(u32, u32), Failure> {
    Err(Failure::NotBuilt)
}
