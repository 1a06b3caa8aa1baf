//! For every reader: no input panics, and every record comes out as a paper or as skipped.

use proptest::prelude::*;

use super::{options, read, read_with};
use thematic::ingest::Format;

/// Fragments that readers look for, so that random texts get past detection and into the corners.
fn fragment() -> impl Strategy<Value = String> {
    let known = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        ",",
        ":",
        "\n",
        "\r\n",
        " ",
        "\t",
        ";",
        "\u{1e}",
        "é",
        "漢",
        "null",
        "1.5",
        "\"title\": ",
        "\"abstract\": ",
        "\"T\"",
        "\"results\": [",
        "\"abstract_inverted_index\": {\"w\": [1]}",
        "\"authors\": [{\"name\": 1}]",
        "TY  - JOUR\n",
        "TI  - T\n",
        "ER  - \n",
        "AU  - ,\n",
        "PMID- 1\n",
        "FN x\n",
        "PT J\n",
        "   more\n",
        "ER\n",
        "@article{k,",
        "title = {T}",
        "author = {A and }",
        "crossref={v}",
        "@string{a=b}",
        "}\n",
        "title,abstract\n",
        "title\tabstract\n",
        "sep=;\n",
        "a,\"b",
        "$",
        "#",
        "%",
        "\u{FEFF}",
    ];
    prop_oneof![8 => prop::sample::select(known.map(str::to_owned).to_vec()), 1 => any::<String>()]
}

fn format() -> impl Strategy<Value = Option<Format>> {
    let all: Vec<Format> = Format::names().map(|name| name.parse().expect("a format")).collect();
    prop::option::of(prop::sample::select(all))
}

fn something_comes_out(content: &[u8], format: Option<Format>, limit: usize) -> bool {
    let mut options = options();
    options.format = format;
    options.max_record_bytes = limit;
    let outcome = read_with("a.txt", content, &options);
    outcome.drafts.len() + outcome.skips.len() > 0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_never_panic(content in prop::collection::vec(any::<u8>(), 0..600), format in format()) {
        prop_assert!(something_comes_out(&content, format, 1 << 20));
    }

    #[test]
    fn arbitrary_fragments_never_panic(
        fragments in prop::collection::vec(fragment(), 0..40),
        format in format(),
        limit in prop_oneof![Just(16_usize), Just(100), Just(1 << 20)],
    ) {
        prop_assert!(something_comes_out(fragments.concat().as_bytes(), format, limit));
    }

    #[test]
    fn every_line_is_a_paper_or_skipped(lines in prop::collection::vec((any::<String>(), 0..4), 1..30)) {
        let line = |(at, (text, kind)): (usize, &(String, i32))| match kind {
            0 => format!("{{\"id\": {at}, \"title\": {}}}", serde_json::to_string(&format!("T{text}")).expect("JSON")),
            1 => format!("{{\"id\": {at}, \"text\": \"T"),
            2 => format!("{{\"id\": {at}}}"),
            _ => format!("junk {at}"),
        };
        let whole: Vec<String> = lines.iter().enumerate().map(line).collect();
        let outcome = read("a.jsonl", format!("{{\"title\": \"First\"}}\n{}\n", whole.join("\n")));
        prop_assert_eq!(outcome.drafts.len() + outcome.skips.len(), lines.len() + 1);
        let good = lines.iter().filter(|(_, kind)| *kind == 0).count();
        prop_assert_eq!(outcome.drafts.len(), good + 1);
    }

    #[test]
    fn lists_and_lines_of_the_same_records_are_the_same(texts in prop::collection::vec(any::<String>(), 1..20)) {
        let record = |(id, text): (usize, &String)| {
            serde_json::json!({"id": format!("p{id}"), "title": format!("T{text}"), "extra": {"a": [text, {"b": "}]"}]}})
        };
        let records: Vec<serde_json::Value> = texts.iter().enumerate().map(record).collect();
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        let list = serde_json::to_string(&records).expect("JSON");
        let pretty = serde_json::to_string_pretty(&serde_json::json!({"n": 1, "results": records})).expect("JSON");
        let titles = |content: String| {
            let outcome = read("a.json", content);
            assert!(outcome.skips.is_empty(), "{:?}", outcome.skips);
            outcome.drafts.iter().map(|draft| (draft.title.clone(), draft.extra.clone())).collect::<Vec<_>>()
        };
        let expected = titles(lines);
        prop_assert_eq!(expected.len(), texts.len());
        prop_assert_eq!(&titles(list), &expected);
        prop_assert_eq!(&titles(pretty), &expected);
    }

    #[test]
    fn every_row_comes_back_as_it_was_written(rows in prop::collection::vec((any::<String>(), any::<String>()), 1..20)) {
        // The csv crate writes a lone empty line as a row of one empty cell, and NUL is left out: neither is tested here.
        let clean = |text: &str| text.replace('\0', "");
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["title", "abstract"]).expect("memory");
        for (title, text) in &rows {
            writer.write_record([format!("T{}", clean(title)), clean(text)]).expect("memory");
        }
        let outcome = read("a.csv", writer.into_inner().expect("memory"));
        let expected: Vec<String> = rows.iter().map(|(title, _)| format!("T{}", clean(title)).trim().to_owned()).collect();
        prop_assert_eq!(outcome.titles(), expected);
    }
}
