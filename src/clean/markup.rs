//! HTML, JATS and MathML: entities become characters, tags go.
//!
//! Only tags whose names belong to these vocabularies are tags: `<mask>` in an abstract about language models and
//! `x < y` stay. Blocks become line breaks, scripts of digits become superscript and subscript characters.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::latex::script;

/// The longest reference that is looked for, `&` and `;` included.
const MAX_ENTITY: usize = 34;

/// How a glyph begins that a PDF did not name: `(cid:12)`.
pub(super) const GLYPH: &str = "(cid:";

/// Entities and tags resolved, nameless glyphs left out.
pub(super) fn resolved(text: &str) -> String {
    let characters = without_glyphs(with_entities_resolved(text));
    if characters.contains('<') { without_tags(&characters) } else { characters }
}

fn without_glyphs(text: String) -> String {
    if !text.contains(GLYPH) {
        return text;
    }
    let mut parts = text.split(GLYPH);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let glyph = part.split_once(')').filter(|(number, _)| is_glyph_number(number));
        match glyph {
            Some((_, rest)) => out.push_str(rest),
            None => out.extend([GLYPH, part]),
        }
    }
    out
}

fn is_glyph_number(text: &str) -> bool {
    (1..6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// References must end in `;`: without it, `R&Delta` would lose its ampersand.
fn with_entities_resolved(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match reference(rest) {
            Some((character, after)) => {
                out.push_str(&character);
                rest = after;
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// What the reference at the start of `text` stands for, and what follows it. An ampersand that was itself escaped,
/// any number of times (`&amp;amp;lt;`), counts as one.
fn reference(text: &str) -> Option<(String, &str)> {
    let mut inside = &text[1..];
    let mut found = None;
    loop {
        let end = inside.bytes().take(MAX_ENTITY).position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'#'));
        let Some(end) = end.filter(|&end| end > 0 && inside.as_bytes()[end] == b';') else { return found };
        let name = format!("&{};", &inside[..end]);
        let character = htmlize::unescape(name.as_str()).into_owned();
        if character == name {
            return found;
        }
        inside = &inside[end + 1..];
        let escaped_again = character == "&";
        found = Some((character, inside));
        if !escaped_again {
            return found;
        }
    }
}

static TAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?xi)
        < !-- .{0,400}? --> | < !\[CDATA\[ | \]\]>
        | < (?<end>/?) (?: (?<prefix>jats|mml|m|xhtml|ns\d+|ce|inline):)? (?<name>[a-z][a-z0-9-]{0,24})
          (?: \s+ [a-z][a-z0-9:_-]{0,40} \s* = \s* (?: "[^"<>]{0,400}" | '[^'<>]{0,400}' | [^\s"'<>]{1,200} ) )*
          \s* /? >"#,
    )
    .expect("the pattern is a constant, compiled by the tests")
});

const BLOCKS: &[&str] = &[
    "abstract",
    "blockquote",
    "body",
    "br",
    "break",
    "caption",
    "dd",
    "disp-formula",
    "div",
    "dl",
    "dt",
    "fig",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "hr",
    "html",
    "label",
    "li",
    "list",
    "list-item",
    "ol",
    "p",
    "para",
    "section",
    "sec",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

const INLINE: &[&str] = &[
    "a",
    "abbr",
    "alternatives",
    "annotation",
    "b",
    "bold",
    "cite",
    "code",
    "em",
    "email",
    "ext-link",
    "font",
    "i",
    "img",
    "inf",
    "inline-formula",
    "inline-graphic",
    "italic",
    "kbd",
    "math",
    "mfenced",
    "mfrac",
    "mi",
    "mml",
    "mn",
    "mo",
    "monospace",
    "mover",
    "mpadded",
    "mroot",
    "mrow",
    "mspace",
    "msqrt",
    "mstyle",
    "msub",
    "msubsup",
    "msup",
    "mtable",
    "mtd",
    "mtext",
    "mtr",
    "munder",
    "munderover",
    "named-content",
    "none",
    "overline",
    "q",
    "roman",
    "s",
    "samp",
    "sans-serif",
    "sc",
    "script",
    "semantics",
    "simple-para",
    "small",
    "span",
    "strike",
    "strong",
    "styled-content",
    "sub",
    "sup",
    "tex-math",
    "tt",
    "u",
    "underline",
    "uri",
    "var",
    "wbr",
    "xref",
];

fn without_tags(text: &str) -> String {
    let scripts = SCRIPT.replace_all(text, |found: &Captures<'_>| shown_script(found));
    let titles = TITLE.replace_all(&scripts, |found: &Captures<'_>| shown_title(&found[1]));
    TAG.replace_all(&titles, |found: &Captures<'_>| shown_tag(found)).into_owned()
}

static SCRIPT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)<(?:jats:)?(sub|sup|inf)>([^<>]{1,40})</(?:jats:)?(sub|sup|inf)>")
        .expect("the pattern is a constant, compiled by the tests")
});

fn shown_script(found: &Captures<'_>) -> String {
    let raised = found[1].eq_ignore_ascii_case("sup");
    script::characters(found[2].trim(), raised).unwrap_or_else(|| found[2].to_owned())
}

static TITLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)<(?:jats:)?title>([^<>]{0,200})</(?:jats:)?title>\s*(?:<(?:jats:)?p>)?")
        .expect("the pattern is a constant, compiled by the tests")
});

/// Section titles of a structured abstract read on into their paragraph.
fn shown_title(title: &str) -> String {
    let title = title.trim();
    let colon = if title.ends_with(|last: char| last.is_alphanumeric()) { ":" } else { "" };
    format!("\n\n{title}{colon} ")
}

fn shown_tag(found: &Captures<'_>) -> String {
    let Some(name) = found.name("name") else { return String::new() };
    let name = name.as_str().to_ascii_lowercase();
    if name == "title" {
        return " ".to_owned();
    }
    if BLOCKS.contains(&name.as_str()) {
        return if found["end"].is_empty() && name != "br" { "\n\n".to_owned() } else { "\n".to_owned() };
    }
    if INLINE.contains(&name.as_str()) || found.name("prefix").is_some() {
        return String::new();
    }
    found[0].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(resolved(text), expected);
    }

    #[test]
    fn entities_are_resolved_however_often_they_were_escaped() {
        check("R&amp;D", "R&D");
        check("p &amp;amp;lt; 0.05", "p < 0.05");
        check("p &#38;lt; 0.05 &#x2013; caf&eacute;", "p < 0.05 – café");
        check("AT&T, R&Delta; and &unknown; stay", "AT&T, RΔ and &unknown; stay");
        check("&", "&");
        check("A&B;", "A&B;");
    }

    #[test]
    fn tags_go_and_other_angles_stay() {
        check("a <i>very</i> <b class=\"x\">bold</b> claim", "a very bold claim");
        check("CO<sub>2</sub>, Ca<sup>2+</sup>, V<sub>max</sub>", "CO₂, Ca²⁺, Vmax");
        check("the <mask> token, x < y and y > z", "the <mask> token, x < y and y > z");
        check("one<br/>two", "one\ntwo");
        check("<!-- gone -->kept", "kept");
        check("an o(cid:14)cer (cid:none)", "an ocer (cid:none)");
        check("<jats:title>Aims</jats:title><jats:p>We ask.</jats:p>", "\n\nAims: We ask.\n");
    }
}
