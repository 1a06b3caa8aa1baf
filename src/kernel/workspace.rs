//! Memory that kernels reuse from call to call, so that a batch allocates nothing once it is warm, and the way to those
//! who share the work.

use std::ops::Range;
use std::sync::Arc;

use super::attention;
use super::buffer::Buffer;
use super::byte_rows::ByteRows;
use super::linear::SplitRows;
use super::square::Square;
use super::team::Board;

/// What one thread needs to run kernels. Holds no state that a result depends on.
#[derive(Debug, Default)]
pub struct Workspace {
    scratch: Scratch,
    /// Where helpers take parts; none before the thread first leads.
    pub(super) board: Option<Arc<Board>>,
}

/// Scratch memory of one thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    pub(super) squares: [Square; 2],
    pub(super) attention: attention::Scratch,
    pub(super) byte_rows: ByteRows,
    pub(super) split_rows: SplitRows,
    /// A few rows of activations.
    pub(super) row: Buffer<f32>,
}

impl Workspace {
    /// Grows with use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Threads that share what is done next, this one included.
    pub fn members(&self) -> usize {
        self.board.as_ref().map_or(1, |board| board.members())
    }

    /// Does `work` for ranges that together are `0..n_items`, each of at least `least` items as far as there are so many,
    /// on this thread and those of the helpers: a range for each. More of them would let a thread take over from one that is held
    /// up, and cost every text more than that saves (docs/performance.md, note 60).
    pub(super) fn share(&mut self, n_items: usize, least: usize, work: impl Fn(Range<usize>, &mut Scratch) + Sync) {
        let n_parts = match self.members() {
            1 => 1,
            members => (n_items / least.max(1)).clamp(1, members),
        };
        match &self.board {
            Some(board) if n_parts > 1 => {
                let part = |part: usize, scratch: &mut Scratch| {
                    work(part * n_items / n_parts..(part + 1) * n_items / n_parts, scratch);
                };
                board.run(n_parts as u32, &part, &mut self.scratch);
            }
            _ => work(0..n_items, &mut self.scratch),
        }
    }
}
