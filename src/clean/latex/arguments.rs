//! Names, arguments and options of commands: where they begin and end.

use std::ops::Range;

use super::{Reader, symbols};

/// The longest option in brackets, in bytes.
const MAX_OPTION: usize = 200;

impl<'t> Reader<'t> {
    /// The letters of a command's name.
    pub(super) fn name(self, at: usize) -> &'t str {
        let letters = self.text.as_bytes()[at..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        &self.text[at..at + letters]
    }

    /// At most `limit` bytes of what follows.
    pub(super) fn ahead(self, at: usize, limit: usize) -> &'t str {
        let mut end = self.text.len().min(at + limit);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[at..end]
    }

    /// The argument at `at`: a group without its braces, a command, or one character; and where it ends.
    pub(super) fn argument(self, at: usize) -> Option<(Range<usize>, usize)> {
        let at = self.past_spaces(at);
        match self.char_at(at)? {
            '{' => self.group_at(at),
            '\\' => self.command_as_argument(at),
            '}' | '$' | '&' | '^' | '_' => None,
            character => Some((at..at + character.len_utf8(), at + character.len_utf8())),
        }
    }

    fn command_as_argument(self, at: usize) -> Option<(Range<usize>, usize)> {
        let name = self.name(at + 1);
        let end = at + 1 + name.len().max(1);
        let end = if symbols::takes_argument(name) { self.group_at(end).map_or(end, |(_, next)| next) } else { end };
        self.text.is_char_boundary(end).then_some((at..end, end))
    }

    /// The group that opens at `at`, without its braces, and where it ends.
    pub(super) fn group_at(self, at: usize) -> Option<(Range<usize>, usize)> {
        let close = self.groups.close_of(at).filter(|&close| close < self.text.len())?;
        Some((at + 1..close, close + 1))
    }

    pub(super) fn past_spaces(self, at: usize) -> usize {
        at + self.text.as_bytes()[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    }

    pub(super) fn past_empty_group(self, at: usize) -> usize {
        if self.text[at..].starts_with("{}") { at + 2 } else { at }
    }

    /// Past `[...]`, any number of times.
    pub(super) fn past_options(self, at: usize) -> usize {
        let mut at = at;
        while self.byte(at) == b'[' {
            match self.text.as_bytes()[at..].iter().take(MAX_OPTION).position(|&byte| byte == b']') {
                Some(length) => at += length + 1,
                None => break,
            }
        }
        at
    }
}
