//! The types that products on a device are made in.

use cudarc::cublaslt::sys::{cublasComputeType_t, cudaDataType};
use cudarc::driver::{DeviceRepr, ValidAsZeroBits};
use half::{bf16, f16};

use super::Precision;

/// A type of factors.
pub trait Number: DeviceRepr + ValidAsZeroBits + Copy + Send + Sync + 'static {
    /// What it is called; kernels of the type have it in their names.
    const PRECISION: Precision;
    /// What cublasLt calls it.
    #[doc(hidden)]
    const DATA_TYPE: cudaDataType;

    /// The nearest of the type.
    fn from_f32(number: f32) -> Self;
}

/// How products are summed: in f32, of which no bit is dropped, whatever the factors are.
pub(super) const SUMS: cublasComputeType_t = cublasComputeType_t::CUBLAS_COMPUTE_32F;

impl Number for f32 {
    const PRECISION: Precision = Precision::F32;
    const DATA_TYPE: cudaDataType = cudaDataType::CUDA_R_32F;

    fn from_f32(number: f32) -> Self {
        number
    }
}

impl Number for f16 {
    const PRECISION: Precision = Precision::F16;
    const DATA_TYPE: cudaDataType = cudaDataType::CUDA_R_16F;

    fn from_f32(number: f32) -> Self {
        Self::from_f32(number)
    }
}

impl Number for bf16 {
    const PRECISION: Precision = Precision::Bf16;
    const DATA_TYPE: cudaDataType = cudaDataType::CUDA_R_16BF;

    fn from_f32(number: f32) -> Self {
        Self::from_f32(number)
    }
}
