//! Memory for vectors: zeroed and aligned to a cache line, so that no vector load straddles two lines.

#![expect(unsafe_code, reason = "a slice of lines is read as a slice of numbers")]

use half::bf16;

use super::pages::{Line, Part};

/// Types of which every bit pattern is a value, and whose size divides a line.
///
/// # Safety
/// Only for types without padding, without invalid bit patterns, and of 1, 2, 4 or 8 bytes.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: four bytes, all patterns valid.
unsafe impl Plain for f32 {}
// SAFETY: a transparent wrapper of u16: two bytes, all patterns valid.
unsafe impl Plain for bf16 {}
// SAFETY: one byte, all patterns valid.
unsafe impl Plain for i8 {}
// SAFETY: one byte, all patterns valid.
unsafe impl Plain for u8 {}

/// A zeroed slice that begins on a cache line.
#[derive(Debug, Clone)]
pub(super) struct Buffer<T> {
    lines: Lines,
    len: usize,
    elements: std::marker::PhantomData<T>,
}

#[derive(Debug)]
enum Lines {
    Heap(Vec<Line>),
    /// None as long as there are none.
    LargePages(Option<Part>),
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self::of(Lines::Heap(Vec::new()))
    }
}

impl<T> Buffer<T> {
    /// Empty, and in large pages as it grows: for what stays. What it grew out of is given back late.
    pub(super) fn in_large_pages() -> Self {
        Self::of(Lines::LargePages(None))
    }

    fn of(lines: Lines) -> Self {
        Self { lines, len: 0, elements: std::marker::PhantomData }
    }
}

impl<T: Plain> Buffer<T> {
    pub(super) fn zeroed(len: usize) -> Self {
        let mut buffer = Self::default();
        buffer.resize(len);
        buffer
    }

    /// Makes room for exactly `len` numbers; what they hold is whatever was there, or zero. Memory is never given back.
    pub(super) fn resize(&mut self, len: usize) {
        self.lines.grow((len * size_of::<T>()).div_ceil(size_of::<Line>()));
        self.len = len;
    }

    /// Moves to large pages, to stay.
    pub(super) fn settle(&mut self) {
        self.lines = Lines::in_large_pages(&self.lines, self.lines.len());
    }
}

impl Lines {
    /// Makes them `n` at least.
    fn grow(&mut self, n: usize) {
        match self {
            _ if n <= self.len() => {}
            Self::Heap(lines) => lines.resize(n, Line([0; 64])),
            Self::LargePages(part) => {
                let before = part.as_deref().unwrap_or_default();
                // Half more than there were, so that what is left behind is at most twice as much as the last lines.
                *self = Self::in_large_pages(before, n.max(before.len() + before.len() / 2));
            }
        }
    }

    /// `n` lines that begin with `lines`: in other memory, where there are no large pages to be had.
    fn in_large_pages(lines: &[Line], n: usize) -> Self {
        match Part::new(n) {
            Some(mut part) => {
                part[..lines.len()].copy_from_slice(lines);
                Self::LargePages(Some(part))
            }
            None => {
                let mut lines = lines.to_vec();
                lines.resize(n, Line([0; 64]));
                Self::Heap(lines)
            }
        }
    }
}

impl Clone for Lines {
    fn clone(&self) -> Self {
        match self {
            Self::Heap(lines) => Self::Heap(lines.clone()),
            Self::LargePages(_) => Self::in_large_pages(self, self.len()),
        }
    }
}

impl std::ops::Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        match self {
            Self::Heap(lines) => lines,
            Self::LargePages(part) => part.as_deref().unwrap_or_default(),
        }
    }
}

impl std::ops::DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [Line] {
        match self {
            Self::Heap(lines) => lines,
            Self::LargePages(part) => part.as_deref_mut().unwrap_or_default(),
        }
    }
}

impl<T: Plain> std::ops::Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `resize` keeps `len` elements within the lines, every bit pattern is a `T`, and lines are aligned to 64.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Plain> std::ops::DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the lines are borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stays_wherever_it_moves() {
        for mut buffer in [Buffer::<f32>::default(), Buffer::in_large_pages()] {
            for len in [0, 1, 100, 17, 5_000, 1_000_000] {
                let known = len.min(buffer.len());
                buffer.resize(len);
                assert_eq!(buffer.len(), len);
                assert_eq!(buffer.as_ptr().align_offset(64), 0, "begins on a cache line");
                assert!(buffer[..known].iter().enumerate().all(|(at, &number)| number == at as f32), "to {len}");
                buffer.iter_mut().enumerate().for_each(|(at, number)| *number = at as f32);
            }
            let copy = buffer.clone();
            buffer.settle();
            assert_eq!(buffer[..], copy[..]);
            buffer[0] = 7.0;
            assert_eq!(copy[0], 0.0, "a copy has memory of its own");
        }
    }
}
