//! Papers that are embedded while others are added: in the end the collection is as if one had waited for the other.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use tempfile::TempDir;
use thematic::engine::{self, AddReport, EmbedReport, ModelChoice, PaperEncoder};
use thematic::error::{Error, Problem, Result};
use thematic::ingest::{Input, Options, Skip};
use thematic::paper::Date;
use thematic::progress::{Phase, Progress, Silent};
use thematic::store::Collection;
use thematic::vectors::Vectors;

use crate::program::Desk;
use crate::tiny::fixture;

/// More than go into one transaction, so that papers are known, or on their way, when their duplicates come.
const PAPERS: usize = 1300;
const WORDS: [&str; 12] =
    ["tarn", "flint", "marl", "schist", "loam", "basalt", "gault", "chert", "delta", "fen", "moraine", "drumlin"];

/// What tells two collections apart, whatever the order in which it came there.
const TABLES: [&str; 6] = [
    "SELECT id, title, abstract, extra FROM paper",
    "SELECT alias, id FROM alias JOIN paper ON row = paper",
    "SELECT id, file, line FROM provenance JOIN paper ON row = paper",
    "SELECT id, text_hash, value FROM vector v JOIN paper p ON p.row = v.paper",
    "SELECT id FROM paper_text JOIN paper p ON p.row = paper_text.rowid WHERE paper_text MATCH 'flint'",
    "SELECT count(*) FROM paper WHERE row > (SELECT value FROM meta WHERE key = 'indexed_row')",
];

struct Bench {
    folder: TempDir,
    input: PathBuf,
}

impl Bench {
    fn new(lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let input = folder.path().join("papers.jsonl");
        std::fs::write(&input, lines).expect("a file");
        Self { folder, input }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn inputs(&self) -> [Input; 1] {
        [Input::Path(self.input.clone())]
    }

    /// Adds everything and then embeds it.
    fn one_after_the_other(&self, path: &Path, encoder: &PaperEncoder) -> (AddReport, EmbedReport) {
        let mut collection = Collection::create_or_open(path).expect("a collection");
        let added = engine::add_papers(&mut collection, &self.inputs(), &options(), &Silent, &mut |_| Ok(()));
        let embedded = engine::embed_collection(&mut collection, encoder, &Silent);
        (added.expect("papers"), embedded.expect("vectors"))
    }

    fn meanwhile(
        &self,
        path: &Path,
        encoder: &PaperEncoder,
        progress: &dyn Progress,
        on_skip: &mut dyn FnMut(&Skip) -> Result<()>,
    ) -> Result<(AddReport, EmbedReport)> {
        let mut collection = Collection::create_or_open(path).expect("a collection");
        engine::embed_papers(&mut collection, &self.inputs(), &options(), encoder, progress, on_skip)
    }
}

fn encoder(threads: usize) -> PaperEncoder {
    let model = fixture("tiny-static").to_str().map(str::to_owned);
    let choice = ModelChoice { model, offline: true, threads: NonZeroUsize::new(threads), ..ModelChoice::default() };
    engine::load_encoder(&choice, &Silent).expect("an encoder")
}

fn options() -> Options {
    Options::new(Date::year_only(2026).expect("a year"))
}

/// A record by that name, of the paper `number`; the longer text of two has the last word.
fn record(name: &serde_json::Value, number: usize, sentences: usize) -> String {
    let word = |place: usize| WORDS[(number * 7 + place * (number % 5 + 1)) % WORDS.len()];
    let sentence =
        |at: usize| format!("{} {at} of {number} lies under {} and {}.", word(at), word(at + 1), word(at + 2));
    let text: Vec<String> = (0..sentences).map(sentence).collect();
    let title = format!("Stones of place {number}, of {} and {}", word(0), word(3));
    let mut line = json!({"title": title, "abstract": text.join(" ")});
    line.as_object_mut().expect("an object").extend(name.as_object().expect("names").clone());
    format!("{line}\n")
}

fn doi(number: usize) -> String {
    format!("10.1000/{number}")
}

/// Papers; then some of them again with more to say, as they are, and with a name that makes one of two.
fn records() -> String {
    let arxiv = |number: usize| format!("2101.{number:05}");
    let first = (0..PAPERS).map(|number| record(&json!({"doi": doi(number)}), number, 2));
    let others = (0..PAPERS / 10).map(|number| record(&json!({"arxiv_id": arxiv(number)}), PAPERS + number, 2));
    let again = (0..PAPERS).step_by(3).map(|number| record(&json!({"doi": doi(number)}), number, 2 + number % 4));
    let both = (0..PAPERS / 10)
        .step_by(7)
        .map(|number| record(&json!({"doi": doi(number), "arxiv_id": arxiv(number)}), PAPERS + number, 3));
    first.chain(others).chain(again).chain(both).collect()
}

fn content(path: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let connection = Connection::open(path).expect("a collection");
    let rows = |sql: &'static str| {
        let mut statement = connection.prepare(sql).expect("a query");
        let columns = statement.column_count();
        let row =
            |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect::<Result<Vec<Value>, _>>();
        let mut rows: Vec<String> =
            statement.query_map([], row).expect("rows").map(|row| format!("{:?}", row.expect("a row"))).collect();
        rows.sort_unstable();
        (sql, rows)
    };
    TABLES.into_iter().map(rows).collect()
}

/// Asks to stop after so many units, whatever they are of.
struct Patience {
    left: AtomicU64,
}

impl Progress for Patience {
    fn begin(&self, _phase: Phase) {}
    fn advance(&self, units: u64) {
        let spent = |left: u64| Some(left.saturating_sub(units));
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
    }
    fn end(&self) {}
    fn warn(&self, _message: &str) {}
    fn cancelled(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

#[test]
fn the_collection_is_as_if_one_had_waited_for_the_other() {
    let bench = Bench::new(&records());
    let expected = bench.one_after_the_other(&bench.path("after.db"), &encoder(1));
    assert!(expected.0.merged > PAPERS / 3 && expected.1.embedded == expected.1.papers, "{expected:?}");
    let content_expected = content(&bench.path("after.db"));
    assert!(content_expected.values().all(|rows| !rows.is_empty()));
    for (run, threads) in [1, 2, 3].into_iter().enumerate() {
        let path = bench.path(&format!("meanwhile{run}.db"));
        let found = bench.meanwhile(&path, &encoder(threads), &Silent, &mut |_| Ok(())).expect("vectors");
        assert_eq!(found, expected, "{threads} threads");
        assert!(content(&path) == content_expected, "{threads} threads");
        let again = bench.meanwhile(&path, &encoder(threads), &Silent, &mut |_| Ok(())).expect("vectors");
        assert_eq!((again.0.added, again.1.embedded, again.1.tokens), (0, 0, 0), "everything is there");
        assert!(content(&path) == content_expected, "nothing changes");
    }
}

#[test]
fn what_is_cut_off_is_gone_on_with() {
    let bench = Bench::new(&records());
    let expected = bench.one_after_the_other(&bench.path("after.db"), &encoder(2));
    let content_expected = content(&bench.path("after.db"));
    for limit in [1, 900, 1700] {
        let path = bench.path(&format!("{limit}.db"));
        let patience = Patience { left: AtomicU64::new(limit) };
        let outcome = bench.meanwhile(&path, &encoder(2), &patience, &mut |_| Ok(()));
        assert!(matches!(outcome, Err(Error::Interrupted)), "{limit}: {outcome:?}");
        let kept = Connection::open(&path).expect("a collection");
        let stale = "SELECT count(*) FROM vector v LEFT JOIN paper p ON p.row = v.paper WHERE p.row IS NULL";
        assert_eq!(kept.query_row(stale, [], |row| row.get::<_, i64>(0)).expect("a count"), 0);
        let (_, found) = bench.meanwhile(&path, &encoder(2), &Silent, &mut |_| Ok(())).expect("vectors");
        assert_eq!(found.papers, expected.1.papers, "{limit}");
        assert!(content(&path) == content_expected, "{limit}");
    }
}

#[test]
fn who_fails_ends_the_other() {
    let bench = Bench::new(&format!("{}no record\n{}", records(), records()));
    let full = |_: &Skip| Err(Error::Failed(Problem::new("a disk", "is full")));
    let path = bench.path("skips.db");
    let error = bench.meanwhile(&path, &encoder(2), &Silent, &mut { full }).expect_err("a full disk");
    assert_eq!(error.to_string(), "a disk: is full");
    assert!(Collection::open(&path).expect("a collection").count().expect("a count") >= PAPERS / 2, "papers are kept");

    let path = bench.path("vectors.db");
    drop(Collection::create_or_open(&path).expect("a collection"));
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON vector BEGIN SELECT RAISE(ABORT, 'no more'); END;";
    Connection::open(&path).expect("a collection").execute_batch(refuse).expect("a trigger");
    let error = bench.meanwhile(&path, &encoder(2), &Silent, &mut |_| Ok(())).expect_err("no vector");
    assert!(error.to_string().starts_with(&format!("`{}`", path.display())), "{error}");
}

#[test]
fn inputs_without_a_paper_leave_the_model_as_it_is() {
    let bench = Bench::new(&record(&json!({"doi": doi(1)}), 1, 2));
    let path = bench.path("papers.db");
    bench.one_after_the_other(&path, &encoder(1));
    let model = || Collection::open(&path).expect("a collection").current_model().expect("a model").expect("a model").1;
    let before = model();
    std::fs::write(&bench.input, "no record\n").expect("a file");
    let choice = ModelChoice {
        model: fixture("tiny-static").to_str().map(str::to_owned),
        offline: true,
        dimensions: Some(before.dimensions / 2),
        ..ModelChoice::default()
    };
    let other = engine::load_encoder(&choice, &Silent).expect("an encoder");
    let error = bench.meanwhile(&path, &other, &Silent, &mut |_| Ok(())).expect_err("no paper");
    assert!(matches!(error, Error::Input(_)), "{error}");
    assert_eq!(model(), before);
}

#[test]
fn a_vector_of_a_text_that_is_no_more_is_not_stored() {
    let bench = Bench::new(&(0..3).map(|number| record(&json!({"doi": doi(number)}), number, 1)).collect::<String>());
    let path = bench.path("papers.db");
    bench.one_after_the_other(&path, &encoder(1));
    let mut collection = Collection::open(&path).expect("a collection");
    let (model, record) = collection.current_model().expect("a model").expect("a model");
    let rows = collection.rows_by_id().expect("rows");
    collection.remove_papers(&rows[..1]).expect("a collection");
    let hash = |title: &str, abstract_text: &str| format!("{title}/{abstract_text}");
    let text = collection.papers(&rows[2..]).expect("a paper").remove(0).paper;
    let batch = [
        (rows[0], "whatever".to_owned()),
        (rows[1], "of another text".to_owned()),
        (rows[2], hash(&text.title, &text.abstract_text)),
    ];
    let mut vectors = vec![0.0; 3 * record.dimensions];
    vectors.iter_mut().step_by(record.dimensions).for_each(|value| *value = 1.0);
    let vectors = Vectors::from_unit_rows(record.dimensions, vectors).expect("unit rows");
    let stored = collection.put_vectors(model, &batch, &vectors, hash).expect("a collection");
    assert_eq!(stored, [false, false, true]);
    let (found, kept) = collection.vectors(model).expect("vectors");
    assert_eq!(found, rows[1..]);
    assert!(kept.row(0)[0] < 1.0 && kept.row(1)[0] == 1.0);
}

#[test]
fn a_kill_at_any_instant_loses_nothing_that_was_stored() {
    let desk = Desk::new();
    let bench = Bench::new(&records());
    let model = fixture("tiny-static");
    let embed = |collection: &Path| {
        let mut command = desk.command(&["embed", "--quiet", "--model"]);
        command.arg(&model).arg(&bench.input).arg("-c").arg(collection);
        command
    };
    let whole = bench.path("whole.db");
    let started = std::time::Instant::now();
    assert!(embed(&whole).status().expect("the program").success());
    let took = started.elapsed();
    let expected = content(&whole);
    for part in 1..8 {
        let path = bench.path(&format!("killed{part}.db"));
        let mut child = embed(&path).spawn().expect("the program");
        std::thread::sleep(took * part / 8);
        child.kill().expect("a process");
        child.wait().expect("a process");
        if path.exists() {
            let problems = Collection::open(&path).expect("a collection").problems().expect("a check");
            assert!(problems.is_empty(), "{problems:?}");
        }
        assert!(embed(&path).status().expect("the program").success());
        assert!(content(&path) == expected, "killed after {part}/8");
    }
}
