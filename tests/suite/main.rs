//! All integration tests in one binary, one module per area.

mod cluster;
mod commands;
mod faults;
mod kernel;
mod layers;
mod listing;
mod program;
