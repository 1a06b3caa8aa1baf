//! What stands between `--device cuda` and the GPUs: the driver, the GPUs themselves, and the program built for them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Problem, Result};
use crate::kernel::Driver;

/// The program with CUDA, by the name it is built with.
const PROGRAM: &str = "thematic-cuda";

/// Checks the driver and each of these GPUs: that it exists, is new enough and has memory free.
///
/// # Errors
/// [`Error::Device`] for the first that is missing, with the way out.
pub fn check_gpus(indices: &[usize]) -> Result<()> {
    let driver = Driver::open()?;
    for &index in indices {
        let gpu = driver.gpu(index)?;
        gpu.check()?;
        driver.free_bytes(&gpu)?;
    }
    Ok(())
}

/// The program with CUDA of this very version: where `named` (THEMATIC_CUDA) says, else beside this program.
///
/// # Errors
/// [`Error::Device`] where it is not there, does not start, or is another one.
pub fn find_cuda_program(named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => beside_this_program()?,
    };
    if !path.is_file() {
        let (cause, hint) = match named {
            Some(_) => ("THEMATIC_CUDA names it, but there is no such file", "correct the variable, or unset it"),
            None => (
                "the program that computes on GPUs is not there",
                "put it beside this program, or name it by THEMATIC_CUDA; it is built with `cargo build --release \
                 --features cuda`; `--device cpu` works without it",
            ),
        };
        return Err(Error::Device(Problem::new(format!("`{}`", path.display()), cause).hint(hint)));
    }
    check_version(&path)?;
    Ok(path)
}

fn beside_this_program() -> Result<PathBuf> {
    let this = env::current_exe().map_err(|error| {
        let problem = Problem::new(PROGRAM, "cannot be looked for: the system does not say where this program lies");
        Error::Device(problem.hint("name it by THEMATIC_CUDA").source(error))
    })?;
    Ok(this.with_file_name(PROGRAM))
}

/// Starts it with `--version`: that it answers shows that the libraries it is linked with are there.
fn check_version(path: &Path) -> Result<()> {
    let thing = || format!("`{}`", path.display());
    let asked = Command::new(path).arg("--version").stdin(Stdio::null()).output().map_err(|error| {
        let problem = Problem::new(thing(), format!("cannot be started: {error}"));
        Error::Device(problem.hint("check that it is a program for this machine, and may be run").source(error))
    })?;
    if !asked.status.success() {
        let said = String::from_utf8_lossy(&asked.stderr);
        let cause = format!("does not start ({}): {}", asked.status, said.lines().next().unwrap_or("it says nothing"));
        let hint = "install the libraries of CUDA 13 (cuBLASLt and NVRTC) where the system finds them, or name their folder \
                    in LD_LIBRARY_PATH";
        return Err(Error::Device(Problem::new(thing(), cause).hint(hint)));
    }
    let found = String::from_utf8_lossy(&asked.stdout);
    let expected = cuda_version_line();
    if found.trim() == expected {
        return Ok(());
    }
    let cause = format!("is `{}`, and this program needs `{expected}`", found.trim());
    Err(Error::Device(Problem::new(thing(), cause).hint("install both programs from one release")))
}

/// What the program with CUDA answers to `--version`. No other program does, so that none can hand over to itself.
fn cuda_version_line() -> String {
    format!("thematic {} with CUDA", env!("CARGO_PKG_VERSION"))
}
