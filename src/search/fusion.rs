//! Reciprocal rank fusion of ranked lists (Cormack, Clarke and Büttcher, SIGIR 2009).

use std::collections::BTreeMap;

/// Damps the first ranks; the value of the paper.
const RANK_OFFSET: f32 = 60.0;

/// Fuses ranked lists of keys into one, best first, with scores; equal scores are ordered by key.
pub fn fuse<K: Ord + Copy>(lists: &[Vec<K>], limit: usize) -> Vec<(K, f32)> {
    let mut scores: BTreeMap<K, f32> = BTreeMap::new();
    for list in lists {
        for (rank, key) in list.iter().enumerate() {
            *scores.entry(*key).or_default() += 1.0 / (RANK_OFFSET + rank as f32 + 1.0);
        }
    }
    let mut fused: Vec<(K, f32)> = scores.into_iter().collect();
    fused.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    fused.truncate(limit);
    fused
}

#[cfg(test)]
mod tests {
    use super::fuse;

    #[test]
    fn what_both_lists_name_comes_first() {
        let fused = fuse(&[vec![1, 2, 3], vec![3, 4]], 3);
        assert_eq!(fused.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [3, 1, 2]);
        assert!(fuse::<u32>(&[], 5).is_empty());
    }
}
