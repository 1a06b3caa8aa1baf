//! Products with weights that stay: packed once, with bias, activation and residual folded into the store.
//!
//! Threads that share a product each take some of its columns, for some of its rows. A row's result depends neither on
//! that nor on the other rows, bit for bit.

#![expect(unsafe_code, reason = "several threads write one output")]

mod ending;
mod half;
mod int8;
mod single;
mod split;

use std::ops::Range;

use super::buffer::Buffer;
use super::function::Activation;
use super::operand::{Operand, Precision, SIDE, Writer};
use super::places::Places;
use super::product::{PackedMatrix, TileUser};
use super::simd::Simd;
use super::{Isa, Workspace, square};

pub(super) use split::SplitRows;

/// Weights and bias of a layer, laid out for one instruction set. Weights of f32 and of bf16 take activations of their
/// precision, those of 8 bits take either and round them to bytes.
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
    /// Of f32 too, for tiles.
    Split(split::Panels),
    Half(square::Panels),
    Int8(int8::Panels),
}

impl Packed {
    /// Moves to large pages, for weights stay and are read again and again. What packs them is used for less lasting things too.
    fn settle(&mut self) {
        match self {
            Self::Single(packed) => packed.settle(),
            Self::Split(panels) => panels.settle(),
            Self::Half(panels) => panels.settle(),
            Self::Int8(panels) => panels.settle(),
        }
    }
}

/// Where a product goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// Row-major, `n_rows x n_out`.
    Rows(&'a mut [f32]),
    /// Added to what is there, row-major: the residual path.
    Residual(&'a mut [f32]),
    /// The same where the residual path is the left side of products too, in its precision.
    ResidualOperand(&'a mut Operand),
    /// The same, together with a summand of the same shape, which stays as it is.
    ResidualSum(&'a mut Operand, &'a mut Operand),
    /// The left side of the next product, of its precision; it takes the shape.
    Operand(&'a mut Operand),
    /// Multiplied with what is there, number by number: the gate of a feed-forward part.
    Gate(&'a mut Operand),
}

impl LinearWeights {
    /// Packs `weight`, row-major with a row of `n_in` numbers for each output, and one bias for each output.
    pub fn pack(isa: Isa, precision: Precision, weight: &[f32], n_in: usize, bias: Option<&[f32]>) -> Self {
        assert!(n_in > 0 && weight.len().is_multiple_of(n_in), "not a whole number of rows");
        let panels = match precision {
            Precision::F32 if isa.has_tiles() => Packed::Split(split::Panels::pack(weight, n_in)),
            Precision::F32 => Packed::Single(PackedMatrix::pack(isa, weight, n_in)),
            Precision::Bf16 => Packed::Half(square::Panels::pack(weight, n_in)),
        };
        Self::new(isa, (weight.len() / n_in, n_in), bias, panels)
    }

    /// As [`Self::pack`], of whole numbers that are multiplied by a scale for each output.
    pub fn pack_int8(isa: Isa, weight: &[i8], scales: &[f32], n_in: usize, bias: Option<&[f32]>) -> Self {
        assert!(n_in > 0 && weight.len() == scales.len() * n_in, "a scale and a row of inputs for each output");
        Self::new(isa, (scales.len(), n_in), bias, Packed::Int8(int8::Panels::pack(weight, scales, n_in)))
    }

    fn new(isa: Isa, (n_out, n_in): (usize, usize), bias: Option<&[f32]>, mut panels: Packed) -> Self {
        assert!(bias.is_none_or(|bias| bias.len() == n_out), "one bias for each output");
        let mut padded = Buffer::zeroed(n_out.next_multiple_of(SIDE));
        padded[..n_out].copy_from_slice(bias.unwrap_or(&vec![0.0; n_out]));
        padded.settle();
        panels.settle();
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

    /// Panics unless `operand` has the shape and the precision of what becomes of `input`.
    fn assert_fits(&self, input: &Operand, operand: &Operand) {
        let shape = (operand.n_rows(), operand.dim(), operand.precision());
        assert_eq!(shape, (input.n_rows(), self.n_out, input.precision()), "what is there has another shape");
    }

    /// What activations must be, where not all will do.
    fn takes(&self) -> Option<Precision> {
        match self.panels {
            Packed::Single(_) | Packed::Split(_) => Some(Precision::F32),
            Packed::Half(_) => Some(Precision::Bf16),
            Packed::Int8(_) => None,
        }
    }
}

/// `activation(input * weights^T + bias)`, to `output`.
pub fn linear(
    weights: &LinearWeights,
    input: &Operand,
    activation: Activation,
    output: Output<'_>,
    workspace: &mut Workspace,
) {
    let product = Product::new(weights, input, activation, output);
    match &weights.panels {
        Packed::Single(packed) => single::multiply(packed, input, &product.finish, workspace),
        Packed::Split(panels) => split::multiply(weights.isa, panels, input, &product.finish, workspace),
        Packed::Half(_) => half::multiply(product.half(), workspace),
        Packed::Int8(panels) => int8::multiply(weights.isa, panels, input, &product.finish, workspace),
    }
}

/// A product that is to be computed.
pub(super) struct Product<'a> {
    weights: &'a LinearWeights,
    input: &'a Operand,
    finish: Finish<'a>,
}

impl<'a> Product<'a> {
    /// As [`linear`] computes it.
    pub(super) fn new(
        weights: &'a LinearWeights,
        input: &'a Operand,
        activation: Activation,
        mut output: Output<'a>,
    ) -> Self {
        match &mut output {
            Output::Rows(rows) | Output::Residual(rows) => {
                assert_eq!(rows.len(), input.n_rows() * weights.n_out, "the output has another shape than the product");
            }
            Output::Operand(operand) => operand.reshape(input.n_rows(), weights.n_out),
            Output::Gate(operand) | Output::ResidualOperand(operand) => weights.assert_fits(input, operand),
            Output::ResidualSum(operand, summand) => {
                weights.assert_fits(input, operand);
                weights.assert_fits(input, summand);
            }
        }
        // SAFETY: every tile of the product is finished once, and each row of it writes its own columns; those of a step of
        // bf16 belong to one panel, which one thread takes whole.
        Self::to_target(weights, input, activation, unsafe { Target::new(output) })
    }

    /// Adds what maps of few rows make of their inputs to `path`, in one go; the first ones are summed up in `sums`.
    pub(super) fn add_all(
        maps: impl ExactSizeIterator<Item = (&'a LinearWeights, &'a Operand)>,
        path: &'a mut Operand,
        sums: &'a mut Operand,
        workspace: &mut Workspace,
    ) {
        sums.reshape(path.n_rows(), path.dim());
        let last = maps.len().saturating_sub(1);
        // SAFETY: whoever takes a panel of these products takes it of all, one after the other, and holds no line of one while
        // ending the next; each row of a tile writes its own columns.
        let (path, sums) = unsafe { (path.writer(), sums.writer()) };
        let target = |number: usize| match number {
            _ if number == last => Target::ResidualSum(path, sums),
            0 => Target::Operand(sums),
            _ => Target::ResidualOperand(sums),
        };
        let product =
            |(number, (weights, input))| Self::to_target(weights, input, Activation::Identity, target(number));
        let products: Vec<Self> = maps.enumerate().map(product).collect();
        half::multiply_in_turn(&Self::halves(&products), workspace);
    }

    fn to_target(weights: &'a LinearWeights, input: &'a Operand, activation: Activation, target: Target<'a>) -> Self {
        assert_eq!(input.dim(), weights.n_in, "the input has another width than the weights");
        let takes = weights.takes().unwrap_or(input.precision());
        assert_eq!(input.precision(), takes, "the input has another precision than the weights");
        let (n_rows, n_out, rounded) = (input.n_rows(), weights.n_out, target.rounds());
        Self { weights, input, finish: Finish { bias: &weights.bias, n_rows, n_out, activation, rounded, target } }
    }

    /// Computes products of few rows in one go that have nothing to do with each other.
    pub(super) fn compute_together(products: &[Self], workspace: &mut Workspace) {
        half::multiply_together(&Self::halves(products), workspace);
    }

    fn halves(products: &[Self]) -> Vec<half::Product<'_>> {
        products.iter().map(Self::half).collect()
    }

    fn half(&self) -> half::Product<'_> {
        match &self.weights.panels {
            Packed::Half(panels) => {
                half::Product { isa: self.weights.isa, panels, input: self.input, finish: &self.finish }
            }
            _ => unreachable!("pieces are of bf16"),
        }
    }
}

/// What is done to sums on their way out.
struct Finish<'a> {
    bias: &'a [f32],
    n_rows: usize,
    n_out: usize,
    activation: Activation,
    /// Whether results are rounded to bf16.
    rounded: bool,
    target: Target<'a>,
}

/// An [`Output`] that several threads write.
enum Target<'a> {
    Rows(Places<'a, f32>),
    Residual(Places<'a, f32>),
    Operand(Writer<'a>),
    ResidualOperand(Writer<'a>),
    ResidualSum(Writer<'a>, Writer<'a>),
    Gate(Writer<'a>),
}

impl<'a> Target<'a> {
    /// # Safety
    /// As for [`Places::new`] and [`Operand::writer`].
    unsafe fn new(output: Output<'a>) -> Self {
        // SAFETY: the caller makes the same promise.
        unsafe {
            match output {
                Output::Rows(rows) => Self::Rows(Places::new(rows)),
                Output::Residual(rows) => Self::Residual(Places::new(rows)),
                Output::Operand(operand) => Self::Operand(operand.writer()),
                Output::Gate(operand) => Self::Gate(operand.writer()),
                Output::ResidualOperand(operand) => Self::ResidualOperand(operand.writer()),
                Output::ResidualSum(operand, summand) => Self::ResidualSum(operand.writer(), summand.writer()),
            }
        }
    }

    fn rounds(&self) -> bool {
        match self {
            Self::Rows(_) | Self::Residual(_) => false,
            Self::Operand(operand)
            | Self::Gate(operand)
            | Self::ResidualOperand(operand)
            | Self::ResidualSum(operand, _) => operand.precision() == Precision::Bf16,
        }
    }
}

/// The cells that a product is cut into: a group of rows, few enough to stay in the second cache, times a panel of
/// columns. Within a group one panel follows the other.
#[derive(Clone, Copy)]
struct Grid {
    n_rows: usize,
    group_rows: usize,
    n_panels: usize,
}

/// Multiplications that take some microseconds on one core: fewer are not worth being handed over.
const LEAST_PART: usize = 200_000;

impl Grid {
    /// Of so few rows that they make one group.
    fn of_few(n_rows: usize, n_panels: usize) -> Self {
        Self { n_rows, group_rows: n_rows.max(1), n_panels }
    }

    fn len(self) -> usize {
        self.n_rows.div_ceil(self.group_rows) * self.n_panels
    }

    /// Cells that are worth being handed over, for panels of so many numbers.
    fn least(self, panel_size: usize) -> usize {
        LEAST_PART.div_ceil(panel_size * self.n_rows.clamp(1, self.group_rows))
    }

    /// The rows and the panels of a range of cells, group by group.
    fn rows_and_panels(self, cells: Range<usize>) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let mut next = cells.start;
        std::iter::from_fn(move || {
            if next >= cells.end {
                return None;
            }
            let (group, panel) = (next / self.n_panels, next % self.n_panels);
            let last = self.n_panels.min(panel + cells.end - next);
            next += last - panel;
            let row = group * self.group_rows;
            Some((row..self.n_rows.min(row + self.group_rows), panel..last))
        })
    }
}

impl<S: Simd> TileUser<S> for &Finish<'_> {
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
        self.activation.apply(simd, sums, self.rounded);
    }

    #[inline(always)]
    fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        row: usize,
        column: usize,
        results: &[[S::F32; VECTORS]; ROWS],
    ) {
        if let Target::Operand(operand) = &self.target {
            // Rows of a block follow each other.
            let within = row % SIDE + ROWS <= SIDE && row + ROWS <= self.n_rows;
            if within && operand.precision() == Precision::Bf16 {
                return operand.write_lines(simd, operand.line(row, column / SIDE) + column % SIDE, results);
            }
        }
        // Over all rows of the tile, so that the loop is unrolled and the results stay in registers.
        for (tile_row, results) in results.iter().enumerate() {
            let row = row + tile_row;
            if row >= self.n_rows {
                return;
            }
            let columns = column.min(self.n_out)..(column + VECTORS * S::LANES).min(self.n_out);
            let places = row * self.n_out + columns.start..row * self.n_out + columns.end;
            match &self.target {
                Target::Rows(out) => store_row(simd, out.part(places), results),
                Target::Residual(out) => add_row(simd, out.part(places), results),
                Target::Operand(operand) => operand.write(simd, row, column, results),
                Target::Gate(operand) => operand.multiply(simd, row, column, results),
                Target::ResidualOperand(operand) => operand.add(simd, row, column, results),
                Target::ResidualSum(operand, summand) => {
                    operand.add(simd, row, column, &summand.added_to(simd, row, column, results));
                }
            }
        }
    }
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
    if to.len() >= VECTORS * S::LANES {
        for (sum, there) in sums.iter_mut().zip(to.chunks_exact(S::LANES)) {
            *sum = simd.add(*sum, simd.load(there));
        }
    } else {
        for (sum, there) in sums.iter_mut().zip(to.chunks(S::LANES)) {
            *sum = simd.add(*sum, simd.load_up_to(there));
        }
    }
    store_row(simd, to, &sums);
}
