//! How common a word is in scientific prose at large, and how it is written there.
//!
//! Where there is only one theme, or only two papers, nothing else tells a telling word from one that every abstract
//! has. The list is made by `scripts/common-words`.

use std::collections::HashMap;
use std::sync::LazyLock;

const LIST: &str = include_str!("common_words.txt");

/// The class of a word that the list does not have.
const RARE: u8 = 10;

static WORDS: LazyLock<HashMap<String, (u8, &'static str)>> = LazyLock::new(|| {
    let lines = LIST.lines().filter_map(|line| line.split_once(' '));
    let classed = lines.filter_map(|(class, words)| Some((class.parse::<u8>().ok()?, words)));
    classed.flat_map(|(class, words)| words.split(' ').map(move |word| (word.to_lowercase(), (class, word)))).collect()
});

/// How rare a word (in lower case) is, from 0 (in every abstract) to 1 (in fewer than one of a thousand).
pub(super) fn rarity(word: &str) -> f32 {
    f32::from(WORDS.get(word).map_or(RARE, |(class, _)| *class)) / f32::from(RARE)
}

/// A term whose capitals may all be due to its place, as it would stand within a sentence.
pub(super) fn within_sentence(term: &str) -> String {
    term.split(' ').map(word_within_sentence).collect::<Vec<_>>().join(" ")
}

/// A word that is not listed keeps capitals after its first letter, and loses a single one.
fn word_within_sentence(word: &str) -> String {
    let lower = word.to_lowercase();
    let acronym = word.chars().skip(1).any(|c| c.is_uppercase() || c.is_ascii_digit());
    match WORDS.get(&lower) {
        Some((_, spelling)) if !acronym => (*spelling).to_owned(),
        _ if acronym => word.to_owned(),
        _ => lower,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rarer_words_are_rarer() {
        assert!(rarity("and") < rarity("method"));
        assert!(rarity("method") < rarity("bayesian"));
        assert!(rarity("bayesian") < rarity("archaeobotany"));
    }

    #[test]
    fn capitals_of_titles_go_and_those_of_names_stay() {
        assert_eq!(within_sentence("Bayesian Inference of DNA"), "Bayesian inference of DNA");
        assert_eq!(within_sentence("Xyloglucan Layers"), "xyloglucan layers");
    }
}
