//! Which files the inputs stand for: folders walked in the order of names, hidden files left out.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::ingest::Input;
use crate::ingest::skip::Skip;

/// One thing to read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) source: Source,
    /// How the user would name it: the path as given, or below the folder that was given.
    pub(super) name: String,
    /// Whether the user named it, rather than the folder it is in.
    pub(super) is_named: bool,
}

#[derive(Debug)]
pub(super) enum Source {
    Stdin,
    File(PathBuf),
}

/// The files of all inputs, in the order given, and what in the folders cannot be read. A missing input is an error.
pub(super) fn list(inputs: &[Input]) -> Result<Vec<Result<Entry, Skip>>> {
    let mut entries = Vec::new();
    for input in inputs {
        match input {
            Input::Stdin => entries.push(Ok(Entry { source: Source::Stdin, name: "-".into(), is_named: true })),
            Input::Path(path) => add(path, &mut entries)?,
            Input::Found(path) => {
                File::open(path).map_err(|error| Error::io("read", path, error))?;
                entries.push(Ok(entry(path, false)));
            }
        }
    }
    Ok(entries)
}

/// The files below a folder, and what in it cannot be read.
pub(super) fn below(folder: &Path) -> Result<Vec<Result<PathBuf, Skip>>> {
    fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?;
    let mut found = Vec::new();
    walk(folder, &mut found);
    Ok(found)
}

fn add(path: &Path, entries: &mut Vec<Result<Entry, Skip>>) -> Result<()> {
    let failed = |error| Error::io("read", path, error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        let found = below(path)?;
        if found.is_empty() {
            entries.push(Err(Skip::file(path.display().to_string(), "the folder holds no files")));
        }
        entries.extend(found.into_iter().map(|found| found.map(|path| entry(&path, false))));
        return Ok(());
    }
    // A pipe must not be opened twice, so only what can be opened again is tried.
    if metadata.is_file() {
        File::open(path).map_err(failed)?;
    }
    entries.push(Ok(entry(path, true)));
    Ok(())
}

fn entry(path: &Path, is_named: bool) -> Entry {
    Entry { source: Source::File(path.to_owned()), name: path.display().to_string(), is_named }
}

fn walk(folder: &Path, found: &mut Vec<Result<PathBuf, Skip>>) {
    let paths = match visible(folder) {
        Ok(paths) => paths,
        Err(error) => {
            return found.push(Err(Skip::file(folder.display().to_string(), format!("cannot be read: {error}"))));
        }
    };
    for path in paths {
        let skipped = |reason: String| Err(Skip::file(path.display().to_string(), reason));
        let is_link = path.is_symlink();
        match fs::metadata(&path) {
            // A link may lead back up, and then the walk would not end.
            Ok(metadata) if metadata.is_dir() && is_link => found.push(skipped("a link to a folder".to_owned())),
            Ok(metadata) if metadata.is_dir() => walk(&path, found),
            Ok(metadata) if metadata.is_file() => found.push(Ok(path)),
            Ok(_) => found.push(skipped("neither a file nor a folder".to_owned())),
            Err(error) => found.push(skipped(format!("cannot be read: {error}"))),
        }
    }
}

fn visible(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !name.to_string_lossy().starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
