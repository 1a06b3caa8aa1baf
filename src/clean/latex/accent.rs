//! Accented letters: `\'e`, `\"{o}`, `\v{s}`, `\c c`.

use unicode_normalization::char::compose;

use super::{Mode, Page, Reader};

/// The combining character of an accent written with a punctuation mark.
fn of_mark(mark: u8) -> Option<char> {
    Some(match mark {
        b'`' => '\u{300}',
        b'\'' => '\u{301}',
        b'^' => '\u{302}',
        b'~' => '\u{303}',
        b'=' => '\u{304}',
        b'.' => '\u{307}',
        b'"' => '\u{308}',
        _ => return None,
    })
}

/// The combining character of an accent written with a letter.
fn of_letter(name: &str) -> Option<char> {
    Some(match name {
        "u" => '\u{306}',
        "r" => '\u{30a}',
        "H" => '\u{30b}',
        "v" => '\u{30c}',
        "d" => '\u{323}',
        "c" => '\u{327}',
        "k" => '\u{328}',
        "b" => '\u{331}',
        _ => return None,
    })
}

impl Reader<'_> {
    /// `\'e` and its like; `None` where the backslash only escapes a quotation mark or an apostrophe.
    pub(super) fn mark_accent(self, at: usize, page: &mut Page) -> Option<usize> {
        let mark = self.byte(at + 1);
        let accent = of_mark(mark)?;
        let (letter, next) = self.accented(at + 2)?;
        let possessive = mark == b'\'' && letter == 's' && page.after_word() && !self.letter_follows(next);
        if possessive || (mark == b'"' && self.is_escaped_quotation(at, next)) {
            return None;
        }
        page.out.push(compose(letter, accent)?);
        Some(next)
    }

    /// `\v{s}` and its like, whose name is read already.
    pub(super) fn letter_accent(self, name: &str, at: usize, page: &mut Page) -> Option<usize> {
        let accent = of_letter(name).filter(|_| self.mode == Mode::Text)?;
        let spaces = usize::from(self.byte(at) == b' ' && page.after_word());
        let (letter, next) = self.accented(at + spaces)?;
        page.out.push(compose(letter, accent)?);
        Some(next)
    }

    /// The letter under an accent (`e`, `{e}`, `\i`, `{\i}`) and where it ends.
    fn accented(self, at: usize) -> Option<(char, usize)> {
        if self.byte(at) == b'{' {
            let (inside, next) = self.group_at(at)?;
            let (letter, end) = self.bare_letter(inside.start)?;
            return (end == inside.end).then_some((letter, next));
        }
        self.bare_letter(at)
    }

    fn bare_letter(self, at: usize) -> Option<(char, usize)> {
        let rest = self.text.get(at..)?;
        for (command, letter) in [("\\i", 'i'), ("\\j", 'j')] {
            if rest.starts_with(command) && !rest[2..].starts_with(|c: char| c.is_ascii_alphabetic()) {
                let space = usize::from(rest[2..].starts_with(' ') && rest[3..].starts_with(char::is_alphabetic));
                return Some((letter, at + 2 + space));
            }
        }
        let letter = rest.chars().next().filter(|c| c.is_alphabetic())?;
        Some((letter, at + letter.len_utf8()))
    }

    fn letter_follows(self, at: usize) -> bool {
        self.char_at(at).is_some_and(char::is_alphabetic)
    }

    /// JSON escaped once too often: `\"a word\"`. A second `\"` that ends a word within a sentence's reach tells.
    fn is_escaped_quotation(self, at: usize, next: usize) -> bool {
        if self.char_before(at).is_some_and(char::is_alphabetic) {
            return false;
        }
        let rest = self.ahead(next, 200);
        rest.match_indices("\\\"").next().is_some_and(|(found, _)| {
            let ends_word = rest[..found].ends_with(|c: char| !c.is_whitespace());
            ends_word && !rest[found + 2..].starts_with(|c: char| c.is_alphanumeric() || c == '{')
        })
    }
}
