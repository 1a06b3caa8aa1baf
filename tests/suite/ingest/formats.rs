//! Tables, tagged formats, BibTeX, plain text, compression, folders. The papers are invented.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{date, options, read, read_paths, read_with};
use thematic::ingest::Format;
use thematic::paper::Paper;

#[test]
fn plain_tables_are_read_whatever_the_delimiter() {
    for delimiter in [",", "\t", ";", "|"] {
        let table = "id,title,abstract,year\r\n7,\"One, quoted\",\"Two\nlines, \"\"so\"\"\",2020\r\n\r\n8,Two,,\r\n";
        let table = table.replace(',', delimiter);
        let outcome = read("table.csv", table);
        assert_eq!(outcome.ids(), ["7", "8"], "{delimiter}");
        let first = &outcome.drafts[0];
        assert_eq!(first.abstract_text, format!("Two\nlines{delimiter} \"so\""));
        assert_eq!(first.title, format!("One{delimiter} quoted"));
        let lines: Vec<_> = outcome.drafts.iter().map(|draft| draft.provenance[0].line).collect();
        assert_eq!(lines, [Some(2), Some(5)]);
    }
}

#[test]
fn zotero_tables() {
    let outcome = read(
        "zotero.csv",
        concat!(
            "\"Key\",\"Item Type\",\"Publication Year\",\"Author\",\"Title\",\"Publication Title\",\"DOI\",\"Url\",\"Abstract Note\",\"Date\",\"Manual Tags\",\"Automatic Tags\"\n",
            "\"AB12\",\"journalArticle\",\"2020\",\"Garcia Lopez, Maria Jose; Lee, Bo\",\"One\",\"Annals\",\"10.1000/z\",\"https://example.org\",\"First.\",\"2020-06-15\",\"mine\",\"graphs; nets\"\n",
            "\"CD34\",\"book\",\"2021\",\"Garcia Lopez, Maria Jose\",\"Two\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"\n",
        ),
    );
    assert_eq!(outcome.ids(), ["DOI:10.1000/z", "CD34"]);
    let draft = &outcome.drafts[0];
    assert_eq!(draft.authors, ["Maria Jose Garcia Lopez", "Bo Lee"]);
    assert_eq!(outcome.drafts[1].authors, ["Maria Jose Garcia Lopez"]);
    assert_eq!(
        (date(draft).as_str(), draft.venue.as_deref(), draft.url.as_deref()),
        ("2020-06-15", Some("Annals"), Some("https://example.org"))
    );
    assert_eq!(draft.keywords, ["mine", "graphs", "nets"]);
    assert_eq!(date(&outcome.drafts[1]), "2021");
}

#[test]
fn scopus_tables() {
    let outcome = read(
        "scopus.csv",
        concat!(
            "\u{FEFF}\"Authors\",\"Author full names\",\"Author(s) ID\",\"Title\",\"Year\",\"Source title\",\"DOI\",\"Link\",\"Abstract\",\"Author Keywords\",\"Index Keywords\",\"EID\"\n",
            "\"Smith A.; Lee B.\",\"Smith, Ada (57190); Lee, Bo (57191)\",\"57190; 57191\",\"One\",\"2020\",\"Annals\",\"\",\"https://www.scopus.com/x\",\"[No abstract available]\",\"Graphs; Nets\",\"Nets; Trees, binary\",\"2-s2.0-1\"\n",
        ),
    );
    let draft = outcome.only();
    assert_eq!(
        (&draft.authors[..], draft.abstract_text.as_str()),
        (&["Ada Smith".to_owned(), "Bo Lee".into()][..], "")
    );
    assert_eq!(
        (outcome.ids()[0].as_str(), &draft.keywords[..]),
        ("2-s2.0-1", &["Graphs".to_owned(), "Nets".into(), "Trees, binary".into()][..])
    );
}

#[test]
fn web_of_science_writes_tags_as_headers_or_names() {
    let tagged = "PT\tAU\tAF\tTI\tSO\tDE\tID\tAB\tPY\tPD\tDI\tUT\tWC\nJ\tSmith, A\tSmith, Ada; Lee, Bo\t\"Smart\" cities\tANNALS\tgraphs; nets\tTREES\tFirst \"quote.\t2020\tJUN 15\t10.1000/W\tWOS:0001\tComputer Science, Theory; Physics\n";
    let outcome = read("savedrecs.txt", tagged);
    let draft = outcome.only();
    assert_eq!((draft.title.as_str(), draft.abstract_text.as_str()), ("\"Smart\" cities", "First \"quote."));
    assert_eq!(
        (&draft.authors[..], date(draft).as_str()),
        (&["Ada Smith".to_owned(), "Bo Lee".into()][..], "2020-06-15")
    );
    assert_eq!(
        (&draft.categories[..], &draft.keywords[..]),
        (
            &["Computer Science, Theory".to_owned(), "Physics".into()][..],
            &["graphs".to_owned(), "nets".into(), "TREES".into()][..]
        )
    );
    let full = "Publication Type\tAuthors\tAuthor Full Names\tArticle Title\tSource Title\tAbstract\tPublication Year\tWoS Categories\tUT (Unique WOS ID)\nJ\tSmith, A\tSmith, Ada\tOne\tANNALS\tFirst.\t2020\tComputer Science, Theory\tWOS:0002\n";
    let outcome = read("savedrecs.tsv", full);
    assert_eq!((outcome.only().authors[0].as_str(), outcome.ids()[0].as_str()), ("Ada Smith", "WOS:0002"));
    assert_eq!(outcome.only().categories, ["Computer Science, Theory"]);
    let utf16: Vec<u8> = format!("\u{FEFF}{tagged}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read("savedrecs.txt", utf16).only().title, "\"Smart\" cities");
}

#[test]
fn web_of_science_plain_text() {
    let outcome = read(
        "savedrecs.txt",
        concat!(
            "FN Clarivate Analytics Web of Science\nVR 1.0\n",
            "PT J\nAU Smith, A\n   Lee, B\nAF Smith, Ada\n   Lee, Bo\nTI A title over\n   two lines\nSO ANNALS\nAB First\n   second.\nPY 2020\nPD JUN\nUT WOS:0001\nER\n\n",
            "PT J\nTI Another\nUT WOS:0002\nER\n\nEF\n",
        ),
    );
    assert_eq!(outcome.titles(), ["A title over two lines", "Another"]);
    assert_eq!(
        (&outcome.drafts[0].authors[..], date(&outcome.drafts[0]).as_str()),
        (&["Ada Smith".to_owned(), "Bo Lee".into()][..], "2020-06")
    );
    assert_eq!(outcome.drafts[0].abstract_text, "First second.");
    assert!(outcome.skips.is_empty(), "{:?}", outcome.skips);
}

#[test]
fn ris_records_end_with_er_or_where_the_next_begins() {
    let outcome = read(
        "refs.ris",
        concat!(
            "Provider: Somebody\nContent: text/plain\n\n",
            "TY  - JOUR\nID  - one2020\nTI  - One\nAU  - Smith, Ada\nAU  - van der Berg, Jan Pieter\nAB  - First paragraph.\nSecond paragraph.\n",
            "PY  - 2020/06/15/\nT2  - Annals\nDO  - https://doi.org/10.1000/R\nUR  - https://example.org\nKW  - graphs\nKW  - nets, large\nER  - \n\n",
            "TY  - CONF\nT1  - Two\nA1  - Lee, B.\nN2  - Text.\nY1  - 2019\n",
            "TY - BOOK\nBT - Three\nER -\n",
            "AU  - Lost, One\nTI  - Lost\n",
        ),
    );
    assert_eq!(outcome.titles(), ["One", "Two", "Three"]);
    let first = &outcome.drafts[0];
    assert_eq!(first.authors, ["Ada Smith", "Jan Pieter van der Berg"]);
    assert_eq!(
        (first.abstract_text.as_str(), date(first).as_str()),
        ("First paragraph.\nSecond paragraph.", "2020-06-15")
    );
    assert_eq!(
        (&first.keywords[..], first.venue.as_deref()),
        (&["graphs".to_owned(), "nets, large".into()][..], Some("Annals"))
    );
    assert_eq!((outcome.drafts[1].abstract_text.as_str(), date(&outcome.drafts[1]).as_str()), ("Text.", "2019"));
    assert_eq!(outcome.drafts[2].provenance[0].line, Some(24));
    assert_eq!(outcome.reasons(), [(Some(27), "stands before the `TY` that opens a record")]);
}

#[test]
fn medline_values_go_over_lines() {
    let outcome = read(
        "pubmed.nbib",
        concat!(
            "\nPMID- 123\nOWN - NLM\nTI  - A title over\n      two lines.\nLID - 10.1000/m [doi]\nLID - S1 [pii]\nAB  - BACKGROUND: First.\n      Second.\n",
            "FAU - Smith, Ada B\nAU  - Smith AB\nFAU - Lee, Bo\nAU  - Lee B\nDP  - 2020 Jun 15\nJT  - Annals of things\nTA  - Ann Th\nPMC - PMC77\n",
            "MH  - Humans\nMH  - *Brain/physiology\nMH  - Heart/*anatomy & histology\nOT  - graphs\n\n",
            "PMID- 124\nTI  - Two.\nAU  - Day C\n",
        ),
    );
    assert_eq!(outcome.ids(), ["DOI:10.1000/m", "PMID:124"]);
    let first = &outcome.drafts[0];
    assert_eq!(
        (first.title.as_str(), first.abstract_text.as_str()),
        ("A title over two lines.", "BACKGROUND: First. Second.")
    );
    assert_eq!(
        (&first.authors[..], date(first).as_str()),
        (&["Ada B Smith".to_owned(), "Bo Lee".into()][..], "2020-06-15")
    );
    assert_eq!(first.categories, ["Brain", "Heart"]);
    assert_eq!(outcome.drafts[1].authors, ["Day C"]);
}

#[test]
fn bibtex_keeps_latex_and_follows_references() {
    let outcome = read(
        "refs.bib",
        concat!(
            "% a comment\n@string{ann = \"Annals of \" # \"Things\"}\n@comment{nothing}\n\n",
            "@Article{one, title = {{A} {BERT} for $x^{2}$}, author = {M{\\\"u}ller, Ada and {The Group} and others},\n  journal = ann, year = 2020, month = jun, abstract = {Costs $5 and 10\\%.}, doi = {10.1000/a\\_b}, keywords = {graphs, nets},\n",
            "  eprint = {2101.00001v2}, archivePrefix = {arXiv}, primaryClass = {cs.LG}}\n",
            "@inproceedings{two, title = \"Two\", crossref = {vol}}\n",
            "@article{bad, title = {Unclosed, year = 2020}\n",
            "@misc{three, title = {Three} url = {x}}\n",
            "@misc{four, title = {Four}, howpublished = {\\url{https://example.org/a_b}}}\n",
            "@proceedings{vol, title = {Proceedings of Things}, year = {2019}}\n",
        ),
    );
    assert_eq!(outcome.titles(), ["A BERT for $x^{2}$", "Four", "Two"]);
    let first = &outcome.drafts[0];
    assert_eq!(first.authors, ["Ada M{\\\"u}ller", "The Group"]);
    assert_eq!((first.venue.as_deref(), date(first).as_str()), (Some("Annals of Things"), "2020-06"));
    assert_eq!(
        (&first.categories[..], first.abstract_text.as_str()),
        (&["cs.LG".to_owned()][..], "Costs $5 and 10\\%.")
    );
    let paper = Paper::from_draft(first.clone()).expect("a paper");
    let aliases: Vec<&str> = paper.aliases.iter().map(thematic::paper::PaperId::as_str).collect();
    assert_eq!((paper.id.as_str(), &aliases[..]), ("DOI:10.1000/a_b", &["ARXIV:2101.00001", "one"][..]));
    let waiting = &outcome.drafts[2];
    assert_eq!((waiting.venue.as_deref(), date(waiting).as_str()), (Some("Proceedings of Things"), "2019"));
    assert_eq!(waiting.provenance[0].line, Some(8));
    let lines: Vec<_> = outcome.skips.iter().map(|skip| skip.line).collect();
    assert_eq!(lines, [Some(9), Some(10), Some(12)]);
    assert_eq!(outcome.skips[1].reason, "not valid BibTeX: expected comma, at line 10");
    assert_eq!(outcome.skips[2].reason, "a volume of papers, not a paper");
}

#[test]
fn plain_text_is_one_text_per_line() {
    let outcome = read("texts.txt", "A text about graphs and nets.\n\nAnother text about trees.\n");
    assert_eq!(outcome.drafts.len(), 2);
    assert_eq!(outcome.drafts[1].provenance[0].line, Some(3));
    assert!(outcome.ids()[0].starts_with("TEXT:"), "{:?}", outcome.ids());
    assert_eq!(outcome.notes[0].message, "no known format: each line is read as a text");
}

#[test]
fn a_format_can_be_asked_for() {
    let mut options = options();
    options.format = Some(Format::Text);
    let outcome = read_with("a.jsonl", "{\"title\": \"One\"}\n", &options);
    assert_eq!(outcome.drafts[0].abstract_text, "{\"title\": \"One\"}");
}

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn compression_is_told_by_its_bytes() {
    let plain = b"{\"title\": \"One\"}\n{\"title\": \"Two\"}\n";
    let two_members = [gzipped(&plain[..17]), gzipped(&plain[17..])].concat();
    let zstd = zstd::encode_all(&plain[..], 3).expect("memory");
    for content in [gzipped(plain), two_members, zstd.clone(), gzipped(&zstd)] {
        assert_eq!(read("papers.jsonl", content).titles(), ["One", "Two"]);
    }
}

#[test]
fn folders_are_walked_in_the_order_of_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    };
    write("b.jsonl", "{\"title\": \"B\"}\n");
    write("a/z.ris", "TY  - JOUR\nTI  - Z\nER  - \n");
    write("a/c.bib", "@misc{c, title={C}}\n");
    write(".hidden.jsonl", "{\"title\": \"Hidden\"}\n");
    write("a/.git/x.jsonl", "{\"title\": \"Hidden\"}\n");
    write("notes.md", "# Notes\n");
    write("prose.txt", "Some words\n");
    let outcome = read_paths(&[folder.path()], &options());
    assert_eq!(outcome.titles(), ["C", "Z", "B"]);
    let shown = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(outcome.drafts[0].provenance[0].file, shown("a/c.bib"));
    let skipped: Vec<&str> = outcome.skips.iter().map(|skip| skip.file.as_str()).collect();
    assert_eq!(skipped, [shown("notes.md"), shown("prose.txt")]);
}
