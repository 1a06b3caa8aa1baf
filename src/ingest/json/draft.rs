//! What the fields of a JSON record mean, whatever its source.
//!
//! Where sources disagree the more telling field comes first: arXiv's first version before its last update, parsed
//! names before a string of names, full dates before years.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::ingest::fields::{extend, identifier_in_url, is_absent, list};
use crate::ingest::json::index;
use crate::ingest::json::keys::{Key, Object};
use crate::ingest::json::parts;
use crate::paper::{Date, Draft, Identifier, Provenance};

/// The draft of a record, or why there is none.
pub(super) fn draft(object: &Object<'_>) -> Result<Draft, String> {
    if object.get(Key::Paratext).is_some_and(is_true) {
        return Err("the wrapping of a journal, not a paper".to_owned());
    }
    let own = outer(object);
    let inner = object.get(Key::Inner).filter(|value| own.title.is_empty() && value.get().starts_with('{'));
    let merged = match inner.and_then(|value| Object::scan(value.get()).ok()) {
        Some(inner) => beneath(own, outer(&inner)),
        None => own,
    };
    let has_text = !merged.title.is_empty() || !merged.abstract_text.is_empty();
    if has_text || object.has_text() { Ok(merged) } else { Err(no_text(object)) }
}

/// A record inside another says most; the outer one adds what it lacks.
fn beneath(outer: Draft, mut inner: Draft) -> Draft {
    inner.identifiers.extend(outer.identifiers);
    if inner.abstract_text.is_empty() {
        inner.abstract_text = outer.abstract_text;
    }
    extend(&mut inner.categories, outer.categories);
    inner.date = inner.date.or(outer.date);
    inner
}

fn outer(object: &Object<'_>) -> Draft {
    let url = object.get(Key::Url).and_then(parts::text).or_else(|| landing_page(object));
    Draft {
        identifiers: identifiers(object, url.as_deref()),
        title: title(object).unwrap_or_default(),
        abstract_text: abstract_text(object).unwrap_or_default(),
        authors: authors(object),
        date: date(object),
        categories: categories(object),
        venue: venue(object),
        url,
        keywords: object.get(Key::Keywords).map(terms).unwrap_or_default(),
        extra: extra(object),
        provenance: provenance(object),
    }
}

fn no_text(object: &Object<'_>) -> String {
    if object.names.is_empty() {
        return "no title and no abstract".to_owned();
    }
    let names: Vec<String> = object.names.iter().map(|name| format!("`{name}`")).collect();
    format!("no title, abstract or text among {}", names.join(", "))
}

fn first_text(object: &Object<'_>, keys: &[Key]) -> Option<String> {
    keys.iter().find_map(|&key| object.get(key).and_then(parts::text))
}

fn title(object: &Object<'_>) -> Option<String> {
    let displayed = || first_text(object, &[Key::DisplayName]).filter(|_| object.is_work());
    first_text(object, &[Key::Title]).or_else(displayed)
}

fn abstract_text(object: &Object<'_>) -> Option<String> {
    let written = || first_text(object, &[Key::Abstract]).filter(|text| !is_absent(text));
    let rebuilt = || object.get(Key::InvertedIndex).and_then(index::text).filter(|text| !text.is_empty());
    // Half the world's files have a description; only beside a title is it a paper's.
    let described = || first_text(object, &[Key::Summary]).filter(|_| object.get(Key::Title).is_some());
    written().or_else(rebuilt).or_else(described).or_else(|| first_text(object, &[Key::Text]))
}

fn identifiers(object: &Object<'_>, url: Option<&str>) -> Vec<Identifier> {
    let text = |key| object.get(key).and_then(parts::text);
    let mut found = Vec::new();
    found.extend(text(Key::Id).and_then(|id| source_id(&id)));
    found.extend(text(Key::PaperId).and_then(|id| Identifier::source(&id)));
    found.extend(text(Key::Doi).and_then(|doi| Identifier::from_doi(&doi)));
    found.extend(text(Key::Arxiv).and_then(|arxiv| Identifier::from_arxiv(&arxiv)));
    found.extend(text(Key::Pmid).and_then(|pmid| Identifier::from_pmid(&pmid)));
    found.extend(text(Key::CorpusId).map(Identifier::CorpusId));
    let open_access = object.get(Key::OpenAccess).and_then(|value| parts::member(value, "externalids"));
    found.extend([object.get(Key::Ids), open_access].into_iter().flatten().flat_map(external));
    found.extend(object.get(Key::Aliases).into_iter().flat_map(parts::texts).map(|id| Identifier::parse(&id)));
    found.extend(url.and_then(identifier_in_url));
    found.extend(object.get(Key::Locations).into_iter().flat_map(location_identifiers));
    found
}

/// OpenAlex gives its ids as addresses; the number alone is what people quote.
fn source_id(id: &str) -> Option<Identifier> {
    match id.trim().strip_prefix("https://openalex.org/") {
        Some(number) => Identifier::source(number),
        None => Identifier::source(id).map(|_| Identifier::parse(id)),
    }
}

/// Identifiers by kind: `{"DOI": "10.1000/x", "ArXiv": "2101.00001", "CorpusId": 17}`.
fn external(value: &RawValue) -> Vec<Identifier> {
    let members: parts::Members<'_> = match serde_json::from_str(value.get()) {
        Ok(members) => members,
        Err(_) => return Vec::new(),
    };
    let identifier = |(kind, value): &(Cow<'_, str>, &RawValue)| {
        let id = parts::text(value)?;
        match kind.to_ascii_lowercase().as_str() {
            "doi" => Identifier::from_doi(&id),
            "arxiv" => Identifier::from_arxiv(&id),
            "pubmed" | "pmid" => Identifier::from_pmid(&id),
            "corpusid" => Some(Identifier::CorpusId(id)),
            "acl" => Some(Identifier::Acl(id)),
            _ => None,
        }
    };
    members.0.iter().filter_map(identifier).collect()
}

/// The same work elsewhere: a published paper's preprint is one of its locations.
fn location_identifiers(value: &RawValue) -> Vec<Identifier> {
    let address = |place: &RawValue| parts::text(parts::member(place, "landing_page_url")?);
    let addresses = parts::elements(value).into_iter().filter_map(address);
    addresses.filter_map(|address| identifier_in_url(&address)).collect()
}

fn landing_page(object: &Object<'_>) -> Option<String> {
    parts::text(parts::member(object.get(Key::PrimaryLocation)?, "landing_page_url")?)
}

fn authors(object: &Object<'_>) -> Vec<String> {
    let parsed = object.get(Key::AuthorsParsed).map(parts::parsed_authors).unwrap_or_default();
    if !parsed.is_empty() {
        return parsed;
    }
    let listed = object.first(&[Key::Authors, Key::Authorships]);
    listed.map(parts::authors).unwrap_or_default()
}

fn date(object: &Object<'_>) -> Option<Date> {
    let of = |keys: &[Key]| keys.iter().find_map(|&key| object.get(key).and_then(parts::date));
    let first_version = || parts::date(parts::member(parts::elements(object.get(Key::Versions)?).first()?, "created")?);
    let full = of(&[Key::Date, Key::Issued]);
    let year = of(&[Key::Year]).or_else(|| of(&[Key::Updated]));
    first_version().or(full).or(year)
}

fn categories(object: &Object<'_>) -> Vec<String> {
    let mut found = Vec::new();
    extend(&mut found, first_text(object, &[Key::PrimaryCategory]));
    for key in [Key::Categories, Key::Topics, Key::Labels, Key::FieldsOfStudy, Key::S2Fields] {
        extend(&mut found, object.get(key).map(terms).unwrap_or_default());
    }
    if found.is_empty() {
        extend(&mut found, object.get(Key::Concepts).map(concepts).unwrap_or_default());
    }
    found
}

/// A list of terms; a string of them is taken apart, arXiv's codes at the spaces.
fn terms(value: &RawValue) -> Vec<String> {
    if value.get().starts_with('[') {
        let terms = parts::texts(value);
        return terms.iter().map(|term| term.trim().to_owned()).collect();
    }
    let text = parts::text(value).unwrap_or_default();
    let codes: Vec<&str> = text.split_whitespace().collect();
    if codes.iter().all(|code| is_arxiv_code(code)) {
        return codes.into_iter().map(str::to_owned).collect();
    }
    list(&text)
}

/// `cs.LG`, `cond-mat.mtrl-sci`, `hep-th`, `math`: an archive, with or without a subject class.
fn is_arxiv_code(code: &str) -> bool {
    const ARCHIVES: [&str; 38] = [
        "acc-phys", "adap-org", "alg-geom", "ao-sci", "astro-ph", "atom-ph", "bayes-an", "chao-dyn", "chem-ph",
        "cmp-lg", "comp-gas", "cond-mat", "cs", "dg-ga", "econ", "eess", "funct-an", "gr-qc", "hep-ex", "hep-lat",
        "hep-ph", "hep-th", "math", "math-ph", "mtrl-th", "nlin", "nucl-ex", "nucl-th", "patt-sol", "physics",
        "plasm-ph", "q-alg", "q-bio", "q-fin", "quant-ph", "solv-int", "stat", "supr-con",
    ];
    let archive = code.split_once('.').map_or(code, |(archive, _)| archive);
    ARCHIVES.contains(&archive)
}

/// OpenAlex scores its concepts and lists even those that it hardly believes.
fn concepts(value: &RawValue) -> Vec<String> {
    const BELIEVED: f64 = 0.3;
    let score = |concept: &RawValue| parts::text(parts::member(concept, "score")?)?.parse::<f64>().ok();
    let believed = parts::elements(value).into_iter().filter(|concept| score(concept).is_none_or(|s| s >= BELIEVED));
    believed.filter_map(parts::text).collect()
}

fn venue(object: &Object<'_>) -> Option<String> {
    let source = || {
        let place = object.get(Key::PrimaryLocation)?;
        parts::text(parts::member(place, "source").unwrap_or(place))
    };
    let given = first_text(object, &[Key::Venue, Key::ContainerTitle, Key::PublicationVenue]);
    given.or_else(source).or_else(|| first_text(object, &[Key::JournalRef]))
}

fn extra(object: &Object<'_>) -> std::collections::BTreeMap<String, Value> {
    let given = object.get(Key::Extra).and_then(|value| serde_json::from_str(value.get()).ok());
    let mut extra: std::collections::BTreeMap<String, Value> = given.unwrap_or_default();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            extra.entry(name.to_owned()).or_insert(value);
        }
    };
    add("tldr", object.get(Key::Tldr).and_then(parts::text).map(Value::String));
    add("citations", object.get(Key::Citations).and_then(|count| count.get().parse::<u64>().ok()).map(Value::from));
    add("retracted", object.get(Key::Retracted).filter(|value| is_true(value)).map(|_| Value::Bool(true)));
    extra
}

/// Where our own output says that the paper came from.
fn provenance(object: &Object<'_>) -> Vec<Provenance> {
    let place = |value: &RawValue| {
        let file = parts::text(parts::member(value, "file")?)?;
        let line = parts::member(value, "line").and_then(|line| line.get().parse().ok());
        Some(Provenance { file, line })
    };
    let places = object.get(Key::Provenance).map(parts::elements).unwrap_or_default();
    places.into_iter().filter_map(place).collect()
}

fn is_true(value: &RawValue) -> bool {
    value.get() == "true"
}
