//! `thematic remove`: papers out of a collection.

use super::Outcome;
use crate::cli::Remove;
use crate::engine;
use crate::error::Result;
use crate::store::Collection;
use crate::terminal::{Talk, counted};

pub(super) fn run(arguments: &Remove, talk: &Talk) -> Result<Outcome> {
    let mut collection = Collection::open(&arguments.collection.path)?;
    let removed = engine::remove_papers(&mut collection, &arguments.ids, talk)?;
    for id in &removed {
        talk.say(&format!("removed {id}"));
    }
    let left = counted(collection.count()?, "paper");
    talk.say(&format!("{left} left in {}", arguments.collection.path.display()));
    Ok(Outcome::Done)
}
