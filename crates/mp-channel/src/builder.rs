use mp_os::{Error, Result};
use mp_shm::Segment;

use crate::{
    Ring, RingParts,
    layout::{BYTES, Shape},
    lease::{table::Leases, word::Word},
    outside::Outside,
    position::Position,
    sys::Memory,
};

/// How large a new [`Ring`] is to be.
///
/// # Examples
///
/// ```
/// use mp_channel::Ring;
///
/// let ring = Ring::builder().items(2).bytes(1 << 20).create()?;
/// ring.push(b"one").unwrap();
/// ring.push(b"two").unwrap();
/// assert!(ring.is_full());
/// # Ok::<(), mp_channel::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing exists before `create`"]
pub struct RingBuilder {
    items: usize,
    bytes: Option<usize>,
    leases: Option<(usize, u32)>,
}

impl RingBuilder {
    const DEFAULT_ITEMS: usize = 1024;
    const MIN_BYTES: usize = 4096;
    const DEFAULT_MIN_BYTES: usize = 64 << 10;
    const DEFAULT_MAX_BYTES: usize = 1 << 20;
    /// Room for a record of some size in the default.
    const DEFAULT_BYTES_PER_ITEM: usize = 64;

    pub(crate) fn new() -> Self {
        Self { items: Self::DEFAULT_ITEMS, bytes: None, leases: None }
    }

    /// The most records at a time, 1 to 2^31; 1,024 unless said otherwise.
    pub fn items(mut self, items: usize) -> Self {
        self.items = items;
        self
    }

    /// The length of the ring in bytes, rounded up to a power of two of at least 4 KiB, at most 16 GiB.
    ///
    /// Each record takes its length rounded up to 8, and 8 more. One that is longer than a quarter of the ring is stored
    /// beside it: up to 16 MiB in memory that is taken when it is first needed and kept, a longer one by system calls. The
    /// ring's own memory is reserved when it is created. Unless said otherwise, that is 64 bytes for each item, at least
    /// 64 KiB and at most 1 MiB.
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Lets consumers [`lease`](Ring::lease) records: at most `slots` at a time, 1 to 65,536, and each at most
    /// `max_deliveries` times, 1 to 65,535, after which it is a [dead letter](Ring::dead_letter). Dead letters take slots.
    ///
    /// Each slot takes 32 bytes, and a record that is on lease takes its length besides.
    pub fn leases(mut self, slots: usize, max_deliveries: u32) -> Self {
        self.leases = Some((slots, max_deliveries));
        self
    }

    /// Creates the ring.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a number out of range; those of
    /// [`Segment::create`], such as [`OutOfMemory`](std::io::ErrorKind::OutOfMemory).
    pub fn create(self) -> Result<Ring> {
        let (shape, leases) = (self.shape()?, self.checked_leases()?);
        let segment = Segment::create("mp-ring", BYTES + shape.bytes)?;
        let memory = Memory::new(segment.clone())?;
        memory.header().initialize(shape)?;
        let mut parts = RingParts::new(segment, Outside::create(shape)?)?;
        if let Some((slots, max_deliveries)) = leases {
            memory.header().leases.set_max_deliveries(max_deliveries);
            let slot_len = Outside::new(parts.outside.clone(), shape).max_len();
            parts.leases = Some(Leases::create(slots, slot_len)?);
        }
        Ring::new(memory, shape, parts)
    }

    fn checked_leases(self) -> Result<Option<(u32, u32)>> {
        let Some((slots, deliveries)) = self.leases else { return Ok(None) };
        let max = Word::MAX_DELIVERIES;
        match u32::try_from(slots) {
            Ok(count @ 1..=65_536) if (1..=max).contains(&deliveries) => {
                Ok(Some((count, deliveries)))
            }
            Ok(1..=65_536) => {
                Err(refuse(format!("{deliveries} deliveries are not between 1 and {max}")))
            }
            _ => Err(refuse(format!("{slots} slots for leases are not between 1 and 65,536"))),
        }
    }

    fn shape(self) -> Result<Shape> {
        let items = u32::try_from(self.items).unwrap_or(0);
        if !Position::valid_items(items) {
            return Err(refuse(format!("{} items are not between 1 and 2^31", self.items)));
        }
        let bytes = self.bytes.unwrap_or_else(|| {
            self.items
                .saturating_mul(Self::DEFAULT_BYTES_PER_ITEM)
                .clamp(Self::DEFAULT_MIN_BYTES, Self::DEFAULT_MAX_BYTES)
        });
        let rounded = bytes.max(Self::MIN_BYTES).checked_next_power_of_two().unwrap_or(0);
        if !Position::valid_bytes(rounded) {
            return Err(refuse(format!("{bytes} bytes are more than 16 GiB")));
        }
        Ok(Shape { items, bytes: rounded })
    }
}

fn refuse(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::invalid_input("create", "a ring", reason)
}
