//! What sloppy exports write although JSON forbids it, made readable.
//!
//! Asked only after a record was refused, so that what is valid is never touched.

/// What Python writes for numbers that are none.
const NO_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// The same record with blanks for control characters and nulls for numbers that are none; `None` where it has neither.
pub(super) fn mended(record: &str) -> Option<String> {
    let mut mended = String::with_capacity(record.len());
    let mut in_string = false;
    let mut rest = record;
    while let Some(character) = rest.chars().next() {
        let taken = match character {
            '\\' if in_string => rest.chars().take(2).map(char::len_utf8).sum(),
            _ => character.len_utf8(),
        };
        in_string ^= character == '"';
        let number = NO_NUMBERS.iter().find(|number| !in_string && rest.starts_with(**number));
        match number {
            Some(_) => mended.push_str("null"),
            None if character.is_ascii_control() => mended.push(' '),
            None => mended.push_str(&rest[..taken]),
        }
        rest = &rest[number.map_or(taken, |number| number.len())..];
    }
    (mended != record).then_some(mended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_json_forbids_is_changed() {
        let check = |record: &str, expected: Option<&str>| assert_eq!(mended(record).as_deref(), expected, "{record}");
        check("{\"a\": \"one\ntwo\"}", Some("{\"a\": \"one two\"}"));
        check(r#"{"a": NaN, "b": [-Infinity]}"#, Some(r#"{"a": null, "b": [null]}"#));
        check(r#"{"a": "NaN \" NaN"}"#, None);
        check(r#"{"a": "é\"#, None);
    }
}
