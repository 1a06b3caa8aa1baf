//! Whether two lists of authors can be those of one paper: by family name and initial, in either order.
//!
//! Lists may be cut short, names abbreviated, accents lost; so one name in common speaks for, and only no name in
//! common speaks against.

use crate::paper::title_key;

/// What two lists of authors say about each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authors {
    /// One list is empty, or they are written in different scripts.
    Unknown,
    /// They have nobody in common.
    Disjoint,
    /// They have somebody in common.
    Overlapping,
    /// Everyone of the shorter list is in the longer one.
    Contained,
    /// They are the same people.
    Identical,
}

/// Compares two lists.
pub(super) fn compare(one: &[String], other: &[String]) -> Authors {
    let (one, other): (Vec<Name>, Vec<Name>) = (names(one), names(other));
    if one.is_empty() || other.is_empty() || is_latin(&one) != is_latin(&other) {
        return Authors::Unknown;
    }
    let (short, long) = if one.len() <= other.len() { (&one, &other) } else { (&other, &one) };
    match short.iter().filter(|name| long.iter().any(|candidate| name.matches(candidate))).count() {
        0 => Authors::Disjoint,
        all if all == long.len() => Authors::Identical,
        all if all == short.len() => Authors::Contained,
        _ => Authors::Overlapping,
    }
}

impl Authors {
    /// Whether somebody is in common.
    pub(super) fn speak_for(self) -> bool {
        matches!(self, Self::Overlapping | Self::Contained | Self::Identical)
    }

    /// Whether nobody is in one list only, but for a cut.
    pub(super) fn agree(self) -> bool {
        matches!(self, Self::Contained | Self::Identical)
    }
}

/// The family names of two authors or more, in alphabetical order: a key of the papers of one group.
pub(super) fn group(authors: &[String]) -> Option<String> {
    let mut families: Vec<String> = names(authors).into_iter().map(|name| name.family).collect();
    families.sort();
    (families.len() > 1).then(|| families.join(" "))
}

/// The family name of the first author, as the key of a title that many papers share.
pub(super) fn first_family(authors: &[String]) -> String {
    names(authors).into_iter().next().map(|name| name.family).unwrap_or_default()
}

/// A name as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    family: String,
    /// The first given name or its initial; empty where the record has none.
    given: String,
}

impl Name {
    fn of(name: &str) -> Option<Self> {
        let initials_last = name.split(' ').next_back().is_some_and(is_initials) && name.contains(' ');
        let key = title_key(name);
        let mut words: Vec<&str> =
            key.split(' ').filter(|word| !["jr", "sr", "ii", "iii", ""].contains(word)).collect();
        if initials_last {
            let initials = words.pop()?;
            return Some(Self { family: (*words.last()?).to_owned(), given: initials.to_owned() });
        }
        let family = words.pop()?.to_owned();
        Some(Self { family, given: words.first().map(|&given| given.to_owned()).unwrap_or_default() })
    }

    fn matches(&self, other: &Self) -> bool {
        let straight = self.family == other.family && share_initial(&self.given, &other.given);
        let swapped = !self.given.is_empty() && self.family == other.given && self.given == other.family;
        straight || swapped
    }
}

/// `DM` of `Krueger DM`, as MEDLINE writes it.
fn is_initials(word: &str) -> bool {
    word.len() <= 3 && !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase())
}

fn share_initial(one: &str, other: &str) -> bool {
    match (one.chars().next(), other.chars().next()) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

fn names(authors: &[String]) -> Vec<Name> {
    authors.iter().filter_map(|name| Name::of(name)).collect()
}

fn is_latin(names: &[Name]) -> bool {
    names.iter().any(|name| name.family.chars().any(|c| c < '\u{370}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: &[&str], other: &[&str], expected: Authors) {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
        assert_eq!(compare(&list(one), &list(other)), expected, "{one:?} {other:?}");
        assert_eq!(compare(&list(other), &list(one)), expected, "{other:?} {one:?}");
    }

    #[test]
    fn names_match_by_family_and_initial() {
        check(&["Ada M. Byron"], &["Ada Byron", "Carl Gauss"], Authors::Contained);
        check(&["A. Byron"], &["Byron AM"], Authors::Identical);
        check(&["Zoë Müller-Lüdenscheidt"], &["Z. Muller-Ludenscheidt"], Authors::Identical);
        check(&["Wei Zhang"], &["Zhang Wei"], Authors::Identical);
        check(&["Anna van der Berg Jr."], &["A. van der Berg"], Authors::Identical);
        check(&["Ada Byron", "X Y"], &["Ada Byron", "Z Q"], Authors::Overlapping);
        check(&["Ada Byron"], &["Bea Byron"], Authors::Disjoint);
        check(&["张伟"], &["Wei Zhang"], Authors::Unknown);
        check(&[], &["Wei Zhang"], Authors::Unknown);
    }
}
