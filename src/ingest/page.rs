//! Listing pages: publication lists as text or HTML.
//!
//! A page is read whole, up to the limit of one record, because what a line is depends on the lines around it.

use crate::error::Result;
use crate::ingest::lines::too_long;
use crate::ingest::skip::Skip;
use crate::ingest::text::Text;
use crate::ingest::{Item, Place, listing};

/// Whether a text begins as an HTML page does, whatever declarations and comments come first.
pub(super) fn is_html(head: &str) -> bool {
    let head: String = head.chars().take(4096).flat_map(char::to_lowercase).collect();
    let begins = head.trim_start().starts_with('<');
    begins && ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| head.contains(tag))
}

/// Whether a text is a listing page.
pub(super) fn is_written(head: &str) -> bool {
    listing::detect(head)
}

/// Reads a page.
pub(super) fn read(text: &mut Text, place: Place<'_>, sink: &mut dyn FnMut(Item) -> Result<()>) -> Result<()> {
    let limit = place.options.max_record_bytes;
    text.fill(limit.saturating_add(1));
    if text.pending().len() > limit {
        return sink(Item::Skipped(Skip::file(place.file, too_long(limit))));
    }
    let text = text.pending();
    let as_of = place.options.as_of;
    let page = match is_html(text) {
        true if place.options.format.is_none() && !listing::detect(&listing::text_of_html(text)) => {
            let reason = "no list of papers is recognised in this page";
            return sink(Item::Skipped(Skip::file(place.file, reason)));
        }
        true => listing::parse_html(text, place.file, as_of),
        false => listing::parse(text, place.file, as_of),
    };
    page.drafts.into_iter().try_for_each(|draft| sink(Item::Record(draft)))?;
    page.skips.into_iter().try_for_each(|skip| sink(Item::Skipped(skip)))
}
