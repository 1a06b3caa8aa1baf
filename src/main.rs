//! The command line: runs a command, renders its error and hint, sets the exit code.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use thematic::cli::Cli;
use thematic::error::Error;
use thematic::{commands, terminal};

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::run(&cli) {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        // A reader that has seen enough, such as `head`, is no failure.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            terminal::report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
