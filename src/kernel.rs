//! Products, activations, attention and selections, per instruction set: the only unsafe arithmetic.
//!
//! A kernel is written once over the vector vocabulary of `simd` and compiled for every [`Isa`]; plain Rust is the
//! specification and the others differ from it by rounding only. Everything here runs on the calling thread, and those
//! kernels that take a [`Workspace`] on the helpers of its [`Team`] too. For one instruction set, what is computed for a
//! row depends neither on the other rows of the call nor on who helps, bit for bit. Numbers are expected to be finite; a NaN makes results unspecified, never unsafe. A slice of the wrong
//! length is a programming error and panics.

mod attention;
mod buffer;
mod byte_rows;
pub mod cuda;
mod dot;
mod driver;
mod feed_forward;
mod function;
mod isa;
mod linear;
mod nearest;
mod norm;
mod operand;
mod pages;
mod places;
mod product;
mod rows;
mod simd;
mod square;
mod team;
#[cfg_attr(not(target_arch = "x86_64"), path = "kernel/no_tiles.rs")]
mod tiles;
mod top_k;
mod workspace;

pub use attention::{Attention, DistanceBias, Mask, Rotary, attention, rotate};
pub use dot::{dot, scan};
pub use driver::{Driver, Gpu};
pub use feed_forward::{FeedForward, Inner, Map, ResidualPath, feed_forward};
pub use function::Activation;
pub use isa::{Isa, Level};
pub use linear::{LinearWeights, Output, linear};
pub use nearest::{Nearest, nearest};
pub use norm::{LayerNorm, embed_to, layer_norm, layer_norm_in_place, layer_norm_to};
pub use operand::{Operand, Precision};
pub use product::{PackedMatrix, scores};
pub use rows::{Gather, Table, embed, mean_pool, scale_to_unit, sum_rows};
pub use team::{Leading, Presence, Team};
pub use top_k::{Hit, TopK, scan_many};
pub use workspace::Workspace;
