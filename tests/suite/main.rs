//! All integration tests in one binary, one module per area.

mod encode;
mod hub;
mod layers;
mod models;
mod tiny;
mod clean;
mod commands;
mod faults;
mod ingest;
mod kernel;
mod layers;
mod listing;
mod program;
