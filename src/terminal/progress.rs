//! Progress on a terminal as a bar with rate and time left, elsewhere as plain lines; and Ctrl-C.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{WARNING, grouped, styled};
use crate::progress::{Phase, Progress};

/// How often a plain line reports on work that goes on.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Phases shorter than this leave no line behind.
const WORTH_A_LINE: Duration = Duration::from_secs(2);
/// What a shell expects of a process ended by Ctrl-C.
const EXIT_INTERRUPTED: i32 = 130;

/// Talks to the person in front of the program, on standard error.
#[derive(Debug)]
pub struct Talk {
    quiet: bool,
    bars: bool,
    cancelled: Arc<AtomicBool>,
    current: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    phase: Phase,
    started: Instant,
    last_line: Instant,
    done: u64,
    bar: Option<ProgressBar>,
}

impl Talk {
    /// Bars on a terminal, lines elsewhere, nothing but warnings where `quiet`.
    pub fn new(quiet: bool) -> Self {
        let bars = !quiet && std::io::stderr().is_terminal();
        Self { quiet, bars, cancelled: Arc::default(), current: Mutex::new(None) }
    }

    /// From now on Ctrl-C asks the work to stop; a second one ends the process at once.
    pub fn listen_to_interrupts(&self) {
        let cancelled = Arc::clone(&self.cancelled);
        let listening = ctrlc::set_handler(move || {
            if cancelled.swap(true, Ordering::SeqCst) {
                end_at_once();
            }
        });
        if listening.is_err() {
            self.warn("Ctrl-C will end the program without tidying up: its handler could not be set");
        }
    }

    /// A line of talk.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.above_the_bar(line);
        }
    }

    fn above_the_bar(&self, line: &str) {
        let write = || {
            let mut out = anstream::stderr().lock();
            // Where standard error cannot be written, there is nobody left to tell.
            let _ = writeln!(out, "{line}");
        };
        match self.running().as_ref().and_then(|running| running.bar.as_ref()) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Talk {
    fn begin(&self, phase: Phase) {
        let bar = self.bars.then(|| new_bar(phase));
        let now = Instant::now();
        *self.running() = Some(Running { phase, started: now, last_line: now, done: 0, bar });
    }

    fn advance(&self, units: u64) {
        let mut line = None;
        if let Some(running) = self.running().as_mut() {
            running.done += units;
            if let Some(bar) = &running.bar {
                bar.set_position(running.done);
            } else if running.last_line.elapsed() >= LINE_INTERVAL {
                running.last_line = Instant::now();
                line = Some(running.line());
            }
        }
        if let Some(line) = line {
            self.say(&line);
        }
    }

    fn end(&self) {
        let Some(running) = self.running().take() else { return };
        if let Some(bar) = &running.bar {
            bar.finish_and_clear();
        }
        if running.started.elapsed() >= WORTH_A_LINE {
            self.say(&running.line());
        }
    }

    fn warn(&self, message: &str) {
        self.above_the_bar(&format!("{} {message}", styled(WARNING, "warning:")));
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl Running {
    fn line(&self) -> String {
        let Phase { doing, units, total } = self.phase;
        let seconds = self.started.elapsed().as_secs_f64();
        let done = grouped(self.done as usize);
        let rate = grouped((self.done as f64 / seconds).round() as usize);
        let of = total.filter(|total| *total != self.done).map(|total| format!(" of {}", grouped(total as usize)));
        format!("{doing}: {done}{} {units} in {seconds:.1} s ({rate} a second)", of.unwrap_or_default())
    }
}

fn new_bar(phase: Phase) -> ProgressBar {
    let template = match phase.total {
        Some(_) => "{msg:>12.cyan.bold} [{bar:32}] {human_pos}/{human_len} {prefix}  {per_sec}  {eta} left",
        None => "{msg:>12.cyan.bold} {spinner} {human_pos} {prefix}  {per_sec}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    let bar = ProgressBar::with_draw_target(phase.total, ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("━╸ "));
    bar.set_message(phase.doing);
    bar.set_prefix(phase.units);
    bar
}

#[expect(clippy::exit, reason = "a second Ctrl-C means now; what was committed to the collection is safe")]
fn end_at_once() {
    std::process::exit(EXIT_INTERRUPTED);
}
