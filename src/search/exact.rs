//! Every allowed row against every query vector, in blocks, the best kept.
//!
//! One query is bound by memory, so a block is scored while it is in the cache. The rows are cut into parts of
//! fixed size that threads take in any order; what they find is merged by score and position, so the number of
//! threads changes nothing.

use rayon::prelude::*;

use super::{Hit, Preference, RowSource};
use crate::error::Result;
use crate::kernel::{TopK, scores};

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
    let n_parts = source.len().div_ceil(PART_ROWS);
    let parts: Vec<Vec<Hit>> = (0..n_parts)
        .into_par_iter()
        .map(|part| best_of_part(source, preference, allowed, limit, part))
        .collect::<Result<_>>()?;
    let mut hits: Vec<Hit> = parts.into_iter().flatten().collect();
    hits.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.position.cmp(&other.position)));
    hits.truncate(limit);
    Ok(hits)
}

fn best_of_part<S: RowSource + ?Sized>(
    source: &S,
    preference: &Preference,
    allowed: &Allowed,
    limit: usize,
    part: usize,
) -> Result<Vec<Hit>> {
    let queries = preference.queries();
    let (dim, n_queries) = (queries.dim(), queries.len());
    let positions = part * PART_ROWS..source.len().min((part + 1) * PART_ROWS);
    let mut top = TopK::new(limit);
    let mut products = Vec::new();
    source.visit(positions, &mut |first, rows| {
        let n_rows = rows.len() / dim;
        products.resize(n_rows * n_queries, 0.0);
        // Rows on the left, so that the products of one row lie side by side.
        scores(rows, queries.as_slice(), dim, &mut products);
        for (offset, products) in products.chunks_exact(n_queries).enumerate() {
            let score = preference.score(products);
            if top.would_take(score) && allowed.allows(first + offset) {
                top.push(score, first + offset);
            }
        }
        Ok(())
    })?;
    Ok(top.into_sorted().into_iter().map(|(score, position)| Hit { position, score }).collect())
}
