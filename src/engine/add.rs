//! Papers into a collection: those already there are found, merged and stored, a batch in one transaction. What is
//! stored does not depend on where the batches end.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::read::{OnSkip, ReadReport, read_papers, require_papers};
use crate::dedupe::{self, Index, Keys, Verdict};
use crate::error::Result;
use crate::ingest::{self, Input};
use crate::paper::{Paper, PaperId};
use crate::progress::Progress;
use crate::store::{Batch, Change, Collection, RowId};

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

/// Adds papers to a collection. The lexical index is left behind: [`super::embed_collection`] brings it up to date.
///
/// # Errors
/// As [`read_papers`], [`crate::error::Error::Collection`] where the collection cannot be written,
/// [`crate::error::Error::Input`] where the inputs hold no paper.
pub fn add_papers(
    collection: &mut Collection,
    inputs: &[Input],
    options: &ingest::Options,
    progress: &dyn Progress,
    on_skip: &mut OnSkip<'_>,
) -> Result<AddReport> {
    let mut adder = Adder::new(collection)?;
    let read =
        read_papers(inputs, options, progress, on_skip, |papers| adder.add(collection, keyed(papers)).map(drop))?;
    require_papers(inputs, &read)?;
    Ok(adder.report(read))
}

/// A paper, and what it is found by.
pub(super) type Keyed = (Paper, Keys);

/// Papers with their keys, which all threads make.
pub(super) fn keyed(papers: Vec<Paper>) -> Vec<Keyed> {
    papers.into_par_iter().map(|paper| (Keys::of(&paper), paper)).map(|(keys, paper)| (paper, keys)).collect()
}

/// Stores papers, and knows by their keys which are there.
pub(super) struct Adder {
    index: Index,
    counts: Counts,
}

/// What a batch changed that vectors depend on.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Papers with a text that was not there before.
    pub(super) new_texts: Vec<RowId>,
    /// Papers that have become part of another.
    pub(super) absorbed: Vec<RowId>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    added: usize,
    merged: usize,
    linked: usize,
}

impl Adder {
    /// # Errors
    /// [`crate::error::Error::Collection`] where the collection cannot be read.
    pub(super) fn new(collection: &Collection) -> Result<Self> {
        let mut index = Index::default();
        collection.for_each_key(|row, bytes| {
            if let Some(keys) = Keys::from_bytes(bytes) {
                index.insert(row, &keys);
            }
            Ok(())
        })?;
        Ok(Self { index, counts: Counts::default() })
    }

    /// Stores a batch in one transaction.
    ///
    /// # Errors
    /// [`crate::error::Error::Collection`] where the collection cannot be written; nothing of the batch is
    /// stored then, and this is of no further use.
    pub(super) fn add(&mut self, collection: &mut Collection, papers: Vec<Keyed>) -> Result<Touched> {
        collection.batch(|batch| {
            let mut touched = Touched::default();
            papers.into_iter().try_for_each(|paper| self.put(batch, paper, &mut touched))?;
            Ok(touched)
        })
    }

    /// What became of all that was read.
    pub(super) fn report(&self, read: ReadReport) -> AddReport {
        let Counts { added, merged, linked } = self.counts;
        AddReport { records: read.records, added, merged, linked, skipped: read.skipped }
    }

    /// Stores one paper: merged with every stored one that is the same, linked to those that are renamed versions.
    fn put(&mut self, batch: &Batch<'_>, (paper, keys): Keyed, touched: &mut Touched) -> Result<()> {
        let Known { mut paper, keys, same, renamed } = look_up(batch, &self.index, paper, keys)?;
        let absorbed: Vec<RowId> = same.iter().skip(1).map(|(row, _)| *row).collect();
        let first = same.into_iter().next();
        self.count(first.is_some(), absorbed.len());
        self.counts.linked += link_to(batch, &mut paper, &renamed)?;
        let stored = first.as_ref().map(|(_, stored)| stored);
        if absorbed.is_empty() && stored == Some(&paper) {
            return Ok(());
        }
        let row = first.as_ref().map(|(row, _)| *row);
        let row = batch.put(&Change { row, absorbs: &absorbed, paper: &paper, keys: &keys.to_bytes() })?;
        absorbed.iter().for_each(|row| self.index.remove(*row));
        self.index.insert(row, &keys);
        if !stored.is_some_and(|stored| stored.has_text_of(&paper)) {
            touched.new_texts.push(row);
        }
        touched.absorbed.extend(absorbed);
        Ok(())
    }

    fn count(&mut self, known: bool, absorbed: usize) {
        let Counts { added, merged, .. } = &mut self.counts;
        if known {
            *merged += 1;
        } else {
            *added += 1;
        }
        *added -= absorbed.min(*added);
        *merged += absorbed;
    }
}

/// What the collection already knows of a paper.
struct Known {
    /// The paper, merged with all that are the same.
    paper: Paper,
    /// What it is found by.
    keys: Keys,
    /// Those, in the order of their rows.
    same: Vec<(RowId, Paper)>,
    /// Where its renamed versions stand.
    renamed: Vec<RowId>,
}

/// Merging can bring new keys, and these further papers: looks until nothing new turns up.
fn look_up(batch: &Batch<'_>, index: &Index, paper: Paper, keys: Keys) -> Result<Known> {
    let mut known = Known { paper, keys, same: Vec::new(), renamed: Vec::new() };
    let mut seen: BTreeSet<RowId> = BTreeSet::new();
    loop {
        let mut fresh: Vec<RowId> = index.candidates(&known.keys);
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
                    known.same.push((row, stored));
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
        known.keys = Keys::of(&known.paper);
    }
    known.same.sort_unstable_by_key(|(row, _)| *row);
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
/// [`crate::error::Error::UnknownPaper`] for the first name that the collection does not hold,
/// [`crate::error::Error::Collection`] where it cannot be written, and
/// [`crate::error::Error::Interrupted`] when the papers are gone and their words not yet.
pub fn remove_papers(collection: &mut Collection, names: &[String], progress: &dyn Progress) -> Result<Vec<PaperId>> {
    let rows: BTreeSet<RowId> = names.iter().map(|name| collection.find(name)).collect::<Result<_>>()?;
    let rows: Vec<RowId> = rows.into_iter().collect();
    let ids = collection.papers(&rows)?.into_iter().map(|stored| stored.paper.id).collect();
    collection.remove_papers(&rows)?;
    collection.index_text(progress)?;
    Ok(ids)
}
