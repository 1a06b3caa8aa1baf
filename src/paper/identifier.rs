//! Identifiers of papers: how each kind is written, and which names the paper.
//!
//! The prefixes are those of the Semantic Scholar API (<https://api.semanticscholar.org/api-docs/graph>).

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

/// The name of a paper in a collection: `DOI:10.1000/x`, `ARXIV:2101.00001`, `PMID:1`, the source's own id, or a hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaperId(String);

impl PaperId {
    /// An id that is already in its canonical form.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PaperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An identifier whose kind is known, in normal form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identifier {
    /// Lower-case, from `10.`.
    Doi(String),
    /// Without version: `2101.00001` or `hep-ph/9901001`.
    Arxiv(String),
    /// PubMed's number.
    Pmid(String),
    /// The id in its source.
    Source(String),
    /// Semantic Scholar's number.
    CorpusId(String),
    /// The ACL Anthology's id.
    Acl(String),
    /// An address.
    Url(String),
}

impl Identifier {
    /// Recognises an identifier as people and exports write it: with one of the prefixes in any case, as a resolver's
    /// address, as a bare DOI or arXiv id. Anything else is the source's own id, kept as it is.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        Self::prefixed(text).or_else(|| Self::bare(text)).unwrap_or_else(|| Self::Source(text.to_owned()))
    }

    /// The id in its source, kept as it is; `None` where it is empty.
    pub fn source(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self::Source(text.to_owned()))
    }

    /// A DOI in any spelling; `None` where it is none.
    pub fn from_doi(text: &str) -> Option<Self> {
        let found = DOI.captures(text.trim())?;
        let doi = found[1].trim_end_matches(['.', ',', ';']).to_lowercase();
        // arXiv registers a DOI for every paper; both spellings are the same identifier.
        match doi.strip_prefix("10.48550/arxiv.") {
            Some(arxiv) => Self::from_arxiv(arxiv),
            None => Some(Self::Doi(doi)),
        }
    }

    /// An arXiv id in any spelling, its version left out; `None` where it is none.
    pub fn from_arxiv(text: &str) -> Option<Self> {
        let found = ARXIV.captures(text.trim())?;
        Some(Self::Arxiv(found[1].to_lowercase()))
    }

    /// A PubMed number; `None` where it is none.
    pub fn from_pmid(text: &str) -> Option<Self> {
        let found = PMID.captures(text.trim())?;
        Some(Self::Pmid(found[1].trim_start_matches('0').to_owned()))
    }

    /// The DOI, where it is one.
    pub fn doi(&self) -> Option<&str> {
        match self {
            Self::Doi(doi) => Some(doi),
            _ => None,
        }
    }

    /// Its place in the order in which identifiers name a paper; the lowest does.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Doi(_) => 0,
            Self::Arxiv(_) => 1,
            Self::Pmid(_) => 2,
            Self::Source(_) => 3,
            Self::CorpusId(_) => 4,
            Self::Acl(_) => 5,
            Self::Url(_) => 6,
        }
    }

    /// The canonical form, as it is stored and printed.
    pub fn to_id(&self) -> PaperId {
        PaperId(match self {
            Self::Doi(doi) => format!("DOI:{doi}"),
            Self::Arxiv(arxiv) => format!("ARXIV:{arxiv}"),
            Self::Pmid(pmid) => format!("PMID:{pmid}"),
            Self::Source(id) => id.clone(),
            Self::CorpusId(number) => format!("CorpusId:{number}"),
            Self::Acl(id) => format!("ACL:{id}"),
            Self::Url(url) => format!("URL:{url}"),
        })
    }

    fn prefixed(text: &str) -> Option<Self> {
        let (prefix, rest) = text.split_once(':')?;
        let rest = rest.trim();
        if rest.is_empty() {
            return None;
        }
        match prefix.to_ascii_lowercase().as_str() {
            "doi" => Self::from_doi(rest),
            "arxiv" => Self::from_arxiv(rest),
            "pmid" => Self::from_pmid(rest),
            "corpusid" => Some(Self::CorpusId(rest.to_owned())),
            "acl" => Some(Self::Acl(rest.to_owned())),
            "url" => Some(
                Self::from_doi(rest).or_else(|| Self::from_arxiv(rest)).unwrap_or_else(|| Self::Url(rest.to_owned())),
            ),
            _ => None,
        }
    }

    /// A bare number is not taken for a PubMed id: any source may count its records.
    fn bare(text: &str) -> Option<Self> {
        let known = Self::from_doi(text).or_else(|| Self::from_arxiv(text));
        known.or_else(|| (!text.bytes().all(|b| b.is_ascii_digit())).then(|| Self::from_pmid(text)).flatten())
    }
}

static DOI: LazyLock<Regex> = LazyLock::new(|| compiled(r"(?i)(?:^|doi\.org/|doi:\s*)(10\.\d{4,9}/\S+)$"));
static ARXIV: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?ix)^ (?: (?:https?://)? (?:www\.|export\.)? arxiv\.org/(?:abs|pdf|html)/ | arxiv:\s* )?
        ( \d{4}\.\d{4,5} | [a-z-]+ (?:\.[a-z]{2})? /\d{7} ) (?:v\d+)? (?:\.pdf)? $",
    )
});
static PMID: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?ix)^ (?: (?:https?://)? (?:www\.)? (?:pubmed\.ncbi\.nlm\.nih\.gov | ncbi\.nlm\.nih\.gov/pubmed)/ | pmid:\s* )?
        (\d{1,9}) /? $",
    )
});

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant, compiled by the tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(Identifier::parse(text).to_id().as_str(), expected, "{text}");
    }

    #[test]
    fn spellings_of_one_identifier_are_one_id() {
        check("10.1000/ABC.1", "DOI:10.1000/abc.1");
        check("doi: 10.1000/abc.1.", "DOI:10.1000/abc.1");
        check("https://doi.org/10.1000/ABC.1", "DOI:10.1000/abc.1");
        check("http://dx.doi.org/10.1000/abc.1", "DOI:10.1000/abc.1");
        check("arXiv:2101.00001v2", "ARXIV:2101.00001");
        check("https://arxiv.org/pdf/2101.00001v2.pdf", "ARXIV:2101.00001");
        check("10.48550/arXiv.2101.00001", "ARXIV:2101.00001");
        check("hep-ph/9901001v1", "ARXIV:hep-ph/9901001");
        check("math.GT/0309136", "ARXIV:math.gt/0309136");
        check("PMID: 0123", "PMID:123");
        check("https://pubmed.ncbi.nlm.nih.gov/123/", "PMID:123");
        check("CorpusID:77", "CorpusId:77");
        check("ACL:P19-1001", "ACL:P19-1001");
        check("URL:https://arxiv.org/abs/2101.00001", "ARXIV:2101.00001");
    }

    #[test]
    fn other_ids_are_kept_as_they_are() {
        for id in ["p1", "123456", "arxiv_topics:2101.00001", "t2a-q:7", "URL:https://example.org/A", "doi:none"] {
            check(id, id);
        }
    }
}
