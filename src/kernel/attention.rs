//! Attention within packed sequences: each token weighs the tokens of its own sequence.
//!
//! The scores of a block of queries of one head stay in cache. Heads of sequences are taken one by one, and threads that
//! share the work each take some, so a sequence's result depends neither on that nor on what is packed beside it, bit
//! for bit.

#![expect(unsafe_code, reason = "several threads write one context")]

mod bias;
mod half;
mod rotary;
mod single;
mod tiled;

use std::ops::Range;

use super::operand::{Operand, Precision};
use super::simd::Simd;
use super::{Isa, Workspace};

pub use bias::DistanceBias;
pub use rotary::{Rotary, rotate};
pub(super) use scratch::Scratch;

mod scratch {
    //! What attention keeps between calls.

    /// Scratch memory of both precisions; only the one in use grows.
    #[derive(Debug, Clone, Default)]
    pub(in crate::kernel) struct Scratch {
        pub(super) single: super::single::Scratch,
        pub(super) half: super::half::Scratch,
    }
}

/// Which tokens a token attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mask {
    /// All tokens of its sequence.
    #[default]
    Full,
    /// Those at most so many places before or after it.
    Window(usize),
}

/// Attention of one layer.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Number of heads.
    pub n_heads: usize,
    /// Numbers of a head in a query, key or value.
    pub head_dim: usize,
    /// What a query's products with keys are multiplied with, as a rule `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// Which tokens a token attends to.
    pub mask: Mask,
    /// What is added to a scaled product, by head and distance.
    pub bias: Option<&'a DistanceBias>,
}

/// Computes the context of every token of the packed sequences.
///
/// A row of `qkv` holds the queries of all heads, then the keys, then the values; `context` takes one row of all heads
/// for each. Sequence `s` is rows `offsets[s]..offsets[s + 1]`; offsets begin with 0 and end with the number of rows.
pub fn attention(
    isa: Isa,
    settings: &Attention<'_>,
    qkv: &Operand,
    offsets: &[usize],
    context: &mut Operand,
    workspace: &mut Workspace,
) {
    let width = settings.n_heads * settings.head_dim;
    assert_eq!(qkv.dim(), 3 * width, "queries, keys and values of all heads");
    assert_eq!(qkv.precision(), context.precision(), "both operands have one precision");
    assert!(offsets.first().is_none_or(|&first| first == 0), "offsets begin with 0");
    assert_eq!(offsets.last().copied().unwrap_or(0), qkv.n_rows(), "offsets end with the number of rows");
    assert!(offsets.is_sorted(), "offsets ascend");
    if let Some(bias) = settings.bias {
        assert_eq!(bias.n_heads(), settings.n_heads, "a bias for each head");
        let longest = offsets.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0);
        assert!(longest <= bias.longest(), "a bias for every distance of the longest sequence");
    }
    context.reshape(qkv.n_rows(), width);
    // SAFETY: each head of each sequence is taken once and writes its own columns of its own rows.
    let context = &unsafe { context.writer() };
    let n_heads = settings.n_heads * offsets.len().saturating_sub(1);
    workspace.share(n_heads, 1, |heads, scratch| {
        let job = Job { settings, qkv, offsets, heads };
        match qkv.precision() {
            Precision::F32 => isa.run(single::Single { isa, job, context, scratch: &mut scratch.attention.single }),
            Precision::Bf16 => half::attend(isa, job, context, &mut scratch.attention.half),
        }
    });
}

/// What is asked for.
struct Job<'a> {
    settings: &'a Attention<'a>,
    qkv: &'a Operand,
    offsets: &'a [usize],
    /// Which of the heads of all sequences, counted sequence by sequence.
    heads: Range<usize>,
}

/// One head of one sequence.
#[derive(Clone, Copy)]
struct Head<'a> {
    settings: &'a Attention<'a>,
    qkv: &'a Operand,
    /// The first row of the sequence.
    first: usize,
    /// Its rows.
    len: usize,
    head: usize,
}

impl<'a> Job<'a> {
    /// The heads of sequences that have rows.
    fn heads(&self) -> impl Iterator<Item = Head<'a>> {
        let &Self { settings, qkv, offsets, .. } = self;
        let heads = self.heads.clone().map(move |number| {
            let (sequence, head) = (number / settings.n_heads, number % settings.n_heads);
            let (first, end) = (offsets[sequence], offsets[sequence + 1]);
            Head { settings, qkv, first, len: end - first, head }
        });
        heads.filter(|head| head.len > 0)
    }
}

impl Head<'_> {
    fn width(&self) -> usize {
        self.settings.n_heads * self.dim()
    }

    fn dim(&self) -> usize {
        self.settings.head_dim
    }

    /// Where the head's queries (0), keys (1) or values (2) begin in a row.
    fn column(&self, part: usize) -> usize {
        part * self.width() + self.head * self.dim()
    }

    /// The factor that turns a score into a power of two. Scores that took a bias are powers of two already.
    fn scale(&self) -> f32 {
        if self.settings.bias.is_some() { 1.0 } else { self.product_scale() }
    }

    /// The factor that turns a product into a power of two.
    fn product_scale(&self) -> f32 {
        self.settings.scale * std::f32::consts::LOG2_E
    }
}

/// Gives scores of other places than `keys` the least score, of which the weight vanishes: `scores` are whole vectors, from
/// the place `first` on.
#[inline(always)]
fn hide_others<S: Simd>(simd: S, scores: &mut [f32], first: usize, keys: &Range<usize>) {
    let (start, end) = (simd.splat(keys.start as f32), simd.splat(keys.end as f32));
    for (vector, scores) in scores.chunks_exact_mut(S::LANES).enumerate() {
        let place = simd.add(simd.iota(), simd.splat((first + vector * S::LANES) as f32));
        let early = simd.select(simd.greater(end, place), simd.load(scores), simd.splat(f32::MIN));
        simd.store(simd.select(simd.greater(start, place), simd.splat(f32::MIN), early), scores);
    }
}

impl Mask {
    /// The keys of a sequence of `len` tokens that `query` attends to.
    #[inline(always)]
    fn keys(self, query: usize, len: usize) -> std::ops::Range<usize> {
        match self {
            Self::Full => 0..len,
            Self::Window(reach) => query.saturating_sub(reach)..len.min(query.saturating_add(reach).saturating_add(1)),
        }
    }
}
