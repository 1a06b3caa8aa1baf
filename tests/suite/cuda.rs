//! The GPU side against the processor and the golden vectors: on a device, or on the emulated one.
//!
//! In a build without CUDA, and where the driver finds no device, these say so and check nothing. On a device
//! `scripts/gpu-check` runs them; `scripts/test --cuda` runs them on libraries that emulate one.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use thematic::encode::{Device, Encoder, Kind, Options, Precision, WITH_CUDA};
use thematic::kernel::{Driver, Gpu};
use thematic::models::{ModelFolder, Settings, resolve};
use thematic::progress::Silent;
use thematic::vectors::Vectors;

use crate::encode::{
    architecture_texts, golden, golden_texts, smallest_cosine, smallest_cosine_by_mode, smallest_cosine_of, tiny_texts,
};
use crate::program::Desk;
use crate::shards::{killed_until_it_is_done, stored};
use crate::tiny::{BERT_OUTPUT, Variant, fixture, open, variants, with_idle_heads};

#[cfg(feature = "cuda")]
mod selections;

/// What is promised of every precision against f32 on the processor.
const PROMISED: f32 = 0.9995;

/// What f32 in another order may change.
const EXACT: f32 = 0.999_99;

/// Heads of eight numbers and rows of 32, as the tiny models have, average little of the rounding away; these hold for
/// each pooling mode's 32 numbers alone. The processor in bf16 comes as far.
const TINY_F16: f32 = 0.999;
const TINY_BF16: f32 = 0.997;

/// The first device; `None`, said aloud, where there is none.
fn device() -> Option<Gpu> {
    if !WITH_CUDA {
        println!("skipped: this program was built without CUDA");
        return None;
    }
    match Driver::open().and_then(|driver| driver.gpu(0)) {
        Ok(gpu) => {
            println!("on {gpu}");
            Some(gpu)
        }
        Err(cause) => {
            println!("skipped: {cause}");
            None
        }
    }
}

fn device_is_there() -> bool {
    device().is_some()
}

fn on_gpu(precision: Precision) -> Options {
    Options { device: Device::Cuda(vec![0]), precision, ..Options::default() }
}

fn on_processor() -> Options {
    Options { device: Device::Cpu, precision: Precision::F32, ..Options::default() }
}

fn encoder(model: &ModelFolder, options: &Options) -> Encoder {
    Encoder::load(model, options).expect("a model that loads")
}

/// The precisions and what each is held to with a tiny model.
const PRECISIONS: [(Precision, f32); 3] =
    [(Precision::F32, EXACT), (Precision::Bf16, TINY_BF16), (Precision::F16, TINY_F16)];

/// The architectures that the packed engine computes.
const ARCHITECTURES: [&str; 9] =
    ["roberta", "xlm-roberta", "distilbert", "mpnet", "nomic-bert", "nomic-bert-5", "modernbert", "jina-bert", "gte"];

#[test]
fn heads_that_are_left_out_change_nothing() {
    if !device_is_there() {
        return;
    }
    let (folder, texts) = (with_idle_heads("bert", BERT_OUTPUT), architecture_texts());
    let vectors = |options: &Options| {
        encoder(&open(folder.path()), options).encode(&texts, Kind::Document).expect("vectors").vectors
    };
    let expected = vectors(&on_processor());
    for (precision, promised) in PRECISIONS {
        let smallest = smallest_cosine_of(&vectors(&on_gpu(precision)), &expected);
        assert!(smallest >= promised, "{precision:?}: {smallest}");
    }
}

#[test]
fn every_architecture_gives_the_vectors_of_its_authors() {
    if !device_is_there() {
        return;
    }
    let (golden, all) = (golden("architectures.safetensors"), architecture_texts());
    // An emulated device takes minutes for what a real one does at once.
    let every = if emulated() { 4 } else { 1 };
    let texts: Vec<&String> = all.iter().step_by(every).collect();
    let mut failures = Vec::new();
    for name in ARCHITECTURES {
        let model = open(&fixture(&format!("tiny-{name}")));
        let expected = golden.f32(&format!("{name}/plain")).expect("rows");
        let rows = expected.chunks(expected.len() / all.len()).step_by(every);
        let expected: Vec<f32> = rows.flatten().copied().collect();
        for (precision, least) in PRECISIONS {
            let encoded = encoder(&model, &on_gpu(precision)).encode(&texts, Kind::Document).expect("vectors");
            let cosine = smallest_cosine_by_mode(&encoded.vectors, &expected, 32);
            if cosine.is_nan() || cosine < least {
                failures.push(format!("{name} in {precision:?}: {cosine}"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_option_of_a_folder_gives_the_vectors_of_sentence_transformers() {
    if !device_is_there() {
        return;
    }
    let (golden, texts) = (golden("tiny.safetensors"), tiny_texts());
    for Variant { name, kinds, folder } in variants() {
        let encoder = encoder(&open(folder.path()), &on_gpu(Precision::F32));
        for kind in &kinds {
            let as_kind = if kind == "query" { Kind::Query } else { Kind::Document };
            let encoded = encoder.encode(&texts, as_kind).expect("vectors");
            let cosine = smallest_cosine(&encoded.vectors, &golden, &format!("{name}/{kind}"));
            assert!(cosine >= EXACT, "{name}/{kind}: {cosine}");
        }
    }
}

#[test]
fn adapters_give_the_vectors_of_the_adapted_network() {
    if !device_is_there() {
        return;
    }
    let (golden, texts) = (golden("architectures.safetensors"), architecture_texts());
    for adapter in ["lora", "bottleneck"] {
        let name = format!("{}+{}", fixture("tiny-bert").display(), fixture(adapter).display());
        let settings = Settings { pickle: Some(thematic::encode::unpickle), ..crate::tiny::offline() };
        let model = resolve(Some(&name), &settings, &Silent).expect("an adapted model");
        let encoded = encoder(&model, &on_gpu(Precision::F32)).encode(&texts, Kind::Document).expect("vectors");
        let rows = golden.f32(&format!("{adapter}/plain")).expect("rows");
        let cosine = smallest_cosine_by_mode(&encoded.vectors, &rows, 32);
        assert!(cosine >= EXACT, "{adapter}: {cosine}");
    }
}

#[test]
fn company_changes_no_vector_beyond_rounding() {
    if !device_is_there() {
        return;
    }
    let (model, texts) = (open(&fixture("tiny-modernbert")), tiny_texts());
    let together = encoder(&model, &on_gpu(Precision::F32)).encode(&texts, Kind::Document).expect("vectors");
    let apart = Options { batch_tokens: NonZeroUsize::new(40), ..on_gpu(Precision::F32) };
    let apart = encoder(&model, &apart).encode(&texts, Kind::Document).expect("vectors");
    let cosine = smallest_cosine_of(&together.vectors, &apart.vectors);
    assert!(cosine >= 0.999_999, "{cosine}");
}

#[test]
fn the_embedded_model_and_minilm_keep_what_is_promised() {
    if !device_is_there() {
        return;
    }
    let embedded = resolve(None, &Settings::from_environment(), &Silent).expect("the embedded model");
    let minilm = std::env::var_os("THEMATIC_MINILM").map(PathBuf::from);
    if minilm.is_none() {
        println!("without all-MiniLM-L6-v2: THEMATIC_MINILM does not name its folder");
    }
    let minilm = minilm.as_deref().map(|folder: &Path| open(folder));
    let texts: Vec<String> = if emulated() { tiny_texts().into_iter().step_by(8).collect() } else { golden_texts() };
    for model in std::iter::once(&embedded).chain(&minilm) {
        let exact = encoder(model, &on_processor()).encode(&texts, Kind::Document).expect("vectors").vectors;
        for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
            let found = encoder(model, &on_gpu(precision)).encode(&texts, Kind::Document).expect("vectors");
            let cosine = smallest_cosine_of(&found.vectors, &exact);
            assert!(cosine >= PROMISED, "{} in {precision:?}: {cosine}", model.name);
        }
    }
}

#[cfg(feature = "cuda")]
#[test]
fn a_batch_that_finds_no_memory_is_halved_and_the_run_goes_on() {
    if !device_is_there() || !emulated() {
        println!("skipped: only an emulated device can be given little memory");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let texts = (0..24).map(|text| format!(r#"{{"id": "{text}", "text": "ice {text} {}"}}"#, "melts ".repeat(20)));
    std::fs::write(folder.path().join("in.jsonl"), texts.collect::<Vec<_>>().join("\n")).expect("written");
    let embed = |room: Option<&str>, output: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_thematic-cuda"));
        command.args(["embed", "in.jsonl", "-o", output, "--device", "cuda", "--precision", "f32", "--model"]);
        command.arg(fixture("tiny-bert")).current_dir(folder.path()).envs(room.map(|room| ("EMULATED_ROOM", room)));
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    };
    // What cublasLt has beside, the weights, and a part of what the batch needs.
    let said = embed(Some("34300000"), "halved.npy");
    assert_eq!(said.matches("has no memory for").count(), 1, "{said}");
    assert!(!embed(None, "whole.npy").contains("has no memory"));
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("vectors");
    assert!(read("halved.npy") == read("whole.npy"), "other vectors from other batches");
}

#[test]
fn shards_by_two_gpus_have_their_papers_in_order_and_the_vectors_of_the_processor() {
    if !device_is_there() || !emulated() {
        println!("skipped: only of emulated devices are there as many as are wanted");
        return;
    }
    let desk = Desk::new();
    for shard in 0..3 {
        let paper = |paper| format!(r#"{{"id": "{shard}-{paper}", "text": "ice {paper} {}"}}"#, "melts ".repeat(paper));
        desk.write(&format!("in/{shard}.jsonl"), (0..9).map(paper).collect::<Vec<_>>().join("\n"));
    }
    let model = fixture("tiny-bert").display().to_string();
    let embed = |output: &str, device: &str| {
        let arguments =
            ["embed", "--shards", "in", output, "--device", device, "--precision", "f32", "--model", &model];
        let said = desk.run_with(&arguments, &[("EMULATED_DEVICES", "2")]);
        assert_eq!(said.code, 0, "{said:?}");
    };
    embed("gpus", "cuda:0,cuda:1");
    embed("processor", "cpu");
    for shard in 0..3 {
        let of = |folder: &str| stored(&desk.path(&format!("{folder}/{shard}.parquet")));
        let ((ids, vectors), (expected_ids, expected)) = (of("gpus"), of("processor"));
        assert!(ids.len() == 9 && ids == expected_ids, "{ids:?}");
        let rows = |rows: Vec<Vec<f32>>| Vectors::normalised(rows[0].len(), rows.concat()).expect("rows");
        let cosine = smallest_cosine_of(&rows(vectors), &rows(expected));
        assert!(cosine >= EXACT, "{cosine}");
    }
}

#[test]
fn a_kill_of_shards_on_a_gpu_leaves_nothing_half_written() {
    if !device_is_there() {
        return;
    }
    let model = fixture("tiny-bert").display().to_string();
    // An emulated device takes its time for every token.
    killed_until_it_is_done(3, &["--device", "cuda", "--max-length", "16", "--model", &model]);
}

/// Whether the device is one of `tests/emulator`.
fn emulated() -> bool {
    device().is_some_and(|gpu| gpu.name == "Emulated")
}
