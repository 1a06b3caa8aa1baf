//! The tensors and the configuration of Qwen3 as candle-transformers takes them.

use crate::encode::reference::Named;
use crate::error::{Error, Problem, Result};
use crate::models::{Qwen3, Weights};

/// What candle-transformers expects before every name; published embedding models leave it out.
const PREFIX: &str = "model.";

/// All tensors of the decoder by the names that candle-transformers gives them, each of the shape that the
/// configuration asks for.
pub(super) fn tensors(weights: &Weights, settings: &Qwen3) -> Result<Named> {
    let prefix = if weights.contains("model.embed_tokens.weight") { PREFIX } else { "" };
    let mut named = Named::new();
    for (name, shape, fields) in needed(settings) {
        let stored = format!("{prefix}{name}");
        let cause = match weights.shape(&stored) {
            Some(found) if found == shape => {
                named.insert(format!("{PREFIX}{name}"), (weights.f32(&stored)?, shape));
                continue;
            }
            Some(found) => format!("has the shape {found:?}, but {fields} in `config.json` make it {shape:?}"),
            None => format!("is missing, but {fields} and `num_hidden_layers` in `config.json` ask for it"),
        };
        let thing = format!("{}: tensor `{stored}`", weights.label(&stored));
        return Err(Error::Model(
            Problem::new(thing, cause).hint("fetch the model again: its files do not belong together"),
        ));
    }
    let beyond = format!("{prefix}layers.{}.", settings.num_hidden_layers);
    match weights.names().find(|name| name.starts_with(&beyond)) {
        Some(name) => {
            let layers = settings.num_hidden_layers;
            let cause = format!("is of layer {layers}, but `num_hidden_layers` in `config.json` is {layers}");
            Err(weights.bad_tensor(name, &cause))
        }
        None => Ok(named),
    }
}

/// Every tensor with its shape and the fields that it follows from.
fn needed(settings: &Qwen3) -> Vec<(String, Vec<usize>, &'static str)> {
    let (hidden, inner) = (settings.hidden_size, settings.intermediate_size);
    let queries = settings.num_attention_heads * settings.head_dim;
    let keys = settings.num_key_value_heads * settings.head_dim;
    let heads = "`num_attention_heads`, `num_key_value_heads`, `head_dim` and `hidden_size`";
    let sizes = "`hidden_size` and `intermediate_size`";
    let words = "`vocab_size` and `hidden_size`";
    let mut list = vec![
        ("embed_tokens.weight".to_owned(), vec![settings.vocab_size, hidden], words),
        ("norm.weight".to_owned(), vec![hidden], "`hidden_size`"),
    ];
    for layer in 0..settings.num_hidden_layers {
        let mut need =
            |part: &str, shape: Vec<usize>, fields| list.push((format!("layers.{layer}.{part}"), shape, fields));
        need("input_layernorm.weight", vec![hidden], "`hidden_size`");
        need("post_attention_layernorm.weight", vec![hidden], "`hidden_size`");
        for (map, outputs, inputs) in
            [("q", queries, hidden), ("k", keys, hidden), ("v", keys, hidden), ("o", hidden, queries)]
        {
            need(&format!("self_attn.{map}_proj.weight"), vec![outputs, inputs], heads);
            if settings.attention_bias {
                need(&format!("self_attn.{map}_proj.bias"), vec![outputs], heads);
            }
        }
        for norm in ["q_norm", "k_norm"] {
            need(&format!("self_attn.{norm}.weight"), vec![settings.head_dim], "`head_dim`");
        }
        for (map, outputs, inputs) in [("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)] {
            need(&format!("mlp.{map}_proj.weight"), vec![outputs, inputs], sizes);
        }
    }
    list
}

/// The configuration in candle-transformers' own words.
pub(super) fn config(settings: &Qwen3) -> candle_transformers::models::qwen3::Config {
    candle_transformers::models::qwen3::Config {
        vocab_size: settings.vocab_size,
        hidden_size: settings.hidden_size,
        intermediate_size: settings.intermediate_size,
        num_hidden_layers: settings.num_hidden_layers,
        num_attention_heads: settings.num_attention_heads,
        head_dim: settings.head_dim,
        attention_bias: settings.attention_bias,
        num_key_value_heads: settings.num_key_value_heads,
        max_position_embeddings: settings.max_position_embeddings,
        sliding_window: None,
        max_window_layers: settings.num_hidden_layers,
        tie_word_embeddings: true,
        rope_theta: settings.rope_theta,
        rms_norm_eps: settings.rms_norm_eps,
        use_sliding_window: false,
        hidden_act: candle_nn::Activation::Silu,
    }
}
