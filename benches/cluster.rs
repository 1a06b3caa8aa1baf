//! Time and quality of k-means on vectors from a file, as one line of JSON: our side of `scripts/bench-kmeans`.
//!
//! `cargo bench --bench cluster -- VECTORS.npy K [ITERATIONS [RESTARTS]]`; threads by `RAYON_NUM_THREADS`.

use std::time::Instant;

use thematic::cluster::{Settings, fit};
use thematic::progress::Silent;
use thematic::vectors::Vectors;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |at: usize, usual: usize| arguments.get(at).map_or(usual, |text| text.parse().expect("a number"));
    let vectors = read_npy(&arguments[0]);
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

/// The float32 matrix of a `.npy` file as numpy writes it.
fn read_npy(path: &str) -> Vectors {
    let bytes = std::fs::read(path).expect("a readable file");
    let header_length = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..header_length]).into_owned();
    let (_, shape) = header.split_once("'shape': (").expect("a shape");
    let dim = shape.split([',', ')']).nth(1).expect("two dimensions").trim().parse().expect("a number");
    let values = bytes[header_length..].as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
    Vectors::normalised(dim, values).expect("rows with a direction")
}
