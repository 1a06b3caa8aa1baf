//! The terminal: progress, warnings, tables, colour, Ctrl-C.
//!
//! Data goes to standard output, talk to standard error. Colour and bars appear on terminals only; elsewhere the
//! same talk comes in plain lines. Knows no command.

mod progress;
mod table;

pub use progress::Talk;
pub use table::{Align, Cell, Column, bar, table};

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};

use crate::error::{Error, Result};

/// What stands out.
pub const STRONG: Style = Style::new().bold();
/// What stands back.
pub const FAINT: Style = Style::new().dimmed();
/// Names of themes.
pub const THEME: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan))).bold();
/// Good news.
pub const GOOD: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
/// Bad news.
pub const BAD: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red))).bold();
/// News to look at.
pub const WARNING: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow))).bold();

/// `text` in a style, which terminals show and nothing else does.
pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes to standard output, without colour where that is no terminal.
///
/// # Errors
/// [`Error::Io`]; a reader that went away is one too, and `main` ends quietly then.
pub fn print(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Error::io("write", Path::new("-"), error))
}

/// Standard output for long streams of lines: buffered, never coloured.
pub fn stdout_stream() -> impl Write {
    io::BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

/// Renders an error and its way out on standard error.
pub fn report(error: &Error) {
    let mut out = anstream::stderr().lock();
    // Where standard error itself cannot be written, there is nobody left to tell.
    let _ = writeln!(out, "{} {error}", styled(BAD, "error:"));
    if let Some(hint) = error.hint() {
        let _ = writeln!(out, "\n{} {hint}", styled(GOOD, "hint:"));
    }
}

/// `12345678` as `12,345,678`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 paper`, `2 papers`.
pub fn counted(number: usize, singular: &str) -> String {
    let plural = match singular {
        "category" => "categories".to_owned(),
        "copy" => "copies".to_owned(),
        _ => format!("{singular}s"),
    };
    format!("{} {}", grouped(number), if number == 1 { singular } else { &plural })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "paper"), "1 paper");
        assert_eq!(counted(2, "copy"), "2 copies");
    }
}
