//! The static engine: a row per token of the vocabulary, averaged over a text.
//!
//! Layouts: sentence-transformers' `StaticEmbedding` (`embedding.weight`), and model2vec (`embeddings`, with
//! `mapping` from tokens to rows and `weights` per token where there are). Rows of 8-bit integers, scaled by
//! `NAME.scale`, are used as they are stored. A text without any known token gets the mean of all rows, the direction
//! that says least.

use std::sync::OnceLock;

use crate::encode::engine::{Engine, Habits};
use crate::encode::tokens::PackedTokens;
use crate::error::Result;
use crate::kernel::{self, Isa, sum_rows};
use crate::models::{ModelFolder, Rows, StaticTable, Weights};

/// A table of rows with the factor that each counts with.
pub(super) struct Table {
    isa: Isa,
    width: usize,
    rows: Rows,
    /// The row of each token; the token itself where it is empty.
    mapping: Vec<usize>,
    /// What a token's row is multiplied by: its weight and the row's scale together.
    factors: Option<Vec<f32>>,
    neutral: OnceLock<Vec<f32>>,
}

const HABITS: Habits = Habits { batch_tokens: 16_384, light: true, callers: None };

impl Table {
    /// Reads the table that `layout` describes.
    pub(super) fn load(model: &ModelFolder, layout: &StaticTable, isa: Isa) -> Result<Self> {
        let weights = &model.weights;
        let stored = weights.shape(layout.rows).map_or(0, |shape| shape[0]);
        let mapping = if layout.mapped { weights.indices("mapping")? } else { Vec::new() };
        if let Some(row) = mapping.iter().find(|&&row| row >= stored) {
            return Err(weights.bad_tensor("mapping", &format!("points to row {row} of {stored}")));
        }
        let rows = weights.rows(layout.rows)?;
        let factors = factors(weights, layout, &mapping, rows.scales())?;
        Ok(Self { isa, width: layout.dimension, rows, mapping, factors, neutral: OnceLock::new() })
    }

    /// The row of a token, and what it counts with.
    fn pick(&self, token: usize) -> (usize, f32) {
        let row = self.mapping.get(token).copied().unwrap_or(token);
        (row, self.factors.as_ref().map_or(1.0, |factors| factors[token]))
    }

    fn mean(&self, tokens: impl ExactSizeIterator<Item = usize>) -> Vec<f32> {
        let count = tokens.len() as f32;
        let picks: Vec<(usize, f32)> = tokens.map(|token| self.pick(token)).collect();
        let mut sum = vec![0.0; self.width];
        sum_rows(self.isa, numbers_of(&self.rows), &picks, &mut sum);
        sum.iter_mut().for_each(|value| *value /= count);
        sum
    }

    fn tokens(&self) -> usize {
        let stored = match &self.rows {
            Rows::F32(numbers) => numbers.len(),
            Rows::I8 { numbers, .. } => numbers.len(),
        };
        if self.mapping.is_empty() { stored / self.width } else { self.mapping.len() }
    }
}

impl Engine for Table {
    fn rows(&self, batch: &PackedTokens) -> Result<Vec<f32>> {
        let mut rows = Vec::with_capacity(batch.len() * self.width);
        for text in batch.texts() {
            if text.is_empty() {
                rows.extend_from_slice(self.neutral.get_or_init(|| self.mean(0..self.tokens())));
            } else {
                rows.extend(self.mean(text.iter().map(|&token| token as usize)));
            }
        }
        Ok(rows)
    }

    fn habits(&self) -> Habits {
        HABITS
    }
}

/// The rows as kernels take them, without their scales.
pub(super) fn numbers_of(rows: &Rows) -> kernel::Table<'_> {
    match rows {
        Rows::F32(numbers) => kernel::Table::F32(numbers),
        Rows::I8 { numbers, .. } => kernel::Table::I8(numbers),
    }
}

/// The weight of each token times the scale of its row; `None` where there is neither.
fn factors(weights: &Weights, layout: &StaticTable, mapping: &[usize], scales: &[f32]) -> Result<Option<Vec<f32>>> {
    let own = if layout.weighted { Some(weights.f32("weights")?) } else { None };
    let row_of = |token: usize| mapping.get(token).copied().unwrap_or(token);
    let scale_of = |token: usize| if scales.is_empty() { 1.0 } else { scales[row_of(token)] };
    Ok(match own {
        Some(own) => Some(own.iter().enumerate().map(|(token, weight)| weight * scale_of(token)).collect()),
        None if !scales.is_empty() => Some((0..layout.vocab_size).map(scale_of).collect()),
        None => None,
    })
}
