//! A slice that several threads write at once, each in places of its own.

#![expect(unsafe_code, reason = "the borrow checker cannot see that columns of one matrix are apart")]

use std::marker::PhantomData;
use std::ops::Range;

/// Borrows a slice mutably and lends parts of it to whoever has a reference, or a copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a, T> {
    start: *mut T,
    len: usize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a mutable borrow of numbers, and who made it promised that no place is lent twice at once.
unsafe impl<T: Send> Send for Places<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Places<'_, T> {}

impl<'a, T> Places<'a, T> {
    /// # Safety
    /// Whoever uses it, or a copy, must never hold two parts that overlap, on one thread or on several.
    pub(super) unsafe fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), borrowed: PhantomData }
    }

    /// The places of a range.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "`new` asks for the promise that parts never overlap")]
    pub(super) fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "a part lies within its slice");
        // SAFETY: the range is within the slice, which is borrowed mutably for as long as `self` lives, and by the promise
        // made to `new` nobody else holds any of it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.end - range.start) }
    }
}
