//! Which instruction sets this processor and operating system offer.
//!
//! An [`Isa`] can only be obtained for what was detected, so holding one is the proof that its instructions run; every
//! safe function of the kernels rests on that. Detection happens once per process.

use std::fmt;
use std::sync::OnceLock;

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
    /// AVX-512 with bf16 dot products.
    Avx512Bf16,
    /// AMX tiles of bf16.
    AmxBf16,
}

impl Isa {
    /// Plain Rust, always available.
    pub const PORTABLE: Self = Self(Level::Portable);

    /// The fastest available set.
    pub fn best() -> Self {
        Self(detected())
    }

    /// Every available set, slowest first.
    pub fn available() -> Vec<Self> {
        Level::ALL.into_iter().filter(|&level| level <= detected()).map(Self).collect()
    }

    /// The set of that name (`portable`, `avx2`, `avx512`, `avx512bf16`, `amx`), or the best one for `auto`.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name, [`Error::Device`] for a set that this machine lacks.
    pub fn parse(name: &str) -> Result<Self> {
        if name == "auto" {
            return Ok(Self::best());
        }
        let Some(level) = Level::ALL.into_iter().find(|level| level.name() == name) else {
            let names = Level::ALL.map(Level::name).join(", ");
            let problem = Problem::new(format!("`{name}`"), "is no known instruction set");
            return Err(Error::Usage(problem.hint(format!("use auto or one of {names}"))));
        };
        if level > detected() {
            let problem = Problem::new(format!("`{name}`"), "is not offered by this processor or operating system");
            return Err(Error::Device(problem.hint(format!("`{}` is the best one here", Self::best()))));
        }
        Ok(Self(level))
    }

    /// Which kind of set this is.
    pub fn level(self) -> Level {
        self.0
    }

    /// Numbers of f32 in a vector.
    pub(super) fn lanes(self) -> usize {
        match self.0 {
            Level::Portable => 4,
            Level::Avx2 => 8,
            Level::Avx512 | Level::Avx512Bf16 | Level::AmxBf16 => 16,
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
    const ALL: [Self; 5] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16, Self::AmxBf16];

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512bf16",
            Self::AmxBf16 => "amx",
        }
    }
}

fn detected() -> Level {
    static DETECTED: OnceLock<Level> = OnceLock::new();
    *DETECTED.get_or_init(detect)
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
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
    if !has!("avx512bf16") {
        return Level::Avx512;
    }
    if super::tiles::processor_has_bf16_tiles() && super::tiles::ask_permission() {
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
            assert_eq!(Isa::parse(isa.name()).expect("available"), isa);
        }
        assert_eq!(Isa::parse("auto").expect("always there"), Isa::best());
        assert_eq!(Isa::available().first(), Some(&Isa::PORTABLE));
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let error = Isa::parse("sse9").expect_err("unknown");
        assert_eq!(error.to_string(), "`sse9`: is no known instruction set");
        assert!(error.hint().expect("a hint").contains("avx512bf16"));
    }
}
