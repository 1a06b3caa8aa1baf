//! Readers: from the bytes of an input to drafts of papers, and what was skipped.
//!
//! One module per family of formats. A reader never fails on a bad record: it names it and goes on.

pub mod listing;
pub mod skip;
