//! Files that other programs read: vectors as npy, Parquet or JSON Lines; tables as CSV, Parquet or JSON Lines.
//!
//! A file is created, under a temporary name, before the work whose result it takes, so that a bad path fails at
//! once; it gets its name when it is whole. Knows ids, numbers and rows, no paper and no theme.

mod atomic;
mod npy;
mod parquet_file;
mod table;
mod vectors;

pub use atomic::AtomicFile;
pub use npy::read_npy;
pub use table::{ColumnKind, TableWriter, Value};
pub use vectors::{VectorFormat, VectorWriter, ids_path};
