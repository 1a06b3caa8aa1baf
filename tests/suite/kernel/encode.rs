//! What an encoder is made of: products with epilogues, and attention.

use super::*;
use half::bf16;
use thematic::kernel::{Activation, Attention, Gather, LayerNorm, LinearWeights, Mask, Operand, Output, Precision};
use thematic::kernel::{
    DistanceBias, Rotary, Table, Team, Workspace, attention, embed_to, layer_norm, layer_norm_in_place, layer_norm_to,
    linear, rotate,
};

pub(super) const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Bf16];

#[test]
fn activations_are_within_a_millionth_of_their_definition() {
    let x: Vec<f32> = (-1200..=1200).map(|at| at as f32 / 100.0).chain([-1e30, -1e-30, 0.0, 1e-40, 1e30]).collect();
    for isa in Isa::available() {
        check_activation(isa, Activation::Identity, &x, |x| x);
        check_activation(isa, Activation::Relu, &x, |x| x.max(0.0));
        check_activation(isa, Activation::Silu, &x, |x| x / (1.0 + (-x).exp()));
        check_activation(isa, Activation::Gelu, &x, |x| x * normal_below(x));
        check_activation(isa, Activation::GeluTanh, &x, |x| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        });
    }
}

/// Through a layer of one input, one output and weight 1. Tolerance 1e-6, relative above 1.
fn check_activation(isa: Isa, activation: Activation, x: &[f32], expected: impl Fn(f64) -> f64) {
    let weights = LinearWeights::pack(isa, Precision::F32, &[1.0], 1, None);
    let mut operand = Operand::new(Precision::F32);
    operand.fill(isa, x, 1);
    let mut out = vec![0.0; x.len()];
    linear(&weights, &operand, activation, Output::Rows(&mut out), &mut Workspace::new());
    for (&x, &found) in x.iter().zip(&out) {
        let expected = expected(f64::from(x));
        let case = format!("{activation:?} of {x}, {isa}");
        assert_close(found, expected, 1e-6 * expected.abs().max(1.0), &case);
    }
}

/// The normal distribution function by its Taylor series around 0, or an asymptotic expansion far from it.
pub(super) fn normal_below(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / (2.0 * f64::from(n));
        sum += term / (2.0 * f64::from(n) + 1.0);
    }
    0.5 + sum / (2.0 * std::f64::consts::PI).sqrt()
}

pub(super) fn held_rows(operand: &Operand) -> Vec<f32> {
    (0..operand.n_rows()).flat_map(|row| operand.row(row)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    #[test]
    fn linear_agrees_with_f64(
        n_rows in 0usize..80, n_in in 1usize..140, n_out in 1usize..100, with_bias: bool, seed: u64,
    ) {
        let (input, weight) = (numbers(n_rows * n_in, seed), numbers(n_out * n_in, !seed));
        let bias = with_bias.then(|| numbers(n_out, seed ^ 9));
        for arithmetic in Arithmetic::everywhere() {
            let Arithmetic { isa, precision, .. } = arithmetic;
            let expected = arithmetic.exact_linear(&input, &weight, n_in, bias.as_deref());
            let weights = arithmetic.pack(&weight, n_in, bias.as_deref());
            let mut operand = Operand::new(precision);
            operand.fill(isa, &input, n_in);
            let mut workspace = Workspace::new();

            let mut rows = vec![f32::NAN; n_rows * n_out];
            linear(&weights, &operand, Activation::Relu, Output::Rows(&mut rows), &mut workspace);
            let mut residual = vec![0.25; n_rows * n_out];
            linear(&weights, &operand, Activation::Identity, Output::Residual(&mut residual), &mut workspace);
            let (mut next, mut gated) = (Operand::new(precision), Operand::new(precision));
            gated.fill(isa, &vec![-0.5; n_rows * n_out], n_out);
            linear(&weights, &operand, Activation::Identity, Output::Operand(&mut next), &mut workspace);
            linear(&weights, &operand, Activation::Relu, Output::Gate(&mut gated), &mut workspace);
            let mut path = Operand::new(precision);
            path.fill(isa, &vec![0.25; n_rows * n_out], n_out);
            linear(&weights, &operand, Activation::Identity, Output::ResidualOperand(&mut path), &mut workspace);
            let [next, gated] = [&next, &gated].map(held_rows);
            let mut path_rows = vec![f32::NAN; n_rows * n_out];
            path.copy_to(isa, &mut path_rows);
            prop_assert_eq!(&path_rows, &rounded(precision, &residual));
            prop_assert_eq!(held_rows(&path), path_rows);
            let (mut sum, mut summand) = (Operand::new(precision), Operand::new(precision));
            sum.fill(isa, &vec![1.25; n_rows * n_out], n_out);
            summand.fill(isa, &vec![-1.0; n_rows * n_out], n_out);
            linear(&weights, &operand, Activation::Identity, Output::ResidualSum(&mut sum, &mut summand), &mut workspace);
            let sum = held_rows(&sum);

            // Sums of up to 140 products of numbers below 1.
            let case = format!("{arithmetic:?}");
            prop_assert_eq!(expected.len(), rows.len());
            for (at, &expected) in expected.iter().enumerate() {
                assert_close(rows[at], expected.max(0.0), 2e-5, &case);
                assert_close(residual[at], expected + 0.25, 2e-5, &case);
                let rounding = if precision == Precision::Bf16 { expected.abs() / 256.0 } else { 0.0 };
                assert_close(next[at], expected, 2e-5 + rounding, &case);
                let rounding_of_sum = if precision == Precision::Bf16 { (expected + 0.25).abs() / 256.0 } else { 0.0 };
                assert_close(sum[at], expected + 0.25, 2e-5 + rounding_of_sum, &case);
                assert_close(gated[at], -0.5 * expected.max(0.0), 2e-5 + rounding, &case);
            }
        }
    }

    #[test]
    fn attention_agrees_with_f64(
        lengths in prop::collection::vec(0usize..70, 0..4), n_heads in 1usize..4, head_dim in 1usize..70,
        reach in prop::option::of(0usize..40), biased: bool, seed: u64,
    ) {
        let mask = reach.map_or(Mask::Full, Mask::Window);
        let bias = biased.then(|| DistanceBias::new(n_heads, 70, distance_bias));
        let settings = Attention { n_heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt(), mask, bias: bias.as_ref() };
        let width = 3 * n_heads * head_dim;
        let rows = numbers(lengths.iter().sum::<usize>() * width, seed);
        let rows: Vec<f32> = rows.iter().map(|number| 3.0 * number).collect();
        for (isa, precision) in everywhere() {
            let (found, expected) = both_attentions(isa, precision, &settings, &rows, &lengths);
            // In bf16 the weights, up to 1, and the result, up to 3, are rounded to 1 in 256.
            let tolerance = if precision == Precision::Bf16 { 0.03 } else { 1e-5 };
            for (&found, expected) in found.iter().zip(expected) {
                assert_close(found, expected, tolerance, &format!("{isa}, {precision:?}"));
            }
        }
    }
}

#[test]
fn a_sequence_keeps_its_bits_whatever_is_packed_beside_it() {
    let settings = Attention { n_heads: 2, head_dim: 32, scale: 0.2, mask: Mask::Full, bias: None };
    for (isa, precision) in everywhere() {
        let sequence = numbers(45 * 192, 5);
        let (alone, _) = both_attentions(isa, precision, &settings, &sequence, &[45]);
        let packed = [numbers(7 * 192, 6), sequence, numbers(90 * 192, 7)].concat();
        let (together, _) = both_attentions(isa, precision, &settings, &packed, &[7, 45, 90]);
        assert_eq!(&together[7 * 64..(7 + 45) * 64], alone, "{isa}, {precision:?}");

        let weights = LinearWeights::pack(isa, precision, &numbers(50 * 192, 8), 192, None);
        let of = |rows: &[f32]| {
            let (mut operand, mut out) = (Operand::new(precision), vec![0.0; rows.len() / 192 * 50]);
            operand.fill(isa, rows, 192);
            linear(&weights, &operand, Activation::Gelu, Output::Rows(&mut out), &mut Workspace::new());
            out
        };
        assert_eq!(of(&packed)[7 * 50..8 * 50], of(&packed[7 * 192..8 * 192]), "{isa}, {precision:?}");
    }
}

#[test]
fn groups_of_every_kind_are_rounded_to_bytes() {
    let outlier = |at: usize| if at == 70 { 1e4 } else { (at % 7) as f32 - 3.0 };
    let kinds: [(&str, &dyn Fn(usize) -> f32); 8] = [
        ("positive", &|at| 5.0 + (at % 64) as f32 / 64.0),
        ("negative", &|at| -5.0 - (at % 64) as f32 / 64.0),
        ("equal", &|_| 0.3),
        ("zeros", &|_| 0.0),
        ("one far from others", &outlier),
        ("denormal", &|at| at as f32 * 1e-40),
        ("a range whose step is denormal", &|at| at as f32 * 1e-38),
        ("large", &|at| (at as f32 - 60.0) * 1e30),
    ];
    for arithmetic in Arithmetic::everywhere().filter(|arithmetic| arithmetic.int8) {
        for (n_in, (kind, number)) in [64, 65, 130].into_iter().flat_map(|n_in| kinds.map(|kind| (n_in, kind))) {
            let (input, weight) = ((0..n_in).map(number).collect::<Vec<f32>>(), numbers(3 * n_in, 5));
            let mut operand = Operand::new(arithmetic.precision);
            operand.fill(arithmetic.isa, &input, n_in);
            let mut out = vec![f32::NAN; 3];
            let weights = arithmetic.pack(&weight, n_in, None);
            linear(&weights, &operand, Activation::Identity, Output::Rows(&mut out), &mut Workspace::new());
            let expected = arithmetic.exact_linear(&input, &weight, n_in, None);
            let largest = input.iter().fold(0.0f64, |largest, &number| largest.max(f64::from(number).abs()));
            for (&found, expected) in out.iter().zip(expected) {
                assert_close(found, expected, 1e-4 * largest + 1e-35, &format!("{arithmetic:?}, {n_in} {kind}"));
            }
        }
    }
}

/// All kernels that a team shares, on sequences of these lengths; what they leave behind.
fn all_shared_kernels(
    arithmetic: Arithmetic,
    (n_heads, head_dim): (usize, usize),
    lengths: &[usize],
    workspace: &mut Workspace,
) -> Vec<Vec<f32>> {
    let Arithmetic { isa, precision, .. } = arithmetic;
    let width = n_heads * head_dim;
    let offsets: Vec<usize> = (0..=lengths.len()).map(|end| lengths[..end].iter().sum()).collect();
    let n_rows = offsets[lengths.len()];
    let settings = Attention { n_heads, head_dim, scale: 0.2, mask: Mask::Full, bias: None };
    let rotary = Rotary::new(lengths.iter().copied().max().unwrap_or(0), &vec![0.1; head_dim / 2]);
    let (scale, shift) = (numbers(width, 3), numbers(width, 4));
    let norm = LayerNorm { scale: &scale, shift: &shift, epsilon: 1e-5 };
    let pack = |n_in, n_out, seed| arithmetic.pack(&numbers(n_in * n_out, seed), n_in, None);
    let (three, up, down) = (pack(width, 3 * width, 5), pack(width, 70, 6), pack(70, width, 7));
    let operand = || Operand::new(precision);
    let (mut input, mut aside, mut qkv, mut context, mut inner) =
        (operand(), operand(), operand(), operand(), operand());

    let mut rows = numbers(n_rows * width, 8);
    layer_norm(isa, &norm, &mut rows, Some(&mut input), workspace);
    linear(&three, &input, Activation::Identity, Output::Operand(&mut qkv), workspace);
    rotate(isa, &rotary, (n_heads, head_dim), &offsets, &mut qkv, workspace);
    attention(isa, &settings, &qkv, &offsets, &mut context, workspace);
    layer_norm_to(isa, &norm, &rows, &mut aside, workspace);
    linear(&up, &aside, Activation::Gelu, Output::Operand(&mut inner), workspace);
    linear(&up, &context, Activation::Silu, Output::Gate(&mut inner), workspace);
    linear(&down, &inner, Activation::Identity, Output::Residual(&mut rows), workspace);
    let mut plain = vec![f32::NAN; rows.len()];
    linear(&down, &inner, Activation::Relu, Output::Rows(&mut plain), workspace);
    let places: Vec<u32> = (0..n_rows as u32).map(|row| row * 7 % 5).collect();
    let table = numbers(5 * width, 9);
    let gather = Gather { table: Table::F32(&table), scales: &[], indices: &places };
    let mut path = operand();
    embed_to(isa, &[gather], &norm, &mut path, workspace);
    linear(&down, &inner, Activation::Identity, Output::ResidualOperand(&mut path), workspace);
    layer_norm_in_place(isa, &norm, &mut path, workspace);
    let held = [&input, &aside, &qkv, &context, &inner, &path];
    let held = held.map(held_rows);
    held.into_iter().chain([rows, plain]).collect()
}

#[test]
fn helpers_change_no_bit() {
    for arithmetic in Arithmetic::everywhere() {
        for heads in [(2, 32), (3, 24), (1, 7), (4, 64)] {
            for lengths in [&[1][..], &[12], &[3, 0, 30], &[100, 250, 2]] {
                let alone = all_shared_kernels(arithmetic, heads, lengths, &mut Workspace::new());
                let (team, mut workspace) = (Team::new(3), Workspace::new());
                let _leading = team.lead(&mut workspace);
                while workspace.members() < 3 {
                    std::thread::yield_now();
                }
                let shared = all_shared_kernels(arithmetic, heads, lengths, &mut workspace);
                assert!(shared == alone, "{arithmetic:?}, {heads:?}, {lengths:?}");
            }
        }
    }
}

pub(super) fn everywhere() -> impl Iterator<Item = (Isa, Precision)> {
    Isa::available().into_iter().flat_map(|isa| PRECISIONS.map(|precision| (isa, precision)))
}

pub(super) fn rounded(precision: Precision, numbers: &[f32]) -> Vec<f32> {
    match precision {
        Precision::F32 => numbers.to_vec(),
        Precision::Bf16 => numbers.iter().map(|&number| bf16::from_f32(number).to_f32()).collect(),
    }
}

/// What products are computed in: activations of a precision, and weights of the same or of 8 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arithmetic {
    pub(super) isa: Isa,
    pub(super) precision: Precision,
    int8: bool,
}

impl Arithmetic {
    pub(super) fn everywhere() -> impl Iterator<Item = Self> {
        everywhere().flat_map(|(isa, precision)| [false, true].map(|int8| Self { isa, precision, int8 }))
    }

    pub(super) fn pack(self, weight: &[f32], n_in: usize, bias: Option<&[f32]>) -> LinearWeights {
        if !self.int8 {
            return LinearWeights::pack(self.isa, self.precision, weight, n_in, bias);
        }
        let (bytes, scales) = weights_in_int8(weight, n_in);
        LinearWeights::pack_int8(self.isa, &bytes, &scales, n_in, bias)
    }

    fn exact_linear(self, input: &[f32], weight: &[f32], n_in: usize, bias: Option<&[f32]>) -> Vec<f64> {
        let mut input = rounded(self.precision, input);
        let weight = if self.int8 {
            input = input.chunks(n_in).flat_map(|row| row.chunks(64).flat_map(rounded_to_bytes)).collect();
            let (bytes, scales) = weights_in_int8(weight, n_in);
            bytes.iter().enumerate().map(|(at, &byte)| f32::from(byte) * scales[at / n_in]).collect()
        } else {
            rounded(self.precision, weight)
        };
        let row = |row: &[f32]| {
            let products = weight.chunks(n_in).enumerate();
            products.map(|(at, weight)| exact_dot(row, weight) + bias.map_or(0.0, |b| f64::from(b[at]))).collect()
        };
        input.chunks(n_in).flat_map(|numbers| -> Vec<f64> { row(numbers) }).collect()
    }
}

/// Weights of 8 bits, the least one too, with scales of powers of two.
fn weights_in_int8(weight: &[f32], n_in: usize) -> (Vec<i8>, Vec<f32>) {
    let scales = (0..weight.len() / n_in).map(|row| [0.5, 1.0, 0.25][row % 3] / 128.0);
    (weight.iter().map(|weight| (weight * 130.0) as i8).collect(), scales.collect())
}

/// Numbers from the least to the largest of a group in 255 steps. A group that is not full has a zero beside them.
fn rounded_to_bytes(group: &[f32]) -> Vec<f32> {
    let zero = if group.len() < 64 { &[0.0][..] } else { &[] };
    let all = || group.iter().chain(zero).copied();
    let (low, high) = (all().fold(f32::INFINITY, f32::min), all().fold(f32::NEG_INFINITY, f32::max));
    let steps = if high > low { 255.0 / (high - low) } else { 0.0 };
    let byte = |number: f32| ((number - low) * steps).round_ties_even().min(255.0);
    group.iter().map(|&number| byte(number) * ((high - low) / 255.0) + low).collect()
}

pub(super) fn both_attentions(
    isa: Isa,
    precision: Precision,
    settings: &Attention<'_>,
    rows: &[f32],
    lengths: &[usize],
) -> (Vec<f32>, Vec<f64>) {
    let width = settings.n_heads * settings.head_dim;
    let mut offsets = vec![0];
    offsets.extend(lengths.iter().scan(0, |end, len| {
        *end += len;
        Some(*end)
    }));
    let (mut qkv, mut context) = (Operand::new(precision), Operand::new(precision));
    qkv.fill(isa, rows, 3 * width);
    attention(isa, settings, &qkv, &offsets, &mut context, &mut Workspace::new());
    let rows = rounded(precision, rows);
    let expected =
        offsets.windows(2).flat_map(|pair| exact_attention(settings, &rows[pair[0] * 3 * width..pair[1] * 3 * width]));
    ((0..context.n_rows()).flat_map(|row| context.row(row)).collect(), expected.collect())
}

/// Different for each head, and for both sides.
fn distance_bias(head: usize, distance: isize) -> f32 {
    -0.1 * (head + 1) as f32 * distance.unsigned_abs() as f32 + if distance > 0 { 0.3 } else { 0.0 }
}

#[test]
fn queries_and_keys_are_turned_and_values_stay() {
    for (isa, precision) in everywhere() {
        for (n_heads, head_dim, half) in [(1, 2, 1), (3, 7, 3), (2, 16, 4), (4, 64, 32), (2, 80, 40)] {
            check_rotation(isa, precision, n_heads, head_dim, half);
        }
    }
}

fn check_rotation(isa: Isa, precision: Precision, n_heads: usize, head_dim: usize, half: usize) {
    let (width, lengths) = (n_heads * head_dim, [0usize, 3, 0, 37, 1]);
    let rows = rounded(precision, &numbers(41 * 3 * width, 11));
    let frequencies: Vec<f32> = (0..half).map(|pair| 1.0 / (pair + 1) as f32).collect();
    let mut qkv = Operand::new(precision);
    qkv.fill(isa, &rows, 3 * width);
    let rotary = Rotary::new(37, &frequencies);
    rotate(isa, &rotary, (n_heads, head_dim), &[0, 0, 3, 3, 40, 41], &mut qkv, &mut Workspace::new());
    let places = lengths.iter().flat_map(|&length| 0..length);
    for (row, (place, before)) in places.zip(rows.chunks(3 * width)).enumerate() {
        let after = qkv.row(row);
        for (at, &found) in after.iter().enumerate() {
            let (head, within) = (at / head_dim * head_dim, at % head_dim);
            let angle = |pair: usize| f64::from(place as f32 * frequencies[pair]);
            let expected = match within {
                _ if at >= 2 * width || within >= 2 * half => f64::from(before[at]),
                first if first < half => {
                    let (x, y) = (f64::from(before[head + first]), f64::from(before[head + first + half]));
                    x * angle(first).cos() - y * angle(first).sin()
                }
                second => {
                    let (x, y) = (f64::from(before[head + second - half]), f64::from(before[head + second]));
                    x * angle(second - half).sin() + y * angle(second - half).cos()
                }
            };
            let tolerance = if precision == Precision::Bf16 { 0.01 } else { 2e-6 };
            assert_close(found, expected, tolerance, &format!("{isa}, {precision:?}, {head_dim}, {at}"));
        }
    }
}

/// The context of one sequence.
fn exact_attention(settings: &Attention<'_>, rows: &[f32]) -> Vec<f64> {
    let (dim, width) = (settings.head_dim, settings.n_heads * settings.head_dim);
    let len = rows.len() / (3 * width);
    let part = |token: usize, part: usize, head: usize| &rows[(token * 3 + part) * width + head * dim..][..dim];
    let mut out = Vec::new();
    for query in 0..len {
        for head in 0..settings.n_heads {
            let seen = (0..len).filter(|&key| match settings.mask {
                Mask::Full => true,
                Mask::Window(reach) => key.abs_diff(query) <= reach,
            });
            let weights: Vec<(usize, f64)> = seen
                .map(|key| {
                    let score = exact_dot(part(query, 0, head), part(key, 1, head)) * f64::from(settings.scale);
                    let distance = key.cast_signed() - query.cast_signed();
                    (key, score + settings.bias.map_or(0.0, |_| f64::from(distance_bias(head, distance))))
                })
                .collect();
            let largest = weights.iter().map(|weight| weight.1).fold(f64::MIN, f64::max);
            let sum: f64 = weights.iter().map(|weight| (weight.1 - largest).exp()).sum();
            out.extend((0..dim).map(|at| {
                let weigh =
                    |&(key, score): &(usize, f64)| (score - largest).exp() / sum * f64::from(part(key, 2, head)[at]);
                weights.iter().map(weigh).sum::<f64>()
            }));
        }
    }
    out
}
