//! Lexical search over titles and abstracts, by SQLite's FTS5 and its BM25.
//!
//! The index is derived: a search that finds it stale brings it up to date first, and where the collection cannot be
//! written, goes by an index of its own that is gone afterwards. The answer is that of the papers as they are.

use rusqlite::{Connection, params};

use super::{Collection, RowId, lexical, sql_error};
use crate::error::{Error, Result};
use crate::progress::{Phase, Progress};

/// How much more a word of the title counts than one of the abstract.
const TITLE_WEIGHT: f64 = 4.0;
/// How often a search brings the index up to date, while others write papers, before it makes one of its own.
const ATTEMPTS: usize = 3;
/// Papers after which the making of an index of its own asks whether it is cancelled.
const STEP_PAPERS: usize = 1024;

/// The index in the collection, and one of the same kind that a search makes for itself.
const STORED: &str = "main.paper_text";
const OWN: &str = "temp.paper_text";
const MAKE_OWN: &str = "CREATE VIRTUAL TABLE temp.paper_text USING fts5 (
    title, abstract, content = '', tokenize = 'porter unicode61 remove_diacritics 2'
)";

/// Rows with their BM25 scores, higher is better.
type Scored = Vec<(RowId, f64)>;

impl Collection {
    /// The papers that contain the words of `query`, best first, with BM25 scores (higher is better). Papers with
    /// all the words come before papers with some of them. The query is words: no operators, nothing to escape.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be read; [`Error::Interrupted`] while a stale index is made up for.
    pub fn search_text(&self, query: &str, limit: usize, progress: &dyn Progress) -> Result<Vec<(RowId, f64)>> {
        let words: Vec<String> = quoted_words(query);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        for _ in 0..ATTEMPTS {
            if let Some(found) = self.search_stored(&words, limit)? {
                return Ok(found);
            }
            match self.make_current(progress) {
                Ok(()) => {}
                Err(Error::Collection(problem)) => {
                    progress.warn(&format!("{problem}: its words are indexed for this search alone"));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.search_own(&words, limit, progress)
    }

    /// By a connection of its own, since this one may be unable to write.
    fn make_current(&self, progress: &dyn Progress) -> Result<()> {
        Self::open_for_upkeep(&self.path)?.index_text(progress).map(|_| ())
    }

    /// By the index in the collection; `None` where it is stale.
    fn search_stored(&self, words: &[String], limit: usize) -> Result<Option<Scored>> {
        self.read(|connection| {
            // One transaction, so that what is found is of the state that was looked at.
            let snapshot = connection.unchecked_transaction()?;
            if lexical::is_current(&snapshot)? { search(&snapshot, STORED, words, limit).map(Some) } else { Ok(None) }
        })
    }

    /// By an index that the search makes for itself and leaves nothing of.
    fn search_own(&self, words: &[String], limit: usize, progress: &dyn Progress) -> Result<Scored> {
        let failed = |error| sql_error(&self.path, error);
        // Its end takes the index back.
        let snapshot = self.connection.unchecked_transaction().map_err(failed)?;
        snapshot.execute_batch(MAKE_OWN).map_err(failed)?;
        progress.begin(Phase { doing: "indexing words", units: "papers", total: Some(self.count()? as u64) });
        let filled = self.fill_own(&snapshot, progress);
        progress.end();
        filled?;
        search(&snapshot, OWN, words, limit).map_err(failed)
    }

    fn fill_own(&self, snapshot: &Connection, progress: &dyn Progress) -> Result<()> {
        let failed = |error| sql_error(&self.path, error);
        let sql = "INSERT INTO temp.paper_text (rowid, title, abstract)
                   SELECT row, title, abstract FROM main.paper WHERE row = ?1";
        let mut statement = snapshot.prepare(sql).map_err(failed)?;
        for rows in self.rows_by_id()?.chunks(STEP_PAPERS) {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            for row in rows {
                statement.execute([row]).map_err(failed)?;
            }
            progress.advance(rows.len() as u64);
        }
        Ok(())
    }
}

/// Papers with all the words, and where those are too few, papers with some of them.
fn search(connection: &Connection, index: &str, words: &[String], limit: usize) -> rusqlite::Result<Scored> {
    let mut found = matching(connection, index, &words.join(" AND "), limit)?;
    if found.len() < limit && words.len() > 1 {
        let partial = matching(connection, index, &words.join(" OR "), limit)?;
        let missing: Vec<_> = partial.into_iter().filter(|(row, _)| found.iter().all(|(f, _)| f != row)).collect();
        found.extend(missing);
        found.truncate(limit);
    }
    Ok(found)
}

fn matching(connection: &Connection, index: &str, expression: &str, limit: usize) -> rusqlite::Result<Scored> {
    let sql = format!(
        "SELECT t.rowid, -bm25(t.paper_text, ?3, 1.0) AS score FROM {index} t JOIN main.paper p ON p.row = t.rowid
         WHERE t.paper_text MATCH ?1 ORDER BY score DESC, p.id LIMIT ?2"
    );
    let mut statement = connection.prepare(&sql)?;
    let parameters = params![expression, limit as i64, TITLE_WEIGHT];
    statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn quoted_words(query: &str) -> Vec<String> {
    let words = query.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| format!("\"{word}\"")).collect()
}

#[cfg(test)]
mod tests {
    use super::quoted_words;

    #[test]
    fn a_query_is_words_and_nothing_to_escape() {
        assert_eq!(
            quoted_words("graph \"neural\" AND NOT* nets"),
            ["\"graph\"", "\"neural\"", "\"AND\"", "\"NOT\"", "\"nets\""]
        );
        assert!(quoted_words("*?! ").is_empty());
    }
}
