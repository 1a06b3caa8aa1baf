//! `thematic recommend`: papers like these and unlike those.

use super::{Outcome, print_json, settings};
use crate::cli::{Recommend, Strategy};
use crate::engine::{self, QueryEncoder, Recommendation};
use crate::error::Result;
use crate::search;
use crate::store::Collection;
use crate::terminal::{self, Cell, Column, FAINT, STRONG, Talk, table};

const COLUMNS: &[Column] = &[
    Column::number("score"),
    Column::long("paper"),
    Column::long("because of"),
    Column::words("date"),
    Column::long("id"),
];

pub(super) fn run(arguments: &Recommend, talk: &Talk) -> Result<Outcome> {
    let collection = Collection::open_read_only(&arguments.collection.path)?;
    let request = engine::Request {
        likes: arguments.like.clone(),
        unlikes: arguments.unlike.clone(),
        texts: arguments.text.clone(),
        limit: arguments.limit,
        strategy: strategy(arguments.strategy),
        diversity: arguments.diversity,
        min_score: arguments.min_score,
        filter: settings::filter(&arguments.filter),
    };
    let choice = settings::query_model(&arguments.encode);
    let mut encoder = QueryEncoder::new(choice, talk);
    let found = engine::recommend(&collection, &request, &mut encoder)?;
    if arguments.json {
        print_json(&serde_json::json!({ "results": found }))?;
    } else if found.is_empty() {
        talk.say("no paper passes the filters");
    } else {
        terminal::print(&recommendations(&found))?;
    }
    Ok(Outcome::Done)
}

/// A table of recommendations with their reasons.
pub(super) fn recommendations(found: &[Recommendation]) -> String {
    let row = |recommendation: &Recommendation| {
        vec![
            Cell::styled(STRONG, format!("{:.3}", recommendation.score)),
            Cell::from(recommendation.title.as_str()),
            Cell::from(recommendation.why.terms.join(", ")),
            Cell::styled(FAINT, recommendation.date.clone().unwrap_or_default()),
            Cell::styled(FAINT, recommendation.id.as_str()),
        ]
    };
    table(COLUMNS, &found.iter().map(row).collect::<Vec<_>>())
}

fn strategy(typed: Strategy) -> search::Strategy {
    match typed {
        Strategy::Average => search::Strategy::Average,
        Strategy::Best => search::Strategy::Best,
        Strategy::Sum => search::Strategy::Sum,
    }
}
