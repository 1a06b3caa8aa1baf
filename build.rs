//! Compiles the kernels for GPUs to PTX, for the feature `cuda` only.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: &str = "src/kernel/cuda/kernels";

/// PTX of this capability runs on every device from the A100 on; the driver compiles it for what is there.
const ARCHITECTURE: &str = "compute_80";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed={SOURCES}");
    println!("cargo::rerun-if-env-changed=NVCC");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    if let Err(problem) = compile() {
        println!("cargo::error={problem}");
    }
}

fn compile() -> Result<(), String> {
    let folder = env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?;
    let (nvcc, source) = (compiler(), Path::new(SOURCES).join("all.cu"));
    let mut command = Command::new(&nvcc);
    command.args(["--ptx", "--gpu-architecture", ARCHITECTURE, "--std=c++17", "-O3"]);
    command.arg(&source).arg("--output-file").arg(Path::new(&folder).join("kernels.ptx"));
    let status = command.status().map_err(|error| {
        format!("cannot run `{}`: {error}; install the CUDA toolkit, or name its compiler in NVCC", nvcc.display())
    })?;
    if status.success() { Ok(()) } else { Err(format!("nvcc did not compile `{}`: {status}", source.display())) }
}

fn compiler() -> PathBuf {
    let named = env::var_os("NVCC").map(PathBuf::from);
    let of_toolkit = || env::var_os("CUDA_HOME").map(|home| PathBuf::from(home).join("bin/nvcc"));
    named.or_else(of_toolkit).unwrap_or_else(|| "nvcc".into())
}
