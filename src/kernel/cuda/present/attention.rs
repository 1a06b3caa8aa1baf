//! Attention and rotary positions on a device: the kernels of `attention.cu` and `rotate` of `rows.cu`.

#![expect(unsafe_code, reason = "kernels take pointers")]

use cudarc::driver::PushKernelArg;

use super::device::{Array, Lane, launch};
use super::number::Number;
use super::tokens::Tokens;
use super::{Failure, Precision, rows};
use crate::kernel::Mask;

/// Threads of a block, as `ATTENTION_THREADS` there.
const THREADS: u32 = 128;

/// Numbers that say which queries a block takes: the sequence's first row, its length, the block's first query.
pub(super) const ATTENTION_WORDS: usize = 3;

/// Numbers of a head that kernels are compiled for; narrower heads are filled up with zeros.
const HEAD_DIMS: [usize; 4] = [16, 32, 64, 128];

/// The heads of a network.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// How many.
    pub count: usize,
    /// Numbers of one in a query, key or value.
    pub dim: usize,
}

/// Attention of one layer.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// The heads.
    pub heads: Heads,
    /// What a query's products with keys are multiplied with.
    pub scale: f32,
    /// Which tokens a token attends to.
    pub mask: Mask,
    /// What is added to a scaled product, by head and distance.
    pub bias: Option<&'a DistanceBias>,
}

/// Cosines and sines for every place of a sequence.
#[derive(Debug)]
pub struct Rotary {
    half: usize,
    longest: usize,
    cosines: Array<f32>,
    sines: Array<f32>,
}

/// What attention adds by head and distance.
#[derive(Debug)]
pub struct DistanceBias {
    powers: Array<f32>,
    n_heads: usize,
    stride: usize,
    longest: usize,
}

impl Precision {
    /// Queries that a block of threads takes.
    pub fn block_queries(self) -> usize {
        match self {
            Self::F32 => 32,
            Self::F16 | Self::Bf16 => 64,
        }
    }
}

impl Heads {
    /// The numbers of a head that the kernel for these heads is compiled for; `None` where there is none. Addresses of
    /// sixteen bytes want heads of a multiple of eight numbers.
    pub fn compiled_dim(self) -> Option<usize> {
        HEAD_DIMS.into_iter().find(|&dim| self.dim <= dim).filter(|_| self.dim.is_multiple_of(8))
    }
}

/// Of every block of queries of every sequence, in the order of `Blocks` in `attention.cu`.
pub(super) fn query_blocks(offsets: &[usize], queries: usize) -> impl Iterator<Item = u32> {
    offsets.windows(2).flat_map(move |ends| {
        let (first, length) = (ends[0], ends[1] - ends[0]);
        (0..length).step_by(queries).flat_map(move |query| [first as u32, length as u32, query as u32])
    })
}

impl Rotary {
    /// Sends a rotary's angles.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where they do not fit.
    pub fn upload(lane: &Lane, rotary: &crate::kernel::Rotary) -> Result<Self, Failure> {
        let (half, cosines, sines) = rotary.tables();
        Ok(Self {
            half,
            longest: cosines.len().checked_div(half).unwrap_or(usize::MAX),
            cosines: lane.upload(cosines)?,
            sines: lane.upload(sines)?,
        })
    }
}

impl DistanceBias {
    /// Sends the table of a bias.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where it does not fit.
    pub fn upload(lane: &Lane, bias: &crate::kernel::DistanceBias) -> Result<Self, Failure> {
        let (powers, stride) = bias.table();
        Ok(Self { powers: lane.upload(powers)?, n_heads: bias.n_heads(), stride, longest: bias.longest() })
    }
}

impl Lane {
    /// Turns the queries and keys of every token by the angles of its place.
    ///
    /// # Errors
    /// [`Failure::Driver`] where the device does not take the work.
    pub fn rotate<T: Number>(
        &self,
        rotary: &Rotary,
        heads: Heads,
        tokens: &Tokens,
        query_key_value: &mut Array<T>,
    ) -> Result<(), Failure> {
        assert_eq!(query_key_value.len(), tokens.len() * 3 * heads.count * heads.dim, "queries, keys and values");
        let enough = 2 * rotary.half <= heads.dim && tokens.longest() <= rotary.longest;
        assert!(enough, "an angle for each pair and place");
        let (n_rows, lines) = (tokens.len() as i32, 2 * heads.count as i32);
        let (head_dim, half) = (heads.dim as i32, rotary.half as i32);
        let blocks = (tokens.len() * 2 * heads.count * rotary.half).div_ceil(rows::ELEMENT_THREADS as usize);
        let function = self.kernel(&format!("rotate_{}", T::PRECISION.name()))?;
        let (places, cosines, sines) = (tokens.places(), rotary.cosines.whole(), rotary.sines.whole());
        let numbers = query_key_value.whole();
        let mut arguments = self.stream.launch_builder(&function);
        arguments.arg(&numbers).arg(&places).arg(&cosines).arg(&sines);
        arguments.arg(&n_rows).arg(&lines).arg(&head_dim).arg(&half);
        // SAFETY: the arguments of `rotate`; there is a row of queries, keys and values and a place for each token, and
        // a row of angles for each place.
        unsafe { launch(arguments, [blocks, 1], rows::ELEMENT_THREADS) }
    }

    /// Makes `context` of the queries, keys and values of packed sequences.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where the context does not fit; [`Failure::Unsupported`] where no kernel has such heads.
    pub fn attention<T: Number>(
        &self,
        settings: &Attention<'_>,
        tokens: &Tokens,
        query_key_value: &Array<T>,
        context: &mut Array<T>,
    ) -> Result<(), Failure> {
        let &Attention { heads, scale, mask, bias } = settings;
        let width = heads.count * heads.dim;
        assert_eq!(query_key_value.len(), tokens.len() * 3 * width, "queries, keys and values of all tokens");
        let enough = |bias: &DistanceBias| bias.n_heads == heads.count && tokens.longest() <= bias.longest;
        assert!(bias.is_none_or(enough), "a bias for each head and distance");
        let Some(dim) = heads.compiled_dim() else {
            return Err(Failure::Unsupported(format!("attention has no kernel for heads of {} numbers", heads.dim)));
        };
        context.resize(self, tokens.len() * width)?;
        let function = self.kernel(&format!("attention_{}_{dim}", T::PRECISION.name()))?;
        let (from, to, blocks) = (query_key_value.whole(), context.whole(), tokens.blocks());
        let (n_heads, head_dim) = (heads.count as i32, heads.dim as i32);
        let scale = scale * std::f32::consts::LOG2_E;
        let reach = match mask {
            Mask::Full => -1,
            Mask::Window(reach) => i32::try_from(reach).unwrap_or(-1),
        };
        let (table, nothing) = (bias.map(|bias| bias.powers.whole()), 0u64);
        let (stride, far) = bias.map_or((0, 0), |bias| (bias.stride as i32, bias.longest as i32));
        let mut arguments = self.stream.launch_builder(&function);
        arguments.arg(&from).arg(&to).arg(&blocks).arg(&n_heads).arg(&head_dim).arg(&scale).arg(&reach);
        match &table {
            Some(table) => arguments.arg(table),
            None => arguments.arg(&nothing),
        };
        arguments.arg(&stride).arg(&far);
        // SAFETY: the arguments of `attention`; blocks name rows of sequences that `Tokens` made of its offsets, the arrays
        // have the asserted rows, and the bias has every distance of the longest sequence.
        unsafe { launch(arguments, [tokens.n_blocks(), heads.count], THREADS) }
    }
}
