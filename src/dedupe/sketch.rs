//! Near-equality of texts: words, shingles of three, MinHash to find and an exact count to decide.
//!
//! MinHash: A. Broder, "On the resemblance and containment of documents", SEQUENCES 1997. All hashes are fixed, so that
//! keys that were stored stay valid.

use crate::paper::title_key;

/// Words in a shingle.
const SHINGLE: usize = 3;
/// Bands of a sketch, any one of which makes two texts candidates.
pub(super) const BANDS: usize = 8;
/// Minima in a band. With eight bands of three, texts that share 70 % of their shingles meet with probability 0.97,
/// texts that share 10 % with 0.008.
const ROWS: usize = 3;
/// Words of an opening, by which a text meets its truncated copy.
const OPENING: usize = 10;

/// A text as the hashes of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words(Vec<u64>);

/// How much two texts share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Likeness {
    /// Shared shingles of all.
    pub(super) resemblance: f64,
    /// Shared shingles of the shorter text.
    pub(super) containment: f64,
    /// Shared words of the shorter text, words of fewer than four letters left out.
    pub(super) vocabulary: f64,
    /// Words in the shorter text.
    pub(super) words: usize,
}

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let key = title_key(text);
        let mut hashes = Vec::new();
        for word in key.split(' ').filter(|word| !word.is_empty()) {
            if word.chars().any(is_ideograph) {
                hashes.extend(word.chars().map(|character| mixed(u64::from(character))));
            } else {
                // The low bit says whether the word is long enough to tell of the subject.
                hashes.push(hashed(word.as_bytes()) & !1 | u64::from(word.len() > 3));
            }
        }
        Self(hashes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorted and distinct; a text shorter than a shingle is one shingle.
    fn shingles(&self) -> Vec<u64> {
        let mut shingles: Vec<u64> = self.0.windows(SHINGLE.min(self.0.len().max(1))).map(chained).collect();
        shingles.sort_unstable();
        shingles.dedup();
        shingles
    }

    /// One hash for each band of the MinHash sketch.
    pub(super) fn bands(&self) -> [u64; BANDS] {
        let mut minima = [u64::MAX; BANDS * ROWS];
        for shingle in self.shingles() {
            for (seed, minimum) in minima.iter_mut().enumerate() {
                *minimum = (*minimum).min(mixed(shingle ^ mixed(seed as u64 + 1)));
            }
        }
        std::array::from_fn(|band| chained(&minima[band * ROWS..(band + 1) * ROWS]))
    }

    /// The hash of the first words; `None` where there are fewer.
    pub(super) fn opening(&self) -> Option<u64> {
        self.0.get(..OPENING).map(chained)
    }

    /// How much two texts share; `None` where one has no words.
    pub(super) fn likeness(&self, other: &Self) -> Option<Likeness> {
        if self.is_empty() || other.is_empty() {
            return None;
        }
        let (mine, theirs) = (self.shingles(), other.shingles());
        let shared = count_shared(&mine, &theirs);
        let (my_words, their_words) = (self.telling(), other.telling());
        Some(Likeness {
            resemblance: ratio(shared, mine.len() + theirs.len() - shared),
            containment: ratio(shared, mine.len().min(theirs.len())),
            vocabulary: ratio(count_shared(&my_words, &their_words), my_words.len().min(their_words.len())),
            words: self.0.len().min(other.0.len()),
        })
    }

    fn telling(&self) -> Vec<u64> {
        let mut words: Vec<u64> = self.0.iter().copied().filter(|word| word & 1 == 1).collect();
        words.sort_unstable();
        words.dedup();
        words
    }
}

fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn count_shared(one: &[u64], other: &[u64]) -> usize {
    let (mut at, mut shared) = (0, 0);
    for value in one {
        while at < other.len() && other[at] < *value {
            at += 1;
        }
        shared += usize::from(at < other.len() && other[at] == *value);
    }
    shared
}

/// FNV-1a, finished with a mix so that every bit counts.
pub(super) fn hashed(bytes: &[u8]) -> u64 {
    let folded =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    mixed(folded)
}

fn chained(hashes: &[u64]) -> u64 {
    hashes.iter().fold(hashes.len() as u64, |hash, next| mixed(hash.rotate_left(23) ^ next))
}

/// The finaliser of SplitMix64.
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_counts_shingles_exactly() {
        let one = Words::of("a b c d e");
        let other = Words::of("A b c, d f");
        let likeness = one.likeness(&other).expect("both have words");
        // abc bcd cde against abc bcd cdf.
        assert!((likeness.resemblance - 0.5).abs() < 1e-9);
        assert!((likeness.containment - 2.0 / 3.0).abs() < 1e-9);
        assert!(one.likeness(&Words::of("")).is_none());
    }

    #[test]
    fn bands_find_a_text_with_a_changed_word_and_no_other() {
        let text: String = (0..80).map(|n| format!("word{n} ")).collect();
        let changed = text.replace("word40", "other");
        let another: String = (100..180).map(|n| format!("word{n} ")).collect();
        let shared = |a: &str, b: &str| {
            let (a, b) = (Words::of(a).bands(), Words::of(b).bands());
            a.iter().zip(&b).filter(|(a, b)| a == b).count()
        };
        assert!(shared(&text, &changed) > 0);
        assert_eq!(shared(&text, &another), 0);
    }
}
