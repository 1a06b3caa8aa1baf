//! The bytes of one file of a model: read, mapped, or compiled in.
//!
//! Whoever holds [`Bytes`] sees a slice and need not know which it is. The memory map is the one place outside the
//! kernels that needs `unsafe`.

use std::fs;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Result};

/// A file's bytes.
#[derive(Debug)]
pub enum Bytes {
    /// Read into memory: the small files.
    Owned(Vec<u8>),
    /// Mapped: weights, of which the system reads what is touched and may drop it again.
    Mapped(Mmap),
    /// Part of the program.
    Embedded(&'static [u8]),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(map) => map,
            Self::Embedded(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Opens `path`, mapped where it holds weights; `None` where there is no such file.
pub(super) fn open(path: &Path) -> Result<Option<Bytes>> {
    let opened = if path.extension().is_some_and(|extension| extension == "safetensors") {
        map(path)
    } else {
        fs::read(path).map(Bytes::Owned)
    };
    match opened {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

#[expect(unsafe_code, reason = "a file of weights is mapped, not copied, so that opening a large model is instant")]
fn map(path: &Path) -> io::Result<Bytes> {
    let file = fs::File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::Owned(Vec::new()));
    }
    // SAFETY: the map is read-only and only ever seen as `&[u8]`, for which every bit pattern is valid, through
    // slices that are checked against the mapped length. What remains is another process writing to or truncating
    // the file meanwhile; cached and released models are written once, under another name, and then renamed.
    unsafe { Mmap::map(&file) }.map(Bytes::Mapped)
}
