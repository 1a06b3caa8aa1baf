//! Grouping: what every caller of `cluster` may rely on.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use linfa::traits::{Fit as _, Predict};
use linfa::{DatasetBase, ParamGuard};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thematic::Error;
use thematic::cluster::{
    Algorithm, Density, Fit, KMeansParams, NOISE, Reason, Settings, SweepSettings, assign, fit, quality, sweep,
};
use thematic::encode::WITH_CUDA;
use thematic::engine::{Grouping, cluster_file};
use thematic::progress::{Phase, Progress, Silent};
use thematic::vectors::Vectors;

/// Rows around `k` random directions, all as far from theirs as `noise` says, and which each is around.
fn mixture(n: usize, dim: usize, k: usize, noise: f32, seed: u64) -> (Vectors, Vec<u32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut direction = |length: f32| -> Vec<f32> {
        // Sums of uniform numbers point nearly evenly in all directions.
        let values: Vec<f32> = (0..dim).map(|_| (0..4).map(|_| rng.gen_range(-1.0f32..1.0)).sum()).collect();
        let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.iter().map(|value| value * length / norm).collect()
    };
    let centres: Vec<Vec<f32>> = (0..k).map(|_| direction(1.0)).collect();
    let groups: Vec<u32> = (0..n).map(|row| (row * 7 % k) as u32).collect();
    let mut values = Vec::with_capacity(n * dim);
    for &group in &groups {
        values.extend(centres[group as usize].iter().zip(direction(noise)).map(|(centre, noise)| centre + noise));
    }
    (Vectors::normalised(dim, values).expect("directions"), groups)
}

fn rows(dim: usize, values: &[f32]) -> Vectors {
    Vectors::normalised(dim, values.to_vec()).expect("directions")
}

fn settings(k: usize) -> Settings {
    Settings { k, ..Settings::default() }
}

fn grouped(vectors: &Vectors, settings: &Settings) -> Fit {
    fit(vectors, settings, &Silent).expect("a fit")
}

/// What holds for every fit whatever made it.
fn check_fit(vectors: &Vectors, fit: &Fit) {
    let n_themes = fit.centroids.len();
    assert_eq!(fit.assignments.len(), vectors.len());
    assert_eq!(fit.sizes.len(), n_themes);
    assert!(fit.sizes.is_sorted_by(|a, b| a >= b), "{:?}", fit.sizes);
    for (theme, &size) in fit.sizes.iter().enumerate() {
        assert!(size > 0, "theme {theme} is empty");
        assert_eq!(fit.assignments.iter().filter(|&&of| of as usize == theme).count(), size);
    }
    for (row, &theme) in fit.assignments.iter().enumerate().filter(|(_, theme)| **theme != NOISE) {
        let cosine: f32 = vectors.row(row).iter().zip(fit.centroids.row(theme as usize)).map(|(a, b)| a * b).sum();
        assert!((cosine - fit.similarity[row]).abs() < 1e-4);
    }
}

/// What holds for a fit of k-means beside that.
fn check_k_means(vectors: &Vectors, fit: &Fit) {
    check_fit(vectors, fit);
    let again = assign(&fit.centroids, vectors, &Silent).expect("themes");
    assert_eq!(again.assignments, fit.assignments);
    assert_eq!(again.similarity, fit.similarity);
    assert_eq!(again.margin, fit.margin);
    assert!(fit.k() == 1 || fit.margin.iter().all(|&margin| margin >= 0.0));
}

#[test]
fn a_program_without_cuda_has_no_gpu_to_group_on() {
    if WITH_CUDA {
        println!("skipped: this program was built with CUDA");
        return;
    }
    let grouping = Grouping { settings: settings(3), sweep: None, gpu: Some(1) };
    let error = cluster_file(Path::new("absent.npy"), &grouping, None, &Silent).expect_err("no GPU side");
    assert_eq!(error.to_string(), "device `cuda:1`: this program was built without CUDA");
    assert_eq!(error.exit_code(), 4);
    assert!(error.hint().is_some_and(|hint| hint.contains("`thematic-cuda`")));
}

#[test]
fn known_groups_are_found() {
    let (vectors, truth) = mixture(600, 32, 8, 0.8, 1);
    let fit = grouped(&vectors, &settings(8));
    check_k_means(&vectors, &fit);
    assert_eq!(quality::adjusted_rand(&truth, &fit.assignments), 1.0);
    assert!(fit.converged && !fit.is_clamped());
    assert_eq!(fit.restarts.len(), 4);
    let best = fit.restarts.iter().map(|restart| restart.objective).fold(0.0, f64::max);
    assert!((best - fit.objective).abs() < 1e-6);
}

#[test]
fn the_objective_never_falls_with_more_iterations() {
    let (vectors, _) = mixture(3000, 24, 60, 2.5, 2);
    let objective = |max_iterations| {
        let settings = Settings { max_iterations, restarts: 1, tolerance: 0.0, ..settings(60) };
        grouped(&vectors, &settings).objective
    };
    let objectives: Vec<f64> = [1, 2, 3, 5, 8, 13, 40].map(objective).to_vec();
    assert!(objectives.is_sorted_by(|a, b| *b >= a - 1e-7), "{objectives:?}");
}

#[test]
fn centroids_are_the_mean_directions_of_their_rows() {
    let (vectors, _) = mixture(1500, 16, 40, 2.0, 3);
    let fit = grouped(&vectors, &Settings { tolerance: 0.0, max_iterations: 1000, ..settings(40) });
    check_k_means(&vectors, &fit);
    assert!(fit.converged);
    for theme in 0..fit.k() {
        let mut mean = vec![0.0; 16];
        for (row, _) in fit.assignments.iter().enumerate().filter(|(_, of)| **of as usize == theme) {
            mean.iter_mut().zip(vectors.row(row)).for_each(|(mean, value)| *mean += value);
        }
        let mean = rows(16, &mean);
        let cosine: f32 = mean.row(0).iter().zip(fit.centroids.row(theme)).map(|(a, b)| a * b).sum();
        assert!(cosine > 1.0 - 1e-5, "theme {theme}: {cosine}");
    }
}

#[test]
fn same_seed_same_bytes_at_any_number_of_threads() {
    let (vectors, _) = mixture(4000, 20, 50, 2.0, 4);
    let with_threads = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads");
        pool.install(|| {
            let fit = grouped(&vectors, &Settings { restarts: 2, ..settings(50) });
            let sweep = sweep(&vectors, &SweepSettings { largest: 6, ..SweepSettings::default() }, &Silent);
            (fit, sweep.expect("a sweep"))
        })
    };
    let one = with_threads(1);
    check_k_means(&vectors, &one.0);
    assert_eq!(with_threads(2), one);
    assert_eq!(with_threads(7), one);
}

#[test]
fn other_seeds_start_elsewhere() {
    let (vectors, _) = mixture(500, 16, 30, 3.0, 5);
    let one = grouped(&vectors, &settings(10));
    assert_ne!(grouped(&vectors, &Settings { seed: 1, ..settings(10) }).centroids, one.centroids);
    assert_eq!(grouped(&vectors, &settings(10)), one);
}

#[test]
fn a_row_is_assigned_alike_alone_and_in_company() {
    let (vectors, _) = mixture(700, 20, 30, 2.0, 6);
    let fit = grouped(&vectors, &settings(30));
    for row in (0..700).step_by(13) {
        let alone = assign(&fit.centroids, &vectors.select(&[row]), &Silent).expect("themes");
        assert_eq!(alone.assignments[0], fit.assignments[row]);
        assert_eq!(alone.similarity[0].to_bits(), fit.similarity[row].to_bits());
    }
}

#[test]
fn themes_are_numbered_by_size_then_by_their_first_row() {
    let vectors = rows(3, &[0., 1., 0., 0., 0., 1., 1., 0., 0., 1., 0., 0., 1., 0., 0.]);
    let fit = grouped(&vectors, &settings(3));
    assert_eq!(fit.assignments, [1, 2, 0, 0, 0]);
    assert_eq!(fit.sizes, [3, 1, 1]);
}

#[test]
fn more_themes_than_papers_gives_a_theme_per_paper() {
    let vectors = rows(2, &[1., 0., 0., 1., -1., 0.]);
    for algorithm in [Algorithm::KMeans, Algorithm::LinfaKMeans] {
        let fit = grouped(&vectors, &Settings { algorithm, ..settings(10) });
        check_k_means(&vectors, &fit);
        assert_eq!((fit.k(), fit.requested, fit.is_clamped()), (3, 10, true));
        assert_eq!(fit.assignments, [0, 1, 2]);
    }
}

#[test]
fn identical_papers_are_one_theme() {
    let mut values = [0.6, 0.8].repeat(50);
    // What a model's rounding may add.
    values[2] += 1e-6;
    let vectors = rows(2, &values);
    for algorithm in [Algorithm::KMeans, Algorithm::LinfaKMeans, Algorithm::Dbscan, Algorithm::Optics] {
        let fit = grouped(&vectors, &Settings { algorithm, ..settings(5) });
        check_fit(&vectors, &fit);
        assert_eq!(fit.sizes, [50], "{algorithm:?}");
    }
    let few_directions = rows(2, &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8].repeat(7));
    let fit = grouped(&few_directions, &settings(5));
    check_k_means(&few_directions, &fit);
    assert_eq!(fit.sizes, [7, 7, 7]);
}

#[test]
fn one_paper_is_one_theme() {
    let vectors = rows(2, &[1.0, 0.0]);
    for algorithm in [Algorithm::KMeans, Algorithm::LinfaKMeans, Algorithm::GaussianMixture] {
        let fit = grouped(&vectors, &Settings { algorithm, ..settings(1) });
        assert_eq!((fit.assignments, fit.similarity, fit.margin), (vec![0], vec![1.0], vec![1.0]));
    }
}

#[test]
fn opposite_papers_do_not_cancel_out() {
    let vectors = rows(2, &[1.0, 0.0, -1.0, 0.0, 1.0, 0.0, -1.0, 0.0]);
    let fit = grouped(&vectors, &settings(1));
    check_k_means(&vectors, &fit);
    assert_eq!(fit.sizes, [4]);
    assert_eq!(grouped(&vectors, &settings(2)).assignments, [0, 1, 0, 1]);
}

/// That `fit` refuses `settings` and what it says.
fn check_refused(vectors: &Vectors, settings: &Settings, exit_code: u8, message: &str) {
    let error = fit(vectors, settings, &Silent).expect_err("refused");
    assert_eq!(error.to_string(), message);
    assert_eq!(error.exit_code(), exit_code);
    assert!(error.hint().is_some());
}

#[test]
fn settings_out_of_range_are_refused() {
    let vectors = rows(2, &[1.0, 0.0]);
    check_refused(&vectors, &settings(0), 2, "k: 0 themes cannot hold a paper");
    check_refused(&vectors, &Settings { restarts: 0, ..settings(1) }, 2, "restarts: 0 runs give no result");
    let tolerance = Settings { tolerance: f64::NAN, ..settings(1) };
    check_refused(&vectors, &tolerance, 2, "tolerance: is a share, from 0 to below 1");
    let iterations = Settings { max_iterations: 0, ..settings(1) };
    check_refused(&vectors, &iterations, 2, "iterations: 0 leave the themes where they started");
    let reach = Settings { density: Density { reach: 0.0, least: 5 }, ..settings(1) };
    check_refused(&vectors, &reach, 2, "reach: is a cosine distance above 0, and none is above 2");
    check_refused(&Vectors::empty(3), &settings(1), 3, "vectors: there is none to group");
    let many = rows(2, &[1.0, 0.5].repeat(10_001));
    let dbscan = Settings { algorithm: Algorithm::Dbscan, ..settings(1) };
    check_refused(&many, &dbscan, 3, "dbscan: takes at most 10000 papers, and there are 10001");
}

#[test]
fn themes_of_another_model_are_refused() {
    let error = assign(&rows(2, &[1.0, 0.0]), &rows(3, &[1.0, 0.0, 0.0]), &Silent).expect_err("refused");
    assert_eq!(error.to_string(), "vectors: papers have 3 numbers and themes 2");
    assert!(assign(&Vectors::empty(2), &rows(2, &[1.0, 0.0]), &Silent).is_err());
}

#[test]
fn every_algorithm_finds_clear_groups() {
    let (vectors, truth) = mixture(240, 12, 4, 0.3, 7);
    for algorithm in Algorithm::ALL {
        let fit = grouped(&vectors, &Settings { algorithm, ..settings(4) });
        check_fit(&vectors, &fit);
        assert_eq!(fit.k(), 4, "{algorithm:?}");
        assert_eq!(quality::adjusted_rand(&truth, &fit.assignments), 1.0, "{algorithm:?}");
    }
}

#[test]
fn methods_of_density_leave_outliers_out() {
    let (mut vectors, _) = mixture(60, 12, 2, 0.2, 8);
    vectors.append(&mixture(1, 12, 1, 0.0, 99).0).expect("same width");
    for algorithm in [Algorithm::Dbscan, Algorithm::Optics] {
        let fit = grouped(&vectors, &Settings { algorithm, ..settings(1) });
        check_fit(&vectors, &fit);
        assert_eq!((fit.k(), fit.n_noise(), fit.is_clamped()), (2, 1, false), "{algorithm:?}");
        assert_eq!((fit.assignments[60], fit.similarity[60], fit.margin[60]), (NOISE, 0.0, 0.0));
        let alone = grouped(&vectors.select(&[60]), &Settings { algorithm, ..settings(1) });
        assert_eq!((alone.k(), alone.n_noise(), alone.objective), (0, 1, 0.0));
    }
}

#[test]
fn a_mixture_of_more_themes_than_rows_can_bear_is_an_error_or_a_fit() {
    let (vectors, _) = mixture(12, 40, 3, 0.5, 9);
    for k in 1..15 {
        let settings = Settings { algorithm: Algorithm::GaussianMixture, ..settings(k) };
        match fit(&vectors, &settings, &Silent) {
            Ok(fit) => check_fit(&vectors, &fit),
            Err(error) => assert!(matches!(error, Error::Failed(_)) && error.hint().is_some(), "{error}"),
        }
    }
}

#[test]
fn a_sweep_finds_the_number_of_clear_groups() {
    for (k, noise) in [(3, 0.5), (8, 1.0), (13, 1.0)] {
        let (vectors, _) = mixture(300, 48, k, noise, 10 + k as u64);
        let sweep = sweep(&vectors, &SweepSettings::default(), &Silent).expect("a sweep");
        assert_eq!((sweep.chosen, sweep.reason, sweep.n_rows), (k, Reason::ClearGroups, 300));
        assert!(sweep.points.is_sorted_by(|a, b| a.k < b.k));
        let chosen = sweep.points.iter().find(|point| point.k == k).expect("the chosen one was tried");
        assert!(chosen.stability > 0.8, "{chosen:?}");
    }
}

#[test]
fn a_sweep_finds_one_theme_where_there_is_no_structure() {
    let (vectors, _) = mixture(400, 64, 400, 1.0, 20);
    assert_eq!(sweep(&vectors, &SweepSettings::default(), &Silent).expect("a sweep").chosen, 1);
}

#[test]
fn a_sweep_of_few_rows_has_a_sensible_end() {
    for n in 1..12 {
        let (vectors, _) = mixture(n, 16, n, 0.5, 30);
        let chosen = sweep(&vectors, &SweepSettings::default(), &Silent).expect("a sweep").chosen;
        assert!((1..=n.div_ceil(2)).contains(&chosen), "{chosen} themes of {n} papers");
    }
    let identical = rows(2, &[1.0, 0.5].repeat(100));
    let found = sweep(&identical, &SweepSettings::default(), &Silent).expect("a sweep");
    assert_eq!((found.chosen, found.points.len()), (1, 1));
    let three = rows(2, &[1.0, 0.0, 0.0, 1.0, -1.0, 0.0].repeat(20));
    assert_eq!(sweep(&three, &SweepSettings::default(), &Silent).expect("a sweep").chosen, 3);
}

#[test]
fn a_sweep_of_many_rows_says_that_it_took_a_sample() {
    let (vectors, _) = mixture(500, 16, 5, 0.5, 40);
    let listener = Listener::default();
    let settings = SweepSettings { sample: 200, ..SweepSettings::default() };
    let found = sweep(&vectors, &settings, &listener).expect("a sweep");
    assert_eq!((found.chosen, found.n_rows), (5, 200));
    let warnings = listener.warnings.into_inner().expect("no thread failed");
    assert_eq!(warnings, ["chose the number of themes on 200 of 500 papers"]);
}

#[derive(Default)]
struct Listener {
    cancel_after: Option<usize>,
    asked: AtomicUsize,
    phases: Mutex<Vec<Phase>>,
    warnings: Mutex<Vec<String>>,
    units: AtomicUsize,
}

impl Progress for Listener {
    fn begin(&self, phase: Phase) {
        self.phases.lock().expect("no thread failed").push(phase);
    }
    fn advance(&self, units: u64) {
        self.units.fetch_add(units as usize, Ordering::Relaxed);
    }
    fn end(&self) {}
    fn warn(&self, message: &str) {
        self.warnings.lock().expect("no thread failed").push(message.to_owned());
    }
    fn cancelled(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        self.cancel_after.is_some_and(|after| asked >= after)
    }
}

#[test]
fn a_fit_reports_its_runs_and_can_be_cancelled_at_any_point() {
    let (vectors, _) = mixture(600, 16, 20, 2.0, 50);
    let listener = Listener::default();
    fit(&vectors, &settings(20), &listener).expect("a fit");
    assert_eq!(listener.units.into_inner(), 4);
    let n_asked = listener.asked.into_inner();
    for cancel_after in [0, 1, 30, n_asked - 1] {
        let listener = Listener { cancel_after: Some(cancel_after), ..Listener::default() };
        assert!(matches!(fit(&vectors, &settings(20), &listener), Err(Error::Interrupted)), "{cancel_after}");
    }
}

#[test]
fn the_estimator_serves_linfa() {
    let (vectors, truth) = mixture(90, 8, 3, 0.3, 60);
    let records = Array2::from_shape_vec((90, 8), vectors.as_slice().to_vec()).expect("rows") * 3.0;
    let params = KMeansParams::new(settings(3)).check().expect("in range");
    let themes = params.fit(&DatasetBase::from(records.clone())).expect("a fit");
    let predicted: Vec<u32> = themes.predict(&records).iter().map(|&theme| theme as u32).collect();
    assert_eq!(predicted, themes.assignments);
    assert_eq!(quality::adjusted_rand(&truth, &predicted), 1.0);
    assert_eq!(themes.predict(&Array2::zeros((1, 8)))[0], 0);
    assert!(KMeansParams::new(settings(0)).check().is_err());
}
