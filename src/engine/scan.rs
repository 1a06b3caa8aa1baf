//! The vectors of a collection as rows to search: the scan file, or memory where none can be written.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::search::RowSource;
use crate::store::{Collection, RowId, ScanFile};
use crate::vectors::Vectors;

/// Rows read from the file at once: 256 rows of 384 numbers are 400 kB, which stay in the second-level cache.
const BLOCK_ROWS: usize = 256;

/// Vectors of the current model in the order of paper ids.
#[derive(Debug)]
pub(super) struct CollectionRows {
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(ScanFile),
    Memory { rows: Vec<RowId>, vectors: Vectors },
}

impl CollectionRows {
    /// # Errors
    /// [`Error::Collection`] where nothing is embedded.
    pub(super) fn open(collection: &Collection) -> Result<Self> {
        let source = match collection.scan_file() {
            Ok(file) => Source::File(file),
            // The folder cannot be written: the collection itself still answers, only slower.
            Err(Error::Io { action: "write", .. }) => in_memory(collection)?,
            Err(error) => return Err(error),
        };
        Ok(Self { source })
    }

    /// The paper at a position.
    pub(super) fn row(&self, position: usize) -> RowId {
        self.rows()[position]
    }

    /// Where papers stand, in ascending order; papers without a vector are left out.
    pub(super) fn positions(&self, papers: &[RowId]) -> Vec<usize> {
        let mut wanted = papers.to_vec();
        wanted.sort_unstable();
        let standing = self.rows().iter().enumerate().filter(|(_, row)| wanted.binary_search(row).is_ok());
        standing.map(|(position, _)| position).collect()
    }

    fn rows(&self) -> &[RowId] {
        match &self.source {
            Source::File(file) => file.rows(),
            Source::Memory { rows, .. } => rows,
        }
    }
}

fn in_memory(collection: &Collection) -> Result<Source> {
    let model = collection.current_model()?.map_or(0, |(key, _)| key);
    let (rows, vectors) = collection.vectors(model)?;
    Ok(Source::Memory { rows, vectors })
}

impl RowSource for CollectionRows {
    fn len(&self) -> usize {
        self.rows().len()
    }

    fn dim(&self) -> usize {
        match &self.source {
            Source::File(file) => file.dim(),
            Source::Memory { vectors, .. } => vectors.dim(),
        }
    }

    fn visit(&self, positions: Range<usize>, visit: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        let file = match &self.source {
            Source::Memory { vectors, .. } => return vectors.visit(positions, visit),
            Source::File(file) => file,
        };
        let mut reader = file.reader()?;
        let mut values = Vec::new();
        for first in positions.clone().step_by(BLOCK_ROWS) {
            reader.read(first..positions.end.min(first + BLOCK_ROWS), &mut values)?;
            visit(first, &values)?;
        }
        Ok(())
    }
}
