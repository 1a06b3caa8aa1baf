//! NumPy's array format, version 1.0: little-endian f32 in C order.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::atomic::AtomicFile;
use crate::error::{Error, Problem, Result};
use crate::vectors::Vectors;

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// Fixed, so that the header can be written again when the number of rows is known.
const HEADER_BYTES: usize = 128;

/// Writes rows as they come; the number of rows is put in at the end.
#[derive(Debug)]
pub(super) struct NpyWriter {
    file: AtomicFile,
    rows: usize,
    dim: usize,
}

impl NpyWriter {
    pub(super) fn create(path: &Path, dim: usize) -> Result<Self> {
        let mut file = AtomicFile::create(path)?;
        file.write_all(&header(0, dim)).map_err(|error| Error::io("write", path, error))?;
        Ok(Self { file, rows: 0, dim })
    }

    pub(super) fn write(&mut self, vector: &[f32]) -> Result<()> {
        assert_eq!(vector.len(), self.dim, "rows of one length");
        let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.rows += 1;
        self.file.write_all(&bytes).map_err(|error| Error::io("write", self.file.path(), error))
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.file.overwrite_start(&header(self.rows, self.dim))?;
        self.file.finish()
    }
}

fn header(rows: usize, dim: usize) -> Vec<u8> {
    let fields = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let length = HEADER_BYTES - MAGIC.len() - 2;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&(length as u16).to_le_bytes());
    bytes.extend_from_slice(format!("{fields:<width$}\n", width = length - 1).as_bytes());
    bytes
}

/// Reads an `n x dim` array of little-endian f32 in C order; the rows are scaled to length one.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::Input`] where it is of another kind or a row has no direction.
pub fn read_npy(path: &Path) -> Result<Vectors> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let bad = |cause: &str| {
        let problem = Problem::new(format!("`{}`", path.display()), cause);
        Error::Input(problem.hint("write it as a two-dimensional array of float32: np.save(path, x.astype('<f4'))"))
    };
    let (fields, data) = split_header(&bytes).ok_or_else(|| bad("is not a .npy file"))?;
    if !fields.contains("'<f4'") || fields.contains("'fortran_order': True") {
        return Err(bad("does not hold little-endian float32 in C order"));
    }
    let (rows, dim) = shape(fields).ok_or_else(|| bad("is not two-dimensional"))?;
    if rows.checked_mul(dim).and_then(|n| n.checked_mul(4)) != Some(data.len()) || dim == 0 {
        return Err(bad("has not the length that its header says"));
    }
    let values = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Vectors::normalised(dim, values).map_err(|error| bad(&error.to_string()))
}

fn split_header(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (start, length): (usize, usize) = match rest.first()? {
        1 => (4, usize::from(u16::from_le_bytes([*rest.get(2)?, *rest.get(3)?]))),
        2 | 3 => (6, u32::from_le_bytes([*rest.get(2)?, *rest.get(3)?, *rest.get(4)?, *rest.get(5)?]) as usize),
        _ => return None,
    };
    let fields = std::str::from_utf8(rest.get(start..start.checked_add(length)?)?).ok()?;
    Some((fields, &rest[start + length..]))
}

fn shape(fields: &str) -> Option<(usize, usize)> {
    let inside = fields.split_once("'shape':")?.1.split_once('(')?.1.split_once(')')?.0;
    let mut numbers = inside.split(',').map(str::trim).filter(|number| !number.is_empty());
    let (rows, dim) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    numbers.next().is_none().then_some((rows, dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("v.npy");
        let mut writer = NpyWriter::create(&path, 2).expect("a file");
        writer.write(&[1.0, 0.0]).expect("written");
        writer.write(&[0.0, -1.0]).expect("written");
        writer.finish().expect("finished");
        assert_eq!(fs::metadata(&path).expect("a file").len(), 128 + 16);
        assert_eq!(read_npy(&path).expect("vectors").as_slice(), &[1.0, 0.0, 0.0, -1.0]);
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("v.npy");
        let mut lying = header(3, 2);
        lying.extend_from_slice(&[0; 8]);
        for bytes in [b"".to_vec(), b"\x93NUMPY\x01\x00\xff\xff{}".to_vec(), b"{\"a\":1}".to_vec(), lying] {
            fs::write(&path, bytes).expect("written");
            assert_eq!(read_npy(&path).expect_err("refused").exit_code(), 3);
        }
    }
}
