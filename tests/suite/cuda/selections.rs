//! K-means and searches of many queries on a device, against the processor: the kernels, then the program.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use thematic::kernel::cuda::Selector;
use thematic::kernel::{self, Isa, Nearest, PackedMatrix, TopK};
use thematic::output::VectorWriter;

use super::{device_is_there, emulated};
use crate::tiny::fixture;

const DIM: usize = 24;

/// Rows of length one that repeat after a while.
fn rows(count: usize, dim: usize, seed: usize) -> Vec<f32> {
    let number = |at: usize| ((at * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0;
    let mut rows: Vec<f32> = (0..count * dim).map(number).collect();
    for row in rows.chunks_mut(dim) {
        let length = row.iter().map(|number| number * number).sum::<f32>().sqrt();
        row.iter_mut().for_each(|number| *number /= length);
    }
    rows
}

/// How far scores may lie from the processor's.
fn tolerance(dim: usize) -> f32 {
    dim as f32 * f32::EPSILON
}

fn never() -> bool {
    false
}

fn check_nearest(found: &[Nearest], expected: &[Nearest], dim: usize) {
    let near = |one: f32, other: f32| one == other || (one - other).abs() <= tolerance(dim);
    for (found, expected) in found.iter().zip(expected) {
        let close = expected.score - expected.second <= 2.0 * tolerance(dim);
        assert!(found.index == expected.index || close, "{found:?}, not {expected:?}");
        let scores = near(found.score, expected.score) && near(found.second, expected.second);
        assert!(scores, "{found:?}, not {expected:?}");
    }
}

#[test]
fn the_nearest_centroids_are_those_of_the_processor() {
    if !device_is_there() {
        return;
    }
    let selector = Selector::open(0).expect("a device");
    // The last one is several blocks, of which the last is not whole.
    for (n_rows, n_centroids, dim) in [(1, 1, DIM), (70, 33, DIM), (257, 5, DIM), (17_000, 2, 1024)] {
        let (rows, centroids) = (rows(n_rows, dim, 1), rows(n_centroids, dim, 2));
        let packed = PackedMatrix::pack(Isa::best(), &centroids, dim);
        let mut expected = vec![Nearest::default(); n_rows];
        kernel::nearest(&rows, &packed, &mut expected);
        for rows in [selector.hold(&rows, dim).expect("room"), selector.stream(&rows, dim)] {
            let mut found = vec![Nearest::default(); n_rows];
            rows.nearest(&centroids, &mut found, &never).expect("room");
            check_nearest(&found, &expected, dim);
        }
    }
    assert_eq!(selector.take_warning(), None);
}

#[test]
fn scans_of_many_queries_find_what_the_processor_finds() {
    if !device_is_there() {
        return;
    }
    let selector = Selector::open(0).expect("a device");
    // As many as there are rows: then every score passes, of the most similar rows first too.
    for limit in [12, 3000] {
        let (rows, queries) = (rows(3000, DIM, 3), rows(7, DIM, 4));
        let packed = PackedMatrix::pack(Isa::best(), &queries, DIM);
        let mut expected = vec![TopK::new(limit); 7];
        kernel::scan_many(&packed, &rows, 0, &mut expected);
        for rows in [selector.hold(&rows, DIM).expect("room"), selector.stream(&rows, DIM)] {
            let mut found = vec![TopK::new(limit); 7];
            rows.scan_many(&queries, &mut found, &never).expect("room");
            for (found, expected) in found.into_iter().zip(expected.clone()) {
                let (found, expected) = (found.into_sorted(), expected.into_sorted());
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found.score - expected.score).abs() <= tolerance(DIM), "{found:?}, not {expected:?}");
                }
            }
        }
    }
}

#[test]
fn whoever_cancels_is_not_kept_waiting() {
    if !device_is_there() {
        return;
    }
    let selector = Selector::open(0).expect("a device");
    let rows = rows(70, DIM, 1);
    let held = selector.hold(&rows, DIM).expect("room");
    let stopped = held.nearest(&rows, &mut vec![Nearest::default(); 70], &|| true).expect_err("cancelled");
    assert_eq!(stopped.exit_code(), 130);
}

/// A folder to work in with the program.
struct Desk(TempDir);

impl Desk {
    /// With `vectors.npy`, rows around as many directions as are asked for, groups of different sizes.
    fn with_groups(n_rows: usize, n_groups: usize) -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        let (centres, noise) = (rows(n_groups, DIM, 5), rows(n_rows, DIM, 6));
        let mut writer = VectorWriter::create(&desk.path("vectors.npy"), DIM).expect("a file");
        for (row, noise) in noise.chunks(DIM).enumerate() {
            let group = (row * row + row / 7) % n_groups;
            let mut vector: Vec<f32> =
                centres[group * DIM..][..DIM].iter().zip(noise).map(|(centre, noise)| centre + 0.6 * noise).collect();
            let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
            vector.iter_mut().for_each(|number| *number /= length);
            writer.write(&format!("{row:05}"), &vector).expect("written");
        }
        writer.finish().expect("written");
        desk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thematic-cuda"));
        command.args(arguments).current_dir(self.0.path());
        command
    }

    /// What it printed as JSON, and what it said.
    fn done(&self, mut command: Command) -> (Value, String) {
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).expect("a file that was written");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Groups on both and holds the themes of every paper, and the figures, against each other.
    fn check_themes(&self, arguments: &[&str]) {
        let [on_gpu, on_processor] = [("cuda", "gpu.jsonl"), ("cpu", "processor.jsonl")].map(|(device, output)| {
            let all = [&["cluster", "--json", "--device", device, "-o", output], arguments].concat();
            self.done(self.command(&all)).0
        });
        let objective = |report: &Value| report["figures"]["objective"].as_f64().expect("a number");
        assert!((objective(&on_gpu) - objective(&on_processor)).abs() <= 1e-6, "{on_gpu}\n{on_processor}");
        assert_eq!(on_gpu["settings"], on_processor["settings"]);
        let [found, expected] = ["gpu.jsonl", "processor.jsonl"].map(|name| self.lines(name));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            let is_tie = expected["margin"].as_f64().expect("a number") <= 1e-5;
            assert!(
                found["id"] == expected["id"] && (found["theme"] == expected["theme"] || is_tie),
                "{found} {expected}"
            );
            let similarity = |paper: &Value| paper["similarity"].as_f64().expect("a number");
            assert!((similarity(found) - similarity(expected)).abs() <= 1e-5, "{found} {expected}");
        }
    }

    /// Looks for the neighbours of every paper on both.
    fn check_neighbours(&self) {
        let [found, expected] = ["cuda", "cpu"].map(|device| {
            self.done(self.command(&["neighbours", "-n", "5", "--device", device, "-o", "near.jsonl"]));
            self.lines("near.jsonl")
        });
        assert_eq!((found.len(), expected.len()), (200, 200));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found["id"] == expected["id"] && found["rank"] == expected["rank"], "{found} {expected}");
            let [one, other] = [found, expected].map(|pair| pair["similarity"].as_f64().expect("a number"));
            assert!((one - other).abs() <= 1e-5, "{found} {expected}");
        }
    }
}

#[test]
fn themes_of_vectors_are_those_of_the_processor() {
    if device_is_there() {
        Desk::with_groups(400, 7).check_themes(&["vectors.npy", "-k", "7"]);
        Desk::with_groups(60, 3).check_themes(&["vectors.npy", "-k", "auto", "--restarts", "1"]);
    }
}

#[test]
fn themes_of_a_collection_are_those_of_the_processor() {
    if !device_is_there() {
        return;
    }
    let desk = Desk(tempfile::tempdir().expect("a folder"));
    let words = ["tides", "ice", "galaxies", "proteins"];
    let text =
        |at: usize| format!(r#"{{"id": "{at}", "text": "{} {at} {}"}}"#, words[at % 4], words[at % 3].repeat(at % 5));
    std::fs::write(desk.path("in.jsonl"), (0..40).map(text).collect::<Vec<_>>().join("\n")).expect("written");
    let mut explore = desk.command(&["explore", "in.jsonl", "--json", "-k", "3", "--device", "cuda", "--model"]);
    explore.arg(fixture("tiny-bert"));
    assert_eq!(desk.done(explore).0["papers"], 40);
    desk.check_themes(&["-k", "3"]);
    desk.check_neighbours();
}

#[test]
fn rows_that_find_no_memory_are_taken_in_fewer_at_once() {
    if !device_is_there() || !emulated() {
        println!("skipped: only an emulated device can be given little memory");
        return;
    }
    let desk = Desk::with_groups(3000, 6);
    let cluster = |room: Option<&str>, output: &str| {
        let arguments = ["cluster", "vectors.npy", "-k", "6", "--restarts", "1", "--max-iterations", "3", "-o", output];
        let mut command = desk.command(&arguments);
        command.args(["--device", "cuda"]).envs(room.map(|room| ("EMULATED_ROOM", room)));
        desk.done(command).1
    };
    // What cublasLt has beside, and less than the rows take.
    let said = cluster(Some("33704432"), "few.jsonl");
    assert_eq!(said.matches("cuda:0 has no memory to compare 3000 vectors at once").count(), 1, "{said}");
    assert!(!cluster(None, "all.jsonl").contains("has no memory"));
    assert!(desk.lines("few.jsonl") == desk.lines("all.jsonl"), "other themes from other blocks");
}

#[test]
fn what_one_gpu_cannot_do_is_refused() {
    if !device_is_there() {
        return;
    }
    let desk = Desk::with_groups(20, 2);
    let refused = |arguments: &[&str]| {
        let output = desk.command(&[&["cluster", "vectors.npy"], arguments].concat()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = refused(&["--device", "cuda", "--algorithm", "dbscan"]);
    assert!(code == Some(2) && said.contains("`--device cuda:0`: `dbscan` is computed by the processor"), "{said}");
    let two =
        desk.command(&["cluster", "vectors.npy", "--device", "cuda:0,cuda:1"]).env("EMULATED_DEVICES", "2").output();
    let said = String::from_utf8_lossy(&two.expect("it runs").stderr).into_owned();
    assert!(!emulated() || said.contains("`--device cuda:0,cuda:1`: this command uses one GPU"), "{said}");
    let (code, said) = refused(&["--device", "cuda:77"]);
    assert!(code == Some(4) && said.contains("cuda:77: there is no such GPU"), "{said}");
    assert!(!Path::new(&desk.path("papers.db")).exists());
}
