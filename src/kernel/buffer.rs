//! Memory for vectors: zeroed and aligned to a cache line, so that no vector load straddles two lines.

#![expect(unsafe_code, reason = "a slice of lines is read as a slice of numbers")]

use half::bf16;

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

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A zeroed slice that begins on a cache line.
#[derive(Debug, Clone)]
pub(super) struct Buffer<T> {
    lines: Vec<Line>,
    len: usize,
    elements: std::marker::PhantomData<T>,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), len: 0, elements: std::marker::PhantomData }
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
        let lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        if lines > self.lines.len() {
            self.lines.resize(lines, Line([0; 64]));
        }
        self.len = len;
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
