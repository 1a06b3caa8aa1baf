//! Aligned tables that fit the terminal.

use std::fmt::Write;

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns.
const GAP: &str = "  ";
/// The width to fit into where it cannot be asked.
const DEFAULT_WIDTH: usize = 110;
/// No column is cut below this, unless it says otherwise.
const LEAST_WIDTH: usize = 12;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column: its heading, and how its cells are set.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// In lower case.
    pub heading: &'static str,
    /// Words left, numbers right.
    pub align: Align,
    /// To how many characters its text may be cut to fit the terminal; `None` where it is shown whole.
    pub least: Option<usize>,
}

impl Column {
    /// Words, shown whole.
    pub const fn words(heading: &'static str) -> Self {
        Self { heading, align: Align::Left, least: None }
    }

    /// Words that may be cut.
    pub const fn long(heading: &'static str) -> Self {
        Self { heading, align: Align::Left, least: Some(LEAST_WIDTH) }
    }

    /// Words that may be cut, but keep so many characters when others are cut.
    pub const fn long_at_least(heading: &'static str, least: usize) -> Self {
        Self { heading, align: Align::Left, least: Some(least) }
    }

    /// Numbers.
    pub const fn number(heading: &'static str) -> Self {
        Self { heading, align: Align::Right, least: None }
    }
}

/// A cell: plain text and the style it is shown in.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text in a style of its own. Control characters, which could steer the terminal, are left out.
    pub fn styled(style: Style, text: impl Into<String>) -> Self {
        Self { text: text.into().chars().filter(|c| !c.is_control()).collect(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(Style::new(), text)
    }
}

/// Sets rows under their headings; the columns that may be cut share what the others leave of the width.
pub fn table(columns: &[Column], rows: &[Vec<Cell>]) -> String {
    let widths = fitted_widths(columns, rows, terminal_width());
    let mut text = String::new();
    let headings: Vec<Cell> = columns.iter().map(|c| Cell::styled(super::FAINT, c.heading)).collect();
    for row in std::iter::once(&headings).chain(rows) {
        push_row(&mut text, columns, &widths, row);
    }
    text
}

/// A bar of `share` (0 to 1) of `width` characters, to the eighth of a character.
pub fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    if let Some(rest) = [None, Some('▏'), Some('▎'), Some('▍'), Some('▌'), Some('▋'), Some('▊'), Some('▉')][eighths % 8]
    {
        text.push(rest);
    }
    text
}

fn terminal_width() -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let measured = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    asked.or_else(measured).unwrap_or(DEFAULT_WIDTH).max(40)
}

fn fitted_widths(columns: &[Column], rows: &[Vec<Cell>], available: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.heading.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.width());
        }
    }
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > available {
        let widest = (0..columns.len())
            .filter(|&column| columns[column].least.is_some_and(|least| widths[column] > least))
            .max_by_key(|&column| widths[column]);
        let Some(widest) = widest else { break };
        widths[widest] -= 1;
    }
    widths
}

fn push_row(text: &mut String, columns: &[Column], widths: &[usize], row: &[Cell]) {
    let mut line = String::new();
    for (place, ((column, &width), cell)) in columns.iter().zip(widths).zip(row).enumerate() {
        if place > 0 {
            line.push_str(GAP);
        }
        let shown = cut(&cell.text, width);
        let padding = " ".repeat(width.saturating_sub(shown.width()));
        let style = cell.style;
        let _ = match column.align {
            Align::Left => write!(line, "{style}{shown}{style:#}{padding}"),
            Align::Right => write!(line, "{padding}{style}{shown}{style:#}"),
        };
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The longest beginning that fits, with an ellipsis where something is left out.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 0;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used >= width {
            break;
        }
        shown.push(character);
    }
    shown.truncate(shown.trim_end().len());
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_long_text_is_cut() {
        let columns = [Column::number("n"), Column::long("title")];
        let rows = vec![
            vec![Cell::from("7"), Cell::from("short")],
            vec![Cell::from("12"), Cell::from("漢字 and a title that does not fit")],
        ];
        let widths = fitted_widths(&columns, &rows, 24);
        assert_eq!(widths, [2, 20]);
        let mut text = String::new();
        for row in &rows {
            push_row(&mut text, &columns, &widths, row);
        }
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain, " 7  short\n12  漢字 and a title th…\n");
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        assert_eq!(Cell::from("a\u{1b}[31mb\n").text, "a[31mb");
    }

    #[test]
    fn bars_show_eighths() {
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(1.0 / 32.0, 4), "▏");
        assert_eq!(bar(0.0, 4), "");
    }
}
