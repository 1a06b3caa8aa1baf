//! The current clustering: settings, themes, and which paper belongs to which.
//!
//! Figures and terms are kept as JSON text that the engine writes and reads; this module only keeps them together
//! with the model whose vectors they were made of.

use rusqlite::{OptionalExtension, params};

use super::vectors::ModelKey;
use super::{Collection, RowId};
use crate::error::Result;

/// One clustering of the collection.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusteringRecord {
    /// The model whose vectors were clustered.
    pub model: ModelKey,
    /// How it was made, as JSON.
    pub settings: String,
    /// How good it is, as JSON.
    pub figures: String,
}

/// One theme.
#[derive(Debug, Clone, PartialEq)]
pub struct ThemeRecord {
    /// Counted from zero in the order of size.
    pub number: u32,
    /// Its label.
    pub name: String,
    /// How many papers it has.
    pub size: usize,
    /// Its terms with their weights, as JSON.
    pub terms: String,
    /// Cohesion, trend and the like, as JSON.
    pub figures: String,
    /// The unit vector at its centre.
    pub centroid: Vec<f32>,
}

/// What theme a paper belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Membership {
    /// The paper.
    pub row: RowId,
    /// `None` where the algorithm leaves papers out and left out this one.
    pub theme: Option<u32>,
    /// Cosine to the theme's centre.
    pub similarity: f32,
    /// How much nearer the own centre is than the next best.
    pub margin: f32,
}

impl Collection {
    /// Replaces the clustering by another, in one transaction.
    ///
    /// # Errors
    /// [`crate::Error::Collection`] where the file cannot be written; then the old one stays.
    pub fn put_clustering(
        &mut self,
        clustering: &ClusteringRecord,
        themes: &[ThemeRecord],
        members: &[Membership],
    ) -> Result<()> {
        self.write(|transaction| {
            transaction.execute_batch("DELETE FROM membership; DELETE FROM theme; DELETE FROM clustering;")?;
            transaction.execute(
                "INSERT INTO clustering (key, model, settings, figures) VALUES (1, ?1, ?2, ?3)",
                params![clustering.model, clustering.settings, clustering.figures],
            )?;
            let sql =
                "INSERT INTO theme (number, name, size, terms, figures, centroid) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let mut statement = transaction.prepare(sql)?;
            for theme in themes {
                let centroid: Vec<u8> = theme.centroid.iter().flat_map(|value| value.to_le_bytes()).collect();
                let size = theme.size as i64;
                statement.execute(params![theme.number, theme.name, size, theme.terms, theme.figures, centroid])?;
            }
            let sql = "INSERT INTO membership (paper, theme, similarity, margin) VALUES (?1, ?2, ?3, ?4)";
            let mut statement = transaction.prepare(sql)?;
            for member in members {
                statement.execute(params![member.row, member.theme, member.similarity, member.margin])?;
            }
            Ok(())
        })
    }

    /// The current clustering.
    ///
    /// # Errors
    /// As [`Self::themes`].
    pub fn clustering(&self) -> Result<Option<ClusteringRecord>> {
        self.read(|connection| {
            let sql = "SELECT model, settings, figures FROM clustering";
            let fields = |row: &rusqlite::Row<'_>| {
                Ok(ClusteringRecord { model: row.get(0)?, settings: row.get(1)?, figures: row.get(2)? })
            };
            connection.query_row(sql, [], fields).optional()
        })
    }

    /// The themes in the order of their numbers; none before the first `cluster`.
    ///
    /// # Errors
    /// [`crate::Error::Collection`] where the file cannot be read.
    pub fn themes(&self) -> Result<Vec<ThemeRecord>> {
        self.read(|connection| {
            let sql = "SELECT number, name, size, terms, figures, centroid FROM theme ORDER BY number";
            let mut statement = connection.prepare(sql)?;
            statement.query_map([], theme_fields)?.collect()
        })
    }

    /// The members of the current clustering in the order of paper ids.
    ///
    /// # Errors
    /// As [`Self::themes`].
    pub fn memberships(&self) -> Result<Vec<Membership>> {
        self.read(|connection| {
            let sql = "SELECT m.paper, m.theme, m.similarity, m.margin FROM membership m
                       JOIN paper p ON p.row = m.paper ORDER BY p.id";
            let mut statement = connection.prepare(sql)?;
            statement.query_map([], membership_fields)?.collect()
        })
    }

    /// The membership of one paper.
    ///
    /// # Errors
    /// As [`Self::themes`].
    pub fn membership(&self, row: RowId) -> Result<Option<Membership>> {
        self.read(|connection| {
            let sql = "SELECT paper, theme, similarity, margin FROM membership WHERE paper = ?1";
            connection.prepare_cached(sql)?.query_row([row], membership_fields).optional()
        })
    }
}

fn theme_fields(row: &rusqlite::Row<'_>) -> rusqlite::Result<ThemeRecord> {
    let centroid: Vec<u8> = row.get(5)?;
    Ok(ThemeRecord {
        number: row.get(0)?,
        name: row.get(1)?,
        size: row.get::<_, i64>(2)? as usize,
        terms: row.get(3)?,
        figures: row.get(4)?,
        centroid: centroid.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
    })
}

fn membership_fields(row: &rusqlite::Row<'_>) -> rusqlite::Result<Membership> {
    Ok(Membership { row: row.get(0)?, theme: row.get(1)?, similarity: row.get(2)?, margin: row.get(3)? })
}
