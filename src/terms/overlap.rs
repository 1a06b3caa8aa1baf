//! How much of one term another says already.

use super::phrases::normal_form;

/// The share of the shorter term's words that the longer one has, from 0 to 1; one where a term is the other's acronym.
pub fn overlap(one: &str, other: &str) -> f32 {
    let (one_words, other_words) = (words(one), words(other));
    let (short, long) =
        if one_words.len() <= other_words.len() { (&one_words, &other_words) } else { (&other_words, &one_words) };
    if is_acronym(short, long) {
        return 1.0;
    }
    let shared = short.iter().filter(|word| long.iter().any(|other| share_stem(word, other))).count();
    shared as f32 / short.len().max(1) as f32
}

fn words(term: &str) -> Vec<String> {
    term.split([' ', '-', '‐']).map(normal_form).filter(|word| !word.is_empty()).collect()
}

/// Whether two words begin alike for most of the shorter one: `robot` and `robotic`, `annotation` and `annotated`.
fn share_stem(one: &str, other: &str) -> bool {
    let alike = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let shorter = one.chars().count().min(other.chars().count());
    one == other || (alike > 3 && 10 * alike >= 7 * shorter)
}

fn is_acronym(short: &[String], long: &[String]) -> bool {
    let [acronym] = short else { return false };
    let initials: String = long.iter().filter_map(|word| word.chars().next()).collect();
    long.len() > 1 && *acronym == initials
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_acronyms_overlap() {
        assert_eq!(overlap("neural networks", "deep neural network"), 1.0);
        assert_eq!(overlap("neural network", "social networks"), 0.5);
        assert_eq!(overlap("LLMs", "large language models"), 1.0);
        assert_eq!(overlap("robotics", "robot"), 1.0);
        assert_eq!(overlap("generation", "genetics"), 0.0);
        assert_eq!(overlap("bees", "hedges"), 0.0);
    }
}
