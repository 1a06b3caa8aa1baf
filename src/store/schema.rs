//! The tables, and the way from an older version to this one.
//!
//! `application_id` says that a SQLite file is a collection, `user_version` which version of the tables it holds. A
//! migration is one step from a version to the next, in one transaction.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use crate::error::{Error, Problem};

/// `them` in ASCII.
const APPLICATION_ID: i64 = 0x7468_656d;

/// Step `n` brings version `n` to `n + 1`; an empty file is version 0.
const MIGRATIONS: &[&str] = &[V1, V2];

/// What reading needs, every version since has.
const OLDEST_READABLE: usize = 1;
/// From this version on the lexical index is filled after papers are written.
const INDEXES_LATER: i64 = 2;

const V1: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 1), ('identity', abs(random() / 2));

CREATE TABLE paper (
    row       INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    title     TEXT NOT NULL,
    abstract  TEXT NOT NULL,
    date      TEXT,
    venue     TEXT,
    doi       TEXT,
    url       TEXT,
    authors   TEXT NOT NULL DEFAULT '[]',
    keywords  TEXT NOT NULL DEFAULT '[]',
    extra     TEXT NOT NULL DEFAULT '{}',
    keys      BLOB NOT NULL
);
-- Every name of a paper, its id included.
CREATE TABLE alias (
    alias TEXT PRIMARY KEY,
    paper INTEGER NOT NULL REFERENCES paper (row) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX alias_of_paper ON alias (paper);
CREATE TABLE category (
    paper    INTEGER NOT NULL REFERENCES paper (row) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name     TEXT NOT NULL,
    PRIMARY KEY (paper, position)
) WITHOUT ROWID;
CREATE TABLE provenance (
    paper INTEGER NOT NULL REFERENCES paper (row) ON DELETE CASCADE,
    file  TEXT NOT NULL,
    line  INTEGER NOT NULL, -- 0 where the source has no lines
    PRIMARY KEY (paper, file, line)
) WITHOUT ROWID;

CREATE TABLE model (
    key        INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    revision   TEXT NOT NULL,
    prompt     TEXT NOT NULL,
    pooling    TEXT NOT NULL,
    max_length INTEGER NOT NULL,
    precision  TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    source     TEXT NOT NULL,
    UNIQUE (name, revision, prompt, pooling, max_length, precision, dimensions)
);
CREATE TABLE vector (
    row       INTEGER PRIMARY KEY,
    paper     INTEGER NOT NULL REFERENCES paper (row) ON DELETE CASCADE,
    model     INTEGER NOT NULL REFERENCES model (key) ON DELETE CASCADE,
    text_hash TEXT NOT NULL,
    value     BLOB NOT NULL, -- little-endian f32
    UNIQUE (model, paper)
);
CREATE INDEX vector_of_paper ON vector (paper);

CREATE TABLE clustering (
    key      INTEGER PRIMARY KEY CHECK (key = 1), -- one current clustering
    model    INTEGER NOT NULL REFERENCES model (key) ON DELETE CASCADE,
    settings TEXT NOT NULL,
    figures  TEXT NOT NULL
);
CREATE TABLE theme (
    number   INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,
    size     INTEGER NOT NULL,
    terms    TEXT NOT NULL,
    figures  TEXT NOT NULL,
    centroid BLOB NOT NULL
);
CREATE TABLE membership (
    paper      INTEGER PRIMARY KEY REFERENCES paper (row) ON DELETE CASCADE,
    theme      INTEGER REFERENCES theme (number) ON DELETE CASCADE,
    similarity REAL NOT NULL,
    margin     REAL NOT NULL
);
CREATE INDEX member_of_theme ON membership (theme);

CREATE VIRTUAL TABLE paper_text USING fts5 (
    title, abstract, content = 'paper', content_rowid = 'row', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER paper_added AFTER INSERT ON paper BEGIN
    INSERT INTO paper_text (rowid, title, abstract) VALUES (new.row, new.title, new.abstract);
END;
CREATE TRIGGER paper_removed AFTER DELETE ON paper BEGIN
    INSERT INTO paper_text (paper_text, rowid, title, abstract)
    VALUES ('delete', old.row, old.title, old.abstract);
    UPDATE meta SET value = value + 1 WHERE key = 'generation';
END;
-- A vector of a text that is no longer the paper's is no vector of the paper.
CREATE TRIGGER paper_text_changed AFTER UPDATE OF title, abstract ON paper
WHEN old.title IS NOT new.title OR old.abstract IS NOT new.abstract BEGIN
    INSERT INTO paper_text (paper_text, rowid, title, abstract)
    VALUES ('delete', old.row, old.title, old.abstract);
    INSERT INTO paper_text (rowid, title, abstract) VALUES (new.row, new.title, new.abstract);
    DELETE FROM vector WHERE paper = new.row;
    UPDATE meta SET value = value + 1 WHERE key = 'generation';
END;
-- The order of rows is the order of ids, and what is derived depends on it.
CREATE TRIGGER paper_renamed AFTER UPDATE OF id ON paper WHEN old.id IS NOT new.id BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'generation';
END;
";

/// The lexical index is no longer filled while papers are written. It holds, for every paper up to `indexed_row`, its
/// text; for the rows in `lexical_change`, whether a paper stands there or not, the text that is noted there. Rows are
/// given away in ascending order and `indexed_row` is never above the last: no paper can come to stand below it.
const V2: &str = "
CREATE TABLE lexical_change (
    row      INTEGER PRIMARY KEY,
    title    TEXT NOT NULL,
    abstract TEXT NOT NULL
);
INSERT INTO meta SELECT 'indexed_row', coalesce(max(row), 0) FROM paper;
-- Words that are gathered in memory, in bytes, before they are written: the default of 1 MB makes more to merge.
INSERT INTO paper_text (paper_text, rank) VALUES ('hashsize', 16777216);

DROP TRIGGER paper_added;
DROP TRIGGER paper_removed;
DROP TRIGGER paper_text_changed;
CREATE TRIGGER paper_removed AFTER DELETE ON paper BEGIN
    INSERT OR IGNORE INTO lexical_change SELECT old.row, old.title, old.abstract
    WHERE old.row <= (SELECT value FROM meta WHERE key = 'indexed_row');
    UPDATE meta SET value = min(value, coalesce((SELECT max(row) FROM paper), 0)) WHERE key = 'indexed_row';
    UPDATE meta SET value = value + 1 WHERE key = 'generation';
END;
-- A vector of a text that is no longer the paper's is no vector of the paper.
CREATE TRIGGER paper_text_changed AFTER UPDATE OF title, abstract ON paper
WHEN old.title IS NOT new.title OR old.abstract IS NOT new.abstract BEGIN
    INSERT OR IGNORE INTO lexical_change SELECT old.row, old.title, old.abstract
    WHERE old.row <= (SELECT value FROM meta WHERE key = 'indexed_row');
    DELETE FROM vector WHERE paper = new.row;
    UPDATE meta SET value = value + 1 WHERE key = 'generation';
END;
";

/// Why a file cannot be used as a collection as it is.
#[derive(Debug)]
pub(super) enum SchemaProblem {
    NotACollection,
    Newer { found: i64 },
    Older,
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for SchemaProblem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl SchemaProblem {
    pub(super) fn needs_migration(&self) -> bool {
        matches!(self, Self::Older)
    }

    pub(super) fn cannot_share_memory(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
    }

    pub(super) fn into_error(self, path: &Path) -> Error {
        let thing = format!("`{}`", path.display());
        Error::Collection(match self {
            Self::NotACollection => Problem::new(thing, "is a SQLite file, but not a collection")
                .hint("name a file that `thematic embed -c` made, or a new file"),
            Self::Newer { found } => {
                Problem::new(thing, format!("is of version {found}, this program knows {}", MIGRATIONS.len()))
                    .hint("use the newer thematic that wrote it")
            }
            Self::Older => Problem::new(thing, "is of an older version").hint("open it once where it can be written"),
            Self::Sql(error) => return super::sql_error(path, error),
        })
    }
}

/// Makes the tables in an empty file, or brings an older collection up to date.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), SchemaProblem> {
    if version(connection)? == 0 {
        // Before the first table: 384 floats and their keys share a page of this size well.
        connection.pragma_update(None, "page_size", 8192)?;
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&transaction)?;
    for step in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(step)?;
    }
    if from < MIGRATIONS.len() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Checks that a file opened for reading needs no migration.
pub(super) fn check_current(connection: &Connection) -> Result<(), SchemaProblem> {
    if version(connection)? < MIGRATIONS.len() { Err(SchemaProblem::Older) } else { Ok(()) }
}

/// Checks that a file that cannot be written answers as it is.
pub(super) fn check_readable(connection: &Connection) -> Result<(), SchemaProblem> {
    if version(connection)? < OLDEST_READABLE { Err(SchemaProblem::Older) } else { Ok(()) }
}

/// Whether the lexical index is filled by every write, and so is never stale.
pub(super) fn indexes_at_once(connection: &Connection) -> rusqlite::Result<bool> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version < INDEXES_LATER)
}

/// The version of the tables; 0 for an empty file.
fn version(connection: &Connection) -> Result<usize, SchemaProblem> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, usize::try_from(version)) {
        (APPLICATION_ID, Ok(known)) if known <= MIGRATIONS.len() => Ok(known),
        (APPLICATION_ID, _) => Err(SchemaProblem::Newer { found: version }),
        (0, Ok(0)) if tables == 0 => Ok(0),
        _ => Err(SchemaProblem::NotACollection),
    }
}

pub(super) fn meta_number(connection: &Connection, key: &str) -> rusqlite::Result<u64> {
    let value: Option<i64> =
        connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    Ok(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0))
}

pub(super) fn set_meta_number(connection: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![key, value])?;
    Ok(())
}

pub(super) fn bump_generation(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'", [])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::store::Collection;

    /// A collection as the first version of the tables had it: three papers, indexed by its triggers.
    fn of_the_first_version(path: &Path) {
        let connection = Connection::open(path).expect("a database");
        connection.execute_batch(V1).expect("the tables");
        connection.pragma_update(None, "application_id", APPLICATION_ID).expect("a pragma");
        connection.pragma_update(None, "user_version", 1).expect("a pragma");
        let papers = "INSERT INTO paper (id, title, abstract, keys) VALUES
                      ('a', 'Tides', 'sand', x''), ('b', 'Ice', 'sand and snow', x''), ('c', 'Wind', 'snow', x'');
                      INSERT INTO alias SELECT id, row FROM paper;";
        connection.execute_batch(papers).expect("papers");
    }

    fn found(collection: &Collection, query: &str) -> Vec<i64> {
        let mut rows: Vec<i64> =
            collection.search_text(query, 10, &Silent).expect("an answer").into_iter().map(|(row, _)| row).collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn a_collection_of_the_first_version_answers_where_it_cannot_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("papers.db");
        of_the_first_version(&path);
        let reading = Collection::open_immutable(&path).expect("a collection");
        let current = reading.read(super::super::lexical::is_current).expect("an answer");
        assert!(current, "its index is whole");
        assert_eq!((found(&reading, "sand"), found(&reading, "snow")), (vec![1, 2], vec![2, 3]));
    }

    #[test]
    fn a_collection_of_the_first_version_goes_on_working() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("papers.db");
        of_the_first_version(&path);
        let reading = Collection::open_read_only(&path).expect("brought up to date");
        assert_eq!((found(&reading, "sand"), found(&reading, "snow")), (vec![1, 2], vec![2, 3]));
        let mut collection = Collection::open(&path).expect("a collection");
        assert_eq!(collection.index_text(&Silent).expect("a collection"), 0, "its index is whole and is kept");
        collection.remove_papers(&[3]).expect("a collection");
        let change = "UPDATE paper SET abstract = 'gravel' WHERE row = 2;
                      INSERT INTO paper (id, title, abstract, keys) VALUES ('d', 'Rain', 'snow', x'');";
        collection.connection.execute_batch(change).expect("papers");
        assert_eq!((found(&collection, "sand"), found(&collection, "snow")), (vec![1], vec![3]));
        assert_eq!((found(&reading, "gravel"), found(&reading, "wind")), (vec![2], vec![]));
        assert!(collection.problems().expect("a check").is_empty());
    }
}
