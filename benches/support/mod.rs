//! What the benches of kernels share.

mod numbers;

pub(crate) use numbers::numbers;
use thematic::kernel::Isa;

/// The sets to measure: all, or the one that `THEMATIC_ISA` names.
pub(crate) fn sets() -> Vec<Isa> {
    match std::env::var("THEMATIC_ISA") {
        Ok(name) => vec![Isa::parse("THEMATIC_ISA", &name).expect("an available instruction set")],
        Err(_) => Isa::available(),
    }
}
