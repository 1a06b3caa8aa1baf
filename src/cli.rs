//! The command line as types: what can be typed, its defaults and its help. Nothing is done here.
//!
//! Every setting has a `THEMATIC_*` variable; the arguments of one request (inputs, ids, words) have none.

pub mod options;

pub use options::{
    Algorithm, CollectionOptions, EncodeOptions, Engine, FilterOptions, InputOptions, KChoice, ModelOptions, Precision,
    ReadingOptions, SkipOptions, ThemeOptions,
};

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::encode::{Device, WITH_CUDA};

const AFTER_HELP: &str = "\
Start with:  thematic explore papers.jsonl

Every option that is a setting has a variable, named beside it. THEMATIC_ISA=portable|avx2|avx512|avx512vnni|avx512bf16|amx
limits the processor's instructions that are used, for tests and bug reports; THEMATIC_CUDA names the
`thematic-cuda` that computes on GPUs, where it does not lie beside this program.";

/// Names the instruction set that kernels are limited to. A variable alone: it is for tests and bug reports.
pub const ISA_VARIABLE: &str = "THEMATIC_ISA";

/// Names the program that computes on GPUs.
pub const CUDA_VARIABLE: &str = "THEMATIC_CUDA";

/// What `--version` says; by it a program knows the `thematic-cuda` that belongs to it.
const VERSION: &str =
    if WITH_CUDA { concat!(env!("CARGO_PKG_VERSION"), " with CUDA") } else { env!("CARGO_PKG_VERSION") };

/// Themes and related papers from research abstracts.
#[derive(Debug, Parser)]
#[command(
    name = "thematic",
    version = VERSION,
    about = "Themes and related papers from research abstracts, offline",
    after_help = AFTER_HELP,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 110
)]
pub struct Cli {
    /// Say nothing but errors, warnings and the data asked for
    #[arg(long, short, global = true, env = "THEMATIC_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,

    /// Threads to work with [default: the cores this process may use]
    #[arg(long, global = true, env = "THEMATIC_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The device that was asked for, where the command computes or compares vectors.
    pub fn device(&self) -> Option<&Device> {
        match &self.command {
            Command::Explore(Explore { encode, .. }) | Command::Embed(Embed { encode, .. }) => {
                Some(&encode.model.device)
            }
            Command::Recommend(Recommend { encode, .. }) | Command::Search(Search { encode, .. }) => {
                Some(&encode.device)
            }
            Command::Cluster(Cluster { device, .. }) | Command::Neighbours(Neighbours { device, .. }) => Some(device),
            _ => None,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read, embed, cluster and label papers: the whole job in one command
    Explore(Explore),
    /// Print the normalised papers as JSON Lines; nothing is stored
    Read(Read),
    /// Turn papers into vectors, in a collection or in a file
    Embed(Embed),
    /// Group papers into themes
    Cluster(Cluster),
    /// Find papers like these, unlike those, or about something
    Recommend(Recommend),
    /// Find papers by words and by meaning
    Search(Search),
    /// Show the themes of a collection, or the papers of one theme
    Themes(Themes),
    /// Write the nearest papers of every paper to a file
    Neighbours(Neighbours),
    /// Remove papers from a collection
    Remove(Remove),
    /// Write papers, vectors or themes to a file
    Export(Export),
    /// Say what a collection holds
    Info(Info),
    /// List, fetch, check and export embedding models
    Models(Models),
    /// Check this machine, this build and a collection, and say what is wrong
    Doctor(Doctor),
}

/// `thematic explore`
#[derive(Debug, Args)]
pub struct Explore {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub input: InputOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub skip: SkipOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub collection: CollectionOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub encode: EncodeOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub themes: ThemeOptions,
    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
}

/// `thematic read`
#[derive(Debug, Args)]
pub struct Read {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub input: InputOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub skip: SkipOptions,
    /// Merge records of the same paper, and link renamed versions
    #[arg(long)]
    pub dedupe: bool,
}

/// `thematic embed`
#[derive(Debug, Args)]
pub struct Embed {
    /// Files, folders or `-` for standard input; none to embed what the collection already holds
    #[arg(value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub reading: ReadingOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub skip: SkipOptions,
    /// The collection to add to [default: papers.db, unless -o is given]
    #[arg(long, short, value_name = "FILE", env = "THEMATIC_COLLECTION")]
    pub collection: Option<PathBuf>,
    /// Write vectors to this file instead: .npy (with .ids.json beside it), .parquet or .jsonl
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Embed every file of one folder into a Parquet file in another; run again, it goes on where it was stopped
    #[arg(long, num_args = 2, value_names = ["IN_DIR", "OUT_DIR"], conflicts_with_all = ["inputs", "output"])]
    pub shards: Option<Vec<PathBuf>>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub encode: EncodeOptions,
    /// Print JSON instead of a summary
    #[arg(long)]
    pub json: bool,
}

/// `thematic cluster`
#[derive(Debug, Args)]
pub struct Cluster {
    /// Cluster the vectors of this .npy file (ids from .ids.json beside it) instead of a collection
    #[arg(value_name = "VECTORS.npy", conflicts_with = "collection")]
    pub vectors: Option<PathBuf>,
    /// The collection [default: papers.db]
    #[arg(long, short, value_name = "FILE", env = "THEMATIC_COLLECTION")]
    pub collection: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub themes: ThemeOptions,
    /// Where k-means compares papers with themes: auto, cpu, cuda (the first GPU) or cuda:N. `auto` is the processor; a GPU
    /// is used where it is asked for, by the `thematic-cuda` beside this program
    #[arg(long, default_value_t = Device::Auto, env = "THEMATIC_DEVICE")]
    pub device: Device,
    /// Write the theme of every paper to this file: .jsonl, .csv or .parquet
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
}

/// `thematic recommend`
#[derive(Debug, Args)]
pub struct Recommend {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub collection: CollectionOptions,
    /// Papers to be near to: ids, or with a prefix such as DOI:, ARXIV:, PMID:
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub like: Vec<String>,
    /// Papers to be far from
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub unlike: Vec<String>,
    /// Words to be near to
    #[arg(long, value_name = "WORDS")]
    pub text: Vec<String>,
    /// How many papers
    #[arg(short = 'n', long = "limit", default_value_t = 10, value_name = "N", env = "THEMATIC_LIMIT")]
    pub limit: usize,
    /// How likes and dislikes become one score
    #[arg(long, value_enum, default_value_t = Strategy::Average, env = "THEMATIC_STRATEGY")]
    pub strategy: Strategy,
    /// From 0 (by score alone) to 1 (as unlike each other as can be)
    #[arg(long, default_value_t = 0.0, value_name = "D", env = "THEMATIC_DIVERSITY", value_parser = options::fraction)]
    pub diversity: f32,
    /// Leave out papers with a lower score
    #[arg(long, value_name = "S", env = "THEMATIC_MIN_SCORE", allow_negative_numbers = true)]
    pub min_score: Option<f32>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub filter: FilterOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub encode: ModelOptions,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// How likes and dislikes become one score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Strategy {
    /// Near the mean of the likes, away from the mean of the dislikes
    Average,
    /// The nearest example decides
    Best,
    /// The sum over all examples
    Sum,
}

/// `thematic search`
#[derive(Debug, Args)]
pub struct Search {
    /// What to look for
    #[arg(required = true, value_name = "WORDS")]
    pub words: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub collection: CollectionOptions,
    /// How many papers
    #[arg(short = 'n', long = "limit", default_value_t = 10, value_name = "N", env = "THEMATIC_LIMIT")]
    pub limit: usize,
    /// By words, by meaning, or by both
    #[arg(long, value_enum, default_value_t = SearchMode::Both, env = "THEMATIC_SEARCH")]
    pub by: SearchMode,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub filter: FilterOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub encode: ModelOptions,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// How a search looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SearchMode {
    /// The words themselves
    Words,
    /// Nearest vectors
    Meaning,
    /// Both lists, fused by rank
    Both,
}

/// `thematic themes`
#[derive(Debug, Args)]
pub struct Themes {
    /// Show this theme with its papers
    #[arg(value_name = "THEME")]
    pub theme: Option<u32>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub collection: CollectionOptions,
    /// How many papers of a theme
    #[arg(short = 'n', long = "limit", default_value_t = 20, value_name = "N", env = "THEMATIC_LIMIT")]
    pub limit: usize,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `thematic neighbours`
#[derive(Debug, Args)]
pub struct Neighbours {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub collection: CollectionOptions,
    /// How many neighbours of a paper
    #[arg(short = 'n', long = "limit", default_value_t = 10, value_name = "N", env = "THEMATIC_LIMIT")]
    pub limit: usize,
    /// Where papers are compared: auto, cpu, cuda (the first GPU) or cuda:N. `auto` is the processor; a GPU is used where it
    /// is asked for, by the `thematic-cuda` beside this program
    #[arg(long, default_value_t = Device::Auto, env = "THEMATIC_DEVICE")]
    pub device: Device,
    /// The file, a line for each pair: .jsonl, .csv or .parquet; `-` prints JSON Lines
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
}

/// `thematic remove`
#[derive(Debug, Args)]
pub struct Remove {
    /// Papers to remove: ids, or with a prefix such as DOI:, ARXIV:, PMID:
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub collection: CollectionOptions,
}

/// `thematic export`
#[derive(Debug, Args)]
pub struct Export {
    /// What to write
    #[arg(value_enum)]
    pub what: ExportWhat,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub collection: CollectionOptions,
    /// The file: .jsonl, .csv or .parquet, for vectors .npy too; `-` prints JSON Lines
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
}

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportWhat {
    /// Papers with all their fields
    Papers,
    /// One vector a paper, of the current model
    Vectors,
    /// The theme of every paper
    Themes,
}

/// `thematic info`
#[derive(Debug, Args)]
pub struct Info {
    /// Show this paper instead of the collection
    #[arg(value_name = "ID")]
    pub paper: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the group documents its options")]
    pub collection: CollectionOptions,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `thematic models`
#[derive(Debug, Args)]
pub struct Models {
    /// What to do with models [default: list]
    #[command(subcommand)]
    pub action: Option<ModelsAction>,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    pub json: bool,
}

/// What `models` does.
#[derive(Debug, Subcommand)]
pub enum ModelsAction {
    /// List the embedded model and the known ones
    List,
    /// Fetch a model from the hub into its cache
    Pull {
        /// Its name, such as sentence-transformers/all-MiniLM-L6-v2
        model: String,
        /// A branch, tag or commit
        #[arg(long, value_name = "REVISION")]
        revision: Option<String>,
    },
    /// Verify the files of a model
    Check {
        /// Its name or folder; none for the embedded model
        model: Option<String>,
    },
    /// Write the embedded model as a folder that sentence-transformers loads
    Export {
        /// A new folder
        folder: PathBuf,
    },
}

/// `thematic doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The collection to check [default: papers.db where there is one]
    #[arg(long, short, value_name = "FILE", env = "THEMATIC_COLLECTION")]
    pub collection: Option<PathBuf>,
    /// Print JSON instead of a report
    #[arg(long)]
    pub json: bool,
}
