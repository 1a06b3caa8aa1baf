//! Reading a model's folder into a [`Description`], its tokenizer and its weights.
//!
//! Follows `modules.json` where there is one, as sentence-transformers does; a folder of bare weights is pooled as
//! the manifest says, else by the mean. Whatever is not understood is refused here, with file and field: never a
//! computation that silently differs.

use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, Problem, Result};
use crate::models::architecture;
use crate::models::bytes::Bytes;
use crate::models::description::{
    Body, Dense, Description, HeadModule, Kept, Pooling, PoolingMode, Prompts, StaticTable,
};
use crate::models::fields::Fields;
use crate::models::manifest::KnownModel;
use crate::models::source::Reader;
use crate::models::weights::Weights;

/// What reading a model yields.
pub(super) struct Parts {
    pub(super) description: Description,
    pub(super) tokenizer: (String, Arc<Bytes>),
    pub(super) weights: Weights,
    /// What the user should know although it is no error.
    pub(super) notes: Vec<String>,
}

/// One entry of `modules.json`.
#[derive(Debug)]
struct Module {
    kind: String,
    /// Empty, or a folder with a slash at its end.
    path: String,
}

/// Numbers that tokenizers use for "no limit" are larger than this.
const NO_LIMIT: f64 = 1e6;

/// Tokens that model2vec reads where its configuration does not say.
const MODEL2VEC_LENGTH: usize = 512;

pub(super) fn read(reader: &mut Reader<'_>, known: Option<&KnownModel>) -> Result<Parts> {
    let mut parts = match modules(reader)? {
        Some(modules) => read_chain(reader, &modules)?,
        None => read_bare(reader, known)?,
    };
    parts.description.prompts = prompts(reader, known)?;
    parts.description.truncate_dimension = truncate_dimension(reader, parts.description.dimension)?;
    Ok(parts)
}

/// A folder that holds an adapter and no model of its own.
fn refuse_adapter(reader: &mut Reader<'_>) -> Result<()> {
    const FILE: &str = "adapter_config.json";
    if reader.optional("config.json")?.is_some() || reader.optional(FILE)?.is_none() {
        return Ok(());
    }
    let config = required_fields(reader, FILE)?;
    let base = config.optional_text("base_model_name_or_path")?.or(config.optional_text("model_name")?);
    let hint = format!("name the model that it adapts and the adapter: `--model {}+ADAPTER`", base.unwrap_or("BASE"));
    Err(Error::Model(Problem::new(reader.label(FILE), "belongs to an adapter, which is no model by itself").hint(hint)))
}

/// The chain that `modules.json` lists, in its order; `None` where there is no such file.
fn modules(reader: &mut Reader<'_>) -> Result<Option<Vec<Module>>> {
    const FILE: &str = "modules.json";
    let Some(bytes) = reader.optional(FILE)? else { return Ok(None) };
    let label = reader.label(FILE);
    let refuse = |cause: String| {
        let hint = "fetch the model again, or save it again with sentence-transformers";
        Error::Model(Problem::new(label.as_str(), cause).hint(hint))
    };
    let entries: Vec<Value> =
        serde_json::from_slice(&bytes).map_err(|error| refuse(format!("is not a JSON list: {error}")))?;
    let mut modules = Vec::with_capacity(entries.len());
    for entry in &entries {
        let Some(kind) = entry["type"].as_str().and_then(module_kind) else {
            return Err(refuse(format!("`type` is {}, which is not a module of sentence-transformers", entry["type"])));
        };
        let path = entry["path"].as_str().unwrap_or_default().trim_matches('/').trim_start_matches("./");
        if path.split(['/', '\\']).any(|part| part == "..") || path.contains(':') {
            return Err(refuse(format!("`path` is `{path}`, which leaves the model's folder")));
        }
        let path = if path.is_empty() || path == "." { String::new() } else { format!("{path}/") };
        modules.push(Module { kind: kind.to_owned(), path });
    }
    if modules.is_empty() { Err(refuse("names no module".to_owned())) } else { Ok(Some(modules)) }
}

/// The class name of a module of sentence-transformers; `None` for code of the model's own.
fn module_kind(python_path: &str) -> Option<&str> {
    python_path.strip_prefix("sentence_transformers.")?.rsplit('.').next()
}

fn read_chain(reader: &mut Reader<'_>, modules: &[Module]) -> Result<Parts> {
    let first = &modules[0];
    match first.kind.as_str() {
        "StaticEmbedding" => {
            let model2vec = model2vec_config(reader)?;
            let parts = static_parts(reader, &first.path, model2vec.as_ref())?;
            with_head(reader, parts, &modules[1..])
        }
        "Transformer" => {
            let Some(second) = modules.get(1).filter(|module| module.kind == "Pooling") else {
                return Err(unsupported_chain(reader, "`Transformer` must be followed by `Pooling`"));
            };
            let pooling = read_pooling(reader, &second.path)?;
            let settings = transformer_settings(reader, &first.path)?;
            let parts = transformer_parts(reader, &first.path, pooling, &settings)?;
            with_head(reader, parts, &modules[2..])
        }
        other => Err(unsupported_chain(reader, &format!("begins with `{other}`"))),
    }
}

/// A folder of a network's weights alone, or of model2vec.
fn read_bare(reader: &mut Reader<'_>, known: Option<&KnownModel>) -> Result<Parts> {
    refuse_adapter(reader)?;
    if let Some(config) = model2vec_config(reader)? {
        let normalize = config.flag("normalize", true)?;
        let mut parts = static_parts(reader, "", Some(&config))?;
        parts.description.head = if normalize { vec![HeadModule::Normalize] } else { Vec::new() };
        return Ok(parts);
    }
    let pooling = known.and_then(|known| PoolingMode::from_name(&known.pooling));
    let mode = pooling.unwrap_or(PoolingMode::Mean);
    // Settings of sentence-transformers count only where its `modules.json` is, as they do there.
    let settings = Fields::none(reader.label("sentence_bert_config.json"));
    let mut parts = transformer_parts(reader, "", Pooling { modes: vec![mode], include_prompt: true }, &settings)?;
    if pooling.is_none() {
        parts.notes.push(
            "the model has no `modules.json`: its tokens are averaged, which may not be what it was trained for".into(),
        );
    }
    Ok(parts)
}

/// The configuration of a model2vec model; `None` where the model is of another kind.
fn model2vec_config(reader: &mut Reader<'_>) -> Result<Option<Fields>> {
    let config = optional_fields(reader, "config.json")?;
    let is_model2vec = config.optional_text("model_type")? == Some("model2vec");
    Ok(is_model2vec.then_some(config))
}

fn transformer_parts(reader: &mut Reader<'_>, path: &str, pooling: Pooling, settings: &Fields) -> Result<Parts> {
    let config = required_fields(reader, &format!("{path}config.json"))?;
    let architecture = architecture::read(&config)?;
    let tokenizer_config = optional_fields(reader, &format!("{path}tokenizer_config.json"))?;
    let longest = architecture.longest();
    let max_length = max_length(settings, &tokenizer_config, longest)?;
    let tokenizer = read_tokenizer(reader, path)?;
    let weights = read_weights(reader, path)?;
    let body = Body::Transformer { architecture, pooling };
    let description = Description {
        dimension: body.width(),
        body,
        head: Vec::new(),
        max_length: Some(max_length),
        longest: Some(longest),
        lower_case: settings.flag("do_lower_case", false)?,
        keeps: kept(&tokenizer_config)?,
        prompts: Prompts::default(),
        truncate_dimension: None,
    };
    Ok(Parts { description, tokenizer, weights, notes: Vec::new() })
}

/// `sentence_bert_config.json`, which older folders name after the architecture.
fn transformer_settings(reader: &mut Reader<'_>, path: &str) -> Result<Fields> {
    for architecture in ["bert", "roberta", "distilbert", "xlm-roberta"] {
        let file = format!("{path}sentence_{architecture}_config.json");
        if let Some(bytes) = reader.optional(&file)? {
            return Fields::parse(reader.label(&file), &bytes);
        }
    }
    Ok(Fields::none(reader.label(&format!("{path}sentence_bert_config.json"))))
}

fn max_length(settings: &Fields, tokenizer: &Fields, longest: usize) -> Result<usize> {
    match settings.optional_count("max_seq_length")? {
        Some(length) if length > longest => Err(settings.bad(
            "max_seq_length",
            &format!("is {length}, but by `config.json` the model reads {longest} tokens at most"),
        )),
        Some(length) if length < 3 => {
            Err(settings.bad("max_seq_length", &format!("is {length}, too short for a text")))
        }
        Some(length) => Ok(length),
        None => {
            let limit = tokenizer.optional_number("model_max_length")?.filter(|&limit| limit < NO_LIMIT);
            Ok(limit.map_or(longest, |limit| (limit as usize).min(longest)).max(3))
        }
    }
}

fn kept(tokenizer: &Fields) -> Result<Kept> {
    match tokenizer.optional_text("truncation_side")? {
        None | Some("right") => Ok(Kept::Start),
        Some("left") => Ok(Kept::End),
        Some(other) => Err(tokenizer.bad("truncation_side", &format!("is `{other}`, neither `left` nor `right`"))),
    }
}

/// A table of rows. model2vec leaves out unknown tokens and reads 512 tokens unless it is told otherwise; the same
/// table as sentence-transformers' own module does neither.
fn static_parts(reader: &mut Reader<'_>, path: &str, model2vec: Option<&Fields>) -> Result<Parts> {
    let max_length = match model2vec {
        Some(config) if config.is_null("max_length") => None,
        Some(config) => Some(config.optional_count("max_length")?.unwrap_or(MODEL2VEC_LENGTH)),
        None => None,
    };
    let tokenizer = read_tokenizer(reader, path)?;
    let weights = read_weights(reader, path)?;
    let table = static_table(&weights, model2vec.is_some())?;
    let description = Description {
        dimension: table.dimension,
        body: Body::Static(table),
        head: Vec::new(),
        max_length,
        longest: None,
        lower_case: false,
        keeps: Kept::Start,
        prompts: Prompts::default(),
        truncate_dimension: None,
    };
    Ok(Parts { description, tokenizer, weights, notes: Vec::new() })
}

fn static_table(weights: &Weights, skips_unknown: bool) -> Result<StaticTable> {
    let rows = ["embedding.weight", "embeddings"].into_iter().find(|name| weights.contains(name));
    let Some(rows) = rows else {
        return Err(weights.bad_tensor("embedding.weight", "is missing, and so is model2vec's `embeddings`"));
    };
    let Some(&[stored, dimension]) = weights.shape(rows) else {
        return Err(weights.bad_tensor(rows, "is not a table of rows"));
    };
    if stored == 0 || dimension == 0 {
        return Err(weights.bad_tensor(rows, "is empty"));
    }
    let (mapped, weighted) = (weights.contains("mapping"), weights.contains("weights"));
    let vocab_size = if mapped { length(weights, "mapping")? } else { stored };
    if weighted && length(weights, "weights")? != vocab_size {
        let cause = format!("does not hold one number for each of {vocab_size} tokens");
        return Err(weights.bad_tensor("weights", &cause));
    }
    Ok(StaticTable { rows, vocab_size, dimension, mapped, weighted, skips_unknown })
}

fn length(weights: &Weights, name: &str) -> Result<usize> {
    match weights.shape(name) {
        Some(&[length]) => Ok(length),
        _ => Err(weights.bad_tensor(name, "is not a plain list")),
    }
}

fn read_tokenizer(reader: &mut Reader<'_>, path: &str) -> Result<(String, Arc<Bytes>)> {
    let file = format!("{path}tokenizer.json");
    if let Some(bytes) = reader.optional(&file)? {
        return Ok((reader.label(&file), bytes));
    }
    if reader.has(&format!("{path}vocab.txt"))? {
        let hint = "save it again with a current version of transformers: \
                    AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";
        let cause = "is missing; the folder has the older `vocab.txt` only";
        return Err(Error::Model(Problem::new(reader.label(&file), cause).hint(hint)));
    }
    reader.required(&file).map(|bytes| (reader.label(&file), bytes))
}

/// `model.safetensors`, or the shards that its index lists, or a pickle where that is allowed.
fn read_weights(reader: &mut Reader<'_>, path: &str) -> Result<Weights> {
    let single = format!("{path}model.safetensors");
    if let Some(bytes) = reader.optional(&single)? {
        return Weights::open(vec![(reader.label(&single), bytes)]);
    }
    let index_file = format!("{path}model.safetensors.index.json");
    if let Some(bytes) = reader.optional(&index_file)? {
        let index = Fields::parse(reader.label(&index_file), &bytes)?;
        return read_shards(reader, path, &index);
    }
    let pickle = format!("{path}pytorch_model.bin");
    if reader.has(&pickle)? {
        return read_pickle(reader, &pickle);
    }
    let sharded = format!("{path}pytorch_model.bin.index.json");
    if reader.has(&sharded)? {
        return Err(pickle_only(reader, &sharded));
    }
    reader.required(&single)?;
    Weights::open(Vec::new())
}

fn read_shards(reader: &mut Reader<'_>, path: &str, index: &Fields) -> Result<Weights> {
    let Some(map) = index.get("weight_map").and_then(Value::as_object) else {
        return Err(index.bad("weight_map", "is missing or not an object"));
    };
    let mut shards: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    shards.sort_unstable();
    shards.dedup();
    let mut files = Vec::with_capacity(shards.len());
    for shard in shards {
        if shard.contains(['/', '\\']) {
            return Err(index.bad("weight_map", &format!("names `{shard}`, which is not a file beside it")));
        }
        let file = format!("{path}{shard}");
        files.push((reader.label(&file), reader.required(&file)?));
    }
    Weights::open(files)
}

/// Weights that are a Python pickle, where reading one is allowed.
pub(super) fn read_pickle(reader: &mut Reader<'_>, file: &str) -> Result<Weights> {
    let Some(read) = reader.pickle else { return Err(pickle_only(reader, file)) };
    let bytes = reader.unpickled(file, read)?;
    Weights::open(vec![(reader.label(file), Arc::new(bytes))])
}

fn pickle_only(reader: &Reader<'_>, file: &str) -> Error {
    let cause = "holds the weights as a Python pickle, which can run any code while it is read, so it is not read";
    let hint = "take a revision that has `model.safetensors`, or convert it where you trust it: \
                SentenceTransformer(FOLDER).save(NEW_FOLDER) in Python; `--allow-pickle` reads the numbers of one file \
                without running what it contains";
    Error::Model(Problem::new(reader.label(file), cause).hint(hint))
}

fn read_pooling(reader: &mut Reader<'_>, path: &str) -> Result<Pooling> {
    let config = required_fields(reader, &format!("{path}config.json"))?;
    let include_prompt = config.flag("include_prompt", true)?;
    let modes = match config.get("pooling_mode") {
        Some(Value::String(name)) => vec![pooling_mode(&config, name)?],
        Some(Value::Array(names)) => {
            names.iter().map(|name| pooling_mode(&config, name.as_str().unwrap_or_default())).collect::<Result<_>>()?
        }
        Some(other) => return Err(config.bad("pooling_mode", &format!("is {other}, not a name or a list of names"))),
        None => flagged_modes(&config)?,
    };
    if modes.is_empty() {
        Err(config.bad("pooling_mode", "names no mode"))
    } else {
        Ok(Pooling { modes, include_prompt })
    }
}

fn pooling_mode(config: &Fields, name: &str) -> Result<PoolingMode> {
    PoolingMode::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = PoolingMode::ALL.iter().map(|(_, name, _)| *name).collect();
        let cause = format!("is `{name}`, which is not a pooling mode that is known");
        config.unsupported("pooling_mode", &cause, format!("known are {}", names.join(", ")))
    })
}

/// The modes of an older folder, where each has a flag. A flag that is set and not known is refused.
fn flagged_modes(config: &Fields) -> Result<Vec<PoolingMode>> {
    for name in config.names().filter(|name| name.starts_with("pooling_mode_")) {
        let known = PoolingMode::ALL.iter().any(|(.., flag)| *flag == name);
        if !known && config.flag(name, false)? {
            return Err(config.bad(name, "is not a pooling mode that is known"));
        }
    }
    let mut modes = Vec::new();
    for (mode, _, flag) in PoolingMode::ALL {
        if config.flag(flag, false)? {
            modes.push(mode);
        }
    }
    Ok(if modes.is_empty() { vec![PoolingMode::Mean] } else { modes })
}

/// Reads the modules after the body and checks that each takes what the one before gives.
fn with_head(reader: &mut Reader<'_>, mut parts: Parts, modules: &[Module]) -> Result<Parts> {
    let mut width = parts.description.dimension;
    for module in modules {
        let next = match module.kind.as_str() {
            "Normalize" => Some(HeadModule::Normalize),
            "Dense" => Some(HeadModule::Dense(read_dense(reader, &module.path, width)?)),
            "LayerNorm" => Some(read_layer_norm(reader, &module.path, width)?),
            "Dropout" => None,
            other => return Err(unsupported_chain(reader, &format!("has a `{other}` after the pooling"))),
        };
        if let Some(HeadModule::Dense(dense)) = &next {
            width = dense.outputs;
        }
        parts.description.head.extend(next);
    }
    parts.description.dimension = width;
    Ok(parts)
}

fn read_dense(reader: &mut Reader<'_>, path: &str, width: usize) -> Result<Dense> {
    let config = required_fields(reader, &format!("{path}config.json"))?;
    let inputs = config.count("in_features")?;
    if inputs != width {
        return Err(config.bad("in_features", &format!("is {inputs}, but the module before gives {width}")));
    }
    for field in ["module_input_name", "module_output_name"] {
        if config.optional_text(field)?.is_some_and(|name| name != "sentence_embedding") {
            return Err(config.bad(field, "is not `sentence_embedding`, the only thing that is computed"));
        }
    }
    Ok(Dense {
        inputs,
        outputs: config.count("out_features")?,
        bias: config.flag("bias", true)?,
        activation: architecture::torch_activation(&config)?,
        residual: config.flag("use_residual", false)?,
        weights: read_weights(reader, path)?,
    })
}

fn read_layer_norm(reader: &mut Reader<'_>, path: &str, width: usize) -> Result<HeadModule> {
    let config = required_fields(reader, &format!("{path}config.json"))?;
    let dimension = config.count("dimension")?;
    if dimension != width {
        return Err(config.bad("dimension", &format!("is {dimension}, but the module before gives {width}")));
    }
    Ok(HeadModule::LayerNorm { dimension, weights: read_weights(reader, path)? })
}

/// The folder's own prompts, and the manifest's where the folder has none of that name.
fn prompts(reader: &mut Reader<'_>, known: Option<&KnownModel>) -> Result<Prompts> {
    let config = optional_fields(reader, "config_sentence_transformers.json")?;
    let mut prompts = Prompts::default();
    if let Some(known) = known {
        prompts.by_name.clone_from(&known.prompts);
    }
    if let Some(value) = config.get("prompts") {
        let Some(own) = value.as_object() else { return Err(config.bad("prompts", "is not an object")) };
        for (name, prompt) in own.iter().filter(|(_, prompt)| !prompt.is_null()) {
            let Some(prompt) = prompt.as_str() else {
                return Err(config.bad("prompts", &format!("has {prompt} for `{name}`, which is not a string")));
            };
            // sentence-transformers writes an empty prompt for each kind that the author gave none.
            if !prompt.is_empty() || !prompts.by_name.contains_key(name) {
                prompts.by_name.insert(name.clone(), prompt.to_owned());
            }
        }
    }
    prompts.default = config.optional_text("default_prompt_name")?.map(str::to_owned);
    match &prompts.default {
        Some(name) if prompts.named(name).is_none() => {
            Err(config.bad("default_prompt_name", &format!("is `{name}`, but there is no prompt of that name")))
        }
        _ => Ok(prompts),
    }
}

fn truncate_dimension(reader: &mut Reader<'_>, dimension: usize) -> Result<Option<usize>> {
    let config = optional_fields(reader, "config_sentence_transformers.json")?;
    match config.optional_count("truncate_dim")? {
        Some(cut) if cut == 0 || cut > dimension => {
            Err(config.bad("truncate_dim", &format!("is {cut}, but vectors have {dimension} numbers")))
        }
        cut => Ok(cut),
    }
}

pub(super) fn required_fields(reader: &mut Reader<'_>, file: &str) -> Result<Fields> {
    let bytes = reader.required(file)?;
    Fields::parse(reader.label(file), &bytes)
}

fn optional_fields(reader: &mut Reader<'_>, file: &str) -> Result<Fields> {
    let label = reader.label(file);
    match reader.optional(file)? {
        Some(bytes) => Fields::parse(label, &bytes),
        None => Ok(Fields::none(label)),
    }
}

fn unsupported_chain(reader: &Reader<'_>, cause: &str) -> Error {
    let hint =
        "understood are Transformer + Pooling or StaticEmbedding, then any of Dense, LayerNorm, Normalize, Dropout";
    Error::Model(Problem::new(reader.label("modules.json"), cause).hint(hint))
}
