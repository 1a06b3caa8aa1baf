//! How fast papers are read: 100,000 invented ones in every common format, in bytes per second.
//!
//! Run with `cargo bench --bench ingest`. The files lie in a temporary folder and so in the page cache: what is measured
//! is reading, not the disk.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use divan::Bencher;
use divan::counter::BytesCount;
use serde_json::json;
use thematic::ingest::{self, Input, Item, Options};
use thematic::paper::Date;

const PAPERS: usize = 100_000;
const WORDS: [&str; 24] = [
    "we",
    "study",
    "graphs",
    "of",
    "proteins",
    "under",
    "noise",
    "and",
    "show",
    "that",
    "sparse",
    "models",
    "learn",
    "the",
    "geometry",
    "naïve",
    "baselines",
    "miss",
    "in",
    "three",
    "large",
    "\\emph{new}",
    "\"field\"",
    "corpora",
];
const FORMATS: [&str; 7] = ["jsonl", "json", "openalex.jsonl", "arxiv.json", "csv", "ris", "bib"];

fn main() {
    divan::main();
}

#[divan::bench(args = FORMATS, sample_count = 5)]
fn read(bencher: Bencher<'_, '_>, format: &str) {
    let path = folder().join(format!("papers.{format}"));
    let content = content(format);
    fs::write(&path, &content).expect("a temporary file");
    measure(bencher, &path, content.len());
}

#[divan::bench(sample_count = 5)]
fn read_compressed(bencher: Bencher<'_, '_>) {
    let path = folder().join("papers.jsonl.zst");
    let file = File::create(&path).expect("a temporary file");
    let content = content("jsonl");
    zstd::stream::copy_encode(content.as_bytes(), file, 3).expect("a temporary file");
    measure(bencher, &path, content.len());
}

/// Counts the bytes of the text, decompressed.
fn measure(bencher: Bencher<'_, '_>, path: &Path, bytes: usize) {
    let options = Options::new(Date::year_only(2026).expect("a year"));
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let mut papers = 0;
        let mut count = |item| {
            papers += usize::from(matches!(item, Item::Record(_)));
            Ok(())
        };
        ingest::read(&[Input::Path(path.to_owned())], &options, &mut count).expect("readable papers");
        assert_eq!(papers, PAPERS);
    });
    fs::remove_file(path).expect("the file");
}

fn folder() -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder")).path().to_owned()
}

/// Words that differ from paper to paper, the same in every run.
fn words(seed: usize, count: usize) -> String {
    let word = |at: usize| WORDS[(seed.wrapping_mul(31) + at.wrapping_mul(at + 7)) % WORDS.len()];
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

fn content(format: &str) -> String {
    let mut text = String::new();
    let (opening, separator, closing) = match format {
        "json" => ("[", ",\n", "]"),
        "csv" => ("id,title,abstract,authors,year\n", "\n", "\n"),
        _ => ("", "\n", "\n"),
    };
    text.push_str(opening);
    for paper in 0..PAPERS {
        if paper > 0 {
            text.push_str(separator);
        }
        record(format, paper, &mut text);
    }
    text.push_str(closing);
    text
}

fn record(format: &str, paper: usize, text: &mut String) {
    let (title, summary) = (words(paper, 10), words(paper + 1, 190));
    let written = match format {
        "csv" => write!(text, "p{paper},{title},\"{}\",\"Smith, Ada; Lee, Bo\",2020", summary.replace('"', "\"\"")),
        "ris" => write!(
            text,
            "TY  - JOUR\nTI  - {title}\nAU  - Smith, Ada\nAU  - Lee, Bo\nPY  - 2020\nAB  - {summary}\nER  - "
        ),
        "bib" => {
            let summary = summary.replace('"', "");
            write!(
                text,
                "@article{{p{paper},\n  title = {{{title}}},\n  author = {{Smith, Ada and Lee, Bo}},\n  year = 2020,\n  abstract = {{{summary}}}\n}}"
            )
        }
        "arxiv.json" => write!(text, "{}", arxiv(paper, &title, &summary)),
        "openalex.jsonl" => write!(text, "{}", openalex(paper, &title, &summary)),
        _ => write!(
            text,
            "{}",
            json!({"id": format!("p{paper}"), "title": title, "abstract": summary, "authors": ["Ada Smith", "Bo Lee"], "year": 2020})
        ),
    };
    written.expect("a string takes everything");
}

fn arxiv(paper: usize, title: &str, summary: &str) -> serde_json::Value {
    json!({
        "id": format!("2101.{paper:05}"), "submitter": "Ada Smith", "authors": "Ada Smith and Bo Lee", "title": title,
        "comments": "12 pages", "journal-ref": null, "doi": null, "categories": "cs.LG stat.ML", "abstract": summary,
        "versions": [{"version": "v1", "created": "Mon, 4 Jan 2021 19:18:42 GMT"}], "update_date": "2021-02-03",
        "authors_parsed": [["Smith", "Ada", ""], ["Lee", "Bo", ""]],
    })
}

fn openalex(paper: usize, title: &str, summary: &str) -> serde_json::Value {
    let mut index = serde_json::Map::new();
    for (position, word) in summary.split(' ').enumerate() {
        let positions = index.entry(word).or_insert_with(|| json!([]));
        positions.as_array_mut().expect("a list").push(json!(position));
    }
    let author = |name: &str| json!({"author": {"id": "https://openalex.org/A1", "display_name": name}, "institutions": [{"id": "I1", "display_name": "Somewhere"}]});
    json!({
        "id": format!("https://openalex.org/W{paper}"), "title": title, "display_name": title, "publication_date": "2021-02-03",
        "authorships": [author("Ada Smith"), author("Bo Lee")], "abstract_inverted_index": index,
        "primary_location": {"source": {"display_name": "Annals"}}, "topics": [{"display_name": "Graphs"}],
    })
}
