//! One file from the hub: fetched, resumed, checked, and what went wrong put into words.
//!
//! `hf-hub` writes into the shared cache and can go on with a part that an interrupted download left. It neither
//! checks what it got nor tries again in a way that is safe to resume, so both are done here.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use hf_hub::api::sync::{ApiError, ApiRepo};
use sha2::{Digest, Sha256};

use crate::error::{Error, Problem, Result};
use crate::models::settings::Settings;
use crate::progress::{Phase, Progress};

/// How often a file is tried, and how long to wait before the second time; twice as long before each later one.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// Fetches `file` into the cache and returns its path there.
pub(super) fn fetch(
    api: &ApiRepo,
    repository: &str,
    file: &str,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<PathBuf> {
    for _ in 0..ATTEMPTS {
        let download = || {
            let outcome = api.download_with_progress(file, Meter { progress, begun: false });
            if outcome.as_ref().is_err_and(part_is_useless) {
                discard_parts(settings, repository);
            }
            outcome
        };
        let path = ask(download, progress)?.map_err(|error| explain(repository, Some(file), settings, error))?;
        if checksum_holds(&path)? {
            return Ok(path);
        }
        discard(&path)?;
    }
    Err(damaged(repository, file))
}

/// Repeats a request that may succeed in a moment, a few times, with longer and longer pauses.
pub(super) fn ask<T>(
    mut request: impl FnMut() -> Result<T, ApiError>,
    progress: &dyn Progress,
) -> Result<Result<T, ApiError>> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        match request() {
            Err(error) if worth_retrying(&error) => thread::sleep(pause),
            outcome => return Ok(outcome),
        }
        pause *= 2;
    }
    Ok(request())
}

/// Reports a download in bytes.
struct Meter<'a> {
    progress: &'a dyn Progress,
    begun: bool,
}

impl hf_hub::api::Progress for Meter<'_> {
    /// Called twice per download by `hf-hub`.
    fn init(&mut self, size: usize, _filename: &str) {
        if !self.begun {
            self.progress.begin(Phase { doing: "downloading", units: "bytes", total: Some(size as u64) });
            self.begun = true;
        }
    }

    fn update(&mut self, size: usize) {
        self.progress.advance(size as u64);
    }

    fn finish(&mut self) {}
}

impl Drop for Meter<'_> {
    /// A download that fails ends its phase too.
    fn drop(&mut self) {
        if self.begun {
            self.progress.end();
        }
    }
}

/// Whether a cached file is what the hub said it is.
///
/// The cache names large files by their SHA-256; small ones have a name that is no checksum of the content alone,
/// and are checked by being read.
pub(super) fn checksum_holds(path: &Path) -> Result<bool> {
    match expected_sha256(path) {
        Some(expected) => Ok(sha256(path).map_err(|error| Error::io("read", path, error))? == expected),
        None => Ok(true),
    }
}

/// The SHA-256 that the cache knows for a file.
pub(super) fn expected_sha256(path: &Path) -> Option<String> {
    let blob = fs::canonicalize(path).ok()?;
    let name = blob.file_name()?.to_str()?.to_ascii_lowercase();
    (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(name)
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Takes a damaged file out of the cache: the link and what it points to.
fn discard(path: &Path) -> Result<()> {
    let blob = fs::canonicalize(path).map_err(|error| Error::io("read", path, error))?;
    fs::remove_file(path).map_err(|error| Error::io("remove", path, error))?;
    if blob != path && blob.exists() {
        fs::remove_file(&blob).map_err(|error| Error::io("remove", &blob, error))?;
    }
    Ok(())
}

/// Whether what an interrupted download left cannot be gone on with.
fn part_is_useless(error: &ApiError) -> bool {
    matches!(error, ApiError::InvalidResume) || status(error) == Some(RANGE_NOT_SATISFIABLE)
}

/// Removes the parts of interrupted downloads. One that cannot be removed fails the next attempt, with its reason.
fn discard_parts(settings: &Settings, repository: &str) {
    let Some(cache) = &settings.cache else { return };
    let folder = cache.join(format!("models--{}", repository.replace('/', "--"))).join("blobs");
    let entries = fs::read_dir(folder).into_iter().flatten();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.extension().is_some_and(|extension| extension == "part") {
            fs::remove_file(path).ok();
        }
    }
}

const RANGE_NOT_SATISFIABLE: u16 = 416;

/// The HTTP status behind an error.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(request) => match **request {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the same request may succeed in a moment.
fn worth_retrying(error: &ApiError) -> bool {
    match error {
        ApiError::RequestError(request) => match &**request {
            ureq::Error::StatusCode(status) => *status >= 500 || [408, RANGE_NOT_SATISFIABLE, 429].contains(status),
            ureq::Error::Io(error) => error.kind() != io::ErrorKind::ConnectionRefused,
            other => matches!(other, ureq::Error::Timeout(_) | ureq::Error::Protocol(_)),
        },
        ApiError::IoError(error) => !matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::NotFound
        ),
        ApiError::InvalidResume => true,
        _ => false,
    }
}

/// What an error of the hub means to the user, and what to do about it.
pub(super) fn explain(repository: &str, file: Option<&str>, settings: &Settings, error: ApiError) -> Error {
    let thing = match file {
        Some(file) => format!("`{file}` of `{repository}`"),
        None => format!("model `{repository}`"),
    };
    let (cause, hint) = reason(&error, settings);
    Error::Model(Problem::new(thing, cause).hint(hint).source(error))
}

fn reason(error: &ApiError, settings: &Settings) -> (String, String) {
    let endpoint = &settings.endpoint;
    match status(error) {
        Some(401 | 403) if settings.token.is_none() => {
            (format!("{endpoint} wants to know who asks"), "set HF_TOKEN to a token that may read it".into())
        }
        Some(401 | 403) => (
            format!("{endpoint} does not let this token read it"),
            "check HF_TOKEN, and accept the model's conditions on its page".into(),
        ),
        Some(404) => (
            format!("{endpoint} has no such model, revision or file"),
            "check the name (`owner/model`) and the revision; `thematic models` lists known ones".into(),
        ),
        Some(status) => (
            format!("{endpoint} answered with HTTP status {status}"),
            "try again later, or set HF_ENDPOINT to a mirror".into(),
        ),
        None => plain_reason(error, endpoint),
    }
}

fn plain_reason(error: &ApiError, endpoint: &str) -> (String, String) {
    match error {
        ApiError::LockAcquisition(path) => (
            "another process is downloading it".into(),
            format!("wait for it; if there is none, remove `{}`", path.display()),
        ),
        ApiError::IoError(error) => (
            format!("the download broke off: {error}"),
            "check the disk and the network; running it again goes on where it stopped".into(),
        ),
        ApiError::MissingHeader(_) | ApiError::InvalidHeader(_) | ApiError::ParseIntError(_) => {
            (format!("{endpoint} does not answer as a hub does: {error}"), "check HF_ENDPOINT".into())
        }
        other => (
            format!("{endpoint} cannot be reached: {other}"),
            "check the network and HF_ENDPOINT, or use a model that is already here (`thematic models`)".into(),
        ),
    }
}

fn damaged(repository: &str, file: &str) -> Error {
    let cause = "came with another checksum than the hub announced, every time";
    let problem = Problem::new(format!("`{file}` of `{repository}`"), cause);
    Error::Model(problem.hint("try another network or mirror (HF_ENDPOINT)"))
}
