//! Semaphores inside serde messages.

use mp_os::transfer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{posix, sysv};

/// How a POSIX semaphore is found where it arrives.
#[derive(Serialize, Deserialize)]
enum Place {
    Named(String),
    /// In the memory of this index, at this offset.
    In(u32, usize),
}

/// By its name; without one, within a scope of `mp_os::transfer` only, which carries a duplicate of the descriptor of its
/// memory. What arrives does not own the semaphore.
impl Serialize for posix::Semaphore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.memory(), self.name()) {
            (Some(memory), _) => {
                let index = transfer::export(memory).map_err(ser::Error::custom)?;
                Place::In(index, self.offset()).serialize(serializer)
            }
            (None, Some(name)) => Place::Named(name.to_string()).serialize(serializer),
            (None, None) => Err(ser::Error::custom("the semaphore has neither a name nor memory")),
        }
    }
}

impl<'de> Deserialize<'de> for posix::Semaphore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Place::deserialize(deserializer)? {
            Place::Named(name) => Self::open(name),
            Place::In(index, offset) => {
                Self::open_in(transfer::import(index).map_err(de::Error::custom)?, offset)
            }
        }
        .map_err(de::Error::custom)
    }
}

/// By its identifier. What arrives does not own the set.
impl Serialize for sysv::SemaphoreSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for sysv::SemaphoreSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_id(i32::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
