//! Where models may come from: the settings of the hub and of its cache.
//!
//! The environment is read in [`Settings::from_environment`] and nowhere else in `models`; everything below takes
//! the values.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Result;

/// Where the hub is when nobody says otherwise.
const HUB: &str = "https://huggingface.co";

/// How models are looked for.
#[derive(Clone)]
pub struct Settings {
    /// Never use the network: what is not cached is missing.
    pub offline: bool,
    /// A branch, a tag or a commit of the hub's repository; `None` is `main`.
    pub revision: Option<String>,
    /// The access token for private and gated repositories.
    pub token: Option<String>,
    /// The address of the hub or of a mirror of it.
    pub endpoint: String,
    /// The cache that Hugging Face's own tools share; `None` where there is no home folder to put it in.
    pub cache: Option<PathBuf>,
    /// Reads weights that are kept as a Python pickle; `None` refuses them.
    pub pickle: Option<PickleReader>,
}

/// Turns a pickle of weights into the bytes of a safetensors file.
pub type PickleReader = fn(&Path) -> Result<Vec<u8>>;

impl Settings {
    /// `HF_HUB_OFFLINE`, `HF_TOKEN` (or the token that `hf auth login` stored), `HF_ENDPOINT`, and `HF_HUB_CACHE`,
    /// `HF_HOME` or `XDG_CACHE_HOME` for the cache, with the meaning that Hugging Face's tools give them.
    pub fn from_environment() -> Self {
        let home = hub_home();
        let cache = variable("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join("hub")));
        let stored_token = || fs::read_to_string(home.as_ref()?.join("token")).ok();
        Self {
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            revision: None,
            token: variable("HF_TOKEN").or_else(stored_token).map(|token| token.trim().to_owned()),
            endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned()),
            cache,
            pickle: None,
        }
    }
}

impl std::fmt::Debug for Settings {
    /// Without the token: settings end up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("offline", &self.offline)
            .field("revision", &self.revision)
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

fn hub_home() -> Option<PathBuf> {
    let cache_home = || variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cache")));
    variable("HF_HOME").map(PathBuf::from).or_else(|| Some(cache_home()?.join("huggingface")))
}

/// A variable that is set and not blank.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn is_true(value: &str) -> bool {
    ["1", "true", "yes", "on"].contains(&value.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_printed() {
        let settings = Settings {
            offline: false,
            revision: None,
            token: Some("secret".into()),
            endpoint: HUB.into(),
            cache: None,
            pickle: None,
        };
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn truth_is_spelt_as_the_hub_spells_it() {
        assert!(is_true("1") && is_true("TRUE") && is_true("on "));
        assert!(!is_true("0") && !is_true("false"));
    }
}
