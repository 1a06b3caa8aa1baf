//! All integration tests in one binary, one module per area.

mod clean;
mod commands;
mod dedupe;
mod faults;
mod kernel;
mod label;
mod layers;
mod listing;
mod program;
