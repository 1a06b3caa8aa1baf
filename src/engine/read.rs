//! Papers out of their sources: read, cleaned, with their identity, in the order of the inputs.
//!
//! Reading runs ahead on a thread of its own, and cleaning is spread over all threads.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rayon::prelude::*;

use crate::clean;
use crate::error::{Error, Problem, Result};
use crate::ingest::{self, Input, Item, Skip};
use crate::paper::{Paper, Provenance};
use crate::progress::{Phase, Progress};

/// Items that go through the pipeline together: one transaction, where they are stored.
const BATCH_ITEMS: usize = 512;
/// Batches that reading may be ahead.
const BATCHES_AHEAD: usize = 4;

/// What was found in the sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Records that were read and are papers.
    pub records: usize,
    /// Records that could not be read.
    pub skipped: usize,
}

/// Receives each record that could not be read.
pub type OnSkip<'a> = dyn FnMut(&Skip) -> Result<()> + 'a;

/// Reads papers and calls `visit` with each, cleaned and with its identity, in the order of the inputs.
///
/// # Errors
/// [`Error::Io`] where an input is missing, [`Error::Interrupted`], and whatever the callbacks return.
pub fn read_papers(
    inputs: &[Input],
    options: &ingest::Options,
    progress: &dyn Progress,
    on_skip: &mut OnSkip<'_>,
    mut visit: impl FnMut(Vec<Paper>) -> Result<()>,
) -> Result<ReadReport> {
    let visit_all = |batches: &mut Batches<'_>| {
        for papers in batches {
            visit(papers?)?;
        }
        Ok(())
    };
    Ok(with_papers(inputs, options, "reading", progress, on_skip, visit_all)?.1)
}

/// Batches of papers as they are read.
pub(super) type Batches<'b> = dyn Iterator<Item = Result<Vec<Paper>>> + 'b;

/// Reads papers and hands them over as an iterator; `doing` is what the whole of it is called.
///
/// # Errors
/// As [`read_papers`].
pub(super) fn with_papers<T>(
    inputs: &[Input],
    options: &ingest::Options,
    doing: &'static str,
    progress: &dyn Progress,
    on_skip: &mut OnSkip<'_>,
    consume: impl FnOnce(&mut Batches<'_>) -> Result<T>,
) -> Result<(T, ReadReport)> {
    progress.begin(Phase { doing, units: "records", total: None });
    let mut report = ReadReport::default();
    let outcome = with_reader(inputs, options, |batches| {
        consume(&mut batches.into_iter().map(|items| {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            progress.advance(items.len() as u64);
            prepare(items, &mut report, progress, on_skip)
        }))
    });
    progress.end();
    outcome.map(|value| (value, report))
}

/// Refuses inputs that held no paper.
///
/// # Errors
/// [`Error::Input`] where no record was a paper.
pub fn require_papers(inputs: &[Input], report: &ReadReport) -> Result<()> {
    if report.records > 0 {
        return Ok(());
    }
    let names: Vec<String> = inputs.iter().take(3).map(|input| format!("`{input}`")).collect();
    let more = if inputs.len() > 3 { ", ..." } else { "" };
    let cause = match report.skipped {
        0 => "there is no paper in it".to_owned(),
        1 => "its one record could not be read".to_owned(),
        n => format!("none of its {n} records could be read"),
    };
    let problem = Problem::new(format!("{}{more}", names.join(", ")), cause);
    Err(Error::Input(problem.hint("run `thematic read` on it with `--skipped skipped.jsonl` to see why")))
}

/// Runs the readers on a thread of their own and hands their items over in batches.
fn with_reader<T>(
    inputs: &[Input],
    options: &ingest::Options,
    consume: impl FnOnce(Receiver<Vec<Item>>) -> Result<T>,
) -> Result<T> {
    let (sender, receiver) = sync_channel(BATCHES_AHEAD);
    thread::scope(|scope| {
        let reader = scope.spawn(move || read_into(inputs, options, &sender));
        let consumed = consume(receiver);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Where consuming failed, the reader only noticed that nobody listens any more.
        consumed.and_then(|value| read.map(|()| value))
    })
}

fn read_into(inputs: &[Input], options: &ingest::Options, sender: &SyncSender<Vec<Item>>) -> Result<()> {
    let mut items = Vec::with_capacity(BATCH_ITEMS);
    ingest::read(inputs, options, &mut |item| {
        items.push(item);
        if items.len() == BATCH_ITEMS {
            let full = std::mem::replace(&mut items, Vec::with_capacity(BATCH_ITEMS));
            sender.send(full).map_err(|_| Error::Interrupted)?;
        }
        Ok(())
    })?;
    sender.send(items).map_err(|_| Error::Interrupted)
}

/// Cleans a batch and gives its papers their identity; reports what is no paper.
fn prepare(
    items: Vec<Item>,
    report: &mut ReadReport,
    progress: &dyn Progress,
    on_skip: &mut OnSkip<'_>,
) -> Result<Vec<Paper>> {
    let prepared: Vec<Prepared> = items.into_par_iter().map(to_paper).collect();
    let mut papers = Vec::with_capacity(prepared.len());
    for item in prepared {
        match item {
            Prepared::Paper(paper) => papers.push(*paper),
            Prepared::Other(item) => match *item {
                Item::Skipped(skip) => {
                    report.skipped += 1;
                    on_skip(&skip)?;
                }
                Item::Note(note) => progress.warn(&note.to_string()),
                Item::Record(_) => {}
            },
        }
    }
    report.records += papers.len();
    Ok(papers)
}

/// A paper, or the item that is none.
enum Prepared {
    Paper(Box<Paper>),
    Other(Box<Item>),
}

fn to_paper(item: Item) -> Prepared {
    let Item::Record(mut draft) = item else { return Prepared::Other(Box::new(item)) };
    clean::clean(&mut draft);
    let place = draft.provenance.first().cloned();
    match Paper::from_draft(draft) {
        Some(paper) => Prepared::Paper(Box::new(paper)),
        None => Prepared::Other(Box::new(Item::Skipped(no_text(place)))),
    }
}

fn no_text(place: Option<Provenance>) -> Skip {
    let Provenance { file, line } = place.unwrap_or(Provenance { file: "-".to_owned(), line: None });
    Skip { file, line, reason: "no title and no abstract".to_owned(), excerpt: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::Draft;

    #[test]
    fn a_draft_without_text_is_a_skip_that_says_where() {
        let provenance = vec![Provenance { file: "a.jsonl".into(), line: Some(4) }];
        let item = to_paper(Item::Record(Draft { provenance, ..Draft::default() }));
        let Prepared::Other(item) = item else { panic!("a paper without text") };
        let Item::Skipped(skip) = *item else { panic!("no skip: {item:?}") };
        assert_eq!((skip.file.as_str(), skip.line), ("a.jsonl", Some(4)));
    }
}
