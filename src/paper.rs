//! Papers, their identity, and where they came from.
//!
//! A reader makes a [`Draft`] (what a record says); [`Paper::from_draft`] gives it its identity. The text that is
//! embedded, the title key and the order of identifiers are decided here and nowhere else. Knows no file format
//! and no wire format (see `wire`).

mod date;
mod identifier;

pub use date::Date;
pub use identifier::{Identifier, PaperId};

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

/// What one record of an input says, before cleaning and before it has an identity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// Every identifier the record gives, in any order, duplicates allowed.
    pub identifiers: Vec<Identifier>,
    /// Empty where the record has none.
    pub title: String,
    /// The abstract, paragraphs apart by a line break; empty where the record has none.
    pub abstract_text: String,
    /// `Given Family`, in the order of the record.
    pub authors: Vec<String>,
    /// When it was first public, as exactly as the record says.
    pub date: Option<Date>,
    /// Subject codes and categories as they are written, primary first.
    pub categories: Vec<String>,
    /// Journal, conference or book.
    pub venue: Option<String>,
    /// Where it can be read.
    pub url: Option<String>,
    /// The record's own keywords.
    pub keywords: Vec<String>,
    /// Other fields worth keeping, by name.
    pub extra: BTreeMap<String, serde_json::Value>,
    /// Where the record stands.
    pub provenance: Vec<Provenance>,
}

/// Where a record stands: a file (or `-` for standard input) and, where it has lines, the line it begins at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Provenance {
    /// The path as it was given, or below the folder that was given.
    pub file: String,
    /// Counted from one.
    pub line: Option<u64>,
}

/// A paper with its identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Paper {
    /// The first of: DOI, arXiv id without version, PMID, the source's id, a hash of the title key or of the text.
    pub id: PaperId,
    /// The other identifiers it is known by, sorted; every command takes them too.
    pub aliases: Vec<PaperId>,
    /// Empty where there is none.
    pub title: String,
    /// Empty where there is none.
    pub abstract_text: String,
    /// `Given Family`, in the order of the paper.
    pub authors: Vec<String>,
    /// When it was first public.
    pub date: Option<Date>,
    /// Subject codes and categories as they are written, primary first.
    pub categories: Vec<String>,
    /// Journal, conference or book.
    pub venue: Option<String>,
    /// Lower-case, without a resolver's address in front.
    pub doi: Option<String>,
    /// Where it can be read.
    pub url: Option<String>,
    /// Keywords given by the authors or the source.
    pub keywords: Vec<String>,
    /// Other fields worth keeping, by name.
    pub extra: BTreeMap<String, serde_json::Value>,
    /// Every record it was made of, sorted.
    pub provenance: Vec<Provenance>,
}

impl Paper {
    /// Gives a draft its identity; `None` where it has neither title nor abstract.
    pub fn from_draft(draft: Draft) -> Option<Self> {
        if draft.title.trim().is_empty() && draft.abstract_text.trim().is_empty() {
            return None;
        }
        let doi = draft.identifiers.iter().find_map(Identifier::doi).map(str::to_owned);
        let mut ids: Vec<PaperId> = sorted_by_rank(draft.identifiers);
        if ids.is_empty() {
            ids.push(hashed_id(&draft.title, &draft.abstract_text));
        }
        let id = ids.remove(0);
        ids.sort();
        Some(Self {
            id,
            aliases: ids,
            title: draft.title,
            abstract_text: draft.abstract_text,
            authors: draft.authors,
            date: draft.date,
            categories: draft.categories,
            venue: draft.venue,
            doi,
            url: draft.url,
            keywords: draft.keywords,
            extra: draft.extra,
            provenance: draft.provenance,
        })
    }

    /// The id and the aliases.
    pub fn ids(&self) -> impl Iterator<Item = &PaperId> {
        std::iter::once(&self.id).chain(&self.aliases)
    }

    /// Whether it says what `other` says: both have the same title and abstract.
    pub fn has_text_of(&self, other: &Self) -> bool {
        self.title == other.title && self.abstract_text == other.abstract_text
    }

    /// `title. abstract`, or whichever of the two there is: the text that is embedded.
    pub fn text(&self) -> String {
        joined_text(&self.title, &self.abstract_text)
    }
}

/// `title. abstract`, or whichever of the two is not empty. A title that ends a sentence keeps its own mark.
pub fn joined_text(title: &str, abstract_text: &str) -> String {
    let (title, abstract_text) = (title.trim(), abstract_text.trim());
    match (title.is_empty(), abstract_text.is_empty()) {
        (_, true) => title.to_owned(),
        (true, false) => abstract_text.to_owned(),
        (false, false) => format!("{title}. {abstract_text}"),
    }
}

/// What two spellings of one title share: compatibility-decomposed letters and digits in lower case, without accents,
/// words apart by one space.
pub fn title_key(title: &str) -> String {
    let mut key = String::with_capacity(title.len());
    for character in title.nfkd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)) {
        if character.is_alphanumeric() {
            key.extend(character.to_lowercase());
        } else if !key.is_empty() && !key.ends_with(' ') {
            key.push(' ');
        }
    }
    key.truncate(key.trim_end().len());
    key
}

/// The hash that ties a vector to the text it was made from: 32 hexadecimal digits of SHA-256.
pub fn text_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sorted_by_rank(mut identifiers: Vec<Identifier>) -> Vec<PaperId> {
    identifiers.sort_by_key(Identifier::rank);
    let mut ids: Vec<PaperId> = Vec::with_capacity(identifiers.len());
    for id in identifiers.iter().map(Identifier::to_id) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

fn hashed_id(title: &str, abstract_text: &str) -> PaperId {
    let key = title_key(title);
    let (kind, text) = if key.is_empty() { ("TEXT", abstract_text) } else { ("TITLE", key.as_str()) };
    PaperId::new(format!("{kind}:{}", &text_hash(text)[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(identifiers: Vec<Identifier>) -> Draft {
        Draft { identifiers, title: "A Title".into(), ..Draft::default() }
    }

    #[test]
    fn the_doi_comes_before_the_source_id_and_the_rest_are_aliases() {
        let source = Identifier::source("p17").expect("an id");
        let doi = Identifier::parse("https://doi.org/10.1000/ABC");
        let arxiv = Identifier::parse("arXiv:2101.00001v3");
        let paper = Paper::from_draft(draft(vec![source, arxiv, doi])).expect("a paper");
        assert_eq!(paper.id.as_str(), "DOI:10.1000/abc");
        assert_eq!(paper.doi.as_deref(), Some("10.1000/abc"));
        let aliases: Vec<&str> = paper.aliases.iter().map(PaperId::as_str).collect();
        assert_eq!(aliases, ["ARXIV:2101.00001", "p17"]);
    }

    #[test]
    fn a_paper_without_identifiers_is_named_after_its_title_key() {
        let one = Paper::from_draft(draft(vec![])).expect("a paper");
        let other = Paper::from_draft(Draft { title: "a  títle!".into(), ..Draft::default() }).expect("a paper");
        assert_eq!(one.id, other.id);
        assert!(Paper::from_draft(Draft { title: "  ".into(), ..Draft::default() }).is_none());
    }

    #[test]
    fn text_is_title_and_abstract() {
        assert_eq!(joined_text("A title", "An abstract."), "A title. An abstract.");
        assert_eq!(joined_text("A title ", ""), "A title");
        assert_eq!(joined_text("", "An abstract."), "An abstract.");
    }
}
