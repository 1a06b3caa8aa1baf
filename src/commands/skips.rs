//! What happens to records that could not be read: counted, written out, and told once.

use std::io::Write;

use super::Outcome;
use crate::cli::SkipOptions;
use crate::error::{Error, Result};
use crate::ingest::Skip;
use crate::output::AtomicFile;
use crate::progress::Progress;
use crate::terminal::{Talk, grouped};

/// Collects skips over a run.
#[derive(Debug)]
pub(super) struct Skips {
    file: Option<AtomicFile>,
    strict: bool,
    count: usize,
    first: Option<Skip>,
}

impl Skips {
    /// Creates the file before the work, so that a bad path fails at once.
    pub(super) fn new(options: &SkipOptions) -> Result<Self> {
        let file = options.skipped.as_deref().map(AtomicFile::create).transpose()?;
        Ok(Self { file, strict: options.strict, count: 0, first: None })
    }

    pub(super) fn add(&mut self, skip: &Skip) -> Result<()> {
        self.count += 1;
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(skip).unwrap_or_default();
            writeln!(file, "{line}").map_err(|error| Error::io("write", file.path(), error))?;
        }
        if self.first.is_none() {
            self.first = Some(skip.clone());
        }
        Ok(())
    }

    /// Warns of what was skipped out of `n_records` that were read, and says how the command ended.
    pub(super) fn finish(self, n_records: usize, talk: &Talk) -> Result<Outcome> {
        let kept = self.file.is_some();
        if let Some(file) = self.file {
            file.finish()?;
        }
        let Some(first) = self.first else { return Ok(Outcome::Done) };
        let total = grouped(n_records + self.count);
        talk.warn(&format!("skipped {} of {total} records; first: {first}", grouped(self.count)));
        if !kept {
            talk.say("hint: run with `--skipped skipped.jsonl` to keep them for inspection");
        }
        Ok(if self.strict { Outcome::SkippedRecords } else { Outcome::Done })
    }
}
