//! Commands: everything that begins with a backslash.

use std::ops::Range;

use super::symbols::{self, Meaning};
use super::{Mode, Page, Reader, math};

impl Reader<'_> {
    /// Reads the command at `at`.
    pub(super) fn command(self, at: usize, page: &mut Page) -> usize {
        if at + 1 >= self.text.len() {
            return self.text.len();
        }
        match self.byte(at + 1) {
            letter if letter.is_ascii_alphabetic() => self.named(at, page),
            open @ (b'(' | b'[') => self.bracketed_formula(at, open, page),
            mark if self.mode == Mode::Text && b"`'^~=.\"".contains(&mark) => {
                self.mark_accent(at, page).unwrap_or_else(|| self.escaped(at, page))
            }
            _ => self.escaped(at, page),
        }
    }

    /// `\%` and its like, spaces of a fixed width, and backslashes that are no command.
    fn escaped(self, at: usize, page: &mut Page) -> usize {
        match self.byte(at + 1) {
            b'\\' | b' ' | b',' | b';' | b':' | b'>' | b'\n' => page.push_space(),
            b'!' | b'/' | b'@' | b'-' => {}
            b'|' => page.out.push('‖'),
            b'0'..=b'9' | 0x80.. => {
                page.out.push('\\');
                return at + 1;
            }
            mark => page.out.push(char::from(mark)),
        }
        at + 2
    }

    /// `\(...\)` and `\[...\]`.
    fn bracketed_formula(self, at: usize, open: u8, page: &mut Page) -> usize {
        let closing = if open == b'(' { "\\)" } else { "\\]" };
        match self.ahead(at + 2, math::MAX_FORMULA).find(closing) {
            Some(length) => {
                self.formula(at + 2..at + 2 + length, page);
                at + 4 + length
            }
            None => self.escaped(at, page),
        }
    }

    /// `\name`, with whatever arguments it takes.
    fn named(self, at: usize, page: &mut Page) -> usize {
        let name = self.name(at + 1);
        if let Some(next) = self.escaped_line_break(name, at, page) {
            return next;
        }
        let after = at + 1 + name.len();
        if let Some(next) = self.letter_accent(name, after, page) {
            return next;
        }
        let after = after + usize::from(self.byte(after) == b'*' && self.byte(after + 1) == b'{');
        match symbols::meaning(name, self.mode) {
            Meaning::Letter(letter) => self.letter(letter, after, page),
            Meaning::Symbol(symbol) => self.symbol(symbol, after, page),
            Meaning::Word(word) => self.word(word, after, page),
            Meaning::Space => {
                page.push_space();
                self.past_empty_group(after)
            }
            Meaning::Switch => self.past_spaces(after),
            Meaning::Delimiter => after + usize::from(self.byte(after) == b'.'),
            Meaning::Dropped(arguments) => self.dropped(arguments, after, page),
            Meaning::Shown { skipped, mode } => self.shown(skipped, mode.unwrap_or(self.mode), after, page),
            Meaning::Aside => {
                page.push_space();
                self.shown(0, Mode::Text, after, page)
            }
            Meaning::Verbatim => self.verbatim(after, page),
            Meaning::Fraction => self.fraction(after, page),
            Meaning::Root => self.root(after, page),
            Meaning::Around(open, close) => self.around(open, close, after, page),
            Meaning::DoubleStruck => self.double_struck(after, page),
            Meaning::CodePoint => self.code_point(after, page),
            Meaning::Unknown => self.unknown(name, at, page),
        }
    }

    /// A backslash and an `n` before a capital are a line break that was escaped once too often.
    fn escaped_line_break(self, name: &str, at: usize, page: &mut Page) -> Option<usize> {
        let escaped = name == "n" || (name.starts_with('n') && name[1..].starts_with(|c: char| c.is_ascii_uppercase()));
        (escaped && symbols::is_unknown(name)).then(|| {
            page.out.push('\n');
            at + 2
        })
    }

    /// TeX eats the space after `\o`; people who write `5 \AA resolution` do not know.
    fn letter(self, letter: &str, after: usize, page: &mut Page) -> usize {
        let eats_space = page.after_word() || letter != "Å";
        page.out.push_str(letter);
        let after = self.past_empty_group(after);
        let joined = eats_space && self.byte(after) == b' ' && self.char_at(after + 1).is_some_and(char::is_lowercase);
        after + usize::from(joined)
    }

    /// A symbol typed with a space only to end the command's name takes none: `a\leq b` is `a≤b`.
    fn symbol(self, symbol: &str, after: usize, page: &mut Page) -> usize {
        let tight = self.mode == Mode::Math && page.last().is_some_and(|last| !last.is_whitespace());
        page.out.push_str(symbol);
        let after = self.past_empty_group(after);
        let ends_name = symbols::is_relation(symbol) && tight && self.byte(after) == b' ';
        after + usize::from(ends_name)
    }

    /// `\log n`, `\ie`: set apart from letters and digits on both sides.
    fn word(self, text: &str, after: usize, page: &mut Page) -> usize {
        if text == "deg" && page.last().is_some_and(|last| last.is_ascii_digit()) {
            page.out.push('°');
            return self.past_empty_group(after);
        }
        if page.after_word() {
            page.out.push(' ');
        }
        page.out.push_str(text);
        let next = self.past_empty_group(after);
        if self.char_at(next).is_some_and(char::is_alphanumeric) {
            page.out.push(' ');
        }
        next
    }

    /// A command whose arguments say nothing to a reader. The space that led to a reference goes with it.
    fn dropped(self, arguments: usize, after: usize, page: &mut Page) -> usize {
        let mut at = self.past_options(after);
        for _ in 0..arguments {
            match self.group_at(at) {
                Some((_, next)) => at = next,
                None => break,
            }
        }
        if self.char_at(at).is_none_or(|next| ",.;:)]".contains(next)) {
            let kept = page.out.trim_end_matches([' ', '~']).len();
            page.out.truncate(kept);
        }
        at
    }

    /// A command that shows its arguments after the first `skipped`.
    fn shown(self, skipped: usize, mode: Mode, after: usize, page: &mut Page) -> usize {
        let mut at = self.past_options(after);
        for _ in 0..skipped {
            match self.group_at(at) {
                Some((_, next)) => at = next,
                None => return at,
            }
        }
        let Some((range, next)) = self.argument(at) else { return at };
        self.within(range.end, mode).read(range.start, page);
        next
    }

    fn verbatim(self, after: usize, page: &mut Page) -> usize {
        let Some((range, next)) = self.group_at(after) else { return after };
        if page.after_word() {
            page.out.push(' ');
        }
        page.out.push_str(&self.text[range]);
        next
    }

    fn fraction(self, after: usize, page: &mut Page) -> usize {
        let Some((upper, next)) = self.argument(after) else { return after };
        let Some((lower, next)) = self.argument(next) else { return after };
        let parts = [upper, lower].map(|range| self.bracketed(range));
        page.out.push_str(&parts.join("/"));
        next
    }

    /// A part of a formula, in parentheses where it is more than one thing.
    fn bracketed(self, range: Range<usize>) -> String {
        let shown = self.read_apart(range, Mode::Math);
        let shown = shown.trim();
        let compound = shown.contains(|c: char| c.is_whitespace() || "+-−/±·×=<>".contains(c));
        if compound && !shown.starts_with('(') { format!("({shown})") } else { shown.to_owned() }
    }

    fn root(self, after: usize, page: &mut Page) -> usize {
        let at = self.past_options(after);
        let Some((range, next)) = self.argument(at) else { return at };
        let shown = self.bracketed(range);
        page.out.push('√');
        page.out.push_str(&shown);
        next
    }

    fn around(self, open: &str, close: &str, after: usize, page: &mut Page) -> usize {
        let Some((range, next)) = self.argument(after) else { return after };
        page.out.push_str(open);
        self.within(range.end, Mode::Math).read(range.start, page);
        page.out.push_str(close);
        next
    }

    fn double_struck(self, after: usize, page: &mut Page) -> usize {
        let Some((range, next)) = self.argument(after) else { return after };
        let shown = self.read_apart(range, Mode::Math);
        page.out.push_str(symbols::double_struck(&shown).unwrap_or(&shown));
        next
    }

    /// `\unicode{x2014}`, as MathJax reads it.
    fn code_point(self, after: usize, page: &mut Page) -> usize {
        let Some((range, next)) = self.group_at(after) else { return after };
        let digits = &self.text[range];
        let code = match digits.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
            None => digits.parse().ok(),
        };
        page.out.extend(code.and_then(char::from_u32));
        next
    }

    /// A command of the authors' own: its arguments where it has some, else its name.
    fn unknown(self, name: &str, at: usize, page: &mut Page) -> usize {
        let after = at + 1 + name.len();
        let options = self.past_options(after);
        let mut next = if self.group_at(options).is_some() { options } else { after };
        let mut arguments = 0;
        while let Some((range, following)) = self.group_at(next) {
            if arguments > 0 && page.after_word() {
                page.out.push(' ');
            }
            arguments += usize::from(!range.is_empty());
            self.within(range.end, self.mode).read(range.start, page);
            next = following;
        }
        if arguments > 0 {
            return next;
        }
        // `and\or` is a choice, not a command.
        if self.mode == Mode::Text && self.char_before(at).is_some_and(|c| c.is_alphanumeric() || c == '\\' || c == ':')
        {
            page.out.push('\\');
            return at + 1;
        }
        match symbols::without_font(name) {
            Some(letter) => page.out.push_str(letter),
            None => page.out.push_str(name),
        }
        next
    }
}
