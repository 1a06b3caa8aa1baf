//! What stands for matrix tiles on processors that cannot have any: a type without a value.

use half::bf16;

use super::Isa;
use super::operand::{SIDE, STEP};
use super::simd::{Simd, TileKernel};
use super::square::{Factors, Half, Kept, Meanwhile, Square, Unit};

/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 16;

/// Never made.
#[derive(Debug)]
pub(super) enum Tiles {}

impl Tiles {
    /// Always none.
    pub(super) fn configure(_isa: Isa) -> Option<Self> {
        None
    }

    pub(super) fn run(&self, _kernel: impl TileKernel) {
        match *self {}
    }

    pub(super) fn clear(&self) {
        match *self {}
    }

    pub(super) fn add_products(&self, _rows: &[bf16; STEP], _columns: &[bf16; STEP], _n_rows: usize, _kept: Kept) {
        match *self {}
    }

    pub(super) fn store(&self, _sums: &mut [[f32; SIDE]; SIDE]) {
        match *self {}
    }

    pub(super) fn clear_weighted(&self) {
        match *self {}
    }

    pub(super) fn clear_scores(&self) {
        match *self {}
    }

    pub(super) fn add_scores(&self, _queries: &[bf16; STEP / 2], _keys: &[bf16; STEP], _half: Half) {
        match *self {}
    }

    pub(super) fn store_scores(&self, _scores: &mut [[f32; SIDE]; TILE_ROWS], _half: Half) {
        match *self {}
    }

    pub(super) fn take_weights(&self, _weights: &[bf16; STEP / 2]) {
        match *self {}
    }

    pub(super) fn add_weighted(&self, _values: &[bf16; STEP], _step: usize, _half: Half) {
        match *self {}
    }

    pub(super) fn add_weights(&self, _ones: &[bf16; STEP / 2]) {
        match *self {}
    }

    pub(super) fn store_weighted(
        &self,
        _context: &mut [[[f32; SIDE]; TILE_ROWS]; 2],
        _sums: &mut [[f32; TILE_ROWS]; TILE_ROWS],
    ) {
        match *self {}
    }
}

impl Unit for Tiles {
    fn square<S: Simd>(
        &self,
        _simd: S,
        _factors: Factors<'_>,
        _n_rows: usize,
        _sums: &mut Square,
        _meanwhile: &mut impl Meanwhile,
    ) {
        match *self {}
    }
}
