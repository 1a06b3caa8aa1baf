//! The text of one input, window by window.
//!
//! Whatever the encoding, readers see UTF-8 without byte order mark and without NUL. UTF-8 and UTF-16 are told by their
//! marks or their bytes; a byte that is no UTF-8 is read as Windows-1252, alone, so that one bad line spoils no other.
//! A read that fails ends the text: [`Text::fault`] then says why, and the readers drop the record it cut in two.
//! Memory is the window, which grows only as far as a reader asks.

use std::io::{self, Read};
use std::mem;

use encoding_rs::{Decoder, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How much is read at a time, in bytes.
const CHUNK: usize = 1 << 18;
/// How many bytes tell an encoding.
const SNIFFED: usize = 64;

/// A window over an input, from the first character not yet consumed.
pub(super) struct Text {
    source: Box<dyn Read + Send>,
    decoding: Decoding,
    /// Read, but not decoded: a character that the last chunk cut in two.
    raw: Vec<u8>,
    window: String,
    start: usize,
    line: u64,
    ended: bool,
    fault: Option<io::Error>,
    guessed: Option<u64>,
    nul: Option<u64>,
}

enum Decoding {
    Unknown,
    Utf8,
    Utf16(Box<Decoder>),
}

/// Where a record ends in the window, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// After so many bytes.
    Whole(usize),
    /// It is longer than the limit; the window holds its beginning.
    TooLong,
    /// The text ends before it does; the window holds all of it.
    CutShort,
}

impl Text {
    /// The text of a byte stream, already decompressed.
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self {
            source,
            decoding: Decoding::Unknown,
            raw: Vec::new(),
            window: String::new(),
            start: 0,
            line: 1,
            ended: false,
            fault: None,
            guessed: None,
            nul: None,
        }
    }

    /// A text that is at hand, as if it began at `line`.
    pub(super) fn of(text: String, line: u64) -> Self {
        Self { window: text, line, ended: true, ..Self::new(Box::new(io::empty())) }
    }

    /// What is read and not consumed.
    pub(super) fn pending(&self) -> &str {
        &self.window[self.start..]
    }

    /// The line that [`Self::pending`] begins on, counted from one.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// What ended the text before its time.
    pub(super) fn fault(&self) -> Option<&io::Error> {
        self.fault.as_ref()
    }

    /// The first line with bytes that were taken for Windows-1252.
    pub(super) fn guessed_line(&self) -> Option<u64> {
        self.guessed
    }

    /// The first line that NUL bytes were removed from.
    pub(super) fn nul_line(&self) -> Option<u64> {
        self.nul
    }

    /// Reads until `wanted` bytes are pending or the text ends; whether anything was added.
    pub(super) fn fill(&mut self, wanted: usize) -> bool {
        let before = self.pending().len();
        while !self.ended && self.pending().len() < wanted {
            self.read_chunk();
        }
        self.pending().len() > before
    }

    /// Passes over the first `length` pending bytes, which must end between characters.
    pub(super) fn consume(&mut self, length: usize) {
        self.line += newlines(&self.window.as_bytes()[self.start..self.start + length]);
        self.start += length;
    }

    /// The first pending byte, read if need be.
    pub(super) fn first(&mut self) -> Option<u8> {
        if self.pending().is_empty() {
            self.fill(1);
        }
        self.pending().bytes().next()
    }

    /// Reads on until `find` sees the end of the record that begins the window, or `limit` bytes are passed.
    ///
    /// `find` starts over each time; the window doubles between, so the work stays linear.
    pub(super) fn extent(&mut self, limit: usize, find: impl Fn(&str) -> Option<usize>) -> Extent {
        loop {
            let length = self.pending().len();
            match find(self.pending()) {
                Some(end) if end <= limit => return Extent::Whole(end),
                Some(_) => return Extent::TooLong,
                None if length > limit => return Extent::TooLong,
                None if self.fill((2 * length).clamp(1, limit.saturating_add(1))) => {}
                None => return Extent::CutShort,
            }
        }
    }

    /// The length of the first line with its break; `None` where no break is pending.
    pub(super) fn line_length(window: &str) -> Option<usize> {
        window.find('\n').map(|at| at + 1)
    }

    /// Passes over the rest of the line without keeping it.
    pub(super) fn consume_line(&mut self) {
        loop {
            if let Some(length) = Self::line_length(self.pending()) {
                return self.consume(length);
            }
            self.consume(self.pending().len());
            if !self.fill(1) {
                return;
            }
        }
    }

    fn read_chunk(&mut self) {
        self.compact();
        let kept = self.raw.len();
        self.raw.resize(kept + CHUNK, 0);
        let read = loop {
            match self.source.read(&mut self.raw[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let count = read.unwrap_or_else(|error| {
            self.fault = Some(error);
            0
        });
        self.raw.truncate(kept + count);
        self.ended = count == 0;
        self.decode();
    }

    /// Drops what was consumed, but not so often that moving the rest would cost more than reading it.
    fn compact(&mut self) {
        if self.start == self.window.len() || self.start >= CHUNK {
            self.window.drain(..self.start);
            self.start = 0;
        }
    }

    fn decode(&mut self) {
        if matches!(self.decoding, Decoding::Unknown) && (self.raw.len() >= SNIFFED || self.ended) {
            self.decoding = sniff(&mut self.raw);
        }
        let from = self.window.len();
        match &mut self.decoding {
            Decoding::Unknown => return,
            Decoding::Utf8 => self.decode_utf8(),
            Decoding::Utf16(decoder) => {
                let capacity = decoder.max_utf8_buffer_length(self.raw.len()).unwrap_or(0);
                self.window.reserve(capacity);
                // The reserved capacity takes everything, so there is no second round.
                let _ = decoder.decode_to_string(&self.raw, &mut self.window, self.ended);
                self.raw.clear();
            }
        }
        self.remove_nul(from);
    }

    fn decode_utf8(&mut self) {
        let mut raw = mem::take(&mut self.raw);
        let mut done = 0;
        loop {
            let rest = &raw[done..];
            let error = match std::str::from_utf8(rest) {
                Ok(valid) => {
                    self.window.push_str(valid);
                    done = raw.len();
                    break;
                }
                Err(error) => error,
            };
            let (valid, bad) = rest.split_at(error.valid_up_to());
            self.window.push_str(&String::from_utf8_lossy(valid));
            done += valid.len();
            let bad_length = match error.error_len() {
                Some(length) => length,
                None if self.ended => bad.len(),
                None => break,
            };
            self.note_guess();
            self.window.push_str(&WINDOWS_1252.decode_without_bom_handling(&bad[..bad_length]).0);
            done += bad_length;
        }
        raw.drain(..done);
        self.raw = raw;
    }

    fn note_guess(&mut self) {
        if self.guessed.is_none() {
            self.guessed = Some(self.line + newlines(self.pending().as_bytes()));
        }
    }

    fn remove_nul(&mut self, from: usize) {
        let Some(first) = self.window[from..].find('\0') else { return };
        let line = self.line + newlines(&self.window.as_bytes()[self.start..from + first]);
        self.nul.get_or_insert(line);
        let cleaned = self.window[from + first..].replace('\0', "");
        self.window.truncate(from + first);
        self.window.push_str(&cleaned);
    }
}

/// Tells the encoding from the first bytes and removes the byte order mark of UTF-8.
fn sniff(raw: &mut Vec<u8>) -> Decoding {
    if raw.starts_with(b"\xEF\xBB\xBF") {
        raw.drain(..3);
        return Decoding::Utf8;
    }
    match utf16(raw) {
        Some(encoding) => Decoding::Utf16(Box::new(encoding.new_decoder_with_bom_removal())),
        None => Decoding::Utf8,
    }
}

/// UTF-16 by its mark, or, without one, by the zero bytes that Western text has in every second place.
pub(super) fn utf16(raw: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    match raw {
        [0xFF, 0xFE, ..] => return Some(UTF_16LE),
        [0xFE, 0xFF, ..] => return Some(UTF_16BE),
        _ => {}
    }
    let head = &raw[..raw.len().min(1024) & !1];
    let zeros_at = |parity: usize| head.iter().skip(parity).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd, pairs) = (zeros_at(0), zeros_at(1), head.len() / 2);
    if pairs < 2 {
        return None;
    }
    match (even * 10 <= pairs, odd * 10 <= pairs) {
        (true, false) if odd * 10 >= pairs * 7 => Some(UTF_16LE),
        (false, true) if even * 10 >= pairs * 7 => Some(UTF_16BE),
        _ => None,
    }
}

/// Counts in stretches short enough for a byte, which the compiler turns into vector instructions.
fn newlines(bytes: &[u8]) -> u64 {
    let count = |stretch: &[u8]| u64::from(stretch.iter().map(|&byte| u8::from(byte == b'\n')).sum::<u8>());
    bytes.chunks(255).map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte at a time, so that every character is cut in two.
    struct Dripping(Vec<u8>, usize);

    impl Read for Dripping {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some(&byte) = self.0.get(self.1) else { return Ok(0) };
            into[0] = byte;
            self.1 += 1;
            Ok(1)
        }
    }

    fn check(bytes: &[u8], expected: &str) {
        let mut text = Text::new(Box::new(io::Cursor::new(bytes.to_vec())));
        text.fill(usize::MAX);
        assert_eq!(text.pending(), expected);
        let mut text = Text::new(Box::new(Dripping(bytes.to_vec(), 0)));
        text.fill(usize::MAX);
        assert_eq!(text.pending(), expected, "byte by byte");
    }

    fn utf16_bytes(text: &str, to_bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn every_encoding_becomes_utf8() {
        check("plain é 漢 😀".as_bytes(), "plain é 漢 😀");
        check(b"\xEF\xBB\xBFmarked", "marked");
        check(&utf16_bytes("\u{FEFF}é 漢 😀", u16::to_le_bytes), "é 漢 😀");
        check(&utf16_bytes("\u{FEFF}é 漢 😀", u16::to_be_bytes), "é 漢 😀");
        check(b"caf\xE9 \x93quoted\x94 \xC3\xA9", "café “quoted” é");
        check(b"cut \xE6\xBC", "cut æ¼");
        check(b"", "");
    }

    #[test]
    fn unmarked_utf16_is_told_by_its_zeros() {
        let mut text = Text::new(Box::new(io::Cursor::new(utf16_bytes("TY  - JOUR\n", u16::to_le_bytes))));
        text.fill(usize::MAX);
        assert_eq!(text.pending(), "TY  - JOUR\n");
        assert_eq!(text.nul_line(), None);
    }

    #[test]
    fn guesses_and_nul_bytes_are_announced_with_their_line() {
        let mut text = Text::new(Box::new(io::Cursor::new(b"one\ntw\0o\nthr\xE9e\n".to_vec())));
        text.fill(usize::MAX);
        assert_eq!(text.pending(), "one\ntwo\nthrée\n");
        assert_eq!((text.nul_line(), text.guessed_line()), (Some(2), Some(3)));
    }

    #[test]
    fn an_extent_is_found_whatever_the_window() {
        let line = format!("{}\nrest", "x".repeat(3 * CHUNK));
        let mut text = Text::new(Box::new(io::Cursor::new(line.into_bytes())));
        assert_eq!(text.extent(CHUNK, Text::line_length), Extent::TooLong);
        assert_eq!(text.extent(4 * CHUNK, Text::line_length), Extent::Whole(3 * CHUNK + 1));
        text.consume(3 * CHUNK + 1);
        assert_eq!((text.line(), text.extent(100, Text::line_length)), (2, Extent::CutShort));
        assert_eq!(text.pending(), "rest");
    }
}
