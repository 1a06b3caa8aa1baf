//! The packed network as an operation of Candle on rows of packed tokens, tokens x hidden.
//!
//! The whole network is one operation, in place: its parts hand activations to each other in the thread's scratch memory, in
//! the layout that products read fastest, which no tensor of Candle has.

use std::cell::RefCell;
use std::convert::Infallible;

use candle_core::{CpuStorage, DType, Device, Error, InplaceOp1, Layout, Result, Tensor};

use super::Network;
use super::pass;
use super::processor::{Norm, Packed, Processor, Scratch};
use crate::encode::table::numbers_of;
use crate::encode::tokens::PackedTokens;
use crate::kernel::{
    self, Activation, Attention, DistanceBias, FeedForward, Gather, Isa, LinearWeights, Mask, Output, ResidualPath,
    attention, embed, embed_to, feed_forward, layer_norm, layer_norm_in_place, layer_norm_to, linear, rotate,
};
use crate::models::Rows;

/// The rows of the last layer, of all tokens of a batch. They stand in `memory`, which grows to the largest batch and is
/// used again.
pub(super) fn forward(
    engine: &Packed,
    batch: &PackedTokens,
    memory: &mut Option<Tensor>,
    scratch: &mut Scratch,
) -> Result<Tensor> {
    let rows = first_rows(memory, batch.ids.len(), engine.network.hidden)?;
    rows.inplace_op1(&Encode { engine, batch, scratch: RefCell::new(scratch) })?;
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

/// One batch through the network.
struct Encode<'a> {
    engine: &'a Packed,
    batch: &'a PackedTokens,
    scratch: RefCell<&'a mut Scratch>,
}

impl InplaceOp1 for Encode<'_> {
    fn name(&self) -> &'static str {
        "packed encoder"
    }

    fn cpu_fwd(&self, rows: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Packed { processor, network, .. } = self.engine;
        let (rows, mut scratch) = (numbers(rows, layout)?, self.scratch.borrow_mut());
        let residual = if network.residual_is_input() { Residual::Input } else { Residual::Rows };
        let mut parts = Parts { isa: processor.isa, network, batch: self.batch, rows, residual, scratch: &mut scratch };
        parts.embed();
        for layer in &network.layers {
            let Ok(()) = network.layer(layer, &mut parts);
        }
        parts.end();
        Ok(())
    }
}

fn gather<'a>(rows: &'a Rows, indices: &'a [u32]) -> Gather<'a> {
    Gather { table: numbers_of(rows), scales: rows.scales(), indices }
}

/// The numbers of rows that stand in memory one after the other.
fn numbers<'a>(rows: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (rows, layout.contiguous_offsets()) {
        (CpuStorage::F32(numbers), Some((start, end))) => Ok(&mut numbers[start..end]),
        _ => Err(Error::Msg("packed rows are f32, one after the other".to_owned())),
    }
}

/// Nothing that a processor's kernel does can fail.
type Done = std::result::Result<(), Infallible>;

/// Where the residual path stands.
#[derive(Clone, Copy)]
enum Residual {
    /// In rows of its own, in f32.
    Rows,
    /// It is the input of the next part, in that precision.
    Input,
}

/// The network's parts by the kernels of the processor.
struct Parts<'a> {
    isa: Isa,
    network: &'a Network<Processor>,
    batch: &'a PackedTokens,
    /// The residual path where it has rows of its own, and in the end the last layer's rows.
    rows: &'a mut [f32],
    residual: Residual,
    scratch: &'a mut Scratch,
}

impl Parts<'_> {
    /// The sum of the tables, normalised.
    fn embed(&mut self) {
        let Self { isa, network, batch, rows, .. } = self;
        let Scratch { places, input, workspace, .. } = &mut *self.scratch;
        let mut tables = vec![gather(&network.words, &batch.ids)];
        if let Some(positions) = &network.positions {
            places.clear();
            batch.texts().for_each(|text| positions.table.places(text, places));
            tables.push(gather(&positions.rows, places));
        }
        let norm = network.embedding_norm.view();
        match self.residual {
            Residual::Rows => {
                embed(*isa, &tables, network.hidden, rows);
                layer_norm(*isa, &norm, rows, Some(input), workspace);
            }
            Residual::Input => embed_to(*isa, &tables, &norm, input, workspace),
        }
    }

    /// Leaves the last layer's rows.
    fn end(&mut self) {
        let Scratch { input, workspace, .. } = &mut *self.scratch;
        if let Residual::Input = self.residual {
            input.copy_to(self.isa, self.rows);
        }
        if let Some(norm) = &self.network.final_norm {
            layer_norm(self.isa, &norm.view(), self.rows, None, workspace);
        }
    }
}

impl pass::Pass<Processor> for Parts<'_> {
    type Error = Infallible;

    fn normalise(&mut self, norm: &Norm) -> Done {
        let Scratch { input, workspace, .. } = &mut *self.scratch;
        match self.residual {
            Residual::Rows => layer_norm(self.isa, &norm.view(), self.rows, Some(input), workspace),
            Residual::Input => layer_norm_in_place(self.isa, &norm.view(), input, workspace),
        }
        Ok(())
    }

    fn normalise_to_input(&mut self, norm: &Norm) -> Done {
        let Scratch { input, workspace, .. } = &mut *self.scratch;
        match self.residual {
            Residual::Rows => layer_norm_to(self.isa, &norm.view(), self.rows, input, workspace),
            Residual::Input => unreachable!("a residual path that is the input does not stay as it is"),
        }
        Ok(())
    }

    fn query_key_value(&mut self, weights: &LinearWeights) -> Done {
        let Scratch { input, query_key_value, workspace, .. } = &mut *self.scratch;
        linear(weights, input, Activation::Identity, Output::Operand(query_key_value), workspace);
        Ok(())
    }

    fn rotate(&mut self, n_heads: usize, rotary: &kernel::Rotary) -> Done {
        let Scratch { query_key_value, workspace, .. } = &mut *self.scratch;
        let heads = (n_heads, self.network.head_dim);
        rotate(self.isa, rotary, heads, &self.batch.offsets, query_key_value, workspace);
        Ok(())
    }

    fn attend(&mut self, n_heads: usize, mask: Mask, bias: Option<&DistanceBias>) -> Done {
        let Scratch { query_key_value, context, workspace, .. } = &mut *self.scratch;
        let (head_dim, scale) = (self.network.head_dim, self.network.scale());
        let settings = Attention { n_heads, head_dim, scale, mask, bias };
        attention(self.isa, &settings, query_key_value, &self.batch.offsets, context, workspace);
        Ok(())
    }

    fn add_context(&mut self, weights: &LinearWeights) -> Done {
        let Scratch { input, context, workspace, .. } = &mut *self.scratch;
        let output = match self.residual {
            Residual::Rows => Output::Residual(self.rows),
            Residual::Input => Output::ResidualOperand(input),
        };
        linear(weights, context, Activation::Identity, output, workspace);
        Ok(())
    }

    fn feed_forward(&mut self, maps: &FeedForward, activation: Activation) -> Done {
        let Scratch { input, context, inner, workspace, .. } = &mut *self.scratch;
        let path = match self.residual {
            Residual::Rows => ResidualPath::Rows { rows: self.rows, input },
            // The context has been used.
            Residual::Input => ResidualPath::Input(input, context),
        };
        feed_forward(maps, activation, path, inner, workspace);
        Ok(())
    }
}
