//! AVX-512 F, BW, DQ and VL: sixteen lanes, with or without instructions for bytes and for bf16.
//!
//! Every `unsafe` block below calls intrinsics of these sets; a value of [`Avx512`] proves that they run.

use std::arch::x86_64::*;
use std::mem::transmute;

use half::bf16;

use super::{BesideTiles, Kernel, LINE, Plain, ROUND_TO_POWER_STEPS, SQUARE_WORDS, Simd, TileKernel, Tiles, pair_bits};

/// Proof of AVX-512 F, BW, DQ and VL, and of VNNI, BF16 and VBMI where they are set; made by [`run`], [`run_vnni`],
/// [`run_bf16`] and [`run_beside_tiles`] only.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernel) struct Avx512<const VNNI: bool, const BF16: bool, const VBMI: bool>(());

/// # Safety
/// The processor must have AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512<false, false, false>, 14>(Avx512(()))
}

/// # Safety
/// The processor must have AVX-512 F, BW, DQ, VL and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn run_vnni<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512<true, false, false>, 14>(Avx512(()))
}

/// # Safety
/// The processor must have AVX-512 F, BW, DQ, VL, VNNI and BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")]
pub(super) unsafe fn run_bf16<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512<true, true, false>, 14>(Avx512(()))
}

/// # Safety
/// The processor must have AVX-512 F, BW, DQ, VL, VNNI, BF16 and VBMI.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx512vbmi,avx2,fma,f16c")]
pub(super) unsafe fn run_beside_tiles(kernel: impl TileKernel, tiles: &Tiles) {
    kernel.run(Avx512::<true, true, true>(()), tiles);
}

#[inline(always)]
fn first_lanes(n: usize) -> __mmask16 {
    ((1u32 << n.min(16)) - 1) as __mmask16
}

/// Sixteen numbers as bf16, rounded to nearest with ties to even.
///
/// # Safety
/// The processor must have AVX-512 F, and BF16 where `BF16` is set.
#[inline(always)]
unsafe fn to_bf16<const BF16: bool>(vector: __m512) -> __m256i {
    // SAFETY: the caller vouches for the instructions; both types are 256 plain bits.
    unsafe {
        if BF16 {
            return transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(vector));
        }
        let bits = _mm512_castps_si512(vector);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded))
    }
}

/// Four words from each of sixteen rows that begin `step` numbers apart: vector `i` holds rows `i`, `i + 4`, `i + 8` and
/// `i + 12`.
///
/// # Safety
/// The processor must have AVX-512 F, and `from` must be valid for reading 16 bytes at each of the rows.
#[inline(always)]
unsafe fn gather_quarters<T>(from: *const T, step: usize) -> [__m512; 4] {
    // SAFETY: the caller vouches for the instructions and for what is read.
    unsafe {
        let mut vectors = [_mm512_setzero_ps(); 4];
        for (row, vector) in vectors.iter_mut().enumerate() {
            let from = from.add(row * step);
            *vector = _mm512_broadcast_f32x4(_mm_loadu_ps(from.cast()));
            *vector = _mm512_mask_broadcast_f32x4(*vector, 0x00f0, _mm_loadu_ps(from.add(4 * step).cast()));
            *vector = _mm512_mask_broadcast_f32x4(*vector, 0x0f00, _mm_loadu_ps(from.add(8 * step).cast()));
            *vector = _mm512_mask_broadcast_f32x4(*vector, 0xf000, _mm_loadu_ps(from.add(12 * step).cast()));
        }
        vectors
    }
}

/// Within each quarter of the vectors, word `j` of vector `i` becomes word `i` of vector `j`.
///
/// # Safety
/// The processor must have AVX-512 F.
#[inline(always)]
unsafe fn transpose_quarters([a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let low_ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
        let high_ab = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
        let low_cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
        let high_cd = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
        [
            _mm512_castpd_ps(_mm512_unpacklo_pd(low_ab, low_cd)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(low_ab, low_cd)),
            _mm512_castpd_ps(_mm512_unpacklo_pd(high_ab, high_cd)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(high_ab, high_cd)),
        ]
    }
}

impl<const VNNI: bool, const BF16: bool, const VBMI: bool> Simd for Avx512<VNNI, BF16, VBMI> {
    type F32 = __m512;
    type Pairs = __m512i;
    type Quads = __m512i;
    type I32 = __m512i;
    type Mask = __mmask16;
    const LANES: usize = 16;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn iota(self) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe {
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            _mm512_cvtepi32_ps(lanes)
        }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        // SAFETY: `self` proves AVX-512 F, and the slice taken holds the sixteen numbers read.
        unsafe { _mm512_loadu_ps(from[..16].as_ptr()) }
    }

    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> __m512 {
        // SAFETY: `self` proves AVX-512 F, and the mask lets only the numbers of the slice be read.
        unsafe { _mm512_maskz_loadu_ps(first_lanes(from.len()), from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, to: &mut [f32]) {
        // SAFETY: `self` proves AVX-512 F, and the slice taken has room for sixteen numbers.
        unsafe { _mm512_storeu_ps(to[..16].as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn store_partial(self, vector: __m512, to: &mut [f32]) {
        // SAFETY: `self` proves AVX-512 F, and the mask lets only the numbers of the slice be written.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), first_lanes(to.len()), vector) }
    }

    #[inline(always)]
    unsafe fn load_pointer(self, from: *const f32) -> __m512 {
        // SAFETY: `self` proves AVX-512 F, and the caller vouches for sixteen numbers.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    fn prefetch(self, from: *const f32) {
        // SAFETY: a prefetch of any address is a hint that never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
    }

    #[inline(always)]
    fn prefetch_to_second<T>(self, from: *const T) {
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    fn transpose<T: Plain>(self, (from, from_step): (&[T], usize), (to, to_step): (&mut [T], usize)) {
        let line = size_of::<__m512>() / size_of::<T>();
        assert!(from.len() >= (SQUARE_WORDS - 1) * from_step + line, "sixteen rows are read");
        assert!(to.len() >= (SQUARE_WORDS - 1) * to_step + line, "sixteen rows are written");
        for quarter in 0..4 {
            // SAFETY: `self` proves AVX-512 F. A quarter of a row is read from sixteen rows, and four rows of this quarter are
            // written: all within the slices by the assertions above, and any bits are a `T`.
            unsafe {
                let from = from.as_ptr().add(quarter * line / 4);
                let columns = transpose_quarters(gather_quarters(from, from_step));
                for (column, words) in columns.into_iter().enumerate() {
                    _mm512_storeu_ps(to.as_mut_ptr().add((quarter * 4 + column) * to_step).cast(), words);
                }
            }
        }
    }

    #[inline(always)]
    fn interleave(self, [even, odd]: &[[bf16; LINE]; 2], [first, second]: [&mut [bf16; LINE]; 2]) {
        /// Words of the even row and, from 32 on, of the odd one, in turn from one of each on.
        const fn in_turn(from: i16) -> [i16; LINE] {
            let mut words = [0; LINE];
            let mut at = 0;
            while at < LINE {
                words[at] = from + at as i16 / 2 + at as i16 % 2 * LINE as i16;
                at += 1;
            }
            words
        }
        static FIRST: [i16; LINE] = in_turn(0);
        static SECOND: [i16; LINE] = in_turn(LINE as i16 / 2);
        // SAFETY: `self` proves AVX-512 BW; every pointer is of 64 bytes.
        unsafe {
            let (even, odd) = (_mm512_loadu_si512(even.as_ptr().cast()), _mm512_loadu_si512(odd.as_ptr().cast()));
            let words = (_mm512_loadu_si512(FIRST.as_ptr().cast()), _mm512_loadu_si512(SECOND.as_ptr().cast()));
            _mm512_storeu_si512(first.as_mut_ptr().cast(), _mm512_permutex2var_epi16(even, words.0, odd));
            _mm512_storeu_si512(second.as_mut_ptr().cast(), _mm512_permutex2var_epi16(even, words.1, odd));
        }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[bf16]) -> __m512 {
        // SAFETY: `self` proves AVX-512 F, and the slice taken holds the 32 bytes read; a bf16 is the upper half of an f32.
        unsafe {
            let halves = _mm256_loadu_si256(from[..16].as_ptr().cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
        }
    }

    #[inline(always)]
    fn load_i8(self, from: &[i8]) -> __m512 {
        // SAFETY: `self` proves AVX-512 F, and the slice taken holds the sixteen bytes read.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from[..16].as_ptr().cast()))) }
    }

    #[inline(always)]
    fn load_pairs(self, from: &[bf16]) -> __m512i {
        // SAFETY: `self` proves AVX-512 F, and the slice taken holds the 64 bytes read.
        unsafe { _mm512_loadu_si512(from[..32].as_ptr().cast()) }
    }

    #[inline(always)]
    fn splat_pair(self, from: &[bf16]) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_epi32(pair_bits(from)) }
    }

    #[inline(always)]
    fn add_products(self, sum: __m512, a: __m512i, b: __m512i) -> __m512 {
        // SAFETY: `self` proves AVX-512 F, and BF16 where it is used; the types cast are 512 plain bits. A bf16 is the
        // upper half of an f32.
        unsafe {
            if BF16 {
                return _mm512_dpbf16_ps(sum, transmute::<__m512i, __m512bh>(a), transmute::<__m512i, __m512bh>(b));
            }
            let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            let (a_first, b_first) = (_mm512_slli_epi32::<16>(a), _mm512_slli_epi32::<16>(b));
            let (a_second, b_second) = (_mm512_and_si512(a, upper), _mm512_and_si512(b, upper));
            let sum = _mm512_fmadd_ps(_mm512_castsi512_ps(a_first), _mm512_castsi512_ps(b_first), sum);
            _mm512_fmadd_ps(_mm512_castsi512_ps(a_second), _mm512_castsi512_ps(b_second), sum)
        }
    }

    #[inline(always)]
    fn store_bf16(self, vector: __m512, to: &mut [bf16]) {
        // SAFETY: `self` proves what `to_bf16` asks for, and the slice taken has room for the 32 bytes written.
        unsafe { _mm256_storeu_si256(to[..16].as_mut_ptr().cast(), to_bf16::<BF16>(vector)) }
    }

    #[inline(always)]
    fn store_two_bf16(self, first: __m512, second: __m512, to: &mut [bf16]) {
        if BF16 {
            // SAFETY: `self` proves AVX-512 BF16, the slice taken has room for 32 numbers, and both types are 512 plain bits.
            unsafe {
                let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
                return _mm512_storeu_si512(to[..32].as_mut_ptr().cast(), both);
            }
        }
        let (left, right) = to.split_at_mut(16);
        self.store_bf16(first, left);
        self.store_bf16(second, right);
    }

    #[inline(always)]
    fn zeros(self) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn load_quads(self, from: &[i8]) -> __m512i {
        // SAFETY: `self` proves AVX-512 F, and the slice taken holds the 64 bytes read.
        unsafe { _mm512_loadu_si512(from[..64].as_ptr().cast()) }
    }

    #[inline(always)]
    fn splat_quad(self, from: [u8; 4]) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_epi32(i32::from_le_bytes(from)) }
    }

    #[inline(always)]
    fn add_byte_products(self, sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW, and VNNI where it is used.
        unsafe {
            if VNNI {
                return _mm512_dpbusd_epi32(sum, a, b);
            }
            // Every second byte of both as numbers of 16 bits, whose products two by two fit 32.
            let a_first = _mm512_and_si512(a, _mm512_set1_epi16(0xff));
            let b_first = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(b));
            let (a_second, b_second) = (_mm512_srli_epi16::<8>(a), _mm512_srai_epi16::<8>(b));
            let products = _mm512_add_epi32(_mm512_madd_epi16(a_first, b_first), _mm512_madd_epi16(a_second, b_second));
            _mm512_add_epi32(sum, products)
        }
    }

    #[inline(always)]
    fn to_f32(self, sums: __m512i) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn store_u8(self, vector: __m512, to: &mut [u8]) {
        // SAFETY: `self` proves AVX-512 F, and the slice taken has room for the sixteen bytes written.
        unsafe { _mm_storeu_si128(to[..16].as_mut_ptr().cast(), _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(vector))) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, vector: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_abs_ps(vector) }
    }

    #[inline(always)]
    fn look_up(self, table: &[f32; 16], place: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F, and a table is as long as a vector.
        unsafe { _mm512_permutexvar_ps(_mm512_castps_si512(place), _mm512_loadu_ps(table.as_ptr())) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn round(self, vector: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(vector) }
    }

    #[inline(always)]
    fn scale_by_power(self, vector: __m512, power: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_scalef_ps(vector, power) }
    }

    #[inline(always)]
    fn fraction(self, vector: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 DQ.
        unsafe { _mm512_reduce_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(vector) }
    }

    #[inline(always)]
    fn scale_by_floor(self, vector: __m512, power: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F; the instruction takes the floor itself.
        unsafe { _mm512_scalef_ps(vector, power) }
    }

    #[inline(always)]
    fn greater(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: __mmask16, yes: __m512, no: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_mask_blend_ps(mask, no, yes) }
    }

    #[inline(always)]
    fn bits(self, mask: __mmask16) -> u32 {
        u32::from(mask)
    }

    #[inline(always)]
    fn sum(self, vector: __m512) -> f32 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_reduce_add_ps(vector) }
    }

    #[inline(always)]
    fn largest(self, vector: __m512) -> f32 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_reduce_max_ps(vector) }
    }

    #[inline(always)]
    fn largest_of_each(self, [a, b, c, d]: [__m512; 4]) -> [f32; 4] {
        // SAFETY: `self` proves AVX-512 F and DQ, and the array has room for the four numbers written.
        unsafe {
            let ab = _mm512_castps_pd(_mm512_max_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
            let cd = _mm512_castps_pd(_mm512_max_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
            let (low, high) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
            // Each quarter holds a number of each of the four.
            let quarters = _mm512_max_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
            let two = _mm256_max_ps(_mm512_castps512_ps256(quarters), _mm512_extractf32x8_ps::<1>(quarters));
            let one = _mm_max_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps::<1>(two));
            let mut largest = [0.0; 4];
            _mm_storeu_ps(largest.as_mut_ptr(), one);
            largest
        }
    }
}

/// How far the seven bits of `2^x` after the point lie below those of `1 + x`, for `x` in 64 steps from 0 to 1: the best for both
/// 128ths of a step.
#[repr(C, align(64))]
struct Below([i8; 64]);

static BELOW: Below = Below([
    0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 5, 6, 6, 7, 7, 8, 8, 8, 9, 9, 9, 9, 10, 10, 10, 10, 10, 11, 11, 11, 11, 11, 11, 11,
    11, 11, 11, 11, 11, 11, 11, 10, 10, 10, 10, 10, 9, 9, 9, 8, 8, 8, 7, 7, 6, 6, 5, 5, 4, 3, 3, 2, 1, 1,
]);

impl BesideTiles for Avx512<true, true, true> {
    type Seen = __m512i;

    #[inline(always)]
    fn nothing_seen(self) -> __m512i {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn store_powers(self, left: __m512, right: __m512, to: &mut [bf16; LINE], seen: &mut __m512i) {
        // Even bytes of words, and for each the place in its four words where the six bits begin that choose from the table.
        const LOW: u64 = 0x5555_5555_5555_5555;
        const AFTER_POINT: i64 = 0x0031_0021_0011_0001;
        // SAFETY: `self` proves AVX-512 BW and VBMI; the table and the place to write hold the bytes read and written.
        unsafe {
            let zero = _mm512_set1_epi32(ROUND_TO_POWER_STEPS.to_bits().cast_signed());
            let left = _mm512_sub_epi32(_mm512_castps_si512(left), zero);
            let right = _mm512_sub_epi32(_mm512_castps_si512(right), zero);
            // Less than none is none, and what is too much has the upper bit.
            let words = _mm512_packus_epi32(left, right);
            *seen = _mm512_or_si512(*seen, words);
            let steps = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(AFTER_POINT), words);
            let below = _mm512_maskz_permutexvar_epi8(LOW, steps, _mm512_load_si512(BELOW.0.as_ptr().cast()));
            _mm512_storeu_si512(to.as_mut_ptr().cast(), _mm512_sub_epi16(words, below));
        }
    }

    #[inline(always)]
    fn saw_overflow(self, seen: __m512i) -> bool {
        // SAFETY: `self` proves AVX-512 BW.
        unsafe { _mm512_movepi16_mask(seen) != 0 }
    }

    #[inline(always)]
    fn diagonal(self, square: &[[f32; SQUARE_WORDS]; SQUARE_WORDS]) -> __m512 {
        let mut diagonal = self.splat(0.0);
        for (place, row) in square.iter().enumerate() {
            // SAFETY: `self` proves AVX-512 F; the row holds the sixteen numbers that may be read.
            diagonal = unsafe { _mm512_mask_loadu_ps(diagonal, 1 << place, row.as_ptr()) };
        }
        diagonal
    }
}
