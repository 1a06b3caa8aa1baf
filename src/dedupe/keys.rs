//! Small keys by which papers that may be the same find each other.
//!
//! A key is a 32-bit hash: about twelve a paper, eight bytes each in the index, so that a million papers take about
//! 130 MB. Keys find; they never decide.

use std::collections::{BTreeSet, HashMap};

use super::sketch::{BANDS, Words, hashed};
use super::{MAX_SHARING, authors, titles};
use crate::paper::{Date, Paper};

/// Changes when stored keys no longer mean the same.
const VERSION: u8 = 1;

/// Entries that are kept in a tree before they are sorted into the list.
const MIN_RECENT: usize = 1 << 14;

/// Where a paper stands in a collection.
pub type Row = i64;

/// What a paper is found by: its identifiers, its title, its group of authors, the opening and the sketch of its abstract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    names: Vec<u32>,
    contents: Vec<u32>,
}

impl Keys {
    /// The keys of a paper.
    pub fn of(paper: &Paper) -> Self {
        let mut names: Vec<u32> = paper.ids().map(|id| key("id", id.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        let mut contents = Vec::with_capacity(3 + BANDS);
        contents.extend(title_hash(paper));
        contents.extend(authors::group(&paper.authors).map(|families| key("authors", &families)));
        let words = Words::of(&paper.abstract_text);
        if !words.is_empty() {
            contents.extend(words.opening().map(|opening| opening as u32));
            contents.extend(words.bands().map(|band| band as u32));
        }
        Self { names, contents }
    }

    /// All keys.
    pub(super) fn hashes(&self) -> impl Iterator<Item = u32> {
        self.names.iter().chain(&self.contents).copied()
    }

    /// A form to store: a version, the number of identifiers, then all keys, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        // No paper has that many names; those beyond would only not be found by.
        let names = &self.names[..self.names.len().min(usize::from(u8::MAX))];
        let mut bytes = vec![VERSION, names.len() as u8];
        for hash in names.iter().chain(&self.contents) {
            bytes.extend(hash.to_le_bytes());
        }
        bytes
    }

    /// Reads the stored form; `None` where it is of another version or damaged, and must be made anew.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, hashes) = bytes.split_at_checked(2)?;
        let (chunks, rest) = hashes.as_chunks::<4>();
        let names = usize::from(head[1]);
        if head[0] != VERSION || !rest.is_empty() || chunks.len() < names {
            return None;
        }
        let mut names_and_contents: Vec<u32> = chunks.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect();
        let contents = names_and_contents.split_off(names);
        Some(Self { names: names_and_contents, contents })
    }
}

fn key(kind: &str, text: &str) -> u32 {
    (hashed(kind.as_bytes()) ^ hashed(text.as_bytes()).rotate_left(1)) as u32
}

/// A title that many papers have is a key only together with the first author and the year.
fn title_hash(paper: &Paper) -> Option<u32> {
    let compact = titles::compact(&paper.title);
    if compact.is_empty() {
        return None;
    }
    if !titles::is_rubric(&paper.title) {
        return Some(key("title", &compact));
    }
    let year = paper.date.map_or(0, Date::year);
    Some(key("rubric", &format!("{compact} {} {year}", authors::first_family(&paper.authors))))
}

/// Finds papers by their keys.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Key and slot, sorted; the entries of removed papers stay until the next sort.
    settled: Vec<(u32, u32)>,
    recent: BTreeSet<(u32, u32)>,
    /// The row of each slot; `None` where the paper was removed.
    rows: Vec<Option<Row>>,
    slots: HashMap<Row, u32>,
}

impl Index {
    /// Adds a paper, or replaces the keys of the one that stands there.
    ///
    /// # Panics
    /// Beyond four thousand million insertions.
    pub fn insert(&mut self, row: Row, keys: &Keys) {
        self.remove(row);
        let slot = u32::try_from(self.rows.len()).expect("fewer insertions than a u32 counts");
        self.rows.push(Some(row));
        self.slots.insert(row, slot);
        self.recent.extend(keys.hashes().map(|hash| (hash, slot)));
        if self.recent.len() > MIN_RECENT.max(self.settled.len() / 4) {
            self.settle();
        }
    }

    /// Forgets a paper; nothing happens where it is not there.
    pub fn remove(&mut self, row: Row) {
        if let Some(slot) = self.slots.remove(&row) {
            self.rows[slot as usize] = None;
        }
    }

    /// How many papers it holds.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The papers that share a key with a paper, in the order of their rows. A title or a passage that is everywhere
    /// says nothing and finds nobody; an identifier always does.
    pub fn candidates(&self, keys: &Keys) -> Vec<Row> {
        let mut found = BTreeSet::new();
        for hash in &keys.names {
            found.extend(self.sharing(*hash));
        }
        for hash in &keys.contents {
            let sharing: Vec<Row> = self.sharing(*hash).take(MAX_SHARING + 1).collect();
            if sharing.len() <= MAX_SHARING {
                found.extend(sharing);
            }
        }
        found.into_iter().collect()
    }

    fn sharing(&self, hash: u32) -> impl Iterator<Item = Row> {
        let start = self.settled.partition_point(|entry| entry.0 < hash);
        let settled = self.settled[start..].iter().take_while(move |entry| entry.0 == hash);
        let recent = self.recent.range((hash, 0)..=(hash, u32::MAX));
        settled.chain(recent).filter_map(|&(_, slot)| self.rows[slot as usize])
    }

    fn settle(&mut self) {
        let rows = &self.rows;
        self.settled.extend(std::mem::take(&mut self.recent));
        self.settled.retain(|&(_, slot)| rows[slot as usize].is_some());
        // Two sorted runs, which the standard stable sort merges in one pass.
        self.settled.sort();
    }
}
