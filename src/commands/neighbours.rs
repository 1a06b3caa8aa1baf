//! `thematic neighbours`: the nearest papers of every paper in a file.

use std::path::Path;

use super::{Outcome, settings};
use crate::cli::Neighbours;
use crate::engine;
use crate::error::Result;
use crate::store::Collection;
use crate::terminal::{Talk, counted};

pub(super) fn run(arguments: &Neighbours, talk: &Talk) -> Result<Outcome> {
    let gpu = settings::one_gpu(&arguments.device)?;
    let collection = Collection::open_read_only(&arguments.collection.path)?;
    let path = &arguments.output;
    let n = engine::export_neighbours(&collection, arguments.limit, gpu, path, talk)?;
    if path != Path::new("-") {
        talk.say(&format!("wrote the neighbours of {} to {}", counted(n, "paper"), path.display()));
    }
    Ok(Outcome::Done)
}
