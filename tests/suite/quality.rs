//! The embedded model keeps its quality, on papers written for this repository (see `tests/fixtures/README.md`).
//!
//! The floors stand a little below what the model reaches; a better model raises them.

use std::collections::BTreeSet;

use serde_json::Value;
use thematic::encode::{Encoder, Kind, Options};
use thematic::models::{Settings, resolve};
use thematic::paper::joined_text;
use thematic::progress::Silent;
use thematic::vectors::Vectors;

use crate::program::example_papers;

/// Known neighbours among the five nearest papers.
const NEIGHBOURS_FLOOR: f64 = 0.82;
/// Queries whose paper is among the first three.
const QUERIES_FLOOR: f64 = 0.92;

struct Fixture {
    ids: Vec<String>,
    texts: Vec<String>,
    labels: Value,
}

fn fixture() -> Fixture {
    let labels: Value = serde_json::from_str(include_str!("../fixtures/neighbours.json")).expect("JSON");
    let left_out = strings(&labels["left_out"]);
    let papers = std::fs::read_to_string(example_papers()).expect("the examples");
    let papers = papers.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let text_of = |paper: &Value| {
        let field = |name: &str| paper[name].as_str().unwrap_or_default().to_owned();
        (field("id"), joined_text(&field("title"), &field("abstract")))
    };
    let (ids, texts) = papers.map(|paper| text_of(&paper)).filter(|(id, _)| !left_out.contains(id)).unzip();
    Fixture { ids, texts, labels }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|item| item.as_str().expect("a string").to_owned()).collect()
}

/// Rows of `vectors` from the nearest to the farthest, `but` left out.
fn nearest(vectors: &Vectors, to: &[f32], but: Option<usize>) -> Vec<usize> {
    let score = |row: usize| vectors.row(row).iter().zip(to).map(|(one, other)| one * other).sum::<f32>();
    let mut rows: Vec<usize> = (0..vectors.len()).filter(|row| Some(*row) != but).collect();
    rows.sort_by(|one, other| score(*other).total_cmp(&score(*one)));
    rows
}

#[test]
fn the_embedded_model_finds_known_neighbours_and_answers() {
    let folder = resolve(None, &Settings::from_environment(), &Silent).expect("the embedded model");
    let encoder = Encoder::load(&folder, &Options::default()).expect("it loads");
    let Fixture { ids, texts, labels } = fixture();
    let vectors = encoder.encode(&texts, Kind::Document).expect("vectors").vectors;
    let row_of = |id: &Value| ids.iter().position(|other| Some(other.as_str()) == id.as_str()).expect("a known id");

    let (mut found, mut known) = (0, 0);
    for entry in labels["neighbours"].as_array().expect("a list") {
        let row = row_of(&entry["id"]);
        let five: BTreeSet<&String> =
            nearest(&vectors, vectors.row(row), Some(row)).iter().take(5).map(|row| &ids[*row]).collect();
        let near = strings(&entry["near"]);
        found += near.iter().filter(|id| five.contains(id)).count();
        known += near.len();
    }
    let queries = labels["queries"].as_array().expect("a list");
    let asked: Vec<String> = queries.iter().map(|query| query["text"].as_str().expect("text").to_owned()).collect();
    let asked = encoder.encode(&asked, Kind::Query).expect("vectors").vectors;
    let answered = queries.iter().zip(asked.rows()).filter(|(query, vector)| {
        nearest(&vectors, vector, None).iter().take(3).any(|row| *row == row_of(&query["finds"]))
    });
    let (neighbours, answers) = (found as f64 / known as f64, answered.count() as f64 / queries.len() as f64);
    println!("neighbours at 5: {neighbours:.3}, queries at 3: {answers:.3}");
    assert!(neighbours >= NEIGHBOURS_FLOOR, "{neighbours}");
    assert!(answers >= QUERIES_FLOOR, "{answers}");
}
