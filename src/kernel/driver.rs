//! NVIDIA's driver, looked up at run time: which GPUs there are and what they have free.
//!
//! Nothing is linked, so a program without CUDA can say what is missing before it hands over to the one with it. Every
//! question is one of the driver's own functions (<https://docs.nvidia.com/cuda/cuda-driver-api>); nothing is computed.

#![expect(unsafe_code, reason = "a function of a library that is found at run time is called by its name")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt;

use libloading::Library;

use super::cuda::LEAST_CAPABILITY;
use crate::error::{Error, Problem, Result};

/// The file that the driver installs, by the name that all its versions have had.
const LIBRARY: &str = "libcuda.so.1";
/// CUDA 13.0, what driver R580 brings: older ones do not load the kernels.
const LEAST_VERSION: Version = Version(13_000);
/// Less free memory than this holds no model with a batch beside it.
const LEAST_FREE: usize = 1 << 30;

/// Values of `CUdevice_attribute`.
const CAPABILITY_MAJOR: c_int = 75;
const CAPABILITY_MINOR: c_int = 76;

/// Values of `CUresult`.
const SUCCESS: c_int = 0;
const OUT_OF_MEMORY: c_int = 2;
const NO_DEVICE: c_int = 100;

const INSTALL: &str = "install NVIDIA's driver R580 or newer, in a container give it the GPU (`--gpus all`), and see \
                       that `nvidia-smi` lists one; `--device cpu` works here";

/// A version of CUDA as the driver counts: 13000 is 13.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(i32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

/// The driver, recent enough and with at least one GPU.
#[derive(Debug)]
pub struct Driver {
    library: Library,
    version: Version,
    count: usize,
}

/// A GPU that the driver knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its place in the driver's order.
    pub index: usize,
    /// As the maker calls it: `NVIDIA H200`.
    pub name: String,
    /// Major and minor number of what it can do.
    pub capability: (u32, u32),
    /// All its memory.
    pub bytes: usize,
}

impl Gpu {
    /// Whether the kernels run on it.
    ///
    /// # Errors
    /// [`Error::Device`] where it is too old for them.
    pub fn check(&self) -> Result<()> {
        if self.capability >= LEAST_CAPABILITY {
            return Ok(());
        }
        let ((major, minor), (least_major, least_minor)) = (self.capability, LEAST_CAPABILITY);
        let cause = format!("has compute capability {major}.{minor}; {least_major}.{least_minor} is needed");
        Err(Error::Device(Problem::new(self.to_string(), cause).hint("use an A100 or newer, or `--device cpu`")))
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cuda:{} ({})", self.index, self.name)
    }
}

impl Driver {
    /// Finds the driver and wakes it.
    ///
    /// # Errors
    /// [`Error::Device`] where there is none, where it is too old or broken, and where it has no GPU.
    pub fn open() -> Result<Self> {
        // SAFETY: loading runs the initialisers of the driver's library, which every CUDA program does at its start.
        let library = unsafe { Library::new(LIBRARY) }.map_err(|error| {
            let cause = format!("there is none: `{LIBRARY}` cannot be loaded ({})", plain(&error));
            Error::Device(Problem::new("NVIDIA's driver", cause).hint(INSTALL).source(error))
        })?;
        let mut driver = Self { library, version: Version(0), count: 0 };
        driver.version = driver.ask_version()?;
        if driver.version < LEAST_VERSION {
            let cause = format!("is too old: it brings CUDA {}, and {LEAST_VERSION} is needed", driver.version);
            let hint = "update it to R580 or newer, which `nvidia-smi` shows at its top; `--device cpu` works here";
            return Err(Error::Device(Problem::new("NVIDIA's driver", cause).hint(hint)));
        }
        driver.initialise()?;
        driver.count = driver.ask_count()?;
        if driver.count == 0 { Err(no_gpu()) } else { Ok(driver) }
    }

    /// The newest CUDA that the driver runs.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How many GPUs there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The GPU of that number.
    ///
    /// # Errors
    /// [`Error::Device`] where there is none, or where the driver cannot say.
    pub fn gpu(&self, index: usize) -> Result<Gpu> {
        let device = self.device(index)?;
        let attribute = |which: c_int| {
            let mut value: c_int = 0;
            // SAFETY: `cuDeviceGetAttribute` has this signature and writes one `int`, which outlives the call.
            self.ask(b"cuDeviceGetAttribute", |ask: AskAttribute| unsafe { ask(&raw mut value, which, device) })?;
            Ok::<_, Error>(value.unsigned_abs())
        };
        let capability = (attribute(CAPABILITY_MAJOR)?, attribute(CAPABILITY_MINOR)?);
        let mut bytes = 0;
        // SAFETY: `cuDeviceTotalMem_v2` has this signature and writes one `size_t`, which outlives the call.
        self.ask(b"cuDeviceTotalMem_v2", |ask: AskMemory| unsafe { ask(&raw mut bytes, device) })?;
        Ok(Gpu { index, name: self.ask_name(device)?, capability, bytes })
    }

    /// The free memory of a GPU in bytes, once this process has its own share of it.
    ///
    /// # Errors
    /// As [`Self::gpu`], and where so little is free that no model runs.
    pub fn free_bytes(&self, gpu: &Gpu) -> Result<usize> {
        let device = self.device(gpu.index)?;
        let free = match self.free_in_context(device) {
            Ok(free) => free,
            Err(Refusal { code: OUT_OF_MEMORY, .. }) => 0,
            Err(refusal) => return Err(refusal.into_error()),
        };
        if free >= LEAST_FREE {
            return Ok(free);
        }
        let cause = format!("has only {} MiB of {} MiB free", free >> 20, gpu.bytes >> 20);
        let hint = "see with `nvidia-smi` which programs hold the rest, or name another GPU";
        Err(Error::Device(Problem::new(gpu.to_string(), cause).hint(hint)))
    }

    /// Memory is only told to who has a context; the one that every library shares is taken and given back.
    fn free_in_context(&self, device: c_int) -> Result<usize, Refusal> {
        let mut context = std::ptr::null_mut();
        // SAFETY: the function has this signature and writes one pointer, which outlives the call.
        self.call(b"cuDevicePrimaryCtxRetain", |ask: AskContext| unsafe { ask(&raw mut context, device) })?;
        let (mut free, mut total) = (0, 0);
        let asked = self
            // SAFETY: the context was just retained, so it is alive.
            .call(b"cuCtxSetCurrent", |ask: SetContext| unsafe { ask(context) })
            // SAFETY: the function has this signature and writes two `size_t`, which outlive the call.
            .and_then(|()| self.call(b"cuMemGetInfo_v2", |ask: AskFree| unsafe { ask(&raw mut free, &raw mut total) }));
        // SAFETY: no context is current afterwards on this thread, so none that is destroyed stays so.
        let left = self.call(b"cuCtxSetCurrent", |ask: SetContext| unsafe { ask(std::ptr::null_mut()) });
        // SAFETY: gives back what was retained above, once.
        let released = self.call(b"cuDevicePrimaryCtxRelease_v2", |ask: OfDevice| unsafe { ask(device) });
        asked.and(left).and(released).map(|()| free)
    }

    fn ask_version(&self) -> Result<Version> {
        let mut version = 0;
        // SAFETY: the function has this signature, needs no initialisation and writes one `int`.
        self.ask(b"cuDriverGetVersion", |ask: AskNumber| unsafe { ask(&raw mut version) })?;
        Ok(Version(version))
    }

    fn initialise(&self) -> Result<()> {
        // SAFETY: the function has this signature, and zero is the only value it takes.
        match self.call(b"cuInit", |ask: Initialise| unsafe { ask(0) }) {
            Err(Refusal { code: NO_DEVICE, .. }) => Err(no_gpu()),
            outcome => outcome.map_err(Refusal::into_error),
        }
    }

    fn ask_count(&self) -> Result<usize> {
        let mut count = 0;
        // SAFETY: the function has this signature and writes one `int`.
        self.ask(b"cuDeviceGetCount", |ask: AskNumber| unsafe { ask(&raw mut count) })?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    fn device(&self, index: usize) -> Result<c_int> {
        let number =
            c_int::try_from(index).ok().filter(|_| index < self.count).ok_or_else(|| self.no_such_gpu(index))?;
        let mut device = 0;
        // SAFETY: the function has this signature and writes one `int`; the number is below the count.
        self.ask(b"cuDeviceGet", |ask: AskDevice| unsafe { ask(&raw mut device, number) })?;
        Ok(device)
    }

    fn ask_name(&self, device: c_int) -> Result<String> {
        let mut name = [0 as c_char; 256];
        // SAFETY: the function has this signature and writes at most as many characters as it is told there is room for.
        self.ask(b"cuDeviceGetName", |ask: AskName| unsafe { ask(name.as_mut_ptr(), name.len() as c_int, device) })?;
        let bytes: Vec<u8> = name.iter().take_while(|&&byte| byte != 0).map(|&byte| byte as u8).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn no_such_gpu(&self, index: usize) -> Error {
        let hint = match self.count {
            1 => "there is one GPU: `--device cuda:0`".to_owned(),
            count => format!("there are {count} GPUs, cuda:0 to cuda:{}", count - 1),
        };
        let hint = format!("{hint}; CUDA_VISIBLE_DEVICES limits which are seen");
        Error::Device(Problem::new(format!("cuda:{index}"), "there is no such GPU").hint(hint))
    }

    fn ask<F: Copy>(&self, name: &'static [u8], call: impl FnOnce(F) -> c_int) -> Result<()> {
        self.call(name, call).map_err(Refusal::into_error)
    }

    /// Calls one function of the driver, which `F` must describe.
    fn call<F: Copy>(&self, name: &'static [u8], call: impl FnOnce(F) -> c_int) -> Result<(), Refusal> {
        let refusal = |code, cause| Refusal { function: String::from_utf8_lossy(name).into_owned(), code, cause };
        // SAFETY: every caller names the type by which the driver's documentation declares the function of that name;
        // it is called before `library` goes.
        let function = unsafe { self.library.get::<F>(name) }.map_err(|error| refusal(SUCCESS, plain(&error)))?;
        match call(*function) {
            SUCCESS => Ok(()),
            code => Err(refusal(code, self.explain(code))),
        }
    }

    /// The driver's own words for a code.
    fn explain(&self, code: c_int) -> String {
        let mut words: *const c_char = std::ptr::null();
        // SAFETY: the type is that of the driver's documentation; it writes one pointer, which outlives the call.
        let told = unsafe {
            self.library.get::<AskWords>(b"cuGetErrorString").is_ok_and(|ask| ask(code, &raw mut words) == SUCCESS)
        };
        if !told || words.is_null() {
            return format!("error {code}");
        }
        // SAFETY: the driver promises a constant string that ends with a zero.
        let words = unsafe { CStr::from_ptr(words) };
        format!("{} (error {code})", words.to_string_lossy())
    }
}

type Initialise = unsafe extern "C" fn(c_uint) -> c_int;
type AskNumber = unsafe extern "C" fn(*mut c_int) -> c_int;
type AskDevice = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type AskName = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
type AskMemory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
type AskAttribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
type AskContext = unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int;
type SetContext = unsafe extern "C" fn(*mut c_void) -> c_int;
type OfDevice = unsafe extern "C" fn(c_int) -> c_int;
type AskFree = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
type AskWords = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;

/// A function of the driver that was not there or did not succeed.
struct Refusal {
    function: String,
    code: c_int,
    cause: String,
}

impl Refusal {
    fn into_error(self) -> Error {
        let cause = format!("`{}` failed: {}", self.function, self.cause);
        let hint =
            "see whether `nvidia-smi` works; after an update of the driver, restart the machine or the container";
        Error::Device(Problem::new("NVIDIA's driver", cause).hint(hint))
    }
}

fn no_gpu() -> Error {
    let hint = "see that `nvidia-smi` lists one, that CUDA_VISIBLE_DEVICES hides none, and in a container that it is \
                given one (`--gpus all`); `--device cpu` works here";
    Error::Device(Problem::new("NVIDIA's driver", "it finds no GPU").hint(hint))
}

/// What the loader said, without what this program adds to it.
fn plain(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_as_people_do() {
        assert_eq!(Version(13_000).to_string(), "13.0");
        assert_eq!(Version(12_040).to_string(), "12.4");
        assert!(Version(12_090) < LEAST_VERSION);
    }

    #[test]
    fn a_gpu_that_is_too_old_is_named() {
        let gpu = |capability| Gpu { index: 1, name: "Tesla V100".into(), capability, bytes: 16 << 30 };
        assert!(gpu((8, 0)).check().is_ok() && gpu((12, 0)).check().is_ok());
        let error = gpu((7, 5)).check().expect_err("too old");
        assert_eq!(error.to_string(), "cuda:1 (Tesla V100): has compute capability 7.5; 8.0 is needed");
    }
}
