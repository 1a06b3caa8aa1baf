//! Search by words: exact after any history of a collection, however its index was brought up to date.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;
use proptest::sample::Index as Choice;
use rusqlite::Connection;
use thematic::error::Error;
use thematic::paper::{Draft, Identifier, Paper};
use thematic::progress::{Phase, Progress, Silent};
use thematic::store::{Change, Collection, RowId};

use crate::program::Desk;

/// Words that the index's stemmer leaves as they are.
const WORDS: [&str; 8] = ["tarn", "flint", "marl", "schist", "loam", "basalt", "gault", "chert"];
const QUERIES: [&str; 5] = ["flint", "marl schist", "loam basalt gault", "chert tarn", "obsidian"];
/// As `store::text` weighs a title.
const TITLE_WEIGHT: f64 = 4.0;

fn paper(name: &str, title: &str, text: &str) -> Paper {
    let identifiers = vec![Identifier::source(name).expect("an id")];
    let draft = Draft { identifiers, title: title.into(), abstract_text: text.into(), ..Draft::default() };
    Paper::from_draft(draft).expect("a paper with a title")
}

/// Writes one paper, in the place of `row` and of those it absorbs.
fn put(collection: &mut Collection, row: Option<RowId>, absorbs: &[RowId], paper: &Paper) -> RowId {
    let change = Change { row, absorbs, paper, keys: &[] };
    collection.batch(|batch| batch.put(&change)).expect("a collection that can be written")
}

/// A collection of `n` papers of which the index does not know.
fn unindexed(path: &Path, n: usize) -> Collection {
    let mut collection = Collection::create_or_open(path).expect("a new collection");
    for number in 0..n {
        let text = WORDS[number % WORDS.len()];
        put(&mut collection, None, &[], &paper(&format!("p{number:05}"), "On stones", text));
    }
    collection
}

/// What a search answers: ids with scores, best first.
fn answer(collection: &Collection, query: &str, limit: usize, progress: &dyn Progress) -> Vec<(String, f64)> {
    let found = collection.search_text(query, limit, progress).expect("an answer");
    let rows: Vec<RowId> = found.iter().map(|(row, _)| *row).collect();
    let papers = collection.papers(&rows).expect("the papers");
    assert_eq!(papers.len(), found.len(), "a row without a paper was found");
    papers.into_iter().zip(found).map(|(stored, (_, score))| (stored.paper.id.as_str().to_owned(), score)).collect()
}

/// Asks to stop after so many questions whether to, and remembers what it was told.
#[derive(Default)]
struct Patience {
    questions: AtomicU64,
    limit: u64,
    phases: Mutex<Vec<Phase>>,
    done: AtomicU64,
    warnings: Mutex<Vec<String>>,
}

impl Patience {
    fn of(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }
}

impl Progress for Patience {
    fn begin(&self, phase: Phase) {
        self.phases.lock().expect("a lock").push(phase);
    }
    fn advance(&self, units: u64) {
        self.done.fetch_add(units, Ordering::Relaxed);
    }
    fn end(&self) {}
    fn warn(&self, message: &str) {
        self.warnings.lock().expect("a lock").push(message.to_owned());
    }
    fn cancelled(&self) -> bool {
        self.questions.fetch_add(1, Ordering::Relaxed) >= self.limit
    }
}

/// One thing that happens to a collection.
#[derive(Debug, Clone)]
enum Event {
    Add(Vec<usize>),
    Rewrite(Choice, Vec<usize>),
    /// The first takes the second in, and gets its words too.
    Merge(Choice, Choice),
    Remove(Choice),
    /// The last ones, whose rows are given away again.
    RemoveLast(usize),
    Index,
    /// Cut off after the first step.
    IndexInPart,
    Search,
    Reopen,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let words = || prop::collection::vec(0..WORDS.len(), 1..8);
    let event = prop_oneof![
        6 => words().prop_map(Event::Add),
        3 => (any::<Choice>(), words()).prop_map(|(which, words)| Event::Rewrite(which, words)),
        1 => (any::<Choice>(), any::<Choice>()).prop_map(|(into, which)| Event::Merge(into, which)),
        2 => any::<Choice>().prop_map(Event::Remove),
        1 => (1..4usize).prop_map(Event::RemoveLast),
        2 => Just(Event::Index),
        2 => Just(Event::IndexInPart),
        1 => Just(Event::Search),
        1 => Just(Event::Reopen),
    ];
    prop::collection::vec(event, 1..40)
}

/// Every paper, and the same searches done naively.
#[derive(Default)]
struct Papers {
    by_row: BTreeMap<RowId, Paper>,
    named: usize,
}

impl Papers {
    fn new_paper(&mut self, words: &[usize]) -> Paper {
        self.named += 1;
        let (title, text) = texts(words);
        paper(&format!("p{:03}", 999 - self.named), &title, &text)
    }

    fn chosen(&self, choice: &Choice) -> Option<RowId> {
        (!self.by_row.is_empty()).then(|| *choice.get(&self.by_row.keys().copied().collect::<Vec<_>>()))
    }

    /// Ids with BM25 scores, papers with all the words before those with some.
    fn search(&self, query: &str, limit: usize) -> Vec<(String, f64)> {
        let words: Vec<&str> = query.split(' ').collect();
        let mut found: Vec<(bool, f64, &Paper)> = Vec::new();
        let average = self.by_row.values().map(|paper| tokens(paper).len()).sum::<usize>() as f64
            / self.by_row.len().max(1) as f64;
        for paper in self.by_row.values() {
            let all = words.iter().all(|word| tokens(paper).contains(word));
            if words.iter().any(|word| tokens(paper).contains(word)) {
                let score = words.iter().map(|word| self.weight(word) * saturated(paper, word, average)).sum();
                found.push((all, score, paper));
            }
        }
        found.sort_by(|one, other| other.0.cmp(&one.0).then(other.1.total_cmp(&one.1)).then(one.2.id.cmp(&other.2.id)));
        found.truncate(limit);
        found.into_iter().map(|(_, score, paper)| (paper.id.as_str().to_owned(), score)).collect()
    }

    /// The inverse document frequency, as <https://sqlite.org/fts5.html#the_bm25_function> has it.
    fn weight(&self, word: &str) -> f64 {
        let holding = self.by_row.values().filter(|paper| tokens(paper).contains(&word)).count() as f64;
        let weight = ((self.by_row.len() as f64 - holding + 0.5) / (holding + 0.5)).ln();
        if weight > 0.0 { weight } else { 1e-6 }
    }
}

fn texts(words: &[usize]) -> (String, String) {
    let named: Vec<&str> = words.iter().map(|word| WORDS[*word]).collect();
    let (title, text) = named.split_at(named.len().div_ceil(3));
    (title.join(" "), text.join(" "))
}

fn tokens(paper: &Paper) -> Vec<&str> {
    paper.title.split_whitespace().chain(paper.abstract_text.split_whitespace()).collect()
}

/// BM25's share of one word, with SQLite's k1 and b.
fn saturated(paper: &Paper, word: &str, average: f64) -> f64 {
    let count = |text: &str| text.split_whitespace().filter(|token| *token == word).count() as f64;
    let frequency = TITLE_WEIGHT * count(&paper.title) + count(&paper.abstract_text);
    frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * tokens(paper).len() as f64 / average))
}

fn happen(event: &Event, collection: &mut Collection, papers: &mut Papers) {
    match event {
        Event::Add(words) => {
            let paper = papers.new_paper(words);
            let row = put(collection, None, &[], &paper);
            assert!(papers.by_row.insert(row, paper).is_none(), "row {row} was given away twice");
        }
        Event::Rewrite(which, words) => {
            let Some(row) = papers.chosen(which) else { return };
            let paper = papers.by_row.get_mut(&row).expect("a paper");
            (paper.title, paper.abstract_text) = texts(words);
            put(collection, Some(row), &[], paper);
        }
        Event::Merge(into, which) => {
            let (Some(row), Some(absorbed)) = (papers.chosen(into), papers.chosen(which)) else { return };
            if row == absorbed {
                return;
            }
            let gone = papers.by_row.remove(&absorbed).expect("a paper");
            let paper = papers.by_row.get_mut(&row).expect("a paper");
            paper.abstract_text = format!("{} {}", paper.abstract_text, gone.abstract_text).trim().to_owned();
            put(collection, Some(row), &[absorbed], paper);
        }
        Event::Remove(which) => remove(collection, papers, papers.chosen(which)),
        Event::RemoveLast(count) => {
            let rows: Vec<RowId> = papers.by_row.keys().rev().take(*count).copied().collect();
            remove(collection, papers, rows);
        }
        Event::Index => {
            collection.index_text(&Silent).expect("a collection that can be written");
        }
        Event::IndexInPart => {
            let outcome = collection.index_text(&Patience::of(1));
            assert!(matches!(outcome, Ok(0) | Err(Error::Interrupted)), "{outcome:?}");
        }
        Event::Search => check(collection, papers),
        Event::Reopen => *collection = Collection::open(collection.path()).expect("a collection"),
    }
}

fn remove(collection: &mut Collection, papers: &mut Papers, rows: impl IntoIterator<Item = RowId>) {
    let rows: Vec<RowId> = rows.into_iter().collect();
    rows.iter().for_each(|row| {
        papers.by_row.remove(row);
    });
    assert_eq!(collection.remove_papers(&rows).expect("a collection that can be written"), rows.len());
}

fn check(collection: &Collection, papers: &Papers) {
    for query in QUERIES {
        for limit in [2, 100] {
            let found = answer(collection, query, limit, &Silent);
            let expected = papers.search(query, limit);
            let ids = |list: &[(String, f64)]| list.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
            assert_eq!(ids(&found), ids(&expected), "`{query}`, {found:?}, {expected:?}");
            for ((id, score), (_, expected)) in found.iter().zip(&expected) {
                assert!((score - expected).abs() <= 1e-9 * expected, "`{query}`, {id}: {score}, not {expected}");
            }
        }
    }
}

/// SQLite compares the index with the text of the papers.
fn check_whole(path: &Path) {
    let connection = Connection::open(path).expect("a database");
    connection
        .execute("INSERT INTO paper_text (paper_text, rank) VALUES ('integrity-check', 1)", [])
        .expect("an index that agrees with the papers");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_search_is_exact_after_any_history(events in events()) {
        let desk = Desk::new();
        let path = desk.path("papers.db");
        let mut collection = Collection::create_or_open(&path).expect("a new collection");
        let mut papers = Papers::default();
        for event in &events {
            happen(event, &mut collection, &mut papers);
        }
        check(&Collection::open_read_only(&path).expect("a collection"), &papers);
        prop_assert_eq!(collection.index_text(&Silent).expect("a collection"), 0, "the search left something to do");
        check_whole(&path);
    }
}

#[test]
fn what_was_added_before_a_kill_is_found() {
    let desk = Desk::new();
    drop(unindexed(&desk.path("papers.db"), 20));
    let found = desk.done(&["search", "flint", "--by", "words", "--json"]).json();
    assert_eq!(found["results"].as_array().map(Vec::len), Some(3), "{found}");
    check_whole(&desk.path("papers.db"));
}

#[test]
fn embedding_and_removing_leave_a_current_index() {
    let desk = Desk::new();
    let papers = |texts: &[&str]| {
        let line = |(number, text): (usize, &&str)| {
            format!("{{\"id\": \"p{number}\", \"title\": \"Stones {number}\", \"abstract\": \"{text}\"}}\n")
        };
        texts.iter().enumerate().map(line).collect::<String>()
    };
    desk.write("in.jsonl", papers(&["flint in chalk", "marl under loam", "chert"]));
    desk.done(&["embed", "in.jsonl"]);
    check_current(&desk);
    desk.done(&["remove", "p1"]);
    check_current(&desk);
    desk.write("in.jsonl", papers(&["flint in chalk of great depth, and how it came there", "gault"]));
    desk.done(&["embed", "in.jsonl"]);
    check_current(&desk);
}

fn check_current(desk: &Desk) {
    let mut collection = Collection::open(&desk.path("papers.db")).expect("a collection");
    assert_eq!(collection.index_text(&Silent).expect("a collection"), 0);
    check_whole(&desk.path("papers.db"));
}

#[test]
fn indexing_reports_papers_and_goes_on_where_it_was_cut_off() {
    let desk = Desk::new();
    let n = 9000;
    let mut collection = unindexed(&desk.path("papers.db"), 0);
    let add = |batch: &thematic::store::Batch<'_>| {
        (0..n).try_for_each(|number| {
            let paper = paper(&format!("p{number}"), "On stones", WORDS[number % WORDS.len()]);
            batch.put(&Change { row: None, absorbs: &[], paper: &paper, keys: &[] }).map(|_| ())
        })
    };
    collection.batch(add).expect("papers");
    let cut = Patience::of(1);
    assert!(matches!(collection.index_text(&cut), Err(Error::Interrupted)));
    let first = cut.done.load(Ordering::Relaxed);
    assert!(first > 0 && first < n as u64, "{first} of {n}");
    let whole = Patience::of(u64::MAX);
    assert_eq!(collection.index_text(&whole).expect("a collection"), n as u64 - first);
    let phases = whole.phases.lock().expect("a lock").clone();
    assert_eq!(phases, [Phase { doing: "indexing words", units: "papers", total: Some(n as u64 - first) }]);
    check_whole(&desk.path("papers.db"));
}

#[test]
fn while_another_program_writes_a_search_goes_by_an_index_of_its_own() {
    let desk = Desk::new();
    let path = desk.path("papers.db");
    let collection = unindexed(&path, 40);
    let writer = Connection::open(&path).expect("a database");
    writer.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let listening = Patience::of(u64::MAX);
    let own = answer(&collection, "flint schist", 100, &listening);
    let warnings = listening.warnings.lock().expect("a lock").clone();
    assert!(warnings.len() == 1 && warnings[0].contains("another program is writing to it"), "{warnings:?}");
    writer.execute_batch("ROLLBACK").expect("a lock");
    assert_eq!(own.len(), 10);
    assert_eq!(own, answer(&collection, "flint schist", 100, &Silent), "the stored index answers the same");
    assert!(matches!(collection.search_text("flint", 1, &Patience::of(0)), Ok(found) if found.len() == 1));
}

#[test]
fn a_search_while_papers_are_added_finds_all_that_were_there() {
    let desk = Desk::new();
    let path = desk.path("papers.db");
    let mut collection = unindexed(&path, 8);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 8..200 {
                put(&mut collection, None, &[], &paper(&format!("q{number:05}"), "On stones", "flint"));
            }
            over.store(true, Ordering::SeqCst);
        });
        let reading = Collection::open_read_only(&path).expect("a collection");
        while !over.load(Ordering::SeqCst) {
            let before = reading.count().expect("a count");
            let found = answer(&reading, "flint", 1000, &Silent).len();
            assert!(found >= before - 7, "{found} of {before}");
        }
    });
    assert_eq!(answer(&collection, "flint", 1000, &Silent).len(), 193);
    check_whole(&path);
}
