//! Vectors with their ids, in the format that the file's extension names.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::atomic::AtomicFile;
use super::npy::NpyWriter;
use super::parquet_file::ParquetVectors;
use crate::error::{Error, Problem, Result};

/// What vectors can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorFormat {
    /// `n x dim` f32, with the ids as a JSON list in a file beside it.
    Npy,
    /// Columns `id` and `embedding`.
    Parquet,
    /// `{"id", "embedding"}` a line.
    JsonLines,
}

impl VectorFormat {
    /// The format that a file's extension names.
    ///
    /// # Errors
    /// [`Error::Usage`] for any other extension.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("parquet") => Ok(Self::Parquet),
            Some("jsonl" | "ndjson") => Ok(Self::JsonLines),
            _ => {
                let problem = Problem::new(format!("`{}`", path.display()), "vectors cannot be written in this format");
                Err(Error::Usage(problem.hint("name a file that ends in .npy, .parquet or .jsonl")))
            }
        }
    }
}

/// Writes vectors one by one; the file appears when [`Self::finish`] is called.
#[derive(Debug)]
pub struct VectorWriter {
    sink: Sink,
    path: PathBuf,
}

#[derive(Debug)]
enum Sink {
    Npy { vectors: NpyWriter, ids: IdList },
    Parquet(Box<ParquetVectors>),
    JsonLines(AtomicFile),
}

impl VectorWriter {
    /// Creates the file, or files, for vectors of `dim` numbers.
    ///
    /// # Errors
    /// [`Error::Usage`] for an extension that is not known, [`Error::Io`] where the file cannot be created.
    pub fn create(path: &Path, dim: usize) -> Result<Self> {
        let sink = match VectorFormat::of(path)? {
            VectorFormat::Npy => {
                Sink::Npy { vectors: NpyWriter::create(path, dim)?, ids: IdList::create(&ids_path(path))? }
            }
            VectorFormat::Parquet => Sink::Parquet(Box::new(ParquetVectors::create(path, dim)?)),
            VectorFormat::JsonLines => Sink::JsonLines(AtomicFile::create(path)?),
        };
        Ok(Self { sink, path: path.to_owned() })
    }

    /// Appends a vector.
    ///
    /// # Errors
    /// [`Error::Io`] where the disk refuses it.
    pub fn write(&mut self, id: &str, vector: &[f32]) -> Result<()> {
        match &mut self.sink {
            Sink::Npy { vectors, ids } => {
                ids.write(id)?;
                vectors.write(vector)
            }
            Sink::Parquet(file) => file.write(id, vector),
            Sink::JsonLines(file) => {
                let line = serde_json::json!({"id": id, "embedding": vector});
                writeln!(file, "{line}").map_err(|error| Error::io("write", &self.path, error))
            }
        }
    }

    /// Makes the file appear; for `.npy` the ids first, so that vectors never stand without them.
    ///
    /// # Errors
    /// [`Error::Io`] where the disk refuses it.
    pub fn finish(self) -> Result<()> {
        match self.sink {
            Sink::Npy { vectors, ids } => {
                ids.finish()?;
                vectors.finish()
            }
            Sink::Parquet(file) => file.finish(),
            Sink::JsonLines(file) => file.finish(),
        }
    }
}

/// Where the ids of `vectors.npy` stand: `vectors.ids.json`.
pub fn ids_path(vectors: &Path) -> PathBuf {
    vectors.with_extension("ids.json")
}

/// A JSON list written item by item.
#[derive(Debug)]
struct IdList {
    file: AtomicFile,
    empty: bool,
}

impl IdList {
    fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: AtomicFile::create(path)?, empty: true })
    }

    fn write(&mut self, id: &str) -> Result<()> {
        let separator = if self.empty { "[" } else { ",\n " };
        self.empty = false;
        let text = serde_json::Value::from(id);
        write!(self.file, "{separator}{text}").map_err(|error| Error::io("write", self.file.path(), error))
    }

    fn finish(mut self) -> Result<()> {
        let end = if self.empty { "[]\n" } else { "]\n" };
        self.file.write_all(end.as_bytes()).map_err(|error| Error::io("write", self.file.path(), error))?;
        self.file.finish()
    }
}
