//! Where checkpoints keep the tensors of an encoder: one table per way of naming them.
//!
//! Names are without `.weight` and `.bias`. Those of a layer follow `layer`, the number of the layer and a full stop.

/// The names of an encoder's tensors.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// What may stand before every name: checkpoints of a network with a task's head keep the encoder under a name.
    pub prefixes: &'static [&'static str],
    /// The table of tokens.
    pub words: &'static str,
    /// The table of positions; empty where there is none.
    pub positions: &'static str,
    /// The table of segments; empty where there is none.
    pub segments: &'static str,
    /// The norm after the tables are added.
    pub norm: &'static str,
    /// What comes before the number of a layer.
    pub layer: &'static str,
    /// The maps to queries, keys and values: three, or one with their rows in this order.
    pub query_key_value: &'static [&'static str],
    /// The map after attention.
    pub output: &'static str,
    /// The norm of the attention part.
    pub attention_norm: &'static str,
    /// The first maps of the feed-forward part.
    pub up: Up,
    /// The last map of the feed-forward part.
    pub down: &'static str,
    /// The norm of the feed-forward part.
    pub feed_forward_norm: &'static str,
    /// The norm after the last layer; empty where there is none.
    pub final_norm: &'static str,
    /// The table of biases by bucket of distance and head; empty where there is none.
    pub distance_buckets: &'static str,
}

/// How the first maps of a feed-forward part are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Up {
    /// One map, no gate.
    Plain(&'static str),
    /// A map for the gate, to which the activation is applied, and one for what is gated.
    Apart {
        /// The gate.
        gate: &'static str,
        /// What is gated.
        up: &'static str,
    },
    /// Both in one tensor, half of the rows each.
    Fused {
        /// The tensor.
        name: &'static str,
        /// Whether the gate's rows come first.
        gate_first: bool,
    },
}

const BERT_PREFIXES: &[&str] = &["", "bert.", "roberta."];

/// BERT, RoBERTa and their kin.
pub(super) const BERT: Layout = Layout {
    prefixes: BERT_PREFIXES,
    words: "embeddings.word_embeddings",
    positions: "embeddings.position_embeddings",
    segments: "embeddings.token_type_embeddings",
    norm: "embeddings.LayerNorm",
    layer: "encoder.layer.",
    query_key_value: &["attention.self.query", "attention.self.key", "attention.self.value"],
    output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: Up::Plain("intermediate.dense"),
    down: "output.dense",
    feed_forward_norm: "output.LayerNorm",
    final_norm: "",
    distance_buckets: "",
};

pub(super) const DISTILBERT: Layout = Layout {
    prefixes: &["", "distilbert."],
    segments: "",
    layer: "transformer.layer.",
    query_key_value: &["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: Up::Plain("ffn.lin1"),
    down: "ffn.lin2",
    feed_forward_norm: "output_layer_norm",
    ..BERT
};

pub(super) const MPNET: Layout = Layout {
    prefixes: &["", "mpnet."],
    segments: "",
    query_key_value: &["attention.attn.q", "attention.attn.k", "attention.attn.v"],
    output: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    distance_buckets: "encoder.relative_attention_bias",
    ..BERT
};

/// JinaBERT v2, by jinaai/jina-bert-implementation.
pub(super) const JINA_BERT: Layout = Layout {
    positions: "",
    up: Up::Fused { name: "mlp.gated_layers", gate_first: true },
    down: "mlp.wo",
    feed_forward_norm: "mlp.layernorm",
    ..BERT
};

/// NomicBERT as its authors publish it.
pub(super) const NOMIC_BERT: Layout = Layout {
    prefixes: &["", "nomic_bert.", "bert."],
    positions: "",
    norm: "emb_ln",
    layer: "encoder.layers.",
    query_key_value: &["attn.Wqkv"],
    output: "attn.out_proj",
    attention_norm: "norm1",
    up: Up::Apart { gate: "mlp.fc12", up: "mlp.fc11" },
    down: "mlp.fc2",
    feed_forward_norm: "norm2",
    ..BERT
};

pub(super) const MODERNBERT: Layout = Layout {
    prefixes: &["", "model."],
    words: "embeddings.tok_embeddings",
    positions: "",
    segments: "",
    norm: "embeddings.norm",
    layer: "layers.",
    query_key_value: &["attn.Wqkv"],
    output: "attn.Wo",
    attention_norm: "attn_norm",
    up: Up::Fused { name: "mlp.Wi", gate_first: true },
    down: "mlp.Wo",
    feed_forward_norm: "mlp_norm",
    final_norm: "final_norm",
    ..BERT
};

/// GTE as its authors publish it (`model_type: new`), queries, keys and values in one tensor.
pub(super) const GTE: Layout = Layout {
    prefixes: &["", "new."],
    positions: "",
    query_key_value: &["attention.qkv_proj"],
    output: "attention.o_proj",
    attention_norm: "attn_ln",
    up: Up::Fused { name: "mlp.up_gate_proj", gate_first: false },
    down: "mlp.down_proj",
    feed_forward_norm: "mlp_ln",
    ..BERT
};

/// As [`GTE`], where `pack_qkv` is false.
pub(super) const GTE_APART: Layout =
    Layout { query_key_value: &["attention.q_proj", "attention.k_proj", "attention.v_proj"], ..GTE };

/// NomicBERT and GTE as transformers 5 names them.
pub(super) const TRANSFORMERS_5: Layout = Layout {
    prefixes: &["", "nomic_bert.", "gte."],
    positions: "",
    layer: "layers.",
    query_key_value: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    output: "self_attn.o_proj",
    attention_norm: "post_attention_layernorm",
    up: Up::Apart { gate: "mlp.gate_proj", up: "mlp.up_proj" },
    down: "mlp.down_proj",
    feed_forward_norm: "post_mlp_layernorm",
    ..BERT
};
