//! The terms of themes, by c-TF-IDF, in one pass over the papers.
//!
//! A term weighs `tf * ln(1 + A / f)` in a theme: `tf` its share of the theme's terms, `f` how often it occurs in all
//! themes and `A` how many terms a theme has on average (M. Grootendorst, "BERTopic: Neural topic modeling with a
//! class-based TF-IDF procedure", arXiv:2203.05794). A term counts once a paper, twice where it stands in the title.
//!
//! Memory is bounded: when too many terms have been seen, those seen in the fewest papers are forgotten (G. Manku and
//! R. Motwani, "Approximate frequency counts over data streams", VLDB 2002). Small themes, whose terms are all rare,
//! keep their texts instead.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::common;
use super::overlap::overlap;
use super::phrases::{Candidate, Place, Words, for_each_candidate};

/// Terms that are remembered at most.
const MAX_ENTRIES: usize = 1_500_000;
/// Spellings that are remembered of a term.
const MAX_SPELLINGS: usize = 5;
/// Themes of so few papers keep their texts.
const SMALL_THEME: usize = 4;
/// Of the candidates of a theme, how many are compared with each other for each that is wanted.
const CANDIDATES_PER_TERM: usize = 12;

/// Themes of fewer papers fall back on terms of one paper, where no two papers share one.
const THIN_THEME: u32 = 30;
/// So many terms are wanted even of those.
const FEWEST_TERMS: usize = 3;

/// A term of a theme.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// As the papers write it.
    pub text: String,
    /// Its c-TF-IDF, one for the weightiest term of the theme.
    pub weight: f32,
}

/// Counts the terms of papers by theme.
#[derive(Debug)]
pub struct ThemeTerms {
    themes: Vec<Theme>,
    entries: Entries,
    papers: u64,
}

type Entries = HashMap<u64, Entry, BuildHasherDefault<KeyHasher>>;

#[derive(Debug, Default)]
struct Theme {
    papers: u32,
    /// Sum of the counts of its terms.
    terms: u64,
    /// Title and text of its first papers.
    texts: Vec<(String, String)>,
}

/// What is known of a term.
#[derive(Debug)]
struct Entry {
    words: Words,
    rarity: f32,
    is_common: bool,
    papers: u32,
    /// Papers and counts by theme, sorted by theme.
    by_theme: Vec<(u32, u32, u32)>,
    spellings: Vec<(Box<str>, u32)>,
}

impl ThemeTerms {
    /// No papers yet in `n_themes` themes.
    pub fn new(n_themes: usize) -> Self {
        let mut themes = Vec::new();
        themes.resize_with(n_themes, Theme::default);
        Self { themes, entries: Entries::default(), papers: 0 }
    }

    /// Counts a paper's terms.
    ///
    /// # Panics
    /// Where there is no such theme.
    pub fn add(&mut self, theme: usize, title: &str, abstract_text: &str) {
        let found = terms_of(title, abstract_text);
        let counted = &mut self.themes[theme];
        counted.papers += 1;
        self.papers += 1;
        if counted.texts.len() < SMALL_THEME {
            counted.texts.push((title.to_owned(), abstract_text.to_owned()));
        }
        for (key, found) in found {
            counted.terms += u64::from(found.count);
            self.entries.entry(key).or_insert_with(|| Entry::of(&found.candidate)).count(theme as u32, &found);
        }
        if self.entries.len() > MAX_ENTRIES {
            self.forget_the_rarest();
        }
    }

    /// The weightiest terms of each theme, at most `limit`, the weightiest first.
    pub fn finish(mut self, limit: usize) -> Vec<Vec<Term>> {
        self.restore_small_themes();
        let mut candidates = self.candidates();
        candidates.iter_mut().map(|scored| chosen(std::mem::take(scored), limit)).collect()
    }

    fn forget_the_rarest(&mut self) {
        let mut papers = 1;
        while self.entries.len() > MAX_ENTRIES / 2 {
            self.entries.retain(|_, entry| entry.papers > papers);
            papers += 1;
        }
        self.entries.shrink_to(MAX_ENTRIES);
    }

    /// Terms of small themes that were forgotten are counted again from the kept texts.
    fn restore_small_themes(&mut self) {
        for (number, theme) in self.themes.iter().enumerate().filter(|(_, theme)| theme.papers as usize <= SMALL_THEME)
        {
            let mut again: BTreeMap<u64, Entry> = BTreeMap::new();
            for (title, text) in &theme.texts {
                for (key, found) in terms_of(title, text) {
                    again.entry(key).or_insert_with(|| Entry::of(&found.candidate)).count(number as u32, &found);
                }
            }
            for (key, entry) in again {
                self.entries.entry(key).or_insert(entry);
            }
        }
    }

    /// The terms of each theme that enough of its papers have, scored, the weightiest first.
    fn candidates(&self) -> Vec<Vec<Scored>> {
        let mean = self.themes.iter().map(|theme| theme.terms).sum::<u64>() as f64 / self.themes.len().max(1) as f64;
        let mut candidates: Vec<Vec<Scored>> = self.themes.iter().map(|_| Vec::new()).collect();
        for (key, entry) in &self.entries {
            let total: u32 = entry.by_theme.iter().map(|(_, _, count)| count).sum();
            let idf = (1.0 + mean / f64::from(total.max(1))).ln() * self.weight_in_general(entry);
            for &(theme, papers, count) in entry.by_theme.iter().filter(|_| idf > 0.0) {
                let of = &self.themes[theme as usize];
                let is_thin = papers < fewest_papers(of.papers);
                if !is_thin || of.papers < THIN_THEME {
                    let score = f64::from(count) / of.terms.max(1) as f64 * idf;
                    candidates[theme as usize].push(Scored::of(*key, entry, papers, score, is_thin));
                }
            }
        }
        for scored in &mut candidates {
            scored.sort_by(|one, other| one.rank().partial_cmp(&other.rank()).unwrap_or(Ordering::Equal));
        }
        candidates
    }

    /// What a term is worth wherever it stands: words of every field little, phrases much, chance neighbours nothing.
    fn weight_in_general(&self, entry: &Entry) -> f64 {
        let words = entry.words.iter().filter(|word| **word != 0).count();
        let lift = if words > 1 { self.lift(entry) } else { f64::INFINITY };
        let prior = f64::from(entry.rarity).powf(if self.themes.len() < 3 { 1.5 } else { 0.75 });
        match (words, entry.is_common) {
            (1, true) => 0.0,
            (1, false) => prior,
            (_, true) if lift < 20.0 => 0.0,
            (_, true) => 0.5 * prior,
            _ if lift < 2.0 => 0.0,
            (2, false) => 1.6 * prior.max(0.4),
            _ => 1.8 * prior.max(0.4),
        }
    }

    /// How many times more papers have the phrase than would if its words met by chance.
    fn lift(&self, entry: &Entry) -> f64 {
        let papers = self.papers as f64;
        let mut by_chance = 1.0;
        for word in entry.words.iter().filter(|word| **word != 0) {
            // A word that was forgotten is in few papers: its phrase is no chance.
            by_chance *= self.entries.get(word).map_or(1.0, |word| f64::from(word.papers)) / papers;
        }
        let margin = if papers < 50.0 { 2.0 } else { 1.0 };
        margin * f64::from(entry.papers) / (papers * by_chance)
    }
}

/// A term in one paper is no term of a theme, unless the theme is tiny.
fn fewest_papers(papers: u32) -> u32 {
    match papers {
        0..=2 => 1,
        3..THIN_THEME => 2,
        _ => (papers / 50).clamp(3, 40),
    }
}

impl Entry {
    fn of(candidate: &Candidate<'_>) -> Self {
        let Candidate { words, rarity, is_common, .. } = *candidate;
        Self { words, rarity, is_common, papers: 0, by_theme: Vec::new(), spellings: Vec::new() }
    }

    fn count(&mut self, theme: u32, found: &Found<'_>) {
        self.papers += 1;
        match self.by_theme.binary_search_by_key(&theme, |counted| counted.0) {
            Ok(at) => {
                self.by_theme[at].1 += 1;
                self.by_theme[at].2 += found.count;
            }
            Err(at) => self.by_theme.insert(at, (theme, 1, found.count)),
        }
        let vote = if found.candidate.capital_is_custom { 0 } else { 1 };
        match self.spellings.iter().position(|(text, _)| &**text == found.candidate.text) {
            Some(at) => self.spellings[at].1 += vote,
            None if self.spellings.len() < MAX_SPELLINGS => self.spellings.push((found.candidate.text.into(), vote)),
            None => {}
        }
    }

    /// The commonest spelling; where every one stood in a title or began a sentence, one without its capital.
    fn spelling(&self) -> String {
        let best = self.spellings.iter().max_by(|one, other| (one.1, &other.0).cmp(&(other.1, &one.0)));
        let Some((text, votes)) = best else { return String::new() };
        if *votes > 0 { joined_lines(text) } else { common::within_sentence(&joined_lines(text)) }
    }
}

fn joined_lines(text: &str) -> String {
    text.replace('\n', " ")
}

/// A term in one paper.
struct Found<'t> {
    candidate: Candidate<'t>,
    /// One, and one more for the title.
    count: u32,
}

fn terms_of<'t>(title: &'t str, abstract_text: &'t str) -> BTreeMap<u64, Found<'t>> {
    let mut found: BTreeMap<u64, Found<'t>> = BTreeMap::new();
    for_each_candidate(title, Place::Title, |candidate| {
        found.entry(candidate.key).or_insert(Found { candidate, count: 2 });
    });
    for_each_candidate(abstract_text, Place::Body, |candidate| {
        let entry = found.entry(candidate.key).or_insert_with(|| Found { candidate: candidate.clone(), count: 1 });
        // The abstract shows how a word is written where no rule of titles changes it.
        if entry.candidate.capital_is_custom && !candidate.capital_is_custom {
            entry.candidate = candidate;
        }
    });
    found
}

/// A candidate of one theme.
#[derive(Debug, Clone)]
struct Scored {
    key: u64,
    words: Words,
    papers: u32,
    score: f64,
    text: String,
    /// Whether too few papers of the theme have it.
    is_thin: bool,
}

impl Scored {
    fn of(key: u64, entry: &Entry, papers: u32, score: f64, is_thin: bool) -> Self {
        Self { key, words: entry.words, papers, score, text: entry.spelling(), is_thin }
    }

    /// The order of candidates: the weightiest first, thin ones last.
    fn rank(&self) -> (bool, f64, &str) {
        (self.is_thin, -self.score, &self.text)
    }

    fn count_words(&self) -> usize {
        self.words.iter().filter(|word| **word != 0).count()
    }

    fn is_word(&self) -> bool {
        self.count_words() == 1
    }

    fn contains(&self, other: &Self) -> bool {
        self.count_words() > other.count_words()
            && other.words.iter().filter(|word| **word != 0).all(|word| self.words.contains(word))
    }
}

/// The first terms that are not said by a longer one: `neural network` goes where `deep neural network` is meant.
fn chosen(mut scored: Vec<Scored>, limit: usize) -> Vec<Term> {
    scored.truncate(limit * CANDIDATES_PER_TERM);
    let said = |term: &Scored| {
        scored.iter().any(|longer| longer.contains(term) && 2 * longer.papers >= term.papers && longer.key != term.key)
    };
    let mut kept: Vec<&Scored> = scored.iter().filter(|term| !said(term)).collect();
    kept = without_extensions(&kept);
    let solid = kept.iter().filter(|term| !term.is_thin).count();
    kept.truncate(limit.min(solid.max(FEWEST_TERMS)));
    let top = kept.iter().map(|term| term.score).fold(f64::MIN_POSITIVE, f64::max);
    let terms = kept.into_iter();
    terms.map(|term| Term { text: term.text.clone(), weight: (term.score / top) as f32 }).collect()
}

/// A longer term that few of the papers with the shorter one have adds nothing beside it, nor does the same word with
/// another ending.
fn without_extensions<'s>(terms: &[&'s Scored]) -> Vec<&'s Scored> {
    let mut kept: Vec<&Scored> = Vec::new();
    for &term in terms {
        let adds = |said: &&Scored| !term.contains(said) || 4 * term.papers >= said.papers;
        let inflected = |said: &&Scored| said.is_word() && term.is_word() && overlap(&said.text, &term.text) == 1.0;
        if kept.iter().all(adds) && !kept.iter().any(inflected) {
            kept.push(term);
        }
    }
    kept
}

/// Keys are hashes already.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
