//! `embed --shards`: a folder of papers into a folder of vectors, stopped and taken up again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, RecordBatch, StringArray};
use arrow::datatypes::Float32Type;
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::program::{Desk, Said, example_papers};
use crate::tiny::fixture;

/// Ids and vectors of a file, in its order.
pub(crate) fn stored(path: &Path) -> (Vec<String>, Vec<Vec<f32>>) {
    let file = fs::File::open(path).expect("a file of vectors");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("rows");
    let (mut ids, mut vectors) = (Vec::new(), Vec::new());
    for batch in reader {
        let batch = batch.expect("a batch");
        ids.extend(batch.column(0).as_string::<i32>().iter().map(|id| id.expect("an id").to_owned()));
        let rows: &FixedSizeListArray = batch.column(1).as_fixed_size_list();
        vectors.extend((0..rows.len()).map(|row| rows.value(row).as_primitive::<Float32Type>().values().to_vec()));
    }
    (ids, vectors)
}

/// The example papers in `count` files of equal length below `in/`: the second compressed, the third in a folder, the fourth
/// compressed in another way, the fifth as Parquet.
fn shards(desk: &Desk, count: usize) {
    let text = fs::read_to_string(example_papers()).expect("the examples");
    let lines: Vec<&str> = text.lines().collect();
    for (at, part) in lines.chunks(lines.len().div_ceil(count)).enumerate() {
        let part = part.join("\n") + "\n";
        match at {
            1 => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(part.as_bytes()).expect("bytes");
                desk.write("in/part-1.jsonl.gz", encoder.finish().expect("gzip"));
            }
            2 => drop(desk.write("in/more/part-2.jsonl", part)),
            3 => drop(desk.write("in/part-3.jsonl.zst", zstd::encode_all(part.as_bytes(), 1).expect("memory"))),
            4 => drop(desk.write("in/part-4.parquet", as_parquet(&part))),
            _ => drop(desk.write(&format!("in/part-{at}.jsonl"), part)),
        }
    }
}

/// Papers as JSON Lines in the columns that a table of papers has.
fn as_parquet(lines: &str) -> Vec<u8> {
    let papers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let column = |name: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter(papers.iter().map(|paper| paper[name].as_str().map(str::to_owned))))
    };
    let columns = ["id", "title", "abstract"].map(|name| (name, column(name)));
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
    bytes
}

/// A model that takes no time.
fn model() -> String {
    fixture("tiny-static").display().to_string()
}

fn embed(desk: &Desk) -> Said {
    desk.run(&["embed", "--shards", "in", "out", "--json", "--model", &model()])
}

fn manifest(desk: &Desk) -> Vec<Value> {
    let text = desk.read("out/manifest.jsonl");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn each_file_becomes_one_with_the_vectors_that_the_file_alone_gives() {
    let desk = Desk::new();
    shards(&desk, 6);
    let report = embed(&desk).json();
    assert_eq!((&report["shards"], &report["written"], &report["kept"]), (&6.into(), &6.into(), &0.into()));
    let mut total = 0;
    for (input, output) in [
        ("in/part-0.jsonl", "out/part-0.parquet"),
        ("in/part-1.jsonl.gz", "out/part-1.parquet"),
        ("in/more/part-2.jsonl", "out/more/part-2.parquet"),
        ("in/part-3.jsonl.zst", "out/part-3.parquet"),
        ("in/part-4.parquet", "out/part-4.parquet"),
        ("in/part-5.jsonl", "out/part-5.parquet"),
    ] {
        desk.done(&["embed", input, "-o", "alone.parquet", "--model", &model()]);
        let (ids, vectors) = stored(&desk.path(output));
        let alone = stored(&desk.path("alone.parquet"));
        assert!((&ids, &vectors) == (&alone.0, &alone.1), "{input}");
        total += ids.len();
        let entry =
            manifest(&desk).into_iter().find(|entry| entry["output"] == output["out/".len()..]).expect("an entry");
        assert_eq!(entry["papers"], ids.len(), "{entry}");
    }
    assert_eq!(report["papers"], total);
    let examples = fs::read_to_string(example_papers()).expect("the examples");
    assert_eq!(total, examples.lines().count(), "a row a record");
}

#[test]
fn a_second_run_makes_only_what_is_missing_or_changed() {
    let desk = Desk::new();
    shards(&desk, 3);
    embed(&desk);
    let again = embed(&desk).json();
    assert_eq!((&again["written"], &again["kept"], &again["papers"]), (&0.into(), &3.into(), &0.into()));
    fs::remove_file(desk.path("out/part-1.parquet")).expect("it was there");
    desk.write("in/part-0.jsonl", "{\"title\": \"Tides and sand\"}\n");
    let third = embed(&desk).json();
    assert_eq!((&third["written"], &third["kept"]), (&2.into(), &1.into()));
    assert_eq!(stored(&desk.path("out/part-0.parquet")).0.len(), 1);
}

#[test]
fn a_file_that_holds_no_papers_is_named_and_the_others_go_on() {
    let desk = Desk::new();
    shards(&desk, 2);
    desk.write("in/a-picture.jsonl", b"\x89PNG\r\n");
    desk.write("in/empty.jsonl", "");
    let said = embed(&desk);
    assert_eq!(said.code, 0, "{said:?}");
    let report = said.json();
    assert_eq!((&report["written"], &report["failed"], &report["skipped"]), (&2.into(), &2.into(), &2.into()));
    for name in ["a-picture.jsonl", "empty.jsonl"] {
        assert!(said.err.contains(&format!("`{name}` holds no paper that can be read")), "{}", said.err);
    }
    let before = stored(&desk.path("out/part-0.parquet"));
    desk.write("in/part-0.jsonl", "what was here is gone\n");
    let said = embed(&desk);
    let left =
        "`part-0.jsonl` holds no paper that can be read: the vectors of what it held before are left as they are";
    assert!(said.err.contains(left), "{}", said.err);
    assert!(stored(&desk.path("out/part-0.parquet")) == before);
    let strict = desk.run(&["embed", "--shards", "in", "out", "--strict", "--model", &model()]);
    assert_eq!(strict.code, 5, "what failed is tried again: {strict:?}");
}

#[test]
fn what_cannot_go_together_is_refused_before_any_work() {
    let desk = Desk::new();
    shards(&desk, 2);
    let refused = |arguments: &[&str], cause: &str, hint: &str| {
        let model = model();
        let said = desk.run(&[arguments, &["--model", &model]].concat());
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(cause) && said.err.contains(hint), "{}", said.err);
    };
    refused(&["embed", "--shards", "in", "in/out"], "lies in the other", "name a folder for vectors elsewhere");
    refused(&["embed", "--shards", "in/part-0.jsonl", "out"], "is not a folder", "name the folder of input files");
    desk.write("in/part-0.csv", "title\nOne\n");
    refused(&["embed", "--shards", "in", "out"], "would both become `part-0.parquet`", "rename one of them");
    fs::remove_file(desk.path("in/part-0.csv")).expect("it was there");
    embed(&desk);
    let other = ["embed", "--shards", "in", "out", "--dimensions", "8"];
    refused(&other, "holds vectors of dimensions", "name another folder");
    desk.write("out/manifest.jsonl", "{\"format\": \n");
    refused(&["embed", "--shards", "in", "out"], "`out/manifest.jsonl` line 1: is damaged", "delete this file");
}

#[test]
fn a_kill_leaves_nothing_half_written_and_the_next_run_goes_on() {
    killed_until_it_is_done(usize::MAX, &["--model", &model()]);
}

/// Kills runs over twelve files of the examples, of each so many papers, ever later until one gets to its end undisturbed,
/// and looks at what each leaves.
pub(crate) fn killed_until_it_is_done(papers: usize, options: &[&str]) {
    let desk = Desk::new();
    let examples = fs::read_to_string(example_papers()).expect("the examples");
    let text: String = examples.lines().take(papers).map(|line| format!("{line}\n")).collect();
    for shard in 0..12 {
        desk.write(&format!("in/part-{shard:02}.jsonl"), &text);
    }
    fs::create_dir(desk.path("out")).expect("a folder");
    let arguments = [&["embed", "--shards", "in", "out", "--quiet"], options].concat();
    let mut pause = Duration::from_millis(20);
    loop {
        let mut child = desk.command(&arguments).stderr(Stdio::null()).spawn().expect("the program");
        std::thread::sleep(pause);
        match child.try_wait().expect("a status") {
            Some(status) if status.success() => break,
            Some(status) => panic!("it ended by itself: {status}"),
            None => child.kill().expect("a kill"),
        }
        child.wait().expect("an end");
        for path in
            files_below(&desk.path("out")).iter().filter(|path| path.extension().is_some_and(|e| e == "parquet"))
        {
            assert_eq!(stored(path).0.len(), text.lines().count(), "{}", path.display());
        }
        pause += pause / 2 + Duration::from_millis(40);
    }
    let whole: Vec<PathBuf> = files_below(&desk.path("out"));
    assert_eq!(whole.len(), 13, "twelve files and the manifest, nothing else: {whole:?}");
    assert_eq!(manifest(&desk).len(), 13);
    let papers: u64 = manifest(&desk).iter().filter_map(|entry| entry["papers"].as_u64()).sum();
    assert_eq!(papers, 12 * text.lines().count() as u64);
}

#[test]
fn two_runs_do_not_write_into_one_folder() {
    let desk = Desk::new();
    shards(&desk, 2);
    fs::create_dir(desk.path("out")).expect("a folder");
    let held = fs::File::create(desk.path("out/manifest.jsonl")).expect("a file");
    held.lock().expect("a lock");
    let said = embed(&desk);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("another run is writing into this folder"), "{}", said.err);
}
