//! The fields that tables and tagged formats share, and how a draft is made of them.
//!
//! A reader says which field each of its columns or tags is, in order of preference; what a field means is decided here.

use std::borrow::Cow;

use crate::ingest::{dates, people};
use crate::paper::{Date, Draft, Identifier};

/// What a column or a tag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    /// An identifier of any kind, the source's own included.
    Id,
    /// A DOI in any spelling.
    Doi,
    /// An arXiv id in any spelling.
    Arxiv,
    /// A PubMed number.
    Pmid,
    Title,
    Abstract,
    /// The text to embed, in a record that has nothing else: stands for the abstract.
    Text,
    /// One person.
    Author,
    /// Several people in one string, separated in any way.
    Authors,
    /// Several people separated by `;`, so that a comma stands between family and given name.
    Names,
    /// One person with initials, where nothing better is given.
    ShortAuthor,
    Date,
    Year,
    /// Month and day, or month alone, of [`Field::Year`].
    Month,
    /// One category.
    Category,
    /// Several, separated by `;` or `,`.
    Categories,
    /// Several, separated by `;`: their names have commas.
    Subjects,
    Venue,
    Url,
    /// One keyword.
    Keyword,
    /// Several, separated by `;` or `,`.
    Keywords,
}

/// The fields of one record in order of preference, several of one kind allowed.
pub(super) type Fields<'a> = Vec<(Field, Cow<'a, str>)>;

/// What exporters write where they have no abstract.
const NO_ABSTRACT: [&str; 4] = ["[no abstract available]", "no abstract available", "no abstract", "n/a"];

/// A draft of the fields: the first of what a paper has once, all of what it has many times.
pub(super) fn draft(fields: &Fields<'_>) -> Draft {
    let mut draft = Draft {
        title: first(fields, Field::Title).unwrap_or_default().to_owned(),
        abstract_text: abstract_text(fields).to_owned(),
        date: date(fields),
        venue: first(fields, Field::Venue).map(str::to_owned),
        url: first(fields, Field::Url).map(str::to_owned),
        ..Draft::default()
    };
    for (field, value) in fields {
        add(&mut draft, *field, value.trim());
    }
    draft.authors = authors(fields);
    draft
}

/// Several values in one string, separated by `;`, `|` or, where there is neither, by `,`.
pub(super) fn list(text: &str) -> Vec<String> {
    let separators: &[char] = if text.contains([';', '|']) { &[';', '|'] } else { &[','] };
    text.split(separators).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Adds what is not there yet.
pub(super) fn extend(list: &mut Vec<String>, values: impl IntoIterator<Item = String>) {
    for value in values {
        if !value.is_empty() && !list.contains(&value) {
            list.push(value);
        }
    }
}

/// The identifier in a web address, where it holds one.
pub(super) fn identifier_in_url(url: &str) -> Option<Identifier> {
    Some(Identifier::parse(url)).filter(|id| !matches!(id, Identifier::Source(_) | Identifier::Url(_)))
}

/// Whether an abstract only says that there is none.
pub(super) fn is_absent(text: &str) -> bool {
    NO_ABSTRACT.iter().any(|absent| text.trim().trim_end_matches('.').eq_ignore_ascii_case(absent))
}

fn add(draft: &mut Draft, field: Field, value: &str) {
    match field {
        Field::Id if !value.is_empty() => draft.identifiers.push(Identifier::parse(value)),
        Field::Doi => draft.identifiers.extend(doi(value)),
        Field::Arxiv => draft.identifiers.extend(Identifier::from_arxiv(value)),
        Field::Pmid => draft.identifiers.extend(Identifier::from_pmid(value)),
        Field::Url => draft.identifiers.extend(identifier_in_url(value)),
        Field::Category => extend(&mut draft.categories, [value.to_owned()]),
        Field::Categories => extend(&mut draft.categories, list(value)),
        Field::Subjects => extend(&mut draft.categories, value.split(';').map(|name| name.trim().to_owned())),
        Field::Keyword if !value.contains(';') => extend(&mut draft.keywords, [value.to_owned()]),
        Field::Keyword | Field::Keywords => extend(&mut draft.keywords, list(value)),
        _ => {}
    }
}

/// PubMed writes the kind of an identifier behind it: `10.1000/x [doi]`.
fn doi(value: &str) -> Option<Identifier> {
    Identifier::from_doi(value).or_else(|| Identifier::from_doi(value.split_whitespace().next()?))
}

fn all<'a>(fields: &'a Fields<'_>, wanted: Field) -> impl Iterator<Item = &'a str> {
    let of_kind = fields.iter().filter(move |(field, _)| *field == wanted);
    of_kind.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

fn first<'a>(fields: &'a Fields<'_>, wanted: Field) -> Option<&'a str> {
    all(fields, wanted).next()
}

fn abstract_text<'a>(fields: &'a Fields<'_>) -> &'a str {
    let abstracts = all(fields, Field::Abstract).chain(all(fields, Field::Text));
    abstracts.into_iter().find(|text| !is_absent(text)).unwrap_or_default()
}

/// The first kind of author field that says anything: a record often has both full names and short ones.
fn authors(fields: &Fields<'_>) -> Vec<String> {
    let single = |kind| all(fields, kind).filter_map(people::name).collect();
    let several = |kind, split: fn(&str) -> Vec<String>| {
        all(fields, kind).map(split).find(|names| !names.is_empty()).unwrap_or_default()
    };
    let candidates: [&dyn Fn() -> Vec<String>; 4] = [
        &|| single(Field::Author),
        &|| several(Field::Names, |text| people::names(text.split(';'))),
        &|| several(Field::Authors, people::split),
        &|| single(Field::ShortAuthor),
    ];
    candidates.iter().map(|candidate| candidate()).find(|names| !names.is_empty()).unwrap_or_default()
}

fn date(fields: &Fields<'_>) -> Option<Date> {
    let given = all(fields, Field::Date).find_map(dates::parse);
    let year = || {
        let year = first(fields, Field::Year)?;
        let month = first(fields, Field::Month).and_then(|month| dates::with_month(year, month));
        month.or_else(|| dates::parse(year))
    };
    given.or_else(year)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<'a>(pairs: &[(Field, &'a str)]) -> Fields<'a> {
        pairs.iter().map(|&(field, value)| (field, Cow::Borrowed(value))).collect()
    }

    #[test]
    fn the_first_that_says_anything_wins_and_lists_are_joined() {
        let draft = draft(&fields(&[
            (Field::Title, " "),
            (Field::Title, "A title"),
            (Field::Abstract, "[No abstract available]"),
            (Field::Text, "A text."),
            (Field::Authors, "Smith, Ada (1); Lee, Bo (2)"),
            (Field::Authors, "Smith A.; Lee B."),
            (Field::Year, "2020"),
            (Field::Month, "JUN 15"),
            (Field::Keywords, "one; two"),
            (Field::Keywords, "two; three, four"),
            (Field::Url, "https://arxiv.org/abs/2101.00001v2"),
        ]));
        assert_eq!((draft.title.as_str(), draft.abstract_text.as_str()), ("A title", "A text."));
        assert_eq!(draft.authors, ["Ada Smith", "Bo Lee"]);
        assert_eq!(draft.date.map(|date| date.to_string()).as_deref(), Some("2020-06-15"));
        assert_eq!(draft.keywords, ["one", "two", "three, four"]);
        assert_eq!(draft.identifiers, [Identifier::Arxiv("2101.00001".into())]);
    }
}
