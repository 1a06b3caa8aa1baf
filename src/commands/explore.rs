//! `thematic explore`: the whole job in one command.

use super::recommend::recommendations;
use super::skips::Skips;
use super::themes::theme_table;
use super::{Outcome, print_json, settings};
use crate::cli::Explore;
use crate::engine::{self, ClusterReport, QueryEncoder, Recommendation, Request};
use crate::error::Result;
use crate::ingest::Skip;
use crate::progress::Progress;
use crate::search::Strategy;
use crate::store::{Collection, Filter};
use crate::terminal::{self, FAINT, STRONG, Talk, counted, styled};

/// Recommendations that show what they look like.
const SHOWN_RECOMMENDATIONS: usize = 3;

pub(super) fn run(arguments: &Explore, talk: &Talk) -> Result<Outcome> {
    let inputs = settings::inputs(&arguments.input.inputs);
    let options = settings::reading(&arguments.input.reading)?;
    let path = &arguments.collection.path;
    let mut skips = Skips::new(&arguments.skip)?;
    let choice = settings::keeping_model(settings::model(&arguments.encode, None), path)?;
    let encoder = engine::load_encoder(&choice, talk)?;
    let mut collection = Collection::create_or_open(path)?;
    let on_skip = &mut |skip: &Skip| skips.add(skip);
    let embedded = engine::embed_papers(&mut collection, &inputs, &options, &encoder, talk, on_skip);
    let outcome = skips.finish(embedded.as_ref().map_or(0, |(added, _)| added.records), talk)?;
    let (added, embedded) = embedded?;
    talk.say(&settings::said_of_adding(&added));
    talk.say(&format!("embedded {} with {}", counted(embedded.embedded, "paper"), embedded.model));
    // Its memory, on a GPU above all, is of use to what comes next.
    drop(encoder);
    let gpu = settings::first_gpu(&arguments.encode.model.device, &arguments.themes);
    let report = engine::cluster_collection(&mut collection, &settings::grouping(&arguments.themes, gpu), talk)?;
    report.notes.iter().for_each(|note| talk.warn(note));
    if arguments.json {
        print_json(&report)?;
        return Ok(outcome);
    }
    terminal::print(&page(&collection, &report, talk)?)?;
    Ok(outcome)
}

fn page(collection: &Collection, report: &ClusterReport, talk: &Talk) -> Result<String> {
    let themes = counted(report.themes.len(), "theme");
    let mut text = format!("\n{}\n\n", styled(STRONG, format!("{} in {themes}", counted(report.papers, "paper"))));
    text.push_str(&theme_table(&report.themes));
    if let Some((title, id, found)) = example(collection, report, talk)? {
        text.push_str(&format!("\n{} {title}\n\n", styled(STRONG, "More like")));
        text.push_str(&recommendations(&found));
        text.push_str(&next_steps(collection, &id));
    }
    Ok(text)
}

/// Papers like the one that shows best what the largest theme is about.
fn example(
    collection: &Collection,
    report: &ClusterReport,
    talk: &Talk,
) -> Result<Option<(String, String, Vec<Recommendation>)>> {
    let Some(seed) = report.themes.first().and_then(|theme| theme.figures.representatives.first()) else {
        return Ok(None);
    };
    let request = Request {
        likes: vec![seed.id.clone()],
        unlikes: Vec::new(),
        texts: Vec::new(),
        limit: SHOWN_RECOMMENDATIONS,
        strategy: Strategy::Average,
        diversity: 0.0,
        min_score: None,
        filter: Filter::default(),
    };
    let mut encoder = QueryEncoder::new(engine::ModelChoice::default(), talk);
    let found = engine::recommend(collection, &request, &mut encoder)?;
    Ok((!found.is_empty()).then(|| (seed.title.clone(), seed.id.clone(), found)))
}

fn next_steps(collection: &Collection, id: &str) -> String {
    let named = match collection.path().to_str() {
        Some(super::DEFAULT_COLLECTION) => String::new(),
        _ => format!(" -c {}", collection.path().display()),
    };
    let steps = [
        (format!("thematic themes 0{named}"), "the papers of a theme"),
        (format!("thematic recommend --like {id}{named}"), "more like a paper"),
        (format!("thematic search \"words\"{named}"), "papers about something"),
    ];
    let width = steps.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let line = |(command, what): &(String, &str)| format!("  {command:<width$}  {}\n", styled(FAINT, what));
    format!("\n{}\n{}", styled(STRONG, "Next"), steps.iter().map(line).collect::<String>())
}
