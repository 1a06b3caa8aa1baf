//! `thematic models`: list, fetch, check and export embedding models.

use std::path::Path;

use serde_json::json;

use super::{Outcome, print_json};
use crate::cli::{Models, ModelsAction};
use crate::error::Result;
use crate::models::{self, FileCheck, KnownModel, Settings};
use crate::terminal::{self, BAD, Cell, Column, FAINT, GOOD, STRONG, Talk, counted, styled, table};

const COLUMNS: &[Column] = &[
    Column::words("model"),
    Column::number("numbers"),
    Column::number("tokens"),
    Column::words("pooling"),
    Column::words("licence"),
    Column::words("here"),
    Column::long("prompts"),
];

pub(super) fn run(arguments: &Models, talk: &Talk) -> Result<Outcome> {
    let settings = Settings::from_environment();
    match arguments.action.as_ref().unwrap_or(&ModelsAction::List) {
        ModelsAction::List => list(&settings, arguments.json, talk),
        ModelsAction::Pull { model, revision } => {
            pull(model, &Settings { revision: revision.clone(), ..settings }, arguments.json, talk)
        }
        ModelsAction::Check { model } => check(model.as_deref(), &settings, arguments.json, talk),
        ModelsAction::Export { folder } => export(folder, &settings, talk),
    }
}

fn list(settings: &Settings, as_json: bool, talk: &Talk) -> Result<Outcome> {
    let known = models::known_models();
    if as_json {
        let describe = |model: &KnownModel| {
            let mut fields = serde_json::to_value(model).unwrap_or_default();
            fields["here"] = models::is_here(model, settings).into();
            fields
        };
        print_json(&known.iter().map(describe).collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    let row = |model: &KnownModel| {
        let prompts = model.prompts.iter().map(|(name, prompt)| format!("{name} {prompt:?}"));
        let here = models::is_here(model, settings);
        vec![
            Cell::styled(STRONG, model.name.as_str()),
            Cell::from(model.dimension.to_string()),
            Cell::from(model.max_length.map_or_else(|| "any".to_owned(), |length| length.to_string())),
            Cell::from(model.pooling.as_str()),
            Cell::from(model.licence.as_str()),
            Cell::styled(GOOD, if here { "yes" } else { "" }),
            Cell::styled(FAINT, prompts.collect::<Vec<_>>().join(", ")),
        ]
    };
    terminal::print(&table(COLUMNS, &known.iter().map(row).collect::<Vec<_>>()))?;
    let kinds = models::supported().collect::<Vec<_>>().join(", ");
    talk.say(&format!("and any folder, or `owner/model` of the hub, that is static or of one of: {kinds}"));
    Ok(Outcome::Done)
}

fn pull(name: &str, settings: &Settings, as_json: bool, talk: &Talk) -> Result<Outcome> {
    let model = models::pull(name, settings, talk)?;
    if as_json {
        print_json(&json!({ "model": model.name, "revision": model.revision }))?;
    } else {
        talk.say(&format!("{} is here, at {}", model.name, model.revision));
    }
    Ok(Outcome::Done)
}

fn check(name: Option<&str>, settings: &Settings, as_json: bool, talk: &Talk) -> Result<Outcome> {
    let name = name.filter(|name| *name != super::DEFAULT_MODEL);
    let model = models::resolve(name, settings, talk)?;
    let checked = models::check(&model)?;
    let description = &model.description;
    let outcome = if checked.is_sound() { Outcome::Done } else { Outcome::FoundProblems };
    if as_json {
        let file = |file: &FileCheck| json!({"file": file.name, "bytes": file.bytes, "checksum": file.checksum});
        print_json(&json!({
            "sound": checked.is_sound(),
            "kind": description.body.kind(),
            "dimension": description.dimension,
            "files": checked.files.iter().map(file).collect::<Vec<_>>(),
        }))?;
        return Ok(outcome);
    }
    let line = |file: &FileCheck| {
        let (mark, said) = match file.checksum {
            Some(true) => (styled(GOOD, "ok "), "checksum agrees"),
            Some(false) => (styled(BAD, "bad"), "checksum differs: fetch it again with `thematic models pull`"),
            None => (styled(GOOD, "ok "), "readable; no checksum is known"),
        };
        format!(
            "{mark}  {:<44} {:>11} bytes  {}\n",
            file.name,
            terminal::grouped(file.bytes as usize),
            styled(FAINT, said)
        )
    };
    terminal::print(&checked.files.iter().map(line).collect::<String>())?;
    let length = description.max_length.map_or_else(|| "any length".to_owned(), |length| format!("{length} tokens"));
    let (kind, pooling) = (description.body.kind(), description.body.pooling());
    talk.say(&format!("a {kind} model: {} numbers, {length}, pooled by {pooling}", description.dimension));
    Ok(outcome)
}

fn export(folder: &Path, settings: &Settings, talk: &Talk) -> Result<Outcome> {
    let model = models::resolve(None, settings, talk)?;
    models::export(&model, folder)?;
    let files = std::fs::read_dir(folder).map_or(0, Iterator::count);
    talk.say(&format!("wrote {} to {} ({})", model.name, folder.display(), counted(files, "file")));
    Ok(Outcome::Done)
}
