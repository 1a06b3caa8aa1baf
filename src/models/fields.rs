//! Reading a JSON object field by field, so that what is wrong is named with its file and its field.

use serde_json::{Map, Value};

use crate::error::{Error, Problem, Result};

/// The fields of one JSON file.
#[derive(Debug)]
pub(super) struct Fields {
    label: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Reads `bytes`, which messages call `label`.
    pub(super) fn parse(label: String, bytes: &[u8]) -> Result<Self> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Ok(Self { label, map }),
            Ok(_) => Err(bad_file(&label, "is not a JSON object".to_owned())),
            Err(error) => Err(bad_file(&label, format!("is not JSON: {error}"))),
        }
    }

    /// What there is when a file that may be missing is missing: no field.
    pub(super) fn none(label: String) -> Self {
        Self { label, map: Map::new() }
    }

    /// The fields of an object that stands in a field.
    pub(super) fn nested(&self, field: &str) -> Result<Self> {
        match self.get(field).and_then(Value::as_object) {
            Some(map) => Ok(Self { label: format!("{}: `{field}`", self.label), map: map.clone() }),
            None => Err(self.bad(field, "is missing or not an object")),
        }
    }

    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// Whether the field is there and says `null`.
    pub(super) fn is_null(&self, field: &str) -> bool {
        self.map.get(field).is_some_and(Value::is_null)
    }

    pub(super) fn count(&self, field: &str) -> Result<usize> {
        self.optional_count(field)?.ok_or_else(|| self.bad(field, "is missing"))
    }

    pub(super) fn optional_count(&self, field: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        count.map(Some).ok_or_else(|| self.bad(field, &format!("is {value}, not a whole number")))
    }

    /// A number of any size: some files write "no limit" as 10^30.
    pub(super) fn optional_number(&self, field: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.bad(field, &format!("is {value}, not a number")))
    }

    pub(super) fn flag(&self, field: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(field) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.bad(field, &format!("is {value}, neither true nor false")))
    }

    pub(super) fn optional_text(&self, field: &str) -> Result<Option<&str>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.bad(field, &format!("is {value}, not a string")))
    }

    pub(super) fn text(&self, field: &str) -> Result<&str> {
        self.optional_text(field)?.ok_or_else(|| self.bad(field, "is missing"))
    }

    /// The names of all fields, in the order of the file.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    /// An error about `field`, naming the file.
    pub(super) fn bad(&self, field: &str, cause: &str) -> Error {
        Error::Model(Problem::new(format!("{}: `{field}`", self.label), cause).hint(HINT))
    }

    /// An error about something that cannot be done (yet), with the way out.
    pub(super) fn unsupported(&self, field: &str, cause: &str, hint: impl Into<String>) -> Error {
        Error::Model(Problem::new(format!("{}: `{field}`", self.label), cause).hint(hint.into()))
    }
}

const HINT: &str = "fetch the model again, or choose another (`thematic models` lists those that are known)";

fn bad_file(label: &str, cause: String) -> Error {
    Error::Model(Problem::new(label, cause).hint(HINT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_field_is_named_with_its_file_and_value() {
        let fields = Fields::parse("`m/config.json`".into(), br#"{"hidden_size": "x", "n": 3}"#).expect("an object");
        assert_eq!(fields.count("n").expect("a number"), 3);
        let wrong = fields.count("hidden_size").expect_err("not a number").to_string();
        assert_eq!(wrong, "`m/config.json`: `hidden_size`: is \"x\", not a whole number");
        let missing = fields.count("layers").expect_err("missing").to_string();
        assert_eq!(missing, "`m/config.json`: `layers`: is missing");
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        assert!(Fields::parse("`a`".into(), b"[1]").is_err());
        assert!(Fields::parse("`a`".into(), b"{").is_err());
    }
}
