//! Rows on a device among which centroids and queries find the nearest, block by block on two lanes.
//!
//! Scores are f32 products of cublasLt; they differ from those of the processor by rounding, at most the width of a row
//! times f32's epsilon for rows of length one. Which centroid is nearest and which rows are best may differ where scores
//! are as close as that; of equal ones the lower index wins here too.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::Failure;
use super::device::Device;
use super::selection::{Block, Matrix, Passed, Passing, ROOM, Work};
use crate::error::{Error, Result};
use crate::kernel::{Nearest, TopK};

/// While one lane's rows are copied and its results fetched, the other's are computed.
const LANES: usize = 2;

/// Numbers in the rows of a block, and scores of it, at most: enough for the device, little beside a batch of texts.
const MOST_NUMBERS: usize = 1 << 24;

/// Blocks begin at multiples of so many rows, wherever they stand: products take numbers sixteen bytes at a time.
const LEAST_ROWS: usize = 4;

/// Rows that the first block of a scan has, fewer where all their scores could not pass; each one after it has twice as
/// many, so that the gates, which the blocks before have set, let about as many scores pass as there are places.
const FIRST_ROWS: usize = 1 << 10;

/// Of the memory that is free, what rows may take that stay there; blocks need the rest.
const SHARE: f64 = 0.7;

/// A device that selects.
#[derive(Debug)]
pub struct Selector {
    device: Device,
    name: String,
    idle: Mutex<Vec<Work>>,
    /// Rows of the largest block that is tried: less than what the device had no memory for.
    most_rows: AtomicUsize,
    warning: Mutex<Warning>,
}

#[derive(Debug)]
enum Warning {
    /// There was no reason to.
    None,
    /// To be told.
    Due(String),
    Told,
}

/// Rows to select among. They stay on the device where it has room for them, else they are sent block by block.
#[derive(Debug)]
pub struct DeviceRows<'a> {
    selector: &'a Selector,
    rows: &'a [f32],
    dim: usize,
    held: Option<Matrix>,
}

impl Selector {
    /// Opens device `ordinal`.
    ///
    /// # Errors
    /// [`Error::Device`] where it does not exist, does not answer or is too old.
    pub fn open(ordinal: usize) -> Result<Self> {
        let name = format!("cuda:{ordinal}");
        Ok(Self {
            device: Device::open(ordinal).map_err(|failure| failure.on(&name))?,
            name,
            idle: Mutex::new(Vec::new()),
            most_rows: AtomicUsize::new(usize::MAX),
            warning: Mutex::new(Warning::None),
        })
    }

    /// Sends `rows` of `dim` numbers, where there is room for them beside the work.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn hold<'a>(&'a self, rows: &'a [f32], dim: usize) -> Result<DeviceRows<'a>> {
        let held = self.upload(rows, dim).map_err(|failure| failure.on(&self.name))?;
        Ok(DeviceRows { held, ..self.stream(rows, dim) })
    }

    /// Leaves `rows` of `dim` numbers where they are, to be sent whenever they are used.
    pub fn stream<'a>(&'a self, rows: &'a [f32], dim: usize) -> DeviceRows<'a> {
        assert!(dim > 0 && rows.len().is_multiple_of(dim), "not a whole number of rows");
        DeviceRows { selector: self, rows, dim, held: None }
    }

    /// What whoever waits for the device should know, once.
    pub fn take_warning(&self) -> Option<String> {
        let mut warning = lock(&self.warning);
        match std::mem::replace(&mut *warning, Warning::Told) {
            Warning::Due(text) => Some(text),
            other => {
                *warning = other;
                None
            }
        }
    }

    fn upload(&self, rows: &[f32], dim: usize) -> Result<Option<Matrix>, Failure> {
        if size_of_val(rows) as f64 > SHARE * self.device.free_memory()? as f64 {
            return Ok(None);
        }
        let lanes = self.lanes(1)?;
        let uploaded = Matrix::upload(&lanes[0].lane, rows, dim);
        self.rest(lanes);
        match uploaded {
            Ok(matrix) => Ok(Some(matrix)),
            Err(Failure::OutOfMemory) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// As many lanes as are wanted and there is memory for, at least one.
    fn lanes(&self, wanted: usize) -> Result<Vec<Work>, Failure> {
        let mut idle = lock(&self.idle);
        while idle.len() < wanted {
            match self.device.lane() {
                Ok(lane) => idle.push(Work::new(lane)),
                Err(Failure::OutOfMemory) if !idle.is_empty() => break,
                Err(failure) => return Err(failure),
            }
        }
        let used = idle.len().min(wanted);
        Ok(idle.drain(..used).collect())
    }

    fn rest(&self, lanes: Vec<Work>) {
        lock(&self.idle).extend(lanes);
    }

    /// Rows of a block whose products are as many numbers wide.
    fn block_rows(&self, width: usize) -> usize {
        let rows = (MOST_NUMBERS / width).min(self.most_rows.load(Ordering::Relaxed));
        (rows / LEAST_ROWS * LEAST_ROWS).max(LEAST_ROWS)
    }

    /// Remembers that a block of so many rows was too large.
    fn learn(&self, rows: usize) {
        self.most_rows.fetch_min((rows / 2).next_multiple_of(LEAST_ROWS), Ordering::Relaxed);
        let mut warning = lock(&self.warning);
        if matches!(*warning, Warning::None) {
            *warning = Warning::Due(format!(
                "{} has no memory to compare {rows} vectors at once: from here on it takes as many as fit",
                self.name
            ));
        }
    }
}

impl DeviceRows<'_> {
    /// Finds the nearest of `centroids` for each row: [`crate::kernel::nearest`], on the device.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where a few rows do not fit, [`Error::Device`] where the device fails,
    /// [`Error::Interrupted`] when `cancelled`, which is asked between blocks.
    pub fn nearest(&self, centroids: &[f32], out: &mut [Nearest], cancelled: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        assert!(!centroids.is_empty(), "at least one centroid");
        assert_eq!(self.rows.len(), out.len() * self.dim, "one result for each row");
        let block = self.selector.block_rows(self.dim.max(centroids.len() / self.dim));
        self.share(centroids, out.chunks_mut(block).enumerate(), cancelled, |work, centroids, (at, out)| {
            let first = at * block;
            self.in_parts(work, first..first + out.len(), |work, part| {
                let rows = self.block(&part);
                work.nearest(&rows, centroids, &mut out[part.start - first..part.end - first])
            })
        })
    }

    /// Offers every row to every query's `best`: [`crate::kernel::scan_many`], on the device. The first row has the index
    /// 0.
    ///
    /// # Errors
    /// As [`Self::nearest`].
    pub fn scan_many(&self, queries: &[f32], best: &mut [TopK], cancelled: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        assert_eq!(queries.len(), best.len() * self.dim, "one selection for each query");
        if best.is_empty() {
            return Ok(());
        }
        let most = self.selector.block_rows(self.dim.max(best.len()));
        let first = (ROOM / best.len()).clamp(LEAST_ROWS, FIRST_ROWS) / LEAST_ROWS * LEAST_ROWS;
        let blocks = growing_blocks(self.rows.len() / self.dim, first.min(most), most);
        let best = Mutex::new(best);
        self.share(queries, blocks, cancelled, |work, queries, block| {
            self.in_parts(work, block, |work, part| {
                let gates: Vec<f32> = lock(&best).iter().map(TopK::gate).collect();
                let passing = work.passing(&self.block(&part), queries, &gates)?;
                offer(passing, part.start, &mut lock(&best));
                Ok(())
            })
        })
    }

    /// Does `task` with every block and the rows of `matrix`, each block on the lane that is free first.
    fn share<B: Send>(
        &self,
        matrix: &[f32],
        blocks: impl Iterator<Item = B> + Send,
        cancelled: &(dyn Fn() -> bool + Sync),
        task: impl Fn(&mut Work, &Matrix, B) -> Result<(), Failure> + Sync,
    ) -> Result<()> {
        let mut blocks = blocks.peekable();
        let Some(first) = blocks.next() else { return Ok(()) };
        let on_device = |failure: Failure| failure.on(&self.selector.name);
        let wanted = if blocks.peek().is_some() { LANES } else { 1 };
        let mut lanes = self.selector.lanes(wanted).map_err(on_device)?;
        let matrix = upload_beside(&mut lanes, matrix, self.dim).map_err(on_device)?;
        let queue = Mutex::new(Some(std::iter::once(first).chain(blocks)));
        let next = || lock(&queue).as_mut().and_then(Iterator::next);
        let work_off = |work: &mut Work| -> Result<()> {
            while let Some(block) = next() {
                let done = if cancelled() { Err(Error::Interrupted) } else { Ok(()) };
                let done = done.and_then(|()| task(work, &matrix, block).map_err(on_device));
                if done.is_err() {
                    // Nobody waits for what is left. What was begun uses the matrix, which goes next; that it fails too
                    // is no news.
                    *lock(&queue) = None;
                    let _ = work.lane.wait();
                    return done;
                }
            }
            Ok(())
        };
        let done = on_every(&mut lanes, work_off);
        self.selector.rest(lanes);
        done
    }

    /// Does `task` with `rows` in as many parts as it takes for the device to have memory for them.
    fn in_parts(
        &self,
        work: &mut Work,
        rows: Range<usize>,
        mut task: impl FnMut(&mut Work, Range<usize>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut first = rows.start;
        while first < rows.end {
            let len = (rows.end - first).min(self.selector.most_rows.load(Ordering::Relaxed));
            match task(work, first..first + len) {
                Ok(()) => first += len,
                Err(Failure::OutOfMemory) if len > LEAST_ROWS => {
                    work.release();
                    self.selector.learn(len);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    fn block(&self, rows: &Range<usize>) -> Block<'_> {
        match &self.held {
            Some(matrix) => Block::Held(matrix.part(rows.start, rows.len())),
            None => Block::Here(&self.rows[rows.start * self.dim..rows.end * self.dim]),
        }
    }
}

/// Sends centroids or queries; where blocks of calls before take their place, these go.
fn upload_beside(lanes: &mut [Work], rows: &[f32], dim: usize) -> Result<Matrix, Failure> {
    match Matrix::upload(&lanes[0].lane, rows, dim) {
        Err(Failure::OutOfMemory) => {
            lanes.iter_mut().for_each(Work::release);
            Matrix::upload(&lanes[0].lane, rows, dim)
        }
        uploaded => uploaded,
    }
}

/// Calls `work` with every lane at the same time.
fn on_every(lanes: &mut [Work], work: impl Fn(&mut Work) -> Result<()> + Sync) -> Result<()> {
    let Some((own, others)) = lanes.split_first_mut() else { return Ok(()) };
    let work = &work;
    thread::scope(|scope| {
        let others: Vec<_> = others.iter_mut().map(|lane| scope.spawn(move || work(lane))).collect();
        let done = work(own);
        let others =
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        others.fold(done, Result::and)
    })
}

/// Blocks that begin with `first` rows and double until they have `most` of them.
fn growing_blocks(n_rows: usize, first: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let after = move |start: usize, len: usize| (start < n_rows).then(|| start..n_rows.min(start + len));
    std::iter::successors(after(0, first), move |last| after(last.end, (2 * last.len()).min(most)))
}

/// Offers what passed of a block that begins with the row `first`.
fn offer(passing: Passing, first: usize, best: &mut [TopK]) {
    match passing {
        Passing::Few(passed) => {
            for Passed { row, column, score } in passed {
                best[column as usize].push(score, first + row as usize);
            }
        }
        Passing::All(scores) => {
            for (row, scores) in scores.chunks_exact(best.len()).enumerate() {
                for (best, &score) in best.iter_mut().zip(scores) {
                    best.push(score, first + row);
                }
            }
        }
    }
}

/// What a thread that panicked left is as it was between two changes.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
