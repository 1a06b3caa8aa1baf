//! Streams of texts: every text its own vector, and an end whenever one is wanted.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use thematic::Error;
use thematic::encode::{Finished, Kind, Options, Order};
use thematic::progress::{Phase, Progress, Silent};

use super::encoder;
use crate::tiny::fixture;

/// Texts of very different lengths, with their numbers as keys.
fn numbered(count: usize) -> impl Iterator<Item = thematic::Result<(usize, String)>> {
    (0..count).map(|at| Ok((at, format!("text number {at} {}", "about ice and salt ".repeat(at % 13)))))
}

#[test]
fn a_stream_gives_every_text_its_own_vector_in_either_order() {
    let count = 2500;
    let encoder = encoder(&fixture("tiny-static"), &Options { threads: NonZeroUsize::new(3), ..Options::default() });
    let texts: Vec<String> = numbered(count).map(|text| text.expect("a text").1).collect();
    let expected = encoder.encode(&texts, Kind::Document).expect("vectors").vectors;
    for order in [Order::AsFinished, Order::AsGiven] {
        let mut rows = vec![Vec::new(); count];
        let mut keys = Vec::new();
        let sink = |finished: Finished<usize>| {
            for (key, row) in finished.keys.iter().zip(finished.vectors.rows()) {
                rows[*key] = row.to_vec();
                keys.push(*key);
            }
            Ok(())
        };
        let counter = Counter::default();
        let summary = encoder.encode_stream(numbered(count), Kind::Document, order, sink, &counter).expect("a summary");
        assert_eq!((summary.texts, keys.len()), (count as u64, count));
        assert_eq!(counter.done.load(Ordering::Relaxed), count as u64);
        assert_eq!(rows.concat(), expected.as_slice(), "{order:?}");
        if order == Order::AsGiven {
            assert!(keys.is_sorted());
        }
    }
}

#[derive(Default)]
struct Counter {
    done: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress for Counter {
    fn begin(&self, _phase: Phase) {}
    fn advance(&self, units: u64) {
        self.done.fetch_add(units, Ordering::Relaxed);
    }
    fn end(&self) {}
    fn warn(&self, _message: &str) {}
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

#[test]
fn a_stream_stops_when_it_is_cancelled_or_an_end_fails() {
    let encoder =
        encoder(&fixture("tiny-bert"), &Options { batch_tokens: NonZeroUsize::new(200), ..Options::default() });
    let counter = Counter::default();
    let sink = |_: Finished<usize>| {
        counter.cancelled.store(true, Ordering::Relaxed);
        Ok(())
    };
    let outcome = encoder.encode_stream(numbered(100_000), Kind::Document, Order::AsFinished, sink, &counter);
    assert!(matches!(outcome, Err(Error::Interrupted)));

    let full = |_: Finished<usize>| Err(Error::Interrupted);
    let outcome = encoder.encode_stream(numbered(100_000), Kind::Document, Order::AsFinished, full, &Silent);
    assert!(matches!(outcome, Err(Error::Interrupted)));

    let broken = numbered(30).chain([Err(Error::UnknownPaper { id: "x".into(), place: "y".into(), similar: vec![] })]);
    let outcome = encoder.encode_stream(broken, Kind::Document, Order::AsFinished, |_| Ok(()), &Silent);
    assert!(matches!(outcome, Err(Error::UnknownPaper { .. })));
}

#[test]
fn no_texts_are_no_vectors() {
    let encoder = encoder(&fixture("tiny-bert"), &Options::default());
    let encoded = encoder.encode::<&str>(&[], Kind::Query).expect("nothing");
    assert_eq!((encoded.vectors.len(), encoded.vectors.dim()), (0, 32));
    let nothing = std::iter::empty::<thematic::Result<((), String)>>();
    let summary = encoder.encode_stream(nothing, Kind::Query, Order::AsGiven, |_| Ok(()), &Silent).expect("nothing");
    assert_eq!(summary, thematic::encode::Summary::default());
}
