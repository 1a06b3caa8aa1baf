//! `thematic embed`: papers into vectors, in a collection or in a file.

use std::path::{Path, PathBuf};

use super::skips::Skips;
use super::{Outcome, print_json, settings};
use crate::cli::Embed;
use crate::engine::{self, EmbedReport, ModelChoice};
use crate::error::{Error, Problem, Result};
use crate::ingest::Skip;
use crate::output::VectorFormat;
use crate::store::Collection;
use crate::terminal::{Talk, counted, grouped};

pub(super) fn run(arguments: &Embed, threads: Option<u16>, talk: &Talk) -> Result<Outcome> {
    let choice = settings::model(&arguments.encode, threads);
    if let Some([from, to]) = arguments.shards.as_deref() {
        return shards(arguments, from, to, &choice, talk);
    }
    match (&arguments.output, &arguments.collection) {
        (Some(_), Some(_)) => {
            let problem = Problem::new("-o and -c", "vectors go to a file or to a collection, not to both");
            Err(Error::Usage(problem.hint("embed into the collection, then `thematic export vectors -o FILE`")))
        }
        (Some(output), None) => to_file(arguments, output, &choice, talk),
        (None, named) => {
            let path = named.clone().unwrap_or_else(|| PathBuf::from(super::DEFAULT_COLLECTION));
            to_collection(arguments, &path, choice, talk)
        }
    }
}

fn shards(arguments: &Embed, from: &Path, to: &Path, choice: &ModelChoice, talk: &Talk) -> Result<Outcome> {
    let options = settings::reading(&arguments.reading)?;
    let mut skips = Skips::new(&arguments.skip)?;
    let encoder = engine::load_encoder(choice, talk)?;
    let report = engine::embed_shards(from, to, &options, &encoder, talk, &mut |skip| skips.add(skip));
    let outcome = skips.finish(report.as_ref().map_or(0, |report| report.papers), talk)?;
    let report = report?;
    say_truncated(report.truncated, talk);
    if arguments.json {
        print_json(&report)?;
        return Ok(outcome);
    }
    let model = said_of_model(&report.model, report.dimensions, &report.precision);
    let files = format!("wrote {} of {}", grouped(report.written), counted(report.shards, "shard"));
    let kept = if report.kept > 0 { format!(", {} there already", grouped(report.kept)) } else { String::new() };
    let failed = if report.failed > 0 { format!(", {} not readable", grouped(report.failed)) } else { String::new() };
    talk.say(&format!(
        "embedded {} with {model}; {files} to {}{kept}{failed}",
        counted(report.papers, "paper"),
        to.display()
    ));
    Ok(outcome)
}

fn to_file(arguments: &Embed, output: &Path, choice: &ModelChoice, talk: &Talk) -> Result<Outcome> {
    VectorFormat::of(output)?;
    if arguments.inputs.is_empty() {
        let problem = Problem::new("embed -o", "there is nothing to embed");
        return Err(Error::Usage(
            problem.hint("name files, folders or `-`; for a collection use `thematic export vectors`"),
        ));
    }
    let inputs = settings::inputs(&arguments.inputs);
    let options = settings::reading(&arguments.reading)?;
    let mut skips = Skips::new(&arguments.skip)?;
    let encoder = engine::load_encoder(choice, talk)?;
    let report = engine::embed_to_file(&inputs, &options, &encoder, output, talk, &mut |skip| skips.add(skip));
    let outcome = skips.finish(report.as_ref().map_or(0, |report| report.papers), talk)?;
    let report = report?;
    show(arguments, &report, &format!("wrote {}", output.display()), talk)?;
    Ok(outcome)
}

fn to_collection(arguments: &Embed, path: &Path, choice: ModelChoice, talk: &Talk) -> Result<Outcome> {
    let options = settings::reading(&arguments.reading)?;
    let mut skips = Skips::new(&arguments.skip)?;
    let choice = settings::keeping_model(choice, path)?;
    // Before anything is made: a model that cannot be had leaves no collection behind.
    let encoder = engine::load_encoder(&choice, talk)?;
    let mut collection =
        if arguments.inputs.is_empty() { Collection::open(path)? } else { Collection::create_or_open(path)? };
    if arguments.inputs.is_empty() {
        let report = engine::embed_collection(&mut collection, &encoder, talk)?;
        show_collection(arguments, &report, path, talk)?;
        return Ok(Outcome::Done);
    }
    let inputs = settings::inputs(&arguments.inputs);
    let on_skip = &mut |skip: &Skip| skips.add(skip);
    let embedded = engine::embed_papers(&mut collection, &inputs, &options, &encoder, talk, on_skip);
    let outcome = skips.finish(embedded.as_ref().map_or(0, |(added, _)| added.records), talk)?;
    let (added, report) = embedded?;
    talk.say(&settings::said_of_adding(&added));
    show_collection(arguments, &report, path, talk)?;
    Ok(outcome)
}

fn show_collection(arguments: &Embed, report: &EmbedReport, path: &Path, talk: &Talk) -> Result<()> {
    show(arguments, report, &format!("{} in {}", counted(report.papers, "paper"), path.display()), talk)
}

fn show(arguments: &Embed, report: &EmbedReport, place: &str, talk: &Talk) -> Result<()> {
    say_truncated(report.truncated, talk);
    if arguments.json {
        return print_json(report);
    }
    let model = said_of_model(&report.model, report.dimensions, &report.precision);
    talk.say(&format!("embedded {} with {model}; {place}", counted(report.embedded, "paper")));
    Ok(())
}

fn say_truncated(truncated: usize, talk: &Talk) {
    if truncated > 0 {
        let verb = if truncated == 1 { "text was" } else { "texts were" };
        talk.say(&format!("{} {verb} longer than the model reads and cut off", grouped(truncated)));
    }
}

fn said_of_model(name: &str, dimensions: usize, precision: &str) -> String {
    format!("{name} ({dimensions} numbers, {precision})")
}
