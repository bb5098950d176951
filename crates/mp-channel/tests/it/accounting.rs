//! Records that say who made them, in which order, and whether all of them is there.

use std::collections::HashMap;

/// The least length of a record.
pub(crate) const MIN: usize = 12;

/// Record number `number` of `producer`, `len` bytes long.
pub(crate) fn record(producer: u32, number: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len.max(MIN));
    bytes.extend_from_slice(&producer.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    let seed = number as usize * 31 + producer as usize;
    bytes.extend((MIN..len).map(|at| (seed + at) as u8));
    bytes
}

/// Who made `bytes` and as which number; panics where they are torn.
pub(crate) fn check(bytes: &[u8]) -> (u32, u64) {
    let producer = u32::from_le_bytes(bytes[..4].try_into().unwrap());
    let number = u64::from_le_bytes(bytes[4..MIN].try_into().unwrap());
    assert!(
        bytes == record(producer, number, bytes.len()),
        "record {number} of {producer} is torn"
    );
    (producer, number)
}

/// How long record `number` is: mostly short, sometimes around the ring's end, sometimes outside.
pub(crate) fn len(number: u64) -> usize {
    match number % 17 {
        3 => 200,
        7 => 1000,
        11 => 5000,
        _ => MIN + (number % 40) as usize,
    }
}

/// What was received, in order of receipt.
#[derive(Default)]
pub(crate) struct Ledger(pub(crate) HashMap<u32, Vec<u64>>);

impl Ledger {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let (producer, number) = check(bytes);
        self.0.entry(producer).or_default().push(number);
    }

    /// Every producer's numbers are consecutive from zero, up to `counts` each.
    pub(crate) fn assert_complete(&self, counts: &[(u32, u64)]) {
        for &(producer, count) in counts {
            let received = self.0.get(&producer).cloned().unwrap_or_default();
            assert!(
                received.iter().copied().eq(0..count),
                "producer {producer}: {received:?} of {count}"
            );
        }
    }
}
