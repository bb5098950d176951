//! The number of a message, which the receiver checks: at its beginning and at its end, so that it has come whole.

/// Makes `number` that of a message of eight bytes at least.
///
/// # Panics
///
/// Where it is shorter.
pub fn write(message: &mut [u8], number: u64) {
    let bytes = number.to_ne_bytes();
    *message.last_chunk_mut().expect("a message of eight bytes at least") = bytes;
    *message.first_chunk_mut().expect("as above") = bytes;
}

/// The number of a message.
///
/// # Panics
///
/// Where it is shorter than eight bytes, or does not end with the number that it begins with.
pub fn read(message: &[u8]) -> u64 {
    let first = message.first_chunk().expect("a message of eight bytes at least");
    let whole = message.last_chunk() == Some(first);
    assert!(whole, "the end of a message comes with its beginning");
    u64::from_ne_bytes(*first)
}
