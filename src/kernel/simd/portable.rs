//! Vectors as arrays: the specification, and what runs where no better set is known.

use std::array::from_fn;

use half::bf16;

use super::Simd;

/// Four lanes: what the baseline of every 64-bit processor holds in a register.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernel) struct Portable;

type Four = [f32; 4];

impl Simd for Portable {
    type F32 = Four;
    type Pairs = [[bf16; 2]; 4];
    type Quads = [[u8; 4]; 4];
    type I32 = [i32; 4];
    type Mask = [bool; 4];
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(self, value: f32) -> Four {
        [value; 4]
    }

    #[inline(always)]
    fn iota(self) -> Four {
        [0.0, 1.0, 2.0, 3.0]
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Four {
        [from[0], from[1], from[2], from[3]]
    }

    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> Four {
        from_fn(|lane| from.get(lane).copied().unwrap_or(0.0))
    }

    #[inline(always)]
    fn store(self, vector: Four, to: &mut [f32]) {
        to[..4].copy_from_slice(&vector);
    }

    #[inline(always)]
    fn store_partial(self, vector: Four, to: &mut [f32]) {
        to.copy_from_slice(&vector[..to.len()]);
    }

    #[inline(always)]
    unsafe fn load_pointer(self, from: *const f32) -> Four {
        // SAFETY: the caller vouches for four numbers; an array needs no more alignment than its elements.
        unsafe { from.cast::<Four>().read() }
    }

    #[inline(always)]
    fn prefetch(self, _from: *const f32) {}

    #[inline(always)]
    fn prefetch_to_second<T>(self, _from: *const T) {}

    #[inline(always)]
    fn load_bf16(self, from: &[bf16]) -> Four {
        [from[0].to_f32(), from[1].to_f32(), from[2].to_f32(), from[3].to_f32()]
    }

    #[inline(always)]
    fn load_i8(self, from: &[i8]) -> Four {
        [f32::from(from[0]), f32::from(from[1]), f32::from(from[2]), f32::from(from[3])]
    }

    #[inline(always)]
    fn load_pairs(self, from: &[bf16]) -> [[bf16; 2]; 4] {
        from_fn(|lane| [from[2 * lane], from[2 * lane + 1]])
    }

    #[inline(always)]
    fn splat_pair(self, from: &[bf16]) -> [[bf16; 2]; 4] {
        [[from[0], from[1]]; 4]
    }

    #[inline(always)]
    fn add_products(self, sum: Four, a: [[bf16; 2]; 4], b: [[bf16; 2]; 4]) -> Four {
        let product = |lane: usize, part: usize| a[lane][part].to_f32() * b[lane][part].to_f32();
        from_fn(|lane| sum[lane] + product(lane, 0) + product(lane, 1))
    }

    #[inline(always)]
    fn store_bf16(self, vector: Four, to: &mut [bf16]) {
        to[..4].copy_from_slice(&vector.map(bf16::from_f32));
    }

    #[inline(always)]
    fn zeros(self) -> [i32; 4] {
        [0; 4]
    }

    #[inline(always)]
    fn load_quads(self, from: &[i8]) -> [[u8; 4]; 4] {
        from_fn(|lane| from_fn(|at| from[4 * lane + at].cast_unsigned()))
    }

    #[inline(always)]
    fn splat_quad(self, from: [u8; 4]) -> [[u8; 4]; 4] {
        [from; 4]
    }

    #[inline(always)]
    fn add_byte_products(self, sum: [i32; 4], a: [[u8; 4]; 4], b: [[u8; 4]; 4]) -> [i32; 4] {
        let product = |lane: usize, at: usize| i32::from(a[lane][at]) * i32::from(b[lane][at].cast_signed());
        from_fn(|lane| sum[lane] + product(lane, 0) + product(lane, 1) + product(lane, 2) + product(lane, 3))
    }

    #[inline(always)]
    fn to_f32(self, sums: [i32; 4]) -> Four {
        sums.map(|sum| sum as f32)
    }

    #[inline(always)]
    fn store_u8(self, vector: Four, to: &mut [u8]) {
        to[..4].copy_from_slice(&vector.map(|number| number.round_ties_even() as u8));
    }

    #[inline(always)]
    fn add(self, a: Four, b: Four) -> Four {
        from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn sub(self, a: Four, b: Four) -> Four {
        from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    fn mul(self, a: Four, b: Four) -> Four {
        from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn div(self, a: Four, b: Four) -> Four {
        from_fn(|lane| a[lane] / b[lane])
    }

    #[inline(always)]
    fn min(self, a: Four, b: Four) -> Four {
        from_fn(|lane| if a[lane] < b[lane] { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn max(self, a: Four, b: Four) -> Four {
        from_fn(|lane| if a[lane] > b[lane] { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn abs(self, vector: Four) -> Four {
        vector.map(f32::abs)
    }

    #[inline(always)]
    fn look_up(self, table: &[f32; 16], place: Four) -> Four {
        place.map(|place| table[place.to_bits() as usize % 16])
    }

    // Rounded twice: `f32::mul_add` is a slow library call where the processor has no such instruction.
    #[inline(always)]
    fn mul_add(self, a: Four, b: Four, c: Four) -> Four {
        from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn round(self, vector: Four) -> Four {
        vector.map(f32::round_ties_even)
    }

    #[inline(always)]
    fn scale_by_power(self, vector: Four, power: Four) -> Four {
        from_fn(|lane| vector[lane] * f32::from_bits(((power[lane] as i32).wrapping_add(127) as u32) << 23))
    }

    #[inline(always)]
    fn greater(self, a: Four, b: Four) -> [bool; 4] {
        from_fn(|lane| a[lane] > b[lane])
    }

    #[inline(always)]
    fn select(self, mask: [bool; 4], yes: Four, no: Four) -> Four {
        from_fn(|lane| if mask[lane] { yes[lane] } else { no[lane] })
    }

    #[inline(always)]
    fn bits(self, mask: [bool; 4]) -> u32 {
        mask.iter().rev().fold(0, |bits, &set| bits << 1 | u32::from(set))
    }

    #[inline(always)]
    fn sum(self, vector: Four) -> f32 {
        (vector[0] + vector[2]) + (vector[1] + vector[3])
    }

    #[inline(always)]
    fn largest(self, vector: Four) -> f32 {
        vector.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
