//! What two papers have in common, in words: the reason of a recommendation.

use std::collections::BTreeMap;

use super::common;
use super::phrases::{Candidate, Place, Words, for_each_candidate};

/// The terms that two texts share, the most telling first, at most `limit`. A text is a title and an abstract.
pub fn shared(one: &str, other: &str, limit: usize) -> Vec<String> {
    let (one, other) = (weighed(one), weighed(other));
    let both = one.into_iter().filter_map(|(key, mine)| Some((mine, other.get(&key)?)));
    let mut terms: Vec<Common<'_>> = both.map(|(mine, theirs)| in_both(mine, theirs)).collect();
    terms.retain(|term| term.weight > 0.0);
    terms.sort_by(|one, other| other.weight.total_cmp(&one.weight).then_with(|| one.text.cmp(other.text)));
    let mut kept: Vec<&Common<'_>> = Vec::new();
    for term in &terms {
        if kept.len() < limit && !kept.iter().any(|said| overlap(&said.words, &term.words)) {
            kept.push(term);
        }
    }
    kept.into_iter().map(Common::shown).collect()
}

struct Common<'t> {
    weight: f32,
    words: Words,
    text: &'t str,
    capital_is_custom: bool,
}

impl<'t> Common<'t> {
    fn of(candidate: &Candidate<'t>) -> Self {
        let Candidate { words, text, capital_is_custom, .. } = *candidate;
        Self { weight: 0.0, words, text, capital_is_custom }
    }

    /// Takes the other's spelling where only this one's capitals are due to its place.
    fn respell(&mut self, text: &'t str, capital_is_custom: bool) {
        if self.capital_is_custom && !capital_is_custom {
            self.text = text;
            self.capital_is_custom = false;
        }
    }

    fn shown(&self) -> String {
        let line = self.text.replace('\n', " ");
        if self.capital_is_custom { common::within_sentence(&line) } else { line }
    }
}

/// Whether one of two terms has a word of the other.
fn overlap(one: &Words, other: &Words) -> bool {
    one.iter().any(|word| *word != 0 && other.contains(word))
}

fn in_both<'t>(mut mine: Common<'t>, theirs: &Common<'t>) -> Common<'t> {
    mine.weight = mine.weight.min(theirs.weight);
    mine.respell(theirs.text, theirs.capital_is_custom);
    mine
}

/// The terms of a text by their key. Its first sentence is taken for a title.
fn weighed(text: &str) -> BTreeMap<u64, Common<'_>> {
    let (title, rest) = text.split_at(text.find(". ").map_or(0, |end| end + 1));
    let mut terms: BTreeMap<u64, Common<'_>> = BTreeMap::new();
    for (part, place) in [(title, Place::Title), (rest, Place::Body)] {
        for_each_candidate(part, place, |candidate| {
            let weight = weight(&candidate, place);
            let term = terms.entry(candidate.key).or_insert_with(|| Common::of(&candidate));
            term.respell(candidate.text, candidate.capital_is_custom);
            // Said twice is more than said once, and less than twice as much.
            term.weight = term.weight.max(weight) + 0.2 * term.weight.min(weight);
        });
    }
    terms
}

/// Rare words and phrases tell more, and so does what stands in the title.
fn weight(candidate: &Candidate<'_>, place: Place) -> f32 {
    let words = candidate.words.iter().filter(|word| **word != 0).count();
    if candidate.is_common || (words == 1 && candidate.rarity < 0.35) {
        return 0.0;
    }
    let length = [0.0, 1.0, 2.2, 2.6][words];
    let place = if place == Place::Title { 1.3 } else { 1.0 };
    candidate.rarity * candidate.rarity * length * place
}
