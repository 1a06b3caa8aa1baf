//! What a line of a page is by its look: running text, a heading, navigation, or none of these.
//!
//! Knows single lines only; what a line is for is decided by its neighbours, in `profile` and `aggregator`.

use std::sync::LazyLock;

use regex::Regex;

/// So many words are running text whatever they end in; the longest titles have about thirty.
const SURELY_TEXT: usize = 40;

/// Headings of the parts of a page that hold something other than papers.
const OTHER_PARTS: &str = include_str!("phrases/other_parts.txt");
/// Lines that are there to be clicked.
const CLICKED: &str = include_str!("phrases/clicked.txt");
/// What a site says of itself and an abstract does not.
const SITE_TALK: &str = include_str!("phrases/site_talk.txt");
/// What an abstract says and a site hardly does.
const RESEARCH: &str = include_str!("phrases/research.txt");
/// How a paragraph begins that goes on from another.
const GOING_ON: &str = include_str!("phrases/going_on.txt");

/// Whether the line reads as sentences rather than as a title, a name or a caption.
pub(super) fn is_paragraph(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let small = words.iter().skip(1).filter(|word| word.starts_with(char::is_lowercase)).count();
    let mostly_small = small * 2 >= words.len();
    let unspaced_sentence = line.contains('。') && line.chars().count() >= 40;
    words.len() >= SURELY_TEXT
        || unspaced_sentence
        || words.len() >= 8 && mostly_small && ends_sentence(line)
        || words.len() >= 15 && mostly_small && holds_sentence_end(line)
        || words.len() >= 25 && mostly_small && finite_verbs(&words) >= 2
}

/// Whether it says what only a site says of itself.
pub(super) fn is_site_talk(text: &str) -> bool {
    let text = text.to_lowercase();
    let says = |phrases: &str| phrases.lines().filter(|phrase| has_phrase(&text, phrase)).count();
    says(SITE_TALK) > 0 && says(RESEARCH) < 3
}

/// Whether it uses the words of an abstract.
pub(super) fn is_research(text: &str) -> bool {
    let text = text.to_lowercase();
    RESEARCH.lines().any(|phrase| has_phrase(&text, phrase))
}

/// Whether it begins as a paragraph does that goes on from the one before.
pub(super) fn goes_on(text: &str) -> bool {
    let text = text.trim_start().to_lowercase();
    text.starts_with(|c: char| "-–•*(".contains(c))
        || GOING_ON.lines().any(|start| text.strip_prefix(start).is_some_and(|rest| !begins_with_letter(rest)))
}

/// Whether words in small letters hold a phrase as whole words; a stem ends in a hyphen and may go on.
fn has_phrase(text: &str, phrase: &str) -> bool {
    let (phrase, is_stem) = phrase.strip_suffix('-').map_or((phrase, false), |stem| (stem, true));
    text.match_indices(phrase).any(|(at, _)| {
        let begins = !text[..at].ends_with(char::is_alphanumeric);
        begins && (is_stem || !begins_with_letter(&text[at + phrase.len()..]))
    })
}

fn begins_with_letter(text: &str) -> bool {
    text.starts_with(char::is_alphanumeric)
}

/// A line that is there to be clicked, a count, or a page number.
pub(super) fn is_navigation(line: &str) -> bool {
    static COUNT: LazyLock<Regex> = LazyLock::new(|| {
        compiled(
            r"(?xi)^(?: [\d\s.,|/<>«»‹›…←→-]+
            | (?:page|showing|results?|viewing|displaying)\s [\d\s–-]+ (?:(?:of|to|/)\s*[\d,]+\s*)*
              (?:results?|papers?|publications?|entries)?
            | (?:©|\(c\)\s(?:19|20)\d\d).*
            | \d+\s(?:results?|papers?|publications?|entries) )$",
        )
    });
    let words = line.trim_matches(|c: char| !(c.is_alphanumeric() || "©()".contains(c))).to_lowercase();
    words.is_empty()
        || CLICKED.lines().any(|phrase| phrase == words)
        || super::marker::is_marker(line)
        || COUNT.is_match(line.trim())
}

/// The heading of a part that lists papers: `Publications`, `Selected papers (12)`, `Publications récentes`.
pub(super) fn opens_publications(line: &str) -> bool {
    static HEADING: LazyLock<Regex> = LazyLock::new(|| {
        compiled(
            r"(?xi)^\#*\s*
            (?: (?:list|selection)\sof\s | (?:selected|recent|latest|all|my|our|the|newest|new|key|main|featured|full
              |journal|conference|workshop|research|scientific|academic|working|peer-reviewed|refereed)\s+ ){0,3}
            (?:publications|papers|preprints|publikationen|veröffentlichungen|publicaciones|pubblicazioni|publicações)
            (?:\s+(?:récentes|sélectionnées|scientifiques|list))? \s*(?:\(\s*\d+\s*\))?\s*:?$",
        )
    });
    HEADING.is_match(line.trim())
}

/// The heading of a part that lists something other than papers.
pub(super) fn opens_other_part(line: &str) -> bool {
    let heading = line.trim().trim_start_matches('#').trim_matches([':', ' ']).to_lowercase();
    OTHER_PARTS.lines().any(|part| part == heading)
}

/// A line without the bullet or number in front of it.
pub(super) fn without_bullet(line: &str) -> &str {
    static BULLET: LazyLock<Regex> =
        LazyLock::new(|| compiled(r"^\s*(?:[-*•▪◦‣–]\s+|\[\d{1,4}\]\s+|\d{1,3}[.)]\s+|#{1,6}\s+)"));
    line[BULLET.find(line).map_or(0, |found| found.end())..].trim()
}

/// Whether a line ends as sentences do; titles may end in other marks. `et al.` ends a list of authors.
pub(super) fn ends_sentence(line: &str) -> bool {
    !line.ends_with("et al.")
        && line.trim_end_matches(['"', '\'', '”', '’', ')', ']', '}', '$']).ends_with(['.', '。', ';', ':'])
}

/// A full stop after a word, before a capital, somewhere inside.
fn holds_sentence_end(line: &str) -> bool {
    static END: LazyLock<Regex> = LazyLock::new(|| compiled(r"\p{Ll}{3}[\])]?\. \p{Lu}"));
    END.is_match(line)
}

fn finite_verbs(words: &[&str]) -> usize {
    let verbs = ["is", "are", "was", "were", "has", "have", "can", "may", "we", "that", "which", "it"];
    words.iter().filter(|word| verbs.contains(word)).count()
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_text_and_titles_are_not() {
        for text in [
            "We teach robots to knit, and show that they like it.",
            "Code for all of our experiments is available at example.org (see there).",
        ] {
            assert!(is_paragraph(text), "{text}");
        }
        for text in [
            "Teaching Robots to Knit: A Study of Wool, Needles and Patience in Thirty Laboratories",
            "Can robots that knit also learn how to purl when nobody is there to teach them?",
            "Ada Lovelace",
            "",
            "Learning to knit.",
        ] {
            assert!(!is_paragraph(text), "{text}");
        }
    }

    #[test]
    fn headings_are_told_by_their_words() {
        for line in [
            "Publications",
            "PUBLICATIONS (12)",
            "Selected Publications:",
            "Recent journal papers",
            "## Papers",
            "Publications récentes",
        ] {
            assert!(opens_publications(line), "{line}");
        }
        for line in ["Publications of the year 1984 in robotics", "Papers please", "Call for papers", "Articles"] {
            assert!(!opens_publications(line), "{line}");
        }
        assert!(
            opens_other_part("Current Students") && opens_other_part("Contact:") && !opens_other_part("Contact maps")
        );
    }

    #[test]
    fn navigation_is_told_from_titles() {
        for line in [
            "Show more",
            "Load more »",
            "1 2 3 … 12",
            "Page 2 of 9",
            "Showing 1-10 of 57 results",
            "© 2024 An Institute",
            "→",
            "PDF",
            "(voir plus)",
            "12 papers",
        ] {
            assert!(is_navigation(line), "{line}");
        }
        for line in ["Search", "More"] {
            assert!(is_navigation(line), "{line}");
        }
        for line in ["Neural Architecture Search", "Page curl effects", "1984 revisited", "3D robots"] {
            assert!(!is_navigation(line), "{line}");
        }
    }

    #[test]
    fn what_a_site_says_of_itself_is_no_abstract() {
        assert!(is_site_talk("We use cookies to improve your experience on our website."));
        assert!(!is_site_talk(
            "We study cookie banners: our method shows that novel data are measured on this website."
        ));
        assert!(is_research("This study observes robots") && !is_research("Benefit from the support of a partner"));
    }

    #[test]
    fn bullets_are_taken_off() {
        for line in ["- Knitting", "• Knitting", "12. Knitting", "[3] Knitting", "### Knitting", "Knitting"] {
            assert_eq!(without_bullet(line), "Knitting");
        }
        assert_eq!(without_bullet("3D knitting"), "3D knitting");
    }
}
