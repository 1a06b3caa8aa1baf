//! `thematic cluster`: papers into themes.

use std::path::{Path, PathBuf};

use super::themes::theme_table;
use super::{Outcome, print_json, settings};
use crate::cli::Cluster;
use crate::engine::{self, ClusterReport};
use crate::error::Result;
use crate::progress::Progress;
use crate::store::Collection;
use crate::terminal::{self, Cell, Column, FAINT, GOOD, Talk, counted, grouped, styled, table};

const SWEEP_COLUMNS: &[Column] = &[
    Column::number("k"),
    Column::number("objective"),
    Column::number("silhouette"),
    Column::number("stability"),
    Column::number("imbalance"),
    Column::words(""),
];

pub(super) fn run(arguments: &Cluster, talk: &Talk) -> Result<Outcome> {
    let gpu = settings::gpu_to_group_on(&arguments.device, &arguments.themes)?;
    let grouping = settings::grouping(&arguments.themes, gpu);
    let report = match &arguments.vectors {
        Some(vectors) => engine::cluster_file(vectors, &grouping, arguments.output.as_deref(), talk)?,
        None => {
            let path = arguments.collection.clone().unwrap_or_else(|| PathBuf::from(super::DEFAULT_COLLECTION));
            in_collection(&path, &grouping, arguments.output.as_deref(), talk)?
        }
    };
    report.notes.iter().for_each(|note| talk.warn(note));
    if arguments.json {
        print_json(&report)?;
    } else {
        terminal::print(&page(&report))?;
    }
    Ok(Outcome::Done)
}

fn in_collection(
    path: &Path,
    grouping: &engine::Grouping,
    output: Option<&Path>,
    talk: &Talk,
) -> Result<ClusterReport> {
    let mut collection = Collection::open(path)?;
    let report = engine::cluster_collection(&mut collection, grouping, talk)?;
    if let Some(output) = output {
        let n = engine::export_themes(&collection, output, talk)?;
        talk.say(&format!("wrote {} papers with their themes to {}", grouped(n), output.display()));
    }
    Ok(report)
}

/// The themes, how they were chosen, and how good they are.
pub(super) fn page(report: &ClusterReport) -> String {
    let mut text = sweep_table(report).map(|sweep| sweep + "\n").unwrap_or_default();
    text.push_str(&theme_table(&report.themes));
    let cohesion = report.figures["objective"].as_f64().unwrap_or_default();
    let themes = counted(report.themes.len(), "theme");
    let line = format!("{} in {themes}, mean cosine to the own theme {cohesion:.3}", counted(report.papers, "paper"));
    text + "\n" + &styled(FAINT, line) + "\n"
}

/// The evidence by which the number of themes was chosen.
fn sweep_table(report: &ClusterReport) -> Option<String> {
    let points = report.figures.get("sweep")?.get("points")?.as_array()?;
    let chosen = report.settings["k"].as_u64();
    let row = |point: &serde_json::Value| {
        let number = |name: &str| point[name].as_f64().map(|value| format!("{value:.3}")).unwrap_or_default();
        let k = point["k"].as_u64();
        let mark = if k == chosen { "← chosen" } else { "" };
        vec![
            Cell::from(k.unwrap_or_default().to_string()),
            Cell::from(number("objective")),
            Cell::from(number("silhouette")),
            Cell::from(number("stability")),
            Cell::from(number("imbalance")),
            Cell::styled(GOOD, mark),
        ]
    };
    (points.len() > 1).then(|| table(SWEEP_COLUMNS, &points.iter().map(row).collect::<Vec<_>>()))
}
