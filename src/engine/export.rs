//! A collection's papers, vectors and themes in files that other programs read.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::recommend::not_embedded;
use super::themes::not_clustered;
use crate::error::{Error, Result};
use crate::kernel::cuda::Selector;
use crate::output::{ColumnKind, TableWriter, Value, VectorWriter};
use crate::paper::{Paper, PaperId};
use crate::progress::{Phase, Progress};
use crate::search::neighbours;
use crate::store::{Collection, Membership, RowId};
use crate::wire::paper_line;

const PAPER_COLUMNS: &[(&str, ColumnKind)] = &[
    ("id", ColumnKind::Text),
    ("title", ColumnKind::Text),
    ("abstract", ColumnKind::Text),
    ("authors", ColumnKind::Json),
    ("date", ColumnKind::Text),
    ("categories", ColumnKind::Json),
    ("venue", ColumnKind::Text),
    ("doi", ColumnKind::Text),
    ("url", ColumnKind::Text),
    ("keywords", ColumnKind::Json),
    ("aliases", ColumnKind::Json),
    ("extra", ColumnKind::Json),
    ("provenance", ColumnKind::Json),
];

/// The columns of a table of papers with their themes.
pub(super) const THEME_COLUMNS: &[(&str, ColumnKind)] = &[
    ("id", ColumnKind::Text),
    ("theme", ColumnKind::Integer),
    ("name", ColumnKind::Text),
    ("similarity", ColumnKind::Number),
    ("margin", ColumnKind::Number),
];

const NEIGHBOUR_COLUMNS: &[(&str, ColumnKind)] = &[
    ("id", ColumnKind::Text),
    ("rank", ColumnKind::Integer),
    ("neighbour", ColumnKind::Text),
    ("similarity", ColumnKind::Number),
];

/// Writes every paper with all its fields; says how many there are.
///
/// # Errors
/// [`Error::Usage`] for an unknown extension, [`Error::Io`] where the file cannot be written.
pub fn export_papers(collection: &Collection, path: &Path, progress: &dyn Progress) -> Result<usize> {
    let mut table = TableWriter::create(path, PAPER_COLUMNS)?;
    let total = collection.count()?;
    counted(progress, total, |step| {
        collection.for_each_paper(|stored| {
            step()?;
            table.write(paper_values(&stored.paper))
        })
    })?;
    table.finish()?;
    Ok(total)
}

/// Writes the vectors of the current model in the order of paper ids; says how many there are.
///
/// # Errors
/// As [`export_papers`], and [`Error::Collection`] where nothing is embedded.
pub fn export_vectors(collection: &Collection, path: &Path, progress: &dyn Progress) -> Result<usize> {
    let Some((model, record)) = collection.current_model()? else { return Err(not_embedded(collection)) };
    let mut writer = VectorWriter::create(path, record.dimensions)?;
    let ids = ids_by_row(collection)?;
    let (rows, vectors) = collection.vectors(model)?;
    counted(progress, rows.len(), |step| {
        for (row, vector) in rows.iter().zip(vectors.rows()) {
            step()?;
            writer.write(ids[row].as_str(), vector)?;
        }
        Ok(())
    })?;
    writer.finish()?;
    Ok(rows.len())
}

/// Writes the theme of every paper; says how many there are.
///
/// # Errors
/// As [`export_papers`], and [`Error::Collection`] where the collection is not clustered.
pub fn export_themes(collection: &Collection, path: &Path, progress: &dyn Progress) -> Result<usize> {
    if collection.clustering()?.is_none() {
        return Err(not_clustered(collection));
    }
    let mut table = TableWriter::create(path, THEME_COLUMNS)?;
    let names: BTreeMap<u32, String> =
        collection.themes()?.into_iter().map(|theme| (theme.number, theme.name)).collect();
    let ids = ids_by_row(collection)?;
    let members = collection.memberships()?;
    counted(progress, members.len(), |step| {
        for member in &members {
            step()?;
            let name = member.theme.and_then(|theme| names.get(&theme));
            table.write(theme_values(ids[&member.row].as_str(), member, name.map(String::as_str)))?;
        }
        Ok(())
    })?;
    table.finish()?;
    Ok(members.len())
}

/// Writes the `limit` nearest papers of every paper, a line for each pair, ranks from 1 on; says how many papers there
/// are. The GPU of that number compares them, or the processor.
///
/// # Errors
/// As [`export_vectors`], and [`Error::Device`] where the GPU cannot be used.
pub fn export_neighbours(
    collection: &Collection,
    limit: usize,
    gpu: Option<usize>,
    path: &Path,
    progress: &dyn Progress,
) -> Result<usize> {
    let Some((model, _)) = collection.current_model()? else { return Err(not_embedded(collection)) };
    let selector = gpu.map(Selector::open).transpose()?;
    let mut table = TableWriter::create(path, NEIGHBOUR_COLUMNS)?;
    let ids = ids_by_row(collection)?;
    let (rows, vectors) = collection.vectors(model)?;
    let id = |position: usize| Value::Text(ids[&rows[position]].as_str().to_owned());
    counted(progress, rows.len(), |step| {
        neighbours(&vectors, limit, selector.as_ref(), progress, &mut |position, hits| {
            step()?;
            hits.iter().zip(1..).try_for_each(|(hit, rank)| {
                let similarity = Value::Number(rounded(hit.score));
                table.write(vec![id(position), Value::Integer(rank), id(hit.index), similarity])
            })
        })
    })?;
    table.finish()?;
    Ok(rows.len())
}

/// A row of [`THEME_COLUMNS`].
pub(super) fn theme_values(id: &str, member: &Membership, name: Option<&str>) -> Vec<Value> {
    vec![
        Value::Text(id.to_owned()),
        member.theme.map_or(Value::Absent, |theme| Value::Integer(i64::from(theme))),
        name.map_or(Value::Absent, |name| Value::Text(name.to_owned())),
        Value::Number(rounded(member.similarity)),
        Value::Number(rounded(member.margin)),
    ]
}

/// Six digits: what an f32 cosine can be trusted to, without the noise of its conversion.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}

pub(super) fn ids_by_row(collection: &Collection) -> Result<BTreeMap<RowId, PaperId>> {
    collection.ids().map(|ids| ids.into_iter().collect())
}

fn counted(
    progress: &dyn Progress,
    total: usize,
    work: impl FnOnce(&mut dyn FnMut() -> Result<()>) -> Result<()>,
) -> Result<()> {
    progress.begin(Phase { doing: "writing", units: "papers", total: Some(total as u64) });
    let outcome = work(&mut || {
        progress.advance(1);
        if progress.cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    });
    progress.end();
    outcome
}

/// The fields of the wire format, one a column.
fn paper_values(paper: &Paper) -> Vec<Value> {
    let mut fields: serde_json::Value = serde_json::from_str(&paper_line(paper)).unwrap_or(json!({}));
    let column = |(name, kind): &(&str, ColumnKind)| match fields.get_mut(*name).map(serde_json::Value::take) {
        None => Value::Absent,
        Some(serde_json::Value::String(text)) if *kind == ColumnKind::Text => Value::Text(text),
        Some(json) => Value::Json(json),
    };
    PAPER_COLUMNS.iter().map(column).collect()
}
