//! Which tensors an architecture needs, with their shapes: checked against the file before any is loaded.

use std::collections::BTreeMap;

use crate::error::{Error, Problem, Result};
use crate::models::{BertConfig, Weights};

/// A tensor that must be there.
struct Needed {
    name: String,
    shape: Vec<usize>,
    /// The fields of `config.json` that its shape follows from.
    fields: &'static str,
}

/// Prefixes under which checkpoints keep the encoder.
const PREFIXES: [&str; 2] = ["", "bert."];

/// A tensor in memory.
pub(super) struct Loaded {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// All tensors of a BERT encoder by their usual names, without the prefix that the file may give them.
pub(super) fn load_bert(weights: &Weights, config: &BertConfig) -> Result<BTreeMap<String, Loaded>> {
    let probe = "embeddings.word_embeddings.weight";
    let prefix = PREFIXES.into_iter().find(|prefix| weights.contains(&format!("{prefix}{probe}"))).unwrap_or_default();
    let needed = bert(config);
    needed.iter().try_for_each(|tensor| check(weights, prefix, tensor))?;
    refuse_more_layers(weights, prefix, config)?;
    let load = |tensor: Needed| {
        let values = weights.f32(&format!("{prefix}{}", tensor.name))?;
        Ok((tensor.name, Loaded { shape: tensor.shape, values }))
    };
    needed.into_iter().map(load).collect()
}

fn bert(config: &BertConfig) -> Vec<Needed> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let mut needed = Vec::new();
    let mut need = |name: String, shape: &[usize], fields| needed.push(Needed { name, shape: shape.to_vec(), fields });
    for (table, rows, fields) in [
        ("word", config.vocab_size, "`vocab_size` and `hidden_size`"),
        ("position", config.max_position_embeddings, "`max_position_embeddings` and `hidden_size`"),
        ("token_type", config.type_vocab_size, "`type_vocab_size` and `hidden_size`"),
    ] {
        need(format!("embeddings.{table}_embeddings.weight"), &[rows, hidden], fields);
    }
    for part in ["weight", "bias"] {
        need(format!("embeddings.LayerNorm.{part}"), &[hidden], "`hidden_size`");
    }
    for layer in 0..config.num_hidden_layers {
        for (map, outputs, inputs) in [
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", inner, hidden),
            ("output.dense", hidden, inner),
        ] {
            let fields = "`hidden_size` and `intermediate_size`";
            need(format!("encoder.layer.{layer}.{map}.weight"), &[outputs, inputs], fields);
            need(format!("encoder.layer.{layer}.{map}.bias"), &[outputs], fields);
        }
        for norm in ["attention.output.LayerNorm", "output.LayerNorm"] {
            for part in ["weight", "bias"] {
                need(format!("encoder.layer.{layer}.{norm}.{part}"), &[hidden], "`hidden_size`");
            }
        }
    }
    needed
}

fn check(weights: &Weights, prefix: &str, needed: &Needed) -> Result<()> {
    let name = format!("{prefix}{}", needed.name);
    let cause = match weights.shape(&name) {
        Some(shape) if shape == needed.shape => return Ok(()),
        Some(shape) => {
            format!("has the shape {shape:?}, but {} in `config.json` make it {:?}", needed.fields, needed.shape)
        }
        None => format!("is missing, but {} and `num_hidden_layers` in `config.json` ask for it", needed.fields),
    };
    Err(disagreement(weights, &name, cause))
}

/// A configuration with fewer layers than the weights have would silently be another model.
fn refuse_more_layers(weights: &Weights, prefix: &str, config: &BertConfig) -> Result<()> {
    let layers = config.num_hidden_layers;
    let next = format!("{prefix}encoder.layer.{layers}.");
    match weights.names().find(|name| name.starts_with(&next)) {
        Some(name) => Err(disagreement(
            weights,
            name,
            format!("is of layer {layers}, but `num_hidden_layers` in `config.json` is {layers}"),
        )),
        None => Ok(()),
    }
}

fn disagreement(weights: &Weights, name: &str, cause: String) -> Error {
    let thing = format!("{}: tensor `{name}`", weights.label(name));
    Error::Model(Problem::new(thing, cause).hint("fetch the model again: its files do not belong together"))
}
