//! What stands in the output folder: `manifest.jsonl`, the model on its first line, then a line for every file of vectors.
//!
//! Lines are only ever added, each after its file has appeared, so a kill can at worst cut off the last one; a line that
//! is cut off counts as absent. Held locked while a run writes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::plan::Shard;
use crate::error::{Error, Problem, Result};
use crate::ingest;
use crate::store::ModelRecord;

const NAME: &str = "manifest.jsonl";

/// What all vectors of a folder have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    format: u32,
    model: String,
    revision: String,
    prompt: String,
    pooling: String,
    max_length: usize,
    dimensions: usize,
    precision: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    text_column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    title_column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    id_column: Option<String>,
}

impl Header {
    pub(super) fn new(model: &ModelRecord, options: &ingest::Options) -> Self {
        Self {
            format: 1,
            model: model.name.clone(),
            revision: model.revision.clone(),
            prompt: model.prompt.clone(),
            pooling: model.pooling.clone(),
            max_length: model.max_length,
            dimensions: model.dimensions,
            precision: model.precision.clone(),
            text_column: options.text_column.clone(),
            title_column: options.title_column.clone(),
            id_column: options.id_column.clone(),
        }
    }

    /// The first thing in which two headers differ, as it is and as it would become.
    fn difference(&self, other: &Self) -> Option<String> {
        let column = |name: &Option<String>| name.clone().unwrap_or_else(|| "the usual ones".to_owned());
        let rows = [
            ("format", self.format.to_string(), other.format.to_string()),
            ("model", self.model.clone(), other.model.clone()),
            ("revision", self.revision.clone(), other.revision.clone()),
            ("prompt", self.prompt.clone(), other.prompt.clone()),
            ("pooling", self.pooling.clone(), other.pooling.clone()),
            ("maximum length", self.max_length.to_string(), other.max_length.to_string()),
            ("dimensions", self.dimensions.to_string(), other.dimensions.to_string()),
            ("precision", self.precision.clone(), other.precision.clone()),
            ("text column", column(&self.text_column), column(&other.text_column)),
            ("title column", column(&self.title_column), column(&other.title_column)),
            ("id column", column(&self.id_column), column(&other.id_column)),
        ];
        let different = rows.into_iter().find(|(_, one, other)| one != other);
        different.map(|(what, one, other)| format!("holds vectors of {what} `{one}`, not `{other}`"))
    }
}

/// A file of vectors that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    shard: String,
    output: String,
    bytes: u64,
    modified: u64,
    papers: usize,
    skipped: usize,
}

impl Entry {
    pub(super) fn new(shard: &Shard, papers: usize, skipped: usize) -> Self {
        Self {
            shard: shard.name.clone(),
            output: shard.output_name.clone(),
            bytes: shard.bytes,
            modified: shard.modified,
            papers,
            skipped,
        }
    }
}

/// The manifest of an output folder, locked.
#[derive(Debug)]
pub(super) struct Manifest {
    file: File,
    path: PathBuf,
    /// What was there when it was opened.
    entries: BTreeMap<String, Entry>,
    added: usize,
}

impl Manifest {
    /// Opens or begins the manifest of `folder`.
    pub(super) fn open(folder: &Path, header: &Header) -> Result<Self> {
        let path = folder.join(NAME);
        let failed = |error| Error::io("write", &path, error);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(failed)?;
        lock(&file, &path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        // A kill may have cut the last line off; it is written over.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        let text = std::str::from_utf8(&bytes[..whole]).map_err(|_| damaged(&path, 1, "it is not UTF-8"))?;
        let mut lines = text.lines().enumerate();
        let mut manifest = Self { file, path, entries: BTreeMap::new(), added: 0 };
        match lines.next() {
            None => manifest.append(header)?,
            Some((_, line)) => {
                let stored: Header = parse(&manifest.path, 1, line)?;
                if let Some(difference) = stored.difference(header) {
                    let problem = Problem::new(format!("`{}`", folder.display()), difference);
                    return Err(Error::Usage(
                        problem.hint("name another folder, or the options that it was made with"),
                    ));
                }
            }
        }
        for (at, line) in lines {
            let entry: Entry = parse(&manifest.path, at + 1, line)?;
            manifest.entries.insert(entry.shard.clone(), entry);
        }
        Ok(manifest)
    }

    /// Whether the vectors of exactly this input are there.
    pub(super) fn has(&self, shard: &Shard) -> bool {
        let is_same = |entry: &Entry| {
            (entry.bytes, entry.modified, &entry.output) == (shard.bytes, shard.modified, &shard.output_name)
        };
        self.entries.get(&shard.name).is_some_and(is_same) && shard.output.is_file()
    }

    /// Notes that a file of vectors is whole.
    pub(super) fn add(&mut self, entry: &Entry) -> Result<()> {
        self.append(entry)?;
        self.added += 1;
        Ok(())
    }

    /// Entries of this run.
    pub(super) fn added(&self) -> usize {
        self.added
    }

    fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(line).map_err(|error| {
            Error::Failed(Problem::new(format!("`{}`", self.path.display()), "cannot be written").source(error))
        })?;
        let written = self.file.write_all((text + "\n").as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| Error::io("write", &self.path, error))
    }
}

fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path, error)),
        Err(TryLockError::WouldBlock) => {
            let problem = Problem::new(format!("`{}`", path.display()), "another run is writing into this folder");
            Err(Error::Usage(problem.hint("wait for it to end, or name another folder")))
        }
    }
}

fn parse<'t, T: Deserialize<'t>>(path: &Path, line: usize, text: &'t str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| damaged(path, line, &error.to_string()))
}

fn damaged(path: &Path, line: usize, cause: &str) -> Error {
    let problem = Problem::new(format!("`{}` line {line}", path.display()), format!("is damaged: {cause}"));
    Error::Usage(problem.hint("name another folder for the vectors, or delete this file to make them all again"))
}
