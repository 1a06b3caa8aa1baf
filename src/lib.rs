//! Themes and related papers from research abstracts.
//!
//! ```text
//! files, pages, stdin
//!   -> ingest    detect the format, read records, report each one skipped
//!   -> clean     Unicode, LaTeX, boilerplate
//!   -> dedupe    identifiers, title keys, near-duplicates
//!   -> encode    tokenize, pack, run the model, pool, normalise
//!   -> store     papers, vectors, themes: one SQLite file
//!   -> cluster   k-means on unit vectors, choice of k, quality figures
//!   -> label     terms, representative papers
//!   -> search    nearest neighbours, recommendations, reasons
//! ```
//!
//! [`engine`] has one function per use case and is where to start; the modules below it can be used alone. Imports
//! go one way, in the order that `docs/architecture.md` lists and a test enforces.

pub mod clean;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod dedupe;
pub mod encode;
pub mod engine;
pub mod error;
pub mod ingest;
pub mod kernel;
pub mod label;
pub mod models;
pub mod output;
pub mod paper;
pub mod progress;
pub mod search;
pub mod store;
pub mod terminal;
pub mod terms;
pub mod vectors;
pub mod wire;

pub use error::{Error, Result};
