//! The command line: runs a command, renders its error and hint, sets the exit code.

fn main() {}
