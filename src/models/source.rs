//! Where the files of one model are, and opening them by name.
//!
//! A folder, the hub or the program itself: the reader of a model sees names and bytes only. Every file that is
//! opened is kept, so that after reading nothing of the model is fetched any more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::{Error, Problem, Result};
use crate::models::bytes::{self, Bytes};
use crate::models::embedded;
use crate::models::hub::HubModel;
use crate::models::settings::PickleReader;
use crate::progress::Progress;

/// Where the files are.
#[derive(Debug)]
pub(super) enum Source {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A commit of a repository on the hub, cached.
    Hub(Box<HubModel>),
    /// Compiled into the program.
    Embedded,
}

/// The files that have been opened, by their names below the model's folder.
pub(super) type Files = BTreeMap<String, Arc<Bytes>>;

/// Opens the files of one model.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    pub(super) progress: &'a dyn Progress,
    pub(super) pickle: Option<PickleReader>,
    pub(super) files: Files,
}

impl Reader<'_> {
    /// Opens a file; `None` where the model has none of that name.
    pub(super) fn optional(&mut self, file: &str) -> Result<Option<Arc<Bytes>>> {
        if let Some(bytes) = self.files.get(file) {
            return Ok(Some(Arc::clone(bytes)));
        }
        let opened = match self.source {
            Source::Folder(folder) => bytes::open(&folder.join(file))?,
            Source::Hub(model) => match model.fetch(file, self.progress)? {
                Some(path) => bytes::open(&path)?,
                None => None,
            },
            Source::Embedded => embedded::file(file).map(Bytes::Embedded),
        };
        let Some(bytes) = opened.map(Arc::new) else { return Ok(None) };
        self.files.insert(file.to_owned(), Arc::clone(&bytes));
        Ok(Some(bytes))
    }

    /// Opens a file that must be there.
    pub(super) fn required(&mut self, file: &str) -> Result<Arc<Bytes>> {
        self.optional(file)?.ok_or_else(|| {
            let hint = "a model is a folder in the layout of sentence-transformers: `config.json`, `tokenizer.json`, \
                        `model.safetensors`, and `modules.json` with the folders it names";
            Error::Model(Problem::new(self.label(file), "is missing").hint(hint))
        })
    }

    /// Opens weights that are a pickle, as safetensors.
    pub(super) fn unpickled(&mut self, file: &str, read: PickleReader) -> Result<Bytes> {
        self.required(file)?;
        let path = match self.source {
            Source::Folder(folder) => Some(folder.join(file)),
            Source::Hub(model) => model.fetch(file, self.progress)?,
            Source::Embedded => None,
        };
        let Some(path) = path else { return Ok(Bytes::Owned(Vec::new())) };
        read(&path).map(Bytes::Owned)
    }

    /// Whether the model has a file, without fetching it.
    pub(super) fn has(&self, file: &str) -> Result<bool> {
        match self.source {
            Source::Folder(folder) => Ok(folder.join(file).is_file()),
            Source::Hub(model) => model.has(file, self.progress),
            Source::Embedded => Ok(embedded::file(file).is_some()),
        }
    }

    /// How messages call a file.
    pub(super) fn label(&self, file: &str) -> String {
        match self.source {
            Source::Folder(folder) => format!("`{}`", folder.join(file).display()),
            Source::Hub(model) => format!("`{file}` of `{}`", model.repository()),
            Source::Embedded => format!("`{file}` of the embedded model"),
        }
    }
}

/// Bytes of weights that count towards a fingerprint: their start, and this many pieces spread evenly.
const SAMPLED_PIECES: usize = 256;
const PIECE: usize = 4096;

/// A name for the content of `files` that changes when they do: 16 hexadecimal digits.
///
/// Large files are sampled, because hashing all of a large model would cost more than encoding a query with it:
/// training moves every weight, so any piece of a changed tensor tells.
pub(super) fn fingerprint(files: &Files) -> String {
    let mut hasher = Sha256::new();
    for (name, bytes) in files {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update((bytes.len() as u64).to_le_bytes());
        if bytes.len() <= SAMPLED_PIECES * PIECE {
            hasher.update(&***bytes);
        } else {
            // The first piece begins the file and the last one ends it.
            let start = |piece: usize| piece * (bytes.len() - PIECE) / (SAMPLED_PIECES - 1);
            (0..SAMPLED_PIECES).for_each(|piece| hasher.update(&bytes[start(piece)..][..PIECE]));
        }
    }
    hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(weights: Vec<u8>) -> Files {
        Files::from([("model.safetensors".to_owned(), Arc::new(Bytes::Owned(weights)))])
    }

    #[test]
    fn a_fingerprint_follows_the_content() {
        let (small, large) = (vec![1; 100], vec![1; 3_000_000]);
        let mut changed = large.clone();
        changed[2_999_999] = 2;
        assert_eq!(fingerprint(&files(large.clone())), fingerprint(&files(large.clone())));
        assert_ne!(fingerprint(&files(large)), fingerprint(&files(changed)));
        assert_ne!(fingerprint(&files(small)), fingerprint(&files(vec![2; 100])));
    }
}
