//! Papers into a collection: read, clean, find the ones already there, merge, store.
//!
//! Reading runs ahead on a thread of its own, cleaning is spread over all threads, and storing goes on in batches of
//! one transaction each. What is stored does not depend on where the batches end.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rayon::prelude::*;

use crate::clean;
use crate::dedupe::{self, Index, Keys, Verdict};
use crate::error::{Error, Problem, Result};
use crate::ingest::{self, Input, Item, Skip};
use crate::paper::{Paper, PaperId, Provenance};
use crate::progress::{Phase, Progress};
use crate::store::{Batch, Change, Collection, RowId};

/// Items that go through the pipeline together: one transaction.
const BATCH_ITEMS: usize = 512;
/// Batches that reading may be ahead.
const BATCHES_AHEAD: usize = 4;

/// What became of the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddReport {
    /// Records that were read and are papers.
    pub records: usize,
    /// Papers that were not there before.
    pub added: usize,
    /// Records of papers that were there, or came twice.
    pub merged: usize,
    /// Renamed versions that were linked to each other.
    pub linked: usize,
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
) -> Result<AddReport> {
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
) -> Result<(T, AddReport)> {
    progress.begin(Phase { doing, units: "records", total: None });
    let mut report = AddReport::default();
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

/// Adds papers to a collection. The lexical index is left behind: [`super::embed_collection`] brings it up to date.
///
/// # Errors
/// As [`read_papers`], [`Error::Collection`] where the collection cannot be written, [`Error::Input`] where the
/// inputs hold no paper.
pub fn add_papers(
    collection: &mut Collection,
    inputs: &[Input],
    options: &ingest::Options,
    progress: &dyn Progress,
    on_skip: &mut OnSkip<'_>,
) -> Result<AddReport> {
    let mut index = load_index(collection)?;
    let mut stored = AddReport::default();
    let read = read_papers(inputs, options, progress, on_skip, |papers| {
        collection.batch(|batch| papers.into_iter().try_for_each(|paper| put(batch, &mut index, paper, &mut stored)))
    })?;
    let report = AddReport { records: read.records, skipped: read.skipped, ..stored };
    require_papers(inputs, &report)?;
    Ok(report)
}

/// Refuses inputs that held no paper.
///
/// # Errors
/// [`Error::Input`] where no record was a paper.
pub fn require_papers(inputs: &[Input], report: &AddReport) -> Result<()> {
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
    report: &mut AddReport,
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

fn load_index(collection: &Collection) -> Result<Index> {
    let mut index = Index::default();
    collection.for_each_key(|row, bytes| {
        if let Some(keys) = Keys::from_bytes(bytes) {
            index.insert(row, &keys);
        }
        Ok(())
    })?;
    Ok(index)
}

/// Stores one paper: merged with every stored one that is the same, linked to those that are renamed versions.
fn put(batch: &Batch<'_>, index: &mut Index, paper: Paper, report: &mut AddReport) -> Result<()> {
    let found = look_up(batch, index, paper)?;
    let keys = Keys::of(&found.paper);
    let (first, absorbed) = match found.same.split_first() {
        Some((first, rest)) => (Some(*first), rest),
        None => (None, &[][..]),
    };
    if first.is_some() {
        report.merged += 1;
    } else {
        report.added += 1;
    }
    report.added -= absorbed.len().min(report.added);
    report.merged += absorbed.len();
    let mut paper = found.paper;
    report.linked += link_to(batch, &mut paper, &found.renamed)?;
    if found.unchanged.as_ref() == Some(&paper) {
        return Ok(());
    }
    let change = Change { row: first, absorbs: absorbed, paper: &paper, keys: &keys.to_bytes() };
    let row = batch.put(&change)?;
    absorbed.iter().for_each(|row| index.remove(*row));
    index.remove(row);
    index.insert(row, &keys);
    Ok(())
}

/// What the collection already knows of a paper.
struct Known {
    /// The paper, merged with all that are the same.
    paper: Paper,
    /// Where those stand.
    same: Vec<RowId>,
    /// Where its renamed versions stand.
    renamed: Vec<RowId>,
    /// The stored paper, where it is the only one that is the same.
    unchanged: Option<Paper>,
}

/// Merging can bring new keys, and these further papers: looks until nothing new turns up.
fn look_up(batch: &Batch<'_>, index: &Index, paper: Paper) -> Result<Known> {
    let mut known = Known { paper, same: Vec::new(), renamed: Vec::new(), unchanged: None };
    let mut seen: BTreeSet<RowId> = BTreeSet::new();
    loop {
        let mut fresh: Vec<RowId> = index.candidates(&Keys::of(&known.paper));
        fresh.retain(|row| !seen.contains(row));
        if fresh.is_empty() {
            break;
        }
        seen.extend(&fresh);
        for row in fresh {
            let Some(stored) = batch.paper(row)? else { continue };
            match dedupe::judge(&known.paper, &stored) {
                Verdict::Same => {
                    known.paper = dedupe::merge(known.paper, &stored);
                    known.same.push(row);
                    known.unchanged = (known.same.len() == 1).then_some(stored);
                    // What differed from the record may agree with the merged paper.
                    known.renamed.iter().for_each(|row| {
                        seen.remove(row);
                    });
                    known.renamed.clear();
                }
                Verdict::Renamed => known.renamed.push(row),
                // Two lists may count alike: the name stays with the paper that had it first.
                Verdict::Different => dedupe::separate(&mut known.paper, &stored),
            }
        }
    }
    known.same.sort_unstable();
    Ok(known)
}

/// Writes the link on both sides; says how many are new.
fn link_to(batch: &Batch<'_>, paper: &mut Paper, renamed: &[RowId]) -> Result<usize> {
    let mut new_links = 0;
    for row in renamed {
        let Some(mut other) = batch.paper(*row)? else { continue };
        let before = other.clone();
        new_links += usize::from(dedupe::link(paper, &mut other));
        if other != before {
            let keys = Keys::of(&other).to_bytes();
            batch.put(&Change { row: Some(*row), absorbs: &[], paper: &other, keys: &keys })?;
        }
    }
    Ok(new_links)
}

/// Removes the papers that go by `names`, each once, and their words from the lexical index.
///
/// # Errors
/// [`Error::UnknownPaper`] for the first name that the collection does not hold, [`Error::Collection`] where it cannot
/// be written, [`Error::Interrupted`] when the papers are gone and their words not yet.
pub fn remove_papers(collection: &mut Collection, names: &[String], progress: &dyn Progress) -> Result<Vec<PaperId>> {
    let rows: BTreeSet<RowId> = names.iter().map(|name| collection.find(name)).collect::<Result<_>>()?;
    let rows: Vec<RowId> = rows.into_iter().collect();
    let ids = collection.papers(&rows)?.into_iter().map(|stored| stored.paper.id).collect();
    collection.remove_papers(&rows)?;
    collection.index_text(progress)?;
    Ok(ids)
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
