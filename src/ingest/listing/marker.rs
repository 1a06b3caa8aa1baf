//! The words that a page puts where it cuts an abstract short: `w… (see more)ith` is `with`.
//!
//! The cut falls anywhere, so a marker is taken out exactly: what stands before and after it, spaces included, is
//! the page's own text.

use std::sync::LazyLock;

use regex::Regex;

/// What the link says, in the languages such pages are written in.
const MORE: &str = include_str!("phrases/more.txt");
/// What it says once the rest is shown.
const LESS: &str = include_str!("phrases/less.txt");
const ELLIPSIS: &str = r"(?:\[…\]|\[\.\.\.\]|…|\.\.\.)";

static CUT: LazyLock<Regex> = LazyLock::new(|| {
    let more = any_of(MORE);
    let (round, square) = (format!(r"\(\s*{more}\s*\)"), format!(r"\[\s*{more}\s*\]"));
    // One word is too common to be a marker outside brackets.
    let short = r"\(\s*(?:more|plus)\s*\)|\[\s*(?:more|plus)\s*\]";
    compiled(&format!(r"(?i){ELLIPSIS}\s*(?:{round}|{square}|{short}|{more})|{round}|{square}"))
});
static FOLD: LazyLock<Regex> = LazyLock::new(|| {
    let less = any_of(LESS);
    compiled(&format!(r"(?i)\s*(?:\(\s*{less}\s*\)|\[\s*{less}\s*\]|\b{less})\s*$"))
});

/// A line without its markers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unmarked {
    /// The text, rejoined where it was cut.
    pub(super) text: String,
    /// How many characters stand before the first marker; `None` where there is no marker.
    pub(super) cut: Option<usize>,
}

/// Takes the markers out. At the end of a line nothing is left to rejoin, and the ellipsis stays to say so.
pub(super) fn unmark(line: &str) -> Unmarked {
    let line = FOLD.replace(line, "");
    let mut text = String::with_capacity(line.len());
    let mut after = 0;
    let mut cut = None;
    for found in CUT.find_iter(&line) {
        text.push_str(&line[after..found.start()]);
        cut = cut.or_else(|| Some(text.chars().count()));
        after = found.end();
    }
    let rest = &line[after..];
    if cut.is_some() && rest.trim().is_empty() {
        text.truncate(text.trim_end().len());
        text.push('…');
    } else {
        text.push_str(rest);
    }
    Unmarked { text, cut }
}

/// Whether the whole text is a marker, as the caption of a link is.
pub(super) fn is_marker(text: &str) -> bool {
    static ALONE: LazyLock<Regex> = LazyLock::new(|| {
        let (more, less) = (any_of(MORE), any_of(LESS));
        compiled(&format!(r"(?i)^\s*{ELLIPSIS}?\s*[(\[]?\s*(?:{more}|{less}|more)\s*[)\]]?\s*$"))
    });
    ALONE.is_match(text)
}

/// A pattern for any of these phrases, with any white space between their words.
fn any_of(phrases: &str) -> String {
    let patterns: Vec<String> = phrases.lines().map(|phrase| phrase.replace(' ', r"\s+")).collect();
    format!("(?:{})", patterns.join("|"))
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, text: &str, cut: Option<usize>) {
        assert_eq!(unmark(line), Unmarked { text: text.into(), cut });
    }

    #[test]
    fn a_cut_is_rejoined_exactly() {
        check("a robot w… (see more)ith arms", "a robot with arms", Some(9));
        check("it walks. Yet… (see more), it falls", "it walks. Yet, it falls", Some(13));
        check("the sum… (see more) of parts", "the sum of parts", Some(7));
        check("able to … (see more)fly", "able to fly", Some(8));
        check("a rob... (Read more)ot", "a robot", Some(5));
        check("un rob… (voir plus)ot", "un robot", Some(6));
        check("a rob… Show moreot walks (show less)", "a robot walks", Some(5));
        check("a rob[…] [more]ot", "a robot", Some(5));
        check("a rob(see more)ot", "a robot", Some(5));
    }

    #[test]
    fn at_the_end_the_ellipsis_stays() {
        check("a robot that… (see more)", "a robot that…", Some(12));
        check("a robot that… Read more", "a robot that…", Some(12));
    }

    #[test]
    fn ordinary_words_stay() {
        for line in ["we read more books", "and so on… more or less", "(see more in section 3)", "as you see more", ""]
        {
            check(line, line, None);
        }
    }

    #[test]
    fn a_caption_is_a_marker() {
        for caption in ["(see more)", "… (see more)", "Show more", "(voir plus)", "See less"] {
            assert!(is_marker(caption), "{caption}");
        }
        assert!(!is_marker("see more robots"));
    }

    proptest::proptest! {
        #[test]
        fn any_cut_is_rejoined(
            before in "[a-zé ,.$(]{0,30}[a-z,]",
            after in "[a-zé ,.)]{0,30}[a-z]",
            marker in 0..4usize,
        ) {
            let marker = ["… (see more)", "... [Show more]", "… (voir plus)", "(read more)"][marker];
            proptest::prop_assert_eq!(unmark(&format!("{before}{marker}{after}")).text, format!("{before}{after}"));
        }
    }
}
