//! Any number of texts through the model, in constant memory.
//!
//! ```text
//! caller's iterator -> windows -> tokenizer threads -> jobs -> callers of engines -> delivery thread -> caller's sink
//!                                                                            (GPUs) -> finishers ->
//! ```
//!
//! The calling thread only reads texts; vectors are delivered by a thread of its own, so that a sink that writes
//! holds nobody up. Everything between is bounded: a few windows of texts are under way at any time, and a tokenizer
//! that runs ahead waits. What follows a network is the callers' own work on the processor; behind a GPU, whose callers
//! are to come back with the next batch, it has threads of its own. All engines take their jobs from one queue, so that a
//! fast device does more of them; tokenization of a window overlaps with the engines' work on the one before.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::encode::plan::{self, Job};
use crate::encode::tokens::TextExtent;
use crate::encode::worker::Worker;
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
    /// How much was read of each text.
    pub extents: Vec<TextExtent>,
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

impl Summary {
    fn count(&mut self, extents: &[TextExtent]) {
        self.texts += extents.len() as u64;
        self.truncated += extents.iter().filter(|extent| extent.truncated).count() as u64;
        self.tokens += extents.iter().map(|extent| u64::from(extent.tokens)).sum::<u64>();
    }
}

/// Texts in a window, and their bytes: enough to find texts of like length, little enough to hold several.
const WINDOW_TEXTS: usize = 1024;
const WINDOW_BYTES: usize = 2 << 20;

/// A window holds at least so many batches, or the last one, which is what is left, would be a large part of them all.
const WINDOW_BATCHES: usize = 8;
/// What texts have at least: bytes a token, and tokens a text. Only sizes of windows depend on it.
const TOKEN_BYTES: usize = 5;
const TEXT_TOKENS: usize = 64;

/// How often a waiting stream looks whether it was cancelled.
const PATIENCE: Duration = Duration::from_millis(50);

/// How much of a stream is under way at once.
#[derive(Debug, Clone, Copy)]
struct Extent {
    tokenizers: usize,
    /// Windows between the iterator and the sink.
    windows: usize,
    /// Jobs that wait for an engine: each caller finds one when it is done.
    jobs: usize,
    /// Threads that do what follows a network on GPUs.
    finishers: usize,
    window_texts: usize,
    window_bytes: usize,
}

/// Texts that are tokenised and planned together.
struct Window {
    number: usize,
    texts: Vec<String>,
}

/// A batch, and the window it is of.
struct Task {
    window: Arc<Window>,
    job: Job,
}

/// A batch that a GPU is done with.
struct Computed {
    task: Task,
    rows: Vec<f32>,
}

/// What the delivery thread hears of.
enum Event<K> {
    /// A window is under way, with the keys of its texts.
    Opened(Vec<K>),
    Done(Result<Done>),
}

/// A batch that an engine is done with.
struct Done {
    window: usize,
    members: Vec<usize>,
    vectors: Vectors,
    extents: Vec<TextExtent>,
}

impl Encoder {
    /// Encodes a stream of texts, each with a key that comes back with its vector. `sink` is called by one thread, not
    /// the calling one. Reports texts done by `progress.advance`; the phase is the caller's to begin and end. Stops when
    /// `progress` is cancelled: what has been delivered by then is whole.
    ///
    /// # Errors
    /// The first error of `texts` or `sink`, [`Error::Interrupted`], and [`Error::Failed`] or [`Error::Device`] where an
    /// engine gives up.
    pub fn encode_stream<K: Send>(
        &self,
        texts: impl IntoIterator<Item = Result<(K, String)>>,
        kind: Kind,
        order: Order,
        sink: impl FnMut(Finished<K>) -> Result<()> + Send,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        let extent = self.extent();
        let (windows, window_queue) = sync_channel(extent.windows);
        let (jobs, job_queue) = sync_channel(extent.jobs);
        let (events, heard) = channel();
        let (room, windows_wanted) = channel();
        let (computed, computed_queue) = sync_channel(extent.jobs);
        let (window_queue, job_queue) = (&Mutex::new(window_queue), &Mutex::new(job_queue));
        let computed_queue = &Mutex::new(computed_queue);
        let stop = &AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..extent.tokenizers {
                let (jobs, events) = (jobs.clone(), events.clone());
                scope.spawn(move || self.tokenise_windows(window_queue, &jobs, &events, kind, stop));
            }
            for worker in &self.workers {
                for _ in 0..self.callers(worker) {
                    let events = events.clone();
                    let finishers = worker.engine.gpu().map(|_| computed.clone());
                    scope.spawn(move || self.run_jobs(worker, job_queue, finishers.as_ref(), &events, stop, progress));
                }
            }
            for _ in 0..extent.finishers {
                let events = events.clone();
                scope.spawn(move || self.finish_jobs(computed_queue, &events, stop));
            }
            drop((jobs, computed));
            let delivery = Delivery::new(order, self.identity.dimensions, sink, room, extent.windows);
            let delivered = scope.spawn(move || {
                let outcome = deliver(&heard, delivery, progress);
                if outcome.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                outcome
            });
            let fed = feed(texts.into_iter(), extent, &windows, &events, &windows_wanted);
            if fed.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            // The threads end when nobody can send them work any more.
            drop((windows, events));
            let delivered = delivered.join().unwrap_or_else(|panic| resume_unwind(panic));
            fed.and(delivered)
        })
    }

    fn extent(&self) -> Extent {
        let light = self.workers.iter().all(|worker| worker.engine.habits().light);
        let on_gpus = self.workers.iter().any(|worker| worker.engine.gpu().is_some());
        let tokenizers = if light || on_gpus { self.threads } else { 1 };
        let callers: usize = self.workers.iter().map(|worker| self.callers(worker)).sum();
        Extent {
            tokenizers,
            windows: tokenizers + 1,
            jobs: 2 * callers,
            finishers: if on_gpus { self.threads } else { 0 },
            window_texts: WINDOW_TEXTS.max(WINDOW_BATCHES * self.batch_tokens / TEXT_TOKENS),
            window_bytes: WINDOW_BYTES.max(WINDOW_BATCHES * self.batch_tokens * TOKEN_BYTES),
        }
    }

    pub(super) fn callers(&self, worker: &Worker) -> usize {
        worker.engine.habits().callers.unwrap_or(self.threads)
    }

    fn tokenise_windows<K>(
        &self,
        windows: &Mutex<Receiver<Window>>,
        jobs: &SyncSender<Task>,
        events: &Sender<Event<K>>,
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
            let window = Arc::new(window);
            match tokenised {
                Ok(tokenised) => {
                    for job in plan::jobs(&tokenised, self.batch_tokens, unpooled) {
                        if jobs.send(Task { window: Arc::clone(&window), job }).is_err() {
                            return;
                        }
                    }
                }
                Err(error) => tell(events, Event::Done(Err(error)), stop),
            }
        }
    }

    fn run_jobs<K>(
        &self,
        worker: &Worker,
        tasks: &Mutex<Receiver<Task>>,
        finishers: Option<&SyncSender<Computed>>,
        events: &Sender<Event<K>>,
        stop: &AtomicBool,
        progress: &dyn Progress,
    ) {
        let _present = worker.engine.team().map(Team::enter);
        while let Some(task) = next(tasks) {
            // The queue is emptied all the same: a tokenizer may be waiting for room in it.
            if stop.load(Ordering::Relaxed) {
                continue;
            }
            let text_of = |member: usize| task.window.texts[task.job.members[member]].as_str();
            match (guarded(|| self.rows(worker, &task.job.tokens, text_of, progress)), finishers) {
                (Ok(rows), None) => tell(events, Event::Done(self.finish(Computed { task, rows })), stop),
                (Ok(rows), Some(finishers)) => {
                    if finishers.send(Computed { task, rows }).is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                (Err(error), _) => tell(events, Event::Done(Err(error)), stop),
            }
        }
    }

    fn finish_jobs<K>(&self, computed: &Mutex<Receiver<Computed>>, events: &Sender<Event<K>>, stop: &AtomicBool) {
        while let Some(computed) = next(computed) {
            if !stop.load(Ordering::Relaxed) {
                tell(events, Event::Done(self.finish(computed)), stop);
            }
        }
    }

    fn finish(&self, Computed { task: Task { window, job }, rows }: Computed) -> Result<Done> {
        let vectors = guarded(|| self.vectors(&rows))?;
        Ok(Done { window: window.number, members: job.members, vectors, extents: job.extents })
    }
}

/// Tells the delivery thread; where it has gone, nobody wants the work that is left.
fn tell<K>(events: &Sender<Event<K>>, event: Event<K>, stop: &AtomicBool) {
    if events.send(event).is_err() {
        stop.store(true, Ordering::Relaxed);
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

/// Reads texts until there are no more, a window whenever one is wanted; ends early where the delivery thread has gone.
fn feed<K>(
    mut texts: impl Iterator<Item = Result<(K, String)>>,
    extent: Extent,
    windows: &SyncSender<Window>,
    events: &Sender<Event<K>>,
    wanted: &Receiver<()>,
) -> Result<()> {
    for number in 0.. {
        if wanted.recv().is_err() {
            break;
        }
        let (keys, window) = read_window(&mut texts, number, extent)?;
        // Told before the window goes its way, so that its keys are known before the first of its vectors.
        if keys.is_empty() || events.send(Event::Opened(keys)).is_err() || windows.send(window).is_err() {
            break;
        }
    }
    Ok(())
}

/// Delivers vectors until no thread is left that could send more.
fn deliver<K, S: FnMut(Finished<K>) -> Result<()>>(
    heard: &Receiver<Event<K>>,
    mut delivery: Delivery<K, S>,
    progress: &dyn Progress,
) -> Result<Summary> {
    let mut summary = Summary::default();
    loop {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        let done = match heard.recv_timeout(PATIENCE) {
            Ok(Event::Opened(keys)) => {
                delivery.open.push_back(Open::new(keys));
                continue;
            }
            Ok(Event::Done(done)) => done?,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) if delivery.open.is_empty() => return Ok(summary),
            Err(RecvTimeoutError::Disconnected) => return Err(gone()),
        };
        summary.count(&done.extents);
        progress.advance(done.members.len() as u64);
        delivery.take(done)?;
    }
}

fn gone() -> Error {
    Error::Failed(Problem::new("encoding", "the threads that compute have ended early; this is a bug in thematic"))
}

/// As many texts as make a window; none at the end.
fn read_window<K>(
    texts: &mut impl Iterator<Item = Result<(K, String)>>,
    number: usize,
    extent: Extent,
) -> Result<(Vec<K>, Window)> {
    let (mut keys, mut window) = (Vec::new(), Window { number, texts: Vec::new() });
    let mut bytes = 0;
    while keys.len() < extent.window_texts && bytes < extent.window_bytes {
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
    /// Asks for one more window.
    room: Sender<()>,
}

/// A window under way.
struct Open<K> {
    keys: Vec<Option<K>>,
    left: usize,
    /// The rows so far, and how much was read of each text; only kept where order matters.
    rows: Vec<f32>,
    extents: Vec<TextExtent>,
}

impl<K> Open<K> {
    fn new(keys: Vec<K>) -> Self {
        Self { left: keys.len(), keys: keys.into_iter().map(Some).collect(), rows: Vec::new(), extents: Vec::new() }
    }
}

impl<K, S: FnMut(Finished<K>) -> Result<()>> Delivery<K, S> {
    /// Asks for the first `windows` windows.
    fn new(order: Order, dimensions: usize, sink: S, room: Sender<()>, windows: usize) -> Self {
        let delivery = Self { order, dimensions, open: VecDeque::new(), first: 0, sink, room };
        (0..windows).for_each(|_| delivery.want_window());
        delivery
    }

    fn want_window(&self) {
        // The reader may be at its end already; then it wants no request.
        let _ = self.room.send(());
    }

    fn take(&mut self, done: Done) -> Result<()> {
        let Some(window) = self.open.get_mut(done.window - self.first) else { return Err(gone()) };
        window.left -= done.members.len();
        match self.order {
            Order::AsFinished => {
                let keys = done.members.iter().filter_map(|&member| window.keys[member].take()).collect();
                (self.sink)(Finished { keys, vectors: done.vectors, extents: done.extents })?;
            }
            Order::AsGiven => {
                window.rows.resize(window.keys.len() * self.dimensions, 0.0);
                window.extents.resize(window.keys.len(), TextExtent::default());
                for ((&member, row), &extent) in done.members.iter().zip(done.vectors.rows()).zip(&done.extents) {
                    window.rows[member * self.dimensions..][..self.dimensions].copy_from_slice(row);
                    window.extents[member] = extent;
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
            self.want_window();
            if self.order == Order::AsGiven {
                let keys = window.keys.into_iter().flatten().collect();
                let vectors = Vectors::from_unit_rows(self.dimensions, window.rows)?;
                (self.sink)(Finished { keys, vectors, extents: window.extents })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
