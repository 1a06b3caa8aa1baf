//! Texts to unit vectors.
//!
//! [`Encoder::load`] makes an encoder of a model that `models` found, refusing whatever does not fit together before
//! the first text. [`Encoder::encode`] is for a handful of texts, [`Encoder::encode_stream`] for any number in
//! constant memory. Knows texts, not papers; knows models, not where they come from. One `engine::Engine` per kind
//! of network: `packed` (encoders, on our kernels), `reference` (candle-transformers) and `table` (static vectors).

mod decoder;
mod device;
mod engine;
mod head;
mod options;
mod packed;
mod pickle;
mod plan;
mod pooling;
mod prepared;
mod reference;
mod stream;
mod table;
mod tensors;
mod tokens;
mod wordpiece;
mod worker;

pub use device::{Device, WITH_CUDA};
pub use options::{EngineChoice, Options, Precision, PromptChoice, available_threads};
pub use pickle::unpickle;
pub use prepared::Prepared;
pub use stream::{Finished, Order, Summary};
pub use tokens::TextExtent;

use std::num::NonZeroUsize;

use serde::Serialize;

use crate::error::{Error, Problem, Result};
use crate::kernel::{Isa, Team};
use crate::models::{Architecture, Body, ModelFolder, Pooling, Prompts};
use crate::progress::{Progress, Silent};
use crate::vectors::{Vectors, normalise};
use engine::Engine;
use head::Head;
use options::{arithmetic, check_device, dimensions, gpu_precision, max_length, only_f32, only_the_processor};
use tokens::{PackedTokens, TextTokenizer, Tokenised};
use worker::{Stuck, Worker};

/// What a text is for: some models want different words before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something that is stored and found.
    Document,
    /// Something that asks.
    Query,
}

/// Everything that two vectors must share to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelIdentity {
    /// What finds the model again.
    pub model: String,
    /// The commit, or the fingerprint of its files.
    pub revision: String,
    /// What was put before stored texts.
    pub prompt: String,
    /// `mean`, `cls+max`...
    pub pooling: String,
    /// Tokens read of a text; 0 is no limit.
    pub max_length: usize,
    /// `f32`, `bf16`, `f16`, `int8`.
    pub precision: String,
    /// Numbers in a vector.
    pub dimensions: usize,
}

/// Vectors of some texts, in their order.
#[derive(Debug)]
pub struct Encoded {
    /// A unit row per text.
    pub vectors: Vectors,
    /// Texts that were longer than the model reads.
    pub truncated: usize,
    /// Tokens that were read.
    pub tokens: usize,
}

/// A model ready to encode.
pub struct Encoder {
    identity: ModelIdentity,
    tokenizer: TextTokenizer,
    /// One a device; at least one.
    workers: Vec<Worker>,
    head: Head,
    document: Prompt,
    query: Prompt,
    width: usize,
    threads: usize,
    batch_tokens: usize,
}

/// What is put before a text, and the tokens of it that are not pooled.
struct Prompt {
    text: String,
    unpooled: usize,
}

/// Texts of at most this many bytes together are encoded batch by batch where they stand, helpers sharing each.
const AT_ONCE: usize = 4096;

/// Characters of a text that an error names it by.
const EXCERPT_CHARACTERS: usize = 60;

impl Encoder {
    /// Makes an encoder of a model.
    ///
    /// # Errors
    /// [`Error::Model`] where the model's files do not fit each other; [`Error::Usage`] where `options` ask for what
    /// the model or the engine does not have; [`Error::Device`] where the device is not available.
    pub fn load(model: &ModelFolder, options: &Options) -> Result<Self> {
        check_device(&options.device)?;
        let description = &model.description;
        let max_length = max_length(model, options)?;
        let dimensions = dimensions(model, options)?;
        let tokenizer = TextTokenizer::load(model, max_length)?;
        let isa = options.isa.unwrap_or_else(Isa::best);
        let threads = options.threads.map_or_else(available_threads, NonZeroUsize::get);
        let engines: Vec<Box<dyn Engine>> = match &description.body {
            Body::Static(table) => {
                only_the_processor(&options.device, "static vectors are")?;
                only_f32(options.precision)?;
                vec![Box::new(table::Table::load(model, table, isa)?)]
            }
            Body::Transformer { architecture, pooling } => {
                transformer(model, architecture, pooling, options, isa, threads)?
            }
        };
        let document = prompt(model, &tokenizer, options.prompt.as_ref(), &["document", "passage", "corpus"])?;
        let query = prompt(model, &tokenizer, options.query_prompt.as_ref(), &["query"])?;
        let batch_tokens = engines.iter().map(|engine| engine.habits().batch_tokens).min().unwrap_or(1);
        Ok(Self {
            identity: ModelIdentity {
                model: model.name.clone(),
                revision: model.revision.clone(),
                prompt: document.text.clone(),
                pooling: description.body.pooling(),
                max_length: max_length.unwrap_or(0),
                precision: engines[0].precision().to_owned(),
                dimensions,
            },
            head: Head::load(&description.head, head_isa(&description.body, isa))?,
            width: description.body.width(),
            threads,
            batch_tokens: options.batch_tokens.map_or(batch_tokens, NonZeroUsize::get),
            tokenizer,
            workers: engines.into_iter().map(Worker::new).collect(),
            document,
            query,
        })
    }

    /// What a stored vector records about the model that made it.
    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// Encodes texts that are all in memory.
    ///
    /// # Errors
    /// [`Error::Failed`] where the engine gives up.
    pub fn encode<T: AsRef<str>>(&self, texts: &[T], kind: Kind) -> Result<Encoded> {
        if texts.iter().map(|text| text.as_ref().len()).sum::<usize>() <= AT_ONCE {
            return self.encode_at_once(texts, kind);
        }
        let mut vectors = Vectors::empty(self.identity.dimensions);
        let owned = texts.iter().map(|text| Ok(((), text.as_ref().to_owned())));
        let sink = |finished: Finished<()>| vectors.append(&finished.vectors);
        let summary = self.encode_stream(owned, kind, Order::AsGiven, sink, &Silent)?;
        Ok(Encoded { vectors, truncated: summary.truncated as usize, tokens: summary.tokens as usize })
    }

    /// Tokens of a text that the model reads, its prompt and marks included.
    ///
    /// # Errors
    /// [`Error::Model`] where the model's tokenizer cannot take the text.
    pub fn count_tokens(&self, text: &str, kind: Kind) -> Result<usize> {
        Ok(self.tokenise(text, kind)?.ids.len())
    }

    fn encode_at_once<T: AsRef<str>>(&self, texts: &[T], kind: Kind) -> Result<Encoded> {
        let _present = self.workers[0].engine.team().map(Team::enter);
        let tokenised: Vec<Tokenised> =
            texts.iter().map(|text| self.tokenise(text.as_ref(), kind)).collect::<Result<_>>()?;
        let mut data = vec![0.0; texts.len() * self.identity.dimensions];
        for job in plan::jobs(&tokenised, self.batch_tokens, self.prompt(kind).unpooled) {
            let text_of = |member: usize| texts[job.members[member]].as_ref();
            let vectors = self.vectors(&self.rows(&self.workers[0], &job.tokens, text_of, &Silent)?)?;
            for (&member, row) in job.members.iter().zip(vectors.rows()) {
                data[member * row.len()..][..row.len()].copy_from_slice(row);
            }
        }
        Ok(Encoded {
            vectors: Vectors::from_unit_rows(self.identity.dimensions, data)?,
            truncated: tokenised.iter().filter(|text| text.truncated).count(),
            tokens: tokenised.iter().map(|text| text.ids.len()).sum(),
        })
    }

    fn prompt(&self, kind: Kind) -> &Prompt {
        match kind {
            Kind::Document => &self.document,
            Kind::Query => &self.query,
        }
    }

    fn tokenise(&self, text: &str, kind: Kind) -> Result<Tokenised> {
        self.tokenizer.tokenise(&self.prompt(kind).text, text)
    }

    /// A batch through an engine: a row per text. `text_of` gives each text of it, for errors.
    fn rows<'t>(
        &self,
        worker: &Worker,
        batch: &PackedTokens,
        text_of: impl Fn(usize) -> &'t str,
        progress: &dyn Progress,
    ) -> Result<Vec<f32>> {
        worker.rows(batch, progress).map_err(|stuck| match stuck {
            Stuck::Text(text) => worker.too_long(&excerpt(text_of(text)), batch.length(text)),
            Stuck::Error(error) => error,
        })
    }

    /// What the head makes of an engine's rows, cut and normalised.
    fn vectors(&self, rows: &[f32]) -> Result<Vectors> {
        let mut data = Vec::with_capacity(rows.len() / self.width * self.identity.dimensions);
        for row in rows.chunks_exact(self.width) {
            let mut vector = self.head.apply(row);
            vector.truncate(self.identity.dimensions);
            if !normalise(&mut vector) {
                let cause = "gave a vector that is zero or not finite, so it has no direction";
                let thing = format!("model `{}`", self.identity.model);
                return Err(Error::Model(Problem::new(thing, cause).hint("check its files: `thematic models check`")));
            }
            data.extend_from_slice(&vector);
        }
        Vectors::from_unit_rows(self.identity.dimensions, data)
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Static vectors have the same bits in every instruction set, and so has what is made of them.
fn head_isa(body: &Body, isa: Isa) -> Isa {
    match body {
        Body::Static(_) => Isa::PORTABLE,
        Body::Transformer { .. } => isa,
    }
}

/// Enough of a text to find it by.
fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(EXCERPT_CHARACTERS).collect();
    if start.len() < text.len() { format!("{}…", start.trim_end()) } else { start }
}

/// The engine that was asked for, or the fastest that covers the architecture; one a device.
fn transformer(
    model: &ModelFolder,
    architecture: &Architecture,
    pooling: &Pooling,
    options: &Options,
    isa: Isa,
    threads: usize,
) -> Result<Vec<Box<dyn Engine>>> {
    match (architecture, options.engine) {
        (Architecture::Encoder(encoder), EngineChoice::Auto | EngineChoice::Packed) => match options.device.gpus() {
            Some(gpus) => {
                let precision = gpu_precision(options.precision)?;
                gpus.iter().map(|&gpu| packed::cuda::load(model, encoder, pooling, gpu, precision)).collect()
            }
            None => {
                let in_int8 = || packed::stored_in_int8(model, encoder);
                let arithmetic = arithmetic(options.precision, isa, in_int8)?;
                Ok(vec![Box::new(packed::Packed::load(model, encoder, pooling, isa, arithmetic, threads)?)])
            }
        },
        (Architecture::Qwen3(_), EngineChoice::Packed) => {
            let problem = Problem::new("`--engine packed`", "the packed engine computes encoders, and qwen3 is none");
            Err(Error::Usage(problem.hint("leave `--engine` at `auto`: candle-transformers runs this model")))
        }
        (_, EngineChoice::Reference) | (Architecture::Qwen3(_), EngineChoice::Auto) => {
            only_the_processor(&options.device, "the reference engine's models are")?;
            only_f32(options.precision)?;
            Ok(vec![Box::new(reference::Reference::load(model, architecture, pooling)?)])
        }
    }
}

fn prompt(
    model: &ModelFolder,
    tokenizer: &TextTokenizer,
    choice: Option<&PromptChoice>,
    names: &[&str],
) -> Result<Prompt> {
    let prompts = &model.description.prompts;
    let text = match choice {
        None => prompts.first_of(names).to_owned(),
        Some(PromptChoice::Text(text)) => text.clone(),
        Some(PromptChoice::Named(name)) => match prompts.named(name) {
            Some(text) => text.to_owned(),
            None => return Err(unknown_prompt(model, prompts, name)),
        },
    };
    let pooled = match &model.description.body {
        Body::Transformer { pooling, .. } => pooling.include_prompt,
        Body::Static(_) => true,
    };
    Ok(Prompt { unpooled: if pooled { 0 } else { tokenizer.prompt_length(&text)? }, text })
}

fn unknown_prompt(model: &ModelFolder, prompts: &Prompts, name: &str) -> Error {
    let names: Vec<&str> = prompts.by_name.keys().map(String::as_str).collect();
    let hint = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    let cause = format!("model `{}` has no prompt of that name", model.name);
    Error::Usage(Problem::new(format!("prompt `{name}`"), cause).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::models::{Bytes, Settings, Weights, resolve};

    fn texts(name: &str) -> Vec<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        serde_json::from_slice(&std::fs::read(path).expect("committed texts")).expect("a list")
    }

    #[test]
    fn texts_have_the_tokens_that_python_gives_them() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(root.join("tests/golden/architectures.safetensors")).expect("committed tokens");
        let label = "architectures.safetensors".to_owned();
        let golden = Weights::open(vec![(label, std::sync::Arc::new(Bytes::Owned(bytes)))]).expect("valid tokens");
        let texts: Vec<String> = texts("texts.json").into_iter().step_by(4).chain(texts("marked.json")).collect();
        let settings =
            Settings { offline: true, revision: None, token: None, endpoint: String::new(), cache: None, pickle: None };
        let names =
            ["bert", "roberta", "xlm-roberta", "distilbert", "mpnet", "nomic-bert", "modernbert", "gte", "qwen3"];
        for name in names {
            let folder = root.join(format!("tests/fixtures/models/tiny-{name}"));
            let model = resolve(folder.to_str(), &settings, &Silent).expect("a model");
            let tokenizer = TextTokenizer::load(&model, model.description.max_length).expect("a tokenizer");
            let ids = golden.indices(&format!("{name}/ids")).expect("ids");
            let mut rest = ids.as_slice();
            for (text, length) in texts.iter().zip(golden.indices(&format!("{name}/lengths")).expect("lengths")) {
                let (expected, later) = rest.split_at(length);
                let found = tokenizer.tokenise("", text).expect("tokens").ids;
                assert!(
                    found.iter().map(|&id| id as usize).eq(expected.iter().copied()),
                    "{name}: {text:?}: {found:?}"
                );
                rest = later;
            }
            assert!(rest.is_empty(), "{name}");
        }
    }
}
