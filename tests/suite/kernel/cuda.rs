//! The kernels for GPUs, emulated, against those of the processor in portable f32, at the edges of their tiles.

use half::{bf16, f16};
use thematic::kernel::{
    self, Activation, Attention, DistanceBias, Gather, Isa, LayerNorm, LinearWeights, Mask, Operand, Output, Precision,
    Rotary, Table, Workspace,
};

use crate::emulator::{Launch, Number};

/// Repeatable numbers from -1 to 1, rounded to what `T` holds.
fn numbers<T: Number>(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| T::of(next()).as_f32()).collect()
}

fn of<T: Number>(numbers: &[f32]) -> Vec<T> {
    numbers.iter().map(|&number| T::of(number)).collect()
}

/// A buffer that nothing has been written to.
fn unwritten<T: Number>(count: usize) -> Vec<T> {
    vec![T::of(f32::NAN); count]
}

/// What rounding to `T` once may change of a number, beside what f32 in another order does.
fn rounding<T: Number>() -> f32 {
    match T::SUFFIX {
        "bf16" => 1.0 / 256.0,
        "f16" => 1.0 / 2048.0,
        _ => 0.0,
    }
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32], relative: f32, absolute: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = absolute + relative * expected.abs();
        assert!((found - expected).abs() <= allowed, "{what}, number {at}: {found}, not {expected}");
    }
}

fn columns(width: usize) -> usize {
    [512, 1024, 2048].into_iter().find(|&columns| width <= columns).expect("a width that kernels hold")
}

const WIDTHS: [usize; 7] = [4, 24, 128, 384, 512, 516, 1100];
const ROW_COUNTS: [usize; 3] = [1, 4, 7];

struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Norm {
    fn new(width: usize) -> Self {
        Self { scale: numbers::<f32>(width, 8), shift: numbers::<f32>(width, 9) }
    }

    fn view(&self) -> LayerNorm<'_> {
        LayerNorm { scale: &self.scale, shift: &self.shift, epsilon: 1e-5 }
    }
}

fn embeds<T: Number>() {
    for (width, n_rows) in WIDTHS.into_iter().flat_map(|width| ROW_COUNTS.map(|n_rows| (width, n_rows))) {
        let (words, positions, norm) = (numbers::<f32>(11 * width, 1), numbers::<f32>(9 * width, 2), Norm::new(width));
        let (ids, places): (Vec<u32>, Vec<u32>) = (0..n_rows as u32).map(|row| (row * 7 % 11, 8 - row)).unzip();
        for with_positions in [true, false] {
            let gather = |table, indices| Gather { table: Table::F32(table), scales: &[], indices };
            let tables = [gather(&words, &ids), gather(&positions, &places)];
            let mut expected = vec![0.0; n_rows * width];
            kernel::embed(Isa::PORTABLE, &tables[..1 + usize::from(with_positions)], width, &mut expected);
            kernel::layer_norm(Isa::PORTABLE, &norm.view(), &mut expected, None, &mut Workspace::new());

            let name = format!("embed_{}_{}", T::SUFFIX, columns(width));
            let launch = Launch::new(name.clone(), [n_rows.div_ceil(4), 1], 128).buffer(&words);
            let launch = if with_positions { launch.buffer(&positions) } else { launch.null() };
            let launch = launch.buffer(&ids).buffer(&places).buffer(&norm.scale).buffer(&norm.shift).float(1e-5);
            let launch = launch.buffer(&unwritten::<f32>(n_rows * width)).buffer(&unwritten::<T>(n_rows * width));
            let Some(buffers) = launch.value(n_rows as i32).value(width as i32).run() else { return };
            let [.., rows, input] = buffers.as_slice() else { unreachable!("two outputs") };
            let what = format!("{name}, {n_rows} rows of {width}");
            assert_near(&rows.floats::<f32>(), &expected, 0.0, 3e-6, &what);
            assert_near(&input.floats::<T>(), &expected, rounding::<T>(), 3e-6, &what);
        }
    }
}

#[test]
fn embedding_gives_the_rows_of_the_processor() {
    embeds::<f32>();
    embeds::<bf16>();
    embeds::<f16>();
}

fn normalises<T: Number>() {
    for (width, n_rows) in WIDTHS.into_iter().flat_map(|width| ROW_COUNTS.map(|n_rows| (width, n_rows))) {
        let (rows, product, norm) =
            (numbers::<f32>(n_rows * width, 1), numbers::<T>(n_rows * width, 2), Norm::new(width));
        for (with_product, keep_normalised) in [(true, 1), (true, 0), (false, 1), (false, 0)] {
            let mut sum = rows.clone();
            if with_product {
                sum.iter_mut().zip(&product).for_each(|(row, product)| *row += product);
            }
            let mut normal = sum.clone();
            kernel::layer_norm(Isa::PORTABLE, &norm.view(), &mut normal, None, &mut Workspace::new());

            let name = format!("residual_norm_{}_{}", T::SUFFIX, columns(width));
            let launch = Launch::new(name.clone(), [n_rows.div_ceil(4), 1], 128).buffer(&rows);
            let launch = if with_product { launch.buffer(&of::<T>(&product)) } else { launch.null() };
            let launch = launch.buffer(&norm.scale).buffer(&norm.shift).float(1e-5);
            let launch = launch.buffer(&unwritten::<T>(n_rows * width)).value(keep_normalised);
            let Some(buffers) = launch.value(n_rows as i32).value(width as i32).run() else { return };
            let what = format!("{name}, {n_rows} rows of {width}");
            let path = if keep_normalised == 1 { &normal } else { &sum };
            assert_near(&buffers[0].floats::<f32>(), path, 0.0, 4e-6, &what);
            let input = buffers.last().expect("the input").floats::<T>();
            assert_near(&input, &normal, rounding::<T>(), 4e-6, &what);
        }
    }
}

#[test]
fn residual_and_norm_give_the_rows_of_the_processor() {
    normalises::<f32>();
    normalises::<bf16>();
    normalises::<f16>();
}

const ACTIVATIONS: [Activation; 5] =
    [Activation::Identity, Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu];

/// A function of the processor's kernels, number by number.
fn activated(activation: Activation, numbers: &[f32]) -> Vec<f32> {
    let weights = LinearWeights::pack(Isa::PORTABLE, Precision::F32, &[1.0], 1, None);
    let mut input = Operand::new(Precision::F32);
    input.fill(Isa::PORTABLE, numbers, 1);
    let mut rows = vec![0.0; numbers.len()];
    kernel::linear(&weights, &input, activation, Output::Rows(&mut rows), &mut Workspace::new());
    rows
}

fn activates<T: Number>() {
    let per_pack = 16 / size_of::<T>();
    for count in [per_pack, 255 * per_pack, 257 * per_pack] {
        let xs: Vec<f32> = numbers::<T>(count, 3).iter().map(|x| T::of(x * 12.0).as_f32()).collect();
        let gated = numbers::<T>(count, 4);
        let (blocks, packs) = (count.div_ceil(per_pack * 256), (count / per_pack) as i32);
        for (number, activation) in ACTIVATIONS.into_iter().enumerate() {
            let (expected, what) = (activated(activation, &xs), format!("{activation:?} of {count} {}", T::SUFFIX));
            let launch = Launch::new(format!("activate_{}", T::SUFFIX), [blocks, 1], 256).buffer(&of::<T>(&xs));
            let Some(buffers) = launch.value(number as i32).value(packs).run() else { return };
            assert_near(&buffers[0].floats::<T>(), &expected, rounding::<T>(), 3e-6, &what);

            let launch = Launch::new(format!("gate_{}", T::SUFFIX), [blocks, 1], 256).buffer(&of::<T>(&gated));
            let launch = launch.buffer(&of::<T>(&xs)).value(number as i32).value(packs);
            let Some(buffers) = launch.run() else { return };
            let expected: Vec<f32> = expected.iter().zip(&gated).map(|(open, number)| open * number).collect();
            assert_near(&buffers[0].floats::<T>(), &expected, rounding::<T>(), 3e-6, &what);
        }
    }
}

#[test]
fn activations_and_gates_give_the_numbers_of_the_processor() {
    activates::<f32>();
    activates::<bf16>();
    activates::<f16>();
}

/// Where sequences of these lengths begin and end.
fn offsets(lengths: &[usize]) -> Vec<usize> {
    let ends = lengths.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

fn turns<T: Number>() {
    let (n_heads, head_dim, offsets) = (3, 16, offsets(&[1, 0, 6, 3]));
    let n_rows = *offsets.last().expect("an end");
    for half in [8, 4, 1] {
        let frequencies: Vec<f32> = (0..half).map(|pair| 0.7f32.powi(pair)).collect();
        let rotary = Rotary::new(6, &frequencies);
        let qkv = numbers::<T>(n_rows * 3 * n_heads * head_dim, 5);
        let mut expected = Operand::new(Precision::F32);
        expected.fill(Isa::PORTABLE, &qkv, 3 * n_heads * head_dim);
        kernel::rotate(Isa::PORTABLE, &rotary, (n_heads, head_dim), &offsets, &mut expected, &mut Workspace::new());
        let expected: Vec<f32> = (0..n_rows).flat_map(|row| expected.row(row)).collect();

        let places: Vec<u32> = offsets.windows(2).flat_map(|ends| 0..(ends[1] - ends[0]) as u32).collect();
        let angles = (0..6).flat_map(|place| frequencies.iter().map(move |frequency| place as f32 * frequency));
        let (cosines, sines): (Vec<f32>, Vec<f32>) = angles.map(|angle| (angle.cos(), angle.sin())).unzip();
        let blocks = (n_rows * 2 * n_heads * half as usize).div_ceil(256);
        let launch = Launch::new(format!("rotate_{}", T::SUFFIX), [blocks, 1], 256).buffer(&of::<T>(&qkv));
        let launch = launch.buffer(&places).buffer(&cosines).buffer(&sines).value(n_rows as i32);
        let launch = launch.value(2 * n_heads as i32).value(head_dim as i32).value(half);
        let Some(buffers) = launch.run() else { return };
        assert_near(
            &buffers[0].floats::<T>(),
            &expected,
            rounding::<T>(),
            1e-6,
            &format!("{half} pairs, {}", T::SUFFIX),
        );
    }
}

#[test]
fn rotary_positions_give_the_rows_of_the_processor() {
    turns::<f32>();
    turns::<bf16>();
    turns::<f16>();
}

#[derive(Clone, Copy)]
struct Heads {
    count: usize,
    dim: usize,
}

/// The blocks of queries of `attention.cu`.
fn blocks(offsets: &[usize], queries: usize) -> Vec<u32> {
    let of_sequence = |ends: &[usize]| {
        let (first, length) = (ends[0], ends[1] - ends[0]);
        (0..length).step_by(queries).flat_map(move |query| [first as u32, length as u32, query as u32])
    };
    offsets.windows(2).flat_map(of_sequence).collect()
}

fn attends<T: Number>(heads: Heads, lengths: &[usize], mask: Mask, bias: Option<(&DistanceBias, &[f32])>) {
    let (offsets, width, scale) = (offsets(lengths), heads.count * heads.dim, 1.0 / (heads.dim as f32).sqrt());
    let n_rows = *offsets.last().expect("an end");
    // Larger than a model's, so that a few keys stand out and a wrong weight shows.
    let qkv: Vec<f32> = numbers::<T>(n_rows * 3 * width, 6).iter().map(|number| number * 4.0).collect();
    let (mut operand, mut context) = (Operand::new(Precision::F32), Operand::new(Precision::F32));
    operand.fill(Isa::PORTABLE, &qkv, 3 * width);
    let bias_view = bias.map(|(bias, _)| bias);
    let settings = Attention { n_heads: heads.count, head_dim: heads.dim, scale, mask, bias: bias_view };
    kernel::attention(Isa::PORTABLE, &settings, &operand, &offsets, &mut context, &mut Workspace::new());
    let expected: Vec<f32> = (0..n_rows).flat_map(|row| context.row(row)).collect();

    let padded = [16, 32, 64, 128].into_iter().find(|&dim| heads.dim <= dim).expect("a head that kernels hold");
    let queries = if T::SUFFIX == "f32" { 32 } else { 64 };
    let blocks = blocks(&offsets, queries);
    let name = format!("attention_{}_{padded}", T::SUFFIX);
    let reach = match mask {
        Mask::Full => -1,
        Mask::Window(reach) => reach as i32,
    };
    let launch = Launch::new(name.clone(), [blocks.len() / 3, heads.count], 128).buffer(&of::<T>(&qkv));
    let launch = launch.buffer(&unwritten::<T>(n_rows * width)).buffer(&blocks).value(heads.count as i32);
    let launch = launch.value(heads.dim as i32).float(scale * std::f32::consts::LOG2_E).value(reach);
    let launch = match bias {
        Some((bias, table)) => {
            let stride = 2 * bias.longest() as i32 - 1;
            launch.buffer(table).value(stride).value(bias.longest() as i32)
        }
        None => launch.null().value(0).value(0),
    };
    let Some(buffers) = launch.run() else { return };
    let what = format!("{name}, heads of {}, lengths {lengths:?}, {mask:?}, bias {}", heads.dim, bias.is_some());
    // Weights are rounded once and so is the result; both are at most the largest value, 4.
    assert_near(&buffers[1].floats::<T>(), &expected, rounding::<T>(), 2e-5 + 4.0 * rounding::<T>(), &what);
}

const AT_THE_EDGES: [&[usize]; 5] = [&[1], &[15, 16, 0, 17], &[63, 1, 65], &[64, 31, 32, 33], &[130]];

fn attends_everywhere<T: Number>() {
    for lengths in AT_THE_EDGES {
        for dim in [32, 64] {
            attends::<T>(Heads { count: 2, dim }, lengths, Mask::Full, None);
        }
    }
    for dim in [8, 16, 24, 48, 80, 128] {
        attends::<T>(Heads { count: 1, dim }, &[65, 3], Mask::Full, None);
    }
    attends::<T>(Heads { count: 3, dim: 8 }, &[1; 40], Mask::Full, None);
    for reach in [0, 1, 15, 64, 200] {
        attends::<T>(Heads { count: 1, dim: 32 }, &[1, 66, 150], Mask::Window(reach), None);
    }
    let value =
        |head: usize, distance: isize| (head as f32 + 0.5) * (distance as f32 * 0.37).sin() - 0.1 * distance as f32;
    let (bias, reach) = (DistanceBias::new(2, 80, value), 79);
    let all = (0..2).flat_map(|head| (-reach..=reach).map(move |distance| value(head, distance)));
    let table: Vec<f32> = all.map(|bias| bias * std::f32::consts::LOG2_E).collect();
    attends::<T>(Heads { count: 2, dim: 16 }, &[80, 1, 33], Mask::Full, Some((&bias, &table)));
}

#[test]
fn attention_in_f32_gives_the_context_of_the_processor() {
    attends_everywhere::<f32>();
}

#[test]
fn attention_on_matrix_units_gives_the_context_of_the_processor_in_bf16() {
    attends_everywhere::<bf16>();
}

#[test]
fn attention_on_matrix_units_gives_the_context_of_the_processor_in_f16() {
    attends_everywhere::<f16>();
}

#[test]
fn pooling_gives_the_rows_of_every_mode() {
    let (width, offsets) = (132, offsets(&[3, 0, 1, 5]));
    let rows = numbers::<f32>(9 * width, 7);
    for unpooled in [0, 2, 4] {
        for mode in 0..6 {
            let expected: Vec<f32> =
                offsets.windows(2).flat_map(|ends| pooled(&rows, width, ends, unpooled, mode)).collect();
            let ends: Vec<u32> = offsets.iter().map(|&offset| offset as u32).collect();
            let (stride, first) = (width + 10, 10);
            let launch =
                Launch::new("pool", [4, 2], 128).buffer(&rows).buffer(&ends).value(unpooled as i32).value(mode);
            let launch = launch.buffer(&unwritten::<f32>(4 * stride)).value(width as i32).value(stride as i32);
            let Some(buffers) = launch.value(first).run() else { return };
            let found = buffers[2].floats::<f32>();
            let found: Vec<f32> = found.chunks(stride).flat_map(|row| row[first as usize..].to_vec()).collect();
            assert_near(&found, &expected, 1e-6, 1e-6, &format!("mode {mode}, {unpooled} left out"));
        }
    }
}

#[test]
fn the_nearest_is_the_first_of_the_best_scores() {
    for (n_rows, n_columns) in [(1, 1), (5, 31), (4, 33), (3, 100)] {
        let mut scores = numbers::<f32>(n_rows * n_columns, 10);
        // Ties: the best again near the end of each row.
        for row in scores.chunks_mut(n_columns) {
            let best = row.iter().copied().fold(f32::MIN, f32::max);
            row[n_columns - 1] = if n_columns > 40 { best } else { row[n_columns - 1] };
        }
        let launch = Launch::new("nearest", [n_rows.div_ceil(4), 1], 128).buffer(&scores);
        let launch = launch.buffer(&unwritten::<f32>(3 * n_rows)).value(n_rows as i32).value(n_columns as i32);
        let Some(buffers) = launch.run() else { return };
        let (found, indices) = (buffers[1].numbers::<f32>(), buffers[1].numbers::<u32>());
        for (at, row) in scores.chunks(n_columns).enumerate() {
            let mut order: Vec<usize> = (0..n_columns).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            let second = order.get(1).map_or(f32::NEG_INFINITY, |&column| row[column]);
            assert_eq!(
                (indices[3 * at] as usize, found[3 * at + 1], found[3 * at + 2]),
                (order[0], row[order[0]], second)
            );
        }
    }
}

#[test]
fn scores_that_pass_their_gates_are_listed_as_far_as_there_is_room() {
    let (n_rows, n_columns) = (37, 9);
    let (scores, gates) = (numbers::<f32>(n_rows * n_columns, 11), numbers::<f32>(n_columns, 12));
    let passes = |&at: &usize| scores[at] > gates[at % n_columns];
    let expected: Vec<[u32; 3]> = (0..scores.len())
        .filter(passes)
        .map(|at| [(at / n_columns) as u32, (at % n_columns) as u32, scores[at].to_bits()])
        .collect();
    for room in [scores.len(), 10, 0] {
        let launch = Launch::new("passing", [scores.len().div_ceil(128), 1], 128).buffer(&scores).buffer(&gates);
        let launch = launch.buffer(&vec![0u32; 3 * room]).buffer(&[0u32]).value(room as i32);
        let launch = launch.value(scores.len() as i32).value(n_columns as i32);
        let Some(buffers) = launch.run_in_any_order() else { return };
        assert_eq!(buffers[3].numbers::<u32>(), [expected.len() as u32]);
        let mut listed: Vec<[u32; 3]> = buffers[2].numbers::<u32>().as_chunks().0.to_vec();
        listed.truncate(expected.len());
        listed.sort_unstable();
        assert!(listed.iter().all(|hit| expected.contains(hit)) && listed.len() == room.min(expected.len()), "{room}");
        listed.dedup();
        assert_eq!(listed.len(), room.min(expected.len()), "none twice");
    }
}

/// One text by the definition of each mode, in f64.
fn pooled(rows: &[f32], width: usize, ends: &[usize], unpooled: usize, mode: i32) -> Vec<f32> {
    let all: Vec<&[f32]> = rows[ends[0] * width..ends[1] * width].chunks(width).collect();
    let left_out = if unpooled < all.len() { unpooled } else { 0 };
    let used = &all[left_out..];
    let Some(last) = used.last() else { return vec![0.0; width] };
    let weighted = |column: usize, weight: &dyn Fn(usize) -> f64| -> f64 {
        used.iter().enumerate().map(|(at, row)| weight(at) * f64::from(row[column])).sum()
    };
    let count = used.len() as f64;
    let of_column = |column: usize| match mode {
        0 => f64::from(used[0][column]),
        1 => used.iter().map(|row| f64::from(row[column])).fold(f64::NEG_INFINITY, f64::max),
        2 => weighted(column, &|_| 1.0) / count,
        3 => weighted(column, &|_| 1.0) / count.sqrt(),
        4 => {
            let weight = |at: usize| (left_out + at + 1) as f64;
            weighted(column, &weight) / (0..used.len()).map(weight).sum::<f64>()
        }
        _ => f64::from(last[column]),
    };
    (0..width).map(|column| of_column(column) as f32).collect()
}
