//! Verifying a model's files, and writing the model out as a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};

use crate::error::{Error, Problem, Result};
use crate::models::bytes::Bytes;
use crate::models::download::{checksum_holds, expected_sha256};
use crate::models::source::Source;
use crate::models::weights::{Weights, scale_name};
use crate::models::{ModelFolder, embedded};
use crate::progress::Silent;

/// What [`check`] found.
#[derive(Debug)]
pub struct Checked {
    /// Every file that the model uses, in alphabetical order.
    pub files: Vec<FileCheck>,
}

/// One file of a model.
#[derive(Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// Its name below the model's folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it has the SHA-256 that the hub gave it; `None` where none is known.
    pub checksum: Option<bool>,
}

impl Checked {
    /// Whether no file is other than it should be.
    pub fn is_sound(&self) -> bool {
        self.files.iter().all(|file| file.checksum != Some(false))
    }
}

/// Compares the files of an opened model with their checksums. That headers, shapes and settings hold together was
/// found when it was opened.
///
/// # Errors
/// [`Error::Io`] where a file cannot be read.
pub fn check(model: &ModelFolder) -> Result<Checked> {
    let mut files = Vec::with_capacity(model.files.len());
    for (name, bytes) in &model.files {
        let checksum = match &model.source {
            Source::Hub(hub) => match hub.fetch(name, &Silent)? {
                Some(path) if expected_sha256(&path).is_some() => Some(checksum_holds(&path)?),
                _ => None,
            },
            Source::Folder(_) | Source::Embedded => None,
        };
        files.push(FileCheck { name: name.clone(), bytes: bytes.len() as u64, checksum });
    }
    Ok(Checked { files })
}

/// Writes an opened model into `folder` so that any tool of the sentence-transformers family loads it: 8-bit rows
/// with scales become f32, everything else is copied.
///
/// # Errors
/// [`Error::Usage`] where `folder` exists and is not empty; [`Error::Io`] where it cannot be written.
pub fn export(model: &ModelFolder, folder: &Path) -> Result<()> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let problem = Problem::new(format!("`{}`", folder.display()), "exists and is not empty");
        return Err(Error::Usage(problem.hint("name a new folder")));
    }
    for (name, bytes) in &model.files {
        let plain = if name.ends_with(".safetensors") { plain_weights(name, bytes)? } else { None };
        write(&folder.join(name), plain.as_deref().unwrap_or(bytes))?;
    }
    if matches!(model.source, Source::Embedded) {
        let opened = |name: &str| model.files.contains_key(name);
        for (name, bytes) in embedded::files().iter().filter(|(name, _)| !opened(name)) {
            write(&folder.join(name), bytes)?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
    }
    fs::write(path, bytes).map_err(|error| Error::io("write", path, error))
}

/// A file of weights without scales; `None` where it has none to begin with.
fn plain_weights(name: &str, bytes: &Arc<Bytes>) -> Result<Option<Vec<u8>>> {
    let weights = Weights::open(vec![(format!("`{name}`"), Arc::clone(bytes))])?;
    let scales = |tensor: &str| {
        weights.is_int8(tensor).then(|| scale_name(tensor)).flatten().filter(|name| weights.contains(name))
    };
    let dropped: BTreeSet<String> = weights.names().filter_map(scales).collect();
    if dropped.is_empty() {
        return Ok(None);
    }
    let failed = |error| Error::Failed(Problem::new(format!("`{name}`"), "cannot be written as f32").source(error));
    let stored = SafeTensors::deserialize(bytes).map_err(failed)?;
    let scaled: BTreeMap<&str, Vec<u8>> = weights
        .names()
        .filter(|tensor| scales(tensor).is_some())
        .map(|tensor| Ok((tensor, weights.f32(tensor)?.iter().flat_map(|number| number.to_le_bytes()).collect())))
        .collect::<Result<_>>()?;
    let views = weights.names().filter(|tensor| !dropped.contains(*tensor)).map(|tensor| match scaled.get(tensor) {
        Some(numbers) => {
            let shape = weights.shape(tensor).unwrap_or_default().to_vec();
            Ok((tensor, TensorView::new(Dtype::F32, shape, numbers)?))
        }
        None => Ok((tensor, stored.tensor(tensor)?)),
    });
    let views: Vec<_> = views.collect::<Result<_, SafeTensorError>>().map_err(failed)?;
    safetensors::serialize(views, None).map(Some).map_err(failed)
}
