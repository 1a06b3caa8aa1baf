//! What was typed, as the settings of the modules that do the work.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli;
use crate::cluster::{self, Algorithm};
use crate::encode::{Device, EngineChoice, Precision, PromptChoice};
use crate::engine::{AddReport, Grouping, ModelChoice};
use crate::error::{Error, Problem, Result};
use crate::ingest::{self, Input};
use crate::kernel::Isa;
use crate::paper::Date;
use crate::store::{Collection, Filter, ModelRecord};
use crate::terminal::{counted, grouped};

/// Bytes of a mebibyte.
const MIB: usize = 1 << 20;

/// Limits the instruction set of the whole process, for tests and bug reports.
pub(super) fn use_instruction_set() -> Result<()> {
    let Some(name) = std::env::var_os(cli::ISA_VARIABLE) else { return Ok(()) };
    Isa::parse(cli::ISA_VARIABLE, &name.to_string_lossy())?.limit_process()
}

/// Where `thematic-cuda` is said to lie.
pub(super) fn cuda_program() -> Option<PathBuf> {
    std::env::var_os(cli::CUDA_VARIABLE).map(PathBuf::from)
}

/// Sizes the pool that every parallel loop runs in.
pub(super) fn use_threads(threads: Option<u16>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global();
    pool.map_err(|error| Error::Failed(Problem::new("--threads", "the threads cannot be started").source(error)))
}

pub(super) fn inputs(paths: &[PathBuf]) -> Vec<Input> {
    paths.iter().map(Input::parse).collect()
}

pub(super) fn reading(typed: &cli::ReadingOptions) -> Result<ingest::Options> {
    let as_of = match typed.as_of {
        Some(date) => date,
        None => today()?,
    };
    Ok(ingest::Options {
        text_column: typed.text_column.clone(),
        title_column: typed.title_column.clone(),
        id_column: typed.id_column.clone(),
        format: typed.format,
        max_record_bytes: typed.max_record as usize * MIB,
        ..ingest::Options::new(as_of)
    })
}

pub(super) fn filter(typed: &cli::FilterOptions) -> Filter {
    Filter {
        from: typed.from,
        until: typed.until,
        categories: typed.category.clone(),
        themes: typed.theme.clone(),
        sources: typed.source.clone(),
    }
}

/// The model of a command that embeds papers.
pub(super) fn model(typed: &cli::EncodeOptions, threads: Option<u16>) -> ModelChoice {
    ModelChoice {
        precision: precision(typed.precision),
        engine: engine(typed.engine),
        threads: threads.and_then(|threads| NonZeroUsize::new(threads.into())),
        max_length: typed.max_length,
        dimensions: typed.dimensions,
        batch_tokens: typed.max_batch_tokens.and_then(NonZeroUsize::new),
        prompt: typed.prompt.clone().map(PromptChoice::Text).or_else(|| named_prompt(&typed.model)),
        query_prompt: None,
        ..query_model(&typed.model)
    }
}

/// The model of a command that embeds questions only.
pub(super) fn query_model(typed: &cli::ModelOptions) -> ModelChoice {
    ModelChoice {
        model: typed.model.clone(),
        revision: typed.revision.clone(),
        offline: typed.offline,
        device: typed.device.clone(),
        query_prompt: named_prompt(typed),
        allow_pickle: typed.allow_pickle,
        ..ModelChoice::default()
    }
}

fn named_prompt(typed: &cli::ModelOptions) -> Option<PromptChoice> {
    typed.prompt_name.clone().map(PromptChoice::Named)
}

/// Where no model is named, a collection goes on with the one it has; and with the numbers that its vectors were computed in,
/// unless others are asked for: what suits another machine, or a later version, would embed all papers again.
pub(super) fn keeping_model(choice: ModelChoice, collection: &Path) -> Result<ModelChoice> {
    if !collection.is_file() {
        return Ok(choice);
    }
    let Some((_, record)) = Collection::open_read_only(collection)?.current_model()? else { return Ok(choice) };
    if choice.model.as_ref().is_some_and(|model| *model != record.source) {
        return Ok(choice);
    }
    let precision = kept_precision(&choice, &record);
    if choice.model.is_some() {
        return Ok(ModelChoice { precision, ..choice });
    }
    let kept = ModelChoice::of_record(&record, &choice);
    Ok(ModelChoice {
        precision,
        max_length: choice.max_length.or(kept.max_length),
        dimensions: choice.dimensions.or(kept.dimensions),
        prompt: choice.prompt.or(kept.prompt.clone()),
        ..kept
    })
}

fn kept_precision(choice: &ModelChoice, record: &ModelRecord) -> Precision {
    if choice.precision != Precision::Auto || choice.engine == EngineChoice::Reference {
        return choice.precision;
    }
    Precision::on_device(&record.precision, &choice.device).unwrap_or_default()
}

/// The GPU of a command that compares vectors and makes none: it would leave a second one idle.
pub(super) fn one_gpu(device: &Device) -> Result<Option<usize>> {
    match device.gpus() {
        Some([_, _, ..]) => {
            let problem = Problem::new(format!("`--device {device}`"), "this command uses one GPU");
            Err(Error::Usage(problem.hint("name one of them, as in `--device cuda:0`")))
        }
        gpus => Ok(gpus.and_then(<[usize]>::first).copied()),
    }
}

/// The GPU of a command that does nothing but group: whoever names one must get it.
pub(super) fn gpu_to_group_on(device: &Device, typed: &cli::ThemeOptions) -> Result<Option<usize>> {
    if matches!(device, Device::Cuda(_)) && typed.algorithm != cli::Algorithm::Kmeans {
        let cause = format!("`{}` is computed by the processor", algorithm(typed.algorithm).name());
        let problem = Problem::new(format!("`--device {device}`"), cause);
        return Err(Error::Usage(problem.hint("use `--device cpu`, or `--algorithm kmeans`")));
    }
    one_gpu(device).map(|gpu| gpu.filter(|_| typed.algorithm == cli::Algorithm::Kmeans))
}

/// The GPU that k-means computes on, where it is k-means and the device has one.
pub(super) fn first_gpu(device: &Device, typed: &cli::ThemeOptions) -> Option<usize> {
    let gpus = device.gpus().filter(|_| typed.algorithm == cli::Algorithm::Kmeans)?;
    gpus.first().copied()
}

/// How papers become themes.
pub(super) fn grouping(typed: &cli::ThemeOptions, gpu: Option<usize>) -> Grouping {
    let settings = cluster::Settings {
        algorithm: algorithm(typed.algorithm),
        restarts: typed.restarts,
        max_iterations: typed.max_iterations,
        tolerance: typed.tolerance,
        seed: typed.seed,
        density: cluster::Density { reach: typed.epsilon, least: typed.min_papers },
        ..cluster::Settings::default()
    };
    let finds_its_own = matches!(typed.algorithm, cli::Algorithm::Dbscan | cli::Algorithm::Optics);
    match typed.k {
        cli::KChoice::Fixed(k) => Grouping { settings: cluster::Settings { k, ..settings }, sweep: None, gpu },
        cli::KChoice::Auto if finds_its_own => Grouping { settings, sweep: None, gpu },
        cli::KChoice::Auto => {
            let sweep = cluster::SweepSettings { seed: typed.seed, ..cluster::SweepSettings::default() };
            Grouping { settings, sweep: Some(sweep), gpu }
        }
    }
}

/// A line that says what became of the records.
pub(super) fn said_of_adding(report: &AddReport) -> String {
    let AddReport { records, added, merged, linked, .. } = *report;
    let mut line = format!("read {}: {}", counted(records, "record"), counted(added, "new paper"));
    if merged > 0 {
        line.push_str(&format!(", {} known already", grouped(merged)));
    }
    if linked > 0 {
        line.push_str(&format!(", {}", counted(linked, "renamed version")));
    }
    line
}

fn algorithm(typed: cli::Algorithm) -> Algorithm {
    match typed {
        cli::Algorithm::Kmeans => Algorithm::KMeans,
        cli::Algorithm::LinfaKmeans => Algorithm::LinfaKMeans,
        cli::Algorithm::GaussianMixture => Algorithm::GaussianMixture,
        cli::Algorithm::Dbscan => Algorithm::Dbscan,
        cli::Algorithm::Optics => Algorithm::Optics,
    }
}

fn engine(typed: cli::Engine) -> EngineChoice {
    match typed {
        cli::Engine::Auto => EngineChoice::Auto,
        cli::Engine::Packed => EngineChoice::Packed,
        cli::Engine::Reference => EngineChoice::Reference,
    }
}

fn precision(typed: cli::Precision) -> Precision {
    match typed {
        cli::Precision::Auto => Precision::Auto,
        cli::Precision::F32 => Precision::F32,
        cli::Precision::Bf16 => Precision::Bf16,
        cli::Precision::F16 => Precision::F16,
        cli::Precision::Int8 => Precision::Int8,
    }
}

/// Today by the clock of the machine, in UTC.
fn today() -> Result<Date> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    date_of_day(seconds / 86_400).ok_or_else(|| {
        let problem = Problem::new("the clock", "shows a year that no date can have");
        Error::Failed(problem.hint("set the clock, or give --as-of DATE"))
    })
}

/// The date of a day counted from 1970-01-01, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn date_of_day(days: u64) -> Option<Date> {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    Date::day(u16::try_from(year).ok()?, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::date_of_day;

    #[test]
    fn days_become_dates() {
        for (day, expected) in [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_778, "2026-11-21")] {
            assert_eq!(date_of_day(day).expect("a date").to_string(), expected);
        }
    }
}
