//! Weights that PyTorch saved as a pickle, by Candle's reader: it takes the tensors and runs nothing of what it reads.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::DType;
use candle_core::pickle::PthTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Error, Problem, Result};

/// The floating-point tensors of a pickle as a safetensors file.
///
/// # Errors
/// [`Error::Model`] where the file is not a dictionary of tensors as `torch.save` writes it.
pub fn unpickle(path: &Path) -> Result<Vec<u8>> {
    let tensors = tensors(path).map_err(|error| refused(path, format!("cannot be read as weights: {error}")))?;
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|view| (name.as_str(), view)).map_err(|error| refused(path, error.to_string()))
    });
    let views: Vec<_> = views.collect::<Result<_>>()?;
    if views.is_empty() {
        return Err(refused(path, "holds no weights".to_owned()));
    }
    safetensors::serialize(views, None).map_err(|error| refused(path, error.to_string()))
}

type Stored = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

fn tensors(path: &Path) -> candle_core::Result<Stored> {
    let pickle = PthTensors::new(path, None)?;
    let mut stored = Stored::new();
    for (name, info) in pickle.tensor_infos() {
        // Positions and other counters follow from the configuration.
        let Some(tensor) = pickle.get(name)?.filter(|_| info.dtype.is_float()) else { continue };
        let numbers: Vec<f32> = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        stored.insert(name.clone(), (tensor.dims().to_vec(), bytes));
    }
    Ok(stored)
}

fn refused(path: &Path, cause: String) -> Error {
    let hint = "take a revision that has `model.safetensors`, or convert it in Python: \
                SentenceTransformer(FOLDER).save(NEW_FOLDER)";
    Error::Model(Problem::new(format!("`{}`", path.display()), cause).hint(hint))
}
