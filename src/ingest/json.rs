//! JSON and JSON Lines, of any source.
//!
//! Records come one per line, as elements of a list, or inside the answer of an API (`{"meta": …, "results": […]}`).
//! One reader serves every source, because sources differ in names and nesting, not in kind: `keys` knows the names,
//! `draft` what they mean, `values` where a record ends when lines do not say so. A record is never held beyond the
//! limit, nor is the list around it.

mod draft;
mod index;
mod keys;
mod mend;
mod parts;
mod values;

use crate::error::Result;
use crate::ingest::batch::{self, Piece};
use crate::ingest::json::keys::Object;
use crate::ingest::json::values::Values;
use crate::ingest::lines;
use crate::ingest::text::Text;
use crate::ingest::{Item, Place};
use crate::paper::Draft;

/// How much of the text decides how its records are laid out, in bytes.
const HEAD: usize = 1 << 16;

/// Reads a whole JSON text.
pub(super) fn read(text: &mut Text, place: Place<'_>, sink: &mut dyn FnMut(Item) -> Result<()>) -> Result<()> {
    text.fill(HEAD);
    let mapper = |piece: Piece<'_>, items: &mut Vec<Item>| map(place, piece, items);
    if is_lines(text.pending()) {
        return batch::run(text, |text, batch| lines::cut(text, batch, place), mapper, sink);
    }
    let mut values = Values::new(place);
    batch::run(text, |text, batch| values.cut(text, batch), mapper, sink)
}

/// Whether every line is a record. A list is not, nor is a record or an answer spread over several lines.
fn is_lines(head: &str) -> bool {
    let mut lines = head.split_inclusive('\n').filter(|line| !line.trim().is_empty());
    let Some(first) = lines.next().filter(|line| line.trim_start().starts_with('{')) else { return false };
    let is_closed = |line: &str| line.trim_end().ends_with('}');
    if is_closed(first) || !first.ends_with('\n') {
        return !values::opens_envelope(first);
    }
    // The first line may be a broken record among whole ones.
    lines.next().is_some_and(|second| second.starts_with('{') && (is_closed(second) || !second.ends_with('\n')))
}

fn map(place: Place<'_>, piece: Piece<'_>, items: &mut Vec<Item>) {
    let object = match object(place, piece) {
        Ok(Some(object)) => object,
        Ok(None) => return items.push(batch::item(place, piece, sentence(piece))),
        Err(reason) => return retry(place, piece, reason, items),
    };
    if object.is_envelope() {
        return expand(place, piece, items);
    }
    items.push(batch::item(place, piece, draft::draft(&object)));
}

/// The object that a record is; `None` where it is another JSON value.
fn object<'a>(place: Place<'_>, piece: Piece<'a>) -> Result<Option<Object<'a>>, String> {
    let text = record_text(piece);
    if !text.starts_with('{') {
        return Ok(None);
    }
    Object::parse(text, place.options).map(Some).map_err(|error| reason(piece, &error))
}

fn record_text(piece: Piece<'_>) -> &str {
    piece.text.trim().trim_end_matches(',')
}

/// Reads a refused record once more with what is commonly wrong mended; the reason stays that of the first refusal.
fn retry(place: Place<'_>, piece: Piece<'_>, reason: String, items: &mut Vec<Item>) {
    let mended = mend::mended(record_text(piece));
    let second = mended.as_deref().map(|text| object(place, Piece { line: piece.line, text }));
    let outcome = match second {
        Some(Ok(Some(object))) => draft::draft(&object),
        _ => Err(reason),
    };
    items.push(batch::item(place, piece, outcome));
}

/// A list of strings is a list of texts.
fn sentence(piece: Piece<'_>) -> Result<Draft, String> {
    let text = record_text(piece);
    let kind = match text.as_bytes().first() {
        Some(b'"') => {
            return serde_json::from_str(text)
                .map(|abstract_text| Draft { abstract_text, ..Draft::default() })
                .map_err(|error| reason(piece, &error));
        }
        Some(b'[') => "a list",
        Some(b'0'..=b'9' | b'-') => "a number",
        _ => "not JSON",
    };
    Err(format!("{kind}, not a record"))
}

/// A line that is a whole answer of an API.
fn expand(place: Place<'_>, piece: Piece<'_>, items: &mut Vec<Item>) {
    let mut text = Text::of(piece.text.to_owned(), piece.line);
    let mut values = Values::new(place);
    let mapper = |piece: Piece<'_>, items: &mut Vec<Item>| {
        let outcome = match object(place, piece) {
            Ok(Some(object)) => draft::draft(&object),
            Ok(None) => sentence(piece),
            Err(reason) => Err(reason),
        };
        items.push(batch::item(place, piece, outcome));
    };
    let mut keep = |item| {
        items.push(item);
        Ok(())
    };
    let outcome = batch::run(&mut text, |text, batch| values.cut(text, batch), mapper, &mut keep);
    debug_assert!(outcome.is_ok(), "only the sink can fail, and keeping an item does not");
}

/// What the parser says, with the place in the file instead of the place in the record.
fn reason(piece: Piece<'_>, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let cause = text.split(" at line ").next().unwrap_or(&text);
    if error.line() > 1 {
        return format!("not valid JSON: {cause}, at line {}", piece.line + error.line() as u64 - 1);
    }
    format!("not valid JSON: {cause}, at column {}", error.column())
}
