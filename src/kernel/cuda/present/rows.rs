//! Work on whole rows on a device: the kernels of `rows.cu`.

#![expect(unsafe_code, reason = "kernels take pointers")]

use cudarc::driver::PushKernelArg;

use super::Failure;
use super::device::{Array, Lane, launch};
use super::number::Number;
use super::tokens::Tokens;
use crate::kernel::Activation;

/// Threads of a block and rows that it takes, as `ROW_THREADS` and `ROWS_OF_BLOCK` there.
const ROW_THREADS: u32 = 128;
const ROWS_OF_BLOCK: usize = 4;

/// Threads of a block, as `ELEMENT_THREADS` and `POOL_THREADS` there.
pub(super) const ELEMENT_THREADS: u32 = 256;
const POOL_THREADS: u32 = 128;

/// Columns that a warp can hold of a row: the kernels that there are.
const WIDTHS: [usize; 3] = [512, 1024, 2048];

/// Scale, shift and guard of a layer norm.
#[derive(Debug)]
pub struct NormWeights {
    scale: Array<f32>,
    shift: Array<f32>,
    epsilon: f32,
}

/// What becomes of the residual path when a sum of it is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// It takes the sum as it is.
    KeepsSum,
    /// It takes the normalised sum.
    IsNormalised,
}

/// How the rows of a text become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolingMode {
    /// The first token's.
    Cls = 0,
    /// The largest of each column.
    Max = 1,
    /// The mean.
    Mean = 2,
    /// The sum over the root of the length.
    MeanSqrtLength = 3,
    /// The mean, weighted by the place from 1.
    WeightedMean = 4,
    /// The last token's.
    LastToken = 5,
}

/// Whether the kernels hold rows of `width` numbers, of which a lane takes four at a time.
pub fn takes_width(width: usize) -> bool {
    compiled_width(width).is_some()
}

fn compiled_width(width: usize) -> Option<usize> {
    WIDTHS.into_iter().find(|&columns| width <= columns).filter(|_| width.is_multiple_of(4))
}

fn kernel_name<T: Number>(name: &str, width: usize) -> Result<String, Failure> {
    match compiled_width(width) {
        Some(columns) => Ok(format!("{name}_{}_{columns}", T::PRECISION.name())),
        None => Err(Failure::Unsupported(format!("no kernel holds rows of {width} numbers"))),
    }
}

/// The numbers of `enum Activation` in `rows.cu`.
fn number(activation: Activation) -> i32 {
    match activation {
        Activation::Identity => 0,
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::Relu => 3,
        Activation::Silu => 4,
    }
}

impl NormWeights {
    /// Sends a norm.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where it does not fit.
    pub fn upload(lane: &Lane, scale: &[f32], shift: &[f32], epsilon: f32) -> Result<Self, Failure> {
        assert_eq!(scale.len(), shift.len(), "a scale and a shift for each number of a row");
        Ok(Self { scale: lane.upload(scale)?, shift: lane.upload(shift)?, epsilon })
    }
}

impl Lane {
    /// Makes `rows`, and `input` in the type of products, the sums of the tables' rows, normalised.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where the rows do not fit.
    pub fn embed<T: Number>(
        &self,
        words: &Array<f32>,
        positions: Option<&Array<f32>>,
        tokens: &Tokens,
        norm: &NormWeights,
        rows: &mut Array<f32>,
        input: &mut Array<T>,
    ) -> Result<(), Failure> {
        let width = norm.scale.len();
        assert!(words.len() >= tokens.rows_of_words_needed() * width, "a row for every token");
        let enough = |positions: &Array<f32>| positions.len() >= tokens.rows_of_positions_needed() * width;
        assert!(positions.is_none_or(enough), "a row for every position");
        rows.resize(self, tokens.len() * width)?;
        input.resize(self, tokens.len() * width)?;
        let function = self.kernel(&kernel_name::<T>("embed", width)?)?;
        let (words, ids, places) = (words.whole(), tokens.ids(), tokens.rows_of_positions());
        let positions = positions.map(Array::whole);
        assert!(positions.is_none() || places.len() == tokens.len(), "a position for each token");
        let (scale, shift, nothing) = (norm.scale.whole(), norm.shift.whole(), 0u64);
        let (rows, input) = (rows.whole(), input.whole());
        let (n_rows, width) = (tokens.len() as i32, width as i32);
        let mut arguments = self.stream.launch_builder(&function);
        arguments.arg(&words);
        match &positions {
            Some(positions) => arguments.arg(positions),
            None => arguments.arg(&nothing),
        };
        arguments.arg(&ids).arg(&places).arg(&scale).arg(&shift).arg(&norm.epsilon);
        arguments.arg(&rows).arg(&input).arg(&n_rows).arg(&width);
        // SAFETY: the arguments of `embed`, with a row of each output and an index for each token, and a row of the tables
        // for each index.
        unsafe { launch(arguments, [tokens.len().div_ceil(ROWS_OF_BLOCK), 1], ROW_THREADS) }
    }

    /// Adds `product`, where there is one, to `rows`, and makes `input` of the sum, normalised.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where the input does not fit.
    pub fn residual_norm<T: Number>(
        &self,
        rows: &mut Array<f32>,
        product: Option<&Array<T>>,
        norm: &NormWeights,
        path: Path,
        input: &mut Array<T>,
    ) -> Result<(), Failure> {
        let width = norm.scale.len();
        assert!(rows.len().is_multiple_of(width), "not a whole number of rows");
        assert!(product.is_none_or(|product| product.len() == rows.len()), "a product for each row");
        let count = rows.len() / width;
        input.resize(self, rows.len())?;
        let function = self.kernel(&kernel_name::<T>("residual_norm", width)?)?;
        let (product, nothing) = (product.map(Array::whole), 0u64);
        let (rows, input, scale, shift) = (rows.whole(), input.whole(), norm.scale.whole(), norm.shift.whole());
        let (keep, n_rows, width) = (i32::from(path == Path::IsNormalised), count as i32, width as i32);
        let mut arguments = self.stream.launch_builder(&function);
        arguments.arg(&rows);
        match &product {
            Some(product) => arguments.arg(product),
            None => arguments.arg(&nothing),
        };
        arguments.arg(&scale).arg(&shift).arg(&norm.epsilon).arg(&input).arg(&keep).arg(&n_rows).arg(&width);
        // SAFETY: the arguments of `residual_norm`; all arrays have the asserted rows.
        unsafe { launch(arguments, [count.div_ceil(ROWS_OF_BLOCK), 1], ROW_THREADS) }
    }

    /// Applies a function to every number.
    ///
    /// # Errors
    /// [`Failure::Unsupported`] where the numbers are no multiple of sixteen bytes.
    pub fn activate<T: Number>(&self, numbers: &mut Array<T>, activation: Activation) -> Result<(), Failure> {
        let packs = packs(numbers)?;
        let function = self.kernel(&format!("activate_{}", T::PRECISION.name()))?;
        let (numbers, activation) = (numbers.whole(), number(activation));
        let mut arguments = self.stream.launch_builder(&function);
        arguments.arg(&numbers).arg(&activation).arg(&packs);
        // SAFETY: the arguments of `activate`, and no more packs than the array has.
        unsafe { launch(arguments, [packs.div_ceil(ELEMENT_THREADS) as usize, 1], ELEMENT_THREADS) }
    }

    /// Multiplies every number with what the function makes of its gate.
    ///
    /// # Errors
    /// [`Failure::Unsupported`] where the numbers are no multiple of sixteen bytes.
    pub fn gate<T: Number>(
        &self,
        numbers: &mut Array<T>,
        gates: &Array<T>,
        activation: Activation,
    ) -> Result<(), Failure> {
        assert_eq!(numbers.len(), gates.len(), "a gate for each number");
        let packs = packs(numbers)?;
        let function = self.kernel(&format!("gate_{}", T::PRECISION.name()))?;
        let (numbers, gates, activation) = (numbers.whole(), gates.whole(), number(activation));
        let mut arguments = self.stream.launch_builder(&function);
        arguments.arg(&numbers).arg(&gates).arg(&activation).arg(&packs);
        // SAFETY: the arguments of `gate`, and no more packs than both arrays have.
        unsafe { launch(arguments, [packs.div_ceil(ELEMENT_THREADS) as usize, 1], ELEMENT_THREADS) }
    }

    /// Makes one row of each sequence's rows for every mode, side by side. The first `unpooled` rows of a sequence are left
    /// out unless nothing else is there; a sequence without a token is zeros.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where the result does not fit.
    pub fn pool(
        &self,
        modes: &[PoolingMode],
        rows: &Array<f32>,
        width: usize,
        tokens: &Tokens,
        unpooled: usize,
        pooled: &mut Array<f32>,
    ) -> Result<(), Failure> {
        assert_eq!(rows.len(), tokens.len() * width, "a row for each token");
        let stride = modes.len() * width;
        pooled.resize(self, tokens.n_sequences() * stride)?;
        let function = self.kernel("pool")?;
        let (from, to, offsets) = (rows.whole(), pooled.whole(), tokens.offsets());
        let unpooled = i32::try_from(unpooled).unwrap_or(i32::MAX);
        let grid = [tokens.n_sequences(), width.div_ceil(POOL_THREADS as usize)];
        for (at, &mode) in modes.iter().enumerate() {
            let (mode, first) = (mode as i32, (at * width) as i32);
            let (width, stride) = (width as i32, stride as i32);
            let mut arguments = self.stream.launch_builder(&function);
            arguments.arg(&from).arg(&offsets).arg(&unpooled).arg(&mode).arg(&to).arg(&width).arg(&stride).arg(&first);
            // SAFETY: the arguments of `pool`; offsets are those of the rows, and every sequence has a row of the result
            // with `width` columns for each mode.
            unsafe { launch(arguments, grid, POOL_THREADS) }?;
        }
        Ok(())
    }
}

/// How many times sixteen bytes an array has.
fn packs<T: Number>(numbers: &Array<T>) -> Result<u32, Failure> {
    let per_pack = 16 / size_of::<T>();
    let packs = numbers.len() / per_pack;
    match u32::try_from(packs) {
        Ok(packs) if numbers.len().is_multiple_of(per_pack) => Ok(packs),
        _ => Err(Failure::Unsupported(format!("no kernel takes {} numbers at once", numbers.len()))),
    }
}
