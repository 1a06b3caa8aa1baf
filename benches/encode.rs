//! Whole texts through a model, measured as its peers are: loaded and warm, tokenization included, nothing stored.
//!
//! ```text
//! cargo bench --bench encode                                        # the embedded model on the example papers
//! cargo bench --bench encode -- --model FOLDER --texts FILE.jsonl   # lines of {"text"} or {"title", "abstract"}
//! ```
//!
//! `scripts/bench-peers` starts it with `--serve`: it then answers each line of standard input (`throughput`,
//! `latency`, `tokenize`, `network`, `memory`, `vectors FILE`) with one line of JSON, so that rounds of several programs
//! can take turns. `scripts/gpu-check` does so for `network`: the network alone, on batches that are made beforehand.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use thematic::encode::{Device, Encoder, Kind, Options, Precision};
use thematic::kernel::Isa;
use thematic::models::{self, Settings};
use thematic::progress::Silent;

/// Single texts that are timed for one figure of latency.
const SINGLES: usize = 200;

type Failure = Box<dyn std::error::Error>;

#[derive(Debug, Parser)]
struct Arguments {
    /// A folder or a known name; without it the embedded model.
    #[arg(long)]
    model: Option<String>,
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/papers.jsonl"))]
    texts: PathBuf,
    /// The one short text whose latency is measured.
    #[arg(long, default_value = "sparse attention for long documents")]
    query: String,
    #[arg(long, value_enum, default_value_t = Numbers::Auto)]
    precision: Numbers,
    #[arg(long, default_value_t = Device::Auto)]
    device: Device,
    /// Tokens read of a text.
    #[arg(long)]
    max_length: Option<usize>,
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Limits the instruction set.
    #[arg(long, default_value = "auto", env = "THEMATIC_ISA")]
    isa: String,
    /// Tokens that a thread carries through the network together.
    #[arg(long)]
    batch_tokens: Option<NonZeroUsize>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Answer requests from standard input.
    #[arg(long)]
    serve: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Numbers {
    Auto,
    F32,
    Bf16,
}

/// A model and what it is measured on.
struct Bench {
    encoder: Encoder,
    texts: Vec<String>,
    query: String,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let bench = Bench::new(&arguments)?;
    bench.encoder.encode(&bench.texts[..bench.texts.len().min(64)], Kind::Document)?;
    if arguments.serve {
        return bench.serve();
    }
    for request in ["throughput", "latency", "tokenize"] {
        let mut rounds: Vec<Value> = (0..arguments.rounds).map(|_| bench.answer(request)).collect::<Result<_, _>>()?;
        rounds.sort_by(|one, other| seconds(one).total_cmp(&seconds(other)));
        say(&json!({"measured": request, "median": rounds[rounds.len() / 2], "best": rounds[0]}))?;
    }
    say(&bench.answer("memory")?)
}

impl Bench {
    fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let settings = Settings { offline: true, ..Settings::from_environment() };
        let folder = models::resolve(arguments.model.as_deref(), &settings, &Silent)?;
        let options = Options {
            precision: match arguments.precision {
                Numbers::Auto => Precision::Auto,
                Numbers::F32 => Precision::F32,
                Numbers::Bf16 => Precision::Bf16,
            },
            device: arguments.device.clone(),
            max_length: arguments.max_length,
            isa: Some(Isa::parse("--isa", &arguments.isa)?),
            threads: arguments.threads,
            batch_tokens: arguments.batch_tokens,
            ..Options::default()
        };
        let encoder = Encoder::load(&folder, &options)?;
        let lines = std::fs::read_to_string(&arguments.texts)?;
        let texts = lines.lines().map(text_of).collect::<Result<_, _>>()?;
        Ok(Self { encoder, texts, query: arguments.query.clone() })
    }

    fn serve(&self) -> Result<(), Failure> {
        say(&json!({"ready": true, "precision": self.encoder.identity().precision}))?;
        for line in std::io::stdin().lock().lines() {
            say(&self.answer(line?.trim())?)?;
        }
        Ok(())
    }

    fn answer(&self, request: &str) -> Result<Value, Failure> {
        match request.split_once(' ').unwrap_or((request, "")) {
            ("throughput", _) => self.throughput(),
            ("latency", _) => self.latency(),
            ("tokenize", _) => self.tokenize(),
            ("network", _) => self.network(),
            ("memory", _) => Ok(json!({"peak_bytes": peak_bytes()})),
            ("vectors", path) => self.write_vectors(path),
            _ => Err(format!("`{request}` is no request").into()),
        }
    }

    fn throughput(&self) -> Result<Value, Failure> {
        let start = Instant::now();
        let encoded = black_box(self.encoder.encode(&self.texts, Kind::Document)?);
        let seconds = start.elapsed().as_secs_f64();
        let (texts, tokens) = (self.texts.len(), encoded.tokens);
        Ok(json!({"seconds": seconds, "texts": texts, "tokens": tokens, "rate": texts as f64 / seconds}))
    }

    /// The median of single encodings of the query.
    fn latency(&self) -> Result<Value, Failure> {
        let mut times = Vec::with_capacity(SINGLES);
        let mut tokens = 0;
        for _ in 0..SINGLES {
            let start = Instant::now();
            tokens = black_box(self.encoder.encode(&[&self.query], Kind::Query)?).tokens;
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok(json!({"seconds": times[SINGLES / 2], "tokens": tokens}))
    }

    /// Tokens alone, on this thread.
    fn tokenize(&self) -> Result<Value, Failure> {
        let start = Instant::now();
        let mut tokens = 0;
        for text in &self.texts {
            tokens += black_box(self.encoder.count_tokens(text, Kind::Document)?);
        }
        let seconds = start.elapsed().as_secs_f64();
        Ok(json!({"seconds": seconds, "tokens": tokens, "rate": self.texts.len() as f64 / seconds}))
    }

    /// The network alone, its texts as tokens in memory.
    fn network(&self) -> Result<Value, Failure> {
        let prepared = self.encoder.prepare(&self.texts, Kind::Document)?;
        let (tokens, squares) =
            prepared.lengths().fold((0, 0), |(tokens, squares), length| (tokens + length, squares + length * length));
        let start = Instant::now();
        self.encoder.run_network(&prepared, &Silent)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(json!({"seconds": seconds, "texts": self.texts.len(), "tokens": tokens, "squares": squares}))
    }

    fn write_vectors(&self, path: &str) -> Result<Value, Failure> {
        let vectors = self.encoder.encode(&self.texts, Kind::Document)?.vectors;
        let bytes: Vec<u8> = vectors.as_slice().iter().flat_map(|number| number.to_le_bytes()).collect();
        std::fs::write(path, bytes)?;
        Ok(json!({"rows": vectors.len(), "dimensions": vectors.dim()}))
    }
}

fn text_of(line: &str) -> Result<String, Failure> {
    let paper: Value = serde_json::from_str(line)?;
    let field = |name: &str| paper[name].as_str().unwrap_or_default();
    Ok(match field("text") {
        "" => format!("{}. {}", field("title"), field("abstract")),
        text => text.to_owned(),
    })
}

fn seconds(answer: &Value) -> f64 {
    answer["seconds"].as_f64().unwrap_or(f64::INFINITY)
}

/// The most memory that this process has held, where the system says so.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * kib.split_whitespace().next()?.parse::<u64>().ok()?)
}

fn say(value: &Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
