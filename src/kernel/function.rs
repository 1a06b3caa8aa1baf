//! Exponential, logistic and Gaussian error functions, lane by lane.
//!
//! Coefficients are minimax fits; the error that each reaches in f32 is stated and tested in the suite.

use super::simd::Simd;

/// What is applied to each number of a product after its bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    Identity,
    /// `x * P(X <= x)` of the normal distribution, by the error function: within 1e-6, or within 1.3e-4 where the result
    /// is rounded to bf16, a tenth of what that takes from the numbers that count.
    Gelu,
    /// The approximation of GELU by a hyperbolic tangent that some models are trained with: within 1e-6.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + exp(-x))`: within 1e-6.
    Silu,
}

/// `2^r` in powers of `r`, for `r` of 0 to 1: relative error 1.5e-7.
pub(super) const POWER: [f32; 6] =
    [0.999_999_94, 0.693_153_1, 0.240_153_63, 0.055_826_306, 0.008_989_353, 0.001_877_572];

/// As [`POWER`], with a relative error of 7.5e-5.
pub(super) const ROUGH_POWER: [f32; 4] = [0.999_925_2, 0.695_833_56, 0.226_067_16, 0.078_024_52];

/// What falls below this vanishes beside 1, and what is above it stays a normal number when it is weighed: denormal
/// numbers cost a hundred cycles each and once made attention four times slower.
const LEAST_POWER: f32 = -100.0;

/// Beyond this, GELU is 0 or x within 6e-7.
const GELU_REACH: f32 = 5.2;

/// `(P(X <= x) - 1/2) / x` in powers of `2 (x / GELU_REACH)^2 - 1`.
const GELU: [f32; 14] = [
    0.135_949_98,
    -0.067_743_614,
    0.050_025_452,
    -0.039_932_087,
    0.031_976_66,
    -0.024_699_315,
    0.018_022_785,
    -0.012_611_817,
    0.008_405_869,
    -0.004_568_994_5,
    0.001_958_544_6,
    -0.001_433_741_4,
    0.001_208_241_7,
    -0.000_404_141_96,
];

/// Beyond this, the rough GELU is 0 or x, within 1.3e-4.
const ROUGH_GELU_REACH: f32 = 4.0;

/// What a number is added to so that the last four bits of the sum say in which of sixteen quarters it is: from 2^21 on, numbers of f32
/// are multiples of 1/4, and these are sixteen after it.
const TO_QUARTERS: f32 = 2_097_156.0;

/// `GELU(x) - max(x, 0)` in powers of what `|x|` is above each multiple of 1/4: within 6.3e-5, and nothing at 0.
const ROUGH_GELU: [[f32; 16]; 3] = [
    [
        0.0,
        -0.100_367_06,
        -0.154_328_78,
        -0.170_032_98,
        -0.158_708_2,
        -0.132_098_8,
        -0.100_230_05,
        -0.070_108_79,
        -0.045_496_594,
        -0.027_497_591,
        -0.015_516_35,
        -0.008_187_978,
        -0.004_045_266,
        -0.001_872_601_2,
        -8.126_072_4e-4,
        -3.307_58e-4,
    ],
    [
        -0.499_297_05,
        -0.301_631_15,
        -0.128_249_5,
        0.003_741_100_4,
        0.087_206_18,
        0.125_401_82,
        0.128_952_26,
        0.111_371_85,
        0.085_009_29,
        0.058_663_644,
        0.037_043_232,
        0.021_557_203,
        0.011_614_444,
        0.005_811_552,
        0.002_705_252_5,
        0.001_174_450_2,
    ],
    [
        0.392_321_65,
        0.344_795_44,
        0.263_690_35,
        0.168_078_66,
        0.078_358_14,
        0.009_185_905,
        -0.033_476_59,
        -0.051_666_673,
        -0.052_231_405,
        -0.043_199_286,
        -0.031_145_928,
        -0.020_118_212,
        -0.011_809_66,
        -0.006_355_5,
        -0.003_148_305_2,
        -0.001_444_757_1,
    ],
];

/// A few rows of vectors, worked on in step: one operation on all of them, then the next. Vector by vector, each waits
/// for the one before, and the waiting instructions fill the processor's window.
pub(super) type Group<V, const VECTORS: usize> = [[V; VECTORS]; GROUP_ROWS];

/// Rows of a group.
pub(super) const GROUP_ROWS: usize = 2;

impl Activation {
    /// Applies it to every vector of a tile: which one is asked once. `rounded` says that only what bf16 keeps of the
    /// result is wanted.
    #[inline(always)]
    pub(super) fn apply<S: Simd, const ROWS: usize, const VECTORS: usize>(
        self,
        simd: S,
        tile: &mut [[S::F32; VECTORS]; ROWS],
        rounded: bool,
    ) {
        // A macro, because a closure cannot be told to be inlined.
        macro_rules! each_group {
            ($function:ident) => {
                for first in (0..ROWS).step_by(GROUP_ROWS) {
                    let mut group = [[simd.splat(0.0); VECTORS]; GROUP_ROWS];
                    for row in 0..GROUP_ROWS.min(ROWS - first) {
                        group[row] = tile[first + row];
                    }
                    $function(simd, &mut group);
                    for row in 0..GROUP_ROWS.min(ROWS - first) {
                        tile[first + row] = group[row];
                    }
                }
            };
        }
        match self {
            Self::Identity => {}
            Self::Gelu if rounded => each_group!(rough_gelu),
            Self::Gelu => each_group!(gelu),
            Self::GeluTanh => each_group!(gelu_tanh),
            Self::Relu => each_group!(relu),
            Self::Silu => each_group!(silu),
        }
    }
}

/// One operation on each vector of a group: what it becomes, given itself, its row and its column.
macro_rules! in_step {
    ($group:expr, |$vector:ident, $row:ident, $column:ident| $operation:expr) => {
        for $row in 0..GROUP_ROWS {
            for $column in 0..VECTORS {
                let $vector = &mut $group[$row][$column];
                *$vector = $operation;
            }
        }
    };
}

#[inline(always)]
fn relu<S: Simd, const VECTORS: usize>(simd: S, x: &mut Group<S::F32, VECTORS>) {
    in_step!(x, |x, _row, _column| simd.max(*x, simd.splat(0.0)));
}

#[inline(always)]
fn gelu<S: Simd, const VECTORS: usize>(simd: S, x: &mut Group<S::F32, VECTORS>) {
    let scale = simd.splat(2.0 / (GELU_REACH * GELU_REACH));
    let mut at = *x;
    in_step!(at, |x, _row, _column| simd.mul_add(simd.mul(*x, *x), scale, simd.splat(-1.0)));
    let mut below = evaluate(simd, &GELU, &at);
    in_step!(below, |below, row, column| simd.mul_add(*below, x[row][column], simd.splat(0.5)));
    in_step!(x, |x, row, column| {
        let far = simd.greater(at[row][column], simd.splat(1.0));
        simd.select(far, simd.max(*x, simd.splat(0.0)), simd.mul(*x, below[row][column]))
    });
}

/// A third of the operations that [`gelu`] takes, without counting sums: on a processor that multiplies by tiles the others are what
/// a product waits for.
#[inline(always)]
pub(super) fn rough_gelu<S: Simd, const VECTORS: usize>(simd: S, x: &mut Group<S::F32, VECTORS>) {
    let [constants, slopes, curves] = &ROUGH_GELU;
    let mut size = *x;
    in_step!(size, |x, _row, _column| simd.abs(*x));
    let mut place = size;
    // Rounded down, but for what is next to a multiple.
    in_step!(place, |x, _row, _column| simd.add(simd.sub(*x, simd.splat(0.125)), simd.splat(TO_QUARTERS)));
    let mut rest = size;
    in_step!(rest, |x, row, column| simd.sub(*x, simd.sub(place[row][column], simd.splat(TO_QUARTERS))));
    let mut below = rest;
    in_step!(below, |below, row, column| {
        simd.mul_add(*below, simd.look_up(curves, place[row][column]), simd.look_up(slopes, place[row][column]))
    });
    in_step!(below, |below, row, column| {
        simd.mul_add(*below, rest[row][column], simd.look_up(constants, place[row][column]))
    });
    in_step!(x, |x, row, column| {
        let near = simd.greater(simd.splat(ROUGH_GELU_REACH), size[row][column]);
        simd.add(simd.max(*x, simd.splat(0.0)), simd.select(near, below[row][column], simd.splat(0.0)))
    });
}

/// `x (1 + tanh(y)) / 2` is `x` times the logistic function of `2 y`.
#[inline(always)]
fn gelu_tanh<S: Simd, const VECTORS: usize>(simd: S, x: &mut Group<S::F32, VECTORS>) {
    const SCALE: f32 = 1.595_769;
    let mut inner = *x;
    in_step!(inner, |x, _row, _column| {
        simd.mul(*x, simd.mul_add(simd.mul(*x, *x), simd.splat(SCALE * 0.044_715), simd.splat(SCALE)))
    });
    logistic(simd, &mut inner);
    in_step!(x, |x, row, column| simd.mul(*x, inner[row][column]));
}

#[inline(always)]
fn silu<S: Simd, const VECTORS: usize>(simd: S, x: &mut Group<S::F32, VECTORS>) {
    let mut factor = *x;
    logistic(simd, &mut factor);
    in_step!(x, |x, row, column| simd.mul(*x, factor[row][column]));
}

#[inline(always)]
fn logistic<S: Simd, const VECTORS: usize>(simd: S, x: &mut Group<S::F32, VECTORS>) {
    let scale = simd.splat(-std::f32::consts::LOG2_E);
    in_step!(x, |x, _row, _column| simd.min(simd.mul(*x, scale), simd.splat(126.0)));
    falling_power_of_two(simd, &POWER, x);
    in_step!(x, |x, _row, _column| simd.div(simd.splat(1.0), simd.add(simd.splat(1.0), *x)));
}

/// Turns `x` below 127 into `2^x` by the polynomial given; below [`LEAST_POWER`] it stays at that power.
#[inline(always)]
pub(super) fn falling_power_of_two<S: Simd, const N: usize, const VECTORS: usize>(
    simd: S,
    polynomial: &[f32; N],
    x: &mut Group<S::F32, VECTORS>,
) {
    in_step!(x, |x, _row, _column| simd.max(*x, simd.splat(LEAST_POWER)));
    let mut rest = *x;
    in_step!(rest, |x, _row, _column| simd.fraction(*x));
    rest = evaluate(simd, polynomial, &rest);
    in_step!(x, |x, row, column| simd.scale_by_floor(rest[row][column], *x));
}

/// The value of a polynomial, by its coefficients from the constant on.
#[inline(always)]
fn evaluate<S: Simd, const N: usize, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    polynomial: &[f32; N],
    x: &[[S::F32; VECTORS]; ROWS],
) -> [[S::F32; VECTORS]; ROWS] {
    let mut sums = [[simd.splat(polynomial[N - 1]); VECTORS]; ROWS];
    for &coefficient in polynomial[..N - 1].iter().rev() {
        let coefficient = simd.splat(coefficient);
        for row in 0..ROWS {
            for column in 0..VECTORS {
                sums[row][column] = simd.mul_add(sums[row][column], x[row][column], coefficient);
            }
        }
    }
    sums
}
