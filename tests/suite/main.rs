//! All integration tests in one binary, one module per area.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic to fail, say what they skip, and share helpers between modules"
)]

mod clean;
mod cluster;
mod commands;
mod cuda;
mod dedupe;
mod emulator;
mod encode;
mod faults;
mod handover;
mod hub;
mod ingest;
mod instruction_sets;
mod kernel;
mod label;
mod layers;
mod lexical;
mod listing;
mod meanwhile;
mod models;
mod program;
mod quality;
mod shards;
mod tiny;
