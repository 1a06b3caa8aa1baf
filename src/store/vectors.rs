//! Vectors in the collection, each tied to the model that made it and the text it was made from.
//!
//! A collection has one current model, that of the last `embed`. Changing it clears the themes, which were made of
//! other vectors; the older vectors stay and are used again when their model returns.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Collection, RowId, schema, sql_error};
use crate::error::{Error, Problem, Result};
use crate::vectors::Vectors;

/// The key of a model inside its collection.
pub type ModelKey = i64;

/// Everything a vector depends on beside its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelRecord {
    /// As it is known: `sentence-transformers/all-MiniLM-L6-v2`, a folder's name, the embedded default's.
    pub name: String,
    /// The hub's commit, or a hash of the weights.
    pub revision: String,
    /// Put in front of every document; empty where there is none.
    pub prompt: String,
    /// How token vectors become one.
    pub pooling: String,
    /// Tokens beyond this are cut off.
    pub max_length: usize,
    /// `f32`, `bf16`, ...
    pub precision: String,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// What loads it again: a path or a name. Not part of the identity.
    pub source: String,
}

impl Collection {
    /// The key of a model, which is recorded where it is new.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be written.
    pub fn use_model(&mut self, model: &ModelRecord) -> Result<ModelKey> {
        self.write(|transaction| {
            let key = match key_of(transaction, model)? {
                Some(key) => key,
                None => insert_model(transaction, model)?,
            };
            transaction.execute("UPDATE model SET source = ?1 WHERE key = ?2", params![model.source, key])?;
            let before = schema::meta_number(transaction, "current_model")?;
            if before != key as u64 {
                schema::set_meta_number(transaction, "current_model", key)?;
                transaction.execute_batch("DELETE FROM membership; DELETE FROM theme; DELETE FROM clustering;")?;
                schema::bump_generation(transaction)?;
            }
            Ok(key)
        })
    }

    /// The model of the last `embed`.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be read.
    pub fn current_model(&self) -> Result<Option<(ModelKey, ModelRecord)>> {
        self.read(|connection| {
            let key = schema::meta_number(connection, "current_model")? as i64;
            let sql = "SELECT key, name, revision, prompt, pooling, max_length, precision, dimensions, source
                       FROM model WHERE key = ?1";
            connection.query_row(sql, [key], model_fields).optional()
        })
    }

    /// Every model with vectors, and how many it has.
    ///
    /// # Errors
    /// As [`Self::current_model`].
    pub fn models(&self) -> Result<Vec<(ModelKey, ModelRecord, usize)>> {
        self.read(|connection| {
            let sql = "SELECT key, name, revision, prompt, pooling, max_length, precision, dimensions, source,
                       (SELECT count(*) FROM vector v WHERE v.model = key) FROM model ORDER BY key";
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([], |row| {
                let (key, model) = model_fields(row)?;
                Ok((key, model, row.get::<_, i64>(9)? as usize))
            })?;
            rows.collect()
        })
    }

    /// How many papers have a vector of `model`.
    ///
    /// # Errors
    /// As [`Self::current_model`].
    pub fn count_vectors(&self, model: ModelKey) -> Result<usize> {
        let sql = "SELECT count(*) FROM vector WHERE model = ?1";
        let count: i64 = self.read(|connection| connection.query_row(sql, [model], |row| row.get(0)))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The papers that have no vector of `model` yet, in the order of ids.
    ///
    /// # Errors
    /// As [`Self::current_model`].
    pub fn rows_without_vector(&self, model: ModelKey) -> Result<Vec<RowId>> {
        self.read(|connection| {
            let sql = "SELECT p.row FROM paper p LEFT JOIN vector v ON v.model = ?1 AND v.paper = p.row
                       WHERE v.row IS NULL ORDER BY p.id";
            connection.prepare(sql)?.query_map([model], |row| row.get(0))?.collect()
        })
    }

    /// The rows, titles and abstracts of those of `rows` that have no vector of `model`, in that order.
    ///
    /// # Errors
    /// As [`Self::current_model`].
    pub fn texts_without_vector(&self, model: ModelKey, rows: &[RowId]) -> Result<Vec<(RowId, String, String)>> {
        self.read(|connection| {
            let sql = "SELECT row, title, abstract FROM paper p WHERE row = ?2
                       AND NOT EXISTS (SELECT 1 FROM vector v WHERE v.model = ?1 AND v.paper = p.row)";
            let mut statement = connection.prepare_cached(sql)?;
            let mut text_of = |row: &RowId| {
                let fields = |found: &Row<'_>| Ok((found.get(0)?, found.get(1)?, found.get(2)?));
                statement.query_row(params![model, row], fields).optional().transpose()
            };
            rows.iter().filter_map(&mut text_of).collect()
        })
    }

    /// Stores the vectors of a batch in one transaction, and says for each whether it was. `batch` names for each the row
    /// and the hash of the text it was made from; it is left out where by now there is no such paper, or one of another
    /// text, by the hash that `hash_of` makes of a title and an abstract.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be written; then none of the batch is stored.
    pub fn put_vectors(
        &mut self,
        model: ModelKey,
        batch: &[(RowId, String)],
        vectors: &Vectors,
        hash_of: impl Fn(&str, &str) -> String,
    ) -> Result<Vec<bool>> {
        assert_eq!(batch.len(), vectors.len(), "a vector for every row of the batch");
        self.write(|transaction| {
            let mut text = transaction.prepare_cached("SELECT title, abstract FROM paper WHERE row = ?1")?;
            let sql = "INSERT OR REPLACE INTO vector (paper, model, text_hash, value) VALUES (?1, ?2, ?3, ?4)";
            let mut statement = transaction.prepare_cached(sql)?;
            let mut stored = Vec::with_capacity(batch.len());
            for ((row, hash), vector) in batch.iter().zip(vectors.rows()) {
                let hash_of_found =
                    |found: &Row<'_>| Ok(hash_of(found.get_ref(0)?.as_str()?, found.get_ref(1)?.as_str()?));
                let is_current = text.query_row([row], hash_of_found).optional()?.as_ref() == Some(hash);
                if is_current {
                    statement.execute(params![row, model, hash, to_bytes(vector)])?;
                }
                stored.push(is_current);
            }
            schema::bump_generation(transaction)?;
            Ok(stored)
        })
    }

    /// The text hash each vector of `model` was made from, for checks.
    ///
    /// # Errors
    /// As [`Self::current_model`].
    pub fn text_hashes(&self, model: ModelKey) -> Result<Vec<(RowId, String)>> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT paper, text_hash FROM vector WHERE model = ?1")?;
            statement.query_map([model], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// The vectors of `model` in the order of paper ids, with the papers they belong to.
    ///
    /// # Errors
    /// [`Error::Collection`] where the file cannot be read or a vector has not the model's length.
    pub fn vectors(&self, model: ModelKey) -> Result<(Vec<RowId>, Vectors)> {
        let dimensions = self.dimensions(model)?;
        let mut rows = Vec::with_capacity(self.count_vectors(model)?);
        let mut data: Vec<f32> = Vec::with_capacity(rows.capacity() * dimensions);
        self.for_each_vector(model, dimensions, |row, bytes| {
            rows.push(row);
            data.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            Ok(())
        })?;
        Ok((rows, Vectors::from_unit_rows(dimensions, data)?))
    }

    /// The vectors of some papers; a paper without one is an error.
    ///
    /// # Errors
    /// [`Error::Collection`] where a paper has no vector of `model`.
    pub fn vectors_of(&self, model: ModelKey, rows: &[RowId]) -> Result<Vectors> {
        let dimensions = self.dimensions(model)?;
        let mut data = Vec::with_capacity(rows.len() * dimensions);
        for row in rows {
            let value: Option<Vec<u8>> = self.read(|connection| {
                let sql = "SELECT value FROM vector WHERE model = ?1 AND paper = ?2";
                connection.prepare_cached(sql)?.query_row(params![model, row], |row| row.get(0)).optional()
            })?;
            let value = value.filter(|value| value.len() == dimensions * 4).ok_or_else(|| self.no_vector())?;
            data.extend(value.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        }
        Vectors::from_unit_rows(dimensions, data)
    }

    /// Calls `visit` with the little-endian bytes of every vector of `model` in the order of paper ids.
    pub(super) fn for_each_vector(
        &self,
        model: ModelKey,
        dimensions: usize,
        mut visit: impl FnMut(RowId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let failed = |error| sql_error(&self.path, error);
        let sql = "SELECT p.row, v.value FROM paper p JOIN vector v ON v.model = ?1 AND v.paper = p.row ORDER BY p.id";
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = statement.query([model]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let bytes = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(failed)?;
            if bytes.len() != dimensions * 4 {
                return Err(self.no_vector());
            }
            visit(row.get(0).map_err(failed)?, bytes)?;
        }
        Ok(())
    }

    pub(super) fn dimensions(&self, model: ModelKey) -> Result<usize> {
        let sql = "SELECT dimensions FROM model WHERE key = ?1";
        let dimensions: i64 = self.read(|connection| connection.query_row(sql, [model], |row| row.get(0)))?;
        usize::try_from(dimensions).ok().filter(|dimensions| *dimensions > 0).ok_or_else(|| self.no_vector())
    }

    fn no_vector(&self) -> Error {
        let problem = Problem::new(format!("`{}`", self.path.display()), "a paper has no vector of the current model");
        Error::Collection(problem.hint("run `thematic embed` on the collection first"))
    }
}

fn key_of(connection: &Connection, model: &ModelRecord) -> rusqlite::Result<Option<ModelKey>> {
    let sql = "SELECT key FROM model WHERE name = ?1 AND revision = ?2 AND prompt = ?3 AND pooling = ?4
               AND max_length = ?5 AND precision = ?6 AND dimensions = ?7";
    let values = params![
        model.name,
        model.revision,
        model.prompt,
        model.pooling,
        model.max_length as i64,
        model.precision,
        model.dimensions as i64
    ];
    connection.query_row(sql, values, |row| row.get(0)).optional()
}

fn insert_model(connection: &Connection, model: &ModelRecord) -> rusqlite::Result<ModelKey> {
    let sql = "INSERT INTO model (name, revision, prompt, pooling, max_length, precision, dimensions, source)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![
        model.name,
        model.revision,
        model.prompt,
        model.pooling,
        model.max_length as i64,
        model.precision,
        model.dimensions as i64,
        model.source
    ];
    connection.execute(sql, values)?;
    Ok(connection.last_insert_rowid())
}

fn model_fields(row: &Row<'_>) -> rusqlite::Result<(ModelKey, ModelRecord)> {
    let model = ModelRecord {
        name: row.get(1)?,
        revision: row.get(2)?,
        prompt: row.get(3)?,
        pooling: row.get(4)?,
        max_length: row.get::<_, i64>(5)? as usize,
        precision: row.get(6)?,
        dimensions: row.get::<_, i64>(7)? as usize,
        source: row.get(8)?,
    };
    Ok((row.get(0)?, model))
}

fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}
