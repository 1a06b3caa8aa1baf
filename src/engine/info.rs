//! What a collection holds, and what it knows of one paper.

use serde::Serialize;
use serde_json::Value;

use super::themes::Theme;
use crate::error::Result;
use crate::store::{Collection, ModelRecord};
use crate::wire::paper_line;

/// What a collection holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CollectionInfo {
    /// The file.
    pub collection: String,
    /// Its size on disk, in bytes, with what is derived from it.
    pub bytes: u64,
    /// How many papers.
    pub papers: usize,
    /// How many of them have an abstract.
    pub with_abstract: usize,
    /// The first and the last date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dates: Option<(String, String)>,
    /// Models that papers were embedded with.
    pub models: Vec<ModelInfo>,
    /// How many themes; none before the first `cluster`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub themes: Option<usize>,
    /// Papers without a theme although there are themes: added since.
    pub without_theme: usize,
}

/// A model and how many papers have its vectors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: String,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// What it calculates with.
    pub precision: String,
    /// Tokens beyond this are cut off.
    pub max_length: usize,
    /// How many papers have a vector.
    pub papers: usize,
    /// Whether it is the collection's current model.
    pub current: bool,
}

/// A paper with what the collection knows of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PaperInfo {
    /// The paper.
    pub paper: Value,
    /// Its theme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<Theme>,
    /// Cosine to the centre of its theme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f32>,
}

/// Says what a collection holds.
///
/// # Errors
/// [`crate::Error::Collection`] where it cannot be read.
pub fn describe_collection(collection: &Collection) -> Result<CollectionInfo> {
    let current = collection.current_model()?.map(|(key, _)| key);
    let models = collection.models()?;
    let clustered = collection.clustering()?.is_some();
    let papers = collection.count()?;
    Ok(CollectionInfo {
        collection: collection.path().display().to_string(),
        bytes: collection.bytes_on_disk(),
        papers,
        with_abstract: collection.count_with_abstract()?,
        dates: collection.date_range()?,
        models: models.into_iter().map(|(key, model, n)| model_info(model, n, Some(key) == current)).collect(),
        themes: if clustered { Some(collection.themes()?.len()) } else { None },
        without_theme: if clustered { papers.saturating_sub(collection.memberships()?.len()) } else { 0 },
    })
}

/// Shows one paper.
///
/// # Errors
/// [`crate::Error::UnknownPaper`] where it is not there.
pub fn describe_paper(collection: &Collection, name: &str) -> Result<PaperInfo> {
    let row = collection.find(name)?;
    let paper = collection.papers(&[row])?.pop().map(|stored| paper_line(&stored.paper)).unwrap_or_default();
    let membership = collection.membership(row)?;
    let number = membership.and_then(|membership| membership.theme);
    let theme = collection.themes()?.into_iter().find(|theme| Some(theme.number) == number).map(Theme::from);
    Ok(PaperInfo {
        paper: serde_json::from_str(&paper).unwrap_or_default(),
        theme,
        similarity: membership.map(|membership| membership.similarity),
    })
}

fn model_info(model: ModelRecord, papers: usize, current: bool) -> ModelInfo {
    ModelInfo {
        name: model.name,
        revision: model.revision,
        dimensions: model.dimensions,
        precision: model.precision,
        max_length: model.max_length,
        papers,
        current,
    }
}
