//! Where formulas begin and end, and when a dollar is money.

use std::ops::Range;

use super::{Mode, Page, Reader};

/// The longest formula that is looked for, in bytes.
pub(super) const MAX_FORMULA: usize = 600;

impl Reader<'_> {
    /// `$...$` and `$$...$$`; a dollar that opens no formula stays.
    pub(super) fn dollar(self, at: usize, page: &mut Page) -> usize {
        let doubled = self.byte(at + 1) == b'$';
        let width = if doubled { 2 } else { 1 };
        let close = self.closing_dollar(at + width, width).filter(|&close| {
            doubled || is_formula(self.char_before(at), &self.text[at + 1..close], self.char_at(close + 1))
        });
        let Some(close) = close else {
            page.out.push_str(&self.text[at..at + width]);
            return at + width;
        };
        self.formula(at + width..close, page);
        close + width
    }

    /// Writes a formula, one space apart from its neighbours where it was typed with space inside.
    pub(super) fn formula(self, range: Range<usize>, page: &mut Page) {
        let shown = self.read_apart(range, Mode::Math);
        if shown.starts_with(char::is_whitespace) {
            page.push_space();
        }
        page.out.push_str(shown.trim());
        if shown.ends_with(char::is_whitespace) {
            page.push_space();
        }
    }

    fn closing_dollar(self, start: usize, width: usize) -> Option<usize> {
        let bytes = &self.text.as_bytes()[..self.text.len().min(start + MAX_FORMULA)];
        let mut at = start;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' => at += 1,
                b'$' if width == 1 => return Some(at),
                b'$' if bytes.get(at + 1) == Some(&b'$') => return Some(at),
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Pandoc's rule (no space inside either dollar, no digit after the closing one), relaxed where the inside holds TeX
/// and tightened where it reads like prose.
fn is_formula(before: Option<char>, inside: &str, after: Option<char>) -> bool {
    if inside.trim().is_empty() || inside.contains("\n\n") {
        return false;
    }
    let words = prose_words(inside);
    if inside.contains(['\\', '^', '_', '{']) {
        return words < 5;
    }
    let bare = inside.trim();
    let relation = bare.chars().all(|c| "<>=-+~/".contains(c));
    let spaced = (inside.starts_with(' '), inside.ends_with(' '));
    let amount = bare.starts_with(|c: char| c.is_ascii_digit());
    let tight = match spaced {
        (false, false) => relation || is_variable(bare) || !after.is_some_and(|c| c.is_ascii_digit()),
        (true, true) => !amount && !bare.split(' ').any(is_prose),
        _ => false,
    };
    let currency = amount && before.is_some_and(char::is_alphabetic) && bare.contains(|c: char| c.is_alphabetic());
    tight && !currency && words < 2 && (bare.len() < 4 || is_balanced(bare))
}

fn is_variable(bare: &str) -> bool {
    bare.len() < 3 && bare.chars().all(|c| c.is_ascii_alphabetic())
}

fn is_balanced(bare: &str) -> bool {
    let count = |marks: [char; 2]| bare.matches(marks).count();
    count(['(', '[']) == count([')', ']'])
}

/// The longest run of words of three letters or more, none of them a command's name.
fn prose_words(inside: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for word in inside.split_whitespace() {
        run = if is_prose(word) { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

fn is_prose(word: &str) -> bool {
    word.len() > 2 && word.trim_end_matches([',', '.', ';']).chars().all(char::is_alphabetic)
}
