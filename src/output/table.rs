//! Tables of plain columns as CSV, Parquet or JSON Lines, in the format that the file's extension names.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, Int64Builder, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};

use super::atomic::AtomicFile;
use super::parquet_file::ParquetFile;
use crate::error::{Error, Problem, Result};

/// Rows of a Parquet table that are collected before they are written.
const GROUP_ROWS: usize = 16_384;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text; in JSON Lines, text that is itself JSON is put in as it is.
    Text,
    /// JSON: a list or an object, as text in CSV and Parquet.
    Json,
    /// A whole number.
    Integer,
    /// A number.
    Number,
}

/// A value of a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// None.
    Absent,
    /// For [`ColumnKind::Text`].
    Text(String),
    /// For [`ColumnKind::Json`].
    Json(serde_json::Value),
    /// For [`ColumnKind::Integer`].
    Integer(i64),
    /// For [`ColumnKind::Number`].
    Number(f64),
}

/// Writes rows one by one; the file appears when [`Self::finish`] is called.
#[derive(Debug)]
pub struct TableWriter {
    columns: Vec<(&'static str, ColumnKind)>,
    path: PathBuf,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Csv(csv::Writer<AtomicFile>),
    JsonLines(AtomicFile),
    Stdout(io::Stdout),
    Parquet { file: ParquetFile, rows: Vec<Vec<Value>> },
}

impl TableWriter {
    /// Creates the file; `-` is standard output, as JSON Lines.
    ///
    /// # Errors
    /// [`Error::Usage`] for an extension that is not known, [`Error::Io`] where the file cannot be created.
    pub fn create(path: &Path, columns: &[(&'static str, ColumnKind)]) -> Result<Self> {
        let sink = match path.extension().and_then(|extension| extension.to_str()) {
            _ if path == Path::new("-") => Sink::Stdout(io::stdout()),
            Some("csv") => Sink::Csv(csv_writer(path, columns)?),
            Some("jsonl" | "ndjson") => Sink::JsonLines(AtomicFile::create(path)?),
            Some("parquet") => {
                Sink::Parquet { file: ParquetFile::create(path, Arc::new(schema(columns)))?, rows: Vec::new() }
            }
            _ => return Err(unknown_format(path)),
        };
        Ok(Self { columns: columns.to_vec(), path: path.to_owned(), sink })
    }

    /// Appends a row: a value for every column.
    ///
    /// # Errors
    /// [`Error::Io`] where the disk refuses it.
    pub fn write(&mut self, row: Vec<Value>) -> Result<()> {
        assert_eq!(row.len(), self.columns.len(), "a value for every column");
        let failed = |error| Error::io("write", &self.path, error);
        match &mut self.sink {
            Sink::Csv(file) => file.write_record(row.iter().map(plain_text)).map_err(|error| failed(error.into())),
            Sink::JsonLines(file) => writeln!(file, "{}", json_line(&self.columns, row)).map_err(failed),
            Sink::Stdout(out) => writeln!(out, "{}", json_line(&self.columns, row)).map_err(failed),
            Sink::Parquet { file, rows } => {
                rows.push(row);
                if rows.len() == GROUP_ROWS { file.write(arrays(&self.columns, &std::mem::take(rows))) } else { Ok(()) }
            }
        }
    }

    /// Makes the file appear.
    ///
    /// # Errors
    /// [`Error::Io`] where the disk refuses it.
    pub fn finish(self) -> Result<()> {
        match self.sink {
            Sink::Csv(file) => {
                let inner = file.into_inner().map_err(|error| Error::io("write", &self.path, error.into_error()))?;
                inner.finish()
            }
            Sink::JsonLines(file) => file.finish(),
            Sink::Stdout(mut out) => out.flush().map_err(|error| Error::io("write", &self.path, error)),
            Sink::Parquet { mut file, rows } => {
                file.write(arrays(&self.columns, &rows))?;
                file.finish()
            }
        }
    }
}

fn unknown_format(path: &Path) -> Error {
    let problem = Problem::new(format!("`{}`", path.display()), "a table cannot be written in this format");
    Error::Usage(problem.hint("name a file that ends in .jsonl, .csv or .parquet"))
}

fn csv_writer(path: &Path, columns: &[(&'static str, ColumnKind)]) -> Result<csv::Writer<AtomicFile>> {
    let mut writer = csv::Writer::from_writer(AtomicFile::create(path)?);
    let written = writer.write_record(columns.iter().map(|(name, _)| name));
    written.map_err(|error| Error::io("write", path, error.into()))?;
    Ok(writer)
}

fn schema(columns: &[(&'static str, ColumnKind)]) -> Schema {
    let field = |(name, kind): &(&'static str, ColumnKind)| {
        let data_type = match kind {
            ColumnKind::Text | ColumnKind::Json => DataType::Utf8,
            ColumnKind::Integer => DataType::Int64,
            ColumnKind::Number => DataType::Float64,
        };
        Field::new(*name, data_type, true)
    };
    Schema::new(columns.iter().map(field).collect::<Vec<_>>())
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::Absent => String::new(),
        Value::Text(text) => text.clone(),
        Value::Json(json) => json.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
    }
}

/// Absent values are left out.
fn json_line(columns: &[(&'static str, ColumnKind)], row: Vec<Value>) -> String {
    let mut fields = Vec::with_capacity(row.len());
    for ((name, _), value) in columns.iter().zip(row) {
        let value = match value {
            Value::Absent => continue,
            Value::Text(text) => serde_json::Value::from(text),
            Value::Json(json) => json,
            Value::Integer(number) => serde_json::Value::from(number),
            Value::Number(number) => serde_json::Value::from(number),
        };
        fields.push(format!("{}:{value}", serde_json::Value::from(*name)));
    }
    format!("{{{}}}", fields.join(","))
}

fn arrays(columns: &[(&'static str, ColumnKind)], rows: &[Vec<Value>]) -> Vec<ArrayRef> {
    columns.iter().enumerate().map(|(place, (_, kind))| array(*kind, rows.iter().map(|row| &row[place]))).collect()
}

fn array<'v>(kind: ColumnKind, values: impl Iterator<Item = &'v Value>) -> ArrayRef {
    match kind {
        ColumnKind::Text | ColumnKind::Json => {
            let mut builder = StringBuilder::new();
            values.for_each(|value| builder.append_option((*value != Value::Absent).then(|| plain_text(value))));
            Arc::new(builder.finish())
        }
        ColumnKind::Integer => {
            let mut builder = Int64Builder::new();
            values.for_each(|value| builder.append_option(if let Value::Integer(n) = value { Some(*n) } else { None }));
            Arc::new(builder.finish())
        }
        ColumnKind::Number => {
            let mut builder = Float64Builder::new();
            values.for_each(|value| builder.append_option(if let Value::Number(n) = value { Some(*n) } else { None }));
            Arc::new(builder.finish())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_the_same_in_csv_and_json_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let columns = [("id", ColumnKind::Text), ("theme", ColumnKind::Integer), ("margin", ColumnKind::Number)];
        for (name, expected) in [
            ("t.csv", "id,theme,margin\n\"a,b\",3,0.5\nc,,0.25\n"),
            ("t.jsonl", "{\"id\":\"a,b\",\"theme\":3,\"margin\":0.5}\n{\"id\":\"c\",\"margin\":0.25}\n"),
        ] {
            let path = folder.path().join(name);
            let mut table = TableWriter::create(&path, &columns).expect("a table");
            table.write(vec![Value::Text("a,b".into()), Value::Integer(3), Value::Number(0.5)]).expect("written");
            table.write(vec![Value::Text("c".into()), Value::Absent, Value::Number(0.25)]).expect("written");
            assert!(!path.exists(), "nothing appears before it is whole");
            table.finish().expect("finished");
            assert_eq!(std::fs::read_to_string(&path).expect("a file"), expected);
        }
    }

    #[test]
    fn an_unknown_extension_is_a_usage_error() {
        let error = TableWriter::create(Path::new("themes.xlsx"), &[]).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
    }
}
