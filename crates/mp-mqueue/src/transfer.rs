//! Queues inside serde messages.

use std::os::fd::AsFd;

use mp_os::{ObjectName, transfer};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{posix, sysv};

/// Within a scope of `mp_os::transfer` only, which carries a duplicate of the descriptor. What arrives does not own the
/// queue.
impl Serialize for posix::MessageQueue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let index = transfer::export(self.as_fd()).map_err(ser::Error::custom)?;
        (index, self.name().map(ObjectName::as_str)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for posix::MessageQueue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (index, name) = <(u32, Option<String>)>::deserialize(deserializer)?;
        let name = name.map(ObjectName::new).transpose().map_err(de::Error::custom)?;
        let fd = transfer::import(index).map_err(de::Error::custom)?;
        let queue = Self::received(fd, name);
        // Refuses a descriptor that is not a queue's here, and not at its first use.
        queue.attributes().map_err(de::Error::custom)?;
        Ok(queue)
    }
}

/// By its identifier. What arrives does not own the queue.
impl Serialize for sysv::MessageQueue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for sysv::MessageQueue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_id(i32::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
