//! Rings inside messages: the descriptors of both parts travel beside the bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Ring;

impl Serialize for Ring {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.parts().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ring {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (segment, outside) = Deserialize::deserialize(deserializer)?;
        Self::attach(segment, outside).map_err(de::Error::custom)
    }
}
