//! The default model, compiled into the program.
//!
//! Its bytes lie in the program's read-only data and are paged in when they are used, so that commands that need no
//! model pay nothing.

/// The folder below `models/` that is compiled in, and its name in the manifest.
pub const DEFAULT_MODEL: &str = "thematic-small";

/// Keeps bytes at an address that any number type may be read from.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

/// The bytes of a file below the default model's folder, aligned.
macro_rules! aligned_bytes {
    ($path:literal) => {{
        static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!($path));
        &ALIGNED.0
    }};
}

/// A file below `models/` and its bytes.
macro_rules! file {
    ($path:literal) => {
        ($path, include_bytes!(concat!("../../models/thematic-small/", $path)))
    };
}

static FILES: &[(&str, &[u8])] = &[
    file!("1_Pooling/config.json"),
    file!("2_Dense/config.json"),
    ("2_Dense/model.safetensors", aligned_bytes!("../../models/thematic-small/2_Dense/model.safetensors")),
    file!("README.md"),
    file!("config.json"),
    file!("config_sentence_transformers.json"),
    ("model.safetensors", aligned_bytes!("../../models/thematic-small/model.safetensors")),
    file!("modules.json"),
    file!("sentence_bert_config.json"),
    file!("tokenizer.json"),
    file!("tokenizer_config.json"),
];

/// A file of the default model.
pub(super) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(other, _)| *other == name).map(|(_, bytes)| *bytes)
}

/// Every file of the default model, by name.
pub(super) fn files() -> &'static [(&'static str, &'static [u8])] {
    FILES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_are_aligned() {
        let weights = file("model.safetensors").expect("the default model has weights");
        assert!(weights.as_ptr().addr().is_multiple_of(64));
    }
}
