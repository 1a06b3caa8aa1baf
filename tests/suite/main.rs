//! All integration tests in one binary, one module per area.

mod commands;
mod faults;
mod layers;
mod program;
