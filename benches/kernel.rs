//! Every kernel in every instruction set of this machine.
//!
//! A multiplication with its addition counts as two items, so that `Gitem/s` reads as GFLOP/s; docs/performance.md says
//! what the units can do. On a shared machine take the fastest column, and compare within one run.
//!
//! ```text
//! cargo bench --bench kernel
//! THEMATIC_ISA=avx2 cargo bench --bench kernel linear
//! ```

mod support;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use support::{numbers, sets};
use thematic::kernel::{
    self, Activation, Attention, Isa, LayerNorm, LinearWeights, Mask, Nearest, Operand, Output, PackedMatrix,
    Precision, TopK, Workspace,
};

/// Numbers in a row of MiniLM and of the vectors it makes.
const DIM: usize = 384;
/// Tokens that a thread carries through the network together.
const TOKENS: usize = 440;

fn main() {
    divan::main();
}

#[divan::bench_group(sample_count = 30)]
mod select {
    use super::*;

    const ROWS: usize = 2016;

    #[divan::bench(args = sets(), consts = [100, 1000])]
    fn nearest<const CENTROIDS: usize>(bencher: Bencher<'_, '_>, isa: Isa) {
        let (rows, centroids) = (numbers(ROWS * DIM), PackedMatrix::pack(isa, &numbers(CENTROIDS * DIM), DIM));
        let mut found = vec![Nearest::default(); ROWS];
        bencher
            .counter(ItemsCount::new(2 * ROWS * CENTROIDS * DIM))
            .bench_local(|| kernel::nearest(&rows, &centroids, &mut found));
    }

    /// The product alone by the `gemm` crate, for comparison.
    #[divan::bench(consts = [100, 1000])]
    #[expect(unsafe_code, reason = "the crate takes pointers")]
    fn product_by_the_gemm_crate<const CENTROIDS: usize>(bencher: Bencher<'_, '_>) {
        let (rows, centroids) = (numbers(ROWS * DIM), numbers(CENTROIDS * DIM));
        let mut scores = vec![0.0f32; ROWS * CENTROIDS];
        let (out, a, b) = (scores.as_mut_ptr(), rows.as_ptr(), centroids.as_ptr());
        let (width, dim) = (CENTROIDS as isize, DIM as isize);
        let one = gemm::Parallelism::None;
        bencher.counter(ItemsCount::new(2 * ROWS * CENTROIDS * DIM)).bench_local(|| {
            // SAFETY: all three matrices are row-major and of the sizes given.
            unsafe {
                gemm::gemm(
                    ROWS, CENTROIDS, DIM, out, 1, width, false, a, 1, dim, b, dim, 1, 0.0, 1.0, false, false, false,
                    one,
                );
            }
        });
    }

    #[divan::bench(args = sets())]
    fn scan(bencher: Bencher<'_, '_>, isa: Isa) {
        let (query, rows) = (numbers(DIM), numbers(40_000 * DIM));
        bencher.counter(BytesCount::of_slice(&rows)).bench_local(|| {
            let mut best = TopK::new(10);
            kernel::scan(isa, &query, &rows, 0, &mut best);
            best.into_sorted()
        });
    }

    #[divan::bench(args = sets())]
    fn scan_many(bencher: Bencher<'_, '_>, isa: Isa) {
        let (queries, rows) = (PackedMatrix::pack(isa, &numbers(128 * DIM), DIM), numbers(ROWS * DIM));
        bencher.counter(ItemsCount::new(2 * 128 * ROWS * DIM)).bench_local(|| {
            let mut best = vec![TopK::new(10); 128];
            kernel::scan_many(&queries, &rows, 0, &mut best);
            best
        });
    }
}

/// The products of a MiniLM layer.
#[divan::bench_group(sample_count = 30)]
mod linear {
    use super::*;

    #[divan::bench(args = sets())]
    fn query_key_value_half(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::Bf16, DIM, 3 * DIM).bench(bencher, isa, Task::Next);
    }

    #[divan::bench(args = sets())]
    fn up_half(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::Bf16, DIM, 4 * DIM).bench(bencher, isa, Task::GeluNext);
    }

    #[divan::bench(args = sets())]
    fn down_half(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::Bf16, 4 * DIM, DIM).bench(bencher, isa, Task::Residual);
    }

    #[divan::bench(args = sets())]
    fn query_key_value_single(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::F32, DIM, 3 * DIM).bench(bencher, isa, Task::Next);
    }

    #[divan::bench(args = sets())]
    fn up_single(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::F32, DIM, 4 * DIM).bench(bencher, isa, Task::GeluNext);
    }

    #[divan::bench(args = sets())]
    fn down_single(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::F32, 4 * DIM, DIM).bench(bencher, isa, Task::Residual);
    }

    fn layer(precision: Precision, n_in: usize, n_out: usize) -> Layer {
        Layer { precision, n_rows: TOKENS, n_in, n_out }
    }
}

#[divan::bench_group(sample_count = 30)]
mod between_products {
    use super::*;

    #[divan::bench(args = sets())]
    fn attention_half(bencher: Bencher<'_, '_>, isa: Isa) {
        attention(bencher, isa, Precision::Bf16);
    }

    #[divan::bench(args = sets())]
    fn attention_single(bencher: Bencher<'_, '_>, isa: Isa) {
        attention(bencher, isa, Precision::F32);
    }

    fn attention(bencher: Bencher<'_, '_>, isa: Isa, precision: Precision) {
        let settings = Attention { n_heads: 12, head_dim: 32, scale: 1.0 / 32f32.sqrt(), mask: Mask::Full, bias: None };
        let (mut qkv, mut context) = (Operand::new(precision), Operand::new(precision));
        qkv.fill(isa, &numbers(TOKENS * 3 * DIM), 3 * DIM);
        let mut workspace = Workspace::new();
        let offsets = [0, TOKENS / 2, TOKENS];
        bencher.counter(ItemsCount::new(4 * TOKENS * TOKENS / 2 * DIM)).bench_local(|| {
            kernel::attention(isa, &settings, &qkv, &offsets, &mut context, &mut workspace);
        });
    }

    #[divan::bench(args = sets())]
    fn layer_norm(bencher: Bencher<'_, '_>, isa: Isa) {
        let (scale, shift, mut rows) = (vec![1.0; DIM], vec![0.0; DIM], numbers(TOKENS * DIM));
        let norm = LayerNorm { scale: &scale, shift: &shift, epsilon: 1e-12 };
        let mut operand = Operand::new(Precision::Bf16);
        bencher
            .counter(BytesCount::of_slice(&rows))
            .bench_local(|| kernel::layer_norm(isa, &norm, &mut rows, Some(&mut operand)));
    }
}

/// A product and where it goes.
struct Layer {
    precision: Precision,
    n_rows: usize,
    n_in: usize,
    n_out: usize,
}

#[derive(Clone, Copy)]
enum Task {
    Next,
    GeluNext,
    Residual,
}

impl Layer {
    fn bench(&self, bencher: Bencher<'_, '_>, isa: Isa, task: Task) {
        let &Self { precision, n_rows, n_in, n_out } = self;
        let weights = LinearWeights::pack(isa, precision, &numbers(n_out * n_in), n_in, Some(&numbers(n_out)));
        let (mut input, mut next) = (Operand::new(precision), Operand::new(precision));
        input.fill(isa, &numbers(n_rows * n_in), n_in);
        let mut rows = vec![0.0; n_rows * n_out];
        let mut workspace = Workspace::new();
        bencher.counter(ItemsCount::new(2 * n_rows * n_in * n_out)).bench_local(|| {
            let (activation, output) = match task {
                Task::Next => (Activation::Identity, Output::Operand(&mut next)),
                Task::GeluNext => (Activation::Gelu, Output::Operand(&mut next)),
                Task::Residual => (Activation::Identity, Output::Residual(&mut rows)),
            };
            kernel::linear(&weights, &input, activation, output, &mut workspace);
        });
    }
}
