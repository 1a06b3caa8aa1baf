//! Imports go one way: reads every source file and holds its `crate::` paths against the order of the layers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first. A module may import modules of lower lines only, never a neighbour on its own line.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["paper", "vectors", "progress", "kernel"],
    &["clean", "wire"],
    &["terms", "models"],
    &["dedupe", "ingest", "encode", "store", "output", "cluster"],
    &["search", "label"],
    &["map"],
    &["engine"],
    &["cli"],
    &["terminal", "serve"],
    &["commands"],
    &["main"],
    &["bin"],
];

/// Crates that only the named modules may use.
const CONFINED: &[(&str, &[&str])] = &[
    ("candle_core", &["encode", "kernel"]),
    ("candle_nn", &["encode", "kernel"]),
    ("candle_transformers", &["encode"]),
    ("tokenizers", &["encode"]),
    ("clap", &["cli", "main"]),
    ("rusqlite", &["store"]),
    ("hf_hub", &["models"]),
    ("indicatif", &["terminal"]),
    ("tokio", &["serve"]),
    ("axum", &["serve"]),
];

#[test]
fn modules_import_only_lower_layers() {
    let mut broken = Vec::new();
    for (module, path, text) in sources() {
        let Some(layer) = layer_of(&module) else {
            broken.push(format!("{} belongs to no layer", path.display()));
            continue;
        };
        for target in imports(&text) {
            let allowed = target == module || layer_of(&target).is_none_or(|other| other < layer);
            if !allowed {
                broken.push(format!("{}: `{module}` may not import `{target}`", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn crates_stay_where_they_belong() {
    let mut broken = Vec::new();
    for (module, path, text) in sources() {
        for (name, homes) in CONFINED {
            let used = code_lines(&text).any(|line| mentions_path(line, name));
            if used && !homes.contains(&module.as_str()) {
                broken.push(format!("{}: `{name}` belongs in {homes:?}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_file_opens_with_its_purpose() {
    let missing: Vec<String> = sources()
        .filter(|(_, _, text)| !text.starts_with("//!"))
        .map(|(_, path, _)| path.display().to_string())
        .collect();
    assert!(missing.is_empty(), "no module doc in {missing:?}");
}

#[test]
fn the_check_sees_both_ways_of_importing() {
    let text =
        "use crate::error::Error;\nuse crate::{paper, vectors::Vectors};\n// crate::main\nlet x = crate::encode::f();";
    let expected: BTreeSet<String> = ["encode", "error", "paper", "vectors"].map(String::from).into();
    assert_eq!(imports(text), expected);
}

/// Top-level module, path and text of every file of the crate but `lib.rs`, which only declares.
fn sources() -> impl Iterator<Item = (String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.into_iter().filter(|path| !path.ends_with("src/lib.rs")).map(move |path| {
        let inside = path.strip_prefix(&root).expect("below src");
        let first = inside.components().next().expect("a file").as_os_str().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a source file");
        (first.trim_end_matches(".rs").to_owned(), path, text)
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

/// Modules named after `crate::` or `thematic::`, one by one or in braces.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = code_lines(text).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for prefix in ["crate::", "thematic::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(list) => found.extend(names_in_braces(list)),
                None => found.extend(leading_name(rest)),
            }
        }
    }
    found
}

fn names_in_braces(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = Vec::new();
    let mut expecting = true;
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expecting = true,
            _ if expecting && !character.is_whitespace() => {
                names.extend(leading_name(&list[at..]));
                expecting = false;
            }
            _ => {}
        }
    }
    names
}

/// A lower-case path segment: types and macros re-exported at the root are not modules.
fn leading_name(text: &str) -> Option<String> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let name = &text[..end];
    name.starts_with(|c: char| c.is_ascii_lowercase()).then(|| name.to_owned())
}

fn mentions_path(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + name.len()..];
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':')) && after.starts_with("::")
    })
}
