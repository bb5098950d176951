//! The memory of large arguments that are done with: it is used again, or let go of one by one.
//!
//! Several come back at a time. Freed together they would be so much memory at the end of the heap that the allocator gives it
//! back to the kernel, and the next arguments would wait for fresh pages, which takes ten times as long as copying them.

use parking_lot::Mutex;

/// Memory of fewer bytes is not worth keeping.
pub(super) const LARGE: usize = 64 << 10;

/// How many bytes are kept.
const KEPT_LEN: usize = 8 << 20;

#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    spares: Vec<Vec<u8>>,
    /// Their capacity in bytes.
    len: usize,
}

impl Spares {
    /// Keeps `spent`, unless too much is kept already.
    pub(super) fn keep(&self, spent: Vec<u8>) {
        let mut kept = self.0.lock();
        if kept.len + spent.capacity() <= KEPT_LEN {
            kept.len += spent.capacity();
            kept.spares.push(spent);
        } else {
            drop(kept);
            drop(spent);
        }
    }

    /// Gives up one, the newest, whose memory is still in the cache: to be filled again, or to be freed for an argument that will
    /// be made next. An empty vector where there is none.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut kept = self.0.lock();
        let mut spare = kept.spares.pop().unwrap_or_default();
        kept.len -= spare.capacity();
        spare.clear();
        spare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_more_is_kept_than_said() {
        let spares = Spares::default();
        let kept = || {
            let kept = spares.0.lock();
            (kept.len, kept.spares.len())
        };
        for _ in 0..20 {
            spares.keep(Vec::with_capacity(1 << 20));
        }
        spares.keep(Vec::with_capacity(KEPT_LEN + 1));
        assert_eq!(kept(), (KEPT_LEN, 8));
        for _ in 0..9 {
            spares.take();
        }
        assert_eq!(kept(), (0, 0));
    }
}
