//! Whole models under every instruction set of this machine: the same vectors within a stated tolerance, and bit for
//! bit the same at any number of threads and in any batch.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use thematic::encode::{Encoder, EngineChoice, Kind, Options, Precision};
use thematic::kernel::Isa;
use thematic::vectors::Vectors;

use crate::program::Desk;
use crate::tiny::{fixture, open};

/// What another instruction set may take from a cosine in f32, where only the order and the fusing of roundings differ.
const F32_LOSS: f64 = 1e-6;

/// What it may take in bf16, where a number at the edge between two may be rounded to either.
const BF16_LOSS: f64 = 5e-4;

/// What it may take in 8 bits, where activations at the edge between two bytes become either.
const INT8_LOSS: f64 = 2e-3;

const PRECISIONS: [(Precision, f64); 3] =
    [(Precision::F32, F32_LOSS), (Precision::Bf16, BF16_LOSS), (Precision::Int8, INT8_LOSS)];

/// Folders of transformers with texts for them: a tiny one, and the real one where there is one, which is slow in
/// plain Rust that is compiled for tests.
fn models() -> Vec<(PathBuf, Vec<String>)> {
    let short: Vec<String> = texts().into_iter().filter(|text| text.len() < 300).step_by(6).collect();
    let real = std::env::var_os("THEMATIC_MINILM").map(|folder| (PathBuf::from(folder), short));
    std::iter::once((fixture("tiny-bert"), texts())).chain(real).collect()
}

/// Texts of 1 to about 250 tokens.
fn texts() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/texts.json");
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(path).expect("texts")).expect("strings");
    texts.into_iter().step_by(5).collect()
}

fn options(isa: Isa, precision: Precision) -> Options {
    Options { isa: Some(isa), precision, engine: EngineChoice::Packed, ..Options::default() }
}

fn encode(folder: &Path, options: &Options, texts: &[String]) -> Vectors {
    let encoder = Encoder::load(&open(folder), options).expect("a model that loads");
    encoder.encode(texts, Kind::Document).expect("vectors").vectors
}

/// The most that a row's cosine falls short of one.
fn largest_loss(one: &Vectors, other: &Vectors) -> f64 {
    assert_eq!((one.len(), one.dim()), (other.len(), other.dim()));
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let cosine = |a: &[f32], b: &[f32]| product(a, b) / (product(a, a) * product(b, b)).sqrt();
    one.rows().zip(other.rows()).map(|(a, b)| 1.0 - cosine(a, b)).fold(0.0, f64::max)
}

#[test]
fn every_set_gives_the_vectors_of_the_portable_one() {
    for (folder, texts) in models() {
        for (precision, allowed) in PRECISIONS {
            let portable = encode(&folder, &options(Isa::PORTABLE, precision), &texts);
            for isa in Isa::available() {
                let loss = largest_loss(&encode(&folder, &options(isa, precision), &texts), &portable);
                assert!(loss <= allowed, "{isa}, {precision:?}, {}: {loss:e}", folder.display());
            }
        }
    }
}

#[test]
fn neither_threads_nor_company_nor_repetition_change_a_bit() {
    let texts = texts();
    for isa in Isa::available() {
        for (precision, _) in PRECISIONS {
            let first = encode(&fixture("tiny-bert"), &options(isa, precision), &texts);
            for (threads, batch_tokens) in [(1, 4096), (2, 4096), (3, 4096), (1, 1), (2, 60), (3, 333)] {
                let other = Options {
                    threads: NonZeroUsize::new(threads),
                    batch_tokens: NonZeroUsize::new(batch_tokens),
                    ..options(isa, precision)
                };
                let again = encode(&fixture("tiny-bert"), &other, &texts);
                assert!(again == first, "{isa}, {precision:?}, {threads} threads, {batch_tokens} tokens together");
            }
            let mut alone = Vec::new();
            let three = Options { threads: NonZeroUsize::new(3), ..options(isa, precision) };
            let encoder = Encoder::load(&open(&fixture("tiny-bert")), &three).expect("a model that loads");
            for text in &texts {
                alone.extend_from_slice(encoder.encode(&[text], Kind::Query).expect("a vector").vectors.as_slice());
            }
            assert!(alone == first.as_slice(), "{isa}, {precision:?}, one by one, threads sharing each text");
            let turned: Vec<String> = texts.iter().rev().cloned().collect();
            let turned = encode(&fixture("tiny-bert"), &options(isa, precision), &turned);
            assert!(turned.rows().rev().eq(first.rows()), "{isa}, {precision:?}, in another order");
        }
    }
}

#[test]
fn a_static_model_has_the_same_bits_under_every_set() {
    let folders = ["tests/fixtures/models/tiny-static", "tests/fixtures/models/tiny-model2vec"];
    for folder in folders.map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
        let vectors = |isa| encode(&folder, &Options { isa: Some(isa), ..Options::default() }, &texts());
        let portable = vectors(Isa::PORTABLE);
        for isa in Isa::available() {
            assert!(vectors(isa) == portable, "{isa}, {}", folder.display());
        }
    }
}

/// Runs `embed` on texts under an instruction set and reads the rows it wrote.
fn embedded_by_the_program(desk: &Desk, isa: &str, threads: &str) -> Vec<u8> {
    let model = fixture("tiny-bert").display().to_string();
    let arguments = ["embed", "texts.jsonl", "-o", "v.npy", "--model", &model, "--threads", threads, "--offline"];
    let said = desk.run_with(&arguments, &[("THEMATIC_ISA", isa)]);
    assert_eq!(said.code, 0, "{said:?}");
    std::fs::read(desk.path("v.npy")).expect("vectors")
}

fn desk_with_texts() -> Desk {
    let desk = Desk::new();
    let line = |(id, text): (usize, &String)| serde_json::json!({"id": format!("t{id}"), "text": text}).to_string();
    let texts = texts();
    let lines: Vec<String> = texts.iter().enumerate().filter(|(_, text)| !text.trim().is_empty()).map(line).collect();
    desk.write("texts.jsonl", lines.join("\n"));
    desk
}

#[test]
fn the_program_keeps_to_the_set_that_the_variable_names() {
    let desk = desk_with_texts();
    let portable = embedded_by_the_program(&desk, "portable", "1");
    for isa in Isa::available() {
        let once = embedded_by_the_program(&desk, isa.name(), "1");
        assert_eq!(once.len(), portable.len());
        // Sums in another order leave other last bits: were they the same, the variable would be without effect.
        assert_eq!(once == portable, isa == Isa::PORTABLE, "{isa}");
        for threads in ["1", "2", "3"] {
            assert!(once == embedded_by_the_program(&desk, isa.name(), threads), "{isa}, {threads} threads");
        }
    }
    let best = embedded_by_the_program(&desk, "auto", "2");
    assert!(best == embedded_by_the_program(&desk, Isa::best().name(), "2"));
}

#[test]
fn a_wrong_set_is_refused_with_the_variable_the_value_and_the_way_out() {
    let desk = Desk::new();
    let said = desk.run_with(&["info"], &[("THEMATIC_ISA", "sse9")]);
    assert_eq!(said.code, 2);
    let expected = "error: THEMATIC_ISA: `sse9` is no instruction set\n\
                    hint: use auto or one of portable, avx2, avx512, avx512vnni, avx512bf16, amx";
    assert_eq!(said.err.trim().replace("\n\n", "\n").replace("  ", ""), expected);
    if !Isa::available().iter().any(|isa| isa.name() == "amx") {
        let said = desk.run_with(&["info"], &[("THEMATIC_ISA", "amx")]);
        assert_eq!(said.code, 4);
        assert!(said.err.contains("THEMATIC_ISA: this processor or its operating system does not offer `amx`"));
        assert!(said.err.contains(&format!("`{}` is the best one here", Isa::best())), "{}", said.err);
    }
}

#[test]
fn doctor_says_to_which_set_the_program_is_limited() {
    let said = Desk::new().run_with(&["doctor"], &[("THEMATIC_ISA", "portable")]);
    assert_eq!(said.code, 0, "{said:?}");
    let limited = said.out.contains("limited to portable") && said.out.contains("unset THEMATIC_ISA");
    assert_eq!(limited, Isa::best() != Isa::PORTABLE, "{}", said.out);
}
