//! Threads that share one batch, where there are fewer batches than threads.
//!
//! A thread that carries a batch through a network leads it. Each kernel cuts its work into parts that write places of
//! their own, and the leader and its helpers take parts until none is left; then the leader goes on to the next kernel.
//! So nothing waits for a helper that is not there yet, and no sum depends on how many took part. Between kernels a
//! helper spins, for waking a thread takes as long as many kernels; it sleeps when no batch has wanted it for a moment.
//!
//! Threads that will lead further batches say so by [`Team::enter`]: helpers only ever fill the places that these leave.

#![expect(unsafe_code, reason = "helpers run a closure that the leader has on its stack")]

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::workspace::{Scratch, Workspace};

/// Threads of which at most so many share batches: with more, the parts of a short text are not worth being handed over.
const MOST_HELPERS: usize = 7;

/// How often a waiting thread looks before it lets others have the core for a moment: some tens of microseconds.
const SPINS: u32 = 1000;

/// How long a helper stays awake for the next batch: about what a short text takes, so that one text after the other finds it
/// there. Waking it takes a good part of that.
const LINGER: Duration = Duration::from_micros(500);

/// The threads of an encoder.
pub struct Team {
    shared: Arc<Shared>,
}

struct Shared {
    size: usize,
    /// Threads that have batches of their own.
    leaders: AtomicUsize,
    roster: Mutex<Roster>,
    changed: Condvar,
    /// Batches ever begun, for helpers that are awake.
    begun: AtomicUsize,
}

#[derive(Default)]
struct Roster {
    /// Batches under way.
    boards: Vec<Arc<Board>>,
    helpers: Vec<JoinHandle<()>>,
    closed: bool,
}

/// While it lives, the thread that entered has a place of its own and no helper takes it.
pub struct Presence<'a> {
    shared: &'a Shared,
}

/// While it lives, helpers share the kernels that are called with the workspace.
pub struct Leading<'a> {
    shared: &'a Shared,
    board: Arc<Board>,
}

impl Team {
    /// A team of `size` threads, those that lead included. Helpers start when they are first wanted.
    pub fn new(size: usize) -> Self {
        let (leaders, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { shared: Arc::new(Shared { size, leaders, roster: Mutex::default(), changed: Condvar::new(), begun }) }
    }

    /// Says that the calling thread is about to lead batches.
    pub fn enter(&self) -> Presence<'_> {
        self.shared.leaders.fetch_add(1, Ordering::Relaxed);
        Presence { shared: &self.shared }
    }

    /// Lets helpers share the kernels that are called with `workspace` until what is returned is dropped.
    pub fn lead(&self, workspace: &mut Workspace) -> Leading<'_> {
        let board = Arc::clone(workspace.board.get_or_insert_default());
        if self.shared.size > 1 {
            board.open.store(true, Ordering::Relaxed);
            let mut roster = self.shared.roster();
            roster.boards.push(Arc::clone(&board));
            self.shared.begun.fetch_add(1, Ordering::Relaxed);
            if self.shared.wants(1) {
                self.start_helpers(&mut roster);
                drop(roster);
                self.shared.changed.notify_all();
            }
        }
        Leading { shared: &self.shared, board }
    }

    /// Where the system refuses a thread, there are fewer helpers, and the vectors are the same.
    fn start_helpers(&self, roster: &mut Roster) {
        for number in roster.helpers.len() + 1..self.shared.size.min(MOST_HELPERS + 1) {
            let shared = Arc::clone(&self.shared);
            let named = thread::Builder::new().name(format!("helper {number}"));
            let Ok(helper) = named.spawn(move || shared.help(number)) else { return };
            roster.helpers.push(helper);
        }
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Team").field("size", &self.shared.size).finish_non_exhaustive()
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        let mut roster = self.shared.roster();
        roster.closed = true;
        let helpers = std::mem::take(&mut roster.helpers);
        drop(roster);
        self.shared.changed.notify_all();
        for helper in helpers {
            // A helper catches the panics of its parts and has no other.
            drop(helper.join());
        }
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.shared.leaders.fetch_sub(1, Ordering::Relaxed);
        if !self.shared.roster().boards.is_empty() {
            self.shared.changed.notify_all();
        }
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if self.board.open.swap(false, Ordering::Relaxed) {
            self.shared.roster().boards.retain(|board| !Arc::ptr_eq(board, &self.board));
        }
    }
}

impl fmt::Debug for Presence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

impl fmt::Debug for Leading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leading").finish_non_exhaustive()
    }
}

impl Shared {
    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for so many helpers beside the threads that lead.
    fn wants(&self, helpers: usize) -> bool {
        helpers + self.leaders.load(Ordering::Relaxed).max(1) <= self.size
    }

    /// The life of helper `number`, counted from 1.
    fn help(&self, number: usize) {
        let mut scratch = Scratch::default();
        let mut roster = self.roster();
        let mut has_helped = false;
        while !roster.closed {
            let least = roster.boards.iter().min_by_key(|board| board.helpers.load(Ordering::Relaxed)).cloned();
            match least.filter(|_| self.wants(number)) {
                Some(board) => {
                    board.helpers.fetch_add(1, Ordering::Relaxed);
                    drop(roster);
                    board.help(&mut scratch, || self.wants(number));
                    board.helpers.fetch_sub(1, Ordering::Relaxed);
                    roster = self.roster();
                    has_helped = true;
                }
                None if has_helped && self.wants(number) => {
                    let begun = self.begun.load(Ordering::Relaxed);
                    drop(roster);
                    self.linger(number, begun);
                    roster = self.roster();
                    has_helped = false;
                }
                None => roster = self.changed.wait(roster).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Stays awake until another batch than the first `begun` begins, [`LINGER`] at most.
    fn linger(&self, number: usize, begun: usize) {
        let (start, mut spins) = (Instant::now(), 0);
        while self.begun.load(Ordering::Relaxed) == begun && self.wants(number) && start.elapsed() < LINGER {
            wait(&mut spins);
        }
    }
}

/// One part of a kernel's work, by its number.
type Work<'a> = dyn Fn(usize, &mut Scratch) + Sync + 'a;

/// Where a leader posts the parts of a kernel and everyone takes them.
#[derive(Default)]
pub(super) struct Board {
    /// Whether a batch is under way.
    open: AtomicBool,
    helpers: AtomicUsize,
    /// The number of the work in the upper half, the parts that nobody has taken yet in the lower.
    tickets: AtomicU64,
    panicked: AtomicBool,
    /// Read by those who took a part, written by the leader when all parts are finished.
    work: UnsafeCell<Option<*const Work<'static>>>,
    /// Parts of the work that are done.
    finished: LineOfItsOwn<AtomicUsize>,
}

/// So that who waits for it does not take the line from those who still need what stands beside it. Two lines, for a processor
/// fetches them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct LineOfItsOwn<T>(T);

// SAFETY: `work` is the only field that is not made for sharing. The leader writes it while no part can be taken, and
// others read it only between taking a part and finishing it, which the leader waits for. The closure is `Sync`.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("helpers", &self.helpers).finish_non_exhaustive()
    }
}

impl Board {
    /// Threads that are there for the leader's next work, itself included.
    pub(super) fn members(&self) -> usize {
        1 + if self.open.load(Ordering::Relaxed) { self.helpers.load(Ordering::Relaxed) } else { 0 }
    }

    /// Has all parts done, here and by the helpers.
    ///
    /// # Panics
    /// Where a part panics, after all others are finished.
    pub(super) fn run(&self, n_parts: u32, work: &Work<'_>, scratch: &mut Scratch) {
        let posted: *const Work<'_> = work;
        // SAFETY: only the lifetime changes, and no one uses the closure after this function, which returns when all
        // parts are finished. All parts of the work before are finished, so nobody reads the cell.
        unsafe { *self.work.get() = Some(std::mem::transmute::<*const Work<'_>, *const Work<'static>>(posted)) };
        self.finished.0.store(0, Ordering::Relaxed);
        let number = (self.tickets.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        self.tickets.store(number << 32 | u64::from(n_parts), Ordering::Release);
        while let Some(part) = self.take() {
            self.finish(part, work, scratch);
        }
        let mut spins = 0;
        while self.finished.0.load(Ordering::Acquire) < n_parts as usize {
            wait(&mut spins);
        }
        assert!(!self.panicked.swap(false, Ordering::Relaxed), "a part of a kernel panicked, with the message above");
    }

    /// A part that nobody has taken.
    fn take(&self) -> Option<usize> {
        let mut tickets = self.tickets.load(Ordering::Relaxed);
        while tickets as u32 > 0 {
            match self.tickets.compare_exchange_weak(tickets, tickets - 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some((tickets - 1) as u32 as usize),
                Err(now) => tickets = now,
            }
        }
        None
    }

    fn finish(&self, part: usize, work: &Work<'_>, scratch: &mut Scratch) {
        if catch_unwind(AssertUnwindSafe(|| work(part, scratch))).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
        self.finished.0.fetch_add(1, Ordering::Release);
    }

    /// Takes parts until the batch is at its end or the helper is not wanted any more.
    fn help(&self, scratch: &mut Scratch, wanted: impl Fn() -> bool) {
        let mut spins = 0;
        while self.open.load(Ordering::Relaxed) && wanted() {
            let Some(part) = self.take() else {
                wait(&mut spins);
                continue;
            };
            // SAFETY: the leader wrote the cell before it offered the part that was taken, and neither writes it again
            // nor lets go of the closure before the part is finished.
            if let Some(work) = unsafe { *self.work.get() } {
                // SAFETY: as above.
                self.finish(part, unsafe { &*work }, scratch);
            }
            spins = 0;
        }
    }
}

fn wait(spins: &mut u32) {
    if *spins < SPINS {
        *spins += 1;
        std::hint::spin_loop();
    } else {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// Waits for a helper: without one, what follows would be no test of sharing.
    fn wait_for_a_helper(workspace: &Workspace) {
        while workspace.members() < 2 {
            thread::yield_now();
        }
    }

    #[test]
    fn parts_are_done_once_each_and_on_several_threads() {
        let (team, mut workspace) = (Team::new(2), Workspace::new());
        for _ in 0..50 {
            let _present = team.enter();
            let _leading = team.lead(&mut workspace);
            wait_for_a_helper(&workspace);
            // Neither part ends before the other has begun.
            let both = Barrier::new(2);
            workspace.share(2, 1, |_, _| {
                both.wait();
            });
            for n_items in [0, 1, 2, 7, 1000] {
                let done: Vec<AtomicUsize> = (0..n_items).map(|_| AtomicUsize::new(0)).collect();
                workspace.share(n_items, 1, |items, _| {
                    items.for_each(|item| {
                        done[item].fetch_add(1, Ordering::Relaxed);
                    });
                });
                assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1), "{n_items} items");
            }
        }
    }

    #[test]
    fn a_panic_of_any_part_reaches_the_leader_and_the_team_goes_on() {
        let (team, mut workspace) = (Team::new(2), Workspace::new());
        let _leading = team.lead(&mut workspace);
        wait_for_a_helper(&workspace);
        for bad in 0..2 {
            let both = Barrier::new(2);
            let work = |items: std::ops::Range<usize>, _: &mut Scratch| {
                both.wait();
                assert_ne!(items.start, bad);
            };
            assert!(catch_unwind(AssertUnwindSafe(|| workspace.share(2, 1, work))).is_err());
        }
        let done = AtomicUsize::new(0);
        workspace.share(9, 1, |items, _| {
            done.fetch_add(items.len(), Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 9);
    }

    #[test]
    fn helpers_leave_their_places_to_those_who_lead() {
        let (team, mut workspace) = (Team::new(2), Workspace::new());
        let _present = team.enter();
        let _leading = team.lead(&mut workspace);
        wait_for_a_helper(&workspace);
        let other = team.enter();
        while workspace.members() > 1 {
            thread::yield_now();
        }
        drop(other);
        wait_for_a_helper(&workspace);
    }

    #[test]
    fn alone_there_is_nobody_to_wait_for() {
        let (team, mut workspace) = (Team::new(1), Workspace::new());
        let _leading = team.lead(&mut workspace);
        assert_eq!(workspace.members(), 1);
        let done = AtomicUsize::new(0);
        workspace.share(3, 1, |items, _| {
            done.fetch_add(items.len(), Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 3);
    }
}
