//! Time and quality of k-means on vectors from a file, as one line of JSON: our side of `scripts/bench-kmeans`.
//!
//! `cargo bench --bench cluster -- VECTORS.npy K [ITERATIONS [RESTARTS]]`; threads by `RAYON_NUM_THREADS`.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::path::Path;
use std::time::Instant;

use thematic::cluster::{Settings, fit};
use thematic::output::read_npy;
use thematic::progress::Silent;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |at: usize, usual: usize| arguments.get(at).map_or(usual, |text| text.parse().expect("a number"));
    let vectors = read_npy(Path::new(&arguments[0])).expect("a readable file");
    let settings = Settings {
        k: number(1, 100),
        max_iterations: number(2, 25),
        restarts: number(3, 1),
        tolerance: 0.0,
        ..Settings::default()
    };
    let start = Instant::now();
    let fit = fit(&vectors, &settings, &Silent).expect("a fit");
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{{\"seconds\": {seconds:.3}, \"objective\": {:.6}, \"iterations\": {}, \"imbalance\": {:.3}}}",
        fit.objective, fit.iterations, fit.restarts[0].imbalance
    );
}
