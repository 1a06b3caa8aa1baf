//! Listing pages: the five real ones against a hand-made truth, and pages invented for the purpose.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use thematic::ingest::listing::{Page, detect, parse, parse_html, text_of_html};
use thematic::paper::{Date, Draft, title_key};

/// One line per record: file, line, then title, authors and abstract as hashes, date, categories, the other fields as a
/// hash. Hashes, because the pages are other people's words.
const TRUTH: &str = include_str!("fixtures/listing-truth.txt");
const PAGES: [(&str, usize); 5] = [
    ("000_4d3648647ad7a805.txt", 12),
    ("001_6943237dd56709ff.txt", 12),
    ("002_cb9bdc7200f38807.txt", 33),
    ("003_34e1a313bb7acc52.txt", 9),
    ("004_bffe1aad1d3494b6.txt", 50),
];

#[test]
fn every_field_of_the_real_pages_is_right() {
    let Some(pages) = real_pages() else { return };
    let mut found = Vec::new();
    for ((name, count), page) in PAGES.iter().zip(&pages) {
        assert_eq!((page.drafts.len(), page.skips.len()), (*count, 0), "{name}");
        found.extend(page.drafts.iter().map(|draft| (fingerprint(name, draft), draft)));
    }
    let expected: Vec<&str> = TRUTH.lines().collect();
    assert_eq!(found.len(), expected.len());
    for ((line, draft), expected) in found.iter().zip(expected) {
        assert_eq!(
            line, expected,
            "file, line, title, authors, abstract, date, categories, other fields of {draft:#?}"
        );
    }
}

#[test]
fn the_real_pages_hold_108_papers() {
    let Some(pages) = real_pages() else { return };
    let drafts = pages.iter().flat_map(|page| &page.drafts);
    // A record without a title occurs once only, so that its abstract names it. Two papers stand there under two titles
    // each; both count.
    let papers: BTreeSet<String> = drafts
        .map(|draft| title_key(if draft.title.is_empty() { &draft.abstract_text } else { &draft.title }))
        .collect();
    assert_eq!(papers.len(), 108);
}

fn fingerprint(name: &str, draft: &Draft) -> String {
    let line = draft.provenance[0].line.expect("a line");
    let date = draft.date.map_or_else(|| "-".into(), |date| date.to_string());
    let categories = if draft.categories.is_empty() { "-".into() } else { draft.categories.join(",") };
    let extra = serde_json::to_string(&draft.extra).expect("plain values");
    let [title, authors, text, extra] =
        [&draft.title, &draft.authors.join("|"), &draft.abstract_text, &extra].map(|field| hash(field));
    format!("{} {line} {title} {authors} {text} {date} {categories} {extra}", &name[..3])
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// The five pages, read as of the day after the newest record; `None` where they are not on this machine.
fn real_pages() -> Option<Vec<Page>> {
    let Some(shared) = env::var_os("THEMATIC_SHARED") else {
        println!("skipped: THEMATIC_SHARED does not name the folder with the real listing pages");
        return None;
    };
    let folder = Path::new(&shared).join("listings");
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).expect("a listing page");
        assert!(detect(&text), "{name} is a listing page");
        parse(&text, name, day("2026-06-03"))
    };
    Some(PAGES.iter().map(|(name, _)| read(name)).collect())
}

fn day(text: &str) -> Date {
    text.parse().expect("a date")
}

/// One line per record: line, title, authors, date, categories, other fields, and the abstract's first and last word.
fn shown(page: &Page) -> Vec<String> {
    page.drafts.iter().map(shown_draft).collect()
}

fn shown_draft(draft: &Draft) -> String {
    let line = draft.provenance[0].line.map(|line| line.to_string()).unwrap_or_default();
    let words: Vec<&str> = draft.abstract_text.split_whitespace().collect();
    let ends = [words.first(), words.last()].map(|word| word.copied().unwrap_or_default()).join("..");
    let date = draft.date.map(|date| date.to_string()).unwrap_or_default();
    let extra = if draft.extra.is_empty() { String::new() } else { serde_json::to_string(&draft.extra).expect("json") };
    format!("{line} {} [{}] {date} {}{extra} {ends}", draft.title, draft.authors.join("|"), draft.categories.join("+"))
}

fn check(text: &str, expected: &[&str]) {
    let page = parse(text, "page", day("2026-07-01"));
    assert_eq!(shown(&page), expected, "skipped: {:?}", page.skips);
    assert_eq!(detect(text), !expected.is_empty(), "detection");
    let with_returns = text.replace('\n', "\r\n");
    assert_eq!(shown(&parse(&with_returns, "page", day("2026-07-01"))), expected, "with carriage returns");
}

const WOOL: &str = "We study how robots handle wool, and measure what they drop. Our results show that softer grippers lose fewer stitches than hard ones do.";
const TEA: &str = "Serving tea is a hard problem for machines. This paper compares four ways to pour, with and without sugar, in a kitchen of average size.";
const SNOW: &str = "However cold it gets, snow keeps its secrets. Here we propose a model of falling flakes, and find that it explains most of the observed drifts.";

/// An abstract with the marker after this many characters.
fn cut(text: &str, at: usize, marker: &str) -> String {
    let at = text.char_indices().nth(at).map_or(text.len(), |(at, _)| at);
    format!("{}{marker}{}", &text[..at], &text[at..])
}

#[test]
fn a_profile_page_is_read_without_what_surrounds_the_papers() {
    let marker = "… (see more)";
    let page = format!(
        "Skip to content\nHome\nPublications\nPeople\n\nPortrait of Mira Halloran\n\nMira Halloran\n\nCore Member\nFull Professor, \
         University of Nowhere, Department of Yarn\nResearch Topics\nDeep Weaving\n\nBiography\n\nMira Halloran is a \
         professor at the University of Nowhere, and she studies robots that work with yarn. She likes tea.\n\nCurrent \
         Students\n\nPhD - University of Nowhere\nPrincipal supervisor :\n\nPublications\n\nRobots and Wool: A Study\n\
         Ada Quill\nTomás O'Dell\n{}\nPouring Tea\nAda Quill\n{}\nLetting It Snow Without Abstracts\nJan van den Berg\n\
         Robots and Wool: A Study\nAda Quill\n{}\n\nShow more\n\n© 2026 Institute of Nowhere\nPrivacy policy\nContact us\n\
         Subscribe to our newsletter to hear about our latest events and about everything else that we do.\n",
        cut(WOOL, 40, marker),
        cut(TEA, 40, marker),
        cut(SNOW, 40, marker)
    );
    check(
        &page,
        &[
            "26 Robots and Wool: A Study [Ada Quill|Tomás O'Dell]   We..do.",
            "30 Pouring Tea [Ada Quill]   Serving..size.",
            "33 Letting It Snow Without Abstracts [Jan van den Berg]   ..",
            "35 Robots and Wool: A Study [Ada Quill]   However..drifts.",
        ],
    );
    let drafts = parse(&page, "page", day("2026-07-01")).drafts;
    assert_eq!([&drafts[0], &drafts[1], &drafts[3]].map(|draft| draft.abstract_text.as_str()), [WOOL, TEA, SNOW]);
}

#[test]
fn abstracts_without_titles_part_where_the_page_cuts_them() {
    let marker = "… (voir plus)";
    let (wool, tea, snow) = (cut(WOOL, 90, marker), cut(TEA, 90, marker), cut(SNOW, 90, marker));
    // The first paragraph of the third record is shorter than the page's cut, which therefore falls into the next one.
    let (first, rest) = SNOW.split_at(45);
    let split = format!("{first}\n{}", cut(rest.trim_start(), 90 - 46, marker));
    let page = format!(
        "Publications\n{wool}\n{tea}\nWe close with a second paragraph about the sugar, which nobody measured before.\n{split}\nPouring Tea\n{snow}\n"
    );
    check(
        &page,
        &[
            "2  []   We..do.",
            "3  []   Serving..before.",
            "5  []   However..drifts.",
            "7 Pouring Tea []   However..drifts.",
        ],
    );
    let drafts = parse(&page, "page", day("2026-07-01")).drafts;
    assert_eq!(drafts[2].abstract_text, format!("{first}\n{}", rest.trim_start()));
}

#[test]
fn a_page_without_cuts_is_parted_by_titles() {
    check(
        &format!(
            "Selected Papers (3)\n\n2024\n\n1. Robots and Wool\nAda Quill, Tomás O'Dell and Bo Ek\n{WOOL}\nCode: \
             https://example.org/wool\nPDF\nBibTeX\n2. Pouring Tea\nAda Quill\n{TEA}\n\n2023\n\n3. On Snow\nBo Ek\n{SNOW}\n\
             https://doi.org/10.5555/snow\n\nTeaching\n\nIntroduction to Yarn\nAda Quill\n"
        ),
        &[
            "5 Robots and Wool [Ada Quill|Tomás O'Dell|Bo Ek] 2024  We..https://example.org/wool",
            "11 Pouring Tea [Ada Quill] 2024  Serving..size.",
            "17 On Snow [Bo Ek] 2023  However..drifts.",
        ],
    );
}

#[test]
fn records_between_empty_lines_keep_apart() {
    check(
        &format!(
            "Recent publications\n\nPouring Tea\nAda Quill\n{TEA}\n\nDeep Wool\nAda Quill\nBo Ek\n\nOn Snow\nBo Ek\n{SNOW}\n\n\
             Join us for a cup of tea and learn more about the many other things that we do here.\n"
        ),
        &[
            "3 Pouring Tea [Ada Quill]   Serving..size.",
            "7 Deep Wool [Ada Quill|Bo Ek]   ..",
            "11 On Snow [Bo Ek]   However..drifts.",
        ],
    );
}

#[test]
fn titles_that_look_like_names_or_sentences_are_titles() {
    check(
        &format!(
            "Publications\nDeep Sets\nAda Quill\n{WOOL} We learn with deep sets.\nA long look at how tea is poured in \
             kitchens. What happens when nobody is there to drink any of it at all\nAda Quill\nBo Ek\n{TEA}\n"
        ),
        &[
            "2 Deep Sets [Ada Quill]   We..sets.",
            "5 A long look at how tea is poured in kitchens. What happens when nobody is there to drink any of it at all \
             [Ada Quill|Bo Ek]   Serving..size.",
        ],
    );
}

#[test]
fn what_may_be_a_paper_and_cannot_be_read_is_reported() {
    let text = format!(
        "Publications\n\nPouring Tea\nAda Quill\n{TEA}\n\nBirds sing in the morning over the hill.\n\nA Line That May \
         Be Anything\n"
    );
    let page = parse(&text, "page", day("2026-07-01"));
    assert_eq!(page.drafts.len(), 1);
    let skipped: Vec<_> = page.skips.iter().map(|skip| (skip.line, skip.excerpt.as_deref())).collect();
    assert_eq!(
        skipped,
        [(Some(7), Some("Birds sing in the morning over the hill.")), (Some(9), Some("A Line That May Be Anything"))]
    );
    assert!(page.skips.iter().all(|skip| skip.file == "page" && !skip.reason.is_empty()));
}

#[test]
fn an_aggregators_list_is_read() {
    check(
        &format!(
            "Trending papers\nSort by\n\n71.5CLJun 2Code\nRobots and Wool: LLMs That KnitAda Quill, Tomás O'Dell, Bo Ek et al. \
             · oxford, mit-csail\n{WOOL}\nMED-PHMay 12, 2022\nDoes Tea Pour Itself?Luiz F. G. dos Reis\n{TEA}\nLGJul 2\n\
             A Theory of SnowMaëlle Ås, Claire O'Brien\n{SNOW}\nIt snows in two paragraphs, and we show that both are \
             needed.\ncs.ROFeb 30, 2021Code\nAn Impossible DayBo Ek · eth\nAIJan 1, 2020\nLoad more\n\nAbout us\n"
        ),
        &[
            "4 Robots and Wool: LLMs That Knit [Ada Quill|Tomás O'Dell|Bo Ek] 2026-06-02 CL{\"affiliations\":[\"oxford\",\
             \"mit-csail\"],\"code\":true,\"et_al\":true,\"score\":71.5} We..do.",
            "7 Does Tea Pour Itself? [Luiz F. G. dos Reis] 2022-05-12 MED-PH Serving..size.",
            "10 A Theory of Snow [Maëlle Ås|Claire O'Brien] 2025-07-02 LG However..needed.",
            "14 An Impossible Day [Bo Ek]  cs.RO{\"affiliations\":[\"eth\"],\"code\":true} ..",
        ],
    );
}

#[test]
fn a_header_without_a_paper_is_reported_and_a_paper_without_a_header_is_read() {
    let text = format!(
        "LGJun 2\nCLJun 1\nPouring TeaAda Quill, Bo Ek et al.\n{TEA}\n?? Jun 3\nOn SnowBo Ek et al. · eth\n{SNOW}\n"
    );
    let page = parse(&text, "page", day("2026-07-01"));
    assert_eq!(page.skips.len(), 1);
    assert_eq!((page.skips[0].line, page.skips[0].excerpt.as_deref()), (Some(1), Some("LGJun 2")));
    let titles: Vec<&str> = page.drafts.iter().map(|draft| draft.title.as_str()).collect();
    assert_eq!(titles, ["Pouring Tea", "On Snow"]);
    assert_eq!(page.drafts[1].date, None);
}

#[test]
fn title_and_authors_may_stand_on_lines_of_their_own() {
    check(
        &format!(
            "7 CL · Jun 2, 2021 · Code\nPouring Tea With DeepKettle Pro\nAda Quill, Bo Ek et al.\n{TEA}\nLG Jun 1, 2021\n{SNOW}\n"
        ),
        &[
            "1 Pouring Tea With DeepKettle Pro [Ada Quill|Bo Ek] 2021-06-02 CL{\"code\":true,\"et_al\":true,\"score\":7.0} Serving..size.",
            "5  [] 2021-06-01 LG However..drifts.",
        ],
    );
}

#[test]
fn html_gives_the_boundaries_that_text_lacks() {
    let html = format!(
        r#"<!doctype html><html><head><title>Papers</title><script>let a = "LGJun 2";</script></head><body>
<nav><a href="/">Home</a></nav><div class="cookie-banner"><p>We use cookies.</p></div><main>
<div class="card"><div><span>71.5</span><span>CL</span><span>Jun 2</span><a href="x">Code</a></div>
<a href="/p/1"><span>Tea &amp; Wool in DeepKettle</span><span>Ada Quill, Bo Ek et al. · oxford</span></a>
<p>{TEA}</p></div>
<div class="card"><div><span>MED-PH</span> <span>May 12, 2022</span></div>
<h3>On <em>Snow</em></h3><p>Bo Ek</p><p>{}<button>… (see more)</button><span>{}</span></p></div>
</main><footer>Contact us</footer></body></html>"#,
        &SNOW[..50],
        &SNOW[50..]
    );
    let page = parse_html(&html, "page.html", day("2026-07-01"));
    assert_eq!(
        shown(&page),
        [
            " Tea & Wool in DeepKettle [Ada Quill|Bo Ek] 2026-06-02 CL{\"affiliations\":[\"oxford\"],\"code\":true,\"et_al\":true,\"score\":71.5} Serving..size.",
            " On Snow [Bo Ek] 2022-05-12 MED-PH However..drifts.",
        ]
    );
    assert_eq!(page.drafts[1].abstract_text, SNOW);
    assert!(detect(&text_of_html(&html)) && !detect(&html));
}

#[test]
fn a_profile_page_in_html_is_read_like_its_text() {
    let marker = "<span>… </span><a>(see more)</a>";
    let html = format!(
        r#"<html><body><header><h1>Mira Halloran</h1></header>
<section><h2>Biography</h2><p>Mira is a professor, and we like her a lot in this department.</p></section>
<section><h2>Publications</h2>
<article><h3>Robots and Wool: A Study</h3><ul><li>Ada Quill</li><li>Tomás O'Dell</li></ul><p>{}{marker}{}</p></article>
<article><h3>Pouring Tea, Again</h3><p><a>Ada Quill</a> <a>Bo Ek</a></p><p>{}{marker}{}</p></article>
<article><h3>On Snow</h3><div>Bo Ek, Ada Quill</div><p>The first of&nbsp;two lines is short, but it says that we study snow.<br>{SNOW}</p></article>
</section><footer><p>© 2026</p></footer></body></html>"#,
        &WOOL[..41],
        &WOOL[41..],
        &TEA[..41],
        &TEA[41..],
    );
    let page = parse_html(&html, "page.html", day("2026-07-01"));
    assert_eq!(
        shown(&page),
        [
            "4 Robots and Wool: A Study [Ada Quill|Tomás O'Dell]   We..do.",
            "5 Pouring Tea, Again [Ada Quill|Bo Ek]   Serving..size.",
            " On Snow [Bo Ek|Ada Quill]   The..drifts.",
        ],
        "{}",
        text_of_html(&html)
    );
    assert_eq!(page.drafts[0].abstract_text, WOOL);
    assert!(detect(&text_of_html(&html)));
}

#[test]
fn other_files_are_not_claimed() {
    let texts = format!("{WOOL}\n{TEA}\n{SNOW}\n");
    for text in [
        "",
        "\n\n",
        "Publications\n",
        "just a line",
        texts.as_str(),
        "Robots and Wool\nPouring Tea\nDeep Sets\nOn Snow\n",
        "title,abstract\nPouring Tea,\"We pour tea, and we study it.\"\nOn Snow,\"We study snow, too.\"\n",
        "@article{quill2024,\n  title = {Pouring Tea},\n  author = {Quill, Ada and Ek, Bo},\n}\n",
        "TY  - JOUR\nTI  - Pouring Tea\nAU  - Quill, Ada\nAB  - We pour tea and study what happens next.\nER  - \n",
        "PMID- 1\nTI  - Pouring Tea\nFAU - Quill, Ada\nAB  - We pour tea and study what happens next.\n",
        "{\"title\": \"Pouring Tea\"}\n{\"title\": \"On Snow\"}\n",
        "fn main() {\n    println!(\"We pour tea, and study it.\");\n}\n",
        "The History of Tea\nAda Quill\n\nIt was a cold day, and we sat by the fire in silence. Nobody spoke for a while, and the kettle sang.\n",
    ] {
        assert!(!detect(text), "{text}");
    }
}

#[test]
fn a_page_without_papers_gives_nothing() {
    for text in ["", "Publications\n\nNo results\n", "Home\nContact\n", "\u{feff}\n\0\n", "LG\nJun 2\n"] {
        assert_eq!(parse(text, "page", day("2026-07-01")), Page::default(), "{text:?}");
    }
}

/// A record of an invented page: has it a title, authors, an abstract?
type Parts = (bool, usize, usize);

const TITLES: [&str; 4] =
    ["On the Pouring of Tea", "Robots and wool: a first look", "Snow?", "Why kettles sing in the dark"];
const NAMES: [&str; 5] = ["Ada Quill", "Tomás O'Dell", "Jan van den Berg", "Bo Ek", "M. E. Halloran"];

/// A paragraph that its number finds again.
fn paragraph(number: usize, marked: bool) -> String {
    let marker = if marked { "… (see more)" } else { "" };
    format!(
        "In study number{number}x we observe that our rob{marker}ots pour tea with care, and that the results depend on the kettle."
    )
}

/// A page and its paragraphs, without markers.
fn profile_page(parts: &[Parts], marked: bool) -> (String, Vec<String>) {
    let mut page = String::from("Home\n\nPublications\n");
    let mut paragraphs = Vec::new();
    for (at, (titled, n_names, n_paragraphs)) in parts.iter().enumerate() {
        if *titled {
            page += &format!("{}\n", TITLES[at % TITLES.len()]);
            NAMES.iter().take(*n_names).for_each(|name| page += &format!("{name}\n"));
        }
        for number in 0..*n_paragraphs {
            page += &format!("{}\n", paragraph(at * 10 + number, marked && number == 0));
            paragraphs.push(paragraph(at * 10 + number, false));
        }
    }
    (page + "\nShow more\n", paragraphs)
}

/// An aggregator's list and its paragraphs.
fn aggregator_page(parts: &[Parts]) -> (String, Vec<String>) {
    let mut page = String::new();
    let mut paragraphs = Vec::new();
    for (at, (headed, n_names, n_paragraphs)) in parts.iter().enumerate() {
        if *headed || at == 0 {
            page += "LGJun 2, 2021Code\n";
        }
        page += &format!("{}{} et al. · eth\n", TITLES[at % TITLES.len()], NAMES[..=*n_names].join(", "));
        for number in 0..*n_paragraphs {
            page += &format!("{}\n", paragraph(at * 10 + number, false));
            paragraphs.push(paragraph(at * 10 + number, false));
        }
    }
    (page + "Load more\n", paragraphs)
}

/// Every paragraph is in exactly one draft, or in a skip.
fn check_paragraphs(page: &Page, paragraphs: &[String]) -> Result<(), TestCaseError> {
    for paragraph in paragraphs {
        let drafts = page.drafts.iter().filter(|draft| draft.abstract_text.contains(paragraph)).count();
        let skips = page.skips.iter().filter(|skip| skip.excerpt.as_deref() == Some(paragraph)).count();
        prop_assert_eq!(drafts + skips, 1, "{} in {:#?}", paragraph, page);
    }
    Ok(())
}

proptest! {
    // A page is long for a test case: so many find what more would, within the second that a test may take.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics(text in "\\PC{0,200}", pieces in vec((0..PIECES.len(), 0..PIECES.len()), 0..30)) {
        let page: String = pieces.iter().map(|(one, next)| format!("{}{}", PIECES[*one], PIECES[*next])).collect();
        for text in [text, page] {
            detect(&text);
            parse(&text, "page", day("2026-07-01"));
            parse_html(&text, "page", day("2026-07-01"));
        }
    }

    #[test]
    fn no_paragraph_of_a_profile_is_lost(parts in vec((any::<bool>(), 0..5usize, 0..3usize), 1..8), marked: bool) {
        let (text, paragraphs) = profile_page(&parts, marked);
        check_paragraphs(&parse(&text, "page", day("2026-07-01")), &paragraphs)?;
    }

    #[test]
    fn no_record_of_an_aggregator_is_lost(parts in vec((any::<bool>(), 0..5usize, 0..3usize), 1..8)) {
        let (text, paragraphs) = aggregator_page(&parts);
        let page = parse(&text, "page", day("2026-07-01"));
        check_paragraphs(&page, &paragraphs)?;
        let found: Vec<(&str, usize)> = page.drafts.iter().map(|draft| (draft.title.as_str(), draft.authors.len())).collect();
        let expected: Vec<(&str, usize)> =
            parts.iter().enumerate().map(|(at, (_, n_names, _))| (TITLES[at % TITLES.len()], n_names + 1)).collect();
        prop_assert_eq!(found, expected);
    }
}

/// What pages are made of, to be thrown together.
const PIECES: [&str; 22] = [
    "\n",
    "\n\n",
    "\t",
    " · ",
    "LGJun 2",
    "88.1CLJun 2, 2021Code",
    "Publications\n",
    "Biography\n",
    "Ada Quill",
    ", ",
    " et al.",
    "Pouring Tea",
    "We pour tea, and we show that this paper is about it. ",
    "… (see more)",
    "<p>",
    "</p><br>",
    "<div><span>",
    "</span></div>",
    "2024",
    "é\u{301}",
    "\r\n",
    "https://example.org/1\n",
];
