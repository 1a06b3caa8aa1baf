//! What a text needs, found in one pass over its bytes, so that plain text costs a look and nothing more.

/// Needs nothing.
const PLAIN: u8 = 0;
/// A space, which is plain once and untidy twice.
const SPACE: u8 = 1;
/// A hyphen, which is plain once and LaTeX twice.
const HYPHEN: u8 = 1 << 1;
/// Starts or ends an entity or a tag.
const MARKUP: u8 = 1 << 2;
/// Means something to TeX.
const LATEX: u8 = 1 << 3;
/// A line break, a control character or a byte outside ASCII.
const OTHER: u8 = 1 << 4;
/// An apostrophe, which is plain once and a closing quote twice.
const APOSTROPHE: u8 = 1 << 5;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [OTHER; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        classes[byte] = PLAIN;
        byte += 1;
    }
    classes[b' ' as usize] = SPACE;
    classes[b'-' as usize] = HYPHEN;
    classes[b'\'' as usize] = APOSTROPHE;
    classes[b'&' as usize] = MARKUP;
    classes[b'<' as usize] = MARKUP;
    classes[b'\\' as usize] = LATEX;
    classes[b'$' as usize] = LATEX;
    classes[b'{' as usize] = LATEX;
    classes[b'}' as usize] = LATEX;
    classes[b'~' as usize] = LATEX;
    classes[b'`' as usize] = LATEX;
    classes
}

/// Which rules have something to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Survey {
    /// Entities or tags may be there.
    pub(super) markup: bool,
    /// TeX may be there.
    pub(super) latex: bool,
    /// Spaces, line breaks or characters outside plain ASCII want a look.
    pub(super) untidy: bool,
}

impl Survey {
    /// Looks at every byte once.
    pub(super) fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut seen = PLAIN;
        let mut twice = PLAIN;
        let mut previous = SPACE;
        for &byte in bytes {
            let class = CLASSES[usize::from(byte)];
            seen |= class;
            twice |= class & previous;
            previous = class;
        }
        let ends_in_space = previous & SPACE != 0 && !bytes.is_empty();
        Self {
            markup: seen & MARKUP != 0,
            latex: seen & LATEX != 0 || twice & (HYPHEN | APOSTROPHE) != 0,
            untidy: seen & OTHER != 0 || twice & SPACE != 0 || ends_in_space,
        }
    }

    /// Whether there may be entities, tags or TeX.
    pub(super) fn needs_resolving(self) -> bool {
        self.markup || self.latex
    }

    /// Whether every rule would leave the text as it is.
    pub(super) fn is_plain(self) -> bool {
        !(self.markup || self.latex || self.untidy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, plain: bool) {
        assert_eq!(Survey::of(text).is_plain(), plain, "{text:?}");
    }

    #[test]
    fn single_marks_are_plain_and_doubled_ones_are_not() {
        check("", true);
        check("state-of-the-art, the model's 5% (p = 0.05)", true);
        check("two  spaces", false);
        check(" leading", false);
        check("trailing ", false);
        check("pages 1--2", false);
        check("so ''called", false);
        check("a line\nbreak", false);
        check("a < b", false);
        check("na\u{ef}ve", false);
    }
}
