//! `thematic themes`: the themes of a collection, or the papers of one.

use super::{Outcome, print_json};
use crate::cli::Themes;
use crate::engine::{self, Theme, ThemePaper};
use crate::error::Result;
use crate::store::Collection;
use crate::terminal::{self, Cell, Column, FAINT, STRONG, THEME, bar, counted, grouped, styled, table};

/// Characters of the longest bar.
const BAR_WIDTH: usize = 10;

const THEME_COLUMNS: &[Column] = &[
    Column::number("#"),
    Column::long_at_least("theme", 44),
    Column::number("papers"),
    Column::words(""),
    Column::number("cohesion"),
    Column::words("trend"),
    Column::long("for instance"),
];

const PAPER_COLUMNS: &[Column] = &[
    Column::number("similarity"),
    Column::long("paper"),
    Column::long("authors"),
    Column::words("date"),
    Column::long("id"),
];

pub(super) fn run(arguments: &Themes) -> Result<Outcome> {
    let collection = Collection::open_read_only(&arguments.collection.path)?;
    match arguments.theme {
        None => {
            let overview = engine::themes(&collection)?;
            if arguments.json {
                print_json(&overview)?;
            } else {
                terminal::print(&theme_table(&overview.themes))?;
            }
        }
        Some(number) => {
            let (theme, papers) = engine::theme_papers(&collection, number, arguments.limit)?;
            if arguments.json {
                print_json(&serde_json::json!({ "theme": theme, "papers": papers }))?;
            } else {
                terminal::print(&theme_page(&theme, &papers))?;
            }
        }
    }
    Ok(Outcome::Done)
}

/// A line a theme.
pub(super) fn theme_table(themes: &[Theme]) -> String {
    let largest = themes.iter().map(|theme| theme.papers).max().unwrap_or(1).max(1);
    let row = |theme: &Theme| {
        let trend = theme.figures.trend.as_ref().map(|trend| trend.direction.as_str()).filter(|word| *word != "steady");
        let example = theme.figures.representatives.first().map(|paper| paper.title.as_str());
        vec![
            Cell::styled(FAINT, theme.theme.to_string()),
            Cell::styled(THEME, theme.name.as_str()),
            Cell::from(grouped(theme.papers)),
            Cell::styled(FAINT, bar(theme.papers as f64 / largest as f64, BAR_WIDTH)),
            Cell::from(format!("{:.2}", theme.figures.cohesion)),
            Cell::from(trend.unwrap_or_default()),
            Cell::styled(FAINT, example.unwrap_or_default()),
        ]
    };
    table(THEME_COLUMNS, &themes.iter().map(row).collect::<Vec<_>>())
}

fn theme_page(theme: &Theme, papers: &[ThemePaper]) -> String {
    let mut text = format!(
        "{} {}  {}\n",
        styled(STRONG, format!("theme {}", theme.theme)),
        styled(THEME, &theme.name),
        styled(FAINT, counted(theme.papers, "paper")),
    );
    let terms: Vec<&str> = theme.terms.iter().map(|term| term.term.as_str()).collect();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("{} {value}\n", styled(FAINT, format!("{name:<10}"))));
        }
    };
    line("terms", terms.join(", "));
    line("years", theme.figures.years.iter().map(|(year, n)| format!("{year}: {n}")).collect::<Vec<_>>().join("  "));
    let trend = theme.figures.trend.as_ref();
    line("trend", trend.map(|trend| format!("{} {}–{}", trend.direction, trend.from, trend.to)).unwrap_or_default());
    let categories = theme.figures.categories.iter().map(|(name, n)| format!("{name} {n}"));
    line("categories", categories.collect::<Vec<_>>().join(", "));
    let nearest: Vec<String> = theme.figures.nearest.iter().map(|near| format!("theme {near}")).collect();
    line("near to", nearest.join(", "));
    text.push('\n');
    text + &paper_table(papers)
}

fn paper_table(papers: &[ThemePaper]) -> String {
    let row = |paper: &ThemePaper| {
        vec![
            Cell::styled(STRONG, format!("{:.3}", paper.similarity)),
            Cell::from(paper.title.as_str()),
            Cell::styled(FAINT, paper.authors.clone().unwrap_or_default()),
            Cell::styled(FAINT, paper.date.clone().unwrap_or_default()),
            Cell::styled(FAINT, paper.id.as_str()),
        ]
    };
    table(PAPER_COLUMNS, &papers.iter().map(row).collect::<Vec<_>>())
}
