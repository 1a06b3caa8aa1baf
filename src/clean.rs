//! Records as people would have typed them: no markup, no page artefacts, one spelling for one character.
//!
//! Takes a [`Draft`], changes its texts in place and nothing else; knows no file format. Cleaning twice is cleaning
//! once, words outside markup survive in their order, and plain text is handed back without a copy.

mod boilerplate;
mod characters;
mod latex;
mod markup;
mod names;
mod space;
mod survey;

pub use names::clean_name;

use std::borrow::Cow;

use crate::paper::Draft;
use survey::Survey;

/// A text that still changes after so many rounds is not prose; its markup characters are then dropped.
const MAX_ROUNDS: usize = 8;

/// Cleans every text of a record: title, abstract, authors, venue, keywords and categories. What is empty afterwards
/// is left out.
pub fn clean(draft: &mut Draft) {
    replace(&mut draft.title, clean_title);
    replace(&mut draft.abstract_text, clean_abstract);
    draft.authors = draft.authors.iter().filter_map(|name| clean_name(name)).collect();
    draft.venue = draft.venue.take().map(|venue| clean_title(&venue).into_owned()).filter(|venue| !venue.is_empty());
    clean_list(&mut draft.keywords);
    clean_list(&mut draft.categories);
}

/// The text without markup: NFC, entities and tags resolved, LaTeX as readable text, one kind of space, paragraphs
/// apart by a line break.
pub fn clean_text(text: &str) -> Cow<'_, str> {
    if Survey::of(text).is_plain() && !text.contains(markup::GLYPH) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(rewritten(text))
}

/// [`clean_text`] on one line.
pub fn clean_title(text: &str) -> Cow<'_, str> {
    match clean_text(text) {
        cleaned if cleaned.contains('\n') => Cow::Owned(clean_title(&cleaned.replace('\n', " ")).into_owned()),
        cleaned => cleaned,
    }
}

/// [`clean_text`] without what publishers put around an abstract: a leading label, copyright lines, a placeholder
/// that stands for no abstract.
pub fn clean_abstract(text: &str) -> Cow<'_, str> {
    let cleaned = clean_text(text);
    let kept = boilerplate::without(&cleaned);
    if kept.len() == cleaned.len() {
        return cleaned;
    }
    // Without its notice a text may turn out to be wrapped, or to hold another notice.
    Cow::Owned(clean_abstract(kept).into_owned())
}

fn replace(field: &mut String, cleaner: impl Fn(&str) -> Cow<'_, str>) {
    let cleaned = match cleaner(field) {
        Cow::Borrowed(same) if same.len() == field.len() => return,
        cleaned => cleaned.into_owned(),
    };
    *field = cleaned;
}

fn clean_list(entries: &mut Vec<String>) {
    for entry in entries.iter_mut() {
        replace(entry, clean_title);
    }
    entries.retain(|entry| !entry.is_empty());
}

/// Markup inside markup (escaped entities, `\$` that stood for a dollar) is why one round is not enough.
fn rewritten(text: &str) -> String {
    let mut current = round(text);
    for _ in 1..MAX_ROUNDS {
        if !Survey::of(&current).needs_resolving() && !current.contains(markup::GLYPH) {
            return current;
        }
        let next = round(&current);
        if next == current {
            return current;
        }
        current = next;
    }
    settled(&current.replace(['\\', '$', '{', '}', '<', '>', '&', '~', '`', '\'', '-'], " "))
}

/// One round of every rule that the text gives cause for.
fn round(text: &str) -> String {
    let mut current = characters::normalised(text);
    let before = Survey::of(&current);
    if before.markup || current.contains(markup::GLYPH) {
        current = Cow::Owned(markup::resolved(&current));
    }
    if Survey::of(&current).latex {
        current = Cow::Owned(latex::readable(&current));
    }
    if before.needs_resolving() {
        current = Cow::Owned(characters::normalised(&current).into_owned());
    }
    space::tidied(&current)
}

/// The last rule alone, for a text that later edits left with loose spaces.
fn settled(text: &str) -> String {
    space::tidied(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_handed_back_without_a_copy() {
        let text = "We study 3 models, \"as they are\" (n = 12); results hold.";
        assert!(matches!(clean_text(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn a_draft_is_cleaned_in_every_text() {
        let mut draft = Draft {
            title: " A {\\\"U}ber\nTitle ".into(),
            abstract_text: "<jats:p>Abstract: We win.</jats:p> © 2020 Some Press Ltd. All rights reserved.".into(),
            authors: vec!["M{\\\"u}ller, Ada".into(), " ".into()],
            venue: Some("Food &amp; Feed".into()),
            keywords: vec!["soil ".into(), String::new()],
            ..Draft::default()
        };
        clean(&mut draft);
        assert_eq!(draft.title, "A Über Title");
        assert_eq!(draft.abstract_text, "We win.");
        assert_eq!(draft.authors, ["Ada Müller"]);
        assert_eq!(draft.venue.as_deref(), Some("Food & Feed"));
        assert_eq!(draft.keywords, ["soil"]);
    }
}
