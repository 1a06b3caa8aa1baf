//! Vectors into themes: grouped, labelled, shown by example, and stored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::export::{THEME_COLUMNS, theme_values};
use super::headline;
use super::themes::{Representative, Theme, ThemeFigures, ThemeTerm, ThemeTrend};
use crate::cluster::{Fit, NOISE, Rows, Settings, Sweep, SweepPoint, SweepSettings};
use crate::error::{Error, Problem, Result};
use crate::kernel::cuda::Selector;
use crate::label::{self, Label, Trend};
use crate::output::{TableWriter, ids_path, read_npy};
use crate::paper::Paper;
use crate::progress::{Phase, Progress};
use crate::store::{ClusteringRecord, Collection, Membership, RowId, ThemeRecord};
use crate::vectors::Vectors;

/// Papers that show what a theme is about.
const REPRESENTATIVES: usize = 5;
/// Papers whose words name the themes, all themes together, and at least of each theme: the most central ones. More
/// cost time and change no name: what is far from the centre says little about it.
const NAMING_PAPERS: usize = 12_000;
const NAMING_PAPERS_OF_THEME: usize = 100;
/// Categories that are told of a theme.
const CATEGORIES: usize = 5;
/// Neighbours that are told of a theme.
const NEAREST_THEMES: usize = 3;

/// How many themes, and how they are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouping {
    /// How themes are made; its number of themes counts where no sweep chooses one.
    pub settings: Settings,
    /// Chooses the number of themes.
    pub sweep: Option<SweepSettings>,
    /// The GPU that compares papers with themes, for k-means; `None` for the processor.
    pub gpu: Option<usize>,
}

/// Themes as they were just made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterReport {
    /// How many papers were grouped.
    pub papers: usize,
    /// How they were made.
    pub settings: Value,
    /// How good they are.
    pub figures: Value,
    /// In the order of size.
    pub themes: Vec<Theme>,
    /// What the user should know: fewer themes than asked for, papers left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Groups the papers of a collection into themes and stores them.
///
/// # Errors
/// [`Error::Collection`] where nothing is embedded or it cannot be written, [`Error::Usage`] for settings out of
/// range, [`Error::Device`] where the GPU cannot be used, [`Error::Interrupted`]; then the themes it had stay.
pub fn cluster_collection(
    collection: &mut Collection,
    grouping: &Grouping,
    progress: &dyn Progress,
) -> Result<ClusterReport> {
    let Some((model, record)) = collection.current_model()? else {
        return Err(super::recommend::not_embedded(collection));
    };
    let gpu = open_gpu(grouping)?;
    let (rows, vectors) = collection.vectors(model)?;
    let (fit, sweep) = group(&Rows::on(&vectors, gpu.as_ref())?, grouping, progress)?;
    let mut told = Told::new(&fit);
    let labels = label_papers(collection, &rows, &fit, &mut told, progress)?;
    let themes = themes_of(&fit, &vectors, labels, told, &rows, collection)?;
    let mut report = report(&fit, grouping, sweep.as_ref(), themes);
    report.settings["model"] = json!(record.name);
    store(collection, model, &rows, &fit, &report)?;
    Ok(report)
}

/// Groups the vectors of a `.npy` file, whose ids stand beside it, and writes the theme of each to `output`.
///
/// # Errors
/// [`Error::Io`] and [`Error::Input`] for the files, else as [`cluster_collection`].
pub fn cluster_file(
    path: &Path,
    grouping: &Grouping,
    output: Option<&Path>,
    progress: &dyn Progress,
) -> Result<ClusterReport> {
    let gpu = open_gpu(grouping)?;
    let vectors = read_npy(path)?;
    let ids = read_ids(path, vectors.len())?;
    // Before the long work, so that a bad path fails at once.
    let table = output.map(|output| TableWriter::create(output, THEME_COLUMNS)).transpose()?;
    let order = rows_by_id(&ids);
    let sorted = vectors.select(&order);
    let (fit, sweep) = group(&Rows::on(&sorted, gpu.as_ref())?, grouping, progress)?;
    let names = |row: usize| Representative { id: ids[order[row]].clone(), title: String::new() };
    let themes: Vec<Theme> = (0..fit.k())
        .map(|theme| {
            let figures = ThemeFigures {
                cohesion: cohesion(&fit, theme),
                representatives: representatives(&fit, &sorted, theme).into_iter().map(names).collect(),
                nearest: nearest_themes(&fit, theme),
                ..ThemeFigures::default()
            };
            Theme { theme: theme as u32, name: String::new(), papers: fit.sizes[theme], terms: Vec::new(), figures }
        })
        .collect();
    if let Some(mut table) = table {
        for (row, member) in memberships(&fit, &order).into_iter().enumerate() {
            table.write(theme_values(&ids[order[row]], &member, None))?;
        }
        table.finish()?;
    }
    Ok(report(&fit, grouping, sweep.as_ref(), themes))
}

/// Before anything is read, so that a GPU that cannot be used is told at once.
fn open_gpu(grouping: &Grouping) -> Result<Option<Selector>> {
    grouping.gpu.map(Selector::open).transpose()
}

/// Chooses the number of themes where that is asked for, and makes them.
fn group(rows: &Rows<'_>, grouping: &Grouping, progress: &dyn Progress) -> Result<(Fit, Option<Sweep>)> {
    let mut settings = grouping.settings.clone();
    let sweep = match &grouping.sweep {
        Some(sweep) => Some(rows.sweep(sweep, progress)?),
        None => None,
    };
    if let Some(sweep) = &sweep {
        settings.k = sweep.chosen;
    }
    Ok((rows.fit(&settings, progress)?, sweep))
}

/// What the papers themselves tell of each theme.
struct Told {
    years: Vec<BTreeMap<u16, usize>>,
    categories: Vec<BTreeMap<String, usize>>,
}

impl Told {
    fn new(fit: &Fit) -> Self {
        Self { years: vec![BTreeMap::new(); fit.k()], categories: vec![BTreeMap::new(); fit.k()] }
    }

    fn add(&mut self, theme: usize, paper: &Paper) {
        if let Some(date) = paper.date {
            *self.years[theme].entry(date.year()).or_default() += 1;
        }
        for category in &paper.categories {
            *self.categories[theme].entry(category.clone()).or_default() += 1;
        }
    }
}

/// Reads every paper once: its words name its theme, its date and categories are counted.
fn label_papers(
    collection: &Collection,
    rows: &[RowId],
    fit: &Fit,
    told: &mut Told,
    progress: &dyn Progress,
) -> Result<Vec<Label>> {
    let theme_of: BTreeMap<RowId, u32> = rows.iter().copied().zip(fit.assignments.iter().copied()).collect();
    let naming: BTreeSet<RowId> = central_rows(fit).into_iter().map(|row| rows[row]).collect();
    let mut labels = label::Labels::new(fit.k());
    progress.begin(Phase { doing: "labelling", units: "papers", total: Some(rows.len() as u64) });
    let read = collection.for_each_paper(|stored| {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        if let Some(theme) = theme_of.get(&stored.row).filter(|theme| **theme != NOISE) {
            if naming.contains(&stored.row) {
                labels.add(*theme as usize, &stored.paper.title, &stored.paper.abstract_text);
            }
            told.add(*theme as usize, &stored.paper);
        }
        progress.advance(1);
        Ok(())
    });
    let labels = read.map(|()| labels.finish());
    progress.end();
    labels
}

/// The rows nearest the centre of each theme, of which names are made.
fn central_rows(fit: &Fit) -> Vec<usize> {
    let of_each = (NAMING_PAPERS / fit.k().max(1)).max(NAMING_PAPERS_OF_THEME);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); fit.k()];
    for (row, theme) in fit.assignments.iter().enumerate().filter(|(_, theme)| **theme != NOISE) {
        members[*theme as usize].push(row);
    }
    for rows in &mut members {
        rows.sort_by(|one, other| fit.similarity[*other].total_cmp(&fit.similarity[*one]).then(one.cmp(other)));
        rows.truncate(of_each);
    }
    members.concat()
}

fn themes_of(
    fit: &Fit,
    vectors: &Vectors,
    labels: Vec<Label>,
    told: Told,
    rows: &[RowId],
    collection: &Collection,
) -> Result<Vec<Theme>> {
    let mut themes = Vec::with_capacity(fit.k());
    let told = told.years.into_iter().zip(told.categories);
    for (theme, (label, (years, categories))) in labels.into_iter().zip(told).enumerate() {
        let shown: Vec<RowId> = representatives(fit, vectors, theme).into_iter().map(|row| rows[row]).collect();
        let papers = collection.papers(&shown)?;
        let figures = ThemeFigures {
            cohesion: cohesion(fit, theme),
            representatives: papers
                .iter()
                .map(|stored| Representative {
                    id: stored.paper.id.as_str().to_owned(),
                    title: headline(&stored.paper),
                })
                .collect(),
            trend: label::trend(&years).map(theme_trend),
            years,
            categories: most_frequent(categories),
            nearest: nearest_themes(fit, theme),
        };
        let terms = label.terms.into_iter().map(|term| ThemeTerm { term: term.text, weight: term.weight }).collect();
        themes.push(Theme { theme: theme as u32, name: label.name, papers: fit.sizes[theme], terms, figures });
    }
    Ok(themes)
}

fn representatives(fit: &Fit, vectors: &Vectors, theme: usize) -> Vec<usize> {
    let members: Vec<usize> =
        fit.assignments.iter().enumerate().filter(|(_, of)| **of as usize == theme).map(|(row, _)| row).collect();
    label::representatives(vectors, &members, fit.centroids.row(theme), REPRESENTATIVES)
}

fn theme_trend(trend: Trend) -> ThemeTrend {
    ThemeTrend { direction: trend.direction.to_string(), from: trend.from, to: trend.to }
}

fn cohesion(fit: &Fit, theme: usize) -> f32 {
    let own = fit.assignments.iter().zip(&fit.similarity).filter(|(of, _)| **of as usize == theme);
    let sum: f64 = own.map(|(_, similarity)| f64::from(*similarity)).sum();
    (sum / fit.sizes[theme].max(1) as f64) as f32
}

fn nearest_themes(fit: &Fit, theme: usize) -> Vec<u32> {
    let own = fit.centroids.row(theme);
    let cosine = |other: usize| own.iter().zip(fit.centroids.row(other)).map(|(a, b)| a * b).sum::<f32>();
    let mut others: Vec<usize> = (0..fit.k()).filter(|other| *other != theme).collect();
    others.sort_by(|one, other| cosine(*other).total_cmp(&cosine(*one)).then(one.cmp(other)));
    others.into_iter().take(NEAREST_THEMES).map(|other| other as u32).collect()
}

fn most_frequent(counts: BTreeMap<String, usize>) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    counts.truncate(CATEGORIES);
    counts
}

fn report(fit: &Fit, grouping: &Grouping, sweep: Option<&Sweep>, themes: Vec<Theme>) -> ClusterReport {
    let settings = &grouping.settings;
    let mut notes = Vec::new();
    if fit.is_clamped() {
        notes.push(format!("{} themes were asked for, and the papers have {} directions", fit.requested, fit.k()));
    }
    if fit.n_noise() > 0 {
        notes.push(format!("{} papers lie in no dense place and have no theme", fit.n_noise()));
    }
    ClusterReport {
        papers: fit.assignments.len(),
        settings: json!({
            "algorithm": settings.algorithm.name(),
            "k": fit.requested,
            "chosen": if sweep.is_some() { "auto" } else { "given" },
            "seed": settings.seed,
            "restarts": settings.restarts,
            "max_iterations": settings.max_iterations,
            "tolerance": settings.tolerance,
        }),
        figures: figures(fit, sweep),
        themes,
        notes,
    }
}

fn figures(fit: &Fit, sweep: Option<&Sweep>) -> Value {
    let mut figures = json!({
        "objective": fit.objective,
        "iterations": fit.iterations,
        "converged": fit.converged,
        "restarts": fit.restarts.iter().map(|restart| json!({
            "objective": restart.objective,
            "iterations": restart.iterations,
            "imbalance": restart.imbalance,
        })).collect::<Vec<_>>(),
    });
    if let Some(sweep) = sweep {
        figures["sweep"] = sweep_figures(sweep);
    }
    figures
}

/// The evidence by which the number of themes was chosen.
fn sweep_figures(sweep: &Sweep) -> Value {
    let point = |point: &SweepPoint| {
        json!({
            "k": point.k,
            "objective": point.objective,
            "silhouette": point.silhouette,
            "stability": point.stability,
            "imbalance": point.imbalance,
        })
    };
    json!({
        "chosen": sweep.chosen,
        "papers": sweep.n_rows,
        "points": sweep.points.iter().map(point).collect::<Vec<_>>(),
    })
}

fn store(
    collection: &mut Collection,
    model: crate::store::ModelKey,
    rows: &[RowId],
    fit: &Fit,
    report: &ClusterReport,
) -> Result<()> {
    let clustering =
        ClusteringRecord { model, settings: report.settings.to_string(), figures: report.figures.to_string() };
    let record = |theme: &Theme| ThemeRecord {
        number: theme.theme,
        name: theme.name.clone(),
        size: theme.papers,
        terms: json!(theme.terms).to_string(),
        figures: json!(theme.figures).to_string(),
        centroid: fit.centroids.row(theme.theme as usize).to_vec(),
    };
    let themes: Vec<ThemeRecord> = report.themes.iter().map(record).collect();
    collection.put_clustering(&clustering, &themes, &memberships(fit, rows))
}

/// The membership of each row, called by its key.
fn memberships<K: Copy + TryInto<i64>>(fit: &Fit, keys: &[K]) -> Vec<Membership> {
    let member = |(row, key): (usize, &K)| Membership {
        row: (*key).try_into().unwrap_or_default(),
        theme: Some(fit.assignments[row]).filter(|theme| *theme != NOISE),
        similarity: fit.similarity[row],
        margin: fit.margin[row],
    };
    keys.iter().enumerate().map(member).collect()
}

fn read_ids(vectors: &Path, n: usize) -> Result<Vec<String>> {
    let path = ids_path(vectors);
    let text = std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
    let bad = |cause: String| {
        let problem = Problem::new(format!("`{}`", path.display()), cause);
        Error::Input(problem.hint("write it as a JSON list with one string a row of the vectors"))
    };
    let ids: Vec<String> = serde_json::from_str(&text).map_err(|error| bad(format!("is no list of ids: {error}")))?;
    if ids.len() == n { Ok(ids) } else { Err(bad(format!("holds {} ids for {n} vectors", ids.len()))) }
}

/// Rows in the order of ids, so that the order of the file changes nothing.
fn rows_by_id(ids: &[String]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by(|one, other| ids[*one].cmp(&ids[*other]));
    order
}
