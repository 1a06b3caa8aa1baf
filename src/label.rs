//! What a theme is called, which papers stand for it, how themes are related, and whether they grow.
//!
//! Works on words, vectors and counts that it is given; knows no collection and no clock. Ties go to the lower number,
//! so that the same input always gives the same answer.

use std::collections::BTreeMap;
use std::fmt;

use kodama::{Method, linkage};

use crate::terms::{Term, ThemeTerms, overlap};
use crate::vectors::Vectors;

/// Terms that are kept of a theme.
const TERMS: usize = 10;
/// Terms of a name.
const NAME_TERMS: std::ops::RangeInclusive<usize> = 3..=5;
/// A name of more characters takes no further term.
const NAME_LENGTH: usize = 60;
/// What weight is worth beside unlikeness, the lambda of maximal marginal relevance (J. Carbonell and J. Goldstein, "The
/// use of MMR, diversity-based reranking", SIGIR 1998): for the terms of a name, and for papers, which are all alike.
const TERM_RELEVANCE: f32 = 0.7;
const PAPER_RELEVANCE: f32 = 0.5;
/// Members nearest the centroid among which representatives are chosen.
const NEAREST: usize = 100;

/// What a theme is called.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Three to five terms that say different things, apart by commas; of a theme without terms, a title.
    pub name: String,
    /// The weightiest terms, the weightiest first.
    pub terms: Vec<Term>,
}

/// Takes the papers of all themes, one after another, and names the themes.
#[derive(Debug)]
pub struct Labels {
    terms: ThemeTerms,
    titles: Vec<Option<String>>,
}

impl Labels {
    /// Of `n_themes` themes without papers yet.
    pub fn new(n_themes: usize) -> Self {
        Self { terms: ThemeTerms::new(n_themes), titles: vec![None; n_themes] }
    }

    /// Adds a paper to a theme.
    ///
    /// # Panics
    /// Where there is no such theme.
    pub fn add(&mut self, theme: usize, title: &str, abstract_text: &str) {
        self.terms.add(theme, title, abstract_text);
        let name = if title.is_empty() { abstract_text } else { title };
        self.titles[theme].get_or_insert_with(|| shortened(name));
    }

    /// One label a theme, in their order.
    pub fn finish(self) -> Vec<Label> {
        let terms = self.terms.finish(TERMS);
        terms.into_iter().zip(self.titles).map(|(terms, title)| label(terms, title)).collect()
    }
}

fn label(terms: Vec<Term>, title: Option<String>) -> Label {
    let name = if terms.is_empty() { title.unwrap_or_default() } else { name(&terms) };
    Label { name, terms }
}

fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(NAME_LENGTH) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}

/// The terms that weigh most and say least of what another says.
fn name(terms: &[Term]) -> String {
    let unsaid = unsaid(terms);
    let terms = if unsaid.len() < *NAME_TERMS.start() { terms.iter().collect() } else { unsaid };
    let relevance: Vec<f32> = terms.iter().map(|term| term.weight).collect();
    let likeness = |one: usize, other: usize| overlap(&terms[one].text, &terms[other].text);
    let order = diverse(&relevance, likeness, TERM_RELEVANCE, *NAME_TERMS.end());
    let mut name = String::new();
    for (place, &at) in order.iter().enumerate() {
        let length = name.chars().count() + terms[at].text.chars().count() + 2;
        if place >= *NAME_TERMS.start() && length > NAME_LENGTH {
            break;
        }
        if place > 0 {
            name.push_str(", ");
        }
        name.push_str(&terms[at].text);
    }
    name
}

/// The terms that none before says already.
fn unsaid(terms: &[Term]) -> Vec<&Term> {
    let mut kept: Vec<&Term> = Vec::new();
    for term in terms {
        if kept.iter().all(|said| overlap(&said.text, &term.text) < 1.0) {
            kept.push(term);
        }
    }
    kept
}

/// Chooses `n` of the items with a relevance each, by maximal marginal relevance; the first is the most relevant.
fn diverse(relevance: &[f32], likeness: impl Fn(usize, usize) -> f32, lambda: f32, n: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut rest: Vec<usize> = (0..relevance.len()).collect();
    while chosen.len() < n && !rest.is_empty() {
        let worth = |item: usize| {
            let said = chosen.iter().map(|&other| likeness(item, other)).fold(0.0, f32::max);
            lambda * relevance[item] - (1.0 - lambda) * said
        };
        let best = (0..rest.len()).max_by(|&one, &other| {
            worth(rest[one]).total_cmp(&worth(rest[other])).then_with(|| rest[other].cmp(&rest[one]))
        });
        let Some(best) = best else { break };
        chosen.push(rest.remove(best));
    }
    chosen
}

/// Up to `n` of `members` (rows of `vectors`) that stand for a theme: the one nearest its centroid, then near ones that
/// differ from those before.
pub fn representatives(vectors: &Vectors, members: &[usize], centroid: &[f32], n: usize) -> Vec<usize> {
    let mut near: Vec<(f32, usize)> = members.iter().map(|&row| (dot(vectors.row(row), centroid), row)).collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    near.truncate(NEAREST.max(n));
    let relevance: Vec<f32> = near.iter().map(|(similarity, _)| *similarity).collect();
    let likeness = |one: usize, other: usize| dot(vectors.row(near[one].1), vectors.row(near[other].1));
    diverse(&relevance, likeness, PAPER_RELEVANCE, n).into_iter().map(|at| near[at].1).collect()
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// One step of the hierarchy: two nodes become one. A theme is the node of its number; the merge at place `i` of a list
/// for `k` themes makes node `k + i`.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// The node that is made.
    pub node: usize,
    /// The nodes it is made of, the lower first.
    pub children: [usize; 2],
    /// The node that takes it up; `None` for the root.
    pub parent: Option<usize>,
    /// Mean cosine distance between the themes of the two, from 0 to 2.
    pub distance: f32,
    /// Papers in the node.
    pub papers: usize,
}

/// Joins themes, nearest first, until all are one: average linkage on the cosine distance of the centroids. For `k`
/// themes `k - 1` merges, none for fewer than two.
pub fn hierarchy(centroids: &Vectors, sizes: &[usize]) -> Vec<Merge> {
    let themes = centroids.len().min(sizes.len());
    if themes < 2 {
        return Vec::new();
    }
    let pairs = (0..themes).flat_map(|one| (one + 1..themes).map(move |other| (one, other)));
    let mut distances: Vec<f32> =
        pairs.map(|(one, other)| (1.0 - dot(centroids.row(one), centroids.row(other))).max(0.0)).collect();
    let steps = linkage(&mut distances, themes, Method::Average);
    let mut papers: Vec<usize> = sizes[..themes].to_vec();
    let mut merges: Vec<Merge> = Vec::with_capacity(themes - 1);
    for (place, step) in steps.steps().iter().enumerate() {
        let children = [step.cluster1.min(step.cluster2), step.cluster1.max(step.cluster2)];
        let node = themes + place;
        papers.push(children.iter().map(|&child| papers[child]).sum());
        for child in children.iter().filter(|child| **child >= themes) {
            merges[child - themes].parent = Some(node);
        }
        merges.push(Merge { node, children, parent: None, distance: step.dissimilarity, papers: papers[node] });
    }
    merges
}

/// Whether a theme has more papers a year than it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trend {
    /// Which way it goes.
    pub direction: Direction,
    /// The first year that counts.
    pub from: u16,
    /// The last year with a paper.
    pub to: u16,
}

/// Which way a trend goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More papers a year than before.
    Rising,
    /// No change that the number of papers could prove.
    Steady,
    /// Fewer papers a year than before.
    Falling,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rising => "rising",
            Self::Steady => "steady",
            Self::Falling => "falling",
        })
    }
}

impl fmt::Display for Trend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}–{}", self.direction, self.from, self.to)
    }
}

/// Fewer papers, or fewer years, show no trend.
const MIN_PAPERS: usize = 8;
const MIN_YEARS: u16 = 3;

/// The trend in the number of papers by year; `None` where there are too few papers or years to tell.
///
/// Laplace's test: papers that come at a steady rate have a mean year in the middle, with a known spread; two standard
/// deviations off are a trend. The earliest twentieth of the papers is left out, so that one early paper is no trend.
pub fn trend(years: &BTreeMap<u16, usize>) -> Option<Trend> {
    let all: usize = years.values().sum();
    let to = years.iter().rev().find(|(_, papers)| **papers > 0).map(|(year, _)| *year)?;
    let from = year_of_place(years, all / 20)?;
    let counted: usize = years.range(from..=to).map(|(_, papers)| papers).sum();
    let span = to - from + 1;
    if counted < MIN_PAPERS || span < MIN_YEARS {
        return None;
    }
    let sum: f64 = years.range(from..=to).map(|(year, papers)| f64::from(*year) * *papers as f64).sum();
    let off_middle = sum / counted as f64 - f64::from(from + to) / 2.0;
    let spread = ((f64::from(span).powi(2) - 1.0) / 12.0 / counted as f64).sqrt();
    let direction = match off_middle / spread {
        deviation if deviation > 2.0 => Direction::Rising,
        deviation if deviation < -2.0 => Direction::Falling,
        _ => Direction::Steady,
    };
    Some(Trend { direction, from, to })
}

/// The year of the paper at `place` in the order of years.
fn year_of_place(years: &BTreeMap<u16, usize>, place: usize) -> Option<u16> {
    let mut before = 0;
    years.iter().find_map(|(year, papers)| {
        before += papers;
        (before > place).then_some(*year)
    })
}
