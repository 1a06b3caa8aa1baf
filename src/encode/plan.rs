//! Which texts go through the engine together.
//!
//! Longest first, so that texts of one batch are of like length, and as many as the budget of tokens allows. Texts of
//! the same length keep their order: the plan depends on nothing but the texts.

use std::cmp::Reverse;

use crate::encode::tokens::{PackedTokens, TextExtent, Tokenised};

/// Texts that go through the engine together.
#[derive(Debug)]
pub(super) struct Job {
    /// Where each stands among the texts that were planned.
    pub(super) members: Vec<usize>,
    /// Their tokens, in the order of `members`.
    pub(super) tokens: PackedTokens,
    /// How much was read of each, in the order of `members`.
    pub(super) extents: Vec<TextExtent>,
}

/// Cuts texts into jobs of at most `budget` tokens, counted as the longest text times the number of texts. A text
/// that is longer alone is a job of its own.
pub(super) fn jobs(texts: &[Tokenised], budget: usize, unpooled: usize) -> Vec<Job> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&text| Reverse(texts[text].ids.len()));
    let mut jobs = Vec::new();
    let mut rest = order.as_slice();
    while let Some(&longest) = rest.first() {
        let each = texts[longest].ids.len().max(1);
        let (members, later) = rest.split_at((budget / each).clamp(1, rest.len()));
        jobs.push(Job {
            members: members.to_vec(),
            tokens: PackedTokens::pack(members.iter().map(|&text| texts[text].ids.as_slice()), unpooled),
            extents: members.iter().map(|&text| texts[text].extent()).collect(),
        });
        rest = later;
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
        let texts: Vec<Tokenised> =
            lengths.iter().map(|&length| Tokenised { ids: vec![7; length], truncated: false }).collect();
        jobs(&texts, budget, 0).into_iter().map(|job| job.members).collect()
    }

    #[test]
    fn the_longest_go_first_and_the_budget_holds() {
        assert_eq!(members(&[2, 9, 3, 3, 0], 9), [vec![1], vec![2, 3, 0], vec![4]]);
    }

    #[test]
    fn a_text_beyond_the_budget_goes_alone() {
        assert_eq!(members(&[20, 1], 8), [vec![0], vec![1]]);
        assert!(members(&[], 8).is_empty());
    }
}
