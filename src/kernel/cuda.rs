//! Our kernels on CUDA devices. Which devices there are, [`super::Driver`] knows.
//!
//! What computes on a device is in `present`, which the feature `cuda` builds and only the packed engine, k-means and search
//! use. What they are asked in and how they fail is the same in both programs, and so are the types that k-means and search
//! are written against, of which `absent` has none to give.

#[cfg(not(feature = "cuda"))]
mod absent;
#[cfg(feature = "cuda")]
mod present;

#[cfg(not(feature = "cuda"))]
pub use absent::*;
#[cfg(feature = "cuda")]
pub use present::*;

use crate::error::{Error, Problem};

/// In which numbers a device multiplies; sums are f32 in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Factors as they are.
    F32,
    /// Factors of IEEE's 16 bits.
    F16,
    /// Factors rounded to eight bits of precision.
    Bf16,
}

/// Why a device did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no GPU side in this program.
    #[error("this program was built without CUDA")]
    NotBuilt,
    /// The driver finds no device.
    #[error("the driver finds no CUDA device")]
    NoDevice,
    /// The device has no such kernel or does not take it: our kernels are for compute capability 8.0 and newer.
    #[error("the device cannot run this program's kernels: {0}")]
    Unsupported(String),
    /// What was asked for does not fit the device's memory; less of it may.
    #[error("out of memory")]
    OutOfMemory,
    /// Anything else, in the driver's words.
    #[error("{0}")]
    Driver(String),
}

/// The oldest device that the kernels are compiled for.
pub const LEAST_CAPABILITY: (u32, u32) = (8, 0);

impl Precision {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

impl Failure {
    /// The same about `device`, as an error that says what to do.
    pub fn on(self, device: &str) -> Error {
        let cause = self.to_string();
        let problem = Problem::new(device, cause);
        match self {
            Self::OutOfMemory => {
                Error::OutOfMemory(problem.hint("close what else uses the device, or ask for smaller batches"))
            }
            Self::NotBuilt => Error::Device(
                problem.hint("use `thematic-cuda`, or build with `--features cuda`; `--device cpu` works here"),
            ),
            Self::NoDevice => {
                Error::Device(problem.hint("`nvidia-smi` shows what the driver finds; or use `--device cpu`"))
            }
            Self::Unsupported(_) | Self::Driver(_) => {
                Error::Device(problem.hint("`nvidia-smi` shows the state of device and driver; or use `--device cpu`"))
            }
        }
    }
}
