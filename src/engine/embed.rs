//! Papers into vectors: in a collection, where only what has none of the model gets one, or straight into a file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use super::add::{AddReport, Adder, keyed};
use super::model::PaperEncoder;
use super::read::{Batches, OnSkip, require_papers, with_papers};
use crate::encode::{Finished, Kind, Order, Summary, TextExtent};
use crate::error::{Error, Result};
use crate::ingest::{self, Input};
use crate::output::VectorWriter;
use crate::paper::{PaperId, text_hash};
use crate::progress::{Beside, Phase, Progress, Unphased};
use crate::store::{Collection, ModelKey, RowId};

/// Papers whose texts are read from the collection at once.
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
}

/// How much was read of each paper that got a vector. What is told of them does not depend on who was quicker: a text
/// that its paper has no more does not count.
type Embedded = HashMap<RowId, TextExtent>;

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
    embed_rest(collection, Embedded::new(), encoder, progress)
}

/// As [`embed_collection`], after some were `embedded`.
fn embed_rest(
    collection: &mut Collection,
    mut embedded: Embedded,
    encoder: &PaperEncoder,
    progress: &dyn Progress,
) -> Result<EmbedReport> {
    let model = use_model(collection, encoder, progress)?;
    let rows = collection.rows_without_vector(model)?;
    if !rows.is_empty() {
        progress.begin(Phase { doing: "embedding", units: "papers", total: Some(rows.len() as u64) });
        let windows = rows.chunks(WINDOW_PAPERS).map(<[RowId]>::to_vec);
        let target = Target::new(collection, model, embedded);
        let outcome = embed_rows(&target, windows, encoder, progress);
        progress.end();
        outcome?;
        embedded = target.embedded();
    }
    collection.index_text(progress)?;
    Ok(EmbedReport {
        papers: collection.count()?,
        embedded: embedded.len(),
        truncated: embedded.values().filter(|extent| extent.truncated).count(),
        tokens: embedded.values().map(|extent| extent.tokens as usize).sum(),
        ..EmbedReport::new(encoder)
    })
}

fn use_model(collection: &mut Collection, encoder: &PaperEncoder, progress: &dyn Progress) -> Result<ModelKey> {
    let had_themes = collection.clustering()?.is_some();
    let model = collection.use_model(&encoder.record())?;
    if had_themes && collection.clustering()?.is_none() {
        progress.warn("the themes were made of other vectors and are gone; `thematic cluster` makes new ones");
    }
    Ok(model)
}

/// Adds papers to a collection and embeds them meanwhile, each as soon as it is stored, so that neither waits for the
/// other; papers that have been waiting for a vector come first, and words are indexed while the model is still at work.
/// What the collection holds in the end is what [`super::add_papers`] and then [`embed_collection`] make of it, and what
/// was stored when the work is cut off is kept.
///
/// # Errors
/// As those two. Where the inputs hold no paper, nothing is embedded.
pub fn embed_papers(
    collection: &mut Collection,
    inputs: &[Input],
    options: &ingest::Options,
    encoder: &PaperEncoder,
    progress: &dyn Progress,
    on_skip: &mut OnSkip<'_>,
) -> Result<(AddReport, EmbedReport)> {
    let mut adder = Adder::new(collection)?;
    let (embedded, read) = with_papers(inputs, options, "reading", progress, on_skip, |batches| {
        let mut batches = batches.filter(|papers| papers.as_ref().map_or(true, |papers| !papers.is_empty()));
        // Only with a paper is the model the collection's: inputs without one change nothing.
        let Some(first) = batches.next().transpose()? else { return Ok(Embedded::new()) };
        let mut batches = std::iter::once(Ok(first)).chain(batches);
        embed_while_adding(collection, &mut adder, &mut batches, encoder, progress)
    })?;
    require_papers(inputs, &read)?;
    // Papers whose text changed while the one before was on its way.
    let report = embed_rest(collection, embedded, encoder, progress)?;
    Ok((adder.report(read), EmbedReport { skipped: read.skipped, ..report }))
}

/// The calling thread adds, another one embeds; they take turns at the collection.
fn embed_while_adding(
    collection: &mut Collection,
    adder: &mut Adder,
    batches: &mut Batches<'_>,
    encoder: &PaperEncoder,
    progress: &dyn Progress,
) -> Result<Embedded> {
    let model = use_model(collection, encoder, progress)?;
    let waiting = collection.rows_without_vector(model)?;
    let target = Target::new(collection, model, Embedded::new());
    let on_target = &target;
    let beside = &Beside::new(progress);
    let (sender, queue) = channel();
    thread::scope(|scope| {
        let embedding = scope.spawn(move || embed_rows(on_target, queue.into_iter(), encoder, beside));
        let announced = add_all(on_target, adder, &waiting, batches, &sender);
        // There is no more to come, whatever came of it.
        drop(sender);
        let added = announced.and_then(|announced| {
            beside.takes_over(Phase { doing: "embedding", units: "papers", total: Some(announced) });
            index_while(|| !embedding.is_finished(), on_target, progress)
        });
        if added.is_err() {
            beside.stop();
        }
        let embedded = embedding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        added.and(embedded)
    })?;
    Ok(target.embedded())
}

/// Says of `waiting` and of every paper that is added where it stands; how many those are. Ends early where nobody listens.
fn add_all(
    target: &Target<'_>,
    adder: &mut Adder,
    waiting: &[RowId],
    batches: &mut Batches<'_>,
    rows: &Sender<Vec<RowId>>,
) -> Result<u64> {
    let mut announced = waiting.len();
    let mut heard = waiting.chunks(WINDOW_PAPERS).all(|window| rows.send(window.to_vec()).is_ok());
    while heard && let Some(papers) = batches.next() {
        let papers = keyed(papers?);
        let new_texts = target.in_turn(|writing| {
            let touched = adder.add(writing.collection, papers)?;
            for row in touched.new_texts.iter().chain(&touched.absorbed) {
                writing.embedded.remove(row);
            }
            Ok(touched.new_texts)
        })?;
        announced += new_texts.len();
        heard = rows.send(new_texts).is_ok();
    }
    Ok(announced as u64)
}

/// Indexes words, a step in each turn, as long as there is something else to wait for.
fn index_while(going_on: impl Fn() -> bool, target: &Target<'_>, progress: &dyn Progress) -> Result<()> {
    let mut left = target.in_turn(|writing| writing.collection.index_backlog())?;
    while left > 0 && going_on() {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        left = target.in_turn(|writing| writing.collection.index_step())?;
    }
    Ok(())
}

/// Where vectors go.
struct Target<'c> {
    path: PathBuf,
    model: ModelKey,
    writing: Mutex<Writing<'c>>,
}

struct Writing<'c> {
    collection: &'c mut Collection,
    embedded: Embedded,
}

impl<'c> Target<'c> {
    fn new(collection: &'c mut Collection, model: ModelKey, embedded: Embedded) -> Self {
        Self { path: collection.path().to_owned(), model, writing: Mutex::new(Writing { collection, embedded }) }
    }

    /// Writes when nobody else does. Whoever waits has the next turn, however soon this thread comes again.
    fn in_turn<T>(&self, write: impl FnOnce(&mut Writing<'c>) -> Result<T>) -> Result<T> {
        let mut writing = self.writing.lock();
        let written = write(&mut writing);
        MutexGuard::unlock_fair(writing);
        written
    }

    fn embedded(self) -> Embedded {
        self.writing.into_inner().embedded
    }
}

/// Embeds those papers that have no vector, in windows of rows as they come.
fn embed_rows(
    target: &Target<'_>,
    windows: impl Iterator<Item = Vec<RowId>>,
    encoder: &PaperEncoder,
    progress: &dyn Progress,
) -> Result<Summary> {
    let source = Collection::open_read_only(&target.path)?;
    let texts = windows.flat_map(|window| match texts_of(&source, target.model, &window, encoder) {
        Ok(texts) => {
            progress.advance((window.len() - texts.len()) as u64);
            texts.into_iter().map(Ok).collect()
        }
        Err(error) => vec![Err(error)],
    });
    let hash_of = |title: &str, abstract_text: &str| text_hash(&encoder.joined(title, abstract_text));
    let store = |batch: Finished<(RowId, String)>| {
        target.in_turn(|Writing { collection, embedded }| {
            let stored = collection.put_vectors(target.model, &batch.keys, &batch.vectors, hash_of)?;
            let of_each = batch.keys.iter().zip(&batch.extents).zip(stored);
            embedded.extend(of_each.filter(|(_, stored)| *stored).map(|(((row, _), extent), _)| (*row, *extent)));
            Ok(())
        })
    };
    encoder.encoder.encode_stream(texts, Kind::Document, Order::AsFinished, store, progress)
}

/// A paper's row and the hash of its text travel with the text.
type Text = ((RowId, String), String);

fn texts_of(source: &Collection, model: ModelKey, rows: &[RowId], encoder: &PaperEncoder) -> Result<Vec<Text>> {
    let found = source.texts_without_vector(model, rows)?;
    let with_hash = |(row, title, abstract_text): (RowId, String, String)| {
        let text = encoder.joined(&title, &abstract_text);
        ((row, text_hash(&text)), text)
    };
    Ok(found.into_iter().map(with_hash).collect())
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
    let mut writer = VectorWriter::create(path, encoder.record().dimensions)?;
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
    require_papers(inputs, &read)?;
    writer.finish()?;
    Ok(EmbedReport {
        papers: read.records,
        embedded: summary.texts as usize,
        truncated: summary.truncated as usize,
        tokens: summary.tokens as usize,
        skipped: read.skipped,
        ..EmbedReport::new(encoder)
    })
}
