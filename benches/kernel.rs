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

use std::hint::black_box;

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Tensor};
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
/// Tokens of short texts; the last one is a query of some words.
const SHORT: [usize; 3] = [1, 5, 12];

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
        layer(Precision::Bf16, TOKENS, DIM, 3 * DIM).bench(bencher, isa, Task::Next);
    }

    #[divan::bench(args = sets())]
    fn up_half(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::Bf16, TOKENS, DIM, 4 * DIM).bench(bencher, isa, Task::GeluNext);
    }

    #[divan::bench(args = sets())]
    fn down_half(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::Bf16, TOKENS, 4 * DIM, DIM).bench(bencher, isa, Task::Residual);
    }

    #[divan::bench(args = sets())]
    fn query_key_value_single(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::F32, TOKENS, DIM, 3 * DIM).bench(bencher, isa, Task::Next);
    }

    #[divan::bench(args = sets())]
    fn up_single(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::F32, TOKENS, DIM, 4 * DIM).bench(bencher, isa, Task::GeluNext);
    }

    #[divan::bench(args = sets())]
    fn down_single(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::F32, TOKENS, 4 * DIM, DIM).bench(bencher, isa, Task::Residual);
    }

    #[divan::bench(args = sets(), consts = SHORT)]
    fn query_key_value_of_a_short_text_half<const ROWS: usize>(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::Bf16, ROWS, DIM, 3 * DIM).bench(bencher, isa, Task::Next);
    }

    #[divan::bench(args = sets(), consts = SHORT)]
    fn query_key_value_of_a_short_text_single<const ROWS: usize>(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::F32, ROWS, DIM, 3 * DIM).bench(bencher, isa, Task::Next);
    }

    #[divan::bench(args = sets())]
    fn up_of_a_short_text_half(bencher: Bencher<'_, '_>, isa: Isa) {
        layer(Precision::Bf16, SHORT[2], DIM, 4 * DIM).bench(bencher, isa, Task::GeluNext);
    }

    fn layer(precision: Precision, n_rows: usize, n_in: usize, n_out: usize) -> Layer {
        Layer { precision, n_rows, n_in, n_out }
    }
}

#[divan::bench_group(sample_count = 30)]
mod between_products {
    use super::*;

    #[divan::bench(args = sets())]
    fn attention_half(bencher: Bencher<'_, '_>, isa: Isa) {
        attention(bencher, isa, Precision::Bf16, &[0, TOKENS / 2, TOKENS]);
    }

    #[divan::bench(args = sets())]
    fn attention_single(bencher: Bencher<'_, '_>, isa: Isa) {
        attention(bencher, isa, Precision::F32, &[0, TOKENS / 2, TOKENS]);
    }

    #[divan::bench(args = sets())]
    fn attention_of_a_short_text_half(bencher: Bencher<'_, '_>, isa: Isa) {
        attention(bencher, isa, Precision::Bf16, &[0, SHORT[2]]);
    }

    #[divan::bench(args = sets())]
    fn attention_of_a_short_text_single(bencher: Bencher<'_, '_>, isa: Isa) {
        attention(bencher, isa, Precision::F32, &[0, SHORT[2]]);
    }

    fn attention(bencher: Bencher<'_, '_>, isa: Isa, precision: Precision, offsets: &[usize]) {
        let settings = Attention { n_heads: 12, head_dim: 32, scale: 1.0 / 32f32.sqrt(), mask: Mask::Full, bias: None };
        let (mut qkv, mut context) = (Operand::new(precision), Operand::new(precision));
        qkv.fill(isa, &numbers(offsets[offsets.len() - 1] * 3 * DIM), 3 * DIM);
        let mut workspace = Workspace::new();
        let pairs: usize = offsets.windows(2).map(|ends| (ends[1] - ends[0]).pow(2)).sum();
        bencher.counter(ItemsCount::new(4 * pairs * DIM)).bench_local(|| {
            kernel::attention(isa, &settings, &qkv, offsets, &mut context, &mut workspace);
        });
    }

    /// What it costs that a layer is an operation of Candle: one that does nothing, on the rows of a short text.
    #[divan::bench]
    fn operation_of_candle(bencher: Bencher<'_, '_>) {
        let memory = Tensor::zeros((TOKENS, DIM), DType::F32, &Device::Cpu).expect("memory");
        let rows = memory.narrow(0, 0, SHORT[2]).expect("fewer rows");
        bencher.bench_local(|| rows.inplace_op1(&Nothing).expect("nothing to fail"));
    }

    struct Nothing;

    impl InplaceOp1 for Nothing {
        fn name(&self) -> &'static str {
            "nothing"
        }

        fn cpu_fwd(&self, rows: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
            black_box((rows, layout));
            Ok(())
        }
    }

    #[divan::bench(args = sets())]
    fn layer_norm(bencher: Bencher<'_, '_>, isa: Isa) {
        let (scale, shift, mut rows) = (vec![1.0; DIM], vec![0.0; DIM], numbers(TOKENS * DIM));
        let norm = LayerNorm { scale: &scale, shift: &shift, epsilon: 1e-12 };
        let (mut operand, mut workspace) = (Operand::new(Precision::Bf16), Workspace::new());
        bencher
            .counter(BytesCount::of_slice(&rows))
            .bench_local(|| kernel::layer_norm(isa, &norm, &mut rows, Some(&mut operand), &mut workspace));
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
