//! Finding a model: a folder, the hub or the default that is compiled in, opened and read.
//!
//! [`resolve`] turns a name into a [`ModelFolder`]: every file it needs opened, every setting understood, so that
//! what comes after needs neither network nor disk and cannot be surprised. Knows neither tokenizers nor networks;
//! `encode` makes a model of what is found here. The environment is read in [`Settings::from_environment`] only.

mod adapter;
mod architecture;
mod bytes;
mod description;
mod download;
mod embedded;
mod fields;
mod hub;
mod inspect;
mod layout;
mod manifest;
mod network;
mod read;
mod rows;
mod settings;
mod source;
mod weights;

pub use adapter::{Bottleneck, BottleneckLayer};
pub use architecture::supported;
pub use bytes::Bytes;
pub use description::{Body, Dense, Description, HeadModule, Kept, Pooling, PoolingMode, Prompts, StaticTable};
pub use embedded::DEFAULT_MODEL;
pub use inspect::{Checked, FileCheck, check, export};
pub use layout::{Layout, Up};
pub use manifest::{KnownModel, TextTemplate, find, known_models};
pub use network::{
    Activation, Architecture, Biases, Distance, Encoder, Family, LayerAttention, Norm, NormPlacement, PositionTable,
    Qwen3, Rotary, SizeFields, Stretch,
};
pub use rows::Rows;
pub use settings::{PickleReader, Settings};
pub use weights::Weights;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Problem, Result};
use crate::progress::Progress;
use hub::{Freshness, HubModel};
use source::{Files, Reader, Source};

/// A model found, opened and read.
#[derive(Debug)]
pub struct ModelFolder {
    /// What it is called in stored vectors, and what finds it again: the name of the embedded model, the hub's
    /// repository, or the path of the folder.
    pub name: String,
    /// The commit on the hub, else a fingerprint of the files.
    pub revision: String,
    /// How it computes.
    pub description: Description,
    /// How a paper becomes the text it is given.
    pub text: TextTemplate,
    /// `tokenizer.json`, with the label that messages use for it.
    pub tokenizer: (String, Arc<Bytes>),
    /// The weights of the body; those of the head stand with its modules.
    pub weights: Weights,
    /// What an adapter puts into the layers.
    pub bottleneck: Option<Bottleneck>,
    source: Source,
    files: Files,
}

/// Finds the model called `name` (a folder, a known name, or `owner/model` on the hub), or the default.
///
/// # Errors
/// [`Error::Model`] where there is no such model, or its folder is not one that is understood; [`Error::Io`] where
/// a file cannot be read or the cache not be written; [`Error::Interrupted`].
pub fn resolve(name: Option<&str>, settings: &Settings, progress: &dyn Progress) -> Result<ModelFolder> {
    match name.and_then(with_adapter) {
        Some((base, adapter)) => adapted(base, adapter, settings, progress),
        None => open(place(name, settings)?, settings, Freshness::Cached, progress),
    }
}

/// `BASE+ADAPTER` in its parts; `None` where the name is a folder's, or that of no adapter.
fn with_adapter(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('+').filter(|(base, adapter)| !base.is_empty() && !adapter.is_empty() && !Path::new(name).is_dir())
}

/// A model with an adapter on it. Name and revision are those of both, with `+` between them.
fn adapted(base: &str, adapter: &str, settings: &Settings, progress: &dyn Progress) -> Result<ModelFolder> {
    let revisions = settings.revision.as_deref().map(|both| both.split_once('+').unwrap_or((both, "")));
    let with_revision = |revision: Option<&str>| Settings {
        revision: revision.filter(|revision| !revision.is_empty()).map(str::to_owned),
        ..settings.clone()
    };
    let mut model = resolve(Some(base), &with_revision(revisions.map(|both| both.0)), progress)?;
    let settings = with_revision(revisions.map(|both| both.1));
    let source = source_of(place(Some(adapter), &settings)?, &settings, Freshness::Cached, progress)?;
    let mut reader = Reader { source: &source, progress, pickle: settings.pickle, files: Files::new() };
    model.bottleneck = adapter::apply(&mut reader, &model.description, &mut model.weights)?;
    let files = reader.files;
    model.name = format!("{}+{}", model.name, name_of(&source));
    model.revision = format!("{}+{}", model.revision, revision_of(&source, &files));
    Ok(model)
}

/// Fetches the newest commit of a model on the hub into the cache, and opens it.
///
/// # Errors
/// Those of [`resolve`], and [`Error::Usage`] where `name` is not on the hub.
pub fn pull(name: &str, settings: &Settings, progress: &dyn Progress) -> Result<ModelFolder> {
    match place(Some(name), settings)? {
        place @ Place::Hub(_) => open(place, settings, Freshness::Newest, progress),
        Place::Folder(_) | Place::Embedded => {
            let problem = Problem::new(format!("model `{name}`"), "is already here, there is nothing to fetch");
            Err(Error::Usage(
                problem.hint("name a model of the hub: `owner/model`, or one that `thematic models` lists"),
            ))
        }
    }
}

/// Whether a known model can be used without the network.
pub fn is_here(model: &KnownModel, settings: &Settings) -> bool {
    match &model.repository {
        Some(repository) => hub::is_cached(repository, settings),
        None => model.name == DEFAULT_MODEL,
    }
}

/// Where a name leads, before anything is opened.
#[derive(Debug, PartialEq)]
enum Place {
    Folder(PathBuf),
    Hub(String),
    Embedded,
}

fn place(name: Option<&str>, settings: &Settings) -> Result<Place> {
    let Some(name) = name.filter(|name| !name.eq_ignore_ascii_case(DEFAULT_MODEL)) else {
        return Ok(Place::Embedded);
    };
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(Place::Folder(path.to_owned()));
    }
    let not_found = |cause: &str, hint: String| Error::Model(Problem::new(format!("model `{name}`"), cause).hint(hint));
    if path.is_file() {
        return Err(not_found("is a file", "name the folder that holds it".into()));
    }
    if let Some(repository) = find(name).and_then(|known| known.repository.clone()) {
        return Ok(Place::Hub(repository));
    }
    if is_repository(name) {
        return Ok(Place::Hub(name.to_owned()));
    }
    let names: Vec<&str> = known_models().iter().map(|model| model.name.as_str()).collect();
    let place = if settings.offline { "" } else { ", `owner/model` of the hub" };
    Err(not_found(
        "there is no such folder or known model",
        format!("name a folder{place}, or one of {}", names.join(", ")),
    ))
}

/// `owner/model` in the letters that the hub allows.
fn is_repository(name: &str) -> bool {
    let allowed = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    name.split_once('/').is_some_and(|(owner, model)| allowed(owner) && allowed(model))
}

fn open(place: Place, settings: &Settings, freshness: Freshness, progress: &dyn Progress) -> Result<ModelFolder> {
    let source = source_of(place, settings, freshness, progress)?;
    let name = name_of(&source);
    let known = find(&name);
    let mut reader = Reader { source: &source, progress, pickle: settings.pickle, files: Files::new() };
    let parts = read::read(&mut reader, known)?;
    let files = reader.files;
    parts.notes.iter().for_each(|note| progress.warn(&format!("model `{name}`: {note}")));
    Ok(ModelFolder {
        revision: revision_of(&source, &files),
        name,
        description: parts.description,
        text: known.map(|known| known.text.clone()).unwrap_or_default(),
        tokenizer: parts.tokenizer,
        weights: parts.weights,
        bottleneck: None,
        source,
        files,
    })
}

fn source_of(place: Place, settings: &Settings, freshness: Freshness, progress: &dyn Progress) -> Result<Source> {
    Ok(match place {
        Place::Folder(path) => {
            let absolute = std::path::absolute(&path).map_err(|error| Error::io("read", &path, error))?;
            Source::Folder(absolute)
        }
        Place::Hub(repository) => Source::Hub(Box::new(HubModel::find(&repository, settings, freshness, progress)?)),
        Place::Embedded => Source::Embedded,
    })
}

fn name_of(source: &Source) -> String {
    match source {
        Source::Folder(path) => path.display().to_string(),
        Source::Hub(model) => model.repository().to_owned(),
        Source::Embedded => DEFAULT_MODEL.to_owned(),
    }
}

fn revision_of(source: &Source, files: &Files) -> String {
    match source {
        Source::Hub(model) => model.commit().to_owned(),
        Source::Folder(_) | Source::Embedded => source::fingerprint(files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: Option<&str>, expected: &Place) {
        let settings =
            Settings { offline: true, revision: None, token: None, endpoint: String::new(), cache: None, pickle: None };
        assert_eq!(place(name, &settings).expect("a place"), *expected);
    }

    #[test]
    fn a_name_leads_to_one_place() {
        check(None, &Place::Embedded);
        check(Some(DEFAULT_MODEL), &Place::Embedded);
        check(Some("all-MiniLM-L6-v2"), &Place::Hub("sentence-transformers/all-MiniLM-L6-v2".into()));
        check(Some("owner/model.v1"), &Place::Hub("owner/model.v1".into()));
        check(Some("src"), &Place::Folder("src".into()));
    }

    #[test]
    fn what_is_neither_folder_nor_repository_is_refused() {
        for name in ["no-such-model", "../nowhere", "/no/such/folder", "a/b/c", "Cargo.toml", "owner/"] {
            let settings = Settings {
                offline: true,
                revision: None,
                token: None,
                endpoint: String::new(),
                cache: None,
                pickle: None,
            };
            assert!(place(Some(name), &settings).is_err(), "{name}");
        }
    }
}
