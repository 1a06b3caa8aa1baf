//! Parquet files, written in row groups of bounded size.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListBuilder, Float32Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::atomic::AtomicFile;
use crate::error::{Error, Problem, Result};

/// Rows that are collected before they are written.
const GROUP_ROWS: usize = 16_384;

/// Columns `id` and `embedding`.
#[derive(Debug)]
pub(super) struct ParquetVectors {
    file: ParquetFile,
    ids: StringBuilder,
    vectors: FixedSizeListBuilder<Float32Builder>,
    rows: usize,
}

impl ParquetVectors {
    pub(super) fn create(path: &Path, dim: usize) -> Result<Self> {
        let width = i32::try_from(dim).map_err(|_| failure(path, "the vectors are too long for Parquet"))?;
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let schema = Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("embedding", DataType::FixedSizeList(Arc::clone(&item), width), false),
        ]);
        Ok(Self {
            file: ParquetFile::create(path, Arc::new(schema))?,
            ids: StringBuilder::new(),
            vectors: FixedSizeListBuilder::new(Float32Builder::new(), width).with_field(item),
            rows: 0,
        })
    }

    pub(super) fn write(&mut self, id: &str, vector: &[f32]) -> Result<()> {
        self.ids.append_value(id);
        self.vectors.values().append_slice(vector);
        self.vectors.append(true);
        self.rows += 1;
        if self.rows == GROUP_ROWS { self.flush() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.file.finish()
    }

    fn flush(&mut self) -> Result<()> {
        self.rows = 0;
        self.file.write(vec![Arc::new(self.ids.finish()), Arc::new(self.vectors.finish())])
    }
}

/// A Parquet file of one schema.
#[derive(Debug)]
pub(super) struct ParquetFile {
    writer: ArrowWriter<AtomicFile>,
    schema: SchemaRef,
    path: PathBuf,
}

impl ParquetFile {
    pub(super) fn create(path: &Path, schema: SchemaRef) -> Result<Self> {
        let level = ZstdLevel::try_new(3).map_err(|error| failure(path, &error.to_string()))?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let writer = ArrowWriter::try_new(AtomicFile::create(path)?, Arc::clone(&schema), Some(properties));
        Ok(Self { writer: writer.map_err(|error| parquet_failure(path, error))?, schema, path: path.to_owned() })
    }

    pub(super) fn write(&mut self, columns: Vec<ArrayRef>) -> Result<()> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| failure(&self.path, &error.to_string()))?;
        let written = self.writer.write(&batch).and_then(|()| self.writer.flush());
        written.map_err(|error| parquet_failure(&self.path, error))
    }

    pub(super) fn finish(self) -> Result<()> {
        let path = self.path;
        self.writer.into_inner().map_err(|error| parquet_failure(&path, error))?.finish()
    }
}

fn failure(path: &Path, cause: &str) -> Error {
    Error::Failed(Problem::new(format!("`{}`", path.display()), cause))
}

fn parquet_failure(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(error) => Error::io("write", path, *error),
            Err(other) => failure(path, &other.to_string()),
        },
        other => failure(path, &other.to_string()),
    }
}
