//! One spelling for one character: NFC, plain letters for ligatures and mathematical alphabets, no characters that
//! cannot be seen.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// The text with every character in its usual spelling; line breaks stay, other controls become spaces.
pub(super) fn normalised(text: &str) -> Cow<'_, str> {
    let plain = plain_length(text);
    if plain == text.len() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let plain = plain_length(rest);
        out.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let Some(character) = rest.chars().next() else { break };
        rest = &rest[character.len_utf8()..];
        match character {
            '\r' if rest.starts_with('\n') => {}
            // A zero-width joiner shapes Persian, Indic and emoji text; after ASCII it is debris.
            '\u{200c}' | '\u{200d}' if out.ends_with(|last: char| !last.is_ascii()) => out.push(character),
            _ => push_usual(character, &mut out),
        }
    }
    Cow::Owned(if unicode_normalization::is_nfc(&out) { out } else { out.nfc().collect() })
}

fn plain_length(text: &str) -> usize {
    let is_plain = |byte: u8| byte == b'\n' || (0x20..0x7f).contains(&byte);
    text.bytes().position(|byte| !is_plain(byte)).unwrap_or(text.len())
}

fn push_usual(character: char, out: &mut String) {
    match character {
        '\r' | '\u{2028}' => out.push('\n'),
        '\u{2029}' => out.push_str("\n\n"),
        // Cannot be seen: hyphens that only offer a break, marks of direction, selectors of a variant.
        '\0'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{fff0}'..='\u{fffc}' => {}
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => out.push(' '),
        '\u{80}'..='\u{9f}' => out.push(windows_character(character)),
        character if character.is_control() => out.push(' '),
        '\u{2010}' | '\u{2011}' => out.push('-'),
        // Latin ligatures and the mathematical alphabets say nothing that their letters do not.
        '\u{fb00}'..='\u{fb06}' | '\u{1d400}'..='\u{1d7ff}' => out.extend(std::iter::once(character).nfkc()),
        _ => out.push(character),
    }
}

/// Bytes 128 to 159 of Windows-1252, which reach us as controls where a file was taken for Latin-1.
fn windows_character(control: char) -> char {
    const TABLE: &str = "€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ";
    TABLE.chars().nth(control as usize - 0x80).unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(normalised(text), expected);
    }

    #[test]
    fn characters_take_their_usual_spelling() {
        check("e\u{301}tude", "étude");
        check("e\u{ad}\u{301}tude", "étude");
        check("e\u{fb03}cient \u{1d465}", "efficient x");
        check("a\u{a0}b\u{200b}c\u{feff}\0d\te", "a bcd e");
        check("one\r\ntwo\rthree\u{2028}four", "one\ntwo\nthree\nfour");
        check("non\u{2011}linear", "non-linear");
        check("the model\u{92}s \u{93}word\u{94}", "the model’s “word”");
    }

    #[test]
    fn joiners_stay_where_they_shape_letters() {
        check("می\u{200c}خواهم", "می\u{200c}خواهم");
        check("plain\u{200c}text", "plaintext");
    }
}
