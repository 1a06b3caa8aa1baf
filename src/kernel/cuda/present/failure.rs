//! What the driver and cublasLt answer where they fail.

use cudarc::cublaslt::result::CublasError;
use cudarc::driver::{DriverError, sys};

use super::Failure;

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
