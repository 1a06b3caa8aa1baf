//! Names of people: `Given Family`, without marks of affiliation.

use super::clean_title;

const SUFFIXES: &[&str] = &["jr", "jr.", "sr", "sr.", "ii", "iii", "iv"];

const DEGREES: &[&str] = &["phd", "ph.d.", "ph.d", "md", "m.d.", "msc", "m.sc.", "bsc", "mph", "dphil", "rn", "frcp"];

/// One author's name; `None` where nothing of a name is left.
pub fn clean_name(name: &str) -> Option<String> {
    let mut current = clean_title(name).into_owned();
    loop {
        let next = clean_title(&given_first(without_marks(&current))).into_owned();
        if next == current {
            break;
        }
        current = next;
    }
    let nobody = current.is_empty() || ["others", "and others", "anonymous"].contains(&current.to_lowercase().as_str());
    (!nobody).then_some(current)
}

/// Daggers, stars and superscript numbers point to footnotes.
fn without_marks(name: &str) -> &str {
    let is_mark = |c: char| "*†‡§¶∗⁎,;:|".contains(c) || "⁰¹²³⁴⁵⁶⁷⁸⁹".contains(c) || c.is_whitespace();
    let mut bare = name.trim_matches(is_mark);
    let undigited = bare.trim_end_matches(|c: char| c.is_ascii_digit() || c == ',');
    if undigited.len() < bare.len() && undigited.ends_with(char::is_lowercase) {
        bare = undigited.trim_end_matches(is_mark);
    }
    match bare.strip_suffix("et al.").or_else(|| bare.strip_suffix("et al")) {
        Some(rest) if rest.is_empty() || rest.ends_with(' ') => rest.trim_end_matches(is_mark),
        _ => bare,
    }
}

/// `Family, Given` and `Family, Jr., Given` as they are spoken. More commas than that make no person's name.
fn given_first(name: &str) -> String {
    let parts: Vec<&str> =
        name.split(',').map(str::trim).filter(|part| !part.is_empty() && !is_one_of(part, DEGREES)).collect();
    match parts[..] {
        [single] => single.to_owned(),
        [name, suffix] if is_one_of(suffix, SUFFIXES) => format!("{name} {suffix}"),
        [family, given] if family.split(' ').count() <= 4 => format!("{given} {family}"),
        [family, suffix, given] | [family, given, suffix] if is_one_of(suffix, SUFFIXES) => {
            format!("{given} {family} {suffix}")
        }
        _ => name.to_owned(),
    }
}

fn is_one_of(part: &str, list: &[&str]) -> bool {
    list.contains(&part.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(clean_name(name).as_deref(), expected, "{name:?}");
        if let Some(cleaned) = expected {
            assert_eq!(clean_name(cleaned).as_deref(), expected, "{name:?} a second time");
        }
    }

    #[test]
    fn names_are_written_as_they_are_spoken() {
        check("  Ada   Lovelace ", Some("Ada Lovelace"));
        check("Lovelace, Ada", Some("Ada Lovelace"));
        check("van der Berg, Anna", Some("Anna van der Berg"));
        check("King, Martin Luther, Jr.", Some("Martin Luther King Jr."));
        check("King, Jr., Martin Luther", Some("Martin Luther King Jr."));
        check("Jane Doe, PhD", Some("Jane Doe"));
        check("Erd{\\H o}s, P\\'al", Some("Pál Erdős"));
        check("M&uuml;ller, Max", Some("Max Müller"));
        check("Jane Doe1,2*", Some("Jane Doe"));
        check("Jane Doe†", Some("Jane Doe"));
    }

    #[test]
    fn what_is_no_name_is_left_out() {
        check("", None);
        check(" , ", None);
        check("et al.", None);
        check("Lin Li et al.", Some("Lin Li"));
    }
}
