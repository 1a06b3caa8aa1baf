//! `thematic read`: the normalised papers as JSON Lines.

use std::io::Write;
use std::path::Path;

use super::skips::Skips;
use super::{Outcome, settings};
use crate::cli::Read;
use crate::dedupe;
use crate::engine;
use crate::error::{Error, Result};
use crate::paper::Paper;
use crate::terminal::{Talk, counted, stdout_stream};
use crate::wire::paper_line;

pub(super) fn run(arguments: &Read, talk: &Talk) -> Result<Outcome> {
    let inputs = settings::inputs(&arguments.input.inputs);
    let options = settings::reading(&arguments.input.reading)?;
    let mut skips = Skips::new(&arguments.skip)?;
    let mut out = stdout_stream();
    let mut kept: Vec<Paper> = Vec::new();
    let report = engine::read_papers(&inputs, &options, talk, &mut |skip| skips.add(skip), |papers| {
        if arguments.dedupe {
            kept.extend(papers);
            return Ok(());
        }
        write_all(&mut out, &papers)
    })?;
    if arguments.dedupe {
        let deduped = dedupe::dedupe(kept);
        write_all(&mut out, &deduped.papers)?;
        talk.say(&format!(
            "{} in {}, {} between renamed versions",
            counted(deduped.papers.len(), "paper"),
            counted(report.records, "record"),
            counted(deduped.links.len(), "link"),
        ));
    }
    out.flush().map_err(|error| Error::io("write", Path::new("-"), error))?;
    let outcome = skips.finish(report.records, talk)?;
    engine::require_papers(&inputs, &report)?;
    Ok(outcome)
}

fn write_all(out: &mut impl Write, papers: &[Paper]) -> Result<()> {
    for paper in papers {
        writeln!(out, "{}", paper_line(paper)).map_err(|error| Error::io("write", Path::new("-"), error))?;
    }
    Ok(())
}
