//! Work on whole rows: embedding, norms, sums, pooling.

use super::encode::{PRECISIONS, held_rows, rounded};
use super::*;
use thematic::kernel::{
    Gather, LayerNorm, Operand, Precision, Table, Workspace, embed, embed_to, layer_norm, layer_norm_in_place,
    layer_norm_to, mean_pool, scale_to_unit, sum_rows,
};

#[test]
fn rows_are_embedded_normalised_and_pooled() {
    for isa in Isa::available() {
        for dim in [1, 3, 4, 15, 16, 17, 32, 33, 96, 100] {
            let (words, positions) = (numbers(9 * dim, 1), numbers(5 * dim, 2));
            let tables = [
                Gather { table: Table::F32(&words), scales: &[], indices: &[8, 0, 3, 3, 1] },
                Gather { table: Table::F32(&positions), scales: &[], indices: &[0, 1, 2, 3, 4] },
            ];
            let mut rows = vec![f32::NAN; 5 * dim];
            embed(isa, &tables, dim, &mut rows);
            assert_eq!(rows[2 * dim + dim - 1], words[4 * dim - 1] + positions[3 * dim - 1], "{isa}, {dim}");
            embeds_bytes_as_scaled_numbers(isa, dim, tables[1]);
            embeds_and_normalises(isa, &tables, &rows);
            check_layer_norm(isa, rows.clone(), dim);
            check_pool(isa, &rows, dim);
        }
    }
}

/// As one after the other does.
fn embeds_and_normalises(isa: Isa, tables: &[Gather<'_>], rows: &[f32]) {
    let dim = rows.len() / tables[0].indices.len();
    let (scale, shift) = (numbers(dim, 3), numbers(dim, 4));
    let norm = LayerNorm { scale: &scale, shift: &shift, epsilon: 1e-5 };
    for precision in PRECISIONS {
        let (mut expected, mut found) = (Operand::new(precision), Operand::new(precision));
        layer_norm_to(isa, &norm, rows, &mut expected, &mut Workspace::new());
        embed_to(isa, tables, &norm, &mut found, &mut Workspace::new());
        let rounding = if precision == Precision::Bf16 { 1.0 / 128.0 } else { 0.0 };
        for (found, expected) in held_rows(&found).into_iter().zip(held_rows(&expected)) {
            let tolerance = 5e-6 + f64::from(expected.abs()) * rounding;
            assert_close(found, f64::from(expected), tolerance, &format!("{isa}, {dim}, {precision:?}"));
        }
    }
}

fn embeds_bytes_as_scaled_numbers(isa: Isa, dim: usize, positions: Gather<'_>) {
    let (bytes, scales): (Vec<i8>, _) = ((0..9 * dim).map(|at| (at * 37 % 256) as u8 as i8).collect(), numbers(9, 3));
    let scaled: Vec<f32> = bytes.iter().enumerate().map(|(at, &byte)| f32::from(byte) * scales[at / dim]).collect();
    let indices = &[8, 0, 3, 3, 1];
    let (mut rows, mut expected) = (vec![f32::NAN; 5 * dim], vec![f32::NAN; 5 * dim]);
    embed(isa, &[Gather { table: Table::I8(&bytes), scales: &scales, indices }, positions], dim, &mut rows);
    embed(isa, &[Gather { table: Table::F32(&scaled), scales: &[], indices }, positions], dim, &mut expected);
    assert_eq!(rows, expected, "{isa}, {dim}");
}

#[test]
fn sums_of_rows_have_the_same_bits_in_every_set() {
    for dim in [1, 7, 8, 15, 16, 17, 31, 33, 256] {
        let floats = numbers(9 * dim, 1);
        let bytes: Vec<i8> = (0..9 * dim).map(|at| (at * 37 % 256) as u8 as i8).collect();
        let picks = [(8, 0.3), (0, -1.7), (3, 1e-3), (3, 5.0), (1, 0.0)];
        let by_hand = |value: &dyn Fn(usize) -> f32| -> Vec<f32> {
            let column = |at: usize| picks.iter().fold(0.0, |sum, &(row, by)| sum + value(row * dim + at) * by);
            (0..dim).map(column).collect()
        };
        for isa in Isa::available() {
            let mut sum = vec![f32::NAN; dim];
            sum_rows(isa, Table::F32(&floats), &picks, &mut sum);
            assert_eq!(sum, by_hand(&|at| floats[at]), "{isa}, {dim}");
            sum_rows(isa, Table::I8(&bytes), &picks, &mut sum);
            assert_eq!(sum, by_hand(&|at| f32::from(bytes[at])), "{isa}, {dim}");
            sum_rows(isa, Table::I8(&bytes), &[], &mut sum);
            assert_eq!(sum, vec![0.0; dim], "{isa}, {dim}");
        }
    }
}

fn check_layer_norm(isa: Isa, mut rows: Vec<f32>, dim: usize) {
    let (scale, shift) = (numbers(dim, 3), numbers(dim, 4));
    let norm = LayerNorm { scale: &scale, shift: &shift, epsilon: 1e-5 };
    let before = rows.clone();
    let mut operand = Operand::new(Precision::F32);
    layer_norm(isa, &norm, &mut rows, Some(&mut operand), &mut Workspace::new());
    for (row, (before, after)) in before.chunks(dim).zip(rows.chunks(dim)).enumerate() {
        let mean = before.iter().map(|&x| f64::from(x)).sum::<f64>() / dim as f64;
        let variance = before.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / dim as f64;
        for (at, &found) in after.iter().enumerate() {
            let normal = (f64::from(before[at]) - mean) / (variance + 1e-5).sqrt();
            let expected = normal * f64::from(scale[at]) + f64::from(shift[at]);
            assert_close(found, expected, 5e-6, &format!("{isa}, {dim}"));
        }
        assert_eq!(operand.row(row), after);
    }
    let mut aside = Operand::new(Precision::F32);
    layer_norm_to(isa, &norm, &before, &mut aside, &mut Workspace::new());
    assert_eq!(held_rows(&aside), rows, "{isa}, {dim}");
    check_layer_norm_in_place(isa, &norm, &before);
}

/// Rows that are rounded before and after, each the same whatever stands beside it.
fn check_layer_norm_in_place(isa: Isa, norm: &LayerNorm<'_>, rows: &[f32]) {
    let dim = norm.scale.len();
    for precision in PRECISIONS {
        let mut expected = rounded(precision, rows);
        layer_norm(isa, norm, &mut expected, None, &mut Workspace::new());
        let normalised = |rows: &[f32]| {
            let mut operand = Operand::new(precision);
            operand.fill(isa, rows, dim);
            layer_norm_in_place(isa, norm, &mut operand, &mut Workspace::new());
            held_rows(&operand)
        };
        let found = normalised(rows);
        for (&found, &expected) in found.iter().zip(&expected) {
            let rounding = if precision == Precision::Bf16 { expected.abs() / 256.0 } else { 0.0 };
            assert_close(
                found,
                f64::from(expected),
                5e-6 + f64::from(rounding),
                &format!("{isa}, {dim}, {precision:?}"),
            );
        }
        for (row, found) in rows.chunks(dim).zip(found.chunks(dim)) {
            assert_eq!(normalised(row), found, "{isa}, {dim}, {precision:?}");
        }
    }
}

fn check_pool(isa: Isa, rows: &[f32], dim: usize) {
    let mut pooled = vec![f32::NAN; 3 * dim];
    mean_pool(isa, rows, dim, &[0, 2, 2, 5], &mut pooled);
    assert_close(pooled[dim - 1], f64::from(rows[dim - 1] + rows[2 * dim - 1]) / 2.0, 1e-6, &format!("{isa}"));
    assert_eq!(pooled[dim..2 * dim], vec![0.0; dim], "an empty sequence");
    scale_to_unit(isa, &mut pooled, dim);
    assert_close(exact_dot(&pooled[..dim], &pooled[..dim]) as f32, 1.0, 1e-6, &format!("{isa}, {dim}"));
    assert_eq!(pooled[dim], 0.0);
}
