//! What long work reports to, and how it is cancelled.
//!
//! Knows no terminal: a surface implements [`Progress`] and decides how, or whether, to show it.

/// Listens to long work. Calls come from any thread.
pub trait Progress: Sync {
    /// A phase begins: what is being done, and how many units there are when that is known.
    fn begin(&self, phase: Phase);
    /// `units` more are done in the current phase.
    fn advance(&self, units: u64);
    /// The current phase is over.
    fn end(&self);
    /// Something the user should know although the work goes on.
    fn warn(&self, message: &str);
    /// Whether the user asked to stop. Long work asks between units and then returns `Error::Interrupted`.
    fn cancelled(&self) -> bool;
}

/// One stretch of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// What is being done, as a present participle: `embedding`.
    pub doing: &'static str,
    /// What a unit is, in the plural: `papers`.
    pub units: &'static str,
    /// How many units there are, when that is known.
    pub total: Option<u64>,
}

/// Reports to nobody and is never cancelled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _phase: Phase) {}
    fn advance(&self, _units: u64) {}
    fn end(&self) {}
    fn warn(&self, _message: &str) {}
    fn cancelled(&self) -> bool {
        false
    }
}

/// Passes on warnings and the wish to stop, for work within a phase that someone else counts.
pub struct Unphased<'a>(pub &'a dyn Progress);

impl Progress for Unphased<'_> {
    fn begin(&self, _phase: Phase) {}
    fn advance(&self, _units: u64) {}
    fn end(&self) {}
    fn warn(&self, message: &str) {
        self.0.warn(message);
    }
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

impl std::fmt::Debug for Unphased<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unphased")
    }
}
