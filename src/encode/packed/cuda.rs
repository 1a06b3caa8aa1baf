//! The packed engine on a CUDA device.
//!
//! Weights are sent once. Every caller has a lane of its own, with a stream and memory that grows to the largest batch: while
//! one lane's texts are copied and its rows fetched, the other lane's are computed. The residual path stays in f32; a
//! product that is to be added to it waits for the norm that comes next, which adds it on its way.

use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};

use super::pass::Pass;
use super::{Machine, Maps, Network};
use crate::encode::engine::{Engine, Habits};
use crate::encode::tensors;
use crate::encode::tokens::PackedTokens;
use crate::error::{Error, Problem, Result};
use crate::kernel::cuda::{
    Array, Attention, Batch, Device, DistanceBias, Failure, Heads, Lane, LinearWeights, NormWeights, Number, Path,
    Pinned, PoolingMode, Precision, Rotary, Tokens, takes_width,
};
use crate::kernel::{self, Activation, Mask};
use crate::models::{self, Encoder, ModelFolder, Pooling, Rows};

/// Lanes that batches are sized for.
const LANES: usize = 2;

/// Tokens of a batch beyond which the device should be no better used; not measured.
const MOST_TOKENS: usize = 1 << 16;
/// Less is no batch: where not even this fits, the first one fails and says so.
const LEAST_TOKENS: usize = 1 << 10;

/// Of the memory that is free beside the weights, what batches may take: fragments, and what cublasLt and the driver take
/// later, need the rest.
const SHARE: f64 = 0.8;

/// Numbers are read and written sixteen bytes at a time.
const ALIGNMENT: usize = 8;

/// Loads a transformer on device `ordinal`, its weights once; batches are sized by the memory left there.
///
/// # Errors
/// [`Error::Device`] where there is no such device; [`Error::OutOfMemory`] where the weights do not fit; [`Error::Model`]
/// where the kernels do not cover the network.
pub(in crate::encode) fn load(
    model: &ModelFolder,
    encoder: &Encoder,
    pooling: &Pooling,
    ordinal: usize,
    precision: Precision,
) -> Result<Box<dyn Engine>> {
    check_sizes(model, encoder)?;
    match precision {
        Precision::F32 => Ok(Box::new(OnDevice::<f32>::load(model, encoder, pooling, ordinal)?)),
        Precision::F16 => Ok(Box::new(OnDevice::<f16>::load(model, encoder, pooling, ordinal)?)),
        Precision::Bf16 => Ok(Box::new(OnDevice::<bf16>::load(model, encoder, pooling, ordinal)?)),
    }
}

/// Refuses what no kernel is compiled for, before anything is sent.
fn check_sizes(model: &ModelFolder, encoder: &Encoder) -> Result<()> {
    let heads = Heads { count: encoder.heads, dim: encoder.head_dim() };
    let adapter = model.bottleneck.as_ref().map_or(0, |adapter| adapter.size);
    let cause = if heads.compiled_dim().is_none() {
        format!("has heads of {} numbers; its kernels take multiples of 8 up to 128", heads.dim)
    } else if !takes_width(encoder.hidden_size) {
        format!("has rows of {} numbers; its kernels take up to 2048", encoder.hidden_size)
    } else if !encoder.inner_size.is_multiple_of(ALIGNMENT) || !adapter.is_multiple_of(ALIGNMENT) {
        let sizes = format!("{} numbers inside its layers and {adapter} in its adapter", encoder.inner_size);
        format!("has {sizes}; its kernels take multiples of {ALIGNMENT}")
    } else {
        return Ok(());
    };
    let problem = Problem::new(format!("model `{}` on a GPU", model.name), cause);
    Err(Error::Model(problem.hint("use `--device cpu`, or choose another model")))
}

/// Weights on a device for products of type `T`.
struct Weights<T> {
    device: String,
    lane: Lane,
    numbers: std::marker::PhantomData<T>,
}

impl<T: Number> Weights<T> {
    fn sent<V>(&self, result: Result<V, Failure>) -> Result<V> {
        result.map_err(|failure| failure.on(&self.device))
    }
}

impl<T: Number> Machine for Weights<T> {
    type Linear = LinearWeights<T>;
    type FeedForward = Maps<LinearWeights<T>>;
    type Norm = NormWeights;
    type Table = Array<f32>;
    type Rotary = Rotary;
    type Bias = DistanceBias;

    fn linear(&self, weight: Rows, n_in: usize, bias: Option<&[f32]>) -> Result<LinearWeights<T>> {
        self.sent(LinearWeights::upload(&self.lane, &weight.into_f32(), n_in, bias))
    }

    fn feed_forward(&self, maps: Maps<tensors::Linear>, hidden: usize, inner: usize) -> Result<Maps<LinearWeights<T>>> {
        maps.each_on(self, hidden, inner)
    }

    fn norm(&self, norm: tensors::Norm, epsilon: f32) -> Result<NormWeights> {
        self.sent(NormWeights::upload(&self.lane, &norm.scale, &norm.shift, epsilon))
    }

    fn table(&self, rows: Rows) -> Result<Array<f32>> {
        self.sent(self.lane.upload(&rows.into_f32()))
    }

    fn rotary(&self, longest: usize, frequencies: &[f32]) -> Result<Rotary> {
        self.sent(Rotary::upload(&self.lane, &kernel::Rotary::new(longest, frequencies)))
    }

    fn bias(&self, bias: kernel::DistanceBias) -> Result<DistanceBias> {
        self.sent(DistanceBias::upload(&self.lane, &bias))
    }
}

/// A transformer on a device.
struct OnDevice<T: Number> {
    /// Before the network, so that no lane is at work any more when its weights go.
    work: Mutex<Vec<Work<T>>>,
    network: Network<Weights<T>>,
    device: Device,
    name: String,
    modes: Vec<PoolingMode>,
    batch_tokens: usize,
}

/// A lane and its memory.
struct Work<T> {
    lane: Lane,
    tokens: Tokens,
    rows: Array<f32>,
    input: Array<T>,
    query_key_value: Array<T>,
    context: Array<T>,
    inner: Array<T>,
    gates: Array<T>,
    product: Array<T>,
    pooled: Array<f32>,
    fetched: Pinned<f32>,
}

impl<T: Number> OnDevice<T> {
    fn load(model: &ModelFolder, encoder: &Encoder, pooling: &Pooling, ordinal: usize) -> Result<Self> {
        let name = format!("cuda:{ordinal}");
        let open = || {
            let device = Device::open(ordinal)?;
            let lane = device.lane()?;
            Ok((device, lane))
        };
        let (device, lane) = open().map_err(|failure: Failure| failure.on(&name))?;
        let weights = Weights { device: name.clone(), lane, numbers: std::marker::PhantomData };
        let network = Network::load(&weights, model, encoder)?;
        let free = device.free_memory().map_err(|failure| failure.on(&name))?;
        Ok(Self {
            work: Mutex::new(Vec::new()),
            network,
            device,
            name,
            modes: pooling.modes.iter().copied().map(mode).collect(),
            batch_tokens: batch_tokens(free, bytes_per_token::<T>(encoder)),
        })
    }

    fn compute(&self, work: &mut Work<T>, batch: &PackedTokens) -> Result<Vec<f32>, Failure> {
        let network = &self.network;
        let mut rows_of_positions = Vec::new();
        if let Some(positions) = &network.positions {
            batch.texts().for_each(|text| positions.table.places(text, &mut rows_of_positions));
        }
        let sent = Batch { ids: &batch.ids, rows_of_positions: &rows_of_positions, offsets: &batch.offsets };
        work.tokens.send(&work.lane, &sent, T::PRECISION.block_queries())?;
        let Work { lane, tokens, rows, input, .. } = work;
        let positions = network.positions.as_ref().map(|positions| &positions.rows);
        lane.embed(&network.words, positions, tokens, &network.embedding_norm, rows, input)?;

        let mut parts = Parts { network, work, pending: false };
        network.layers.iter().try_for_each(|layer| network.layer(layer, &mut parts))?;
        if let Some(norm) = &network.final_norm {
            parts.normalise(norm)?;
        }
        assert!(!parts.pending, "a norm follows the last product");

        let Work { lane, tokens, rows, pooled, fetched, .. } = work;
        lane.pool(&self.modes, rows, network.hidden, tokens, batch.unpooled, pooled)?;
        lane.fetch(pooled, fetched)
    }

    fn idle_work(&self) -> Option<Work<T>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl<T: Number> Engine for OnDevice<T> {
    fn rows(&self, batch: &PackedTokens) -> Result<Vec<f32>> {
        if batch.ids.is_empty() {
            return Ok(vec![0.0; batch.len() * self.network.hidden * self.modes.len()]);
        }
        let computed = || {
            let mut work = match self.idle_work() {
                Some(work) => work,
                None => Work::new(self.device.lane()?),
            };
            // A lane that failed is not used again: its memory is free for the halves of the batch.
            let rows = self.compute(&mut work, batch)?;
            self.work.lock().unwrap_or_else(PoisonError::into_inner).push(work);
            Ok(rows)
        };
        computed().map_err(|failure: Failure| failure.on("the packed engine"))
    }

    fn precision(&self) -> &'static str {
        T::PRECISION.name()
    }

    fn gpu(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn habits(&self) -> Habits {
        Habits { batch_tokens: self.batch_tokens, light: false, callers: Some(LANES) }
    }
}

impl<T: Number> Work<T> {
    fn new(lane: Lane) -> Self {
        Self {
            lane,
            tokens: Tokens::new(),
            rows: Array::new(),
            input: Array::new(),
            query_key_value: Array::new(),
            context: Array::new(),
            inner: Array::new(),
            gates: Array::new(),
            product: Array::new(),
            pooled: Array::new(),
            fetched: Pinned::from_device(),
        }
    }
}

/// The parts of layers by the kernels of a device.
struct Parts<'a, T: Number> {
    network: &'a Network<Weights<T>>,
    work: &'a mut Work<T>,
    /// Whether the product has still to be added to the residual path.
    pending: bool,
}

impl<T: Number> Parts<'_, T> {
    fn heads(&self, count: usize) -> Heads {
        Heads { count, dim: self.network.head_dim }
    }

    fn add_and_normalise(&mut self, norm: &NormWeights, path: Path) -> Result<(), Failure> {
        let Work { lane, rows, product, input, .. } = &mut *self.work;
        let product = std::mem::take(&mut self.pending).then_some(&*product);
        lane.residual_norm(rows, product, norm, path, input)
    }

    fn leave_pending(&mut self) {
        assert!(!self.pending, "a norm stands between two products that are added");
        self.pending = true;
    }
}

impl<T: Number> Pass<Weights<T>> for Parts<'_, T> {
    type Error = Failure;

    fn normalise(&mut self, norm: &NormWeights) -> Result<(), Failure> {
        self.add_and_normalise(norm, Path::IsNormalised)
    }

    fn normalise_to_input(&mut self, norm: &NormWeights) -> Result<(), Failure> {
        self.add_and_normalise(norm, Path::KeepsSum)
    }

    fn query_key_value(&mut self, weights: &LinearWeights<T>) -> Result<(), Failure> {
        let Work { lane, input, query_key_value, .. } = &mut *self.work;
        lane.linear(weights, input, query_key_value)
    }

    fn rotate(&mut self, n_heads: usize, rotary: &Rotary) -> Result<(), Failure> {
        let heads = self.heads(n_heads);
        let Work { lane, tokens, query_key_value, .. } = &mut *self.work;
        lane.rotate(rotary, heads, tokens, query_key_value)
    }

    fn attend(&mut self, n_heads: usize, mask: Mask, bias: Option<&DistanceBias>) -> Result<(), Failure> {
        let settings = Attention { heads: self.heads(n_heads), scale: self.network.scale(), mask, bias };
        let Work { lane, tokens, query_key_value, context, .. } = &mut *self.work;
        lane.attention(&settings, tokens, query_key_value, context)
    }

    fn add_context(&mut self, weights: &LinearWeights<T>) -> Result<(), Failure> {
        self.leave_pending();
        let Work { lane, context, product, .. } = &mut *self.work;
        lane.linear(weights, context, product)
    }

    fn feed_forward(&mut self, maps: &Maps<LinearWeights<T>>, activation: Activation) -> Result<(), Failure> {
        self.leave_pending();
        let Work { lane, input, inner, gates, product, .. } = &mut *self.work;
        lane.linear(&maps.up, input, inner)?;
        match &maps.gate {
            None => lane.activate(inner, activation)?,
            Some(gate) => {
                lane.linear(gate, input, gates)?;
                lane.gate(inner, gates, activation)?;
            }
        }
        lane.linear(&maps.down, inner, product)
    }
}

fn mode(mode: models::PoolingMode) -> PoolingMode {
    match mode {
        models::PoolingMode::Cls => PoolingMode::Cls,
        models::PoolingMode::Max => PoolingMode::Max,
        models::PoolingMode::Mean => PoolingMode::Mean,
        models::PoolingMode::MeanSqrtLen => PoolingMode::MeanSqrtLength,
        models::PoolingMode::WeightedMean => PoolingMode::WeightedMean,
        models::PoolingMode::LastToken => PoolingMode::LastToken,
    }
}

/// What a token takes of a lane's memory.
fn bytes_per_token<T>(encoder: &Encoder) -> usize {
    const INDICES: usize = 8;
    // The input, queries, keys, values, the context, and a product.
    let rows = 6 * encoder.hidden_size + encoder.inner_size * if encoder.gated { 2 } else { 1 };
    (encoder.hidden_size + INDICES) * size_of::<f32>() + rows * size_of::<T>()
}

/// Tokens of a batch, so that one of every lane fits into `free` bytes.
fn batch_tokens(free: usize, bytes_per_token: usize) -> usize {
    let tokens = free as f64 * SHARE / (LANES * bytes_per_token) as f64;
    (tokens as usize).clamp(LEAST_TOKENS, MOST_TOKENS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fit_into_what_is_free() {
        assert_eq!(batch_tokens(140 << 30, 20_000), MOST_TOKENS);
        assert_eq!(batch_tokens(0, 20_000), LEAST_TOKENS);
        let tokens = batch_tokens(1 << 30, 20_000);
        assert!(tokens > LEAST_TOKENS && tokens * LANES * 20_000 < 1 << 30);
    }
}
