//! The upkeep of the lexical index: what the writing of papers leaves to be done later.
//!
//! The triggers of the schema note, in the transaction that writes a paper, what the index does not hold yet or holds
//! no more. Here that is made up for, in steps of one transaction each: a kill or Ctrl-C between two leaves a whole
//! collection and an index that knows what it lacks.

use rusqlite::{Connection, params};

use super::{Collection, RowId, schema};
use crate::error::{Error, Result};
use crate::progress::{Phase, Progress};

/// Papers that are indexed in one transaction: others that want to write wait for some tenths of a second.
const STEP_PAPERS: i64 = 4096;

const INDEXED_ROW: &str = "indexed_row";

/// What the index lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Backlog {
    /// Papers there are.
    papers: u64,
    /// Papers that are not in it.
    added: u64,
    /// Rows of which it holds a text that is no longer theirs.
    changed: u64,
}

impl Backlog {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT (SELECT count(*) FROM paper),
                          (SELECT count(*) FROM paper WHERE row > (SELECT value FROM meta WHERE key = ?1)),
                          (SELECT count(*) FROM lexical_change)";
        connection.query_row(sql, [INDEXED_ROW], |row| {
            let count = |column| row.get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0));
            Ok(Self { papers: count(0)?, added: count(1)?, changed: count(2)? })
        })
    }

    fn total(self) -> u64 {
        self.added + self.changed
    }

    /// A changed text is taken out and put in, and taking out costs as much.
    fn is_dearer_than_all(self) -> bool {
        self.added + 2 * self.changed > self.papers
    }
}

impl Collection {
    /// Brings the lexical index up to date and says of how many papers that was; they are reported to `progress`.
    /// What was done when the work is cut off is kept.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be written, [`Error::Interrupted`].
    pub fn index_text(&mut self, progress: &dyn Progress) -> Result<u64> {
        let backlog = self.index_backlog()?;
        if backlog == 0 {
            return Ok(0);
        }
        progress.begin(Phase { doing: "indexing words", units: "papers", total: Some(backlog) });
        let indexed = self.index_in_steps(progress);
        progress.end();
        indexed
    }

    fn index_in_steps(&mut self, progress: &dyn Progress) -> Result<u64> {
        let mut indexed = 0;
        loop {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            let done = self.index_step()?;
            if done == 0 {
                return Ok(indexed);
            }
            indexed += done;
            progress.advance(done);
        }
    }

    /// How many papers the index lacks, before [`Self::index_step`] is called until none is left. An index of which too
    /// much has changed is emptied first.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be written.
    pub fn index_backlog(&mut self) -> Result<u64> {
        let backlog = self.read(Backlog::of)?;
        if backlog.changed == 0 || !backlog.is_dearer_than_all() {
            return Ok(backlog.total());
        }
        let backlog = self.write(|transaction| {
            empty(transaction)?;
            Backlog::of(transaction)
        })?;
        Ok(backlog.total())
    }

    /// Indexes some of the papers that the index lacks, and says how many; none is left where that is 0.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be written; what was done before is kept.
    pub fn index_step(&mut self) -> Result<u64> {
        self.write(|transaction| step(transaction, STEP_PAPERS))
    }
}

/// Whether the index holds the text of every paper as it is now, and no other.
pub(super) fn is_current(connection: &Connection) -> rusqlite::Result<bool> {
    if schema::indexes_at_once(connection)? {
        return Ok(true);
    }
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM paper WHERE row > (SELECT value FROM meta WHERE key = ?1))
               AND NOT EXISTS (SELECT 1 FROM lexical_change)";
    connection.query_row(sql, [INDEXED_ROW], |row| row.get(0))
}

/// Takes everything out.
fn empty(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .execute_batch("INSERT INTO paper_text (paper_text) VALUES ('delete-all'); DELETE FROM lexical_change;")?;
    schema::set_meta_number(connection, INDEXED_ROW, 0)
}

/// Indexes up to `limit` papers, and says how many; 0 where nothing is left to do. Texts that are no longer a paper's go
/// first: a new paper may stand on the row of one that was removed.
fn step(connection: &Connection, limit: i64) -> rusqlite::Result<u64> {
    match step_of_changed(connection, limit)? {
        0 => step_of_added(connection, limit),
        changed => Ok(changed),
    }
}

fn step_of_changed(connection: &Connection, limit: i64) -> rusqlite::Result<u64> {
    let last = "SELECT max(row) FROM (SELECT row FROM lexical_change ORDER BY row LIMIT ?1)";
    let Some(last) = connection.query_row(last, [limit], |row| row.get::<_, Option<RowId>>(0))? else { return Ok(0) };
    let take_out = "INSERT INTO paper_text (paper_text, rowid, title, abstract)
                    SELECT 'delete', row, title, abstract FROM lexical_change WHERE row <= ?1 ORDER BY row";
    // What stands above `indexed_row` is new, and put in with all that is.
    let put_in = "INSERT INTO paper_text (rowid, title, abstract)
                  SELECT p.row, p.title, p.abstract FROM lexical_change c JOIN paper p ON p.row = c.row
                  WHERE c.row <= ?1 AND c.row <= (SELECT value FROM meta WHERE key = ?2) ORDER BY c.row";
    connection.execute(take_out, [last])?;
    connection.execute(put_in, params![last, INDEXED_ROW])?;
    Ok(connection.execute("DELETE FROM lexical_change WHERE row <= ?1", [last])? as u64)
}

fn step_of_added(connection: &Connection, limit: i64) -> rusqlite::Result<u64> {
    let first = schema::meta_number(connection, INDEXED_ROW)? as RowId;
    let last = "SELECT max(row) FROM (SELECT row FROM paper WHERE row > ?1 ORDER BY row LIMIT ?2)";
    let last = connection.query_row(last, [first, limit], |row| row.get::<_, Option<RowId>>(0))?;
    let Some(last) = last else { return Ok(0) };
    let put_in = "INSERT INTO paper_text (rowid, title, abstract)
                  SELECT row, title, abstract FROM paper WHERE row > ?1 AND row <= ?2 ORDER BY row";
    let added = connection.execute(put_in, [first, last])?;
    schema::set_meta_number(connection, INDEXED_ROW, last)?;
    Ok(added as u64)
}
