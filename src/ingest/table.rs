//! CSV and TSV: a header that names the columns, then a row per paper.
//!
//! Knows the headers of Zotero, Scopus, Web of Science, PubMed, IEEE and Lens besides plain ones. Rows are cut in blocks
//! at line ends outside quotes; a quote that is never closed costs its own line only.

use std::borrow::Cow;

use crate::error::Result;
use crate::ingest::batch::{self, Batch, Piece};
use crate::ingest::fields::{self, Field, Fields};
use crate::ingest::lines::too_long;
use crate::ingest::skip::Skip;
use crate::ingest::tagged::WEB_OF_SCIENCE;
use crate::ingest::text::{Extent, Text};
use crate::ingest::{Item, Options, Place};

/// How much of a table is cut at once, in bytes.
const BLOCK: usize = 1 << 16;
/// More columns than this are no table of papers.
const MAX_COLUMNS: usize = 10_000;
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// What columns are called, in lower case and with blanks for `_` and `-`, the more telling name first.
const NAMES: &[(Field, &[&str])] = &[
    (Field::Id, &["id", "paper id", "paperid", "key", "eid", "ut (unique wos id)", "lens id", "uid", "openalex id"]),
    (Field::Doi, &["doi", "doi link", "di"]),
    (Field::Arxiv, &["arxiv", "arxiv id"]),
    (Field::Pmid, &["pmid", "pubmed id"]),
    (Field::Title, &["title", "article title", "document title", "paper title", "display name", "primary title"]),
    (Field::Abstract, &["abstract", "abstract note", "abstract text", "summary", "description"]),
    (Field::Text, &["text"]),
    (Field::Names, &["author full names", "author(s)"]),
    (Field::Authors, &["authors", "author", "author/s", "creators", "creator"]),
    (Field::Date, &["date", "publication date", "date published", "published", "published date", "online date"]),
    (Field::Year, &["year", "publication year", "pub year", "year published"]),
    (Field::Categories, &["categories", "category", "labels", "label", "subjects", "subject", "fields of study"]),
    (Field::Subjects, &["wos categories", "research areas", "topics"]),
    (
        Field::Venue,
        &[
            "venue",
            "journal",
            "publication title",
            "source title",
            "journal/book",
            "publication name",
            "book title",
            "conference",
            "conference name",
            "container title",
        ],
    ),
    (Field::Url, &["url", "link", "source url", "external url", "pdf link", "pdf url"]),
    (
        Field::Keywords,
        &["keywords", "author keywords", "index keywords", "keywords plus", "manual tags", "automatic tags", "tags"],
    ),
];

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dialect {
    delimiter: u8,
    /// Web of Science's tab-delimited text quotes nothing, so a quote is a letter there.
    quoting: bool,
}

/// Which column is which field, the more telling column first.
struct Columns {
    of: Vec<(Field, usize)>,
    count: usize,
}

/// Whether a text begins with the header of a table of papers: at least two columns that are known or asked for.
pub(super) fn is_written(head: &str, options: &Options) -> bool {
    let header = first_row(head);
    DELIMITERS.iter().any(|&delimiter| known_columns(header, delimiter, options) >= 2)
}

/// Reads a whole table.
pub(super) fn read(text: &mut Text, place: Place<'_>, sink: &mut dyn FnMut(Item) -> Result<()>) -> Result<()> {
    let (dialect, columns) = match header(text, place) {
        Ok(header) => header,
        Err(reason) => return sink(Item::Skipped(Skip::file(place.file, reason))),
    };
    let mapper = |piece: Piece<'_>, items: &mut Vec<Item>| map(dialect, &columns, place, piece, items);
    batch::run(text, |text, batch| cut(dialect, text, batch, place), mapper, sink)
}

/// Reads the header, and so learns how the rest is written.
fn header(text: &mut Text, place: Place<'_>) -> Result<(Dialect, Columns), String> {
    while text.extent(BLOCK, Text::line_length) != Extent::CutShort && is_preamble(text.pending()) {
        text.consume_line();
    }
    text.fill(BLOCK);
    let dialect = dialect(first_row(text.pending()), place.options);
    let length = match text.extent(place.options.max_record_bytes, |window| row_end(window, dialect)) {
        Extent::Whole(length) => length,
        Extent::CutShort => text.pending().len(),
        Extent::TooLong => return Err("the header has no end: not a table".to_owned()),
    };
    let columns = Columns::of(&cells(&text.pending()[..length], dialect), place.options)?;
    text.consume(length);
    Ok((dialect, columns))
}

/// A blank line, or the `sep=;` that spreadsheets write for each other.
fn is_preamble(window: &str) -> bool {
    let line = window.lines().next().unwrap_or_default().trim();
    !window.is_empty() && (line.is_empty() || line.to_ascii_lowercase().starts_with("sep="))
}

fn first_row(head: &str) -> &str {
    head.lines().find(|line| !is_preamble(line)).unwrap_or_default()
}

fn dialect(header: &str, options: &Options) -> Dialect {
    let worth = |delimiter: &u8| {
        (known_columns(header, *delimiter, options), header.bytes().filter(|byte| byte == delimiter).count())
    };
    // The last of equal maxima wins, so the list is turned to let the comma win where nothing is known.
    let delimiter = DELIMITERS.iter().rev().copied().max_by_key(worth).unwrap_or(b',');
    let is_tagged = cells(header, Dialect { delimiter, quoting: true }).iter().any(|name| name == "PT");
    Dialect { delimiter, quoting: !(is_tagged && delimiter == b'\t') }
}

fn known_columns(header: &str, delimiter: u8, options: &Options) -> usize {
    let cells = cells(header, Dialect { delimiter, quoting: true });
    match Columns::of(&cells, options) {
        Ok(columns) if columns.has_text() => columns.of.len(),
        _ => 0,
    }
}

fn cells(row: &str, dialect: Dialect) -> Vec<String> {
    let mut record = csv::StringRecord::new();
    // Text is valid UTF-8, and a flexible reader accepts any row.
    let _ = reader(row, dialect).read_record(&mut record);
    record.iter().map(|cell| cell.trim().to_owned()).collect()
}

fn reader(rows: &str, dialect: Dialect) -> csv::Reader<&[u8]> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(dialect.delimiter).quoting(dialect.quoting);
    builder.from_reader(rows.as_bytes())
}

impl Columns {
    fn of(header: &[String], options: &Options) -> Result<Self, String> {
        if header.len() > MAX_COLUMNS {
            return Err(format!("{} columns: no table of papers has more than {MAX_COLUMNS}", header.len()));
        }
        let mut columns = Self { of: Vec::new(), count: header.len() };
        let chosen = [
            (Field::Abstract, &options.text_column),
            (Field::Title, &options.title_column),
            (Field::Id, &options.id_column),
        ];
        for (field, name) in chosen {
            let Some(name) = name else { continue };
            let at = header.iter().position(|cell| cell == name);
            columns.of.push((field, at.ok_or_else(|| format!("no column `{name}` among {}", shown(header)))?));
        }
        columns.add_known(header, options);
        if !columns.has_text() {
            let names = shown(header);
            return Err(format!("no column for title, abstract or text among {names}: say which with --text-column"));
        }
        Ok(columns)
    }

    fn add_known(&mut self, header: &[String], options: &Options) {
        let names: Vec<String> = header.iter().map(|cell| cell.to_lowercase().replace(['_', '-'], " ")).collect();
        let is_zotero = names.iter().any(|name| name == "item type");
        let is_tagged = header.iter().any(|name| name == "PT") && header.iter().any(|name| name == "AU");
        let plain = NAMES.iter().flat_map(|&(field, known)| known.iter().map(move |&name| (field, name)));
        let known: Vec<(Field, &str)> = if is_tagged {
            WEB_OF_SCIENCE.meanings().iter().map(|&(tag, field)| (field, tag)).collect()
        } else {
            plain.collect()
        };
        for (field, known_name) in known {
            let is_known = |at: &usize| names[*at] == known_name || (is_tagged && header[*at] == known_name);
            for at in (0..names.len()).filter(is_known) {
                let field = if is_zotero && field == Field::Authors { Field::Names } else { field };
                if !is_replaced(field, options) && !self.of.contains(&(field, at)) {
                    self.of.push((field, at));
                }
            }
        }
    }

    fn has_text(&self) -> bool {
        self.of.iter().any(|(field, _)| matches!(field, Field::Title | Field::Abstract | Field::Text))
    }

    fn fields<'r>(&self, row: &'r csv::StringRecord) -> Fields<'r> {
        let cell = |&(field, at): &(Field, usize)| row.get(at).map(|cell| (field, Cow::Borrowed(cell)));
        self.of.iter().filter_map(cell).collect()
    }
}

/// What the user named stands alone: the usual column beside it is something else.
fn is_replaced(field: Field, options: &Options) -> bool {
    match field {
        Field::Abstract | Field::Text => options.text_column.is_some(),
        Field::Title => options.title_column.is_some(),
        Field::Id => options.id_column.is_some(),
        _ => false,
    }
}

fn shown(header: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut names: Vec<String> = header.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if header.len() > SHOWN {
        names.push("…".to_owned());
    }
    names.join(", ")
}

/// Cuts a block of whole rows; false at the end.
fn cut(dialect: Dialect, text: &mut Text, batch: &mut Batch, place: Place<'_>) -> bool {
    let limit = place.options.max_record_bytes;
    text.fill(BLOCK);
    let length = whole_rows(text.pending(), dialect, limit);
    if length > 0 {
        batch.take(text, length);
        return true;
    }
    if text.pending().is_empty() {
        return false;
    }
    let reason = match text.extent(limit, |window| row_end(window, dialect)) {
        Extent::Whole(length) => {
            batch.take(text, length);
            return true;
        }
        Extent::CutShort if text.fault().is_some() => return false,
        Extent::CutShort if row_end(&format!("{}\n", text.pending()), dialect).is_some() => {
            batch.take(text, text.pending().len());
            return true;
        }
        Extent::CutShort => "a quotation mark is not closed".to_owned(),
        Extent::TooLong => too_long(limit),
    };
    batch.skip(Skip::record(place.file, text.line(), reason).excerpt(text.pending()));
    text.consume_line();
    true
}

/// The length of the whole rows that begin the window, up to about a block.
fn whole_rows(window: &str, dialect: Dialect, limit: usize) -> usize {
    let mut at = 0;
    while at < BLOCK {
        match row_end(&window[at..], dialect) {
            Some(length) if length <= limit => at += length,
            _ => break,
        }
    }
    at
}

/// The length of the first row with its line break, as the csv crate sees it: a quote counts where a cell begins.
fn row_end(window: &str, dialect: Dialect) -> Option<usize> {
    let bytes = window.as_bytes();
    let mut quoted = false;
    let mut cell_begins = true;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            // A doubled quote closes and opens again, so it needs no look ahead.
            b'"' if quoted => (quoted, cell_begins) = (false, true),
            b'"' if cell_begins && dialect.quoting => quoted = true,
            _ if quoted => {}
            b'\n' => return Some(at + 1),
            b'\r' => return Some(if bytes.get(at + 1) == Some(&b'\n') { at + 2 } else { at + 1 }),
            _ => cell_begins = byte == dialect.delimiter,
        }
    }
    None
}

fn map(dialect: Dialect, columns: &Columns, place: Place<'_>, block: Piece<'_>, items: &mut Vec<Item>) {
    let mut reader = reader(block.text, dialect);
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row).unwrap_or(false) {
        let (start, end) = (row.position().map_or(0, csv::Position::byte), reader.position().byte());
        let text = &block.text[start as usize..end as usize];
        // Blank lines before a row count to it.
        let blank = text.len() - text.trim_start_matches(['\n', '\r']).len();
        let passed = text[..blank].matches('\n').count() as u64;
        let line = block.line + row.position().map_or(1, csv::Position::line) - 1 + passed;
        if row.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let piece = Piece { line, text };
        let outcome = shape_of(&row, text, columns).map(|()| fields::draft(&columns.fields(&row)));
        items.push(batch::item(place, piece, outcome));
    }
}

/// Refuses a row whose cells cannot be told apart. Cells missing at the end are empty, as spreadsheets save them.
fn shape_of(row: &csv::StringRecord, text: &str, columns: &Columns) -> Result<(), String> {
    let surplus = row.iter().skip(columns.count).any(|cell| !cell.trim().is_empty());
    let spans_lines = text.trim_end().contains('\n');
    if surplus || (spans_lines && row.len() < columns.count) {
        return Err(format!("{} cells where the header has {}", row.len(), columns.count));
    }
    Ok(())
}
