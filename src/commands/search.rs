//! `thematic search`: papers by words and by meaning.

use super::{Outcome, print_json, settings};
use crate::cli::{Search, SearchMode};
use crate::engine::{self, Found, Mode, QueryEncoder};
use crate::error::Result;
use crate::store::Collection;
use crate::terminal::{self, Cell, Column, FAINT, Talk, table};

const COLUMNS: &[Column] = &[
    Column::long("paper"),
    Column::long("authors"),
    Column::words("date"),
    Column::number("theme"),
    Column::long("id"),
];

pub(super) fn run(arguments: &Search, talk: &Talk) -> Result<Outcome> {
    let collection = Collection::open_read_only(&arguments.collection.path)?;
    let mode = match arguments.by {
        SearchMode::Words => Mode::Words,
        // Where nothing is embedded yet, words are all there is to go by.
        SearchMode::Both if collection.current_model()?.is_none() => Mode::Words,
        SearchMode::Meaning => Mode::Meaning,
        SearchMode::Both => Mode::Both,
    };
    let query = arguments.words.join(" ");
    let mut encoder = QueryEncoder::new(settings::query_model(&arguments.encode), talk);
    let filter = settings::filter(&arguments.filter);
    let found = engine::search(&collection, &query, mode, &filter, arguments.limit, &mut encoder, talk)?;
    if arguments.json {
        print_json(&serde_json::json!({ "results": found }))?;
    } else if found.is_empty() {
        talk.say("nothing found");
    } else {
        terminal::print(&rows(&found))?;
    }
    Ok(Outcome::Done)
}

fn rows(found: &[Found]) -> String {
    let row = |found: &Found| {
        vec![
            Cell::from(found.title.as_str()),
            Cell::styled(FAINT, found.authors.clone().unwrap_or_default()),
            Cell::styled(FAINT, found.date.clone().unwrap_or_default()),
            Cell::from(found.theme.map(|theme| theme.to_string()).unwrap_or_default()),
            Cell::styled(FAINT, found.id.as_str()),
        ]
    };
    table(COLUMNS, &found.iter().map(row).collect::<Vec<_>>())
}
