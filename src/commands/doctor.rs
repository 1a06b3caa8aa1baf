//! `thematic doctor`: what this machine, build and collection can do, and what is wrong.

use std::path::{Path, PathBuf};

use super::{DEFAULT_COLLECTION, Outcome, print_json, settings};
use crate::cli::Doctor;
use crate::engine::{self, Finding, Severity};
use crate::error::Result;
use crate::progress::Silent;
use crate::terminal::{self, BAD, FAINT, GOOD, WARNING, styled};

pub(super) fn run(arguments: &Doctor) -> Result<Outcome> {
    let default = || Path::new(DEFAULT_COLLECTION).exists().then(|| PathBuf::from(DEFAULT_COLLECTION));
    let collection = arguments.collection.clone().or_else(default);
    let findings = engine::diagnose(collection.as_deref(), settings::cuda_program().as_deref(), &Silent);
    if arguments.json {
        print_json(&findings)?;
    } else {
        terminal::print(&findings.iter().map(line).collect::<String>())?;
    }
    let found_problems = findings.iter().any(|finding| finding.severity == Severity::Bad);
    Ok(if found_problems { Outcome::FoundProblems } else { Outcome::Done })
}

fn line(finding: &Finding) -> String {
    let mark = match finding.severity {
        Severity::Good => styled(GOOD, "ok  "),
        Severity::Note => styled(WARNING, "note"),
        Severity::Bad => styled(BAD, "bad "),
    };
    let hint = finding.hint.as_ref().map(|hint| format!("{:21}{}\n", "", styled(FAINT, hint)));
    format!("{mark}  {:<15}{}\n{}", finding.about, finding.found, hint.unwrap_or_default())
}
