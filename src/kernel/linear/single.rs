//! The product with weights in f32.

use super::super::operand::Operand;
use super::super::product::{self, BLOCK_ROWS, PackedMatrix};
use super::super::simd::{Kernel, Simd};
use super::Finish;

pub(super) fn multiply(packed: &PackedMatrix, input: &Operand, finish: Finish<'_>) {
    packed.isa().run(Single { packed, input, finish });
}

struct Single<'a> {
    packed: &'a PackedMatrix,
    input: &'a Operand,
    finish: Finish<'a>,
}

impl Kernel for Single<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let mut finish = self.finish;
        for (block, rows) in self.input.single.chunks(BLOCK_ROWS * self.packed.dim()).enumerate() {
            product::multiply::<S, ROWS, _>(simd, rows, self.packed, block * BLOCK_ROWS, &mut finish);
        }
    }
}
