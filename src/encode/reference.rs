//! The reference engine: candle-transformers' own models, on the CPU, in f32.
//!
//! What other engines are compared with, and what runs an architecture they do not cover. It pads, so a text's
//! vector may differ between batches by rounding: less than 1e-5.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, HiddenAct, PositionEmbeddingType};

use crate::encode::engine::{Engine, Habits};
use crate::encode::pooling::pool;
use crate::encode::tensors::{self, Loaded};
use crate::encode::tokens::PackedTokens;
use crate::error::{Error, Problem, Result};
use crate::models::{Activation, Architecture, BertConfig, ModelFolder, Pooling};

/// Beyond this the scores of attention, which grow with the square of the length, cost more than they gain.
const HABITS: Habits = Habits { batch_tokens: 2048, light: false };

/// A transformer by candle-transformers.
pub(super) struct Reference {
    model: BertModel,
    hidden: usize,
    pooling: Pooling,
    /// Candle's products spread over the rayon pool they are called in. Each batch has a pool of one thread, because
    /// the threads of the encoder carry whole batches; pools are kept for the next one.
    pools: Mutex<Vec<rayon::ThreadPool>>,
}

impl Reference {
    /// Loads the weights of a transformer, checking every shape first.
    pub(super) fn load(model: &ModelFolder, architecture: &Architecture, pooling: &Pooling) -> Result<Self> {
        let Architecture::Bert(config) = architecture;
        let loaded = tensors::load_bert(&model.weights, config)?;
        let failed = |error| failed("load the weights", error);
        let tensor = |tensor: Loaded| Tensor::from_vec(tensor.values, tensor.shape, &Device::Cpu);
        let named = loaded.into_iter().map(|(name, values)| Ok((name, tensor(values)?)));
        let named: HashMap<String, Tensor> = named.collect::<candle_core::Result<_>>().map_err(failed)?;
        let source = VarBuilder::from_tensors(named, DType::F32, &Device::Cpu);
        Ok(Self {
            model: BertModel::load(source, &candle_config(config)).map_err(failed)?,
            hidden: config.hidden_size,
            pooling: pooling.clone(),
            pools: Mutex::new(Vec::new()),
        })
    }

    /// The rows of all tokens, padding included: texts x longest x hidden.
    fn forward(&self, batch: &PackedTokens) -> candle_core::Result<Vec<f32>> {
        let (texts, longest) = (batch.len(), batch.longest());
        let mut ids = vec![0u32; texts * longest];
        let mut mask = vec![0f32; texts * longest];
        for (at, text) in batch.texts().enumerate() {
            ids[at * longest..][..text.len()].copy_from_slice(text);
            mask[at * longest..][..text.len()].fill(1.0);
        }
        let ids = Tensor::from_vec(ids, (texts, longest), &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, (texts, longest), &Device::Cpu)?;
        let states = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        states.flatten_all()?.to_vec1()
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
        let states = self.with_pool(|| self.forward(batch))?.map_err(|error| failed("compute a batch", error))?;
        let stride = batch.longest() * self.hidden;
        let mut rows = Vec::with_capacity(batch.len() * self.hidden * self.pooling.modes.len());
        for (text, states) in batch.texts().zip(states.chunks_exact(stride.max(1))) {
            pool(&self.pooling, &states[..text.len() * self.hidden], self.hidden, batch.unpooled, &mut rows);
        }
        Ok(rows)
    }

    fn habits(&self) -> Habits {
        HABITS
    }
}

fn candle_config(config: &BertConfig) -> Config {
    Config {
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        num_attention_heads: config.num_attention_heads,
        intermediate_size: config.intermediate_size,
        hidden_act: match config.activation {
            Activation::GeluTanh => HiddenAct::GeluApproximate,
            Activation::Relu => HiddenAct::Relu,
            // `models` lets no other function into a BERT configuration.
            _ => HiddenAct::Gelu,
        },
        hidden_dropout_prob: 0.0,
        max_position_embeddings: config.max_position_embeddings,
        type_vocab_size: config.type_vocab_size,
        initializer_range: 0.0,
        layer_norm_eps: config.layer_norm_eps,
        pad_token_id: 0,
        position_embedding_type: PositionEmbeddingType::Absolute,
        use_cache: false,
        classifier_dropout: None,
        model_type: None,
    }
}

fn failed(what: &str, error: candle_core::Error) -> Error {
    Error::Failed(Problem::new("the reference engine", format!("cannot {what}: {error}")).source(error))
}
