//! What share of the processor's peak each kernel of a MiniLM layer reaches: a table for docs/performance.md.
//!
//! The peak is measured in the same run, by multiplications on registers, or tiles, that wait for nothing. Every figure is
//! the fastest of many short rounds on one core. Of f32 with AMX, whose products are made of bf16, it is that of the
//! vectors.
//!
//! ```text
//! cargo bench --bench roofline
//! THEMATIC_ISA=avx2 cargo bench --bench roofline
//! ```

#![expect(clippy::print_stdout, reason = "the table is what it is run for")]

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use support::numbers;
use thematic::kernel::{
    self, Activation, Attention, FeedForward, Inner, Isa, LinearWeights, Map, Mask, Nearest, Operand, Output,
    PackedMatrix, Precision, ResidualPath, Workspace,
};

/// Numbers in a row of MiniLM.
const DIM: usize = 384;
/// Tokens that a thread carries through the network together: two abstracts.
const TOKENS: usize = 440;
/// Rows for the nearest of centroids.
const ROWS: usize = 2016;
/// How long each kernel is tried.
const PATIENCE: Duration = Duration::from_millis(300);

fn main() {
    let sets: Vec<Isa> = support::sets().into_iter().rev().collect();
    let names: Vec<&str> = sets.iter().map(|isa| isa.name()).collect();
    println!("GFLOP/s on one core, and the share of the peak\n\n| | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(sets.len()));
    for factors in [Factors::F32, Factors::Bf16, Factors::Int8] {
        row(&format!("{factors:?}: peak on registers"), &sets, |isa| (peak(isa, factors), None));
        // Attention has no product of bytes, and a part in 8 bits is its two products.
        let tasks = if factors == Factors::Int8 { &Task::ALL[..3] } else { &Task::ALL[..] };
        for task in tasks {
            let name = format!("{factors:?}: {}", task.name());
            row(&name, &sets, |isa| (Some(task.rate(isa, factors)), peak(isa, factors)));
        }
    }
    for centroids in [100, 1000] {
        row(&format!("nearest of {centroids}"), &sets, |isa| (Some(nearest(isa, centroids)), peak(isa, Factors::F32)));
    }
}

/// One line of the table: a rate for each set, and the peak it is held against.
fn row(name: &str, sets: &[Isa], figure: impl Fn(Isa) -> (Option<f64>, Option<f64>)) {
    let cells: Vec<String> = sets
        .iter()
        .map(|&isa| match figure(isa) {
            (Some(rate), Some(peak)) => format!("{:.0} ({:.0} %)", rate / 1e9, 100.0 * rate / peak),
            (Some(rate), None) => format!("{:.0}", rate / 1e9),
            (None, _) => String::new(),
        })
        .collect();
    println!("| {name} | {} |", cells.join(" | "));
}

/// Operations a second by the fastest of many rounds of `work`, which does so many.
fn rate(operations: usize, mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut fastest = f64::INFINITY;
    while begin.elapsed() < PATIENCE {
        let start = Instant::now();
        work();
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    operations as f64 / fastest
}

/// What is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Factors {
    F32,
    Bf16,
    /// Weights of 8 bits, and activations that are rounded to bytes.
    Int8,
}

impl Factors {
    fn activations(self, isa: Isa) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::Int8 => isa.best_precision(),
        }
    }
}

/// The products of a layer, and attention.
#[derive(Clone, Copy)]
enum Task {
    QueryKeyValue,
    Up,
    Down,
    Attention,
    FeedForward,
}

impl Task {
    const ALL: [Self; 5] = [Self::QueryKeyValue, Self::Up, Self::Down, Self::Attention, Self::FeedForward];

    fn name(self) -> &'static str {
        match self {
            Self::QueryKeyValue => "query, key, value",
            Self::Up => "up with GELU",
            Self::Down => "down with residual",
            Self::Attention => "attention",
            Self::FeedForward => "up and down, in place",
        }
    }

    fn rate(self, isa: Isa, factors: Factors) -> f64 {
        match self {
            Self::QueryKeyValue => linear(isa, factors, (DIM, 3 * DIM), Activation::Identity, false),
            Self::Up => linear(isa, factors, (DIM, 4 * DIM), Activation::Gelu, false),
            Self::Down => linear(isa, factors, (4 * DIM, DIM), Activation::Identity, true),
            Self::Attention => attention(isa, factors.activations(isa)),
            Self::FeedForward => feed_forward(isa, factors.activations(isa)),
        }
    }
}

fn pack(isa: Isa, factors: Factors, (n_in, n_out): (usize, usize)) -> LinearWeights {
    let (weights, bias) = (numbers(n_out * n_in), numbers(n_out));
    if factors == Factors::Int8 {
        let bytes: Vec<i8> = weights.iter().map(|weight| (weight * 127.0) as i8).collect();
        return LinearWeights::pack_int8(isa, &bytes, &vec![1.0 / 127.0; n_out], n_in, Some(&bias));
    }
    LinearWeights::pack(isa, factors.activations(isa), &weights, n_in, Some(&bias))
}

fn linear(isa: Isa, factors: Factors, (n_in, n_out): (usize, usize), activation: Activation, residual: bool) -> f64 {
    let (weights, precision) = (pack(isa, factors, (n_in, n_out)), factors.activations(isa));
    let (mut input, mut next) = (Operand::new(precision), Operand::new(precision));
    input.fill(isa, &numbers(TOKENS * n_in), n_in);
    let mut rows = vec![0.0; TOKENS * n_out];
    let mut workspace = Workspace::new();
    rate(2 * TOKENS * n_in * n_out, || {
        let output = if residual { Output::Residual(&mut rows) } else { Output::Operand(&mut next) };
        kernel::linear(&weights, &input, activation, output, &mut workspace);
    })
}

fn attention(isa: Isa, precision: Precision) -> f64 {
    let settings = Attention { n_heads: 12, head_dim: 32, scale: 1.0 / 32f32.sqrt(), mask: Mask::Full, bias: None };
    let (mut qkv, mut context) = (Operand::new(precision), Operand::new(precision));
    qkv.fill(isa, &numbers(TOKENS * 3 * DIM), 3 * DIM);
    let mut workspace = Workspace::new();
    rate(4 * TOKENS * TOKENS / 2 * DIM, || {
        kernel::attention(isa, &settings, &qkv, &[0, TOKENS / 2, TOKENS], &mut context, &mut workspace);
    })
}

fn feed_forward(isa: Isa, precision: Precision) -> f64 {
    // So small that the path stays what it is, round after round.
    let weights: Vec<f32> = numbers(4 * DIM * DIM).iter().map(|weight| weight / 1e3).collect();
    let map = Map { weight: &weights, bias: None };
    let part = FeedForward::pack(isa, precision, None, map, map, DIM);
    let (mut path, mut sums, mut inner) = (Operand::new(precision), Operand::new(precision), Inner::new(precision));
    path.fill(isa, &numbers(TOKENS * DIM), DIM);
    let mut workspace = Workspace::new();
    rate(2 * 2 * TOKENS * DIM * 4 * DIM, || {
        let path = ResidualPath::Input(&mut path, &mut sums);
        kernel::feed_forward(&part, Activation::Gelu, path, &mut inner, &mut workspace);
    })
}

fn nearest(isa: Isa, n_centroids: usize) -> f64 {
    let (rows, centroids) = (numbers(ROWS * DIM), PackedMatrix::pack(isa, &numbers(n_centroids * DIM), DIM));
    let mut found = vec![Nearest::default(); ROWS];
    rate(2 * ROWS * n_centroids * DIM, || kernel::nearest(&rows, &centroids, &mut found))
}

/// Additions and multiplications a second on registers alone; nothing where it cannot be measured.
fn peak(isa: Isa, factors: Factors) -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    return registers::peak(isa, factors);
    #[cfg(not(target_arch = "x86_64"))]
    return None;
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "what is called here runs only where the instruction set was found")]
mod registers {
    use std::arch::x86_64::*;

    use thematic::kernel::Level;

    use super::*;

    /// Sums that do not wait for each other: enough for two units of four cycles, and for the pairs' six.
    const SUMS: usize = 24;
    /// As many as there is room for in sixteen registers, beside the factor.
    const NARROW_SUMS: usize = 12;
    const STEPS: usize = 10_000;

    pub(super) fn peak(isa: Isa, factors: Factors) -> Option<f64> {
        let factor = black_box(0.999f32);
        // SAFETY of all calls: an `Isa` exists only for instructions that this processor has.
        match (isa.level(), factors) {
            (Level::Avx512Vnni | Level::Avx512Bf16 | Level::AmxBf16, Factors::Int8) => {
                // SAFETY: the levels include AVX-512 VNNI.
                Some(rate(8 * 16 * SUMS * STEPS, || unsafe { bytes_of_512_bits(factor) }))
            }
            // SAFETY: the level includes tiles of bf16, and this process was given them when it was detected.
            (Level::AmxBf16, Factors::Bf16) => Some(rate(4 * 2 * 16 * 16 * 32 * STEPS, || unsafe { tiles_of_bf16() })),
            (Level::Portable, _) | (_, Factors::Int8) => None,
            // SAFETY: the level includes AVX2 and FMA.
            (Level::Avx2, _) => Some(rate(2 * 8 * NARROW_SUMS * STEPS, || unsafe { f32_of_256_bits(factor) })),
            (Level::Avx512Bf16, Factors::Bf16) => {
                // SAFETY: the level includes AVX-512 BF16.
                Some(rate(4 * 16 * SUMS * STEPS, || unsafe { pairs_of_512_bits(factor) }))
            }
            // SAFETY: the levels left include AVX-512 F.
            _ => Some(rate(2 * 16 * SUMS * STEPS, || unsafe { f32_of_512_bits(factor) })),
        }
    }

    /// A function that multiplies and adds on as many registers as it is told, each from a start of its own.
    macro_rules! on_registers {
        ($name:ident, $features:literal, $sums:expr, $splat:ident, $factor:expr, $multiply:ident) => {
            #[target_feature(enable = $features)]
            fn $name(factor: f32) {
                let factor = $factor(factor);
                let mut sums = [$splat(0.0); $sums];
                for (start, sum) in sums.iter_mut().enumerate() {
                    *sum = $splat(black_box(start as f32));
                }
                for _ in 0..STEPS {
                    for sum in &mut sums {
                        *sum = $multiply!(*sum, factor);
                    }
                }
                black_box(sums);
            }
        };
    }

    macro_rules! f32_of_256_bits {
        ($sum:expr, $factor:expr) => {
            _mm256_fmadd_ps($sum, $factor, $factor)
        };
    }
    macro_rules! f32_of_512_bits {
        ($sum:expr, $factor:expr) => {
            _mm512_fmadd_ps($sum, $factor, $factor)
        };
    }
    macro_rules! bytes_of_512_bits {
        ($sum:expr, $factor:expr) => {
            _mm512_dpbusd_epi32($sum, $factor, $factor)
        };
    }
    macro_rules! pairs_of_512_bits {
        ($sum:expr, $factor:expr) => {
            _mm512_dpbf16_ps($sum, $factor, $factor)
        };
    }

    on_registers!(f32_of_256_bits, "avx2,fma", NARROW_SUMS, _mm256_set1_ps, _mm256_set1_ps, f32_of_256_bits);
    on_registers!(f32_of_512_bits, "avx512f", SUMS, _mm512_set1_ps, _mm512_set1_ps, f32_of_512_bits);
    on_registers!(pairs_of_512_bits, "avx512f,avx512bf16", SUMS, _mm512_set1_ps, pairs, pairs_of_512_bits);
    on_registers!(bytes_of_512_bits, "avx512f,avx512vnni", SUMS, whole, whole, bytes_of_512_bits);

    #[repr(C, align(64))]
    struct Tiles {
        /// Palette 1, then bytes of a row from byte 16 on and rows from byte 48 on, of eight full tiles.
        configuration: [u8; 64],
        numbers: [u16; 512],
    }

    /// # Safety
    /// The processor must have tiles of bf16, and this process leave to use them.
    unsafe fn tiles_of_bf16() {
        let mut tiles = Tiles { configuration: [0; 64], numbers: [0; 512] };
        tiles.configuration[0] = 1;
        for tile in 0..8 {
            (tiles.configuration[16 + 2 * tile], tiles.configuration[48 + tile]) = (64, 16);
        }
        // Numbers of both signs between 1/2 and 2: zeros would draw less power.
        for (at, number) in tiles.numbers.iter_mut().enumerate() {
            *number = 0x3f00 + ((at * 7919) & 0x80ff) as u16;
        }
        // SAFETY: the caller vouches for the instructions; the configuration is 64 bytes, and each load reads the 1024 of
        // the numbers.
        unsafe {
            std::arch::asm!(
                "ldtilecfg [{configuration}]",
                "tileloadd tmm4, [{numbers} + {row}]",
                "tileloadd tmm5, [{numbers} + {row}]",
                "tileloadd tmm6, [{numbers} + {row}]",
                "tileloadd tmm7, [{numbers} + {row}]",
                "2:",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "dec {steps}",
                "jnz 2b",
                "tilerelease",
                configuration = in(reg) &raw const tiles.configuration,
                numbers = in(reg) &raw const tiles.numbers,
                row = in(reg) 64u64,
                steps = inout(reg) STEPS => _,
                options(nostack, readonly),
            );
        }
    }

    #[target_feature(enable = "avx512f")]
    fn whole(number: f32) -> __m512i {
        _mm512_set1_epi32(number.to_bits() as i32)
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn pairs(factor: f32) -> __m512bh {
        _mm512_cvtne2ps_pbh(_mm512_set1_ps(factor), _mm512_set1_ps(factor))
    }
}
