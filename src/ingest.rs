//! From files to drafts: detects formats, reads records, and says what it could not read.
//!
//! Every record becomes a [`Draft`] or a [`Skip`]; nothing is lost silently, and nothing that a file holds ends the run.
//! Texts are streamed: memory is bounded by the record limit, not by the file. Nothing is cleaned here (`clean` does
//! that) and nothing merged (`dedupe` does), but structure is read: lists are taken apart, names turned to
//! `Given Family`, dates made exact as far as they are given.

mod batch;
mod bibtex;
mod dates;
mod fields;
mod files;
mod format;
mod json;
mod lines;
pub mod listing;
mod open;
mod page;
mod parquet_rows;
mod people;
mod skip;
mod table;
mod tagged;
mod text;

pub use format::Format;
pub use skip::Skip;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::ingest::files::Entry;
use crate::ingest::open::Unreadable;
use crate::ingest::text::Text;
use crate::paper::{Date, Draft};

/// How much of a text decides its format, in bytes: a saved page may begin with a long navigation.
const HEAD: usize = 1 << 19;

/// How inputs are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The day that dates without a year are resolved against.
    pub as_of: Date,
    /// The column or field that holds the text, instead of the usual ones.
    pub text_column: Option<String>,
    /// The column or field that holds the title, instead of the usual ones.
    pub title_column: Option<String>,
    /// The column or field that holds the id, instead of the usual ones.
    pub id_column: Option<String>,
    /// The format of every input, instead of what its content says.
    pub format: Option<Format>,
    /// A longer record is skipped, and never held in memory. In bytes.
    pub max_record_bytes: usize,
}

impl Options {
    /// Usual columns, formats by content, records up to 64 MiB.
    pub fn new(as_of: Date) -> Self {
        Self { as_of, text_column: None, title_column: None, id_column: None, format: None, max_record_bytes: 64 << 20 }
    }
}

/// Something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file, or a folder with all below it.
    Path(PathBuf),
    /// A file that was found in a folder: what it holds has to show that it is papers.
    Found(PathBuf),
}

impl Input {
    /// An input as it is written on a command line: `-` is standard input.
    pub fn parse(text: impl Into<PathBuf>) -> Self {
        let path = text.into();
        if path.as_os_str() == "-" { Self::Stdin } else { Self::Path(path) }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("-"),
            Self::Path(path) | Self::Found(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What reading yields, in the order of the inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A record with a title, an abstract or both.
    Record(Draft),
    /// A record, or a file, that could not be read.
    Skipped(Skip),
    /// Something to know about a file that was read.
    Note(Note),
}

/// Something to know about a file that was read all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The path as it was given, or below the folder that was given.
    pub file: String,
    /// The first line that it is about, counted from one.
    pub line: Option<u64>,
    /// What it is, without a full stop.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "`{}` line {line}: {}", self.file, self.message),
            None => write!(f, "`{}`: {}", self.file, self.message),
        }
    }
}

/// What readers know of the file they read.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    options: &'a Options,
}

/// Reads all inputs into `sink`, in order.
///
/// # Errors
/// An input that does not exist or cannot be opened, found before anything is read; and whatever `sink` returns, which
/// ends the reading.
pub fn read(inputs: &[Input], options: &Options, sink: &mut dyn FnMut(Item) -> Result<()>) -> Result<()> {
    for entry in files::list(inputs)? {
        match entry {
            Ok(entry) => read_file(&entry, options, sink)?,
            Err(skip) => sink(Item::Skipped(skip))?,
        }
    }
    Ok(())
}

/// The files below a folder in the order of their names, hidden ones left out, and what there cannot be read.
///
/// # Errors
/// [`crate::error::Error::Io`] where the folder cannot be read.
pub fn files_below(folder: &Path) -> Result<Vec<Result<PathBuf, Skip>>> {
    files::below(folder)
}

fn read_file(entry: &Entry, options: &Options, sink: &mut dyn FnMut(Item) -> Result<()>) -> Result<()> {
    let place = Place { file: &entry.name, options };
    let opened = match open::open(&entry.source) {
        Ok(opened) => opened,
        Err(unreadable) => return sink(Item::Skipped(Skip::file(place.file, reason(&unreadable)))),
    };
    // Rows of Parquet come as JSON, whatever the user says of the inputs.
    let format = if opened.is_parquet { Some(Format::Json) } else { options.format };
    let mut text = Text::new(opened.bytes);
    let mut count = 0_u64;
    let mut counting = |item| {
        count += u64::from(!matches!(item, Item::Note(_)));
        sink(item)
    };
    read_text(&mut text, format, entry, place, &mut counting)?;
    report(&text, place, &mut counting)?;
    if count == 0 {
        sink(Item::Skipped(Skip::file(place.file, "holds no records")))?;
    }
    Ok(())
}

fn reason(unreadable: &Unreadable) -> String {
    match unreadable {
        Unreadable::Failed(error) => format!("cannot be read: {}", open::describe(error)),
        Unreadable::Foreign(kind) => format!("is {kind}"),
    }
}

fn read_text(
    text: &mut Text,
    format: Option<Format>,
    entry: &Entry,
    place: Place<'_>,
    sink: &mut dyn FnMut(Item) -> Result<()>,
) -> Result<()> {
    text.fill(HEAD);
    if text.pending().trim().is_empty() && text.fault().is_none() && !text.fill(2 * HEAD) {
        return sink(Item::Skipped(Skip::file(place.file, "is empty")));
    }
    let name = format::Name { path: &entry.name, is_named: entry.is_named };
    let detected = format.map_or_else(|| format::detect(text.pending(), name, place.options), Ok);
    match detected {
        Ok(format) => read_format(format, text, place, sink),
        Err(reason) => sink(Item::Skipped(Skip::file(place.file, reason))),
    }
}

fn read_format(
    format: Format,
    text: &mut Text,
    place: Place<'_>,
    sink: &mut dyn FnMut(Item) -> Result<()>,
) -> Result<()> {
    match format {
        Format::Json => json::read(text, place, sink),
        Format::Table => table::read(text, place, sink),
        Format::Bibtex => bibtex::read(text, place, sink),
        Format::Ris => tagged::read(&tagged::RIS, text, place, sink),
        Format::Medline => tagged::read(&tagged::MEDLINE, text, place, sink),
        Format::WebOfScience => tagged::read(&tagged::WEB_OF_SCIENCE, text, place, sink),
        Format::Listing => page::read(text, place, sink),
        Format::Text => {
            sink(Item::Note(note(place, None, "no known format: each line is read as a text")))?;
            lines::read(text, place, sink)
        }
    }
}

/// What reading the text brought to light: where it broke off, and what was guessed.
fn report(text: &Text, place: Place<'_>, sink: &mut dyn FnMut(Item) -> Result<()>) -> Result<()> {
    if let Some(fault) = text.fault() {
        let skip = Skip::record(place.file, text.line(), open::describe(fault)).excerpt(text.pending());
        sink(Item::Skipped(skip))?;
    }
    if let Some(line) = text.guessed_line() {
        sink(Item::Note(note(place, Some(line), "not UTF-8: bytes that are not are read as Windows-1252")))?;
    }
    if let Some(line) = text.nul_line() {
        sink(Item::Note(note(place, Some(line), "NUL bytes are left out")))?;
    }
    Ok(())
}

fn note(place: Place<'_>, line: Option<u64>, message: &str) -> Note {
    Note { file: place.file.to_owned(), line, message: message.to_owned() }
}
