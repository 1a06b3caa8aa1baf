//! Which instruction sets this processor and operating system offer.
//!
//! An [`Isa`] can only be obtained for what was detected, so holding one is the proof that its instructions run; every
//! safe function of the kernels rests on that. Detection happens once per process.

use std::fmt;
use std::sync::OnceLock;

use super::Precision;
use crate::error::{Error, Problem, Result};

/// An instruction set that this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Isa(Level);

/// The kinds of instruction sets, each including those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Plain Rust: runs everywhere and specifies what the others compute.
    Portable,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX-512 with dot products of bytes.
    Avx512Vnni,
    /// AVX-512 with dot products of bytes and of bf16.
    Avx512Bf16,
    /// AMX tiles of bf16, and AVX-512 with permutations of bytes.
    AmxBf16,
}

impl Isa {
    /// Plain Rust, always available.
    pub const PORTABLE: Self = Self(Level::Portable);

    /// The fastest available set, or the one that this process was limited to.
    pub fn best() -> Self {
        Self(LIMIT.get().copied().unwrap_or_else(detected))
    }

    /// Makes this the set that [`Self::best`] gives from now on: for the start of a program, once.
    ///
    /// # Errors
    /// [`Error::Usage`] where the process was limited to another set before.
    pub fn limit_process(self) -> Result<()> {
        let limit = Self(*LIMIT.get_or_init(|| self.0));
        if limit == self {
            return Ok(());
        }
        let problem = Problem::new(format!("instruction set `{self}`"), format!("this process keeps to `{limit}`"));
        Err(Error::Usage(problem.hint("choose the set once, before anything is computed")))
    }

    /// Every available set, slowest first.
    pub fn available() -> Vec<Self> {
        Level::ALL.into_iter().filter(|&level| level <= detected()).map(Self).collect()
    }

    /// The set of that name (`portable`, `avx2`, `avx512`, `avx512vnni`, `avx512bf16`, `amx`), or the best one for `auto`.
    /// `setting` is where the name was given, for the error.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name, [`Error::Device`] for a set that this machine lacks.
    pub fn parse(setting: &str, name: &str) -> Result<Self> {
        if name == "auto" {
            return Ok(Self::best());
        }
        let Some(level) = Level::ALL.into_iter().find(|level| level.name() == name) else {
            let names = Level::ALL.map(Level::name).join(", ");
            let problem = Problem::new(setting, format!("`{name}` is no instruction set"));
            return Err(Error::Usage(problem.hint(format!("use auto or one of {names}"))));
        };
        if level > detected() {
            let cause = format!("this processor or its operating system does not offer `{name}`");
            let hint = format!("`{}` is the best one here", Self(detected()));
            return Err(Error::Device(Problem::new(setting, cause).hint(hint)));
        }
        Ok(Self(level))
    }

    /// Which kind of set this is.
    pub fn level(self) -> Level {
        self.0
    }

    /// What products are fastest in. bf16 where there are tiles for it, and where the instruction for pairs of bf16 takes
    /// no longer than that for single f32: on AMD's processors it does twice the work in the same time, on Intel's
    /// without tiles half of it (docs/performance.md has the figures). The vendor decides and not a measurement, so that
    /// a machine always gives the same vectors.
    pub fn best_precision(self) -> Precision {
        match self.0 {
            Level::AmxBf16 => Precision::Bf16,
            Level::Avx512Bf16 if made_by_amd() => Precision::Bf16,
            _ => Precision::F32,
        }
    }

    /// Whether products of 8-bit weights are taken to be fastest as they are: where there is an instruction for them, which
    /// does at least twice the work of any other but tiles of bf16. Without it bytes are widened first, which gains a little
    /// on some processors and loses on others.
    pub fn prefers_int8(self) -> bool {
        matches!(self.0, Level::Avx512Vnni | Level::Avx512Bf16)
    }

    /// Whether there are matrix tiles.
    pub(super) fn has_tiles(self) -> bool {
        self.0 >= Level::AmxBf16
    }

    /// Numbers of f32 in a vector.
    pub(super) fn lanes(self) -> usize {
        match self.0 {
            Level::Portable => 4,
            Level::Avx2 => 8,
            Level::Avx512 | Level::Avx512Vnni | Level::Avx512Bf16 | Level::AmxBf16 => 16,
        }
    }

    /// The name that [`Self::parse`] takes.
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Level {
    const ALL: [Self; 6] =
        [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Vnni, Self::Avx512Bf16, Self::AmxBf16];

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
            Self::Avx512Bf16 => "avx512bf16",
            Self::AmxBf16 => "amx",
        }
    }
}

/// What the process was limited to.
static LIMIT: OnceLock<Level> = OnceLock::new();

fn detected() -> Level {
    static DETECTED: OnceLock<Level> = OnceLock::new();
    *DETECTED.get_or_init(detect)
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

#[cfg(not(target_arch = "x86_64"))]
fn made_by_amd() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
fn made_by_amd() -> bool {
    let vendor = std::arch::x86_64::__cpuid_count(0, 0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    macro_rules! has {
        ($($feature:tt),+) => { $(std::arch::is_x86_feature_detected!($feature))&&+ };
    }
    if !has!("avx2", "fma", "f16c") {
        return Level::Portable;
    }
    if !has!("avx512f", "avx512bw", "avx512dq", "avx512vl") {
        return Level::Avx2;
    }
    if !has!("avx512vnni") {
        return Level::Avx512;
    }
    if !has!("avx512bf16") {
        return Level::Avx512Vnni;
    }
    // Every processor with tiles has the permutations of bytes.
    if has!("avx512vbmi") && super::tiles::processor_has_bf16_tiles() && super::tiles::ask_permission() {
        return Level::AmxBf16;
    }
    Level::Avx512Bf16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_set() {
        for isa in Isa::available() {
            assert_eq!(Isa::parse("SET", isa.name()).expect("available"), isa);
        }
        assert_eq!(Isa::parse("SET", "auto").expect("always there"), Isa::best());
        assert_eq!(Isa::available().first(), Some(&Isa::PORTABLE));
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let error = Isa::parse("SET", "sse9").expect_err("unknown");
        assert_eq!(error.to_string(), "SET: `sse9` is no instruction set");
        assert!(error.hint().expect("a hint").contains("portable, avx2, avx512, avx512vnni, avx512bf16, amx"));
    }

    #[test]
    fn sets_that_this_machine_lacks_are_refused_with_the_best_one() {
        let lacking = Level::ALL.into_iter().filter(|&level| level > detected());
        for name in lacking.map(Level::name) {
            let error = Isa::parse("SET", name).expect_err("not offered");
            assert_eq!(error.exit_code(), 4);
            assert!(error.to_string().contains(&format!("does not offer `{name}`")), "{error}");
        }
    }
}
