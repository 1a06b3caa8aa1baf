//! Products by cublasLt: `input * weights^T + bias`, rows of the input and the output one after the other.
//!
//! cublasLt counts columns first, so that what we call rows it calls columns: to it the output is `weights^T * input`, of
//! which the bias, one number for each row it sees, is added on the way out.

#![expect(unsafe_code, reason = "cublasLt takes pointers to what describes a product")]

use std::ffi::c_void;
use std::sync::Arc;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    cublasLtEpilogue_t, cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t,
    cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, cublasLtMatrixLayout_t, cudaDataType,
};
use cudarc::driver::{CudaSlice, CudaStream, CudaView, DevicePtr, DevicePtrMut};

use super::Failure;
use super::device::{Array, Lane};
use super::number::{Number, SUMS};

/// What cublasLt may use beside: what NVIDIA advises for Hopper; less makes it choose slower ways.
const WORKSPACE_BYTES: usize = 32 << 20;

/// Bytes that every matrix begins at a multiple of, parts of larger ones included; cublasLt takes it for 256 unless told.
const LEAST_ALIGNMENT: u32 = 16;

/// `CUBLAS_OP_T`, which the bindings of cublasLt leave to those of cublas.
const TRANSPOSED: i32 = 1;

/// Weights and bias of a linear map.
#[derive(Debug)]
pub struct LinearWeights<T> {
    weight: Array<T>,
    bias: Option<Array<T>>,
    n_in: usize,
    n_out: usize,
}

/// cublasLt on one lane.
#[derive(Debug)]
pub(super) struct Products {
    handle: cublasLtHandle_t,
    workspace: CudaSlice<u8>,
}

// SAFETY: cublasLt's documentation says that a handle may be used by any thread, by several at once even; the workspace
// is an array like any other.
unsafe impl Send for Products {}
// SAFETY: as above; a shared reference only reads the pointer of the workspace, and only one lane's stream uses it.
unsafe impl Sync for Products {}

impl Products {
    pub(super) fn new(stream: &Arc<CudaStream>) -> Result<Self, Failure> {
        // SAFETY: nobody reads the workspace but cublasLt, which writes first.
        let workspace = unsafe { stream.alloc(WORKSPACE_BYTES) }?;
        Ok(Self { handle: result::create_handle()?, workspace })
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        // SAFETY: the handle was made by `new` and is used by nobody after this; a failure to free it changes nothing.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

impl<T: Number> LinearWeights<T> {
    /// From `weight`, row-major with a row of `n_in` numbers for each output, and one bias for each output.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where they do not fit.
    pub fn upload(lane: &Lane, weight: &[f32], n_in: usize, bias: Option<&[f32]>) -> Result<Self, Failure> {
        assert!(n_in > 0 && weight.len().is_multiple_of(n_in), "not a whole number of rows");
        let n_out = weight.len() / n_in;
        assert!(bias.is_none_or(|bias| bias.len() == n_out), "one bias for each output");
        let send = |numbers: &[f32]| {
            let numbers: Vec<T> = numbers.iter().map(|&number| T::from_f32(number)).collect();
            lane.upload(&numbers)
        };
        Ok(Self { weight: send(weight)?, bias: bias.map(send).transpose()?, n_in, n_out })
    }

    /// Numbers in a row of the input.
    pub fn n_in(&self) -> usize {
        self.n_in
    }

    /// Numbers in a row of the output.
    pub fn n_out(&self) -> usize {
        self.n_out
    }
}

impl Lane {
    /// Makes `output` the product of `input` with `weights`, plus its bias.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where the output does not fit.
    pub fn linear<T: Number>(
        &self,
        weights: &LinearWeights<T>,
        input: &Array<T>,
        output: &mut Array<T>,
    ) -> Result<(), Failure> {
        assert!(input.len().is_multiple_of(weights.n_in), "not a whole number of rows");
        let rows = input.len() / weights.n_in;
        let to = output.resize(self, rows * weights.n_out)?;
        let bias = weights.bias.as_ref().map(Array::whole);
        let shape = Shape { rows, n_in: weights.n_in, n_out: weights.n_out };
        self.product(shape, &weights.weight.whole(), &input.whole(), bias.as_ref(), to)
    }

    pub(super) fn product<T: Number>(
        &self,
        shape: Shape,
        weight: &CudaView<'_, T>,
        input: &CudaView<'_, T>,
        bias: Option<&CudaView<'_, T>>,
        output: &mut CudaSlice<T>,
    ) -> Result<(), Failure> {
        let Shape { rows, n_in, n_out } = shape;
        let enough = weight.len() >= n_in * n_out && input.len() >= rows * n_in && output.len() >= rows * n_out;
        assert!(enough && bias.is_none_or(|bias| bias.len() == n_out), "arrays are as large as the product");
        if rows == 0 {
            return Ok(());
        }
        let stream = &self.stream;
        stream.context().bind_to_thread()?;
        // Without event tracking these guards do nothing: the order on the lane is all there is to keep.
        let (weight, _weight) = weight.device_ptr(stream);
        let (input, _input) = input.device_ptr(stream);
        let bias = bias.map(|bias| bias.device_ptr(stream));
        let (output, _output) = output.device_ptr_mut(stream);
        let (workspace, _workspace) = self.products.workspace.device_ptr(stream);

        let description = Description::new(bias.as_ref().map(|(bias, _)| *bias))?;
        let layout = |rows: usize, columns: usize| Layout::new(T::DATA_TYPE, rows, columns);
        let (left, right, product) = (layout(n_in, n_out)?, layout(n_in, rows)?, layout(n_out, rows)?);
        let preference = Preference::new()?;
        let (one, zero) = (1.0f32, 0.0f32);
        let number = |number: &f32| std::ptr::from_ref(number).cast::<c_void>();
        // SAFETY: the descriptions live until the call returns, and are of matrices that the asserts above give room
        // for; the product waits on the stream for what made its factors, and the workspace is this stream's alone.
        unsafe {
            let chosen = result::get_matmul_algo_heuristic(
                self.products.handle,
                description.0,
                left.0,
                right.0,
                product.0,
                product.0,
                preference.0,
            )?;
            result::matmul(
                self.products.handle,
                description.0,
                number(&one),
                number(&zero),
                weight as *const c_void,
                left.0,
                input as *const c_void,
                right.0,
                output as *const c_void,
                product.0,
                output as *mut c_void,
                product.0,
                &raw const chosen.algo,
                workspace as *mut c_void,
                WORKSPACE_BYTES,
                stream.cu_stream().cast(),
            )?;
        }
        Ok(())
    }
}

/// The sizes of a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) n_in: usize,
    pub(super) n_out: usize,
}

/// How factors are summed, turned and finished.
struct Description(cublasLtMatmulDesc_t);

impl Description {
    fn new(bias: Option<u64>) -> Result<Self, CublasError> {
        let this = Self(result::create_matmul_desc(SUMS, cudaDataType::CUDA_R_32F)?);
        this.set(cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        if let Some(bias) = bias {
            let epilogue = cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as u32;
            this.set(cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
            this.set(cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)?;
        }
        Ok(this)
    }

    fn set<V>(&self, attribute: cublasLtMatmulDescAttributes_t, value: &V) -> Result<(), CublasError> {
        // SAFETY: cublasLt copies as many bytes as it is told, from a value that lives until the call returns.
        unsafe {
            result::set_matmul_desc_attribute(self.0, attribute, std::ptr::from_ref(value).cast(), size_of::<V>())
        }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: made by `new`, used by nobody after this; a failure to free it changes nothing.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

/// A matrix as cublasLt counts: columns stand one after the other.
struct Layout(cublasLtMatrixLayout_t);

impl Layout {
    fn new(numbers: cudaDataType, rows: usize, columns: usize) -> Result<Self, CublasError> {
        Ok(Self(result::create_matrix_layout(numbers, rows as u64, columns as u64, rows as i64)?))
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: as for `Description`.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

/// What cublasLt may choose among.
struct Preference(cublasLtMatmulPreference_t);

impl Preference {
    fn new() -> Result<Self, CublasError> {
        use cublasLtMatmulPreferenceAttributes_t as Attribute;
        let this = Self(result::create_matmul_pref()?);
        this.set(Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE_BYTES)?;
        for side in [
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ] {
            this.set(side, &LEAST_ALIGNMENT)?;
        }
        Ok(this)
    }

    fn set<V>(&self, attribute: cublasLtMatmulPreferenceAttributes_t, value: &V) -> Result<(), CublasError> {
        // SAFETY: as for `Description::set`.
        unsafe {
            result::set_matmul_pref_attribute(self.0, attribute, std::ptr::from_ref(value).cast(), size_of::<V>())
        }
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: as for `Description`.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}
