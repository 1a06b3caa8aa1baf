//! Kernels for GPUs on the processor: `tests/emulator` built by the C++ compiler that is there, one launch at a time.
//!
//! The sources are those that the feature `cuda` compiles for devices. Every launch is made in three orders of threads,
//! which must agree to the last bit: where they do not, a barrier is missing.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use half::{bf16, f16};

/// A launch that is being put together.
#[derive(Clone)]
pub(crate) struct Launch {
    kernel: String,
    grid: [u32; 3],
    threads: u32,
    arguments: Vec<Argument>,
}

#[derive(Clone)]
struct Argument {
    kind: u32,
    bytes: Vec<u8>,
}

/// Numbers that kernels take.
pub(crate) trait Number: Copy {
    /// What kernels of this type have in their names.
    const SUFFIX: &'static str;
    fn of(number: f32) -> Self;
    fn as_f32(self) -> f32;
    fn append(self, bytes: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($type:ty, $suffix:literal, $of:expr, $as_f32:expr) => {
        impl Number for $type {
            const SUFFIX: &'static str = $suffix;
            fn of(number: f32) -> Self {
                $of(number)
            }
            fn as_f32(self) -> f32 {
                $as_f32(self)
            }
            fn append(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn read(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("the bytes of one number"))
            }
        }
    };
}

number!(f32, "f32", |number| number, |number| number);
number!(bf16, "bf16", bf16::from_f32, bf16::to_f32);
number!(f16, "f16", f16::from_f32, f16::to_f32);
number!(u32, "u32", |number| number as u32, |number| number as f32);

impl Launch {
    pub(crate) fn new(kernel: impl Into<String>, grid: [usize; 2], threads: u32) -> Self {
        let grid = [grid[0] as u32, grid[1] as u32, 1];
        Self { kernel: kernel.into(), grid, threads, arguments: Vec::new() }
    }

    pub(crate) fn value(self, value: i32) -> Self {
        self.argument(0, value.to_le_bytes().to_vec())
    }

    pub(crate) fn float(self, value: f32) -> Self {
        self.argument(0, value.to_le_bytes().to_vec())
    }

    pub(crate) fn buffer<T: Number>(self, numbers: &[T]) -> Self {
        let mut bytes = Vec::new();
        numbers.iter().for_each(|number| number.append(&mut bytes));
        self.argument(1, bytes)
    }

    pub(crate) fn null(self) -> Self {
        self.argument(2, Vec::new())
    }

    fn argument(mut self, kind: u32, bytes: Vec<u8>) -> Self {
        self.arguments.push(Argument { kind, bytes });
        self
    }

    /// The buffers afterwards, in the order of the arguments; `None`, said aloud, where there is no C++ compiler.
    pub(crate) fn run(&self) -> Option<Vec<Buffer>> {
        let emulator = emulator()?;
        let [first, rest @ ..] = [0, 1, 7].map(|order| self.run_in(&emulator, order));
        for other in rest {
            assert!(first == other, "`{}` depends on the order of its threads", self.kernel);
        }
        Some(first)
    }

    /// As [`Self::run`], for kernels whose results may stand in any order.
    pub(crate) fn run_in_any_order(&self) -> Option<Vec<Buffer>> {
        Some(self.run_in(&emulator()?, 7))
    }

    fn run_in(&self, emulator: &Path, order: u32) -> Vec<Buffer> {
        let mut child = Command::new(emulator)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the emulator starts");
        let (request, mut input) = (self.request(order), child.stdin.take().expect("a pipe"));
        // One that refuses reads no further; its status says so below.
        let writer = std::thread::spawn(move || drop(input.write_all(&request)));
        let output = child.wait_with_output().expect("the emulator ends");
        writer.join().expect("the request is written");
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stderr), output.status);
        let mut rest = output.stdout.as_slice();
        let buffers = self.arguments.iter().filter(|argument| argument.kind == 1);
        let buffers = buffers.map(|argument| Buffer(rest.split_off(..argument.bytes.len()).expect("whole").to_vec()));
        buffers.collect()
    }

    fn request(&self, order: u32) -> Vec<u8> {
        let mut request = Vec::new();
        let mut number = |number: u32, more: &[u8]| {
            request.extend_from_slice(&number.to_le_bytes());
            request.extend_from_slice(more);
        };
        number(self.kernel.len() as u32, self.kernel.as_bytes());
        self.grid.into_iter().chain([self.threads, order, self.arguments.len() as u32]).for_each(|n| number(n, &[]));
        for argument in &self.arguments {
            number(argument.kind, &[]);
            number(argument.bytes.len() as u32, &argument.bytes);
        }
        request
    }
}

/// A buffer as a kernel left it.
#[derive(PartialEq)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    pub(crate) fn numbers<T: Number>(&self) -> Vec<T> {
        self.0.chunks_exact(size_of::<T>()).map(T::read).collect()
    }

    pub(crate) fn floats<T: Number>(&self) -> Vec<f32> {
        self.numbers::<T>().into_iter().map(T::as_f32).collect()
    }
}

/// The emulator of the sources as they are, built once.
fn emulator() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("src/kernel/cuda/kernels"), root.join("tests/emulator")];
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if Command::new(&compiler).arg("--version").output().is_err() {
        println!("skipped: there is no C++ compiler `{compiler}` to build the emulator of GPU kernels with");
        return None;
    }
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("emulator-{:016x}", fingerprint(&folders)));
    let lock = fs::File::create(built.with_extension("lock")).expect("a file to lock");
    lock.lock().expect("one builder at a time");
    if !built.exists() {
        build(&compiler, &folders, &built);
    }
    Some(built)
}

fn fingerprint(folders: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for folder in folders {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).expect("sources").map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        files.iter().for_each(|file| fs::read(file).expect("a source").hash(&mut hasher));
    }
    hasher.finish()
}

fn build(compiler: &str, folders: &[PathBuf; 2], to: &Path) {
    let part = to.with_extension("part");
    let mut command = Command::new(compiler);
    // Optimised lightly: fibres jump, which longer optimisation and fortified jumps would both have a say in.
    let warnings = ["-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Werror"];
    command.args(["-std=c++17", "-O1", "-U_FORTIFY_SOURCE"]).args(warnings).args(["-x", "c++"]);
    for folder in folders {
        command.arg("-I").arg(folder);
    }
    command.args(["main.cpp", "emulator.cpp"].map(|file| folders[1].join(file))).arg("-o").arg(&part);
    let output = command.output().expect("the compiler starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(part, to).expect("renamed");
}
