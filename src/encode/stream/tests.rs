//! Streams over devices that are slow, short of memory, or broken.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::*;
use crate::encode::Options;
use crate::encode::engine::{Engine, Habits};
use crate::encode::tokens::PackedTokens;
use crate::models::{Settings, resolve};
use crate::progress::{Phase, Silent};

/// Several of the texts below.
const BATCH_TOKENS: usize = 256;

/// A GPU that computes as the processor does, with faults of its own.
struct FakeGpu {
    name: &'static str,
    network: Arc<dyn Engine>,
    pause: Duration,
    memory_tokens: usize,
    /// Batches that it computes before it breaks.
    lasts: usize,
    batches: Arc<AtomicUsize>,
}

impl Engine for FakeGpu {
    fn rows(&self, batch: &PackedTokens) -> Result<Vec<f32>> {
        thread::sleep(self.pause);
        if self.batches.fetch_add(1, Ordering::Relaxed) >= self.lasts {
            return Err(Error::Failed(Problem::new("a kernel", "an illegal address was read")));
        }
        if batch.ids.len() > self.memory_tokens {
            return Err(Error::OutOfMemory(Problem::new("a device", "out of memory")));
        }
        self.network.rows(batch)
    }

    fn gpu(&self) -> Option<&str> {
        Some(self.name)
    }

    fn habits(&self) -> Habits {
        Habits { batch_tokens: BATCH_TOKENS, light: true, callers: Some(2) }
    }
}

/// What a fake GPU is like, and how many batches it was given.
struct Fake {
    gpu: FakeGpu,
    batches: Arc<AtomicUsize>,
}

impl Fake {
    fn new(name: &'static str) -> Self {
        let batches = Arc::new(AtomicUsize::new(0));
        let (pause, memory_tokens, lasts) = (Duration::ZERO, usize::MAX, usize::MAX);
        let network = Arc::new(NoNetwork);
        let gpu = FakeGpu { name, network, pause, memory_tokens, lasts, batches: Arc::clone(&batches) };
        Self { gpu, batches }
    }
}

/// Stands where the real network will be put.
struct NoNetwork;

impl Engine for NoNetwork {
    fn rows(&self, _batch: &PackedTokens) -> Result<Vec<f32>> {
        Err(Error::Failed(Problem::new("a test", "has no network")))
    }

    fn habits(&self) -> Habits {
        Habits { batch_tokens: 1, light: false, callers: None }
    }
}

/// The engine of a loaded encoder, shared between fakes.
struct Shared(Box<dyn Engine>);

impl Engine for Shared {
    fn rows(&self, batch: &PackedTokens) -> Result<Vec<f32>> {
        self.0.rows(batch)
    }

    fn habits(&self) -> Habits {
        self.0.habits()
    }
}

fn encoder() -> Encoder {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/tiny-static");
    let settings =
        Settings { offline: true, revision: None, token: None, endpoint: String::new(), cache: None, pickle: None };
    let model = resolve(folder.to_str(), &settings, &Silent).expect("a model");
    Encoder::load(&model, &Options::default()).expect("an encoder")
}

/// The tiny model on fake GPUs.
fn on_gpus(gpus: Vec<FakeGpu>) -> Encoder {
    let mut encoder = encoder();
    let network: Arc<dyn Engine> = Arc::new(Shared(encoder.workers.remove(0).engine));
    let with_network = |gpu: FakeGpu| FakeGpu { network: Arc::clone(&network), ..gpu };
    encoder.workers = gpus.into_iter().map(|gpu| Worker::new(Box::new(with_network(gpu)))).collect();
    encoder.batch_tokens = BATCH_TOKENS;
    encoder
}

/// Texts of 3 to 137 tokens.
fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number} {}", "deep water ".repeat(number * 7919 % 23))).collect()
}

/// Counts what is done and keeps warnings.
#[derive(Default)]
struct Listener {
    done: AtomicUsize,
    warnings: Mutex<Vec<String>>,
}

impl Progress for Listener {
    fn begin(&self, _phase: Phase) {}
    fn advance(&self, units: u64) {
        self.done.fetch_add(units as usize, Ordering::Relaxed);
    }
    fn end(&self) {}
    fn warn(&self, message: &str) {
        self.warnings.lock().expect("a list").push(message.to_owned());
    }
    fn cancelled(&self) -> bool {
        false
    }
}

/// Keys in the order they came, and all their rows.
fn run(encoder: &Encoder, texts: &[String], listener: &Listener) -> Result<(Vec<usize>, Vectors)> {
    let mut keys = Vec::new();
    let mut vectors = Vectors::empty(encoder.identity.dimensions);
    let sink = |finished: Finished<usize>| {
        keys.extend(finished.keys);
        vectors.append(&finished.vectors)
    };
    let numbered = texts.iter().cloned().enumerate().map(Ok);
    encoder.encode_stream(numbered, Kind::Document, Order::AsGiven, sink, listener)?;
    Ok((keys, vectors))
}

#[test]
fn devices_of_different_speed_keep_the_order_and_share_the_work() {
    let texts = texts(3000);
    let (expected_keys, expected) = run(&encoder(), &texts, &Listener::default()).expect("vectors");
    let (quick, slow) = (Fake::new("cuda:0 (quick)"), Fake::new("cuda:1 (slow)"));
    let quick_gpu = FakeGpu { pause: Duration::from_millis(1), ..quick.gpu };
    let slow_gpu = FakeGpu { pause: Duration::from_millis(20), ..slow.gpu };
    let listener = Listener::default();
    let (keys, found) = run(&on_gpus(vec![quick_gpu, slow_gpu]), &texts, &listener).expect("vectors");
    assert_eq!(keys, expected_keys);
    assert!(keys.iter().copied().eq(0..3000));
    assert_eq!(found.as_slice(), expected.as_slice());
    assert_eq!(listener.done.load(Ordering::Relaxed), 3000);
    let counts = [quick.batches, slow.batches].map(|batches| batches.load(Ordering::Relaxed));
    assert!(counts[1] > 0 && counts[0] > 2 * counts[1], "whoever is done takes the next: {counts:?}");
}

#[test]
fn a_device_short_of_memory_halves_its_batches_and_says_so_once() {
    let texts = texts(3000);
    let whole = encoder();
    let (_, expected) = run(&whole, &texts, &Listener::default()).expect("vectors");
    let (roomy, small) = (Fake::new("cuda:0 (roomy)"), Fake::new("cuda:1 (small)"));
    let longest = texts.iter().map(|text| whole.count_tokens(text, Kind::Document).expect("tokens")).max();
    let roomy_gpu = FakeGpu { pause: Duration::from_millis(1), ..roomy.gpu };
    let small_gpu = FakeGpu { memory_tokens: longest.expect("texts"), ..small.gpu };
    let listener = Listener::default();
    let (_, found) = run(&on_gpus(vec![roomy_gpu, small_gpu]), &texts, &listener).expect("vectors");
    assert_eq!(found.as_slice(), expected.as_slice());
    let warnings = listener.warnings.into_inner().expect("a list");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("cuda:1 (small) has no memory for "), "{warnings:?}");
}

#[test]
fn a_text_that_no_halving_makes_room_for_is_named() {
    let mut texts = texts(200);
    texts[117] = format!("Where the tide turns {}", "deep water ".repeat(100));
    let gpu = FakeGpu { memory_tokens: 200, ..Fake::new("cuda:0 (small)").gpu };
    let error = run(&on_gpus(vec![gpu]), &texts, &Listener::default()).expect_err("a text too long");
    let said = error.to_string();
    assert!(said.starts_with("cuda:0 (small): has no memory for the text that begins `Where the tide turns"), "{said}");
    assert_eq!(error.exit_code(), 4);
    assert!(error.hint().is_some_and(|hint| hint.contains("--max-length")));
}

#[test]
fn a_device_that_fails_stops_the_run_with_its_name() {
    let texts = texts(20_000);
    let good = FakeGpu { pause: Duration::from_millis(1), ..Fake::new("cuda:0 (good)").gpu };
    let bad = FakeGpu { lasts: 3, ..Fake::new("cuda:1 (bad)").gpu };
    let listener = Listener::default();
    let error = run(&on_gpus(vec![good, bad]), &texts, &listener).expect_err("a broken device");
    assert_eq!(error.to_string(), "cuda:1 (bad): a kernel: an illegal address was read");
    assert!(listener.done.load(Ordering::Relaxed) < 20_000, "the other device did not go on to the end");
}

#[test]
fn a_full_sink_ends_the_stream_while_every_queue_is_full() {
    let gpu = FakeGpu { pause: Duration::from_millis(1), ..Fake::new("cuda:0").gpu };
    let encoder = on_gpus(vec![gpu]);
    let endless = (0..).map(|number| Ok((number, "deep water".to_owned())));
    let sink = |_: Finished<u64>| Err(Error::Failed(Problem::new("a disk", "is full")));
    let error = encoder.encode_stream(endless, Kind::Document, Order::AsFinished, sink, &Silent).expect_err("no room");
    assert_eq!(error.to_string(), "a disk: is full");
}
