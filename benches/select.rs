//! K-means assignment and a search of many queries on a GPU, beside the processor of the same machine: a line of JSON.
//!
//! `cargo bench --features cuda --bench select -- DEVICE [ROWS [CENTROIDS [QUERIES]]]`; rows have 384 numbers. Seconds are the
//! least of three rounds. With `cpu` as the device there are those of the processor alone. Threads by
//! `RAYON_NUM_THREADS`.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

#[path = "support/numbers.rs"]
mod numbers;

use std::time::Instant;

use numbers::numbers;
use rayon::prelude::*;
use serde_json::{Value, json};
use thematic::encode::Device;
use thematic::kernel::cuda::{DeviceRows, Selector};
use thematic::kernel::{self, Hit, Isa, Nearest, PackedMatrix, TopK};
use thematic::vectors::normalise;

const DIM: usize = 384;
const ROUNDS: usize = 3;
/// Hits that are kept of each query.
const LIMIT: usize = 10;
/// Rows, and queries, that a task of the processor takes: those of k-means and of `search::neighbours`.
const TASK_ROWS: usize = 252;
const TASK_QUERIES: usize = 128;
/// How far a score may lie from the processor's.
const TOLERANCE: f32 = DIM as f32 * f32::EPSILON;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |at: usize, usual: usize| arguments.get(at).map_or(usual, |text| text.parse().expect("a number"));
    let device: Device = arguments.first().map_or("cuda", String::as_str).parse().expect("a device");
    let (n_rows, n_centroids, n_queries) = (number(1, 1_000_000), number(2, 1000), number(3, 4096));
    let all = unit_rows(n_rows + n_centroids.max(n_queries));
    let (rows, others) = all.split_at(n_rows * DIM);
    let (centroids, queries) = (&others[..n_centroids * DIM], &others[..n_queries * DIM]);
    let selector = device.gpus().map(|gpus| Selector::open(gpus[0]).expect("a GPU"));
    let report = json!({
        "rows": n_rows, "centroids": n_centroids, "queries": n_queries,
        "assignment": assignment(rows, centroids, selector.as_ref()),
        "search": search(rows, queries, selector.as_ref()),
    });
    println!("{report}");
}

fn unit_rows(count: usize) -> Vec<f32> {
    let mut rows = numbers(count * DIM);
    rows.chunks_exact_mut(DIM).for_each(|row| assert!(normalise(row), "a direction"));
    rows
}

fn assignment(rows: &[f32], centroids: &[f32], selector: Option<&Selector>) -> Value {
    let (seconds, expected) = fastest(|| {
        let packed = PackedMatrix::pack(Isa::best(), centroids, DIM);
        let mut found = vec![Nearest::default(); rows.len() / DIM];
        let tasks = rows.par_chunks(TASK_ROWS * DIM).zip(found.par_chunks_mut(TASK_ROWS));
        tasks.for_each(|(rows, found)| kernel::nearest(rows, &packed, found));
        found
    });
    let on_gpu = |rows: &DeviceRows<'_>| {
        fastest(|| {
            let mut found = vec![Nearest::default(); expected.len()];
            rows.nearest(centroids, &mut found, &|| false).expect("a GPU that works");
            found
        })
    };
    let differs = |(found, expected): (&Nearest, &Nearest)| {
        let is_tie = expected.score - expected.second <= 2.0 * TOLERANCE;
        let is_same = found.index == expected.index || is_tie;
        !is_same || (found.score - expected.score).abs() > TOLERANCE
    };
    beside(rows, selector, seconds, on_gpu, |found| found.iter().zip(&expected).filter(|pair| differs(*pair)).count())
}

fn search(rows: &[f32], queries: &[f32], selector: Option<&Selector>) -> Value {
    let nothing = || vec![TopK::new(LIMIT); queries.len() / DIM];
    let sorted = |best: Vec<TopK>| best.into_iter().flat_map(TopK::into_sorted).collect::<Vec<Hit>>();
    let (seconds, expected) = fastest(|| {
        let mut best = nothing();
        let tasks = queries.par_chunks(TASK_QUERIES * DIM).zip(best.par_chunks_mut(TASK_QUERIES));
        tasks.for_each(|(queries, best)| {
            kernel::scan_many(&PackedMatrix::pack(Isa::best(), queries, DIM), rows, 0, best);
        });
        sorted(best)
    });
    let on_gpu = |rows: &DeviceRows<'_>| {
        fastest(|| {
            let mut best = nothing();
            rows.scan_many(queries, &mut best, &|| false).expect("a GPU that works");
            sorted(best)
        })
    };
    // Hits of equal rank: which row has it may differ where scores do by less.
    let differs = |(found, expected): (&Hit, &Hit)| (found.score - expected.score).abs() > TOLERANCE;
    beside(rows, selector, seconds, on_gpu, |found| found.iter().zip(&expected).filter(|pair| differs(*pair)).count())
}

/// The processor's seconds, and the GPU's with rows that are there and with rows that are sent, and how many results
/// differ by more than rounding.
fn beside<T>(
    rows: &[f32],
    selector: Option<&Selector>,
    seconds: f64,
    on_gpu: impl Fn(&DeviceRows<'_>) -> (f64, T),
    n_different: impl Fn(&T) -> usize,
) -> Value {
    let Some(selector) = selector else { return json!({"processor": seconds}) };
    let (held, of_held) = on_gpu(&selector.hold(rows, DIM).expect("a GPU that works"));
    let (sent, of_sent) = on_gpu(&selector.stream(rows, DIM));
    let different = n_different(&of_held).max(n_different(&of_sent));
    json!({"processor": seconds, "held": held, "sent": sent, "different": different})
}

/// The least seconds of some rounds, and what the last one gave.
fn fastest<T>(work: impl Fn() -> T) -> (f64, T) {
    let round = |_| {
        let start = Instant::now();
        let result = work();
        (start.elapsed().as_secs_f64(), result)
    };
    (0..ROUNDS).map(round).reduce(|(least, _), (seconds, result)| (least.min(seconds), result)).expect("a round")
}
