//! A date that may know only its year, or its year and month.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Problem};

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; compares by time, the less exact first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    /// Zero where it is not known, so that the derived order is the documented one.
    month: u8,
    day: u8,
}

impl Date {
    /// The year alone; `None` outside 1000 to 9999.
    pub fn year_only(year: u16) -> Option<Self> {
        (1000..=9999).contains(&year).then_some(Self { year, month: 0, day: 0 })
    }

    /// Year and month; `None` where there is no such month.
    pub fn year_month(year: u16, month: u8) -> Option<Self> {
        let date = Self::year_only(year)?;
        (1..=12).contains(&month).then_some(Self { month, ..date })
    }

    /// A day; `None` where the calendar has no such day.
    pub fn day(year: u16, month: u8, day: u8) -> Option<Self> {
        let date = Self::year_month(year, month)?;
        (1..=days_in(year, month)).contains(&day).then_some(Self { day, ..date })
    }

    /// The year.
    pub fn year(self) -> u16 {
        self.year
    }

    /// The month from 1 to 12, where it is known.
    pub fn month(self) -> Option<u8> {
        (self.month > 0).then_some(self.month)
    }

    /// The day of the month, where it is known.
    pub fn day_of_month(self) -> Option<u8> {
        (self.day > 0).then_some(self.day)
    }

    /// How much of the date is known: 1 for a year, 2 for a month, 3 for a day.
    pub fn exactness(self) -> u8 {
        1 + u8::from(self.month > 0) + u8::from(self.day > 0)
    }
}

fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u8::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if self.month > 0 {
            write!(f, "-{:02}", self.month)?;
        }
        if self.day > 0 {
            write!(f, "-{:02}", self.day)?;
        }
        Ok(())
    }
}

impl FromStr for Date {
    type Err = Error;

    /// Reads `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; a time after `T` or a space is left out.
    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text.trim()).ok_or_else(|| {
            let problem = Problem::new(format!("`{text}`"), "is not a date");
            Error::Usage(problem.hint("write it as YYYY, YYYY-MM or YYYY-MM-DD"))
        })
    }
}

fn parse(text: &str) -> Option<Date> {
    let day_part = text.split(['T', ' ']).next()?;
    let mut parts = day_part.split(['-', '/']);
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let month = parts.next().map(str::parse::<u8>);
    let day = parts.next().map(str::parse::<u8>);
    if parts.next().is_some() {
        return None;
    }
    match (month, day) {
        (None, _) => Date::year_only(year),
        (Some(month), None) => Date::year_month(year, month.ok()?),
        (Some(month), Some(day)) => Date::day(year, month.ok()?, day.ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_print_as_they_are_read() {
        for text in ["2024", "2024-02", "2024-02-29"] {
            assert_eq!(text.parse::<Date>().expect("a date").to_string(), text);
        }
        assert_eq!("2024-03-01T10:00:00Z".parse::<Date>().expect("a date").to_string(), "2024-03-01");
    }

    #[test]
    fn impossible_dates_are_refused() {
        for text in ["", "24", "2023-02-29", "2024-13", "2024-00-01", "yesterday", "2024-01-01-01", "0999"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_less_exact_date_sorts_first() {
        let mut dates: Vec<Date> =
            ["2024-02-01", "2024", "2023-12", "2024-02"].map(|d| d.parse().expect("a date")).into();
        dates.sort();
        let shown: Vec<String> = dates.iter().map(Date::to_string).collect();
        assert_eq!(shown, ["2023-12", "2024", "2024-02", "2024-02-01"]);
    }
}
