//! One file per command: what was typed becomes a call of the engine, what comes back becomes text or a file.
//!
//! Nothing here computes; nothing below here knows how a terminal looks.

mod cluster;
mod doctor;
mod embed;
mod explore;
mod export;
mod handover;
mod info;
mod models;
mod neighbours;
mod read;
mod recommend;
mod remove;
mod search;
mod settings;
mod skips;
mod themes;

use serde::Serialize;

use crate::cli::{Cli, Command};
use crate::error::{Error, Problem, Result};
use crate::terminal::{self, Talk};

/// The collection that commands use where none is named.
const DEFAULT_COLLECTION: &str = "papers.db";

/// What people type for the model that is compiled in.
const DEFAULT_MODEL: &str = "default";

/// How a command ended that did what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it.
    Done,
    /// All of it but for records that could not be read, and these were asked to count.
    SkippedRecords,
    /// It did what it was asked to, which was to look for problems, and found some.
    FoundProblems,
}

impl Outcome {
    /// The process exit code that a shell sees.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::FoundProblems => 1,
            Self::SkippedRecords => 5,
        }
    }
}

/// Runs what was typed, or hands over to the program with CUDA where GPUs are asked for.
///
/// # Errors
/// Whatever ended the command.
pub fn run(cli: &Cli) -> Result<Outcome> {
    handover::to_cuda_program(cli)?;
    let talk = Talk::new(cli.quiet);
    talk.listen_to_interrupts();
    settings::use_instruction_set()?;
    settings::use_threads(cli.threads)?;
    match &cli.command {
        Command::Explore(arguments) => explore::run(arguments, &talk),
        Command::Read(arguments) => read::run(arguments, &talk),
        Command::Embed(arguments) => embed::run(arguments, cli.threads, &talk),
        Command::Cluster(arguments) => cluster::run(arguments, &talk),
        Command::Recommend(arguments) => recommend::run(arguments, &talk),
        Command::Search(arguments) => search::run(arguments, &talk),
        Command::Themes(arguments) => themes::run(arguments),
        Command::Neighbours(arguments) => neighbours::run(arguments, &talk),
        Command::Remove(arguments) => remove::run(arguments, &talk),
        Command::Export(arguments) => export::run(arguments, &talk),
        Command::Info(arguments) => info::run(arguments),
        Command::Models(arguments) => models::run(arguments, &talk),
        Command::Doctor(arguments) => doctor::run(arguments),
    }
}

/// Prints a value as indented JSON.
fn print_json<T: Serialize>(value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::Failed(Problem::new("--json", "the answer cannot be written as JSON").source(error)))?;
    terminal::print(&(text + "\n"))
}
