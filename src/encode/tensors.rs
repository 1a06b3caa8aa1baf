//! Which tensors an encoder needs, with their shapes: all checked against the file before any is loaded.
//!
//! Checkpoints name and cut tensors in many ways; what comes out is the same for all: queries, keys and values in one
//! map, the gate apart from what it gates, a shift of zeros where a norm has none, no heads that are never listened to.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::error::{Error, Problem, Result};
use crate::models::{Encoder, Layout, NormPlacement, Rows, Up, Weights};

/// A tensor that must be there.
struct Needed {
    name: String,
    shape: Vec<usize>,
    /// The fields of `config.json` that its shape follows from.
    fields: String,
}

/// The tensors of an encoder, of which every shape is right.
pub(super) struct EncoderTensors<'a> {
    weights: &'a Weights,
    encoder: &'a Encoder,
    layout: &'static Layout,
    prefix: &'static str,
}

/// A linear map: a row of inputs for each output.
pub(super) struct Linear {
    pub(super) weight: Rows,
    pub(super) bias: Option<Vec<f32>>,
}

/// Scale and shift of a norm.
pub(super) struct Norm {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

/// The tensors of one layer.
pub(super) struct Layer {
    /// Heads of attention that queries, keys, values and the map after them have.
    pub(super) n_heads: usize,
    pub(super) query_key_value: Linear,
    pub(super) output: Linear,
    /// `None` where the first layer has none.
    pub(super) attention_norm: Option<Norm>,
    pub(super) gate: Option<Linear>,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) feed_forward_norm: Norm,
}

/// Buffers that older checkpoints carry although they follow from the configuration.
const DERIVED: [&str; 2] = ["inv_freq", "position_ids"];

impl<'a> EncoderTensors<'a> {
    /// Finds out how the file names its tensors, and checks every shape.
    pub(super) fn open(weights: &'a Weights, encoder: &'a Encoder) -> Result<Self> {
        let (layout, prefix) = find_layout(weights, encoder);
        let tensors = Self { weights, encoder, layout, prefix };
        let needed = tensors.needed();
        needed.iter().try_for_each(|tensor| tensors.check(tensor))?;
        tensors.refuse_others(&needed)?;
        Ok(tensors)
    }

    /// Whether the maps of all layers are rows of 8 bits.
    pub(super) fn maps_are_int8(&self) -> bool {
        let needed = self.needed();
        let is_map = |needed: &&Needed| needed.shape.len() == 2 && needed.name.starts_with(self.layout.layer);
        let mut maps = needed.iter().filter(is_map).peekable();
        maps.peek().is_some() && maps.all(|map| self.weights.stays_int8(&format!("{}{}", self.prefix, map.name)))
    }

    /// Which of the encoder's layouts the file has.
    pub(super) fn layout(&self) -> &'static Layout {
        self.layout
    }

    /// The name of every tensor without the file's prefix, and its shape.
    pub(super) fn names(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.needed().into_iter().map(|needed| (needed.name, needed.shape))
    }

    /// A tensor by its name without the file's prefix.
    pub(super) fn load(&self, name: &str) -> Result<Vec<f32>> {
        self.weights.f32(&format!("{}{name}", self.prefix))
    }

    /// The table of tokens, to which the first segment is added where no table of positions could take it.
    pub(super) fn words(&self) -> Result<Rows> {
        let name = format!("{}{}.weight", self.prefix, self.layout.words);
        if self.encoder.positions.is_some() || self.encoder.segments == 0 {
            return self.weights.rows(&name);
        }
        self.with_segment(self.weights.f32(&name)?).map(Rows::F32)
    }

    /// The table of positions with the first segment added to each; `None` where there is none.
    pub(super) fn positions(&self) -> Result<Option<Vec<f32>>> {
        if self.encoder.positions.is_none() {
            return Ok(None);
        }
        let positions = self.load(&format!("{}.weight", self.layout.positions))?;
        self.with_segment(positions).map(Some)
    }

    fn with_segment(&self, mut rows: Vec<f32>) -> Result<Vec<f32>> {
        if self.encoder.segments > 0 {
            let segments = self.load(&format!("{}.weight", self.layout.segments))?;
            for row in rows.chunks_exact_mut(self.encoder.hidden_size) {
                row.iter_mut().zip(&segments).for_each(|(number, segment)| *number += segment);
            }
        }
        Ok(rows)
    }

    /// The norm after the tables.
    pub(super) fn embedding_norm(&self) -> Result<Norm> {
        self.norm(self.layout.norm)
    }

    /// The norm after the last layer; `None` where there is none.
    pub(super) fn final_norm(&self) -> Result<Option<Norm>> {
        match self.encoder.norm.placement {
            NormPlacement::Pre => self.norm(self.layout.final_norm).map(Some),
            NormPlacement::Post => Ok(None),
        }
    }

    /// The biases of distances: a row for each bucket, a number for each head.
    pub(super) fn distance_buckets(&self) -> Result<Vec<f32>> {
        self.load(&format!("{}.weight", self.layout.distance_buckets))
    }

    /// The tensors of layer `number`.
    pub(super) fn layer(&self, number: usize) -> Result<Layer> {
        let (layout, biases) = (self.layout, self.encoder.biases);
        let name = |part: &str| layer_name(layout, number, part);
        let maps = layout.query_key_value.iter().map(|part| self.linear(&name(part), biases.query_key_value));
        let (gate, up) = match layout.up {
            Up::Plain(up) => (None, self.linear(&name(up), biases.up)?),
            Up::Apart { gate, up } => (Some(self.linear(&name(gate), biases.up)?), self.linear(&name(up), biases.up)?),
            Up::Fused { name: both, gate_first } => {
                let (first, second) = self.linear(&name(both), biases.up)?.halves();
                if gate_first { (Some(first), second) } else { (Some(second), first) }
            }
        };
        let has_attention_norm = number > 0 || self.encoder.norm.placement == NormPlacement::Post;
        let layer = Layer {
            n_heads: self.encoder.heads,
            query_key_value: Linear::concat(maps.collect::<Result<_>>()?),
            output: self.linear(&name(layout.output), biases.output)?,
            attention_norm: has_attention_norm.then(|| self.norm(&name(layout.attention_norm))).transpose()?,
            gate,
            up,
            down: self.linear(&name(layout.down), biases.down)?,
            feed_forward_norm: self.norm(&name(layout.feed_forward_norm))?,
        };
        // A bias of distances belongs to a head by its number.
        let keeps_all = self.encoder.layers[number].distance.has_bias();
        Ok(if keeps_all { layer } else { layer.without_idle_heads(self.encoder.head_dim()) })
    }

    fn linear(&self, name: &str, bias: bool) -> Result<Linear> {
        let bias = bias.then(|| self.load(&format!("{name}.bias"))).transpose()?;
        let weight = self.weights.rows(&format!("{}{name}.weight", self.prefix))?;
        Ok(Linear { weight, bias })
    }

    fn norm(&self, name: &str) -> Result<Norm> {
        let scale = self.load(&format!("{name}.weight"))?;
        let shift = if self.encoder.norm.bias { self.load(&format!("{name}.bias"))? } else { vec![0.0; scale.len()] };
        Ok(Norm { scale, shift })
    }

    fn needed(&self) -> Vec<Needed> {
        let (encoder, layout) = (self.encoder, self.layout);
        let mut list = NeededList { encoder, list: Vec::new() };
        list.table(layout.words, encoder.vocab_size, encoder.hidden_size, "vocab_size");
        if let Some(positions) = encoder.positions {
            list.table(layout.positions, positions.rows, encoder.hidden_size, encoder.fields.positions);
        }
        if encoder.segments > 0 {
            list.table(layout.segments, encoder.segments, encoder.hidden_size, "type_vocab_size");
        }
        if !layout.distance_buckets.is_empty() {
            let fields = "relative_attention_num_buckets";
            list.table(layout.distance_buckets, super::packed::DISTANCE_BUCKETS, encoder.heads, fields);
        }
        list.norm(layout.norm);
        for number in 0..encoder.layers.len() {
            list.layer(layout, number);
        }
        if encoder.norm.placement == NormPlacement::Pre {
            list.norm(layout.final_norm);
        }
        list.list
    }

    fn check(&self, needed: &Needed) -> Result<()> {
        let name = format!("{}{}", self.prefix, needed.name);
        let fields = &needed.fields;
        let cause = match self.weights.shape(&name) {
            Some(shape) if shape == needed.shape => return Ok(()),
            Some(shape) => {
                format!("has the shape {shape:?}, but {fields} in `config.json` make it {:?}", needed.shape)
            }
            None => {
                let layers = self.encoder.fields.layers;
                format!("is missing, but {fields} and `{layers}` in `config.json` ask for it")
            }
        };
        Err(disagreement(self.weights, &name, cause))
    }

    /// Whether a tensor is the scales of 8-bit rows that the network needs.
    fn scales_a_known_one(&self, name: &str, known: &BTreeSet<&str>) -> bool {
        let scaled = name.strip_suffix("scale").map(|start| format!("{start}weight"));
        scaled.is_some_and(|name| known.contains(&name[self.prefix.len()..]) && self.weights.is_int8(&name))
    }

    /// A tensor in a layer, or a whole layer, that the configuration does not account for would silently make another
    /// model.
    fn refuse_others(&self, needed: &[Needed]) -> Result<()> {
        let known: BTreeSet<&str> = needed.iter().map(|needed| needed.name.as_str()).collect();
        let layers = format!("{}{}", self.prefix, self.layout.layer);
        for name in self.weights.names().filter(|name| name.starts_with(&layers)) {
            let is_known = known.contains(&name[self.prefix.len()..]) || self.scales_a_known_one(name, &known);
            if is_known || DERIVED.iter().any(|ending| name.ends_with(ending)) {
                continue;
            }
            let (number, count) = (name[layers.len()..].split('.').next(), self.encoder.layers.len());
            let cause = match number.and_then(|number| number.parse::<usize>().ok()) {
                Some(number) if number >= count => {
                    let field = self.encoder.fields.layers;
                    format!("is of layer {number}, but `{field}` in `config.json` is {count}")
                }
                _ => "is no part of the network that `config.json` describes".to_owned(),
            };
            return Err(disagreement(self.weights, name, cause));
        }
        Ok(())
    }
}

impl Layer {
    /// Leaves out heads of `dim` numbers to which the map after attention gives no weight at all, but one where that is all of
    /// them. Whoever drops heads of a trained network (`narrow.py --heads`) leaves zeros there, so that the shapes stay those
    /// that every reader knows.
    fn without_idle_heads(mut self, dim: usize) -> Self {
        let (n_heads, width) = (self.n_heads, self.n_heads * dim);
        let columns = |head: usize| head * dim..(head + 1) * dim;
        let is_used = |&head: &usize| !self.output.weight.are_zero_in(width, columns(head));
        let mut used: Vec<usize> = (0..n_heads).filter(is_used).collect();
        if used.is_empty() {
            used.push(0);
        }
        if used.len() == n_heads {
            return self;
        }
        let of_part = |part: usize| used.iter().map(move |&head| columns(part * n_heads + head));
        self.output.weight = self.output.weight.keep_columns(width, &of_part(0).collect::<Vec<_>>());
        self.query_key_value =
            self.query_key_value.keep_outputs(&(0..3).flat_map(of_part).collect::<Vec<_>>(), 3 * width);
        self.n_heads = used.len();
        self
    }
}

impl Linear {
    /// Some of `n_outputs` outputs.
    fn keep_outputs(self, kept: &[Range<usize>], n_outputs: usize) -> Self {
        let of_bias = |bias: Vec<f32>| kept.iter().flat_map(|outputs| bias[outputs.clone()].to_vec()).collect();
        let n_inputs = self.weight.count() / n_outputs;
        Self { weight: self.weight.keep_rows(n_inputs, kept), bias: self.bias.map(of_bias) }
    }

    fn concat(parts: Vec<Self>) -> Self {
        let biases: Option<Vec<Vec<f32>>> = parts.iter().map(|part| part.bias.clone()).collect();
        let weight = Rows::concat(parts.into_iter().map(|part| part.weight).collect());
        Self { weight, bias: biases.map(|biases| biases.concat()) }
    }

    /// The first and the second half of the outputs.
    fn halves(mut self) -> (Self, Self) {
        let second_bias = self.bias.as_mut().map(|bias| bias.split_off(bias.len() / 2));
        let (weight, second) = self.weight.halves();
        (Self { weight, ..self }, Self { weight: second, bias: second_bias })
    }
}

/// What an encoder needs, as it is listed.
struct NeededList<'a> {
    encoder: &'a Encoder,
    list: Vec<Needed>,
}

impl NeededList<'_> {
    fn table(&mut self, name: &str, rows: usize, width: usize, field: &str) {
        let fields = format!("`{field}` and `{}`", self.encoder.fields.hidden);
        self.list.push(Needed { name: format!("{name}.weight"), shape: vec![rows, width], fields });
    }

    fn norm(&mut self, name: &str) {
        let kinds = if self.encoder.norm.bias { &["weight", "bias"][..] } else { &["weight"] };
        for kind in kinds {
            let fields = format!("`{}`", self.encoder.fields.hidden);
            let shape = vec![self.encoder.hidden_size];
            self.list.push(Needed { name: format!("{name}.{kind}"), shape, fields });
        }
    }

    fn linear(&mut self, name: &str, (outputs, inputs): (usize, usize), bias: bool) {
        let fields = format!("`{}` and `{}`", self.encoder.fields.hidden, self.encoder.fields.inner);
        let (weight, shape) = (format!("{name}.weight"), vec![outputs, inputs]);
        self.list.push(Needed { name: weight, shape, fields: fields.clone() });
        if bias {
            self.list.push(Needed { name: format!("{name}.bias"), shape: vec![outputs], fields });
        }
    }

    fn layer(&mut self, layout: &Layout, number: usize) {
        let (hidden, inner, biases) = (self.encoder.hidden_size, self.encoder.inner_size, self.encoder.biases);
        let name = |part: &str| layer_name(layout, number, part);
        for part in layout.query_key_value {
            let outputs = 3 * hidden / layout.query_key_value.len();
            self.linear(&name(part), (outputs, hidden), biases.query_key_value);
        }
        self.linear(&name(layout.output), (hidden, hidden), biases.output);
        match layout.up {
            Up::Plain(up) => self.linear(&name(up), (inner, hidden), biases.up),
            Up::Fused { name: both, .. } => self.linear(&name(both), (2 * inner, hidden), biases.up),
            Up::Apart { gate, up } => {
                self.linear(&name(gate), (inner, hidden), biases.up);
                self.linear(&name(up), (inner, hidden), biases.up);
            }
        }
        self.linear(&name(layout.down), (hidden, inner), biases.down);
        if number > 0 || self.encoder.norm.placement == NormPlacement::Post {
            self.norm(&name(layout.attention_norm));
        }
        self.norm(&name(layout.feed_forward_norm));
    }
}

fn layer_name(layout: &Layout, number: usize, part: &str) -> String {
    format!("{}{number}.{part}", layout.layer)
}

/// The layout and the prefix under which the file has tokens and a first layer; the first ones where it has neither.
fn find_layout(weights: &Weights, encoder: &Encoder) -> (&'static Layout, &'static str) {
    let places = encoder.layouts.iter().flat_map(|layout| layout.prefixes.iter().map(move |&prefix| (layout, prefix)));
    let is_there = |&(layout, prefix): &(&'static Layout, &'static str)| {
        let query = layer_name(layout, 0, layout.query_key_value[0]);
        weights.contains(&format!("{prefix}{}.weight", layout.words))
            && weights.contains(&format!("{prefix}{query}.weight"))
    };
    let has_words = |&(layout, prefix): &(&'static Layout, &'static str)| {
        weights.contains(&format!("{prefix}{}.weight", layout.words))
    };
    let mut places: Vec<_> = places.collect();
    // What has a first layer comes before what has only the tokens.
    places.sort_by_key(|place| (!is_there(place), !has_words(place)));
    places.first().copied().unwrap_or((&encoder.layouts[0], ""))
}

fn disagreement(weights: &Weights, name: &str, cause: String) -> Error {
    let thing = format!("{}: tensor `{name}`", weights.label(name));
    Error::Model(Problem::new(thing, cause).hint("fetch the model again: its files do not belong together"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_without_weight_are_left_out() {
        let linear = |weight: Vec<f32>, bias: Vec<f32>| Linear { weight: Rows::F32(weight), bias: Some(bias) };
        let norm = || Norm { scale: vec![1.0; 2], shift: vec![0.0; 2] };
        // Two heads of one number each. A row of the first map has the number of its query, key or value, 0 to 5.
        let layer = |output: [f32; 4]| Layer {
            n_heads: 2,
            query_key_value: linear(
                (0..6).flat_map(|row| [row as f32; 2]).collect(),
                (0..6).map(|n| n as f32).collect(),
            ),
            output: linear(output.to_vec(), vec![7.0; 2]),
            attention_norm: Some(norm()),
            gate: None,
            up: linear(vec![1.0; 4], vec![0.0; 2]),
            down: linear(vec![1.0; 4], vec![0.0; 2]),
            feed_forward_norm: norm(),
        };
        let kept = layer([0.0, 3.0, 0.0, 4.0]).without_idle_heads(1);
        assert_eq!((kept.n_heads, kept.query_key_value.bias.as_deref()), (1, Some(&[1.0, 3.0, 5.0][..])));
        assert_eq!(kept.query_key_value.weight.into_f32(), [1.0, 1.0, 3.0, 3.0, 5.0, 5.0]);
        assert_eq!(kept.output.weight.into_f32(), [3.0, 4.0]);
        // A column that is not all zeros is used; where none is, a head is left that adds nothing.
        assert_eq!(layer([0.0, 3.0, 1.0, 4.0]).without_idle_heads(1).n_heads, 2);
        assert_eq!(layer([0.0; 4]).without_idle_heads(1).n_heads, 1);
    }
}
