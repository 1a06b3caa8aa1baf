//! Every allowed row against every query vector, in blocks, the best kept.
//!
//! One query is bound by memory, so a block is scored while it is in the cache. The rows are cut into parts of
//! fixed size that threads take in any order; what they find is merged by score and position, so the number of
//! threads changes nothing.

use rayon::prelude::*;

use super::{Preference, RowSource};
use crate::error::Result;
use crate::kernel::{Hit, Isa, PackedMatrix, TopK, scores};

/// Rows that one task goes through: long enough to be worth a task, short enough to share among threads.
const PART_ROWS: usize = 16_384;

/// Which positions may be answered.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// One flag a position; `None` allows all.
    pub mask: Option<Vec<bool>>,
    /// Positions never answered, in ascending order.
    pub excluded: Vec<usize>,
}

impl Allowed {
    fn allows(&self, position: usize) -> bool {
        self.mask.as_ref().is_none_or(|mask| mask[position]) && self.excluded.binary_search(&position).is_err()
    }
}

/// The `limit` best rows by `preference`, best first; equal scores by position.
///
/// # Errors
/// Where the rows cannot be read.
pub fn best<S: RowSource + ?Sized>(
    source: &S,
    preference: &Preference,
    allowed: &Allowed,
    limit: usize,
) -> Result<Vec<Hit>> {
    let queries = preference.queries();
    let packed = PackedMatrix::pack(Isa::best(), queries.as_slice(), queries.dim());
    let n_parts = source.len().div_ceil(PART_ROWS);
    let parts: Vec<TopK> = (0..n_parts)
        .into_par_iter()
        .map(|part| best_of_part(source, preference, &packed, allowed, limit, part))
        .collect::<Result<_>>()?;
    let mut top = TopK::new(limit);
    parts.iter().for_each(|part| top.merge(part));
    Ok(top.into_sorted())
}

fn best_of_part<S: RowSource + ?Sized>(
    source: &S,
    preference: &Preference,
    queries: &PackedMatrix,
    allowed: &Allowed,
    limit: usize,
    part: usize,
) -> Result<TopK> {
    let (dim, n_queries) = (queries.dim(), queries.len());
    let positions = part * PART_ROWS..source.len().min((part + 1) * PART_ROWS);
    let mut top = TopK::new(limit);
    let mut products = Vec::new();
    source.visit(positions, &mut |first, rows| {
        products.resize(rows.len() / dim * n_queries, 0.0);
        scores(rows, queries, &mut products);
        for (offset, products) in products.chunks_exact(n_queries).enumerate() {
            let score = preference.score(products);
            if score >= top.gate() && allowed.allows(first + offset) {
                top.push(score, first + offset);
            }
        }
        Ok(())
    })?;
    Ok(top)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Strategy;
    use crate::vectors::Vectors;

    /// Rows on a half circle, from like the query to unlike it.
    fn half_circle(n: usize) -> Vectors {
        let angle = |row: usize| row as f32 * 3.0 / n as f32;
        let data = (0..n).flat_map(|row| [angle(row).cos(), angle(row).sin()]).collect();
        Vectors::normalised(2, data).expect("rows with a direction")
    }

    fn found(allowed: &Allowed, limit: usize) -> Vec<usize> {
        let rows = half_circle(40_000);
        let query = Vectors::normalised(2, vec![1.0, 0.0]).expect("a direction");
        let preference = Preference::new(&query, &Vectors::empty(2), Strategy::Average).expect("a preference");
        let hits = best(&rows, &preference, allowed, limit).expect("rows in memory");
        hits.into_iter().map(|hit| hit.index).collect()
    }

    #[test]
    fn the_nearest_rows_come_first_across_parts() {
        assert_eq!(found(&Allowed::default(), 3), [0, 1, 2]);
    }

    #[test]
    fn excluded_and_masked_rows_are_not_answered() {
        let mask = (0..40_000).map(|row| row != 1 && row < 20_000).collect();
        let allowed = Allowed { mask: Some(mask), excluded: vec![0, 2] };
        assert_eq!(found(&allowed, 3), [3, 4, 5]);
        assert_eq!(found(&allowed, 30_000).len(), 19_997);
    }
}
