//! Deduplication: which records become one paper, which are linked, which stay apart; and that the order of the input
//! does not matter.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index as Choice;
use thematic::dedupe::{Index, Keys, RENAMED, Verdict, dedupe, judge, merge, separate};
use thematic::paper::{Draft, Identifier, Paper, Provenance};

const RIVERS: &str = "Rivers carry sediment from the mountains to the sea, and the shape of a valley records how fast \
    they did so in the past. We compare four hundred valleys on three continents and find that the older half erodes \
    at half the rate of the younger one. A simple model of slope and rainfall explains most of the difference, and \
    what it leaves is explained by the kind of rock. The rates let us date landslides that were thought too old.";

const BEES: &str = "Wild bees visit flowers at times of the day that honey bees avoid, and orchards near hedges are \
    visited by more species of them. Over six summers we counted visits to apple and cherry trees in thirty orchards \
    and measured the fruit that was set. Orchards with hedges set a fifth more fruit, whatever the number of hives, \
    and the difference grows in cold springs. Planting hedges is cheaper than renting hives after four years.";

/// A record: identifiers, title, abstract and authors, each apart by a bar.
fn record(ids: &str, title: &str, text: &str, authors: &str) -> Paper {
    let list = |text: &str| text.split('|').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let draft = Draft {
        identifiers: list(ids).iter().map(|id| Identifier::parse(id)).collect(),
        title: title.into(),
        abstract_text: text.into(),
        authors: list(authors),
        ..Draft::default()
    };
    Paper::from_draft(draft).expect("a title or an abstract")
}

fn check(one: &Paper, other: &Paper, expected: Verdict) {
    assert_eq!(judge(one, other), expected, "{} | {}", one.title, other.title);
    assert_eq!(judge(other, one), expected, "the other way round: {} | {}", other.title, one.title);
}

#[test]
fn identifiers_name_one_paper() {
    let one = record("10.1000/a|p1", "Valleys that date rivers", "", "Ada Byron");
    check(&one, &record("doi:10.1000/A", "Valleys which date rivers: a study", "", "A. Byron"), Verdict::Same);
    let arxiv = record("arXiv:2101.00001v1", "Old name of the work", RIVERS, "Ada Byron");
    check(&arxiv, &record("2101.00001v3", "New name of the work", RIVERS, "Ada Byron"), Verdict::Same);
}

#[test]
fn a_title_needs_no_contradiction() {
    let title = "Valleys that date rivers and landslides";
    let one = record("p1", title, RIVERS, "Ada M. Byron|Carl Gauss");
    check(&one, &record("q7", "VALLEYS that date rivers & landslides.", "", "A. Byron"), Verdict::Same);
    check(&one, &record("q7", title, "", ""), Verdict::Same);
    check(&one, &record("q7", title, "", "Emmy Noether"), Verdict::Different);
    check(&one, &record("q7", title, BEES, "Ada Byron"), Verdict::Different);
    check(&one, &record("q7", title, &RIVERS[..200], "Carl Gauss"), Verdict::Same);
}

#[test]
fn a_slip_in_the_title_needs_the_same_text() {
    let one = record("", "Hedges that feed wild bees in mice country", BEES, "Emmy Noether");
    check(&one, &record("", "Hedges that feed wild beees in mice country", BEES, ""), Verdict::Same);
    let other = BEES.replace("apple and cherry", "pear and plum");
    check(&one, &record("", "Hedges that feed wild bees in rice country", &other, "Emmy Noether"), Verdict::Renamed);
    check(&one, &record("", "Hedges that feed wild bees in rice country", "", "Emmy Noether"), Verdict::Different);
}

#[test]
fn rubrics_are_not_titles() {
    for rubric in ["Editorial", "Introduction", "Reply to comments", "Guest Editorial"] {
        let one = record("10.1000/a", rubric, "", "Ada Byron");
        check(&one, &record("10.1000/b", rubric, "", "Ada Byron"), Verdict::Different);
        let told = record("10.1000/c", rubric, RIVERS, "Ada Byron");
        check(&told, &record("10.1000/d", rubric, BEES, "Ada Byron"), Verdict::Different);
        check(&told, &record("p9", rubric, RIVERS, "Ada Byron"), Verdict::Same);
    }
}

#[test]
fn series_and_notices_stay_apart() {
    let pairs = [
        ("Waves on shallow water, part I: theory", "Waves on shallow water, part II: theory"),
        ("Overview of the 2019 river challenge", "Overview of the 2020 river challenge"),
        ("Correction to: Waves on shallow water", "Waves on shallow water"),
        ("Comment on Waves on shallow water", "Waves on shallow water"),
    ];
    for (one, other) in pairs {
        check(&record("", one, RIVERS, "Ada Byron"), &record("", other, RIVERS, "Ada Byron"), Verdict::Different);
    }
}

#[test]
fn one_text_under_two_titles_is_linked() {
    let one = record("", "Valleys that date rivers", RIVERS, "Ada Byron|Carl Gauss");
    let edited = RIVERS.replace("four hundred", "five hundred");
    check(&one, &record("", "A clock in the landscape", &edited, "A. Byron"), Verdict::Renamed);
    check(&one, &record("", "A clock in the landscape", &edited, "Emmy Noether"), Verdict::Different);
}

#[test]
fn the_words_of_a_title_in_another_order_are_linked() {
    let one = record("", "How rivers carry fine sediment through narrow valleys", "", "Ada Byron|Carl Gauss");
    let other = "Through narrow valleys: rivers that carry fine sediments";
    check(&one, &record("", other, RIVERS, "Ada Byron|Carl Gauss"), Verdict::Renamed);
    check(&one, &record("", other, RIVERS, "Ada Byron|Emmy Noether"), Verdict::Different);
}

#[test]
fn a_text_without_a_title_joins_its_paper() {
    let one = record("", "Valleys that date rivers", RIVERS, "Ada Byron");
    check(&one, &record("", "", &RIVERS.replace("sea,", "ocean,"), ""), Verdict::Same);
    check(&one, &record("", "", RIVERS, "Emmy Noether"), Verdict::Different);
    check(&one, &record("", "", BEES, ""), Verdict::Different);
}

#[test]
fn merging_keeps_the_fuller_fields_and_every_name() {
    let mut short = record("p1", "VALLEYS THAT DATE RIVERS", &RIVERS[..150], "A. Byron");
    short.date = "2021".parse().ok();
    short.categories = vec!["geo".into()];
    short.venue = Some("arXiv".into());
    short.provenance = vec![Provenance { file: "b.json".into(), line: Some(2) }];
    short.extra.insert("et_al".into(), true.into());
    let mut full = record("10.1000/a|2101.00001", "Valleys that date rivers", RIVERS, "Ada Byron|Carl Gauss");
    full.date = "2021-03-01".parse().ok();
    full.categories = vec!["hydro".into()];
    full.venue = Some("Valley Letters".into());
    full.provenance = vec![Provenance { file: "a.json".into(), line: Some(1) }];
    let paper = merge(short.clone(), &full);
    assert_eq!(paper, merge(full, &short), "merging is symmetric");
    assert_eq!(paper.id.as_str(), "DOI:10.1000/a");
    assert_eq!(
        paper.aliases.iter().map(thematic::paper::PaperId::as_str).collect::<Vec<_>>(),
        ["ARXIV:2101.00001", "p1"]
    );
    assert_eq!((paper.title.as_str(), paper.abstract_text.as_str()), ("Valleys that date rivers", RIVERS));
    assert_eq!(paper.authors, ["Ada Byron", "Carl Gauss"]);
    assert_eq!(paper.date, "2021-03-01".parse().ok());
    assert_eq!(paper.categories, ["hydro", "geo"]);
    assert_eq!(paper.venue.as_deref(), Some("Valley Letters"));
    assert_eq!(paper.provenance.len(), 2);
    assert!(!paper.extra.contains_key("et_al"));
}

#[test]
fn a_list_becomes_papers_and_links() {
    let done = dedupe(vec![
        record("p2", "Valleys that date rivers", "", "A. Byron"),
        record("", "A clock in the landscape", &RIVERS.replace("sea", "ocean"), "Ada Byron"),
        record("10.1000/b", "Bees and hedges in orchards", BEES, "Emmy Noether"),
        record("10.1000/a", "Valleys that date rivers", RIVERS, "Ada Byron|Carl Gauss"),
    ]);
    let ids: Vec<&str> = done.papers.iter().map(|paper| paper.id.as_str()).collect();
    assert_eq!(ids[..2], ["DOI:10.1000/a", "DOI:10.1000/b"]);
    assert_eq!((done.papers.len(), done.merged, done.links.len()), (3, 1, 1));
    assert_eq!(done.papers[0].extra[RENAMED], serde_json::json!([ids[2]]));
    assert_eq!(done.papers[2].extra[RENAMED], serde_json::json!([ids[0]]));
}

#[test]
fn a_third_record_never_joins_two_that_differ() {
    let one = record("10.1000/a", "Valleys that date rivers", RIVERS, "Ada Byron");
    let renamed = record("10.1000/b", "A clock in the landscape", RIVERS, "Ada Byron");
    let untitled = record("p1", "", RIVERS, "");
    let done = dedupe(vec![untitled, one, renamed]);
    assert_eq!((done.papers.len(), done.links.len()), (2, 1));
}

#[test]
fn records_that_count_alike_are_told_apart() {
    let one = record("1", "Valleys that date rivers", RIVERS, "Ada Byron");
    let mut other = record("1", "Bees and hedges in orchards", BEES, "Emmy Noether");
    check(&one, &other, Verdict::Different);
    let done = dedupe(vec![one.clone(), other.clone()]);
    let ids: BTreeSet<&str> = done.papers.iter().map(|paper| paper.id.as_str()).collect();
    assert_eq!((ids.len(), ids.contains("1")), (2, true));
    separate(&mut other, &one);
    assert_ne!(other.id, one.id);
    let edited = record("1", "Valleys that date rivers", BEES, "Ada Byron");
    check(&one, &edited, Verdict::Same);
}

#[test]
fn keys_survive_storing_and_find_what_is_alike() {
    let papers = [
        record("10.1000/a", "Valleys that date rivers", RIVERS, "Ada Byron"),
        record("10.1000/b", "Bees and hedges in orchards", BEES, "Emmy Noether"),
        record("", "Editorial", "", "Ada Byron"),
    ];
    let mut index = Index::default();
    for (row, paper) in papers.iter().enumerate() {
        let keys = Keys::from_bytes(&Keys::of(paper).to_bytes()).expect("its own bytes");
        assert_eq!(keys, Keys::of(paper));
        index.insert(row as i64 + 1, &keys);
    }
    let find = |index: &Index, paper: &Paper| index.candidates(&Keys::of(paper));
    assert_eq!(find(&index, &record("p", "Valleys that date rivers!", "", "")), [1]);
    assert_eq!(find(&index, &record("doi:10.1000/B", "Other", "", "")), [2]);
    assert_eq!(find(&index, &record("", "", &RIVERS.replace("shape", "form"), "")), [1]);
    assert_eq!(find(&index, &record("10.1000/c", "Editorial", "", "Carl Gauss")), Vec::<i64>::new());
    index.remove(1);
    assert_eq!(find(&index, &papers[0]), Vec::<i64>::new());
    index.insert(1, &Keys::of(&papers[0]));
    assert_eq!((find(&index, &papers[0]), index.len()), (vec![1], 3));
    assert_eq!(Keys::from_bytes(&[]), None);
    assert_eq!(Keys::from_bytes(&[99, 0]), None);
    assert_eq!(Keys::from_bytes(&[1, 2, 0, 0, 0, 0]), None);
}

#[test]
fn a_template_does_not_make_everything_a_candidate() {
    let mut index = Index::default();
    for row in 0..20_000 {
        index.insert(row, &Keys::of(&record(&format!("10.1000/{row}"), "Report of the river survey", "", "")));
    }
    assert_eq!(index.candidates(&Keys::of(&record("x", "Report of the river survey", "", ""))), Vec::<i64>::new());
    assert_eq!(index.candidates(&Keys::of(&record("10.1000/7", "Report of the river survey", "", ""))), [7]);
}

#[test]
fn a_text_under_many_titles_is_a_template() {
    let titles =
        ["Magnets of the ring", "Cooling the ring", "Power for the ring", "Beams in the ring", "Ring safety plan"];
    let papers = titles.map(|title| record("", title, RIVERS, "Ada Byron|Carl Gauss"));
    let done = dedupe(papers.to_vec());
    assert_eq!((done.papers.len(), done.links.len()), (5, 0));
}

/// Records made of few parts, so that they often share some.
fn some_record() -> impl Strategy<Value = Paper> {
    let ids = prop::sample::subsequence(vec!["10.1000/a", "10.1000/b", "2101.00001", "PMID:7", "1", "2"], 0..3);
    let titles = [
        "",
        "Valleys that date rivers",
        "VALLEYS that date rivers",
        "A clock in the landscape",
        "Editorial",
        "Waves on water, part 1",
        "Waves on water, part 2",
        "Bees and hedges in orchards",
    ];
    let edited = RIVERS.replace("sea,", "ocean,");
    let texts = vec![String::new(), RIVERS.to_owned(), edited, RIVERS[..180].to_owned(), BEES.to_owned()];
    let authors = ["", "Ada Byron", "A. Byron|Carl Gauss", "Emmy Noether"];
    (
        ids,
        prop::sample::select(titles.to_vec()),
        prop::sample::select(texts),
        prop::sample::select(authors.to_vec()),
        0u64..50,
    )
        .prop_map(|(ids, title, text, authors, line)| {
            let title = if title.is_empty() && text.is_empty() { "A lonely title of nothing" } else { title };
            let mut paper = record(&ids.join("|"), title, &text, authors);
            paper.provenance = vec![Provenance { file: "f".into(), line: Some(line) }];
            paper
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn the_order_of_the_input_does_not_matter(
        papers in prop::collection::vec(some_record(), 0..10),
        places in prop::collection::vec(any::<Choice>(), 10),
    ) {
        let mut rest = papers.clone();
        let mut shuffled = Vec::new();
        for place in &places {
            if !rest.is_empty() {
                shuffled.push(rest.remove(place.index(rest.len())));
            }
        }
        shuffled.extend(rest);
        prop_assert_eq!(dedupe(papers), dedupe(shuffled));
    }

    #[test]
    fn nothing_is_lost_and_every_name_is_one_papers(papers in prop::collection::vec(some_record(), 0..10)) {
        let places: BTreeSet<Provenance> = papers.iter().flat_map(|paper| paper.provenance.clone()).collect();
        let records = papers.len();
        let done = dedupe(papers);
        prop_assert_eq!(done.papers.len() + done.merged, records);
        let kept: BTreeSet<Provenance> = done.papers.iter().flat_map(|paper| paper.provenance.clone()).collect();
        prop_assert_eq!(kept, places);
        let names: Vec<_> = done.papers.iter().flat_map(thematic::paper::Paper::ids).collect();
        let distinct: BTreeSet<_> = names.iter().collect();
        prop_assert_eq!(distinct.len(), names.len());
        prop_assert!(done.papers.is_sorted_by(|one, other| one.id < other.id));
    }

    #[test]
    fn judging_and_merging_are_symmetric(one in some_record(), other in some_record()) {
        prop_assert_eq!(judge(&one, &other), judge(&other, &one));
        prop_assert_eq!(judge(&one, &one), Verdict::Same);
        prop_assert_eq!(merge(one.clone(), &other), merge(other.clone(), &one));
    }

    #[test]
    fn a_second_pass_changes_nothing(papers in prop::collection::vec(some_record(), 0..10)) {
        let once = dedupe(papers);
        let twice = dedupe(once.papers.clone());
        prop_assert_eq!(twice.papers.len(), once.papers.len());
    }
}
