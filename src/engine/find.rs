//! Papers by words and by meaning.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::model::QueryEncoder;
use super::recommend::filter_mask;
use super::scan::CollectionRows;
use crate::error::Result;
use crate::progress::Progress;
use crate::search::{Allowed, Preference, Strategy, best, fuse};
use crate::store::{Collection, Filter, RowId};
use crate::vectors::Vectors;

/// How deep the lists go that are fused.
const FUSED_DEPTH: usize = 200;

/// How to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The words themselves, by BM25.
    Words,
    /// Nearest vectors.
    Meaning,
    /// Both lists, fused by rank.
    Both,
}

/// A found paper.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// The paper's id.
    pub id: String,
    /// BM25, cosine or fused rank, by mode; higher is better.
    pub score: f32,
    /// The paper's title, or the beginning of its abstract.
    pub title: String,
    /// First author and how many more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authors: Option<String>,
    /// The paper's date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The number of its theme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<u32>,
}

/// The best papers for `query`, best first.
///
/// # Errors
/// As [`super::recommend`]; words alone need no model.
pub fn search(
    collection: &Collection,
    query: &str,
    mode: Mode,
    filter: &Filter,
    limit: usize,
    encoder: &mut QueryEncoder<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Found>> {
    let depth = if mode == Mode::Both { FUSED_DEPTH.max(limit) } else { limit };
    let ranked = match mode {
        Mode::Words => by_words(collection, query, filter, depth, progress)?,
        Mode::Meaning => by_meaning(collection, query, filter, depth, encoder)?,
        Mode::Both => {
            let words = by_words(collection, query, filter, depth, progress)?;
            let meaning = by_meaning(collection, query, filter, depth, encoder)?;
            let lists = [words, meaning].map(|list| list.into_iter().map(|(row, _)| row).collect());
            fuse(&lists, limit)
        }
    };
    describe(collection, &ranked)
}

fn by_words(
    collection: &Collection,
    query: &str,
    filter: &Filter,
    limit: usize,
    progress: &dyn Progress,
) -> Result<Vec<(RowId, f32)>> {
    if filter.is_empty() {
        let found = collection.search_text(query, limit, progress)?;
        return Ok(found.into_iter().map(|(row, score)| (row, score as f32)).collect());
    }
    let allowed: BTreeSet<RowId> = collection.rows_matching(filter)?.into_iter().collect();
    let found = collection.search_text(query, collection.count()?, progress)?;
    let passing = found.into_iter().filter(|(row, _)| allowed.contains(row)).take(limit);
    Ok(passing.map(|(row, score)| (row, score as f32)).collect())
}

fn by_meaning(
    collection: &Collection,
    query: &str,
    filter: &Filter,
    limit: usize,
    encoder: &mut QueryEncoder<'_>,
) -> Result<Vec<(RowId, f32)>> {
    let vector = encoder.encode(collection, &[query.to_owned()])?;
    let preference = Preference::new(&vector, &Vectors::empty(vector.dim()), Strategy::Average)?;
    let rows = CollectionRows::open(collection)?;
    let allowed = Allowed { mask: filter_mask(collection, &rows, filter)?, excluded: Vec::new() };
    let hits = best(&rows, &preference, &allowed, limit)?;
    Ok(hits.into_iter().map(|hit| (rows.row(hit.index), hit.score)).collect())
}

fn describe(collection: &Collection, ranked: &[(RowId, f32)]) -> Result<Vec<Found>> {
    let rows: Vec<RowId> = ranked.iter().map(|(row, _)| *row).collect();
    let scores: BTreeMap<RowId, f32> = ranked.iter().copied().collect();
    let describe_one = |stored: crate::store::StoredPaper| {
        let theme = collection.membership(stored.row)?.and_then(|membership| membership.theme);
        Ok(Found {
            id: stored.paper.id.as_str().to_owned(),
            score: scores[&stored.row],
            title: super::headline(&stored.paper),
            authors: super::short_authors(&stored.paper),
            date: stored.paper.date.map(|date| date.to_string()),
            theme,
        })
    };
    collection.papers(&rows)?.into_iter().map(describe_one).collect()
}
