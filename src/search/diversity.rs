//! Maximal marginal relevance: an answer whose rows are not all the same (Carbonell and Goldstein, SIGIR 1998).

use super::Hit;
use crate::vectors::Vectors;

/// Picks `limit` of `hits`, whose vectors are the rows of `vectors` in the same order. `diversity` from 0 (by score
/// alone) to 1 (as unlike each other as can be). The scores stay what they were.
///
/// # Panics
/// Where there is not a vector for every hit.
pub fn diversify(hits: &[Hit], vectors: &Vectors, diversity: f32, limit: usize) -> Vec<Hit> {
    assert_eq!(hits.len(), vectors.len(), "a vector for every hit");
    let mut nearest_picked = vec![f32::NEG_INFINITY; hits.len()];
    let mut picked: Vec<usize> = Vec::with_capacity(limit);
    while picked.len() < limit.min(hits.len()) {
        let worth = |candidate: usize| {
            let repetition = if picked.is_empty() { 0.0 } else { nearest_picked[candidate] };
            (1.0 - diversity) * hits[candidate].score - diversity * repetition
        };
        let rest = (0..hits.len()).filter(|candidate| !picked.contains(candidate));
        // The first of equals is the better hit, and `max_by` would take the last.
        let Some(next) = rest.rev().max_by(|one, other| worth(*one).total_cmp(&worth(*other))) else { break };
        picked.push(next);
        for (nearest, row) in nearest_picked.iter_mut().zip(vectors.rows()) {
            *nearest = nearest.max(dot(row, vectors.row(next)));
        }
    }
    picked.into_iter().map(|candidate| hits[candidate]).collect()
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting() -> (Vec<Hit>, Vectors) {
        let hits = [0.9, 0.89, 0.5].iter().enumerate().map(|(index, &score)| Hit { index, score }).collect();
        (hits, Vectors::normalised(2, vec![1.0, 0.0, 1.0, 0.01, 0.0, 1.0]).expect("rows with a direction"))
    }

    #[test]
    fn without_diversity_the_order_is_that_of_the_scores() {
        let (hits, vectors) = setting();
        assert_eq!(diversify(&hits, &vectors, 0.0, 2), hits[..2]);
    }

    #[test]
    fn with_diversity_a_near_copy_gives_way() {
        let (hits, vectors) = setting();
        let positions: Vec<usize> = diversify(&hits, &vectors, 0.5, 2).iter().map(|hit| hit.index).collect();
        assert_eq!(positions, [0, 2]);
        assert_eq!(diversify(&hits, &vectors, 1.0, 9).len(), 3);
    }
}
