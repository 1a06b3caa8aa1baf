//! The lines of a profile page, each with what it is by its look and its direct neighbours.

use crate::ingest::listing::dates::whole_date;
use crate::ingest::listing::marker::unmark;
use crate::ingest::listing::vocabulary::Vocabulary;
use crate::ingest::listing::{Line, names, shape};
use crate::paper::{Date, Identifier};

/// A line of more bytes is no title.
const LONGEST_TITLE: usize = 400;

/// What a line is by its look.
#[derive(Debug, PartialEq)]
pub(super) enum Shape {
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
pub(super) struct Shaped<'t> {
    pub(super) line: Line<'t>,
    /// Without bullet and markers.
    pub(super) text: String,
    /// How many characters stand before the "see more".
    pub(super) cut: Option<usize>,
    pub(super) shape: Shape,
    /// Whether an abstract begins here, by how far on the page cuts it.
    pub(super) opens: bool,
}

pub(super) fn shaped<'t>(lines: &[Line<'t>], as_of: Date) -> Vec<Shaped<'t>> {
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
        while length < usual && !is_near(length, usual) && first > 0 && lines[first - 1].is_uncut_paragraph() {
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
    pub(super) fn is_names(&self) -> bool {
        matches!(self.shape, Shape::Names(_))
    }

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

/// Pages cut at a character or at the word before it.
fn is_near(at: usize, cut: usize) -> bool {
    at.abs_diff(cut) * 10 <= cut
}
