//! The networks that are understood, by what varies between them.
//!
//! Plain data, read from `config.json` by `architecture`, checked against the weights where they are loaded.

use crate::models::layout::Layout;

/// What turns the tokens of a text into a row each.
#[derive(Debug, Clone, PartialEq)]
pub enum Architecture {
    /// An encoder of the family that the packed engine computes.
    Encoder(Encoder),
    /// `model_type: qwen3`: a decoder, of which the last token's row is taken.
    Qwen3(Qwen3),
}

/// A transformer encoder: what varies between the published ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoder {
    /// Which published network it is.
    pub family: Family,
    /// What `config.json` calls its sizes.
    pub fields: &'static SizeFields,
    /// Rows of the table of tokens.
    pub vocab_size: usize,
    /// Numbers per token between layers.
    pub hidden_size: usize,
    /// Heads of attention; they divide `hidden_size`.
    pub heads: usize,
    /// Numbers per token inside the feed-forward part.
    pub inner_size: usize,
    /// Tokens of the longest text.
    pub longest: usize,
    /// The table of positions that are added to the tokens.
    pub positions: Option<PositionTable>,
    /// Rows of the table of segments, of which texts take the first; 0 where there is none.
    pub segments: usize,
    /// What each layer's attention does with distances.
    pub layers: Vec<LayerAttention>,
    /// Layer normalisation.
    pub norm: Norm,
    /// The function inside the feed-forward part.
    pub activation: Activation,
    /// Whether that function is applied to a gate that is multiplied with what it gates.
    pub gated: bool,
    /// Which maps add something.
    pub biases: Biases,
    /// Where its tensors may be.
    pub layouts: &'static [Layout],
}

/// The published networks of the encoder family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `bert`.
    Bert,
    /// `roberta`, `xlm-roberta`, `camembert`.
    Roberta,
    /// `distilbert`.
    DistilBert,
    /// `mpnet`.
    MpNet,
    /// `nomic_bert`.
    NomicBert,
    /// `modernbert`.
    ModernBert,
    /// `bert` with ALiBi: JinaBERT v2.
    JinaBert,
    /// `new`, `gte`.
    Gte,
}

/// The fields of `config.json` that sizes stand in.
#[derive(Debug, PartialEq, Eq)]
pub struct SizeFields {
    /// Numbers per token between layers.
    pub hidden: &'static str,
    /// Numbers per token inside the feed-forward part.
    pub inner: &'static str,
    /// Layers.
    pub layers: &'static str,
    /// Heads.
    pub heads: &'static str,
    /// Tokens of the longest text, or rows of the table of positions.
    pub positions: &'static str,
}

/// A table of positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionTable {
    /// Its rows.
    pub rows: usize,
    /// The row of a text's first token.
    pub first: usize,
    /// The token that takes the row before the first and is not counted, wherever it stands in a text.
    pub padding: Option<u32>,
}

/// What a layer's attention does with the distance of two tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerAttention {
    /// How far a token sees, both ways; `None` is to the ends of its text.
    pub window: Option<usize>,
    /// How the distance counts.
    pub distance: Distance,
}

/// How the distance of two tokens enters attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distance {
    /// Not at all.
    Ignored,
    /// Queries and keys are turned by angles that grow with the place (RoFormer, arXiv 2104.09864).
    Rotary(Rotary),
    /// A penalty that grows with the distance, by a slope of each head (ALiBi, arXiv 2108.12409), both ways alike.
    Alibi,
    /// A learnt bias for each head and bucket of distances (T5, arXiv 1910.10683), shared by all layers.
    Buckets,
}

/// The angles of rotary positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotary {
    /// The base of the wavelengths.
    pub theta: f64,
    /// Numbers of a head that are turned, in pairs; the others stay.
    pub dimensions: usize,
    /// How wavelengths were stretched after training.
    pub stretch: Option<Stretch>,
}

/// Wavelengths stretched to reach `factor` times as far, by GTE's neural-tangent-kernel rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// How much farther.
    pub factor: f64,
    /// The exponent of the mixed rule; `None` is the fixed rule.
    pub mixed: Option<f64>,
}

/// Layer normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// Where it stands.
    pub placement: NormPlacement,
    /// Whether it shifts.
    pub bias: bool,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Where a layer normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// After each part is added to the residual path.
    Post,
    /// Before each part, and after the last layer. The first layer's attention has none: the embedding has.
    Pre,
}

/// Which maps add something after their product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values.
    pub query_key_value: bool,
    /// After attention.
    pub output: bool,
    /// The first of the feed-forward part.
    pub up: bool,
    /// The last of the feed-forward part.
    pub down: bool,
}

/// The sizes of a Qwen3 decoder, as `config.json` calls them.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the configuration file")]
pub struct Qwen3 {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub attention_bias: bool,
    pub max_position_embeddings: usize,
    pub rope_theta: f64,
    pub rms_norm_eps: f64,
}

/// A function applied number by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The exact form, by the error function.
    Gelu,
    /// The tanh approximation, where the configuration asks for it by name.
    GeluTanh,
    /// max(0, x).
    Relu,
    /// x times the logistic function.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// The logistic function.
    Sigmoid,
    /// x.
    Identity,
}

impl Architecture {
    /// Numbers per token.
    pub fn hidden_size(&self) -> usize {
        match self {
            Self::Encoder(encoder) => encoder.hidden_size,
            Self::Qwen3(decoder) => decoder.hidden_size,
        }
    }

    /// The longest text it can take, in tokens.
    pub fn longest(&self) -> usize {
        match self {
            Self::Encoder(encoder) => encoder.longest,
            Self::Qwen3(decoder) => decoder.max_position_embeddings,
        }
    }

    pub(super) fn vocab_size(&self) -> usize {
        match self {
            Self::Encoder(encoder) => encoder.vocab_size,
            Self::Qwen3(decoder) => decoder.vocab_size,
        }
    }
}

impl PositionTable {
    /// Appends the row of each token of a text.
    pub fn places(&self, text: &[u32], places: &mut Vec<u32>) {
        let mut next = self.first as u32;
        for &id in text {
            if Some(id) == self.padding {
                places.push(id);
            } else {
                places.push(next);
                next += 1;
            }
        }
    }
}

impl Family {
    /// What its authors call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bert => "BERT",
            Self::Roberta => "RoBERTa",
            Self::DistilBert => "DistilBERT",
            Self::MpNet => "MPNet",
            Self::NomicBert => "NomicBERT",
            Self::ModernBert => "ModernBERT",
            Self::JinaBert => "JinaBERT v2",
            Self::Gte => "GTE",
        }
    }
}

impl Encoder {
    /// Numbers of a head in a query, key or value.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.heads
    }
}

impl Distance {
    /// Whether heads have biases of distances.
    pub fn has_bias(&self) -> bool {
        matches!(self, Self::Alibi | Self::Buckets)
    }
}

impl Rotary {
    /// Radians per place, one for each pair of numbers.
    pub fn frequencies(&self) -> Vec<f32> {
        let dimensions = self.dimensions as f64;
        let pairs = (0..self.dimensions / 2).map(|pair| pair as f64);
        let frequency = |pair: f64| match self.stretch {
            None => self.theta.powf(-2.0 * pair / dimensions),
            Some(Stretch { factor, mixed: None }) => {
                (self.theta * factor).powf(-2.0 * pair / dimensions) / factor.powf(2.0 / dimensions)
            }
            Some(Stretch { factor, mixed: Some(exponent) }) => {
                let slope = factor.ln() / (dimensions / 2.0).powf(exponent);
                self.theta.powf(-2.0 * pair / dimensions) / (slope * (pair + 1.0).powf(exponent)).exp()
            }
        };
        pairs.map(|pair| frequency(pair) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padding_token_in_a_text_is_not_counted() {
        let mut places = Vec::new();
        PositionTable { rows: 20, first: 2, padding: Some(1) }.places(&[0, 9, 1, 9, 2], &mut places);
        PositionTable { rows: 20, first: 0, padding: None }.places(&[1, 9], &mut places);
        assert_eq!(places, [2, 3, 1, 4, 5, 0, 1]);
    }
}
