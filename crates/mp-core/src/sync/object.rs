use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use mp_shm::{Memory, Segment};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Result;

/// The words of the header.
const KIND: usize = 0;
const NAMESPACE: usize = 1;
const PARAMETER: usize = 2;

/// The bytes of the header, a cache line.
const HEADER: usize = 64;

/// A piece of anonymous shared memory that says what is in it.
///
/// Processes of another PID namespace are refused: what the objects write down are process and thread numbers.
#[derive(Clone, Debug)]
pub(crate) struct Object(Segment);

impl Object {
    /// An object called `kind` that takes so many words after the header, with one of its own in it.
    pub(crate) fn create(kind: &[u8; 8], words: usize, parameter: u64) -> Result<Self> {
        let len = words.saturating_mul(size_of::<u64>()).saturating_add(HEADER);
        let object = Self(Segment::create("mp-sync", len)?);
        object.header(KIND)?.store(u64::from_ne_bytes(*kind), Relaxed);
        object.header(NAMESPACE)?.store(mp_sync::pid_namespace()?, Relaxed);
        object.header(PARAMETER)?.store(parameter, Relaxed);
        Ok(object)
    }

    /// What another process has created, if that is a `kind`.
    fn attach(segment: Segment, kind: &[u8; 8]) -> Result<Self> {
        let refuse = |reason| {
            let reason = io::Error::new(io::ErrorKind::InvalidData, reason);
            Err(mp_os::Error::new("attach", "a shared object", reason).into())
        };
        let object = Self(segment);
        if object.header(KIND)?.load(Relaxed) != u64::from_ne_bytes(*kind) {
            return refuse("the segment holds something else");
        }
        if object.header(NAMESPACE)?.load(Relaxed) != mp_sync::pid_namespace()? {
            return refuse("it belongs to another PID namespace, where process numbers differ");
        }
        Ok(object)
    }

    fn header(&self, word: usize) -> Result<&AtomicU64> {
        let word = self.0.memory().atomic_u64(word * size_of::<u64>());
        let short = || mp_os::Error::invalid_input("use", "a shared object", "it is too short");
        Ok(word.ok_or_else(short)?)
    }

    /// What its creator has written into the header, or whoever has written there since.
    pub(crate) fn parameter(&self) -> u64 {
        self.header(PARAMETER).map_or(0, |word| word.load(Relaxed))
    }

    /// The words after the header.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let memory = self.0.memory();
        let count = memory.len().saturating_sub(HEADER) / size_of::<u64>();
        memory.atomics(HEADER, count).unwrap_or_default()
    }

    /// All the memory, and where in it the word of this index is.
    pub(crate) fn memory(&self, word: usize) -> (&Memory, usize) {
        (self.0.memory(), HEADER + word * size_of::<u64>())
    }

    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D>(deserializer: D, kind: &[u8; 8]) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        let segment = Segment::deserialize(deserializer)?;
        Self::attach(segment, kind).map_err(de::Error::custom)
    }
}

/// Makes a handle with a `KIND` and one field, its [`Object`], travel in process arguments and connection messages.
macro_rules! travels {
    ($($name:ident),+) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let handle = Self($crate::sync::Object::deserialize(deserializer, Self::KIND)?);
                // What is too short for it is refused here, and need not be expected later.
                handle.view().map_err(serde::de::Error::custom)?;
                Ok(handle)
            }
        }
    )+};
}
pub(crate) use travels;

#[cfg(test)]
mod tests {
    use super::*;

    const KIND_OF_TEST: &[u8; 8] = b"mp tests";

    #[test]
    fn what_is_attached_is_what_was_created() {
        let object = Object::create(KIND_OF_TEST, 3, 7).unwrap();
        assert_eq!((object.words().len(), object.parameter()), (3, 7));
        let attached = Object::attach(object.0.clone(), KIND_OF_TEST).unwrap();
        object.words()[2].store(5, Relaxed);
        assert_eq!(attached.words()[2].load(Relaxed), 5);
        let error = Object::attach(object.0, b"mp other").unwrap_err();
        assert!(error.to_string().contains("something else"), "{error}");
        let short = Segment::create("mp-test", 8).unwrap();
        short.memory().write(0, u64::from_ne_bytes(*KIND_OF_TEST)).unwrap();
        assert!(Object::attach(short, KIND_OF_TEST).is_err());
    }

    #[test]
    fn another_pid_namespace_is_refused() {
        let object = Object::create(KIND_OF_TEST, 0, 0).unwrap();
        object.header(NAMESPACE).unwrap().fetch_add(1, Relaxed);
        let error = Object::attach(object.0, KIND_OF_TEST).unwrap_err();
        assert!(error.to_string().contains("PID namespace"), "{error}");
    }
}
