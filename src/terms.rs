//! Words and phrases of scientific text: what themes are named after and why papers are recommended.
//!
//! A term is one to three words that stand together, begin and end with a word that says something, and are counted by
//! a key that ignores case, number and hyphens; what is shown is the spelling that the papers use most. Nothing is
//! stemmed in what is shown, and no number, TeX or stop-word is ever a term.

mod common;
mod overlap;
mod phrases;
mod shared;
mod stop_words;
mod themes;

pub use overlap::overlap;
pub use shared::shared;
pub use themes::{Term, ThemeTerms};
