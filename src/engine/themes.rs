//! The themes of a collection, as they are shown and written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{headline, short_authors};
use crate::error::{Error, Problem, Result};
use crate::store::{Collection, Filter, ThemeRecord};

/// A theme.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Theme {
    /// Counted from zero in the order of size.
    pub theme: u32,
    /// Its label.
    pub name: String,
    /// How many papers it has.
    pub papers: usize,
    /// Its terms, the most telling first.
    pub terms: Vec<ThemeTerm>,
    /// What else is known of it.
    #[serde(flatten)]
    pub figures: ThemeFigures,
}

/// A term and how much it tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThemeTerm {
    /// As it is written.
    pub term: String,
    /// c-TF-IDF, the theme's greatest being 1.
    pub weight: f32,
}

/// What is known of a theme beside its terms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ThemeFigures {
    /// Mean cosine of its papers to its centre.
    pub cohesion: f32,
    /// The papers that show best what it is, the most central first.
    pub representatives: Vec<Representative>,
    /// Papers per year.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub years: BTreeMap<u16, usize>,
    /// Whether it grows, where the years tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trend: Option<ThemeTrend>,
    /// The most frequent categories and how many papers have them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub categories: Vec<(String, usize)>,
    /// The themes nearest to it, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub nearest: Vec<u32>,
}

/// Whether a theme grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThemeTrend {
    /// `rising`, `steady` or `falling`.
    pub direction: String,
    /// The first year that counts.
    pub from: u16,
    /// The last year with a paper.
    pub to: u16,
}

/// A paper that shows what a theme is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Representative {
    /// Its id.
    pub id: String,
    /// Its title, or the beginning of its abstract.
    pub title: String,
}

/// All themes with how they were made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThemeOverview {
    /// How the clustering was made.
    pub settings: serde_json::Value,
    /// How good it is.
    pub figures: serde_json::Value,
    /// In the order of size.
    pub themes: Vec<Theme>,
}

/// A paper of a theme.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThemePaper {
    /// Its id.
    pub id: String,
    /// Its title, or the beginning of its abstract.
    pub title: String,
    /// First author and how many more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authors: Option<String>,
    /// Its date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Cosine to the centre of the theme.
    pub similarity: f32,
    /// How much nearer this theme is than the next best.
    pub margin: f32,
}

/// The themes of a collection.
///
/// # Errors
/// [`Error::Collection`] where it has not been clustered.
pub fn themes(collection: &Collection) -> Result<ThemeOverview> {
    let Some(clustering) = collection.clustering()? else { return Err(not_clustered(collection)) };
    Ok(ThemeOverview {
        settings: parsed(&clustering.settings),
        figures: parsed(&clustering.figures),
        themes: collection.themes()?.into_iter().map(Theme::from).collect(),
    })
}

/// The `limit` most central papers of a theme.
///
/// # Errors
/// [`Error::Usage`] where there is no such theme, [`Error::Collection`] where the collection is not clustered.
pub fn theme_papers(collection: &Collection, number: u32, limit: usize) -> Result<(Theme, Vec<ThemePaper>)> {
    let overview = themes(collection)?;
    let n_themes = overview.themes.len();
    let Some(theme) = overview.themes.into_iter().find(|theme| theme.theme == number) else {
        let problem = Problem::new(format!("theme {number}"), "there is no such theme");
        let last = n_themes.saturating_sub(1);
        return Err(Error::Usage(problem.hint(format!("the themes are numbered from 0 to {last}"))));
    };
    let filter = Filter { themes: vec![number], ..Filter::default() };
    let mut members = Vec::with_capacity(theme.papers);
    for row in collection.rows_matching(&filter)? {
        members.extend(collection.membership(row)?);
    }
    members.sort_by(|one, other| other.similarity.total_cmp(&one.similarity));
    members.truncate(limit);
    let rows: Vec<_> = members.iter().map(|member| member.row).collect();
    let papers = collection.papers(&rows)?.into_iter().zip(&members).map(|(stored, member)| ThemePaper {
        id: stored.paper.id.as_str().to_owned(),
        title: headline(&stored.paper),
        authors: short_authors(&stored.paper),
        date: stored.paper.date.map(|date| date.to_string()),
        similarity: member.similarity,
        margin: member.margin,
    });
    Ok((theme, papers.collect()))
}

pub(super) fn not_clustered(collection: &Collection) -> Error {
    let problem = Problem::new(format!("`{}`", collection.path().display()), "it has no themes yet");
    Error::Collection(problem.hint("run `thematic cluster` on it first"))
}

impl From<ThemeRecord> for Theme {
    fn from(record: ThemeRecord) -> Self {
        Self {
            theme: record.number,
            name: record.name,
            papers: record.size,
            terms: serde_json::from_str(&record.terms).unwrap_or_default(),
            figures: serde_json::from_str(&record.figures).unwrap_or_default(),
        }
    }
}

/// What the engine wrote, the engine reads; text of another shape can only come from outside and shows as nothing.
fn parsed(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_default()
}
