//! The GPU side: a device, lanes of work on it, and our kernels behind functions that check their arrays.

mod attention;
mod device;
mod failure;
mod number;
mod product;
mod rows;
mod select;
mod selection;
mod tokens;

pub use attention::{Attention, DistanceBias, Heads, Rotary};
pub use device::{Array, Device, Lane, Pinned};
pub use number::Number;
pub use product::LinearWeights;
pub use rows::{NormWeights, Path, PoolingMode, takes_width};
pub use select::{DeviceRows, Selector};
pub use tokens::{Batch, Tokens};

use super::{Failure, LEAST_CAPABILITY, Precision};
