//! Which file becomes which.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::super::read::OnSkip;
use crate::error::{Error, Problem, Result};
use crate::ingest;

/// An input file and where its vectors go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) input: PathBuf,
    /// The path below the input folder.
    pub(super) name: String,
    pub(super) output: PathBuf,
    /// The path below the output folder.
    pub(super) output_name: String,
    /// The input's length, and when it was last changed, in nanoseconds since 1970: what tells another file.
    pub(super) bytes: u64,
    pub(super) modified: u64,
}

/// The shards in the order of their names. Whatever in the folder is no file is skipped.
pub(super) fn plan(from: &Path, to: &Path, on_skip: &mut OnSkip<'_>) -> Result<Vec<Shard>> {
    refuse_overlap(from, to)?;
    let mut shards: Vec<Shard> = Vec::new();
    let mut taken: BTreeMap<PathBuf, String> = BTreeMap::new();
    for file in ingest::files_below(from)? {
        let input = match file {
            Ok(input) => input,
            Err(skip) => {
                on_skip(&skip)?;
                continue;
            }
        };
        let shard = shard(from, to, input)?;
        if let Some(other) = taken.insert(shard.output.clone(), shard.name.clone()) {
            let cause = format!("would both become `{}`", shard.output_name);
            let problem = Problem::new(format!("`{other}` and `{}`", shard.name), cause);
            return Err(Error::Usage(problem.hint("rename one of them")));
        }
        shards.push(shard);
    }
    Ok(shards)
}

fn refuse_overlap(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        let problem = Problem::new(format!("`{}`", from.display()), "is not a folder");
        return Err(Error::Usage(problem.hint("name the folder of input files, then the folder for vectors")));
    }
    fs::create_dir_all(to).map_err(|error| Error::io("create", to, error))?;
    let resolved = |path: &Path| path.canonicalize().map_err(|error| Error::io("read", path, error));
    let (inside, outside) = (resolved(to)?, resolved(from)?);
    if inside.starts_with(&outside) || outside.starts_with(&inside) {
        let thing = format!("`{}` and `{}`", from.display(), to.display());
        let problem = Problem::new(thing, "one of the folders lies in the other, and vectors would be read as papers");
        return Err(Error::Usage(problem.hint("name a folder for vectors elsewhere")));
    }
    Ok(())
}

fn shard(from: &Path, to: &Path, input: PathBuf) -> Result<Shard> {
    let below = input.strip_prefix(from).unwrap_or(&input);
    let metadata = fs::metadata(&input).map_err(|error| Error::io("read", &input, error))?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let output_name = below.with_file_name(output_name(below.file_name().unwrap_or_default()));
    Ok(Shard {
        name: below.display().to_string(),
        output: to.join(&output_name),
        output_name: output_name.display().to_string(),
        bytes: metadata.len(),
        modified: modified.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)),
        input,
    })
}

/// `part-1.jsonl.gz` becomes `part-1.parquet`.
fn output_name(input: &OsStr) -> PathBuf {
    let mut path = PathBuf::from(input);
    let ending = |path: &Path| path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    if matches!(ending(&path).as_deref(), Some("gz" | "zst" | "zstd")) {
        path.set_extension("");
    }
    path.set_extension("parquet");
    path
}

/// Removes the half-written files that a killed run has left beside these outputs. Only for who holds the manifest.
pub(super) fn remove_leftovers(shards: &[Shard]) -> Result<()> {
    let folders: std::collections::BTreeSet<&Path> = shards.iter().filter_map(|shard| shard.output.parent()).collect();
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        let failed = |error| Error::io("read", folder, error);
        for file in fs::read_dir(folder).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            if path.to_string_lossy().ends_with(".part") && path.to_string_lossy().contains(".parquet.") {
                fs::remove_file(&path).map_err(|error| Error::io("remove", &path, error))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_loses_its_endings() {
        for (input, expected) in [
            ("a.jsonl", "a.parquet"),
            ("a.jsonl.gz", "a.parquet"),
            ("part.0001.json.zst", "part.0001.parquet"),
            ("papers", "papers.parquet"),
            ("papers.parquet", "papers.parquet"),
        ] {
            assert_eq!(output_name(OsStr::new(input)), Path::new(expected), "{input}");
        }
    }
}
