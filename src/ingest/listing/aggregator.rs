//! An aggregator's list: a header line, title and authors run together, the abstract.
//!
//! A record goes from its header to the next one. A line of title and authors without a header in front opens a record
//! too, so that one broken header costs only its own fields.

use serde_json::{Value, json};

use crate::ingest::listing::byline::{self, Byline, Place};
use crate::ingest::listing::header::{self, Header};
use crate::ingest::listing::marker::unmark;
use crate::ingest::listing::shape;
use crate::ingest::listing::vocabulary::Vocabulary;
use crate::ingest::listing::{Line, Page, provenance};
use crate::ingest::skip::Skip;
use crate::paper::{Date, Draft};

/// Longer lines are not searched for a title with authors.
const LONGEST_BYLINE: usize = 600;

/// Whether lines hold a header with a title and authors after it.
pub(super) fn is_one(lines: &[Line<'_>], as_of: Date) -> bool {
    let headers = lines.windows(2).filter(|pair| header::read(pair[0].text, as_of).is_some());
    let followed: Vec<&[Line<'_>]> = headers.filter(|pair| header::read(pair[1].text, as_of).is_none()).collect();
    let vocabulary = vocabulary(lines, as_of);
    followed.iter().any(|pair| byline::read(pair[1].text, Place::OfByline, &vocabulary).is_some())
        || followed.len() >= 2
            && followed.iter().any(|pair| shape::is_paragraph(pair[1].text) || pair[1].text.contains('\t'))
        || followed.len() >= 2 && lines.iter().any(|line| byline::authors_only(line.text, &vocabulary).is_some())
}

/// Reads every record.
pub(super) fn read(lines: &[Line<'_>], file: &str, as_of: Date) -> Page {
    let vocabulary = vocabulary(lines, as_of);
    let openings = openings(lines, as_of, &vocabulary);
    let ends = openings.iter().skip(1).copied().chain(std::iter::once(lines.len()));
    let mut page = Page::default();
    for (start, end) in openings.iter().copied().zip(ends) {
        match record(&lines[start..end], as_of, &vocabulary) {
            Some(draft) => page.drafts.push(Draft { provenance: provenance(file, &lines[start]), ..draft }),
            None => page.skips.push(
                Skip::record(file, lines[start].number, "a subject and a date without title or abstract")
                    .excerpt(lines[start].text),
            ),
        }
    }
    page
}

/// The words of the abstracts and the names inside lists of authors. What follows a header is title and authors, and
/// would teach words that run together.
fn vocabulary<'t>(lines: &[Line<'t>], as_of: Date) -> Vocabulary<'t> {
    let after_header = |at: usize| at > 0 && header::read(lines[at - 1].text, as_of).is_some();
    let (bylines, rest): (Vec<_>, Vec<_>) = lines.iter().enumerate().partition(|(at, _)| after_header(*at));
    let text = rest.iter().map(|(_, line)| line.text).filter(|text| shape::is_paragraph(text));
    let words = Vocabulary::from_lines(text);
    let bylines = bylines.iter().map(|(_, line)| line.text).filter(|text| text.len() <= LONGEST_BYLINE);
    let names: Vec<&str> = bylines.flat_map(|line| byline::clear_names(line, &words)).collect();
    words.with_names(names)
}

/// The lines that records begin at.
fn openings(lines: &[Line<'_>], as_of: Date, vocabulary: &Vocabulary<'_>) -> Vec<usize> {
    let headers: Vec<bool> = lines.iter().map(|line| header::read(line.text, as_of).is_some()).collect();
    let opens = |at: &usize| {
        let after_header = *at > 0 && headers[*at - 1];
        headers[*at] || !after_header && is_sure_byline(lines[*at].text, vocabulary)
    };
    (0..lines.len()).filter(opens).collect()
}

/// A title with authors that says so beyond its shape.
fn is_sure_byline(line: &str, vocabulary: &Vocabulary<'_>) -> bool {
    line.len() <= LONGEST_BYLINE
        && byline::read(line, Place::Anywhere, vocabulary)
            .is_some_and(|byline| byline.et_al || !byline.affiliations.is_empty())
}

/// One record; `None` where it has neither title nor abstract.
fn record(lines: &[Line<'_>], as_of: Date, vocabulary: &Vocabulary<'_>) -> Option<Draft> {
    let header = header::read(lines[0].text, as_of);
    let body = lines[usize::from(header.is_some())..].iter().map(|line| line.text);
    let body: Vec<&str> = body.filter(|line| !shape::is_navigation(line) && !shape::opens_other_part(line)).collect();
    let (byline, used) = title_and_authors(&body, vocabulary);
    let abstract_text = abstract_of(&body[used..]);
    let draft = Draft {
        date: header.as_ref().and_then(|header| header.date),
        extra: extra(header.as_ref(), &byline).collect(),
        categories: header.map(|header| header.categories).unwrap_or_default(),
        title: byline.title,
        authors: byline.authors,
        abstract_text,
        ..Draft::default()
    };
    (!draft.title.is_empty() || !draft.abstract_text.is_empty()).then_some(draft)
}

/// Title and authors at the beginning of a record's body, and how many lines they take.
fn title_and_authors(body: &[&str], vocabulary: &Vocabulary<'_>) -> (Byline, usize) {
    let Some(&first) = body.first() else { return (Byline::default(), 0) };
    if let Some((title, authors)) = first.split_once('\t') {
        let byline = byline::authors_only(authors, vocabulary).unwrap_or_default();
        return (Byline { title: title.trim().to_owned(), ..byline }, 1);
    }
    // A second line of nothing but names settles it: the first is all title, whatever it ends in.
    if let Some(byline) = body.get(1).and_then(|second| byline::authors_only(second, vocabulary)) {
        return (Byline { title: first.to_owned(), ..byline }, 2);
    }
    if first.len() <= LONGEST_BYLINE
        && let Some(byline) = byline::read(first, Place::OfByline, vocabulary)
    {
        return (byline, 1);
    }
    if shape::is_paragraph(first) {
        return (Byline::default(), 0);
    }
    (Byline { title: first.to_owned(), ..Byline::default() }, 1)
}

/// The paragraphs up to the last line that is one: what follows the abstract is navigation. The first line needs only
/// be long enough, as nothing else stands there.
fn abstract_of(lines: &[&str]) -> String {
    let mut ends = lines.iter().enumerate().filter(|(at, line)| match (at, line.split_whitespace().count()) {
        (0, 20..) => true,
        (0, 6..) => !shape::is_site_talk(line),
        _ => shape::is_paragraph(line) && !shape::is_site_talk(line),
    });
    let end = ends.next_back().map_or(0, |(at, _)| at + 1);
    lines[..end].iter().map(|line| unmark(line).text).collect::<Vec<_>>().join("\n")
}

/// What the record says beyond the fields that every paper has.
fn extra(header: Option<&Header>, byline: &Byline) -> impl Iterator<Item = (String, Value)> {
    let affiliations = (!byline.affiliations.is_empty()).then(|| json!(byline.affiliations));
    let fields = [
        ("code", header.is_some_and(|header| header.code).then_some(Value::Bool(true))),
        ("affiliations", affiliations),
        ("score", header.and_then(|header| header.score).map(|score| json!(score))),
        ("et_al", byline.et_al.then_some(Value::Bool(true))),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
}
