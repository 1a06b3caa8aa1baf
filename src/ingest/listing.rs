//! Publication listing pages, saved as text or HTML.
//!
//! Two families: a researcher's or an institute's page (`profile`) and an aggregator's list (`aggregator`). Nothing in
//! such a page is marked up, so records are read from the shape of lines, from their order, and from what the page
//! itself says about its words (`vocabulary`). No site's name is known here. A record that stands on the page twice is
//! read twice.

mod aggregator;
mod byline;
mod dates;
mod header;
mod html;
mod marker;
mod names;
mod profile;
mod shape;
mod vocabulary;

pub use html::{parse_html, text_of_html};

use crate::ingest::skip::Skip;
use crate::paper::{Date, Draft, Provenance};

/// A page shows what it is within so many bytes.
const LOOKED_AT: usize = 512 * 1024;

/// What a page holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The records, in the order of the page.
    pub drafts: Vec<Draft>,
    /// What looks like a record and could not be read as one, in the order of the page.
    pub skips: Vec<Skip>,
}

/// Whether a text is a page of one of the two families. HTML is asked about after [`text_of_html`].
pub fn detect(text: &str) -> bool {
    let lines = lines(&text[..text.floor_char_boundary(LOOKED_AT)]);
    let begins_otherwise = lines.first().is_none_or(|line| line.text.starts_with(['{', '[', '<', '@', '%']));
    !begins_otherwise && (aggregator::is_one(&lines, any_day()) || profile::is_one(&lines))
}

/// Reads the records of a page. A day without a year is the last one of that name up to `as_of`.
pub fn parse(text: &str, file: &str, as_of: Date) -> Page {
    let lines = lines(text);
    if aggregator::is_one(&lines, as_of) {
        aggregator::read(&lines, file, as_of)
    } else {
        profile::read(&lines, file, as_of)
    }
}

/// A line that holds something.
#[derive(Debug, Clone, Copy)]
struct Line<'t> {
    /// Counted from one.
    number: u64,
    /// Without the spaces around it.
    text: &'t str,
    /// Whether an empty line stands before it.
    gap: bool,
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let all: Vec<&str> = text.lines().map(str::trim).collect();
    (1..)
        .zip(&all)
        .enumerate()
        .filter(|(_, (_, text))| !text.is_empty())
        .map(|(at, (number, text))| Line { number, text, gap: at > 0 && all[at - 1].is_empty() })
        .collect()
}

fn provenance(file: &str, line: &Line<'_>) -> Vec<Provenance> {
    vec![Provenance { file: file.to_owned(), line: Some(line.number) }]
}

/// For questions whose answer does not depend on the year.
fn any_day() -> Date {
    Date::year_only(2000).expect("2000 is a year")
}
