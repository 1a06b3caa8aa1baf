//! The names that sources give the fields of a paper.
//!
//! An object is scanned once; the values of known names are kept as text and read later, so that an odd value in one
//! field costs that field, not the record.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::ingest::Options;

macro_rules! keys {
    ($($(#[$doc:meta])* $key:ident = $($name:literal)|+;)+) => {
        /// A field of a record, whatever its source calls it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Key { $($(#[$doc])* $key),+ }

        impl Key {
            const COUNT: usize = [$(Key::$key),+].len();

            fn named(name: &str) -> Option<Self> {
                Some(match name {
                    $($($name)|+ => Self::$key,)+
                    _ => return None,
                })
            }
        }
    };
}

keys! {
    Id = "id" | "_id" | "paper_id" | "paperid" | "uid" | "key";
    PaperId = "paperId";
    CorpusId = "corpusId" | "corpusid" | "corpus_id";
    /// Identifiers by their kind.
    Ids = "externalIds" | "externalids" | "external_ids" | "ids";
    OpenAccess = "openaccessinfo";
    Doi = "doi" | "DOI";
    Arxiv = "arxiv" | "arxiv_id" | "arxivId" | "eprint";
    Pmid = "pmid" | "PMID" | "pubmed_id";
    Aliases = "aliases";
    Title = "title";
    DisplayName = "display_name";
    Abstract = "abstract" | "paperAbstract" | "abstractNote" | "abstract_text" | "abstractText";
    Summary = "summary" | "description";
    Text = "text";
    /// OpenAlex's abstracts: each word with its positions.
    InvertedIndex = "abstract_inverted_index" | "indexed_abstract" | "IndexedAbstract";
    Tldr = "tldr";
    Authors = "authors" | "author" | "creators";
    AuthorsParsed = "authors_parsed";
    Authorships = "authorships";
    Versions = "versions";
    Date = "publication_date" | "publicationDate" | "publicationdate" | "published_date" | "published" | "date";
    Issued = "issued" | "published-print" | "published-online";
    Year = "year" | "publication_year" | "pub_year";
    Updated = "update_date";
    PrimaryCategory = "primary_category";
    Categories = "categories" | "category";
    Topics = "topics";
    Concepts = "concepts";
    FieldsOfStudy = "fieldsOfStudy" | "fields_of_study";
    S2Fields = "s2FieldsOfStudy" | "s2fieldsofstudy";
    Labels = "labels" | "subjects" | "subject";
    Venue = "venue" | "journal" | "conference" | "booktitle" | "publicationTitle" | "journalName";
    ContainerTitle = "container-title";
    PublicationVenue = "publicationVenue";
    JournalRef = "journal-ref" | "journal_ref";
    PrimaryLocation = "primary_location" | "host_venue";
    Locations = "locations";
    Url = "url" | "URL" | "link";
    Keywords = "keywords" | "keyword" | "tags";
    Citations = "citationCount" | "citationcount" | "cited_by_count";
    Retracted = "is_retracted";
    Paratext = "is_paratext";
    Extra = "extra";
    Provenance = "provenance";
    /// Another record inside this one: unarXive, Zotero's and Semantic Scholar's API.
    Inner = "metadata" | "data" | "paper" | "work" | "citedPaper" | "citingPaper" | "_source";
    /// The records of an answer.
    Results = "results" | "items" | "message" | "recommendedPapers" | "response" | "search-results" | "hits" | "papers";
}

/// The known fields of one record.
pub(super) struct Object<'a> {
    slots: [Option<&'a RawValue>; Key::COUNT],
    /// The first names, to say what a record without title and abstract has instead.
    pub(super) names: Vec<Cow<'a, str>>,
}

/// How many names of a record are kept.
const NAMES: usize = 8;

impl<'a> Object<'a> {
    /// Scans an object. Columns that the options name take the place of the title, the abstract or the id.
    pub(super) fn parse(text: &'a str, options: &Options) -> serde_json::Result<Self> {
        Names { options: Some(options) }.read(text)
    }

    /// Scans an object inside a record, which the options do not speak of.
    pub(super) fn scan(text: &'a str) -> serde_json::Result<Self> {
        Names { options: None }.read(text)
    }

    /// The value of a field; `None` where it is absent or null.
    pub(super) fn get(&self, key: Key) -> Option<&'a RawValue> {
        self.slots[key as usize]
    }

    /// The first of several fields that is there.
    pub(super) fn first(&self, keys: &[Key]) -> Option<&'a RawValue> {
        keys.iter().find_map(|&key| self.get(key))
    }

    /// Whether it is no paper but carries a list of them.
    pub(super) fn is_envelope(&self) -> bool {
        let is_list = |key| self.get(key).is_some_and(|value: &RawValue| value.get().starts_with(['[', '{']));
        let holds = is_list(Key::Results) || self.get(Key::Inner).is_some_and(|value| value.get().starts_with('['));
        holds && !self.has_text()
    }

    /// Whether it has a field that holds a title or an abstract.
    pub(super) fn has_text(&self) -> bool {
        self.first(&[Key::Title, Key::Abstract, Key::Text, Key::InvertedIndex]).is_some() || self.is_work()
    }

    /// Whether it is a work of OpenAlex, whose people and places have display names too.
    pub(super) fn is_work(&self) -> bool {
        let id = self.get(Key::Id).map_or("", RawValue::get);
        self.get(Key::Authorships).is_some() || id.starts_with("\"https://openalex.org/W")
    }
}

struct Names<'o> {
    options: Option<&'o Options>,
}

impl Names<'_> {
    fn read<'a>(self, text: &'a str) -> serde_json::Result<Object<'a>> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let object = self.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(object)
    }

    fn key(&self, name: &str) -> Option<Key> {
        let known = || Key::named(name).or_else(|| Key::named(&name.to_lowercase()));
        let Some(options) = self.options else { return known() };
        let is = |column: &Option<String>| column.as_deref() == Some(name);
        if is(&options.text_column) {
            return Some(Key::Abstract);
        }
        if is(&options.title_column) {
            return Some(Key::Title);
        }
        if is(&options.id_column) {
            return Some(Key::Id);
        }
        known().filter(|&key| !is_replaced(options, key))
    }
}

/// What the user named stands alone: the usual field beside it is something else.
fn is_replaced(options: &Options, key: Key) -> bool {
    match key {
        Key::Abstract | Key::Summary | Key::Text | Key::InvertedIndex => options.text_column.is_some(),
        Key::Title | Key::DisplayName => options.title_column.is_some(),
        Key::Id | Key::PaperId => options.id_column.is_some(),
        _ => false,
    }
}

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = Object<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object { slots: [None; Key::COUNT], names: Vec::new() };
        while let Some(Name(name)) = map.next_key()? {
            match self.key(&name) {
                Some(key) => {
                    let value: &RawValue = map.next_value()?;
                    let slot = &mut object.slots[key as usize];
                    if value.get() != "null" && slot.is_none() {
                        *slot = Some(value);
                    }
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
            if object.names.len() < NAMES {
                object.names.push(name);
            }
        }
        Ok(object)
    }
}

/// A name, borrowed where it has no escapes, which a bare `Cow` never is.
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
