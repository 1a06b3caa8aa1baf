//! Abstracts stored as an inverted index, as OpenAlex does: each word with the positions it stands at.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::ingest::json::keys::Name;
use crate::ingest::json::parts;

/// The text that an index was made of: every word at each of its positions, words of one position in the index's order.
///
/// Also takes an index that was written as a string, and the older form `{"IndexLength", "InvertedIndex"}`.
pub(super) fn text(value: &RawValue) -> Option<String> {
    if let Ok(index) = serde_json::from_str::<Index<'_>>(value.get()) {
        return Some(index.text());
    }
    if value.get().starts_with('"') {
        let inner = parts::string(value.get())?;
        return serde_json::from_str::<Index<'_>>(&inner).ok().map(Index::text);
    }
    text(parts::member(value, "InvertedIndex")?)
}

/// Words, and the places where they stand as (position, word).
struct Index<'a> {
    words: Vec<Cow<'a, str>>,
    places: Vec<(u64, usize)>,
}

impl Index<'_> {
    /// Positions may have gaps, so they are sorted, never used as indices.
    fn text(mut self) -> String {
        self.places.sort_unstable();
        let words: Vec<&str> = self.places.iter().map(|&(_, word)| &*self.words[word]).collect();
        words.join(" ")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Index<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IndexVisitor;
        impl<'de> Visitor<'de> for IndexVisitor {
            type Value = Index<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("words with their positions")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Index<'de>, A::Error> {
                let mut index = Index { words: Vec::new(), places: Vec::new() };
                while let Some(Name(word)) = map.next_key()? {
                    map.next_value_seed(Positions { word: index.words.len(), places: &mut index.places })?;
                    index.words.push(word);
                }
                Ok(index)
            }
        }
        deserializer.deserialize_map(IndexVisitor)
    }
}

/// The positions of one word, put where those of all words are.
struct Positions<'p> {
    word: usize,
    places: &'p mut Vec<(u64, usize)>,
}

impl<'de> DeserializeSeed<'de> for Positions<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Positions<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("positions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut positions: A) -> Result<(), A::Error> {
        while let Some(position) = positions.next_element()? {
            self.places.push((position, self.word));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Option<&str>) {
        let value: &RawValue = serde_json::from_str(json).expect("JSON");
        assert_eq!(text(value).as_deref(), expected, "{json}");
    }

    #[test]
    fn words_come_back_in_their_order() {
        check(r#"{"again": [3, 0], "and": [1, 4], "more": [2]}"#, Some("again and more again and"));
        check(r#"{"late": [900000000000], "early": [1]}"#, Some("early late"));
        check(r#"{"b": [0], "a": [0]}"#, Some("b a"));
        check(r#""{\"caf\\u00e9\": [0]}""#, Some("café"));
        check(r#"{"IndexLength": 1, "InvertedIndex": {"one": [0]}}"#, Some("one"));
        check(r#"{"word": "no positions"}"#, None);
        check("{}", Some(""));
    }
}
