//! A saved HTML page as the lines that its readers see.
//!
//! Blocks become lines. Where a block consists of nothing but inline elements, as cards do with the fields of a record,
//! a tab marks the boundary between two of them: in text alone a title and its authors would run together. Scripts,
//! styles and navigation are left out. Hidden text stays, as pages hide the rest of an abstract behind "see more".

use scraper::{ElementRef, Html, Node};

use crate::ingest::listing::marker::is_marker;
use crate::ingest::listing::{Page, parse};
use crate::paper::Date;

/// Elements without text to read.
const DROPPED: [&str; 20] = [
    "script",
    "style",
    "noscript",
    "template",
    "svg",
    "nav",
    "form",
    "input",
    "select",
    "textarea",
    "iframe",
    "head",
    "footer",
    "aside",
    "object",
    "canvas",
    "video",
    "audio",
    "dialog",
    "annotation",
];
/// Elements that stand inside a line.
const INLINE: [&str; 34] = [
    "a", "abbr", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img",
    "ins", "kbd", "label", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var",
    "wbr", "nobr",
];
/// Inline elements that pages put a field into.
const FIELDS: [&str; 10] = ["a", "span", "strong", "b", "em", "i", "small", "time", "label", "cite"];

/// Fewer bytes are found in too many places.
const SHORTEST_NEEDLE: usize = 10;

/// The text of a page, a line for each block, a tab between fields, an empty line around articles and sections.
pub fn text_of_html(html: &str) -> String {
    let document = Html::parse_document(html);
    let mut text = Text::default();
    let mut steps = vec![Step::Open(document.root_element())];
    while let Some(step) = steps.pop() {
        match step {
            Step::Text(words) => text.push(words),
            Step::Field => text.end_field(),
            Step::Close { apart } => text.end_line(apart),
            Step::Open(element) => open(element, &mut text, &mut steps),
        }
    }
    text.end_line(false);
    text.done
}

/// Reads the records of a saved HTML page. A record's line is the one of the HTML where its title, or else its
/// abstract, begins; it is left out where that cannot be found word for word.
pub fn parse_html(html: &str, file: &str, as_of: Date) -> Page {
    let mut page = parse(&text_of_html(html), file, as_of);
    let body = html.find("<body").unwrap_or(0);
    let mut places = Places { html, at: body, line: 1 + line_breaks(&html[..body]) };
    for draft in &mut page.drafts {
        let text = if draft.title.is_empty() { &draft.abstract_text } else { &draft.title };
        let line = places.next_line_of(text);
        draft.provenance.iter_mut().for_each(|provenance| provenance.line = line);
    }
    page.skips.iter_mut().for_each(|skip| skip.line = None);
    page
}

/// What is left to walk, the next step last. A stack of our own, because pages nest deeper than the program's may.
enum Step<'d> {
    Open(ElementRef<'d>),
    Text(&'d str),
    /// The boundary between two fields.
    Field,
    /// The end of a block, with an empty line after it where it stands apart.
    Close {
        apart: bool,
    },
}

fn open<'d>(element: ElementRef<'d>, text: &mut Text, steps: &mut Vec<Step<'d>>) {
    let name = element.value().name();
    if is_dropped(element) {
        return;
    }
    if name == "br" {
        text.end_line(false);
        return;
    }
    if !INLINE.contains(&name) {
        let apart = stands_apart(element);
        text.end_line(apart);
        steps.push(Step::Close { apart });
    }
    let fields = is_row_of_fields(element);
    for child in element.children().rev() {
        match child.value() {
            Node::Text(words) => steps.push(Step::Text(words)),
            Node::Element(_) => {
                steps.extend(ElementRef::wrap(child).map(Step::Open));
                if fields {
                    steps.push(Step::Field);
                }
            }
            _ => {}
        }
    }
}

/// Elements without text to read, page furniture, and buttons other than "see more".
fn is_dropped(element: ElementRef<'_>) -> bool {
    let value = element.value();
    let name = value.name();
    let is_page_header = name == "header"
        && !element.ancestors().any(|ancestor| is_one_of(ancestor.value(), &["article", "main", "section", "li"]));
    let role = value.attr("role").unwrap_or_default();
    let furniture = ["navigation", "banner", "dialog", "alertdialog", "contentinfo", "search", "menu"].contains(&role);
    let is_button = name == "button" && !is_marker(&element.text().collect::<String>());
    DROPPED.contains(&name) || is_page_header || furniture || is_button || is_consent(element)
}

/// A box that asks about cookies.
fn is_consent(element: ElementRef<'_>) -> bool {
    let value = element.value();
    let names = value.id().into_iter().chain(value.classes());
    let asks = |name: &str| {
        let name = name.to_lowercase();
        ["cookie", "consent", "gdpr"].iter().any(|word| name.contains(word))
    };
    value.name() != "body" && value.name() != "html" && names.into_iter().any(asks)
}

/// Articles and sections, and list items that hold blocks.
fn stands_apart(element: ElementRef<'_>) -> bool {
    let holds_blocks = || {
        element
            .children()
            .filter_map(ElementRef::wrap)
            .any(|child| !INLINE.contains(&child.value().name()) && child.value().name() != "br")
    };
    match element.value().name() {
        "article" | "section" | "main" | "h1" | "h2" => true,
        "li" => holds_blocks(),
        _ => false,
    }
}

/// Whether a block holds inline elements only, two or more, each a text of its own rather than part of a sentence.
fn is_row_of_fields(element: ElementRef<'_>) -> bool {
    let is_space = |node: &Node| node.as_text().is_some_and(|text| text.trim().is_empty());
    let only_elements = element
        .children()
        .all(|child| child.value().is_element() || child.value().is_comment() || is_space(child.value()));
    let children: Vec<ElementRef<'_>> = element.children().filter_map(ElementRef::wrap).collect();
    let texts = || children.iter().map(|child| child.text().collect::<String>());
    let may_be_row = !INLINE.contains(&element.value().name()) || is_card_link(element);
    may_be_row
        && only_elements
        && children.len() >= 2
        && children.iter().all(|child| FIELDS.contains(&child.value().name()) && !is_formula(*child))
        && texts().enumerate().all(|(at, text)| is_field(&text, at == 0))
}

/// A link around a whole card: all there is in its block.
fn is_card_link(element: ElementRef<'_>) -> bool {
    let alone = element.prev_siblings().chain(element.next_siblings()).all(|node| !node.value().is_element());
    let parent = element.parent().and_then(ElementRef::wrap);
    element.value().name() == "a" && alone && parent.is_some_and(|parent| !INLINE.contains(&parent.value().name()))
}

/// Parts of sentences begin small or with a mark, or are the words to click for more.
fn is_field(text: &str, first: bool) -> bool {
    let text = text.trim();
    let begins_inside =
        text.starts_with(|c: char| c.is_lowercase() || ".,;:)]…".contains(c)) && !text.starts_with("et al");
    !is_marker(text) && !text.starts_with("(see") && (first || !begins_inside)
}

fn is_formula(element: ElementRef<'_>) -> bool {
    element
        .value()
        .classes()
        .any(|class| ["katex", "math", "mjx"].iter().any(|start| class.to_lowercase().starts_with(start)))
}

fn is_one_of(node: &Node, names: &[&str]) -> bool {
    node.as_element().is_some_and(|element| names.contains(&element.name()))
}

/// The lines so far, and the one that is being filled.
#[derive(Default)]
struct Text {
    done: String,
    line: String,
}

impl Text {
    /// Adds words with every run of white space as one space.
    fn push(&mut self, words: &str) {
        for letter in words.chars() {
            if !letter.is_whitespace() || letter == '\u{a0}' {
                self.line.push(if letter == '\u{a0}' { ' ' } else { letter });
            } else if !self.line.is_empty() && !self.line.ends_with([' ', '\t']) {
                self.line.push(' ');
            }
        }
    }

    fn end_field(&mut self) {
        self.line.truncate(self.line.trim_end().len());
        if !self.line.is_empty() {
            self.line.push('\t');
        }
    }

    /// Ends the line, if it holds anything; `apart` leaves an empty one after it.
    fn end_line(&mut self, apart: bool) {
        let line = self.line.trim();
        if !line.is_empty() {
            self.done.push_str(line);
            self.done.push('\n');
        }
        self.line.clear();
        if apart && !self.done.is_empty() && !self.done.ends_with("\n\n") {
            self.done.push('\n');
        }
    }
}

/// Where the records stand in the HTML, found one after the other.
struct Places<'h> {
    html: &'h str,
    at: usize,
    line: u64,
}

impl Places<'_> {
    /// The line of the HTML that holds the beginning of this text, at or after the last one found.
    fn next_line_of(&mut self, text: &str) -> Option<u64> {
        let plain = text.split(['&', '<', '>', '"', '\'', '…', '\n']).next().unwrap_or_default().trim_end();
        let words: Vec<&str> = plain.split(' ').take(4).collect();
        let needle = words.join(" ");
        let found = (needle.len() >= SHORTEST_NEEDLE).then(|| self.html[self.at..].find(&needle))?? + self.at;
        self.line += line_breaks(&self.html[self.at..found]);
        self.at = found;
        Some(self.line)
    }
}

fn line_breaks(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}
