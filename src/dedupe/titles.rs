//! What two titles say about each other: the same, nearly, members of a series, or nothing.

use std::collections::BTreeSet;

use crate::paper::title_key;

/// How two titles relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Titles {
    /// One of them is missing.
    Missing,
    /// Equal but for case, accents, punctuation and spacing.
    Equal,
    /// Equal, but any number of papers may be called that.
    EqualRubric,
    /// Equal but for a slip of the pen or a cut.
    Close,
    /// Parts, years or versions of a series; or a paper and the notice about it.
    Siblings,
    /// Different.
    Different,
}

/// Titles of regular columns, written as by [`compact`]. Titles of one or two short words count as well.
const RUBRICS: &[&str] = &[
    "abstracts",
    "acknowledgements",
    "aboutthisissue",
    "announcements",
    "annualreport",
    "authorindex",
    "authorreply",
    "authorsreply",
    "bookreview",
    "bookreviews",
    "boardofeditors",
    "callforpapers",
    "casereport",
    "comment",
    "commentary",
    "concludingremarks",
    "conclusion",
    "contents",
    "correction",
    "correspondence",
    "corrigendum",
    "discussion",
    "editorial",
    "editorialboard",
    "editorsnote",
    "editorsintroduction",
    "editorschoice",
    "erratum",
    "foreword",
    "fromeditor",
    "fromeditors",
    "frontmatter",
    "guesteditorial",
    "guesteditorsintroduction",
    "inbrief",
    "inmemoriam",
    "inthisissue",
    "introduction",
    "introductiontospecialissue",
    "introductiontoissue",
    "invitedtalk",
    "issueinformation",
    "keynote",
    "lettertoeditor",
    "letterstoeditor",
    "listofreviewers",
    "masthead",
    "memorandum",
    "news",
    "newsviews",
    "newsinbrief",
    "noteofconcern",
    "notefromeditor",
    "notesfromeditor",
    "obituary",
    "openingremarks",
    "overview",
    "postscript",
    "preface",
    "prefacetospecialissue",
    "proceedings",
    "programcommittee",
    "publishersnote",
    "question",
    "reply",
    "replytocomment",
    "replytocomments",
    "replytocomments",
    "replytoreviewers",
    "response",
    "responsetocomments",
    "retraction",
    "review",
    "reviews",
    "specialissue",
    "specialissueeditorial",
    "subjectindex",
    "summary",
    "tableofcontents",
    "editorscomment",
    "titlepage",
    "untitled",
    "welcome",
    "welcomemessage",
    "workshopsummary",
];

/// Starts of a notice about another paper.
const NOTICES: &[&str] = &[
    "addendum",
    "author correction",
    "authors reply",
    "comment on",
    "comments on",
    "commentary on",
    "correction to",
    "correction",
    "corrections to",
    "corrigendum",
    "discussion of",
    "errata",
    "erratum",
    "expression of concern",
    "publisher correction",
    "rejoinder",
    "reply to",
    "reply",
    "response to comment",
    "response to the comment",
    "retracted",
    "retraction",
    "withdrawn",
];

const NUMBERS: &[&str] = &[
    "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "one", "two", "three", "four", "five",
    "six", "first", "second", "third", "fourth", "fifth", "1st", "2nd", "3rd", "4th", "5th",
];

/// The key of a title without spaces, articles and conjunctions, so that `data set` and `dataset`, `&` and `and` are one.
pub(super) fn compact(title: &str) -> String {
    compact_key(&title_key(title))
}

fn compact_key(key: &str) -> String {
    key.split(' ').filter(|word| !["and", "the"].contains(word)).collect()
}

/// Whether any number of papers may be called that.
pub(super) fn is_rubric(title: &str) -> bool {
    let key = title_key(title);
    let compact = compact_key(&key);
    let few_words = key.split(' ').count() <= 2 && compact.chars().count() < 16;
    RUBRICS.contains(&compact.as_str()) || (few_words && compact.is_ascii())
}

/// Compares two titles.
pub(super) fn compare(one: &str, other: &str) -> Titles {
    let (one_key, other_key) = (title_key(one), title_key(other));
    if one_key.is_empty() || other_key.is_empty() {
        return Titles::Missing;
    }
    let (one_compact, other_compact) = (compact_key(&one_key), compact_key(&other_key));
    if one_compact == other_compact {
        return if is_rubric(one) { Titles::EqualRubric } else { Titles::Equal };
    }
    if are_siblings(&one_key, &other_key) {
        Titles::Siblings
    } else if is_cut(one, &one_compact, &other_compact)
        || is_cut(other, &other_compact, &one_compact)
        || is_slip(&one_compact, &other_compact)
    {
        Titles::Close
    } else {
        Titles::Different
    }
}

fn are_siblings(one: &str, other: &str) -> bool {
    if is_notice(one) != is_notice(other) {
        return true;
    }
    let (one_numbers, one_words) = numbers_apart(one);
    let (other_numbers, other_words) = numbers_apart(other);
    let shared = one_words.iter().filter(|word| other_words.contains(word)).count();
    one_numbers != other_numbers && 5 * shared >= 4 * one_words.len().max(other_words.len())
}

fn is_notice(key: &str) -> bool {
    NOTICES.iter().any(|notice| key.strip_prefix(notice).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
}

/// Words that count, and the other words. A word with a digit in it counts too: GPT4 is not GPT3.
fn numbers_apart(key: &str) -> (Vec<&str>, Vec<&str>) {
    let words = key.split(' ').filter(|word| !["part", "chapter", "vol", "volume", "no"].contains(word));
    words.partition(|word| NUMBERS.contains(word) || word.contains(|c: char| c.is_ascii_digit()) || word.len() == 1)
}

/// Whether two titles use the same words differently. One word put in the place of another is a change of subject.
pub(super) fn is_reworded(one: &str, other: &str) -> bool {
    let (one, other) = (title_key(one), title_key(other));
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split(' ').collect(), other.split(' ').collect());
    let substituted = one.iter().zip(&other).filter(|(one, other)| one != other).count();
    if one.len() == other.len() && substituted < 3 {
        return false;
    }
    let (one, other) = (telling(&one), telling(&other));
    let shared = one.intersection(&other).count();
    shared >= 5 && 10 * shared >= 7 * one.len().max(other.len())
}

/// Whether two titles have telling words in common.
pub(super) fn are_related(one: &str, other: &str) -> bool {
    let (one, other) = (title_key(one), title_key(other));
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split(' ').collect(), other.split(' ').collect());
    let (one, other) = (telling(&one), telling(&other));
    let shared = one.intersection(&other).count();
    shared >= 2 && 2 * shared >= one.len().min(other.len())
}

/// The beginnings of the longer words, each once, so that `universal` and `universality` are one.
fn telling<'t>(words: &[&'t str]) -> BTreeSet<&'t str> {
    let stem = |word: &'t str| word.char_indices().nth(5).map_or(word, |(end, _)| &word[..end]);
    words.iter().filter(|word| word.len() > 3).map(|word| stem(word)).collect()
}

/// Whether `title` is the beginning of the other, cut off with dots.
fn is_cut(title: &str, compact: &str, other: &str) -> bool {
    let dotted = title.trim_end().ends_with(['…']) || title.trim_end().ends_with("...");
    dotted && compact.chars().count() >= 20 && other.starts_with(compact)
}

/// Whether a letter or two were typed differently. A changed digit is no slip.
fn is_slip(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let digits = |text: &[char]| text.iter().copied().filter(char::is_ascii_digit).collect::<String>();
    let allowed = (one.len().min(other.len()) / 14).min(2);
    allowed > 0
        && one.len().abs_diff(other.len()) <= allowed
        && digits(&one) == digits(&other)
        && distance_within(&one, &other, allowed)
}

/// Levenshtein's distance, computed only along the diagonal band that matters.
fn distance_within(one: &[char], other: &[char], limit: usize) -> bool {
    let far = limit + 1;
    let mut before: Vec<usize> = (0..=other.len()).map(|at| at.min(far)).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut current = vec![far; other.len() + 1];
        current[0] = (row + 1).min(far);
        let band = (row + 1).saturating_sub(limit).max(1)..=(row + 1 + limit).min(other.len());
        for at in band {
            let changed = before[at - 1] + usize::from(other[at - 1] != *letter);
            current[at] = changed.min(before[at] + 1).min(current[at - 1] + 1).min(far);
        }
        before = current;
    }
    before[other.len()] <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: &str, other: &str, expected: Titles) {
        assert_eq!(compare(one, other), expected, "{one} | {other}");
        assert_eq!(compare(other, one), expected, "{other} | {one}");
    }

    #[test]
    fn words_in_another_order_are_a_rewording() {
        let title = "How rivers carry fine sediment through narrow valleys";
        assert!(is_reworded(title, "Through narrow valleys: rivers that carry fine sediments"));
        assert!(!is_reworded(title, "How rivers carry fine sediment through narrow cities"));
        assert!(!is_reworded(title, "How glaciers carve wide valleys"));
    }

    #[test]
    fn titles_are_told_apart() {
        check("Data-Set Growth in Fields", "Dataset growth in fields.", Titles::Equal);
        check("Editorial", "EDITORIAL.", Titles::EqualRubric);
        check("Langauge models of soil moisture", "Language models of soil moisture", Titles::Close);
        check("A long title about rivers and ...", "A long title about rivers and lakes", Titles::Close);
        check("On waves, part I: theory", "On waves, Part II: theory", Titles::Siblings);
        check("Overview of the 2019 task", "Overview of the 2020 task", Titles::Siblings);
        check("Correction to: On waves", "On waves", Titles::Siblings);
        check("Rivers and lakes of the north", "A theory of everything else", Titles::Different);
        check("", "A title", Titles::Missing);
    }
}
