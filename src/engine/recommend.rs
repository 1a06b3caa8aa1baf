//! Papers like these and unlike those, each with a reason.

use std::collections::BTreeMap;

use serde::Serialize;

use super::model::QueryEncoder;
use super::scan::CollectionRows;
use crate::error::{Error, Problem, Result};
use crate::paper::Paper;
use crate::search::{Allowed, Hit, Preference, RowSource, Strategy, best, diversify};
use crate::store::{Collection, Filter, RowId};
use crate::terms;
use crate::vectors::Vectors;

/// Terms in a reason.
const REASON_TERMS: usize = 4;
/// Candidates that diversity may choose among, per wanted paper, and at least.
const CANDIDATES_PER_RESULT: usize = 8;

/// What to recommend by.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Ids, in any spelling, of papers to be near to.
    pub likes: Vec<String>,
    /// Ids of papers to be far from.
    pub unlikes: Vec<String>,
    /// Texts to be near to.
    pub texts: Vec<String>,
    /// How many papers.
    pub limit: usize,
    /// How examples become a score.
    pub strategy: Strategy,
    /// From 0 to 1.
    pub diversity: f32,
    /// Papers with a lower score are left out.
    pub min_score: Option<f32>,
    /// Which papers may be answered.
    pub filter: Filter,
}

/// A recommended paper.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommendation {
    /// The paper's id.
    pub id: String,
    /// Higher is better; a cosine for the average strategy.
    pub score: f32,
    /// The paper's title, or the beginning of its abstract.
    pub title: String,
    /// First author and how many more, as it is cited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authors: Option<String>,
    /// The paper's date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The number of its theme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<u32>,
    /// Where it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why it is recommended.
    pub why: Why,
}

/// Why a paper is recommended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Why {
    /// The example it is nearest to: an id, or the text.
    pub nearest: String,
    /// Cosine to that example.
    pub similarity: f32,
    /// Terms it shares with that example, the most telling first.
    pub terms: Vec<String>,
}

/// An example to go by: what it is called, what it says, where it points.
struct Example {
    name: String,
    text: String,
    row: Option<RowId>,
}

/// Recommends papers of a collection. The examples themselves are never recommended.
///
/// # Errors
/// [`Error::UnknownPaper`] for an id that is not there, [`Error::Usage`] where there is nothing to go by,
/// [`Error::Collection`] where the collection is not embedded, and those of loading a model for `texts`.
pub fn recommend(
    collection: &Collection,
    request: &Request,
    encoder: &mut QueryEncoder<'_>,
) -> Result<Vec<Recommendation>> {
    let Some((model, _)) = collection.current_model()? else { return Err(not_embedded(collection)) };
    let likes = stored_examples(collection, &request.likes)?;
    let unlikes = stored_examples(collection, &request.unlikes)?;
    let mut like_vectors = collection.vectors_of(model, &rows_of(&likes))?;
    let unlike_vectors = collection.vectors_of(model, &rows_of(&unlikes))?;
    let mut examples = likes;
    if !request.texts.is_empty() {
        append(&mut like_vectors, &encoder.encode(collection, &request.texts)?)?;
        examples.extend(request.texts.iter().map(|text| Example { name: text.clone(), text: text.clone(), row: None }));
    }
    let preference = Preference::new(&like_vectors, &unlike_vectors, request.strategy)?;

    let rows = CollectionRows::open(collection)?;
    let excluded = rows_of(&examples).into_iter().chain(rows_of(&unlikes));
    let allowed = Allowed {
        mask: filter_mask(collection, &rows, &request.filter)?,
        excluded: rows.positions(&excluded.collect::<Vec<_>>()),
    };
    let hits = chosen(&rows, &preference, &allowed, request)?;
    explain(collection, &rows, &hits, &examples, &like_vectors)
}

pub(super) fn not_embedded(collection: &Collection) -> Error {
    let problem = Problem::new(format!("`{}`", collection.path().display()), "no paper in it is embedded yet");
    Error::Collection(problem.hint("run `thematic embed` on it first"))
}

fn stored_examples(collection: &Collection, names: &[String]) -> Result<Vec<Example>> {
    let rows: Vec<RowId> = names.iter().map(|name| collection.find(name)).collect::<Result<_>>()?;
    let papers = collection.papers(&rows)?;
    Ok(papers
        .into_iter()
        .map(|stored| Example {
            name: stored.paper.id.as_str().to_owned(),
            text: stored.paper.text(),
            row: Some(stored.row),
        })
        .collect())
}

fn rows_of(examples: &[Example]) -> Vec<RowId> {
    examples.iter().filter_map(|example| example.row).collect()
}

fn append(vectors: &mut Vectors, more: &Vectors) -> Result<()> {
    if vectors.is_empty() {
        vectors.clone_from(more);
        return Ok(());
    }
    vectors.append(more)
}

/// Which positions pass the filter; `None` where all do.
pub(super) fn filter_mask(
    collection: &Collection,
    rows: &CollectionRows,
    filter: &Filter,
) -> Result<Option<Vec<bool>>> {
    if filter.is_empty() {
        return Ok(None);
    }
    if !filter.themes.is_empty() && collection.clustering()?.is_none() {
        let problem = Problem::new("--theme", "the collection has no themes yet");
        return Err(Error::Usage(problem.hint("run `thematic cluster` first")));
    }
    let mut mask = vec![false; rows.len()];
    for position in rows.positions(&collection.rows_matching(filter)?) {
        mask[position] = true;
    }
    Ok(Some(mask))
}

fn chosen(rows: &CollectionRows, preference: &Preference, allowed: &Allowed, request: &Request) -> Result<Vec<Hit>> {
    let spread = request.diversity > 0.0;
    let wanted = if spread { request.limit.saturating_mul(CANDIDATES_PER_RESULT) } else { request.limit };
    let mut hits = best(rows, preference, allowed, wanted.min(rows.len()))?;
    if let Some(least) = request.min_score {
        hits.retain(|hit| hit.score >= least);
    }
    if !spread {
        return Ok(hits);
    }
    let positions: Vec<usize> = hits.iter().map(|hit| hit.index).collect();
    Ok(diversify(&hits, &rows.select(&positions)?, request.diversity, request.limit))
}

fn explain(
    collection: &Collection,
    rows: &CollectionRows,
    hits: &[Hit],
    examples: &[Example],
    example_vectors: &Vectors,
) -> Result<Vec<Recommendation>> {
    let paper_rows: Vec<RowId> = hits.iter().map(|hit| rows.row(hit.index)).collect();
    let papers: BTreeMap<RowId, Paper> =
        collection.papers(&paper_rows)?.into_iter().map(|stored| (stored.row, stored.paper)).collect();
    let vectors = rows.select(&hits.iter().map(|hit| hit.index).collect::<Vec<_>>())?;
    let mut recommendations = Vec::with_capacity(hits.len());
    for ((hit, row), vector) in hits.iter().zip(paper_rows).zip(vectors.rows()) {
        // A paper that was removed since the scan began is no answer any more.
        let Some(paper) = papers.get(&row) else { continue };
        let why = reason(paper, vector, examples, example_vectors);
        let theme = collection.membership(row)?.and_then(|membership| membership.theme);
        recommendations.push(Recommendation {
            id: paper.id.as_str().to_owned(),
            score: hit.score,
            title: super::headline(paper),
            authors: super::short_authors(paper),
            date: paper.date.map(|date| date.to_string()),
            theme,
            url: paper.url.clone(),
            why,
        });
    }
    Ok(recommendations)
}

/// Names the nearest liked example; where everything was disliked, there is none to name.
fn reason(paper: &Paper, vector: &[f32], examples: &[Example], example_vectors: &Vectors) -> Why {
    let similarity = |row: &[f32]| row.iter().zip(vector).map(|(one, other)| one * other).sum::<f32>();
    let nearest = example_vectors.rows().map(similarity).enumerate().max_by(|one, other| one.1.total_cmp(&other.1));
    let Some((place, similarity)) = nearest else {
        return Why { nearest: String::new(), similarity: 0.0, terms: Vec::new() };
    };
    let example = &examples[place];
    let terms = terms::shared(&example.text, &paper.text(), REASON_TERMS);
    Why { nearest: example.name.clone(), similarity, terms }
}
