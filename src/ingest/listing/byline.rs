//! Title and authors that run together on one line: `Robots That KnitAda Lovelace, Alan Turing et al. · oxford`.
//!
//! Every place where the authors could begin is scored, by how much the authors look like names and the title like a
//! whole one, and the best one wins. Knows a line and the words of its page, nothing of records.

use crate::ingest::listing::names;
use crate::ingest::listing::vocabulary::Vocabulary;

/// Authors further from the end than this are not looked for: a line of a megabyte costs no more than a short one.
const REACH: usize = 2000;
/// A division scores at least this, or the line is no byline. A title that ends in a word of the page (6) before one
/// plain name (8) passes; two capitals inside a word (`DeepMind Lab`) do not.
const ENOUGH: i32 = 6;
/// The same where a byline is expected: a name of ordinary words passes.
const ENOUGH_IN_PLACE: i32 = 0;
/// The same where the line says in another way that it ends in authors.
const ENOUGH_IF_SURE: i32 = -10;

/// Title, authors and affiliations of one paper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Byline {
    pub(super) title: String,
    pub(super) authors: Vec<String>,
    pub(super) affiliations: Vec<String>,
    /// Whether the list says that there are more authors.
    pub(super) et_al: bool,
}

/// What is known of a line before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It stands where title and authors do.
    OfByline,
    Anywhere,
}

/// Reads a title with its authors; `None` where no place on the line divides the two.
pub(super) fn read(line: &str, place: Place, vocabulary: &Vocabulary<'_>) -> Option<Byline> {
    endings(line).find_map(|ending| {
        let enough = match (ending.is_sure(), place) {
            (true, _) => ENOUGH_IF_SURE,
            (false, Place::OfByline) => ENOUGH_IN_PLACE,
            (false, Place::Anywhere) => ENOUGH,
        };
        let split = best_split(ending.names, vocabulary).filter(|(score, _)| *score >= enough)?.1;
        let authors = names::pieces(&ending.names[split..]);
        Some(ending.byline(&ending.names[..split], &authors))
    })
}

/// Reads a line of authors without a title.
pub(super) fn authors_only(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Byline> {
    endings(line).find_map(|ending| {
        let authors = names::all_names(ending.names, vocabulary)?;
        let authors: Vec<&str> = authors.iter().map(String::as_str).collect();
        Some(ending.byline("", &authors))
    })
}

/// The names that stand clear of the title at the end of a line: all of its list but the first.
pub(super) fn clear_names<'t>(line: &'t str, vocabulary: &Vocabulary<'_>) -> Vec<&'t str> {
    let Some(ending) = endings(line).find(Ending::is_sure) else { return Vec::new() };
    let pieces = names::pieces(within_reach(ending.names));
    let is_name = |piece: &&&str| names::score(piece, vocabulary).is_some_and(|score| score >= names::NAME);
    pieces.iter().skip(1).rev().take_while(is_name).copied().collect()
}

/// What follows the names of a line, taken off.
struct Ending<'t> {
    names: &'t str,
    affiliations: Vec<&'t str>,
    et_al: bool,
}

impl Ending<'_> {
    /// Whether it can only follow authors.
    fn is_sure(&self) -> bool {
        self.et_al || !self.affiliations.is_empty()
    }

    fn byline(&self, title: &str, authors: &[&str]) -> Byline {
        Byline {
            title: title.trim().to_owned(),
            authors: authors.iter().map(|author| (*author).to_owned()).collect(),
            affiliations: self.affiliations.iter().map(|name| (*name).to_owned()).collect(),
            et_al: self.et_al,
        }
    }
}

/// The ways to end a line: with affiliations after the last raised point, and without.
fn endings(line: &str) -> impl Iterator<Item = Ending<'_>> {
    let line = line.trim();
    let with = [" · ", " • ", "\t· "].iter().find_map(|mark| line.rsplit_once(mark)).and_then(|(front, back)| {
        let affiliations: Vec<&str> = back.split([',', ';']).map(str::trim).filter(|name| !name.is_empty()).collect();
        let plausible = !affiliations.is_empty() && !names::without_others(back).1;
        plausible.then(|| ending(front, affiliations))
    });
    with.into_iter().chain(std::iter::once(ending(line, Vec::new())))
}

fn ending<'t>(text: &'t str, affiliations: Vec<&'t str>) -> Ending<'t> {
    let (names, et_al) = names::without_others(text);
    Ending { names, affiliations, et_al }
}

fn within_reach(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(REACH))..]
}

/// The best score, and where the authors begin, in bytes.
fn best_split(text: &str, vocabulary: &Vocabulary<'_>) -> Option<(i32, usize)> {
    let offset = text.len() - within_reach(text).len();
    let mut best: Option<(i32, usize)> = None;
    let mut later = 0;
    for (start, end) in piece_ranges(within_reach(text)).into_iter().rev() {
        let (start, end) = (start + offset, end + offset);
        for (at, score) in joins(text, start, end, vocabulary) {
            let total = score + later;
            if best.is_none_or(|(most, _)| total > most) {
                best = Some((total, at));
            }
        }
        match names::score(text[start..end].trim(), vocabulary) {
            Some(score) if score >= names::PERHAPS => later += score.min(8),
            _ => break,
        }
    }
    best
}

/// The pieces of a list, as `names::pieces` makes them but with their places.
fn piece_ranges(text: &str) -> Vec<(usize, usize)> {
    let mut starts = vec![0];
    for mark in [",", ";", " and ", " & ", "\t"] {
        starts.extend(text.match_indices(mark).map(|(at, mark)| at + mark.len()));
    }
    starts.sort_unstable();
    let ends = starts.iter().skip(1).copied().chain(std::iter::once(text.len()));
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| (*start, *start + trimmed_length(&text[*start..end])))
        .filter(|(start, end)| start < end)
        .collect()
}

/// The length of a piece without the mark that ends it.
fn trimmed_length(piece: &str) -> usize {
    let piece = piece.trim_end_matches([',', ';', '\t', ' ']);
    piece.strip_suffix(" and").or_else(|| piece.strip_suffix(" &")).unwrap_or(piece).len()
}

/// The places inside one piece where a name may follow a title without a space, with their scores.
fn joins<'t>(
    text: &'t str,
    start: usize,
    end: usize,
    vocabulary: &'t Vocabulary<'_>,
) -> impl Iterator<Item = (usize, i32)> + 't {
    text[start..end].char_indices().filter_map(move |(at, letter)| {
        let at = start + at;
        let name = text[at..end].trim_end();
        let before = text[..at].chars().next_back()?;
        let may_begin = letter.is_uppercase() || letter.is_alphabetic() && vocabulary.is_name(name);
        if before.is_whitespace() || !may_begin {
            return None;
        }
        let name_score = names::score(name, vocabulary)?;
        Some((at, name_score + title_score(&text[..at], vocabulary) - torn_cost(text, at, vocabulary)))
    })
}

/// How much a text looks like a whole title.
fn title_score(title: &str, vocabulary: &Vocabulary<'_>) -> i32 {
    let last = title.split_whitespace().next_back().unwrap_or_default();
    let word = last.trim_matches(|c: char| !c.is_alphanumeric());
    let ending = match title.chars().next_back() {
        Some('?' | '!' | ')') => 4,
        Some(c) if closes_quotation(c, title) => 4,
        Some(c) if "-‐–—'’‘“\"([{/&:,;`".contains(c) => -20,
        Some('.') => -6,
        _ => 0,
    };
    let word_score = if UNFINISHED.contains(&word) {
        -10
    } else if word.len() > 1 && vocabulary.has_word(word) {
        6
    } else if names::is_joined_beginning(word) {
        -8
    } else {
        match names::before_inner_capital(word) {
            Some(start) if vocabulary.has_word(start) => -8,
            Some(_) => -3,
            None => 0,
        }
    };
    let open = title.matches('(').count() > title.matches(')').count();
    ending + word_score - if open { 10 } else { 0 }
}

/// Words that no title ends in.
const UNFINISHED: [&str; 16] =
    ["a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "via", "with"];

/// What it costs to tear a word apart that the page uses as a whole: `DeepMind` is not `Deep` and `Mind`.
fn torn_cost(text: &str, at: usize, vocabulary: &Vocabulary<'_>) -> i32 {
    let is_edge = |c: char| !(c.is_alphanumeric() || c == '-');
    let start =
        text[..at].rfind(is_edge).map_or(0, |edge| edge + text[edge..].chars().next().map_or(1, char::len_utf8));
    let end = text[at..].find(is_edge).map_or(text.len(), |edge| at + edge);
    if start < at && vocabulary.has_exactly(&text[start..end]) { 20 } else { 0 }
}

/// Whether a title's last mark ends a quotation that it began, rather than standing for a letter.
fn closes_quotation(mark: char, title: &str) -> bool {
    let opened_by_space = |mark: char| title.starts_with(mark) || title.contains(&format!(" {mark}"));
    let after_word = !title.trim_end_matches(mark).ends_with(char::is_whitespace);
    after_word
        && match mark {
            '"' => title.matches('"').count().is_multiple_of(2),
            '”' => title.contains('“'),
            '’' => title.contains('‘'),
            '\'' => opened_by_space('\'') || opened_by_space('`'),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: [&str; 2] = [
        "We ask whether robots knit. RLHF and LLMs help, and so does the GAN of DeepMind Lab and LoRA and GPT-4o in NLP.",
        "The sciences of control systems need learning at scale, policies, and self-distillation for worth",
    ];

    fn shown(line: &str) -> String {
        let vocabulary = Vocabulary::from_lines(PAGE).with_names(["danah boyd", "Grace Hopper"]);
        let Some(found) = read(line, Place::Anywhere, &vocabulary) else { return String::new() };
        let others = if found.et_al { "+" } else { "" };
        format!("{} / {}{others} / {}", found.title, found.authors.join("|"), found.affiliations.join("|"))
    }

    #[test]
    fn ordinary_bylines_are_divided() {
        assert_eq!(
            shown("Robots That KnitAda Lovelace, Alan Turing, Grace Hopper et al. · oxford, mit"),
            "Robots That Knit / Ada Lovelace|Alan Turing|Grace Hopper+ / oxford|mit"
        );
        assert_eq!(shown("Robots that knitAda Lovelace"), "Robots that knit / Ada Lovelace / ");
        assert_eq!(
            shown("Do Robots Knit?Ada Lovelace and Alan Turing"),
            "Do Robots Knit? / Ada Lovelace|Alan Turing / "
        );
        assert_eq!(shown("Knitting (Again)Ada Lovelace et al."), "Knitting (Again) / Ada Lovelace+ / ");
        assert_eq!(shown("Knitting in 2020Ada Lovelace · eth"), "Knitting in 2020 / Ada Lovelace / eth");
    }

    #[test]
    fn capitals_before_a_name_stay_with_the_title() {
        assert_eq!(shown("Knitting with LLMsBerit Ås, Bo Ek"), "Knitting with LLMs / Berit Ås|Bo Ek / ");
        assert_eq!(shown("Knitting by GANIan Good, Bo Ek"), "Knitting by GAN / Ian Good|Bo Ek / ");
        assert_eq!(shown("Advances in RLHFJ. Smith, Bo Ek"), "Advances in RLHF / J. Smith|Bo Ek / ");
        assert_eq!(shown("The SciencesA. B. Moss"), "The Sciences / A. B. Moss / ");
        assert_eq!(shown("Knitting with ResNetKai He, Bo Ek"), "Knitting with ResNet / Kai He|Bo Ek / ");
        assert_eq!(shown("Knitting with GPT-4oJane Doe"), "Knitting with GPT-4o / Jane Doe / ");
        assert_eq!(shown("On Vitamin AAda Lovelace"), "On Vitamin A / Ada Lovelace / ");
        assert_eq!(shown("Wool at 80 GeVÖrs Ek, Bo Ek"), "Wool at 80 GeV / Örs Ek|Bo Ek / ");
        assert_eq!(shown("\"Tea\" and 'Wool'Ada Lovelace"), "\"Tea\" and 'Wool' / Ada Lovelace / ");
    }

    #[test]
    fn names_keep_their_parts() {
        assert_eq!(shown("Control SystemsDeShawn Brown"), "Control Systems / DeShawn Brown / ");
        assert_eq!(shown("Control SystemsSeungHyun Kim, Bo Ek"), "Control Systems / SeungHyun Kim|Bo Ek / ");
        assert_eq!(shown("Knitting PoliciesAoife O'Neill"), "Knitting Policies / Aoife O'Neill / ");
        assert_eq!(shown("Learning to KnitBat-Sheva Levi"), "Learning to Knit / Bat-Sheva Levi / ");
        assert_eq!(
            shown("Knitting at ScaleTim F. A. van der Berg, Luiz F. G. dos Reis"),
            "Knitting at Scale / Tim F. A. van der Berg|Luiz F. G. dos Reis / "
        );
        assert_eq!(shown("Multi-Robot LearningÉva Nagy"), "Multi-Robot Learning / Éva Nagy / ");
        assert_eq!(shown("It's Complicateddanah boyd, Bo Ek"), "It's Complicated / danah boyd|Bo Ek / ");
    }

    #[test]
    fn commas_in_titles_are_no_authors() {
        assert_eq!(
            shown("Knitting, Worth Learning, and PurlingAda Lovelace, Bo Ek"),
            "Knitting, Worth Learning, and Purling / Ada Lovelace|Bo Ek / "
        );
        assert_eq!(shown("Knit, Purl, Deep LearningAda Lovelace"), "Knit, Purl, Deep Learning / Ada Lovelace / ");
        assert_eq!(shown("Self-DistillationGrace Hopper"), "Self-Distillation / Grace Hopper / ");
    }

    #[test]
    fn a_title_alone_is_no_byline() {
        for line in
            ["", "Robots That Knit", "A Study of DeepMind Lab", "Low-Rank Adaptation (LoRA)", "KnitNet: A Benchmark"]
        {
            assert_eq!(shown(line), "", "{line}");
        }
    }

    #[test]
    fn a_list_of_authors_is_read_alone() {
        let found = authors_only("Ada Lovelace, Alan Turing et al. · oxford", &Vocabulary::default()).expect("authors");
        assert_eq!((found.authors.len(), found.et_al, found.affiliations.len()), (2, true, 1));
    }
}
