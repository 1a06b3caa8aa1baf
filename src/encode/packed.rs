//! The packed engine: encoders of the BERT family on the kernels of this crate, without a padded token.
//!
//! Sequences lie end to end; products see all their tokens as one matrix, attention sees each sequence alone, so a
//! text's vector does not depend on its batch. What a network is and in which order its parts are computed stands here
//! and in `pass`, once; what the parts are computed with is a [`Machine`]: the processor, or a CUDA device.

#[cfg_attr(not(feature = "cuda"), path = "packed/no_cuda.rs")]
pub(super) mod cuda;
mod operations;
mod pass;
mod processor;

pub(super) use processor::Packed;

use crate::encode::tensors::{self, EncoderTensors};
use crate::error::{Error, Problem, Result};
use crate::kernel::{self, Mask};
use crate::models::{
    self, Activation, Distance, Encoder, LayerAttention, ModelFolder, NormPlacement, PositionTable, Rotary, Rows,
};

/// Rows of a table of biases by distance, and the distance from which the outermost row is taken: MPNet's constants.
pub(super) const DISTANCE_BUCKETS: usize = 32;
const FARTHEST_BUCKET: f64 = 128.0;

/// Whether the products of a model are stored as weights of 8 bits, all of them.
///
/// # Errors
/// As for loading it.
pub(super) fn stored_in_int8(model: &ModelFolder, encoder: &Encoder) -> Result<bool> {
    Ok(model.bottleneck.is_none() && EncoderTensors::open(&model.weights, encoder)?.maps_are_int8())
}

/// What holds the weights of a network in the form that its kernels read.
trait Machine {
    /// A linear map.
    type Linear;
    /// The maps of a feed-forward part.
    type FeedForward;
    /// Scale, shift and guard of a layer norm.
    type Norm;
    /// A table that rows are taken from.
    type Table;
    /// The angles of rotary positions.
    type Rotary;
    /// What attention adds by head and distance.
    type Bias;

    fn linear(&self, weight: Rows, n_in: usize, bias: Option<&[f32]>) -> Result<Self::Linear>;
    /// Of maps between `hidden` numbers and `inner` ones.
    fn feed_forward(&self, maps: Maps<tensors::Linear>, hidden: usize, inner: usize) -> Result<Self::FeedForward>;
    fn norm(&self, norm: tensors::Norm, epsilon: f32) -> Result<Self::Norm>;
    fn table(&self, rows: Rows) -> Result<Self::Table>;
    fn rotary(&self, longest: usize, frequencies: &[f32]) -> Result<Self::Rotary>;
    fn bias(&self, bias: kernel::DistanceBias) -> Result<Self::Bias>;
}

/// A transformer with its weights on a machine.
struct Network<M: Machine> {
    hidden: usize,
    head_dim: usize,
    activation: kernel::Activation,
    placement: NormPlacement,
    words: M::Table,
    positions: Option<Positions<M>>,
    embedding_norm: M::Norm,
    /// The bias of all layers, where distances make one.
    bias: Option<M::Bias>,
    /// The angles of layers; a layer names one by its place.
    rotaries: Vec<M::Rotary>,
    layers: Vec<Layer<M>>,
    final_norm: Option<M::Norm>,
}

struct Positions<M: Machine> {
    table: PositionTable,
    /// Row `p` is the sum of position `p` and the first segment.
    rows: M::Table,
}

struct Layer<M: Machine> {
    n_heads: usize,
    mask: Mask,
    rotary: Option<usize>,
    query_key_value: M::Linear,
    output: M::Linear,
    attention_norm: Option<M::Norm>,
    feed_forward: M::FeedForward,
    feed_forward_norm: M::Norm,
    bottleneck: Option<Bottleneck<M>>,
}

/// What an adapter adds after the feed-forward part.
struct Bottleneck<M: Machine> {
    activation: kernel::Activation,
    maps: M::FeedForward,
}

/// Out to the inner numbers, gated or not, and back.
struct Maps<L> {
    gate: Option<L>,
    up: L,
    down: L,
}

impl Maps<tensors::Linear> {
    /// Each as a linear map of the machine.
    fn each_on<M: Machine>(self, machine: &M, hidden: usize, inner: usize) -> Result<Maps<M::Linear>> {
        let on = |map: tensors::Linear, n_in| machine.linear(map.weight, n_in, map.bias.as_deref());
        Ok(Maps {
            gate: self.gate.map(|gate| on(gate, hidden)).transpose()?,
            up: on(self.up, hidden)?,
            down: on(self.down, inner)?,
        })
    }
}

impl<M: Machine> Network<M> {
    /// Loads the weights of a transformer, checking every shape first.
    fn load(machine: &M, model: &ModelFolder, encoder: &Encoder) -> Result<Self> {
        let tensors = EncoderTensors::open(&model.weights, encoder)?;
        let activation = activation(encoder.activation)?;
        let angles = distinct_angles(encoder);
        let loading = Loading { machine, encoder, angles: &angles };
        let norm = |norm| loading.norm(norm);
        let position_rows = tensors.positions()?.map(|rows| machine.table(Rows::F32(rows))).transpose()?;
        let positions = encoder.positions.zip(position_rows);
        let layers = encoder.layers.iter().enumerate();
        Ok(Self {
            hidden: encoder.hidden_size,
            head_dim: encoder.head_dim(),
            activation,
            placement: encoder.norm.placement,
            words: machine.table(tensors.words()?)?,
            positions: positions.map(|(table, rows)| Positions { table, rows }),
            embedding_norm: norm(tensors.embedding_norm()?)?,
            bias: distance_bias(encoder, &tensors)?.map(|bias| machine.bias(bias)).transpose()?,
            rotaries: angles
                .iter()
                .map(|rotary| machine.rotary(encoder.longest, &rotary.frequencies()))
                .collect::<Result<_>>()?,
            layers: layers
                .map(|(number, settings)| {
                    let bottleneck = loading.bottleneck(model.bottleneck.as_ref(), number)?;
                    Ok(Layer { bottleneck, ..loading.layer(*settings, tensors.layer(number)?)? })
                })
                .collect::<Result<_>>()?,
            final_norm: tensors.final_norm()?.map(norm).transpose()?,
        })
    }

    /// What a query's products with keys are multiplied with.
    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }
}

/// A network on its way to a machine.
struct Loading<'a, M> {
    machine: &'a M,
    encoder: &'a Encoder,
    angles: &'a [Rotary],
}

impl<M: Machine> Loading<'_, M> {
    fn layer(&self, settings: LayerAttention, layer: tensors::Layer) -> Result<Layer<M>> {
        let (hidden, inner) = (self.encoder.hidden_size, self.encoder.inner_size);
        let rotary = match settings.distance {
            Distance::Rotary(rotary) => self.angles.iter().position(|angles| *angles == rotary),
            Distance::Ignored | Distance::Alibi | Distance::Buckets => None,
        };
        let context = layer.n_heads * self.encoder.head_dim();
        let maps = Maps { gate: layer.gate, up: layer.up, down: layer.down };
        Ok(Layer {
            n_heads: layer.n_heads,
            mask: settings.window.map_or(Mask::Full, Mask::Window),
            rotary,
            query_key_value: self.linear(layer.query_key_value, hidden)?,
            output: self.linear(layer.output, context)?,
            attention_norm: layer.attention_norm.map(|norm| self.norm(norm)).transpose()?,
            feed_forward: self.machine.feed_forward(maps, hidden, inner)?,
            feed_forward_norm: self.norm(layer.feed_forward_norm)?,
            bottleneck: None,
        })
    }

    fn bottleneck(&self, adapter: Option<&models::Bottleneck>, number: usize) -> Result<Option<Bottleneck<M>>> {
        let Some(adapter) = adapter else { return Ok(None) };
        let Some(layer) = adapter.layer(number)? else { return Ok(None) };
        let linear = |weight, bias| tensors::Linear { weight: Rows::F32(weight), bias: Some(bias) };
        let (narrow, wide) = (linear(layer.down, layer.down_bias), linear(layer.up, layer.up_bias));
        let maps = Maps { gate: None, up: narrow, down: wide };
        Ok(Some(Bottleneck {
            activation: activation(adapter.activation)?,
            maps: self.machine.feed_forward(maps, self.encoder.hidden_size, adapter.size)?,
        }))
    }

    fn linear(&self, linear: tensors::Linear, n_in: usize) -> Result<M::Linear> {
        self.machine.linear(linear.weight, n_in, linear.bias.as_deref())
    }

    fn norm(&self, norm: tensors::Norm) -> Result<M::Norm> {
        self.machine.norm(norm, self.encoder.norm.epsilon as f32)
    }
}

/// The angles that layers use, each once.
fn distinct_angles(encoder: &Encoder) -> Vec<Rotary> {
    let mut angles = Vec::new();
    for layer in &encoder.layers {
        match layer.distance {
            Distance::Rotary(rotary) if !angles.contains(&rotary) => angles.push(rotary),
            _ => {}
        }
    }
    angles
}

/// The bias of every head and distance, which all layers share; `None` where distances make none.
fn distance_bias(encoder: &Encoder, tensors: &EncoderTensors<'_>) -> Result<Option<kernel::DistanceBias>> {
    let (heads, longest) = (encoder.heads, encoder.longest);
    match encoder.layers.first().map(|layer| layer.distance) {
        Some(Distance::Alibi) => {
            let slopes = alibi_slopes(heads);
            let penalty = |head: usize, distance: isize| -slopes[head] * distance.unsigned_abs() as f32;
            Ok(Some(kernel::DistanceBias::new(heads, longest, penalty)))
        }
        Some(Distance::Buckets) => {
            let table = tensors.distance_buckets()?;
            let learnt = |head: usize, distance: isize| table[bucket(distance) * heads + head];
            Ok(Some(kernel::DistanceBias::new(heads, longest, learnt)))
        }
        Some(Distance::Ignored | Distance::Rotary(_)) | None => Ok(None),
    }
}

/// ALiBi's slopes: powers of `2^(-8 / heads)`, and between them those of twice as many heads where the number of heads
/// is no power of two.
fn alibi_slopes(heads: usize) -> Vec<f32> {
    let power = |at: usize, of: usize| (-8.0 * (at + 1) as f64 / of as f64).exp2() as f32;
    let whole = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let between = (0..heads - whole).map(|at| power(2 * at, 2 * whole));
    (0..whole).map(|at| power(at, whole)).chain(between).collect()
}

/// The row of the table of biases for a key `distance` places after its query: half of the rows for each side, half of
/// those for one distance each, the others growing by a constant factor.
fn bucket(distance: isize) -> usize {
    let side = DISTANCE_BUCKETS / 2;
    let exact = side / 2;
    let far = distance.unsigned_abs();
    let first = if distance > 0 { side } else { 0 };
    if far < exact {
        return first + far;
    }
    let growth = (far as f64 / exact as f64).ln() / (FARTHEST_BUCKET / exact as f64).ln();
    first + (exact + (growth * (side - exact) as f64) as usize).min(side - 1)
}

fn activation(activation: Activation) -> Result<kernel::Activation> {
    match activation {
        Activation::Gelu => Ok(kernel::Activation::Gelu),
        Activation::GeluTanh => Ok(kernel::Activation::GeluTanh),
        Activation::Relu => Ok(kernel::Activation::Relu),
        Activation::Silu => Ok(kernel::Activation::Silu),
        other => {
            let problem = Problem::new("`config.json`: the activation", format!("the packed engine has no {other:?}"));
            Err(Error::Model(problem.hint("choose another model")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_heads_that_are_no_power_of_two_lie_between() {
        assert_eq!(alibi_slopes(4), [0.25, 0.0625, 0.015_625, 0.003_906_25]);
        let twelve = alibi_slopes(12);
        assert_eq!((twelve.len(), twelve[0], twelve[7]), (12, 0.5, 0.003_906_25));
        assert!((twelve[8] - 0.5f32.sqrt()).abs() < 1e-6 && (twelve[9] - 0.125f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn buckets_are_exact_near_and_coarse_far() {
        let found: Vec<usize> = [0, -1, 1, -7, 7, -8, 8, 12, 127, 128, 5000, -5000].map(bucket).to_vec();
        assert_eq!(found, [0, 1, 17, 7, 23, 8, 24, 25, 31, 31, 31, 15]);
    }
}
