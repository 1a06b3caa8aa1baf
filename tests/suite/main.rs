//! All integration tests in one binary, one module per area.

mod clean;
mod commands;
mod faults;
mod kernel;
mod layers;
mod program;
mod listing;
