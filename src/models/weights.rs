//! Tensors of a model, by name, from one or several safetensors files.
//!
//! The header is checked once, against the length of the file; after that a tensor is a slice. Numbers come out as
//! f32 whatever they are stored as. Rows of 8-bit integers, `NAME.weight`, are scaled by the tensor `NAME.scale` (one
//! number per row) where there is one. Knows no architecture: which tensors there must be is the caller's knowledge.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors};

use crate::error::{Error, Problem, Result};
use crate::models::bytes::Bytes;
use crate::models::rows::Rows;

/// The name of the scales of a tensor of 8-bit rows; `None` where its name allows none.
pub(super) fn scale_name(name: &str) -> Option<String> {
    Some(format!("{}.scale", name.strip_suffix(".weight")?))
}

/// The tensors of a model.
#[derive(Debug)]
pub struct Weights {
    files: Vec<(String, Arc<Bytes>)>,
    entries: BTreeMap<String, Entry>,
    /// What adapters add to tensors.
    updates: BTreeMap<String, LowRank>,
}

/// The product of two narrow matrices, which is added to a tensor (LoRA, arXiv 2106.09685).
#[derive(Debug, Clone)]
pub(super) struct LowRank {
    /// Rank x inputs.
    pub(super) down: Vec<f32>,
    /// Outputs x rank.
    pub(super) up: Vec<f32>,
    pub(super) rank: usize,
    pub(super) scale: f32,
}

#[derive(Debug)]
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
}

impl Weights {
    /// Checks the headers of `files`, each with the label that messages use for it.
    ///
    /// # Errors
    /// [`Error::Model`] where a header is not what safetensors says it must be, or does not fit its file.
    pub fn open(files: Vec<(String, Arc<Bytes>)>) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (file, (label, bytes)) in files.iter().enumerate() {
            let (header, metadata) =
                SafeTensors::read_metadata(bytes).map_err(|error| bad_file(label, bytes, error))?;
            let start = header + size_of::<u64>();
            for (name, info) in metadata.tensors() {
                let range = start + info.data_offsets.0..start + info.data_offsets.1;
                let entry = Entry { file, dtype: info.dtype, shape: info.shape.clone(), range };
                entries.insert(current_name(name), entry);
            }
        }
        Ok(Self { files, entries, updates: BTreeMap::new() })
    }

    /// Adds the product of two narrow matrices to tensor `name`, whenever that is loaded.
    pub(super) fn update(&mut self, name: String, update: LowRank) {
        self.updates.insert(name, update);
    }

    /// Names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The shape of a tensor; `None` where there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The label of the file that a tensor stands in, or of the first file.
    pub fn label(&self, name: &str) -> &str {
        let file = self.entries.get(name).map_or(0, |entry| entry.file);
        self.files.get(file).map_or("", |(label, _)| label)
    }

    /// Whether a tensor is 8-bit integers to which no adapter adds.
    pub fn stays_int8(&self, name: &str) -> bool {
        self.is_int8(name) && !self.updates.contains_key(name)
    }

    /// Whether a tensor holds 8-bit integers.
    pub fn is_int8(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.dtype == Dtype::I8)
    }

    /// A tensor's rows, 8-bit integers as they are.
    ///
    /// # Errors
    /// As [`Self::f32`].
    pub fn rows(&self, name: &str) -> Result<Rows> {
        if self.updates.contains_key(name) { self.f32(name).map(Rows::F32) } else { self.stored_rows(name) }
    }

    /// As [`Self::rows`], without what adapters add.
    fn stored_rows(&self, name: &str) -> Result<Rows> {
        let entry = self.entry(name)?;
        if entry.dtype != Dtype::I8 {
            return self.plain_f32(name, entry).map(Rows::F32);
        }
        let scales = self.scales(name)?.unwrap_or_else(|| vec![1.0; entry.shape.first().copied().unwrap_or(1)]);
        Ok(Rows::I8 { numbers: self.data(entry).iter().map(|byte| byte.cast_signed()).collect(), scales })
    }

    /// A tensor's numbers in row order, as f32, scaled where it has scales.
    ///
    /// # Errors
    /// [`Error::Model`] where there is no such tensor, its numbers are of a kind that has no place in weights or not finite,
    /// or its scales are not one per row.
    pub fn f32(&self, name: &str) -> Result<Vec<f32>> {
        let mut values = self.stored_rows(name)?.into_f32();
        if let Some(update) = self.updates.get(name) {
            update.add_to(&mut values);
        }
        Ok(values)
    }

    /// One number per row of tensor `name`; `None` where it has no scales.
    ///
    /// # Errors
    /// [`Error::Model`] where there are not as many scales as rows.
    pub fn scales(&self, name: &str) -> Result<Option<Vec<f32>>> {
        let Some(scale_name) = scale_name(name) else { return Ok(None) };
        let Some(entry) = self.entries.get(&scale_name) else { return Ok(None) };
        let rows = self.entry(name)?.shape.first().copied().unwrap_or(0);
        let scales = self.plain_f32(&scale_name, entry)?;
        if scales.len() != rows {
            let cause = format!("has {} numbers for the {rows} rows of `{name}`", scales.len());
            return Err(self.bad_tensor(&scale_name, &cause));
        }
        Ok(Some(scales))
    }

    /// A tensor of whole numbers.
    ///
    /// # Errors
    /// [`Error::Model`] where there is no such tensor, or it does not hold whole numbers from zero.
    pub fn indices(&self, name: &str) -> Result<Vec<usize>> {
        let entry = self.entry(name)?;
        let data = self.data(entry);
        let numbers: Vec<i64> = match entry.dtype {
            Dtype::I64 => data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
            Dtype::I32 => data.as_chunks().0.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes))).collect(),
            other => return Err(self.bad_tensor(name, &format!("holds {other:?}, not whole numbers"))),
        };
        numbers
            .into_iter()
            .map(|number| usize::try_from(number).map_err(|_| self.bad_tensor(name, "holds a negative number")))
            .collect()
    }

    /// An error about tensor `name`, naming its file.
    pub fn bad_tensor(&self, name: &str, cause: &str) -> Error {
        let thing = format!("{}: tensor `{name}`", self.label(name));
        Error::Model(Problem::new(thing, cause).hint("fetch the model again, or choose another"))
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        self.entries.get(name).ok_or_else(|| self.bad_tensor(name, "is missing"))
    }

    fn data(&self, entry: &Entry) -> &[u8] {
        &self.files[entry.file].1[entry.range.clone()]
    }

    fn plain_f32(&self, name: &str, entry: &Entry) -> Result<Vec<f32>> {
        let data = self.data(entry);
        let values: Vec<f32> = match entry.dtype {
            Dtype::F32 => data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F64 => data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
            Dtype::F16 => {
                let halves: Vec<f16> = data.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes)).collect();
                halves.to_f32_vec()
            }
            Dtype::BF16 => {
                let halves: Vec<bf16> = data.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes)).collect();
                halves.to_f32_vec()
            }
            Dtype::I8 => data.iter().map(|&byte| f32::from(byte.cast_signed())).collect(),
            other => return Err(self.bad_tensor(name, &format!("holds {other:?}, which is not a kind of weight"))),
        };
        // Rounded to bytes, what is no number would look like one.
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.bad_tensor(name, "holds something that is not a finite number"));
        }
        Ok(values)
    }
}

/// Checkpoints converted from TensorFlow call a norm's parts `gamma` and `beta`; transformers renames them as well.
fn current_name(name: String) -> String {
    let renamed = |older: &str, newer: &str| name.strip_suffix(older).map(|rest| format!("{rest}{newer}"));
    let renamed =
        renamed("LayerNorm.gamma", "LayerNorm.weight").or_else(|| renamed("LayerNorm.beta", "LayerNorm.bias"));
    renamed.unwrap_or(name)
}

impl LowRank {
    fn add_to(&self, values: &mut [f32]) {
        let inputs = self.down.len() / self.rank;
        for (row, up) in values.chunks_exact_mut(inputs).zip(self.up.chunks_exact(self.rank)) {
            for (&factor, down) in up.iter().zip(self.down.chunks_exact(inputs)) {
                row.iter_mut().zip(down).for_each(|(value, down)| *value += self.scale * factor * down);
            }
        }
    }
}

fn bad_file(label: &str, bytes: &[u8], error: SafeTensorError) -> Error {
    let cause = match &error {
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            format!("is truncated: {} bytes do not hold its header", bytes.len())
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            format!("is truncated or has bytes too many: its header does not describe {} bytes", bytes.len())
        }
        SafeTensorError::HeaderTooLarge => "is not a safetensors file: it claims a header of over 100 MB".to_owned(),
        SafeTensorError::InvalidOffset(name) => format!("has a header that lies about where tensor `{name}` is"),
        SafeTensorError::TensorInvalidInfo => "has a header whose shapes and sizes contradict each other".to_owned(),
        other => format!("has a header that cannot be read: {other}"),
    };
    Error::Model(Problem::new(label, cause).hint("fetch the file again").source(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn open(bytes: Vec<u8>) -> Result<Weights> {
        Weights::open(vec![("`m.safetensors`".into(), Arc::new(Bytes::Owned(bytes)))])
    }

    #[test]
    fn rows_of_bytes_are_scaled_row_by_row() {
        let header = concat!(
            r#"{"a.weight":{"dtype":"I8","shape":[2,2],"data_offsets":[0,4]},"#,
            r#""a.scale":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#
        );
        let mut data = vec![1, 0xFF, 2, 3];
        data.extend_from_slice(&0.5f32.to_le_bytes());
        data.extend_from_slice(&2.0f32.to_le_bytes());
        let weights = open(file(header, &data)).expect("a valid file");
        assert_eq!(weights.f32("a.weight").expect("numbers"), [0.5, -0.5, 4.0, 6.0]);
        assert!(weights.is_int8("a.weight"));
    }

    #[test]
    fn what_is_no_finite_number_is_refused_by_name() {
        let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        for value in [f32::NAN, f32::INFINITY] {
            let data: Vec<u8> = [1.0, value].iter().flat_map(|number| number.to_le_bytes()).collect();
            let error = open(file(header, &data)).expect("a valid file").f32("a").expect_err("no weight");
            assert!(error.to_string().contains("tensor `a`: holds something that is not a finite number"), "{error}");
        }
    }

    #[test]
    fn older_names_of_norms_are_today_s() {
        let header = r#"{"x.LayerNorm.gamma":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let weights = open(file(header, &1.5f32.to_le_bytes())).expect("a valid file");
        assert_eq!(weights.f32("x.LayerNorm.weight").expect("a number"), [1.5]);
    }

    #[test]
    fn a_product_of_narrow_matrices_is_added() {
        let header = r#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
        let mut weights = open(file(header, &[0; 16])).expect("a valid file");
        weights.update("a".into(), LowRank { down: vec![1.0, 2.0], up: vec![3.0, 4.0], rank: 1, scale: 0.5 });
        assert_eq!(weights.f32("a").expect("numbers"), [1.5, 3.0, 2.0, 4.0]);
    }

    #[test]
    fn a_truncated_file_is_named_with_its_size() {
        let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let whole = file(header, &[0; 8]);
        for kept in [3, 20, whole.len() - 1] {
            let error = open(whole[..kept].to_vec()).expect_err("a truncated file").to_string();
            assert!(error.starts_with("`m.safetensors`: is truncated"), "{error}");
        }
    }

    #[test]
    fn a_lying_header_is_refused() {
        let claims_too_much = r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}"#;
        assert!(open(file(claims_too_much, &[0; 8])).is_err());
        let points_beyond = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
        assert!(open(file(points_beyond, &[0; 8])).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(open(bytes));
        }
    }
}
