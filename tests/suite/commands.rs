//! What the commands print and write, as exact transcripts and round trips.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::program::{Desk, Said, example_papers};

fn explored() -> Desk {
    let desk = Desk::new();
    let papers = example_papers();
    desk.done(&["explore", papers.to_str().expect("a path"), "-k", "8"]);
    desk
}

fn results(said: &Said) -> Vec<Value> {
    said.json()["results"].as_array().expect("results").clone()
}

#[test]
fn the_whole_job_reads_well() {
    let desk = Desk::new();
    std::fs::copy(example_papers(), desk.path("papers.jsonl")).expect("a copy");
    // In f32 no instruction set changes a digit that is shown; how long it took is said only where it took long.
    let said = desk.run(&["explore", "papers.jsonl", "-k", "8", "--precision", "f32"]);
    insta::with_settings!({filters => vec![(r"(?m)^embedding: .* a second\)\n", "")]}, {
        insta::assert_snapshot!(said.transcript());
    });
}

#[test]
fn help_reads_well() {
    insta::assert_snapshot!(Desk::new().run(&["--help"]).transcript());
}

#[test]
fn a_flag_can_be_set_by_its_variable_as_people_write_it() {
    let desk = Desk::new();
    desk.write("papers.jsonl", "{\"id\": \"a\", \"title\": \"Tides\", \"abstract\": \"The sea rises twice a day.\"}\n");
    for (value, quiet) in [("1", true), ("yes", true), ("true", true), ("0", false), ("no", false), ("false", false)] {
        let said = desk.run_with(&["embed", "papers.jsonl"], &[("THEMATIC_QUIET", value)]);
        assert_eq!((said.code, said.err.is_empty()), (0, quiet), "{value}: {said:?}");
    }
    let said = desk.run_with(&["embed", "papers.jsonl"], &[("THEMATIC_QUIET", "perhaps")]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("'perhaps'") && said.err.contains("--quiet"), "{said:?}");
}

#[test]
fn the_themes_of_the_examples_are_their_fields() {
    let desk = explored();
    let overview = desk.done(&["themes", "--json"]).json();
    let themes = overview["themes"].as_array().expect("themes");
    assert_eq!(themes.len(), 8);
    let sizes: Vec<u64> = themes.iter().map(|theme| theme["papers"].as_u64().expect("a number")).collect();
    assert!(sizes.is_sorted_by(|one, other| one >= other), "{sizes:?}");
    assert_eq!(sizes.iter().sum::<u64>(), 121, "120 papers and a renamed version");
    for theme in themes {
        let terms = theme["terms"].as_array().expect("terms").len();
        assert!((3..=12).contains(&terms), "{theme}");
    }
}

#[test]
fn a_recommendation_leaves_out_the_seeds_and_says_why() {
    let desk = explored();
    let found = results(&desk.done(&["recommend", "--like", "ex-002", "ex-003", "-n", "5", "--json"]));
    assert_eq!(found.len(), 5);
    for result in &found {
        assert!(!["ex-002", "ex-003"].contains(&result["id"].as_str().expect("an id")));
        assert!(result["why"]["similarity"].as_f64().expect("a number") > 0.0);
    }
    let table = desk.done(&["recommend", "--like", "ex-002", "ex-003", "-n", "5"]);
    assert_eq!(table.out.lines().count(), 6);
}

#[test]
fn every_paper_has_its_neighbours_and_recommendations_are_the_same() {
    let desk = explored();
    let said = desk.done(&["neighbours", "-n", "3", "-o", "near.jsonl"]);
    assert_eq!(said.err, "wrote the neighbours of 121 papers to near.jsonl");
    let pairs: Vec<Value> =
        desk.read("near.jsonl").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(pairs.len(), 3 * 121);
    assert!(pairs.iter().all(|pair| pair["id"] != pair["neighbour"]));
    let found = results(&desk.done(&["recommend", "--like", "ex-002", "-n", "3", "--json"]));
    let own: Vec<&Value> = pairs.iter().filter(|pair| pair["id"] == "ex-002").collect();
    for (rank, (pair, recommended)) in own.iter().zip(&found).enumerate() {
        assert_eq!((&pair["neighbour"], pair["rank"].as_u64()), (&recommended["id"], Some(rank as u64 + 1)));
        let scores = [&pair["similarity"], &recommended["score"]].map(|score| score.as_f64().expect("a number"));
        assert!((scores[0] - scores[1]).abs() < 1e-5, "{scores:?}");
    }
    let printed = desk.done(&["neighbours", "-n", "3"]);
    assert_eq!(printed.out.trim_end(), desk.read("near.jsonl").trim_end());
    let unknown = desk.run(&["neighbours", "-o", "near.txt"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert_eq!(desk.run(&["neighbours", "-c", "absent.db"]).code, 1);
}

#[test]
fn filters_hold() {
    let desk = explored();
    let found = results(&desk.done(&["recommend", "--like", "ex-002", "--from", "2022", "-n", "50", "--json"]));
    assert!(!found.is_empty());
    assert!(found.iter().all(|result| result["date"].as_str().expect("a date") >= "2022"), "{found:?}");
    let theme = &found[0]["theme"];
    let number = theme.to_string();
    let of_theme = results(&desk.done(&["recommend", "--like", "ex-002", "--theme", &number, "-n", "50", "--json"]));
    assert!(!of_theme.is_empty() && of_theme.iter().all(|result| result["theme"] == *theme), "{of_theme:?}");
}

#[test]
fn what_is_read_is_read_back_the_same() {
    let desk = Desk::new();
    let papers = example_papers();
    let first = desk.done(&["read", papers.to_str().expect("a path"), "--dedupe"]);
    desk.write("again.jsonl", first.out.clone() + "\n");
    let second = desk.done(&["read", "again.jsonl", "--dedupe"]);
    let without_provenance = |said: &Said| -> Vec<Value> {
        let parse = |line: &str| {
            let mut paper: Value = serde_json::from_str(line).expect("a line of JSON");
            paper.as_object_mut().expect("an object").remove("provenance");
            paper
        };
        said.out.lines().map(parse).collect()
    };
    assert_eq!(without_provenance(&first), without_provenance(&second));
    assert_eq!(first.out.lines().count(), 121);
}

#[test]
fn the_order_of_the_input_changes_nothing() {
    let papers = std::fs::read_to_string(example_papers()).expect("the examples");
    let mut lines: Vec<&str> = papers.lines().collect();
    let [forward, backward] = [Desk::new(), Desk::new()];
    forward.write("p.jsonl", lines.join("\n"));
    lines.reverse();
    backward.write("p.jsonl", lines.join("\n"));
    let themes = [forward, backward].map(|desk| {
        desk.done(&["explore", "p.jsonl", "-k", "8"]);
        desk.done(&["export", "themes", "-o", "t.csv"]);
        desk.read("t.csv")
    });
    assert_eq!(themes[0], themes[1]);
}

#[test]
fn vectors_are_rows_with_their_ids() {
    let desk = Desk::new();
    desk.write("in.jsonl", "{\"id\":\"b\",\"text\":\"deep water\"}\n{\"id\":\"a\",\"text\":\"thin ice\"}\n");
    desk.done(&["embed", "in.jsonl", "-o", "v.npy"]);
    assert!(!desk.path("papers.db").exists());
    let ids: Vec<String> = serde_json::from_str(&desk.read("v.ids.json")).expect("a list");
    assert_eq!(ids, ["b", "a"]);
    desk.done(&["embed", "in.jsonl", "-o", "v.jsonl"]);
    let lines = desk.read("v.jsonl");
    let first: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    let squares: f64 =
        first["embedding"].as_array().expect("numbers").iter().map(|x| x.as_f64().expect("a number").powi(2)).sum();
    assert!((squares - 1.0).abs() < 1e-4, "{squares}");
    desk.done(&["embed", "in.jsonl", "-o", "v.parquet"]);
    assert!(std::fs::read(desk.path("v.parquet")).expect("a file").starts_with(b"PAR1"));
}

#[test]
fn vectors_of_a_file_are_clustered_without_a_collection() {
    let desk = Desk::new();
    let papers = example_papers();
    desk.done(&["embed", papers.to_str().expect("a path"), "-o", "v.npy"]);
    let said = desk.done(&["cluster", "v.npy", "-k", "4", "-o", "themes.csv", "--json"]);
    assert_eq!(said.json()["themes"].as_array().map(Vec::len), Some(4));
    assert_eq!(desk.read("themes.csv").lines().count(), 124);
    assert!(!desk.path("papers.db").exists());
}

#[test]
fn embedding_again_embeds_only_what_is_new() {
    let desk = Desk::new();
    desk.write("one.jsonl", "{\"id\":\"a\",\"title\":\"Deep water\"}\n");
    desk.write("two.jsonl", "{\"id\":\"a\",\"title\":\"Deep water\"}\n{\"id\":\"b\",\"title\":\"Thin ice\"}\n");
    assert_eq!(desk.done(&["embed", "one.jsonl", "--json"]).json()["embedded"], 1);
    let second = desk.done(&["embed", "two.jsonl", "--json"]).json();
    assert_eq!((&second["embedded"], &second["papers"]), (&Value::from(1), &Value::from(2)));
    assert_eq!(desk.done(&["embed", "--json"]).json()["embedded"], 0);
}

#[test]
fn a_removed_paper_is_gone_from_every_answer() {
    let desk = explored();
    desk.done(&["remove", "ex-002", "--quiet"]);
    let found = results(&desk.done(&["recommend", "--like", "ex-003", "-n", "200", "--json"]));
    assert!(found.iter().all(|result| result["id"] != "ex-002"));
    let searched = results(&desk.done(&["search", "learning", "-n", "200", "--json"]));
    assert!(searched.iter().all(|result| result["id"] != "ex-002"));
    assert_eq!(desk.run(&["recommend", "--like", "ex-002"]).code, 1);
}

#[test]
fn a_search_finds_by_words_and_by_meaning() {
    let desk = explored();
    for by in ["words", "meaning", "both"] {
        let found = results(&desk.done(&["search", "galaxy", "--by", by, "--json"]));
        assert!(!found.is_empty(), "{by}");
    }
    let nothing = desk.done(&["search", "qqqqzzzz", "--by", "words"]);
    assert_eq!((nothing.out.as_str(), nothing.err.as_str()), ("", "nothing found"));
}

#[test]
fn standard_input_is_read_and_a_closed_output_is_no_failure() {
    let desk = Desk::new();
    let mut child = desk.command(&["read", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(b"{\"id\":\"a\",\"title\":\"Deep water\"}\n").expect("written");
    drop(input);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("{\"id\":\"a\""));

    let papers = example_papers();
    let mut child =
        desk.command(&["read", papers.to_str().expect("a path")]).stdout(Stdio::piped()).spawn().expect("runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

#[test]
fn export_and_info_tell_the_same() {
    let desk = explored();
    let info = desk.done(&["info", "--json"]).json();
    assert_eq!(info["papers"], 121);
    assert_eq!(info["themes"], 8);
    assert_eq!(desk.done(&["export", "papers"]).out.lines().count(), 121);
    desk.done(&["export", "papers", "-o", "p.csv"]);
    desk.done(&["export", "vectors", "-o", "v.npy"]);
    let ids: Vec<String> = serde_json::from_str(&desk.read("v.ids.json")).expect("a list");
    assert!(ids.len() == 121 && ids.is_sorted(), "rows stand in the order of ids");
    let paper = desk.done(&["info", "ex-004", "--json"]).json();
    assert_eq!(paper["paper"]["id"], "ex-004");
}

#[test]
fn doctor_finds_nothing_wrong_and_then_something() {
    let desk = explored();
    let said = desk.done(&["doctor", "--json"]);
    assert!(said.json().as_array().expect("findings").iter().all(|finding| finding["severity"] != "bad"));
    let collection = rusqlite::Connection::open(desk.path("papers.db")).expect("a collection");
    collection.execute("UPDATE vector SET text_hash = 'x' WHERE row = 1", []).expect("an update");
    drop(collection);
    let said = desk.run(&["doctor"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("1 vectors are of another text"), "{}", said.out);
}

#[test]
fn a_collection_keeps_to_its_model() {
    let desk = explored();
    desk.done(&["models", "export", "copy"]);
    let before = desk.done(&["recommend", "--like", "ex-010", "--json"]).out;
    let said = desk.done(&["embed", "--model", "./copy", "--dimensions", "64", "--json"]);
    assert_eq!(said.json()["embedded"], 121);
    assert!(said.err.contains("the themes were made of other vectors and are gone"), "{}", said.err);
    assert_eq!(desk.run(&["themes"]).code, 1, "themes of other vectors are gone");
    let after = desk.done(&["recommend", "--like", "ex-010", "--json"]).out;
    assert_ne!(before, after);
    assert_eq!(desk.done(&["embed", "--model", "default", "--json"]).json()["embedded"], 0, "older vectors were kept");
    assert_eq!(strip_theme(&desk.done(&["recommend", "--like", "ex-010", "--json"])), strip_theme_text(&before));
}

#[test]
fn a_collection_keeps_to_the_numbers_of_its_vectors() {
    let desk = Desk::new();
    let papers = |ids: std::ops::Range<usize>| -> String {
        ids.map(|id| format!("{}\n", serde_json::json!({"id": id, "text": format!("paper {id} on tides")}))).collect()
    };
    desk.write("some.jsonl", papers(0..8));
    desk.write("more.jsonl", papers(8..9));
    let model = crate::tiny::fixture("tiny-bert").display().to_string();
    // What would suit plain Rust is f32.
    let set = [("THEMATIC_ISA", "portable")];
    let embed = |arguments: &[&str]| {
        let said = desk.run_with(&[&["embed", "--json"], arguments].concat(), &set);
        assert_eq!(said.code, 0, "{said:?}");
        let report = said.json();
        (report["embedded"].as_u64(), report["precision"].as_str().map(str::to_owned))
    };
    for precision in ["bf16", "int8"] {
        let kept = Some(precision.to_owned());
        assert_eq!(embed(&["some.jsonl", "--model", &model, "--precision", precision]), (Some(8), kept.clone()));
        assert_eq!(desk.run_with(&["cluster", "-k", "2"], &set).code, 0);
        assert_eq!(embed(&[]), (Some(0), kept.clone()));
        assert_eq!(embed(&["--model", &model]), (Some(0), kept.clone()));
        assert_eq!(desk.run_with(&["themes"], &set).code, 0, "themes stay");
        assert_eq!(embed(&["more.jsonl"]), (Some(1), kept));
        desk.done(&["remove", "8"]);
    }
    assert_eq!(embed(&["--precision", "f32"]), (Some(8), Some("f32".to_owned())));
}

#[test]
fn free_text_takes_the_query_prompt_and_prompts_go_by_name() {
    let desk = Desk::new();
    let papers = ["Sea ice melts from below", "Bees read the hive by its sound", "Old maps of dry rivers"];
    let lines =
        papers.iter().enumerate().map(|(at, text)| format!("{}\n", serde_json::json!({"id": at, "text": text})));
    desk.write("papers.jsonl", lines.collect::<String>());
    let model = crate::tiny::fixture("tiny-qwen3").display().to_string();
    let said = desk.run(&["embed", "papers.jsonl", "--model", &model, "--prompt-name", "theme"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("it has document, query"), "{}", said.err);
    desk.done(&["embed", "papers.jsonl", "--model", &model]);
    let ask = |more: &[&str]| {
        let arguments = [&["recommend", "--text", "ice", "--json"][..], more].concat();
        desk.done(&arguments).json()["results"][0]["score"].clone()
    };
    assert_eq!(ask(&[]), ask(&["--prompt-name", "query"]));
    assert_ne!(ask(&[]), ask(&["--prompt-name", "document"]));
    let both = desk.run(&["embed", "papers.jsonl", "--prompt", "x", "--prompt-name", "query"]);
    assert_eq!(both.code, 2, "{both:?}");
}

fn strip_theme(said: &Said) -> Vec<(Value, Value)> {
    strip_theme_text(&said.out)
}

fn strip_theme_text(text: &str) -> Vec<(Value, Value)> {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let results = value["results"].as_array().expect("results").clone();
    results.into_iter().map(|result| (result["id"].clone(), result["score"].clone())).collect()
}
