//! Encoding against golden vectors of sentence-transformers, and what no model, option or batch may change.
//!
//! The tiny models under `tests/fixtures/models` are random; `scripts/golden-vectors` made them and the vectors in
//! `tests/golden`. With `THEMATIC_MINILM` naming a folder of the real all-MiniLM-L6-v2, that is compared too.

mod stream;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use thematic::encode::{Device, Encoder, EngineChoice, Kind, Options, Precision, PromptChoice};
use thematic::kernel::Isa;
use thematic::models::{ModelFolder, Settings, Weights, resolve};
use thematic::progress::Silent;
use thematic::vectors::Vectors;

use crate::tiny::{
    BERT_OUTPUT, Variant, copy_folder, fixture, merge, offline, open, put_maps_into_8_bits, variants, with_idle_heads,
};

/// What f32 on another machine, in another order, may change.
const PARITY: f32 = 0.999_99;

/// What bfloat16 may change where a machine is built for it.
const SUITED: f32 = 0.9995;

pub(crate) fn golden(name: &str) -> Weights {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let bytes = thematic::models::Bytes::Owned(fs::read(&path).expect("committed golden vectors"));
    Weights::open(vec![(name.to_owned(), std::sync::Arc::new(bytes))]).expect("valid golden vectors")
}

pub(crate) fn golden_texts() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/texts.json");
    serde_json::from_slice(&fs::read(path).expect("committed texts")).expect("a list of strings")
}

/// Every fourth text: what the tiny models were asked.
pub(crate) fn tiny_texts() -> Vec<String> {
    golden_texts().into_iter().step_by(4).collect()
}

fn encoder(folder: &Path, options: &Options) -> Encoder {
    Encoder::load(&open(folder), options).expect("a model that loads")
}

/// Every engine in full precision; `Auto` may compute in less where the machine is built for it.
fn exact_engines() -> [Options; 2] {
    [EngineChoice::Auto, EngineChoice::Reference].map(|engine| Options {
        engine,
        precision: Precision::F32,
        ..Options::default()
    })
}

/// The smallest cosine between rows of `vectors` and of the golden tensor.
pub(crate) fn smallest_cosine(vectors: &Vectors, golden: &Weights, tensor: &str) -> f32 {
    let shape = golden.shape(tensor).expect("a golden tensor of that name").to_vec();
    assert_eq!(shape, [vectors.len(), vectors.dim()], "{tensor}");
    let expected = Vectors::normalised(shape[1], golden.f32(tensor).expect("numbers")).expect("golden rows");
    smallest_cosine_of(vectors, &expected)
}

/// The smallest cosine between rows of both.
pub(crate) fn smallest_cosine_of(one: &Vectors, other: &Vectors) -> f32 {
    assert_eq!((one.len(), one.dim()), (other.len(), other.dim()));
    let cosine = |(one, other): (&[f32], &[f32])| one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
    one.rows().zip(other.rows()).map(cosine).fold(f32::INFINITY, f32::min)
}

fn largest_difference(one: &Vectors, other: &Vectors) -> f32 {
    assert_eq!((one.len(), one.dim()), (other.len(), other.dim()));
    one.as_slice().iter().zip(other.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_option_of_a_folder_gives_the_vectors_of_sentence_transformers() {
    let (golden, texts) = (golden("tiny.safetensors"), tiny_texts());
    for Variant { name, kinds, folder } in variants() {
        for options in exact_engines() {
            let encoder = encoder(folder.path(), &options);
            for kind in &kinds {
                let as_kind = if kind == "query" { Kind::Query } else { Kind::Document };
                let encoded = encoder.encode(&texts, as_kind).expect("vectors");
                let cosine = smallest_cosine(&encoded.vectors, &golden, &format!("{name}/{kind}"));
                assert!(cosine >= PARITY, "{name}/{kind} by {:?}: {cosine}", options.engine);
            }
        }
    }
}

/// The tiny model of every architecture, and whether candle-transformers has it too.
const ARCHITECTURES: [(&str, bool); 10] = [
    ("roberta", true),
    ("xlm-roberta", true),
    ("distilbert", false),
    ("mpnet", false),
    ("nomic-bert", true),
    ("nomic-bert-5", false),
    ("modernbert", true),
    ("jina-bert", true),
    ("gte", false),
    ("qwen3", true),
];

/// The texts of the tiny models, and some that contain tokenizers' own marks.
pub(crate) fn architecture_texts() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/marked.json");
    let marked: Vec<String> = serde_json::from_slice(&fs::read(path).expect("committed texts")).expect("a list");
    tiny_texts().into_iter().chain(marked).collect()
}

/// The smallest cosine of each stretch of `width` numbers: one for each pooling mode.
pub(crate) fn smallest_cosine_by_mode(vectors: &Vectors, golden: &[f32], width: usize) -> f32 {
    let cosine = |one: &[f32], other: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        (dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()) as f32
    };
    assert_eq!(vectors.as_slice().len(), golden.len());
    let pairs = vectors.as_slice().chunks_exact(width).zip(golden.chunks_exact(width));
    pairs.map(|(one, other)| cosine(one, other)).fold(f32::INFINITY, f32::min)
}

#[test]
fn every_architecture_gives_the_vectors_of_its_authors() {
    let (golden, texts) = (golden("architectures.safetensors"), architecture_texts());
    let mut failures = Vec::new();
    for (name, in_candle) in ARCHITECTURES {
        for options in exact_engines() {
            let folder = fixture(&format!("tiny-{name}"));
            if options.engine == EngineChoice::Reference && !in_candle {
                refused(&folder, &options, "`--engine reference`");
                continue;
            }
            let encoder = encoder(&folder, &options);
            for (kind, tensor) in [(Kind::Document, "plain"), (Kind::Query, "query")] {
                let tensor = format!("{name}/{tensor}");
                if !golden.contains(&tensor) {
                    continue;
                }
                let encoded = encoder.encode(&texts, kind).expect("vectors");
                let cosine = smallest_cosine_by_mode(&encoded.vectors, &golden.f32(&tensor).expect("rows"), 32);
                if cosine.is_nan() || cosine < PARITY {
                    failures.push(format!("{tensor} by {:?}: {cosine}", options.engine));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_architecture_is_independent_of_company_and_near_in_fewer_bits() {
    let texts = architecture_texts();
    for (name, _) in ARCHITECTURES.into_iter().filter(|(name, _)| *name != "qwen3") {
        let folder = fixture(&format!("tiny-{name}"));
        let exact = Options { precision: Precision::F32, ..Options::default() };
        let together = encoder(&folder, &exact).encode(&texts, Kind::Document).expect("vectors");
        let apart = Options { batch_tokens: NonZeroUsize::new(1), threads: NonZeroUsize::new(3), ..exact };
        let apart = encoder(&folder, &apart).encode(&texts, Kind::Document).expect("vectors");
        assert_eq!(together.vectors, apart.vectors, "{name}");
        // Heads of eight numbers and rows of 32 average little of the rounding away.
        for (precision, least) in [(Precision::Bf16, 0.999), (Precision::Int8, 0.995)] {
            let rounded = encoder(&folder, &Options { precision, ..Options::default() });
            let rounded = rounded.encode(&texts, Kind::Document).expect("vectors");
            let smallest = smallest_cosine_of(&together.vectors, &rounded.vectors);
            assert!(smallest >= least, "{name}, {precision:?}: {smallest}");
        }
    }
}

/// A model of the folder `tests/fixtures/models`, pickles allowed.
fn open_with_pickle(name: &str) -> thematic::Result<ModelFolder> {
    let settings = Settings { pickle: Some(thematic::encode::unpickle), ..offline() };
    resolve(Some(name), &settings, &Silent)
}

#[test]
fn adapters_give_the_vectors_of_the_adapted_network() {
    let (golden, texts) = (golden("architectures.safetensors"), architecture_texts());
    let bert = fixture("tiny-bert");
    for adapter in ["lora", "bottleneck"] {
        let name = format!("{}+{}", bert.display(), fixture(adapter).display());
        let model = open_with_pickle(&name).expect("an adapted model");
        assert_eq!(model.name, name);
        for options in exact_engines() {
            if adapter == "bottleneck" && options.engine == EngineChoice::Reference {
                let error = Encoder::load(&model, &options).expect_err("no adapter there").to_string();
                assert!(error.contains("has an adapter between its layers"), "{error}");
                continue;
            }
            let encoder = Encoder::load(&model, &options).expect("a model that loads");
            let encoded = encoder.encode(&texts, Kind::Document).expect("vectors");
            let rows = golden.f32(&format!("{adapter}/plain")).expect("rows");
            let cosine = smallest_cosine_by_mode(&encoded.vectors, &rows, 32);
            assert!(cosine >= PARITY, "{adapter} by {:?}: {cosine}", options.engine);
        }
        let again = Settings { revision: Some(model.revision.clone()), ..offline() };
        assert!(adapter == "bottleneck" || resolve(Some(&name), &again, &Silent).is_ok(), "{}", model.revision);
    }
}

#[test]
fn adapters_of_weights_of_8_bits_are_added_to_floats() {
    let folder = TempDir::new().expect("a folder");
    copy_folder(&fixture("tiny-bert"), folder.path());
    put_maps_into_8_bits(folder.path());
    let Some(isa) = Isa::available().into_iter().find(|isa| isa.prefers_int8()) else {
        return eprintln!("skipped: this processor has no products of bytes");
    };
    let (auto, texts) = (Options { isa: Some(isa), ..Options::default() }, architecture_texts());
    let precision =
        |model: &ModelFolder| Encoder::load(model, &auto).expect("a model that loads").identity().precision.clone();
    assert_eq!(precision(&open(folder.path())), "int8");
    for adapter in ["lora", "bottleneck"] {
        let name = format!("{}+{}", folder.path().display(), fixture(adapter).display());
        let model = open_with_pickle(&name).expect("an adapted model");
        assert_ne!(precision(&model), "int8", "{adapter}");
        // Rounded to 8 bits without their adapter, or left out, they would give other vectors.
        let vectors = |precision| {
            let encoder = Encoder::load(&model, &Options { precision, ..auto.clone() }).expect("a model that loads");
            encoder.encode(&texts, Kind::Document).expect("vectors").vectors
        };
        let smallest = smallest_cosine_of(&vectors(Precision::F32), &vectors(Precision::Int8));
        assert!(smallest >= 0.995, "{adapter}: {smallest}");
    }
}

#[test]
fn heads_that_are_left_out_change_nothing() {
    let texts = architecture_texts();
    let vectors = |folder: &TempDir, options: &Options| {
        encoder(folder.path(), options).encode(&texts, Kind::Document).expect("vectors").vectors
    };
    for (name, output) in
        [("bert", BERT_OUTPUT), ("jina-bert", BERT_OUTPUT), ("modernbert", "layers.{}.attn.Wo.weight")]
    {
        let folder = with_idle_heads(name, output);
        let [packed, reference] = exact_engines().map(|options| vectors(&folder, &options));
        let difference = largest_difference(&packed, &reference);
        assert!(difference < 1e-5, "{name}: {difference}");
    }
    let folder = with_idle_heads("bert", BERT_OUTPUT);
    put_maps_into_8_bits(folder.path());
    let [packed, reference] = exact_engines().map(|options| vectors(&folder, &options));
    assert!(largest_difference(&packed, &reference) < 1e-5, "{}", largest_difference(&packed, &reference));
    for isa in Isa::available() {
        let int8 = Options { isa: Some(isa), precision: Precision::Int8, ..Options::default() };
        let smallest = smallest_cosine_of(&vectors(&folder, &int8), &reference);
        assert!(smallest >= 0.995, "{isa}: {smallest}");
    }
}

#[test]
fn a_pickle_is_read_where_that_is_allowed_and_gives_the_same_vectors() {
    let folder = TempDir::new().expect("a folder");
    copy_folder(&fixture("tiny-bert"), folder.path());
    fs::remove_file(folder.path().join("model.safetensors")).expect("removed");
    fs::copy(fixture("pickle/pytorch_model.bin"), folder.path().join("pytorch_model.bin")).expect("a copy");
    let name = folder.path().to_str().expect("UTF-8");
    let refused = resolve(Some(name), &offline(), &Silent).expect_err("not allowed");
    assert!(refused.hint().is_some_and(|hint| hint.contains("--allow-pickle")), "{refused}");
    let model = open_with_pickle(name).expect("a model");
    let vectors = |model: &ModelFolder| {
        let encoder = Encoder::load(model, &Options::default()).expect("a model that loads");
        encoder.encode(&["sea ice", "coral larvae"], Kind::Document).expect("vectors").vectors
    };
    assert_eq!(vectors(&model), vectors(&open(&fixture("tiny-bert"))));
    let bytes = fs::read(folder.path().join("pytorch_model.bin")).expect("a file");
    for kept in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        fs::write(folder.path().join("pytorch_model.bin"), &bytes[..kept]).expect("written");
        let error = open_with_pickle(name).expect_err("a truncated pickle").to_string();
        assert!(error.contains("pytorch_model.bin`: cannot be read as weights"), "{error}");
    }
}

#[test]
fn a_prompt_is_taken_by_its_name() {
    let model = fixture("tiny-qwen3");
    let asks = encoder(&model, &Options::default()).encode(&["ice"], Kind::Query).expect("a vector").vectors;
    let named = Options { prompt: Some(PromptChoice::Named("query".into())), ..Options::default() };
    let stored = encoder(&model, &named);
    assert_eq!(stored.encode(&["ice"], Kind::Document).expect("a vector").vectors, asks);
    assert!(stored.identity().prompt.starts_with("Instruct: "));
    let plain = encoder(&model, &Options::default()).encode(&["ice"], Kind::Document).expect("a vector").vectors;
    assert_ne!(plain, asks);
}

#[test]
fn static_tables_give_the_vectors_of_sentence_transformers_and_model2vec() {
    let (golden, texts) = (golden("tiny.safetensors"), tiny_texts());
    let blank = |text: &&String| text.trim().is_empty() || text.chars().all(|c| c.is_control() || c.is_whitespace());
    let filled: Vec<&String> = texts.iter().filter(|text| !blank(text)).collect();
    let table = encoder(&fixture("tiny-static"), &Options::default());
    let encoded = table.encode(&filled, Kind::Document).expect("vectors");
    assert!(smallest_cosine(&encoded.vectors, &golden, "static/plain") >= 0.999_999);

    let short: Vec<&String> = texts.iter().filter(|text| text.chars().count() < 900).collect();
    let model2vec = encoder(&fixture("tiny-model2vec"), &Options::default());
    let encoded = model2vec.encode(&short, Kind::Document).expect("vectors");
    let expected = golden.f32("model2vec/plain").expect("numbers");
    // model2vec gives zeros where it knows no token; the table's mean direction has no golden counterpart.
    for (row, expected) in encoded.vectors.rows().zip(expected.chunks_exact(16)) {
        let cosine: f32 = row.iter().zip(expected).map(|(a, b)| a * b).sum();
        assert!(cosine >= 0.999 || expected.iter().all(|&value| value == 0.0), "{cosine}");
    }
}

#[test]
fn the_real_minilm_gives_the_tokens_and_vectors_of_sentence_transformers() {
    let Some(folder) = std::env::var_os("THEMATIC_MINILM").map(PathBuf::from) else {
        eprintln!("skipped: THEMATIC_MINILM does not name a folder of all-MiniLM-L6-v2");
        return;
    };
    let (golden, texts) = (golden("minilm.safetensors"), golden_texts());
    for options in exact_engines() {
        let encoder = encoder(&folder, &options);
        let encoded = encoder.encode(&texts, Kind::Document).expect("vectors");
        let lengths = golden.indices("lengths").expect("numbers");
        assert_eq!(encoded.tokens, lengths.iter().sum::<usize>(), "tokens");
        let cosine = smallest_cosine(&encoded.vectors, &golden, "vectors");
        assert!(cosine >= PARITY, "{:?}: {cosine}", options.engine);
        assert_eq!((encoder.identity().max_length, encoder.identity().precision.as_str()), (256, "f32"));
        for at in (0..texts.len()).step_by(20) {
            let alone = encoder.encode(&texts[at..=at], Kind::Document).expect("a vector").vectors;
            let difference = largest_difference(&alone, &encoded.vectors.select(&[at]));
            assert!(difference <= 1e-5, "text {at} by {:?}: {difference}", options.engine);
        }
    }
    let suited = encoder(&folder, &Options::default()).encode(&texts, Kind::Document).expect("vectors");
    let cosine = smallest_cosine(&suited.vectors, &golden, "vectors");
    assert!(cosine >= SUITED, "the precision that suits this machine: {cosine}");
}

#[test]
fn the_embedded_model_gives_the_vectors_that_sentence_transformers_gives_for_its_export() {
    // Every fourth text: the reference engine is slow.
    let (golden, texts) = (golden("embedded.safetensors"), tiny_texts());
    let embedded = resolve(None, &Settings::from_environment(), &Silent).expect("the embedded model");
    for options in exact_engines() {
        let encoder = Encoder::load(&embedded, &options).expect("it loads");
        let encoded = encoder.encode(&texts, Kind::Document).expect("vectors");
        let cosine = smallest_cosine(&encoded.vectors, &golden, "vectors");
        assert!(cosine >= PARITY, "{:?}: {cosine}", options.engine);
    }
    for precision in [Precision::Auto, Precision::Int8] {
        let encoder = Encoder::load(&embedded, &Options { precision, ..Options::default() }).expect("it loads");
        let vectors = encoder.encode(&texts, Kind::Document).expect("vectors").vectors;
        let cosine = smallest_cosine(&vectors, &golden, "vectors");
        assert!(cosine >= SUITED, "{precision:?}, which is {} here: {cosine}", encoder.identity().precision);
    }
}

#[test]
fn weights_of_8_bits_are_multiplied_as_they_are_where_that_is_fastest() {
    let embedded = resolve(None, &Settings::from_environment(), &Silent).expect("the embedded model");
    for isa in Isa::available() {
        let precision_of = |model: &ModelFolder| {
            let options = Options { isa: Some(isa), ..Options::default() };
            Encoder::load(model, &options).expect("it loads").identity().precision.clone()
        };
        let in_floats = precision_of(&open(&fixture("tiny-bert")));
        assert_ne!(in_floats, "int8", "{isa}");
        let expected = if matches!(isa.name(), "avx512vnni" | "avx512bf16") { "int8" } else { &in_floats };
        assert_eq!(precision_of(&embedded), expected, "{isa}");
    }
}

#[test]
fn company_changes_no_vector() {
    let texts = tiny_texts();
    for options in exact_engines() {
        let together = encoder(&fixture("tiny-bert"), &options).encode(&texts, Kind::Document).expect("vectors");
        for budget in [1, 64, 500] {
            let batch_tokens = NonZeroUsize::new(budget);
            let small = Options { batch_tokens, threads: NonZeroUsize::new(3), ..options.clone() };
            let apart = encoder(&fixture("tiny-bert"), &small).encode(&texts, Kind::Document).expect("vectors");
            let difference = largest_difference(&together.vectors, &apart.vectors);
            let allowed = if options.engine == EngineChoice::Reference { 1e-5 } else { 0.0 };
            assert!(difference <= allowed, "{budget} tokens by {:?}: {difference}", options.engine);
            assert_eq!((together.truncated, together.tokens), (apart.truncated, apart.tokens));
        }
    }
}

#[test]
fn truncation_is_counted_and_a_megabyte_is_cut() {
    let encoder = encoder(&fixture("tiny-bert"), &Options::default());
    let long = "a theme about ice ".repeat(60_000);
    let encoded = encoder.encode(&["short", "", &long], Kind::Document).expect("vectors");
    assert_eq!((encoded.truncated, encoded.vectors.len()), (1, 3));
    assert!(encoded.tokens < 32 + 20);
}

#[test]
fn a_text_of_nothing_known_has_a_vector_all_the_same() {
    for model in ["tiny-static", "tiny-model2vec", "tiny-bert"] {
        let encoder = encoder(&fixture(model), &Options::default());
        let encoded = encoder.encode(&["", "ice"], Kind::Document).expect("vectors");
        assert_eq!(encoded.vectors.len(), 2, "{model}");
        assert_ne!(encoded.vectors.row(0), encoded.vectors.row(1), "{model}");
    }
}

#[test]
fn rows_of_bytes_with_scales_are_used_as_they_are_stored() {
    let folder = TempDir::new().expect("a folder");
    copy_folder(&fixture("tiny-static"), folder.path());
    let rows = open(&fixture("tiny-static")).weights.f32("embedding.weight").expect("rows");
    fs::write(folder.path().join("model.safetensors"), in_bytes(&rows, 24)).expect("written");
    let texts = ["Grain boundaries act as short cuts for hydrogen", "coral larvae", "ice"];
    let exact = encoder(&fixture("tiny-static"), &Options::default()).encode(&texts, Kind::Document).expect("vectors");
    let bytes = encoder(folder.path(), &Options::default()).encode(&texts, Kind::Document).expect("vectors");
    for (one, other) in exact.vectors.rows().zip(bytes.vectors.rows()) {
        let cosine: f32 = one.iter().zip(other).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.999, "{cosine}");
    }
}

/// A safetensors file of rows in 8 bits with one scale each.
fn in_bytes(rows: &[f32], width: usize) -> Vec<u8> {
    use safetensors::tensor::{Dtype, TensorView};
    let scale = |row: &[f32]| row.iter().fold(0.0f32, |largest, value| largest.max(value.abs())) / 127.0;
    let scales: Vec<f32> = rows.chunks_exact(width).map(scale).collect();
    let quantised = rows.chunks_exact(width).zip(&scales);
    let bytes: Vec<u8> = quantised
        .flat_map(|(row, scale)| row.iter().map(move |value| ((value / scale).round() as i8).cast_unsigned()))
        .collect();
    let scale_bytes: Vec<u8> = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
    let views = [
        ("embedding.weight", TensorView::new(Dtype::I8, vec![scales.len(), width], &bytes).expect("a view")),
        ("embedding.scale", TensorView::new(Dtype::F32, vec![scales.len()], &scale_bytes).expect("a view")),
    ];
    safetensors::serialize(views, None).expect("a file")
}

#[test]
fn options_change_prompt_length_and_dimensions() {
    let prompts = Options { prompt: Some(PromptChoice::Text("note: ".into())), ..Options::default() };
    let prompted = encoder(&fixture("tiny-bert"), &prompts);
    assert_eq!(prompted.identity().prompt, "note: ");
    let by_hand = encoder(&fixture("tiny-bert"), &Options::default());
    let one = prompted.encode(&["sea ice"], Kind::Document).expect("a vector");
    let other = by_hand.encode(&["note: sea ice"], Kind::Document).expect("a vector");
    assert!(largest_difference(&one.vectors, &other.vectors) <= 1e-5);

    let short = Options { max_length: Some(5), dimensions: Some(8), ..Options::default() };
    let short = encoder(&fixture("tiny-bert"), &short);
    let encoded = short.encode(&["one two three four five"], Kind::Document).expect("a vector");
    assert_eq!((encoded.tokens, encoded.truncated, encoded.vectors.dim()), (5, 1, 8));
    assert_eq!((short.identity().max_length, short.identity().dimensions), (5, 8));
}

fn refused(folder: &Path, options: &Options, expected: &str) {
    let error = Encoder::load(&open(folder), options).expect_err(expected);
    let said = format!("{error}; hint: {}", error.hint().unwrap_or_default());
    assert!(said.contains(expected), "{said}");
}

#[test]
fn what_the_model_does_not_have_is_refused_before_the_first_text() {
    let bert = fixture("tiny-bert");
    refused(&bert, &Options { max_length: Some(49), ..Options::default() }, "`--max-length`: 49 is not from 3 to 48");
    refused(&bert, &Options { dimensions: Some(33), ..Options::default() }, "`--dimensions`: 33 is not from 1 to 32");
    let halves = Options { precision: Precision::Bf16, engine: EngineChoice::Reference, ..Options::default() };
    refused(&bert, &halves, "`--precision bf16`");
    let bytes = Options { precision: Precision::Int8, engine: EngineChoice::Reference, ..Options::default() };
    refused(&bert, &bytes, "`--precision int8`");
    refused(&bert, &Options { device: Device::Cuda(vec![0]), ..Options::default() }, "built without CUDA");
    let named = Options { prompt: Some(PromptChoice::Named("query".into())), ..Options::default() };
    refused(&bert, &named, "prompt `query`");
    let cuda = Encoder::load(&open(&bert), &Options { device: Device::Cuda(vec![0]), ..Options::default() });
    assert_eq!(cuda.expect_err("no device").exit_code(), 4);
    let reference = Options { engine: EngineChoice::Reference, ..Options::default() };
    assert!(Encoder::load(&open(&bert), &reference).is_ok());
}

#[test]
fn weights_that_disagree_with_the_configuration_are_named() {
    let check = |file: &str, changes: Value, expected: &str| {
        let folder = TempDir::new().expect("a folder");
        copy_folder(&fixture("tiny-bert"), folder.path());
        merge(folder.path(), file, &changes);
        refused(folder.path(), &Options::default(), expected);
    };
    let config = |field: &str, value: usize| serde_json::json!({ field: value });
    check("config.json", config("intermediate_size", 50), "`hidden_size` and `intermediate_size` in `config.json`");
    check("config.json", config("num_hidden_layers", 1), "`num_hidden_layers` in `config.json` is 1");
    check(
        "config.json",
        config("num_hidden_layers", 3),
        "tensor `encoder.layer.2.attention.self.query.weight`: is missing",
    );
    check("config.json", config("vocab_size", 300), "knows 320 tokens, but the model has 300 rows");
    check("config.json", config("vocab_size", 9000), "knows 320 tokens, but the model has 9000 rows");
    check("config.json", config("max_position_embeddings", 64), "`max_position_embeddings` and `hidden_size`");
}
