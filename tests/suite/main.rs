//! All integration tests in one binary, one module per area.

mod cluster;
mod clean;
mod commands;
mod dedupe;
mod faults;
mod ingest;
mod kernel;
mod layers;
mod listing;
mod program;
