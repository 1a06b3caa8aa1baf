//! Every available instruction set against plain sums in f64, at sizes around every lane count.
//!
//! Tolerances are absolute and stated with each check: rows have length one, so that scores lie between -1 and 1.

use proptest::prelude::*;
use thematic::kernel::{self, Hit, Isa, Level, Nearest, PackedMatrix, TopK};

mod cuda;
mod encode;
mod exactness;
mod feed_forward;
mod rows;

mod select {
    use super::*;

    #[test]
    fn dot_agrees_with_f64_at_every_length_around_the_lanes() {
        for isa in Isa::available() {
            for dim in (0..=67).chain([127, 128, 129, 384, 1025]) {
                let (a, b) = (unit_rows(1, dim, 1), unit_rows(1, dim, 2));
                assert_close(kernel::dot(isa, &a, &b), exact_dot(&a, &b), 5e-7, &format!("{isa}, {dim}"));
                assert_close(kernel::dot(isa, &a, &a), exact_dot(&a, &a), 1e-6, &format!("{isa}, {dim}, itself"));
            }
        }
    }

    #[test]
    fn zeros_and_denormals_are_numbers_like_others() {
        let tiny = f32::from_bits(1);
        for isa in Isa::available() {
            for dim in [1, 3, 16, 33, 100] {
                assert_eq!(kernel::dot(isa, &vec![0.0; dim], &vec![-0.0; dim]), 0.0, "{isa}");
                let sum = kernel::dot(isa, &vec![tiny; dim], &vec![1.0; dim]);
                assert_eq!(sum, tiny * dim as f32, "{isa}, {dim}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn scores_agree_with_f64(n_rows in 0usize..100, n_packed in 0usize..70, dim in 1usize..50, seed: u64) {
            let (rows, packed_rows) = (unit_rows(n_rows, dim, seed), unit_rows(n_packed, dim, !seed));
            for isa in Isa::available() {
                let packed = PackedMatrix::pack(isa, &packed_rows, dim);
                let mut out = vec![f32::NAN; n_rows * n_packed];
                kernel::scores(&rows, &packed, &mut out);
                let expected = rows.chunks(dim).flat_map(|row| packed_rows.chunks(dim).map(|p| exact_dot(row, p)));
                for (&score, expected) in out.iter().zip(expected) {
                    prop_assert!((f64::from(score) - expected).abs() <= 5e-7, "{isa}: {score}, not {expected}");
                }
            }
        }

        #[test]
        fn the_nearest_is_the_first_of_the_best_scores(
            n_rows in 0usize..100, n_packed in 1usize..70, dim in 1usize..50, repeat in 1usize..4, seed: u64,
        ) {
            // Repeated centroids make exact ties.
            let rows = unit_rows(n_rows, dim, seed);
            let centroids = unit_rows(n_packed, dim, !seed).repeat(repeat);
            for isa in Isa::available() {
                let packed = PackedMatrix::pack(isa, &centroids, dim);
                let mut found = vec![Nearest::default(); n_rows];
                kernel::nearest(&rows, &packed, &mut found);
                for (found, scores) in found.iter().zip(scores_of_nearest(isa, &rows, &centroids, dim)) {
                    prop_assert_eq!(*found, first_of_the_best(&scores), "{}", isa);
                }
            }
        }

        #[test]
        fn scans_find_what_sorting_finds(n_rows in 0usize..200, n_queries in 0usize..40, k in 0usize..12, seed: u64) {
            let dim = 19;
            let mut rows = unit_rows(n_rows, dim, seed);
            rows.extend_from_within(..n_rows / 2 * dim);
            let queries = unit_rows(n_queries, dim, !seed);
            for isa in Isa::available() {
                let packed = PackedMatrix::pack(isa, &queries, dim);
                let mut many = vec![TopK::new(k); n_queries];
                kernel::scan_many(&packed, &rows, 7, &mut many);
                for (query, many) in queries.chunks(dim).zip(many) {
                    let mut one = TopK::new(k);
                    kernel::scan(isa, query, &rows, 7, &mut one);
                    let expected: Vec<Hit> = sorted_scores(isa, query, &rows).into_iter().take(k).collect();
                    prop_assert_eq!(one.into_sorted(), &expected[..], "{}", isa);
                    let of_block: Vec<Hit> = sorted_scores_of_product(&packed, query, &queries, &rows, k);
                    prop_assert_eq!(many.into_sorted(), of_block, "{}", isa);
                }
            }
        }
    }

    #[test]
    fn a_row_keeps_its_bits_wherever_it_stands() {
        let (n_rows, dim) = (200, 100);
        let rows = unit_rows(n_rows, dim, 3);
        for isa in Isa::available() {
            let packed = PackedMatrix::pack(isa, &unit_rows(37, dim, 4), dim);
            let mut together = vec![0.0; n_rows * 37];
            kernel::scores(&rows, &packed, &mut together);
            for (row, together) in rows.chunks(dim).zip(together.chunks(37)) {
                let mut alone = [0.0; 37];
                kernel::scores(row, &packed, &mut alone);
                assert_eq!(alone, together, "{isa}");
            }
        }
    }

    /// The scores that `nearest` compares: with matrix tiles those of `dot`, else those of `scores`.
    fn scores_of_nearest(isa: Isa, rows: &[f32], centroids: &[f32], dim: usize) -> Vec<Vec<f32>> {
        if isa.level() == Level::AmxBf16 {
            let of = |row| centroids.chunks(dim).map(|centroid| kernel::dot(isa, row, centroid)).collect();
            return rows.chunks(dim).map(of).collect();
        }
        let packed = PackedMatrix::pack(isa, centroids, dim);
        let mut scores = vec![0.0; rows.len() / dim * packed.len()];
        kernel::scores(rows, &packed, &mut scores);
        scores.chunks(packed.len()).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn rows_close_to_many_centroids_find_the_nearest() {
        // Centroids that differ by less than bf16 can tell, and more of them than one group holds.
        let (dim, n_centroids) = (24, 2500);
        let middle = unit_rows(1, dim, 1);
        let nudges = numbers(n_centroids * dim, 2);
        let centroids: Vec<f32> =
            nudges.iter().enumerate().map(|(at, nudge)| middle[at % dim] + nudge * 1e-3).collect();
        let rows = [unit_rows(40, dim, 3), middle].concat();
        for isa in Isa::available() {
            let mut found = vec![Nearest::default(); 41];
            kernel::nearest(&rows, &PackedMatrix::pack(isa, &centroids, dim), &mut found);
            for (found, scores) in found.iter().zip(scores_of_nearest(isa, &rows, &centroids, dim)) {
                assert_eq!(*found, first_of_the_best(&scores), "{isa}");
            }
        }
    }

    fn first_of_the_best(scores: &[f32]) -> Nearest {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let second = order.get(1).map_or(f32::NEG_INFINITY, |&second| scores[second]);
        Nearest { index: order[0] as u32, score: scores[order[0]], second }
    }

    fn sorted_scores(isa: Isa, query: &[f32], rows: &[f32]) -> Vec<Hit> {
        sorted(rows.chunks(query.len()).map(|row| kernel::dot(isa, query, row)).collect())
    }

    fn sorted_scores_of_product(
        packed: &PackedMatrix,
        query: &[f32],
        queries: &[f32],
        rows: &[f32],
        k: usize,
    ) -> Vec<Hit> {
        let column = queries.chunks(query.len()).position(|other| other == query).expect("one of the queries");
        let mut scores = vec![0.0; rows.len() / query.len() * packed.len()];
        kernel::scores(rows, packed, &mut scores);
        sorted(scores.chunks(packed.len()).map(|row| row[column]).collect()).into_iter().take(k).collect()
    }

    fn sorted(scores: Vec<f32>) -> Vec<Hit> {
        let mut hits: Vec<Hit> =
            scores.into_iter().enumerate().map(|(row, score)| Hit { index: row + 7, score }).collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits
    }
}

/// Rows of length one, the same for the same seed.
fn unit_rows(n_rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut rows = numbers(n_rows * dim, seed);
    for row in rows.chunks_mut(dim.max(1)) {
        let length = exact_dot(row, row).sqrt() as f32;
        row.iter_mut().for_each(|number| *number /= length);
    }
    rows
}

/// Numbers between -1 and 1, the same for the same seed.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn exact_dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[track_caller]
fn assert_close(found: f32, expected: f64, tolerance: f64, case: &str) {
    assert!((f64::from(found) - expected).abs() <= tolerance, "{case}: {found}, not {expected}");
}
