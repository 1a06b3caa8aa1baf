//! Products, activations, attention and selections, per instruction set: the only unsafe arithmetic.
//!
//! A kernel is written once over the vector vocabulary of [`simd`] and compiled for every [`Isa`]; plain Rust is the
//! specification and the others differ from it by rounding only. Everything here runs on the calling thread: callers
//! split the rows. For one instruction set, what is computed for a row does not depend on the other rows of the call,
//! bit for bit. Numbers are expected to be finite; a NaN makes results unspecified, never unsafe. A slice of the wrong
//! length is a programming error and panics.

mod buffer;
mod dot;
mod isa;
mod nearest;
mod product;
mod simd;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod top_k;

pub use dot::{dot, scan};
pub use isa::{Isa, Level};
pub use nearest::{Nearest, nearest};
pub use product::{PackedMatrix, scores};
pub use top_k::{Hit, TopK, scan_many};
