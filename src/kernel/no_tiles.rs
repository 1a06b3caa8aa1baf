//! What stands for matrix tiles on processors that cannot have any: a type without a value.

use half::bf16;

use super::Isa;
use super::simd::Simd;
use super::square::{Meanwhile, Square, Unit};

/// Never made.
#[derive(Debug)]
pub(super) enum Tiles {}

impl Tiles {
    /// Always none.
    pub(super) fn configure(_isa: Isa) -> Option<Self> {
        None
    }
}

impl Unit for Tiles {
    fn square<S: Simd>(
        &self,
        _simd: S,
        _rows: &[bf16],
        _columns: (&[bf16], &[bf16]),
        _n_rows: usize,
        _sums: &mut Square,
        _meanwhile: &mut impl Meanwhile,
    ) {
        match *self {}
    }
}
