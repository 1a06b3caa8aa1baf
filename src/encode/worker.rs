//! One device at work: batches that it has no memory for are halved, and what fails says on which device.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::encode::engine::Engine;
use crate::encode::tokens::PackedTokens;
use crate::error::{Error, Problem};
use crate::progress::Progress;

/// An engine, and what was learnt of its device's memory.
pub(super) struct Worker {
    pub(super) engine: Box<dyn Engine>,
    /// Tokens in the largest batch that is tried as one: less than what the device had no memory for.
    most_tokens: AtomicUsize,
    warned: AtomicBool,
}

/// Why a batch has no rows.
#[derive(Debug)]
pub(super) enum Stuck {
    /// The device has no memory for this text of the batch alone.
    Text(usize),
    /// Anything else.
    Error(Error),
}

impl Worker {
    pub(super) fn new(engine: Box<dyn Engine>) -> Self {
        Self { engine, most_tokens: AtomicUsize::new(usize::MAX), warned: AtomicBool::new(false) }
    }

    /// One row per text, as [`Engine::rows`]. Where the device runs out of memory, `progress` is warned the first time,
    /// and this and all later batches are halved as often as it takes.
    pub(super) fn rows(&self, batch: &PackedTokens, progress: &dyn Progress) -> Result<Vec<f32>, Stuck> {
        if batch.len() > 1 && batch.ids.len() > self.most_tokens.load(Ordering::Relaxed) {
            return self.rows_of_halves(batch, progress);
        }
        match self.engine.rows(batch) {
            Ok(rows) => Ok(rows),
            Err(Error::OutOfMemory(_)) if batch.len() > 1 => {
                self.learn(batch.ids.len(), progress);
                self.rows_of_halves(batch, progress)
            }
            Err(Error::OutOfMemory(_)) => Err(Stuck::Text(0)),
            Err(error) => Err(Stuck::Error(self.named(error))),
        }
    }

    /// What to say of a text that is too long for the device; `excerpt` is how it begins.
    pub(super) fn too_long(&self, excerpt: &str, tokens: usize) -> Error {
        let cause = format!("has no memory for the text that begins `{excerpt}` ({tokens} tokens), even alone");
        let hint = "see with `nvidia-smi` which programs hold its memory, or cut texts off earlier with `--max-length`";
        Error::Device(Problem::new(self.name(), cause).hint(hint))
    }

    fn rows_of_halves(&self, batch: &PackedTokens, progress: &dyn Progress) -> Result<Vec<f32>, Stuck> {
        let middle = batch.len() / 2;
        let (first, second) = batch.split_at(middle);
        let mut rows = self.rows(&first, progress)?;
        let rest = self.rows(&second, progress).map_err(|stuck| match stuck {
            Stuck::Text(text) => Stuck::Text(middle + text),
            error @ Stuck::Error(_) => error,
        });
        rows.extend(rest?);
        Ok(rows)
    }

    /// Remembers that a batch of so many tokens was too large.
    fn learn(&self, tokens: usize, progress: &dyn Progress) {
        self.most_tokens.fetch_min(tokens / 2, Ordering::Relaxed);
        if !self.warned.swap(true, Ordering::Relaxed) {
            progress.warn(&format!(
                "{} has no memory for {tokens} tokens at once: from here on its batches are halved as often as needed; \
                 `--max-batch-tokens` sets their size",
                self.name()
            ));
        }
    }

    fn named(&self, error: Error) -> Error {
        let Some(gpu) = self.engine.gpu() else { return error };
        let mut problem = Problem::new(gpu, error.to_string());
        if let Some(hint) = error.hint() {
            problem = problem.hint(hint.into_owned());
        }
        Error::Device(problem.source(error))
    }

    fn name(&self) -> &str {
        self.engine.gpu().unwrap_or("the processor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    use crate::encode::engine::Habits;
    use crate::error::Result;
    use crate::progress::Phase;

    /// A device whose row of a text is its first token, with memory for so many tokens.
    struct Small {
        memory: usize,
        tried: std::sync::Arc<Mutex<Vec<usize>>>,
    }

    impl Engine for Small {
        fn rows(&self, batch: &PackedTokens) -> Result<Vec<f32>> {
            self.tried.lock().expect("a list").push(batch.ids.len());
            if batch.ids.contains(&666) {
                return Err(Error::Failed(Problem::new("a kernel", "gave up")));
            }
            if batch.ids.len() > self.memory {
                return Err(Error::OutOfMemory(Problem::new("a device", "out of memory")));
            }
            Ok(batch.texts().map(|text| text[0] as f32).collect())
        }

        fn habits(&self) -> Habits {
            Habits { batch_tokens: 64, light: true, callers: Some(1) }
        }

        fn gpu(&self) -> Option<&str> {
            Some("cuda:7 (small)")
        }
    }

    #[derive(Default)]
    struct Warnings(Mutex<Vec<String>>);

    impl Progress for Warnings {
        fn begin(&self, _phase: Phase) {}
        fn advance(&self, _units: u64) {}
        fn end(&self) {}
        fn warn(&self, message: &str) {
            self.0.lock().expect("a list").push(message.to_owned());
        }
        fn cancelled(&self) -> bool {
            false
        }
    }

    /// A worker, and the sizes of the batches that its device was given.
    fn small(memory: usize) -> (Worker, std::sync::Arc<Mutex<Vec<usize>>>) {
        let tried = std::sync::Arc::default();
        (Worker::new(Box::new(Small { memory, tried: std::sync::Arc::clone(&tried) })), tried)
    }

    fn batch(texts: &[&[u32]]) -> PackedTokens {
        PackedTokens::pack(texts.iter().copied(), 0)
    }

    #[test]
    fn a_batch_is_halved_until_it_fits_and_that_is_said_once() {
        let (worker, tried) = small(4);
        let warnings = Warnings::default();
        let ten: Vec<Vec<u32>> = (0..10).map(|text| vec![text, 9]).collect();
        let ten: Vec<&[u32]> = ten.iter().map(Vec::as_slice).collect();
        let expected: Vec<f32> = (0..10).map(|text| text as f32).collect();
        for _ in 0..2 {
            assert_eq!(worker.rows(&batch(&ten), &warnings).expect("rows"), expected);
        }
        let warnings = warnings.0.into_inner().expect("a list");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("cuda:7 (small) has no memory for 20 tokens at once"), "{warnings:?}");
        let tried = tried.lock().expect("a list");
        assert_eq!(
            tried.iter().filter(|&&tokens| tokens > 4).count(),
            2,
            "what is too large is not tried again: {tried:?}"
        );
    }

    #[test]
    fn the_text_that_is_too_long_alone_is_found() {
        let (worker, _) = small(4);
        let texts = batch(&[&[1], &[2, 2], &[3], &[4, 4, 4, 4, 4, 4], &[5]]);
        assert!(matches!(worker.rows(&texts, &Warnings::default()), Err(Stuck::Text(3))));
        let error = worker.too_long("Tides and", 6).to_string();
        assert_eq!(error, "cuda:7 (small): has no memory for the text that begins `Tides and` (6 tokens), even alone");
    }

    #[test]
    fn what_fails_says_where() {
        let (worker, _) = small(4);
        let Err(Stuck::Error(error)) = worker.rows(&batch(&[&[1], &[666]]), &Warnings::default()) else {
            panic!("it fails")
        };
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("cuda:7 (small): a kernel: gave up", 4));
    }
}
