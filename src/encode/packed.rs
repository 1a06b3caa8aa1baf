//! The packed engine: encoders of the BERT family on the kernels of this crate, without a padded token.
//!
//! Sequences lie end to end; products see all their tokens as one matrix, attention sees each sequence alone, so a
//! text's vector does not depend on its batch, bit for bit. Weights are packed once for the instruction set of the
//! machine and shared; each thread carries whole batches through with a scratch memory of its own.

use std::sync::{Mutex, PoisonError};

use crate::encode::engine::{Engine, Habits};
use crate::encode::pooling::pool;
use crate::encode::tensors;
use crate::encode::tokens::PackedTokens;
use crate::error::{Error, Problem, Result};
use crate::kernel::{
    self, Attention, Gather, Isa, LayerNorm, LinearWeights, Mask, Operand, Output, Workspace, attention, embed,
    layer_norm, linear,
};
use crate::models::{Activation, Architecture, BertConfig, ModelFolder, Pooling};

/// A few abstracts: enough rows for the products, few enough that activations stay in the caches and that threads end
/// together.
const HABITS: Habits = Habits { batch_tokens: 1024, light: false };

/// A transformer on packed tokens.
pub(super) struct Packed {
    isa: Isa,
    precision: kernel::Precision,
    hidden: usize,
    attention: Attention,
    activation: kernel::Activation,
    words: Vec<f32>,
    /// Row `p` is the sum of position `p` and the first segment.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    pooling: Pooling,
    scratches: Mutex<Vec<Scratch>>,
}

struct Layer {
    query_key_value: LinearWeights,
    output: LinearWeights,
    attention_norm: Norm,
    up: LinearWeights,
    down: LinearWeights,
    norm: Norm,
}

struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
}

/// What a batch needs; grows to the largest one and is used again.
struct Scratch {
    places: Vec<u32>,
    /// The residual path: tokens x hidden.
    rows: Vec<f32>,
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
        architecture: &Architecture,
        pooling: &Pooling,
        isa: Isa,
        precision: kernel::Precision,
    ) -> Result<Self> {
        let Architecture::Bert(config) = architecture;
        let mut tensors = Tensors(tensors::load_bert(&model.weights, config)?);
        let pack = Packing { isa, precision, hidden: config.hidden_size, epsilon: config.layer_norm_eps as f32 };
        let head_dim = config.hidden_size / config.num_attention_heads;
        Ok(Self {
            isa,
            precision,
            hidden: config.hidden_size,
            attention: Attention {
                n_heads: config.num_attention_heads,
                head_dim,
                scale: 1.0 / (head_dim as f32).sqrt(),
                mask: Mask::Full,
            },
            activation: activation(config)?,
            words: tensors.take("embeddings.word_embeddings.weight"),
            positions: positions(&mut tensors, config.hidden_size),
            norm: pack.norm(&mut tensors, "embeddings.LayerNorm"),
            layers: (0..config.num_hidden_layers).map(|layer| pack.layer(&mut tensors, layer, config)).collect(),
            pooling: pooling.clone(),
            scratches: Mutex::new(Vec::new()),
        })
    }

    /// Fills `scratch.rows` with the last layer's rows of all tokens.
    fn forward(&self, batch: &PackedTokens, scratch: &mut Scratch) {
        let Scratch { places, rows, input, query_key_value, context, inner, workspace } = scratch;
        places.clear();
        batch.texts().for_each(|text| places.extend(0..text.len() as u32));
        rows.resize(batch.ids.len() * self.hidden, 0.0);
        let words = Gather { table: &self.words, indices: &batch.ids };
        let positions = Gather { table: &self.positions, indices: places };
        embed(self.isa, &[words, positions], self.hidden, rows);
        input.reshape(batch.ids.len(), self.hidden);
        layer_norm(self.isa, &self.norm.view(), rows, Some(input));
        for layer in &self.layers {
            let to = Output::Operand(query_key_value);
            linear(&layer.query_key_value, input, kernel::Activation::Identity, to, workspace);
            attention(self.isa, &self.attention, query_key_value, &batch.offsets, context, workspace);
            linear(&layer.output, context, kernel::Activation::Identity, Output::Residual(rows), workspace);
            layer_norm(self.isa, &layer.attention_norm.view(), rows, Some(input));
            linear(&layer.up, input, self.activation, Output::Operand(inner), workspace);
            linear(&layer.down, inner, kernel::Activation::Identity, Output::Residual(rows), workspace);
            layer_norm(self.isa, &layer.norm.view(), rows, Some(input));
        }
    }

    fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let kept = self.scratches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = kept.unwrap_or_else(|| Scratch::new(self.precision));
        let done = work(&mut scratch);
        self.scratches.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        done
    }
}

impl Engine for Packed {
    fn rows(&self, batch: &PackedTokens) -> Result<Vec<f32>> {
        Ok(self.with_scratch(|scratch| {
            self.forward(batch, scratch);
            let mut pooled = Vec::with_capacity(batch.len() * self.hidden * self.pooling.modes.len());
            for ends in batch.offsets.windows(2) {
                let tokens = &scratch.rows[ends[0] * self.hidden..ends[1] * self.hidden];
                pool(&self.pooling, tokens, self.hidden, batch.unpooled, &mut pooled);
            }
            pooled
        }))
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
            rows: Vec::new(),
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

/// How weights are laid out.
struct Packing {
    isa: Isa,
    precision: kernel::Precision,
    hidden: usize,
    epsilon: f32,
}

impl Packing {
    fn layer(&self, tensors: &mut Tensors, layer: usize, config: &BertConfig) -> Layer {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let mut joined = |kind: &str| {
            let parts =
                ["query", "key", "value"].map(|map| tensors.take(&name(&format!("attention.self.{map}.{kind}"))));
            parts.concat()
        };
        let (weight, bias) = (joined("weight"), joined("bias"));
        Layer {
            query_key_value: LinearWeights::pack(self.isa, self.precision, &weight, self.hidden, Some(&bias)),
            output: self.linear(tensors, &name("attention.output.dense"), self.hidden),
            attention_norm: self.norm(tensors, &name("attention.output.LayerNorm")),
            up: self.linear(tensors, &name("intermediate.dense"), self.hidden),
            down: self.linear(tensors, &name("output.dense"), config.intermediate_size),
            norm: self.norm(tensors, &name("output.LayerNorm")),
        }
    }

    fn linear(&self, tensors: &mut Tensors, name: &str, n_in: usize) -> LinearWeights {
        let (weight, bias) = (tensors.take(&format!("{name}.weight")), tensors.take(&format!("{name}.bias")));
        LinearWeights::pack(self.isa, self.precision, &weight, n_in, Some(&bias))
    }

    fn norm(&self, tensors: &mut Tensors, name: &str) -> Norm {
        Norm {
            scale: tensors.take(&format!("{name}.weight")),
            shift: tensors.take(&format!("{name}.bias")),
            epsilon: self.epsilon,
        }
    }
}

/// The checked tensors of a model, taken out one by one so that none is held twice.
struct Tensors(std::collections::BTreeMap<String, tensors::Loaded>);

impl Tensors {
    fn take(&mut self, name: &str) -> Vec<f32> {
        self.0.remove(name).expect("every tensor of the architecture was checked and loaded").values
    }
}

fn positions(tensors: &mut Tensors, hidden: usize) -> Vec<f32> {
    let mut positions = tensors.take("embeddings.position_embeddings.weight");
    let segments = tensors.take("embeddings.token_type_embeddings.weight");
    for row in positions.chunks_exact_mut(hidden) {
        row.iter_mut().zip(&segments).for_each(|(position, segment)| *position += segment);
    }
    positions
}

fn activation(config: &BertConfig) -> Result<kernel::Activation> {
    match config.activation {
        Activation::Gelu => Ok(kernel::Activation::Gelu),
        Activation::GeluTanh => Ok(kernel::Activation::GeluTanh),
        Activation::Relu => Ok(kernel::Activation::Relu),
        Activation::Silu => Ok(kernel::Activation::Silu),
        other => {
            let problem = Problem::new("`config.json`: `hidden_act`", format!("the packed engine has no {other:?}"));
            Err(Error::Model(problem.hint("run it with `--engine reference`")))
        }
    }
}
