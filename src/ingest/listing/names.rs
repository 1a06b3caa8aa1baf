//! Which texts are names of people, by their shape and by what the page says about their words.
//!
//! Shape alone cannot tell `Deep Sets` from `Wei Chen`: a name gets points, and ordinary words cost some.

use crate::ingest::listing::vocabulary::Vocabulary;

/// From here on a text is taken for a name where one may stand.
pub(super) const NAME: i32 = 0;
/// From here on it may be one inside a list of names: unusual capitals or ordinary words.
pub(super) const PERHAPS: i32 = -8;
/// A name that the page shows elsewhere, clear of any title.
pub(super) const KNOWN: i32 = 20;

/// Small words inside family names.
const PARTICLES: [&str; 36] = [
    "af", "al", "av", "bin", "bint", "da", "dal", "das", "de", "del", "della", "den", "der", "des", "di", "do", "dos",
    "du", "e", "el", "ibn", "la", "las", "le", "lo", "los", "san", "ten", "ter", "van", "von", "wa", "y", "zu", "zum",
    "zur",
];
const SUFFIXES: [&str; 8] = ["Jr.", "Jr", "Sr.", "Sr", "II", "III", "IV", "PhD"];
/// Beginnings after which a name goes on with a capital: `McCarthy`, `DeVries`.
const JOINED: [&str; 21] = [
    "Mc", "Mac", "De", "Da", "Di", "Du", "La", "Le", "Del", "Della", "Van", "Von", "Fitz", "St", "San", "El", "Al",
    "Ben", "Ter", "Vander", "Ver",
];
/// Last words of a group that signs as an author.
const GROUPS: [&str; 8] =
    ["Team", "Collaboration", "Consortium", "Group", "Initiative", "Network", "Workshop", "Investigators"];
/// Words that titles and navigation use with a capital, and names do not.
const NO_NAMES: [&str; 52] = [
    "about",
    "accessibility",
    "accept",
    "alumni",
    "and",
    "apply",
    "are",
    "blog",
    "careers",
    "code",
    "contact",
    "cookies",
    "copyright",
    "download",
    "email",
    "events",
    "follow",
    "for",
    "from",
    "home",
    "how",
    "institute",
    "is",
    "jobs",
    "learn",
    "links",
    "login",
    "menu",
    "more",
    "newsletter",
    "our",
    "page",
    "pages",
    "policy",
    "privacy",
    "publications",
    "search",
    "settings",
    "sitemap",
    "submit",
    "subscribe",
    "terms",
    "the",
    "to",
    "toward",
    "towards",
    "university",
    "using",
    "via",
    "we",
    "what",
    "why",
];

/// How much a text looks like one name; `None` where it cannot be one.
pub(super) fn score(name: &str, vocabulary: &Vocabulary<'_>) -> Option<i32> {
    if vocabulary.is_name(name) {
        return Some(KNOWN);
    }
    let words: Vec<&str> = name.split_whitespace().collect();
    if is_group(&words) {
        return Some(4);
    }
    let shape: i32 = words.iter().map(|word| word_score(word)).sum::<Option<i32>>()?;
    let last = words.last()?;
    if PARTICLES.contains(last) || !words.iter().any(|word| is_full(word)) {
        return None;
    }
    Some(shape + length_score(&words)? - ordinary_cost(&words, vocabulary))
}

/// The names that a line consists of: one, or several apart by commas, semicolons or `and`.
pub(super) fn all_names(line: &str, vocabulary: &Vocabulary<'_>) -> Option<Vec<String>> {
    let (line, _) = without_others(line);
    let pieces = pieces(line);
    if let [family, initials] = pieces[..]
        && is_initials(initials)
        && line.contains(',')
    {
        return score(family, vocabulary).or(Some(word_score(family)?)).map(|_| vec![format!("{initials} {family}")]);
    }
    let is_name = |piece: &&str| score(piece, vocabulary).is_some_and(|score| score >= NAME);
    (!pieces.is_empty() && pieces.iter().all(is_name)).then(|| pieces.into_iter().map(str::to_owned).collect())
}

/// A list of names taken apart, in order, without footnote marks. Nothing says that each is a name.
pub(super) fn pieces(list: &str) -> Vec<&str> {
    let split =
        list.split([',', ';', '\t']).flat_map(|piece| piece.split(" and ")).flat_map(|piece| piece.split(" & "));
    split
        .map(|piece| bare(piece.trim().strip_prefix("and ").unwrap_or(piece)))
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// A list without `et al.`, and whether it had one.
pub(super) fn without_others(list: &str) -> (&str, bool) {
    let list = list.trim_end();
    let endings = ["et al.", "et al", "et al.,", "and others", "and colleagues"];
    match endings.iter().find_map(|ending| list.strip_suffix(ending)) {
        Some(rest) if rest.is_empty() || rest.ends_with([' ', ',', '\t']) => {
            (rest.trim_end_matches([' ', ',', '\t']), true)
        }
        _ => (list, false),
    }
}

/// A name without footnote marks around it.
fn bare(name: &str) -> &str {
    let is_mark = |c: char| c.is_whitespace() || c.is_ascii_digit() || "*†‡§¶#∗⁎✉¹²³⁴⁵⁶⁷⁸⁹⁰".contains(c);
    name.trim_matches(is_mark)
}

fn is_group(words: &[&str]) -> bool {
    let capital = |word: &&str| word.starts_with(char::is_uppercase);
    (2..=6).contains(&words.len())
        && words.iter().all(capital)
        && words.last().is_some_and(|last| GROUPS.contains(last))
}

fn length_score(words: &[&str]) -> Option<i32> {
    let counted = words.iter().filter(|word| !PARTICLES.contains(word)).count();
    match counted {
        1 if words.len() == 1 => Some(-6),
        1 | 2 => Some(4),
        3 => Some(3),
        4 => Some(1),
        5 => Some(-1),
        6 => Some(-4),
        _ => None,
    }
}

/// What the ordinary words among them cost. Two that the page uses together make a phrase rather than a name.
fn ordinary_cost(words: &[&str], vocabulary: &Vocabulary<'_>) -> i32 {
    let is_phrase =
        |two: &&[&str]| !two.iter().any(|word| PARTICLES.contains(word)) && vocabulary.is_phrase(two[0], two[1]);
    let phrases = words.windows(2).filter(is_phrase).count();
    let single: i32 = words.iter().map(|word| ordinary_word_cost(word, vocabulary)).sum();
    single + 8 * i32::try_from(phrases).unwrap_or(i32::MAX / 8)
}

fn ordinary_word_cost(word: &str, vocabulary: &Vocabulary<'_>) -> i32 {
    let is_ordinary = |word: &str| word.chars().count() >= 3 && vocabulary.is_ordinary(word);
    if NO_NAMES.contains(&word.to_lowercase().as_str()) {
        10
    } else if before_inner_capital(word).is_some_and(is_ordinary) {
        // The end of a title that runs into the name: `ResearchÖmer`.
        7
    } else if is_ordinary(word) && !PARTICLES.contains(&word) {
        4
    } else {
        0
    }
}

/// What stands before a capital that follows a small letter or a mark: `Deep` of `DeepMind`.
pub(super) fn before_inner_capital(word: &str) -> Option<&str> {
    let pairs = word.char_indices().zip(word.chars().skip(1));
    let inner = pairs.filter(|((_, one), next)| !one.is_uppercase() && *one != '-' && next.is_uppercase());
    inner.last().map(|((at, one), _)| &word[..at + one.len_utf8()])
}

/// Whether a word is the beginning of a name that goes on with a capital.
pub(super) fn is_joined_beginning(word: &str) -> bool {
    JOINED.contains(&word)
}

/// How much one word looks like part of a name; `None` where it cannot be.
fn word_score(word: &str) -> Option<i32> {
    let word = word.trim_matches(['(', ')', '"', '“', '”', '‘']);
    if PARTICLES.contains(&word) {
        return Some(1);
    }
    if SUFFIXES.contains(&word) {
        return Some(0);
    }
    if is_initials(word) {
        return Some(2);
    }
    let parts: Vec<&str> = word.split(['-', '‐', '‑', '\'', '’', '`', 'ʼ', 'ʻ']).collect();
    let begins_small = parts[0].starts_with(char::is_lowercase);
    if begins_small && !(parts.len() > 1 && is_small_beginning(parts[0]) && parts[1].starts_with(char::is_uppercase)) {
        return None;
    }
    let scores = parts.iter().enumerate().map(|(at, part)| part_score(part, at > 0 || begins_small));
    scores.collect::<Option<Vec<i32>>>()?.into_iter().min()
}

fn is_small_beginning(part: &str) -> bool {
    PARTICLES.contains(&part) || matches!(part, "d" | "l" | "t" | "n" | "ul" | "as" | "ad")
}

/// One part between hyphens or apostrophes. Parts after the first may be small: `Jean-luc`.
fn part_score(part: &str, may_be_small: bool) -> Option<i32> {
    let mut letters = part.chars();
    let first = letters.next()?;
    let rest = letters.as_str();
    if !part.chars().all(|c| c.is_alphabetic() || unicode_normalization::char::is_combining_mark(c)) {
        return None;
    }
    if first.is_lowercase() {
        return (may_be_small && !rest.contains(char::is_uppercase)).then_some(2);
    }
    if !rest.contains(char::is_uppercase) {
        return Some(2);
    }
    if !part.contains(char::is_lowercase) {
        return Some(-3);
    }
    let goes_on = |start: &str| part.strip_prefix(start).is_some_and(part_is_plain);
    let begins_with_two = rest.starts_with(char::is_uppercase);
    Some(if JOINED.iter().any(|start| goes_on(start)) {
        2
    } else if begins_with_two {
        -14
    } else {
        -7
    })
}

fn part_is_plain(part: &str) -> bool {
    let mut letters = part.chars();
    letters.next().is_some_and(char::is_uppercase)
        && letters.next().is_some()
        && !part[1..].contains(char::is_uppercase)
}

/// A word that is more than initials: every name has one.
fn is_full(word: &str) -> bool {
    !is_initials(word) && !PARTICLES.contains(&word) && !SUFFIXES.contains(&word)
}

/// `A.`, `A.B.`, `J.-P.`, `Yu.` or a single capital.
fn is_initials(word: &str) -> bool {
    let is_initial = |part: &str| {
        let mut letters = part.chars();
        letters.next().is_some_and(char::is_uppercase) && letters.all(char::is_lowercase) && part.chars().count() <= 2
    };
    match word.strip_suffix('.') {
        Some(inside) => inside.split('.').all(|part| is_initial(part.trim_start_matches('-'))),
        None => word.chars().count() == 1 && word.chars().all(char::is_uppercase),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_name(text: &str) -> bool {
        let vocabulary = Vocabulary::from_lines(["we learn graph attention networks and deep sets of input spaces"]);
        score(text, &vocabulary).is_some_and(|score| score >= NAME)
    }

    #[test]
    fn names_of_many_shapes_are_names() {
        for name in [
            "Ada Lovelace",
            "J. R. R. Tolkien",
            "Jean-Luc Picard",
            "Aoife O'Neill",
            "Zoë Müller-Lüdenscheidt",
            "D.S. Wu",
            "Ludwig van der Berg",
            "Juan de la Cruz",
            "Abd al-Rahman ibn Khaldun",
            "Conor McGregor",
            "J.-P. Serre",
            "Artur d'Avila Garcez",
            "Michael D Jones",
            "Yu. Petrov",
            "Otto von Neumann III",
            "María José Peña Ruiz",
            "LaToya DeVries",
            "The Borealis Collaboration",
            "Will Graph",
            "Xiao-yang Li",
            "Ngũgĩ wa Thiong'o",
        ] {
            assert!(is_name(name), "{name}");
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            "Deep Sets",
            "Graph Attention Networks",
            "Learning to Fly",
            "GPT-4 Report",
            "Robots: A Survey",
            "LearningAda Lovelace",
            "Attention",
            "Privacy Policy",
            "Contact Us About",
            "van der",
            "A. B.",
            "Flying robots",
            "1984",
            "Why Robots Fall",
        ] {
            assert!(!is_name(text), "{text}");
        }
    }

    #[test]
    fn a_line_may_hold_several_names() {
        let vocabulary = Vocabulary::default();
        let names = |line: &str| all_names(line, &vocabulary).unwrap_or_default().join("|");
        assert_eq!(names("Ada Lovelace*, Alan Turing1 and Grace Hopper"), "Ada Lovelace|Alan Turing|Grace Hopper");
        assert_eq!(names("Ada Lovelace, Alan Turing, et al."), "Ada Lovelace|Alan Turing");
        assert_eq!(names("Lovelace, A."), "A. Lovelace");
        assert_eq!(names("Ada Lovelace, the first programmer"), "");
    }
}
