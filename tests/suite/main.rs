//! All integration tests in one binary, one module per area.

mod clean;
mod cluster;
mod commands;
mod faults;
mod ingest;
mod kernel;
mod layers;
mod listing;
mod program;
