//! Dates as exports write them.
//!
//! Takes the year from anything that has one, and month and day where their order is beyond doubt: `03/04/2020` is
//! read as 2020.

use crate::paper::Date;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// A date in ISO order, as in RFC 2822, as PubMed, RIS and BibTeX write it, or as a person would.
pub(super) fn parse(text: &str) -> Option<Date> {
    let text = text.trim();
    match text.parse::<Date>() {
        // Behind a blank may stand a time, but also the month.
        Ok(date) if date.exactness() == 3 || !text.contains(' ') => return Some(date),
        _ => {}
    }
    let tokens: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|token| !token.is_empty()).collect();
    let at = tokens.iter().position(|token| year(token).is_some())?;
    let year = year(tokens[at])?;
    let date = match tokens.iter().position(|token| month_name(token).is_some()) {
        Some(named) => with_named_month(&tokens, year, at, named),
        None => in_iso_order(&tokens[at + 1..], year),
    };
    date.or_else(|| Date::year_only(year))
}

/// A year and, apart from it, a month (a name or a number) with or without a day: `2020` and `JUN 15`.
pub(super) fn with_month(year: &str, month: &str) -> Option<Date> {
    let month = month.trim();
    match month.parse::<u8>() {
        Ok(number) => parse(year).and_then(|date| Date::year_month(date.year(), number).or(Some(date))),
        Err(_) => parse(&format!("{year} {month}")),
    }
}

/// Year, month and day as numbers, as far as they are given and possible.
pub(super) fn from_parts(parts: &[u32]) -> Option<Date> {
    let year = u16::try_from(*parts.first()?).ok()?;
    let small = |at: usize| parts.get(at).and_then(|&part| u8::try_from(part).ok());
    let day = || Date::day(year, small(1)?, small(2)?);
    let month = || Date::year_month(year, small(1)?);
    day().or_else(month).or_else(|| Date::year_only(year))
}

fn year(token: &str) -> Option<u16> {
    let number = || token.parse().ok().filter(|year| (1000..2200).contains(year));
    (token.len() == 4).then(number).flatten()
}

fn month_name(token: &str) -> Option<u8> {
    let start = token.get(..3)?.to_ascii_lowercase();
    let at = MONTHS.iter().position(|month| *month == start)?;
    token.chars().all(char::is_alphabetic).then_some(at as u8 + 1)
}

fn day(token: &str) -> Option<u8> {
    let digits = token.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    (digits.len() <= 2).then(|| digits.parse().ok()).flatten()
}

/// The day stands next to the month's name, on either side: `2020 Jun 15`, `15 June 2020`, `Mon, 2 Apr 2007`.
fn with_named_month(tokens: &[&str], year: u16, year_at: usize, month_at: usize) -> Option<Date> {
    let month = month_name(tokens[month_at])?;
    let after = tokens.get(month_at + 1).filter(|_| month_at + 1 != year_at).and_then(|token| day(token));
    let before = month_at.checked_sub(1).filter(|&at| at != year_at).and_then(|at| day(tokens[at]));
    let day = before.or(after).and_then(|day| Date::day(year, month, day));
    day.or_else(|| Date::year_month(year, month))
}

fn in_iso_order(rest: &[&str], year: u16) -> Option<Date> {
    let mut numbers = rest.iter().map_while(|token| token.parse::<u8>().ok());
    let month = numbers.next()?;
    let day = numbers.next().and_then(|day| Date::day(year, month, day));
    day.or_else(|| Date::year_month(year, month))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text).map(|date| date.to_string()).as_deref().unwrap_or("none"), expected, "{text}");
    }

    #[test]
    fn dates_of_every_kind() {
        check("2020-06-15T00:00:00Z", "2020-06-15");
        check("2020", "2020");
        check("Mon, 2 Apr 2007 19:18:42 GMT", "2007-04-02");
        check("2020 Jun 15", "2020-06-15");
        check("2020 Jun-Jul", "2020-06");
        check("2020 Spring", "2020");
        check("15 June 2020", "2020-06-15");
        check("June 15th, 2020", "2020-06-15");
        check("Sept. 2019", "2019-09");
        check("2020/06/15/", "2020-06-15");
        check("2020///Winter", "2020");
        check("2020-6-5", "2020-06-05");
        check("03/04/2020", "2020");
        check("c2011", "none");
        check("forthcoming", "none");
        check("", "none");
        check("Monday 1999", "1999");
    }

    #[test]
    fn a_month_may_stand_apart_from_its_year() {
        let check = |year, month, expected: &str| {
            assert_eq!(with_month(year, month).expect("a date").to_string(), expected);
        };
        check("2020", "JUN 15", "2020-06-15");
        check("2020", "jun", "2020-06");
        check("2020", "6", "2020-06");
        check("2020", "13", "2020");
        check("2020", "FAL", "2020");
    }

    #[test]
    fn parts_are_taken_as_far_as_they_are_possible() {
        let show = |parts: &[u32]| from_parts(parts).map(|date| date.to_string());
        assert_eq!(show(&[2020, 2, 30]).as_deref(), Some("2020-02"));
        assert_eq!(show(&[2020]).as_deref(), Some("2020"));
        assert_eq!(show(&[]), None);
        assert_eq!(show(&[70_000]), None);
    }
}
