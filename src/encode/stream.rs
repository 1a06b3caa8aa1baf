//! Any number of texts through the model, in constant memory.
//!
//! ```text
//! caller's iterator -> windows -> tokenizer threads -> jobs -> engine threads -> caller's sink
//! ```
//!
//! The calling thread reads texts and delivers vectors, so neither the iterator nor the sink need be sent anywhere.
//! Everything between is bounded: a few windows of texts are under way at any time, and a tokenizer that runs ahead
//! waits. Tokenization of a window overlaps with the engine's work on the one before.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::encode::plan::{self, Job};
use crate::encode::{Encoder, Kind};
use crate::error::{Error, Problem, Result};
use crate::kernel::Team;
use crate::progress::Progress;
use crate::vectors::Vectors;

/// In which order finished vectors are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As soon as a batch is done: what is stored at once survives a kill.
    AsFinished,
    /// As the texts came.
    AsGiven,
}

/// Vectors that are done, with what the caller called their texts.
#[derive(Debug)]
pub struct Finished<K> {
    /// One per row.
    pub keys: Vec<K>,
    /// Unit rows.
    pub vectors: Vectors,
}

/// What a stream amounted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Texts encoded.
    pub texts: u64,
    /// Texts that were longer than the model reads.
    pub truncated: u64,
    /// Tokens that were read.
    pub tokens: u64,
}

/// Texts in a window, and their bytes: enough to find texts of like length, little enough to hold several.
const WINDOW_TEXTS: usize = 1024;
const WINDOW_BYTES: usize = 2 << 20;

/// How often a waiting stream looks whether it was cancelled.
const PATIENCE: Duration = Duration::from_millis(50);

/// Texts that are tokenised and planned together.
struct Window {
    number: usize,
    texts: Vec<String>,
}

/// A batch that an engine thread is done with.
struct Done {
    window: usize,
    members: Vec<usize>,
    vectors: Vectors,
    truncated: usize,
    tokens: usize,
}

impl Encoder {
    /// Encodes a stream of texts, each with a key that comes back with its vector. Reports texts done by
    /// `progress.advance`; the phase is the caller's to begin and end. Stops when `progress` is cancelled: what has
    /// been delivered by then is whole.
    ///
    /// # Errors
    /// The first error of `texts` or `sink`, [`Error::Interrupted`], and [`Error::Failed`] where the engine gives up.
    pub fn encode_stream<K>(
        &self,
        texts: impl IntoIterator<Item = Result<(K, String)>>,
        kind: Kind,
        order: Order,
        sink: impl FnMut(Finished<K>) -> Result<()>,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        let light = self.engine.habits().light;
        let tokenizers = if light { self.threads } else { 1 };
        let ahead = tokenizers + 1;
        let (windows, window_queue) = sync_channel(ahead);
        let (jobs, job_queue) = sync_channel(2 * self.threads);
        let (done, results) = channel();
        let (window_queue, job_queue) = (&Mutex::new(window_queue), &Mutex::new(job_queue));
        let stop = &AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..tokenizers {
                let (jobs, done) = (jobs.clone(), done.clone());
                scope.spawn(move || self.tokenise_windows(window_queue, &jobs, &done, kind, stop));
            }
            for _ in 0..self.threads {
                let done = done.clone();
                scope.spawn(move || self.run_jobs(job_queue, &done, stop));
            }
            drop((jobs, done));
            let mut delivery = Delivery::new(order, self.identity.dimensions, sink);
            let outcome = drive(texts.into_iter(), &windows, ahead, &results, &mut delivery, progress);
            // The threads end when nobody can send them work any more.
            drop(windows);
            stop.store(true, Ordering::Relaxed);
            outcome
        })
    }

    fn tokenise_windows(
        &self,
        windows: &Mutex<Receiver<Window>>,
        jobs: &SyncSender<(usize, Job)>,
        done: &Sender<Result<Done>>,
        kind: Kind,
        stop: &AtomicBool,
    ) {
        let unpooled = self.prompt(kind).unpooled;
        while let Some(window) = next(windows) {
            if stop.load(Ordering::Relaxed) {
                continue;
            }
            let tokenised =
                guarded(|| window.texts.iter().map(|text| self.tokenise(text, kind)).collect::<Result<Vec<_>>>());
            match tokenised {
                Ok(tokenised) => {
                    for job in plan::jobs(&tokenised, self.batch_tokens, unpooled) {
                        if jobs.send((window.number, job)).is_err() {
                            return;
                        }
                    }
                }
                // The caller may have gone already; then nobody wants the error.
                Err(error) => drop(done.send(Err(error))),
            }
        }
    }

    fn run_jobs(&self, jobs: &Mutex<Receiver<(usize, Job)>>, done: &Sender<Result<Done>>, stop: &AtomicBool) {
        let _present = self.engine.team().map(Team::enter);
        while let Some((window, job)) = next(jobs) {
            // The queue is emptied all the same: a tokenizer may be waiting for room in it.
            if stop.load(Ordering::Relaxed) {
                continue;
            }
            let finished = guarded(|| self.vectors(&job.tokens)).map(|vectors| Done {
                window,
                vectors,
                truncated: job.truncated,
                tokens: job.tokens.ids.len(),
                members: job.members,
            });
            if done.send(finished).is_err() {
                return;
            }
        }
    }
}

/// The next of a queue that several threads take from; `None` when there will be no more.
fn next<T>(queue: &Mutex<Receiver<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Work whose panic becomes an error, so that the stream ends instead of waiting for a thread that is gone.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let problem = Problem::new("encoding", "a thread panicked; this is a bug in thematic");
        Err(Error::Failed(problem.hint("please report it with the message above; `--engine reference` may avoid it")))
    })
}

/// Reads texts and delivers vectors until both are at their end.
fn drive<K, S: FnMut(Finished<K>) -> Result<()>>(
    mut texts: impl Iterator<Item = Result<(K, String)>>,
    windows: &SyncSender<Window>,
    ahead: usize,
    results: &Receiver<Result<Done>>,
    delivery: &mut Delivery<K, S>,
    progress: &dyn Progress,
) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut more = true;
    let mut number = 0;
    loop {
        while more && delivery.open.len() < ahead {
            let (keys, window) = read_window(&mut texts, number)?;
            more = !keys.is_empty();
            if more {
                delivery.open.push_back(Open::new(keys));
                number += 1;
                windows.send(window).map_err(|_| gone())?;
            }
        }
        if delivery.open.is_empty() {
            return Ok(summary);
        }
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        let done = match results.recv_timeout(PATIENCE) {
            Ok(done) => done?,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Err(gone()),
        };
        summary.texts += done.members.len() as u64;
        summary.truncated += done.truncated as u64;
        summary.tokens += done.tokens as u64;
        progress.advance(done.members.len() as u64);
        delivery.take(done)?;
    }
}

fn gone() -> Error {
    Error::Failed(Problem::new("encoding", "the threads that compute have ended early; this is a bug in thematic"))
}

/// As many texts as make a window; none at the end.
fn read_window<K>(texts: &mut impl Iterator<Item = Result<(K, String)>>, number: usize) -> Result<(Vec<K>, Window)> {
    let (mut keys, mut window) = (Vec::new(), Window { number, texts: Vec::new() });
    let mut bytes = 0;
    while keys.len() < WINDOW_TEXTS && bytes < WINDOW_BYTES {
        let Some(next) = texts.next() else { break };
        let (key, text) = next?;
        bytes += text.len();
        keys.push(key);
        window.texts.push(text);
    }
    Ok((keys, window))
}

/// Hands out what is done, in the order that was asked for.
struct Delivery<K, S> {
    order: Order,
    dimensions: usize,
    /// Windows that are not delivered, oldest first.
    open: VecDeque<Open<K>>,
    /// The number of the oldest.
    first: usize,
    sink: S,
}

/// A window under way.
struct Open<K> {
    keys: Vec<Option<K>>,
    left: usize,
    /// The rows so far; only kept where order matters.
    rows: Vec<f32>,
}

impl<K> Open<K> {
    fn new(keys: Vec<K>) -> Self {
        Self { left: keys.len(), keys: keys.into_iter().map(Some).collect(), rows: Vec::new() }
    }
}

impl<K, S: FnMut(Finished<K>) -> Result<()>> Delivery<K, S> {
    fn new(order: Order, dimensions: usize, sink: S) -> Self {
        Self { order, dimensions, open: VecDeque::new(), first: 0, sink }
    }

    fn take(&mut self, done: Done) -> Result<()> {
        let Some(window) = self.open.get_mut(done.window - self.first) else { return Err(gone()) };
        window.left -= done.members.len();
        match self.order {
            Order::AsFinished => {
                let keys = done.members.iter().filter_map(|&member| window.keys[member].take()).collect();
                (self.sink)(Finished { keys, vectors: done.vectors })?;
            }
            Order::AsGiven => {
                window.rows.resize(window.keys.len() * self.dimensions, 0.0);
                for (&member, row) in done.members.iter().zip(done.vectors.rows()) {
                    window.rows[member * self.dimensions..][..self.dimensions].copy_from_slice(row);
                }
            }
        }
        self.close()
    }

    /// Lets go of the oldest windows that are done.
    fn close(&mut self) -> Result<()> {
        while self.open.front().is_some_and(|window| window.left == 0) {
            let Some(window) = self.open.pop_front() else { break };
            self.first += 1;
            if self.order == Order::AsGiven {
                let keys = window.keys.into_iter().flatten().collect();
                (self.sink)(Finished { keys, vectors: Vectors::from_unit_rows(self.dimensions, window.rows)? })?;
            }
        }
        Ok(())
    }
}
