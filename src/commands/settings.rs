//! What was typed, as the settings of the modules that do the work.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli;
use crate::engine::{Grouping, ModelChoice};
use crate::error::{Error, Problem, Result};
use crate::ingest::{self, Input};
use crate::paper::Date;
use crate::store::Filter;

/// Bytes of a mebibyte.
const MIB: usize = 1 << 20;

/// Sizes the pool that every parallel loop runs in.
pub(super) fn use_threads(threads: Option<u16>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global();
    pool.map_err(|error| Error::Failed(Problem::new("--threads", "the threads cannot be started").source(error)))
}

pub(super) fn inputs(paths: &[PathBuf]) -> Vec<Input> {
    paths.iter().map(|path| Input::parse(&path.to_string_lossy())).collect()
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
        format: typed.format.map(format),
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
