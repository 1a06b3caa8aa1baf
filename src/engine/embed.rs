//! Papers into vectors: in a collection, where only what has none of the model gets one, or straight into a file.

use std::path::Path;

use serde::Serialize;

use super::add::{OnSkip, require_papers, with_papers};
use super::model::PaperEncoder;
use crate::encode::{Finished, Kind, Order, Summary};
use crate::error::{Error, Result};
use crate::ingest::{self, Input};
use crate::output::VectorWriter;
use crate::paper::{PaperId, text_hash};
use crate::progress::{Phase, Progress, Unphased};
use crate::store::{Collection, ModelKey, RowId};

/// Papers that are read from the collection at once.
const WINDOW_PAPERS: usize = 2048;

/// What became of the papers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EmbedReport {
    /// Papers there are now, in the collection or in the file.
    pub papers: usize,
    /// Papers that got a vector just now.
    pub embedded: usize,
    /// Papers whose text was longer than the model reads.
    pub truncated: usize,
    /// Tokens that were computed.
    pub tokens: usize,
    /// Records that could not be read.
    pub skipped: usize,
    /// The model.
    pub model: String,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// What it calculated with.
    pub precision: String,
}

impl EmbedReport {
    fn new(encoder: &PaperEncoder) -> Self {
        let record = encoder.record();
        Self {
            papers: 0,
            embedded: 0,
            truncated: 0,
            tokens: 0,
            skipped: 0,
            model: record.name,
            dimensions: record.dimensions,
            precision: record.precision,
        }
    }

    fn count(&mut self, summary: Summary) {
        self.embedded += summary.texts as usize;
        self.truncated += summary.truncated as usize;
        self.tokens += summary.tokens as usize;
    }
}

/// Gives every paper of a collection that has no vector of this model one, and makes the model the current one; then
/// brings the lexical index up to date, which waited so that nothing would wait for it. What was stored when the work is
/// cut off is kept, and the next call goes on from there.
///
/// # Errors
/// [`Error::Collection`] where it cannot be written, [`Error::Interrupted`], and those of the encoder.
pub fn embed_collection(
    collection: &mut Collection,
    encoder: &PaperEncoder,
    progress: &dyn Progress,
) -> Result<EmbedReport> {
    let had_themes = collection.clustering()?.is_some();
    let model = collection.use_model(&encoder.record())?;
    if had_themes && collection.clustering()?.is_none() {
        progress.warn("the themes were made of other vectors and are gone; `thematic cluster` makes new ones");
    }
    let rows = collection.rows_without_vector(model)?;
    let mut report = EmbedReport::new(encoder);
    if !rows.is_empty() {
        report.count(embed_rows(collection, model, &rows, encoder, progress)?);
    }
    collection.index_text(progress)?;
    report.papers = collection.count()?;
    Ok(report)
}

fn embed_rows(
    collection: &mut Collection,
    model: ModelKey,
    rows: &[RowId],
    encoder: &PaperEncoder,
    progress: &dyn Progress,
) -> Result<Summary> {
    let source = Collection::open_read_only(collection.path())?;
    let texts = texts_of(&source, rows, encoder);
    progress.begin(Phase { doing: "embedding", units: "papers", total: Some(rows.len() as u64) });
    let store = |batch: Finished<(RowId, String)>| collection.put_vectors(model, &batch.keys, &batch.vectors);
    let streamed = encoder.encoder.encode_stream(texts, Kind::Document, Order::AsFinished, store, progress);
    progress.end();
    streamed
}

/// Reads papers and writes their vectors to a file, one row a record in the order of the inputs; nothing is merged
/// and no collection is made.
///
/// # Errors
/// [`Error::Usage`] for an unknown extension, [`Error::Input`] where the inputs hold no paper, [`Error::Io`],
/// [`Error::Interrupted`], and those of the encoder.
pub fn embed_to_file(
    inputs: &[Input],
    options: &ingest::Options,
    encoder: &PaperEncoder,
    path: &Path,
    progress: &dyn Progress,
    on_skip: &mut OnSkip<'_>,
) -> Result<EmbedReport> {
    let mut report = EmbedReport::new(encoder);
    let mut writer = VectorWriter::create(path, report.dimensions)?;
    let write = |batch: Finished<PaperId>| {
        let mut rows = batch.keys.iter().zip(batch.vectors.rows());
        rows.try_for_each(|(id, vector)| writer.write(id.as_str(), vector))
    };
    let (summary, read) = with_papers(inputs, options, "embedding", progress, on_skip, |batches| {
        let texts = batches.flat_map(|papers| match papers {
            Ok(papers) => papers.into_iter().map(|paper| Ok((paper.id.clone(), encoder.text_of(&paper)))).collect(),
            Err(error) => vec![Err(error)],
        });
        encoder.encoder.encode_stream(texts, Kind::Document, Order::AsGiven, write, &Unphased(progress))
    })?;
    report.count(summary);
    require_papers(inputs, &read)?;
    writer.finish()?;
    Ok(EmbedReport { papers: read.records, skipped: read.skipped, ..report })
}

/// A paper's row and the hash of its text travel with the text.
fn texts_of<'c>(
    source: &'c Collection,
    rows: &'c [RowId],
    encoder: &'c PaperEncoder,
) -> impl Iterator<Item = Result<((RowId, String), String)>> + 'c {
    rows.chunks(WINDOW_PAPERS).flat_map(move |window| {
        let papers = match source.papers(window) {
            Ok(papers) => papers,
            Err(error) => return vec![Err(error)],
        };
        let with_text = papers.into_iter().map(|stored| {
            let text = encoder.text_of(&stored.paper);
            Ok(((stored.row, text_hash(&text)), text))
        });
        with_text.collect::<Vec<Result<_, Error>>>()
    })
}
