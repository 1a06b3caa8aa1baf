//! Memory in large pages, where the system has any: for weights and activations, which stay and are read again and again.
//!
//! A processor keeps the places of some two thousand pages at hand and looks others up, in a virtual machine twice over. The weights
//! of a small network in pages of 4 KB are more than that, and its matrices smaller than a page of 2 MB: so they share regions.
//! A region is given back when nothing in it is used any more.

#![expect(unsafe_code, reason = "several owners have parts of one region")]

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use memmap2::MmapMut;

/// A large page, on most processors.
const PAGE: usize = 2 << 20;

/// Bytes of a region. They are addresses; pages become memory when they are first written.
const REGION: usize = 16 * PAGE;

/// A cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u8; 64]);

/// Lines of a region that are one owner's, zeroed at first.
#[derive(Debug)]
pub(super) struct Part {
    first: NonNull<Line>,
    n_lines: usize,
    /// Keeps the memory.
    _region: Arc<MmapMut>,
}

// SAFETY: a part owns its lines alone, as a `Vec` does.
unsafe impl Send for Part {}
// SAFETY: as above; lines are written through `&mut` only.
unsafe impl Sync for Part {}

/// The region that the next part comes from, as long as a part of it lives, and what nobody has had of it.
struct Open {
    region: Weak<MmapMut>,
    rest: NonNull<Line>,
    n_lines: usize,
}

// SAFETY: nobody else has the rest, and it is reached only where the region is known to live.
unsafe impl Send for Open {}

static OPEN: Mutex<Open> = Mutex::new(Open { region: Weak::new(), rest: NonNull::dangling(), n_lines: 0 });

impl Part {
    /// So many lines; none where the system gives no memory in this way.
    pub(super) fn new(n_lines: usize) -> Option<Self> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let region = match open.region.upgrade().filter(|_| n_lines <= open.n_lines) {
            Some(region) => region,
            None => open.begin(n_lines)?,
        };
        let first = open.rest;
        // SAFETY: the region lives and has as many lines left: looked at above or made sure of by `begin`.
        open.rest = unsafe { first.add(n_lines) };
        open.n_lines -= n_lines;
        Some(Self { first, n_lines, _region: region })
    }
}

impl std::ops::Deref for Part {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        // SAFETY: the region lives as long as the part, any bytes are lines, and these were given to nobody else.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.n_lines) }
    }
}

impl std::ops::DerefMut for Part {
    fn deref_mut(&mut self) -> &mut [Line] {
        // SAFETY: as in `deref`, and the part is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.n_lines) }
    }
}

impl Open {
    /// Begins a region of at least so many lines, at the start of a large page.
    fn begin(&mut self, n_lines: usize) -> Option<Arc<MmapMut>> {
        let bytes = n_lines.checked_mul(size_of::<Line>())?.max(REGION).checked_next_multiple_of(PAGE)?;
        let mut map = MmapMut::map_anon(bytes.checked_add(PAGE)?).ok()?;
        #[cfg(target_os = "linux")]
        // A system without large pages says no, and others do as well.
        drop(map.advise(memmap2::Advice::HugePage));
        let before = map.as_ptr().align_offset(PAGE);
        let rest = NonNull::new(map.get_mut(before..before.checked_add(bytes)?)?.as_mut_ptr().cast())?;
        let region = Arc::new(map);
        *self = Self { region: Arc::downgrade(&region), rest, n_lines: bytes / size_of::<Line>() };
        Some(region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_zeroed_whole_and_apart() {
        let sizes = [1, 3, 1000, REGION / size_of::<Line>() + 1, 7];
        let mut parts: Vec<Part> = sizes.iter().map(|&n_lines| Part::new(n_lines).expect("memory")).collect();
        for (number, part) in parts.iter_mut().enumerate() {
            assert!(part.iter().all(|line| line.0 == [0; 64]), "part {number} is zeroed");
            part.fill(Line([number as u8 + 1; 64]));
        }
        for (number, part) in parts.iter().enumerate() {
            assert_eq!(part.len(), sizes[number]);
            assert!(part.iter().all(|line| line.0 == [number as u8 + 1; 64]), "part {number} is nobody else's");
        }
    }

    #[test]
    fn what_cannot_be_had_is_none() {
        assert!(Part::new(usize::MAX / 64).is_none());
        assert!(Part::new(usize::MAX).is_none());
    }
}
