//! The order in which the parts of a layer are computed: the one definition of the family, for every machine.

use super::{Layer, Machine, Network};
use crate::kernel::{Activation, Mask};
use crate::models::NormPlacement;

/// A batch on its way through a network.
///
/// It holds the residual path, tokens x hidden, and what parts hand to each other: the input of products, the queries,
/// keys and values, and the context of attention.
pub(super) trait Pass<M: Machine> {
    /// Why a part could not be computed.
    type Error;

    /// Normalises the residual path, which becomes the input.
    fn normalise(&mut self, norm: &M::Norm) -> Result<(), Self::Error>;
    /// Makes the residual path, normalised, the input, and leaves it as it is.
    fn normalise_to_input(&mut self, norm: &M::Norm) -> Result<(), Self::Error>;
    /// Makes queries, keys and values of the input.
    fn query_key_value(&mut self, weights: &M::Linear) -> Result<(), Self::Error>;
    /// Turns the queries and keys of `n_heads` heads.
    fn rotate(&mut self, n_heads: usize, rotary: &M::Rotary) -> Result<(), Self::Error>;
    /// Makes the context of the queries, keys and values of `n_heads` heads.
    fn attend(&mut self, n_heads: usize, mask: Mask, bias: Option<&M::Bias>) -> Result<(), Self::Error>;
    /// Adds what the map makes of the context to the residual path.
    fn add_context(&mut self, weights: &M::Linear) -> Result<(), Self::Error>;
    /// Adds what a feed-forward part makes of the input to the residual path.
    fn feed_forward(&mut self, maps: &M::FeedForward, activation: Activation) -> Result<(), Self::Error>;
}

impl<M: Machine> Network<M> {
    /// Whether the residual path is the input of every part, as where a norm follows each of them and nothing else does.
    pub(super) fn residual_is_input(&self) -> bool {
        self.placement == NormPlacement::Post && self.layers.iter().all(|layer| layer.bottleneck.is_none())
    }

    /// One layer, on the residual path.
    ///
    /// Where norms stand after the parts, a layer finds its input ready and leaves the next one's; where they stand
    /// before, it makes its own, but for the first one, whose input is the embedding.
    pub(super) fn layer<P: Pass<M>>(&self, layer: &Layer<M>, pass: &mut P) -> Result<(), P::Error> {
        match self.placement {
            NormPlacement::Post => self.layer_normed_after(layer, pass),
            NormPlacement::Pre => self.layer_normed_before(layer, pass),
        }
    }

    fn layer_normed_after<P: Pass<M>>(&self, layer: &Layer<M>, pass: &mut P) -> Result<(), P::Error> {
        self.attend(layer, pass)?;
        pass.normalise(layer.attention_norm.as_ref().unwrap_or(&self.embedding_norm))?;
        pass.feed_forward(&layer.feed_forward, self.activation)?;
        if let Some(bottleneck) = &layer.bottleneck {
            pass.normalise_to_input(&layer.feed_forward_norm)?;
            pass.feed_forward(&bottleneck.maps, bottleneck.activation)?;
        }
        pass.normalise(&layer.feed_forward_norm)
    }

    fn layer_normed_before<P: Pass<M>>(&self, layer: &Layer<M>, pass: &mut P) -> Result<(), P::Error> {
        if let Some(norm) = &layer.attention_norm {
            pass.normalise_to_input(norm)?;
        }
        self.attend(layer, pass)?;
        pass.normalise_to_input(&layer.feed_forward_norm)?;
        pass.feed_forward(&layer.feed_forward, self.activation)
    }

    fn attend<P: Pass<M>>(&self, layer: &Layer<M>, pass: &mut P) -> Result<(), P::Error> {
        pass.query_key_value(&layer.query_key_value)?;
        if let Some(rotary) = layer.rotary {
            pass.rotate(layer.n_heads, &self.rotaries[rotary])?;
        }
        pass.attend(layer.n_heads, layer.mask, self.bias.as_ref())?;
        pass.add_context(&layer.output)
    }
}
