//! What adding papers to a collection takes, the vectors of a model and the lexical index: invented papers from a file of
//! JSON Lines, and vectors of 384 numbers that cost nothing to make.
//!
//!     cargo bench --bench store -- [PAPERS] [ROUNDS]
//!
//! 200,000 papers and two rounds unless said otherwise; each round adds them twice, in turn: with the index filled by a
//! trigger on every paper, as it once was, and with the index made afterwards. The fastest of each is told, with the
//! ratio. Words are drawn so that their frequencies fall as they do in English (Zipf), for the size of the vocabulary
//! is what an index feels.
#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use thematic::engine::add_papers;
use thematic::ingest::{Input, Options};
use thematic::paper::{Date, joined_text, text_hash};
use thematic::progress::Silent;
use thematic::store::{Collection, ModelRecord};
use thematic::vectors::Vectors;

const PAPERS: usize = 200_000;
const ROUNDS: usize = 2;
const VOCABULARY: f64 = 60_000.0;
const TITLE_WORDS: usize = 10;
const ABSTRACT_WORDS: usize = 180;
const DIMENSIONS: usize = 384;
const BATCH_PAPERS: usize = 256;

/// The trigger of the first version of the tables.
const BY_TRIGGER: &str = "CREATE TRIGGER paper_added AFTER INSERT ON paper BEGIN
    INSERT INTO paper_text (rowid, title, abstract) VALUES (new.row, new.title, new.abstract);
END;";

fn main() {
    // Cargo adds an argument of its own.
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let (papers, rounds) = (numbers.next().unwrap_or(PAPERS), numbers.next().unwrap_or(ROUNDS));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("papers.jsonl");
    write_papers(&input, papers);
    let mut fastest = [f64::INFINITY; 4];
    for _ in 0..rounds {
        let [by_trigger, ..] = added(folder.path(), &input, Some(BY_TRIGGER));
        let [adding, storing, indexing] = added(folder.path(), &input, None);
        for (least, seconds) in fastest.iter_mut().zip([by_trigger, adding, storing, indexing]) {
            *least = least.min(seconds);
        }
    }
    let [by_trigger, adding, storing, indexing] = fastest;
    let line = |what: &str, seconds: f64| {
        println!("{what:<28}{seconds:>8.2} s{:>8.1} us a paper", seconds / papers as f64 * 1e6);
    };
    println!("{papers} papers of {} words", TITLE_WORDS + ABSTRACT_WORDS);
    line("added, indexed by a trigger", by_trigger);
    line("added", adding);
    line("vectors stored", storing);
    line("indexed afterwards", indexing);
    println!(
        "adding takes {:.2} of what it took, with the index {:.2}",
        adding / by_trigger,
        (adding + indexing) / by_trigger
    );
}

/// Seconds for adding the papers to a new collection, for a vector of each, and for the index.
fn added(folder: &Path, input: &Path, trigger: Option<&str>) -> [f64; 3] {
    let folder = tempfile::tempdir_in(folder).expect("a temporary folder");
    let path = folder.path().join("papers.db");
    let mut collection = Collection::create_or_open(&path).expect("a new collection");
    if let Some(trigger) = trigger {
        Connection::open(&path).expect("a database").execute_batch(trigger).expect("a trigger");
    }
    let options = Options::new(Date::year_only(2026).expect("a year"));
    let start = Instant::now();
    let inputs = [Input::Path(input.to_owned())];
    let report = add_papers(&mut collection, &inputs, &options, &Silent, &mut |_| Ok(())).expect("papers");
    let adding = start.elapsed().as_secs_f64();
    assert_eq!(report.added, report.records, "invented papers differ");
    let storing = stored(&mut collection);
    let start = Instant::now();
    if trigger.is_none() {
        let indexed = collection.index_text(&Silent).expect("an index");
        assert_eq!(indexed, report.added as u64);
    }
    [adding, storing, start.elapsed().as_secs_f64()]
}

/// Seconds for a vector of every paper, in batches as a model has them.
fn stored(collection: &mut Collection) -> f64 {
    let model = ModelRecord {
        name: "invented".into(),
        revision: String::new(),
        prompt: String::new(),
        pooling: "mean".into(),
        max_length: 256,
        precision: "f32".into(),
        dimensions: DIMENSIONS,
        source: String::new(),
    };
    let model = collection.use_model(&model).expect("a model");
    let rows = collection.rows_without_vector(model).expect("rows");
    let one = [vec![0.0; DIMENSIONS - 1], vec![1.0]].concat();
    let mut seconds = 0.0;
    for window in rows.chunks(BATCH_PAPERS) {
        let texts = collection.texts_without_vector(model, window).expect("texts");
        let keyed: Vec<_> = texts.iter().map(|(row, title, text)| (*row, hash_of(title, text))).collect();
        let vectors = Vectors::from_unit_rows(DIMENSIONS, one.repeat(keyed.len())).expect("unit rows");
        let start = Instant::now();
        let stored = collection.put_vectors(model, &keyed, &vectors, hash_of).expect("vectors");
        seconds += start.elapsed().as_secs_f64();
        assert!(stored.into_iter().all(|stored| stored), "a text changed");
    }
    seconds
}

fn hash_of(title: &str, abstract_text: &str) -> String {
    text_hash(&joined_text(title, abstract_text))
}

fn write_papers(path: &Path, papers: usize) {
    let mut file = BufWriter::new(File::create(path).expect("a temporary file"));
    let mut state = 1u64;
    for paper in 0..papers {
        let (title, text) = (words(&mut state, TITLE_WORDS), words(&mut state, ABSTRACT_WORDS));
        writeln!(
            file,
            "{{\"id\": \"p{paper}\", \"title\": \"{title}\", \"abstract\": \"{text}\", \"authors\": [\"Ada Smith\", \"Bo Lee\"], \"year\": 2020}}"
        )
        .expect("a temporary file");
    }
    file.flush().expect("a temporary file");
}

/// Invented words, the same in every run: the rank of each is log-uniform, which makes the frequency of rank r fall as 1/r.
fn words(state: &mut u64, count: usize) -> String {
    let mut text = String::new();
    for _ in 0..count {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = (*state >> 40) as f64 / (1u64 << 24) as f64;
        if !text.is_empty() {
            text.push(' ');
        }
        spell(VOCABULARY.powf(uniform) as usize, &mut text);
    }
    text
}

/// A number as syllables; long words are rare ones, as in English.
fn spell(mut rank: usize, text: &mut String) {
    const CONSONANTS: &[u8] = b"bdfgklmnprstvz";
    const VOWELS: &[u8] = b"aeiou";
    while rank > 0 {
        let syllable = rank % (CONSONANTS.len() * VOWELS.len());
        rank /= CONSONANTS.len() * VOWELS.len();
        let (consonant, vowel) = (CONSONANTS[syllable % CONSONANTS.len()], VOWELS[syllable / CONSONANTS.len()]);
        write!(text, "{}{}", char::from(consonant), char::from(vowel)).expect("a string takes everything");
    }
}
