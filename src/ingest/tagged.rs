//! RIS, MEDLINE and Web of Science's plain text: a tag and a value per line, one record after the other.
//!
//! A dialect says what a line with a tag looks like, which tags open and close a record, and what each tag means, the
//! more telling tag first. A record without its closing tag ends where the next one opens.

use std::borrow::Cow;

use crate::error::Result;
use crate::ingest::batch::{self, Batch, Piece};
use crate::ingest::fields::{self, Field, Fields};
use crate::ingest::lines::too_long;
use crate::ingest::skip::Skip;
use crate::ingest::text::{Extent, Text};
use crate::ingest::{Item, Place};
use crate::paper::Draft;

/// One of the formats.
pub(super) struct Dialect {
    /// Tag and value of a line that has one.
    tag: fn(&str) -> Option<(&str, &str)>,
    opens: &'static str,
    closes: Option<&'static str>,
    /// Tags that stand outside records.
    frame: &'static [&'static str],
    /// What joins a value to the next line of it.
    joint: &'static str,
    meanings: &'static [(&'static str, Field)],
}

/// What reference managers and most publishers write.
pub(super) static RIS: Dialect = Dialect {
    tag: ris_tag,
    opens: "TY",
    closes: Some("ER"),
    frame: &[],
    joint: "\n",
    meanings: &[
        ("ID", Field::Id),
        ("DO", Field::Doi),
        ("TI", Field::Title),
        ("T1", Field::Title),
        ("CT", Field::Title),
        ("BT", Field::Title),
        ("AB", Field::Abstract),
        ("N2", Field::Abstract),
        ("AU", Field::Author),
        ("A1", Field::Author),
        ("DA", Field::Date),
        ("PY", Field::Year),
        ("Y1", Field::Year),
        ("T2", Field::Venue),
        ("JF", Field::Venue),
        ("JO", Field::Venue),
        ("JA", Field::Venue),
        ("J2", Field::Venue),
        ("UR", Field::Url),
        ("LK", Field::Url),
        ("KW", Field::Keyword),
    ],
};

/// What PubMed writes, `.nbib` included.
pub(super) static MEDLINE: Dialect = Dialect {
    tag: medline_tag,
    opens: "PMID",
    closes: None,
    frame: &[],
    joint: " ",
    meanings: &[
        ("PMID", Field::Pmid),
        ("LID", Field::Doi),
        ("AID", Field::Doi),
        ("PMC", Field::Id),
        ("TI", Field::Title),
        ("BTI", Field::Title),
        ("AB", Field::Abstract),
        ("FAU", Field::Author),
        ("CN", Field::Author),
        ("AU", Field::ShortAuthor),
        ("DP", Field::Date),
        ("JT", Field::Venue),
        ("TA", Field::Venue),
        ("MH", Field::Category),
        ("OT", Field::Keyword),
    ],
};

/// What Web of Science writes as plain text, and, as column names, as tab-delimited text.
pub(super) static WEB_OF_SCIENCE: Dialect = Dialect {
    tag: web_of_science_tag,
    opens: "PT",
    closes: Some("ER"),
    frame: &["FN", "VR", "EF"],
    joint: " ",
    meanings: &[
        ("UT", Field::Id),
        ("DI", Field::Doi),
        ("PM", Field::Pmid),
        ("TI", Field::Title),
        ("AB", Field::Abstract),
        ("AF", Field::Names),
        ("AU", Field::Names),
        ("PY", Field::Year),
        ("PD", Field::Month),
        ("SO", Field::Venue),
        ("WC", Field::Subjects),
        ("SC", Field::Subjects),
        ("DE", Field::Keywords),
        ("ID", Field::Keywords),
    ],
};

impl Dialect {
    /// What the tags mean, the more telling first.
    pub(super) fn meanings(&self) -> &'static [(&'static str, Field)] {
        self.meanings
    }

    /// Whether a text is written in this dialect: one of its first lines opens a record.
    pub(super) fn is_written(&self, head: &str) -> bool {
        const LOOKED_AT: usize = 20;
        let mut lines = head.lines().filter(|line| !line.trim().is_empty()).take(LOOKED_AT);
        lines.any(|line| self.opens_record(line))
    }

    fn opens_record(&self, line: &str) -> bool {
        (self.tag)(line).is_some_and(|(tag, _)| tag == self.opens)
    }

    fn closes_record(&self, line: &str) -> bool {
        self.closes.is_some_and(|closing| (self.tag)(line).is_some_and(|(tag, _)| tag == closing))
    }

    /// Where the record that begins the window ends.
    fn record_end(&self, window: &str) -> Option<usize> {
        let mut at = 0;
        for line in window.split_inclusive('\n') {
            if at > 0 && self.opens_record(line) {
                return Some(at);
            }
            if !line.ends_with('\n') {
                return None;
            }
            at += line.len();
            if self.closes_record(line) {
                return Some(at);
            }
        }
        None
    }
}

fn ris_tag(line: &str) -> Option<(&str, &str)> {
    let (tag, rest) = line.split_at_checked(2)?;
    let is_tag = tag.starts_with(|c: char| c.is_ascii_uppercase())
        && tag.ends_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit());
    let value = rest.strip_prefix("  -").or_else(|| rest.strip_prefix(" -"))?;
    is_tag.then(|| (tag, value.trim()))
}

fn medline_tag(line: &str) -> Option<(&str, &str)> {
    let (tag, rest) = line.split_at_checked(4)?;
    let tag = tag.trim_end();
    let is_tag = tag.len() >= 2 && tag.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let value = rest.strip_prefix('-')?;
    is_tag.then(|| (tag, value.trim()))
}

fn web_of_science_tag(line: &str) -> Option<(&str, &str)> {
    let (tag, value) = line.trim_end().split_at_checked(2)?;
    let is_tag = tag.starts_with(|c: char| c.is_ascii_uppercase())
        && tag.ends_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit())
        && (value.is_empty() || value.starts_with(' '));
    is_tag.then(|| (tag, value.trim()))
}

/// Reads a whole text of one dialect.
pub(super) fn read(
    dialect: &'static Dialect,
    text: &mut Text,
    place: Place<'_>,
    sink: &mut dyn FnMut(Item) -> Result<()>,
) -> Result<()> {
    let mut reported = false;
    let split = |text: &mut Text, batch: &mut Batch| cut(dialect, text, batch, place, &mut reported);
    let mapper = |piece: Piece<'_>, items: &mut Vec<Item>| {
        items.push(batch::item(place, piece, Ok(draft(dialect, piece.text))));
    };
    batch::run(text, split, mapper, sink)
}

/// Cuts the next record. Lines outside any are passed over and, where they look like one, reported once per stretch.
fn cut(dialect: &Dialect, text: &mut Text, batch: &mut Batch, place: Place<'_>, reported: &mut bool) -> bool {
    let limit = place.options.max_record_bytes;
    if text.first().is_none() {
        return false;
    }
    let line = match text.extent(limit, Text::line_length) {
        Extent::Whole(length) => length,
        _ => text.pending().len(),
    };
    if !dialect.opens_record(&text.pending()[..line]) {
        pass_line(dialect, text, batch, place, line, reported);
        return true;
    }
    *reported = false;
    match text.extent(limit, |window| dialect.record_end(window)) {
        Extent::Whole(length) => batch.take(text, length),
        Extent::CutShort if text.fault().is_some() => return false,
        Extent::CutShort => batch.take(text, text.pending().len()),
        Extent::TooLong => {
            batch.skip(Skip::record(place.file, text.line(), too_long(limit)).excerpt(text.pending()));
            // What follows belongs to the record that is reported already.
            *reported = true;
            text.consume_line();
        }
    }
    true
}

fn pass_line(
    dialect: &Dialect,
    text: &mut Text,
    batch: &mut Batch,
    place: Place<'_>,
    length: usize,
    reported: &mut bool,
) {
    let line = &text.pending()[..length];
    let stray = (dialect.tag)(line).is_some_and(|(tag, _)| !dialect.frame.contains(&tag));
    if stray && !*reported {
        let reason = format!("stands before the `{}` that opens a record", dialect.opens);
        batch.skip(Skip::record(place.file, text.line(), reason).excerpt(line));
        *reported = true;
    }
    text.consume_line();
}

fn draft(dialect: &Dialect, record: &str) -> Draft {
    let values = values(dialect, record);
    let mut fields: Fields<'_> = Vec::with_capacity(values.len());
    for &(tag, field) in dialect.meanings {
        let of_tag = values.iter().filter(|(given, _)| *given == tag);
        fields.extend(of_tag.filter_map(|(tag, value)| meant(tag, value)).map(|value| (field, Cow::Borrowed(value))));
    }
    fields::draft(&fields)
}

/// PubMed gives every paper a dozen subject headings; those with a star are what it is about.
fn meant<'a>(tag: &str, value: &'a str) -> Option<&'a str> {
    if tag != "MH" {
        return Some(value);
    }
    let heading = value.split('/').next().unwrap_or(value).trim_matches('*');
    value.contains('*').then_some(heading)
}

/// Tags and values, lines without a tag joined to the value before them.
fn values<'a>(dialect: &Dialect, record: &'a str) -> Vec<(&'a str, Cow<'a, str>)> {
    let mut values: Vec<(&str, Cow<'_, str>)> = Vec::new();
    for line in record.lines() {
        let continued = line.starts_with("   ") || (dialect.tag)(line).is_none();
        match (continued, values.last_mut()) {
            (true, Some((tag, value))) if !line.trim().is_empty() => {
                // Web of Science writes one person per line.
                let joint = if matches!(*tag, "AU" | "AF") { "; " } else { dialect.joint };
                let value = value.to_mut();
                value.push_str(joint);
                value.push_str(line.trim());
            }
            (false, _) => values.extend((dialect.tag)(line).map(|(tag, value)| (tag, Cow::Borrowed(value)))),
            _ => {}
        }
    }
    values
}
