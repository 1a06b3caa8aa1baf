//! What could not be read, and where: the other half of every reader's answer.
//!
//! One [`Skip`] stands for one record (or one file) that became no paper. It serialises to one line of JSON, which is
//! what `--skipped FILE` writes.

use std::fmt;

use serde::Serialize;

/// How much of a skipped record is kept to recognise it by, in bytes.
const EXCERPT_BYTES: usize = 200;

/// A record, or a whole file, that could not be read as a paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skip {
    /// The path as it was given, or below the folder that was given; `-` for standard input.
    pub file: String,
    /// The line that the record begins at, counted from one; `None` where the whole file is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Why, as it reads after `line 12, `, without a full stop: `no title and no abstract`.
    pub reason: String,
    /// How the record begins.
    #[serde(rename = "text", skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

impl Skip {
    /// A whole file that was skipped.
    pub fn file(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, reason: reason.into(), excerpt: None }
    }

    /// A record that was skipped.
    pub fn record(file: impl Into<String>, line: u64, reason: impl Into<String>) -> Self {
        Self { file: file.into(), line: Some(line), reason: reason.into(), excerpt: None }
    }

    /// Keeps the beginning of the record's text.
    #[must_use]
    pub fn excerpt(mut self, text: &str) -> Self {
        let kept = excerpt_of(text);
        self.excerpt = (!kept.is_empty()).then_some(kept);
        self
    }
}

impl fmt::Display for Skip {
    /// File, line and reason, as a sentence without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ", self.file)?;
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        f.write_str(&self.reason)
    }
}

/// The beginning of a text, cut between characters.
pub(super) fn excerpt_of(text: &str) -> String {
    let text = text.trim();
    if text.len() <= EXCERPT_BYTES {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(EXCERPT_BYTES)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_one_line_of_json() {
        let skip = Skip::record("a.jsonl", 7, "no title and no abstract").excerpt("{\"id\": 1}\n");
        let line = serde_json::to_string(&skip).expect("strings and numbers serialise");
        let expected = r#"{"file":"a.jsonl","line":7,"reason":"no title and no abstract","text":"{\"id\": 1}"}"#;
        assert_eq!(line, expected);
        assert_eq!(serde_json::to_string(&Skip::file("b", "is empty")).unwrap(), r#"{"file":"b","reason":"is empty"}"#);
    }

    #[test]
    fn a_long_excerpt_is_cut_between_characters() {
        let kept = excerpt_of(&"é".repeat(150));
        assert_eq!(kept.chars().count(), 101);
    }
}
