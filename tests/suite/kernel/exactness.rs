//! How near to exact arithmetic, and to themselves, the kernels stay where they take a shorter way.

use super::encode::{Arithmetic, both_attentions, normal_below, rounded};
use super::*;
use half::bf16;
use thematic::kernel::{Activation, Attention, LinearWeights, Mask, Operand, Output, Precision, Workspace, linear};

#[test]
fn products_in_f32_are_as_exact_as_f32_in_every_set() {
    // By tiles they are products of parts in bf16; with one part less the largest error would be 8e-5.
    let (n_rows, n_in, n_out) = (35, 384, 40);
    let (input, weight) = (numbers(n_rows * n_in, 21), numbers(n_out * n_in, 22));
    for isa in Isa::available() {
        let weights = LinearWeights::pack(isa, Precision::F32, &weight, n_in, None);
        let mut operand = Operand::new(Precision::F32);
        operand.fill(isa, &input, n_in);
        let mut out = vec![f32::NAN; n_rows * n_out];
        linear(&weights, &operand, Activation::Identity, Output::Rows(&mut out), &mut Workspace::new());
        for (at, &found) in out.iter().enumerate() {
            let (row, column) = (&input[at / n_out * n_in..][..n_in], &weight[at % n_out * n_in..][..n_in]);
            assert_close(found, exact_dot(row, column), 1.5e-5, &format!("{isa}, {at}"));
        }
    }
}

#[test]
fn few_rows_have_the_bits_of_the_same_rows_among_many() {
    // Up to 33 rows: every height of a tile and of a strip, and one more than a square has; outputs on both sides of a
    // panel's edge.
    for arithmetic in Arithmetic::everywhere() {
        let Arithmetic { isa, precision, .. } = arithmetic;
        let shapes = [(1, 1), (31, 33), (32, 64), (65, 97)].into_iter();
        let activations = [Activation::Identity, Activation::Gelu, Activation::Silu];
        for ((n_in, n_out), activation) in shapes.flat_map(|shape| activations.map(|activation| (shape, activation))) {
            let input = numbers(33 * n_in, 12);
            let weights = arithmetic.pack(&numbers(n_out * n_in, 13), n_in, Some(&numbers(n_out, 14)));
            let mut workspace = Workspace::new();
            let mut of = |rows: &[f32]| {
                let (mut operand, mut next) = (Operand::new(precision), Operand::new(precision));
                operand.fill(isa, rows, n_in);
                let mut out = vec![f32::NAN; rows.len() / n_in * n_out];
                linear(&weights, &operand, activation, Output::Rows(&mut out), &mut workspace);
                linear(&weights, &operand, activation, Output::Operand(&mut next), &mut workspace);
                (out, (0..next.n_rows()).flat_map(|row| next.row(row)).collect::<Vec<f32>>())
            };
            let (all, all_next) = of(&input);
            // GELU is computed in another way where it is rounded: see the next test.
            if activation != Activation::Gelu {
                assert_eq!(all_next, rounded(precision, &all), "{arithmetic:?}, {n_in} to {n_out}");
            }
            for n_rows in 1..33 {
                let (out, next) = of(&input[(33 - n_rows) * n_in..]);
                let case = format!("{arithmetic:?}, {n_in} to {n_out}, {activation:?}, {n_rows} rows");
                assert_eq!(out, all[(33 - n_rows) * n_out..], "{case}");
                assert_eq!(next, all_next[(33 - n_rows) * n_out..], "{case}");
            }
        }
    }
}

#[test]
fn gelu_on_its_way_to_bf16_is_off_by_less_than_its_rounding() {
    let x: Vec<f32> =
        (-3000..=3000).map(|at| bf16::from_f32(at as f32 / 250.0).to_f32()).chain([-1e30, 0.0, 1e30]).collect();
    for isa in Isa::available() {
        let weights = LinearWeights::pack(isa, Precision::Bf16, &[1.0], 1, None);
        let (mut operand, mut next) = (Operand::new(Precision::Bf16), Operand::new(Precision::Bf16));
        operand.fill(isa, &x, 1);
        linear(&weights, &operand, Activation::Gelu, Output::Operand(&mut next), &mut Workspace::new());
        for (row, &x) in x.iter().enumerate() {
            let expected = f64::from(x) * normal_below(f64::from(x));
            let tolerance = 1.3e-4 + expected.abs() / 256.0;
            assert_close(next.row(row)[0], expected, tolerance, &format!("{isa}, of {x}"));
        }
    }
}

/// Weights of which some are too large or too small for f32 before they are divided by their sum.
#[test]
fn attention_is_right_whatever_the_size_of_scores() {
    // Shifts of 130 make powers that bf16 has no place for.
    let shifts = [0.0, -40.0, 40.0, 130.0];
    for head_dim in [32, 24, 48, 64] {
        for (size, shift) in [1e-3f32, 1.0, 30.0, 1e3].into_iter().flat_map(|size| shifts.map(|shift| (size, shift))) {
            check_attention(head_dim, size, shift);
        }
    }
}

/// Queries of a size, and keys that all have a part of one direction: it shifts the scores of a query.
fn check_attention(head_dim: usize, size: f32, shift: f32) {
    let settings = Attention { n_heads: 2, head_dim, scale: 1.0, mask: Mask::Full, bias: None };
    let lengths = [1, 31, 33, 70];
    let width = 3 * settings.n_heads * head_dim;
    let n_tokens: usize = lengths.iter().sum();
    let mut rows = numbers(n_tokens * width, 23);
    for row in rows.chunks_exact_mut(width) {
        let (queries, rest) = row.split_at_mut(width / 3);
        for (query, key) in queries.chunks_exact_mut(head_dim).zip(rest.chunks_exact_mut(head_dim)) {
            query.iter_mut().for_each(|number| *number *= size);
            (query[0], key[0]) = (8.0, shift);
        }
    }
    for isa in Isa::available() {
        let (found, expected) = both_attentions(isa, Precision::Bf16, &settings, &rows, &lengths);
        for (&found, expected) in found.iter().zip(expected) {
            assert_close(found, expected, 0.02, &format!("{isa}, {head_dim} dimensions, size {size}, shift {shift}"));
        }
    }
}
