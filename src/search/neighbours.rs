//! For every row the rows most like it: as many questions as there are rows.
//!
//! So many that arithmetic bounds them and not memory, unlike the few of [`super::best`], for which rows would have to cross the
//! bus to a GPU once: more slowly, by what buses and memories are made for, than the processor reads them.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::kernel::cuda::Selector;
use crate::kernel::{Hit, Isa, PackedMatrix, TopK, scan_many};
use crate::progress::Progress;
use crate::vectors::Vectors;

/// Rows whose neighbours are found together.
const ROUND: usize = 4096;

/// Of them, those that one task of the processor goes through all rows with.
const TASK: usize = 128;

/// Finds the `limit` rows most like each row, itself left out, best first and equal ones by position, and gives them to
/// `sink` in the order of the rows. On a GPU where there is one: scores differ by rounding there, at most by the
/// width of a row times f32's epsilon, and the order of rows that are as close as that.
///
/// # Errors
/// Whatever `sink` returns, [`Error::Interrupted`] when cancelled, [`Error::Device`] and [`Error::OutOfMemory`] where the
/// GPU fails.
pub fn neighbours(
    vectors: &Vectors,
    limit: usize,
    gpu: Option<&Selector>,
    progress: &dyn Progress,
    sink: &mut dyn FnMut(usize, &[Hit]) -> Result<()>,
) -> Result<()> {
    let held = match gpu {
        Some(selector) => Some(selector.hold(vectors.as_slice(), vectors.dim())?),
        None => None,
    };
    for (round, queries) in vectors.as_slice().chunks(ROUND * vectors.dim().max(1)).enumerate() {
        // The row itself may be among them.
        let mut best = vec![TopK::new(limit.saturating_add(1)); queries.len() / vectors.dim()];
        match &held {
            Some(rows) => rows.scan_many(queries, &mut best, &|| progress.cancelled())?,
            None => on_processor(vectors, queries, &mut best, progress)?,
        }
        if let Some(warning) = gpu.and_then(Selector::take_warning) {
            progress.warn(&warning);
        }
        for (row, best) in (round * ROUND..).zip(best) {
            let mut hits = best.into_sorted();
            hits.retain(|hit| hit.index != row);
            hits.truncate(limit);
            sink(row, &hits)?;
        }
    }
    Ok(())
}

fn on_processor(vectors: &Vectors, queries: &[f32], best: &mut [TopK], progress: &dyn Progress) -> Result<()> {
    let tasks = queries.par_chunks(TASK * vectors.dim()).zip(best.par_chunks_mut(TASK));
    tasks.try_for_each(|(queries, best)| {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        let queries = PackedMatrix::pack(Isa::best(), queries, vectors.dim());
        scan_many(&queries, vectors.as_slice(), 0, best);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::dot;
    use crate::progress::Silent;

    fn found(vectors: &Vectors, limit: usize) -> Vec<Vec<Hit>> {
        let mut found = Vec::new();
        let mut sink = |row: usize, hits: &[Hit]| {
            assert_eq!(row, found.len());
            found.push(hits.to_vec());
            Ok(())
        };
        neighbours(vectors, limit, None, &Silent, &mut sink).expect("rows in memory");
        found
    }

    fn positions(found: &[Vec<Hit>]) -> Vec<Vec<usize>> {
        found.iter().map(|hits| hits.iter().map(|hit| hit.index).collect()).collect()
    }

    #[test]
    fn the_rows_of_every_round_have_the_nearest_of_all_rows() {
        let (n, dim) = (ROUND + 300, 8);
        let number = |at: usize| (at * 7919 % 10_007) as f32 - 5_000.0;
        let vectors = Vectors::normalised(dim, (0..n * dim).map(number).collect()).expect("directions");
        let found = found(&vectors, 2);
        assert_eq!(found.len(), n);
        for row in (0..n).step_by(97) {
            let score = |other: usize| dot(Isa::PORTABLE, vectors.row(row), vectors.row(other));
            let mut scores: Vec<f32> = (0..n).filter(|&other| other != row).map(score).collect();
            scores.sort_by(|one, other| other.total_cmp(one));
            for (hit, expected) in found[row].iter().zip(&scores[..2]) {
                assert!(hit.index != row && (hit.score - expected).abs() < 1e-5, "{row}: {hit:?}, not {expected}");
            }
        }
    }

    #[test]
    fn equal_rows_are_neighbours_and_no_row_is_its_own() {
        let vectors = Vectors::normalised(2, [1.0f32, 0.0].repeat(5)).expect("directions");
        assert_eq!(positions(&found(&vectors, 2)), [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]);
        assert_eq!(positions(&found(&vectors, 9))[4], [0, 1, 2, 3]);
        assert!(found(&vectors, 0).iter().all(Vec::is_empty));
        assert!(found(&Vectors::empty(2), 3).is_empty());
    }
}
