//! All integration tests in one binary, one module per area.

mod clean;
mod commands;
mod faults;
mod kernel;
mod ingest;
mod layers;
mod listing;
mod program;
