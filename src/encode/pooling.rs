//! The rows of a text's tokens become one row.
//!
//! Plain arithmetic in f32, in the order of the tokens, shared by every engine that has a row per token.

use crate::models::{Pooling, PoolingMode};

/// Appends to `pooled` what `modes` make of one text: `tokens` holds rows of `width` numbers, of which the first
/// `unpooled` are left out (all are used where that would leave none). A text without any token, which a tokenizer that adds
/// no marks can make, is zeros.
pub(super) fn pool(pooling: &Pooling, tokens: &[f32], width: usize, unpooled: usize, pooled: &mut Vec<f32>) {
    if tokens.is_empty() {
        pooled.extend(std::iter::repeat_n(0.0, width * pooling.modes.len()));
        return;
    }
    let left_out = if unpooled * width < tokens.len() { unpooled } else { 0 };
    let used = &tokens[left_out * width..];
    for mode in &pooling.modes {
        match mode {
            PoolingMode::Cls => pooled.extend_from_slice(&used[..width]),
            PoolingMode::LastToken => pooled.extend_from_slice(&used[used.len() - width..]),
            PoolingMode::Max => pooled.extend(largest(used, width)),
            PoolingMode::Mean => {
                let count = (used.len() / width) as f32;
                pooled.extend(weighted_sum(used, width, |_| 1.0).into_iter().map(|sum| sum / count));
            }
            PoolingMode::MeanSqrtLen => {
                let root = ((used.len() / width) as f32).sqrt();
                pooled.extend(weighted_sum(used, width, |_| 1.0).into_iter().map(|sum| sum / root));
            }
            PoolingMode::WeightedMean => {
                // Positions count from the start of the text even where a prompt is left out.
                let weight = |token: usize| (left_out + token + 1) as f32;
                let total: f32 = (0..used.len() / width).map(weight).sum();
                pooled.extend(weighted_sum(used, width, weight).into_iter().map(|sum| sum / total));
            }
        }
    }
}

fn weighted_sum(tokens: &[f32], width: usize, weight: impl Fn(usize) -> f32) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    for (at, token) in tokens.chunks_exact(width).enumerate() {
        let weight = weight(at);
        sums.iter_mut().zip(token).for_each(|(sum, value)| *sum += weight * value);
    }
    sums
}

fn largest(tokens: &[f32], width: usize) -> Vec<f32> {
    let mut maxima = vec![f32::NEG_INFINITY; width];
    for token in tokens.chunks_exact(width) {
        maxima.iter_mut().zip(token).for_each(|(maximum, value)| *maximum = maximum.max(*value));
    }
    maxima
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mode: PoolingMode, unpooled: usize, expected: &[f32]) {
        let tokens = [1.0, -2.0, 3.0, 4.0, 5.0, 0.0, 7.0, 6.0];
        let mut pooled = Vec::new();
        pool(&Pooling { modes: vec![mode], include_prompt: true }, &tokens, 2, unpooled, &mut pooled);
        assert_eq!(pooled, expected, "{mode:?}");
    }

    #[test]
    fn each_mode_by_hand() {
        check(PoolingMode::Cls, 0, &[1.0, -2.0]);
        check(PoolingMode::Max, 0, &[7.0, 6.0]);
        check(PoolingMode::Mean, 0, &[4.0, 2.0]);
        check(PoolingMode::MeanSqrtLen, 0, &[8.0, 4.0]);
        check(PoolingMode::WeightedMean, 0, &[5.0, 3.0]);
        check(PoolingMode::LastToken, 0, &[7.0, 6.0]);
    }

    #[test]
    fn a_text_without_a_token_is_zeros() {
        let modes: Vec<PoolingMode> = PoolingMode::ALL.iter().map(|(mode, ..)| *mode).collect();
        let mut pooled = Vec::new();
        pool(&Pooling { modes: modes.clone(), include_prompt: true }, &[], 2, 0, &mut pooled);
        assert_eq!(pooled, vec![0.0; 2 * modes.len()]);
    }

    #[test]
    fn a_prompt_is_left_out_unless_nothing_else_is_there() {
        check(PoolingMode::Mean, 2, &[6.0, 3.0]);
        check(PoolingMode::Cls, 3, &[7.0, 6.0]);
        check(PoolingMode::Mean, 4, &[4.0, 2.0]);
    }
}
