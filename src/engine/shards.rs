//! A folder of input files into a folder of Parquet files with vectors, one for one, that can be stopped at any time.
//!
//! ```text
//! reader thread: file by file -> papers, skips, ends -> encoder (all shards as one stream) -> writer: file by file
//! ```
//!
//! The encoder sees one stream, so it never waits where one file ends and the next begins. A file of vectors appears when
//! it is whole; a line in the manifest says so, and what has its line is not made again.

mod manifest;
mod plan;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::Serialize;

use self::manifest::{Entry, Header, Manifest};
use self::plan::Shard;
use super::model::PaperEncoder;
use super::read::{OnSkip, ReadReport, read_papers};
use crate::encode::{Finished, Kind, Order, Summary};
use crate::error::{Error, Result};
use crate::ingest::{self, Input, Skip};
use crate::output::VectorWriter;
use crate::paper::{Paper, PaperId};
use crate::progress::{Phase, Progress, Unphased};

/// Batches of papers that reading may be ahead of the encoder.
const EVENTS_AHEAD: usize = 8;

/// What became of the shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShardsReport {
    /// Files in the input folder.
    pub shards: usize,
    /// Those whose vectors were written just now.
    pub written: usize,
    /// Those whose vectors were there already.
    pub kept: usize,
    /// Those that hold nothing that can be read.
    pub failed: usize,
    /// Papers that got a vector just now.
    pub papers: usize,
    /// Records that could not be read just now.
    pub skipped: usize,
    /// Papers, among those embedded just now, whose text was longer than the model reads.
    pub truncated: usize,
    /// Tokens that were computed.
    pub tokens: usize,
    /// The model.
    pub model: String,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// What it calculated with.
    pub precision: String,
}

/// Embeds every file below `from` into a Parquet file of the same name below `to`, with columns `id` and `embedding`,
/// one row a record in the order of the file; nothing is merged. Files whose vectors are there, made of the same bytes by
/// the same model, are left alone. A file without a readable record is warned of, and the others go on.
///
/// # Errors
/// [`Error::Usage`] where the folders contain each other, two inputs have one name, or `to` holds vectors of another model;
/// [`Error::Io`], [`Error::Interrupted`], and those of the encoder.
pub fn embed_shards(
    from: &Path,
    to: &Path,
    options: &ingest::Options,
    encoder: &PaperEncoder,
    progress: &dyn Progress,
    on_skip: &mut OnSkip<'_>,
) -> Result<ShardsReport> {
    let shards = plan::plan(from, to, on_skip)?;
    let manifest = Manifest::open(to, &Header::new(&encoder.record(), options))?;
    plan::remove_leftovers(&shards)?;
    let total = shards.len();
    let todo: Vec<Shard> = shards.into_iter().filter(|shard| !manifest.has(shard)).collect();
    progress.begin(Phase { doing: "embedding", units: "papers", total: None });
    let outcome = run(&todo, manifest, options, encoder, progress, on_skip);
    progress.end();
    let (summary, counts) = outcome?;
    let record = encoder.record();
    Ok(ShardsReport {
        shards: total,
        written: counts.written,
        kept: total - todo.len(),
        failed: counts.failed,
        papers: summary.texts as usize,
        skipped: counts.skipped,
        truncated: summary.truncated as usize,
        tokens: summary.tokens as usize,
        model: record.name,
        dimensions: record.dimensions,
        precision: record.precision,
    })
}

#[derive(Debug, Default)]
struct Counts {
    written: usize,
    failed: usize,
    skipped: usize,
}

fn run(
    todo: &[Shard],
    manifest: Manifest,
    options: &ingest::Options,
    encoder: &PaperEncoder,
    progress: &dyn Progress,
    on_skip: &mut OnSkip<'_>,
) -> Result<(Summary, Counts)> {
    // Filled by the reading side, asked by the writing side.
    let ends = Mutex::new(vec![None; todo.len()]);
    let mut writing =
        Writing { shards: todo, ends: &ends, manifest, open: None, dimensions: encoder.record().dimensions };
    thread::scope(|scope| {
        let (sender, events) = sync_channel(EVENTS_AHEAD);
        scope.spawn(move || read_all(todo, options, progress, &sender));
        let mut counts = Counts::default();
        let reading = Reading {
            shards: todo,
            events,
            shard: 0,
            papers: Vec::new().into_iter(),
            ends: &ends,
            encoder,
            counts: &mut counts,
            progress,
            on_skip,
        };
        let sink = |batch: Finished<Key>| writing.take(&batch);
        let summary = encoder.encoder.encode_stream(reading, Kind::Document, Order::AsGiven, sink, progress)?;
        counts.written = writing.finish()?;
        Ok((summary, counts))
    })
}

/// What the reader thread has to say, in the order of the shards.
enum Event {
    Papers(Vec<Paper>),
    Skipped(Skip),
    /// The shard is over.
    End(Result<ReadReport>),
}

/// Reads shard after shard until nobody listens any more.
fn read_all(shards: &[Shard], options: &ingest::Options, progress: &dyn Progress, sender: &SyncSender<Event>) {
    let send = |event| sender.send(event).map_err(|_| Error::Interrupted);
    for shard in shards {
        let input = [Input::Found(shard.input.clone())];
        let mut skipped = |skip: &Skip| send(Event::Skipped(skip.clone()));
        let papers = |papers| send(Event::Papers(papers));
        let end = read_papers(&input, options, &Unphased(progress), &mut skipped, papers);
        if send(Event::End(end)).is_err() {
            return;
        }
    }
}

/// The papers of all shards as one stream of texts.
struct Reading<'a> {
    shards: &'a [Shard],
    events: Receiver<Event>,
    /// The one that is being read.
    shard: usize,
    papers: std::vec::IntoIter<Paper>,
    ends: &'a Ends,
    encoder: &'a PaperEncoder,
    counts: &'a mut Counts,
    progress: &'a dyn Progress,
    on_skip: &'a mut OnSkip<'a>,
}

/// What each shard held, once it was read to its end.
type Ends = Mutex<Vec<Option<ReadReport>>>;

/// A vector's shard and paper.
type Key = (usize, PaperId);

impl Iterator for Reading<'_> {
    type Item = Result<(Key, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(paper) = self.papers.next() {
                let text = self.encoder.text_of(&paper);
                return Some(Ok(((self.shard, paper.id), text)));
            }
            let handled = match self.events.recv().ok()? {
                Event::Papers(papers) => {
                    self.papers = papers.into_iter();
                    Ok(())
                }
                Event::Skipped(skip) => (self.on_skip)(&skip),
                Event::End(end) => self.end(end),
            };
            if let Err(error) = handled {
                return Some(Err(error));
            }
        }
    }
}

impl Reading<'_> {
    /// Notes what a shard held; one that cannot be opened is warned of, and the next is read.
    fn end(&mut self, end: Result<ReadReport>) -> Result<()> {
        let name = &self.shards[self.shard].name;
        let report = match end {
            Err(error @ Error::Io { .. }) => {
                (self.on_skip)(&Skip::file(name.clone(), error.to_string()))?;
                ReadReport { skipped: 1, ..ReadReport::default() }
            }
            other => other?,
        };
        self.counts.skipped += report.skipped;
        if report.records == 0 {
            self.counts.failed += 1;
            let written = match self.shards[self.shard].output.exists() {
                true => "the vectors of what it held before are left as they are",
                false => "no vectors are written for it",
            };
            self.progress.warn(&format!("`{name}` holds no paper that can be read: {written}"));
        }
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)[self.shard] = Some(report);
        self.shard += 1;
        Ok(())
    }
}

/// Writes vectors, file after file.
struct Writing<'a> {
    shards: &'a [Shard],
    ends: &'a Ends,
    manifest: Manifest,
    open: Option<(usize, VectorWriter)>,
    dimensions: usize,
}

impl Writing<'_> {
    fn take(&mut self, batch: &Finished<Key>) -> Result<()> {
        for ((shard, id), vector) in batch.keys.iter().zip(batch.vectors.rows()) {
            if self.open.as_ref().is_none_or(|(open, _)| open != shard) {
                self.close()?;
                self.open = Some((*shard, self.create(*shard)?));
            }
            if let Some((_, writer)) = &mut self.open {
                writer.write(id.as_str(), vector)?;
            }
        }
        Ok(())
    }

    fn create(&self, shard: usize) -> Result<VectorWriter> {
        let output = &self.shards[shard].output;
        let folder = output.parent().map_or_else(PathBuf::new, Path::to_owned);
        fs::create_dir_all(&folder).map_err(|error| Error::io("create", &folder, error))?;
        VectorWriter::create(output, self.dimensions)
    }

    /// Lets the open file appear, then says so in the manifest: a kill between the two only costs making it again.
    fn close(&mut self) -> Result<()> {
        let Some((shard, writer)) = self.open.take() else { return Ok(()) };
        writer.finish()?;
        // Papers of a later shard, or the end, came after the end of this one.
        let report = self.ends.lock().unwrap_or_else(PoisonError::into_inner)[shard].unwrap_or_default();
        self.manifest.add(&Entry::new(&self.shards[shard], report.records, report.skipped))
    }

    /// How many files were written in all.
    fn finish(&mut self) -> Result<usize> {
        self.close()?;
        Ok(self.manifest.added())
    }
}
