//! The models that are known by name, as data, and the text that each is given.
//!
//! The entries stand in `models/manifest.json`. What a model's own folder says about itself comes first; the
//! manifest fills in what some folders leave out (prompts, pooling) and what no folder says (licence, text).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::paper::{Paper, joined_text};

static MANIFEST: LazyLock<Vec<KnownModel>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../models/manifest.json")).expect("a test reads the committed manifest")
});

/// One model of the manifest.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KnownModel {
    /// What people call it; accepted wherever a model is named.
    pub name: String,
    /// Its repository on the hub; absent for the embedded default.
    #[serde(default)]
    pub repository: Option<String>,
    /// `static`, or the `model_type` of its configuration.
    pub architecture: String,
    /// Numbers in a vector.
    pub dimension: usize,
    /// Tokens of a text that are read; absent where there is no limit.
    pub max_length: Option<usize>,
    /// SPDX identifier of the weights' licence.
    pub licence: String,
    /// `mean`, `cls` and so on: used where the folder does not say.
    pub pooling: String,
    /// What is put before a text, by what the text is (`query`, `document`), where the folder does not say.
    #[serde(default)]
    pub prompts: BTreeMap<String, String>,
    /// How title and abstract become one text.
    #[serde(default)]
    pub text: TextTemplate,
    /// What it is good for, in a few words.
    pub note: String,
}

/// How title and abstract become the text that is embedded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextTemplate {
    /// `title. abstract`, or whichever of the two there is.
    #[default]
    Sentences,
    /// `title`, this string, `abstract`, the string always, as SPECTER's authors write it.
    Separator(String),
}

impl TextTemplate {
    /// The text of a paper: what is embedded, and what is hashed to tell whether a vector is current.
    pub fn apply(&self, paper: &Paper) -> String {
        self.join(&paper.title, &paper.abstract_text)
    }

    /// The text of a title and an abstract, either of which may be empty.
    pub fn join(&self, title: &str, abstract_text: &str) -> String {
        match self {
            Self::Sentences => joined_text(title, abstract_text),
            Self::Separator(separator) => format!("{}{separator}{}", title.trim(), abstract_text.trim()),
        }
    }
}

/// Every known model, the embedded default first.
pub fn known_models() -> &'static [KnownModel] {
    &MANIFEST
}

/// The known model of that short name or repository, capitals aside.
pub fn find(name: &str) -> Option<&'static KnownModel> {
    known_models().iter().find(|model| {
        let repository = model.repository.as_deref().unwrap_or_default();
        model.name.eq_ignore_ascii_case(name) || repository.eq_ignore_ascii_case(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_complete_and_named_once() {
        let models = known_models();
        assert!(models.len() >= 8);
        for (at, model) in models.iter().enumerate() {
            assert!(model.dimension > 0 && !model.licence.is_empty() && !model.note.is_empty(), "{}", model.name);
            let kind = model.architecture.as_str();
            assert!(kind == "static" || crate::models::supported().any(|known| known == kind), "{kind}");
            assert!(models[..at].iter().all(|other| other.name != model.name), "{} twice", model.name);
        }
    }

    #[test]
    fn a_model_is_found_by_name_and_by_repository() {
        assert_eq!(find("all-minilm-l6-v2").map(|model| model.dimension), Some(384));
        assert_eq!(find("allenai/specter2_base").map(|model| model.pooling.as_str()), Some("cls"));
        assert!(find("no-such-model").is_none());
    }

    #[test]
    fn the_template_decides_the_text() {
        assert_eq!(TextTemplate::Sentences.join("A title", "An abstract."), "A title. An abstract.");
        assert_eq!(TextTemplate::Separator("[SEP]".into()).join("A title", "An abstract."), "A title[SEP]An abstract.");
        assert_eq!(TextTemplate::Separator("[SEP]".into()).join("A title", ""), "A title[SEP]");
    }
}
