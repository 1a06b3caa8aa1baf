//! One paper of two records, and what keeps two papers apart.
//!
//! Merging is symmetric: which record comes first is decided by the records.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::paper::{Date, Identifier, Paper, PaperId, Provenance, text_hash, title_key};

/// The field of [`Paper::extra`] that lists the ids of its versions under other titles.
pub const RENAMED: &str = "renamed";

/// The field of [`Paper::extra`] that says that the list of authors is cut short.
const ET_AL: &str = "et_al";

/// Makes one paper of two: the fuller abstract, the union of the other fields, every id and every provenance. Named by
/// the best identifier of the two.
#[must_use]
pub fn merge(one: Paper, other: &Paper) -> Paper {
    if canonical_order(&one) <= canonical_order(other) { merged(one, other) } else { merged(other.clone(), &one) }
}

fn merged(first: Paper, second: &Paper) -> Paper {
    let (id, aliases) = united_ids(&first, second);
    let doi = doi_of(&id).or_else(|| smallest(first.doi.as_deref(), second.doi.as_deref()));
    let (authors, et_al) = fuller_authors(&first, second);
    let mut extra = united_extra(first.extra, &second.extra);
    extra.remove(ET_AL);
    extra.extend(et_al.map(|flag| (ET_AL.to_owned(), flag)));
    drop_own_names(&mut extra, &id, &aliases);
    Paper {
        id,
        aliases,
        doi,
        authors,
        extra,
        title: better(first.title, &second.title, title_rank),
        abstract_text: better(first.abstract_text, &second.abstract_text, text_rank),
        date: earlier(first.date, second.date),
        categories: united(first.categories, &second.categories, str::to_owned),
        venue: better_option(first.venue, second.venue.as_ref(), venue_rank),
        url: first.url.or_else(|| second.url.clone()),
        keywords: united(first.keywords, &second.keywords, str::to_lowercase),
        provenance: united_provenance(first.provenance, &second.provenance),
    }
}

/// The order in which records are taken: by what names them, then by what they say. Equal only for equal records.
pub(super) fn canonical_order(paper: &Paper) -> (u8, PaperId, String) {
    (rank(&paper.id), paper.id.clone(), format!("{paper:?}"))
}

/// The place of an id among those that can name a paper: as [`Identifier::rank`], made-up ones last.
fn rank(id: &PaperId) -> u8 {
    if is_made_up(id) { u8::MAX } else { Identifier::parse(id.as_str()).rank() }
}

fn is_made_up(id: &PaperId) -> bool {
    let made = id.as_str().strip_prefix("TITLE:").or_else(|| id.as_str().strip_prefix("TEXT:"));
    made.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn united_ids(first: &Paper, second: &Paper) -> (PaperId, Vec<PaperId>) {
    let mut ids: Vec<PaperId> = first.ids().chain(second.ids()).cloned().collect();
    ids.sort_by_cached_key(|id| (rank(id), id.clone()));
    ids.dedup();
    let id = ids.remove(0);
    ids.sort();
    (id, ids)
}

fn doi_of(id: &PaperId) -> Option<String> {
    Identifier::parse(id.as_str()).doi().map(str::to_owned)
}

fn smallest(one: Option<&str>, other: Option<&str>) -> Option<String> {
    one.into_iter().chain(other).min().map(str::to_owned)
}

/// The longer list; between equally long ones the one that is not cut short, then the one with fuller names.
fn fuller_authors(first: &Paper, second: &Paper) -> (Vec<String>, Option<Value>) {
    let fullness = |paper: &Paper| {
        let letters: usize = paper.authors.iter().map(|name| name.chars().count()).sum();
        (paper.authors.len(), !paper.extra.contains_key(ET_AL), letters, Reverse(paper.authors.clone()))
    };
    let fuller = if fullness(second) > fullness(first) { second } else { first };
    (fuller.authors.clone(), fuller.extra.get(ET_AL).cloned())
}

fn better<R: Ord>(first: String, second: &str, rank: impl Fn(&str) -> R) -> String {
    if (rank(second), Reverse(second)) > (rank(&first), Reverse(first.as_str())) { second.to_owned() } else { first }
}

fn better_option<R: Ord>(first: Option<String>, second: Option<&String>, rank: impl Fn(&str) -> R) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) => Some(better(first, second, rank)),
        (first, second) => first.or_else(|| second.cloned()),
    }
}

/// Not cut, not in capitals throughout, then the longer one.
fn title_rank(title: &str) -> (bool, bool, bool, usize) {
    let letters = || title.chars().filter(|c| c.is_alphabetic());
    let shouted = letters().count() > 3 && letters().all(char::is_uppercase);
    (!title.is_empty(), !is_cut(title), !shouted, title.chars().count())
}

/// The longer one; a cut one only where there is no other.
fn text_rank(text: &str) -> (bool, bool, usize) {
    (!text.is_empty(), !is_cut(text), text.chars().count())
}

fn is_cut(text: &str) -> bool {
    text.ends_with('…') || text.ends_with("...")
}

/// A journal or conference says more than the server of the preprint.
fn venue_rank(venue: &str) -> (bool, usize) {
    let lower = venue.to_lowercase();
    let preprint = ["arxiv", "corr", "biorxiv", "medrxiv", "preprint", "ssrn"].iter().any(|word| lower.contains(word));
    (!preprint, venue.chars().count())
}

/// When it was first public: the earlier year, and within a year the more exact date.
fn earlier(first: Option<Date>, second: Option<Date>) -> Option<Date> {
    first.into_iter().chain(second).min_by_key(|date| (date.year(), Reverse(date.exactness()), *date))
}

fn united(first: Vec<String>, second: &[String], key: impl Fn(&str) -> String) -> Vec<String> {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    first.into_iter().chain(second.iter().cloned()).filter(|entry| seen.insert(key(entry))).collect()
}

fn united_provenance(mut first: Vec<Provenance>, second: &[Provenance]) -> Vec<Provenance> {
    first.extend_from_slice(second);
    first.sort();
    first.dedup();
    first
}

/// Lists are united and flags raised; of other values the first record's stay.
fn united_extra(mut first: BTreeMap<String, Value>, second: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    for (name, value) in second {
        match (first.get_mut(name), value) {
            (None, value) => {
                first.insert(name.clone(), value.clone());
            }
            (Some(Value::Array(list)), Value::Array(more)) => {
                let fresh: Vec<Value> = more.iter().filter(|entry| !list.contains(entry)).cloned().collect();
                list.extend(fresh);
            }
            (Some(Value::Bool(flag)), Value::Bool(other)) => *flag |= other,
            _ => {}
        }
    }
    first
}

/// A paper is no renamed version of itself, even where a third record joined the two.
fn drop_own_names(extra: &mut BTreeMap<String, Value>, id: &PaperId, aliases: &[PaperId]) {
    let Some(Value::Array(renamed)) = extra.get_mut(RENAMED) else { return };
    let own = |name: &str| id.as_str() == name || aliases.iter().any(|alias| alias.as_str() == name);
    renamed.retain(|name| !name.as_str().is_some_and(own));
    if renamed.is_empty() {
        extra.remove(RENAMED);
    }
}

/// Notes on both papers that the other is a version of it under another title, in [`RENAMED`]; whether that is new.
pub fn link(one: &mut Paper, other: &mut Paper) -> bool {
    let new = add_renamed(one, &other.id);
    add_renamed(other, &one.id) || new
}

fn add_renamed(paper: &mut Paper, id: &PaperId) -> bool {
    let entry = paper.extra.entry(RENAMED.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(list) = entry else { return false };
    let name = Value::from(id.as_str());
    if list.contains(&name) {
        return false;
    }
    list.push(name);
    list.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
    true
}

/// Takes from `paper` the names that belong to `other`, a different paper: two lists may count alike, and two papers may
/// have one title. Where no name is left, it is named after all that it says.
pub fn separate(paper: &mut Paper, other: &Paper) {
    let taken: BTreeSet<&PaperId> = other.ids().collect();
    let kept: Vec<PaperId> = paper.ids().filter(|id| !taken.contains(id)).cloned().collect();
    if kept.len() == paper.aliases.len() + 1 {
        return;
    }
    keep_names(paper, kept);
}

fn keep_names(paper: &mut Paper, mut kept: Vec<PaperId>) {
    kept.sort_by_cached_key(|id| (rank(id), id.clone()));
    if kept.is_empty() {
        kept.push(full_hash(paper));
    }
    paper.id = kept.remove(0);
    kept.sort();
    paper.aliases = kept;
    paper.doi = doi_of(&paper.id).or_else(|| paper.aliases.iter().find_map(doi_of));
}

fn full_hash(paper: &Paper) -> PaperId {
    let said = format!("{}\n{}\n{}", title_key(&paper.title), paper.abstract_text, paper.authors.join("\n"));
    let place = paper.provenance.first().map(|place| format!("{place:?}")).unwrap_or_default();
    PaperId::new(format!("TEXT:{}", &text_hash(&format!("{said}\n{place}"))[..16]))
}

/// Gives every name to the first of the papers that has it.
pub(super) fn part_ids(papers: &mut [Paper]) {
    let mut taken: BTreeSet<PaperId> = BTreeSet::new();
    for paper in papers {
        if paper.ids().any(|id| taken.contains(id)) {
            let kept = paper.ids().filter(|id| !taken.contains(id)).cloned().collect();
            keep_names(paper, kept);
        }
        taken.extend(paper.ids().cloned());
    }
}
