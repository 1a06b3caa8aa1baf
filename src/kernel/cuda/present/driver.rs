//! What the driver says about itself and its devices.

use cudarc::cublaslt::result::CublasError;
use cudarc::driver::{CudaContext, DriverError, sys};

use super::{DeviceInfo, Failure};

/// The devices that the driver finds.
///
/// # Errors
/// [`Failure::NoDevice`] where there is none, [`Failure::Driver`] where the driver cannot say.
pub fn devices() -> Result<Vec<DeviceInfo>, Failure> {
    let count = CudaContext::device_count()?;
    (0..count.unsigned_abs() as usize).map(describe).collect()
}

fn describe(ordinal: usize) -> Result<DeviceInfo, Failure> {
    let context = CudaContext::new(ordinal)?;
    let (major, minor) = context.compute_capability()?;
    let (free, total) = context.mem_get_info()?;
    Ok(DeviceInfo {
        ordinal,
        name: context.name()?,
        capability: (major.unsigned_abs(), minor.unsigned_abs()),
        free_memory: free as u64,
        total_memory: total as u64,
    })
}

/// The newest version of CUDA that the driver runs, as 13 and 0.
///
/// # Errors
/// [`Failure::Driver`] where the driver cannot say.
pub fn driver_version() -> Result<(u32, u32), Failure> {
    let mut version = 0;
    // SAFETY: the call writes one int, to a place that outlives it.
    #[expect(unsafe_code, reason = "cudarc has no safe function for this question")]
    unsafe { sys::cuDriverGetVersion(&raw mut version) }.result()?;
    let version = version.unsigned_abs();
    Ok((version / 1000, version % 1000 / 10))
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => Self::OutOfMemory,
            sys::CUresult::CUDA_ERROR_NO_DEVICE => Self::NoDevice,
            sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU | sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
                Self::Unsupported(format!("{:?}", error.0))
            }
            code => Self::Driver(format!("the driver answers {code:?}")),
        }
    }
}

impl From<CublasError> for Failure {
    fn from(error: CublasError) -> Self {
        match error.0 {
            cudarc::cublaslt::sys::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED => Self::OutOfMemory,
            code => Self::Driver(format!("cublasLt answers {code:?}")),
        }
    }
}
