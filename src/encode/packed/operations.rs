//! The packed network as operations of Candle on rows of packed tokens, tokens x hidden.
//!
//! A whole layer is one operation, in place: its parts hand activations to each other in the thread's scratch memory,
//! in the layout that products read fastest, which no tensor of Candle has.

use std::cell::RefCell;
use std::convert::Infallible;

use candle_core::{CpuStorage, DType, Device, Error, InplaceOp1, Layout, Result, Tensor};

use super::pass;
use super::processor::{Norm, Packed, Processor, Scratch};
use super::{Layer, Network};
use crate::encode::table::numbers_of;
use crate::encode::tokens::PackedTokens;
use crate::kernel::{
    self, Activation, Attention, DistanceBias, Gather, Isa, LinearWeights, Mask, Output, attention, embed, layer_norm,
    layer_norm_to, linear, rotate,
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
    let network = &engine.network;
    let rows = first_rows(memory, batch.ids.len(), network.hidden)?;
    let pass = Pass { isa: engine.processor.isa, network, batch, scratch: RefCell::new(scratch) };
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
    isa: Isa,
    network: &'a Network<Processor>,
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
        let Pass { isa, network, batch, scratch } = self.0;
        let (rows, mut scratch) = (numbers(rows, layout)?, scratch.borrow_mut());
        let Scratch { places, input, workspace, .. } = &mut **scratch;
        let words = gather(&network.words, &batch.ids);
        match &network.positions {
            Some(positions) => {
                places.clear();
                batch.texts().for_each(|text| positions.table.places(text, places));
                let positions = gather(&positions.rows, places);
                embed(*isa, &[words, positions], network.hidden, rows);
            }
            None => embed(*isa, &[words], network.hidden, rows),
        }
        layer_norm(*isa, &network.embedding_norm.view(), rows, Some(input), workspace);
        Ok(())
    }
}

fn gather<'a>(rows: &'a Rows, indices: &'a [u32]) -> Gather<'a> {
    Gather { table: numbers_of(rows), scales: rows.scales(), indices }
}

/// A layer, on the residual path.
struct OneLayer<'a> {
    pass: &'a Pass<'a>,
    layer: &'a Layer<Processor>,
}

impl InplaceOp1 for OneLayer<'_> {
    fn name(&self) -> &'static str {
        "packed encoder layer"
    }

    fn cpu_fwd(&self, rows: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Pass { isa, network, batch, scratch } = self.pass;
        let (rows, mut scratch) = (numbers(rows, layout)?, scratch.borrow_mut());
        let mut parts = Parts { isa: *isa, network, batch, rows, scratch: &mut scratch };
        let Ok(()) = network.layer(self.layer, &mut parts);
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
        layer_norm(self.pass.isa, &self.norm.view(), numbers(rows, layout)?, None, workspace);
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

/// Nothing that a processor's kernel does can fail.
type Done = std::result::Result<(), Infallible>;

/// A layer's parts by the kernels of the processor.
struct Parts<'a> {
    isa: Isa,
    network: &'a Network<Processor>,
    batch: &'a PackedTokens,
    rows: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl pass::Pass<Processor> for Parts<'_> {
    type Error = Infallible;

    fn normalise(&mut self, norm: &Norm) -> Done {
        let Scratch { input, workspace, .. } = &mut *self.scratch;
        layer_norm(self.isa, &norm.view(), self.rows, Some(input), workspace);
        Ok(())
    }

    fn normalise_to_input(&mut self, norm: &Norm) -> Done {
        let Scratch { input, workspace, .. } = &mut *self.scratch;
        layer_norm_to(self.isa, &norm.view(), self.rows, input, workspace);
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
        let Scratch { context, workspace, .. } = &mut *self.scratch;
        linear(weights, context, Activation::Identity, Output::Residual(self.rows), workspace);
        Ok(())
    }

    fn expand(&mut self, weights: &LinearWeights, activation: Activation) -> Done {
        let Scratch { input, inner, workspace, .. } = &mut *self.scratch;
        linear(weights, input, activation, Output::Operand(inner), workspace);
        Ok(())
    }

    fn gate(&mut self, weights: &LinearWeights, activation: Activation) -> Done {
        let Scratch { input, inner, workspace, .. } = &mut *self.scratch;
        linear(weights, input, activation, Output::Gate(inner), workspace);
        Ok(())
    }

    fn add_inner(&mut self, weights: &LinearWeights) -> Done {
        let Scratch { inner, workspace, .. } = &mut *self.scratch;
        linear(weights, inner, Activation::Identity, Output::Residual(self.rows), workspace);
        Ok(())
    }
}
