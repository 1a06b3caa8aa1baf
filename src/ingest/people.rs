//! Names of authors: lists taken apart, each name turned to `Given Family`.

/// One name; `Family, Given` and `Family, Jr, Given` are turned around, a trailing number in parentheses is left out.
pub(super) fn name(text: &str) -> Option<String> {
    let text = without_number(text.trim()).trim_matches([',', ';']).trim();
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    match parts[..] {
        [] => None,
        [family, given] if is_suffix(given) => Some(format!("{family} {given}")),
        [family, given] => Some(format!("{given} {family}")),
        [family, suffix, given] if is_suffix(suffix) => Some(format!("{given} {family} {suffix}")),
        [family, given, suffix] if is_suffix(suffix) => Some(format!("{given} {family} {suffix}")),
        _ => Some(text.to_owned()),
    }
}

/// The names of one string, however it lists them: `A B; C D`, `B, A; D, C`, `A B, C D and E F`, `B, A and D, C`.
pub(super) fn split(text: &str) -> Vec<String> {
    if text.contains([';', '|']) {
        return names(text.split([';', '|']));
    }
    let parts: Vec<&str> = text.split(" and ").flat_map(|part| part.split(" & ")).collect();
    let is_one = |part: &&str| match part.matches(',').count() {
        1 => !is_list(part),
        2 => part.split(',').any(|side| is_suffix(side.trim())),
        _ => false,
    };
    if parts.iter().all(is_one) {
        names(parts.into_iter())
    } else {
        names(parts.iter().flat_map(|part| part.split(',')))
    }
}

/// The names of a list with one separator, which says nothing about commas.
pub(super) fn names<'a>(parts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let parts = parts.map(|part| part.trim().trim_start_matches("and ").trim_start_matches("& "));
    parts.filter_map(name).collect()
}

/// Given name and family name as a source keeps them apart.
pub(super) fn joined(parts: &[Option<String>]) -> Option<String> {
    let parts: Vec<&str> = parts.iter().flatten().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// `Ada Smith, Bo Lee` is two people, `Smith, Ada` and `van der Berg, J.` are one each.
fn is_list(text: &str) -> bool {
    text.split(',').all(|side| side.trim().contains(' ')) && !starts_with_particle(text)
}

fn starts_with_particle(text: &str) -> bool {
    text.trim_start().starts_with(|c: char| c.is_lowercase())
}

fn is_suffix(part: &str) -> bool {
    let part = part.trim_end_matches('.');
    ["Jr", "Sr", "II", "III", "IV"].iter().any(|suffix| part.eq_ignore_ascii_case(suffix))
}

/// Scopus writes its author numbers after the names: `Smith, Ada (57190000000)`.
fn without_number(text: &str) -> &str {
    match text.rsplit_once('(') {
        Some((name, number)) if number.trim_end().trim_end_matches(')').bytes().all(|b| b.is_ascii_digit()) => name,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split(text), expected, "{text}");
    }

    #[test]
    fn lists_of_every_kind() {
        check("Ada Smith", &["Ada Smith"]);
        check("Smith, Ada", &["Ada Smith"]);
        check("Ada Smith, Bo Lee", &["Ada Smith", "Bo Lee"]);
        check("Ada Smith, Bo Lee and Cy Day", &["Ada Smith", "Bo Lee", "Cy Day"]);
        check("Ada Smith, Bo Lee, and Cy Day", &["Ada Smith", "Bo Lee", "Cy Day"]);
        check("Smith, Ada and Lee, Bo", &["Ada Smith", "Bo Lee"]);
        check("Smith, Ada; Lee, Bo; Day, C.", &["Ada Smith", "Bo Lee", "C. Day"]);
        check("Smith, Ada (57190000000); Lee, Bo (57190000001)", &["Ada Smith", "Bo Lee"]);
        check("Smith A., Lee B.", &["Smith A.", "Lee B."]);
        check("van der Berg, Jan Pieter", &["Jan Pieter van der Berg"]);
        check("King, Jr., Ada", &["Ada King Jr."]);
        check(" ; ", &[]);
        check("", &[]);
    }

    #[test]
    fn a_single_name_keeps_what_stands_in_parentheses() {
        assert_eq!(name("The Group (Europe)").as_deref(), Some("The Group (Europe)"));
        assert_eq!(name("King, Ada, Jr.").as_deref(), Some("Ada King Jr."));
    }
}
