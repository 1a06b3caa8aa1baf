//! Superscripts and subscripts: characters where Unicode has them, `x^n` and `x_ij` where it has not.

use super::{Mode, Page, Reader};

const PLAIN: &str = "0123456789+-=()−,";
const RAISED: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾⁻,";
const LOWERED: &str = "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎₋,";

/// `text` as superscript (`raised`) or subscript characters; `None` where one of its characters has none.
pub(in crate::clean) fn characters(text: &str, raised: bool) -> Option<String> {
    if text.is_empty() || !text.contains(|c: char| c.is_ascii_digit() || "+-−".contains(c)) {
        return None;
    }
    let table = if raised { RAISED } else { LOWERED };
    text.chars().map(|c| PLAIN.chars().position(|plain| plain == c).and_then(|at| table.chars().nth(at))).collect()
}

impl Reader<'_> {
    /// `^` or `_` with its argument. In prose a bare one belongs to a name, so only braces make it a script there.
    pub(super) fn script(self, at: usize, page: &mut Page) -> usize {
        let mark = self.byte(at);
        let braced = self.byte(at + 1) == b'{';
        let argument = if self.mode == Mode::Math || braced { self.argument(at + 1) } else { None };
        let Some((range, next)) = argument else {
            page.out.push(char::from(mark));
            return at + 1;
        };
        let shown = self.read_apart(range, Mode::Math);
        push_script(&shown, mark == b'^', page);
        next
    }
}

fn push_script(shown: &str, raised: bool, page: &mut Page) {
    let shown = shown.trim();
    let set_apart = if raised { '^' } else { '_' };
    match shown {
        "" => {}
        "∘" => page.out.push('°'),
        "th" | "st" | "nd" | "rd" if raised && page.after_word() => page.out.push_str(shown),
        _ if shown.chars().all(|c| "′*∗†‡⊙⊕".contains(c)) => page.out.push_str(shown),
        _ => match characters(shown, raised) {
            Some(script) => page.out.push_str(&script),
            None if shown.chars().all(char::is_alphanumeric) || shown.chars().nth(1).is_none() => {
                page.out.push(set_apart);
                page.out.push_str(shown);
            }
            None => {
                page.out.push(set_apart);
                page.out.extend(["(", shown, ")"]);
            }
        },
    }
}
