//! The line that opens a record of an aggregator's list: `88.1CLJun 2Code`.
//!
//! An optional score, one or more subject codes, a date and flags, run together or apart. Only a line that is read to
//! its end is a header.

use crate::ingest::listing::dates::leading_date;
use crate::paper::Date;

/// What may stand between two fields.
const GAPS: &[char] = &[' ', '\t', '\u{a0}', '·', '•', '|', ',', ';', '/'];
/// Longer lines are text, whatever they begin with.
const LONGEST: usize = 120;
/// arXiv's archives whose papers carry no subject after a point.
const ARCHIVES: [&str; 9] =
    ["gr-qc", "hep-ex", "hep-lat", "hep-ph", "hep-th", "math-ph", "nucl-ex", "nucl-th", "quant-ph"];
/// What a list says a paper comes with; only `Code` is kept.
const FLAGS: [&str; 14] = [
    "code", "dataset", "data", "demo", "models", "model", "video", "slides", "poster", "pdf", "html", "project",
    "website", "new",
];

/// The fields of a header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) score: Option<f64>,
    pub(super) categories: Vec<String>,
    /// `None` where the day does not exist.
    pub(super) date: Option<Date>,
    pub(super) code: bool,
}

/// Reads a header; `None` where the line is anything else.
pub(super) fn read(line: &str, as_of: Date) -> Option<Header> {
    let line = line.trim();
    if line.len() > LONGEST {
        return None;
    }
    let (score, rest) = match leading_score(line) {
        Some((score, rest)) => (Some(score), rest),
        None => (None, line),
    };
    // The date may begin at any character, as nothing divides it from the code; what is left of it must be codes.
    rest.char_indices().skip(1).find_map(|(at, _)| {
        let categories = codes(&rest[..at])?;
        let (date, rest) = leading_date(&rest[at..], as_of)?;
        let flags = flags(rest)?;
        Some(Header { score, categories, date, code: flags.contains(&"code") })
    })
}

/// A number of up to three digits before the point; the next character is not a digit.
fn leading_score(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let whole = text[..end].split('.').next()?.len();
    let score = (1..=3).contains(&whole).then(|| text[..end].parse().ok())??;
    Some((score, text[end..].trim_start_matches(GAPS)))
}

/// `LG`, `SPACE-PH`, `cs.LG`, `astro-ph.EP`, or several of them; `None` where a word is anything else.
fn codes(text: &str) -> Option<Vec<String>> {
    let codes: Vec<&str> = text.split(GAPS).filter(|code| !code.is_empty()).collect();
    (!codes.is_empty() && codes.iter().all(|code| is_code(code)))
        .then(|| codes.iter().map(|c| (*c).to_owned()).collect())
}

fn is_code(word: &str) -> bool {
    let (archive, subject) = match word.split_once('.') {
        Some((archive, subject)) => (Some(archive), subject),
        None => (None, word),
    };
    let made_of = |text: &str, letter: fn(&char) -> bool| {
        (2..=12).contains(&text.len())
            && text.split('-').all(|part| !part.is_empty() && part.chars().all(|c| letter(&c)))
    };
    let subject_is_code = made_of(subject, char::is_ascii_uppercase) || archive.is_some() && is_lower_subject(subject);
    subject_is_code && archive.is_none_or(|archive| made_of(archive, char::is_ascii_lowercase))
        || ARCHIVES.contains(&word)
}

/// `cond-mat.mes-hall`, `physics.space-ph`.
fn is_lower_subject(text: &str) -> bool {
    text.contains('-') && text.len() <= 12 && text.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// The flags that a text consists of, in small letters; `None` where it holds anything else.
fn flags(text: &str) -> Option<Vec<&'static str>> {
    let text = text.to_lowercase();
    let mut rest = text.trim_matches(GAPS);
    let mut found = Vec::new();
    while !rest.is_empty() {
        let flag = FLAGS.iter().copied().find(|flag| rest.starts_with(flag))?;
        found.push(flag);
        rest = rest[flag.len()..].trim_start_matches(GAPS);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Score, codes, date and flag of a header, as one line; empty where the line is none.
    fn shown(line: &str) -> String {
        let as_of = "2026-07-01".parse().expect("a date");
        read(line, as_of).map_or_else(String::new, |header| {
            let score = header.score.map(|score| format!("{score} ")).unwrap_or_default();
            let date = header.date.map_or_else(|| "no date".into(), |date| date.to_string());
            format!("{score}{} {date}{}", header.categories.join("+"), if header.code { " code" } else { "" })
        })
    }

    #[test]
    fn fields_run_together_are_told_apart() {
        assert_eq!(shown("71.5CLJun 2Code"), "71.5 CL 2026-06-02 code");
        assert_eq!(shown("MED-PHMay 12, 2022"), "MED-PH 2022-05-12");
        assert_eq!(shown("MLDec 27, 2023Code"), "ML 2023-12-27 code");
        assert_eq!(shown("100AISept 1"), "100 AI 2025-09-01");
        assert_eq!(shown("cs.LGJune 12, 2022"), "cs.LG 2022-06-12");
        assert_eq!(shown("astro-ph.EP2022-06-12Code"), "astro-ph.EP 2022-06-12 code");
        assert_eq!(shown("hep-th3 May 2020"), "hep-th 2020-05-03");
    }

    #[test]
    fn fields_apart_are_read_too() {
        assert_eq!(shown("71.5\tCL\tJun 2\tCode"), "71.5 CL 2026-06-02 code");
        assert_eq!(shown("LG, CV · Jun 2, 2021 · Code"), "LG+CV 2021-06-02 code");
        assert_eq!(shown("LG | Jun 31, 2021 | PDF"), "LG no date");
    }

    #[test]
    fn other_lines_are_no_headers() {
        for line in
            ["", "Jun 2", "LG", "Jun 2 Code", "LGJun", "Learning Jun 2", "LGJun 2, 2022 and more", "12.5", "May"]
        {
            assert_eq!(shown(line), "", "{line}");
        }
    }
}
