//! Lines become paragraphs, and words stand one space apart.
//!
//! A line break is a paragraph's only where it cannot be the edge of a page. What this leaves it leaves again.

use std::borrow::Cow;

/// Lines that a mail program or a TeX file broke are no longer than this, in characters.
const MAX_WRAPPED: usize = 100;

/// A text whose longest line is shorter is a list of short lines, not a wrapped text.
const MIN_WRAPPED: usize = 55;

/// One space between words, one line break between paragraphs, none around the text.
pub(super) fn tidied(text: &str) -> String {
    if !text.contains('\n') {
        return single_spaced(text);
    }
    let mut paragraphs = unwrapped(text);
    // Paragraphs that look like the lines of a wrapped text would be joined next time: join them now.
    loop {
        let joined = paragraphs.join("\n");
        let again = unwrapped(&joined);
        if again.len() == paragraphs.len() {
            return joined;
        }
        paragraphs = again;
    }
}

/// Every other kind of space is a plain one by now.
fn single_spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_ascii_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// One line of the input and what sets it apart from the line before.
struct Line {
    text: String,
    characters: usize,
    after_blank: bool,
    indented: bool,
}

fn unwrapped(text: &str) -> Vec<String> {
    let lines = lines(text);
    let width = lines.iter().map(|line| line.characters).max().unwrap_or(0);
    let wrapped = (MIN_WRAPPED..=MAX_WRAPPED).contains(&width);
    let all_indented = lines.iter().all(|line| line.indented);
    let mut paragraphs: Vec<String> = Vec::new();
    let mut last_characters = 0;
    for line in &lines {
        let starts_paragraph = line.after_blank || (line.indented && !all_indented);
        let filled = wrapped && !starts_paragraph && fills(last_characters, &line.text, width);
        match paragraphs.last_mut().filter(|last| filled || runs_on(last, &line.text)) {
            Some(last) => join(last, &line.text, text),
            None => paragraphs.push(line.text.clone()),
        }
        last_characters = line.characters;
    }
    paragraphs
}

fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut after_blank = false;
    for raw in text.split('\n') {
        let spaced = single_spaced(raw);
        if spaced.is_empty() {
            after_blank = true;
            continue;
        }
        let indented = raw.starts_with([' ', '\t']);
        lines.push(Line { characters: spaced.chars().count(), text: spaced, after_blank, indented });
        after_blank = false;
    }
    lines
}

/// Whether the line before was broken because the first word of `next` had no room on it.
fn fills(last_characters: usize, next: &str, width: usize) -> bool {
    let first_word = next.split(' ').next().unwrap_or_default().chars().count();
    last_characters + 1 + first_word >= width.saturating_sub(2)
}

/// Whether `next` goes on in the middle of the sentence that `last` is.
fn runs_on(last: &str, next: &str) -> bool {
    let open = !last.ends_with(['.', '!', '?', ':', ';', '”', '"', ')', '。']);
    let lower = next.starts_with(|first: char| first.is_lowercase() || ",;)".contains(first));
    open && lower
}

/// A word cut at the edge loses its hyphen only where the text has it whole elsewhere.
fn join(paragraph: &mut String, next: &str, text: &str) {
    let Some(stem) = paragraph.strip_suffix('-').filter(|stem| stem.ends_with(char::is_alphabetic)) else {
        paragraph.push(' ');
        paragraph.push_str(next);
        return;
    };
    let head = stem.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let tail: Cow<'_, str> = next.chars().take_while(|c| c.is_alphanumeric()).collect();
    if ["and", "or", "to", "und", "et", "y"].contains(&&*tail) || !next.starts_with(char::is_alphanumeric) {
        paragraph.push(' ');
    } else if occurs(text, &format!("{head}{tail}")) {
        paragraph.truncate(stem.len());
    }
    paragraph.push_str(next);
}

fn occurs(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
        before && text[at + word.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(tidied(text), expected);
        assert_eq!(tidied(expected), expected, "a second time");
    }

    #[test]
    fn wrapped_lines_become_paragraphs() {
        check(
            "  We study the way in which long lines are cut when they meet the edge\n\
             of the page. A sentence may end right at that place, as it does here.\n\
             Then the next one goes on, and stops.\n  \
             A second paragraph is indented.\n",
            "We study the way in which long lines are cut when they meet the edge of the page. A sentence may end \
             right at that place, as it does here. Then the next one goes on, and stops.\n\
             A second paragraph is indented.",
        );
    }

    #[test]
    fn short_lines_and_paragraphs_stay_apart() {
        check("Aims: one.\n\nMethods: two.", "Aims: one.\nMethods: two.");
        check("One\nTwo", "One\nTwo");
        check("the middle\nof a sentence", "the middle of a sentence");
        check("a\tb  c\n", "a b c");
    }

    #[test]
    fn words_cut_at_the_edge_are_whole_where_that_is_certain() {
        check("the auto-\nmatic way is automatic", "the automatic way is automatic");
        check("a data-\ndriven way", "a data-driven way");
        check("pre-\nand post-war", "pre- and post-war");
    }
}
