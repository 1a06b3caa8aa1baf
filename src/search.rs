//! Nearest neighbours and recommendations over unit vectors.
//!
//! Takes rows in blocks from a [`RowSource`] and gives positions with scores; knows nothing of papers, files or
//! clocks. Exact: every allowed row is compared. Equal scores are ordered by position, so that an answer depends on
//! nothing but the question and the rows.

mod diversity;
mod exact;
mod fusion;
mod neighbours;
mod preference;

pub use diversity::diversify;
pub use exact::{Allowed, best};
pub use fusion::fuse;
pub use neighbours::neighbours;
pub use preference::{Preference, Strategy};

use std::ops::Range;

use crate::error::Result;
pub use crate::kernel::Hit;
use crate::vectors::Vectors;

/// Rows that can be visited in blocks, from several threads at once.
pub trait RowSource: Sync {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// Numbers in a row.
    fn dim(&self) -> usize;

    /// Calls `visit` with consecutive blocks of `positions`: the position of the first row, and the rows.
    ///
    /// # Errors
    /// Where the rows cannot be read, and whatever `visit` returns.
    fn visit(&self, positions: Range<usize>, visit: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()>;

    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the rows at `positions`, in that order.
    ///
    /// # Errors
    /// Where the rows cannot be read.
    fn select(&self, positions: &[usize]) -> Result<Vectors> {
        let mut data = Vec::with_capacity(positions.len() * self.dim());
        for &position in positions {
            self.visit(position..position + 1, &mut |_, row| {
                data.extend_from_slice(row);
                Ok(())
            })?;
        }
        Vectors::from_unit_rows(self.dim(), data)
    }
}

impl RowSource for Vectors {
    fn len(&self) -> usize {
        Vectors::len(self)
    }

    fn dim(&self) -> usize {
        Vectors::dim(self)
    }

    fn visit(&self, positions: Range<usize>, visit: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        let dim = Vectors::dim(self);
        visit(positions.start, &self.as_slice()[positions.start * dim..positions.end * dim])
    }
}
