//! Which records are the same paper, which are versions under another title, and which only look alike.
//!
//! [`Index`] finds the few papers worth a comparison from small [`Keys`]; [`judge`] decides about two whole papers;
//! [`merge`] makes one of two. [`dedupe`] does all three in memory, and what it returns does not depend on the order of
//! its input. Papers that differ are never merged: where evidence conflicts, both are kept.

mod authors;
mod evidence;
mod keys;
mod merge;
mod sketch;
mod titles;

pub use evidence::{Verdict, judge};
pub use keys::{Index, Keys, Row};
pub use merge::{RENAMED, link, merge, separate};

use std::collections::BTreeMap;

use crate::paper::{Paper, PaperId};
use evidence::{Evidence, evidence};

/// A key that more papers share belongs to a template or a rubric and says nothing about any two of them.
const MAX_SHARING: usize = 64;

/// A text under more titles than this is a template, not a paper that was renamed.
const MAX_TITLES: usize = 4;

/// What became of a list of papers.
#[derive(Debug, Clone, PartialEq)]
pub struct Deduped {
    /// Every paper once, sorted by id.
    pub papers: Vec<Paper>,
    /// How many records were merged into another.
    pub merged: usize,
    /// Versions of one paper under different titles, the smaller id first; each also names the other in its
    /// [`RENAMED`] field.
    pub links: Vec<(PaperId, PaperId)>,
}

/// Merges duplicates and links renamed versions.
pub fn dedupe(papers: Vec<Paper>) -> Deduped {
    let records = papers.len();
    let mut papers = papers;
    // A merged paper says more than its records did, and may turn out to be the same as another.
    loop {
        papers.sort_by_cached_key(merge::canonical_order);
        let groups = Groups::of(&papers);
        let members = groups.lists();
        if members.len() == papers.len() {
            merge::part_ids(&mut papers);
            return linked(papers, records, groups.renamed);
        }
        papers = members.iter().map(|group| merged_group(&papers, group)).collect();
    }
}

fn merged_group(papers: &[Paper], group: &[usize]) -> Paper {
    let first = papers[group[0]].clone();
    group[1..].iter().fold(first, |whole, &at| merge(whole, &papers[at]))
}

fn linked(mut papers: Vec<Paper>, records: usize, mut renamed: Vec<(usize, usize)>) -> Deduped {
    let mut titles: BTreeMap<usize, usize> = BTreeMap::new();
    for at in renamed.iter().flat_map(|&(one, other)| [one, other]) {
        *titles.entry(at).or_insert(1) += 1;
    }
    renamed.retain(|(one, other)| titles[one].max(titles[other]) <= MAX_TITLES);
    renamed.sort_unstable();
    let mut links: Vec<(PaperId, PaperId)> =
        renamed.iter().map(|&(one, other)| link_pair(&mut papers, one, other)).collect();
    links.sort();
    papers.sort_by(|one, other| one.id.cmp(&other.id));
    Deduped { merged: records - papers.len(), papers, links }
}

fn link_pair(papers: &mut [Paper], one: usize, other: usize) -> (PaperId, PaperId) {
    let (head, tail) = papers.split_at_mut(other);
    let (one, other) = (&mut head[one], &mut tail[0]);
    link(one, other);
    let (one, other) = (one.id.clone(), other.id.clone());
    if one <= other { (one, other) } else { (other, one) }
}

fn ordered((one, other): (usize, usize)) -> (usize, usize) {
    (one.min(other), one.max(other))
}

/// Which papers are one, as a forest of parents.
struct Groups {
    parents: Vec<usize>,
    members: BTreeMap<usize, Vec<usize>>,
    renamed: Vec<(usize, usize)>,
}

impl Groups {
    /// Compares all candidates and joins them, the surest first, so that weak evidence never bridges two papers that
    /// differ from each other.
    fn of(papers: &[Paper]) -> Self {
        let mut groups = Self { parents: (0..papers.len()).collect(), members: BTreeMap::new(), renamed: Vec::new() };
        let mut same = Vec::new();
        for (one, other) in candidate_pairs(papers) {
            match evidence(&papers[one], &papers[other]) {
                Evidence::Same(certainty) => same.push((std::cmp::Reverse(certainty), one, other)),
                Evidence::Renamed => groups.renamed.push((one, other)),
                Evidence::Conflict | Evidence::None => {}
            }
        }
        same.sort_unstable();
        for (_, one, other) in same {
            groups.join(one, other, papers);
        }
        groups
    }

    /// The papers of each group, in order.
    fn lists(&self) -> Vec<Vec<usize>> {
        let mut lists: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for at in 0..self.parents.len() {
            lists.entry(self.root(at)).or_default().push(at);
        }
        lists.into_values().collect()
    }

    fn root(&self, at: usize) -> usize {
        let mut at = at;
        while self.parents[at] != at {
            at = self.parents[at];
        }
        at
    }

    fn join(&mut self, one: usize, other: usize, papers: &[Paper]) {
        let (one, other) = ordered((self.root(one), self.root(other)));
        if one == other || self.are_kept_apart(one, other, papers) {
            return;
        }
        self.parents[other] = one;
        let moved = self.members.remove(&other).unwrap_or_else(|| vec![other]);
        self.members.entry(one).or_insert_with(|| vec![one]).extend(moved);
    }

    fn are_kept_apart(&self, one: usize, other: usize, papers: &[Paper]) -> bool {
        let members = |root: usize| self.members.get(&root).map_or(std::slice::from_ref(&self.parents[root]), |m| m);
        members(one).iter().any(|&a| {
            let apart = |&b: &usize| matches!(evidence(&papers[a], &papers[b]), Evidence::Conflict | Evidence::Renamed);
            members(other).iter().any(apart)
        })
    }
}

/// Pairs that share a key, each once, in order.
fn candidate_pairs(papers: &[Paper]) -> Vec<(usize, usize)> {
    let keys: Vec<Keys> = papers.iter().map(Keys::of).collect();
    let mut entries: Vec<(u32, usize)> =
        keys.iter().enumerate().flat_map(|(at, keys)| keys.hashes().map(move |hash| (hash, at))).collect();
    entries.sort_unstable();
    entries.dedup();
    let mut pairs = Vec::new();
    for sharing in entries.chunk_by(|one, other| one.0 == other.0).filter(|sharing| sharing.len() <= MAX_SHARING) {
        for (place, &(_, one)) in sharing.iter().enumerate() {
            pairs.extend(sharing[place + 1..].iter().map(|&(_, other)| (one, other)));
        }
    }
    // A name is evidence however many records carry it; a chain of neighbours joins them all.
    let mut names: Vec<(&PaperId, usize)> =
        papers.iter().enumerate().flat_map(|(at, paper)| paper.ids().map(move |id| (id, at))).collect();
    names.sort_unstable();
    pairs.extend(names.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| (pair[0].1, pair[1].1)));
    pairs.retain(|(one, other)| one != other);
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}
