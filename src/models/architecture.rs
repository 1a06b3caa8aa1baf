//! Reading a network's `config.json`: which architecture it is, and its sizes.
//!
//! A field that changes the computation and is not understood is an error, never a guess.

use serde_json::{Value, json};

use crate::error::Result;
use crate::models::fields::Fields;
use crate::models::layout::{
    BERT, DISTILBERT, GTE, GTE_APART, JINA_BERT, Layout, MODERNBERT, MPNET, NOMIC_BERT, TRANSFORMERS_5,
};
use crate::models::network::{
    Activation, Architecture, Biases, Distance, Encoder, Family, LayerAttention, Norm, NormPlacement, PositionTable,
    Qwen3, Rotary, SizeFields, Stretch,
};

/// Reads the rest of a configuration.
type ReadRest = fn(&Fields) -> Result<Architecture>;

/// The values of `model_type` that are understood, and what reads the rest.
const MODEL_TYPES: [(&str, ReadRest); 11] = [
    ("bert", bert),
    ("roberta", roberta),
    ("xlm-roberta", roberta),
    ("camembert", roberta),
    ("distilbert", distilbert),
    ("mpnet", mpnet),
    ("nomic_bert", nomic_bert),
    ("modernbert", modernbert),
    ("new", gte),
    ("gte", gte),
    ("qwen3", qwen3),
];

const USUAL: SizeFields = SizeFields {
    hidden: "hidden_size",
    inner: "intermediate_size",
    layers: "num_hidden_layers",
    heads: "num_attention_heads",
    positions: "max_position_embeddings",
};

const OF_DISTILBERT: SizeFields =
    SizeFields { hidden: "dim", inner: "hidden_dim", layers: "n_layers", heads: "n_heads", ..USUAL };

const OF_NOMIC_BERT: SizeFields =
    SizeFields { hidden: "n_embd", inner: "n_inner", layers: "n_layer", heads: "n_head", positions: "n_positions" };

/// The values of `model_type` that are understood.
pub fn supported() -> impl Iterator<Item = &'static str> {
    MODEL_TYPES.iter().map(|(name, _)| *name)
}

pub(super) fn read(config: &Fields) -> Result<Architecture> {
    let name = config.text("model_type")?;
    match MODEL_TYPES.iter().find(|(known, _)| *known == name) {
        Some((_, read)) => read(config),
        None => {
            let cause = format!("is `{name}`, an architecture that is not supported");
            let known = supported().collect::<Vec<_>>().join(", ");
            let hint = format!("supported are {known}, and the static models of sentence-transformers and model2vec");
            Err(config.unsupported("model_type", &cause, hint))
        }
    }
}

fn bert(config: &Fields) -> Result<Architecture> {
    if config.optional_text("position_embedding_type")? == Some("alibi") {
        return jina_bert(config);
    }
    learnt_positions(config, Family::Bert, 0, None)
}

fn roberta(config: &Fields) -> Result<Architecture> {
    let padding = config.optional_count("pad_token_id")?.unwrap_or(1);
    let Ok(id) = u32::try_from(padding) else { return Err(config.bad("pad_token_id", "is no token")) };
    learnt_positions(config, Family::Roberta, padding + 1, Some(id))
}

/// BERT and RoBERTa, which differ by the row of the first position.
fn learnt_positions(config: &Fields, family: Family, first: usize, padding: Option<u32>) -> Result<Architecture> {
    only(config, &[("position_embedding_type", &[json!("absolute")]), ("is_decoder", &[json!(false)])])?;
    let encoder = encoder(config, family, &USUAL, &[BERT])?;
    let positions = PositionTable { rows: encoder.longest, first, padding };
    Ok(Architecture::Encoder(Encoder {
        longest: positions.longest(config)?,
        positions: Some(positions),
        segments: positive(config, "type_vocab_size")?,
        ..encoder
    }))
}

fn distilbert(config: &Fields) -> Result<Architecture> {
    let encoder = encoder(config, Family::DistilBert, &OF_DISTILBERT, &[DISTILBERT])?;
    let positions = PositionTable { rows: encoder.longest, first: 0, padding: None };
    Ok(Architecture::Encoder(Encoder {
        positions: Some(positions),
        activation: hidden_activation(config, "activation")?,
        ..encoder
    }))
}

fn mpnet(config: &Fields) -> Result<Architecture> {
    let encoder = encoder(config, Family::MpNet, &USUAL, &[MPNET])?;
    // Its authors' code takes both numbers for granted, whatever the configuration says.
    only(config, &[("relative_attention_num_buckets", &[json!(32)])])?;
    let positions = PositionTable { rows: encoder.longest, first: 2, padding: Some(1) };
    Ok(Architecture::Encoder(Encoder {
        longest: positions.longest(config)?,
        positions: Some(positions),
        layers: vec![LayerAttention { window: None, distance: Distance::Buckets }; encoder.layers.len()],
        ..encoder
    }))
}

/// JinaBERT v2, by the configuration of jinaai/jina-bert-implementation.
fn jina_bert(config: &Fields) -> Result<Architecture> {
    let encoder = encoder(config, Family::JinaBert, &USUAL, &[JINA_BERT])?;
    only(config, &[("is_decoder", &[json!(false)])])?;
    let activation = match config.text("feed_forward_type")? {
        "geglu" => Activation::Gelu,
        "reglu" => Activation::Relu,
        other => {
            let cause = format!("is `{other}`, which is not supported beside ALiBi");
            return Err(config.unsupported("feed_forward_type", &cause, "supported are geglu and reglu"));
        }
    };
    Ok(Architecture::Encoder(Encoder {
        segments: config.optional_count("type_vocab_size")?.unwrap_or(2),
        layers: vec![LayerAttention { window: None, distance: Distance::Alibi }; encoder.layers.len()],
        activation,
        gated: true,
        biases: Biases { up: false, ..ALL },
        ..encoder
    }))
}

fn nomic_bert(config: &Fields) -> Result<Architecture> {
    // transformers 5 writes the usual names, and leaves out what its own class takes for granted.
    let published = config.get(OF_NOMIC_BERT.hidden).is_some();
    let fields = if published { &OF_NOMIC_BERT } else { &USUAL };
    let mut encoder = encoder(config, Family::NomicBert, fields, &[NOMIC_BERT, TRANSFORMERS_5])?;
    only(
        config,
        &[
            ("prenorm", &[json!(false)]),
            ("parallel_block", &[json!(false)]),
            ("causal", &[json!(false)]),
            ("use_rms_norm", &[json!(false)]),
            ("rotary_emb_interleaved", &[json!(false)]),
            ("rotary_emb_scale_base", &[]),
            ("rotary_scaling_factor", &[]),
            ("num_experts", &[json!(0)]),
            ("moe_every_n_layers", &[json!(0)]),
        ],
    )?;
    let fraction = config.optional_number("rotary_emb_fraction")?.unwrap_or(if published { 0.0 } else { 1.0 });
    let dimensions = (encoder.head_dim() as f64 * fraction) as usize;
    if dimensions == 0 || dimensions > encoder.head_dim() || !dimensions.is_multiple_of(2) {
        let cause = format!("is {fraction}, which does not turn an even part of a head of {}", encoder.head_dim());
        return Err(config.unsupported("rotary_emb_fraction", &cause, "choose another model"));
    }
    let theta = match config.optional_number("rotary_emb_base")? {
        Some(theta) => theta,
        None => plain_theta(config, 1000.0)?,
    };
    turned(&mut encoder, Rotary { theta, dimensions, stretch: None });
    let (up, down) = (config.flag("mlp_fc1_bias", published)?, config.flag("mlp_fc2_bias", published)?);
    let attention = config.flag("qkv_proj_bias", published)?;
    Ok(Architecture::Encoder(Encoder {
        segments: config.optional_count("type_vocab_size")?.unwrap_or(2),
        activation: if published { gate_activation(config)? } else { hidden_activation(config, "hidden_act")? },
        gated: true,
        biases: Biases { query_key_value: attention, output: attention, up, down },
        norm: Norm {
            epsilon: config.optional_number("layer_norm_epsilon")?.unwrap_or(encoder.norm.epsilon),
            ..encoder.norm
        },
        ..encoder
    }))
}

fn gate_activation(config: &Fields) -> Result<Activation> {
    match config.text("activation_function")? {
        "swiglu" => Ok(Activation::Silu),
        "geglu" => Ok(Activation::Gelu),
        other => {
            let cause = format!("is `{other}`, an activation that is not known");
            Err(config.unsupported("activation_function", &cause, "known are swiglu and geglu"))
        }
    }
}

fn modernbert(config: &Fields) -> Result<Architecture> {
    let encoder = encoder(config, Family::ModernBert, &USUAL, &[MODERNBERT])?;
    let window = config.optional_count("local_attention")?.unwrap_or(128) / 2;
    let theta = |kind: &str, older: &str, default: f64| match config.get("rope_parameters").map(|all| &all[kind]) {
        Some(rope) if !rope.is_null() => rope_theta(config, rope, default),
        _ => Ok(config.optional_number(older)?.unwrap_or(default)),
    };
    let dimensions = encoder.head_dim();
    let rotary = |theta| Distance::Rotary(Rotary { theta, dimensions, stretch: None });
    let global =
        LayerAttention { window: None, distance: rotary(theta("full_attention", "global_rope_theta", 160_000.0)?) };
    let local = LayerAttention {
        window: Some(window),
        distance: rotary(theta("sliding_attention", "local_rope_theta", 10_000.0)?),
    };
    let is_local = local_layers(config, encoder.layers.len())?;
    let attention = config.flag("attention_bias", false)?;
    let feed_forward = config.flag("mlp_bias", false)?;
    Ok(Architecture::Encoder(Encoder {
        layers: is_local.into_iter().map(|is_local| if is_local { local } else { global }).collect(),
        activation: hidden_activation(config, "hidden_activation")?,
        gated: true,
        biases: Biases { query_key_value: attention, output: attention, up: feed_forward, down: feed_forward },
        norm: Norm {
            placement: NormPlacement::Pre,
            bias: config.flag("norm_bias", false)?,
            epsilon: config.optional_number("norm_eps")?.unwrap_or(1e-5),
        },
        ..encoder
    }))
}

/// Which layers of a ModernBERT see a window only: those that `layer_types` names, or all but every n-th.
fn local_layers(config: &Fields, layers: usize) -> Result<Vec<bool>> {
    let Some(types) = config.get("layer_types") else {
        let every = config.optional_count("global_attn_every_n_layers")?.unwrap_or(3).max(1);
        return Ok((0..layers).map(|layer| !layer.is_multiple_of(every)).collect());
    };
    let is_local = |kind: &Value| match kind.as_str() {
        Some("sliding_attention") => Ok(true),
        Some("full_attention") => Ok(false),
        _ => Err(config.bad("layer_types", &format!("has {kind}, neither full_attention nor sliding_attention"))),
    };
    let types = types.as_array().map(Vec::as_slice).unwrap_or_default();
    if types.len() != layers {
        return Err(config.bad("layer_types", &format!("has {} entries for {layers} layers", types.len())));
    }
    types.iter().map(is_local).collect()
}

fn gte(config: &Fields) -> Result<Architecture> {
    let mut encoder = encoder(config, Family::Gte, &USUAL, &[GTE, GTE_APART, TRANSFORMERS_5])?;
    only(
        config,
        &[
            ("position_embedding_type", &[json!("rope")]),
            ("logn_attention_scale", &[json!(false)]),
            ("layer_norm_type", &[json!("layer_norm")]),
        ],
    )?;
    let theta = match config.optional_number("rope_theta")? {
        Some(theta) => theta,
        None => plain_theta(config, if config.text("model_type")? == "new" { 10_000.0 } else { 160_000.0 })?,
    };
    let dimensions = encoder.head_dim();
    turned(&mut encoder, Rotary { theta, dimensions, stretch: stretch(config)? });
    Ok(Architecture::Encoder(Encoder {
        segments: config.optional_count("type_vocab_size")?.unwrap_or(1),
        activation: hidden_activation(config, "hidden_act")?,
        gated: true,
        biases: Biases { up: false, ..ALL },
        ..encoder
    }))
}

/// GTE's `rope_scaling`.
fn stretch(config: &Fields) -> Result<Option<Stretch>> {
    let Some(scaling) = config.get("rope_scaling") else { return Ok(None) };
    match (scaling["type"].as_str(), scaling["factor"].as_f64()) {
        (Some("ntk"), Some(factor)) if factor > 0.0 => Ok(Some(Stretch { factor, mixed: scaling["mixed_b"].as_f64() })),
        _ => {
            let cause = format!("is {scaling}, a scaling that is not known");
            Err(config.unsupported("rope_scaling", &cause, "known is `ntk` with a `factor`"))
        }
    }
}

fn qwen3(config: &Fields) -> Result<Architecture> {
    only(config, &[("use_sliding_window", &[json!(false)]), ("hidden_act", &[json!("silu")]), ("rope_scaling", &[])])?;
    let hidden_size = positive(config, "hidden_size")?;
    let num_attention_heads = positive(config, "num_attention_heads")?;
    let head_dim = config.optional_count("head_dim")?.unwrap_or(128);
    let theta = match config.optional_number("rope_theta")? {
        Some(theta) => theta,
        None => plain_theta(config, 10_000.0)?,
    };
    let num_key_value_heads = positive(config, "num_key_value_heads")?;
    if !num_attention_heads.is_multiple_of(num_key_value_heads) {
        let cause = format!("is {num_key_value_heads}, which does not divide `num_attention_heads`");
        return Err(config.bad("num_key_value_heads", &cause));
    }
    Ok(Architecture::Qwen3(Qwen3 {
        vocab_size: positive(config, "vocab_size")?,
        hidden_size,
        intermediate_size: positive(config, "intermediate_size")?,
        num_hidden_layers: positive(config, "num_hidden_layers")?,
        num_attention_heads,
        num_key_value_heads,
        head_dim,
        attention_bias: config.flag("attention_bias", false)?,
        max_position_embeddings: positive(config, "max_position_embeddings")?,
        rope_theta: theta,
        rms_norm_eps: config.optional_number("rms_norm_eps")?.unwrap_or(1e-6),
    }))
}

const ALL: Biases = Biases { query_key_value: true, output: true, up: true, down: true };

/// What all of the family have, with BERT's choices for the rest.
fn encoder(
    config: &Fields,
    family: Family,
    fields: &'static SizeFields,
    layouts: &'static [Layout],
) -> Result<Encoder> {
    let vocab_size = positive(config, "vocab_size")?;
    let (hidden_size, heads) = (positive(config, fields.hidden)?, positive(config, fields.heads)?);
    if !hidden_size.is_multiple_of(heads) {
        let cause = format!("is {heads}, which does not divide `{}`, {hidden_size}", fields.hidden);
        return Err(config.bad(fields.heads, &cause));
    }
    let of_bert = matches!(family, Family::Bert | Family::Roberta | Family::MpNet);
    Ok(Encoder {
        family,
        fields,
        vocab_size,
        hidden_size,
        heads,
        inner_size: positive(config, fields.inner)?,
        longest: positive(config, fields.positions)?,
        positions: None,
        segments: 0,
        layers: vec![LayerAttention { window: None, distance: Distance::Ignored }; positive(config, fields.layers)?],
        norm: Norm {
            placement: NormPlacement::Post,
            bias: true,
            epsilon: config.optional_number("layer_norm_eps")?.unwrap_or(1e-12),
        },
        activation: if of_bert { hidden_activation(config, "hidden_act")? } else { Activation::Gelu },
        gated: false,
        biases: ALL,
        layouts,
    })
}

impl PositionTable {
    /// Tokens that there are rows for.
    fn longest(self, config: &Fields) -> Result<usize> {
        match self.rows.checked_sub(self.first) {
            Some(longest @ 3..) => Ok(longest),
            _ => {
                let cause = format!("is {}, of which the first {} rows are no text's", self.rows, self.first);
                Err(config.bad(USUAL.positions, &cause))
            }
        }
    }
}

/// Gives every layer the same rotary positions.
fn turned(encoder: &mut Encoder, rotary: Rotary) {
    encoder.layers.fill(LayerAttention { window: None, distance: Distance::Rotary(rotary) });
}

/// The base of `rope_parameters`, as transformers 5 writes it.
fn plain_theta(config: &Fields, default: f64) -> Result<f64> {
    config.get("rope_parameters").map_or(Ok(default), |rope| rope_theta(config, rope, default))
}

fn rope_theta(config: &Fields, rope: &Value, default: f64) -> Result<f64> {
    match rope["rope_type"].as_str() {
        None | Some("default") => Ok(rope["rope_theta"].as_f64().unwrap_or(default)),
        Some(other) => {
            let cause = format!("has the type `{other}`; only `default` is supported");
            Err(config.unsupported("rope_parameters", &cause, "choose another model"))
        }
    }
}

/// Refuses fields that change the computation, unless they are absent or have a value that is computed.
pub(super) fn only(config: &Fields, fields: &[(&str, &[Value])]) -> Result<()> {
    for (field, computed) in fields {
        let Some(value) = config.get(field).filter(|value| !computed.contains(value)) else { continue };
        let value = value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`"));
        let known: Vec<String> = computed.iter().map(Value::to_string).collect();
        let cause = match known.is_empty() {
            true => format!("is {value}, which is not supported"),
            false => format!("is {value}; only {} is supported", known.join(" or ")),
        };
        return Err(config.unsupported(field, &cause, "choose another model"));
    }
    Ok(())
}

fn positive(config: &Fields, field: &str) -> Result<usize> {
    match config.count(field)? {
        0 => Err(config.bad(field, "is 0")),
        count => Ok(count),
    }
}

/// `gelu` is the exact form in transformers; the approximation has names of its own.
pub(super) fn hidden_activation(config: &Fields, field: &str) -> Result<Activation> {
    match config.text(field)? {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "silu" | "swish" => Ok(Activation::Silu),
        other => {
            let hint = "known are gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu, silu and swish";
            Err(config.unsupported(field, &format!("is `{other}`, an activation that is not known"), hint))
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
        check(&config(2, "mish"), "`hidden_act`: is `mish`");
    }
}
