//! What the running text of a page says about words that its titles and names leave open.
//!
//! A word that occurs in small letters is an ordinary word, and hardly part of a name; a word that occurs at all is a
//! whole word, and a likely end of a title; a name that stands clearly by itself somewhere is a name everywhere.

use std::collections::HashSet;

/// The words and names of one page. Only asked for membership, so its order never shows.
#[derive(Debug, Default)]
pub(super) struct Vocabulary<'t> {
    words: HashSet<&'t str>,
    pairs: HashSet<(&'t str, &'t str)>,
    names: HashSet<&'t str>,
}

impl<'t> Vocabulary<'t> {
    /// Learns from running text.
    pub(super) fn from_lines(lines: impl IntoIterator<Item = &'t str>) -> Self {
        let mut vocabulary = Self::default();
        for line in lines {
            let words = words(line);
            vocabulary
                .pairs
                .extend(words.windows(2).filter(|two| two.iter().all(|w| is_small(w))).map(|two| (two[0], two[1])));
            vocabulary
                .words
                .extend(words.iter().copied().flat_map(|word| std::iter::once(word).chain(word.split('-'))));
        }
        vocabulary
    }

    /// Adds names that stand clearly by themselves.
    #[must_use]
    pub(super) fn with_names(mut self, names: impl IntoIterator<Item = &'t str>) -> Self {
        self.names.extend(names);
        self
    }

    /// Whether the page uses this word, as it is written or, from four letters on, in small letters and in the other
    /// number; of a word with hyphens, the last part.
    pub(super) fn has_word(&self, word: &str) -> bool {
        let other_number = |word: &str| match word.strip_suffix('s') {
            Some(one) => self.is_ordinary(one),
            None => self.is_ordinary(&format!("{word}s")),
        };
        let knows =
            |word: &str| self.words.contains(word) || word.len() >= 4 && (self.is_ordinary(word) || other_number(word));
        knows(word) || word.rsplit_once('-').is_some_and(|(_, last)| knows(last))
    }

    /// Whether the page uses exactly this word, capitals and all.
    pub(super) fn has_exactly(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// Whether the page uses this word in small letters.
    pub(super) fn is_ordinary(&self, word: &str) -> bool {
        self.words.contains(word.to_lowercase().as_str())
    }

    /// Whether the page uses these two words one after the other in small letters.
    pub(super) fn is_phrase(&self, first: &str, second: &str) -> bool {
        self.pairs.contains(&(first.to_lowercase().as_str(), second.to_lowercase().as_str()))
    }

    /// Whether this is one of the names that stand by themselves.
    pub(super) fn is_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

/// The words of a line without the punctuation around them.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|w| !w.is_empty())
        .collect()
}

fn is_small(word: &str) -> bool {
    word.chars().all(|c| c.is_lowercase() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_text_tells_ordinary_words_from_names() {
        let vocabulary = Vocabulary::from_lines(["We study deep sets (DeepSets) with multi-head attention. Will it?"]);
        assert!(vocabulary.is_ordinary("Deep") && vocabulary.is_phrase("Deep", "Sets"));
        assert!(!vocabulary.is_ordinary("Will") && !vocabulary.is_phrase("Sets", "With-"));
        assert!(vocabulary.has_word("DeepSets") && vocabulary.has_word("Self-Attention"));
        assert!(vocabulary.has_exactly("Will") && !vocabulary.has_exactly("will"));
    }
}
