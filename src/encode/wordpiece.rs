//! WordPiece for tokenizers of BERT's kind: the ids of the `tokenizers` crate, many times as fast.
//!
//! The crate keeps for every character where it came from; here only the ids are wanted. Text is taken apart at spaces.
//! What is plain ASCII between two of them is lower-cased and cut in one pass over its bytes; anything else goes
//! through the crate's own steps, with the Unicode tables that it uses. A tokenizer that is configured in any other
//! way, and a text that contains an added token such as `[SEP]`, are left to the crate.

use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{Model, Tokenizer};
use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::UnicodeNormalization;

/// A tokenizer with BERT's normalizer, its splitting at spaces and punctuation, and a vocabulary of word pieces.
pub(super) struct WordPiece {
    normalizer: BertNormalizer,
    vocabulary: Vocabulary,
    unknown: u32,
    /// Characters of the longest word that is cut up; longer ones are unknown.
    longest_word: usize,
    /// Texts with one of these are left to the crate.
    added: Vec<String>,
}

impl WordPiece {
    /// The same tokenizer as `tokenizer`; `None` where that is of another kind.
    pub(super) fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let Some(NormalizerWrapper::BertNormalizer(normalizer)) = tokenizer.get_normalizer() else { return None };
        let Some(PreTokenizerWrapper::BertPreTokenizer(_)) = tokenizer.get_pre_tokenizer() else { return None };
        let ModelWrapper::WordPiece(model) = tokenizer.get_model() else { return None };
        let adds_marks_only = matches!(
            tokenizer.get_post_processor(),
            None | Some(PostProcessorWrapper::Bert(_) | PostProcessorWrapper::Template(_))
        );
        let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        if !normalizer.clean_text || !adds_marks_only || added.values().any(|token| token.normalized) {
            return None;
        }
        Some(Self {
            normalizer: *normalizer,
            vocabulary: Vocabulary::new(model.get_vocab(), &model.continuing_subword_prefix),
            unknown: model.token_to_id(&model.unk_token)?,
            longest_word: model.max_input_chars_per_word,
            added: added.values().map(|token| token.content.clone()).collect(),
        })
    }

    /// The ids of a text; `None` where the crate must be asked. Beyond `enough` ids the rest of the text may be left.
    pub(super) fn ids(&self, text: &str, enough: usize) -> Option<Vec<u32>> {
        if self.added.iter().any(|token| text.contains(token.as_str())) {
            return None;
        }
        let mut cutter = Cutter::new(self, text.len());
        let mut normal = String::new();
        let mut rest = text;
        while !rest.is_empty() && cutter.ids.len() <= enough {
            let end = rest.bytes().position(is_gap).unwrap_or(rest.len());
            let part = &rest[..end];
            if part.is_ascii() {
                cutter.take_ascii(part.as_bytes());
            } else {
                normal.clear();
                self.normalise(part, &mut normal);
                normal.chars().for_each(|char| cutter.take(char));
            }
            cutter.end_word();
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        Some(cutter.ids)
    }

    /// BERT's normalizer, in its order: clean, set ideographs apart, strip accents, lower-case.
    fn normalise(&self, part: &str, to: &mut String) {
        let BertNormalizer { handle_chinese_chars, strip_accents, lowercase, .. } = self.normalizer;
        let clean = part.chars().filter(|&char| !is_removed(char)).map(|char| if is_space(char) { ' ' } else { char });
        let apart = clean.flat_map(|char| {
            let space = (handle_chinese_chars && is_ideograph(char)).then_some(' ');
            space.into_iter().chain([char]).chain(space)
        });
        let lower = |char: char, to: &mut String| {
            if lowercase { to.extend(char.to_lowercase()) } else { to.push(char) }
        };
        if strip_accents.unwrap_or(lowercase) {
            let bare = apart.nfd().map(|(char, _)| char).filter(|char| !char.is_mark_nonspacing());
            bare.for_each(|char| lower(char, to));
        } else {
            apart.for_each(|char| lower(char, to));
        }
    }
}

/// The ASCII characters that become spaces, and nothing else does.
fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_space(char: char) -> bool {
    char.is_whitespace()
}

/// What cleaning takes away.
fn is_removed(char: char) -> bool {
    !matches!(char, '\t' | '\n' | '\r') && (char == '\0' || char == '\u{fffd}' || char.is_other())
}

fn is_punctuation(char: char) -> bool {
    char.is_ascii_punctuation() || char.is_punctuation()
}

/// The blocks of ideographs that BERT sets apart, by the code points its authors list.
fn is_ideograph(char: char) -> bool {
    matches!(
        u32::from(char),
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x2_0000..=0x2_A6DF
            | 0x2_A700..=0x2_B73F
            | 0x2_B740..=0x2_B81F
            | 0x2_B920..=0x2_CEAF
            | 0xF900..=0xFAFF
            | 0x2_F800..=0x2_FA1F
    )
}

/// Collects a word and cuts it into pieces.
struct Cutter<'a> {
    tokenizer: &'a WordPiece,
    ids: Vec<u32>,
    word: Vec<u8>,
    n_chars: usize,
    /// The hash of each start of what is left of the word.
    hashes: Vec<u64>,
}

/// Bytes of English text per token, rounded down: room for the ids is made once.
const BYTES_PER_ID: usize = 4;

impl<'a> Cutter<'a> {
    fn new(tokenizer: &'a WordPiece, text_len: usize) -> Self {
        let ids = Vec::with_capacity(text_len / BYTES_PER_ID);
        Self { tokenizer, ids, word: Vec::new(), n_chars: 0, hashes: Vec::new() }
    }

    /// Bytes without a space among them. Control characters vanish, and what they part becomes one word.
    fn take_ascii(&mut self, part: &[u8]) {
        let lower = self.tokenizer.normalizer.lowercase;
        for &byte in part {
            if byte.is_ascii_punctuation() {
                self.end_word();
                self.word.push(byte);
                self.n_chars = 1;
                self.end_word();
            } else if !byte.is_ascii_control() {
                self.word.push(if lower { byte.to_ascii_lowercase() } else { byte });
                self.n_chars += 1;
            }
        }
    }

    /// A character of normalised text.
    fn take(&mut self, char: char) {
        if is_space(char) {
            return self.end_word();
        }
        let alone = is_punctuation(char);
        if alone {
            self.end_word();
        }
        self.word.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        self.n_chars += 1;
        if alone {
            self.end_word();
        }
    }

    /// Cuts the word into the longest pieces from its start on; a word that cannot be cut so is unknown as a whole.
    fn end_word(&mut self) {
        let before = self.ids.len();
        let known = self.n_chars <= self.tokenizer.longest_word && self.cut();
        if !known {
            self.ids.truncate(before);
            self.ids.push(self.tokenizer.unknown);
        }
        self.word.clear();
        self.n_chars = 0;
    }

    fn cut(&mut self) -> bool {
        let vocabulary = &self.tokenizer.vocabulary;
        let mut start = 0;
        while start < self.word.len() {
            let left = &self.word[start..];
            let Some((len, id)) = vocabulary.longest_start(left, Place::of(start), &mut self.hashes) else {
                return false;
            };
            self.ids.push(id);
            start += len;
        }
        true
    }
}

/// Where in a word a piece stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Inside,
}

impl Place {
    fn of(start: usize) -> Self {
        if start == 0 { Self::Start } else { Self::Inside }
    }

    /// What hashes begin with. That of words is not zero, so that a word of zeros has a hash.
    fn seed(self) -> u64 {
        match self {
            Self::Start => 0x243F_6A88_85A3_08D3,
            Self::Inside => 0x1319_8A2E_0370_7344,
        }
    }
}

/// Pieces in a hash table that is probed linearly; pieces at the start of a word and inside are different keys.
struct Vocabulary {
    /// A power of two, at least half of them empty.
    slots: Vec<Slot>,
    /// The bytes of all pieces.
    bytes: Vec<u8>,
    /// Bytes of the longest piece.
    longest: usize,
}

/// A piece, or nothing where the length is zero.
#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u32,
    start: u32,
    len: u32,
    id: u32,
}

impl Vocabulary {
    fn new(tokens: impl IntoIterator<Item = (String, u32)>, prefix: &str) -> Self {
        let tokens: Vec<(String, u32)> = tokens.into_iter().collect();
        let slots = vec![Slot::default(); (4 * tokens.len()).next_power_of_two().max(2)];
        let mut vocabulary = Self { slots, bytes: Vec::new(), longest: 0 };
        for (token, id) in &tokens {
            vocabulary.insert(token.as_bytes(), Place::Start, *id);
            if let Some(inside) = token.strip_prefix(prefix) {
                vocabulary.insert(inside.as_bytes(), Place::Inside, *id);
            }
        }
        vocabulary
    }

    fn insert(&mut self, piece: &[u8], place: Place, id: u32) {
        if piece.is_empty() {
            return;
        }
        let hash = piece.iter().fold(place.seed(), |hash, &byte| step(hash, byte));
        let mut at = self.home(hash);
        while self.slots[at].len != 0 {
            at = (at + 1) % self.slots.len();
        }
        let slot = Slot { hash: check(hash), start: self.bytes.len() as u32, len: piece.len() as u32, id };
        self.slots[at] = slot;
        self.bytes.extend_from_slice(piece);
        self.longest = self.longest.max(piece.len());
    }

    /// The longest piece that `bytes` begin with: its length and its id.
    fn longest_start(&self, bytes: &[u8], place: Place, hashes: &mut Vec<u64>) -> Option<(usize, u32)> {
        hashes.clear();
        let mut hash = place.seed();
        hashes.extend(bytes.iter().take(self.longest).map(|&byte| {
            hash = step(hash, byte);
            hash
        }));
        // A piece is whole characters, so that no match ends within one.
        hashes.iter().enumerate().rev().find_map(|(last, &hash)| {
            let id = self.find(&bytes[..=last], hash)?;
            Some((last + 1, id))
        })
    }

    fn find(&self, piece: &[u8], hash: u64) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.len == 0 {
                return None;
            }
            if slot.hash == check(hash) && &self.bytes[slot.start as usize..][..slot.len as usize] == piece {
                return Some(slot.id);
            }
            at = (at + 1) % self.slots.len();
        }
    }

    /// Where a hash is looked for first.
    fn home(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.slots.len() - 1)
    }
}

/// One byte more in a hash: multiplication carries it upwards, so that the upper bits are the good ones.
fn step(hash: u64, byte: u8) -> u64 {
    (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The bits of a hash that are compared: also those that no place depends on.
fn check(hash: u64) -> u32 {
    (hash >> 8) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokenizer(folder: &str) -> Tokenizer {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("tokenizer.json");
        let mut tokenizer = Tokenizer::from_file(path).expect("a tokenizer");
        tokenizer.with_truncation(None).expect("no truncation").with_padding(None);
        tokenizer
    }

    fn real() -> Tokenizer {
        tokenizer("models/thematic-small")
    }

    /// BERT's normalizer with every setting that may vary.
    fn varied(mut tokenizer: Tokenizer, chinese: bool, accents: Option<bool>, lower: bool) -> Tokenizer {
        tokenizer.with_normalizer(Some(BertNormalizer::new(true, chinese, accents, lower))).expect("a normalizer");
        tokenizer
    }

    fn slow(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        tokenizer.encode_fast(text, false).expect("ids").get_ids().to_vec()
    }

    fn check_text(tokenizer: &Tokenizer, fast: &WordPiece, text: &str) {
        if let Some(ids) = fast.ids(text, usize::MAX) {
            assert_eq!(ids, slow(tokenizer, text), "{text:?}");
        } else {
            assert!(text.contains('['), "only added tokens are left to the crate: {text:?}");
        }
    }

    /// Text with everything that the steps treat differently, more of it than any language has.
    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            4 => "[a-zA-Z]{1,12}",
            2 => proptest::sample::select(vec![
                "transformers", "electroencephalography", "unaffable", "##ing", "#", "don't", "2024", "10-fold", "[UNK]",
                "naïve", "Poincaré", "e\u{301}\u{323}", "İstanbul", "Straße", "ﬁeld", "μm", "Ångström", "한국어", "日本語",
                "ไทย", "हिन्दी", "a\u{1}b", "x\u{b}y", "x\u{85}y", "a\u{200b}b", "a\u{a0}b", "a\u{2028}b", "—", "“x”", "≤",
                "\u{fffd}", "\u{302e}\u{1d165}", "\u{fe0f}", "👩‍🔬", "Ω", "ΑΣ", "\u{e000}", "\u{378}", "$x_1^2$", "\u{ad}",
            ]).prop_map(str::to_owned),
            2 => "\\PC{1,6}",
            1 => any::<String>(),
            1 => "[a-z]{95,110}",
            1 => "[ \t\n\r]{1,3}",
            1 => "[\u{300}-\u{36f}\u{591}-\u{5bd}\u{900}-\u{94d}\u{3099}\u{1d165}-\u{1d172}]{1,4}",
            1 => "[\u{ac00}-\u{d7a3}\u{4e00}-\u{4fff}\u{f900}-\u{fa6d}\u{2f800}-\u{2fa1d}]{1,4}",
        ];
        let joint = prop_oneof![Just(" "), Just(""), Just("\n"), Just(", ")];
        prop::collection::vec((part, joint), 0..12)
            .prop_map(|parts| parts.into_iter().flat_map(|(part, joint)| [part, joint.to_owned()]).collect())
    }

    #[test]
    fn every_character_gives_the_ids_of_the_crate() {
        let varied = || [varied(real(), false, Some(false), false), varied(real(), true, Some(false), true)];
        let others = std::env::var_os("THEMATIC_LONG").map(|_| varied()).into_iter().flatten();
        for tokenizer in others.chain([real()]) {
            let fast = WordPiece::of(&tokenizer).expect("of BERT's kind");
            for first in (0..=0x10_ffff_u32).step_by(64) {
                let text: String = (first..first + 64).filter_map(char::from_u32).flat_map(|c| ['a', c, 'b']).collect();
                check_text(&tokenizer, &fast, &text);
            }
        }
    }

    #[test]
    fn random_text_gives_the_ids_of_the_crate() {
        let cases = if std::env::var_os("THEMATIC_LONG").is_some() { 20_000 } else { 500 };
        let tiny = || tokenizer("tests/fixtures/models/tiny-bert");
        let tokenizers = [real(), tiny(), varied(tiny(), false, Some(true), false), varied(real(), true, None, false)];
        let both = tokenizers.map(|tokenizer| {
            let fast = WordPiece::of(&tokenizer).expect("of BERT's kind");
            (tokenizer, fast)
        });
        proptest!(ProptestConfig::with_cases(cases), |(text in text())| {
            both.iter().for_each(|(tokenizer, fast)| check_text(tokenizer, fast, &text));
        });
    }

    #[test]
    fn it_stops_where_it_has_enough() {
        let fast = WordPiece::of(&real()).expect("of BERT's kind");
        let whole = fast.ids("one two three four five", usize::MAX).expect("ids");
        assert_eq!(whole.len(), 5);
        let start = fast.ids("one two three four five", 2).expect("ids");
        assert!(start.len() > 2 && whole.starts_with(&start), "{start:?}");
    }

    #[test]
    fn texts_with_added_tokens_and_other_tokenizers_are_left_to_the_crate() {
        let fast = WordPiece::of(&real()).expect("of BERT's kind");
        assert_eq!(fast.ids("before [SEP] after", usize::MAX), None);
        assert!(fast.ids("a [citation]", usize::MAX).is_some());
        let mut other = real();
        other.with_normalizer(None::<BertNormalizer>).expect("none");
        assert!(WordPiece::of(&other).is_none());
        let mut other = real();
        other.with_pre_tokenizer(Some(tokenizers::pre_tokenizers::whitespace::Whitespace));
        assert!(WordPiece::of(&other).is_none());
        let mut other = real();
        let own = tokenizers::AddedToken::from("theme", false);
        other.add_tokens([own]).expect("added");
        assert!(WordPiece::of(&other).is_none());
        assert!(WordPiece::of(&varied(real(), true, None, true)).is_some());
    }

    /// Half a million real titles and abstracts take minutes.
    #[test]
    fn real_abstracts_give_the_ids_of_the_crate() {
        use std::io::BufRead;
        let shared = std::env::var_os("THEMATIC_LONG").and_then(|_| std::env::var_os("THEMATIC_SHARED"));
        let Some(shared) = shared else { return };
        let path = std::path::Path::new(&shared).join("corpus/papers.jsonl.zst");
        let file = zstd::Decoder::new(std::fs::File::open(path).expect("the corpus")).expect("zstd");
        let tokenizer = real();
        let fast = WordPiece::of(&tokenizer).expect("of BERT's kind");
        let lines: Vec<String> = std::io::BufReader::new(file).lines().map(|line| line.expect("a line")).collect();
        assert!(lines.len() > 100_000);
        let pieces = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for lines in lines.chunks(lines.len().div_ceil(pieces)) {
                let (tokenizer, fast) = (&tokenizer, &fast);
                scope.spawn(move || {
                    for line in lines {
                        let paper: serde_json::Value = serde_json::from_str(line).expect("JSON");
                        for field in ["title", "abstract"] {
                            check_text(tokenizer, fast, paper[field].as_str().unwrap_or_default());
                        }
                    }
                });
            }
        });
    }
}
