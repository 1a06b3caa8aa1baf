//! A file that appears under its name when it is whole, or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Buffered; removed again where it is dropped before [`Self::finish`].
#[derive(Debug)]
pub struct AtomicFile {
    file: Option<BufWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
}

impl AtomicFile {
    /// Creates the temporary file beside `path`.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written, or `path` is a folder.
    pub fn create(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::io("write", path, io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let temporary = PathBuf::from(name);
        let file = File::create(&temporary).map_err(|error| Error::io("write", path, error))?;
        Ok(Self { file: Some(BufWriter::with_capacity(1 << 18, file)), temporary, path: path.to_owned() })
    }

    /// The name it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` at the very beginning; the file's end stays where it is.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn overwrite_start(&mut self, bytes: &[u8]) -> Result<()> {
        let path = self.path.clone();
        let file = self.inner();
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(bytes));
        let moved = written.and_then(|()| file.seek(SeekFrom::End(0)).map(|_| ()));
        moved.map_err(|error| Error::io("write", path, error))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`] where what is still buffered cannot be written; then nothing appears.
    pub fn finish(mut self) -> Result<()> {
        let failed = |error| Error::io("write", &self.path, error);
        if let Some(mut file) = self.file.take() {
            file.flush().map_err(failed)?;
            file.get_ref().sync_all().map_err(failed)?;
        }
        fs::rename(&self.temporary, &self.path).map_err(failed)
    }

    fn inner(&mut self) -> &mut BufWriter<File> {
        self.file.as_mut().expect("the file is there until `finish` takes it together with `self`")
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner().flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing can be done about a temporary file that cannot be removed.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
