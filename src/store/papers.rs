//! Papers in the collection: written whole, found by any of their names, handed out in the order of their ids.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::Value as SqlValue;
use rusqlite::{
    CachedStatement, Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params, params_from_iter,
};

use super::{Collection, RowId, sql_error};
use crate::error::{Error, Result};
use crate::paper::{Date, Identifier, Paper, PaperId, Provenance};

/// A paper and its place in the collection.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPaper {
    /// Its key.
    pub row: RowId,
    /// The paper.
    pub paper: Paper,
}

/// Which papers a question is about; an empty filter is all of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Papers dated so or later; a year is its first day.
    pub from: Option<Date>,
    /// Papers dated so or earlier; a year is its last day.
    pub until: Option<Date>,
    /// Papers with one of these categories, as they are written, upper and lower case alike; `cs` covers `cs.CL`.
    pub categories: Vec<String>,
    /// Papers of one of these themes.
    pub themes: Vec<u32>,
    /// Papers from files whose name contains one of these.
    pub sources: Vec<String>,
}

impl Filter {
    /// Whether it leaves nothing out.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Collection {
    /// How many papers there are.
    ///
    /// # Errors
    /// As every reading method, [`Error::Collection`] where the file cannot be read.
    pub fn count(&self) -> Result<usize> {
        let count: i64 =
            self.read(|connection| connection.query_row("SELECT count(*) FROM paper", [], |row| row.get(0)))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// How many papers have an abstract.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn count_with_abstract(&self) -> Result<usize> {
        let sql = "SELECT count(*) FROM paper WHERE abstract <> ''";
        let count: i64 = self.read(|connection| connection.query_row(sql, [], |row| row.get(0)))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Runs `action` in one transaction: all that it writes is stored, or nothing.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be written, and whatever `action` returns.
    pub fn batch<T>(&mut self, action: impl FnOnce(&Batch<'_>) -> Result<T>) -> Result<T> {
        let path = self.path.clone();
        let failed = |error| sql_error(&path, error);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let batch = Batch { transaction, path: &path };
        let value = action(&batch)?;
        batch.transaction.commit().map_err(failed)?;
        Ok(value)
    }

    /// Removes papers with everything that hangs on them; says how many there were.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be written; then none is removed.
    pub fn remove_papers(&mut self, rows: &[RowId]) -> Result<usize> {
        self.write(|transaction| {
            let mut statement = transaction.prepare_cached("DELETE FROM paper WHERE row = ?1")?;
            rows.iter().map(|row| statement.execute([row])).sum()
        })
    }

    /// The papers of `rows`, in that order; rows that are not there are left out.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn papers(&self, rows: &[RowId]) -> Result<Vec<StoredPaper>> {
        self.read(|connection| {
            let mut reader = PaperReader::new(connection)?;
            rows.iter().filter_map(|row| reader.get(*row).transpose()).collect()
        })
    }

    /// Calls `visit` with every paper in the order of ids.
    ///
    /// # Errors
    /// As [`Self::count`], and whatever `visit` returns.
    pub fn for_each_paper(&self, mut visit: impl FnMut(StoredPaper) -> Result<()>) -> Result<()> {
        let failed = |error| sql_error(&self.path, error);
        let mut reader = PaperReader::new(&self.connection).map_err(failed)?;
        for row in self.rows_by_id()? {
            if let Some(stored) = reader.get(row).map_err(failed)? {
                visit(stored)?;
            }
        }
        Ok(())
    }

    /// Every row in the order of paper ids.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn rows_by_id(&self) -> Result<Vec<RowId>> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT row FROM paper ORDER BY id")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// The id of every row, in the order of ids.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn ids(&self) -> Result<Vec<(RowId, PaperId)>> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT row, id FROM paper ORDER BY id")?;
            statement.query_map([], |row| Ok((row.get(0)?, PaperId::new(row.get::<_, String>(1)?))))?.collect()
        })
    }

    /// The first and the last date, where any paper has one.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn date_range(&self) -> Result<Option<(String, String)>> {
        let range: (Option<String>, Option<String>) = self.read(|connection| {
            connection.query_row("SELECT min(date), max(date) FROM paper", [], |row| Ok((row.get(0)?, row.get(1)?)))
        })?;
        Ok(range.0.zip(range.1))
    }

    /// The deduplication keys of every paper, as they were stored.
    ///
    /// # Errors
    /// As [`Self::count`], and whatever `visit` returns.
    pub fn for_each_key(&self, mut visit: impl FnMut(RowId, &[u8]) -> Result<()>) -> Result<()> {
        let failed = |error| sql_error(&self.path, error);
        let mut statement = self.connection.prepare("SELECT row, keys FROM paper ORDER BY row").map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let keys = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(failed)?;
            visit(row.get(0).map_err(failed)?, keys)?;
        }
        Ok(())
    }

    /// The paper that goes by `name`: an id or alias in any of the spellings people use.
    ///
    /// # Errors
    /// [`Error::UnknownPaper`], with names that resemble it, where there is none.
    pub fn find(&self, name: &str) -> Result<RowId> {
        let exact = name.trim();
        let canonical = Identifier::parse(exact).to_id();
        for candidate in [exact, canonical.as_str()] {
            if let Some(row) = self.row_of_alias(candidate)? {
                return Ok(row);
            }
        }
        let similar = self.similar_names(exact)?;
        Err(Error::UnknownPaper { id: exact.to_owned(), place: format!("`{}`", self.path.display()), similar })
    }

    /// The row of exactly this id or alias.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn row_of_alias(&self, alias: &str) -> Result<Option<RowId>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT paper FROM alias WHERE alias = ?1")?;
            statement.query_row([alias], |row| row.get(0)).optional()
        })
    }

    /// The rows that pass `filter`, in the order of ids.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn rows_matching(&self, filter: &Filter) -> Result<Vec<RowId>> {
        let (condition, values) = filter_sql(filter);
        self.read(|connection| {
            let mut statement =
                connection.prepare(&format!("SELECT p.row FROM paper p WHERE {condition} ORDER BY p.id"))?;
            statement.query_map(params_from_iter(values), |row| row.get(0))?.collect()
        })
    }

    fn similar_names(&self, name: &str) -> Result<Vec<String>> {
        let tail = name.rsplit([':', '/']).next().unwrap_or(name);
        if tail.chars().count() < 3 {
            return Ok(Vec::new());
        }
        let pattern = format!("%{}%", tail.replace(['%', '_'], ""));
        self.read(|connection| {
            let sql = "SELECT alias FROM alias WHERE alias LIKE ?1 ORDER BY length(alias), alias LIMIT 3";
            connection.prepare(sql)?.query_map([pattern], |row| row.get(0))?.collect()
        })
    }
}

/// One paper to write: new where `row` is `None`, else in the place of that row.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The row to replace.
    pub row: Option<RowId>,
    /// Rows that turned out to be the same paper: removed first.
    pub absorbs: &'a [RowId],
    /// What to store.
    pub paper: &'a Paper,
    /// Its deduplication keys.
    pub keys: &'a [u8],
}

/// An open transaction that papers are read from and written to.
#[derive(Debug)]
pub struct Batch<'c> {
    transaction: Transaction<'c>,
    path: &'c Path,
}

impl Batch<'_> {
    /// The paper of `row`, as the batch has left it.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be read.
    pub fn paper(&self, row: RowId) -> Result<Option<Paper>> {
        let found = PaperReader::new(&self.transaction).and_then(|mut reader| reader.get(row));
        Ok(found.map_err(|error| sql_error(self.path, error))?.map(|stored| stored.paper))
    }

    /// Writes a paper and says where it stands.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be written.
    pub fn put(&self, change: &Change<'_>) -> Result<RowId> {
        put(&self.transaction, change).map_err(|error| sql_error(self.path, error))
    }
}

fn put(transaction: &Transaction<'_>, change: &Change<'_>) -> rusqlite::Result<RowId> {
    for row in change.absorbs {
        transaction.prepare_cached("DELETE FROM paper WHERE row = ?1")?.execute([row])?;
    }
    let row = match change.row {
        Some(row) => update(transaction, row, change)?,
        None => insert(transaction, change)?,
    };
    put_lists(transaction, row, change.paper)?;
    Ok(row)
}

fn insert(transaction: &Transaction<'_>, change: &Change<'_>) -> rusqlite::Result<RowId> {
    let sql = "INSERT INTO paper (id, title, abstract, date, venue, doi, url, authors, keywords, extra, keys)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let mut statement = transaction.prepare_cached(sql)?;
    bind(&mut statement, change)?;
    statement.raw_execute()?;
    Ok(transaction.last_insert_rowid())
}

fn update(transaction: &Transaction<'_>, row: RowId, change: &Change<'_>) -> rusqlite::Result<RowId> {
    let sql = "UPDATE paper SET id = ?1, title = ?2, abstract = ?3, date = ?4, venue = ?5, doi = ?6, url = ?7,
               authors = ?8, keywords = ?9, extra = ?10, keys = ?11 WHERE row = ?12";
    let mut statement = transaction.prepare_cached(sql)?;
    bind(&mut statement, change)?;
    statement.raw_bind_parameter(12, row)?;
    statement.raw_execute()?;
    for table in ["alias", "category", "provenance"] {
        transaction.prepare_cached(&format!("DELETE FROM {table} WHERE paper = ?1"))?.execute([row])?;
    }
    Ok(row)
}

fn bind(statement: &mut CachedStatement<'_>, change: &Change<'_>) -> rusqlite::Result<()> {
    let paper = change.paper;
    statement.raw_bind_parameter(1, paper.id.as_str())?;
    statement.raw_bind_parameter(2, &paper.title)?;
    statement.raw_bind_parameter(3, &paper.abstract_text)?;
    statement.raw_bind_parameter(4, paper.date.map(|date| date.to_string()))?;
    statement.raw_bind_parameter(5, paper.venue.as_deref())?;
    statement.raw_bind_parameter(6, paper.doi.as_deref())?;
    statement.raw_bind_parameter(7, paper.url.as_deref())?;
    statement.raw_bind_parameter(8, to_json(&paper.authors))?;
    statement.raw_bind_parameter(9, to_json(&paper.keywords))?;
    statement.raw_bind_parameter(10, to_json(&paper.extra))?;
    statement.raw_bind_parameter(11, change.keys)
}

fn put_lists(transaction: &Transaction<'_>, row: RowId, paper: &Paper) -> rusqlite::Result<()> {
    // A name belongs to the paper that had it first: two papers never share one.
    let mut alias = transaction.prepare_cached("INSERT OR IGNORE INTO alias (alias, paper) VALUES (?1, ?2)")?;
    for id in paper.ids() {
        alias.execute(params![id.as_str(), row])?;
    }
    let mut category =
        transaction.prepare_cached("INSERT INTO category (paper, position, name) VALUES (?1, ?2, ?3)")?;
    for (position, name) in paper.categories.iter().enumerate() {
        category.execute(params![row, position as i64, name])?;
    }
    let mut provenance =
        transaction.prepare_cached("INSERT OR IGNORE INTO provenance (paper, file, line) VALUES (?1, ?2, ?3)")?;
    for place in &paper.provenance {
        provenance.execute(params![row, place.file, place.line.unwrap_or(0) as i64])?;
    }
    Ok(())
}

/// Strings, numbers and string-keyed maps always serialise.
fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The statements that together read one paper, prepared once.
struct PaperReader<'c> {
    paper: CachedStatement<'c>,
    aliases: CachedStatement<'c>,
    categories: CachedStatement<'c>,
    provenance: CachedStatement<'c>,
}

impl<'c> PaperReader<'c> {
    fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let columns = "id, title, abstract, date, venue, doi, url, authors, keywords, extra";
        Ok(Self {
            paper: connection.prepare_cached(&format!("SELECT {columns} FROM paper WHERE row = ?1"))?,
            aliases: connection.prepare_cached("SELECT alias FROM alias WHERE paper = ?1 ORDER BY alias")?,
            categories: connection.prepare_cached("SELECT name FROM category WHERE paper = ?1 ORDER BY position")?,
            provenance: connection
                .prepare_cached("SELECT file, line FROM provenance WHERE paper = ?1 ORDER BY file, line")?,
        })
    }

    fn get(&mut self, row: RowId) -> rusqlite::Result<Option<StoredPaper>> {
        let Some(mut paper) = self.paper.query_row([row], scalar_fields).optional()? else { return Ok(None) };
        let names: Vec<String> = self.aliases.query_map([row], |alias| alias.get(0))?.collect::<Result<_, _>>()?;
        paper.aliases = names.into_iter().map(PaperId::new).filter(|name| *name != paper.id).collect();
        paper.categories = self.categories.query_map([row], |name| name.get(0))?.collect::<Result<_, _>>()?;
        paper.provenance = self.provenance.query_map([row], provenance_field)?.collect::<Result<_, _>>()?;
        Ok(Some(StoredPaper { row, paper }))
    }
}

fn scalar_fields(row: &Row<'_>) -> rusqlite::Result<Paper> {
    let date: Option<String> = row.get(3)?;
    Ok(Paper {
        id: PaperId::new(row.get::<_, String>(0)?),
        aliases: Vec::new(),
        title: row.get(1)?,
        abstract_text: row.get(2)?,
        authors: from_json(&row.get::<_, String>(7)?),
        date: date.and_then(|date| date.parse().ok()),
        categories: Vec::new(),
        venue: row.get(4)?,
        doi: row.get(5)?,
        url: row.get(6)?,
        keywords: from_json(&row.get::<_, String>(8)?),
        extra: from_json::<BTreeMap<_, _>>(&row.get::<_, String>(9)?),
        provenance: Vec::new(),
    })
}

fn provenance_field(row: &Row<'_>) -> rusqlite::Result<Provenance> {
    let line: i64 = row.get(1)?;
    Ok(Provenance { file: row.get(0)?, line: u64::try_from(line).ok().filter(|line| *line > 0) })
}

/// What this module wrote, this module reads; a value of another shape can only come from outside and is left out.
fn from_json<T: serde::de::DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

fn filter_sql(filter: &Filter) -> (String, Vec<SqlValue>) {
    let mut conditions = vec!["1".to_owned()];
    let mut values: Vec<SqlValue> = Vec::new();
    if let Some(from) = filter.from {
        conditions.push("p.date >= ?".into());
        values.push(from.to_string().into());
    }
    if let Some(until) = filter.until {
        // `2023~` sorts behind every day of 2023, since a date is a prefix of its more exact forms.
        conditions.push("p.date <= ?".into());
        values.push(format!("{until}~").into());
    }
    any_of(
        &mut conditions,
        &filter.categories,
        |_| "EXISTS (SELECT 1 FROM category c WHERE c.paper = p.row AND (lower(c.name) = lower(?) OR lower(c.name) LIKE lower(?)))",
    );
    for name in &filter.categories {
        values.extend([name.clone().into(), format!("{name}.%").into()]);
    }
    any_of(
        &mut conditions,
        &filter.themes,
        |_| "EXISTS (SELECT 1 FROM membership m WHERE m.paper = p.row AND m.theme = ?)",
    );
    values.extend(filter.themes.iter().map(|theme| SqlValue::from(i64::from(*theme))));
    any_of(
        &mut conditions,
        &filter.sources,
        |_| "EXISTS (SELECT 1 FROM provenance s WHERE s.paper = p.row AND instr(s.file, ?) > 0)",
    );
    values.extend(filter.sources.iter().map(|source| SqlValue::from(source.clone())));
    (conditions.join(" AND "), values)
}

fn any_of<T>(conditions: &mut Vec<String>, wanted: &[T], condition: impl Fn(&T) -> &'static str) {
    if !wanted.is_empty() {
        conditions.push(format!("({})", wanted.iter().map(condition).collect::<Vec<_>>().join(" OR ")));
    }
}
