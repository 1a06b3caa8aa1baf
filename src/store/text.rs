//! Lexical search over titles and abstracts, by SQLite's FTS5 and its BM25.

use super::{Collection, RowId};
use crate::error::Result;

/// How much more a word of the title counts than one of the abstract.
const TITLE_WEIGHT: f64 = 4.0;

impl Collection {
    /// The papers that contain the words of `query`, best first, with BM25 scores (higher is better). Papers with
    /// all the words come before papers with some of them. The query is words: no operators, nothing to escape.
    ///
    /// # Errors
    /// [`crate::Error::Collection`] where the file cannot be read.
    pub fn search_text(&self, query: &str, limit: usize) -> Result<Vec<(RowId, f64)>> {
        let words: Vec<String> = quoted_words(query);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.matching(&words.join(" AND "), limit)?;
        if found.len() < limit && words.len() > 1 {
            let partial = self.matching(&words.join(" OR "), limit)?;
            let missing: Vec<_> = partial.into_iter().filter(|(row, _)| found.iter().all(|(f, _)| f != row)).collect();
            found.extend(missing);
            found.truncate(limit);
        }
        Ok(found)
    }

    fn matching(&self, expression: &str, limit: usize) -> Result<Vec<(RowId, f64)>> {
        self.read(|connection| {
            let sql = "SELECT t.rowid, -bm25(paper_text, ?3, 1.0) AS score FROM paper_text t
                       JOIN paper p ON p.row = t.rowid
                       WHERE paper_text MATCH ?1 ORDER BY score DESC, p.id LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let parameters = rusqlite::params![expression, limit as i64, TITLE_WEIGHT];
            statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }
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
