//! Feed-forward parts, which are computed in pieces where the inside is wide and products are made by tiles.

use super::encode::{everywhere, held_rows, rounded};
use super::*;
use thematic::kernel::{
    Activation, FeedForward, Inner, LinearWeights, Map, Operand, Output, Precision, ResidualPath, Team, Workspace,
    feed_forward, linear,
};

/// Maps of one part.
struct Maps {
    gate: Option<[Vec<f32>; 2]>,
    up: [Vec<f32>; 2],
    down: [Vec<f32>; 2],
    hidden: usize,
    inner: usize,
}

impl Maps {
    fn new(hidden: usize, inner: usize, gated: bool, seed: u64) -> Self {
        let out = |seed: u64| [scaled(numbers(inner * hidden, seed), hidden), numbers(inner, seed ^ 5)];
        Self {
            gate: gated.then(|| out(seed ^ 1)),
            up: out(seed),
            down: [scaled(numbers(inner * hidden, !seed), inner), numbers(hidden, seed ^ 6)],
            hidden,
            inner,
        }
    }

    fn pack(&self, isa: Isa, precision: Precision) -> FeedForward {
        let gate = self.gate.as_ref().map(map);
        FeedForward::pack(isa, precision, gate, map(&self.up), map(&self.down), self.hidden)
    }

    /// What the part adds to `rows`, by one product after the other.
    fn summand(&self, isa: Isa, input: &Operand) -> Vec<f32> {
        let (precision, workspace) = (input.precision(), &mut Workspace::new());
        let packed =
            |[weight, bias]: &[Vec<f32>; 2], n_in| LinearWeights::pack(isa, precision, weight, n_in, Some(bias));
        let mut inner = Operand::new(precision);
        let function = if self.gate.is_some() { Activation::Identity } else { Activation::Gelu };
        linear(&packed(&self.up, self.hidden), input, function, Output::Operand(&mut inner), workspace);
        if let Some(gate) = &self.gate {
            linear(&packed(gate, self.hidden), input, Activation::Gelu, Output::Gate(&mut inner), workspace);
        }
        let mut rows = vec![0.0; input.n_rows() * self.hidden];
        let down = packed(&self.down, self.inner);
        linear(&down, &inner, Activation::Identity, Output::Rows(&mut rows), workspace);
        rows
    }
}

/// So that a sum of products with `n` numbers stays as large as they are.
fn scaled(weights: Vec<f32>, n: usize) -> Vec<f32> {
    weights.into_iter().map(|weight| weight / (n as f32).sqrt()).collect()
}

fn map([weight, bias]: &[Vec<f32>; 2]) -> Map<'_> {
    Map { weight, bias: Some(bias) }
}

/// The residual path after the part, in rows of its own and as the input.
fn both_paths(isa: Isa, part: &FeedForward, rows: &[f32], input: &Operand, workspace: &mut Workspace) -> [Vec<f32>; 2] {
    let precision = input.precision();
    let (mut inner, mut sums, mut path) = (Inner::new(precision), Operand::new(precision), input.clone());
    let mut rows = rows.to_vec();
    let beside = ResidualPath::Rows { rows: &mut rows, input };
    feed_forward(part, Activation::Gelu, beside, &mut inner, workspace);
    feed_forward(part, Activation::Gelu, ResidualPath::Input(&mut path, &mut sums), &mut inner, workspace);
    let mut path_rows = vec![f32::NAN; rows.len()];
    path.copy_to(isa, &mut path_rows);
    [rows, path_rows]
}

fn filled(isa: Isa, precision: Precision, rows: &[f32], dim: usize) -> Operand {
    let mut operand = Operand::new(precision);
    operand.fill(isa, rows, dim);
    operand
}

#[test]
fn a_part_adds_what_its_maps_make_one_after_the_other() {
    for (isa, precision) in everywhere() {
        for (hidden, inner) in [(32, 512), (64, 1024), (40, 70), (40, 1100), (33, 1537)] {
            for (n_rows, gated) in [(0, false), (1, true), (33, false), (70, true)] {
                let maps = Maps::new(hidden, inner, gated, 3);
                let rows = numbers(n_rows * hidden, 4);
                let input = filled(isa, precision, &rows, hidden);
                let summand = maps.summand(isa, &input);
                let [beside, path] = both_paths(isa, &maps.pack(isa, precision), &rows, &input, &mut Workspace::new());

                let case = format!("{isa}, {precision:?}, {hidden} to {inner}, {n_rows} rows");
                let there = rounded(precision, &rows);
                // Pieces are added in another order; in bf16, where the path is the input, each of them is rounded.
                let largest = summand.iter().chain(&rows).fold(0.0f32, |largest, number| largest.max(number.abs()));
                let rounding = if precision == Precision::Bf16 { f64::from(largest) / 64.0 } else { 1e-5 };
                for at in 0..rows.len() {
                    assert_close(beside[at], f64::from(rows[at] + summand[at]), 2e-5, &case);
                    assert_close(path[at], f64::from(there[at] + summand[at]), rounding, &case);
                }
            }
        }
    }
}

#[test]
fn rows_keep_their_bits_whoever_helps_and_whatever_is_beside_them() {
    let (hidden, inner, n_rows) = (64, 1100, 130);
    for ((isa, precision), gated) in everywhere().flat_map(|one| [false, true].map(|gated| (one, gated))) {
        let part = Maps::new(hidden, inner, gated, 7).pack(isa, precision);
        let rows = numbers(n_rows * hidden, 8);
        let input = |n_rows: usize| filled(isa, precision, &rows[..n_rows * hidden], hidden);
        let all = both_paths(isa, &part, &rows, &input(n_rows), &mut Workspace::new());

        let (team, mut helped) = (Team::new(3), Workspace::new());
        let _leading = team.lead(&mut helped);
        while helped.members() < 3 {
            std::thread::yield_now();
        }
        for n_rows in [1, 11, 33, 128, 130] {
            let len = n_rows * hidden;
            for workspace in [&mut Workspace::new(), &mut helped] {
                let some = both_paths(isa, &part, &rows[..len], &input(n_rows), workspace);
                for (some, all) in some.iter().zip(&all) {
                    let members = workspace.members();
                    assert!(some[..] == all[..len], "{isa}, {precision:?}, {n_rows} rows, {members} threads");
                }
            }
        }
    }
}

#[test]
fn an_operand_holds_what_its_rows_say_after_a_part() {
    let (hidden, inner) = (40, 1100);
    for (isa, precision) in everywhere() {
        let part = Maps::new(hidden, inner, true, 9).pack(isa, precision);
        let mut path = filled(isa, precision, &numbers(35 * hidden, 2), hidden);
        let (mut inner, mut sums) = (Inner::new(precision), Operand::new(precision));
        let workspace = &mut Workspace::new();
        feed_forward(&part, Activation::Silu, ResidualPath::Input(&mut path, &mut sums), &mut inner, workspace);
        let mut rows = vec![f32::NAN; 35 * hidden];
        path.copy_to(isa, &mut rows);
        assert!(held_rows(&path) == rows && rows == rounded(precision, &rows), "{isa}, {precision:?}");
    }
}
