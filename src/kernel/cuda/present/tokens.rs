//! What the kernels must know of a batch beside its numbers: one array of indices, sent in one piece.

use std::ops::Range;

use cudarc::driver::CudaView;

use super::Failure;
use super::attention::{ATTENTION_WORDS, query_blocks};
use super::device::{Array, Lane, Pinned};

/// Packed sequences on a device.
#[derive(Debug)]
pub struct Tokens {
    pinned: Pinned<u32>,
    indices: Array<u32>,
    parts: Parts,
    longest: usize,
    /// Rows that the tables must have for the indices to be of theirs.
    rows_of_words: usize,
    rows_of_positions: usize,
}

/// Where each kind of index stands in the array.
#[derive(Debug, Clone, Default)]
struct Parts {
    ids: Range<usize>,
    rows_of_positions: Range<usize>,
    places: Range<usize>,
    offsets: Range<usize>,
    blocks: Range<usize>,
}

/// Packed sequences as the processor has them.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The row of the table of tokens for each token.
    pub ids: &'a [u32],
    /// The row of the table of positions for each token; empty where there is no table.
    pub rows_of_positions: &'a [u32],
    /// Where each sequence begins, and where the last one ends: one more than there are sequences.
    pub offsets: &'a [usize],
}

impl Tokens {
    /// None yet.
    pub fn new() -> Self {
        Self {
            pinned: Pinned::to_device(),
            indices: Array::new(),
            parts: Parts::default(),
            longest: 0,
            rows_of_words: 0,
            rows_of_positions: 0,
        }
    }

    /// Begins to send a batch; `queries` are those that a block of threads of the attention kernel takes.
    ///
    /// The batch before must have been waited for: its memory is written again.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where the indices do not fit.
    pub fn send(&mut self, lane: &Lane, batch: &Batch<'_>, queries: usize) -> Result<(), Failure> {
        let Batch { ids, rows_of_positions, offsets } = *batch;
        assert!(offsets.is_sorted() && offsets.first() == Some(&0), "offsets ascend from 0");
        assert_eq!(offsets.last(), Some(&ids.len()), "offsets end with the number of tokens");
        assert!(rows_of_positions.is_empty() || rows_of_positions.len() == ids.len(), "a position for each token");
        let rows = |indices: &[u32]| indices.iter().max().map_or(0, |&largest| largest as usize + 1);
        (self.rows_of_words, self.rows_of_positions) = (rows(ids), rows(rows_of_positions));
        self.longest = offsets.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0);
        let most_blocks = ids.len().div_ceil(queries) + offsets.len();
        let most = 3 * ids.len() + offsets.len() + ATTENTION_WORDS * most_blocks;
        let mut writer = Writer { numbers: self.pinned.numbers(lane, most)?, written: 0 };
        self.parts = Parts {
            ids: writer.write(ids.iter().copied()),
            rows_of_positions: writer.write(rows_of_positions.iter().copied()),
            places: writer.write(offsets.windows(2).flat_map(|ends| 0..(ends[1] - ends[0]) as u32)),
            offsets: writer.write(offsets.iter().map(|&offset| offset as u32)),
            blocks: writer.write(query_blocks(offsets, queries)),
        };
        let written = writer.written;
        lane.send(&mut self.pinned, written, &mut self.indices)
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.parts.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parts.ids.is_empty()
    }

    /// Number of sequences.
    pub fn n_sequences(&self) -> usize {
        self.parts.offsets.len().saturating_sub(1)
    }

    /// Tokens of the longest sequence.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Rows that a table of tokens must have.
    pub(super) fn rows_of_words_needed(&self) -> usize {
        self.rows_of_words
    }

    /// Rows that a table of positions must have.
    pub(super) fn rows_of_positions_needed(&self) -> usize {
        self.rows_of_positions
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.parts.blocks.len() / ATTENTION_WORDS
    }

    pub(super) fn ids(&self) -> CudaView<'_, u32> {
        self.part(&self.parts.ids)
    }

    /// Empty where there is no table of positions.
    pub(super) fn rows_of_positions(&self) -> CudaView<'_, u32> {
        self.part(&self.parts.rows_of_positions)
    }

    pub(super) fn places(&self) -> CudaView<'_, u32> {
        self.part(&self.parts.places)
    }

    pub(super) fn offsets(&self) -> CudaView<'_, u32> {
        self.part(&self.parts.offsets)
    }

    pub(super) fn blocks(&self) -> CudaView<'_, u32> {
        self.part(&self.parts.blocks)
    }

    fn part(&self, part: &Range<usize>) -> CudaView<'_, u32> {
        self.indices.part(part.start, part.len())
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes parts one after the other, in the order of memory: it is not read back.
struct Writer<'a> {
    numbers: &'a mut [u32],
    written: usize,
}

impl Writer<'_> {
    fn write(&mut self, part: impl Iterator<Item = u32>) -> Range<usize> {
        let first = self.written;
        for number in part {
            self.numbers[self.written] = number;
            self.written += 1;
        }
        first..self.written
    }
}
