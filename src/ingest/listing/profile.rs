//! A researcher's or an institute's page: title line, author lines, abstract, with the rest of a web page around.
//!
//! Any of the three may be missing. The grammar of a record does most of the work (a title comes before its authors,
//! these before the abstract); where two records meet without a title between them, the page's own habits decide: how
//! far into an abstract it puts its "see more", and whether it leaves a line empty between records.

mod lines;
mod record;

use crate::ingest::listing::profile::lines::{Shape, Shaped, shaped};
use crate::ingest::listing::profile::record::{Habits, Record, records};
use crate::ingest::listing::{Line, Page, any_day, shape};
use crate::ingest::skip::Skip;
use crate::paper::Date;

/// A line between two records is a title without authors and abstract from so many words on.
const SHORTEST_TITLE: usize = 3;
/// A paragraph without a title is an abstract from so many words on.
const SHORTEST_ABSTRACT: usize = 20;
/// A longer run of names is a list of people, not of a paper's authors.
const MOST_AUTHORS: usize = 1000;

/// Whether lines hold records of this family, clearly enough to claim a file of unknown kind.
pub(super) fn is_one(lines: &[Line<'_>]) -> bool {
    let lines = shaped(lines, any_day());
    let under_heading = lines.iter().any(|line| line.shape == Shape::Publications);
    let is_abstract = |text: &str| text.split_whitespace().count() >= SHORTEST_ABSTRACT && shape::is_research(text);
    let is_complete = |at: &usize| {
        let may_be_title = lines[*at].shape == Shape::Short || under_heading && lines[*at].is_names();
        may_be_title && text_after_names(&lines[*at + 1..]).is_some_and(is_abstract)
    };
    let complete = (0..lines.len()).filter(is_complete).count();
    let cut = lines.iter().filter(|line| line.cut.is_some()).count();
    let titled = (0..lines.len()).filter(|at| is_titled(&lines[*at..])).count();
    // Without a heading, the records must make up a good part of the file: two lines that look like a title and a name
    // occur in any long text.
    let dense = (complete + cut) * 10 >= lines.len();
    under_heading && (complete + cut >= 1 || titled >= 2) || complete + cut >= 2 && dense
}

/// Reads every record.
pub(super) fn read(lines: &[Line<'_>], file: &str, as_of: Date) -> Page {
    let lines = shaped(lines, as_of);
    let section = publications(&lines);
    let habits = Habits::of(&section);
    let records = records(&section, &habits);
    let last_full = records.iter().rposition(Record::is_full);
    let mut page = Page::default();
    for (at, record) in records.iter().enumerate() {
        match verdict(record, last_full.is_some_and(|last| at < last)) {
            Verdict::Paper => page.drafts.push(record.draft(file)),
            Verdict::Unreadable(reason) => {
                page.skips.push(Skip::record(file, record.first.line.number, reason).excerpt(record.first.line.text));
            }
            Verdict::Navigation => {}
        }
    }
    page
}

/// The lines of the parts that list papers.
fn publications<'s, 't>(lines: &'s [Shaped<'t>]) -> Vec<&'s Shaped<'t>> {
    let mut inside = true;
    let mut section = Vec::new();
    for line in &lines[beginning(lines)..] {
        match line.shape {
            Shape::Publications => inside = true,
            Shape::OtherPart => inside = false,
            _ if inside => section.push(line),
            _ => {}
        }
    }
    section
}

/// Where the papers begin: after the last heading that says so before the first record that is surely one. A menu may
/// use the same word further up.
fn beginning(lines: &[Shaped<'_>]) -> usize {
    let is_sure = |at: &usize| {
        let line = &lines[*at];
        line.cut.is_some() || line.shape == Shape::Short && text_after_names(&lines[*at + 1..]).is_some()
    };
    let heading_before = |end: usize| lines[..end].iter().rposition(|line| line.shape == Shape::Publications);
    let first_sure = (0..lines.len()).find(is_sure);
    let first_titled = || {
        let headings = (0..lines.len()).filter(|at| lines[*at].shape == Shape::Publications).map(|at| at + 1);
        headings.rev().find(|at| is_titled(&lines[*at..]))
    };
    match first_sure {
        Some(at) => heading_before(at).map_or(at, |heading| heading + 1),
        None => first_titled().or_else(|| heading_before(lines.len()).map(|at| at + 1)).unwrap_or(lines.len()),
    }
}

/// The running text right after names.
fn text_after_names<'s>(lines: &'s [Shaped<'_>]) -> Option<&'s str> {
    let n_names = lines.iter().take(MOST_AUTHORS).take_while(|line| line.is_names()).count();
    let text = lines.get(n_names).filter(|text| n_names > 0 && text.shape == Shape::Paragraph)?;
    (!shape::is_site_talk(&text.text)).then_some(text.text.as_str())
}

/// A title and a name.
fn is_titled(lines: &[Shaped<'_>]) -> bool {
    matches!(lines, [title, name, ..] if title.shape == Shape::Short && name.is_names())
}

/// What becomes of a record.
enum Verdict {
    Paper,
    Unreadable(&'static str),
    /// Part of the page around the papers.
    Navigation,
}

/// `before_last` says that a fuller record follows.
fn verdict(record: &Record<'_, '_>, before_last: bool) -> Verdict {
    let is_cut = record.paragraphs.iter().any(|paragraph| paragraph.cut.is_some());
    if is_cut || !record.authors.is_empty() {
        return Verdict::Paper;
    }
    let words = record.first.text.split_whitespace().count();
    match (record.title.is_some(), record.paragraphs.is_empty()) {
        _ if record.paragraphs.iter().any(|paragraph| shape::is_site_talk(&paragraph.text)) => Verdict::Navigation,
        (true, false) => Verdict::Paper,
        (true, true) if before_last && words >= SHORTEST_TITLE => Verdict::Paper,
        (true, true) if words > SHORTEST_TITLE => {
            Verdict::Unreadable("a line that may be a title, without authors or abstract")
        }
        (true, true) => Verdict::Navigation,
        (false, _) if words >= SHORTEST_ABSTRACT && shape::is_research(&record.first.text) => Verdict::Paper,
        (false, _) => Verdict::Unreadable("a paragraph without a title that does not read as an abstract"),
    }
}
