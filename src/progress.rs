//! What long work reports to, and how it is cancelled.
//!
//! Knows no terminal: a surface implements [`Progress`] and decides how, or whether, to show it.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

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

/// What happens beside a phase of something else is counted, until it has a phase of its own.
pub(crate) struct Beside<'p> {
    progress: &'p dyn Progress,
    /// What was done so far, while there is another phase.
    counted: Mutex<Option<u64>>,
    stopped: AtomicBool,
}

impl<'p> Beside<'p> {
    pub(crate) fn new(progress: &'p dyn Progress) -> Self {
        Self { progress, counted: Mutex::new(Some(0)), stopped: AtomicBool::new(false) }
    }

    /// Ends the other phase and begins `phase`, of what is left of its total.
    pub(crate) fn takes_over(&self, phase: Phase) {
        let mut counted = self.counted.lock();
        let done = counted.take().unwrap_or(0);
        self.progress.end();
        self.progress.begin(Phase { total: phase.total.map(|total| total.saturating_sub(done)), ..phase });
    }

    /// What is not done yet need not be.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

impl Progress for Beside<'_> {
    fn begin(&self, _phase: Phase) {}
    fn advance(&self, units: u64) {
        match &mut *self.counted.lock() {
            Some(counted) => *counted += units,
            None => self.progress.advance(units),
        }
    }
    fn end(&self) {}
    fn warn(&self, message: &str) {
        self.progress.warn(message);
    }
    fn cancelled(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.progress.cancelled()
    }
}
