//! Memory that kernels reuse from call to call, so that a batch allocates nothing once it is warm.

use super::attention::Scratch;
use super::buffer::Buffer;
use super::square::Square;

/// Scratch memory of one thread. Holds no state that a result depends on.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    pub(super) squares: [Square; 2],
    pub(super) attention: Scratch,
    /// One row of activations.
    pub(super) row: Buffer<f32>,
}

impl Workspace {
    /// Grows with use.
    pub fn new() -> Self {
        Self::default()
    }
}
