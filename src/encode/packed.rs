//! The packed engine: encoders of the BERT family on the kernels of this crate, without a padded token.
//!
//! Sequences lie end to end; products see all their tokens as one matrix, attention sees each sequence alone, so a
//! text's vector does not depend on its batch, bit for bit. Weights are packed once for the instruction set of the
//! machine and shared; each thread carries whole batches through with a memory of its own.

pub(super) mod cuda;
mod operations;

use std::sync::{Mutex, PoisonError};

use candle_core::{Storage, Tensor};

use crate::encode::engine::{Engine, Habits};
use crate::encode::pooling::pool;
use crate::encode::tensors::{self, EncoderTensors};
use crate::encode::tokens::PackedTokens;
use crate::error::{Error, Problem, Result};
use crate::kernel::{self, DistanceBias, Isa, LayerNorm, LinearWeights, Mask, Operand, Workspace};
use crate::models::{
    self, Activation, Distance, Encoder, LayerAttention, ModelFolder, NormPlacement, Pooling, PositionTable, Rotary,
};

/// A few abstracts: enough rows for the products, few enough that activations stay in the caches and that threads end
/// together.
const HABITS: Habits = Habits { batch_tokens: 1024, light: false, callers: None };

/// Rows of a table of biases by distance, and the distance from which the outermost row is taken: MPNet's constants.
pub(super) const DISTANCE_BUCKETS: usize = 32;
const FARTHEST_BUCKET: f64 = 128.0;

/// A transformer on packed tokens.
pub(super) struct Packed {
    isa: Isa,
    precision: kernel::Precision,
    hidden: usize,
    n_heads: usize,
    activation: kernel::Activation,
    placement: NormPlacement,
    words: Vec<f32>,
    positions: Option<Positions>,
    embedding_norm: Norm,
    /// The bias of all layers, where distances make one.
    bias: Option<DistanceBias>,
    /// The angles of layers; a layer names one by its place.
    rotaries: Vec<kernel::Rotary>,
    layers: Vec<Layer>,
    final_norm: Option<Norm>,
    pooling: Pooling,
    memories: Mutex<Vec<Memory>>,
}

struct Positions {
    table: PositionTable,
    /// Row `p` is the sum of position `p` and the first segment.
    rows: Vec<f32>,
}

struct Layer {
    mask: Mask,
    rotary: Option<usize>,
    query_key_value: LinearWeights,
    output: LinearWeights,
    attention_norm: Option<Norm>,
    gate: Option<LinearWeights>,
    up: LinearWeights,
    down: LinearWeights,
    feed_forward_norm: Norm,
    bottleneck: Option<Bottleneck>,
}

/// What an adapter adds after the feed-forward part.
struct Bottleneck {
    activation: kernel::Activation,
    down: LinearWeights,
    up: LinearWeights,
}

struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
}

/// What a thread keeps from batch to batch.
struct Memory {
    /// The residual path: tokens x hidden.
    rows: Option<Tensor>,
    scratch: Scratch,
}

/// What a batch needs beside; grows to the largest one and is used again.
struct Scratch {
    places: Vec<u32>,
    input: Operand,
    query_key_value: Operand,
    context: Operand,
    inner: Operand,
    workspace: Workspace,
}

impl Packed {
    /// Loads and packs the weights of a transformer, checking every shape first.
    pub(super) fn load(
        model: &ModelFolder,
        encoder: &Encoder,
        pooling: &Pooling,
        isa: Isa,
        precision: kernel::Precision,
    ) -> Result<Self> {
        let tensors = EncoderTensors::open(&model.weights, encoder)?;
        let activation = activation(encoder.activation)?;
        let angles = distinct_angles(encoder);
        let packing = Packing { isa, precision, encoder, angles: &angles };
        let norm = |norm| packing.norm(norm);
        let positions = encoder.positions.zip(tensors.positions()?);
        let layers = encoder.layers.iter().enumerate();
        Ok(Self {
            isa,
            precision,
            hidden: encoder.hidden_size,
            n_heads: encoder.heads,
            activation,
            placement: encoder.norm.placement,
            words: tensors.words()?,
            positions: positions.map(|(table, rows)| Positions { table, rows }),
            embedding_norm: norm(tensors.embedding_norm()?),
            bias: distance_bias(encoder, &tensors)?,
            rotaries: angles.iter().map(|rotary| kernel::Rotary::new(encoder.longest, &rotary.frequencies())).collect(),
            layers: layers
                .map(|(number, settings)| {
                    let bottleneck = packing.bottleneck(model.bottleneck.as_ref(), number)?;
                    Ok(Layer { bottleneck, ..packing.layer(*settings, tensors.layer(number)?) })
                })
                .collect::<Result<_>>()?,
            final_norm: tensors.final_norm()?.map(norm),
            pooling: pooling.clone(),
            memories: Mutex::new(Vec::new()),
        })
    }

    fn with_memory<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        let kept = self.memories.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut memory = kept.unwrap_or_else(|| Memory { rows: None, scratch: Scratch::new(self.precision) });
        let done = work(&mut memory);
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        done
    }
}

impl Engine for Packed {
    fn rows(&self, batch: &PackedTokens) -> Result<Vec<f32>> {
        self.with_memory(|Memory { rows, scratch }| {
            let states = operations::forward(self, batch, rows, scratch).map_err(failed)?;
            let (storage, layout) = states.storage_and_layout();
            let Storage::Cpu(storage) = &*storage else { return Err(failed("its rows left the processor")) };
            let states = &storage.as_slice::<f32>().map_err(failed)?[layout.start_offset()..];
            let mut pooled = Vec::with_capacity(batch.len() * self.hidden * self.pooling.modes.len());
            for ends in batch.offsets.windows(2) {
                let tokens = &states[ends[0] * self.hidden..ends[1] * self.hidden];
                pool(&self.pooling, tokens, self.hidden, batch.unpooled, &mut pooled);
            }
            Ok(pooled)
        })
    }

    fn habits(&self) -> Habits {
        HABITS
    }

    fn precision(&self) -> &'static str {
        match self.precision {
            kernel::Precision::F32 => "f32",
            kernel::Precision::Bf16 => "bf16",
        }
    }
}

impl Scratch {
    fn new(precision: kernel::Precision) -> Self {
        let operand = || Operand::new(precision);
        Self {
            places: Vec::new(),
            input: operand(),
            query_key_value: operand(),
            context: operand(),
            inner: operand(),
            workspace: Workspace::new(),
        }
    }
}

impl Norm {
    fn view(&self) -> LayerNorm<'_> {
        LayerNorm { scale: &self.scale, shift: &self.shift, epsilon: self.epsilon }
    }
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::Failed(Problem::new("the packed engine", format!("cannot compute a batch: {cause}")))
}

/// How weights are laid out.
struct Packing<'a> {
    isa: Isa,
    precision: kernel::Precision,
    encoder: &'a Encoder,
    angles: &'a [Rotary],
}

impl Packing<'_> {
    fn layer(&self, settings: LayerAttention, layer: tensors::Layer) -> Layer {
        let (hidden, inner) = (self.encoder.hidden_size, self.encoder.inner_size);
        let rotary = match settings.distance {
            Distance::Rotary(rotary) => self.angles.iter().position(|angles| *angles == rotary),
            Distance::Ignored | Distance::Alibi | Distance::Buckets => None,
        };
        Layer {
            mask: settings.window.map_or(Mask::Full, Mask::Window),
            rotary,
            query_key_value: self.linear(&layer.query_key_value, hidden),
            output: self.linear(&layer.output, hidden),
            attention_norm: layer.attention_norm.map(|norm| self.norm(norm)),
            gate: layer.gate.map(|gate| self.linear(&gate, hidden)),
            up: self.linear(&layer.up, hidden),
            down: self.linear(&layer.down, inner),
            feed_forward_norm: self.norm(layer.feed_forward_norm),
            bottleneck: None,
        }
    }

    fn bottleneck(&self, adapter: Option<&models::Bottleneck>, number: usize) -> Result<Option<Bottleneck>> {
        let Some(adapter) = adapter else { return Ok(None) };
        let Some(layer) = adapter.layer(number)? else { return Ok(None) };
        let linear = |weight, bias| tensors::Linear { weight, bias: Some(bias) };
        Ok(Some(Bottleneck {
            activation: activation(adapter.activation)?,
            down: self.linear(&linear(layer.down, layer.down_bias), self.encoder.hidden_size),
            up: self.linear(&linear(layer.up, layer.up_bias), adapter.size),
        }))
    }

    fn linear(&self, linear: &tensors::Linear, n_in: usize) -> LinearWeights {
        LinearWeights::pack(self.isa, self.precision, &linear.weight, n_in, linear.bias.as_deref())
    }

    fn norm(&self, norm: tensors::Norm) -> Norm {
        Norm { scale: norm.scale, shift: norm.shift, epsilon: self.encoder.norm.epsilon as f32 }
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
fn distance_bias(encoder: &Encoder, tensors: &EncoderTensors<'_>) -> Result<Option<DistanceBias>> {
    let (heads, longest) = (encoder.heads, encoder.longest);
    match encoder.layers.first().map(|layer| layer.distance) {
        Some(Distance::Alibi) => {
            let slopes = alibi_slopes(heads);
            let penalty = |head: usize, distance: isize| -slopes[head] * distance.unsigned_abs() as f32;
            Ok(Some(DistanceBias::new(heads, longest, penalty)))
        }
        Some(Distance::Buckets) => {
            let table = tensors.distance_buckets()?;
            let learnt = |head: usize, distance: isize| table[bucket(distance) * heads + head];
            Ok(Some(DistanceBias::new(heads, longest, learnt)))
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
