use crate::{Leased, Ring, layout::Header};

/// What has gone through a [`Ring`], and who was lost on the way; see [`Ring::stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingStats {
    /// Records pushed since the ring was made.
    pub pushed: u64,
    /// Records popped or leased since the ring was made; those that came back from a lease count once.
    pub popped: u64,
    /// The most records at a time.
    pub capacity: usize,
    /// How often a producer was killed in the middle of a push. Noticed by the next producer.
    pub killed_pushing: u32,
    /// How often a consumer was killed in the middle of a pop. Noticed by the next consumer.
    pub killed_popping: u32,
    /// Records on lease.
    pub leased: Leased,
    /// Whether the ring is closed.
    pub is_closed: bool,
}

impl Ring {
    /// What has gone through so far. Each number is right at some moment of this call.
    ///
    /// # Examples
    ///
    /// ```
    /// let ring = mp_channel::Ring::builder().create()?;
    /// ring.push(b"x").unwrap();
    /// let stats = ring.stats();
    /// assert_eq!((stats.pushed, stats.popped, stats.killed_pushing), (1, 0, 0));
    /// # Ok::<(), mp_channel::Error>(())
    /// ```
    pub fn stats(&self) -> RingStats {
        let Header { head, tail, .. } = self.0.header();
        RingStats {
            popped: head.total(),
            pushed: tail.total(),
            capacity: self.capacity(),
            killed_pushing: tail.deaths(),
            killed_popping: head.deaths(),
            leased: self.leased(),
            is_closed: self.is_closed(),
        }
    }
}
