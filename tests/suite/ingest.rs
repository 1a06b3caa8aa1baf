//! Reading papers: files of every format and every fault, through `ingest::read` alone.

mod faults;
mod formats;
mod json;
mod long;
mod parquet;
mod properties;

use std::fs;
use std::path::Path;

use thematic::ingest::{self, Input, Item, Note, Options, Skip};
use thematic::paper::{Date, Draft, Paper};

/// What came of reading.
#[derive(Default)]
struct Outcome {
    drafts: Vec<Draft>,
    skips: Vec<Skip>,
    notes: Vec<Note>,
}

impl Outcome {
    /// Identifiers as they are printed, one paper after the other.
    fn ids(&self) -> Vec<String> {
        let paper = |draft: &Draft| Paper::from_draft(draft.clone()).expect("a paper").id.as_str().to_owned();
        self.drafts.iter().map(paper).collect()
    }

    fn titles(&self) -> Vec<&str> {
        self.drafts.iter().map(|draft| draft.title.as_str()).collect()
    }

    /// Lines and reasons of what was skipped.
    fn reasons(&self) -> Vec<(Option<u64>, &str)> {
        self.skips.iter().map(|skip| (skip.line, skip.reason.as_str())).collect()
    }

    /// The only draft, where nothing was skipped.
    fn only(&self) -> &Draft {
        assert!(self.skips.is_empty(), "{:?}", self.skips);
        assert_eq!(self.drafts.len(), 1);
        &self.drafts[0]
    }
}

fn options() -> Options {
    Options::new(Date::day(2026, 3, 1).expect("a day"))
}

fn read_paths(paths: &[&Path], options: &Options) -> Outcome {
    let inputs: Vec<Input> = paths.iter().map(|&path| Input::parse(path)).collect();
    let mut outcome = Outcome::default();
    let mut keep = |item| {
        match item {
            Item::Record(draft) => outcome.drafts.push(draft),
            Item::Skipped(skip) => outcome.skips.push(skip),
            Item::Note(note) => outcome.notes.push(note),
        }
        Ok(())
    };
    ingest::read(&inputs, options, &mut keep).expect("readable inputs");
    outcome
}

/// Reads one file of this name and content.
fn read_with(name: &str, content: impl AsRef<[u8]>, options: &Options) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, content).expect("a file");
    read_paths(&[&path], options)
}

fn read(name: &str, content: impl AsRef<[u8]>) -> Outcome {
    read_with(name, content, &options())
}

fn date(draft: &Draft) -> String {
    draft.date.map(|date| date.to_string()).unwrap_or_default()
}
