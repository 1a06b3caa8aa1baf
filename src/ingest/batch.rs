//! From a text to items: a splitter cuts records off one by one, a mapper makes items of them on every core.
//!
//! While one batch is mapped the next is cut, and items leave in the order of the text whatever the number of threads.
//! A batch is bounded by bytes, so memory does not grow with the input.

use rayon::prelude::*;

use crate::error::Result;
use crate::ingest::skip::Skip;
use crate::ingest::text::Text;
use crate::ingest::{Item, Place};
use crate::paper::{Draft, Provenance};

/// How much text is cut before it is mapped, in bytes.
const BATCH_BYTES: usize = 1 << 21;
/// How many records a thread takes at once.
const GRAIN: usize = 32;

/// A stretch of text that should be a record, or a few.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    /// The line it begins on.
    pub(super) line: u64,
    pub(super) text: &'a str,
}

/// Pieces cut off a text, in order, each either to be mapped or already given up.
#[derive(Default)]
pub(super) struct Batch {
    text: String,
    entries: Vec<Entry>,
}

enum Entry {
    Piece { line: u64, end: usize },
    Skipped(Skip),
}

impl Batch {
    /// Takes the first `length` bytes of the window as one piece, and passes over them.
    pub(super) fn take(&mut self, text: &mut Text, length: usize) {
        let line = text.line();
        self.text.push_str(&text.pending()[..length]);
        self.entries.push(Entry::Piece { line, end: self.text.len() });
        text.consume(length);
    }

    /// Gives up a record, in its place among the others.
    pub(super) fn skip(&mut self, skip: Skip) {
        self.entries.push(Entry::Skipped(skip));
    }

    fn is_full(&self) -> bool {
        self.text.len() >= BATCH_BYTES
    }

    /// The pieces and the skips, in order.
    pub(super) fn pieces(&self) -> Vec<Result<Piece<'_>, &Skip>> {
        let mut start = 0;
        let piece = |entry| match entry {
            &Entry::Piece { line, end } => {
                let text = &self.text[start..end];
                start = end;
                Ok(Piece { line, text })
            }
            Entry::Skipped(skip) => Err(skip),
        };
        self.entries.iter().map(piece).collect()
    }

    fn map(&self, mapper: &(impl Fn(Piece<'_>, &mut Vec<Item>) + Sync)) -> Vec<Vec<Item>> {
        let map_some = |pieces: &[Result<Piece<'_>, &Skip>]| {
            let mut items = Vec::with_capacity(pieces.len());
            for piece in pieces {
                match piece {
                    Ok(piece) => mapper(*piece, &mut items),
                    Err(skip) => items.push(Item::Skipped((*skip).clone())),
                }
            }
            items
        };
        self.pieces().par_chunks(GRAIN).map(map_some).collect()
    }
}

/// Reads a whole text. `split` cuts one record, or passes over something that is none, and says whether there is more.
pub(super) fn run(
    text: &mut Text,
    mut split: impl FnMut(&mut Text, &mut Batch) -> bool + Send,
    mapper: impl Fn(Piece<'_>, &mut Vec<Item>) + Sync,
    sink: &mut dyn FnMut(Item) -> Result<()>,
) -> Result<()> {
    let mut fill = |more: bool| {
        let mut batch = Batch::default();
        let mut more = more;
        while more && !batch.is_full() {
            more = split(text, &mut batch);
        }
        (batch, more)
    };
    let (mut batch, mut more) = fill(true);
    while !batch.entries.is_empty() || more {
        let (mapped, next) = rayon::join(|| batch.map(&mapper), || fill(more));
        mapped.into_iter().flatten().try_for_each(&mut *sink)?;
        (batch, more) = next;
    }
    Ok(())
}

/// A mapped record as an item: a draft gets its place, one without title and abstract is refused.
pub(super) fn item(place: Place<'_>, piece: Piece<'_>, outcome: Result<Draft, String>) -> Item {
    let refused = |reason: String| Item::Skipped(Skip::record(place.file, piece.line, reason).excerpt(piece.text));
    match outcome {
        Ok(draft) if draft.title.trim().is_empty() && draft.abstract_text.trim().is_empty() => {
            refused("no title and no abstract".to_owned())
        }
        Ok(mut draft) => {
            if draft.provenance.is_empty() {
                draft.provenance.push(Provenance { file: place.file.to_owned(), line: Some(piece.line) });
            }
            Item::Record(draft)
        }
        Err(reason) => refused(reason),
    }
}
