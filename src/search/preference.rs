//! What is wanted, as vectors liked and disliked, and how a row is judged by them.
//!
//! The strategies are those that people know from Qdrant's recommendation queries
//! (<https://qdrant.tech/documentation/concepts/explore/#recommendation-api>).

use crate::error::{Error, Problem, Result};
use crate::vectors::{Vectors, normalise};

/// How likes and dislikes become one score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Cosine to the mean of the likes, moved away from the mean of the dislikes. Needs a like.
    #[default]
    Average,
    /// The nearest example decides: its cosine where it is liked, minus its cosine where it is disliked.
    Best,
    /// Cosines to all likes minus cosines to all dislikes, as a mean.
    Sum,
}

/// Examples to be near to and to be far from.
#[derive(Debug, Clone, PartialEq)]
pub struct Preference {
    /// The vectors every row is multiplied with.
    queries: Vectors,
    n_likes: usize,
    strategy: Strategy,
}

impl Preference {
    /// Checks that the strategy can work with the examples.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no example, or no like and the strategy needs one.
    pub fn new(likes: &Vectors, unlikes: &Vectors, strategy: Strategy) -> Result<Self> {
        if likes.is_empty() && unlikes.is_empty() {
            let problem = Problem::new("recommend", "there is nothing to go by");
            return Err(Error::Usage(problem.hint("give a paper with --like, or words with --text")));
        }
        if strategy == Strategy::Average {
            let queries = moved_mean(likes, unlikes)?;
            return Ok(Self { queries, n_likes: 1, strategy });
        }
        let queries = if likes.is_empty() {
            unlikes.clone()
        } else {
            let mut both = likes.clone();
            both.append(unlikes)?;
            both
        };
        Ok(Self { queries, n_likes: likes.len(), strategy })
    }

    /// The vectors whose dot products with a row [`Self::score`] takes.
    pub fn queries(&self) -> &Vectors {
        &self.queries
    }

    /// The score of a row from its dot products with [`Self::queries`]; higher is better.
    pub fn score(&self, products: &[f32]) -> f32 {
        let (likes, unlikes) = products.split_at(self.n_likes);
        match self.strategy {
            Strategy::Average => likes[0],
            Strategy::Best => nearest_decides(likes, unlikes),
            Strategy::Sum => mean(likes) - mean(unlikes),
        }
    }
}

/// `l + (l - u)` for the means l and u, of length one.
fn moved_mean(likes: &Vectors, unlikes: &Vectors) -> Result<Vectors> {
    if likes.is_empty() {
        let problem = Problem::new("--unlike", "this strategy needs something liked as well");
        return Err(Error::Usage(problem.hint("add --like ID or --text, or use --strategy best")));
    }
    let like = mean_row(likes);
    let mut query = like.clone();
    if !unlikes.is_empty() {
        for ((query, like), unlike) in query.iter_mut().zip(&like).zip(mean_row(unlikes)) {
            *query = 2.0 * like - unlike;
        }
    }
    if !normalise(&mut query) {
        let problem = Problem::new("recommend", "likes and dislikes cancel each other out");
        return Err(Error::Usage(problem.hint("take away an example that stands on both sides")));
    }
    Vectors::from_unit_rows(likes.dim(), query)
}

fn mean_row(vectors: &Vectors) -> Vec<f32> {
    let mut sum = vec![0.0; vectors.dim()];
    for row in vectors.rows() {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += value;
        }
    }
    let n = vectors.len() as f32;
    sum.iter_mut().for_each(|value| *value /= n);
    sum
}

fn nearest_decides(likes: &[f32], unlikes: &[f32]) -> f32 {
    let greatest = |products: &[f32]| products.iter().copied().max_by(f32::total_cmp);
    match (greatest(likes), greatest(unlikes)) {
        (Some(like), Some(unlike)) if like <= unlike => -unlike,
        (Some(like), _) => like,
        (None, Some(unlike)) => -unlike,
        (None, None) => 0.0,
    }
}

fn mean(products: &[f32]) -> f32 {
    if products.is_empty() { 0.0 } else { products.iter().sum::<f32>() / products.len() as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[[f32; 2]]) -> Vectors {
        if values.is_empty() {
            return Vectors::empty(2);
        }
        Vectors::normalised(2, values.concat()).expect("rows with a direction")
    }

    #[test]
    fn the_average_moves_away_from_what_is_disliked() {
        let plain = Preference::new(&rows(&[[1.0, 0.0]]), &rows(&[]), Strategy::Average).expect("a preference");
        assert_eq!(plain.queries().row(0), &[1.0, 0.0]);
        let moved =
            Preference::new(&rows(&[[1.0, 0.0]]), &rows(&[[0.0, 1.0]]), Strategy::Average).expect("a preference");
        assert!(moved.queries().row(0)[1] < 0.0);
    }

    #[test]
    fn the_nearest_example_decides() {
        let likes = rows(&[[1.0, 0.0], [0.0, 1.0]]);
        let preference = Preference::new(&likes, &rows(&[[-1.0, 0.0]]), Strategy::Best).expect("a preference");
        assert_eq!(preference.score(&[0.9, 0.2, 0.5]), 0.9);
        assert_eq!(preference.score(&[0.1, 0.2, 0.5]), -0.5);
    }

    #[test]
    fn dislikes_alone_need_a_strategy_that_takes_them() {
        let unlikes = rows(&[[1.0, 0.0]]);
        assert_eq!(Preference::new(&rows(&[]), &unlikes, Strategy::Average).expect_err("no like").exit_code(), 2);
        let sum = Preference::new(&rows(&[]), &unlikes, Strategy::Sum).expect("a preference");
        assert_eq!(sum.score(&[0.25]), -0.25);
        assert!(Preference::new(&rows(&[]), &rows(&[]), Strategy::Sum).is_err());
    }
}
