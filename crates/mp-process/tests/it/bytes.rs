//! Bytes as a hostile peer may send them, for the fuzzer and for the replay of what it found.

use std::{cell::Cell, collections::BTreeMap, io::IoSlice};

use mp_os::{
    Deadline, TimeoutError,
    frame::{ByteSink, ByteSource, Framed},
};
use mp_process::{decode, decode_parts, encode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A value of every kind that the format has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Odd {
    Unit,
    Numbers(bool, u8, i16, u32, i64, u128),
    Real { single: f32, double: f64, letter: char },
    Text(String),
    Bytes(Vec<u8>),
    Nested(Vec<Option<Odd>>),
    Table(BTreeMap<String, (u16, Result<(), u8>)>),
}

/// What is left when `bytes` are taken for a `T`: an error, or a value that can be sent again and is the same then.
fn read_as<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(value) = decode::<T>(bytes) else { return };
    let (mut once, mut again) = (Vec::new(), Vec::new());
    encode(&value, &mut once).expect("it has been encoded before");
    let value: T = decode(&once).expect("it is our own encoding");
    encode(&value, &mut again).expect("it has been encoded before");
    // By bytes, for the sake of numbers that are none.
    assert!(once == again, "it has changed on the way");
}

/// A message, taken for values of many types, whole and in two pieces.
pub(crate) fn message(data: &[u8]) {
    read_as::<Odd>(data);
    read_as::<(u64, String, Vec<u8>)>(data);
    read_as::<Vec<(i32, Option<String>)>>(data);
    read_as::<BTreeMap<u8, Vec<u16>>>(data);
    read_as::<[Option<char>; 3]>(data);
    in_pieces::<Vec<u8>>(data);
    in_pieces::<String>(data);
    in_pieces::<(u8, String)>(data);
}

/// Wherever it is cut: the same value, or an error both times.
fn in_pieces<T: DeserializeOwned + PartialEq>(data: &[u8]) {
    let whole = decode::<T>(data).ok();
    for at in 0..data.len().min(12) {
        let (head, tail) = data.split_at(at);
        assert!(decode_parts::<T>(head, tail.to_vec()).ok() == whole, "cut at {at}");
    }
}

/// A stream that gives what it has, a few bytes at a time.
struct Stream<'a> {
    rest: Cell<&'a [u8]>,
    step: usize,
}

impl ByteSource for Stream<'_> {
    fn read_until(&self, buffer: &mut [u8], _: Deadline) -> Result<usize, TimeoutError> {
        let rest = self.rest.get();
        let len = rest.len().min(buffer.len()).min(self.step);
        buffer[..len].copy_from_slice(&rest[..len]);
        self.rest.set(&rest[len..]);
        Ok(len)
    }
}

impl ByteSink for Stream<'_> {
    fn write_until(&self, parts: &[IoSlice<'_>], _: Deadline) -> Result<usize, TimeoutError> {
        Ok(parts.iter().map(|part| part.len()).sum())
    }
}

/// A byte stream of messages, after a byte that says how many bytes come at a time.
pub(crate) fn frames(data: &[u8]) {
    const MAX: usize = 1 << 16;
    let Some((&step, data)) = data.split_first() else { return };
    let stream = Stream { rest: Cell::new(data), step: usize::from(step).max(1) };
    let mut framed = Framed::new(stream).with_max_len(MAX);
    let mut total = 0;
    while let Ok(Some(message)) = framed.recv() {
        assert!(message.len() <= MAX, "a length was believed");
        total += message.len() + 4;
    }
    assert!(total <= data.len(), "it gave more than it got");
}
