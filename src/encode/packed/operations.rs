//! The packed network as operations of Candle on rows of packed tokens, tokens x hidden.
//!
//! A whole layer is one operation, in place: its parts hand activations to each other in the thread's scratch memory,
//! in the layout that products read fastest, which no tensor of Candle has. On another device than the processor Candle
//! answers that the operation has no implementation there.

use std::cell::RefCell;

use candle_core::{CpuStorage, DType, Device, Error, InplaceOp1, Layout, Result, Tensor};

use super::{Layer, Norm, Packed, Scratch};
use crate::encode::tokens::PackedTokens;
use crate::kernel::{self, Attention, Gather, Output, attention, embed, layer_norm, layer_norm_to, linear, rotate};
use crate::models::NormPlacement;

/// The rows of the last layer, of all tokens of a batch. They stand in `memory`, which grows to the largest batch and is
/// used again.
pub(super) fn forward(
    network: &Packed,
    batch: &PackedTokens,
    memory: &mut Option<Tensor>,
    scratch: &mut Scratch,
) -> Result<Tensor> {
    let rows = first_rows(memory, batch.ids.len(), network.hidden)?;
    let pass = Pass { network, batch, scratch: RefCell::new(scratch) };
    rows.inplace_op1(&Embed(&pass))?;
    for layer in &network.layers {
        rows.inplace_op1(&OneLayer { pass: &pass, layer })?;
    }
    if let Some(norm) = &network.final_norm {
        rows.inplace_op1(&Normalise { pass: &pass, norm })?;
    }
    Ok(rows)
}

fn first_rows(memory: &mut Option<Tensor>, tokens: usize, hidden: usize) -> Result<Tensor> {
    let large_enough = memory.take().filter(|memory| memory.dims().first() >= Some(&tokens));
    let whole = match large_enough {
        Some(memory) => memory,
        None => Tensor::zeros((tokens, hidden), DType::F32, &Device::Cpu)?,
    };
    memory.insert(whole).narrow(0, 0, tokens)
}

/// One batch on its way.
struct Pass<'a> {
    network: &'a Packed,
    batch: &'a PackedTokens,
    scratch: RefCell<&'a mut Scratch>,
}

/// The sum of the tables, normalised.
struct Embed<'a>(&'a Pass<'a>);

impl InplaceOp1 for Embed<'_> {
    fn name(&self) -> &'static str {
        "packed embedding"
    }

    fn cpu_fwd(&self, rows: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Pass { network, batch, scratch } = self.0;
        let (rows, mut scratch) = (numbers(rows, layout)?, scratch.borrow_mut());
        let Scratch { places, input, workspace, .. } = &mut **scratch;
        let words = Gather { table: &network.words, indices: &batch.ids };
        match &network.positions {
            Some(positions) => {
                places.clear();
                batch.texts().for_each(|text| positions.table.places(text, places));
                let positions = Gather { table: &positions.rows, indices: places };
                embed(network.isa, &[words, positions], network.hidden, rows);
            }
            None => embed(network.isa, &[words], network.hidden, rows),
        }
        layer_norm(network.isa, &network.embedding_norm.view(), rows, Some(input), workspace);
        Ok(())
    }
}

/// A layer, on the residual path.
struct OneLayer<'a> {
    pass: &'a Pass<'a>,
    layer: &'a Layer,
}

impl InplaceOp1 for OneLayer<'_> {
    fn name(&self) -> &'static str {
        "packed encoder layer"
    }

    fn cpu_fwd(&self, rows: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Pass { network, batch, scratch } = self.pass;
        let (rows, mut scratch) = (numbers(rows, layout)?, scratch.borrow_mut());
        match network.placement {
            NormPlacement::Post => network.layer_normed_after(self.layer, batch, rows, &mut scratch),
            NormPlacement::Pre => network.layer_normed_before(self.layer, batch, rows, &mut scratch),
        }
        Ok(())
    }
}

/// A norm of the residual path.
struct Normalise<'a> {
    pass: &'a Pass<'a>,
    norm: &'a Norm,
}

impl InplaceOp1 for Normalise<'_> {
    fn name(&self) -> &'static str {
        "packed layer norm"
    }

    fn cpu_fwd(&self, rows: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let workspace = &mut self.pass.scratch.borrow_mut().workspace;
        layer_norm(self.pass.network.isa, &self.norm.view(), numbers(rows, layout)?, None, workspace);
        Ok(())
    }
}

/// The numbers of rows that stand in memory one after the other.
fn numbers<'a>(rows: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (rows, layout.contiguous_offsets()) {
        (CpuStorage::F32(numbers), Some((start, end))) => Ok(&mut numbers[start..end]),
        _ => Err(Error::Msg("packed rows are f32, one after the other".to_owned())),
    }
}

impl Packed {
    /// A layer that takes its input from `scratch.input` and leaves the next one's there.
    fn layer_normed_after(&self, layer: &Layer, batch: &PackedTokens, rows: &mut [f32], scratch: &mut Scratch) {
        self.attend(layer, batch, rows, scratch);
        let norm = layer.attention_norm.as_ref().unwrap_or(&self.embedding_norm);
        layer_norm(self.isa, &norm.view(), rows, Some(&mut scratch.input), &mut scratch.workspace);
        self.feed_forward(layer, rows, scratch);
        if let Some(bottleneck) = &layer.bottleneck {
            self.norm_to_input(&layer.feed_forward_norm, rows, scratch);
            let Scratch { input, inner, workspace, .. } = scratch;
            linear(&bottleneck.down, input, bottleneck.activation, Output::Operand(inner), workspace);
            linear(&bottleneck.up, inner, kernel::Activation::Identity, Output::Residual(rows), workspace);
        }
        let norm = layer.feed_forward_norm.view();
        layer_norm(self.isa, &norm, rows, Some(&mut scratch.input), &mut scratch.workspace);
    }

    /// A layer that makes its input of the residual path. The first one has the embedding in `scratch.input`.
    fn layer_normed_before(&self, layer: &Layer, batch: &PackedTokens, rows: &mut [f32], scratch: &mut Scratch) {
        if let Some(norm) = &layer.attention_norm {
            self.norm_to_input(norm, rows, scratch);
        }
        self.attend(layer, batch, rows, scratch);
        self.norm_to_input(&layer.feed_forward_norm, rows, scratch);
        self.feed_forward(layer, rows, scratch);
    }

    fn norm_to_input(&self, norm: &Norm, rows: &[f32], scratch: &mut Scratch) {
        layer_norm_to(self.isa, &norm.view(), rows, &mut scratch.input, &mut scratch.workspace);
    }

    /// Adds attention to the residual path.
    fn attend(&self, layer: &Layer, batch: &PackedTokens, rows: &mut [f32], scratch: &mut Scratch) {
        let Scratch { input, query_key_value, context, workspace, .. } = scratch;
        let head_dim = self.hidden / self.n_heads;
        let settings = Attention {
            n_heads: self.n_heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            mask: layer.mask,
            bias: self.bias.as_ref(),
        };
        let to = Output::Operand(query_key_value);
        linear(&layer.query_key_value, input, kernel::Activation::Identity, to, workspace);
        if let Some(rotary) = layer.rotary {
            let heads = (self.n_heads, head_dim);
            rotate(self.isa, &self.rotaries[rotary], heads, &batch.offsets, query_key_value, workspace);
        }
        attention(self.isa, &settings, query_key_value, &batch.offsets, context, workspace);
        linear(&layer.output, context, kernel::Activation::Identity, Output::Residual(rows), workspace);
    }

    /// Adds the feed-forward part to the residual path.
    fn feed_forward(&self, layer: &Layer, rows: &mut [f32], scratch: &mut Scratch) {
        let Scratch { input, inner, workspace, .. } = scratch;
        match &layer.gate {
            None => linear(&layer.up, input, self.activation, Output::Operand(inner), workspace),
            Some(gate) => {
                linear(&layer.up, input, kernel::Activation::Identity, Output::Operand(inner), workspace);
                linear(gate, input, self.activation, Output::Gate(inner), workspace);
            }
        }
        linear(&layer.down, inner, kernel::Activation::Identity, Output::Residual(rows), workspace);
    }
}
