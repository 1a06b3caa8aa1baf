//! Models of the Hugging Face hub, through the cache that its own tools share.
//!
//! Cache before network: a model whose files are cached costs no request, not even for the files that it is known
//! not to have. What the hub gives a SHA-256 for is checked after the download. A commit is settled first and every
//! file is taken from it, so that an update of the repository in between cannot mix two versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hf_hub::api::RepoInfo;
use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use crate::error::{Error, Problem, Result};
use crate::models::download::{self, explain};
use crate::models::settings::Settings;
use crate::progress::Progress;

/// Which part of a repository's history is meant when nobody says.
const MAIN: &str = "main";

/// One commit of one repository.
pub(super) struct HubModel {
    repository: String,
    commit: String,
    settings: Settings,
    cache: PathBuf,
    remote: OnceLock<Remote>,
}

/// What the hub said about a commit.
struct Remote {
    files: Vec<String>,
    api: ApiRepo,
}

/// Whether a cached branch is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// What is cached is used as it is.
    Cached,
    /// The hub is asked whether there is a newer commit.
    Newest,
}

impl std::fmt::Debug for HubModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HubModel({} at {})", self.repository, self.commit)
    }
}

impl HubModel {
    /// Settles the commit that `settings` ask for, from the cache where it knows.
    pub(super) fn find(
        repository: &str,
        settings: &Settings,
        freshness: Freshness,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let cache = settings.cache.clone().ok_or_else(no_cache)?;
        let revision = settings.revision.as_deref().unwrap_or(MAIN);
        let stale = freshness == Freshness::Newest && !settings.offline;
        let cached = cached_commit(&cache, repository, revision).filter(|_| !stale);
        let model = |commit| Self {
            repository: repository.to_owned(),
            commit,
            settings: settings.clone(),
            cache: cache.clone(),
            remote: OnceLock::new(),
        };
        if let Some(commit) = cached {
            return Ok(model(commit));
        }
        if settings.offline {
            let cause = format!("revision `{revision}` is not in the cache `{}`, and offline", cache.display());
            return Err(Error::Model(Problem::new(format!("model `{repository}`"), cause).hint(OFFLINE_HINT)));
        }
        let api = api(repository, revision, settings, &cache)?;
        let info = info(&api, repository, settings, progress)?;
        let found = model(info.sha);
        cache_repo(&cache, repository, revision)
            .create_ref(&found.commit)
            .map_err(|error| Error::io("write", found.folder(), error))?;
        Ok(found)
    }

    /// The repository's name.
    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    /// The commit that every file is taken from.
    pub(super) fn commit(&self) -> &str {
        &self.commit
    }

    /// The path of a cached file, fetched first where need be; `None` where the commit has no such file.
    pub(super) fn fetch(&self, file: &str, progress: &dyn Progress) -> Result<Option<PathBuf>> {
        let cached = self.folder().join("snapshots").join(&self.commit).join(file);
        if cached.exists() {
            return Ok(Some(cached));
        }
        let known_absent = self.folder().join(".no_exist").join(&self.commit).join(file);
        if known_absent.exists() {
            return Ok(None);
        }
        if self.settings.offline {
            let cause = format!("is not in the cache `{}`, and offline", self.cache.display());
            let thing = format!("`{file}` of `{}`", self.repository);
            return Err(Error::Model(Problem::new(thing, cause).hint(OFFLINE_HINT)));
        }
        let remote = self.remote(progress)?;
        if !remote.files.iter().any(|other| other == file) {
            mark_absent(&known_absent)?;
            return Ok(None);
        }
        download::fetch(&remote.api, &self.repository, file, &self.settings, progress).map(Some)
    }

    /// Whether the commit has a file, as far as can be told.
    pub(super) fn has(&self, file: &str, progress: &dyn Progress) -> Result<bool> {
        if self.settings.offline {
            return Ok(self.folder().join("snapshots").join(&self.commit).join(file).exists());
        }
        Ok(self.remote(progress)?.files.iter().any(|other| other == file))
    }

    fn folder(&self) -> PathBuf {
        self.cache.join(repo(&self.repository, &self.commit).folder_name())
    }

    /// Asks once which files the commit has.
    fn remote(&self, progress: &dyn Progress) -> Result<&Remote> {
        if let Some(remote) = self.remote.get() {
            return Ok(remote);
        }
        let api = api(&self.repository, &self.commit, &self.settings, &self.cache)?;
        let info = info(&api, &self.repository, &self.settings, progress)?;
        let files = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(self.remote.get_or_init(|| Remote { files, api }))
    }
}

/// Whether the cache holds a commit of `repository`, which is what a list of models shows.
pub(super) fn is_cached(repository: &str, settings: &Settings) -> bool {
    let revision = settings.revision.as_deref().unwrap_or(MAIN);
    settings.cache.as_ref().is_some_and(|cache| cached_commit(cache, repository, revision).is_some())
}

const OFFLINE_HINT: &str = "run once without `--offline` (and without HF_HUB_OFFLINE), or name a folder that holds it";

/// The commit that the cache knows for a branch or tag, or the revision itself where it is a cached commit.
fn cached_commit(cache: &Path, repository: &str, revision: &str) -> Option<String> {
    let folder = cache.join(repo(repository, revision).folder_name());
    let named = fs::read_to_string(folder.join("refs").join(revision)).ok();
    let commit = named.map_or_else(|| revision.to_owned(), |commit| commit.trim().to_owned());
    (is_commit(&commit) && folder.join("snapshots").join(&commit).is_dir()).then_some(commit)
}

/// Forty hexadecimal digits: what becomes part of a path is checked first.
fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn repo(repository: &str, revision: &str) -> Repo {
    Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned())
}

fn cache_repo(cache: &Path, repository: &str, revision: &str) -> hf_hub::CacheRepo {
    Cache::new(cache.to_owned()).repo(repo(repository, revision))
}

fn api(repository: &str, revision: &str, settings: &Settings, cache: &Path) -> Result<ApiRepo> {
    let api = ApiBuilder::from_cache(Cache::new(cache.to_owned()))
        .with_endpoint(settings.endpoint.trim_end_matches('/').to_owned())
        .with_token(settings.token.clone())
        .with_progress(false)
        .build()
        .map_err(|error| explain(repository, None, settings, error))?;
    Ok(api.repo(repo(repository, revision)))
}

fn info(api: &ApiRepo, repository: &str, settings: &Settings, progress: &dyn Progress) -> Result<RepoInfo> {
    download::ask(|| api.info(), progress)?.map_err(|error| explain(repository, None, settings, error))
}

/// Notes, as Hugging Face's own tools do, that the commit has no such file.
fn mark_absent(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
    fs::write(path, []).map_err(|error| Error::io("write", path, error))
}

fn no_cache() -> Error {
    let problem = Problem::new("the model cache", "has no place: this user has no home folder");
    Error::Model(problem.hint("set HF_HOME to a folder that can be written"))
}
