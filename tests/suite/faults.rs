//! Bad input: each gets an error that names the thing, the cause and the way out, with the exit code of its kind.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use thematic::paper::{Draft, Identifier, Paper};
use thematic::store::{Change, Collection};

use crate::program::{Desk, Said, example_papers};

fn failed(said: &Said, code: i32, fragments: &[&str]) {
    assert_eq!(said.code, code, "{said:?}");
    for fragment in fragments {
        assert!(said.err.contains(fragment), "no `{fragment}` in {said:?}");
    }
}

fn line(id: &str, text: &str) -> String {
    format!(
        "{}\n",
        serde_json::json!({"id": id, "title": format!("On {text}"), "abstract": format!("We study {text} in depth.")})
    )
}

#[test]
fn an_empty_file_holds_no_paper() {
    let desk = Desk::new();
    desk.write("empty.jsonl", "");
    failed(&desk.run(&["explore", "empty.jsonl"]), 3, &["`empty.jsonl`", "hint:"]);
    assert!(!desk.path("papers.db").exists() || desk.done(&["info", "--json"]).json()["papers"] == 0);
}

#[test]
fn a_folder_without_papers_holds_no_paper() {
    let desk = Desk::new();
    desk.write("folder/picture.png", b"\x89PNG\r\n\x1a\n\x00\x00");
    failed(&desk.run(&["read", "folder"]), 3, &["folder", "hint:"]);
}

#[test]
fn a_missing_file_is_named() {
    let desk = Desk::new();
    failed(&desk.run(&["read", "absent.jsonl"]), 1, &["cannot read `absent.jsonl`", "hint:"]);
}

#[test]
fn a_truncated_gzip_keeps_what_could_be_read() {
    let desk = Desk::new();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for number in 0..2000 {
        encoder.write_all(line(&format!("p{number}"), &format!("subject {number}")).as_bytes()).expect("memory");
    }
    let bytes = encoder.finish().expect("memory");
    desk.write("cut.jsonl.gz", &bytes[..bytes.len() / 2]);
    let said = desk.done(&["read", "cut.jsonl.gz", "--skipped", "skipped.jsonl"]);
    assert!(said.out.lines().count() > 500, "{} lines", said.out.lines().count());
    assert!(said.err.contains("warning: skipped"), "{}", said.err);
    assert!(desk.read("skipped.jsonl").contains("cut.jsonl.gz"));
    failed(&desk.run(&["read", "cut.jsonl.gz", "--strict"]), 5, &["skipped"]);
}

#[test]
fn a_giant_line_is_skipped_and_the_rest_is_read() {
    let desk = Desk::new();
    let mut file = fs::File::create(desk.path("giant.jsonl")).expect("a file");
    file.write_all(line("a", "rivers").as_bytes()).expect("disk");
    file.write_all(b"{\"id\":\"big\",\"title\":\"").expect("disk");
    // 200 MB on one line, against a limit of 64 MiB.
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..200 {
        file.write_all(&chunk).expect("disk");
    }
    file.write_all(b"\"}\n").expect("disk");
    file.write_all(line("b", "glaciers").as_bytes()).expect("disk");
    let said = desk.done(&["read", "giant.jsonl"]);
    assert_eq!(said.out.lines().count(), 2);
    assert!(said.err.contains("giant.jsonl") && said.err.contains("line 2"), "{}", said.err);
}

#[test]
fn a_long_abstract_is_embedded_and_counted_as_cut() {
    let desk = Desk::new();
    let words = "deep water currents carry heat ".repeat(35_000);
    desk.write("long.jsonl", line("long", &words) + &line("short", "ice"));
    let said = desk.done(&["embed", "long.jsonl", "--json"]);
    assert_eq!(said.json()["embedded"], 2);
}

#[test]
fn nul_bytes_do_no_harm() {
    let desk = Desk::new();
    desk.write("nul.jsonl", line("a", "waves\\u0000 and\0 tides"));
    let said = desk.run(&["read", "nul.jsonl"]);
    assert!(!said.out.contains('\0'), "{said:?}");
    assert!(said.code == 0 || said.code == 3, "{said:?}");
}

#[test]
fn what_is_no_collection_is_refused_and_left_as_it_is() {
    let desk = Desk::new();
    let text = "just notes\n".repeat(100);
    desk.write("notes.db", &text);
    desk.write("in.jsonl", line("a", "waves"));
    failed(&desk.run(&["info", "-c", "notes.db"]), 1, &["`notes.db`", "is not a collection", "hint:"]);
    failed(&desk.run(&["embed", "in.jsonl", "-c", "notes.db"]), 1, &["is not a collection"]);
    assert_eq!(desk.read("notes.db"), text);
    failed(&desk.run(&["info", "-c", "absent.db"]), 1, &["there is no such collection", "hint:"]);
}

#[test]
fn two_lists_that_count_alike_lose_no_paper() {
    let desk = Desk::new();
    let other =
        serde_json::json!({"id": "1", "title": "Codes of the plane", "abstract": "Distances of codes are bounded."});
    desk.write("one.jsonl", line("1", "rivers"));
    desk.write("other.jsonl", format!("{other}\n"));
    for _ in 0..2 {
        for file in ["one.jsonl", "other.jsonl"] {
            desk.done(&["embed", file]);
        }
        assert_eq!(desk.done(&["info", "--json"]).json()["papers"], 2);
    }
    let found = desk.done(&["search", "codes", "--by", "words", "--json"]).json();
    assert!(found["results"][0]["id"].as_str().is_some_and(|id| id.starts_with("TEXT:")), "{found}");
    assert_eq!(desk.done(&["search", "rivers", "--by", "words", "--json"]).json()["results"][0]["id"], "1");
}

#[test]
fn another_programs_database_is_refused() {
    let desk = Desk::new();
    let other = rusqlite::Connection::open(desk.path("other.db")).expect("a database");
    other.execute_batch("CREATE TABLE t (x)").expect("a table");
    failed(&desk.run(&["info", "-c", "other.db"]), 1, &["a SQLite file, but not a collection", "hint:"]);
}

#[test]
fn a_collection_of_a_newer_version_is_refused() {
    let desk = Desk::new();
    desk.write("in.jsonl", line("a", "waves"));
    desk.done(&["embed", "in.jsonl"]);
    let collection = rusqlite::Connection::open(desk.path("papers.db")).expect("a database");
    collection.pragma_update(None, "user_version", 99).expect("a pragma");
    drop(collection);
    failed(&desk.run(&["info"]), 1, &["is of version 99", "hint: use the newer thematic"]);
    failed(&desk.run(&["embed", "in.jsonl"]), 1, &["is of version 99"]);
}

/// Adds a paper as it stands when the program was killed before it could index its words.
fn add_unindexed(path: &Path, name: &str, title: &str) {
    let identifiers = vec![Identifier::source(name).expect("an id")];
    let draft = Draft { identifiers, title: title.into(), ..Draft::default() };
    let paper = Paper::from_draft(draft).expect("a paper with a title");
    let change = Change { row: None, absorbs: &[], paper: &paper, keys: &[] };
    let mut collection = Collection::open(path).expect("a collection");
    collection.batch(|batch| batch.put(&change)).expect("a collection that can be written");
}

#[test]
fn a_collection_that_cannot_be_written_still_answers() {
    let desk = Desk::new();
    desk.write("sub/in.jsonl", line("a", "waves") + &line("b", "tides"));
    desk.done(&["embed", "sub/in.jsonl", "-c", "sub/papers.db"]);
    add_unindexed(&desk.path("sub/papers.db"), "c", "moraines");
    let writable = |yes: bool| {
        let mode = |file: u32, folder: u32| if yes { (0o644, 0o755) } else { (file, folder) };
        let (file, folder) = mode(0o444, 0o555);
        fs::set_permissions(desk.path("sub/papers.db"), fs::Permissions::from_mode(file)).expect("permissions");
        fs::set_permissions(desk.path("sub"), fs::Permissions::from_mode(folder)).expect("permissions");
    };
    writable(false);
    let said = desk.run(&["recommend", "-c", "sub/papers.db", "--like", "a", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let found = desk.done(&["search", "-c", "sub/papers.db", "moraines", "--by", "words", "--json"]);
    assert_eq!(found.json()["results"].as_array().map(Vec::len), Some(1), "{found:?}");
    let blocked = fs::write(desk.path("sub/probe"), b"").is_err();
    if blocked {
        failed(&desk.run(&["embed", "sub/in.jsonl", "-c", "sub/papers.db"]), 1, &["papers.db", "hint:"]);
    } else {
        println!("skipped the writing half: permissions do not bind this user");
    }
    writable(true);
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    let desk = Desk::new();
    desk.write("in.jsonl", line("a", "waves"));
    failed(&desk.run(&["embed", "in.jsonl", "-o", "/dev/full"]), 2, &["/dev/full"]);
    let said = desk.run(&["read", "in.jsonl"]);
    assert_eq!(said.code, 0);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let status = desk.command(&["read", "in.jsonl"]).stdout(full).output().expect("the program runs");
    assert_eq!(status.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&status.stderr).contains("no space left"), "{status:?}");
}

/// A disk of one megabyte can be had where an unprivileged user may mount one in a namespace of their own.
#[test]
fn a_collection_on_a_full_disk_keeps_what_it_had() {
    let desk = Desk::new();
    let many: String = (0..3000).map(|n| line(&format!("p{n}"), &format!("subject {n} of a long list"))).collect();
    desk.write("many.jsonl", many);
    desk.write("few.jsonl", line("a", "waves"));
    fs::create_dir(desk.path("disk")).expect("a folder");
    let script = "mount -t tmpfs -o size=1m tmpfs disk || exit 99
        $P embed few.jsonl -c disk/p.db --quiet || exit 98
        $P embed many.jsonl -c disk/p.db; echo \"ended $?\" >&2
        $P info -c disk/p.db --json";
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command.current_dir(desk.path("")).env("P", env!("CARGO_BIN_EXE_thematic"));
    let output = match command.output() {
        Ok(output) if output.status.code() == Some(0) => output,
        other => {
            let why = other.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
            println!("skipped: no disk of one megabyte can be mounted here: {why:?}");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the disk is full; what was stored before is safe"), "{said}");
    assert!(said.contains("hint: free some space") && said.contains("ended 1"), "{said}");
    let info: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(info["papers"].as_u64() >= Some(1), "{info}");
}

#[test]
fn an_unknown_id_is_named_with_those_that_resemble_it() {
    let desk = Desk::new();
    let papers = example_papers();
    desk.done(&["embed", papers.to_str().expect("a path")]);
    let said = desk.run(&["recommend", "--like", "ex-9999"]);
    failed(&said, 1, &["no paper `ex-9999` in `papers.db`", "hint:"]);
    failed(&desk.run(&["recommend", "--like", "x-017"]), 1, &["did you mean `ex-017`?"]);
    failed(&desk.run(&["remove", "nobody"]), 1, &["no paper `nobody`"]);
}

#[test]
fn nothing_to_go_by_is_a_usage_error() {
    let desk = Desk::new();
    desk.write("in.jsonl", line("a", "waves") + &line("b", "tides"));
    desk.done(&["embed", "in.jsonl"]);
    failed(&desk.run(&["recommend"]), 2, &["nothing to go by", "hint: give a paper with --like"]);
    failed(&desk.run(&["recommend", "--unlike", "a"]), 2, &["hint:"]);
    failed(&desk.run(&["cluster", "-k", "0"]), 2, &["number from 1"]);
    failed(&desk.run(&["recommend", "--like", "a", "--from", "yesterday"]), 2, &["is not a date"]);
    failed(&desk.run(&["embed", "in.jsonl", "-c", "x.db", "-o", "v.npy"]), 2, &["hint:"]);
    failed(&desk.run(&["embed", "in.jsonl", "-o", "v.xlsx"]), 2, &["v.xlsx", ".npy"]);
    failed(&desk.run(&["themes"]), 1, &["no themes yet", "hint: run `thematic cluster`"]);
    failed(&desk.run(&["recommend", "--like", "a", "--theme", "0"]), 2, &["no themes yet"]);
}

#[test]
fn more_themes_than_papers_are_as_many_as_there_can_be() {
    let desk = Desk::new();
    desk.write("in.jsonl", line("a", "waves") + &line("b", "glaciers") + &line("c", "monetary policy"));
    desk.done(&["embed", "in.jsonl"]);
    let said = desk.done(&["cluster", "-k", "50", "--json"]);
    assert_eq!(said.json()["themes"].as_array().map(Vec::len), Some(3));
    assert!(said.err.contains("50"), "{}", said.err);
}

#[test]
fn one_paper_and_papers_that_are_all_the_same_are_one_theme() {
    let desk = Desk::new();
    desk.write("one.jsonl", line("a", "waves"));
    let said = desk.done(&["explore", "one.jsonl", "-c", "one.db", "--json"]);
    assert_eq!(said.json()["themes"].as_array().map(Vec::len), Some(1));

    let same: String = (0..5).map(|n| format!("{{\"id\":\"s{n}\",\"text\":\"the very same words\"}}\n")).collect();
    desk.write("same.jsonl", same);
    desk.done(&["embed", "same.jsonl", "-o", "same.npy"]);
    let said = desk.done(&["cluster", "same.npy", "-k", "3", "--json"]);
    assert_eq!(said.json()["themes"].as_array().map(Vec::len), Some(1), "{said:?}");
}

#[test]
fn a_model_folder_with_a_missing_file_is_refused_before_the_work() {
    let desk = Desk::new();
    desk.write("in.jsonl", line("a", "waves"));
    failed(
        &desk.run(&["embed", "in.jsonl", "--model", "no/such-folder", "--offline"]),
        4,
        &["no/such-folder", "hint:"],
    );
    desk.done(&["models", "export", "model"]);
    fs::remove_file(desk.path("model/tokenizer.json")).expect("a file");
    failed(&desk.run(&["embed", "in.jsonl", "--model", "./model"]), 4, &["tokenizer.json", "hint:"]);
    desk.done(&["models", "export", "other"]);
    let weights = fs::read(desk.path("other/model.safetensors")).expect("a file");
    fs::write(desk.path("other/model.safetensors"), &weights[..weights.len() / 2]).expect("a file");
    failed(&desk.run(&["embed", "in.jsonl", "--model", "./other"]), 4, &["model.safetensors", "hint:"]);
    assert!(!desk.path("papers.db").exists(), "nothing was begun");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn cuda_in_a_build_without_it_is_refused() {
    let desk = Desk::new();
    desk.write("in.jsonl", line("a", "waves"));
    failed(&desk.run(&["embed", "in.jsonl", "--device", "cuda"]), 4, &["cuda", "hint:"]);
}
