//! What this machine, this build and a collection can do, and what is wrong with them.

use std::borrow::Cow;
use std::path::Path;

use serde::Serialize;

use super::gpu::find_cuda_program;
use super::model::{self, ModelChoice};
use crate::encode::{WITH_CUDA, available_threads};
use crate::error::{Error, Result};
use crate::kernel::{Driver, Isa};
use crate::paper::text_hash;
use crate::progress::Progress;
use crate::store::{Collection, ModelKey, ModelRecord};

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Good,
    /// Worth knowing; nothing is lost.
    Note,
    /// Something does not work, or something is lost.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub about: String,
    /// How to take it.
    pub severity: Severity,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    fn good(about: &str, found: impl Into<String>) -> Self {
        Self { about: about.into(), severity: Severity::Good, found: found.into(), hint: None }
    }

    fn note(about: &str, found: impl Into<String>, hint: &str) -> Self {
        Self { about: about.into(), severity: Severity::Note, found: found.into(), hint: Some(hint.into()) }
    }

    fn bad(about: &str, found: impl Into<String>, hint: Option<String>) -> Self {
        Self { about: about.into(), severity: Severity::Bad, found: found.into(), hint }
    }

    /// Something that is only wanted by who asks for it.
    fn note_of_error(about: &str, error: &Error) -> Self {
        Self { severity: Severity::Note, ..Self::of_error(about, error) }
    }

    fn of_error(about: &str, error: &Error) -> Self {
        Self::bad(about, error.to_string(), error.hint().map(Cow::into_owned))
    }
}

/// Looks at the program and the machine, and at a collection where one is named. `cuda_program` is where
/// `thematic-cuda` is said to lie, `None` for beside this program.
///
/// # Errors
/// None of what is looked for: a collection that cannot be opened is a finding.
pub fn diagnose(collection: Option<&Path>, cuda_program: Option<&Path>, progress: &dyn Progress) -> Vec<Finding> {
    let mut findings = vec![program(), machine()];
    findings.extend(gpus());
    findings.push(cuda(cuda_program));
    findings.push(default_model(progress));
    if let Some(path) = collection {
        match Collection::open_read_only(path) {
            Err(error) => findings.push(Finding::of_error("collection", &error)),
            Ok(collection) => match look_at(&collection, progress) {
                Ok(found) => findings.extend(found),
                Err(error) => findings.push(Finding::of_error("collection", &error)),
            },
        }
    }
    findings
}

fn program() -> Finding {
    Finding::good("program", format!("thematic {}", env!("CARGO_PKG_VERSION")))
}

fn machine() -> Finding {
    let cores = available_threads();
    let sets: Vec<&str> = Isa::available().into_iter().map(Isa::name).collect();
    let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
    let found = format!("{cores}; instruction sets: {}", sets.join(", "));
    let used = Isa::best();
    if sets.last().is_none_or(|best| *best == used.name()) {
        return Finding::good("machine", found);
    }
    Finding::note("machine", format!("{found}; limited to {used}"), "unset THEMATIC_ISA to use the best one")
}

/// The driver and each of its GPUs. Their absence is no fault: the processor does everything.
fn gpus() -> Vec<Finding> {
    let driver = match Driver::open() {
        Ok(driver) => driver,
        Err(error) => return vec![Finding::note_of_error("gpu", &error)],
    };
    let count = if driver.count() == 1 { "1 GPU".to_owned() } else { format!("{} GPUs", driver.count()) };
    let found = format!("NVIDIA's driver brings CUDA {} and finds {count}", driver.version());
    let gpus = (0..driver.count()).map(|index| gpu(&driver, index));
    let gpus = gpus.map(|gpu| gpu.unwrap_or_else(|error| Finding::note_of_error("gpu", &error)));
    std::iter::once(Finding::good("gpu", found)).chain(gpus).collect()
}

fn gpu(driver: &Driver, index: usize) -> Result<Finding> {
    let gpu = driver.gpu(index)?;
    gpu.check()?;
    let free = driver.free_bytes(&gpu)?;
    Ok(Finding::good("gpu", format!("{gpu}, {} of {} MiB free", free >> 20, gpu.bytes >> 20)))
}

/// The program that computes on GPUs.
fn cuda(named: Option<&Path>) -> Finding {
    if WITH_CUDA {
        return Finding::good("thematic-cuda", "this program computes on GPUs");
    }
    match find_cuda_program(named) {
        Ok(path) => Finding::good("thematic-cuda", format!("{} is of this version", path.display())),
        Err(error) => Finding::note_of_error("thematic-cuda", &error),
    }
}

fn default_model(progress: &dyn Progress) -> Finding {
    let loaded = model::load_encoder(&ModelChoice::default(), progress);
    match loaded.and_then(|encoder| encoder.self_test().map(|()| encoder.record())) {
        Ok(record) => {
            Finding::good("model", format!("{} is sound, {} numbers a vector", record.name, record.dimensions))
        }
        Err(error) => Finding::of_error("model", &error),
    }
}

fn look_at(collection: &Collection, progress: &dyn Progress) -> Result<Vec<Finding>> {
    let mut findings = vec![file(collection)?, papers(collection)?];
    match collection.current_model()? {
        None => findings.push(Finding::note("vectors", "none yet", "run `thematic embed` on the collection")),
        Some((key, record)) => {
            findings.push(vectors(collection, key, &record)?);
            findings.push(texts(collection, key, &record, progress)?);
        }
    }
    findings.push(themes(collection)?);
    Ok(findings)
}

fn file(collection: &Collection) -> Result<Finding> {
    let problems = collection.problems()?;
    let name = collection.path().display().to_string();
    Ok(match problems.first() {
        None => Finding::good("collection", format!("{name} is sound")),
        Some(first) => {
            let hint = "restore a copy, or make it again from the papers".to_owned();
            Finding::bad("collection", format!("{name} is damaged: {first}"), Some(hint))
        }
    })
}

fn papers(collection: &Collection) -> Result<Finding> {
    let (papers, whole) = (collection.count()?, collection.count_with_abstract()?);
    Ok(Finding::good("papers", format!("{papers}, of which {whole} have an abstract")))
}

fn vectors(collection: &Collection, key: ModelKey, record: &ModelRecord) -> Result<Finding> {
    let (papers, vectors) = (collection.count()?, collection.count_vectors(key)?);
    let name = &record.name;
    Ok(if vectors == papers {
        Finding::good("vectors", format!("every paper has one of {name}"))
    } else {
        let missing = papers.saturating_sub(vectors);
        Finding::note(
            "vectors",
            format!("{missing} papers have none of {name}"),
            "run `thematic embed` on the collection",
        )
    })
}

/// Holds the hash that each vector records against the text its paper has now.
fn texts(collection: &Collection, key: ModelKey, record: &ModelRecord, progress: &dyn Progress) -> Result<Finding> {
    let choice = ModelChoice { model: Some(record.source.clone()), offline: true, ..ModelChoice::default() };
    let encoder = match model::load_encoder(&choice, progress) {
        Ok(encoder) => encoder,
        Err(error) => return Ok(Finding::of_error("texts", &error)),
    };
    let hashes: std::collections::BTreeMap<_, _> = collection.text_hashes(key)?.into_iter().collect();
    let mut stale = 0;
    collection.for_each_paper(|stored| {
        let hash = text_hash(&encoder.text_of(&stored.paper));
        stale += usize::from(hashes.get(&stored.row).is_some_and(|recorded| *recorded != hash));
        Ok(())
    })?;
    Ok(match stale {
        0 => Finding::good("texts", "every vector belongs to the text its paper has"),
        n => Finding::bad("texts", format!("{n} vectors are of another text"), Some("embed the papers again".into())),
    })
}

fn themes(collection: &Collection) -> Result<Finding> {
    if collection.clustering()?.is_none() {
        return Ok(Finding::note("themes", "none yet", "run `thematic cluster` on the collection"));
    }
    let (themes, members) = (collection.themes()?.len(), collection.memberships()?.len());
    let without = collection.count()?.saturating_sub(members);
    Ok(if without == 0 {
        Finding::good("themes", format!("{themes}, and every paper was clustered"))
    } else {
        let found = format!("{themes}; {without} papers came later and have none");
        Finding::note("themes", found, "run `thematic cluster` again")
    })
}
