//! Where GPUs are asked for, `thematic-cuda` takes over: the same arguments, environment, streams and process.
//!
//! Only a program that links CUDA can compute on a GPU, and such a program does not start without it. So this one looks
//! first whether everything is there, and says what is not; nothing has been read or written by then.

use std::env;
use std::path::Path;
use std::process::Command;

use super::settings;
use crate::cli::Cli;
use crate::encode::{Device, WITH_CUDA};
use crate::engine;
use crate::error::{Error, Problem, Result};

/// Checks the GPUs that were asked for, or that `auto` means. In a program without CUDA it does not return where they are
/// usable.
///
/// # Errors
/// [`Error::Device`] for whatever is missing.
pub(super) fn to_cuda_program(cli: &Cli) -> Result<()> {
    let Some(gpus) = cli.device().and_then(Device::gpus) else { return Ok(()) };
    engine::check_gpus(gpus)?;
    if WITH_CUDA {
        return Ok(());
    }
    let program = engine::find_cuda_program(settings::cuda_program().as_deref())?;
    Err(become_program(&program))
}

/// Replaces this process, so that signals and the exit code are the other program's own; comes back only by failing.
#[cfg(unix)]
fn become_program(program: &Path) -> Error {
    use std::os::unix::process::CommandExt;

    let error = Command::new(program).args(env::args_os().skip(1)).exec();
    let problem = Problem::new(format!("`{}`", program.display()), format!("cannot be started: {error}"));
    Error::Device(problem.hint("check that it is a program for this machine, and may be run").source(error))
}

/// There is no such program for other systems.
#[cfg(not(unix))]
fn become_program(program: &Path) -> Error {
    let problem = Problem::new(format!("`{}`", program.display()), "GPUs are used on Linux only");
    Error::Device(problem.hint("use `--device cpu`"))
}
