//! From text to candidate terms.

use super::{common, stop_words};

/// Words in the longest term.
const MAX_WORDS: usize = 3;

const ELISIONS: &[&str] = &[
    "d", "l", "qu", "n", "s", "j", "c", "m", "t", "un", "dell", "nell", "all", "sull", "dall", "quest", "lorsqu",
    "jusqu",
];

/// A word as it stands in the text.
#[derive(Debug, Clone, Copy)]
struct Word<'t> {
    text: &'t str,
    role: Role,
    /// Begins a sentence or stands in a title, where a capital says nothing.
    capital_is_custom: bool,
}

/// What a word can be in a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Says what it is about.
    Telling,
    /// Says something beside another word only.
    Common,
    /// Stands inside a term, never at its ends: `quality of life`.
    Joint,
    /// Ends the phrase.
    Break,
}

/// A candidate term where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate<'t> {
    /// Equal for spellings of one term.
    pub(super) key: u64,
    /// The keys of its words, stop-words left out.
    pub(super) words: Words,
    /// As it stands in the text.
    pub(super) text: &'t str,
    /// Whether its first capital may be due to its place.
    pub(super) capital_is_custom: bool,
    /// How rare its words are in scientific prose at large, from 0 to 1; the rarest word counts.
    pub(super) rarity: f32,
    /// Whether all its words are common nouns.
    pub(super) is_common: bool,
}

/// The keys of up to three words; zero where there are fewer.
pub(super) type Words = [u64; MAX_WORDS];

/// Whether a text stands as a title, where every word may have a capital.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Title,
    Body,
}

/// Calls `visit` with every candidate term, in the order of the text.
pub(super) fn for_each_candidate<'t>(text: &'t str, place: Place, mut visit: impl FnMut(Candidate<'t>)) {
    let mut phrase: Vec<Word<'t>> = Vec::new();
    let mut at_start = true;
    let mut rest = text;
    loop {
        let gap = rest.find(char::is_alphanumeric).unwrap_or(rest.len());
        let (between, from_word) = rest.split_at(gap);
        if !is_joining(between) {
            candidates(text, &phrase, &mut visit);
            phrase.clear();
        }
        at_start |= between.contains(['.', '!', '?', ':', '\n', '(']);
        if from_word.is_empty() {
            break;
        }
        let address = address_length(from_word);
        if address > 0 {
            rest = &from_word[address..];
            continue;
        }
        let (word, after) = from_word.split_at(word_length(from_word));
        push_parts(word, at_start || place == Place::Title, &mut phrase, |phrase| candidates(text, phrase, &mut visit));
        at_start = false;
        rest = after;
    }
    candidates(text, &phrase, &mut visit);
}

fn is_joining(between: &str) -> bool {
    between.chars().all(|c| c == ' ' || c == '\n') && !between.is_empty()
}

/// How long the address is that begins here; zero where none does.
fn address_length(text: &str) -> usize {
    let end = text.find(|c: char| c.is_whitespace() || ",;)]}\"'”’".contains(c)).unwrap_or(text.len());
    let address = &text[..end];
    let known = [".com", ".org", ".net", ".io/", ".edu", ".gov", "://"].iter().any(|part| address.contains(part));
    if known || address.starts_with("www.") { end } else { 0 }
}

/// Letters and digits, with hyphens, apostrophes and plus signs that stand between them.
fn word_length(text: &str) -> usize {
    let mut end = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let inside = "-‐'’".contains(character) && characters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
        if !(character.is_alphanumeric() || inside || (at > 0 && "^_".contains(character))) {
            break;
        }
        end = at + character.len_utf8();
    }
    end
}

/// Adds a word to the phrase, or ends the phrase. `graph-based` is the word before its hyphen, and an end.
fn push_parts<'t>(word: &'t str, custom: bool, phrase: &mut Vec<Word<'t>>, mut end: impl FnMut(&[Word<'t>])) {
    let word = bare_word(word);
    let (stem, breaks) = match word.rsplit_once('-') {
        Some((stem, ending)) if stop_words::is_adjective_ending(&ending.to_lowercase()) => (stem, true),
        _ => (word, false),
    };
    let role = role_of(stem);
    if role != Role::Break {
        phrase.push(Word { text: stem, role, capital_is_custom: custom });
    }
    if breaks || role == Role::Break {
        end(phrase);
        phrase.clear();
    }
}

/// Without the `'s` of English and the article or preposition that French and Italian run into a word.
fn bare_word(word: &str) -> &str {
    let word = match word.split_once(['\'', '’']) {
        Some((elided, rest)) if ELISIONS.contains(&elided.to_lowercase().as_str()) => rest,
        _ => word,
    };
    let bare = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    bare.trim_end_matches(['\'', '’'])
}

fn role_of(word: &str) -> Role {
    let lower = word.to_lowercase();
    if ["of", "to"].contains(&lower.as_str()) {
        return Role::Joint;
    }
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let is_symbol = letters < 2 || word.contains(['^', '_']) || is_quantity(word);
    let is_acronym = word.chars().filter(|c| c.is_uppercase()).count() > 1;
    // `AI`, `IT` and `US` are spelled like function words of some language.
    if is_symbol || (stop_words::is_stop_word(&lower) && !is_acronym) {
        return Role::Break;
    }
    if lower.starts_with("http") || is_adverb(&lower) {
        return Role::Break;
    }
    if stop_words::is_common(&lower) {
        return Role::Common;
    }
    // Telling one-syllable words of two letters are acronyms or symbols with an index.
    if letters < 3 && !is_acronym { Role::Break } else { Role::Telling }
}

fn is_adverb(lower: &str) -> bool {
    const NOUNS: &str = "family anomaly assembly subfamily disassembly self-assembly butterfly dragonfly monopoly supply \
        elderly friendly daily weekly monthly yearly italy poly fly homily melancholy underbelly oligopoly";
    lower.len() > 4 && lower.ends_with("ly") && !NOUNS.split(' ').any(|noun| noun == lower)
}

/// `10k`, `3d`, `2x`: a number with a unit. `4He` and `3D` name things.
fn is_quantity(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && !word.chars().any(char::is_uppercase)
}

/// Every term of a phrase: up to three words in a row, or two around a joint where nothing else belongs to them.
fn candidates<'t>(text: &'t str, phrase: &[Word<'t>], visit: &mut impl FnMut(Candidate<'t>)) {
    let is_joint = |at: usize| phrase.get(at).is_none_or(|word| word.role == Role::Joint);
    for start in 0..phrase.len() {
        for end in start..phrase.len().min(start + MAX_WORDS) {
            let stands_alone = is_joint(start.wrapping_sub(1)) && is_joint(end + 1);
            let joined = (start..=end).any(is_joint);
            if !is_joint(start) && !is_joint(end) && (stands_alone || !joined) {
                visit(candidate(text, &phrase[start..=end]));
            }
        }
    }
}

fn candidate<'t>(text: &'t str, words: &[Word<'t>]) -> Candidate<'t> {
    let mut keys = Words::default();
    let mut whole = Hash::default();
    let mut rarity: f32 = 0.0;
    let content = words.iter().filter(|word| word.role != Role::Joint);
    for (word, key) in content.clone().zip(&mut keys) {
        let normal = normal_form(word.text);
        let mut alone = Hash::default();
        alone.add(&normal);
        whole.add(&normal);
        *key = alone.finish();
        rarity = rarity.max(common::rarity(&word.text.to_lowercase()).min(common::rarity(&normal)));
    }
    if words.len() > content.clone().count() {
        whole.add("of");
    }
    let start = words[0].text.as_ptr() as usize - text.as_ptr() as usize;
    let last = words[words.len() - 1].text;
    let end = last.as_ptr() as usize - text.as_ptr() as usize + last.len();
    Candidate {
        key: whole.finish(),
        words: keys,
        text: &text[start..end],
        capital_is_custom: words[0].capital_is_custom,
        rarity,
        is_common: content.clone().all(|word| word.role == Role::Common),
    }
}

/// What number, case, hyphens and the two spellings of English leave of a word.
pub(super) fn normal_form(word: &str) -> String {
    let mut form: String = word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if form.is_ascii() {
        singular(&mut form);
        for (british, american) in [("isation", "ization"), ("elling", "eling"), ("aviour", "avior"), ("olour", "olor")]
        {
            if let Some(at) = form.find(british) {
                form.replace_range(at..at + british.len(), american);
            }
        }
    }
    form
}

fn singular(form: &mut String) {
    let ends = |ending: &str| form.ends_with(ending);
    if form.len() < 4 || !ends("s") || ends("ss") || ends("us") || ends("is") {
        return;
    }
    if ends("ies") && form.len() > 4 {
        form.truncate(form.len() - 3);
        form.push('y');
    } else if ends("sses") || ends("xes") || ends("ches") || ends("shes") || ends("zes") {
        form.truncate(form.len() - 2);
    } else {
        form.truncate(form.len() - 1);
    }
}

/// FNV-1a. Words run into each other, so that `pre training` and `pre-training` are one.
#[derive(Debug, Clone, Copy)]
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn add(&mut self, text: &str) {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let mut found = Vec::new();
        for_each_candidate(text, Place::Body, |candidate| found.push(candidate.text));
        assert_eq!(found, expected, "{text}");
    }

    fn key(text: &str) -> u64 {
        let mut keys = Vec::new();
        for_each_candidate(text, Place::Body, |candidate| keys.push((candidate.text.len(), candidate.key)));
        keys.into_iter().max().expect("a term").1
    }

    #[test]
    fn terms_stand_between_stop_words_and_marks() {
        check("We propose soil moisture, and sensors.", &["soil", "soil moisture", "moisture", "sensors"]);
        check("the 12 % of x_i in 2020", &[]);
        check("a graph-based index", &["graph", "index"]);
        check("mixture of experts", &["mixture", "mixture of experts", "experts"]);
        check("Alzheimer's disease", &["Alzheimer", "Alzheimer's disease", "disease"]);
        check("AI for wild bees", &["AI", "wild", "wild bees", "bees"]);
        check("l'abeille d’une forêt", &["abeille", "forêt"]);
        check("les abeilles sauvages et la forêt", &["abeilles", "abeilles sauvages", "sauvages", "forêt"]);
        check("see https://example.org/code or github.com/a/b, bees", &["bees"]);
    }

    #[test]
    fn spellings_of_one_term_have_one_key() {
        assert_eq!(key("pre-training"), key("Pretraining"));
        assert_eq!(key("neural networks"), key("Neural Network"));
        assert_eq!(key("wild data sets"), key("wild datasets"));
        assert_eq!(key("vapour policies"), key("vapour policy"));
        assert_ne!(key("bee hives"), key("hive bees"));
    }
}
