//! Bad input: what cannot be read is said, and what can be read is kept.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{options, read, read_paths, read_with};
use thematic::error::Error;
use thematic::ingest::{self, Input};

#[test]
fn a_missing_input_is_an_error_before_any_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = folder.path().join("good.jsonl");
    fs::write(&good, "{\"title\": \"One\"}\n").expect("a file");
    let inputs = [Input::parse(good), Input::parse(folder.path().join("absent.jsonl"))];
    let mut seen = 0;
    let result = ingest::read(&inputs, &options(), &mut |_| {
        seen += 1;
        Ok(())
    });
    let error = result.expect_err("an error");
    assert!(error.to_string().ends_with("absent.jsonl`: no such file or directory"), "{error}");
    assert_eq!((error.exit_code(), seen), (1, 0));
}

#[test]
fn what_the_sink_returns_ends_the_reading() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.jsonl");
    fs::write(&path, "{\"title\": \"One\"}\n".repeat(100)).expect("a file");
    let mut seen = 0;
    let result = ingest::read(&[Input::Path(path)], &options(), &mut |_| {
        seen += 1;
        if seen == 3 { Err(Error::Interrupted) } else { Ok(()) }
    });
    assert!(matches!(result, Err(Error::Interrupted)));
    assert_eq!(seen, 3);
}

#[test]
fn empty_files_and_empty_folders_say_so() {
    for content in ["", "\n \n", "\u{FEFF}"] {
        assert_eq!(read("empty.jsonl", content).reasons(), [(None, "is empty")], "{content:?}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(read_paths(&[folder.path()], &options()).reasons(), [(None, "the folder holds no files")]);
    assert_eq!(read("head.csv", "title,abstract\n").reasons(), [(None, "holds no records")]);
}

#[test]
fn other_kinds_of_file_are_named() {
    let check =
        |content: &[u8], expected: &str| assert_eq!(read("papers.jsonl", content).reasons(), [(None, expected)]);
    check(b"%PDF-1.7\n", "is a PDF: export the bibliography as BibTeX, RIS or JSON instead");
    check(b"PK\x03\x04rest", "is a zip archive (or an Office document): unpack or export it first");
    check(&[0; 4096], "is binary, not text");
    check(&[[7, 200, 3, 65]; 300].concat(), "is binary, not text");
    let mut tar = vec![b'a'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    check(&tar, "is a tar archive: unpack it first");
    assert_eq!(
        read("a.xml", "<?xml version=\"1.0\"?><feed/>").reasons(),
        [(None, "XML is not read: export as BibTeX, RIS, CSV or JSON")]
    );
}

#[test]
fn bytes_that_are_not_utf8_are_read_as_windows_1252_and_announced() {
    let outcome = read("latin.csv", b"title,abstract\nPlain,Text\nCaf\xE9,\x93Quoted\x94\nna\xC3\xAFve,Text\n");
    assert_eq!(outcome.titles(), ["Plain", "Café", "naïve"]);
    assert_eq!(outcome.drafts[1].abstract_text, "“Quoted”");
    assert_eq!((outcome.notes[0].line, outcome.notes.len()), (Some(3), 1));
    assert_eq!(outcome.notes[0].message, "not UTF-8: bytes that are not are read as Windows-1252");
}

#[test]
fn nul_bytes_are_left_out_and_announced() {
    let outcome = read("a.jsonl", b"{\"title\": \"One\"}\n{\"title\": \"T\0wo\"}\n\0\0\0\0\n{\"title\": \"Three\"}\n");
    assert_eq!(outcome.titles(), ["One", "Two", "Three"]);
    assert_eq!((outcome.notes[0].line, outcome.notes[0].message.as_str()), (Some(2), "NUL bytes are left out"));
}

#[test]
fn a_truncated_archive_keeps_what_came_before_the_break() {
    // Records that do not compress well, so that the break is in the middle of them.
    let record =
        |i: u64| format!("{{\"title\": \"T{i}\", \"abstract\": \"{:x}\"}}\n", i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let plain: String = (0..20_000).map(record).collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain.as_bytes()).expect("memory");
    let gzip = encoder.finish().expect("memory");
    let zstd = zstd::encode_all(plain.as_bytes(), 1).expect("memory");
    for whole in [gzip, zstd] {
        let outcome = read("papers.jsonl", &whole[..whole.len() / 2]);
        let kept = outcome.drafts.len();
        assert!((1000..19_000).contains(&kept), "{kept}");
        assert_eq!(outcome.titles()[kept - 1], format!("T{}", kept - 1));
        assert_eq!(outcome.reasons(), [(Some(kept as u64 + 1), "the compressed data is cut short")]);
    }
}

#[test]
fn a_damaged_archive_and_a_lone_header_are_skipped() {
    let outcome = read("a.jsonl.gz", [0x1F, 0x8B, 8, 0, 0, 0]);
    assert_eq!(outcome.reasons(), [(None, "cannot be read: the compressed data is cut short")]);
    let outcome =
        read("a.jsonl.zst", [0x28, 0xB5, 0x2F, 0xFD, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    assert_eq!(outcome.skips.len(), 1);
    assert!(outcome.drafts.is_empty());
}

#[test]
fn a_giant_record_is_skipped_with_its_line() {
    let mut options = options();
    options.max_record_bytes = 1000;
    let giant = "x".repeat(3_000_000);
    let check = |name: &str, content: String, line: u64| {
        let outcome = read_with(name, content, &options);
        assert_eq!(outcome.titles(), ["One", "Three"], "{name}");
        assert_eq!(outcome.reasons(), [(Some(line), "longer than 1000 bytes")], "{name}");
        let excerpt = outcome.skips[0].excerpt.as_deref().expect("an excerpt");
        assert!(excerpt.len() < 250, "{name}");
    };
    check("a.jsonl", format!("{{\"title\": \"One\"}}\n{{\"title\": \"{giant}\"}}\n{{\"title\": \"Three\"}}\n"), 2);
    check("a.json", format!("[{{\"title\": \"One\"}},\n {{\"title\": \"{giant}\"}},\n {{\"title\": \"Three\"}}]"), 2);
    check("b.json", format!("[{{\"title\": \"One\"}}, {{\"title\": \"{giant}\"}}, {{\"title\": \"Three\"}}]"), 1);
    check("a.csv", format!("id,title\n1,One\n2,{giant}\n3,Three\n"), 3);
    check(
        "a.ris",
        format!("TY  - JOUR\nTI  - One\nER  - \nTY  - JOUR\nTI  - {giant}\nER  - \nTY  - JOUR\nTI  - Three\nER  - \n"),
        4,
    );
    check(
        "a.bib",
        format!("@misc{{a, title={{One}}}}\n@misc{{b, title={{{giant}}}}}\n@misc{{c, title={{Three}}}}\n"),
        2,
    );
}

#[test]
fn an_abstract_of_a_mebibyte_is_fine() {
    let long = "words".repeat(1 << 18);
    let outcome = read("a.jsonl", format!("{{\"title\": \"One\", \"abstract\": \"{long}\"}}\n"));
    assert_eq!(outcome.only().abstract_text.len(), long.len());
    let outcome = read("a.csv", format!("title,abstract\nOne,\"{long}\"\n"));
    assert_eq!(outcome.only().abstract_text.len(), long.len());
}

#[test]
fn a_table_of_a_million_columns_is_refused() {
    let header = (0..1_000_000).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",");
    let outcome = read("wide.csv", format!("{header}\n{}\n", ",".repeat(999_999)));
    assert_eq!(outcome.reasons(), [(None, "1000000 columns: no table of papers has more than 10000")]);
}

#[test]
fn a_table_without_text_says_what_it_has() {
    let outcome = read("a.csv", "a,b\n1,2\n");
    let expected = "no column for title, abstract or text among `a`, `b`: say which with --text-column";
    assert_eq!(outcome.reasons(), [(None, expected)]);
}

#[test]
fn a_quote_that_is_never_closed_costs_its_own_line() {
    let outcome = read("a.csv", "id,title\n1,One\n2,\"Two\n3,Three\n4,Four\n");
    assert_eq!(outcome.titles(), ["One", "Three", "Four"]);
    assert_eq!(outcome.reasons(), [(Some(3), "a quotation mark is not closed")]);
}

#[test]
fn a_row_with_too_many_cells_is_refused() {
    let outcome = read("a.csv", "id,title,year\n1,One, two and three,2020\n2,Fine,2020,,\n3,Short\n");
    assert_eq!(outcome.titles(), ["Fine", "Short"]);
    assert_eq!(outcome.reasons(), [(Some(2), "4 cells where the header has 3")]);
}
