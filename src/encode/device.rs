//! Where to compute, as it can be asked for.

use std::fmt;
use std::str::FromStr;

/// Whether this build computes on GPUs.
pub const WITH_CUDA: bool = cfg!(feature = "cuda");

/// Where to compute. Whoever names a device gets it or an error, never another one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor; in a build with CUDA the first GPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// These GPUs together, by the numbers that the driver gives them; none comes twice.
    Cuda(Vec<usize>),
}

impl Device {
    /// The GPUs to compute on; `None` for the processor.
    pub fn gpus(&self) -> Option<&[usize]> {
        match self {
            Self::Cuda(gpus) => Some(gpus),
            Self::Auto if WITH_CUDA => Some(&[0]),
            Self::Auto | Self::Cpu => None,
        }
    }
}

/// What a device may be called, for help and errors.
const FORMS: &str = "write auto, cpu, cuda, cuda:N, or several such as cuda:0,cuda:1";

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            _ => gpus(text).map(Self::Cuda),
        }
    }
}

fn gpus(text: &str) -> Result<Vec<usize>, String> {
    let mut found = Vec::new();
    for name in text.split(',') {
        let gpu = gpu(name)?;
        if found.contains(&gpu) {
            return Err(format!("cuda:{gpu} is named twice: name each GPU once"));
        }
        found.push(gpu);
    }
    Ok(found)
}

/// The number of one GPU: `cuda` is the first, as in PyTorch.
fn gpu(name: &str) -> Result<usize, String> {
    match name.strip_prefix("cuda") {
        Some("") => Ok(0),
        Some(rest) => match rest.strip_prefix(':').map(str::parse) {
            Some(Ok(number)) => Ok(number),
            Some(Err(_)) => Err(format!("`{}` is no number of a GPU: {FORMS}", &rest[1..])),
            None => Err(FORMS.to_owned()),
        },
        None if name == "auto" || name == "cpu" => Err(format!("`{name}` stands alone: {FORMS}")),
        None => Err(FORMS.to_owned()),
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(gpus) => {
                let names: Vec<String> = gpus.iter().map(|gpu| format!("cuda:{gpu}")).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_written() {
        let cases = [
            ("auto", Device::Auto, "auto"),
            ("cpu", Device::Cpu, "cpu"),
            ("cuda", Device::Cuda(vec![0]), "cuda:0"),
            ("cuda:3", Device::Cuda(vec![3]), "cuda:3"),
            ("cuda:1,cuda:0", Device::Cuda(vec![1, 0]), "cuda:1,cuda:0"),
            ("cuda,cuda:1", Device::Cuda(vec![0, 1]), "cuda:0,cuda:1"),
        ];
        for (text, device, written) in cases {
            assert_eq!(text.parse().as_ref(), Ok(&device), "{text}");
            assert_eq!(device.to_string(), written);
        }
    }

    #[test]
    fn what_is_no_device_says_what_is() {
        let cases = [
            ("gpu", FORMS),
            ("", FORMS),
            ("cuda0", FORMS),
            ("cuda:0,", FORMS),
            ("cuda:", "`` is no number of a GPU"),
            ("cuda:-1", "`-1` is no number of a GPU"),
            ("cuda:0,cpu", "`cpu` stands alone"),
            ("cuda,cuda:0", "cuda:0 is named twice"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Device>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
