//! The packed engine on the processor.
//!
//! Weights are packed once for the instruction set of the machine and shared; each thread carries whole batches through
//! with a memory of its own, helped by those that have none. A text's vector does not depend on its batch, bit for bit.

use std::sync::{Mutex, PoisonError};

use candle_core::{Storage, Tensor};

use super::{Machine, Maps, Network, operations};
use crate::encode::engine::{Engine, Habits};
use crate::encode::options::Arithmetic;
use crate::encode::pooling::pool;
use crate::encode::tensors;
use crate::encode::tokens::PackedTokens;
use crate::error::{Error, Problem, Result};
use crate::kernel::{
    DistanceBias, FeedForward, Inner, Isa, LayerNorm, LinearWeights, Map, Operand, Precision, Rotary, Team, Workspace,
};
use crate::models::{Encoder, ModelFolder, Pooling, Rows};

/// A few abstracts: few enough that what a part reads and writes of them stays in a second cache of 1 to 2 MB and that threads end
/// together, and enough that weights, which come from the third cache, are read seldom. Networks of 384 and of 768 numbers want
/// the same.
const HABITS: Habits = Habits { batch_tokens: 640, light: false, callers: None };

/// An instruction set, and what products are computed in.
#[derive(Clone, Copy)]
pub(super) struct Processor {
    pub(super) isa: Isa,
    pub(super) arithmetic: Arithmetic,
}

/// A transformer on packed tokens.
pub(in crate::encode) struct Packed {
    pub(super) processor: Processor,
    pub(super) network: Network<Processor>,
    pooling: Pooling,
    team: Team,
    memories: Mutex<Vec<Memory>>,
}

pub(super) struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
}

/// What a thread keeps from batch to batch.
struct Memory {
    /// What comes out: tokens x hidden.
    rows: Option<Tensor>,
    scratch: Scratch,
}

/// What a batch needs beside; grows to the largest one and is used again.
pub(super) struct Scratch {
    pub(super) places: Vec<u32>,
    pub(super) input: Operand,
    pub(super) query_key_value: Operand,
    pub(super) context: Operand,
    pub(super) inner: Inner,
    pub(super) workspace: Workspace,
}

impl Machine for Processor {
    type Linear = LinearWeights;
    type FeedForward = FeedForward;
    type Norm = Norm;
    type Table = Rows;
    type Rotary = Rotary;
    type Bias = DistanceBias;

    fn linear(&self, weight: Rows, n_in: usize, bias: Option<&[f32]>) -> Result<LinearWeights> {
        if self.arithmetic.int8_weights {
            let (numbers, scales) = weight.into_int8(n_in);
            return Ok(LinearWeights::pack_int8(self.isa, &numbers, &scales, n_in, bias));
        }
        Ok(LinearWeights::pack(self.isa, self.arithmetic.activations, &weight.into_f32(), n_in, bias))
    }

    fn feed_forward(&self, maps: Maps<tensors::Linear>, hidden: usize, inner: usize) -> Result<FeedForward> {
        if self.arithmetic.int8_weights {
            let Maps { gate, up, down } = maps.each_on(self, hidden, inner)?;
            return Ok(FeedForward::new(gate, up, down));
        }
        let plain = |map: tensors::Linear| (map.weight.into_f32(), map.bias);
        let (gate, up, down) = (maps.gate.map(plain), plain(maps.up), plain(maps.down));
        let (gate, up, down) = (gate.as_ref().map(map), map(&up), map(&down));
        Ok(FeedForward::pack(self.isa, self.arithmetic.activations, gate, up, down, hidden))
    }

    fn norm(&self, norm: tensors::Norm, epsilon: f32) -> Result<Norm> {
        Ok(Norm { scale: norm.scale, shift: norm.shift, epsilon })
    }

    fn table(&self, rows: Rows) -> Result<Rows> {
        Ok(rows)
    }

    fn rotary(&self, longest: usize, frequencies: &[f32]) -> Result<Rotary> {
        Ok(Rotary::new(longest, frequencies))
    }

    fn bias(&self, bias: DistanceBias) -> Result<DistanceBias> {
        Ok(bias)
    }
}

fn map((weight, bias): &(Vec<f32>, Option<Vec<f32>>)) -> Map<'_> {
    Map { weight, bias: bias.as_deref() }
}

impl Packed {
    /// Loads and packs the weights of a transformer, checking every shape first.
    pub(in crate::encode) fn load(
        model: &ModelFolder,
        encoder: &Encoder,
        pooling: &Pooling,
        isa: Isa,
        arithmetic: Arithmetic,
        threads: usize,
    ) -> Result<Self> {
        let processor = Processor { isa, arithmetic };
        Ok(Self {
            processor,
            network: Network::load(&processor, model, encoder)?,
            pooling: pooling.clone(),
            team: Team::new(threads),
            memories: Mutex::new(Vec::new()),
        })
    }

    fn with_memory<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        let kept = self.memories.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let new = || Memory { rows: None, scratch: Scratch::new(self.processor.arithmetic.activations) };
        let mut memory = kept.unwrap_or_else(new);
        let done = work(&mut memory);
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        done
    }
}

impl Engine for Packed {
    fn rows(&self, batch: &PackedTokens) -> Result<Vec<f32>> {
        let hidden = self.network.hidden;
        self.with_memory(|Memory { rows, scratch }| {
            let _leading = self.team.lead(&mut scratch.workspace);
            let states = operations::forward(self, batch, rows, scratch).map_err(failed)?;
            let (storage, layout) = states.storage_and_layout();
            let Storage::Cpu(storage) = &*storage else { return Err(failed("its rows left the processor")) };
            let states = &storage.as_slice::<f32>().map_err(failed)?[layout.start_offset()..];
            let mut pooled = Vec::with_capacity(batch.len() * hidden * self.pooling.modes.len());
            for ends in batch.offsets.windows(2) {
                let tokens = &states[ends[0] * hidden..ends[1] * hidden];
                pool(&self.pooling, tokens, hidden, batch.unpooled, &mut pooled);
            }
            Ok(pooled)
        })
    }

    fn habits(&self) -> Habits {
        HABITS
    }

    fn team(&self) -> Option<&Team> {
        Some(&self.team)
    }

    fn precision(&self) -> &'static str {
        self.processor.arithmetic.name()
    }
}

impl Scratch {
    fn new(precision: Precision) -> Self {
        let operand = || Operand::new(precision);
        Self {
            places: Vec::new(),
            input: operand(),
            query_key_value: operand(),
            context: operand(),
            inner: Inner::new(precision),
            workspace: Workspace::new(),
        }
    }
}

impl Norm {
    pub(super) fn view(&self) -> LayerNorm<'_> {
        LayerNorm { scale: &self.scale, shift: &self.shift, epsilon: self.epsilon }
    }
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::Failed(Problem::new("the packed engine", format!("cannot compute a batch: {cause}")))
}
