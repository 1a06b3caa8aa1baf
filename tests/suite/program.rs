//! Runs the program in a folder of its own and shows what it said as a transcript.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder to work in, and the program.
pub(crate) struct Desk {
    folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        std::fs::write(&path, content).expect("a file");
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file that was written")
    }

    /// The program, ready to be run in the folder, with an environment that holds no setting.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thematic"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null()).env("COLUMNS", "100");
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("THEMATIC_") || name_text.starts_with("HF_") {
                command.env_remove(&name);
            }
        }
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Said {
        Said::new(&self.command(arguments).output().expect("the program runs"), self.folder.path())
    }

    /// Runs it with variables of the environment.
    pub(crate) fn run_with<S: AsRef<OsStr>>(&self, arguments: &[S], variables: &[(&str, &str)]) -> Said {
        let mut command = self.command(arguments);
        Said::new(&command.envs(variables.iter().copied()).output().expect("the program runs"), self.folder.path())
    }

    /// Runs it and requires success.
    pub(crate) fn done<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{said:?}");
        said
    }
}

/// What the program said, with the folder's name taken out.
#[derive(Debug)]
pub(crate) struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    fn new(output: &Output, folder: &Path) -> Self {
        let plain = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&*folder.to_string_lossy(), "DESK");
            text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
        };
        Self { code: output.status.code().unwrap_or(-1), out: plain(&output.stdout), err: plain(&output.stderr) }
    }

    /// Everything in one text, for snapshots.
    pub(crate) fn transcript(&self) -> String {
        format!("exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.out, self.err)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// The example papers of the repository.
pub(crate) fn example_papers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/papers.jsonl")
}
