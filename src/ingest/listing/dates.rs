//! Dates as listing pages write them: `Jun 2`, `May 12, 2022`, `12 May 2022`, `May 2022`, `2022-05-12`, `2022`.

use crate::paper::Date;

/// The months; any prefix of three letters or more, and `Sept`, is one too.
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A date at the beginning of a text, and the text after it. The date is `None` where it has the shape of one but the
/// calendar has no such day.
pub(super) fn leading_date(text: &str, as_of: Date) -> Option<(Option<Date>, &str)> {
    iso(text).or_else(|| month_first(text, as_of)).or_else(|| day_first(text, as_of))
}

/// A text that is a date and nothing else, in round brackets or not; a year alone counts.
pub(super) fn whole_date(text: &str, as_of: Date) -> Option<Date> {
    let text = text.trim();
    let text = text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(text).trim();
    match leading_date(text, as_of) {
        Some((date, "")) => date,
        _ => year(text).filter(|(_, rest)| rest.is_empty()).and_then(|(year, _)| Date::year_only(year)),
    }
}

fn iso(text: &str) -> Option<(Option<Date>, &str)> {
    let (year, rest) = year(text)?;
    let mark = rest.chars().next().filter(|mark| matches!(mark, '-' | '/' | '.'))?;
    let (month, rest) = number(&rest[1..])?;
    match rest.strip_prefix(mark).and_then(number) {
        Some((day, rest)) => Some((Date::day(year, month, day), rest)),
        None => Some((Date::year_month(year, month), rest)),
    }
}

fn month_first(text: &str, as_of: Date) -> Option<(Option<Date>, &str)> {
    let (month, rest) = month(text)?;
    let rest = rest.trim_start_matches([' ', '.', ',']);
    if let Some((year, rest)) = year(rest) {
        return Some((Date::year_month(year, month), rest));
    }
    let (day, rest) = number(rest)?;
    let rest = without_ordinal(rest);
    match year(rest.trim_start_matches([' ', ','])) {
        Some((year, rest)) => Some((Date::day(year, month, day), rest)),
        None => Some((latest(month, day, as_of), rest)),
    }
}

fn day_first(text: &str, as_of: Date) -> Option<(Option<Date>, &str)> {
    let (day, rest) = number(text)?;
    let (month, rest) = month(without_ordinal(rest).trim_start_matches([' ', '.', '-']))?;
    match year(rest.trim_start_matches([' ', '.', ',', '-'])) {
        Some((year, rest)) => Some((Date::day(year, month, day), rest)),
        None => Some((latest(month, day, as_of), rest)),
    }
}

/// The last time this day came round, seen from `as_of`. A page leaves the year out for the current one only, so what
/// would lie ahead is of the year before; the 29th of February may be years back.
fn latest(month: u8, day: u8, as_of: Date) -> Option<Date> {
    let ahead = as_of.month().is_some_and(|this| match as_of.day_of_month() {
        Some(today) => (month, day) > (this, today),
        None => month > this,
    });
    let newest = as_of.year() - u16::from(ahead);
    (newest.saturating_sub(8)..=newest).rev().find_map(|year| Date::day(year, month, day))
}

/// A month's name with a capital letter, and the text after it. What follows may run on without a space, but not with
/// a small letter, so that `Market` is no month.
fn month(text: &str) -> Option<(u8, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let name = &text[..end];
    let known = |full: &&str| name.len() >= 3 && full.starts_with(name);
    let index = if name == "Sept" { 8 } else { MONTHS.iter().position(known)? };
    Some((u8::try_from(index).ok()? + 1, &text[end..]))
}

/// Four digits that make a year of print, not followed by another digit.
fn year(text: &str) -> Option<(u16, &str)> {
    let digits = digits(text);
    let year: u16 = (digits.len() == 4).then(|| digits.parse().ok())??;
    (1400..=2199).contains(&year).then_some((year, &text[4..]))
}

/// One or two digits, not followed by another digit.
fn number(text: &str) -> Option<(u8, &str)> {
    let digits = digits(text);
    let value = (1..=2).contains(&digits.len()).then(|| digits.parse().ok())??;
    Some((value, &text[digits.len()..]))
}

fn digits(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())]
}

fn without_ordinal(text: &str) -> &str {
    ["st", "nd", "rd", "th"].iter().find_map(|ending| text.strip_prefix(ending)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    fn check(text: &str, expected: &str, rest: &str) {
        let found = leading_date(text, date("2026-07-01")).unwrap_or_else(|| panic!("no date in {text}"));
        assert_eq!(found.0.map(|date| date.to_string()).unwrap_or_default(), expected, "{text}");
        assert_eq!(found.1, rest, "{text}");
    }

    #[test]
    fn dates_are_read_in_every_order() {
        check("May 12, 2022Code", "2022-05-12", "Code");
        check("September 3rd, 2021", "2021-09-03", "");
        check("Sept. 3 2021", "2021-09-03", "");
        check("12 May 2022 Code", "2022-05-12", " Code");
        check("May 2022", "2022-05", "");
        check("2022-05-12Code", "2022-05-12", "Code");
        check("Feb 30, 2022", "", "");
    }

    #[test]
    fn a_day_without_a_year_is_the_last_one_seen_from_as_of() {
        check("Jun 2Code", "2026-06-02", "Code");
        check("Jul 1", "2026-07-01", "");
        check("Jul 2", "2025-07-02", "");
        check("Feb 29", "2024-02-29", "");
        assert_eq!(latest(12, 31, date("2026")), Some(date("2026-12-31")));
        assert_eq!(latest(8, 1, date("2026-07")), Some(date("2025-08-01")));
    }

    #[test]
    fn a_whole_line_may_be_a_year() {
        let as_of = date("2026-07-01");
        assert_eq!(whole_date("(2021)", as_of), Some(date("2021")));
        assert_eq!(whole_date(" 2021-04 ", as_of), Some(date("2021-04")));
        for text in ["", "2021 papers", "Market", "Marching 3", "20211", "May", "3", "Ma 3"] {
            assert_eq!(whole_date(text, as_of), None, "{text}");
        }
    }
}
