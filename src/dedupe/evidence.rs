//! The decision about two papers, from their identifiers, titles, authors, abstracts and dates.

use super::authors::{self, Authors};
use super::sketch::{Likeness, Words};
use super::titles::{self, Titles};
use crate::paper::{Identifier, Paper, PaperId};

/// What two papers are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One paper, to be merged.
    Same,
    /// Versions of one paper under different titles: both are kept and linked.
    Renamed,
    /// Different papers, as far as can be told.
    Different,
}

/// Decides about two papers. Symmetric.
pub fn judge(one: &Paper, other: &Paper) -> Verdict {
    match evidence(one, other) {
        Evidence::Same(_) => Verdict::Same,
        Evidence::Renamed => Verdict::Renamed,
        Evidence::Conflict | Evidence::None => Verdict::Different,
    }
}

/// What was found, and how much it weighs against other pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// They are one paper.
    Same(Certainty),
    /// They are versions under different titles.
    Renamed,
    /// They are different papers, and no third record may join them.
    Conflict,
    /// Nothing speaks for or against.
    None,
}

/// Why two papers are one, the surer the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    Text,
    Title,
    TitleAndText,
    Identifier,
}

/// Papers of one title further apart in years need more than the title.
const MAX_YEARS: u16 = 5;

/// What is asked about two papers.
struct Pair<'p> {
    one: &'p Paper,
    other: &'p Paper,
    titles: Titles,
    authors: Authors,
    likeness: Option<Likeness>,
}

pub(super) fn evidence(one: &Paper, other: &Paper) -> Evidence {
    if say_the_same(one, other) {
        return Evidence::Same(Certainty::Identifier);
    }
    let likeness = Words::of(&one.abstract_text).likeness(&Words::of(&other.abstract_text));
    let titles = titles::compare(&one.title, &other.title);
    let pair = Pair { one, other, titles, authors: authors::compare(&one.authors, &other.authors), likeness };
    match shared_names(one, other) {
        Names::Strong => pair.same_name(),
        Names::Weak => pair.same_source(),
        Names::Contradicting => pair.by_content(true),
        Names::Unrelated => pair.by_content(false),
    }
}

/// Whether two records without registered names are word for word the same, as when a file is read again.
fn say_the_same(one: &Paper, other: &Paper) -> bool {
    let registered = |paper: &Paper| paper.ids().any(is_registered);
    let texts = one.title == other.title && one.abstract_text == other.abstract_text;
    let rest = one.authors == other.authors && one.date == other.date && one.venue == other.venue;
    texts && rest && !(registered(one) && registered(other))
}

impl Pair<'_> {
    /// A registered identifier names one paper, unless all else says that it names a volume.
    fn same_name(&self) -> Evidence {
        let unlike = matches!(self.titles, Titles::Different | Titles::Siblings) && self.authors == Authors::Disjoint;
        if unlike { Evidence::Conflict } else { Evidence::Same(Certainty::Identifier) }
    }

    /// A number in a list, an address or a hash names a record; two lists may count alike.
    fn same_source(&self) -> Evidence {
        let alike = self.likeness.is_some_and(|likeness| likeness.containment >= 0.3);
        match self.titles {
            Titles::Equal | Titles::Close if self.authors != Authors::Disjoint => Evidence::Same(Certainty::Identifier),
            Titles::Missing | Titles::Different if alike && self.authors != Authors::Disjoint => {
                Evidence::Same(Certainty::Identifier)
            }
            _ => match self.by_content(false) {
                Evidence::None => Evidence::Conflict,
                decided => decided,
            },
        }
    }

    fn by_content(&self, contradicted: bool) -> Evidence {
        match self.titles {
            Titles::Equal => self.same_title(contradicted),
            Titles::EqualRubric => self.same_rubric(),
            Titles::Close => self.close_title(),
            Titles::Siblings => Evidence::Conflict,
            Titles::Different => self.other_title(),
            Titles::Missing => self.text_alone(),
        }
    }

    fn same_title(&self, contradicted: bool) -> Evidence {
        if self.authors == Authors::Disjoint {
            return Evidence::Conflict;
        }
        match self.likeness {
            Some(likeness) if self.is_clearly_different(likeness, contradicted) => Evidence::Conflict,
            Some(_) => Evidence::Same(Certainty::TitleAndText),
            None if contradicted || self.years_apart() > MAX_YEARS => Evidence::Conflict,
            None => Evidence::Same(Certainty::Title),
        }
    }

    /// Abstracts are rewritten between versions, so that common authors excuse much.
    fn is_clearly_different(&self, likeness: Likeness, contradicted: bool) -> bool {
        let known = self.authors.speak_for();
        let (shingles, words) = match (known, contradicted) {
            (true, false) => (0.05, 0.2),
            (false, false) => (0.15, 0.35),
            (_, true) => (0.4, 0.6),
        };
        likeness.containment < shingles && likeness.vocabulary < words
    }

    /// "Editorial" needs the same text, or the same authors on the same day in the same place.
    fn same_rubric(&self) -> Evidence {
        let same_text = self.likeness.is_some_and(|likeness| likeness.resemblance >= 0.7);
        let same_place = self.one.date.is_some() && self.one.date == self.other.date;
        let same_place = same_place && self.one.venue.is_some() && self.one.venue == self.other.venue;
        match self.likeness {
            _ if self.authors == Authors::Disjoint => Evidence::Conflict,
            Some(_) if same_text => Evidence::Same(Certainty::TitleAndText),
            None if same_place && self.authors.agree() => Evidence::Same(Certainty::Title),
            _ => Evidence::Conflict,
        }
    }

    /// One letter makes a paper on mice one on rice: only the same text proves that it was a slip.
    fn close_title(&self) -> Evidence {
        match self.likeness {
            Some(likeness) if likeness.resemblance >= 0.95 && self.authors != Authors::Disjoint => {
                Evidence::Same(Certainty::TitleAndText)
            }
            _ => self.other_title(),
        }
    }

    fn is_near(&self, likeness: Likeness) -> bool {
        likeness.words >= 15 && (likeness.resemblance >= 0.6 || likeness.containment >= 0.85)
    }

    /// Near-equal abstracts under different titles: versions where the authors agree, a template where they do not.
    fn other_title(&self) -> Evidence {
        let renamed = self.likeness.is_some_and(|likeness| self.is_same_text(likeness)) || self.is_reworded();
        if renamed { Evidence::Renamed } else { Evidence::Conflict }
    }

    fn is_same_text(&self, likeness: Likeness) -> bool {
        let enough = likeness.words >= 40;
        match self.authors {
            Authors::Disjoint => false,
            Authors::Unknown => {
                enough && likeness.resemblance >= 0.85 && titles::are_related(&self.one.title, &self.other.title)
            }
            _ => enough && self.is_near(likeness),
        }
    }

    /// The same people, the words of the title in another order, and an abstract that does not deny it.
    fn is_reworded(&self) -> bool {
        let denied = self.likeness.is_some_and(|likeness| likeness.vocabulary < 0.35 || likeness.containment < 0.05);
        let several = self.one.authors.len() > 1;
        self.authors == Authors::Identical
            && several
            && !denied
            && titles::is_reworded(&self.one.title, &self.other.title)
    }

    fn text_alone(&self) -> Evidence {
        let Some(likeness) = self.likeness else { return Evidence::None };
        let identical = likeness.resemblance > 0.999;
        let near = likeness.words >= 25 && (likeness.resemblance >= 0.7 || likeness.containment >= 0.9);
        match self.authors {
            Authors::Disjoint => Evidence::Conflict,
            _ if identical || near => Evidence::Same(Certainty::Text),
            _ => Evidence::None,
        }
    }

    fn years_apart(&self) -> u16 {
        let years = self.one.date.zip(self.other.date);
        years.map_or(0, |(one, other)| one.year().abs_diff(other.year()))
    }
}

/// What the identifiers of two papers say.
enum Names {
    /// They share one that a registry gives out.
    Strong,
    /// They share one that a source or this program gave.
    Weak,
    /// One registry gave them different ones.
    Contradicting,
    Unrelated,
}

/// A paper may have several DOIs (preprint, journal), but arXiv and PubMed give one number.
fn shared_names(one: &Paper, other: &Paper) -> Names {
    let shared: Vec<&PaperId> = one.ids().filter(|id| other.ids().any(|candidate| candidate == *id)).collect();
    if shared.iter().any(|id| is_registered(id)) {
        return Names::Strong;
    }
    if !shared.is_empty() {
        return Names::Weak;
    }
    let has = |paper: &Paper, prefix: &str| paper.ids().any(|id| id.as_str().starts_with(prefix));
    let contradicting = ["ARXIV:", "PMID:"].iter().any(|prefix| has(one, prefix) && has(other, prefix));
    if contradicting { Names::Contradicting } else { Names::Unrelated }
}

fn is_registered(id: &PaperId) -> bool {
    !matches!(Identifier::parse(id.as_str()), Identifier::Source(_) | Identifier::Url(_))
}
