//! Labels of themes: terms that read well and say what a theme is about, representatives, hierarchy and trend.

use std::collections::BTreeMap;

use proptest::prelude::*;
use thematic::label::{Direction, Label, Labels, hierarchy, representatives, trend};
use thematic::terms::{ThemeTerms, shared};
use thematic::vectors::Vectors;

/// Papers of three small fields, written for this test: theme, title, abstract.
const PAPERS: [(usize, &str, &str); 12] = [
    (
        0,
        "Wild Bees in Apple Orchards",
        "We count wild bees on apple flowers. Wild bees set more fruit than honey bees.",
    ),
    (0, "Hedges and Wild Bees", "Orchards with hedges attract wild bees; honey bees do not care about hedges."),
    (
        0,
        "Pesticides and Pollinators",
        "Pesticide residues harm honey bees and wild bees in orchards of apple and pear.",
    ),
    (
        0,
        "Nesting Sites of Wild Bees",
        "We show that wild bees nest in hedges near orchards. The results show a clear effect.",
    ),
    (
        1,
        "Pruning Language Models",
        "Large language models (LLMs) are pruned; LLMs keep their accuracy after fine-tuning.",
    ),
    (
        1,
        "Fine Tuning with Few Examples",
        "Fine-tuning of large language models needs few examples. We propose a method for LLMs.",
    ),
    (1, "Do LLMs reason?", "We test whether large language models reason about numbers, before and after fine-tuning."),
    (1, "Cheap Adapters", "Adapters make finetuning of large language models cheap, and LLMs remain accurate."),
    (
        2,
        "River Sediment Transport",
        "Sediment transport in rivers depends on $\\alpha$ slopes; floods move coarse sediment.",
    ),
    (2, "Floods and Sediment", "Floods carry river sediment downstream. Sediment transport is measured with tracers."),
    (2, "Dating River Terraces", "River terraces are dated by luminescence; sediment transport explains their age."),
    (2, "Tracers in Rivers", "We follow tracers through rivers in flood to measure sediment transport."),
];

fn labelled(papers: &[(usize, &str, &str)], n_themes: usize) -> Vec<Label> {
    let mut labels = Labels::new(n_themes);
    for (theme, title, text) in papers {
        labels.add(*theme, title, text);
    }
    labels.finish()
}

#[test]
fn names_say_what_a_theme_is_about() {
    let labels = labelled(&PAPERS, 3);
    for (label, expected) in labels.iter().zip([
        ["wild bees", "orchards"],
        ["language models", "fine-tuning"],
        ["sediment transport", "flood"],
    ]) {
        for term in expected {
            assert!(label.name.contains(term), "no `{term}` in `{}`", label.name);
        }
        let terms = label.name.split(", ").count();
        assert!((3..=5).contains(&terms), "{}", label.name);
        assert!((label.terms[0].weight - 1.0).abs() < 1e-6);
        assert!(label.terms.is_sorted_by(|one, other| one.weight >= other.weight));
    }
}

#[test]
fn terms_hold_no_stop_words_markup_or_numbers() {
    let noise = "We propose a novel method and show that the results of the paper are state of the art. \\alpha 2020 \
        https://example.org/x 95% of the_of_in cases. All rights reserved by Elsevier Ltd.";
    let mut terms = ThemeTerms::new(1);
    for number in 0..6 {
        terms.add(0, "Beetle diversity in old forests", &format!("{noise} Beetle diversity {number} is high."));
    }
    let found: Vec<String> = terms.finish(10).remove(0).into_iter().map(|term| term.text).collect();
    assert_eq!(found[0], "beetle diversity");
    for term in &found {
        let clean = term.chars().all(|c| c.is_alphabetic() || c == ' ' || c == '-');
        assert!(clean && !["elsevier", "method", "results", "of"].contains(&term.as_str()), "{term}");
    }
}

#[test]
fn abstracts_in_other_languages_yield_no_function_words() {
    let mut terms = ThemeTerms::new(1);
    for _ in 0..3 {
        terms.add(
            0,
            "Die Wälder der Alpen",
            "Wir untersuchen, wie sich die Wälder mit dem Klima und über die Zeit ändern.",
        );
        terms.add(
            0,
            "Les forêts des Alpes",
            "Nous étudions comment les forêts et leurs sols sont dans une période de sécheresse.",
        );
        terms.add(
            0,
            "Los bosques de los Andes",
            "Se estudia cómo los bosques y sus suelos cambian con el clima de la región.",
        );
    }
    for term in terms.finish(10).remove(0) {
        for word in term.text.split(' ') {
            assert!(
                !["die", "der", "mit", "les", "et", "des", "los", "el", "y", "nous"].contains(&word),
                "{}",
                term.text
            );
        }
    }
}

#[test]
fn one_theme_and_one_paper_have_names_too() {
    let all: Vec<(usize, &str, &str)> = PAPERS[..4].iter().map(|(_, title, text)| (0, *title, *text)).collect();
    assert!(labelled(&all, 1)[0].name.starts_with("wild bees"), "{}", labelled(&all, 1)[0].name);
    let single = labelled(&[(0, PAPERS[8].1, PAPERS[8].2)], 1);
    assert!(single[0].name.contains("sediment"), "{}", single[0].name);
    let untold = labelled(&[(0, "数の性質", "")], 2);
    assert_eq!((untold[0].name.as_str(), untold[1].name.as_str()), ("数の性質", ""));
}

#[test]
fn the_order_of_papers_within_a_run_does_not_matter() {
    let mut reversed = PAPERS;
    reversed.reverse();
    assert_eq!(labelled(&PAPERS, 3), labelled(&reversed, 3));
}

#[test]
fn a_reason_names_what_two_papers_share() {
    let text = |at: usize| format!("{}. {}", PAPERS[at].1, PAPERS[at].2);
    assert_eq!(shared(&text(0), &text(1), 1), ["wild bees"]);
    let terms = shared(&text(8), &text(9), 3);
    assert!(terms.contains(&"sediment transport".to_owned()), "{terms:?}");
    assert!(shared(&text(0), &text(8), 3).is_empty());
    assert!(shared("We propose a method.", "We propose a method.", 3).is_empty());
}

#[test]
fn representatives_begin_with_the_nearest_and_differ() {
    let rows = vec![0.0, 1.0, 0.0, 0.95, 0.31, 0.0, 0.94, 0.34, 0.0, 0.9, 0.0, 0.43];
    let vectors = Vectors::normalised(3, rows).expect("rows with a direction");
    let centroid = [1.0, 0.0, 0.0];
    // Row 2 is nearer than row 3 and says the same as row 1.
    assert_eq!(representatives(&vectors, &[0, 1, 2, 3], &centroid, 2), [1, 3]);
    assert_eq!(representatives(&vectors, &[2], &centroid, 3), [2]);
    assert_eq!(representatives(&vectors, &[], &centroid, 3), Vec::<usize>::new());
}

#[test]
fn near_themes_are_joined_first() {
    let rows = vec![1.0, 0.0, 0.9, 0.1, 0.0, 1.0];
    let merges = hierarchy(&Vectors::normalised(2, rows).expect("rows with a direction"), &[5, 3, 2]);
    assert_eq!(merges.len(), 2);
    assert_eq!((merges[0].children, merges[0].papers, merges[0].parent), ([0, 1], 8, Some(4)));
    assert_eq!((merges[1].children, merges[1].papers, merges[1].parent), ([2, 3], 10, None));
    assert!(hierarchy(&Vectors::empty(2), &[]).is_empty());
}

#[test]
fn trends_need_evidence() {
    let of = |counts: &[(u16, usize)]| trend(&counts.iter().copied().collect::<BTreeMap<u16, usize>>());
    let direction = |counts: &[(u16, usize)]| of(counts).map(|trend| trend.direction);
    assert_eq!(direction(&[(2018, 1), (2019, 2), (2020, 5), (2021, 9)]), Some(Direction::Rising));
    assert_eq!(direction(&[(2018, 9), (2019, 5), (2020, 2), (2021, 1)]), Some(Direction::Falling));
    assert_eq!(direction(&[(2018, 5), (2019, 4), (2020, 5), (2021, 5)]), Some(Direction::Steady));
    assert_eq!(direction(&[(1971, 1), (2018, 10), (2019, 9), (2020, 10), (2021, 9)]), Some(Direction::Steady));
    assert_eq!(direction(&[(2020, 40)]), None);
    assert_eq!(direction(&[]), None);
    let shown = of(&[(2018, 1), (2019, 2), (2020, 5), (2021, 9)]).expect("a trend").to_string();
    assert_eq!(shown, "rising 2018–2021");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_text_can_be_labelled(texts in prop::collection::vec((0usize..3, any::<String>(), any::<String>()), 0..6)) {
        let mut labels = Labels::new(3);
        for (theme, title, text) in &texts {
            labels.add(*theme, title, text);
        }
        prop_assert_eq!(labels.finish().len(), 3);
    }

    #[test]
    fn any_two_texts_can_be_compared(one in any::<String>(), other in any::<String>()) {
        prop_assert_eq!(shared(&one, &other, 4), shared(&one, &other, 4));
        prop_assert!(shared(&one, &other, 4).len() <= 4);
    }
}
