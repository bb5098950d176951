//! Segments inside messages: a duplicate of the descriptor travels beside the bytes, its index and length in them.

use std::os::fd::{AsFd, OwnedFd};

use mp_os::transfer::{export, import};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{GrowableSegment, ReadSegment, Segment, SparseSegment};

macro_rules! travels {
    ($segment:ident) => {
        impl Serialize for $segment {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                give(self, self.len() as u64, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $segment {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (fd, len) = take(deserializer)?;
                let segment = Self::from_fd(fd).map_err(de::Error::custom)?;
                check_len(segment.len() as u64, len)?;
                Ok(segment)
            }
        }
    };
}

travels!(Segment);
travels!(ReadSegment);
travels!(SparseSegment);

impl Serialize for GrowableSegment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        give(self, self.len() as u64, serializer)
    }
}

impl<'de> Deserialize<'de> for GrowableSegment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (fd, len) = take(deserializer)?;
        let segment = Self::from_fd(fd).map_err(de::Error::custom)?;
        // It may have grown on the way.
        check_len((segment.len() as u64).min(len), len)?;
        Ok(segment)
    }
}

fn give<S: Serializer>(fd: &impl AsFd, len: u64, serializer: S) -> Result<S::Ok, S::Error> {
    let index = export(fd.as_fd()).map_err(ser::Error::custom)?;
    (index, len).serialize(serializer)
}

fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(OwnedFd, u64), D::Error> {
    let (index, len) = <(u32, u64)>::deserialize(deserializer)?;
    Ok((import(index).map_err(de::Error::custom)?, len))
}

fn check_len<E: de::Error>(found: u64, announced: u64) -> Result<(), E> {
    if found == announced {
        return Ok(());
    }
    Err(E::custom(format_args!(
        "the shared memory segment has {found} bytes, of which {announced} were announced"
    )))
}
