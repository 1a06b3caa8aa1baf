//! What attention adds to a score by how far the key is from the query: ALiBi's slopes, or buckets of distances.

use super::super::operand::SIDE;
use super::super::simd::Simd;

/// A number for each head and each distance of a key from a query, both ways.
#[derive(Debug, Clone)]
pub struct DistanceBias {
    longest: usize,
    /// For each head the distances from the most negative on, as powers of two, then room for a square's padding.
    powers: Vec<f32>,
    n_heads: usize,
}

impl DistanceBias {
    /// Asks `bias` for every head and distance (key minus query) of sequences of up to `longest` tokens.
    pub fn new(n_heads: usize, longest: usize, bias: impl Fn(usize, isize) -> f32) -> Self {
        let reach = longest.saturating_sub(1).cast_signed();
        let mut powers = Vec::with_capacity(n_heads * Self::stride(longest));
        for head in 0..n_heads {
            powers.extend((-reach..=reach).map(|distance| bias(head, distance) * std::f32::consts::LOG2_E));
            powers.resize((head + 1) * Self::stride(longest), 0.0);
        }
        Self { longest, powers, n_heads }
    }

    /// Number of heads.
    pub fn n_heads(&self) -> usize {
        self.n_heads
    }

    /// Tokens of the longest sequence that there are distances for.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// For each head the biases of the distances from `1 - longest` on, as powers of two, and how far apart heads are.
    #[cfg(feature = "cuda")]
    pub(in crate::kernel) fn table(&self) -> (&[f32], usize) {
        (&self.powers, Self::stride(self.longest))
    }

    fn stride(longest: usize) -> usize {
        2 * longest.max(1) - 1 + SIDE
    }

    /// The biases of `query` for the keys from `key` on, as powers of two.
    #[inline(always)]
    fn row(&self, head: usize, query: usize, key: usize) -> &[f32] {
        let stride = Self::stride(self.longest);
        &self.powers[head * stride..][self.longest - 1 + key - query..stride]
    }

    /// Turns products of `query` and the keys from `key` on into powers of two.
    #[inline(always)]
    pub(super) fn add<S: Simd>(
        &self,
        simd: S,
        (head, query, key): (usize, usize, usize),
        scale: f32,
        scores: &mut [f32],
    ) {
        let (scale, powers) = (simd.splat(scale), &self.row(head, query, key)[..scores.len()]);
        for (scores, powers) in scores.chunks_mut(S::LANES).zip(powers.chunks(S::LANES)) {
            let power = simd.mul_add(simd.load_up_to(scores), scale, simd.load_up_to(powers));
            simd.store_up_to(power, scores);
        }
    }
}
