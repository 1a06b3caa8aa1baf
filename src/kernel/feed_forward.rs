//! The feed-forward part of a network: out to many inner numbers, a function of each, and back.
//!
//! Where both products are made by tiles, the inside is made and used piece by piece: it is four times as wide as the rows
//! and would go to the third cache and come back, and a piece of a panel stays in the first cache while rows pass by.

use std::ops::Range;

use super::function::Activation;
use super::linear::{LinearWeights, Output, Product, linear};
use super::operand::{Operand, Precision, SIDE};
use super::{Isa, Workspace};

/// Inner numbers of a piece: a panel of so many inputs is 32 KB, of the 48 of the first cache.
const PIECE: usize = 512;

/// Weights and bias of a map, of which each row of `weight` makes one output.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a> {
    /// Row-major, a row for each output.
    pub weight: &'a [f32],
    /// One number for each output.
    pub bias: Option<&'a [f32]>,
}

/// `down(function(up(x)))`, or `down(up(x) * function(gate(x)))`.
#[derive(Debug, Clone)]
pub struct FeedForward {
    pieces: Vec<Piece>,
}

/// What makes some inner numbers, and what they add.
#[derive(Debug, Clone)]
struct Piece {
    gate: Option<LinearWeights>,
    up: LinearWeights,
    down: LinearWeights,
}

/// The residual path that a part reads and is added to.
#[derive(Debug)]
pub enum ResidualPath<'a> {
    /// `rows`, row-major; `input` is what the part reads of it.
    Rows {
        /// In f32.
        rows: &'a mut [f32],
        /// For example, the rows normalised.
        input: &'a Operand,
    },
    /// The input itself. `sums` is memory.
    Input(&'a mut Operand, &'a mut Operand),
}

impl FeedForward {
    /// Of maps that are packed already.
    pub fn new(gate: Option<LinearWeights>, up: LinearWeights, down: LinearWeights) -> Self {
        Self { pieces: vec![Piece { gate, up, down }] }
    }

    /// Packs maps between `hidden` numbers and any number of inner ones.
    pub fn pack(
        isa: Isa,
        precision: Precision,
        gate: Option<Map<'_>>,
        up: Map<'_>,
        down: Map<'_>,
        hidden: usize,
    ) -> Self {
        let inner = up.weight.len() / hidden;
        assert_eq!(down.weight.len(), hidden * inner, "the way back has another shape than the way out");
        let in_pieces = precision == Precision::Bf16 && isa.has_tiles();
        let n_pieces = if in_pieces { inner.div_ceil(PIECE).max(1) } else { 1 };
        let n_steps = inner.div_ceil(SIDE);
        let end_of = |piece: usize| inner.min(piece * n_steps / n_pieces * SIDE);
        let out = |map: Map<'_>, some: &Range<usize>| {
            let weight = &map.weight[some.start * hidden..some.end * hidden];
            LinearWeights::pack(isa, precision, weight, hidden, map.bias.map(|bias| &bias[some.clone()]))
        };
        let piece = |number: usize| {
            let some = end_of(number)..end_of(number + 1);
            let rows = down.weight.chunks_exact(inner);
            let back: Vec<f32> = rows.flat_map(|row| &row[some.clone()]).copied().collect();
            let bias = down.bias.filter(|_| number == 0);
            Piece {
                gate: gate.map(|gate| out(gate, &some)),
                up: out(up, &some),
                down: LinearWeights::pack(isa, precision, &back, some.len(), bias),
            }
        };
        Self { pieces: (0..n_pieces).map(piece).collect() }
    }
}

/// Memory for what is inside a part, which grows to the largest.
#[derive(Debug, Clone)]
pub struct Inner {
    precision: Precision,
    operands: Vec<Operand>,
}

impl Inner {
    /// Holds nothing yet.
    pub fn new(precision: Precision) -> Self {
        Self { precision, operands: Vec::new() }
    }

    /// At least `n`.
    fn operands(&mut self, n: usize) -> &mut [Operand] {
        let (n, precision) = (n.max(self.operands.len()), self.precision);
        self.operands.resize_with(n, || Operand::new(precision));
        &mut self.operands
    }
}

/// Adds what the part makes of the residual path to it.
pub fn feed_forward(
    part: &FeedForward,
    function: Activation,
    path: ResidualPath<'_>,
    inner: &mut Inner,
    workspace: &mut Workspace,
) {
    let in_pieces = part.pieces.len() > 1;
    match path {
        ResidualPath::Rows { rows, input } => {
            let inner = &mut inner.operands(1)[0];
            for piece in &part.pieces {
                piece.expand(function, input, inner, workspace);
                linear(&piece.down, inner, Activation::Identity, Output::Residual(rows), workspace);
            }
        }
        ResidualPath::Input(path, sums) if in_pieces && path.n_rows() <= FEW_ROWS && workspace.members() > 1 => {
            part.add_together(function, path, sums, inner.operands(part.pieces.len()), workspace);
        }
        ResidualPath::Input(path, sums) => {
            part.add_in_turn(function, path, sums, &mut inner.operands(1)[0], workspace);
        }
    }
}

/// Rows whose whole inside stays in the second cache: then pieces would only make helpers wait for each other more often.
const FEW_ROWS: usize = 128;

impl FeedForward {
    /// Piece by piece. The path stays as it is until every piece has read it.
    fn add_in_turn(
        &self,
        function: Activation,
        path: &mut Operand,
        sums: &mut Operand,
        inner: &mut Operand,
        workspace: &mut Workspace,
    ) {
        let last = self.pieces.len() - 1;
        for (number, piece) in self.pieces.iter().enumerate() {
            piece.expand(function, path, inner, workspace);
            let output = match number {
                _ if last == 0 => Output::ResidualOperand(path),
                _ if number == last => Output::ResidualSum(path, sums),
                0 => Output::Operand(sums),
                _ => Output::ResidualOperand(sums),
            };
            linear(&piece.down, inner, Activation::Identity, output, workspace);
        }
    }

    /// The same, bit for bit, with all pieces side by side.
    fn add_together(
        &self,
        function: Activation,
        path: &mut Operand,
        sums: &mut Operand,
        inner: &mut [Operand],
        workspace: &mut Workspace,
    ) {
        let ups = self.pieces.iter().zip(&mut *inner);
        let ups =
            ups.map(|(piece, to)| Product::new(&piece.up, path, piece.function_of_up(function), Output::Operand(to)));
        Product::compute_together(&ups.collect::<Vec<_>>(), workspace);
        let gates = self.pieces.iter().zip(&mut *inner).filter_map(|(piece, to)| Some((piece.gate.as_ref()?, to)));
        let gates = gates.map(|(gate, to)| Product::new(gate, path, function, Output::Gate(to)));
        Product::compute_together(&gates.collect::<Vec<_>>(), workspace);
        let downs = self.pieces.iter().map(|piece| &piece.down).zip(&*inner);
        Product::add_all(downs, path, sums, workspace);
    }
}

impl Piece {
    /// Makes the inner numbers.
    fn expand(&self, function: Activation, input: &Operand, inner: &mut Operand, workspace: &mut Workspace) {
        linear(&self.up, input, self.function_of_up(function), Output::Operand(inner), workspace);
        if let Some(gate) = &self.gate {
            linear(gate, input, function, Output::Gate(inner), workspace);
        }
    }

    /// A gate has the function to itself.
    fn function_of_up(&self, function: Activation) -> Activation {
        if self.gate.is_some() { Activation::Identity } else { function }
    }
}
