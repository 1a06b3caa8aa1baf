//! Where JSON values end, for texts whose lines do not say so.
//!
//! Cuts the elements of lists, at the top or inside an API's answer, without holding the list. Checks nothing: what is
//! cut may still be no JSON. A record that never ends costs only itself where the next one begins a line with the same
//! indentation.

use crate::ingest::Place;
use crate::ingest::batch::Batch;
use crate::ingest::lines::too_long;
use crate::ingest::skip::Skip;
use crate::ingest::text::{Extent, Text};

/// Names under which answers carry their records.
const LISTS: [&str; 8] = ["results", "data", "items", "recommendedPapers", "papers", "hits", "entry", "docs"];
/// Names under which answers carry what carries their records.
const NESTS: [&str; 5] = ["message", "response", "result", "search-results", "hits"];
/// Names that only a record has: what has one of them before a list is no answer.
const PAPER_KEYS: [&str; 8] =
    ["title", "display_name", "abstract", "text", "paperId", "corpusid", "authors", "abstract_inverted_index"];

/// Cuts one value after the other.
pub(super) struct Values<'a> {
    place: Place<'a>,
    frames: Vec<Frame>,
    /// What stands before the current value on its line, if only blanks do.
    indent: Option<String>,
}

/// What the next value is inside of.
#[derive(Clone, Copy, PartialEq)]
enum Frame {
    List,
    Envelope,
}

/// A member of an object, from the quote before its name.
#[derive(Debug, PartialEq)]
enum Member<'a> {
    /// Ends after so many bytes.
    Plain(&'a str, usize),
    /// A list of records, or an object that may hold one, opens at this byte.
    Opens(usize),
    /// Not all of it is there.
    Unfinished,
    Broken,
}

impl<'a> Values<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        Self { place, frames: Vec::new(), indent: Some(String::new()) }
    }

    /// Cuts the next value, or passes over what lies between; false at the end.
    pub(super) fn cut(&mut self, text: &mut Text, batch: &mut Batch) -> bool {
        self.pass_separators(text);
        let Some(first) = text.first() else { return self.end(text, batch) };
        match (self.frames.last(), first) {
            (Some(Frame::List), b']') | (Some(Frame::Envelope), b'}') => {
                self.frames.pop();
                text.consume(1);
            }
            (Some(Frame::Envelope), b'"') => self.member(text),
            (Some(Frame::Envelope), b'{' | b'[') => discard(text),
            (Some(Frame::Envelope), _) => text.consume(first_length(text)),
            (None, b'[') => self.open(text, 0),
            (None, b'{') => match self.envelope(text) {
                Some(at) => {
                    self.frames.push(Frame::Envelope);
                    self.open(text, at);
                }
                None => return self.value(text, batch),
            },
            _ => return self.value(text, batch),
        }
        true
    }

    fn pass_separators(&mut self, text: &mut Text) {
        while text.first().is_some() {
            let window = text.pending();
            // The record separator is what `application/json-seq` puts before each value.
            let is_separator = |c: char| c.is_whitespace() || matches!(c, ',' | '\u{1e}');
            let length = window.len() - window.trim_start_matches(is_separator).len();
            if length == 0 {
                return;
            }
            let passed = &window[..length];
            self.indent = match passed.rfind('\n') {
                Some(at) => Some(passed[at + 1..].to_owned()),
                None => self.indent.take().filter(|_| text.line() == 1 && passed.trim().is_empty()),
            };
            self.indent = self.indent.take().filter(|indent| indent.trim().is_empty());
            text.consume(length);
        }
    }

    /// Enters the list or object that opens at byte `at`.
    fn open(&mut self, text: &mut Text, at: usize) {
        let frame = if text.pending().as_bytes()[at] == b'[' { Frame::List } else { Frame::Envelope };
        self.frames.push(frame);
        self.indent = None;
        text.consume(at + 1);
    }

    fn envelope(&self, text: &mut Text) -> Option<usize> {
        loop {
            match envelope(text.pending()) {
                Envelope::Opens(at) => return Some(at),
                Envelope::Unfinished if self.grow(text) => {}
                Envelope::No | Envelope::Unfinished => return None,
            }
        }
    }

    fn grow(&self, text: &mut Text) -> bool {
        let length = text.pending().len();
        length <= self.place.options.max_record_bytes && text.fill(2 * length)
    }

    fn member(&mut self, text: &mut Text) {
        loop {
            match member(text.pending()) {
                Member::Plain(_, length) => return text.consume(length),
                Member::Opens(at) => return self.open(text, at),
                Member::Broken => return text.consume(1),
                // Without the rest of it, passes over the name; its value comes next and is discarded in its turn.
                Member::Unfinished => {
                    if !self.grow(text) {
                        return discard(text);
                    }
                }
            }
        }
    }

    fn value(&mut self, text: &mut Text, batch: &mut Batch) -> bool {
        let limit = self.place.options.max_record_bytes;
        let indent = self.indent.take();
        let (end, reason) = match text.extent(limit, value_end) {
            Extent::Whole(length) if is_closed(&text.pending()[..length]) => {
                batch.take(text, length);
                return true;
            }
            Extent::Whole(length) => (Some(length), "brackets or quotes that do not match".to_owned()),
            Extent::CutShort if text.fault().is_some() => return false,
            Extent::CutShort if !text.pending().starts_with(['{', '[', '"']) => {
                batch.take(text, text.pending().len());
                return true;
            }
            Extent::CutShort => (None, "does not end before the file does".to_owned()),
            Extent::TooLong => (None, too_long(limit)),
        };
        batch.skip(Skip::record(self.place.file, text.line(), reason).excerpt(text.pending()));
        self.indent.clone_from(&indent);
        let held = &text.pending()[..end.unwrap_or(text.pending().len())];
        match (indent.and_then(|indent| next_record(held, &indent)), end) {
            (Some(length), _) => text.consume(length),
            // The bracket that does not match closes what is around the record.
            (None, Some(length)) => text.consume(length.saturating_sub(1).max(1)),
            (None, None) => discard(text),
        }
        true
    }

    fn end(&mut self, text: &Text, batch: &mut Batch) -> bool {
        if !self.frames.is_empty() && text.fault().is_none() {
            let reason = "the list of records is not closed: the file may be cut short";
            batch.skip(Skip::record(self.place.file, text.line(), reason));
            self.frames.clear();
        }
        false
    }
}

/// Whether a text begins as an API's answer does.
pub(super) fn opens_envelope(text: &str) -> bool {
    matches!(envelope(text.trim_start()), Envelope::Opens(_))
}

#[derive(Debug, PartialEq)]
enum Envelope {
    Opens(usize),
    No,
    Unfinished,
}

fn envelope(window: &str) -> Envelope {
    let mut at = 1;
    loop {
        at += blanks(&window[at..]);
        match window.as_bytes().get(at) {
            None => return Envelope::Unfinished,
            Some(b'"') => {}
            Some(_) => return Envelope::No,
        }
        match member(&window[at..]) {
            Member::Plain(name, _) if PAPER_KEYS.contains(&name) => return Envelope::No,
            Member::Plain(_, length) => at += length,
            Member::Opens(opening) => return Envelope::Opens(at + opening),
            Member::Unfinished => return Envelope::Unfinished,
            Member::Broken => return Envelope::No,
        }
    }
}

fn member(window: &str) -> Member<'_> {
    let Some(name_end) = Nesting::default().advance(window.as_bytes()) else { return Member::Unfinished };
    let name = window[1..name_end].trim_end_matches('"');
    let colon = name_end + blanks(&window[name_end..]);
    match window.as_bytes().get(colon) {
        None => return Member::Unfinished,
        Some(b':') => {}
        Some(_) => return Member::Broken,
    }
    let value = colon + 1 + blanks(&window[colon + 1..]);
    let rest = &window[value..];
    match rest.as_bytes().first() {
        None => return Member::Unfinished,
        Some(b'[') if LISTS.contains(&name) => match rest[1..].trim_start().as_bytes().first() {
            None => return Member::Unfinished,
            Some(b'{' | b']') => return Member::Opens(value),
            Some(_) => {}
        },
        Some(b'{') if NESTS.contains(&name) => return Member::Opens(value),
        Some(_) => {}
    }
    value_end(rest).map_or(Member::Unfinished, |length| Member::Plain(name, value + length))
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',').len()
}

/// Where the value that begins the window ends; `None` where the window does not show it.
fn value_end(window: &str) -> Option<usize> {
    if window.starts_with(['{', '[', '"']) {
        return Nesting::default().advance(window.as_bytes());
    }
    let first = window.chars().next()?;
    let is_scalar = first.is_ascii_alphanumeric() || first == '-';
    let is_end =
        |c: char| if is_scalar { c.is_whitespace() || matches!(c, ',' | ']' | '}') } else { "\n{".contains(c) };
    window[first.len_utf8()..].find(is_end).map(|at| first.len_utf8() + at)
}

/// Whether a value closes what it opens.
fn is_closed(value: &str) -> bool {
    match value.as_bytes() {
        [b'{', .., last] => *last == b'}',
        [b'[', .., last] => *last == b']',
        [b'"', .., last] => *last == b'"',
        [b'{' | b'[' | b'"'] => false,
        _ => true,
    }
}

/// Where the next record begins, if it begins a line with the indentation of the current one.
fn next_record(window: &str, indent: &str) -> Option<usize> {
    let opening = format!("\n{indent}{{");
    window.find(&opening).map(|at| at + opening.len() - 1)
}

fn first_length(text: &Text) -> usize {
    text.pending().chars().next().map_or(0, char::len_utf8)
}

/// Passes over a value without keeping it.
fn discard(text: &mut Text) {
    if !text.pending().starts_with(['{', '[', '"']) {
        return text.consume_line();
    }
    let mut nesting = Nesting::default();
    loop {
        if let Some(length) = nesting.advance(text.pending().as_bytes()) {
            return text.consume(length);
        }
        text.consume(text.pending().len());
        if !text.fill(1) {
            return;
        }
    }
}

/// Which brackets a scan is inside of, and whether it is in a string.
#[derive(Default)]
struct Nesting {
    open: Vec<u8>,
    quote: Quote,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Quote {
    #[default]
    Outside,
    Inside,
    Escaped,
    /// After a line break, which JSON does not allow here: what comes next tells a sloppy export from a missing quote.
    Broken,
}

impl Nesting {
    /// Scans on; the number of bytes after which nothing is open or a bracket does not match, if that comes.
    fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.quote == Quote::Inside {
                at += bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'))?;
            }
            let matches = self.step(bytes[at]);
            at += 1;
            if !matches || (self.open.is_empty() && self.quote == Quote::Outside) {
                return Some(at);
            }
        }
        None
    }

    /// Takes in one byte; false where it closes what is not open.
    fn step(&mut self, byte: u8) -> bool {
        let resumes = matches!(byte, b'"' | b'{' | b'}' | b'[' | b']');
        if self.quote == Quote::Outside || (self.quote == Quote::Broken && resumes) {
            self.quote = if byte == b'"' { Quote::Inside } else { Quote::Outside };
            return self.step_bracket(byte);
        }
        self.quote = match (self.quote, byte) {
            (Quote::Escaped, _) => Quote::Inside,
            (Quote::Broken, byte) if byte.is_ascii_whitespace() => Quote::Broken,
            (_, b'\\') => Quote::Escaped,
            (Quote::Inside, b'"') => Quote::Outside,
            (Quote::Inside, b'\n') => Quote::Broken,
            _ => Quote::Inside,
        };
        true
    }

    fn step_bracket(&mut self, byte: u8) -> bool {
        match byte {
            b'{' | b'[' => self.open.push(byte),
            b'}' => return self.open.pop() == Some(b'{'),
            b']' => return self.open.pop() == Some(b'['),
            _ => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_their_brackets_close() {
        let check = |text: &str, expected: Option<usize>| assert_eq!(value_end(text), expected, "{text}");
        check(r#"{"a": "}\"]", "b": [1, {}]} rest"#, Some(27));
        check(r#""text", 2"#, Some(6));
        check("17, 18", Some(2));
        check("é]\n", Some(3));
        check("true]", Some(4));
        check(r#"{"a": [1"#, None);
        check("", None);
    }

    #[test]
    fn an_answer_is_told_from_a_record() {
        let check = |text: &str, expected: Envelope| assert_eq!(envelope(text), expected, "{text}");
        check(r#"{"meta": {"count": 2}, "results": [{"id": 1}"#, Envelope::Opens(34));
        check(r#"{"status": "ok", "message": {"items": ["#, Envelope::Opens(28));
        check(r#"{"title": "t", "results": [{"id": 1}]}"#, Envelope::No);
        check(r#"{"id": "x", "data": [1, 2]}"#, Envelope::No);
        check(r#"{"meta": {"count""#, Envelope::Unfinished);
    }
}
