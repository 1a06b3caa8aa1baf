//! What a model is, read and checked: the architecture, the chain of modules after it, lengths and prompts.
//!
//! Plain data. Whoever holds a [`Description`] knows that every name in it (activation, pooling mode, module) is one
//! that is understood, and that the widths of the chain fit each other; that the weights fit it is checked where
//! they are loaded.

use std::collections::BTreeMap;
use std::fmt;

use crate::models::network::{Activation, Architecture};
use crate::models::weights::Weights;

/// A model as its folder describes it.
#[derive(Debug)]
pub struct Description {
    /// What turns tokens into one row per text.
    pub body: Body,
    /// What is applied to that row, in order.
    pub head: Vec<HeadModule>,
    /// Numbers in the row that comes out.
    pub dimension: usize,
    /// Tokens that are read of a text, marks of begin and end included; `None` where there is no limit.
    pub max_length: Option<usize>,
    /// The longest that the architecture can take; `None` where there is no limit.
    pub longest: Option<usize>,
    /// Whether texts become lower case first, beyond what the tokenizer does.
    pub lower_case: bool,
    /// Which end of a text that is too long is kept.
    pub keeps: Kept,
    /// What is put before a text.
    pub prompts: Prompts,
    /// Dimensions that its authors cut vectors to.
    pub truncate_dimension: Option<usize>,
}

/// What turns tokens into one row per text.
#[derive(Debug)]
pub enum Body {
    /// A transformer encoder and the pooling over its tokens.
    Transformer {
        /// The network.
        architecture: Architecture,
        /// How the rows of tokens become one.
        pooling: Pooling,
    },
    /// One row per token of the vocabulary, averaged.
    Static(StaticTable),
}

/// A table of rows, one per token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticTable {
    /// The tensor that holds the rows.
    pub rows: &'static str,
    /// Rows (after the mapping, where there is one).
    pub vocab_size: usize,
    /// Numbers in a row.
    pub dimension: usize,
    /// Whether the tensor `mapping` says which row a token has.
    pub mapped: bool,
    /// Whether the tensor `weights` says how much a token counts.
    pub weighted: bool,
    /// Whether the unknown token is left out, as model2vec does.
    pub skips_unknown: bool,
}

/// How the rows of a text's tokens become one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooling {
    /// One or more; several are put side by side in this order.
    pub modes: Vec<PoolingMode>,
    /// Whether the tokens of the prompt take part.
    pub include_prompt: bool,
}

/// One way of making one row of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolingMode {
    /// The first token's row.
    Cls,
    /// The largest number of each column.
    Max,
    /// The mean of each column.
    Mean,
    /// The sum of each column over the square root of the number of tokens.
    MeanSqrtLen,
    /// The mean weighted by position, counted from one.
    WeightedMean,
    /// The last token's row.
    LastToken,
}

/// What is done to a text's row after pooling.
#[derive(Debug)]
pub enum HeadModule {
    /// A linear map and a function.
    Dense(Dense),
    /// Layer normalisation with learnt scale and shift.
    LayerNorm {
        /// Numbers in and out.
        dimension: usize,
        /// `norm.weight` and `norm.bias`.
        weights: Weights,
    },
    /// Scaled to length one.
    Normalize,
}

/// A linear map, a function, and possibly the input added again.
#[derive(Debug)]
pub struct Dense {
    /// Numbers in.
    pub inputs: usize,
    /// Numbers out.
    pub outputs: usize,
    /// Whether something is added after the product.
    pub bias: bool,
    /// Applied after that.
    pub activation: Activation,
    /// Whether the input (or its own linear map, where the widths differ) is added at the end.
    pub residual: bool,
    /// `linear.weight`, `linear.bias`, `residual.weight`.
    pub weights: Weights,
}

/// Which end of a text that is too long is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The start.
    Start,
    /// The end.
    End,
}

/// What is put before a text, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompts {
    /// The prompts themselves.
    pub by_name: BTreeMap<String, String>,
    /// The name of the one that is used where the kind of text has none of its own.
    pub default: Option<String>,
}

impl Prompts {
    /// The prompt of that name.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }

    /// The first of `names` that there is a prompt for, else the default prompt, else nothing.
    pub fn first_of(&self, names: &[&str]) -> &str {
        let own = names.iter().find_map(|name| self.named(name));
        own.or_else(|| self.named(self.default.as_deref()?)).unwrap_or_default()
    }
}

impl PoolingMode {
    /// Every mode with the name that sentence-transformers gives it and the flag that older folders have instead, in
    /// the order in which such flags are put side by side.
    pub const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Cls, "cls", "pooling_mode_cls_token"),
        (Self::Max, "max", "pooling_mode_max_tokens"),
        (Self::Mean, "mean", "pooling_mode_mean_tokens"),
        (Self::MeanSqrtLen, "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"),
        (Self::WeightedMean, "weightedmean", "pooling_mode_weightedmean_tokens"),
        (Self::LastToken, "lasttoken", "pooling_mode_lasttoken"),
    ];

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, other, _)| *other == name).map(|(mode, ..)| *mode)
    }

    /// What sentence-transformers calls it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mode, ..)| *mode == self).map_or("", |(_, name, _)| name)
    }
}

impl fmt::Display for Pooling {
    /// The modes with `+` between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.modes.iter().map(|mode| mode.name()).collect();
        f.write_str(&names.join("+"))?;
        if self.include_prompt { Ok(()) } else { f.write_str(" without prompt") }
    }
}

impl Body {
    /// What kind of network it is, in the field's words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Transformer { architecture: Architecture::Encoder(encoder), .. } => encoder.family.name(),
            Self::Transformer { architecture: Architecture::Qwen3(_), .. } => "Qwen3",
            Self::Static(_) => "static",
        }
    }

    /// How rows become one, in words.
    pub fn pooling(&self) -> String {
        match self {
            Self::Transformer { pooling, .. } => pooling.to_string(),
            Self::Static(_) => PoolingMode::Mean.name().to_owned(),
        }
    }

    /// Numbers per text before the head.
    pub fn width(&self) -> usize {
        match self {
            Self::Transformer { architecture, pooling } => architecture.hidden_size() * pooling.modes.len(),
            Self::Static(table) => table.dimension,
        }
    }

    /// Rows of the table of tokens.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Transformer { architecture, .. } => architecture.vocab_size(),
            Self::Static(table) => table.vocab_size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_found_by_kind_then_by_default() {
        let by_name = BTreeMap::from([("query".into(), "q: ".into()), ("other".into(), "o: ".into())]);
        let mut prompts = Prompts { by_name, default: None };
        assert_eq!(prompts.first_of(&["query"]), "q: ");
        assert_eq!(prompts.first_of(&["document", "passage"]), "");
        prompts.default = Some("other".into());
        assert_eq!(prompts.first_of(&["document", "passage"]), "o: ");
    }

    #[test]
    fn pooling_is_written_as_it_is_named() {
        let modes = vec![PoolingMode::Cls, PoolingMode::Mean];
        assert_eq!(Pooling { modes, include_prompt: true }.to_string(), "cls+mean");
        assert_eq!(PoolingMode::from_name("lasttoken"), Some(PoolingMode::LastToken));
        assert_eq!(PoolingMode::from_name("median"), None);
    }
}
