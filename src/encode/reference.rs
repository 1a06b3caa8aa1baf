//! The reference engine: candle-transformers' own models, on the CPU, in f32.
//!
//! What other engines are compared with, and what runs an architecture they do not cover. Where a model takes a mask it
//! pads, so a text's vector may differ between batches by rounding: less than 1e-5. Models without one see one text
//! at a time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{bert, jina_bert, modernbert, nomic_bert, qwen3, xlm_roberta};

use crate::encode::decoder;
use crate::encode::engine::{Engine, Habits};
use crate::encode::pooling::pool;
use crate::encode::tensors::EncoderTensors;
use crate::encode::tokens::PackedTokens;
use crate::error::{Error, Problem, Result};
use crate::models::{
    Activation, Architecture, Distance, Encoder, Family, LayerAttention, ModelFolder, Pooling, Rotary,
};

/// Beyond this the scores of attention, which grow with the square of the length, cost more than they gain.
const HABITS: Habits = Habits { batch_tokens: 2048, light: false, callers: None };

/// A transformer by candle-transformers.
pub(super) struct Reference {
    network: Network,
    hidden: usize,
    pooling: Pooling,
    /// Candle's products spread over the rayon pool they are called in. Each batch has a pool of one thread, because
    /// the threads of the encoder carry whole batches; pools are kept for the next one.
    pools: Mutex<Vec<rayon::ThreadPool>>,
}

enum Network {
    Bert(bert::BertModel),
    Roberta { model: xlm_roberta::XLMRobertaModel, padding: u32 },
    NomicBert(nomic_bert::NomicBertModel),
    ModernBert(modernbert::ModernBert),
    JinaBert(jina_bert::BertModel),
    Qwen3(qwen3::Model),
}

/// Texts side by side, filled up to the longest with a token that the mask hides.
struct Padded {
    ids: Tensor,
    mask: Tensor,
}

impl Reference {
    /// Loads the weights of a transformer, checking every shape first.
    pub(super) fn load(model: &ModelFolder, architecture: &Architecture, pooling: &Pooling) -> Result<Self> {
        if model.bottleneck.is_some() {
            return Err(uncovered("has an adapter between its layers"));
        }
        let network = match architecture {
            Architecture::Encoder(encoder) => load_encoder(model, encoder)?,
            Architecture::Qwen3(settings) => {
                let named = decoder::tensors(&model.weights, settings)?;
                Network::Qwen3(built(qwen3::Model::new(&decoder::config(settings), source(named)?))?)
            }
        };
        let hidden = architecture.hidden_size();
        Ok(Self { network, hidden, pooling: pooling.clone(), pools: Mutex::new(Vec::new()) })
    }

    /// The rows of all tokens of some texts, padding included: texts x longest x hidden.
    fn forward(&self, texts: &[&[u32]]) -> candle_core::Result<Vec<f32>> {
        let padding = if let Network::Roberta { padding, .. } = self.network { padding } else { 0 };
        let Padded { ids, mask } = Padded::new(texts, padding)?;
        let states = match &self.network {
            Network::Bert(model) => model.forward(&ids, &ids.zeros_like()?, Some(&mask))?,
            Network::Roberta { model, .. } => model.forward(&ids, &mask, &ids.zeros_like()?, None, None, None)?,
            Network::NomicBert(model) => model.forward(&ids, None, Some(&mask.to_dtype(DType::U32)?))?,
            Network::ModernBert(model) => model.forward(&ids, &mask)?,
            Network::JinaBert(model) => model.forward(&ids)?,
            // A copy shares the weights and has an empty cache of keys.
            Network::Qwen3(model) => model.clone().forward(&ids, 0)?,
        };
        states.flatten_all()?.to_vec1()
    }

    /// Whether texts of different lengths can go through together.
    fn takes_mask(&self) -> bool {
        !matches!(self.network, Network::JinaBert(_) | Network::Qwen3(_))
    }

    fn with_pool<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let kept = self.pools.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let pool = match kept {
            Some(pool) => pool,
            None => rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| {
                Error::Failed(Problem::new("the reference engine", "cannot start a thread").source(error))
            })?,
        };
        let done = pool.install(work);
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).push(pool);
        Ok(done)
    }
}

impl Engine for Reference {
    fn rows(&self, batch: &PackedTokens) -> Result<Vec<f32>> {
        let texts: Vec<&[u32]> = batch.texts().collect();
        let mut rows = Vec::with_capacity(batch.len() * self.hidden * self.pooling.modes.len());
        let together = if self.takes_mask() { texts.len().max(1) } else { 1 };
        for texts in texts.chunks(together) {
            let states = self.with_pool(|| self.forward(texts))?.map_err(|error| failed("compute a batch", error))?;
            let stride = states.len() / texts.len();
            for (text, states) in texts.iter().zip(states.chunks_exact(stride.max(1))) {
                pool(&self.pooling, &states[..text.len() * self.hidden], self.hidden, batch.unpooled, &mut rows);
            }
        }
        Ok(rows)
    }

    fn habits(&self) -> Habits {
        HABITS
    }
}

impl Padded {
    fn new(texts: &[&[u32]], padding: u32) -> candle_core::Result<Self> {
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let mut ids = vec![padding; texts.len() * longest];
        let mut mask = vec![0f32; texts.len() * longest];
        for (at, text) in texts.iter().enumerate() {
            ids[at * longest..][..text.len()].copy_from_slice(text);
            mask[at * longest..][..text.len()].fill(1.0);
        }
        let shape = (texts.len(), longest);
        Ok(Self {
            ids: Tensor::from_vec(ids, shape, &Device::Cpu)?,
            mask: Tensor::from_vec(mask, shape, &Device::Cpu)?,
        })
    }
}

fn load_encoder(model: &ModelFolder, encoder: &Encoder) -> Result<Network> {
    covers(encoder)?;
    let tensors = EncoderTensors::open(&model.weights, encoder)?;
    if encoder.layouts[0] != *tensors.layout() {
        return Err(uncovered("names its tensors as transformers 5 does, which candle-transformers does not read"));
    }
    // candle-transformers wants ModernBERT's encoder under the name that checkpoints with a head give it.
    let prefix = if encoder.family == Family::ModernBert { "model." } else { "" };
    let named = tensors.names().map(|(name, shape)| Ok((format!("{prefix}{name}"), (tensors.load(&name)?, shape))));
    let source = source(named.collect::<Result<_>>()?)?;
    match encoder.family {
        Family::Bert => built(bert::BertModel::load(source, &bert_config(encoder))).map(Network::Bert),
        Family::Roberta => {
            let config = roberta_config(encoder)?;
            let model = built(xlm_roberta::XLMRobertaModel::new(&config, source))?;
            Ok(Network::Roberta { model, padding: config.pad_token_id })
        }
        Family::NomicBert => {
            built(nomic_bert::NomicBertModel::load(source, &nomic_config(encoder))).map(Network::NomicBert)
        }
        Family::ModernBert => {
            built(modernbert::ModernBert::load(source, &modernbert_config(encoder))).map(Network::ModernBert)
        }
        Family::JinaBert => built(jina_bert::BertModel::new(source, &jina_config(encoder))).map(Network::JinaBert),
        Family::DistilBert | Family::MpNet | Family::Gte => Err(uncovered("is not among those of candle-transformers")),
    }
}

/// Refuses what candle-transformers would compute otherwise than the configuration says.
fn covers(encoder: &Encoder) -> Result<()> {
    let exact = encoder.activation == Activation::Gelu;
    match encoder.family {
        Family::Bert => match encoder.activation {
            Activation::Gelu | Activation::GeluTanh | Activation::Relu => Ok(()),
            _ => Err(uncovered("has an activation that candle-transformers' own does not")),
        },
        Family::Roberta => Ok(()),
        Family::NomicBert if encoder.activation == Activation::Silu => Ok(()),
        Family::JinaBert if exact => Ok(()),
        Family::ModernBert if exact && !has_biases(encoder) && alternates(encoder) => Ok(()),
        Family::NomicBert | Family::JinaBert | Family::ModernBert => {
            Err(uncovered("has an activation, biases or an order of layers that candle-transformers' own does not"))
        }
        // Its activation `gelu` is there the approximation by a hyperbolic tangent, whatever the configuration says.
        Family::DistilBert => Err(uncovered("is computed there with another activation than its own")),
        Family::MpNet | Family::Gte => Err(uncovered("is not among those of candle-transformers")),
    }
}

fn has_biases(encoder: &Encoder) -> bool {
    encoder.norm.bias || encoder.biases.query_key_value || encoder.biases.up
}

/// Whether layers that see all come at equal distances, the first one of them.
fn alternates(encoder: &Encoder) -> bool {
    let every = global_every(encoder);
    encoder.layers.iter().enumerate().all(|(layer, kind)| kind.window.is_none() == layer.is_multiple_of(every))
}

fn uncovered(cause: &str) -> Error {
    let hint = "leave `--engine` at `auto`; candle-transformers covers bert, roberta, xlm-roberta, camembert, \
                nomic_bert, modernbert, JinaBERT v2 and qwen3";
    Error::Usage(Problem::new("`--engine reference`", format!("the model {cause}")).hint(hint))
}

/// Tensors by name, for candle-transformers to take.
pub(super) type Named = HashMap<String, (Vec<f32>, Vec<usize>)>;

fn source(named: Named) -> Result<VarBuilder<'static>> {
    let tensors = named.into_iter().map(|(name, (values, shape))| {
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        Ok((name, tensor))
    });
    let tensors: HashMap<String, Tensor> = built(tensors.collect())?;
    Ok(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))
}

fn bert_config(encoder: &Encoder) -> bert::Config {
    bert::Config {
        vocab_size: encoder.vocab_size,
        hidden_size: encoder.hidden_size,
        num_hidden_layers: encoder.layers.len(),
        num_attention_heads: encoder.heads,
        intermediate_size: encoder.inner_size,
        hidden_act: match encoder.activation {
            Activation::GeluTanh => bert::HiddenAct::GeluApproximate,
            Activation::Relu => bert::HiddenAct::Relu,
            // `covers` lets no other function through.
            _ => bert::HiddenAct::Gelu,
        },
        hidden_dropout_prob: 0.0,
        max_position_embeddings: encoder.longest,
        type_vocab_size: encoder.segments,
        initializer_range: 0.0,
        layer_norm_eps: encoder.norm.epsilon,
        pad_token_id: 0,
        position_embedding_type: bert::PositionEmbeddingType::Absolute,
        use_cache: false,
        classifier_dropout: None,
        model_type: None,
    }
}

fn roberta_config(encoder: &Encoder) -> Result<xlm_roberta::Config> {
    Ok(xlm_roberta::Config {
        hidden_size: encoder.hidden_size,
        layer_norm_eps: encoder.norm.epsilon,
        attention_probs_dropout_prob: 0.0,
        hidden_dropout_prob: 0.0,
        num_attention_heads: encoder.heads,
        position_embedding_type: "absolute".to_owned(),
        intermediate_size: encoder.inner_size,
        hidden_act: candle_activation(encoder.activation)?,
        num_hidden_layers: encoder.layers.len(),
        vocab_size: encoder.vocab_size,
        max_position_embeddings: encoder.positions.map_or(0, |table| table.rows),
        type_vocab_size: encoder.segments,
        pad_token_id: encoder.positions.and_then(|table| table.padding).unwrap_or(1),
    })
}

fn nomic_config(encoder: &Encoder) -> nomic_bert::Config {
    let rotary = rotary(encoder.layers.first());
    nomic_bert::Config {
        vocab_size: encoder.vocab_size,
        n_embd: encoder.hidden_size,
        n_head: encoder.heads,
        n_layer: encoder.layers.len(),
        n_inner: encoder.inner_size,
        n_positions: encoder.longest,
        type_vocab_size: encoder.segments,
        layer_norm_epsilon: encoder.norm.epsilon,
        rotary_emb_fraction: rotary.map_or(0.0, |rotary| rotary.dimensions as f64 / encoder.head_dim() as f64),
        rotary_emb_base: rotary.map_or(0.0, |rotary| rotary.theta),
        rotary_emb_interleaved: false,
        qkv_proj_bias: encoder.biases.query_key_value,
        mlp_fc1_bias: encoder.biases.up,
        mlp_fc2_bias: encoder.biases.down,
        activation_function: "swiglu".to_owned(),
        prenorm: false,
        model_type: None,
    }
}

fn modernbert_config(encoder: &Encoder) -> modernbert::Config {
    let global = encoder.layers.iter().find(|layer| layer.window.is_none());
    let local = encoder.layers.iter().find(|layer| layer.window.is_some());
    let theta = |layer| rotary(layer).map_or(1.0, |rotary| rotary.theta);
    modernbert::Config {
        vocab_size: encoder.vocab_size,
        hidden_size: encoder.hidden_size,
        num_hidden_layers: encoder.layers.len(),
        num_attention_heads: encoder.heads,
        intermediate_size: encoder.inner_size,
        max_position_embeddings: encoder.longest,
        layer_norm_eps: encoder.norm.epsilon,
        pad_token_id: 0,
        global_attn_every_n_layers: global_every(encoder),
        global_rope_theta: theta(global),
        local_attention: local.and_then(|layer| layer.window).map_or(2, |window| 2 * window),
        local_rope_theta: theta(local),
        classifier_config: None,
    }
}

/// How many layers from one that sees all to the next.
fn global_every(encoder: &Encoder) -> usize {
    let mut later = encoder.layers.iter().skip(1);
    later.position(|layer| layer.window.is_none()).map_or(encoder.layers.len(), |between| between + 1)
}

fn jina_config(encoder: &Encoder) -> jina_bert::Config {
    jina_bert::Config {
        vocab_size: encoder.vocab_size,
        hidden_size: encoder.hidden_size,
        num_hidden_layers: encoder.layers.len(),
        num_attention_heads: encoder.heads,
        intermediate_size: encoder.inner_size,
        hidden_act: candle_nn::Activation::Gelu,
        max_position_embeddings: encoder.longest,
        type_vocab_size: encoder.segments,
        initializer_range: 0.0,
        layer_norm_eps: encoder.norm.epsilon,
        pad_token_id: 0,
        position_embedding_type: jina_bert::PositionEmbeddingType::Alibi,
    }
}

fn rotary(layer: Option<&LayerAttention>) -> Option<Rotary> {
    match layer?.distance {
        Distance::Rotary(rotary) => Some(rotary),
        Distance::Ignored | Distance::Alibi | Distance::Buckets => None,
    }
}

fn candle_activation(activation: Activation) -> Result<candle_nn::Activation> {
    match activation {
        Activation::Gelu => Ok(candle_nn::Activation::Gelu),
        Activation::GeluTanh => Ok(candle_nn::Activation::NewGelu),
        Activation::Relu => Ok(candle_nn::Activation::Relu),
        Activation::Silu => Ok(candle_nn::Activation::Silu),
        other => {
            let cause = format!("the reference engine has no {other:?}");
            Err(Error::Model(Problem::new("`config.json`: the activation", cause).hint("choose another model")))
        }
    }
}

fn built<T>(result: candle_core::Result<T>) -> Result<T> {
    result.map_err(|error| failed("load the weights", error))
}

fn failed(what: &str, error: candle_core::Error) -> Error {
    Error::Failed(Problem::new("the reference engine", format!("cannot {what}: {error}")).source(error))
}
