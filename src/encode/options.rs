//! What can be asked of an encoder, and what it comes to with a model on this machine.

use std::num::NonZeroUsize;
use std::thread;

use crate::encode::device::{Device, WITH_CUDA};
use crate::error::{Error, Problem, Result};
use crate::kernel::{self, Isa, cuda};
use crate::models::ModelFolder;

/// How texts are encoded. The default is what the model and the machine suggest.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where to compute.
    pub device: Device,
    /// In which numbers.
    pub precision: Precision,
    /// By which implementation.
    pub engine: EngineChoice,
    /// With which instructions; `None` is the best set there is. The network of the reference engine takes no notice.
    pub isa: Option<Isa>,
    /// Threads; `None` is as many as this process may use.
    pub threads: Option<NonZeroUsize>,
    /// Tokens read of a text, marks included; `None` is the model's own limit.
    pub max_length: Option<usize>,
    /// Numbers kept of a vector; `None` is what the model says.
    pub dimensions: Option<usize>,
    /// Put before texts that are stored; `None` is the model's own prompt for documents.
    pub prompt: Option<PromptChoice>,
    /// Put before texts that ask; `None` is the model's own prompt for queries.
    pub query_prompt: Option<PromptChoice>,
    /// Tokens in a batch, padding included; `None` is what suits the engine.
    pub batch_tokens: Option<NonZeroUsize>,
}

/// In which numbers to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// What suits the engine and the machine.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16 products, summed in 32 bits.
    Bf16,
    /// float16 products, summed in 32 bits: on GPUs only.
    F16,
    /// Products of 8-bit weights and activations rounded to bytes: on processors only.
    Int8,
}

impl Precision {
    const ALL: [Self; 5] = [Self::Auto, Self::F32, Self::Bf16, Self::F16, Self::Int8];

    /// What is typed, and what a collection records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    /// The numbers of that name, where `device` computes in them.
    pub fn on_device(name: &str, device: &Device) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|precision| precision.name() == name);
        known.filter(|precision| match precision {
            Self::Auto | Self::F32 | Self::Bf16 => true,
            Self::F16 => device.gpus().is_some(),
            Self::Int8 => device.gpus().is_none(),
        })
    }
}

/// In which numbers a processor computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arithmetic {
    /// What parts of a network hand to each other.
    pub(super) activations: kernel::Precision,
    /// Whether products take weights of 8 bits and round activations to bytes.
    pub(super) int8_weights: bool,
}

impl Arithmetic {
    /// What a collection records.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self { int8_weights: true, .. } => "int8",
            Self { activations: kernel::Precision::F32, .. } => "f32",
            Self { activations: kernel::Precision::Bf16, .. } => "bf16",
        }
    }
}

/// Which implementation computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// The fastest that covers the model.
    #[default]
    Auto,
    /// Our own kernels on packed tokens.
    Packed,
    /// candle-transformers.
    Reference,
}

/// A prompt by its text, or by its name in the model's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptChoice {
    /// These words.
    Text(String),
    /// The model's prompt of this name.
    Named(String),
}

/// Threads that this process may use, limits of its control group respected.
pub fn available_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

pub(super) fn check_device(device: &Device) -> Result<()> {
    match device {
        Device::Auto | Device::Cpu => Ok(()),
        Device::Cuda(_) if WITH_CUDA => Ok(()),
        Device::Cuda(_) => Err(cuda::Failure::NotBuilt.on(&format!("device `{device}`"))),
    }
}

/// Refuses GPUs that were asked for where no engine uses them; `what` begins the reason.
pub(super) fn only_the_processor(device: &Device, what: &str) -> Result<()> {
    match device {
        Device::Auto | Device::Cpu => Ok(()),
        Device::Cuda(_) => {
            let problem = Problem::new(format!("device `{device}`"), format!("{what} computed by the processor"));
            Err(Error::Usage(problem.hint("leave `--device` at `auto`, or choose a model that is a BERT-like encoder")))
        }
    }
}

pub(super) fn gpu_precision(asked: Precision) -> Result<cuda::Precision> {
    match asked {
        Precision::Auto | Precision::Bf16 => Ok(cuda::Precision::Bf16),
        Precision::F16 => Ok(cuda::Precision::F16),
        Precision::F32 => Ok(cuda::Precision::F32),
        Precision::Int8 => {
            let problem = Problem::new("`--precision int8`", "GPUs compute in bf16, f16 and f32 only");
            Err(Error::Usage(
                problem.hint("leave `--precision` at `auto`, or compute on the processor: `--device cpu`"),
            ))
        }
    }
}

/// What a processor computes in. Where nothing is asked for, weights that are all stored in 8 bits are multiplied as they
/// are if that is fastest.
pub(super) fn arithmetic(
    asked: Precision,
    isa: Isa,
    stored_in_int8: impl FnOnce() -> Result<bool>,
) -> Result<Arithmetic> {
    let (activations, int8_weights) = match asked {
        Precision::Auto => (isa.best_precision(), isa.prefers_int8() && stored_in_int8()?),
        Precision::Int8 => (isa.best_precision(), true),
        Precision::F32 => (kernel::Precision::F32, false),
        Precision::Bf16 => (kernel::Precision::Bf16, false),
        Precision::F16 => {
            let problem = Problem::new("`--precision f16`", "the processor computes in f32, bf16 and int8 only");
            let hint = "leave `--precision` at `auto`, or compute on a GPU: `--device cuda`";
            return Err(Error::Usage(problem.hint(hint)));
        }
    };
    Ok(Arithmetic { activations, int8_weights })
}

pub(super) fn only_f32(precision: Precision) -> Result<()> {
    if matches!(precision, Precision::Auto | Precision::F32) {
        return Ok(());
    }
    let cause = "the engine that runs this model computes in f32 only";
    let problem = Problem::new(format!("`--precision {}`", precision.name()), cause);
    Err(Error::Usage(problem.hint("leave `--precision` at `auto`")))
}

pub(super) fn max_length(model: &ModelFolder, options: &Options) -> Result<Option<usize>> {
    let Some(asked) = options.max_length else { return Ok(model.description.max_length) };
    let longest = model.description.longest.unwrap_or(usize::MAX);
    if asked < 3 || asked > longest {
        let cause = format!("{asked} is not from 3 to {longest}, what model `{}` can read", model.name);
        return Err(Error::Usage(Problem::new("`--max-length`", cause).hint("leave it out for the model's own limit")));
    }
    Ok(Some(asked))
}

pub(super) fn dimensions(model: &ModelFolder, options: &Options) -> Result<usize> {
    let whole = model.description.dimension;
    match options.dimensions {
        None => Ok(model.description.truncate_dimension.unwrap_or(whole)),
        Some(asked) if (1..=whole).contains(&asked) => Ok(asked),
        Some(asked) => {
            let cause = format!("{asked} is not from 1 to {whole}, what model `{}` gives", model.name);
            Err(Error::Usage(Problem::new("`--dimensions`", cause).hint("leave it out for all of them")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_numbers_are_those_of_a_device_that_has_them() {
        let (processor, gpu) = (Device::Cpu, Device::Cuda(vec![0]));
        let names = ["f32", "bf16", "f16", "int8", "fp4"];
        let on = |device: &Device| names.map(|name| Precision::on_device(name, device).is_some());
        assert_eq!(on(&processor), [true, true, false, true, false]);
        assert_eq!(on(&gpu), [true, true, true, false, false]);
        assert_eq!(Precision::on_device("int8", &processor), Some(Precision::Int8));
    }

    #[test]
    fn a_gpu_refuses_bytes_with_the_way_out() {
        let error = gpu_precision(Precision::Int8).expect_err("no products of bytes there");
        assert_eq!(error.to_string(), "`--precision int8`: GPUs compute in bf16, f16 and f32 only");
        assert!(error.hint().expect("a hint").contains("--device cpu"));
    }
}
