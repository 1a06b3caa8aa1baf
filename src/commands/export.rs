//! `thematic export`: a collection's papers, vectors or themes in a file.

use std::path::Path;

use super::Outcome;
use crate::cli::{Export, ExportWhat};
use crate::engine;
use crate::error::Result;
use crate::store::Collection;
use crate::terminal::{Talk, grouped};

pub(super) fn run(arguments: &Export, talk: &Talk) -> Result<Outcome> {
    let collection = Collection::open_read_only(&arguments.collection.path)?;
    let path = &arguments.output;
    let (n, what) = match arguments.what {
        ExportWhat::Papers => (engine::export_papers(&collection, path, talk)?, "papers"),
        ExportWhat::Vectors => (engine::export_vectors(&collection, path, talk)?, "vectors"),
        ExportWhat::Themes => (engine::export_themes(&collection, path, talk)?, "papers with their themes"),
    };
    if path != Path::new("-") {
        talk.say(&format!("wrote {} {what} to {}", grouped(n), path.display()));
    }
    Ok(Outcome::Done)
}
