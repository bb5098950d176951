//! Rings inside messages: the descriptors of their parts travel beside the bytes.

use std::os::fd::AsFd;

use mp_os::transfer::{export, import};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{Event, Ring, RingParts};

impl Serialize for Ring {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.parts().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ring {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::attach(RingParts::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        export(self.as_fd()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let index = u32::deserialize(deserializer)?;
        import(index).map(Self::from).map_err(de::Error::custom)
    }
}
