//! The same program, built with its GPU side.

use std::process::ExitCode;

#[path = "../main.rs"]
mod program;

fn main() -> ExitCode {
    program::main()
}
