//! A paper as JSON, the one wire format of papers.
//!
//! Absent fields are left out. What is written here, `ingest` reads back to the same paper.

use serde::Serialize;
use serde_json::Value;

use crate::paper::{Paper, PaperId, Provenance};

/// Borrowed view of a [`Paper`] in the field order that people read.
#[derive(Debug, Serialize)]
pub struct PaperJson<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    title: &'a str,
    #[serde(rename = "abstract", skip_serializing_if = "str::is_empty")]
    abstract_text: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    authors: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    categories: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    venue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doi: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    keywords: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<&'a str>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    extra: &'a std::collections::BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    provenance: Vec<ProvenanceJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ProvenanceJson<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

impl<'a> From<&'a Paper> for PaperJson<'a> {
    fn from(paper: &'a Paper) -> Self {
        Self {
            id: paper.id.as_str(),
            title: &paper.title,
            abstract_text: &paper.abstract_text,
            authors: &paper.authors,
            date: paper.date.map(|date| date.to_string()),
            categories: &paper.categories,
            venue: paper.venue.as_deref(),
            doi: paper.doi.as_deref(),
            url: paper.url.as_deref(),
            keywords: &paper.keywords,
            aliases: paper.aliases.iter().map(PaperId::as_str).collect(),
            extra: &paper.extra,
            provenance: paper.provenance.iter().map(ProvenanceJson::from).collect(),
        }
    }
}

impl<'a> From<&'a Provenance> for ProvenanceJson<'a> {
    fn from(provenance: &'a Provenance) -> Self {
        Self { file: &provenance.file, line: provenance.line }
    }
}

/// A paper as one line of JSON, without the line break.
pub fn paper_line(paper: &Paper) -> String {
    serde_json::to_string(&PaperJson::from(paper)).expect("strings, numbers and string-keyed maps always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::{Draft, Identifier};

    #[test]
    fn absent_fields_are_left_out() {
        let draft = Draft {
            identifiers: vec![Identifier::parse("p1")],
            title: "A title".into(),
            provenance: vec![Provenance { file: "a.txt".into(), line: Some(3) }],
            ..Draft::default()
        };
        let paper = Paper::from_draft(draft).expect("a paper");
        let expected = r#"{"id":"p1","title":"A title","provenance":[{"file":"a.txt","line":3}]}"#;
        assert_eq!(paper_line(&paper), expected);
    }
}
