//! `thematic info`: what a collection holds, or one paper.

use super::{Outcome, print_json};
use crate::cli::Info;
use crate::engine::{self, CollectionInfo, PaperInfo};
use crate::error::Result;
use crate::store::Collection;
use crate::terminal::{self, FAINT, STRONG, THEME, counted, grouped, styled};

pub(super) fn run(arguments: &Info) -> Result<Outcome> {
    let collection = Collection::open_read_only(&arguments.collection.path)?;
    match &arguments.paper {
        Some(name) => {
            let info = engine::describe_paper(&collection, name)?;
            if arguments.json { print_json(&info)? } else { terminal::print(&paper_page(&info))? }
        }
        None => {
            let info = engine::describe_collection(&collection)?;
            if arguments.json { print_json(&info)? } else { terminal::print(&collection_page(&info))? }
        }
    }
    Ok(Outcome::Done)
}

fn collection_page(info: &CollectionInfo) -> String {
    let size = format!("{:.1} MB", info.bytes as f64 / 1e6);
    let mut text = format!("{}  {}\n", styled(STRONG, &info.collection), styled(FAINT, size));
    let mut line = |name: &str, value: String| text.push_str(&field(name, &value));
    let without = info.papers - info.with_abstract;
    let titles_only = if without > 0 { format!(", {} with a title only", grouped(without)) } else { String::new() };
    line("papers", format!("{}{titles_only}", grouped(info.papers)));
    if let Some((first, last)) = &info.dates {
        line("dates", format!("{first} to {last}"));
    }
    for model in &info.models {
        let current = if model.current { "" } else { " (not current)" };
        let vectors = counted(model.papers, "vector");
        line("model", format!("{}, {} numbers, {}: {vectors}{current}", model.name, model.dimensions, model.precision));
    }
    match info.themes {
        None => line("themes", "none yet: run `thematic cluster`".into()),
        Some(n) if info.without_theme > 0 => {
            line("themes", format!("{n}; {} since, without a theme", counted(info.without_theme, "paper")));
        }
        Some(n) => line("themes", n.to_string()),
    }
    text
}

fn paper_page(info: &PaperInfo) -> String {
    let text_of = |name: &str| info.paper.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let list_of = |name: &str| {
        let items = info.paper.get(name).and_then(|value| value.as_array()).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!("{}\n", styled(STRONG, text_of("title")));
    for (name, value) in [
        ("id", text_of("id")),
        ("aliases", list_of("aliases")),
        ("authors", list_of("authors")),
        ("date", text_of("date")),
        ("venue", text_of("venue")),
        ("categories", list_of("categories")),
        ("keywords", list_of("keywords")),
        ("url", text_of("url")),
    ] {
        if !value.is_empty() {
            text.push_str(&field(name, &value));
        }
    }
    if let Some(theme) = &info.theme {
        text.push_str(&field("theme", &format!("{} {}", theme.theme, styled(THEME, &theme.name))));
    }
    let abstract_text = text_of("abstract");
    if abstract_text.is_empty() { text } else { format!("{text}\n{abstract_text}\n") }
}

fn field(name: &str, value: &str) -> String {
    format!("{} {value}\n", styled(FAINT, format!("{name:<10}")))
}
