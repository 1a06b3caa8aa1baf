//! The scan file: all vectors of the current model side by side, to be read from end to end.
//!
//! Derived from the collection and named after it (`papers.db.scan`). Its header names the collection, the
//! generation and the model it was made from; where one differs it is made again. It is read in blocks into a
//! buffer that stays in the cache, which costs less than mapping it: no page is faulted in, none is kept.
//!
//! Layout, little-endian: 64 bytes of header, `n` paper rows as i64 in the order of paper ids, `n x dim` f32.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::vectors::ModelKey;
use super::{Collection, RowId};
use crate::error::{Error, Problem, Result};

const MAGIC: &[u8; 8] = b"THEMSCAN";
const VERSION: u64 = 1;
const HEADER_BYTES: u64 = 64;

/// An open scan file.
#[derive(Debug)]
pub struct ScanFile {
    path: PathBuf,
    rows: Vec<RowId>,
    dim: usize,
}

/// What a scan file must agree with to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    collection: u64,
    generation: u64,
    model: u64,
    dim: u64,
}

impl Collection {
    /// The scan file of the current model, made anew where it is stale.
    ///
    /// # Errors
    /// [`Error::Collection`] where no paper is embedded yet; [`Error::Io`] where the file cannot be written.
    pub fn scan_file(&self) -> Result<ScanFile> {
        let Some((model, record)) = self.current_model()? else { return Err(self.nothing_embedded()) };
        let stamp = Stamp {
            collection: self.identity()?,
            generation: self.generation()?,
            model: model as u64,
            dim: record.dimensions as u64,
        };
        let path = scan_path(&self.path);
        if let Ok(Some(file)) = open(&path, stamp) {
            return Ok(file);
        }
        self.write_scan_file(&path, stamp, model)?;
        let made = open(&path, stamp).map_err(|error| Error::io("read", &path, error))?;
        made.ok_or_else(|| {
            Error::Collection(Problem::new(format!("`{}`", path.display()), "changed while it was read"))
        })
    }

    fn write_scan_file(&self, path: &Path, stamp: Stamp, model: ModelKey) -> Result<()> {
        let temporary = path.with_extension(format!("scan.{}", std::process::id()));
        let failed = |error| Error::io("write", &temporary, error);
        let mut rows: Vec<RowId> = Vec::with_capacity(self.count_vectors(model)?);
        let dim = stamp.dim as usize;
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&temporary).map_err(failed)?);
        let n = self.count_vectors(model)? as u64;
        out.seek(SeekFrom::Start(HEADER_BYTES + n * 8)).map_err(failed)?;
        self.for_each_vector(model, dim, |row, bytes| {
            rows.push(row);
            out.write_all(bytes).map_err(failed)
        })?;
        out.seek(SeekFrom::Start(0)).map_err(failed)?;
        out.write_all(&header(stamp, rows.len() as u64)).map_err(failed)?;
        for row in &rows {
            out.write_all(&row.to_le_bytes()).map_err(failed)?;
        }
        out.flush().map_err(failed)?;
        drop(out);
        fs::rename(&temporary, path).map_err(|error| Error::io("write", path, error))
    }

    fn nothing_embedded(&self) -> Error {
        let problem = Problem::new(format!("`{}`", self.path.display()), "no paper in it is embedded yet");
        Error::Collection(problem.hint("run `thematic embed` on it first"))
    }
}

impl ScanFile {
    /// The papers whose vectors the file holds, in its order, which is that of their ids.
    pub fn rows(&self) -> &[RowId] {
        &self.rows
    }

    /// Numbers in a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// A reader of its own, for one thread.
    ///
    /// # Errors
    /// [`Error::Io`] where the file is gone.
    pub fn reader(&self) -> Result<ScanReader<'_>> {
        let file = File::open(&self.path).map_err(|error| Error::io("read", &self.path, error))?;
        Ok(ScanReader { scan: self, file, bytes: Vec::new() })
    }
}

/// Reads blocks of a [`ScanFile`].
#[derive(Debug)]
pub struct ScanReader<'s> {
    scan: &'s ScanFile,
    file: File,
    bytes: Vec<u8>,
}

impl ScanReader<'_> {
    /// Reads the vectors of `positions` (not paper rows) into `values`, one after the other.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn read(&mut self, positions: Range<usize>, values: &mut Vec<f32>) -> Result<()> {
        let ScanFile { path, rows, dim } = self.scan;
        let start = HEADER_BYTES + (rows.len() * 8 + positions.start * dim * 4) as u64;
        self.bytes.resize(positions.len() * dim * 4, 0);
        let read = self.file.seek(SeekFrom::Start(start)).and_then(|_| self.file.read_exact(&mut self.bytes));
        read.map_err(|error| Error::io("read", path, error))?;
        values.clear();
        values.extend(self.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        Ok(())
    }
}

fn scan_path(collection: &Path) -> PathBuf {
    let mut name = collection.as_os_str().to_owned();
    name.push(".scan");
    PathBuf::from(name)
}

fn header(stamp: Stamp, n: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for number in [VERSION, stamp.collection, stamp.generation, stamp.model, stamp.dim, n, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// `None` where the file is of another state of the collection, or not whole.
fn open(path: &Path, stamp: Stamp) -> io::Result<Option<ScanFile>> {
    let mut file = File::open(path)?;
    let mut found = vec![0; HEADER_BYTES as usize];
    file.read_exact(&mut found)?;
    let n =
        u64::from_le_bytes([found[48], found[49], found[50], found[51], found[52], found[53], found[54], found[55]]);
    let whole = n.checked_mul(8 + stamp.dim * 4).and_then(|bytes| bytes.checked_add(HEADER_BYTES));
    if found != header(stamp, n) || whole != Some(file.metadata()?.len()) {
        return Ok(None);
    }
    let mut bytes = vec![0; n as usize * 8];
    file.read_exact(&mut bytes)?;
    let rows = bytes.chunks_exact(8).map(|b| RowId::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]));
    Ok(Some(ScanFile { path: path.to_owned(), rows: rows.collect(), dim: stamp.dim as usize }))
}
