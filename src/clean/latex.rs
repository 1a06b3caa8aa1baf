//! TeX as readable text: accents and symbols become characters, commands leave their argument, references go.
//!
//! It reads what abstracts hold, not TeX: an unknown command keeps its text, a brace or a dollar that cannot be markup
//! stays, and nothing is an error. Time is linear in the text.

mod accent;
mod arguments;
mod command;
mod groups;
mod math;
pub(super) mod script;
mod symbols;

use std::ops::Range;

use groups::Groups;

/// Groups nested deeper than this are copied as they are.
const MAX_DEPTH: usize = 24;

/// How far the closing mark of a single quotation is looked for, in bytes.
const MAX_QUOTATION: usize = 120;

/// Whether text is set as prose or as a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Text,
    Math,
}

/// The text with its TeX made readable.
pub(super) fn readable(text: &str) -> String {
    let groups = Groups::of(text);
    let mut page = Page { out: String::with_capacity(text.len()), open_quotations: 0, apostrophe: None };
    Reader { text, groups: &groups, mode: Mode::Text, depth: 0 }.read(0, &mut page);
    page.out
}

/// What is read, and how. A position is an offset in the whole text; a method that reads something returns the
/// position where reading goes on.
#[derive(Debug, Clone, Copy)]
struct Reader<'t> {
    /// From the start of the whole text to the end of what is to be read.
    text: &'t str,
    groups: &'t Groups,
    mode: Mode,
    depth: usize,
}

/// What is written.
struct Page {
    out: String,
    /// How many `` were written as an opening mark and wait for their ''.
    open_quotations: usize,
    /// Where in the text an apostrophe closes a single quotation.
    apostrophe: Option<usize>,
}

impl Page {
    fn last(&self) -> Option<char> {
        self.out.chars().next_back()
    }

    fn after_word(&self) -> bool {
        self.last().is_some_and(char::is_alphanumeric)
    }

    fn push_space(&mut self) {
        if !self.out.ends_with(|last: char| last.is_whitespace()) {
            self.out.push(' ');
        }
    }
}

impl Reader<'_> {
    /// Writes what the text says from `at` on.
    fn read(self, at: usize, page: &mut Page) {
        let mut at = at;
        if self.depth > MAX_DEPTH {
            page.out.push_str(&self.text[at..]);
            return;
        }
        while at < self.text.len() {
            let plain = self.plain_length(at);
            page.out.push_str(&self.text[at..at + plain]);
            at += plain;
            if at < self.text.len() {
                let next = self.mark(at, page);
                debug_assert!(next > at, "every mark is read past");
                at = next;
            }
        }
    }

    /// The same text, read up to `end` in another mode, one level deeper.
    fn within(self, end: usize, mode: Mode) -> Self {
        Self { text: &self.text[..end], mode, depth: self.depth + 1, ..self }
    }

    /// Reads a part of the text on a page of its own.
    fn read_apart(self, range: Range<usize>, mode: Mode) -> String {
        let mut page = Page { out: String::new(), open_quotations: 0, apostrophe: None };
        self.within(range.end, mode).read(range.start, &mut page);
        page.out
    }

    fn plain_length(self, at: usize) -> usize {
        let bytes = &self.text.as_bytes()[at..];
        let is_mark = |byte: &u8| matches!(byte, b'\\' | b'$' | b'{' | b'}' | b'~' | b'`' | b'\'' | b'-' | b'^' | b'_');
        bytes.iter().position(is_mark).unwrap_or(bytes.len())
    }

    /// Reads the mark at `at`.
    fn mark(self, at: usize, page: &mut Page) -> usize {
        match (self.byte(at), self.mode) {
            (b'\\', _) => self.command(at, page),
            (b'$', _) => self.dollar(at, page),
            (b'{', _) => self.group(at, page),
            (b'^' | b'_', _) => self.script(at, page),
            (b'~', Mode::Text) => self.tie(at, page),
            (b'~', Mode::Math) => self.write(at, " ", page),
            (b'`', Mode::Text) => self.opening_quotation(at, page),
            (b'\'', Mode::Text) => self.closing_quotation(at, page),
            (b'\'', Mode::Math) => self.write(at, "′", page),
            (b'-', Mode::Text) => self.dash(at, page),
            (mark, _) => {
                page.out.push(char::from(mark));
                at + 1
            }
        }
    }

    fn write(self, at: usize, text: &str, page: &mut Page) -> usize {
        page.out.push_str(text);
        at + 1
    }

    fn byte(self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    fn char_before(self, at: usize) -> Option<char> {
        self.text[..at].chars().next_back()
    }

    fn char_at(self, at: usize) -> Option<char> {
        self.text.get(at..)?.chars().next()
    }

    fn run_length(self, at: usize) -> usize {
        let mark = self.byte(at);
        self.text.as_bytes()[at..].iter().take_while(|&&byte| byte == mark).count()
    }

    /// `{...}`: braces of TeX go, braces of a set or of code stay.
    fn group(self, at: usize, page: &mut Page) -> usize {
        let Some((inside, next)) = self.group_at(at) else {
            page.out.push('{');
            return at + 1;
        };
        if groups::is_placeholder(&self.text[inside.clone()]) {
            return next;
        }
        let keeps_braces = self.mode == Mode::Text && groups::is_literal(&self.text[inside.clone()]);
        if keeps_braces {
            page.out.push('{');
        }
        self.within(inside.end, self.mode).read(inside.start, page);
        if keeps_braces {
            page.out.push('}');
        }
        next
    }

    /// `~`: a space that ties a reference to its word, or the sign for "about".
    fn tie(self, at: usize, page: &mut Page) -> usize {
        let before = self.text[..at].trim_end_matches(char::is_alphanumeric);
        let word = self.text[before.len()..at].chars().count();
        let tied = word > 1 || self.char_before(at).is_some_and(|c| matches!(c, '.' | ',' | ')' | '}' | '$' | ':'));
        let follows = self.char_at(at + 1).is_some_and(|c| c.is_alphanumeric() || "\\$({[".contains(c));
        self.write(at, if tied && follows { " " } else { "~" }, page)
    }

    /// Double and single opening marks; a backtick without a partner stays.
    fn opening_quotation(self, at: usize, page: &mut Page) -> usize {
        let run = self.run_length(at);
        if run == 2 {
            page.open_quotations += 1;
            page.out.push('“');
            return at + 2;
        }
        let starts_word = self.char_before(at).is_none_or(|c| !c.is_alphanumeric());
        match self.single_quotation_end(at).filter(|_| run == 1 && starts_word) {
            Some(close) => {
                page.apostrophe = Some(close);
                page.out.push('‘');
                at + 1
            }
            None => {
                page.out.push_str(&self.text[at..at + run]);
                at + run
            }
        }
    }

    /// Where the apostrophe stands that closes the single quotation opened at `at`.
    fn single_quotation_end(self, at: usize) -> Option<usize> {
        let bytes = &self.text.as_bytes()[at + 1..self.text.len().min(at + MAX_QUOTATION)];
        let mut candidates = bytes.iter().enumerate().take_while(|&(_, &byte)| byte != b'`' && byte != b'\n');
        let closes = |&(offset, &byte): &(usize, &u8)| {
            byte == b'\'' && offset > 0 && !bytes.get(offset + 1).is_some_and(u8::is_ascii_alphanumeric)
        };
        candidates.find(closes).map(|(offset, _)| at + 1 + offset)
    }

    fn closing_quotation(self, at: usize, page: &mut Page) -> usize {
        if page.apostrophe == Some(at) {
            page.apostrophe = None;
            return self.write(at, "’", page);
        }
        let run = self.run_length(at);
        if run >= 2 && page.open_quotations > 0 {
            page.open_quotations -= 1;
            page.out.push('”');
            return at + 2;
        }
        page.out.push_str(&self.text[at..at + run]);
        at + run
    }

    /// `--` and `---`; rules of more hyphens, and options as typed in a shell, stay.
    fn dash(self, at: usize, page: &mut Page) -> usize {
        let run = self.run_length(at);
        let after_space = page.last().is_none_or(char::is_whitespace);
        let before_word = self.char_at(at + run).is_some_and(char::is_alphanumeric);
        match run {
            2 if !(after_space && before_word) => page.out.push('–'),
            3 => page.out.push('—'),
            _ => page.out.push_str(&self.text[at..at + run]),
        }
        at + run
    }
}

#[cfg(test)]
mod tests {
    use super::readable;

    fn check(text: &str, expected: &str) {
        assert_eq!(readable(text), expected, "{text}");
    }

    #[test]
    fn prose_marks_become_characters() {
        check("``so-called'' rules --- pages 1--2", "“so-called” rules — pages 1–2");
        check("the `naive' way, the model's way", "the ‘naive’ way, the model's way");
        check("a 5'' disc and `code`", "a 5'' disc and `code`");
        check("run with --help, or -----", "run with --help, or -----");
        check("Fig.~3, see~\\cite{x}, ~90% of p~0.05", "Fig. 3, see, ~90% of p~0.05");
    }

    #[test]
    fn braces_of_tex_go_and_braces_of_sets_stay() {
        check("{DNA} of {\\it E. coli}", "DNA of E. coli");
        check("in {0,1} or \\{0,1\\}", "in {0,1} or {0,1}");
        check("1{,}000 {} unbalanced { here", "1,000  unbalanced { here");
        check("as shown {{cite:ab12}} by {{formula:cd}}", "as shown  by ");
    }

    #[test]
    fn commands_leave_their_argument() {
        check("\\textsc{Bert} and \\emph{all \\textbf{of}} it", "Bert and all of it");
        check("\\ourmethod{} beats \\foo{this}{that}, \\sysname too", "ourmethod beats this that, sysname too");
        check("{\\bf bold} and 16\\% \\& more \\_ \\#1", "bold and 16% & more _ #1");
        check("\\href{http://a.b/~c}{code} at \\url{http://a.b/c_d~e}", "code at http://a.b/c_d~e");
        check("work \\cite[see][p. 3]{a,b}. Then \\citep{c} more", "work. Then  more");
        check("path C:\\1 and and\\or", "path C:\\1 and and\\or");
        check("one.\\nTwo", "one.\nTwo");
    }

    #[test]
    fn accents_become_letters() {
        check("Erd\\H{o}s, G\\\"odel, Fran\\c cais, \\'{E}tale, na\\\"{\\i}ve", "Erdős, Gödel, Français, Étale, naïve");
        check("{\\\"o} stra\\ss e \\O stergaard \\L{}\\'od\\'z \\AA", "ö straße Østergaard Łódź Å");
        check("the model\\'s \\\"quoted\\\" word", "the model's \"quoted\" word");
    }

    #[test]
    fn formulas_read_as_text() {
        check("$\\alpha$ and $x^2$, $x_i$, $x_{ij}$, $10^{-3}$", "α and x², x_i, x_ij, 10⁻³");
        check("$10-100\\times$ at $90^\\circ$ and $M_\\odot$", "10-100× at 90° and M⊙");
        check("$O(n\\log n)$, $\\mathcal{L}$ in $\\mathbb{R}^d$", "O(n log n), L in ℝ^d");
        check("$\\frac{a}{b+1} \\leq \\sqrt{x}$", "a/(b+1) ≤ √x");
        check("$$E = mc^2$$ \\(y\\) \\[z\\]", "E = mc² y z");
        check("$f'(x) = \\text{rank of } A$ \\& $\\{0,1\\}^n$", "f′(x) = rank of  A & {0,1}^n");
        check(
            "75{\\deg}C, $>$90%, 2015$-$2021, D$0$-brane, $[0,1)$, at $ z = 6 $",
            "75°C, >90%, 2015-2021, D0-brane, [0,1), at z = 6 ",
        );
        check("CO$_2$ and $^{13}$C, the $n^{th}$", "CO₂ and ¹³C, the nth");
    }

    #[test]
    fn money_is_no_formula() {
        for text in [
            "$5 million and $6 million",
            "costs $5-$10",
            "US$20 or US$30",
            "a $ sign",
            "from $20 (US$ 30)",
            "a $ 5 or $ 6",
        ] {
            check(text, text);
        }
    }
}
