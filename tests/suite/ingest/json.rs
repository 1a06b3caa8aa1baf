//! JSON of every source and layout. The papers are invented.

use super::{Outcome, date, options, read, read_with};
use thematic::paper::Paper;
use thematic::wire;

#[test]
fn plain_records_come_line_by_line() {
    let outcome = read(
        "papers.jsonl",
        concat!(
            "{\"id\": \"p1\", \"title\": \"One\", \"abstract\": \"First.\", \"authors\": [\"Ada Smith\", \"Lee, Bo\"], ",
            "\"year\": \"2021\", \"labels\": [\"cs.LG\"], \"keywords\": \"graphs; nets\", \"doi\": \"10.1000/A\"}\n",
            "\n",
            "{\"id\": 2, \"text\": \"Only a text.\"}\n",
            "{\"id\": \"p3\", \"title\": null, \"abstract\": \"  \"}\n",
            "{\"score\": 1}\n",
            "{\"id\": \"p5\", \"title\": \"Five\"",
        ),
    );
    assert_eq!(outcome.ids(), ["DOI:10.1000/a", "2"]);
    let first = &outcome.drafts[0];
    assert_eq!((first.title.as_str(), first.abstract_text.as_str()), ("One", "First."));
    assert_eq!(first.authors, ["Ada Smith", "Bo Lee"]);
    assert_eq!(
        (date(first).as_str(), &first.categories[..], &first.keywords[..]),
        ("2021", &["cs.LG".into()][..], &["graphs".into(), "nets".into()][..])
    );
    assert_eq!(outcome.drafts[1].abstract_text, "Only a text.");
    assert_eq!(outcome.drafts[1].provenance[0].line, Some(3));
    let reasons = outcome.reasons();
    assert_eq!(reasons[0], (Some(4), "no title and no abstract"));
    assert_eq!(reasons[1], (Some(5), "no title, abstract or text among `score`"));
    assert_eq!(reasons[2].0, Some(6));
    assert!(reasons[2].1.starts_with("not valid JSON: EOF while parsing an object"), "{}", reasons[2].1);
}

#[test]
fn our_own_output_is_read_back_to_the_same_papers() {
    let outcome = read(
        "a.jsonl",
        concat!(
            "{\"id\": \"10.1000/x\", \"title\": \"One\", \"abstract\": \"First.\", \"authors\": [\"Ada Smith\"], ",
            "\"date\": \"2021-02-03\", \"categories\": [\"Graph theory, applied\", \"LG\"], \"venue\": \"Annals\", ",
            "\"url\": \"https://example.org/1\", \"keywords\": [\"a, b\"], \"aliases\": [\"CorpusId:7\", \"ARXIV:2101.00001\"], ",
            "\"extra\": {\"code\": true, \"score\": 96.3}, \"provenance\": [{\"file\": \"x.txt\", \"line\": 9}, {\"file\": \"y\"}]}\n",
            "{\"title\": \"Without any id\", \"abstract\": \"Second.\"}\n",
        ),
    );
    let papers = |outcome: &Outcome| -> Vec<String> {
        let paper =
            |draft: &thematic::paper::Draft| wire::paper_line(&Paper::from_draft(draft.clone()).expect("a paper"));
        outcome.drafts.iter().map(paper).collect()
    };
    let written = papers(&outcome);
    assert!(written[0].contains(r#""provenance":[{"file":"x.txt","line":9},{"file":"y"}]"#), "{}", written[0]);
    assert!(written[0].contains(r#""aliases":["ARXIV:2101.00001","CorpusId:7"]"#), "{}", written[0]);
    assert_eq!(papers(&read("b.jsonl", written.join("\n"))), written);
}

#[test]
fn arxiv_snapshots_keep_the_first_date_and_the_parsed_names() {
    let outcome = read(
        "arxiv.json",
        concat!(
            "{\"id\":\"hep-ph/9901001\",\"submitter\":\"A. Smith\",\"authors\":\"Ada Smith, Jr. (Sand, Sea), B. Lee\",",
            "\"title\":\"A title\\n  over lines\",\"comments\":null,\"journal-ref\":\"Ann. 3 (1999)\",\"doi\":\"10.1000/Abc\",",
            "\"categories\":\"hep-ph cond-mat.mtrl-sci\",\"abstract\":\"  Leading blanks\\nand breaks.\\n\",",
            "\"versions\":[{\"version\":\"v1\",\"created\":\"Mon, 4 Jan 1999 19:18:42 GMT\"},{\"version\":\"v2\",\"created\":\"Tue, 5 Jan 2010 19:18:42 GMT\"}],",
            "\"update_date\":\"2010-01-06\",\"authors_parsed\":[[\"Smith\",\"Ada\",\"Jr.\"],[\"Lee\",\"B.\",\"\",\"Somewhere\"]]}\n",
        ),
    );
    let draft = outcome.only();
    assert_eq!(draft.authors, ["Ada Smith Jr.", "B. Lee"]);
    assert_eq!((date(draft).as_str(), draft.venue.as_deref()), ("1999-01-04", Some("Ann. 3 (1999)")));
    assert_eq!(draft.categories, ["hep-ph", "cond-mat.mtrl-sci"]);
    let paper = Paper::from_draft(draft.clone()).expect("a paper");
    assert_eq!((paper.id.as_str(), paper.aliases[0].as_str()), ("DOI:10.1000/abc", "ARXIV:hep-ph/9901001"));
}

const OPENALEX: &str = r#"{"id": "https://openalex.org/W17", "doi": "https://doi.org/10.1000/W17", "title": null,
 "display_name": "Work", "publication_year": 2020, "publication_date": "2020-05-06", "language": "en",
 "ids": {"openalex": "https://openalex.org/W17", "pmid": "https://pubmed.ncbi.nlm.nih.gov/123"},
 "primary_location": {"landing_page_url": "https://doi.org/10.1000/W17", "source": {"id": "S1", "display_name": "Annals"}},
 "locations": [{"landing_page_url": "https://arxiv.org/abs/2001.00001", "source": null}],
 "authorships": [{"author_position": "first", "author": {"id": "A1", "display_name": "Ada Smith"}, "institutions": [{"display_name": "Somewhere"}], "raw_author_name": "Smith, A."},
                 {"author": {"id": null, "display_name": null}, "raw_author_name": "Lee, Bo"}],
 "topics": [{"display_name": "Graphs", "score": 0.9, "field": {"display_name": "Mathematics"}}],
 "concepts": [{"display_name": "Unused", "score": 0.1}], "keywords": [{"display_name": "Nets"}], "cited_by_count": 5,
 "is_paratext": false, "is_retracted": true,
 "abstract_inverted_index": {"the": [0, 2, 5], "more": [1], "merrier": [3], "&amp;": [4]}}"#;

fn check_openalex(outcome: &Outcome) {
    let draft = outcome.only();
    assert_eq!((draft.title.as_str(), draft.abstract_text.as_str()), ("Work", "the more the merrier &amp; the"));
    assert_eq!(draft.authors, ["Ada Smith", "Bo Lee"]);
    assert_eq!((date(draft).as_str(), draft.venue.as_deref()), ("2020-05-06", Some("Annals")));
    assert_eq!((&draft.categories[..], &draft.keywords[..]), (&["Graphs".to_owned()][..], &["Nets".to_owned()][..]));
    assert_eq!((&draft.extra["citations"], &draft.extra["retracted"]), (&5.into(), &true.into()));
    let paper = Paper::from_draft(draft.clone()).expect("a paper");
    let aliases: Vec<&str> = paper.aliases.iter().map(thematic::paper::PaperId::as_str).collect();
    assert_eq!((paper.id.as_str(), &aliases[..]), ("DOI:10.1000/w17", &["ARXIV:2001.00001", "PMID:123", "W17"][..]));
}

#[test]
fn openalex_works_are_read_from_lines_from_pages_and_alone() {
    let line = OPENALEX.replace('\n', " ");
    let page = format!("{{\"meta\": {{\"count\": 1, \"results\": [3]}}, \"results\": [{OPENALEX}], \"group_by\": []}}");
    check_openalex(&read("works.jsonl", format!("{line}\n")));
    check_openalex(&read("alone.json", OPENALEX));
    check_openalex(&read("page.json", &page));
    check_openalex(&read("page.json", page.replace('\n', " ")));
    check_openalex(&read("list.json", format!("[{OPENALEX}]")));
}

#[test]
fn pages_may_follow_each_other_line_by_line() {
    let page = |id: u32| {
        format!(
            "{{\"next\": \"c\", \"results\": [{{\"id\": \"p{id}\", \"title\": \"T\"}}, {{\"id\": \"q{id}\", \"title\": \"T\"}}]}}"
        )
    };
    let outcome = read("pages.jsonl", format!("{{\"title\": \"Lone\", \"id\": \"p0\"}}\n{}\n{}\n", page(1), page(2)));
    assert_eq!(outcome.ids(), ["p0", "p1", "q1", "p2", "q2"]);
    assert!(outcome.skips.is_empty(), "{:?}", outcome.skips);
    assert_eq!(outcome.drafts[3].provenance[0].line, Some(3));
}

#[test]
fn paratext_is_told_from_papers() {
    let outcome =
        read("a.jsonl", "{\"id\": \"https://openalex.org/W1\", \"title\": \"Front Matter\", \"is_paratext\": true}\n");
    assert_eq!(outcome.reasons(), [(Some(1), "the wrapping of a journal, not a paper")]);
}

#[test]
fn semantic_scholar_is_read_in_all_its_forms() {
    let graph = r#"{"paperId": "f00", "externalIds": {"DOI": "10.1000/S", "ArXiv": "2101.00001", "CorpusId": 7, "DBLP": "x", "PubMed": null, "ACL": "P19-1001"},
        "title": "Graph", "abstract": null, "venue": "", "publicationVenue": {"name": "Annals"}, "journal": null, "year": 2021,
        "publicationDate": null, "authors": [{"authorId": "1", "name": "Ada Smith"}], "fieldsOfStudy": null,
        "s2FieldsOfStudy": [{"category": "Biology", "source": "s2-fos-model"}, {"category": "Biology", "source": "external"}],
        "tldr": {"model": "m", "text": "Short."}, "citationCount": 3}"#.replace('\n', " ");
    let outcome = read("s2.jsonl", &graph);
    let draft = outcome.only();
    assert_eq!((draft.venue.as_deref(), date(draft).as_str()), (Some("Annals"), "2021"));
    assert_eq!((&draft.categories[..], &draft.extra["tldr"]), (&["Biology".to_owned()][..], &"Short.".into()));
    assert_eq!((draft.abstract_text.as_str(), outcome.ids()[0].as_str()), ("", "DOI:10.1000/s"));

    let dataset = concat!(
        "{\"corpusid\": 7, \"externalids\": {\"DOI\": \"10.1000/S\", \"ArXiv\": null}, \"title\": \"Papers\", \"authors\": [{\"name\": \"Bo Lee\"}], \"publicationdate\": \"2021-02-03\", \"s2fieldsofstudy\": null}\n",
        "{\"corpusid\": 7, \"openaccessinfo\": {\"externalids\": {\"DOI\": \"10.1000/S\"}}, \"abstract\": \"An abstract.\"}\n",
        "{\"id\": \"f00\", \"title\": \"Legacy\", \"paperAbstract\": \"Old.\", \"authors\": [{\"first\": \"Ada\", \"middle\": [\"B.\"], \"last\": \"Smith\", \"suffix\": \"\"}], \"journalName\": \"Annals\"}\n",
    );
    let outcome = read("dataset.jsonl", dataset);
    assert_eq!(outcome.ids(), ["DOI:10.1000/s", "DOI:10.1000/s", "f00"]);
    assert_eq!(
        (date(&outcome.drafts[0]).as_str(), outcome.drafts[1].abstract_text.as_str()),
        ("2021-02-03", "An abstract.")
    );
    assert_eq!(
        (outcome.drafts[2].authors[0].as_str(), outcome.drafts[2].venue.as_deref()),
        ("Ada B. Smith", Some("Annals"))
    );

    for answer in [
        "{\"total\": 1, \"offset\": 0, \"data\": [RECORD]}",
        "{\"recommendedPapers\": [RECORD]}",
        "{\"data\": [{\"contexts\": [], \"citedPaper\": RECORD}]}",
    ] {
        assert_eq!(read("api.json", answer.replace("RECORD", &graph)).only().title, "Graph", "{answer}");
    }
}

#[test]
fn csl_and_crossref_are_read_alike() {
    let csl = r#"[
      {"id": "http://zotero.org/users/1/items/AB", "type": "article-journal", "title": "One", "abstract": "First.",
       "container-title": "Annals", "author": [{"family": "Berg", "given": "Jan", "non-dropping-particle": "van den"}, {"literal": "The Group"}],
       "issued": {"date-parts": [["2020", 6]]}, "DOI": "10.1000/One", "keyword": "a, b"},
      {"id": "two2020", "type": "book", "title": "Two", "issued": {"raw": "June 2019"}, "URL": "https://example.org"}
    ]"#;
    let outcome = read("items.json", csl);
    assert_eq!(outcome.ids(), ["DOI:10.1000/one", "two2020"]);
    assert_eq!(outcome.drafts[0].authors, ["Jan van den Berg", "The Group"]);
    assert_eq!((date(&outcome.drafts[0]).as_str(), date(&outcome.drafts[1]).as_str()), ("2020-06", "2019-06"));
    assert_eq!(outcome.drafts[0].keywords, ["a", "b"]);
    assert_eq!(outcome.drafts[1].provenance[0].line, Some(5));

    let crossref = r#"{"status": "ok", "message": {"total-results": 1, "items": [{"DOI": "10.1000/c", "title": ["Cross"],
      "container-title": ["Annals"], "issued": {"date-parts": [[2020, 6, 7]]}, "author": [{"given": "Ada", "family": "Smith", "sequence": "first"}]}]}}"#;
    let outcome = read("crossref.json", crossref);
    assert_eq!((outcome.only().title.as_str(), date(outcome.only()).as_str()), ("Cross", "2020-06-07"));
    assert_eq!(outcome.only().authors, ["Ada Smith"]);
}

#[test]
fn a_record_inside_another_is_found() {
    let unarxive = r#"{"paper_id": "2101.00001", "metadata": {"id": "2101.00001", "title": "Inner", "authors": "Ada Smith and Bo Lee", "categories": "cs.LG stat.ML"}, "abstract": {"section": "Abstract", "text": "See {{cite:x}}."}, "body_text": []}"#;
    let outcome = read("unarxive.jsonl", unarxive);
    let draft = outcome.only();
    assert_eq!((draft.title.as_str(), draft.abstract_text.as_str()), ("Inner", "See {{cite:x}}."));
    assert_eq!(
        (&draft.authors[..], &draft.categories[..]),
        (&["Ada Smith".to_owned(), "Bo Lee".into()][..], &["cs.LG".to_owned(), "stat.ML".into()][..])
    );
    let zotero = r#"[{"key": "AB", "library": {}, "data": {"title": "Item", "abstractNote": "Note.", "creators": [{"creatorType": "author", "firstName": "Ada", "lastName": "Smith"}], "tags": [{"tag": "graphs"}]}}]"#;
    let outcome = read("zotero.json", zotero);
    assert_eq!((outcome.only().abstract_text.as_str(), outcome.only().authors[0].as_str()), ("Note.", "Ada Smith"));
}

#[test]
fn a_list_of_strings_is_a_list_of_texts() {
    let outcome = read("texts.json", "[\"One text.\", \"Another.\", 17]");
    assert_eq!(
        outcome.drafts.iter().map(|draft| draft.abstract_text.as_str()).collect::<Vec<_>>(),
        ["One text.", "Another."]
    );
    assert_eq!(outcome.reasons(), [(Some(1), "a number, not a record")]);
}

#[test]
fn named_fields_take_the_place_of_the_usual_ones() {
    let mut options = options();
    options.text_column = Some("body".into());
    options.title_column = Some("head".into());
    options.id_column = Some("n".into());
    let json = "{\"id\": \"no\", \"n\": 7, \"title\": \"no\", \"head\": \"Head\", \"abstract\": \"no\", \"body\": \"Body.\"}\n";
    let draft = read_with("a.jsonl", json, &options).only().clone();
    assert_eq!((draft.title.as_str(), draft.abstract_text.as_str()), ("Head", "Body."));
    assert_eq!(draft.identifiers.len(), 1);
    let csv = "id,n,title,head,abstract,body\nno,7,no,Head,no,Body.\n";
    let draft = read_with("a.csv", csv, &options).only().clone();
    assert_eq!((draft.title.as_str(), draft.abstract_text.as_str()), ("Head", "Body."));
    let outcome = read_with("b.csv", "id,title\n1,One\n", &options);
    assert_eq!(outcome.reasons(), [(None, "no column `body` among `id`, `title`")]);
}

#[test]
fn a_broken_record_costs_only_itself() {
    let list = |second: &str| format!("[\n  {{\"title\": \"One\"}},\n  {second},\n  {{\"title\": \"Three\"}}\n]\n");
    for broken in ["{\"title\": \"Two\"", "{\"title\": \"Two}", "{\"title\": \"Two\"]", "{\"title\" \"Two\"}"] {
        let outcome = read("list.json", list(broken));
        assert_eq!(outcome.titles(), ["One", "Three"], "{broken}");
        assert_eq!(outcome.skips[0].line, Some(3), "{broken}");
    }
    let outcome = read("lines.jsonl", "{\"title\": \"One\n{\"title\": \"Two\"}\nnull\n{\"title\": \"Three\"},\n");
    assert_eq!(outcome.titles(), ["Two", "Three"]);
    assert_eq!(outcome.skips.iter().map(|skip| skip.line).collect::<Vec<_>>(), [Some(1), Some(3)]);
}

#[test]
fn line_breaks_and_half_characters_inside_strings_are_mended() {
    let outcome = read("a.json", "[{\"title\": \"Over\nlines\", \"abstract\": \"A \\ud800 half.\"}]");
    assert_eq!(
        (outcome.only().title.as_str(), outcome.only().abstract_text.as_str()),
        ("Over lines", "A \u{FFFD}\u{FFFD}\u{FFFD} half.")
    );
}

#[test]
fn numbers_that_are_none_are_mended() {
    let outcome = read("a.jsonl", "{\"title\": \"One\", \"doi\": NaN, \"year\": NaN}\n");
    assert_eq!((outcome.only().title.as_str(), outcome.only().date), ("One", None));
}

#[test]
fn records_of_other_things_are_no_papers() {
    let check = |json: &str| {
        let outcome = read("a.json", json);
        assert!(outcome.drafts.is_empty(), "{json}");
        assert!(outcome.skips[0].reason.starts_with("no title, abstract or text among"), "{json}");
    };
    check(r#"{"name": "a-package", "description": "Does things.", "version": "1.0.0"}"#);
    check(r#"{"id": "https://openalex.org/A1", "display_name": "Ada Smith", "works_count": 3}"#);
    check(r#"{"id": "p1", "embedding": [0.1, 0.2]}"#);
}

#[test]
fn a_list_that_breaks_off_says_so() {
    let outcome = read("list.json", "[{\"title\": \"One\"},\n{\"title\": \"Two\"}\n");
    assert_eq!(outcome.titles(), ["One", "Two"]);
    assert_eq!(outcome.reasons(), [(Some(3), "the list of records is not closed: the file may be cut short")]);
    assert_eq!(read("empty.json", "[]").reasons(), [(None, "holds no records")]);
}
