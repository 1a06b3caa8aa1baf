//! Texts as batches that are ready for the network, so that its own speed can be measured.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::encode::plan::{self, Job};
use crate::encode::worker::{Stuck, Worker};
use crate::encode::{Encoder, Kind};
use crate::error::{Error, Problem, Result};
use crate::progress::Progress;

/// Texts of which only the network's part is left to do.
#[derive(Debug)]
pub struct Prepared {
    jobs: Vec<Job>,
}

impl Prepared {
    /// The tokens of each text, marks included, in no particular order.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        self.jobs.iter().flat_map(|job| job.tokens.texts().map(<[u32]>::len))
    }
}

impl Encoder {
    /// Tokenises texts and plans their batches, all in memory.
    ///
    /// # Errors
    /// [`Error::Model`] where the model's tokenizer cannot take a text.
    pub fn prepare<T: AsRef<str>>(&self, texts: &[T], kind: Kind) -> Result<Prepared> {
        let tokenised: Vec<_> = texts.iter().map(|text| self.tokenise(text.as_ref(), kind)).collect::<Result<_>>()?;
        Ok(Prepared { jobs: plan::jobs(&tokenised, self.batch_tokens, self.prompt(kind).unpooled) })
    }

    /// Carries every batch through the network on all devices, as [`Self::encode_stream`] does, and drops the rows: no
    /// tokenization, no head, no order.
    ///
    /// # Errors
    /// [`Error::Failed`] or [`Error::Device`] where an engine gives up.
    pub fn run_network(&self, prepared: &Prepared, progress: &dyn Progress) -> Result<()> {
        let next = &AtomicUsize::new(0);
        thread::scope(|scope| {
            let callers = self.workers.iter().flat_map(|worker| (0..self.callers(worker)).map(move |_| worker));
            let running: Vec<_> =
                callers.map(|worker| scope.spawn(move || run_from(worker, &prepared.jobs, next, progress))).collect();
            running
                .into_iter()
                .try_for_each(|caller| caller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }
}

/// Runs jobs, each the next that nobody has, until there are no more.
fn run_from(worker: &Worker, jobs: &[Job], next: &AtomicUsize, progress: &dyn Progress) -> Result<()> {
    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
        match worker.rows(&job.tokens, progress) {
            Ok(_) => {}
            Err(Stuck::Error(error)) => return Err(error),
            Err(Stuck::Text(_)) => {
                let problem = Problem::new("the device", "has no memory for the longest text alone");
                return Err(Error::Device(problem.hint("cut texts off earlier")));
            }
        }
    }
    Ok(())
}
