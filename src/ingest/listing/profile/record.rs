//! Records out of lines: which title, names and paragraphs belong together.

use std::collections::HashSet;

use crate::ingest::listing::profile::lines::{Shape, Shaped};
use crate::ingest::listing::{provenance, shape};
use crate::paper::{Date, Draft, Identifier};

/// What a page does the same way throughout.
#[derive(Debug)]
pub(super) struct Habits {
    /// Whether the page cuts its abstracts.
    cuts: bool,
    /// Whether abstracts stand without a title.
    untitled: bool,
    /// Whether records lie between empty lines, and an empty line is never inside one.
    gaps_separate: bool,
    /// Whether a date stands before its record rather than in or after it.
    dates_lead: bool,
    /// Names that follow a title or another name.
    known: HashSet<String>,
}

impl Habits {
    pub(super) fn of(section: &[&Shaped<'_>]) -> Self {
        let first = section.iter().find(|line| line.shape != Shape::Navigation);
        let pairs: Vec<_> = section.windows(2).collect();
        let gaps_separate = !pairs.iter().any(|pair| belong_together(pair[0], pair[1]) && pair[1].line.gap);
        let is_author = |pair: &&&[&Shaped<'_>]| {
            matches!(pair[0].shape, Shape::Short | Shape::Names(_)) && !(gaps_separate && pair[1].line.gap)
        };
        let known = pairs.iter().filter(is_author).filter_map(|pair| match &pair[1].shape {
            Shape::Names(names) => Some(names.iter().cloned()),
            _ => None,
        });
        Self {
            gaps_separate,
            cuts: section.iter().any(|line| line.cut.is_some()),
            untitled: pairs.iter().any(|pair| pair[0].shape == Shape::Paragraph && pair[1].opens),
            dates_lead: first.is_some_and(|line| matches!(line.shape, Shape::Date(_))),
            known: known.flatten().collect(),
        }
    }
}

/// Whether two neighbours are of one record whatever record it is. Two names need not be: the second may be a title.
fn belong_together(one: &Shaped<'_>, next: &Shaped<'_>) -> bool {
    match (&one.shape, &next.shape) {
        (Shape::Short, Shape::Names(_)) => true,
        (Shape::Names(_), Shape::Paragraph) => !shape::is_site_talk(&next.text),
        _ => false,
    }
}

/// The lines of one record.
#[derive(Debug)]
pub(super) struct Record<'s, 't> {
    pub(super) first: &'s Shaped<'t>,
    pub(super) title: Option<&'s Shaped<'t>>,
    pub(super) authors: Vec<&'s str>,
    pub(super) paragraphs: Vec<&'s Shaped<'t>>,
    date: Option<Date>,
    locators: Vec<&'s Identifier>,
}

pub(super) fn records<'s, 't>(section: &[&'s Shaped<'t>], habits: &Habits) -> Vec<Record<'s, 't>> {
    let mut records = Vec::new();
    let mut leading_date = None;
    let mut at = 0;
    while at < section.len() {
        match &section[at].shape {
            Shape::Date(date) => {
                leading_date = Some(*date).filter(|_| habits.dates_lead);
                at += 1;
            }
            Shape::Short | Shape::Names(_) | Shape::Paragraph => {
                let (record, used) = record(&section[at..], habits);
                // A year stands over all records up to the next one, a day over its own only.
                let date = record.date.or(leading_date);
                leading_date = leading_date.filter(|date| date.exactness() == 1);
                records.push(Record { date, ..record });
                at += used;
            }
            _ => at += 1,
        }
    }
    records
}

/// The record at the beginning of these lines, and how many it takes.
fn record<'s, 't>(lines: &[&'s Shaped<'t>], habits: &Habits) -> (Record<'s, 't>, usize) {
    let first = lines[0];
    let mut record = Record { first, title: None, authors: vec![], paragraphs: vec![], date: None, locators: vec![] };
    for (at, line) in lines.iter().enumerate() {
        let gap = at > 0 && line.line.gap && habits.gaps_separate;
        match &line.shape {
            Shape::Short if at == 0 => record.title = Some(line),
            Shape::Names(names) if at == 0 && !are_known(names, habits) => record.title = Some(line),
            Shape::Names(names) if record.paragraphs.is_empty() && !gap => {
                record.authors.extend(names.iter().map(String::as_str));
            }
            Shape::Paragraph if at == 0 || record.goes_on_with(line, gap, habits) => record.paragraphs.push(line),
            Shape::Short if record.ends_in(line, lines.get(at + 1).copied(), gap) => record.paragraphs.push(line),
            Shape::Date(date) if !habits.dates_lead && record.date.is_none() => record.date = Some(*date),
            Shape::Locator(locator) => record.locators.push(locator),
            Shape::Navigation => {}
            _ => return (record, at),
        }
    }
    (record, lines.len())
}

/// Names that stand as authors elsewhere on the page: a record that begins with them has no title.
fn are_known(names: &[String], habits: &Habits) -> bool {
    names.iter().all(|name| habits.known.contains(name))
}

impl Record<'_, '_> {
    /// Whether it has more than a title.
    pub(super) fn is_full(&self) -> bool {
        !self.authors.is_empty() || !self.paragraphs.is_empty()
    }

    /// Whether a paragraph belongs to this record's abstract rather than to a record of its own.
    fn goes_on_with(&self, next: &Shaped<'_>, gap: bool, habits: &Habits) -> bool {
        match (habits.cuts, self.paragraphs.is_empty()) {
            (false, _) => self.goes_on_without_cuts(next, gap),
            (true, true) if next.opens => !habits.untitled || self.is_about(&next.text),
            (true, true) => !gap || shape::is_research(&next.text),
            (true, false) => !next.opens && !shape::is_site_talk(&next.text) && (!gap || shape::goes_on(&next.text)),
        }
    }

    /// Whether a text may be the abstract of this title. Of 9,000 abstracts 0.1 % share no word with their own title,
    /// and 36 % none with another one: too weak to part records by, enough where the page leaves titles out anyway.
    fn is_about(&self, text: &str) -> bool {
        let title = stems(self.title.map(|title| title.text.as_str()).unwrap_or_default());
        title.len() < 3 || !title.is_disjoint(&stems(text))
    }

    /// On a page that does not cut: a titled record goes on to the next title, others as far as the words allow.
    fn goes_on_without_cuts(&self, next: &Shaped<'_>, gap: bool) -> bool {
        if shape::is_site_talk(&next.text) && !self.paragraphs.is_empty() {
            return false;
        }
        self.paragraphs.is_empty() || (self.title.is_some() && !gap) || shape::goes_on(&next.text)
    }

    /// Whether a short line is the end of an abstract's sentence or list, rather than the next title.
    fn ends_in(&self, line: &Shaped<'_>, next: Option<&Shaped<'_>>, gap: bool) -> bool {
        let before_names = next.is_some_and(Shaped::is_names);
        let begins_inside = line.text.starts_with(|c: char| c.is_lowercase() || "(-–•*∙".contains(c));
        let is_note = ["code:", "code available", "code is available", "keywords:", "key words:", "project page:"];
        let noted = is_note.iter().any(|note| line.text.to_lowercase().starts_with(note));
        !self.paragraphs.is_empty() && !gap && !before_names && (begins_inside || noted)
    }

    pub(super) fn draft(&self, file: &str) -> Draft {
        let paragraphs: Vec<&str> = self.paragraphs.iter().map(|paragraph| paragraph.text.as_str()).collect();
        let url = self.locators.iter().find_map(|locator| match locator {
            Identifier::Url(url) => Some(url.clone()),
            _ => None,
        });
        Draft {
            identifiers: self.locators.iter().map(|locator| (*locator).clone()).collect(),
            title: self.title.map(|title| shape::without_bullet(&title.text).to_owned()).unwrap_or_default(),
            abstract_text: paragraphs.join("\n"),
            authors: self.authors.iter().map(|author| (*author).to_owned()).collect(),
            date: self.date,
            url,
            provenance: provenance(file, &self.first.line),
            ..Draft::default()
        }
    }
}

/// The first five letters of each word of four letters or more.
fn stems(text: &str) -> HashSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= 4);
    words.map(|word| word.to_lowercase().chars().take(5).collect()).collect()
}
