//! A collection: papers, vectors and themes in one SQLite file.
//!
//! SQLite is the only truth; the scan file beside it is derived and rebuilt when its generation is stale, and the lexical
//! index within it is brought up to date after papers were written, or when a search finds that it is not. Every write
//! is one transaction, so a kill at any instant loses at most the batch in flight. Knows no model, no file format and no
//! terminal. Rows are handed out ordered by paper id, whatever the order of insertion.

mod lexical;
mod papers;
mod scan;
mod schema;
mod text;
mod themes;
mod vectors;

pub use papers::{Batch, Change, Filter, StoredPaper};
pub use scan::{ScanFile, ScanReader};
pub use themes::{ClusteringRecord, Membership, ThemeRecord};
pub use vectors::{ModelKey, ModelRecord};

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, Problem, Result};

/// The key of a paper inside its collection; stable while the paper is stored.
pub type RowId = i64;

/// How long a command waits for another one that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it waits where it can do without.
const SHORT_TIMEOUT: Duration = Duration::from_secs(2);

/// An open collection.
#[derive(Debug)]
pub struct Collection {
    connection: Connection,
    path: PathBuf,
    writable: bool,
}

impl Collection {
    /// Opens a collection to read and write, making it where there is none.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file is not a collection, comes from a newer version or cannot be written.
    pub fn create_or_open(path: &Path) -> Result<Self> {
        check_parent(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Self::connect(path, flags, true, BUSY_TIMEOUT)?.prepared()
    }

    /// Opens an existing collection to read and write.
    ///
    /// # Errors
    /// As [`Self::create_or_open`], and where there is no such file.
    pub fn open(path: &Path) -> Result<Self> {
        check_exists(path)?;
        Self::create_or_open(path)
    }

    /// Opens an existing collection to write what is derived, and waits only shortly for others that write.
    fn open_for_upkeep(path: &Path) -> Result<Self> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, true, SHORT_TIMEOUT)?.prepared()
    }

    /// Opens an existing collection to read. A disk that cannot be written is no obstacle.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file is missing, is not a collection or comes from another version.
    pub fn open_read_only(path: &Path) -> Result<Self> {
        check_exists(path)?;
        let collection = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, false, BUSY_TIMEOUT)?;
        match schema::check_current(&collection.connection) {
            Ok(()) => Ok(collection),
            // What cannot be written is read as it is, if it can be.
            Err(problem) if problem.needs_migration() => Self::open(path).or_else(|error| {
                schema::check_readable(&collection.connection).map(|()| collection).map_err(|_| error)
            }),
            Err(problem) if problem.cannot_share_memory() => Self::open_immutable(path),
            Err(problem) => Err(problem.into_error(path)),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this handle may write.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Counts every change of a vector or of a paper's presence; what is derived remembers the count it was made at.
    ///
    /// # Errors
    /// [`Error::Collection`] where the collection cannot be read.
    pub fn generation(&self) -> Result<u64> {
        self.read(|connection| schema::meta_number(connection, "generation"))
    }

    /// A random number given to the collection when it was made.
    ///
    /// # Errors
    /// [`Error::Collection`] where the collection cannot be read.
    pub fn identity(&self) -> Result<u64> {
        self.read(|connection| schema::meta_number(connection, "identity"))
    }

    /// The size on disk, in bytes, of the file and of what belongs to it.
    pub fn bytes_on_disk(&self) -> u64 {
        let belonging = ["", "-wal", ".scan"].map(|suffix| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            std::fs::metadata(name).map_or(0, |file| file.len())
        });
        belonging.iter().sum()
    }

    /// SQLite's own check of the file: the problems found, none where it is sound.
    ///
    /// # Errors
    /// [`Error::Collection`] where the collection cannot be read.
    pub fn problems(&self) -> Result<Vec<String>> {
        let found: Vec<String> = self.read(|connection| {
            let mut statement = connection.prepare("PRAGMA quick_check(20)")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    fn connect(path: &Path, flags: OpenFlags, writable: bool, patience: Duration) -> Result<Self> {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .and_then(|connection| connection.busy_timeout(patience).map(|()| connection))
            .map_err(|error| sql_error(path, error))?;
        Ok(Self { connection, path: path.to_owned(), writable })
    }

    /// A write-ahead log needs a shared-memory file; on a disk that refuses it, the file itself is all there is.
    fn open_immutable(path: &Path) -> Result<Self> {
        let uri = format!("file:{}?immutable=1", path.display().to_string().replace('?', "%3f").replace('#', "%23"));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let mut collection = Self::connect(Path::new(&uri), flags, false, BUSY_TIMEOUT)?;
        path.clone_into(&mut collection.path);
        schema::check_readable(&collection.connection).map_err(|problem| problem.into_error(path))?;
        Ok(collection)
    }

    /// With its tables made, or brought up to date.
    fn prepared(mut self) -> Result<Self> {
        match schema::prepare(&mut self.connection) {
            Ok(()) => Ok(self),
            Err(problem) => Err(problem.into_error(&self.path)),
        }
    }

    fn read<T>(&self, action: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        action(&self.connection).map_err(|error| sql_error(&self.path, error))
    }

    /// Runs `action` in one transaction: all of it is stored, or nothing.
    fn write<T>(&mut self, action: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let path = &self.path;
        let run = || {
            let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let value = action(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|error| sql_error(path, error))
    }
}

fn check_exists(path: &Path) -> Result<()> {
    if path.is_dir() {
        let problem = Problem::new(format!("`{}`", path.display()), "is a folder, not a collection");
        return Err(Error::Collection(problem.hint("name the collection's file, for instance papers.db")));
    }
    if !path.exists() {
        let problem = Problem::new(format!("`{}`", path.display()), "there is no such collection");
        return Err(Error::Collection(
            problem.hint("make one with `thematic embed FILES -c papers.db`, or name another with -c"),
        ));
    }
    Ok(())
}

fn check_parent(path: &Path) -> Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) if !parent.is_dir() => {
            let problem = Problem::new(format!("`{}`", path.display()), "its folder does not exist");
            Err(Error::Collection(problem.hint("make the folder first, or choose another place with -c")))
        }
        _ => Ok(()),
    }
}

fn sql_error(path: &Path, error: rusqlite::Error) -> Error {
    let thing = format!("`{}`", path.display());
    let (cause, hint) = explain(&error);
    let mut problem = Problem::new(thing, cause).source(error);
    if let Some(hint) = hint {
        problem = problem.hint(hint);
    }
    Error::Collection(problem)
}

fn explain(error: &rusqlite::Error) -> (String, Option<&'static str>) {
    let code = error.sqlite_error_code();
    match code {
        Some(ErrorCode::NotADatabase) => {
            ("is not a collection".into(), Some("name a file that `thematic embed -c` made, or a new file"))
        }
        Some(ErrorCode::DiskFull) => {
            ("the disk is full; what was stored before is safe".into(), Some("free some space and run it again"))
        }
        Some(ErrorCode::ReadOnly) => {
            ("cannot be written".into(), Some("check its permissions and the disk, or copy it to where you may write"))
        }
        Some(ErrorCode::CannotOpen) => ("cannot be opened".into(), Some("check the path and its permissions")),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ("another program is writing to it".into(), Some("wait until that is done and run it again"))
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            ("is damaged".into(), Some("restore a copy, or make it again from the papers"))
        }
        Some(ErrorCode::SystemIoFailure) => {
            ("the disk failed while it was read or written".into(), Some("check the disk and its free space"))
        }
        _ => (error.to_string(), None),
    }
}
