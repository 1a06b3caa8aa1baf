//! BibTeX and BibLaTeX, entry by entry.
//!
//! Entries are cut by their braces and parsed one at a time, so that a bad one costs only itself: where braces do not
//! balance, the next line that opens an entry ends the bad one. Values keep their LaTeX, without the braces that only
//! protect capitals. Abbreviations (`@string`) hold from where they stand; a paper that refers to its volume
//! (`crossref`) waits for it and leaves at the end of the file, after the others.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use biblatex::{RawBibliography, RawChunk, RawEntry};

use crate::error::Result;
use crate::ingest::batch::{self, Batch, Piece};
use crate::ingest::fields::{self, Field, Fields};
use crate::ingest::lines::too_long;
use crate::ingest::skip::Skip;
use crate::ingest::text::{Extent, Text};
use crate::ingest::{Item, Place, dates, people};
use crate::paper::{Date, Draft, Identifier};

const MEANINGS: &[(&str, Field)] = &[
    ("doi", Field::Doi),
    ("pmid", Field::Pmid),
    ("title", Field::Title),
    ("abstract", Field::Abstract),
    ("date", Field::Date),
    ("journal", Field::Venue),
    ("journaltitle", Field::Venue),
    ("booktitle", Field::Venue),
    ("url", Field::Url),
    ("keywords", Field::Keywords),
    ("keyword", Field::Keywords),
    ("primaryclass", Field::Category),
    ("eprintclass", Field::Category),
];

/// Months as every style defines them.
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// What entries share.
#[derive(Default)]
struct Bibliography {
    abbreviations: HashMap<String, String>,
    /// Volumes by their key.
    volumes: BTreeMap<String, Volume>,
    /// Papers that wait for their volume, with its key and their place in the file.
    waiting: Vec<(String, u64, Draft)>,
}

#[derive(Clone)]
struct Volume {
    title: Option<String>,
    date: Option<Date>,
}

/// Whether a text has the opening of an entry at the beginning of a line.
pub(super) fn is_written(head: &str) -> bool {
    const KINDS: [&str; 24] = [
        "article",
        "inproceedings",
        "proceedings",
        "conference",
        "book",
        "inbook",
        "incollection",
        "collection",
        "misc",
        "online",
        "phdthesis",
        "mastersthesis",
        "thesis",
        "techreport",
        "report",
        "unpublished",
        "string",
        "comment",
        "preamble",
        "manual",
        "booklet",
        "software",
        "dataset",
        "inreference",
    ];
    let kind = |line: &str| {
        let rest = line.trim_start().strip_prefix('@')?;
        let (kind, _) = rest.split_once(['{', '('])?;
        Some(kind.trim().to_ascii_lowercase())
    };
    head.lines().any(|line| kind(line).is_some_and(|kind| KINDS.contains(&kind.as_str())))
}

/// Reads a whole bibliography.
pub(super) fn read(text: &mut Text, place: Place<'_>, sink: &mut dyn FnMut(Item) -> Result<()>) -> Result<()> {
    let mut bibliography = Bibliography::default();
    let mut more = true;
    while more {
        let mut batch = Batch::default();
        more = cut(text, &mut batch, place);
        for piece in batch.pieces() {
            match piece {
                Ok(piece) => bibliography.read(piece, place).map_or(Ok(()), &mut *sink)?,
                Err(skip) => sink(Item::Skipped(skip.clone()))?,
            }
        }
    }
    bibliography.release(place).into_iter().try_for_each(sink)
}

/// Cuts the next entry; what stands between entries is comment by definition.
fn cut(text: &mut Text, batch: &mut Batch, place: Place<'_>) -> bool {
    let limit = place.options.max_record_bytes;
    loop {
        match text.extent(limit, Text::line_length) {
            Extent::CutShort if text.pending().is_empty() => return false,
            Extent::CutShort if text.fault().is_some() => return false,
            _ if opens_entry(text.pending()) => break,
            _ => text.consume_line(),
        }
    }
    let blanks = text.pending().len() - text.pending().trim_start().len();
    text.consume(blanks);
    match text.extent(limit, entry_end) {
        Extent::Whole(length) => batch.take(text, length),
        Extent::CutShort if text.fault().is_some() => return false,
        Extent::CutShort => batch.take(text, text.pending().len()),
        Extent::TooLong => {
            batch.skip(Skip::record(place.file, text.line(), too_long(limit)).excerpt(text.pending()));
            text.consume_line();
        }
    }
    true
}

fn opens_entry(window: &str) -> bool {
    let Some(rest) = window.trim_start_matches([' ', '\t']).strip_prefix('@') else { return false };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    rest.trim_start_matches([' ', '\t']).starts_with(['{', '('])
}

/// Where the entry that begins the window ends: at its closing brace, or before a line that opens the next one.
fn entry_end(window: &str) -> Option<usize> {
    let mut depth = 0;
    let mut escaped = false;
    for (at, byte) in window.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth -= i32::from(depth > 0),
            b'\n' if opens_entry(&window[at + 1..]) => return Some(at + 1),
            _ => {}
        }
    }
    None
}

impl Bibliography {
    /// Reads an entry; `None` where it is no paper or waits for its volume.
    fn read(&mut self, piece: Piece<'_>, place: Place<'_>) -> Option<Item> {
        let raw = match RawBibliography::parse(piece.text) {
            Ok(raw) => raw,
            Err(error) => {
                let line =
                    piece.line + piece.text[..error.span.start.min(piece.text.len())].matches('\n').count() as u64;
                let reason = format!("not valid BibTeX: {}, at line {line}", error.kind);
                return Some(batch::item(place, piece, Err(reason)));
            }
        };
        for pair in &raw.abbreviations {
            let value = self.resolved(&pair.value.v);
            self.abbreviations.insert(pair.key.v.to_lowercase(), value);
        }
        let entry = &raw.entries.first()?.v;
        let values = self.values(entry);
        if is_volume(entry.kind.v) {
            return self.keep_volume(entry, &values, piece, place);
        }
        let draft = draft(entry.key.v, &values);
        match values.get("crossref") {
            Some(volume) if draft.venue.is_none() || draft.date.is_none() => self.place(volume, draft, piece, place),
            _ => Some(batch::item(place, piece, Ok(draft))),
        }
    }

    fn keep_volume(
        &mut self,
        entry: &RawEntry<'_>,
        values: &BTreeMap<String, String>,
        piece: Piece<'_>,
        place: Place<'_>,
    ) -> Option<Item> {
        let draft = draft(entry.key.v, values);
        let title = values.get("booktitle").cloned().or_else(|| Some(draft.title.clone())).filter(|t| !t.is_empty());
        self.volumes.insert(entry.key.v.to_owned(), Volume { title, date: draft.date });
        Some(batch::item(place, piece, Err("a volume of papers, not a paper".to_owned())))
    }

    /// A paper of a volume: at once where the volume is known, as BibLaTeX allows, else when it is.
    fn place(&mut self, key: &str, draft: Draft, piece: Piece<'_>, place: Place<'_>) -> Option<Item> {
        match self.volumes.get(key) {
            Some(volume) => Some(batch::item(place, piece, Ok(in_volume(draft, volume)))),
            None => {
                self.waiting.push((key.to_owned(), piece.line, draft));
                None
            }
        }
    }

    /// The papers that waited for their volumes, in the order of the file.
    fn release(self, place: Place<'_>) -> Vec<Item> {
        let item = |(key, line, draft): (String, u64, Draft)| {
            let draft = match self.volumes.get(&key) {
                Some(volume) => in_volume(draft, volume),
                None => draft,
            };
            batch::item(place, Piece { line, text: "" }, Ok(draft))
        };
        self.waiting.into_iter().map(item).collect()
    }

    fn values(&self, entry: &RawEntry<'_>) -> BTreeMap<String, String> {
        let value = |pair: &biblatex::Pair<'_>| (pair.key.v.to_lowercase(), self.resolved(&pair.value.v));
        entry.fields.iter().map(value).collect()
    }

    /// A value with its abbreviations written out; an unknown one stands for itself.
    fn resolved(&self, chunks: &[biblatex::Spanned<RawChunk<'_>>]) -> String {
        let part = |chunk: &biblatex::Spanned<RawChunk<'_>>| match chunk.v {
            RawChunk::Normal(text) => text.to_owned(),
            RawChunk::Abbreviation(name) => {
                self.abbreviations.get(&name.to_lowercase()).map_or_else(|| name.to_owned(), Clone::clone)
            }
        };
        chunks.iter().map(part).collect()
    }
}

fn is_volume(kind: &str) -> bool {
    ["proceedings", "mvproceedings", "collection", "mvcollection", "periodical"].contains(&kind.to_lowercase().as_str())
}

fn in_volume(mut draft: Draft, volume: &Volume) -> Draft {
    draft.venue = draft.venue.or_else(|| volume.title.clone());
    draft.date = draft.date.or(volume.date);
    draft
}

fn draft(key: &str, values: &BTreeMap<String, String>) -> Draft {
    let mut fields: Fields<'_> = Vec::new();
    for &(name, field) in MEANINGS {
        let Some(value) = values.get(name) else { continue };
        let value = if matches!(field, Field::Doi | Field::Url) { address(value) } else { unprotected(value) };
        fields.push((field, Cow::Owned(value)));
    }
    let mut draft = fields::draft(&fields);
    draft.identifiers.extend(eprint(values));
    draft.identifiers.extend(Identifier::source(key));
    draft.authors = values.get("author").map(|authors| self::authors(authors)).unwrap_or_default();
    draft.date = draft.date.or_else(|| date(values));
    draft
}

fn date(values: &BTreeMap<String, String>) -> Option<Date> {
    let year = unprotected(values.get("year")?);
    let month = values.get("month").map(|month| unprotected(month));
    month.and_then(|month| dates::with_month(&year, month_of(&month))).or_else(|| dates::parse(&year))
}

/// A month may be an abbreviation with a day beside it: `jun # "~15"`.
fn month_of(month: &str) -> &str {
    let is_month = MONTHS.iter().any(|name| month.to_lowercase().starts_with(name));
    if is_month { month.split(['~', '-', '/']).next().unwrap_or(month) } else { month }
}

fn eprint(values: &BTreeMap<String, String>) -> Option<Identifier> {
    let eprint = values.get("eprint")?;
    let kind = values.get("archiveprefix").or_else(|| values.get("eprinttype")).map(|kind| kind.to_lowercase());
    match kind.as_deref() {
        None | Some("arxiv") => Identifier::from_arxiv(eprint),
        Some("pubmed") => Identifier::from_pmid(eprint),
        Some(_) => None,
    }
}

/// Names apart at each ` and ` outside braces; a name in braces is an organisation's.
fn authors(value: &str) -> Vec<String> {
    let names = split_outside_braces(value).into_iter().filter(|name| !matches!(*name, "others" | ""));
    let name = |name: &str| match name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(organisation) if !organisation.contains(['{', '}']) => Some(organisation.to_owned()),
        _ => people::name(&unprotected(name)),
    };
    names.filter_map(name).collect()
}

fn split_outside_braces(value: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let mut start = 0;
    let mut parts = Vec::new();
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ if depth == 0 && byte.is_ascii_whitespace() && at >= start && is_and(&value.as_bytes()[at..]) => {
                parts.push(value[start..at].trim());
                start = at + 4;
            }
            _ => {}
        }
    }
    parts.push(value[start..].trim());
    parts
}

/// Whether ` and `, with blanks of any kind around it, begins here.
fn is_and(bytes: &[u8]) -> bool {
    bytes.len() > 4 && bytes[1..4].eq_ignore_ascii_case(b"and") && bytes[4].is_ascii_whitespace()
}

/// Without the braces that only protect capitals: `{BERT} for {{D}ata}`. Braces that LaTeX needs, after a command, in an
/// accent or in mathematics, stay.
fn unprotected(value: &str) -> String {
    let mut kept = String::with_capacity(value.len());
    let mut open: Vec<bool> = Vec::new();
    let mut in_math = false;
    let mut previous = ' ';
    let mut characters = value.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                kept.push(character);
                kept.extend(characters.next().map(|(_, escaped)| escaped));
            }
            '{' => {
                let needed = in_math || is_argument(&value[..at], previous) || value[at + 1..].starts_with('\\');
                open.push(needed);
                kept.extend(needed.then_some(character));
            }
            '}' => kept.extend(open.pop().unwrap_or(true).then_some(character)),
            _ => {
                in_math ^= character == '$';
                kept.push(character);
            }
        }
        previous = character;
    }
    kept
}

/// Whether a brace after `before` opens an argument: `\emph{`, `\'{`, `x^{`, or a second one.
fn is_argument(before: &str, previous: char) -> bool {
    if matches!(previous, '^' | '_' | '\\') {
        return true;
    }
    let word = before.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    word.ends_with('\\') && !word.ends_with("\\\\")
}

/// A DOI or an address, in which LaTeX may have escaped characters.
fn address(value: &str) -> String {
    let mut plain = value.replace(['{', '}'], "");
    for escaped in ["\\_", "\\%", "\\&", "\\#", "\\~"] {
        plain = plain.replace(escaped, &escaped[1..]);
    }
    plain.replace("\\url", "").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_go_where_they_only_protect() {
        let check = |value: &str, expected: &str| assert_eq!(unprotected(value), expected, "{value}");
        check("{{A} {BERT}} model", "A BERT model");
        check(r#"M{\"u}ller and \'{e}"#, r#"M{\"u}ller and \'{e}"#);
        check(r"\emph{so} $x^{2}$ {y}", r"\emph{so} $x^{2}$ y");
        check(r"open \{ brace", r"open \{ brace");
        check("{unbalanced", "unbalanced");
        check("unbalanced}", "unbalanced}");
    }

    #[test]
    fn names_are_split_outside_braces() {
        let check = |value: &str, expected: &[&str]| assert_eq!(authors(value), expected, "{value}");
        check(
            "Smith, Ada and Bo Lee\n and {Sand and Sea Group} and others",
            &["Ada Smith", "Bo Lee", "Sand and Sea Group"],
        );
        check("{Van Dyke}, Ada", &["Ada Van Dyke"]);
        check("", &[]);
    }
}
