//! What publishers and databases put around an abstract: labels, copyright lines, words that stand for no abstract.
//!
//! Only the two ends of the text are looked at, and only set phrases are taken off.

use std::sync::LazyLock;

use regex::Regex;

/// A copyright line is no longer than this, in bytes.
const MAX_NOTICE: usize = 500;

/// The part of `text` that the authors wrote.
pub(super) fn without(text: &str) -> &str {
    let mut current = text.trim();
    loop {
        let next = without_notice(without_leading_notice(without_label(current))).trim();
        if next.len() == current.len() {
            return if stands_for_nothing(current) { "" } else { current };
        }
        current = next;
    }
}

const PLACEHOLDERS: &[&str] = &[
    "abstract",
    "abstract is not available",
    "abstract not available",
    "abstract not provided",
    "abstract unavailable",
    "international audience",
    "n a",
    "na",
    "nan",
    "nil",
    "no abstract",
    "no abstract available",
    "no abstract is available",
    "no abstract is available for this article",
    "no abstract provided",
    "no abstract was provided",
    "none",
    "not available",
    "null",
    "summary",
    "tba",
    "tbd",
    "there is no abstract available",
    "unavailable",
];

fn stands_for_nothing(text: &str) -> bool {
    if text.len() > 60 {
        return false;
    }
    let words: Vec<String> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let phrase = words.join(" ");
    phrase.is_empty() || PLACEHOLDERS.contains(&phrase.as_str())
}

static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    let starters = "The|We|This|These|In|A|An|Background|Objectives?|Purpose|Introduction|Aims?|Motivation|Here|It|To|\
        Recent|Recently|Our|For|Context|Importance|While|Many|Most|One|As|On|With|Although|Despite|Understanding|When|\
        BACKGROUND|OBJECTIVES?|PURPOSE|INTRODUCTION|AIMS?|CONTEXT|METHODS?";
    compiled(&format!(
        r"^\W{{0,3}}(?:(?i:abstract|summary|synopsis|r[ée]sum[ée]|resumen|resumo|zusammenfassung|riassunto|sommaire)
        \s*[:.\]—–|]\s*(?:[-:.—–]\s*)*
        |(?i:abstract|summary)\s+[-–—]+\s+
        |(?i:abstract|summary|resumen|r[ée]sum[ée])\s*\n\s*
        |(?:Abstract|ABSTRACT|Summary|SUMMARY)\s*(?:{starters})\b)",
    ))
});

/// A label needs a mark after it, or the first word of a sentence: "Abstract interpretation" is a subject.
fn without_label(text: &str) -> &str {
    let Some(found) = LABEL.find(text) else { return text };
    let label = found.as_str();
    if !label.ends_with(char::is_alphabetic) {
        return &text[found.end()..];
    }
    let word = label.trim_start_matches(|c: char| !c.is_alphanumeric());
    let starter = word.get("abstract".len()..).filter(|_| word.to_lowercase().starts_with("abstract"));
    let starter = starter.or_else(|| word.get("summary".len()..)).unwrap_or_default().trim_start();
    &text[found.end() - starter.len()..]
}

static NOTICE: LazyLock<Regex> = LazyLock::new(|| {
    let holder = "rights?\\s+reserved|elsevier|springer|wiley|ieee|acm|authors?|published|publish|press|ltd|limited|inc|\
        b\\.?\\s?v|gmbh|llc|society|association|institute|institution|institut|university|taylor|francis|sage|mdpi|\
        licen[sc]e|licensee|academy|academic|verlag|nature|foundation|college|federation|council|organi[sz]ation|\
        crown|government|engineers|publications?|emerald|informa|karger|thieme|copyright|reserved";
    compiled(&format!(
        r"(?is)(?:^|(?P<mark>[.!?:;)\]”’\s]))\s*(?:
        (?:\(\s*)?(?:PsycINFO|PsycInfo)\s+Database\s+Record\s.{{0,200}}
        |(?:this\s+article\s+is\s+)?(?:protected\s+by\s+copyright)\b.{{0,120}}
        |(?:copyright\s*)?©\s*.{{0,300}}?(?:(?:19|20)\d\d|\b(?:{holder})\b).{{0,300}}
        |copyright\s*[,:]?\s*(?:\(c\)|©|of\s+the\b|by\b|the\b|\d{{4}}\b).{{0,300}}
        |\(c\)\s*(?:copyright\s*)?(?:(?:19|20)\d\d.{{0,200}}?\b(?:{holder})\b|(?:{holder})\b).{{0,300}}
        |published\s+by\s+(?:elsevier|springer|wiley|the\s+royal|oxford|cambridge|sage|taylor|aip|iop).{{0,200}}
        |all\s+rights\s+reserved\.?
        |copyright:?
        )\s*$",
    ))
});

/// Takes a copyright line off the end.
fn without_notice(text: &str) -> &str {
    let mut start = text.len().saturating_sub(MAX_NOTICE);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let tail = &text[start..];
    let hints = ["©", "opyright", "OPYRIGHT", "(c)", "(C)", "eserved", "ublished by", "RESERVED"];
    if !hints.iter().any(|hint| tail.contains(hint)) {
        return text;
    }
    let Some(found) = NOTICE.captures(tail) else { return text };
    let cut = found.name("mark").map_or(found.get_match().start(), |mark| mark.end());
    // A cut inside a long tail needs a place to stand: the end of a sentence, or the sign itself.
    text[..start + cut].trim_end()
}

static LEADING_NOTICE: LazyLock<Regex> = LazyLock::new(|| {
    compiled(r"(?is)^(?:copyright\s*)?(?:©|\(c\)|copyright)[^\n]{0,160}?all\s+rights\s+reserved\s*(?:[.:;]|\n)\s*")
});

/// Takes a copyright line off the start, where "All rights reserved" says where it ends.
fn without_leading_notice(text: &str) -> &str {
    match LEADING_NOTICE.find(text) {
        Some(found) => &text[found.end()..],
        None => text,
    }
}

fn compiled(pattern: &str) -> Regex {
    regex::RegexBuilder::new(pattern)
        .ignore_whitespace(true)
        .build()
        .expect("the pattern is a constant, compiled by the tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(without(text), expected, "{text}");
    }

    #[test]
    fn labels_go_and_subjects_stay() {
        check("Abstract: We ask.", "We ask.");
        check("ABSTRACT. We ask.", "We ask.");
        check("Abstract—We ask.", "We ask.");
        check("Abstract We ask.", "We ask.");
        check("AbstractThe answer.", "The answer.");
        check("Summary: Abstract\nWe ask.", "We ask.");
        check("ABSTRACT BACKGROUND: Much is known.", "BACKGROUND: Much is known.");
        for text in ["Abstract interpretation is old.", "Summary statistics help.", "Abstract Meaning Representation"] {
            check(text, text);
        }
    }

    #[test]
    fn notices_go_from_the_ends() {
        for notice in [
            "© 2020 Elsevier Ltd. All rights reserved.",
            "Copyright © 2012 The Authors. Published by Elsevier B.V.",
            "(C) 2019 The Authors. Published by Elsevier Ltd.",
            "(C) Academic Press, Inc.",
            "Copyright 2000 Academic Press",
            "Copyright of the Academy of Management, all rights reserved.",
            "Copyright:",
            "This article is protected by copyright. All rights reserved.",
            "(PsycINFO Database Record (c) 2016 APA, all rights reserved)",
            "© The Author(s) 2021.",
        ] {
            check(&format!("Soil is alive. {notice}"), "Soil is alive.");
        }
        check("© 2020 Elsevier Ltd. All rights reserved. Soil is alive.", "Soil is alive.");
        check("© 2020 Elsevier Ltd. All rights reserved.", "");
    }

    #[test]
    fn talk_about_copyright_stays() {
        for text in [
            "Music is used for transmission and copyright protection.",
            "We rank 25th of 65 in sub-task (C).",
            "Options are (a) to stay, (b) to go, (c) to fit 2019 data.",
            "Patents, industrial designs, trademarks, and copyrights.",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn placeholders_are_no_abstract() {
        for text in ["No abstract available.", "[No abstract available]", "N/A", "-", "Abstract", "null"] {
            check(text, "");
        }
        check("No abstract domain is needed.", "No abstract domain is needed.");
    }
}
