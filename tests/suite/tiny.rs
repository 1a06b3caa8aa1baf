//! The tiny models under `tests/fixtures/models`, and folders made of them by changing a file or two.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use tempfile::TempDir;
use thematic::models::{Bytes, ModelFolder, Rows, Settings, Weights, resolve};
use thematic::progress::Silent;

/// A tiny BERT with some files changed, and the kinds of text it has golden vectors for.
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) kinds: Vec<String>,
    pub(crate) folder: TempDir,
}

/// The folder of a committed tiny model.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

/// Settings that reach neither the network nor the cache of whoever runs the tests.
pub(crate) fn offline() -> Settings {
    Settings {
        offline: true,
        revision: None,
        token: None,
        endpoint: "http://127.0.0.1:9".into(),
        cache: None,
        pickle: None,
    }
}

/// Opens a model's folder.
pub(crate) fn open(folder: &Path) -> ModelFolder {
    resolve(folder.to_str(), &offline(), &Silent).expect("a model that opens")
}

/// Every variant of `variants.json`, built by the same rules as `scripts/golden/tiny.py` has.
pub(crate) fn variants() -> Vec<Variant> {
    let text = fs::read(fixture("variants.json")).expect("committed variants");
    let described: Vec<Value> = serde_json::from_slice(&text).expect("a list");
    described.iter().map(build).collect()
}

fn build(described: &Value) -> Variant {
    let folder = TempDir::new().expect("a folder");
    copy_folder(&fixture("tiny-bert"), folder.path());
    for name in described["remove"].as_array().into_iter().flatten() {
        fs::remove_file(folder.path().join(name.as_str().expect("a name"))).expect("a file to remove");
    }
    for (name, changes) in described["merge"].as_object().into_iter().flatten() {
        merge(folder.path(), name, changes);
    }
    for (name, source) in described["copy"].as_object().into_iter().flatten() {
        let target = folder.path().join(name);
        fs::create_dir_all(target.parent().expect("a parent")).expect("a folder");
        fs::copy(fixture("head").join(source.as_str().expect("a name")), target).expect("a copy");
    }
    let kinds = described["kinds"].as_array().cloned().unwrap_or_else(|| vec!["plain".into()]);
    Variant {
        name: described["name"].as_str().expect("a name").to_owned(),
        kinds: kinds.iter().map(|kind| kind.as_str().expect("a kind").to_owned()).collect(),
        folder,
    }
}

/// Sets fields of a JSON file, which may be new; a list replaces the file.
pub(crate) fn merge(folder: &Path, name: &str, changes: &Value) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    let merged = match changes {
        Value::Object(changes) => {
            let old = fs::read(&path).ok().map(|bytes| serde_json::from_slice(&bytes).expect("an object"));
            let mut merged: Map<String, Value> = old.unwrap_or_default();
            merged.extend(changes.clone());
            Value::Object(merged)
        }
        other => other.clone(),
    };
    fs::write(path, merged.to_string()).expect("written");
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// A tensor to be stored: its name, its kind, its shape and its bytes.
type Stored = (String, &'static str, Vec<usize>, Vec<u8>);

/// Stores a tiny model's tensors anew, each as `stored` makes of its name, shape and numbers.
fn store_anew(folder: &Path, stored: impl Fn(&str, Vec<usize>, Vec<f32>) -> Vec<Stored>) {
    let path = folder.join("model.safetensors");
    let bytes = Bytes::Owned(fs::read(&path).expect("weights"));
    let weights = Weights::open(vec![("weights".to_owned(), Arc::new(bytes))]).expect("weights");
    let tensors = weights.names().flat_map(|name| {
        stored(name, weights.shape(name).expect("a shape").to_vec(), weights.f32(name).expect("numbers"))
    });
    let (mut described, mut all) = (Map::new(), Vec::new());
    for (name, kind, shape, data) in tensors {
        let offsets = [all.len(), all.len() + data.len()];
        described.insert(name, serde_json::json!({"dtype": kind, "shape": shape, "data_offsets": offsets}));
        all.extend(data);
    }
    let header = Value::Object(described).to_string();
    let parts = [(header.len() as u64).to_le_bytes().to_vec(), header.into_bytes(), all];
    fs::write(path, parts.concat()).expect("written");
}

fn little(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Stores the maps of a tiny model's layers as rows of 8 bits with scales.
pub(crate) fn put_maps_into_8_bits(folder: &Path) {
    store_anew(folder, |name, shape, numbers| {
        if shape.len() != 2 || !name.contains("layer.") {
            return vec![(name.to_owned(), "F32", shape, little(&numbers))];
        }
        let (bytes, scales) = Rows::F32(numbers).into_int8(shape[1]);
        let bytes = bytes.iter().map(|byte| byte.cast_unsigned()).collect();
        let scales = (name.replace(".weight", ".scale"), "F32", vec![shape[0]], little(&scales));
        vec![scales, (name.to_owned(), "I8", shape, bytes)]
    });
}

/// The map after attention in a layer of BERT's kin.
pub(crate) const BERT_OUTPUT: &str = "layer.{}.attention.output.dense.weight";

/// A tiny model of which the first layer uses two of four heads and the second none: in the maps `output`, where `{}` is the
/// layer's number, the others have no weight.
pub(crate) fn with_idle_heads(name: &str, output: &str) -> TempDir {
    const IDLE: [&[usize]; 2] = [&[0, 2], &[0, 1, 2, 3]];
    const HEAD_DIM: usize = 8;
    let folder = TempDir::new().expect("a folder");
    copy_folder(&fixture(&format!("tiny-{name}")), folder.path());
    store_anew(folder.path(), |name, shape, mut numbers| {
        for (layer, heads) in IDLE.iter().enumerate() {
            if name.ends_with(&output.replace("{}", &layer.to_string())) {
                for row in numbers.chunks_exact_mut(shape[1]) {
                    heads.iter().for_each(|head| row[head * HEAD_DIM..(head + 1) * HEAD_DIM].fill(0.0));
                }
            }
        }
        vec![(name.to_owned(), "F32", shape, little(&numbers))]
    });
    folder
}
