//! Gigabytes through a pipe, with an eye on memory. Only with `THEMATIC_LONG=1`.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::thread;

use super::options;
use thematic::ingest::{self, Input, Item};

const BYTES: usize = 5_000_000_000;
/// Far less than the input, with room for the batches in flight.
const PEAK_KIB: u64 = 200 << 10;

#[test]
fn five_gigabytes_of_lines_are_read_in_constant_memory() {
    if std::env::var_os("THEMATIC_LONG").is_none() {
        return println!("skipped: needs THEMATIC_LONG=1");
    }
    check_memory("", "\n", "\n");
}

#[test]
fn a_list_of_five_gigabytes_is_read_in_constant_memory() {
    if std::env::var_os("THEMATIC_LONG").is_none() {
        return println!("skipped: needs THEMATIC_LONG=1");
    }
    check_memory("[", ", ", "]");
}

fn check_memory(opening: &'static str, separator: &'static str, closing: &'static str) {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let record =
        format!("{{\"id\": \"p\", \"title\": \"A title\", \"abstract\": \"{}\"}}", "words and words ".repeat(80));
    let count = BYTES / record.len();
    let writer = {
        let pipe = pipe.clone();
        thread::spawn(move || write(&pipe, &record, count, [opening, separator, closing]))
    };
    let mut read = 0;
    let mut keep = |item| {
        read += usize::from(matches!(item, Item::Record(_)));
        Ok(())
    };
    ingest::read(&[Input::Path(pipe)], &options(), &mut keep).expect("a readable pipe");
    writer.join().expect("the writer");
    assert_eq!(read, count);
    assert!(peak_kib() < PEAK_KIB, "{} KiB", peak_kib());
}

fn write(pipe: &Path, record: &str, count: usize, [opening, separator, closing]: [&str; 3]) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(pipe).expect("a pipe"));
    let mut put = |text: &str| out.write_all(text.as_bytes()).expect("a reader");
    put(opening);
    for at in 0..count {
        put(if at > 0 { separator } else { "" });
        put(record);
    }
    put(closing);
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}
