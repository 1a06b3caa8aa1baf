//! AVX2 with fused multiply-add: eight lanes.
//!
//! Every `unsafe` block below calls intrinsics of AVX, AVX2, FMA or F16C; a value of [`Avx2`] proves that they run.

use std::arch::x86_64::*;

use half::bf16;

use super::{Kernel, Simd, pair_bits};

/// Proof of AVX2, FMA and F16C; made by [`run`] only.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernel) struct Avx2(());

/// # Safety
/// The processor must have AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2, 6>(Avx2(()))
}

/// The first `n` of eight lanes.
#[inline(always)]
fn first_lanes(_proof: Avx2, n: usize) -> __m256i {
    // SAFETY: the proof is of AVX2.
    unsafe {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes)
    }
}

impl Simd for Avx2 {
    type F32 = __m256;
    type Pairs = __m256i;
    type Quads = __m256i;
    type I32 = __m256i;
    type Mask = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn iota(self) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_setr_ps(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m256 {
        // SAFETY: `self` proves AVX, and the slice taken holds the eight numbers read.
        unsafe { _mm256_loadu_ps(from[..8].as_ptr()) }
    }

    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> __m256 {
        // SAFETY: `self` proves AVX, and the mask lets only the numbers of the slice be read.
        unsafe { _mm256_maskload_ps(from.as_ptr(), first_lanes(self, from.len())) }
    }

    #[inline(always)]
    fn store(self, vector: __m256, to: &mut [f32]) {
        // SAFETY: `self` proves AVX, and the slice taken has room for eight numbers.
        unsafe { _mm256_storeu_ps(to[..8].as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn store_partial(self, vector: __m256, to: &mut [f32]) {
        // SAFETY: `self` proves AVX, and the mask lets only the numbers of the slice be written.
        unsafe { _mm256_maskstore_ps(to.as_mut_ptr(), first_lanes(self, to.len()), vector) }
    }

    #[inline(always)]
    unsafe fn load_pointer(self, from: *const f32) -> __m256 {
        // SAFETY: `self` proves AVX, and the caller vouches for eight numbers.
        unsafe { _mm256_loadu_ps(from) }
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
    fn load_bf16(self, from: &[bf16]) -> __m256 {
        // SAFETY: `self` proves AVX2, and the slice taken holds the 16 bytes read; a bf16 is the upper half of an f32.
        unsafe {
            let halves = _mm_loadu_si128(from[..8].as_ptr().cast());
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)))
        }
    }

    #[inline(always)]
    fn load_i8(self, from: &[i8]) -> __m256 {
        // SAFETY: `self` proves AVX2, and the slice taken holds the eight bytes read.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from[..8].as_ptr().cast()))) }
    }

    #[inline(always)]
    fn load_pairs(self, from: &[bf16]) -> __m256i {
        // SAFETY: `self` proves AVX, and the slice taken holds the 32 bytes read.
        unsafe { _mm256_loadu_si256(from[..16].as_ptr().cast()) }
    }

    #[inline(always)]
    fn splat_pair(self, from: &[bf16]) -> __m256i {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_set1_epi32(pair_bits(from)) }
    }

    #[inline(always)]
    fn add_products(self, sum: __m256, a: __m256i, b: __m256i) -> __m256 {
        // SAFETY: `self` proves AVX2 and FMA. A bf16 is the upper half of an f32.
        unsafe {
            let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            let (a_first, b_first) = (_mm256_slli_epi32::<16>(a), _mm256_slli_epi32::<16>(b));
            let (a_second, b_second) = (_mm256_and_si256(a, upper), _mm256_and_si256(b, upper));
            let sum = _mm256_fmadd_ps(_mm256_castsi256_ps(a_first), _mm256_castsi256_ps(b_first), sum);
            _mm256_fmadd_ps(_mm256_castsi256_ps(a_second), _mm256_castsi256_ps(b_second), sum)
        }
    }

    #[inline(always)]
    fn store_bf16(self, vector: __m256, to: &mut [bf16]) {
        let to = &mut to[..8];
        // SAFETY: `self` proves AVX2, and the slice taken has room for the sixteen bytes written.
        unsafe {
            let bits = _mm256_castps_si256(vector);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
            let upper = _mm256_srli_epi32::<16>(rounded);
            let packed = _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256::<1>(upper));
            _mm_storeu_si128(to.as_mut_ptr().cast(), packed);
        }
    }

    #[inline(always)]
    fn zeros(self) -> __m256i {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    fn load_quads(self, from: &[i8]) -> __m256i {
        // SAFETY: `self` proves AVX, and the slice taken holds the 32 bytes read.
        unsafe { _mm256_loadu_si256(from[..32].as_ptr().cast()) }
    }

    #[inline(always)]
    fn splat_quad(self, from: [u8; 4]) -> __m256i {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_set1_epi32(i32::from_le_bytes(from)) }
    }

    #[inline(always)]
    fn add_byte_products(self, sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe {
            // Every second byte of both as numbers of 16 bits, whose products two by two fit 32.
            let a_first = _mm256_and_si256(a, _mm256_set1_epi16(0xff));
            let b_first = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b));
            let (a_second, b_second) = (_mm256_srli_epi16::<8>(a), _mm256_srai_epi16::<8>(b));
            let products = _mm256_add_epi32(_mm256_madd_epi16(a_first, b_first), _mm256_madd_epi16(a_second, b_second));
            _mm256_add_epi32(sum, products)
        }
    }

    #[inline(always)]
    fn to_f32(self, sums: __m256i) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn store_u8(self, vector: __m256, to: &mut [u8]) {
        let to = &mut to[..8];
        // SAFETY: `self` proves AVX2, and the slice taken has room for the eight bytes written.
        unsafe {
            let whole = _mm256_cvtps_epi32(vector);
            let words = _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256::<1>(whole));
            _mm_storel_epi64(to.as_mut_ptr().cast(), _mm_packus_epi16(words, words));
        }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, vector: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), vector) }
    }

    #[inline(always)]
    fn look_up(self, table: &[f32; 16], place: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2, and a table is as long as two vectors. The fourth bit, moved to the sign, chooses among them.
        unsafe {
            let places = _mm256_castps_si256(place);
            let first = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table.as_ptr()), places);
            let second = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table[8..].as_ptr()), places);
            _mm256_blendv_ps(first, second, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(places)))
        }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` proves FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn round(self, vector: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(vector) }
    }

    #[inline(always)]
    fn scale_by_power(self, vector: __m256, power: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(power), _mm256_set1_epi32(127));
            _mm256_mul_ps(vector, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }

    #[inline(always)]
    fn fraction(self, vector: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_sub_ps(vector, _mm256_floor_ps(vector)) }
    }

    #[inline(always)]
    fn scale_by_floor(self, vector: __m256, power: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        self.scale_by_power(vector, unsafe { _mm256_floor_ps(power) })
    }

    #[inline(always)]
    fn greater(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_cmp_ps::<_CMP_GT_OQ>(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: __m256, yes: __m256, no: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_blendv_ps(no, yes, mask) }
    }

    #[inline(always)]
    fn bits(self, mask: __m256) -> u32 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_movemask_ps(mask) as u32 }
    }

    #[inline(always)]
    fn sum(self, vector: __m256) -> f32 {
        // SAFETY: `self` proves AVX.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn largest(self, vector: __m256) -> f32 {
        // SAFETY: `self` proves AVX.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn largest_of_each(self, [a, b, c, d]: [__m256; 4]) -> [f32; 4] {
        // SAFETY: `self` proves AVX, and the array has room for the four numbers written.
        unsafe {
            let ab = _mm256_castps_pd(_mm256_max_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)));
            let cd = _mm256_castps_pd(_mm256_max_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d)));
            let (low, high) = (_mm256_unpacklo_pd(ab, cd), _mm256_unpackhi_pd(ab, cd));
            // Each half holds a number of each of the four.
            let halves = _mm256_max_ps(_mm256_castpd_ps(low), _mm256_castpd_ps(high));
            let one = _mm_max_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
            let mut largest = [0.0; 4];
            _mm_storeu_ps(largest.as_mut_ptr(), one);
            largest
        }
    }
}
