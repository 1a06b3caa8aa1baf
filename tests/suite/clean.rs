//! Cleaning as a whole: what holds for every text, and records as sources really write them.

use proptest::prelude::*;
use thematic::clean::{clean, clean_abstract, clean_name, clean_text};
use thematic::paper::Draft;

fn check(text: &str, expected: &str) {
    assert_eq!(clean_abstract(text), expected, "{text:?}");
}

#[test]
fn an_arxiv_abstract_becomes_one_paragraph() {
    check(
        "  We prove that every $k$-regular graph with $n \\geq 3$ vertices has a\n\
         spanning tree of diameter $O(\\log n)$, which answers a question of\n\
         Erd\\H{o}s~\\cite{E59}. Code: \\url{https://example.org/~ada/a_b}\n",
        "We prove that every k-regular graph with n ≥ 3 vertices has a spanning tree of diameter O(log n), which \
         answers a question of Erdős. Code: https://example.org/~ada/a_b",
    );
}

#[test]
fn a_crossref_abstract_loses_its_tags() {
    check(
        "<jats:title>Abstract</jats:title>\n   <jats:sec><jats:title>Aims</jats:title>\n      <jats:p>To see \
         whether p&amp;lt;0.05 for <jats:italic>E. coli</jats:italic> in CO<jats:sub>2</jats:sub>.</jats:p></jats:sec>\
         <jats:sec><jats:title>Results</jats:title><jats:p>It is.</jats:p></jats:sec>",
        "Aims: To see whether p<0.05 for E. coli in CO₂.\nResults: It is.",
    );
}

#[test]
fn a_publishers_export_loses_its_notices() {
    check("ABSTRACT: Soil &amp; water meet. © 2020 Elsevier Ltd. All rights reserved.", "Soil & water meet.");
    check("[No abstract available]", "");
}

#[test]
fn an_escaped_json_string_reads_as_it_was_meant() {
    check("We ask \\\"why\\\" of 16\\% of models.\\nThen we stop.", "We ask \"why\" of 16% of models.\nThen we stop.");
}

#[test]
fn springers_embedded_documents_show_their_formula_only() {
    check(
        "of <tex-math id=\"M1\">\\documentclass[12pt]{minimal} \\usepackage{amsmath} \\setlength{\\oddsidemargin}{-69pt} \
         \\begin{document}$$x^{2}$$\\end{document}</tex-math> here",
        "of x² here",
    );
}

#[test]
fn extreme_inputs_end_and_end_soon() {
    for unit in ["{", "}", "$", "\\", "&amp;", "<i>", "`", "''", "--", "\\{", "{a", "$a ", "\\(", "^{", "\n-", "&#"] {
        let text = unit.repeat(200_000 / unit.len());
        let cleaned = clean_text(&text).into_owned();
        assert_eq!(clean_text(&cleaned), cleaned, "{unit:?}");
    }
    let nested = format!("{}x{}", "\\emph{".repeat(5_000), "}".repeat(5_000));
    assert!(clean_text(&nested).contains('x'));
}

/// Pieces that mean something to one rule or another, so that random texts meet all of them together.
fn piece() -> impl Strategy<Value = String> {
    let marks = prop::sample::select(vec![
        "\\",
        "{",
        "}",
        "$",
        "$$",
        "&",
        ";",
        "amp;",
        "&lt;",
        "&gt;",
        "&#92;",
        "&nbsp;",
        "&shy;",
        "<",
        ">",
        "<i>",
        "</i>",
        "<p>",
        "<sub>2</sub>",
        "~",
        "`",
        "``",
        "'",
        "''",
        "-",
        "--",
        "---",
        "^",
        "_",
        "^{2}",
        "_{ij}",
        "\\alpha ",
        "\\'",
        "\\\"",
        "\\c ",
        "\\textbf{",
        "\\frac{a}{b}",
        "\\cite{k}",
        "\\foo",
        "\\ ",
        "\\\\",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "\\{",
        "\\}",
        "\\$",
        "\\%",
        "\n",
        "\n\n",
        " ",
        "  ",
        "\t",
        "\r\n",
        "\0",
        "\u{ad}",
        "\u{a0}",
        "\u{200b}",
        "\u{301}",
        "\u{fb01}",
        "\u{1d465}",
        "é",
        "中",
        "©",
        "(C) 2019 Elsevier",
        "Copyright",
        "Abstract: ",
        "Abstract",
        "[",
        "]",
        "(",
        ")",
        ".",
        ",",
        "{{cite:ab}}",
        "(cid:",
        "(cid:12)",
        "12)",
        "\\n",
        "\\nThe",
        "\\i",
        "\\ss ",
        "\\left.",
        "\\text{",
        "\\url{",
        "\\sqrt",
        "\\mathbb{R}",
        "All rights reserved.",
    ]);
    prop_oneof![3 => marks.prop_map(str::to_owned), 2 => "[a-zA-Z0-9]{1,9}", 1 => any::<char>().prop_map(String::from)]
}

fn messy_text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

fn cases() -> u32 {
    if std::env::var_os("THEMATIC_LONG").is_some() { 50_000 } else { 300 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn cleaning_twice_is_cleaning_once(text in messy_text()) {
        let once = clean_text(&text).into_owned();
        prop_assert_eq!(clean_text(&once), once.as_str());
        let once = clean_abstract(&text).into_owned();
        prop_assert_eq!(clean_abstract(&once), once.as_str());
        if let Some(once) = clean_name(&text) {
            prop_assert_eq!(clean_name(&once), Some(once));
        }
    }

    #[test]
    fn cleaning_a_cleaned_draft_changes_nothing(title in messy_text(), body in messy_text(), author in messy_text()) {
        let mut draft = Draft { title, abstract_text: body, authors: vec![author], ..Draft::default() };
        clean(&mut draft);
        let once = draft.clone();
        clean(&mut draft);
        prop_assert_eq!(draft, once);
    }

    #[test]
    fn what_is_cleaned_is_tidy(text in messy_text()) {
        let cleaned = clean_text(&text);
        prop_assert_eq!(cleaned.trim(), &*cleaned);
        prop_assert!(!cleaned.contains("  ") && !cleaned.contains("\n\n"));
        prop_assert!(!cleaned.contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn words_between_markup_survive_in_order(
        words in prop::collection::vec("[b-df-hj-np-tv-z]{4,8}", 1..20),
        marks in prop::collection::vec(0usize..12, 20),
    ) {
        let wrapped: Vec<String> = words.iter().zip(&marks).map(|(word, mark)| wrapped(word, *mark)).collect();
        let text = wrapped.join(" ");
        let cleaned = clean_text(&text);
        let kept: Vec<&str> = cleaned.split(|c: char| !c.is_ascii_lowercase()).filter(|word| word.len() > 3).collect();
        prop_assert_eq!(kept, words);
    }
}

fn wrapped(word: &str, mark: usize) -> String {
    match mark {
        0 => format!("\\textbf{{{word}}}"),
        1 => format!("<i>{word}</i>"),
        2 => format!("{{{word}}}"),
        3 => format!("${word}$"),
        4 => format!("``{word}''"),
        5 => format!("{word}~"),
        6 => format!("&amp;{word}"),
        7 => format!("\\unknown{{{word}}}"),
        8 => format!("$5 {word} $"),
        9 => format!("{word}\n"),
        10 => format!("({word})"),
        _ => word.to_owned(),
    }
}
