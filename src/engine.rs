//! The facade: one function per use case, plain data in and out.
//!
//! Puts the modules below together and decides nothing that a surface should show. What it returns serialises to
//! the JSON that every surface prints, so that the command line and a server give the same answers.

mod add;
mod cluster;
mod doctor;
mod embed;
mod export;
mod find;
mod gpu;
mod info;
mod model;
mod read;
mod recommend;
mod scan;
mod shards;
mod themes;

pub use add::{AddReport, add_papers, remove_papers};
pub use cluster::{ClusterReport, Grouping, cluster_collection, cluster_file};
pub use doctor::{Finding, Severity, diagnose};
pub use embed::{EmbedReport, embed_collection, embed_papers, embed_to_file};
pub use export::{export_neighbours, export_papers, export_themes, export_vectors};
pub use find::{Found, Mode, search};
pub use gpu::{check_gpus, find_cuda_program};
pub use info::{CollectionInfo, ModelInfo, PaperInfo, describe_collection, describe_paper};
pub use model::{ModelChoice, PaperEncoder, QueryEncoder, load_encoder};
pub use read::{OnSkip, ReadReport, read_papers, require_papers};
pub use recommend::{Recommendation, Request, Why, recommend};
pub use shards::{ShardsReport, embed_shards};
pub use themes::{Theme, ThemeOverview, ThemePaper, theme_papers, themes};

use crate::paper::Paper;

/// Characters of an abstract that stand for a missing title.
const HEADLINE_CHARACTERS: usize = 90;

/// The title, or the beginning of the abstract where there is none.
fn headline(paper: &Paper) -> String {
    if !paper.title.is_empty() {
        return paper.title.clone();
    }
    let mut characters = paper.abstract_text.chars();
    let start: String = characters.by_ref().take(HEADLINE_CHARACTERS).collect();
    if characters.next().is_some() { format!("{}…", start.trim_end()) } else { start }
}

/// The first author's family name, and how many more: `Rossi`, `Rossi and Kim`, `Rossi et al.`
fn short_authors(paper: &Paper) -> Option<String> {
    let family = |name: &String| name.split_whitespace().next_back().unwrap_or_default().to_owned();
    match paper.authors.as_slice() {
        [] => None,
        [one] => Some(family(one)),
        [one, two] => Some(format!("{} and {}", family(one), family(two))),
        [first, ..] => Some(format!("{} et al.", family(first))),
    }
}
