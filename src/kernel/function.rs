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
    /// `x * P(X <= x)` of the normal distribution, by the error function: within 1e-6.
    Gelu,
    /// The approximation of GELU by a hyperbolic tangent that some models are trained with: within 1e-6.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + exp(-x))`: within 1e-6.
    Silu,
}

/// `2^r` in powers of `r`, for `r` of -1/2 to 1/2: relative error 2.1e-7.
pub(super) const POWER: [f32; 6] =
    [1.000_000_1, 0.693_146_94, 0.240_221_2, 0.055_507_135, 0.009_675_541, 0.001_327_640_8];

/// As [`POWER`], with a relative error of 7.5e-5.
pub(super) const ROUGH_POWER: [f32; 4] = [0.999_928_06, 0.693_261_03, 0.242_611_17, 0.055_171_34];

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

impl Activation {
    /// Applies it to every vector of a tile: which one is asked once.
    #[inline(always)]
    pub(super) fn apply<S: Simd, const ROWS: usize, const VECTORS: usize>(
        self,
        simd: S,
        tile: &mut [[S::F32; VECTORS]; ROWS],
    ) {
        // A macro, because a closure cannot be told to be inlined.
        macro_rules! each {
            ($function:ident) => {
                for row in tile {
                    for vector in row {
                        *vector = $function(simd, *vector);
                    }
                }
            };
        }
        match self {
            Self::Identity => {}
            Self::Gelu => each!(gelu),
            Self::GeluTanh => each!(gelu_tanh),
            Self::Relu => each!(relu),
            Self::Silu => each!(silu),
        }
    }
}

/// `2^x` by the polynomial given, for `x` up to 127; below [`LEAST_POWER`] it stays at that power.
#[inline(always)]
pub(super) fn falling_power_of_two<S: Simd, const N: usize>(simd: S, polynomial: &[f32; N], x: S::F32) -> S::F32 {
    let x = simd.max(x, simd.splat(LEAST_POWER));
    let whole = simd.round(x);
    simd.scale_by_power(evaluate(simd, polynomial, simd.sub(x, whole)), whole)
}

#[inline(always)]
fn relu<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    simd.max(x, simd.splat(0.0))
}

#[inline(always)]
fn silu<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    simd.mul(x, logistic(simd, x))
}

#[inline(always)]
fn logistic<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let power = simd.min(simd.mul(x, simd.splat(-std::f32::consts::LOG2_E)), simd.splat(126.0));
    let decay = falling_power_of_two(simd, &POWER, power);
    simd.div(simd.splat(1.0), simd.add(simd.splat(1.0), decay))
}

#[inline(always)]
fn gelu<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let square = simd.mul(x, x);
    let at = simd.mul_add(square, simd.splat(2.0 / (GELU_REACH * GELU_REACH)), simd.splat(-1.0));
    let below = simd.mul_add(evaluate(simd, &GELU, at), x, simd.splat(0.5));
    let far = simd.greater(square, simd.splat(GELU_REACH * GELU_REACH));
    simd.select(far, simd.max(x, simd.splat(0.0)), simd.mul(x, below))
}

/// `x (1 + tanh(y)) / 2` is `x` times the logistic function of `2 y`.
#[inline(always)]
fn gelu_tanh<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    const SCALE: f32 = 1.595_769_1;
    let cubic = simd.mul_add(simd.mul(x, x), simd.splat(SCALE * 0.044_715), simd.splat(SCALE));
    simd.mul(x, logistic(simd, simd.mul(x, cubic)))
}

#[inline(always)]
fn evaluate<S: Simd, const N: usize>(simd: S, coefficients: &[f32; N], x: S::F32) -> S::F32 {
    let mut sum = simd.splat(coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = simd.mul_add(sum, x, simd.splat(coefficient));
    }
    sum
}
