//! What is done to a text's row after pooling: Dense, LayerNorm, Normalize.
//!
//! A few small products per text, done in f32 on the processor by every engine alike.

use crate::error::{Error, Problem, Result};
use crate::kernel::{Isa, dot};
use crate::models::{Activation, Dense, HeadModule, Weights};
use crate::vectors::normalise;

/// The modules of a head with their weights in memory.
pub(super) struct Head {
    steps: Vec<Step>,
}

enum Step {
    Dense { linear: Linear, activation: Activation, residual: Residual },
    LayerNorm { scale: Vec<f32>, shift: Vec<f32> },
    Normalize,
}

/// `outputs` rows of `inputs` numbers, and what is added.
struct Linear {
    isa: Isa,
    inputs: usize,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
}

enum Residual {
    None,
    Input,
    Mapped(Linear),
}

/// PyTorch's default, which sentence-transformers' module does not change.
const LAYER_NORM_EPS: f64 = 1e-5;

impl Head {
    /// Loads the weights of `modules`, checking their shapes.
    pub(super) fn load(modules: &[HeadModule], isa: Isa) -> Result<Self> {
        let steps = modules.iter().map(|module| match module {
            HeadModule::Normalize => Ok(Step::Normalize),
            HeadModule::LayerNorm { dimension, weights } => Ok(Step::LayerNorm {
                scale: tensor(weights, "norm.weight", &[*dimension], "dimension")?,
                shift: tensor(weights, "norm.bias", &[*dimension], "dimension")?,
            }),
            HeadModule::Dense(dense) => load_dense(dense, isa),
        });
        Ok(Self { steps: steps.collect::<Result<_>>()? })
    }

    /// What the modules make of one row.
    pub(super) fn apply(&self, row: &[f32]) -> Vec<f32> {
        self.steps.iter().fold(row.to_vec(), |row, step| step.apply(row))
    }
}

impl Step {
    fn apply(&self, mut row: Vec<f32>) -> Vec<f32> {
        match self {
            Self::Normalize => {
                normalise(&mut row);
                row
            }
            Self::LayerNorm { scale, shift } => layer_norm(&row, scale, shift),
            Self::Dense { linear, activation, residual } => {
                let mut out = linear.apply(&row);
                out.iter_mut().for_each(|value| *value = apply(*activation, *value));
                match residual {
                    Residual::None => {}
                    Residual::Input => add(&mut out, &row),
                    Residual::Mapped(linear) => add(&mut out, &linear.apply(&row)),
                }
                out
            }
        }
    }
}

impl Linear {
    fn apply(&self, row: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(self.inputs);
        let mut out: Vec<f32> = rows.map(|weights| dot(self.isa, weights, row)).collect();
        if let Some(bias) = &self.bias {
            add(&mut out, bias);
        }
        out
    }
}

fn load_dense(dense: &Dense, isa: Isa) -> Result<Step> {
    let fields = "in_features` and `out_features";
    let shape = [dense.outputs, dense.inputs];
    let bias =
        if dense.bias { Some(tensor(&dense.weights, "linear.bias", &[dense.outputs], "out_features")?) } else { None };
    let linear =
        Linear { isa, inputs: dense.inputs, weight: tensor(&dense.weights, "linear.weight", &shape, fields)?, bias };
    let residual = match (dense.residual, dense.inputs == dense.outputs) {
        (false, _) => Residual::None,
        (true, true) => Residual::Input,
        (true, false) => {
            let weight = tensor(&dense.weights, "residual.weight", &shape, fields)?;
            Residual::Mapped(Linear { isa, inputs: dense.inputs, weight, bias: None })
        }
    };
    Ok(Step::Dense { linear, activation: dense.activation, residual })
}

/// A tensor that must have `shape`, which `fields` of the module's `config.json` ask for.
fn tensor(weights: &Weights, name: &str, shape: &[usize], fields: &str) -> Result<Vec<f32>> {
    match weights.shape(name) {
        Some(found) if found != shape => {
            let cause = format!("has the shape {found:?}, but `{fields}` in `config.json` make it {shape:?}");
            let thing = format!("{}: tensor `{name}`", weights.label(name));
            Err(Error::Model(
                Problem::new(thing, cause).hint("fetch the model again: its files do not belong together"),
            ))
        }
        _ => weights.f32(name),
    }
}

fn layer_norm(row: &[f32], scale: &[f32], shift: &[f32]) -> Vec<f32> {
    let count = row.len() as f64;
    let mean = row.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = row.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    let factor = 1.0 / (variance + LAYER_NORM_EPS).sqrt();
    let normal = row.iter().map(|&value| ((f64::from(value) - mean) * factor) as f32);
    normal.zip(scale.iter().zip(shift)).map(|(value, (scale, shift))| value * scale + shift).collect()
}

fn add(row: &mut [f32], other: &[f32]) {
    row.iter_mut().zip(other).for_each(|(value, more)| *value += more);
}

fn apply(activation: Activation, value: f32) -> f32 {
    match activation {
        Activation::Identity => value,
        Activation::Relu => value.max(0.0),
        Activation::Tanh => value.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-value).exp()),
        Activation::Silu => value / (1.0 + (-value).exp()),
        Activation::Gelu => {
            0.5 * value * (1.0 + candle_core::cpu::erf::erf_f32(value * std::f32::consts::FRAC_1_SQRT_2))
        }
        Activation::GeluTanh => {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (value + 0.044_715 * value.powi(3));
            0.5 * value * (1.0 + inner.tanh())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_by_hand() {
        let check =
            |activation, expected: f32| assert!((apply(activation, 1.0) - expected).abs() < 1e-5, "{activation:?}");
        check(Activation::Gelu, 0.841_345);
        check(Activation::GeluTanh, 0.841_192);
        check(Activation::Silu, 0.731_059);
        check(Activation::Tanh, 0.761_594);
        assert_eq!(apply(Activation::Relu, -1.0), 0.0);
    }

    #[test]
    fn a_linear_map_multiplies_rows_and_adds() {
        let linear =
            Linear { isa: Isa::best(), inputs: 2, weight: vec![1.0, 2.0, 3.0, 4.0], bias: Some(vec![0.5, -0.5]) };
        assert_eq!(linear.apply(&[1.0, -1.0]), [-0.5, -1.5]);
    }
}
