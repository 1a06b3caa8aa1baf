//! Reading a network's `config.json`: which architecture it is, and its sizes.
//!
//! A field that changes the computation and is not understood is an error, never a guess.

use crate::error::Result;
use crate::models::description::{Activation, Architecture, BertConfig};
use crate::models::fields::Fields;

/// The values of `model_type` that are understood.
const MODEL_TYPES: &str = "bert";

pub(super) fn read(config: &Fields) -> Result<Architecture> {
    match config.text("model_type")? {
        "bert" => bert(config).map(Architecture::Bert),
        other => {
            let cause = format!("is `{other}`, an architecture that is not supported");
            let hint =
                format!("supported are {MODEL_TYPES}, and the static models of sentence-transformers and model2vec");
            Err(config.unsupported("model_type", &cause, hint))
        }
    }
}

fn bert(config: &Fields) -> Result<BertConfig> {
    let positions = config.optional_text("position_embedding_type")?.unwrap_or("absolute");
    if positions != "absolute" {
        let cause = format!("is `{positions}`; only `absolute` is supported");
        return Err(config.unsupported("position_embedding_type", &cause, "choose another model"));
    }
    if config.flag("is_decoder", false)? {
        return Err(config.unsupported("is_decoder", "is true: not an encoder", "choose another model"));
    }
    let read = BertConfig {
        vocab_size: positive(config, "vocab_size")?,
        hidden_size: positive(config, "hidden_size")?,
        num_hidden_layers: positive(config, "num_hidden_layers")?,
        num_attention_heads: positive(config, "num_attention_heads")?,
        intermediate_size: positive(config, "intermediate_size")?,
        activation: hidden_activation(config)?,
        max_position_embeddings: positive(config, "max_position_embeddings")?,
        type_vocab_size: positive(config, "type_vocab_size")?,
        layer_norm_eps: config.optional_number("layer_norm_eps")?.unwrap_or(1e-12),
    };
    if !read.hidden_size.is_multiple_of(read.num_attention_heads) {
        let cause =
            format!("is {}, which does not divide `hidden_size`, {}", read.num_attention_heads, read.hidden_size);
        return Err(config.bad("num_attention_heads", &cause));
    }
    Ok(read)
}

fn positive(config: &Fields, field: &str) -> Result<usize> {
    match config.count(field)? {
        0 => Err(config.bad(field, "is 0")),
        count => Ok(count),
    }
}

/// `gelu` is the exact form in transformers; the approximation has names of its own.
fn hidden_activation(config: &Fields) -> Result<Activation> {
    match config.text("hidden_act")? {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => {
            let hint = "known are gelu, gelu_new, gelu_fast, gelu_pytorch_tanh and relu";
            Err(config.unsupported("hidden_act", &format!("is `{other}`, an activation that is not known"), hint))
        }
    }
}

/// The function of a `Dense` module, which its configuration names by the path of a Python class.
pub(super) fn torch_activation(config: &Fields) -> Result<Activation> {
    let Some(path) = config.optional_text("activation_function")? else { return Ok(Activation::Tanh) };
    let name = path.strip_prefix("torch.nn.modules.").and_then(|rest| rest.rsplit('.').next());
    match name {
        Some("Identity") => Ok(Activation::Identity),
        Some("Tanh") => Ok(Activation::Tanh),
        Some("ReLU") => Ok(Activation::Relu),
        Some("GELU") => Ok(Activation::Gelu),
        Some("SiLU") => Ok(Activation::Silu),
        Some("Sigmoid") => Ok(Activation::Sigmoid),
        _ => {
            let hint = "known are torch.nn.modules' Identity, Tanh, ReLU, GELU, SiLU and Sigmoid";
            let cause = format!("is `{path}`, an activation that is not known");
            Err(config.unsupported("activation_function", &cause, hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let config = Fields::parse("`config.json`".into(), json.as_bytes()).expect("an object");
        let error = read(&config).expect_err(json).to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        check(r#"{}"#, "`model_type`: is missing");
        check(r#"{"model_type": "t5"}"#, "`model_type`: is `t5`");
        check(r#"{"model_type": "bert", "position_embedding_type": "relative_key"}"#, "`position_embedding_type`");
        check(r#"{"model_type": "bert", "vocab_size": 0}"#, "`vocab_size`: is 0");
    }

    #[test]
    fn heads_must_divide_the_width_and_the_activation_be_known() {
        let config = |heads: usize, activation: &str| {
            format!(
                r#"{{"model_type": "bert", "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1,
                    "num_attention_heads": {heads}, "intermediate_size": 8, "hidden_act": "{activation}",
                    "max_position_embeddings": 8, "type_vocab_size": 2}}"#
            )
        };
        check(&config(3, "gelu"), "`num_attention_heads`: is 3");
        check(&config(2, "swish"), "`hidden_act`: is `swish`");
    }
}
