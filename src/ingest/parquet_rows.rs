//! Parquet as JSON Lines: a row becomes an object on a line of its own.
//!
//! So one reader knows the names of fields for both. Rows are decoded in small batches, and columns that no paper is
//! made of (bytes, lists of numbers such as vectors) are not read at all.

use std::fs::File;
use std::io::{self, Read};

use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

/// What a Parquet file begins with.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 256;

/// The rows of a file as text.
pub(super) struct ParquetRows {
    batches: ParquetRecordBatchReader,
    lines: Vec<u8>,
    /// Bytes of `lines` that have been handed out.
    at: usize,
}

impl ParquetRows {
    /// Reads the file's footer; the reason, in words that follow `is `, where it cannot be used.
    pub(super) fn open(file: File) -> Result<Self, String> {
        let damaged = |error: &dyn std::fmt::Display| format!("Parquet that cannot be read: {error}");
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| damaged(&error))?;
        let columns = text_columns(builder.schema());
        if columns.is_empty() {
            return Err("Parquet without a column of text".to_owned());
        }
        let projection = ProjectionMask::roots(builder.parquet_schema(), columns);
        let reader = builder.with_projection(projection).with_batch_size(BATCH_ROWS).build();
        Ok(Self { batches: reader.map_err(|error| damaged(&error))?, lines: Vec::new(), at: 0 })
    }

    /// Turns the next batch into lines; false where there is none.
    fn refill(&mut self) -> Result<bool, ArrowError> {
        let Some(batch) = self.batches.next().transpose()? else { return Ok(false) };
        self.lines.clear();
        self.at = 0;
        let mut writer = LineDelimitedWriter::new(&mut self.lines);
        writer.write(&batch)?;
        writer.finish()?;
        Ok(true)
    }
}

impl Read for ParquetRows {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.lines.len() {
            if !self.refill().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let taken = into.len().min(self.lines.len() - self.at);
        into[..taken].copy_from_slice(&self.lines[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

fn text_columns(schema: &Schema) -> Vec<usize> {
    let is_of_use = |at: &usize| may_hold_text(schema.field(*at).data_type());
    (0..schema.fields().len()).filter(is_of_use).collect()
}

fn may_hold_text(kind: &DataType) -> bool {
    match kind {
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) | DataType::BinaryView => false,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            !item.data_type().is_numeric() && may_hold_text(item.data_type())
        }
        _ => true,
    }
}
