//! Which model, loaded; and how its vectors are recorded in a collection.

use std::num::NonZeroUsize;

use crate::encode::{Device, Encoder, EngineChoice, Kind, Options, Precision, PromptChoice, unpickle};
use crate::error::{Error, Problem, Result};
use crate::models::{self, Settings, TextTemplate};
use crate::paper::Paper;
use crate::progress::Progress;
use crate::store::{Collection, ModelRecord};
use crate::vectors::Vectors;

/// What people type for the model that is compiled in.
const DEFAULT_NAME: &str = "default";

/// Which model, and how it is to compute.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelChoice {
    /// A folder, a name, `default`; `None` for the embedded default.
    pub model: Option<String>,
    /// A branch, tag or commit on the hub.
    pub revision: Option<String>,
    /// Never use the network.
    pub offline: bool,
    /// Where to run it.
    pub device: Device,
    /// What to calculate with.
    pub precision: Precision,
    /// Which implementation computes.
    pub engine: EngineChoice,
    /// Threads; `None` for all.
    pub threads: Option<NonZeroUsize>,
    /// Tokens beyond this are cut off; `None` for the model's own limit.
    pub max_length: Option<usize>,
    /// Numbers of a vector that are kept; `None` for all.
    pub dimensions: Option<usize>,
    /// Tokens that are computed together; `None` for what suits the engine.
    pub batch_tokens: Option<NonZeroUsize>,
    /// Put in front of every document; `None` for the model's own.
    pub prompt: Option<PromptChoice>,
    /// Put in front of every question; `None` for the model's own.
    pub query_prompt: Option<PromptChoice>,
    /// Read weights that are kept as a Python pickle.
    pub allow_pickle: bool,
}

impl ModelChoice {
    /// The choice that makes the vectors of a collection again, on this device.
    pub fn of_record(record: &ModelRecord, own: &Self) -> Self {
        Self {
            model: Some(record.source.clone()),
            revision: Some(record.revision.clone()),
            max_length: Some(record.max_length).filter(|length| *length > 0),
            dimensions: Some(record.dimensions),
            prompt: Some(PromptChoice::Text(record.prompt.clone())),
            ..own.clone()
        }
    }
}

/// A model ready to embed papers.
#[derive(Debug)]
pub struct PaperEncoder {
    /// Texts to vectors.
    pub encoder: Encoder,
    template: TextTemplate,
}

impl PaperEncoder {
    /// The text of a paper that the model embeds.
    pub(super) fn text_of(&self, paper: &Paper) -> String {
        self.template.apply(paper)
    }

    /// The same of a title and an abstract.
    pub(super) fn joined(&self, title: &str, abstract_text: &str) -> String {
        self.template.join(title, abstract_text)
    }

    /// What a collection records of the model.
    pub(super) fn record(&self) -> ModelRecord {
        let identity = self.encoder.identity();
        ModelRecord {
            name: identity.model.clone(),
            revision: identity.revision.clone(),
            prompt: identity.prompt.clone(),
            pooling: identity.pooling.clone(),
            max_length: identity.max_length,
            precision: identity.precision.clone(),
            dimensions: identity.dimensions,
            source: identity.model.clone(),
        }
    }

    /// Embeds one sentence and looks at what comes out.
    ///
    /// # Errors
    /// [`Error::Model`] where that is no unit vector.
    pub(super) fn self_test(&self) -> Result<()> {
        self.encoder.encode(&["Tides move sand along the coast"], Kind::Document).map(|_| ())
    }
}

/// Finds and loads a model.
///
/// # Errors
/// [`Error::Model`] and [`Error::Device`] where it cannot be had or run.
pub fn load_encoder(choice: &ModelChoice, progress: &dyn Progress) -> Result<PaperEncoder> {
    let environment = Settings::from_environment();
    let settings = Settings {
        offline: choice.offline || environment.offline,
        revision: choice.revision.clone(),
        pickle: choice.allow_pickle.then_some(unpickle as models::PickleReader),
        ..environment
    };
    let name = choice.model.as_deref().filter(|name| *name != DEFAULT_NAME);
    let folder = models::resolve(name, &settings, progress)?;
    Ok(PaperEncoder { encoder: Encoder::load(&folder, &options(choice))?, template: folder.text })
}

fn options(choice: &ModelChoice) -> Options {
    Options {
        device: choice.device.clone(),
        precision: choice.precision,
        engine: choice.engine,
        threads: choice.threads,
        max_length: choice.max_length,
        dimensions: choice.dimensions,
        batch_tokens: choice.batch_tokens,
        prompt: choice.prompt.clone(),
        query_prompt: choice.query_prompt.clone(),
        ..Options::default()
    }
}

/// Embeds questions with the model of a collection, which it loads when the first one comes.
pub struct QueryEncoder<'p> {
    choice: ModelChoice,
    progress: &'p dyn Progress,
    loaded: Option<PaperEncoder>,
}

impl<'p> QueryEncoder<'p> {
    /// `choice` says where to run; which model it is, the collection says, unless `choice` names one.
    pub fn new(choice: ModelChoice, progress: &'p dyn Progress) -> Self {
        Self { choice, progress, loaded: None }
    }

    /// The vectors of `texts` in the space of the collection's current model.
    ///
    /// # Errors
    /// [`Error::Collection`] where nothing is embedded yet, [`Error::Model`] where the collection's model cannot be
    /// loaded or has become another one.
    pub fn encode(&mut self, collection: &Collection, texts: &[String]) -> Result<Vectors> {
        let Some((_, record)) = collection.current_model()? else {
            return Err(super::recommend::not_embedded(collection));
        };
        let encoder = match self.loaded.take() {
            Some(encoder) => encoder,
            None => self.load(&record)?,
        };
        let encoded = encoder.encoder.encode(texts, Kind::Query);
        self.loaded = Some(encoder);
        Ok(encoded?.vectors)
    }

    fn load(&self, record: &ModelRecord) -> Result<PaperEncoder> {
        let mut choice = ModelChoice::of_record(record, &self.choice);
        if self.choice.model.is_some() {
            choice.model.clone_from(&self.choice.model);
            choice.revision.clone_from(&self.choice.revision);
        }
        let encoder = load_encoder(&choice, self.progress)?;
        let found = encoder.record();
        if (&found.name, &found.revision) == (&record.name, &record.revision) {
            return Ok(encoder);
        }
        let thing = format!("model `{}` at {}", found.name, found.revision);
        let cause = format!("the collection was embedded with `{}` at {}", record.name, record.revision);
        Err(Error::Model(Problem::new(thing, cause).hint("run `thematic embed` to embed the papers with this one")))
    }
}

impl std::fmt::Debug for QueryEncoder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryEncoder").field("choice", &self.choice).finish_non_exhaustive()
    }
}
