//! Groups of options that several commands share.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use crate::encode::Device;
use crate::ingest::Format;
use crate::paper::Date;

/// What to read.
#[derive(Debug, Args)]
pub struct InputOptions {
    /// Files, folders or `-` for standard input
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// How to read it.
    #[command(flatten)]
    pub reading: ReadingOptions,
}

/// How to read it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reading")]
pub struct ReadingOptions {
    /// Do not guess the format: json, csv, bibtex, ris, medline, wos, listing or text
    #[arg(long, value_name = "FORMAT", env = "THEMATIC_FORMAT")]
    pub format: Option<Format>,
    /// The column or field that holds the text, in tables and plain records
    #[arg(long, value_name = "NAME", alias = "text", env = "THEMATIC_TEXT_COLUMN")]
    pub text_column: Option<String>,
    /// The column or field that holds the title
    #[arg(long, value_name = "NAME", env = "THEMATIC_TITLE_COLUMN")]
    pub title_column: Option<String>,
    /// The column or field that holds the id
    #[arg(long, value_name = "NAME", env = "THEMATIC_ID_COLUMN")]
    pub id_column: Option<String>,
    /// The day from which dates without a year are counted back [default: today]
    #[arg(long, value_name = "DATE", env = "THEMATIC_AS_OF")]
    pub as_of: Option<Date>,
    /// Skip records longer than this
    #[arg(long, value_name = "MIB", default_value_t = 64, env = "THEMATIC_MAX_RECORD", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub max_record: u32,
}

/// What happens to records that cannot be read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reading")]
pub struct SkipOptions {
    /// Write what could not be read to this file, as JSON Lines
    #[arg(long, value_name = "FILE", env = "THEMATIC_SKIPPED")]
    pub skipped: Option<PathBuf>,
    /// Exit with code 5 where a record was skipped
    #[arg(long, env = "THEMATIC_STRICT", value_parser = BoolishValueParser::new())]
    pub strict: bool,
}

/// Which collection.
#[derive(Debug, Clone, Args)]
pub struct CollectionOptions {
    /// The collection
    #[arg(
        long = "collection",
        short = 'c',
        value_name = "FILE",
        default_value = "papers.db",
        env = "THEMATIC_COLLECTION"
    )]
    pub path: PathBuf,
}

/// Which model, where texts are embedded.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelOptions {
    /// A folder, a name on the hub, or `default` for the embedded one; BASE+ADAPTER puts an adapter on a model
    #[arg(long, alias = "model-id", value_name = "MODEL", env = "THEMATIC_MODEL")]
    pub model: Option<String>,
    /// A branch, tag or commit of the model
    #[arg(long, value_name = "REVISION", env = "THEMATIC_REVISION")]
    pub revision: Option<String>,
    /// Where to run it: auto, cpu, cuda (the first GPU), cuda:N, or several GPUs as in cuda:0,cuda:1. `auto` is the
    /// processor; a GPU is used where it is asked for, by the `thematic-cuda` beside this program
    #[arg(long, default_value_t = Device::Auto, env = "THEMATIC_DEVICE")]
    pub device: Device,
    /// Never use the network
    #[arg(long, env = "THEMATIC_OFFLINE", value_parser = BoolishValueParser::new())]
    pub offline: bool,
    /// Put the model's prompt of this name in front of what is embedded [default: its own for documents or queries]
    #[arg(long, value_name = "NAME", env = "THEMATIC_PROMPT_NAME")]
    pub prompt_name: Option<String>,
    /// Read weights that are a Python pickle, without running what it contains
    #[arg(long, env = "THEMATIC_ALLOW_PICKLE", value_parser = BoolishValueParser::new())]
    pub allow_pickle: bool,
}

/// How texts become vectors.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct EncodeOptions {
    /// Which model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// Numbers to calculate with
    #[arg(long, alias = "dtype", value_enum, default_value_t = Precision::Auto, env = "THEMATIC_PRECISION")]
    pub precision: Precision,
    /// Which implementation computes
    #[arg(long, value_enum, default_value_t = Engine::Auto, env = "THEMATIC_ENGINE")]
    pub engine: Engine,
    /// Keep only the first D numbers of a vector
    #[arg(long, value_name = "D", env = "THEMATIC_DIMENSIONS")]
    pub dimensions: Option<usize>,
    /// Cut texts off after this many tokens [default: the model's]
    #[arg(long, value_name = "TOKENS", env = "THEMATIC_MAX_LENGTH")]
    pub max_length: Option<usize>,
    /// Tokens that are computed together
    #[arg(long, value_name = "TOKENS", env = "THEMATIC_MAX_BATCH_TOKENS")]
    pub max_batch_tokens: Option<usize>,
    /// Put this in front of every text [default: the model's document prompt]
    #[arg(long, value_name = "TEXT", env = "THEMATIC_PROMPT", conflicts_with = "prompt_name")]
    pub prompt: Option<String>,
}

/// Which implementation computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The fastest that covers the model
    Auto,
    /// Our own kernels on packed tokens
    Packed,
    /// candle-transformers: slow, and what the others are compared with
    Reference,
}

/// Numbers to calculate with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Precision {
    Auto,
    F32,
    Bf16,
    /// On GPUs only
    F16,
    /// On processors only; what `auto` is for a model of 8-bit weights where it is fastest
    Int8,
}

/// How papers become themes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Themes")]
pub struct ThemeOptions {
    /// How many themes, or `auto` to choose by the evidence
    #[arg(short, long = "n-clusters", value_name = "N", default_value = "auto", env = "THEMATIC_K")]
    pub k: KChoice,
    /// Every random choice follows from it
    #[arg(long, default_value_t = 42, value_name = "S", env = "THEMATIC_SEED")]
    pub seed: u64,
    /// Runs from different starts, of which the best is kept
    #[arg(long, alias = "n-init", default_value_t = 4, value_name = "N", env = "THEMATIC_RESTARTS")]
    pub restarts: usize,
    /// Iterations at most
    #[arg(long, alias = "max-iter", default_value_t = 100, value_name = "N", env = "THEMATIC_MAX_ITERATIONS")]
    pub max_iterations: usize,
    /// Stop when the objective improves by less, relatively
    #[arg(long, alias = "tol", default_value_t = 1e-4, value_name = "T", env = "THEMATIC_TOLERANCE")]
    pub tolerance: f64,
    /// How to group
    #[arg(long, value_enum, default_value_t = Algorithm::Kmeans, env = "THEMATIC_ALGORITHM")]
    pub algorithm: Algorithm,
    /// The reach of a neighbourhood, as cosine distance, for dbscan and optics
    #[arg(long, default_value_t = 0.3, value_name = "D", env = "THEMATIC_EPSILON")]
    pub epsilon: f32,
    /// Papers that make a neighbourhood, for dbscan and optics
    #[arg(long, default_value_t = 5, value_name = "N", env = "THEMATIC_MIN_PAPERS")]
    pub min_papers: usize,
}

/// How many themes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KChoice {
    /// Chosen by a sweep.
    Auto,
    /// As many as asked for.
    Fixed(usize),
}

impl std::str::FromStr for KChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(0) | Err(_) => Err("write a number from 1 up, or `auto`".into()),
            Ok(k) => Ok(Self::Fixed(k)),
        }
    }
}

/// How to group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// Spherical k-means as matrix products
    Kmeans,
    /// linfa's k-means
    LinfaKmeans,
    /// linfa's Gaussian mixture
    GaussianMixture,
    /// linfa's DBSCAN: finds the number of themes, leaves papers out
    Dbscan,
    /// linfa's OPTICS: as dbscan, for themes of different density
    Optics,
}

/// Which papers a question is about.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Filters")]
pub struct FilterOptions {
    /// Papers of this date or later
    #[arg(long, value_name = "DATE")]
    pub from: Option<Date>,
    /// Papers of this date or earlier
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,
    /// Papers of this category, such as cs.CL (`cs` covers them all)
    #[arg(long, value_name = "C")]
    pub category: Vec<String>,
    /// Papers of this theme
    #[arg(long, value_name = "N")]
    pub theme: Vec<u32>,
    /// Papers from files whose name contains this
    #[arg(long, value_name = "FILE")]
    pub source: Vec<String>,
}

/// A number from 0 to 1.
pub(super) fn fraction(text: &str) -> Result<f32, String> {
    let number: Result<f32, _> = text.parse();
    number.ok().filter(|number| (0.0..=1.0).contains(number)).ok_or_else(|| "write a number from 0 to 1".into())
}
