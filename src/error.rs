//! The one error type, what to do about it, and the exit code it means.
//!
//! Imports no other module, so that every module can return it. A variant is a *reaction* (what the caller
//! or the shell should do), not a place of origin; a [`Problem`] inside says which thing failed, why, and the way out.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can end a request, by the reaction it demands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{}`: {}", path.display(), plain_cause(source))]
    Io {
        /// What was tried, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The request itself is wrong: options that exclude each other, a value out of range.
    #[error("{0}")]
    Usage(Problem),
    /// There is nothing to work on.
    #[error("{0}")]
    Input(Problem),
    /// The model cannot be found, read or run.
    #[error("{0}")]
    Model(Problem),
    /// The device asked for is not available.
    #[error("{0}")]
    Device(Problem),
    /// What was asked of a device at once does not fit its memory: less of it may.
    #[error("{0}")]
    OutOfMemory(Problem),
    /// The collection cannot be opened, read or written.
    #[error("{0}")]
    Collection(Problem),
    /// A paper was named that the collection does not hold.
    #[error("no paper `{id}` in {place}")]
    UnknownPaper {
        /// The identifier as it was given.
        id: String,
        /// Where it was looked for.
        place: String,
        /// Stored papers whose identifiers resemble it, best first.
        similar: Vec<String>,
    },
    /// Anything else that failed.
    #[error("{0}")]
    Failed(Problem),
    /// The user asked to stop; what was finished is kept.
    #[error("interrupted")]
    Interrupted,
}

/// Which thing failed, why, and what to do about it.
#[derive(Debug)]
pub struct Problem {
    thing: String,
    cause: String,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Problem {
    /// A problem of `thing` (a path, an option, an id; written as it should be read), because of `cause`.
    pub fn new(thing: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { thing: thing.into(), cause: cause.into(), hint: None, source: None }
    }

    /// The way out, as an imperative sentence without a full stop.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error underneath, kept for those who walk the chain.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.thing.is_empty() { f.write_str(&self.cause) } else { write!(f, "{}: {}", self.thing, self.cause) }
    }
}

impl StdError for Problem {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

impl Error {
    /// An error of the operating system about `path`.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { action, path: path.as_ref().to_owned(), source }
    }

    /// The way out, where there is one to offer.
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Io { source, path, .. } => io_hint(source, path),
            Self::Usage(problem)
            | Self::Input(problem)
            | Self::Model(problem)
            | Self::Device(problem)
            | Self::OutOfMemory(problem)
            | Self::Collection(problem)
            | Self::Failed(problem) => problem.hint.as_deref().map(Cow::Borrowed),
            Self::UnknownPaper { similar, .. } => Some(similar_hint(similar)),
            Self::Interrupted => Some("run the same command again to go on from here".into()),
        }
    }

    /// The process exit code that a shell sees.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Collection(_) | Self::UnknownPaper { .. } | Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Input(_) => 3,
            Self::Model(_) | Self::Device(_) | Self::OutOfMemory(_) => 4,
            Self::Interrupted => 130,
        }
    }
}

/// The operating system's sentence without Rust's `(os error N)`.
fn plain_cause(source: &io::Error) -> String {
    let text = source.to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

fn io_hint(source: &io::Error, path: &Path) -> Option<Cow<'static, str>> {
    let hint = match source.kind() {
        io::ErrorKind::NotFound => match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) if !parent.exists() => {
                return Some(format!("the folder `{}` does not exist", parent.display()).into());
            }
            _ => "check the name and the working directory",
        },
        io::ErrorKind::PermissionDenied => "check who owns it, or choose another place",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, or choose another disk",
        io::ErrorKind::ReadOnlyFilesystem => "choose a place that can be written",
        io::ErrorKind::IsADirectory => "name a file, not a folder",
        _ => return None,
    };
    Some(hint.into())
}

fn similar_hint(similar: &[String]) -> Cow<'static, str> {
    if similar.is_empty() {
        return "`thematic search WORDS` finds papers by their text and prints their ids".into();
    }
    format!("did you mean {}?", similar.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" or ")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_thing_and_cause_and_carries_its_hint() {
        let error = Error::Model(Problem::new("`m/config.json`", "has no `hidden_size`").hint("fetch the model again"));
        assert_eq!(error.to_string(), "`m/config.json`: has no `hidden_size`");
        assert_eq!(error.hint().as_deref(), Some("fetch the model again"));
        assert_eq!(error.exit_code(), 4);
    }

    #[test]
    fn an_io_error_reads_as_a_sentence() {
        let error = Error::io("read", "absent.jsonl", io::Error::from_raw_os_error(2));
        assert_eq!(error.to_string(), "cannot read `absent.jsonl`: no such file or directory");
        assert_eq!(error.hint().as_deref(), Some("check the name and the working directory"));
    }
}
