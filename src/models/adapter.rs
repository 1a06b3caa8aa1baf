//! Adapters: a few weights that were learnt on top of a model, put on it when it is loaded.
//!
//! PEFT's LoRA is added to the tensors that it adapts. A bottleneck of the `adapters` library (SPECTER2's) becomes a
//! part of the layers: `norm(up(f(down(norm(h + x)))) + h + x)`, with `h` the feed-forward part's result and `x` its input.
//! Both formats are those that the libraries document: huggingface.co/docs/peft and docs.adapterhub.ml.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::error::{Error, Problem, Result};
use crate::models::architecture::{hidden_activation, only};
use crate::models::description::{Body, Description};
use crate::models::fields::Fields;
use crate::models::network::{Activation, Architecture, NormPlacement};
use crate::models::read::{read_pickle, required_fields};
use crate::models::source::Reader;
use crate::models::weights::{LowRank, Weights};

/// A bottleneck after the feed-forward part of each layer.
#[derive(Debug)]
pub struct Bottleneck {
    /// Applied between the two maps.
    pub activation: Activation,
    /// What the result is multiplied with before it is added.
    pub scale: f32,
    /// Numbers between the two maps.
    pub size: usize,
    /// For each layer the name before `adapter_down` and `adapter_up`; `None` where a layer has none.
    layers: Vec<Option<String>>,
    weights: Weights,
}

/// The tensors of a bottleneck in one layer.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BottleneckLayer {
    pub down: Vec<f32>,
    pub down_bias: Vec<f32>,
    pub up: Vec<f32>,
    pub up_bias: Vec<f32>,
}

const CONFIG: &str = "adapter_config.json";

/// Reads an adapter and puts it on a model, of which `weights` are changed where it is merged.
pub(super) fn apply(
    reader: &mut Reader<'_>,
    description: &Description,
    weights: &mut Weights,
) -> Result<Option<Bottleneck>> {
    let config = required_fields(reader, CONFIG)?;
    match config.optional_text("peft_type")? {
        Some("LORA") => low_rank(reader, &config, weights).map(|()| None),
        Some(other) => {
            let cause = format!("is `{other}`, a kind of adapter that is not known");
            Err(config.unsupported("peft_type", &cause, "known are LORA, and bottlenecks of the adapters library"))
        }
        None => bottleneck(reader, &config, description).map(Some),
    }
}

fn low_rank(reader: &mut Reader<'_>, config: &Fields, weights: &mut Weights) -> Result<()> {
    only(
        config,
        &[
            ("use_dora", &[json!(false)]),
            ("fan_in_fan_out", &[json!(false)]),
            ("bias", &[json!("none")]),
            ("lora_bias", &[json!(false)]),
            ("rank_pattern", &[json!({})]),
            ("alpha_pattern", &[json!({})]),
            ("modules_to_save", &[json!([])]),
        ],
    )?;
    let rank = config.count("r")?;
    let alpha = config.optional_number("lora_alpha")?.unwrap_or(8.0);
    if rank == 0 {
        return Err(config.bad("r", "is 0"));
    }
    let divisor = if config.flag("use_rslora", false)? { (rank as f64).sqrt() } else { rank as f64 };
    let adapter = adapter_weights(reader, "adapter_model.safetensors", "adapter_model.bin")?;
    let mut adapted = BTreeSet::new();
    for name in adapter.names() {
        match name.strip_suffix(".lora_A.weight").or_else(|| name.strip_suffix(".lora_B.weight")) {
            Some(module) => drop(adapted.insert(module)),
            None => return Err(adapter.bad_tensor(name, "is no part of a LoRA that is understood")),
        }
    }
    for module in adapted {
        let (down, up) = (format!("{module}.lora_A.weight"), format!("{module}.lora_B.weight"));
        let name = adapted_tensor(weights, &adapter, module)?;
        let expected = match weights.shape(&name) {
            Some(&[outputs, inputs]) => [vec![rank, inputs], vec![outputs, rank]],
            _ => return Err(adapter.bad_tensor(&down, &format!("adapts `{name}`, which is no linear map"))),
        };
        for (tensor, shape) in [&down, &up].into_iter().zip(&expected) {
            if adapter.shape(tensor) != Some(shape) {
                let found = adapter.shape(tensor);
                let cause = format!("has the shape {found:?}, but `r` and `{name}` make it {shape:?}");
                return Err(adapter.bad_tensor(tensor, &cause));
            }
        }
        let scale = (alpha / divisor) as f32;
        weights.update(name, LowRank { down: adapter.f32(&down)?, up: adapter.f32(&up)?, rank, scale });
    }
    Ok(())
}

/// The tensor of the model that a module of the adapter stands for: either may have a prefix that the other lacks.
fn adapted_tensor(weights: &Weights, adapter: &Weights, module: &str) -> Result<String> {
    let module_name = module.strip_prefix("base_model.model.").unwrap_or(module);
    let name = format!("{module_name}.weight");
    let fits =
        |known: &&str| *known == name || known.ends_with(&format!(".{name}")) || name.ends_with(&format!(".{known}"));
    let found: Vec<&str> = weights.names().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        _ => {
            let cause = format!("adapts `{module_name}`, which stands for {} tensors of the model", found.len());
            Err(adapter.bad_tensor(&format!("{module}.lora_A.weight"), &cause))
        }
    }
}

fn bottleneck(reader: &mut Reader<'_>, config: &Fields, description: &Description) -> Result<Bottleneck> {
    let settings = config.nested("config")?;
    let (yes, no) = ([json!(true)], [json!(false)]);
    only(
        &settings,
        &[
            ("architecture", &[]),
            ("mh_adapter", &no),
            ("output_adapter", &yes),
            ("original_ln_before", &yes),
            ("original_ln_after", &yes),
            ("residual_before_ln", &yes),
            ("adapter_residual_before_ln", &no),
            ("ln_before", &no),
            ("ln_after", &no),
            ("is_parallel", &no),
            ("phm_layer", &no),
            ("use_gating", &no),
            ("cross_adapter", &no),
            ("inv_adapter", &[]),
        ],
    )?;
    let encoder = match &description.body {
        Body::Transformer { architecture: Architecture::Encoder(encoder), .. }
            if encoder.norm.placement == NormPlacement::Post =>
        {
            encoder
        }
        _ => {
            let problem = Problem::new(reader.label(CONFIG), "is for a model that normalises after each part");
            return Err(Error::Model(problem.hint("take the adapter of this model")));
        }
    };
    let scale = settings.optional_number("scaling")?.unwrap_or(1.0) as f32;
    let activation = hidden_activation(&settings, "non_linearity")?;
    let weights = adapter_weights(reader, "adapter.safetensors", "pytorch_adapter.bin")?;
    let layers = places(&weights, encoder.layers.len())?;
    let size = size_of(&settings, &weights, &layers, encoder.hidden_size)?;
    Ok(Bottleneck { activation, scale, size, layers, weights })
}

/// Numbers inside the bottleneck, which every layer must have alike.
fn size_of(settings: &Fields, weights: &Weights, layers: &[Option<String>], hidden: usize) -> Result<usize> {
    let left_out = |layer: usize| match settings.get("leave_out") {
        Some(Value::Array(layers)) => layers.contains(&json!(layer)),
        _ => false,
    };
    let mut size = None;
    for (layer, place) in layers.iter().enumerate() {
        let Some(place) = place else {
            if left_out(layer) {
                continue;
            }
            return Err(
                settings.bad("leave_out", &format!("does not name layer {layer}, for which there is no tensor"))
            );
        };
        let found = weights.shape(&format!("{place}adapter_down.0.weight")).and_then(|shape| shape.first().copied());
        let size = *size.get_or_insert(found.unwrap_or(0));
        for (part, shape) in [
            ("adapter_down.0.weight", vec![size, hidden]),
            ("adapter_down.0.bias", vec![size]),
            ("adapter_up.weight", vec![hidden, size]),
            ("adapter_up.bias", vec![hidden]),
        ] {
            let name = format!("{place}{part}");
            if size == 0 || weights.shape(&name) != Some(&shape) {
                let cause = format!("has not the shape {shape:?} that the model and `reduction_factor` make it");
                return Err(weights.bad_tensor(&name, &cause));
            }
        }
    }
    size.ok_or_else(|| settings.bad("leave_out", "leaves out every layer"))
}

/// Where each layer's tensors are. What is no part of an output's bottleneck is refused.
fn places(weights: &Weights, layers: usize) -> Result<Vec<Option<String>>> {
    let mut places: BTreeMap<usize, String> = BTreeMap::new();
    for name in weights.names() {
        let place = ["adapter_down.0.weight", "adapter_down.0.bias", "adapter_up.weight", "adapter_up.bias"]
            .into_iter()
            .find_map(|part| name.strip_suffix(part));
        let after_layer = |place: &str| {
            let (_, rest) = place.split_once("layer.")?;
            let (number, rest) = rest.split_once('.')?;
            rest.starts_with("output.").then(|| number.parse::<usize>().ok())?
        };
        match place.and_then(|place| Some((after_layer(place)?, place))) {
            Some((layer, place)) if layer < layers => drop(places.insert(layer, place.to_owned())),
            _ => return Err(weights.bad_tensor(name, "is no part of the model's layers that is understood")),
        }
    }
    Ok((0..layers).map(|layer| places.remove(&layer)).collect())
}

fn adapter_weights(reader: &mut Reader<'_>, file: &str, pickle: &str) -> Result<Weights> {
    if let Some(bytes) = reader.optional(file)? {
        return Weights::open(vec![(reader.label(file), bytes)]);
    }
    if reader.has(pickle)? {
        return read_pickle(reader, pickle);
    }
    reader.required(file)?;
    Weights::open(Vec::new())
}

impl Bottleneck {
    /// The tensors of layer `number`; `None` where it has none.
    ///
    /// # Errors
    /// [`Error::Model`] where they hold no numbers.
    pub fn layer(&self, number: usize) -> Result<Option<BottleneckLayer>> {
        let Some(Some(place)) = self.layers.get(number) else { return Ok(None) };
        let load = |part: &str| self.weights.f32(&format!("{place}{part}"));
        let scaled = |part: &str| {
            let mut values = load(part)?;
            values.iter_mut().for_each(|value| *value *= self.scale);
            Ok::<_, Error>(values)
        };
        Ok(Some(BottleneckLayer {
            down: load("adapter_down.0.weight")?,
            down_bias: load("adapter_down.0.bias")?,
            up: scaled("adapter_up.weight")?,
            up_bias: scaled("adapter_up.bias")?,
        }))
    }
}
