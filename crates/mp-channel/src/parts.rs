use mp_os::Result;
use mp_shm::{Segment, SparseSegment};

use crate::{Event, LeaseParts};

/// What a [`Ring`](crate::Ring) is made of: what another process needs to [attach](crate::Ring::attach) it.
///
/// With the feature `serde` they travel inside messages that carry descriptors, as the ring itself does.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RingParts {
    /// The header and the records.
    pub segment: Segment,
    /// The file for large records.
    pub outside: SparseSegment,
    /// What pollers wait at.
    pub event: Event,
    /// What its leases are made of, if it has any.
    pub leases: Option<LeaseParts>,
}

impl RingParts {
    pub(crate) fn new(segment: Segment, outside: SparseSegment) -> Result<Self> {
        Ok(Self { segment, outside, event: Event::create()?, leases: None })
    }
}
