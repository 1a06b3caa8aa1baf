//! Products with weights that stay: packed once, with bias, activation and residual folded into the store.
//!
//! [`linear`] runs on the calling thread. A row's result does not depend on the other rows, bit for bit.

mod half;
mod single;

use super::buffer::Buffer;
use super::function::Activation;
use super::operand::{Operand, Precision};
use super::product::{PackedMatrix, TileUser};
use super::simd::Simd;
use super::{Isa, Workspace, square};

/// Weights and bias of a layer, laid out for one instruction set and precision.
#[derive(Debug, Clone)]
pub struct LinearWeights {
    isa: Isa,
    n_in: usize,
    n_out: usize,
    /// Zeros where the layer has none; as long as the columns with their padding.
    bias: Buffer<f32>,
    panels: Packed,
}

#[derive(Debug, Clone)]
enum Packed {
    Single(PackedMatrix),
    Half(square::Panels),
}

/// Where a product goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// Row-major, `n_rows x n_out`.
    Rows(&'a mut [f32]),
    /// Added to what is there, row-major: the residual path.
    Residual(&'a mut [f32]),
    /// The left side of the next product, of its precision; it takes the shape.
    Operand(&'a mut Operand),
    /// Multiplied with what is there, number by number: the gate of a feed-forward part.
    Gate(&'a mut Operand),
}

impl LinearWeights {
    /// Packs `weight`, row-major with a row of `n_in` numbers for each output, and one bias for each output.
    pub fn pack(isa: Isa, precision: Precision, weight: &[f32], n_in: usize, bias: Option<&[f32]>) -> Self {
        assert!(n_in > 0 && weight.len().is_multiple_of(n_in), "not a whole number of rows");
        let n_out = weight.len() / n_in;
        assert!(bias.is_none_or(|bias| bias.len() == n_out), "one bias for each output");
        let panels = match precision {
            Precision::F32 => Packed::Single(PackedMatrix::pack(isa, weight, n_in)),
            Precision::Bf16 => Packed::Half(square::Panels::pack(weight, n_in)),
        };
        let mut padded = Buffer::zeroed(n_out.next_multiple_of(super::operand::SIDE));
        padded[..n_out].copy_from_slice(bias.unwrap_or(&vec![0.0; n_out]));
        Self { isa, n_in, n_out, bias: padded, panels }
    }

    /// Numbers in a row of the input.
    pub fn n_in(&self) -> usize {
        self.n_in
    }

    /// Numbers in a row of the output.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// What its products are computed in.
    pub fn precision(&self) -> Precision {
        match self.panels {
            Packed::Single(_) => Precision::F32,
            Packed::Half(_) => Precision::Bf16,
        }
    }
}

/// `activation(input * weights^T + bias)`, to `output`.
pub fn linear(
    weights: &LinearWeights,
    input: &Operand,
    activation: Activation,
    mut output: Output<'_>,
    workspace: &mut Workspace,
) {
    assert_eq!(input.dim(), weights.n_in, "the input has another width than the weights");
    assert_eq!(input.precision(), weights.precision(), "the input has another precision than the weights");
    match &mut output {
        Output::Rows(rows) | Output::Residual(rows) => {
            assert_eq!(rows.len(), input.n_rows() * weights.n_out, "the output has another shape than the product");
        }
        Output::Operand(operand) => operand.reshape(input.n_rows(), weights.n_out),
        Output::Gate(operand) => {
            let shape = (operand.n_rows(), operand.dim(), operand.precision());
            assert_eq!(shape, (input.n_rows(), weights.n_out, input.precision()), "what is gated has another shape");
        }
    }
    let finish = Finish { bias: &weights.bias, n_rows: input.n_rows(), n_out: weights.n_out, activation, output };
    match &weights.panels {
        Packed::Single(packed) => single::multiply(packed, input, finish),
        Packed::Half(panels) => half::multiply(weights.isa, panels, input, finish, workspace),
    }
}

/// What is done to sums on their way out.
struct Finish<'a> {
    bias: &'a [f32],
    n_rows: usize,
    n_out: usize,
    activation: Activation,
    output: Output<'a>,
}

impl<S: Simd> TileUser<S> for Finish<'_> {
    #[inline(always)]
    fn take<const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        sums: &[[S::F32; VECTORS]; ROWS],
    ) {
        let mut results = *sums;
        self.apply(simd, column, &mut results);
        self.store(simd, row, column, &results);
    }
}

impl Finish<'_> {
    /// Bias and activation.
    #[inline(always)]
    fn apply<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        column: usize,
        sums: &mut [[S::F32; VECTORS]; ROWS],
    ) {
        let bias = &self.bias[column..column + VECTORS * S::LANES];
        for sums in &mut *sums {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = simd.add(*sum, simd.load(&bias[v * S::LANES..]));
            }
        }
        self.activation.apply(simd, sums);
    }

    #[inline(always)]
    fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        results: &[[S::F32; VECTORS]; ROWS],
    ) {
        // Over all rows of the tile, so that the loop is unrolled and the results stay in registers.
        for (tile_row, results) in results.iter().enumerate() {
            let row = row + tile_row;
            if row >= self.n_rows {
                return;
            }
            match &mut self.output {
                Output::Rows(out) => store_row(simd, rest_of_row(out, row, column, self.n_out), results),
                Output::Residual(out) => add_row(simd, rest_of_row(out, row, column, self.n_out), results),
                Output::Operand(operand) => operand.write(simd, row, column, results),
                Output::Gate(operand) => operand.multiply(simd, row, column, results),
            }
        }
    }
}

/// What follows `column` in `row`; nothing where the column is padding.
#[inline(always)]
fn rest_of_row(rows: &mut [f32], row: usize, column: usize, width: usize) -> &mut [f32] {
    &mut rows[row * width + column.min(width)..(row + 1) * width]
}

/// Stores the vectors that the rest of a row has room for.
#[inline(always)]
pub(super) fn store_row<S: Simd, const VECTORS: usize>(simd: S, to: &mut [f32], vectors: &[S::F32; VECTORS]) {
    if to.len() >= VECTORS * S::LANES {
        for (&vector, to) in vectors.iter().zip(to.chunks_exact_mut(S::LANES)) {
            simd.store(vector, to);
        }
    } else {
        for (&vector, to) in vectors.iter().zip(to.chunks_mut(S::LANES)) {
            simd.store_up_to(vector, to);
        }
    }
}

#[inline(always)]
fn add_row<S: Simd, const VECTORS: usize>(simd: S, to: &mut [f32], vectors: &[S::F32; VECTORS]) {
    let mut sums = *vectors;
    for (sum, there) in sums.iter_mut().zip(to.chunks(S::LANES)) {
        *sum = simd.add(*sum, simd.load_up_to(there));
    }
    store_row(simd, to, &sums);
}
