//! The seam between texts and networks: packed tokens in, one row per text out.
//!
//! An engine is a network on a device. It pads if it must, pools as its model says, and is called by several threads
//! at once, each with a whole batch. Everything before (tokens) and after (head, normalisation) is common to all.

use crate::encode::tokens::PackedTokens;
use crate::error::Result;
use crate::kernel::Team;

/// Computes a row per text.
pub(super) trait Engine: Send + Sync {
    /// One row per text, end to end, each as wide as the model's body is (`Body::width`).
    ///
    /// # Errors
    /// [`crate::error::Error::OutOfMemory`] where the batch does not fit the device, which stays usable: its halves may;
    /// [`crate::error::Error::Failed`] where the device gives up.
    fn rows(&self, batch: &PackedTokens) -> Result<Vec<f32>>;

    /// What it computes in: `f32`, `bf16`.
    fn precision(&self) -> &'static str {
        "f32"
    }

    /// The GPU it computes on, as `cuda:0`; `None` for the processor. Failures of [`Self::rows`] need not name it, their
    /// reader does.
    fn gpu(&self) -> Option<&str> {
        None
    }

    /// What suits it.
    fn habits(&self) -> Habits;

    /// The threads that share a batch where there are fewer batches than threads; `None` where each thread keeps to its
    /// own. Who calls [`Self::rows`] several times says so by [`Team::enter`].
    fn team(&self) -> Option<&Team> {
        None
    }
}

/// What suits an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Habits {
    /// Tokens in a batch, padding included.
    pub(super) batch_tokens: usize,
    /// Whether tokenization costs more than the engine itself, so that it should have as many threads.
    pub(super) light: bool,
    /// Threads that should call it at once; `None` is as many as there are. On a GPU two: one's texts are copied and its
    /// rows fetched while the other's are computed.
    pub(super) callers: Option<usize>,
}
