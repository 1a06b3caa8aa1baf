//! A researcher's or an institute's page: title line, author lines, abstract, with the rest of a web page around.
//!
//! Any of the three may be missing. The grammar of a record does most of the work (a title comes before its authors,
//! these before the abstract); where two records meet without a title between them, the page's own habits decide: how
//! far into an abstract it puts its "see more", and whether it leaves a line empty between records.

use std::collections::HashSet;

use crate::ingest::listing::dates::whole_date;
use crate::ingest::listing::marker::unmark;
use crate::ingest::listing::vocabulary::Vocabulary;
use crate::ingest::listing::{Line, Page, any_day, names, provenance, shape};
use crate::ingest::skip::Skip;
use crate::paper::{Date, Draft, Identifier};

/// A line between two records is a title without authors and abstract from so many words on.
const SHORTEST_TITLE: usize = 3;
/// A paragraph without a title is an abstract from so many words on.
const SHORTEST_ABSTRACT: usize = 20;
/// A line of more bytes is no title.
const LONGEST_TITLE: usize = 400;

/// Whether lines hold records of this family, clearly enough to claim a file of unknown kind.
pub(super) fn is_one(lines: &[Line<'_>]) -> bool {
    let lines = shaped(lines, any_day());
    let under_heading = lines.iter().any(|line| line.shape == Shape::Publications);
    let is_abstract = |text: &str| text.split_whitespace().count() >= SHORTEST_ABSTRACT && shape::is_research(text);
    let is_complete = |at: &usize| text_of_complete_record(&lines[*at..]).is_some_and(is_abstract);
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

/// What a line is by its look.
#[derive(Debug, PartialEq)]
enum Shape {
    /// Running text: an abstract, or one of its paragraphs.
    Paragraph,
    /// One name, or several.
    Names(Vec<String>),
    Date(Date),
    /// A bare address or identifier.
    Locator(Identifier),
    /// The heading of a part with papers.
    Publications,
    /// The heading of a part without.
    OtherPart,
    Navigation,
    /// None of these: a title, or a caption.
    Short,
}

/// A line with its look.
#[derive(Debug)]
struct Shaped<'t> {
    line: Line<'t>,
    /// Without bullet and markers.
    text: String,
    /// How many characters stand before the "see more".
    cut: Option<usize>,
    shape: Shape,
    /// Whether an abstract begins here, by how far on the page cuts it.
    opens: bool,
}

fn shaped<'t>(lines: &[Line<'t>], as_of: Date) -> Vec<Shaped<'t>> {
    let running = lines.iter().map(|line| line.text).filter(|text| shape::is_paragraph(text));
    let vocabulary = Vocabulary::from_lines(running);
    let cells =
        lines.iter().flat_map(|line| line.text.split('\t').map(move |text| Line { text: text.trim(), ..*line }));
    let cells = cells.filter(|line| !line.text.is_empty());
    let mut shaped = cells.map(|line| shape_of(line, &vocabulary, as_of)).collect::<Vec<_>>();
    find_long_titles(&mut shaped);
    find_openings(&mut shaped);
    shaped
}

/// A title may read like a sentence: with names after it and no full stop at its end, it is one.
fn find_long_titles(lines: &mut [Shaped<'_>]) {
    for at in 2..lines.len() {
        let [title, name, next] = &mut lines[at - 2..=at] else { continue };
        let reads_like_text = title.shape == Shape::Paragraph && title.cut.is_none();
        let is_named =
            matches!(name.shape, Shape::Names(_)) && matches!(next.shape, Shape::Names(_) | Shape::Paragraph);
        if reads_like_text && is_named && !shape::ends_sentence(&title.text) && title.text.len() <= LONGEST_TITLE {
            title.shape = Shape::Short;
        }
    }
}

/// A page cuts every abstract equally far in. Where a paragraph is cut earlier, its abstract began with the paragraphs
/// before it that make up the difference.
fn find_openings(lines: &mut [Shaped<'_>]) {
    let Some(usual) = usual_cut(lines.iter()) else { return };
    for at in 0..lines.len() {
        let Some(mut length) = lines[at].cut else { continue };
        let mut first = at;
        while !is_near(length, usual) && first > 0 && lines[first - 1].is_uncut_paragraph() {
            first -= 1;
            length += lines[first].text.chars().count() + 1;
        }
        let opening = if is_near(length, usual) { first } else { at };
        lines[opening].opens = true;
    }
}

/// The middle one of the places where a page cuts.
fn usual_cut<'s, 't: 's>(lines: impl Iterator<Item = &'s Shaped<'t>>) -> Option<usize> {
    let mut cuts: Vec<usize> = lines.filter_map(|line| line.cut).collect();
    cuts.sort_unstable();
    cuts.get(cuts.len() / 2).copied()
}

impl Shaped<'_> {
    fn is_uncut_paragraph(&self) -> bool {
        self.shape == Shape::Paragraph && self.cut.is_none()
    }
}

fn shape_of<'t>(line: Line<'t>, vocabulary: &Vocabulary<'_>, as_of: Date) -> Shaped<'t> {
    let unmarked = unmark(line.text);
    let shape = if unmarked.cut.is_some() && !shape::is_navigation(line.text) {
        Shape::Paragraph
    } else if shape::opens_publications(line.text) {
        Shape::Publications
    } else if shape::opens_other_part(line.text) {
        Shape::OtherPart
    } else if let Some(date) = whole_date(line.text, as_of) {
        Shape::Date(date)
    } else if shape::is_navigation(line.text) {
        Shape::Navigation
    } else if let Some(locator) = locator(line.text) {
        Shape::Locator(locator)
    } else if shape::is_paragraph(line.text) {
        Shape::Paragraph
    } else {
        let bare = shape::without_bullet(line.text);
        names::all_names(bare, vocabulary).map_or(Shape::Short, Shape::Names)
    };
    let cut = unmarked.cut.filter(|_| shape == Shape::Paragraph);
    Shaped { line, text: unmarked.text, cut, shape, opens: false }
}

/// A line that is an address, a DOI or an arXiv id and nothing else.
fn locator(line: &str) -> Option<Identifier> {
    if line.contains(char::is_whitespace) && !line.to_lowercase().starts_with("doi: ") {
        return None;
    }
    match Identifier::parse(line) {
        Identifier::Source(text) | Identifier::Url(text) => {
            let is_address = text.starts_with("http://") || text.starts_with("https://");
            is_address.then_some(Identifier::Url(text))
        }
        Identifier::Pmid(_) | Identifier::CorpusId(_) | Identifier::Acl(_) => None,
        known => Some(known),
    }
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
    let is_sure = |at: &usize| lines[*at].cut.is_some() || text_of_complete_record(&lines[*at..]).is_some();
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

/// The running text right after a title and names.
fn text_of_complete_record<'s>(lines: &'s [Shaped<'_>]) -> Option<&'s str> {
    let is_names = |line: &&Shaped<'_>| matches!(line.shape, Shape::Names(_));
    let n_names = lines.iter().skip(1).take_while(is_names).count();
    let text = lines.get(1 + n_names).filter(|text| text.shape == Shape::Paragraph)?;
    let titled = lines[0].shape == Shape::Short && n_names > 0;
    (titled && !shape::is_site_talk(&text.text)).then_some(text.text.as_str())
}

/// A title and a name.
fn is_titled(lines: &[Shaped<'_>]) -> bool {
    matches!(lines, [title, name, ..] if title.shape == Shape::Short && matches!(name.shape, Shape::Names(_)))
}

/// What a page does the same way throughout.
#[derive(Debug)]
struct Habits {
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
    fn of(section: &[&Shaped<'_>]) -> Self {
        let first = section.iter().find(|line| line.shape != Shape::Navigation);
        let pairs: Vec<_> = section.windows(2).collect();
        let inside: Vec<_> = pairs.iter().filter(|pair| belong_together(pair[0], pair[1])).collect();
        let known = inside.iter().filter_map(|pair| match &pair[1].shape {
            Shape::Names(names) => Some(names.iter().cloned()),
            _ => None,
        });
        Self {
            cuts: section.iter().any(|line| line.cut.is_some()),
            untitled: pairs.iter().any(|pair| pair[0].shape == Shape::Paragraph && pair[1].opens),
            gaps_separate: !inside.iter().any(|pair| pair[1].line.gap),
            dates_lead: first.is_some_and(|line| matches!(line.shape, Shape::Date(_))),
            known: known.flatten().collect(),
        }
    }
}

/// Whether two neighbours are of one record whatever record it is.
fn belong_together(one: &Shaped<'_>, next: &Shaped<'_>) -> bool {
    match (&one.shape, &next.shape) {
        (Shape::Short | Shape::Names(_), Shape::Names(_)) => true,
        (Shape::Names(_), Shape::Paragraph) => !shape::is_site_talk(&next.text),
        _ => false,
    }
}

/// The lines of one record.
#[derive(Debug)]
struct Record<'s, 't> {
    first: &'s Shaped<'t>,
    title: Option<&'s Shaped<'t>>,
    authors: Vec<&'s str>,
    paragraphs: Vec<&'s Shaped<'t>>,
    date: Option<Date>,
    locators: Vec<&'s Identifier>,
}

fn records<'s, 't>(section: &[&'s Shaped<'t>], habits: &Habits) -> Vec<Record<'s, 't>> {
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
    fn is_full(&self) -> bool {
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

    /// Whether a text may be the abstract of this title. Of 9,000 abstracts 0.1 % share no word with their own title, and
    /// 36 % none with another one: too weak to part records by, enough where the page leaves titles out anyway.
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
        let before_names = next.is_some_and(|next| matches!(next.shape, Shape::Names(_)));
        let begins_inside = line.text.starts_with(|c: char| c.is_lowercase() || "(-–•*∙".contains(c));
        let is_note = ["code:", "code available", "code is available", "keywords:", "key words:", "project page:"];
        let noted = is_note.iter().any(|note| line.text.to_lowercase().starts_with(note));
        !self.paragraphs.is_empty() && !gap && !before_names && (begins_inside || noted)
    }

    fn draft(&self, file: &str) -> Draft {
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

/// Pages cut at a character or at the word before it.
fn is_near(at: usize, cut: usize) -> bool {
    at.abs_diff(cut) * 10 <= cut
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
