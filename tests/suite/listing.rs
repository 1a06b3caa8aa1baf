//! Listing pages: the five real ones against a hand-made truth, and pages invented for the purpose.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use thematic::ingest::listing::{Page, detect, parse};
use thematic::paper::{Date, Draft, title_key};

/// One line per record: file, line, then title, authors and abstract as hashes, date, categories, the other fields as a
/// hash. Hashes, because the pages are other people's words.
const TRUTH: &str = include_str!("fixtures/listing-truth.txt");
const PAGES: [(&str, usize); 5] = [
    ("000_4d3648647ad7a805.txt", 12),
    ("001_6943237dd56709ff.txt", 12),
    ("002_cb9bdc7200f38807.txt", 33),
    ("003_34e1a313bb7acc52.txt", 9),
    ("004_bffe1aad1d3494b6.txt", 50),
];

#[test]
fn every_field_of_the_real_pages_is_right() {
    let Some(pages) = real_pages() else { return };
    let mut found = Vec::new();
    for ((name, count), page) in PAGES.iter().zip(&pages) {
        assert_eq!((page.drafts.len(), page.skips.len()), (*count, 0), "{name}");
        found.extend(page.drafts.iter().map(|draft| (fingerprint(name, draft), draft)));
    }
    let expected: Vec<&str> = TRUTH.lines().collect();
    assert_eq!(found.len(), expected.len());
    for ((line, draft), expected) in found.iter().zip(expected) {
        assert_eq!(
            line, expected,
            "file, line, title, authors, abstract, date, categories, other fields of {draft:#?}"
        );
    }
}

#[test]
fn the_real_pages_hold_108_papers() {
    let Some(pages) = real_pages() else { return };
    let drafts = pages.iter().flat_map(|page| &page.drafts);
    // A record without a title occurs once only, so that its abstract names it. Two papers stand there under two titles
    // each; both count.
    let papers: BTreeSet<String> = drafts
        .map(|draft| title_key(if draft.title.is_empty() { &draft.abstract_text } else { &draft.title }))
        .collect();
    assert_eq!(papers.len(), 108);
}

fn fingerprint(name: &str, draft: &Draft) -> String {
    let line = draft.provenance[0].line.expect("a line");
    let date = draft.date.map_or_else(|| "-".into(), |date| date.to_string());
    let categories = if draft.categories.is_empty() { "-".into() } else { draft.categories.join(",") };
    let extra = serde_json::to_string(&draft.extra).expect("plain values");
    let [title, authors, text, extra] =
        [&draft.title, &draft.authors.join("|"), &draft.abstract_text, &extra].map(|field| hash(field));
    format!("{} {line} {title} {authors} {text} {date} {categories} {extra}", &name[..3])
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// The five pages, read as of the day after the newest record; `None` where they are not on this machine.
fn real_pages() -> Option<Vec<Page>> {
    let Some(shared) = env::var_os("THEMATIC_SHARED") else {
        println!("skipped: THEMATIC_SHARED does not name the folder with the real listing pages");
        return None;
    };
    let folder = Path::new(&shared).join("listings");
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).expect("a listing page");
        assert!(detect(&text), "{name} is a listing page");
        parse(&text, name, day("2026-06-03"))
    };
    Some(PAGES.iter().map(|(name, _)| read(name)).collect())
}

fn day(text: &str) -> Date {
    text.parse().expect("a date")
}
