//! Lenient readers of single values: each takes what it understands and leaves the rest.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

use crate::ingest::json::keys::Name;
use crate::ingest::{dates, people};
use crate::paper::Date;

/// The text of a value: a string, a number, the first text of a list, or what an object is called.
pub(super) fn text(value: &RawValue) -> Option<String> {
    let json = value.get();
    let text = match json.as_bytes().first()? {
        b'"' => string(json)?,
        b'0'..=b'9' | b'-' => json.to_owned(),
        b'[' => elements(value).into_iter().find_map(text)?,
        b'{' => named(value)?,
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

/// The texts of a list; of a single value, its own.
pub(super) fn texts(value: &RawValue) -> Vec<String> {
    if !value.get().starts_with('[') {
        return text(value).into_iter().collect();
    }
    elements(value).into_iter().filter_map(text).collect()
}

/// The elements of a list, and none of anything else.
pub(super) fn elements(value: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(value.get()).unwrap_or_default()
}

/// The value of one member of an object.
pub(super) fn member<'a>(value: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    let members: Members<'a> = serde_json::from_str(value.get()).ok()?;
    let found = members.0.into_iter().find(|(key, _)| key == name).map(|(_, value)| value);
    found.filter(|value| value.get() != "null")
}

/// The members of an object in their order.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(MembersVisitor).map(Members)
    }
}

/// A string; half a surrogate pair, which Python writes and JSON forbids, becomes U+FFFD.
pub(super) fn string(json: &str) -> Option<String> {
    match serde_json::from_str(json) {
        Ok(text) => Some(text),
        Err(_) => serde_json::from_str::<Lossy>(json).ok().map(|lossy| lossy.0),
    }
}

struct Lossy(String);

impl<'de> Deserialize<'de> for Lossy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LossyVisitor;
        impl Visitor<'_> for LossyVisitor {
            type Value = Lossy;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Lossy, E> {
                Ok(Lossy(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(LossyVisitor)
    }
}

/// What an object is called, as the sources put it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    display_name: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    category: Option<&'a RawValue>,
    #[serde(borrow)]
    keyword: Option<&'a RawValue>,
    #[serde(borrow)]
    tag: Option<&'a RawValue>,
}

fn named(value: &RawValue) -> Option<String> {
    let named: Named<'_> = serde_json::from_str(value.get()).ok()?;
    let names = [named.display_name, named.name, named.text, named.value, named.category, named.keyword, named.tag];
    names.into_iter().flatten().find_map(|name| string(name.get()))
}

/// A person as the sources describe one.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Person<'a> {
    #[serde(
        borrow,
        alias = "givenName",
        alias = "firstName",
        alias = "first",
        alias = "first_name",
        alias = "forename"
    )]
    given: Option<&'a RawValue>,
    #[serde(borrow)]
    middle: Option<&'a RawValue>,
    #[serde(borrow, rename = "non-dropping-particle")]
    particle: Option<&'a RawValue>,
    #[serde(borrow, rename = "dropping-particle")]
    dropped_particle: Option<&'a RawValue>,
    #[serde(borrow, alias = "familyName", alias = "lastName", alias = "last", alias = "last_name", alias = "surname")]
    family: Option<&'a RawValue>,
    #[serde(borrow)]
    suffix: Option<&'a RawValue>,
    #[serde(borrow)]
    literal: Option<&'a RawValue>,
    #[serde(borrow, alias = "display_name", alias = "full_name")]
    name: Option<&'a RawValue>,
    /// OpenAlex keeps the person inside the authorship.
    #[serde(borrow)]
    author: Option<&'a RawValue>,
    #[serde(borrow)]
    raw_author_name: Option<&'a RawValue>,
}

/// The authors of a record, from a list of names or of persons, or from one string.
pub(super) fn authors(value: &RawValue) -> Vec<String> {
    match value.get().as_bytes().first() {
        Some(b'[') => elements(value).into_iter().filter_map(person).collect(),
        Some(b'"') => text(value).map(|names| people::split(&names)).unwrap_or_default(),
        _ => person(value).into_iter().collect(),
    }
}

fn person(value: &RawValue) -> Option<String> {
    if !value.get().starts_with('{') {
        return text(value).and_then(|name| people::name(&name));
    }
    let person: Person<'_> = serde_json::from_str(value.get()).ok()?;
    let read = |part: Option<&RawValue>| part.map(|part| texts(part).join(" "));
    let parts = [person.given, person.middle, person.dropped_particle, person.particle, person.family, person.suffix];
    let whole = || read(person.literal).or_else(|| read(person.name)).and_then(|name| people::name(&name));
    let inner = || person.author.and_then(self::person);
    let raw = || read(person.raw_author_name).and_then(|name| people::name(&name));
    people::joined(&parts.map(read)).or_else(whole).or_else(inner).or_else(raw)
}

/// arXiv's parsed names: lists of family name, given name, suffix and affiliations.
pub(super) fn parsed_authors(value: &RawValue) -> Vec<String> {
    let name = |parts: &RawValue| {
        let parts: Vec<String> = serde_json::from_str(parts.get()).ok()?;
        people::joined(&[parts.get(1).cloned(), parts.first().cloned(), parts.get(2).cloned()])
    };
    elements(value).into_iter().filter_map(name).collect()
}

/// A date as a string, a year, or CSL's parts: `{"date-parts": [[2020, 6, 15]]}`.
pub(super) fn date(value: &RawValue) -> Option<Date> {
    if !value.get().starts_with('{') {
        return text(value).and_then(|text| dates::parse(&text));
    }
    let parts = member(value, "date-parts").and_then(|parts| elements(parts).first().copied().and_then(date_parts));
    let words = || ["raw", "literal"].iter().find_map(|name| dates::parse(&text(member(value, name)?)?));
    parts.or_else(words)
}

fn date_parts(parts: &RawValue) -> Option<Date> {
    let numbers: Vec<u32> = texts(parts).iter().map_while(|part| part.parse().ok()).collect();
    dates::from_parts(&numbers)
}
