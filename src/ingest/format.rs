//! Which format a text is in, by its first lines; the file's name decides only where they leave it open.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Problem};
use crate::ingest::{Options, bibtex, page, table, tagged};

/// A family of formats that one reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON and JSON Lines of any source.
    Json,
    /// CSV, TSV and other delimited text with a header.
    Table,
    /// BibTeX and BibLaTeX.
    Bibtex,
    /// RIS.
    Ris,
    /// MEDLINE as PubMed writes it, NBIB.
    Medline,
    /// Web of Science's plain text.
    WebOfScience,
    /// A listing page, as text or HTML.
    Listing,
    /// One text per line.
    Text,
}

/// Every format with its name on the command line.
const NAMES: [(Format, &str); 8] = [
    (Format::Json, "json"),
    (Format::Table, "csv"),
    (Format::Bibtex, "bibtex"),
    (Format::Ris, "ris"),
    (Format::Medline, "medline"),
    (Format::WebOfScience, "wos"),
    (Format::Listing, "listing"),
    (Format::Text, "text"),
];

impl Format {
    /// The names that [`Format::from_str`] takes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().map(|(_, name)| name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(format, _)| format == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wanted = match text.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => "json".to_owned(),
            "tsv" | "table" => "csv".to_owned(),
            "bib" | "biblatex" => "bibtex".to_owned(),
            "nbib" | "pubmed" => "medline".to_owned(),
            "html" => "listing".to_owned(),
            "txt" | "lines" => "text".to_owned(),
            other => other.to_owned(),
        };
        let found = NAMES.iter().find(|(_, name)| *name == wanted).map(|(format, _)| *format);
        found.ok_or_else(|| {
            let known: Vec<&str> = Self::names().collect();
            let problem = Problem::new(format!("`{text}`"), "is not an input format");
            Error::Usage(problem.hint(format!("use one of {}", known.join(", "))))
        })
    }
}

/// What is known of a file besides its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    /// The path, compression endings included.
    pub(super) path: &'a str,
    /// Whether the user named the file itself.
    pub(super) is_named: bool,
}

/// The format of a text, or why it has none.
pub(super) fn detect(head: &str, name: Name<'_>, options: &Options) -> Result<Format, String> {
    let extension = extension(name.path);
    if let Some(format) = by_content(head, options) {
        return Ok(format);
    }
    if head.trim_start().starts_with("<?xml") {
        return Err("XML is not read: export as BibTeX, RIS, CSV or JSON".to_owned());
    }
    match extension.as_str() {
        "json" | "jsonl" | "ndjson" => Ok(Format::Json),
        "csv" | "tsv" | "tab" => Ok(Format::Table),
        "bib" => Ok(Format::Bibtex),
        "txt" | "text" | "" | "-" if name.is_named => Ok(Format::Text),
        "txt" | "text" => Err("no known format: to read each line as a text, name the file itself".to_owned()),
        _ => Err("no known format of papers".to_owned()),
    }
}

fn by_content(head: &str, options: &Options) -> Option<Format> {
    let is = |dialect: &'static tagged::Dialect| dialect.is_written(head);
    let checks: [(Format, &dyn Fn() -> bool); 8] = [
        (Format::Json, &|| is_json(head)),
        (Format::Listing, &|| page::is_html(head)),
        (Format::Ris, &|| is(&tagged::RIS)),
        (Format::Medline, &|| is(&tagged::MEDLINE)),
        (Format::WebOfScience, &|| is_web_of_science(head)),
        (Format::Table, &|| table::is_written(head, options)),
        (Format::Bibtex, &|| bibtex::is_written(head)),
        (Format::Listing, &|| page::is_written(head)),
    ];
    checks.into_iter().find(|(_, check)| check()).map(|(format, _)| format)
}

/// A brace or bracket with something behind it that JSON allows there.
fn is_json(head: &str) -> bool {
    let head = head.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{1e}');
    let next = |opening: char| head.strip_prefix(opening).map(|rest| rest.trim_start().chars().next());
    match (next('{'), next('[')) {
        (Some(inside), _) => matches!(inside, Some('"' | '}')),
        (_, Some(inside)) => matches!(inside, None | Some('{' | '[' | '"' | ']')),
        _ => false,
    }
}

/// Its tags are two capitals and a space, which prose may begin with too, so the first line must be the format's own.
fn is_web_of_science(head: &str) -> bool {
    let first = head.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let opens = first.starts_with("FN ") || (first.starts_with("PT ") && first.trim_end().len() == 4);
    opens && tagged::WEB_OF_SCIENCE.is_written(head)
}

/// The last extension below those of compression, in lower case; `-` for standard input.
fn extension(path: &str) -> String {
    if path == "-" {
        return path.to_owned();
    }
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_lowercase();
    let name = [".gz", ".zst", ".zstd"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    name.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::Date;

    fn check(head: &str, path: &str, expected: Option<Format>) {
        let options = Options::new(Date::year_only(2026).expect("a year"));
        let name = Name { path, is_named: false };
        assert_eq!(detect(head, name, &options).ok(), expected, "{path}: {head}");
    }

    #[test]
    fn content_decides_before_the_name() {
        check("{\"id\": 1}\n", "a.txt", Some(Format::Json));
        check("[\n  {\"id\": 1}", "a", Some(Format::Json));
        check("[draft] a note", "a.txt", None);
        check("{\\rtf1", "a.txt", None);
        check("<!-- saved --><!DOCTYPE html>", "a.txt", Some(Format::Listing));
        check("Provider: Somebody\n\nTY  - JOUR\n", "a.txt", Some(Format::Ris));
        check("\nPMID- 123\nTI  - T\n", "a.txt", Some(Format::Medline));
        check("FN Clarivate\nVR 1.0\nPT J\n", "a.txt", Some(Format::WebOfScience));
        check("PT\tAU\tTI\tAB\nJ\tA\tT\tB\n", "a.txt", Some(Format::Table));
        check("Title;Abstract\na;b\n", "a.dat", Some(Format::Table));
        check("a,b,c\n1,2,3\n", "a.csv.gz", Some(Format::Table));
        check("% a comment\n@Article{key,\n", "a.txt", Some(Format::Bibtex));
        check("@property (x)\n", "a.py", None);
        check("<?xml version='1.0'?><feed/>", "a.xml", None);
        check("Title, abstract and the rest\n", "a.txt", None);
    }

    #[test]
    fn formats_are_known_by_their_names() {
        for name in Format::names() {
            assert_eq!(name.parse::<Format>().expect("a format").to_string(), name);
        }
        assert_eq!("TSV".parse::<Format>().expect("a format"), Format::Table);
        assert!("docx".parse::<Format>().is_err());
    }
}
