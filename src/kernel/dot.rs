//! One vector against others: reads each row once and is bound by memory.

use super::simd::{Kernel, Simd};
use super::{Isa, TopK};

/// Sum of the products of `a` and `b`. Both must be of one length.
pub fn dot(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of different lengths have no dot product");
    isa.run(Dot { a, b })
}

/// Offers every row of `rows` to `best`, with its dot product with `query` as score.
///
/// The first row has the index `first_index`. A score has the bits that [`dot`] gives.
pub fn scan(isa: Isa, query: &[f32], rows: &[f32], first_index: usize, best: &mut TopK) {
    assert!(!query.is_empty() && rows.len().is_multiple_of(query.len()), "rows must be as long as the query");
    isa.run(Scan { query, rows, first_index, best });
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Kernel for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) -> f32 {
        dot_with(simd, self.a, self.b)
    }
}

struct Scan<'a> {
    query: &'a [f32],
    rows: &'a [f32],
    first_index: usize,
    best: &'a mut TopK,
}

impl Kernel for Scan<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let mut gate = self.best.gate();
        for (row, numbers) in self.rows.chunks_exact(self.query.len()).enumerate() {
            let score = dot_with(simd, self.query, numbers);
            if score > gate {
                self.best.push(score, self.first_index + row);
                gate = self.best.gate();
            }
        }
    }
}

/// Four sums side by side hide the latency of an addition.
#[inline(always)]
pub(super) fn dot_with<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [simd.splat(0.0); 4];
    let a_blocks = a.chunks_exact(4 * S::LANES);
    let b_blocks = b.chunks_exact(4 * S::LANES);
    let (a_rest, b_rest) = (a_blocks.remainder(), b_blocks.remainder());
    for (a, b) in a_blocks.zip(b_blocks) {
        for (vector, sum) in sums.iter_mut().enumerate() {
            let at = vector * S::LANES;
            *sum = simd.mul_add(simd.load(&a[at..]), simd.load(&b[at..]), *sum);
        }
    }
    for ((a, b), sum) in a_rest.chunks(S::LANES).zip(b_rest.chunks(S::LANES)).zip(&mut sums) {
        *sum = simd.mul_add(simd.load_up_to(a), simd.load_up_to(b), *sum);
    }
    simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])))
}
