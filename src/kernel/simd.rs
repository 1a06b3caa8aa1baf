//! One vocabulary of vector instructions, so that a kernel is written once.
//!
//! A value of a type that implements [`Simd`] is the proof that its instructions run here: only [`Isa::run`] makes one,
//! from a detected [`Isa`]. That is why the arithmetic below is safe. Kernels and everything they call must be
//! `#[inline(always)]`: only then is the code compiled with the instructions that [`Isa::run`] turns on. A closure cannot
//! be told so, and one that the compiler leaves alone makes a kernel a hundred times slower: write loops.

#![expect(unsafe_code, reason = "entering a function compiled for an instruction set is unsafe")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use half::bf16;

use super::Isa;
#[cfg(target_arch = "x86_64")]
use super::Level;
use super::buffer::Plain;
use super::tiles::Tiles;

use portable::Portable;

/// Rows and columns of what [`Simd::transpose`] turns.
pub(super) const SQUARE_WORDS: usize = 16;

/// Numbers of bf16 in a cache line.
pub(super) const LINE: usize = 32;

/// A kernel, written for any instruction set.
pub(super) trait Kernel {
    /// What it returns.
    type Output;

    /// Runs it. `ROWS` is how many rows of a product keep all sums in registers beside two vectors of columns.
    fn run<S: Simd, const ROWS: usize>(self, simd: S) -> Self::Output;
}

/// Vectors of f32 in one instruction set.
///
/// Loads and stores panic where the slice is too short. Comparisons with NaN are false; `max` and `min` of NaN are
/// unspecified.
pub(super) trait Simd: Copy {
    /// A vector of [`Self::LANES`] numbers.
    type F32: Copy;
    /// Two bf16 per lane.
    type Pairs: Copy;
    /// Four bytes per lane.
    type Quads: Copy;
    /// A whole number of 32 bits per lane.
    type I32: Copy;
    /// One truth value per lane.
    type Mask: Copy;
    /// Numbers in a vector.
    const LANES: usize;

    fn splat(self, value: f32) -> Self::F32;
    /// `0.0, 1.0, 2.0, ...`
    fn iota(self) -> Self::F32;
    fn load(self, from: &[f32]) -> Self::F32;
    /// The whole of a slice shorter than a vector, then zeros.
    fn load_partial(self, from: &[f32]) -> Self::F32;
    /// A slice of at most a vector's length, then zeros.
    #[inline(always)]
    fn load_up_to(self, from: &[f32]) -> Self::F32 {
        if from.len() >= Self::LANES { self.load(from) } else { self.load_partial(from) }
    }
    fn store(self, vector: Self::F32, to: &mut [f32]);
    /// Fills a slice that is shorter than a vector.
    fn store_partial(self, vector: Self::F32, to: &mut [f32]);
    /// Fills a slice of at most a vector's length.
    #[inline(always)]
    fn store_up_to(self, vector: Self::F32, to: &mut [f32]) {
        if to.len() >= Self::LANES { self.store(vector, to) } else { self.store_partial(vector, to) }
    }
    /// # Safety
    /// `from` must be valid for reading a whole vector.
    unsafe fn load_pointer(self, from: *const f32) -> Self::F32;
    /// Asks for the line at `from`, which need not be valid, to be brought to the first cache.
    fn prefetch(self, from: *const f32);
    /// As [`Self::prefetch`], to the second cache.
    fn prefetch_to_second<T>(self, from: *const T);
    /// Turns a square of [`SQUARE_WORDS`] by as many words of 32 bits, each one f32 or two bf16, on its diagonal: its rows
    /// begin `from_step` numbers apart in `from`, and its columns become rows `to_step` apart in `to`.
    #[inline(always)]
    fn transpose<T: Plain>(self, (from, from_step): (&[T], usize), (to, to_step): (&mut [T], usize)) {
        let word = size_of::<f32>() / size_of::<T>();
        for row in 0..SQUARE_WORDS {
            let from = &from[row * from_step..][..SQUARE_WORDS * word];
            for (column, number) in from.chunks_exact(word).enumerate() {
                to[column * to_step + row * word..][..word].copy_from_slice(number);
            }
        }
    }
    /// The numbers of both rows in turn, the first half of them and the second.
    #[inline(always)]
    fn interleave(self, [even, odd]: &[[bf16; LINE]; 2], halves: [&mut [bf16; LINE]; 2]) {
        for (half, to) in halves.into_iter().enumerate() {
            for (at, to) in to.as_chunks_mut().0.iter_mut().enumerate() {
                *to = [even[half * LINE / 2 + at], odd[half * LINE / 2 + at]];
            }
        }
    }
    fn load_bf16(self, from: &[bf16]) -> Self::F32;
    fn load_i8(self, from: &[i8]) -> Self::F32;
    /// Two numbers for each lane, one after the other.
    fn load_pairs(self, from: &[bf16]) -> Self::Pairs;
    /// Two numbers, the same for each lane.
    fn splat_pair(self, from: &[bf16]) -> Self::Pairs;
    /// In each lane `sum` and the products of both numbers; in what order they are added and rounded is left open.
    fn add_products(self, sum: Self::F32, a: Self::Pairs, b: Self::Pairs) -> Self::F32;
    /// Rounds to nearest, ties to even. Denormal results may become zero.
    fn store_bf16(self, vector: Self::F32, to: &mut [bf16]);
    /// As [`Self::store_bf16`], two vectors one after the other.
    #[inline(always)]
    fn store_two_bf16(self, first: Self::F32, second: Self::F32, to: &mut [bf16]) {
        let (left, right) = to.split_at_mut(Self::LANES);
        self.store_bf16(first, left);
        self.store_bf16(second, right);
    }
    /// Sums of nothing.
    fn zeros(self) -> Self::I32;
    /// Four whole numbers for each lane, one after the other.
    fn load_quads(self, from: &[i8]) -> Self::Quads;
    /// Four whole numbers from zero on, the same for each lane.
    fn splat_quad(self, from: [u8; 4]) -> Self::Quads;
    /// In each lane `sum` and the products of four numbers from zero on and four of either sign.
    fn add_byte_products(self, sum: Self::I32, a: Self::Quads, b: Self::Quads) -> Self::I32;
    /// Sums as numbers, rounded to nearest.
    fn to_f32(self, sums: Self::I32) -> Self::F32;
    /// The nearest whole numbers, ties to even, of a vector within 0 and 255.
    fn store_u8(self, vector: Self::F32, to: &mut [u8]);

    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Without its sign.
    fn abs(self, vector: Self::F32) -> Self::F32;
    /// In each lane the entry of the table that the last four bits of `place` say.
    fn look_up(self, table: &[f32; 16], place: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once where the instruction set can.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// To the nearest whole number.
    fn round(self, vector: Self::F32) -> Self::F32;
    /// `vector * 2^power` for whole powers of -126 to 127.
    fn scale_by_power(self, vector: Self::F32, power: Self::F32) -> Self::F32;
    /// What is above the largest whole number that is not above: from 0 to below 1.
    #[inline(always)]
    fn fraction(self, vector: Self::F32) -> Self::F32 {
        let rest = self.sub(vector, self.round(vector));
        let above = self.add(rest, self.splat(1.0));
        self.select(self.greater(self.splat(0.0), rest), above, rest)
    }
    /// As [`Self::scale_by_power`], by the largest whole power that is not above.
    #[inline(always)]
    fn scale_by_floor(self, vector: Self::F32, power: Self::F32) -> Self::F32 {
        self.scale_by_power(vector, self.sub(power, self.fraction(power)))
    }
    fn greater(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `yes` where the mask is set, else `no`.
    fn select(self, mask: Self::Mask, yes: Self::F32, no: Self::F32) -> Self::F32;
    /// Bit `i` is lane `i`.
    fn bits(self, mask: Self::Mask) -> u32;
    fn sum(self, vector: Self::F32) -> f32;
    fn largest(self, vector: Self::F32) -> f32;
    /// The largest number of each vector.
    #[inline(always)]
    fn largest_of_each(self, [a, b, c, d]: [Self::F32; 4]) -> [f32; 4] {
        [self.largest(a), self.largest(b), self.largest(c), self.largest(d)]
    }
}

/// Vectors beside matrix tiles: what is computed while these are at work. Beside them a core finishes two of three vectors in a
/// cycle that are multiplied, converted, shuffled, shifted or stored; those that are added, and most of whole numbers, as ever.
pub(super) trait BesideTiles: Simd {
    /// What was seen of many powers.
    type Seen: Copy;
    /// Of no power.
    fn nothing_seen(self) -> Self::Seen;
    /// Of each number [`POWER_SHIFT`]` + x` the power `2^x` in bf16: `x` is rounded to a multiple of 1/128 and the power to within
    /// 0.0045 of itself. Below 2^-127 it is 0, and 2^128 is infinite or no number; from 2^129 on nothing sensible is stored, and
    /// `seen` remembers that. The powers of both vectors come in the order of [`PAIRED`].
    fn store_powers(self, left: Self::F32, right: Self::F32, to: &mut [bf16; LINE], seen: &mut Self::Seen);
    /// Whether a power was too large to be stored.
    fn saw_overflow(self, seen: Self::Seen) -> bool;
    /// The numbers on the diagonal of a square that is as wide as a vector.
    fn diagonal(self, square: &[[f32; SQUARE_WORDS]; SQUARE_WORDS]) -> Self::F32;
}

/// What is added to the exponents that [`BesideTiles::store_powers`] takes. The first summand leaves a number of f32 seven bits
/// after the point, the second is where exponents of bf16 begin.
pub(super) const POWER_SHIFT: f32 = ROUND_TO_POWER_STEPS + 127.0;
const ROUND_TO_POWER_STEPS: f32 = 1.5 * 65536.0;

/// Where [`BesideTiles::store_powers`] puts each of the sixteen pairs of neighbours of both vectors.
pub(super) const PAIRED: [usize; LINE / 2] = [0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15];

/// A kernel for processors with matrix tiles.
pub(super) trait TileKernel {
    /// Runs it.
    fn run<S: BesideTiles>(self, simd: S, tiles: &Tiles);
}

/// The first two numbers of a slice, as they lie in memory.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn pair_bits(from: &[bf16]) -> i32 {
    (u32::from(from[0].to_bits()) | u32::from(from[1].to_bits()) << 16) as i32
}

#[cfg(target_arch = "x86_64")]
impl Tiles {
    /// Runs `kernel` beside these tiles.
    pub(super) fn run(&self, kernel: impl TileKernel) {
        // SAFETY: tiles exist only where `isa::detect` found all that `run_beside_tiles` needs.
        unsafe { avx512::run_beside_tiles(kernel, self) }
    }
}

impl Isa {
    /// Runs `kernel` with the widest vectors of this set.
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        match self.level() {
            Level::Portable => {}
            // SAFETY: an `Isa` of this level exists only where `isa::detect` found AVX2, FMA and F16C.
            Level::Avx2 => return unsafe { avx2::run(kernel) },
            // SAFETY: as above, for AVX-512 F, BW, DQ and VL, and AVX2 before them.
            Level::Avx512 => return unsafe { avx512::run(kernel) },
            // SAFETY: as above, and AVX-512 VNNI.
            Level::Avx512Vnni => return unsafe { avx512::run_vnni(kernel) },
            // SAFETY: as above, and AVX-512 BF16.
            Level::Avx512Bf16 | Level::AmxBf16 => return unsafe { avx512::run_bf16(kernel) },
        }
        kernel.run::<Portable, 4>(Portable)
    }
}
