//! One record per line: how lines are cut, and plain text, whose lines are texts.

use crate::error::Result;
use crate::ingest::batch::{self, Batch, Piece};
use crate::ingest::skip::Skip;
use crate::ingest::text::{Extent, Text};
use crate::ingest::{Item, Place};
use crate::paper::Draft;

/// Cuts the next line; false at the end. A line over the limit is skipped without being held, a blank one is no record.
pub(super) fn cut(text: &mut Text, batch: &mut Batch, place: Place<'_>) -> bool {
    let limit = place.options.max_record_bytes;
    match text.extent(limit, Text::line_length) {
        Extent::Whole(length) => keep(text, batch, length),
        Extent::TooLong => {
            batch.skip(Skip::record(place.file, text.line(), too_long(limit)).excerpt(text.pending()));
            text.consume_line();
        }
        // What a failed read cut in two is no record.
        Extent::CutShort if text.fault().is_some() => return false,
        Extent::CutShort => {
            keep(text, batch, text.pending().len());
            return false;
        }
    }
    true
}

/// Why a record over the limit is skipped.
pub(super) fn too_long(limit: usize) -> String {
    match limit >> 20 {
        0 => format!("longer than {limit} bytes"),
        mebibytes => format!("longer than {mebibytes} MiB"),
    }
}

/// Reads a text whose lines are texts to embed. They have no title and no id: the text itself names them.
pub(super) fn read(text: &mut Text, place: Place<'_>, sink: &mut dyn FnMut(Item) -> Result<()>) -> Result<()> {
    let mapper = |piece: Piece<'_>, items: &mut Vec<Item>| {
        let draft = Draft { abstract_text: piece.text.trim().to_owned(), ..Draft::default() };
        items.push(batch::item(place, piece, Ok(draft)));
    };
    batch::run(text, |text, batch| cut(text, batch, place), mapper, sink)
}

fn keep(text: &mut Text, batch: &mut Batch, length: usize) {
    if text.pending()[..length].trim().is_empty() {
        text.consume(length);
    } else {
        batch.take(text, length);
    }
}
